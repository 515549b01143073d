/*
 * Private to hub/: durable subscriptions of topics. Each is a queue that is bound to a topic or pattern, for all nodes to
 * know (store/queue_store.h, "Bindings"): the node that a message is sent on puts a copy into every queue bound to what
 * it reaches, and the subscriber consumes from the queue while it is there. A stage between the workers and hub/queues:
 *
 *     MAIL_CONSUME with a topic -> bind -> all nodes act by it -> queues (which answer MAIL_CONSUMING)
 *     MAIL_PUBLISH              -> durable_puts: into the bound queues
 *     MAIL_FORGET               -> unbind: the queue is gone
 *
 * Each node looks at the bindings from time to time, and says by which version of them it acts: its look after it has
 * taken them over, and its workers know. On a node on its own the workers are told what to publish to the hub; in a
 * cluster they publish everything to it. Where the store has lost its bindings, those of subscribers that are there are
 * made again.
 *
 * Pure: it knows the store and mailboxes, no loop; time is an argument. One owner, the hub.
 */
#ifndef HUB_DURABLES_H
#define HUB_DURABLES_H

#include "queues.h"

/* How often the bindings are looked at, and how often while somebody waits for other nodes. */
#define DURABLES_LOOK_MS 250
#define DURABLES_WAIT_MS 50

/* What the store would not do is tried again after this time. */
#define DURABLES_RETRY_MS 250

/*
 * After a look began the bindings are known for so long. Shorter than what it takes to declare a node dead that has
 * looked: the least node-timeout, less what lies between its signs of life.
 */
#define DURABLES_SURE_MS 500

/* Subscriptions that are bound at a time. */
#define DURABLES_BINDS_MAX 256

struct durables;

struct durables_conf {
    unsigned workers;
    struct mailbox *const *mailboxes; /* [workers] */
    bool cluster;                     /* there are other nodes, and workers publish everything to the hub */
    uint32_t per_user;                /* durable subscriptions that one user may have */
    struct queue_store *store;
    struct queues *queues; /* asked for policies, they ask durables_topic() */
};

/* Borrows all. In a cluster the store is down at first. NULL when out of memory. */
MUST_CHECK struct durables *durables_new(const struct durables_conf *conf, uint64_t now_ms);
/* NULL is allowed. The store must answer no more. */
void durables_free(struct durables *durables);

/* See queues_up() and queues_down(). */
void durables_up(struct durables *durables, uint64_t now_ms);
void durables_down(struct durables *durables);

/* Another conf holds from now on. Those that are more than it allows stay. */
void durables_set_per_user(struct durables *durables, uint32_t per_user);

/*
 * Acts on a worker's mail, which stays the caller's to free, but not a message in it. False: it is not for durable
 * subscriptions, or not for them alone: in a cluster a publication is the cluster's too, with its reference.
 */
MUST_CHECK bool durables_take_mail(struct durables *durables, const struct mail *mail, uint64_t now_ms);

/*
 * At the end of the hub's turn, and every 100 ms or so; before queues_flush(). Returns whether it has called the store:
 * one that answers at once makes way for more.
 */
bool durables_flush(struct durables *durables, uint64_t now_ms);

/* Publications wait for room in the queues: publishers should get no credit until that is over. */
bool durables_are_behind(const struct durables *durables);

/* Nothing waits to be put or ended: the node may go, once the queues are settled. */
bool durables_are_settled(const struct durables *durables);

/* The topic or pattern that the queue is bound to; empty: it is not bound. Borrowed. */
struct bytes durables_topic(const struct durables *durables, struct bytes queue);

struct durables_counters {
    uint64_t subscriptions; /* of all nodes */
    uint64_t dropped;       /* messages for them that this node has lost, since too much waited for the store */
};

void durables_count(const struct durables *durables, struct durables_counters *counters);

#endif
