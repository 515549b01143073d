/* STOMP versions and their negotiation (1.2, "Protocol Negotiation"). */
#ifndef STOMPD_STOMP_VERSION_H
#define STOMPD_STOMP_VERSION_H

#include "stompd/base/bytes.h"
#include "stompd/base/compiler.h"

enum stomp_version { STOMP_1_0, STOMP_1_1, STOMP_1_2 };

/* What an ERROR lists in its `version` header when nothing is common. */
#define STOMP_VERSIONS "1.0,1.1,1.2"

/* "1.0", "1.1" or "1.2". */
const char *stomp_version_name(enum stomp_version version);

/*
 * The highest version in a comma-separated accept-version value that we speak; false when there is none. Blanks around
 * items are ignored.
 */
MUST_CHECK bool stomp_negotiate(struct bytes accept_version, enum stomp_version *version);

#endif
