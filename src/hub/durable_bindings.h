/*
 * Private to hub/: which queues are bound to which topics, as this node knows it: for look-up by queue, and for matching
 * what is published. On a node on its own the workers are told what to publish to the hub; they know a binding once each
 * has confirmed it. In a cluster they publish everything anyway.
 */
#ifndef HUB_DURABLE_BINDINGS_H
#define HUB_DURABLE_BINDINGS_H

#include "stompd/base/map.h"
#include "stompd/edge/mail.h"
#include "stompd/route/trie.h"
#include "stompd/store/queue_store.h"

struct durable_binding {
    struct list_node in_all;
    struct subscriber subscriber; /* in bindings->topics */
    struct interest *interest;    /* what the workers are told; NULL: nothing */
    uint64_t number;              /* the owner's: of the last publication that was put into the queue */
    uint64_t round;               /* the last list that it was in */
    size_t queue_len;
    size_t topic_len;
    char text[]; /* the queue's name, the topic */
};

struct durable_bindings {
    struct trie *topics;
    struct map by_queue;
    struct list_node all;
    uint64_t round; /* lists so far */
    bool tells;     /* the workers are told */
    unsigned workers;
    struct mail_batch *outgoing; /* [workers]: to be posted */
    struct interests interests;
    size_t unknown; /* interests that not all workers have confirmed */
};

static inline struct bytes durable_binding_queue(const struct durable_binding *binding) {
    return (struct bytes){binding->text, binding->queue_len};
}

static inline struct bytes durable_binding_topic(const struct durable_binding *binding) {
    return (struct bytes){binding->text + binding->queue_len, binding->topic_len};
}

/* Borrows the batches. False when out of memory; to be freed all the same. */
MUST_CHECK bool durable_bindings_init(struct durable_bindings *bindings, unsigned workers, bool tells,
                                      struct mail_batch *outgoing);
void durable_bindings_free(struct durable_bindings *bindings);

/*
 * Takes over what the answer to the store's bindings() tells. False: memory ran out, and some is missing; what is told
 * again does no harm. What is bound to something that is no topic does nothing.
 */
MUST_CHECK bool durable_bindings_take(struct durable_bindings *bindings, const struct queue_answer *answer);

/* A worker's MAIL_CONFIRM. */
void durable_bindings_confirm(struct durable_bindings *bindings, const struct mail_interest *mail);

/* Whether what is published from now on is matched by all bindings: the workers know them. */
static inline bool durable_bindings_are_known(const struct durable_bindings *bindings) {
    return bindings->unknown == 0;
}

/* NULL: it is not bound. */
struct durable_binding *durable_bindings_find(const struct durable_bindings *bindings, struct bytes queue);

/* How many queues of the same user are bound. */
size_t durable_bindings_of_user(const struct durable_bindings *bindings, struct bytes queue);
/* Whether two queues are the same user's. */
bool durable_bindings_share_user(struct bytes queue, struct bytes other);

/* The bindings that a topic reaches: their subscribers. Borrowed until the next change. False when out of memory. */
MUST_CHECK bool durable_bindings_match(struct durable_bindings *bindings, struct bytes topic, struct match *match);

#endif
