/* Changes under way, and deliveries from the outbox to their end. See queues.h. */
#include "queues.h"

#include <stdlib.h>

#include "frames.h"
#include "stompd/base/log.h"

#define MESSAGE_ID_LINE "message-id:"

/* A change whose result somebody waits for. */
struct pending {
    struct list_node in_session;
    struct session *session;         /* NULL: it has ended */
    struct transaction *transaction; /* closed, or NULL */
    uint64_t cost;
    uint64_t since_ms;
    bool has_receipt;
    size_t receipt_len;
    size_t queue_len;
    char text[]; /* the receipt header, what an ERROR calls the queue */
};

/* ---- changes ---- */

static struct bytes pending_receipt(const struct pending *pending) {
    return (struct bytes){pending->text, pending->receipt_len};
}

static struct bytes pending_queue(const struct pending *pending) {
    return (struct bytes){pending->text + pending->receipt_len, pending->queue_len};
}

static bool publishes(const struct pending *pending) {
    return pending->transaction && pending->transaction->message_count > 0;
}

static void pending_free(struct pending *pending) {
    transaction_free(pending->transaction);
    free(pending);
}

static struct pending *pending_new(struct session *session, const struct bytes *receipt, struct bytes queue) {
    size_t receipt_len = receipt ? receipt->len : 0;
    struct pending *pending = calloc(1, sizeof *pending + receipt_len + queue.len);
    if (!pending)
        return NULL;
    pending->session = session;
    pending->since_ms = session->heard_ms;
    pending->has_receipt = receipt != NULL;
    pending->receipt_len = receipt_len;
    pending->queue_len = queue.len;
    if (receipt_len > 0)
        memcpy(pending->text, receipt->data, receipt_len);
    if (queue.len > 0)
        memcpy(pending->text + receipt_len, queue.data, queue.len);
    list_init(&pending->in_session);
    return pending;
}

static void count_in(struct session *session, struct pending *pending, uint64_t cost) {
    pending->cost = cost;
    list_append(&session->pendings, &pending->in_session);
    session->pending_count++;
    session->pending_bytes += cost;
    session->env->pending_bytes += cost;
    session->committing += publishes(pending);
}

/* Of the session; the env's bytes are counted until the result is there. */
static void count_out(struct pending *pending) {
    struct session *session = pending->session;
    list_remove(&pending->in_session);
    session->pending_count--;
    session->pending_bytes -= pending->cost;
    session->committing -= publishes(pending);
    pending->session = NULL;
}

bool queues_submit(struct session *session, struct change *change, struct transaction *transaction,
                   const struct bytes *receipt, struct bytes queue) {
    struct pending *pending = pending_new(session, receipt, queue);
    uint64_t cost = change->cost;
    change->pending = pending;
    if (!pending || !session->env->ops->submit(session->env, change)) {
        change_free(change);
        transaction_free(transaction);
        free(pending);
        return frame_out_of_memory(session);
    }
    pending->transaction = transaction;
    count_in(session, pending, cost);
    return true;
}

bool queues_end_durable(struct session *session, struct bytes queue, const struct bytes *receipt) {
    struct pending *pending = pending_new(session, receipt, queue);
    if (!pending || !session->env->ops->forget(session->env, queue, pending)) {
        free(pending);
        return frame_out_of_memory(session);
    }
    count_in(session, pending, 0);
    return true;
}

bool queues_are_busy(const struct session *session) {
    return session->pending_count > 0 &&
           (session->pending_count >= SESSION_PENDING_MAX || session->pending_bytes >= SESSION_PENDING_BYTES ||
            session->env->pending_bytes >= WORKER_PENDING_BYTES);
}

uint64_t queues_due(const struct session *session) {
    if (list_is_empty(&session->pendings))
        return UINT64_MAX;
    const struct pending *oldest = CONTAINER_OF(session->pendings.next, struct pending, in_session);
    return oldest->since_ms + session->env->limits->pause_time_ms;
}

void queues_leave(struct session *session) {
    LIST_FOR_EACH (node, &session->pendings) {
        count_out(CONTAINER_OF(node, struct pending, in_session));
        list_append(&session->env->orphans, node);
    }
}

void queues_forget(struct session_env *env) {
    LIST_FOR_EACH (node, &env->orphans) {
        list_remove(node);
        pending_free(CONTAINER_OF(node, struct pending, in_session));
    }
}

static void publish_all(struct session_env *env, const struct transaction *transaction) {
    static struct log_limit limit;
    for (uint32_t n = 0; n < transaction->message_count; n++) {
        counter_add(&env->counters.published, 1);
        if (!env->ops->publish(env, transaction->messages[n]))
            log_limited(&limit, LOG_LEVEL_ERROR, "out of memory: a message of a COMMIT has not reached all");
    }
}

static void refuse(struct session *session, const struct pending *pending, enum change_result result) {
    struct fault *fault = &session->env->fault;
    struct bytes receipt = pending_receipt(pending);
    struct bytes queue = pending_queue(pending);
    if (result == CHANGE_FULL)
        fault_set(fault, FAULT_POLICY, "the queue is full (%.*s)", BYTES_ARG(queue));
    else if (result == CHANGE_LOST)
        fault_set(fault, FAULT_POLICY, "a message that the transaction settles has gone to another consumer meanwhile");
    else
        fault_set(fault, FAULT_INTERNAL, "the queue can't be changed (%.*s), see the log of the server",
                  BYTES_ARG(queue));
    session_send_error(session, pending->has_receipt ? &receipt : NULL);
    session_stop(session, fault->kind);
}

static void confirm(struct session *session, const struct pending *pending) {
    if (pending->has_receipt && !session_send_control(session, frame_receipt(session, pending_receipt(pending)))) {
        session_send_error(session, NULL);
        session_stop(session, session->env->fault.kind);
    }
}

/* While the store answers, if slowly, nobody waits for it in vain: queues_due() is what counts then. */
static void go_on(struct session *session) {
    if (!session->input_waits)
        return;
    session->waits_since_ms = 0;
    if (!queues_are_busy(session))
        session->env->ops->resume(session);
}

void session_changed(struct session_env *env, struct pending *pending, enum change_result result) {
    struct session *session = pending->session;
    env->pending_bytes -= pending->cost;
    if (result == CHANGE_DONE && pending->transaction)
        publish_all(env, pending->transaction);
    if (session)
        count_out(pending);
    else
        list_remove(&pending->in_session);
    if (session && result == CHANGE_DONE)
        confirm(session, pending);
    else if (session)
        refuse(session, pending, result);
    pending_free(pending);
    if (session)
        go_on(session);
}

/* One that nobody waits for. */
static void submit(struct session_env *env, struct change *change) {
    static struct log_limit limit;
    if (change && change->count > 0 && env->ops->submit(env, change))
        return;
    if (!change || change->count > 0)
        log_limited(&limit, LOG_LEVEL_ERROR,
                    "out of memory: messages of queues stay with this node, unsettled, until it ends");
    change_free(change);
}

static void give_back(struct session_env *env, uint64_t consumer, const struct entry *entry, bool counted) {
    struct operation back = {.kind = OPERATION_RETURN, .counted = counted, .consumer = consumer, .entry = *entry};
    struct change *change = change_new();
    if (change && !change_add(change, &back)) {
        change_free(change);
        change = NULL;
    }
    submit(env, change);
}

/* ---- consumers ---- */

static struct bytes id_key(const uint64_t *id) {
    return (struct bytes){(const char *)id, sizeof *id};
}

static struct consumer *find_consumer(const struct session_env *env, uint64_t id) {
    return map_find(&env->consumers, id_key(&id));
}

bool queues_attach(struct session *session, struct subscription *subscription, struct bytes queue, uint32_t prefetch,
                   struct bytes topic) {
    struct session_env *env = session->env;
    struct consumer *consumer = consumer_new(subscription, ++env->last_consumer, queue, prefetch);
    if (consumer && !map_insert(&env->consumers, consumer)) {
        consumer_free(consumer);
        consumer = NULL;
    }
    subscription->consumer = consumer;
    return (consumer && env->ops->consume(env, consumer, topic)) || frame_out_of_memory(session);
}

static const char *why_not(enum consuming consuming) {
    return consuming == CONSUMING_TAKEN
               ? "this durable subscription is one of another destination, end it first by UNSUBSCRIBE with durable"
               : "this user has too many durable subscriptions (durable-subscriptions)";
}

void session_consuming(struct session_env *env, uint64_t consumer, enum consuming consuming) {
    const struct consumer *found = find_consumer(env, consumer);
    struct subscription *subscription = found ? found->subscription : NULL;
    if (!found || subscription->session->state != SESSION_OPEN || subscription->live)
        return;
    if (consuming != CONSUMING) {
        session_end(subscription->session, FAULT_POLICY, why_not(consuming), true);
        return;
    }
    session_subscription_known(subscription);
    session_subscription_live(subscription);
}

/* ---- deliveries ---- */

static struct bytes delivery_key(const struct delivery *delivery) {
    return (struct bytes){delivery->key, delivery->key_len};
}

static bool is_named_by_acks(const struct delivery *delivery) {
    return delivery->consumer->subscription->ack != ACK_AUTO;
}

/* The hub may fill up what its bytes took. */
static void leave_memory(const struct session *session, struct delivery *delivery) {
    if (!delivery->left)
        session->env->ops->written(session->env, delivery->consumer->id, delivery->size);
    delivery->left = true;
}

/*
 * What a session gets once more while it still has it, since this node was taken for dead meanwhile, has the same name
 * before 1.2. An ACK is for the oldest of them: it may have crossed the others.
 */
static struct delivery *find_shadowed(const struct session *session, struct bytes key, bool may_be_claimed) {
    LIST_FOR_EACH (node, &session->subscriptions) {
        const struct consumer *consumer = CONTAINER_OF(node, struct subscription, in_session)->consumer;
        if (!consumer)
            continue;
        LIST_FOR_EACH (at, &consumer->deliveries) {
            struct delivery *delivery = CONTAINER_OF(at, struct delivery, in_consumer);
            if (delivery->shadowed && (may_be_claimed || !delivery->claimed) &&
                bytes_equal(delivery_key(delivery), key))
                return delivery;
        }
    }
    return NULL;
}

struct delivery *queues_find(const struct session *session, struct bytes key) {
    struct delivery *found = map_find(&session->unsettled, key);
    bool is_claimed = found && found->claimed;
    struct delivery *other = is_claimed && session->shadowed > 0 ? find_shadowed(session, key, false) : NULL;
    return other && other->written ? other : found;
}

static bool add_to_unsettled(struct session *session, struct delivery *delivery) {
    delivery->shadowed = map_find(&session->unsettled, delivery_key(delivery)) != NULL;
    session->shadowed += delivery->shadowed;
    return delivery->shadowed || map_insert(&session->unsettled, delivery);
}

static void remove_from_unsettled(struct session *session, const struct delivery *delivery) {
    struct bytes key = delivery_key(delivery);
    session->shadowed -= delivery->shadowed;
    if (delivery->shadowed)
        return;
    map_remove(&session->unsettled, key);
    struct delivery *next = session->shadowed > 0 ? find_shadowed(session, key, true) : NULL;
    if (!next || !map_insert(&session->unsettled, next))
        return;
    next->shadowed = false;
    session->shadowed--;
}

static void delivery_free(struct session *session, struct delivery *delivery) {
    leave_memory(session, delivery);
    list_remove(&delivery->in_consumer);
    list_remove(&delivery->laid);
    if (is_named_by_acks(delivery))
        remove_from_unsettled(session, delivery);
    free(delivery);
}

/* The value of the message-id line of a head; empty: there is none. */
static struct bytes message_id(struct bytes head) {
    while (head.len > 0) {
        const char *end = memchr(head.data, '\n', head.len);
        size_t len = end ? (size_t)(end - head.data) : head.len;
        if (bytes_start_with(head, BYTES(MESSAGE_ID_LINE)))
            return bytes_skip((struct bytes){head.data, len}, strlen(MESSAGE_ID_LINE));
        head = bytes_skip(head, end ? len + 1 : len);
    }
    return head;
}

bool queues_key(struct session_env *env, struct bytes subscription, struct bytes id, struct bytes *key) {
    struct buffer *built = &env->key;
    built->len = 0;
    if (!buffer_append(built, id.data, id.len) || !buffer_append(built, "", 1) ||
        !buffer_append(built, subscription.data, subscription.len))
        return false;
    *key = buffer_bytes(built);
    return true;
}

static struct delivery *delivery_new(struct consumer *consumer, const struct entry *entry, uint32_t deliveries,
                                     const struct message *message) {
    const struct subscription *subscription = consumer->subscription;
    struct session *session = subscription->session;
    uint64_t ack = session->acks + 1;
    struct bytes key = id_key(&ack);
    if (session->version < STOMP_1_2 && !queues_key(session->env, subscription_id(subscription),
                                                    message_id(message_head(message, session->version)), &key))
        return NULL;
    struct delivery *delivery = calloc(1, sizeof *delivery + key.len);
    if (!delivery)
        return NULL;
    *delivery = (struct delivery){.consumer = consumer,
                                  .entry = *entry,
                                  .ack = ack,
                                  .deliveries = deliveries,
                                  .size = (uint32_t)message_size(message),
                                  .key_len = (uint32_t)key.len};
    list_init(&delivery->in_consumer);
    list_init(&delivery->laid);
    memcpy(delivery->key, key.data, key.len);
    if (is_named_by_acks(delivery) && !add_to_unsettled(session, delivery)) {
        free(delivery);
        return NULL;
    }
    session->acks++;
    list_append(&consumer->deliveries, &delivery->in_consumer);
    return delivery;
}

/* False: it can't be delivered. */
static bool deliver(struct consumer *consumer, const struct entry *entry, uint32_t deliveries,
                    struct message *message) {
    struct session *session = consumer->subscription->session;
    if (session->state != SESSION_OPEN || session->overflowed)
        return false;
    struct delivery *delivery = delivery_new(consumer, entry, deliveries, message);
    if (!delivery)
        return false;
    bool shows_ack = session->version == STOMP_1_2 && is_named_by_acks(delivery);
    if (!session_send_delivery(session, &(struct outbox_entry){.message = message,
                                                               .subscription = consumer->subscription,
                                                               .ack = shows_ack ? delivery->ack : 0,
                                                               .delivery = delivery})) {
        delivery->left = true; /* the caller tells */
        delivery_free(session, delivery);
        return false;
    }
    counter_add(&session->env->counters.delivered, 1);
    return true;
}

void session_deliver_entry(struct session_env *env, uint64_t consumer, const struct entry *entry, uint32_t deliveries,
                           struct message *message) {
    struct consumer *found = find_consumer(env, consumer);
    if (found && deliver(found, entry, deliveries, message))
        return;
    env->ops->written(env, consumer, message_size(message));
    give_back(env, consumer, entry, false);
}

/* A node that goes is no failure of the consumer's: what it had does not count as delivered. */
static bool goes_with_node(const struct session *session) {
    return session->end == FAULT_RESTART || session->end == FAULT_SHUTDOWN;
}

static bool add_operation(struct change *change, const struct delivery *delivery, enum operation_kind kind) {
    const struct session *session = delivery->consumer->subscription->session;
    return change_add(change, &(struct operation){.kind = kind,
                                                  .counted = delivery->written && !goes_with_node(session),
                                                  .consumer = delivery->consumer->id,
                                                  .entry = delivery->entry});
}

/* One without memory for its settling stays, and goes back with its subscription. */
static void settle(struct session *session, struct delivery *delivery, struct change **change) {
    if (!*change)
        *change = change_new();
    if (*change && add_operation(*change, delivery, OPERATION_SETTLE))
        delivery_free(session, delivery);
}

void queues_wrote(struct session *session) {
    LIST_FOR_EACH (node, &session->laid)
        CONTAINER_OF(node, struct delivery, laid)->written = true;
}

void queues_flushed(struct session *session) {
    struct change *settled = NULL;
    LIST_FOR_EACH (node, &session->laid) {
        struct delivery *delivery = CONTAINER_OF(node, struct delivery, laid);
        list_remove(&delivery->laid);
        leave_memory(session, delivery);
        if (!is_named_by_acks(delivery))
            settle(session, delivery, &settled);
    }
    if (settled)
        submit(session->env, settled);
}

bool queues_claim(struct session *session, struct delivery *delivery, enum operation_kind kind,
                  struct transaction *transaction, struct change *change) {
    if (!transaction) {
        if (!add_operation(change, delivery, kind))
            return frame_out_of_memory(session);
        delivery_free(session, delivery);
        return true;
    }
    struct operation operation = {
        .kind = kind, .counted = true, .consumer = delivery->consumer->id, .entry = delivery->entry};
    if (transaction->change && transaction->change->count >= session->env->limits->transaction_frames)
        return fault_set(&session->env->fault, FAULT_POLICY,
                         "too many messages are settled in one transaction (transaction-frames)");
    if (!transaction_change(&session->transactions, transaction, &operation))
        return frame_out_of_memory(session);
    delivery->claimed = true;
    return true;
}

/*
 * The delivery that an operation of a transaction has claimed; NULL: its subscription has gone. The consumer may have
 * the entry once more, from before this node was taken for dead.
 */
static struct delivery *find_claimed(const struct session_env *env, const struct operation *operation) {
    const struct consumer *consumer = find_consumer(env, operation->consumer);
    if (!consumer)
        return NULL;
    LIST_FOR_EACH (node, &consumer->deliveries) {
        struct delivery *delivery = CONTAINER_OF(node, struct delivery, in_consumer);
        if (delivery->claimed && delivery->entry.ms == operation->entry.ms && delivery->entry.n == operation->entry.n)
            return delivery;
    }
    return NULL;
}

void queues_commit(struct session *session, const struct transaction *transaction) {
    const struct change *change = transaction->change;
    for (uint32_t n = 0; n < change->count; n++) {
        const struct operation *operation = &change->operations[n];
        struct delivery *delivery = operation->kind == OPERATION_PUT ? NULL : find_claimed(session->env, operation);
        if (delivery)
            delivery_free(session, delivery);
    }
}

void queues_abort(struct session *session, const struct transaction *transaction) {
    const struct change *change = transaction->change;
    for (uint32_t n = 0; change && n < change->count; n++) {
        const struct operation *operation = &change->operations[n];
        if (operation->kind == OPERATION_PUT)
            continue;
        struct delivery *delivery = find_claimed(session->env, operation);
        if (delivery)
            delivery->claimed = false;
        else
            give_back(session->env, operation->consumer, &operation->entry, !goes_with_node(session));
    }
}

/* What a transaction has claimed is for its COMMIT or ABORT. */
static void give_back_all(struct session *session, struct consumer *consumer) {
    struct session_env *env = session->env;
    struct change *change = list_is_empty(&consumer->deliveries) ? NULL : change_new();
    bool failed = false;
    LIST_FOR_EACH (node, &consumer->deliveries) {
        struct delivery *delivery = CONTAINER_OF(node, struct delivery, in_consumer);
        if (!delivery->claimed)
            failed = !change || !add_operation(change, delivery, OPERATION_RETURN) || failed;
        delivery_free(session, delivery);
    }
    if (failed)
        log_error("out of memory: messages of queues stay with this node, unsettled, until it ends");
    if (change)
        submit(env, change);
}

void queues_detach(struct session *session, struct subscription *subscription) {
    struct session_env *env = session->env;
    struct consumer *consumer = subscription->consumer;
    if (!consumer)
        return;
    subscription->consumer = NULL;
    give_back_all(session, consumer);
    map_remove(&env->consumers, id_key(&consumer->id));
    env->ops->unconsume(env, consumer->id);
    consumer_free(consumer);
}
