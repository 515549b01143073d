/*
 * Private to hub/: sockets above the connections limit, which never reach a worker. They are told why, except over TLS
 * or when many are being told already; those are just closed.
 */
#ifndef STOMPD_HUB_REFUSAL_H
#define STOMPD_HUB_REFUSAL_H

#include <event2/event.h>

#include "stompd/base/list.h"
#include "stompd/edge/listener_conf.h"

struct refusals {
    struct event_base *base;
    struct list_node open;
    unsigned count;
};

/* None yet. */
void refusals_init(struct refusals *refusals, struct event_base *base);
/* Closes all that linger. */
void refusals_free(struct refusals *refusals);

/* Takes over the descriptor. */
void refuse(struct refusals *refusals, int fd, const struct listener_conf *listener);

#endif
