/* What one worker has done besides its sessions' part (session/counters.h). Its thread counts, any may read. */
#ifndef STOMPD_EDGE_COUNTERS_H
#define STOMPD_EDGE_COUNTERS_H

#include "stompd/base/lag.h"
#include "stompd/edge/listener_conf.h"

struct worker_counters {
    struct counter connections[LISTENER_PROTOCOLS]; /* sockets that it has, now */
    struct counter adopted[LISTENER_PROTOCOLS];     /* all that it ever had */
    struct counter received_bytes;                  /* of STOMP from clients, without WebSocket framing, decompressed */
    struct counter sent_bytes; /* handed to sockets, with WebSocket framing, compressed, before TLS */
    struct counter writes;     /* calls that handed bytes to a socket */
    struct counter written;    /* MESSAGEs among what was handed to sockets */
    struct counter congested;  /* 1: publishers wait */
    struct counter turns;      /* of the loop */
    struct counter turned_ms;  /* when the last one ended (base/clock.h) */
    struct lag lag;
};

#endif
