/*
 * Private to hub/: the node's part in queues. It knows this node's consumers and how much each may still get, takes that
 * much out of the store's queues, and hands each message to one of them, in turn; and it carries the workers' changes to
 * the store, a few batches at a time, and their results back. Where the link to the store breaks, changes and takes wait
 * and are made again. What a refused transaction would have settled is returned to its queue: whoever had it has it no
 * more. What any other change would have settled, and the store refused for a reason of its own, is settled later.
 *
 *     MAIL_CHANGE  -> change()            -> MAIL_CHANGED
 *     MAIL_CONSUME -> credit -> take()    -> MAIL_DELIVERY   -> (the session) -> MAIL_WRITTEN, MAIL_CHANGE (settle …)
 *
 * A queue with credit that came back empty waits for the store's word that something is ready, and is asked for again
 * every QUEUES_SWEEP_MS, since such a word may be lost.
 *
 * Pure: it knows the store and mailboxes, no loop; time is an argument. One owner, the hub.
 */
#ifndef HUB_QUEUES_H
#define HUB_QUEUES_H

#include "stompd/edge/mail.h"
#include "stompd/store/queue_store.h"

#define QUEUES_SWEEP_MS 1000

/* Calls of change() under way at a time; what else comes meanwhile goes with the next ones. */
#define QUEUES_CALLS_MAX 4

/* A consumer that has this many bytes before it that have not left for its socket gets no more; one message always fits. */
#define QUEUES_UNWRITTEN_MAX (1u << 20)

/*
 * Nor do all consumers of a session that have so many bytes before them together. As much again, and a message for each of
 * QUEUES_SESSION_TAKES takes, may be under way then.
 */
#define QUEUES_SESSION_UNWRITTEN_MAX (4u << 20)
#define QUEUES_SESSION_TAKES         (QUEUES_SESSION_UNWRITTEN_MAX / QUEUE_TAKE_BYTES)

/* So many bytes of messages of queues_put() may wait; one message always may. */
#define QUEUES_PUT_MAX (16u << 20)

struct queues;

struct queues_conf {
    unsigned workers;
    struct mailbox *const *mailboxes; /* [workers] */
    struct queue_store *store;        /* its events and arg are set by queues_new() */
    const struct policies *policies;
    bool up; /* the store can be called from the start */
};

struct queues_counters {
    uint64_t put;       /* messages that the store has taken */
    uint64_t refused;   /* and that it has not, since a queue was full or the store would not */
    uint64_t delivered; /* handed to consumers */
    uint64_t settled;
    uint64_t returned;
    uint64_t rejected;
    uint64_t redelivered; /* of delivered, those that were not the first time */
    uint64_t consumers;   /* now */
    uint64_t waiting;     /* changes without a result, now */
    struct queue_counts store;
};

/* Borrows all. NULL when out of memory. */
MUST_CHECK struct queues *queues_new(const struct queues_conf *conf, uint64_t now_ms);
/* NULL is allowed. Before the store is freed. */
void queues_free(struct queues *queues);

/*
 * The store can be called (the link is up and this boot is among the nodes), or not any more. A call that is answered
 * QUEUE_GONE or QUEUE_AWAY while it can is made again at the next tick. `other`: the server is another one than before, or
 * another run of it, so it may have lost what was done last; then all that this boot owns there is given back, once the
 * calls that were under way are done and before anything new is called.
 */
void queues_up(struct queues *queues, bool other);
void queues_down(struct queues *queues);

/* Another conf's policies hold from now on. */
void queues_set_policies(struct queues *queues, const struct policies *policies);

/* Who knows the topic of a durable subscription's queue, whose policy holds for it: as durables_topic(). */
void queues_set_topics(struct queues *queues, struct bytes (*topic_of)(const void *arg, struct bytes queue),
                       const void *arg);

/* Acts on a worker's mail, which stays the caller's to free, but not the change in it. False: it is none of these. */
MUST_CHECK bool queues_take_mail(struct queues *queues, const struct mail *mail, uint64_t now_ms);

/* Another node has put something into the queue. */
void queues_ready(struct queues *queues, struct bytes queue);

/* At the end of the hub's turn: makes the calls that the turn has collected, runs the store's turn, posts to workers. */
void queues_flush(struct queues *queues, uint64_t now_ms);

/* Every 100 ms or so. */
void queues_tick(struct queues *queues, uint64_t now_ms);

/* Nothing waits to be done in the store, and no consumer has anything that is not settled: the node may go. */
bool queues_is_settled(const struct queues *queues);

/*
 * Stores a message that no session waits for (durable subscriptions of topics). Takes no reference over. False: out of
 * memory, or more than is allowed waits already.
 */
MUST_CHECK bool queues_put(struct queues *queues, struct message *message, uint64_t lifetime_ms);

/* Whether queues_put() would take a message of that message_size(). */
bool queues_have_room(const struct queues *queues, size_t size);

void queues_count(const struct queues *queues, struct queues_counters *counters);

#endif
