/*
 * The store's queues. Contract; memory_queues.h (one node) and redis_store.h (cluster) are behind it.
 *
 * A queue is named by route/queue_name.h and exists once something is put into it or wanted from it. It keeps messages
 * in the order they were put. Each is either ready, or owned by the boot (node and boot id) that took it, until that
 * boot settles, returns or rejects it, or is buried, which returns what it owned. An empty queue that nobody wants
 * anything from goes after its policy's idle expiry.
 *
 * All of it happens on the hub's thread. Calls answer later, never from within the call, in the order of the calls.
 * Arguments are borrowed for the call. Where the link breaks, what was not answered is answered QUEUE_AWAY, then the
 * store's `down` is told; the same call, made again with the same number after the next `up`, is carried out once in
 * all. Where there was no memory for a call the link breaks too, and that call may never be answered: whoever has no
 * answer by the next `up` gets none. memory_queues never answers so.
 *
 * Numbers: each call of change() and take() has one, counting up by one from 1 within a boot. Calls made again keep
 * theirs, in their old order, before any new one. `answered`: all below it have been answered and won't come again.
 *
 * Bindings: what is sent to a topic, or to what a pattern reaches, is also put into a queue that is bound to it, by the
 * node it is sent on. Only queues of durable subscriptions (d:…) are bound, and only while they are can anything be put
 * into them: what is put later is dropped, and counts as done. All nodes know all bindings, and each says by which
 * version of the whole it acts. The version counts up with every change. Where the server loses all bindings, they begin
 * another life, with higher versions. bind(), unbind() and bindings() have no numbers: they may be made again at any
 * time.
 *
 * Limits: a message counts with entry.size bytes, which the store decides when it is put: no less than head and body.
 * Where a full queue refuses, all that is stored counts until it is settled. Where its oldest makes way, only what is
 * ready does: consumers may hold any part of it, which is bounded by what they may have, and nothing is refused but a
 * message that is larger than the queue. What is returned may bring it above its limits, until something is put.
 * Messages that have expired are dropped when they are met: by a take, or when a full queue makes room.
 *
 * Dead letters: a dead letter is a new message in its queue, that was not delivered yet and has no lifetime. It is never
 * refused: where the dead-letter queue holds as much as the queue that it is for may, delivered ones too, its oldest
 * makes way. A queue is never its own dead-letter queue. In a queue that has none, what is rejected is gone, but
 * max-deliveries do not apply: a message comes as often as it is returned.
 *
 * Fair: where other nodes wait for a queue, a take leaves them a share of what is ready, and brings at least one. So it may
 * bring less than was wanted although more is ready; `ready` is told then, like to one who found too little, as soon as
 * there is something for it again.
 */
#ifndef STOMPD_STORE_QUEUE_STORE_H
#define STOMPD_STORE_QUEUE_STORE_H

#include "stompd/route/policy.h"
#include "stompd/session/change.h"

/* What one call holds at most. */
#define QUEUE_CHANGES_MAX 256 /* changes */
#define QUEUE_WANTS_MAX   256

/* One take from one queue goes on until it has this many bytes; the last message may be above it. */
#define QUEUE_TAKE_BYTES (256u << 10)

/* Why a message is in a dead-letter queue. */
enum dead_reason {
    DEAD_NOT,
    DEAD_REJECTED,       /* a consumer sent NACK with requeue:false */
    DEAD_MAX_DELIVERIES, /* it was delivered too often without being settled */
    DEAD_FULL            /* its queue was full and it was the oldest */
};

enum queue_result {
    QUEUE_OK,
    QUEUE_GONE,  /* this boot has no entry among the nodes, or a fenced one: nothing was done; renew, then call again
                    with the same number */
    QUEUE_TAKEN, /* bind: the queue is bound to another topic; nothing was done */
    QUEUE_MORE,  /* recover: not all is done yet; call again */
    QUEUE_AWAY,  /* no link, or it broke before the answer */
    QUEUE_FAILED /* the server refused; logged. Nothing was done, and it need not be called again */
};

/* A change with what its operations mean: as many of each as operations. */
struct queue_change {
    const struct change *change;
    const struct bytes *queues;                 /* [operations] the queue's name */
    const struct queue_policy *const *policies; /* [operations] of that queue */
};

struct queue_want {
    struct bytes queue;
    const struct queue_policy *policy;
    uint32_t messages; /* at most; 1 or more */
};

/* A message that has been taken. */
struct queue_entry {
    size_t want; /* its number among the call's wants; entries come in the order of wants, and in a queue's order */
    struct entry entry;
    uint32_t deliveries; /* 1 for the first; counted returns and burials count up */
    struct message
        *message;           /* one reference, the receiver's to take over by setting this to NULL; else it is dropped */
    struct bytes dead_from; /* the queue that it was rejected from; empty unless `dead` */
    enum dead_reason dead;
};

struct queue_counts {
    uint64_t expired;    /* messages dropped since their time was over */
    uint64_t dropped;    /* and since a full queue made room */
    uint64_t dead;       /* moved to dead-letter queues */
    uint64_t unreadable; /* entries of streams that are not ours */
};

/* What a durable subscription is. */
struct queue_binding {
    struct bytes queue;
    struct bytes topic; /* or a pattern; empty: the queue is bound no more */
};

/* What an answer brings; borrowed for the callback. */
struct queue_answer {
    enum queue_result result;
    /* QUEUE_OK of change(): one a change, in order */
    const enum change_result *changes;
    size_t change_count;
    /* QUEUE_OK of take() */
    struct queue_entry *entries;
    size_t entry_count;
    /* QUEUE_OK of bind(), unbind() and bindings(): how bindings are now */
    uint64_t life;       /* another one: all were lost meanwhile; 0: there was none yet */
    uint64_t version;    /* 0: there was none yet */
    uint64_t everywhere; /* the lowest version that any live node acts by */
    /* QUEUE_OK of bindings(): what has changed since the version that was asked with */
    const struct queue_binding *bindings;
    size_t binding_count;
    bool complete; /* these are all that there are; else those not named are as they were */
};

struct queue_call {
    void (*done)(void *arg, struct queue_answer *answer);
    void *arg;
};

struct queue_events {
    /*
     * Something may be ready in a queue from which this node got less than it wanted. Told at most once for each such
     * take, and not surely: whoever waits takes again from time to time.
     */
    void (*ready)(void *arg, struct bytes queue);
};

struct queue_store;

struct queue_store_ops {
    /* Up to QUEUE_CHANGES_MAX. Each change has its own result. A change not `together` is never LOST: a message that is
     * not this boot's any more counts as settled. */
    void (*change)(struct queue_store *store, const struct queue_change *changes, size_t count, uint64_t number,
                   uint64_t answered, struct queue_call call);
    /* Up to QUEUE_WANTS_MAX, no queue twice. What is returned comes before what is new. */
    void (*take)(struct queue_store *store, const struct queue_want *wants, size_t count, uint64_t number,
                 uint64_t answered, struct queue_call call);
    /*
     * Gives back, counted, all that this boot owns, a piece a call: QUEUE_OK, all is done; QUEUE_MORE, call again.
     * Whoever waits is told. It has no number: it may be made again at any time. For when the server has become another
     * one, or is back, with slightly older data: what this boot had settled or returned last may be its own again there,
     * and nobody would take it. What its consumers still have comes twice then. NULL: that can't be.
     */
    void (*recover)(struct queue_store *store, struct queue_call call);
    /* QUEUE_OK, also when it is bound so already; QUEUE_TAKEN. */
    void (*bind)(struct queue_store *store, struct bytes queue, struct bytes topic, struct queue_call call);
    /* The queue goes with all that is in it. QUEUE_OK, also when it is not bound. */
    void (*unbind)(struct queue_store *store, struct bytes queue, struct queue_call call);
    /* This boot acts by the bindings of that version (0: by none yet). Brings what has changed since. */
    void (*bindings)(struct queue_store *store, uint64_t version, struct queue_call call);
    /* Answers what is due; the owner calls it at the end of its turn until it says that nothing is left. */
    bool (*turn)(struct queue_store *store);
    void (*count)(const struct queue_store *store, struct queue_counts *counts);
    /* Nothing is answered or told any more. Not from within an answer or event. */
    void (*free)(struct queue_store *store);
};

/* The front of every queue store. */
struct queue_store {
    const struct queue_store_ops *ops;
    const struct queue_events *events;
    void *arg; /* of the events */
};

#endif
