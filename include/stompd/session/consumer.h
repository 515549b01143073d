/*
 * Consumer: the part of a subscription that only queues need: the messages that were delivered to it and are not settled
 * yet, in the order of delivery. Owned by its subscription. A message is held only until it is written;
 * the store has it until it is settled.
 */
#ifndef STOMPD_SESSION_CONSUMER_H
#define STOMPD_SESSION_CONSUMER_H

#include "stompd/base/list.h"
#include "stompd/session/change.h"
#include "stompd/session/subscription.h"

/* What has come of a consumer's wish to get messages. */
enum consuming {
    CONSUMING,
    CONSUMING_TAKEN,   /* the durable subscription is one of another topic */
    CONSUMING_TOO_MANY /* the user has too many durable subscriptions */
};

struct delivery {
    struct list_node in_consumer; /* consumer->deliveries, oldest first */
    struct list_node laid;        /* session->laid, from the outbox to the end of the write */
    struct consumer *consumer;
    struct entry entry;
    uint64_t ack;        /* the `ack` header; unique in the session */
    uint32_t deliveries; /* how often it was delivered, this time included */
    uint32_t size;       /* of the message */
    bool written;        /* to the transport: it counts */
    bool left;           /* the process */
    bool claimed;        /* an open transaction has it, in its ACK or NACK */
    bool shadowed;       /* another that is not settled has its name, so it is not in session->unsettled */
    uint32_t key_len;
    char key
        []; /* in session->unsettled: the eight bytes of `ack`, or before 1.2 the message-id and the subscription's */
};

struct consumer {
    uint64_t id; /* unique in the worker */
    struct subscription *subscription;
    uint32_t prefetch; /* deliveries at a time that are not settled; at least 1 */
    struct list_node deliveries;
    uint32_t queue_len;
    char queue[]; /* its name (route/queue_name.h) */
};

static inline struct bytes consumer_queue(const struct consumer *consumer) {
    return (struct bytes){consumer->queue, consumer->queue_len};
}

/* NULL when out of memory. */
MUST_CHECK struct consumer *consumer_new(struct subscription *subscription, uint64_t id, struct bytes queue,
                                         uint32_t prefetch);
/* It must have no deliveries. NULL is allowed. */
void consumer_free(struct consumer *consumer);

#endif
