/*
 * Private to hub/: changes on their way to the store, and their results on their way back.
 *
 *     waiting -> (a call of many) -> done    -> MAIL_CHANGED
 *      ^   ^                      -> refused -> MAIL_CHANGED, and its rest goes on: what it would have settled, which
 *      |   |                                    nobody has any more
 *      |   +-- at once: of a transaction, as a return
 *      +------ a while later, as it is: of any other, whose consumers have done with it; and a rest that the store
 *              refused too
 *
 * A few calls are under way at a time; each takes as many changes as wait then, up to a size that the store works off
 * in a moment. The order of the changes is kept.
 */
#ifndef STOMPD_HUB_CHANGES_H
#define STOMPD_HUB_CHANGES_H

#include "queues.h"
#include "queues_calls.h"
#include "queues_table.h"
#include "stompd/edge/mail.h"

/* What one call holds at most, beside QUEUE_CHANGES_MAX; one change always fits. */
#define CHANGES_CALL_OPERATIONS 1024
#define CHANGES_CALL_BYTES      (1u << 20)

/* After so long what the store refused is tried again. */
#define CHANGES_PUT_OFF_MS 5000

/* A change with who waits for its result. */
struct errand {
    struct list_node in_list;
    struct change *change;      /* owned */
    struct mail_changed *reply; /* NULL: nobody waits */
    unsigned worker;            /* who does */
    bool rest;                  /* it only ends what nobody has any more */
    uint64_t own_bytes;         /* of a change that comes from the hub itself */
    struct queue *queues[];     /* [change->count] a reference each; NULL for a PUT */
};

struct changes {
    struct queue_store *store;
    struct queues_calls *calls;
    struct queues_table *table;
    struct mail_batch *outgoing; /* [workers]: results go here */
    struct queues_counters *counters;
    struct list_node waiting; /* struct errand, oldest first */
    struct list_node put_off; /* rests */
    uint64_t again_ms;        /* when those put off are tried again */
    size_t count;             /* errands that wait or are under way */
    uint64_t own_bytes;
    unsigned under_way;   /* calls */
    struct bytes *queues; /* scratch: of the operations of one call */
    const struct queue_policy **policies;
    size_t capacity;
};

/* Borrows all. */
void changes_init(struct changes *changes, struct queue_store *store, struct queues_calls *calls,
                  struct queues_table *table, struct mail_batch *outgoing, struct queues_counters *counters);
/* After queues_calls_free(). */
void changes_free(struct changes *changes);

/*
 * A worker's change, taken over; its queues are the caller's to fill in. NULL when out of memory: it is over with the
 * change then, and its result is posted if that can be.
 */
MUST_CHECK struct errand *changes_errand(struct changes *changes, struct change *change, unsigned worker);

/* To be carried out, or refused without asking the store (those queues that are NULL are not known then). */
void changes_add(struct changes *changes, struct errand *errand);
void changes_refuse(struct changes *changes, struct errand *errand);

/* The hub's own: gives a message back to its queue, uncounted, which no consumer got. */
void changes_return(struct changes *changes, struct queue *queue, const struct entry *entry);

/* The hub's own: see queues_put() and queues_have_room(). */
MUST_CHECK bool changes_put(struct changes *changes, struct message *message, uint64_t lifetime_ms);
bool changes_have_room(const struct changes *changes, size_t size);

/* Makes calls of what waits. Returns whether it made any. */
bool changes_flush(struct changes *changes);

void changes_tick(struct changes *changes, uint64_t now_ms);

#endif
