/*
 * ACK and NACK (1.2, "ACK", "NACK"): of what a queue delivered, bound to session and subscription. In mode `client` they
 * speak for all that the subscription got before, too. On a topic, at most once, there is nothing to settle.
 *
 *     NACK                  back to the queue
 *     NACK requeue:false    to the dead-letter queue
 */
#include "frames.h"
#include "queues.h"
#include "stompd/base/decimal.h"
#include "stompd/route/queue_name.h"

/* What was given out once is known, whatever has become of it: the client could not know. */
static bool find_by_ack(struct session *session, struct bytes text, struct delivery **delivery) {
    uint64_t ack;
    *delivery = NULL;
    if (!decimal_read(text, &ack) || ack == 0 || ack > session->acks)
        return fault_set(&session->env->fault, FAULT_PROTOCOL, "no such ack id in this session (%.*s)",
                         BYTES_ARG(text));
    *delivery = map_find(&session->unsettled, (struct bytes){(const char *)&ack, sizeof ack});
    return true;
}

static bool find_in_subscription(struct session *session, struct bytes subscription, struct bytes id,
                                 struct delivery **delivery) {
    struct bytes key;
    if (!queues_key(session->env, subscription, id, &key))
        return frame_out_of_memory(session);
    *delivery = queues_find(session, key);
    return true;
}

/* In 1.0, which does not say which subscription it means: one of which it can be true. */
static bool find_in_any(struct session *session, struct bytes id, struct delivery **delivery) {
    *delivery = NULL;
    LIST_FOR_EACH (node, &session->subscriptions) {
        const struct subscription *subscription = CONTAINER_OF(node, struct subscription, in_session);
        struct delivery *found = NULL;
        if (subscription->consumer && !find_in_subscription(session, subscription_id(subscription), id, &found))
            return false;
        if (found && (!*delivery || (found->written && !found->claimed)))
            *delivery = found;
    }
    return true;
}

static bool find_by_message_id(struct session *session, const struct stomp_frame *frame, struct delivery **delivery) {
    const struct bytes *id = frame_need_header(session, frame, "message-id");
    if (!id || session->version == STOMP_1_0)
        return id && find_in_any(session, *id, delivery);
    const struct bytes *subscription = frame_need_header(session, frame, "subscription");
    return subscription && find_in_subscription(session, *subscription, *id, delivery);
}

/* The delivery that the frame names; *delivery is NULL when it has been settled, or was a topic's. */
static bool find_delivery(struct session *session, const struct stomp_frame *frame, struct delivery **delivery) {
    if (session->version == STOMP_1_2) {
        const struct bytes *id = frame_need_header(session, frame, "id");
        if (!id || !find_by_ack(session, *id, delivery))
            return false;
    } else if (!find_by_message_id(session, frame, delivery)) {
        return false;
    }
    if (*delivery && !(*delivery)->written)
        return frame_fault(session, "this message was not sent yet, so it can't be acknowledged");
    return true;
}

static bool read_kind(struct session *session, const struct stomp_frame *frame, enum operation_kind *kind) {
    const struct bytes *requeue = stomp_frame_find(frame, BYTES("requeue"));
    *kind = frame->command == STOMP_ACK ? OPERATION_SETTLE : OPERATION_RETURN;
    if (frame->command == STOMP_ACK || !requeue || bytes_equal(*requeue, BYTES("true")))
        return true;
    *kind = OPERATION_REJECT;
    return bytes_equal(*requeue, BYTES("false")) || frame_fault(session, "requeue is neither true nor false");
}

/* What the frame speaks for: up to `last`, and in mode `client` all before it. */
static bool claim(struct session *session, struct delivery *last, enum operation_kind kind,
                  struct transaction *transaction, struct change *change) {
    const struct consumer *consumer = last->consumer;
    bool all = consumer->subscription->ack == ACK_CLIENT;
    bool is_last = false;
    if (!all)
        return last->claimed || queues_claim(session, last, kind, transaction, change);
    for (struct list_node *node = consumer->deliveries.next, *next; !is_last; node = next) {
        struct delivery *delivery = CONTAINER_OF(node, struct delivery, in_consumer);
        next = node->next;
        is_last = delivery == last;
        if (!delivery->claimed && !queues_claim(session, delivery, kind, transaction, change))
            return false;
    }
    return true;
}

/* Outside of a transaction: the change goes out at once, and the receipt follows it. */
static bool settle(struct session *session, const struct stomp_frame *frame, struct delivery *delivery,
                   enum operation_kind kind) {
    struct change *change = change_new();
    struct buffer *shown = &session->env->shown;
    if (!change || !queue_name_show(shown, consumer_queue(delivery->consumer)) ||
        !claim(session, delivery, kind, NULL, change)) {
        change_free(change);
        return frame_out_of_memory(session);
    }
    if (change->count == 0) {
        change_free(change);
        return frame_confirm(session, frame);
    }
    return queues_submit(session, change, NULL, stomp_frame_find(frame, BYTES("receipt")), buffer_bytes(shown));
}

bool on_ack(struct session *session, struct stomp_frame *frame) {
    struct transaction *transaction;
    struct delivery *delivery = NULL;
    enum operation_kind kind;
    if (session->version == STOMP_1_0 && frame->command == STOMP_NACK)
        return frame_fault(session, "STOMP 1.0 has no NACK");
    if (!join_transaction(session, frame, &transaction) || !find_delivery(session, frame, &delivery) ||
        !read_kind(session, frame, &kind))
        return false;
    if (!delivery)
        return frame_confirm(session, frame);
    if (transaction)
        return claim(session, delivery, kind, transaction, NULL) && frame_confirm(session, frame);
    return settle(session, frame, delivery, kind);
}
