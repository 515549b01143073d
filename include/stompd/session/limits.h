/*
 * What one session may use up, and the times that hold for it: the part of the conf file that the session layer reads.
 * Filled by hub/conf; each worker has a copy of its own, which a reload of the conf file changes.
 */
#ifndef STOMPD_SESSION_LIMITS_H
#define STOMPD_SESSION_LIMITS_H

#include <stdint.h>

#include "stompd/stomp/heartbeat.h"
#include "stompd/stomp/parser.h"

struct session_limits {
    struct stomp_parser_limits before_login; /* frame-size-before-login; the others as below */
    struct stomp_parser_limits frames;       /* frame-size, body-size, headers, header-size */
    uint32_t subscriptions;                  /* a session */
    uint32_t transactions;                   /* open at a time */
    uint32_t transaction_frames;             /* in one transaction */
    uint64_t transaction_size;               /* bytes held by all open transactions of a session */
    uint32_t prefetch;                       /* the most that a subscription's prefetch-count can be; 1 or more */
    uint64_t outbox_size;                    /* bytes waiting for one session's socket; one message always fits */
    uint32_t connect_time_ms;                /* from the accepted socket to CONNECTED */
    uint32_t frame_time_ms;                  /* from a frame's first byte to its last */
    uint32_t pause_time_ms;                  /* how long a publisher may be held back */
    struct heartbeat heartbeat;              /* what the server offers to send and wants to receive */
};

#endif
