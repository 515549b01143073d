/*
 * Private to hub/: who on this node consumes which queue, how much each may still get, and the takes by which it comes.
 *
 * Credit. A consumer may have `prefetch` deliveries at a time; one counts from when it is handed out until the worker's
 * change that settles, returns or rejects it has arrived here. While QUEUES_UNWRITTEN_MAX bytes or more of what it got
 * have not left for its socket, it is choked and has no credit; so are all consumers of a session that together come to
 * QUEUES_SESSION_UNWRITTEN_MAX. A queue's credit is that of its consumers together.
 *
 * Takes. A queue with credit is taken from, unless it is known to be empty: then it waits for word that something is
 * ready, and is asked again after QUEUES_SWEEP_MS. One take of a queue is under way at a time; what it brings is handed
 * out one by one to those with credit in turn, and the turn goes on with the next take. Should the choked be all that
 * are left, they get the rest, which is no more than one take's; should nobody have room any more, it is returned.
 *
 * Each take is on account of one session, that of a consumer with credit, and counts as QUEUE_TAKE_BYTES that the session
 * is about to get: where that does not go into QUEUES_SESSION_UNWRITTEN_MAX, another's session, or the next of its takes
 * to end, is waited for. A session that has come to that gets the rest only of a take on its own account.
 *
 * A consumer that has gone stays, closed, until all that it had has been given back: by a worker, who gives back what
 * was still in the mail too.
 */
#ifndef STOMPD_HUB_CONSUMERS_H
#define STOMPD_HUB_CONSUMERS_H

#include "changes.h"

/* One queue is asked for so many messages at a time at most. */
#define CONSUMERS_WANTED_MAX 1000

/* Calls of take() under way at a time. */
#define CONSUMERS_CALLS_MAX 4

/*
 * The sweep asks for one queue a millisecond at most, so with more than 1000 that wait each has its turn later than
 * after QUEUES_SWEEP_MS; and for so many in one tick at most.
 */
#define CONSUMERS_SWEEP_MAX 250

struct consumers {
    struct queue_store *store;
    struct queues_calls *calls;
    struct queues_table *table;
    struct changes *changes;     /* for returns */
    struct mail_batch *outgoing; /* [workers]: deliveries go here */
    unsigned from;               /* what the hub calls itself in mail */
    struct queues_counters *counters;
    uint64_t now_ms; /* kept up by the owner */

    struct map by_id;         /* struct taker */
    struct map parties;       /* struct party */
    struct list_node to_take; /* struct queue: to be taken from with the next call */
    struct list_node waiting; /* those known to be empty, by due_ms */
    uint64_t unsettled;       /* deliveries that all consumers have together */
    unsigned under_way;       /* calls */
    uint64_t ticked_ms;       /* the last tick */
    uint64_t sweep_left;      /* queues that the sweep may still ask for */
    struct buffer shown;      /* scratch */
};

/* The first half is filled in, and borrowed. */
void consumers_init(struct consumers *consumers, uint64_t now_ms);
/* After queues_calls_free(), before queues_table_free(). */
void consumers_free(struct consumers *consumers);

/* MAIL_CONSUME, MAIL_UNCONSUME and MAIL_WRITTEN of a worker. */
void consumers_open(struct consumers *consumers, const struct mail_consume *mail);
void consumers_close(struct consumers *consumers, const struct mail_consumer *mail);
void consumers_written(struct consumers *consumers, const struct mail_consumer *mail);

/*
 * A delivery of the consumer's is settled, returned or rejected by a change that has come. Returns a reference to its
 * queue; NULL when there is no such consumer.
 */
MUST_CHECK struct queue *consumers_settle(struct consumers *consumers, unsigned worker, uint64_t id);

/* Something may be ready in the queue. */
void consumers_ready(struct consumers *consumers, struct bytes name);

/* The store can be called again: words may have been lost, so nothing is known to be empty. */
void consumers_up(struct consumers *consumers);

/* Makes calls for the queues to be taken from. Returns whether it made any. */
bool consumers_flush(struct consumers *consumers);

void consumers_tick(struct consumers *consumers, uint64_t now_ms);

#endif
