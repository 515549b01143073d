/*
 * What the workers have of the conf file and what a reload may change: made by the hub, immutable, shared by all threads
 * and counted. A reload makes a new one and sends it to every worker (MAIL_SETTINGS); the old one goes with its last
 * reference. A worker has one reference, and so has each login that a helper thread checks.
 */
#ifndef STOMPD_EDGE_SETTINGS_H
#define STOMPD_EDGE_SETTINGS_H

#include <stdatomic.h>
#include <stdint.h>

#include "stompd/auth/authenticator.h"
#include "stompd/edge/certificate.h"
#include "stompd/edge/listener_conf.h"
#include "stompd/route/policy.h"
#include "stompd/session/limits.h"

struct settings {
    _Atomic unsigned refs;
    void (*free)(struct settings *settings); /* with the last reference; any thread */
    const struct session_limits *limits;
    const struct policies *policies;
    const struct users *users;
    struct authenticator *authenticator;   /* of these users */
    const struct listener_conf *listeners; /* as many as at the start, in the same order */
    size_t listener_count;
    struct certificate *const *certificates; /* [listener_count]; NULL: the listener has no TLS */
    uint32_t ping_time_ms;                   /* 0: no pings */
};

struct settings *settings_ref(struct settings *settings);
/* NULL is allowed. */
void settings_unref(struct settings *settings);

#endif
