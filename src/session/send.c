/*
 * SEND and transactions: where a message goes, what its receivers see, and when. To topics and users it is published at
 * once or with COMMIT; to queues and applications it goes as a change to the store. Section names are those of STOMP 1.2.
 */
#include <string.h>

#include "frames.h"
#include "queues.h"
#include "replies.h"
#include "stompd/base/decimal.h"
#include "stompd/route/queue_name.h"
#include "stompd/stomp/writer.h"

/* "<boot id>-<worker>-<n>": boot ids are short. */
#define BOOT_ID_MAX    40
#define MESSAGE_ID_MAX (BOOT_ID_MAX + 2 * (1 + DECIMAL_DIGITS))

/* ---- transactions ("BEGIN", "COMMIT", "ABORT") ---- */

/* The open transaction that the frame names. */
static struct transaction *need_transaction(struct session *session, const struct stomp_frame *frame) {
    const struct bytes *name = frame_need_header(session, frame, "transaction");
    if (!name)
        return NULL;
    struct transaction *transaction = transactions_find(&session->transactions, *name);
    if (!transaction)
        fault_set(&session->env->fault, FAULT_PROTOCOL, "no such transaction (%.*s)", BYTES_ARG(*name));
    return transaction;
}

bool join_transaction(struct session *session, const struct stomp_frame *frame, struct transaction **transaction) {
    *transaction = NULL;
    if (!stomp_frame_find(frame, BYTES("transaction")))
        return true;
    *transaction = need_transaction(session, frame);
    if (!*transaction)
        return false;
    if ((*transaction)->frames >= session->env->limits->transaction_frames)
        return fault_set(&session->env->fault, FAULT_POLICY, "too many frames in one transaction (transaction-frames)");
    (*transaction)->frames++;
    return true;
}

bool on_begin(struct session *session, struct stomp_frame *frame) {
    const struct bytes *name = frame_need_header(session, frame, "transaction");
    if (!name)
        return false;
    if (transactions_find(&session->transactions, *name))
        return fault_set(&session->env->fault, FAULT_PROTOCOL, "transaction is open already (%.*s)", BYTES_ARG(*name));
    if (session->transactions.count >= session->env->limits->transactions)
        return fault_set(&session->env->fault, FAULT_POLICY, "too many open transactions (transactions)");
    if (!transactions_begin(&session->transactions, *name))
        return frame_out_of_memory(session);
    return frame_confirm(session, frame);
}

static bool publish(struct session *session, struct message *message) {
    counter_add(&session->env->counters.published, 1);
    return session->env->ops->publish(session->env, message);
}

/* The store takes the change first; what goes to topics and users is published after it. */
static bool commit_change(struct session *session, const struct stomp_frame *frame, struct transaction *transaction) {
    struct change *change = transaction->change;
    queues_commit(session, transaction);
    transaction->change = NULL;
    transaction_close(&session->transactions, transaction);
    return queues_submit(session, change, transaction, stomp_frame_find(frame, BYTES("receipt")),
                         BYTES("one of this transaction"));
}

bool on_commit(struct session *session, struct stomp_frame *frame) {
    struct transaction *transaction = need_transaction(session, frame);
    if (!transaction)
        return false;
    if (transaction->change)
        return commit_change(session, frame, transaction);
    bool published = true;
    for (uint32_t n = 0; n < transaction->message_count; n++)
        published = publish(session, transaction->messages[n]) && published;
    transaction_end(&session->transactions, transaction);
    return published ? frame_confirm(session, frame) : frame_out_of_memory(session);
}

bool on_abort(struct session *session, struct stomp_frame *frame) {
    struct transaction *transaction = need_transaction(session, frame);
    if (!transaction)
        return false;
    queues_abort(session, transaction);
    transaction_end(&session->transactions, transaction);
    return frame_confirm(session, frame);
}

/* ---- SEND ---- */

/*
 * To a user: /user/NAME/rest reaches all sessions of NAME, with a `session` header that one only. Sessions without a
 * name are reached by /user//rest and their id.
 */
static bool address_user(struct session *session, const struct stomp_frame *frame,
                         const struct destination *destination, struct stomp_publication *publication) {
    const struct bytes *only = stomp_frame_find(frame, BYTES("session"));
    publication->route = ROUTE_USER;
    bool anonymous = destination->user_len == 0;
    if (anonymous && (!only || only->len == 0))
        return frame_fault(session, "the user's name is empty and no session header picks a session");
    if (!destination_user_key_build(&session->env->key, anonymous, anonymous ? *only : destination_user(destination),
                                    destination->rest))
        return frame_out_of_memory(session);
    if (only && !anonymous)
        publication->only = *only;
    publication->key = buffer_bytes(&session->env->key);
    return true;
}

/* What receivers see is /user/rest, as they subscribed to it. */
static bool show_user_destination(struct session *session, const struct destination *destination,
                                  struct stomp_publication *publication) {
    struct buffer *shown = &session->env->shown;
    shown->len = 0;
    if (!buffer_append(shown, "/user", strlen("/user")) ||
        !buffer_append(shown, destination->rest.data, destination->rest.len))
        return frame_out_of_memory(session);
    publication->destination = buffer_bytes(shown);
    return true;
}

/* To the queue of the first policy whose pattern fits, if an application may take it there. */
static bool address_app(struct session *session, const struct destination *destination,
                        struct stomp_publication *publication) {
    struct session_env *env = session->env;
    const struct policy *policy = policies_find(env->policies, destination->whole);
    if (policy->app_consumer_count == 0)
        return fault_set(&env->fault, FAULT_POLICY, "no application takes messages here, see app-consumers (%.*s)",
                         BYTES_ARG(destination->whole));
    publication->route = ROUTE_QUEUE;
    return queue_name_of_app(&env->key, bytes_of(policy->pattern)) || frame_out_of_memory(session);
}

/* What an application may rely on: headers that a client can't set. Returns how many. */
static size_t name_sender(const struct session *session, struct stomp_header added[3]) {
    size_t count = 0;
    added[count++] = (struct stomp_header){BYTES("session"), bytes_of(session->id)};
    added[count++] = (struct stomp_header){BYTES("node"), bytes_of(session->env->node)};
    if (session->user)
        added[count++] = (struct stomp_header){BYTES("user"), bytes_of(session->user)};
    return count;
}

static bool address(struct session *session, const struct stomp_frame *frame, const struct destination *destination,
                    struct stomp_publication *publication) {
    struct buffer *key = &session->env->key;
    switch (destination->kind) {
    case DESTINATION_TOPIC:
        publication->key = destination->whole;
        return true;
    case DESTINATION_USER:
        return address_user(session, frame, destination, publication) &&
               show_user_destination(session, destination, publication);
    case DESTINATION_QUEUE:
        publication->route = ROUTE_QUEUE;
        if (!queue_name_of_destination(key, destination->whole))
            return frame_out_of_memory(session);
        break;
    case DESTINATION_APP:
        if (!address_app(session, destination, publication))
            return false;
        break;
    case DESTINATION_TEMP_QUEUE:
        publication->route = ROUTE_USER;
        if (!replies_address(session, destination, key))
            return false;
        break;
    default:
        return frame_unknown_kind(session, destination);
    }
    publication->key = buffer_bytes(key);
    return true;
}

/* The id lies in `room`. */
static struct bytes make_message_id(struct session_env *env, char room[MESSAGE_ID_MAX]) {
    size_t boot_len = strnlen(env->boot_id, BOOT_ID_MAX);
    char *end = room + boot_len;
    memcpy(room, env->boot_id, boot_len);
    *end++ = '-';
    end = decimal_write(end, env->owner);
    *end++ = '-';
    end = decimal_write(end, ++env->messages);
    return (struct bytes){room, (size_t)(end - room)};
}

static struct message *build_message(struct session *session, const struct stomp_frame *frame,
                                     const struct destination *destination) {
    struct session_env *env = session->env;
    struct stomp_header added[3];
    char id[MESSAGE_ID_MAX];
    struct stomp_publication publication = {.destination = destination->whole,
                                            .message_id = make_message_id(env, id),
                                            .headers = frame->headers,
                                            .header_count = frame->header_count,
                                            .body = frame->body,
                                            .added = added,
                                            .route = ROUTE_TOPIC};
    if (!address(session, frame, destination, &publication))
        return NULL;
    if (destination->kind == DESTINATION_APP)
        publication.added_count = name_sender(session, added);
    struct message *message = stomp_write_message(env->owners, &publication);
    if (!message)
        frame_out_of_memory(session);
    return message;
}

/* ---- times to live ---- */

/* A number of milliseconds, if the frame has that header. */
static bool read_time(struct session *session, const struct stomp_frame *frame, const char *name, bool *given,
                      uint64_t *ms) {
    const struct bytes *value = stomp_frame_find(frame, bytes_of(name));
    *given = value != NULL;
    return !value || decimal_read(*value, ms) ||
           fault_set(&session->env->fault, FAULT_PROTOCOL, "%s is not a number of milliseconds", name);
}

/* How long the message may live, by the earliest of what its headers say; never 0 for one that may not live at all. */
static bool read_lifetime(struct session *session, const struct stomp_frame *frame, uint64_t *lifetime_ms) {
    static const char *const relative[] = {"expiration", "x-message-ttl"};
    uint64_t now_ms = session->env->wall_ms;
    uint64_t shortest = UINT64_MAX;
    uint64_t ms;
    bool given;
    for (size_t n = 0; n < sizeof relative / sizeof relative[0]; n++) {
        if (!read_time(session, frame, relative[n], &given, &ms))
            return false;
        if (given && ms < shortest)
            shortest = ms;
    }
    if (!read_time(session, frame, "expires", &given, &ms))
        return false;
    if (given && ms > 0 && (ms > now_ms ? ms - now_ms : 0) < shortest)
        shortest = ms > now_ms ? ms - now_ms : 0;
    *lifetime_ms = shortest == UINT64_MAX ? 0 : shortest > 0 ? shortest : 1;
    return true;
}

/* ---- where the message goes ---- */

static bool fits_transactions(struct session *session, const struct message *message) {
    const struct session_env *env = session->env;
    return session->transactions.bytes + message_size(message) <= env->limits->transaction_size ||
           fault_set(&session->env->fault, FAULT_POLICY,
                     "the open transactions hold too many bytes (transaction-size)");
}

/* Takes over the reference. */
static bool keep_for_commit(struct session *session, struct transaction *transaction, struct message *message) {
    bool fits = fits_transactions(session, message);
    if (fits && transaction_add(&session->transactions, transaction, message))
        return true;
    message_unref(message);
    return fits ? frame_out_of_memory(session) : false;
}

/* Takes over the reference. */
static bool put(struct session *session, const struct stomp_frame *frame, struct transaction *transaction,
                const struct destination *destination, struct message *message) {
    struct operation operation = {.kind = OPERATION_PUT, .message = message};
    if (!read_lifetime(session, frame, &operation.lifetime_ms) ||
        (transaction && !fits_transactions(session, message))) {
        message_unref(message);
        return false;
    }
    if (transaction && transaction_change(&session->transactions, transaction, &operation))
        return frame_confirm(session, frame);
    struct change *change = transaction ? NULL : change_new();
    if (!change || !change_add(change, &operation)) {
        message_unref(message);
        change_free(change);
        return frame_out_of_memory(session);
    }
    return queues_submit(session, change, NULL, stomp_frame_find(frame, BYTES("receipt")), destination->whole);
}

bool on_send(struct session *session, struct stomp_frame *frame) {
    struct destination destination;
    struct transaction *transaction;
    const struct bytes *text = frame_need_header(session, frame, "destination");
    const struct bytes *content_type = stomp_frame_find(frame, BYTES("content-type"));
    if (!text || !destination_of_send(*text, &destination, &session->env->fault))
        return false;
    if (content_type && !stomp_is_mime_type(*content_type))
        return frame_fault(session, "content-type is not a MIME type, such as text/plain");
    if (!join_transaction(session, frame, &transaction) || !replies_rewrite(session, frame))
        return false;
    struct message *message = build_message(session, frame, &destination);
    if (!message)
        return false;
    if (message->route == ROUTE_QUEUE)
        return put(session, frame, transaction, &destination, message);
    if (transaction)
        return keep_for_commit(session, transaction, message) && frame_confirm(session, frame);
    bool published = publish(session, message);
    message_unref(message);
    return published ? frame_confirm(session, frame) : frame_out_of_memory(session);
}
