/*
 * Private to hub/: what is published, on its way into the queues of durable subscriptions: a copy for each binding that
 * it reaches. A publication waits, and all that come later behind it, while the queues have no room, or while it is not
 * sure which bindings there are: they are known for a while from each look at them on, in which nobody can take this node
 * for dead, and so bind without waiting for it.
 *
 * While the store can be called, the publishers of what waits get no credit, and pause in the end. While it can't, they
 * go on, and so much waits; beyond that the oldest goes to the bindings that are known.
 */
#ifndef HUB_DURABLE_PUTS_H
#define HUB_DURABLE_PUTS_H

#include "durable_bindings.h"
#include "queues.h"

struct durable_puts {
    struct durable_bindings *bindings;
    struct queues *queues;
    uint64_t *owed;        /* [workers] what was worked off, in bytes of router_cost(); NULL: nobody asks */
    uint64_t sure_ms;      /* what was published before this time is matched by the bindings that are known */
    bool away;             /* the store can't be called, or knows no bindings */
    struct list_node held; /* publications that wait, oldest first */
    uint64_t held_bytes;
    uint64_t number;  /* of the last publication */
    uint64_t dropped; /* messages for durable subscriptions that were lost */
};

/* Borrows all. */
void durable_puts_init(struct durable_puts *puts, struct durable_bindings *bindings, struct queues *queues,
                       uint64_t *owed);
/* Drops what waits. */
void durable_puts_free(struct durable_puts *puts);

/* Something that was published now. Takes no reference over. */
void durable_puts_take(struct durable_puts *puts, struct message *message, unsigned worker, uint64_t now_ms);

/* Puts what waits, if it may. */
void durable_puts_work(struct durable_puts *puts);

#endif
