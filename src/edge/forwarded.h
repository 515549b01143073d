/*
 * Private to edge/: who is behind trusted proxies, by the header X-Forwarded-For. Each proxy adds at its end whom it
 * got the request from, so what trusted ones added is true, and what stands before it is whatever the client likes.
 */
#ifndef STOMPD_EDGE_FORWARDED_H
#define STOMPD_EDGE_FORWARDED_H

#include "stompd/base/network.h"
#include "stompd/edge/listener_conf.h"

/* Whether it is one of the listener's trusted-proxies. */
bool forwarded_is_trusted(const struct listener_conf *listener, const struct ip_address *address);

/*
 * The last address of the header's value that is none of a trusted proxy, or the first one where all are. False: the
 * value is malformed before that, or there is none; *client is then not set.
 */
MUST_CHECK bool forwarded_client(const struct listener_conf *listener, struct bytes value, struct ip_address *client);

#endif
