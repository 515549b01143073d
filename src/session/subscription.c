/* Subscriptions: one block each, with the texts that its session and its MESSAGEs need. */
#include "stompd/session/subscription.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "stompd/stomp/writer.h"

struct subscription *subscription_new(struct session *session, const struct bytes *id, struct bytes destination,
                                      enum ack_mode ack, enum stomp_version version) {
    size_t start_len = stomp_write_message_start(NULL, id, version);
    size_t id_len = id ? id->len : 0;
    size_t size = offsetof(struct subscription, text) + id_len + destination.len + start_len;
    struct subscription *subscription = calloc(1, size > sizeof *subscription ? size : sizeof *subscription);
    if (!subscription)
        return NULL;
    subscription->session = session;
    subscription->ack = ack;
    subscription->has_id = id != NULL;
    subscription->id_len = (uint32_t)id_len;
    subscription->destination_len = (uint32_t)destination.len;
    subscription->start_len = (uint32_t)start_len;
    list_init(&subscription->in_session);
    list_init(&subscription->waiting);
    if (id_len > 0)
        memcpy(subscription->text, id->data, id_len);
    memcpy(subscription->text + id_len, destination.data, destination.len);
    stomp_write_message_start(subscription->text + id_len + destination.len, id, version);
    return subscription;
}

void subscription_free(struct subscription *subscription) {
    if (subscription->receipt)
        message_unref(subscription->receipt);
    free(subscription);
}
