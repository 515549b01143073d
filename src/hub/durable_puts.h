/*
 * Private to hub/: what is published, on its way into the queues of durable subscriptions: a copy for each binding that
 * it reaches. A publication waits, and all that come later behind it, while
 *
 *     - the bindings are not known: since the link to the store was away, there may be others. To a limit; beyond it the
 *       oldest goes to those that are known.
 *     - the queues have no room: then its publisher gets no credit, and pauses in the end.
 */
#ifndef HUB_DURABLE_PUTS_H
#define HUB_DURABLE_PUTS_H

#include "durable_bindings.h"
#include "queues.h"

struct durable_puts {
    struct durable_bindings *bindings;
    struct queues *queues;
    uint64_t *owed;        /* [workers] what was worked off, in bytes of router_cost(); NULL: nobody asks */
    bool open;             /* the bindings are known */
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

/* Takes no reference over. */
void durable_puts_take(struct durable_puts *puts, struct message *message, unsigned worker);

/* Puts what waits, if it may. */
void durable_puts_work(struct durable_puts *puts);

#endif
