/*
 * A subscription: one session's SUBSCRIBE. Owned by its session; the worker's trie and interests refer to it while it
 * lasts, the outbox while messages for it wait.
 */
#ifndef STOMPD_SESSION_SUBSCRIPTION_H
#define STOMPD_SESSION_SUBSCRIPTION_H

#include "stompd/base/message.h"
#include "stompd/route/interest.h"
#include "stompd/route/trie.h"
#include "stompd/stomp/version.h"

struct consumer;
struct session;

enum ack_mode { ACK_AUTO, ACK_CLIENT, ACK_CLIENT_INDIVIDUAL };

struct subscription {
    struct subscriber subscriber; /* in the worker's trie or user map */
    struct list_node in_session;  /* session->subscriptions */
    struct list_node waiting;     /* interest->waiting while not live */
    struct session *session;
    struct interest *interest; /* held by the worker for it; NULL: a queue's */
    struct consumer *consumer; /* of a queue; NULL: none */
    struct message *receipt;   /* the RECEIPT that is sent once it is live, or NULL */
    enum ack_mode ack;
    bool has_id; /* 1.0 allows none */
    bool known;  /* every message that is sent on this node from now on reaches it */
    bool live;   /* every message that is sent on any node from now on reaches it */
    uint32_t id_len;
    uint32_t destination_len;
    uint32_t start_len;
    char text[]; /* id, destination, and the first lines of each of its MESSAGEs */
};

static inline struct bytes subscription_id(const struct subscription *subscription) {
    return (struct bytes){subscription->text, subscription->id_len};
}

static inline struct bytes subscription_destination(const struct subscription *subscription) {
    return (struct bytes){subscription->text + subscription->id_len, subscription->destination_len};
}

/* "MESSAGE\nsubscription:ID\n" */
static inline struct bytes subscription_start(const struct subscription *subscription) {
    return (struct bytes){subscription->text + subscription->id_len + subscription->destination_len,
                          subscription->start_len};
}

/* `id` may be NULL (1.0). Takes over nothing. NULL when out of memory. */
MUST_CHECK struct subscription *subscription_new(struct session *session, const struct bytes *id,
                                                 struct bytes destination, enum ack_mode ack,
                                                 enum stomp_version version);

/* It must be out of the trie, the interest and the session's lists. Drops a receipt that was not sent. */
void subscription_free(struct subscription *subscription);

#endif
