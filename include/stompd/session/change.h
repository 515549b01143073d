/*
 * A change: what one frame (or one COMMIT) wants done in queues, on its way from a session through the hub to the store.
 * Its operations take effect in their order; all together or not at all where `together` says so. Owned by whoever has
 * it; hub and store only read it.
 */
#ifndef STOMPD_SESSION_CHANGE_H
#define STOMPD_SESSION_CHANGE_H

#include <stdint.h>

#include "stompd/base/message.h"

/* Where a stored message is in its queue: Redis' stream id. */
struct entry {
    uint64_t ms;
    uint64_t n;
    uint32_t size; /* bytes that count against the queue's limit */
};

enum operation_kind {
    OPERATION_PUT,    /* store a message, in the queue that is its key (route ROUTE_QUEUE) */
    OPERATION_SETTLE, /* it was consumed: away with it */
    OPERATION_RETURN, /* back to the queue, for any consumer */
    OPERATION_REJECT  /* to the dead-letter queue; where there is none, away with it */
};

struct operation {
    enum operation_kind kind;
    bool counted;            /* RETURN: it was written to a socket, so it counts as a delivery */
    struct message *message; /* PUT: one reference; else NULL */
    uint64_t lifetime_ms;    /* PUT: after which it expires; 0: never */
    uint64_t consumer;       /* not PUT: whose delivery it was (struct consumer's id) */
    struct entry entry;      /* not PUT */
};

enum change_result {
    CHANGE_DONE,
    CHANGE_FULL,  /* a queue takes no more; nothing was done */
    CHANGE_LOST,  /* together only: a message to be settled is not this node's any more; nothing was done */
    CHANGE_FAILED /* the store refused, for want of memory or because something else has the queue's key; it has
                      logged why. Nothing was done. */
};

struct pending;

struct change {
    bool together;
    struct pending *pending; /* the session layer's own, given back with the result; NULL: nobody waits for one */
    uint64_t cost; /* bytes it holds, for limits: its operations and their messages; change_add() counts them */
    uint32_t count;
    uint32_t capacity;
    struct operation *operations;
};

/* Empty. NULL when out of memory. */
MUST_CHECK struct change *change_new(void);

/* NULL is allowed. Drops the messages' references. */
void change_free(struct change *change);

/* Appends a copy; takes over the reference of its message on success. False when out of memory. */
MUST_CHECK bool change_add(struct change *change, const struct operation *operation);

#endif
