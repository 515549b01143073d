/*
 * What each client frame means: one handler a command. A handler returns false with env->fault filled when the frame
 * breaks a rule or a limit; the session is then lost. Section names are those of STOMP 1.2.
 */
#include "frames.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "stompd/stomp/writer.h"

/* "<boot id>-<worker>-<n>": boot ids are short. */
#define MESSAGE_ID_MAX 80

/* Bytes: a session keeps all its ids. */
#define SUBSCRIPTION_ID_MAX 1024

static bool protocol_fault(struct session *session, const char *message) {
    return fault_set(&session->env->fault, FAULT_PROTOCOL, "%s", message);
}

static bool out_of_memory(struct session *session) {
    return fault_set(&session->env->fault, FAULT_INTERNAL, "out of memory");
}

/* The header, or NULL with a fault that names it. */
static const struct bytes *need_header(struct session *session, const struct stomp_frame *frame, const char *name) {
    const struct bytes *value = stomp_frame_find(frame, bytes_of(name));
    if (!value)
        fault_set(&session->env->fault, FAULT_PROTOCOL, "%s needs the header %s", stomp_command_name(frame->command),
                  name);
    return value;
}

/* ---- receipts ("Header receipt", "RECEIPT") ---- */

static struct message *write_receipt(struct session *session, struct bytes receipt) {
    struct stomp_header header = {BYTES("receipt-id"), receipt};
    return stomp_write_control(session->env->owners, "RECEIPT", &header, 1, (struct bytes){NULL, 0}, session->version);
}

/* The frame is processed: its receipt, when it asked for one. */
static bool confirm(struct session *session, const struct stomp_frame *frame) {
    const struct bytes *receipt = stomp_frame_find(frame, BYTES("receipt"));
    return !receipt || session_send_control(session, write_receipt(session, *receipt));
}

/* ---- CONNECT ("Connecting", "Protocol Negotiation", "Heart-beating") ---- */

bool session_open(struct session *session, const char *user) {
    struct session_env *env = session->env;
    char beats[32];
    snprintf(beats, sizeof beats, "%" PRIu32 ",%" PRIu32, env->limits->heartbeat.send_ms,
             env->limits->heartbeat.receive_ms);
    struct stomp_header headers[5] = {{BYTES("session"), bytes_of(session->id)},
                                      {BYTES("server"), BYTES("stompd/" STOMPD_VERSION)}};
    size_t count = 2;
    if (session->names_version)
        headers[count++] = (struct stomp_header){BYTES("version"), bytes_of(stomp_version_name(session->version))};
    if (session->version > STOMP_1_0)
        headers[count++] = (struct stomp_header){BYTES("heart-beat"), bytes_of(beats)};
    if (user)
        headers[count++] = (struct stomp_header){BYTES("user-name"), bytes_of(user)};
    if (user && !(session->user = strdup(user)))
        return out_of_memory(session);
    session->state = SESSION_OPEN;
    counter_add(&env->counters.open, 1);
    counter_add(&env->counters.opened, 1);
    if (!env->ops->opened(session))
        return out_of_memory(session);
    stomp_parser_login(&session->parser, session->version, &env->limits->frames);
    return session_send_control(session, stomp_write_control(env->owners, "CONNECTED", headers, count,
                                                             (struct bytes){NULL, 0}, session->version));
}

static bool negotiate_version(struct session *session, struct stomp_frame *frame) {
    const struct bytes *accepted = stomp_frame_find(frame, BYTES("accept-version"));
    session->names_version = accepted != NULL;
    if (accepted && !stomp_negotiate(*accepted, &session->version))
        return protocol_fault(session, "no common version, this server speaks " STOMP_VERSIONS);
    if (session->version == STOMP_1_0)
        stomp_frame_trim(frame);
    session->outbox.version = (uint8_t)session->version;
    return true;
}

static bool negotiate_heartbeat(struct session *session, const struct stomp_frame *frame) {
    const struct bytes *value = stomp_frame_find(frame, BYTES("heart-beat"));
    struct heartbeat client = {0, 0};
    if (session->version == STOMP_1_0)
        return true;
    if (value && !heartbeat_parse(*value, &client))
        return protocol_fault(session, "heart-beat needs two numbers of milliseconds, such as 10000,10000");
    session->heartbeat = heartbeat_negotiate(session->env->limits->heartbeat, client);
    return true;
}

static bool on_connect(struct session *session, struct stomp_frame *frame) {
    if (!negotiate_version(session, frame) || !negotiate_heartbeat(session, frame))
        return false;
    const struct bytes *login = stomp_frame_find(frame, BYTES("login"));
    const struct bytes *passcode = stomp_frame_find(frame, BYTES("passcode"));
    struct bytes none = {"", 0};
    if (login && login->len > 0) {
        session->state = SESSION_LOGGING_IN;
        session->env->ops->log_in(session, *login, passcode ? *passcode : none);
        return true;
    }
    if (passcode && passcode->len > 0)
        return fault_set(&session->env->fault, FAULT_LOGIN, "passcode without login");
    if (!session->env->anonymous)
        return fault_set(&session->env->fault, FAULT_LOGIN, "CONNECT needs login and passcode");
    return session_open(session, NULL);
}

/* ---- transactions ("BEGIN", "COMMIT", "ABORT") ---- */

/* The open transaction that the frame names. */
static struct transaction *need_transaction(struct session *session, const struct stomp_frame *frame) {
    const struct bytes *name = need_header(session, frame, "transaction");
    if (!name)
        return NULL;
    struct transaction *transaction = transactions_find(&session->transactions, *name);
    if (!transaction)
        fault_set(&session->env->fault, FAULT_PROTOCOL, "no such transaction (%.*s)", BYTES_ARG(*name));
    return transaction;
}

/*
 * The transaction that a SEND, ACK or NACK joins, counted against its limit; NULL in *transaction when it names none.
 */
static bool join_transaction(struct session *session, const struct stomp_frame *frame,
                             struct transaction **transaction) {
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

static bool on_begin(struct session *session, struct stomp_frame *frame) {
    const struct bytes *name = need_header(session, frame, "transaction");
    if (!name)
        return false;
    if (transactions_find(&session->transactions, *name))
        return fault_set(&session->env->fault, FAULT_PROTOCOL, "transaction is open already (%.*s)", BYTES_ARG(*name));
    if (session->transactions.count >= session->env->limits->transactions)
        return fault_set(&session->env->fault, FAULT_POLICY, "too many open transactions (transactions)");
    if (!transactions_begin(&session->transactions, *name))
        return out_of_memory(session);
    return confirm(session, frame);
}

static bool publish(struct session *session, struct message *message) {
    counter_add(&session->env->counters.published, 1);
    return session->env->ops->publish(session, message);
}

static bool on_commit(struct session *session, struct stomp_frame *frame) {
    struct transaction *transaction = need_transaction(session, frame);
    if (!transaction)
        return false;
    bool published = true;
    for (uint32_t n = 0; n < transaction->message_count; n++)
        published = publish(session, transaction->messages[n]) && published;
    transaction_end(&session->transactions, transaction);
    return published ? confirm(session, frame) : out_of_memory(session);
}

static bool on_abort(struct session *session, struct stomp_frame *frame) {
    struct transaction *transaction = need_transaction(session, frame);
    if (!transaction)
        return false;
    transaction_end(&session->transactions, transaction);
    return confirm(session, frame);
}

/* ---- destinations ---- */

/* Only what is implemented is accepted: a SEND that went nowhere would be a silent loss. */
static bool is_served(struct session *session, const struct destination *destination) {
    if (destination->kind == DESTINATION_TOPIC || destination->kind == DESTINATION_USER)
        return true;
    return fault_set(&session->env->fault, FAULT_PROTOCOL,
                     "this server has no such kind of destination, only /topic/ and /user/ (%.*s)",
                     BYTES_ARG(destination->whole));
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
        return protocol_fault(session, "the user's name is empty and no session header picks a session");
    if (!destination_user_key_build(&session->env->key, anonymous, anonymous ? *only : destination_user(destination),
                                    destination->rest))
        return out_of_memory(session);
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
        return out_of_memory(session);
    publication->destination = buffer_bytes(shown);
    return true;
}

static struct message *build_message(struct session *session, const struct stomp_frame *frame,
                                     const struct destination *destination) {
    struct session_env *env = session->env;
    char id[MESSAGE_ID_MAX];
    int id_len = snprintf(id, sizeof id, "%s-%u-%" PRIu64, env->boot_id, env->owner, ++env->messages);
    struct stomp_publication publication = {.destination = destination->whole,
                                            .message_id = {id, (size_t)id_len},
                                            .headers = frame->headers,
                                            .header_count = frame->header_count,
                                            .body = frame->body,
                                            .route = ROUTE_TOPIC,
                                            .key = destination->whole};
    if (destination->kind == DESTINATION_USER && (!address_user(session, frame, destination, &publication) ||
                                                  !show_user_destination(session, destination, &publication)))
        return NULL;
    struct message *message = stomp_write_message(env->owners, &publication);
    if (!message)
        out_of_memory(session);
    return message;
}

/* Takes over the reference. */
static bool keep_for_commit(struct session *session, struct transaction *transaction, struct message *message) {
    struct session_env *env = session->env;
    bool fits = session->transactions.bytes + message_size(message) <= env->limits->transaction_size;
    if (fits && transaction_add(&session->transactions, transaction, message))
        return true;
    message_unref(message);
    if (!fits)
        return fault_set(&env->fault, FAULT_POLICY, "the open transactions hold too many bytes (transaction-size)");
    return out_of_memory(session);
}

static bool on_send(struct session *session, struct stomp_frame *frame) {
    struct destination destination;
    struct transaction *transaction;
    const struct bytes *text = need_header(session, frame, "destination");
    const struct bytes *content_type = stomp_frame_find(frame, BYTES("content-type"));
    if (!text || !destination_of_send(*text, &destination, &session->env->fault) || !is_served(session, &destination))
        return false;
    if (content_type && !stomp_is_mime_type(*content_type))
        return protocol_fault(session, "content-type is not a MIME type, such as text/plain");
    if (!join_transaction(session, frame, &transaction))
        return false;
    struct message *message = build_message(session, frame, &destination);
    if (!message)
        return false;
    if (transaction)
        return keep_for_commit(session, transaction, message) && confirm(session, frame);
    bool published = publish(session, message);
    message_unref(message);
    return published ? confirm(session, frame) : out_of_memory(session);
}

/* ---- SUBSCRIBE and UNSUBSCRIBE ---- */

static bool read_ack_mode(struct session *session, const struct stomp_frame *frame, enum ack_mode *mode) {
    const struct bytes *value = stomp_frame_find(frame, BYTES("ack"));
    *mode = ACK_AUTO;
    if (!value || bytes_equal(*value, BYTES("auto")))
        return true;
    *mode = ACK_CLIENT;
    if (bytes_equal(*value, BYTES("client")))
        return true;
    *mode = ACK_CLIENT_INDIVIDUAL;
    if (session->version > STOMP_1_0 && bytes_equal(*value, BYTES("client-individual")))
        return true;
    return fault_set(&session->env->fault, FAULT_PROTOCOL, "no such ack mode in STOMP %s (%.*s)",
                     stomp_version_name(session->version), BYTES_ARG(*value));
}

/* The id, unique per connection from 1.1 on; *id is NULL when 1.0 gives none. */
static bool read_new_id(struct session *session, const struct stomp_frame *frame, const struct bytes **id) {
    *id = session->version == STOMP_1_0 ? stomp_frame_find(frame, BYTES("id")) : need_header(session, frame, "id");
    if (!*id)
        return session->version == STOMP_1_0;
    if ((*id)->len > SUBSCRIPTION_ID_MAX)
        return fault_set(&session->env->fault, FAULT_SIZE, "subscription id is longer than %d bytes",
                         SUBSCRIPTION_ID_MAX);
    if (map_find(&session->by_id, **id))
        return fault_set(&session->env->fault, FAULT_PROTOCOL, "subscription id is in use (%.*s)", BYTES_ARG(**id));
    return true;
}

static void remove_subscription(struct session *session, struct subscription *subscription) {
    if (!subscription->known)
        session->unknown--;
    if (!subscription->live)
        session->asking--;
    session->env->ops->unsubscribe(session, subscription);
    outbox_drop_subscription(&session->outbox, subscription);
    if (subscription->has_id)
        map_remove(&session->by_id, subscription_id(subscription));
    list_remove(&subscription->in_session);
    session->subscription_count--;
    counter_subtract(&session->env->counters.subscriptions, 1);
    subscription_free(subscription);
}

static bool add_subscription(struct session *session, struct subscription *subscription,
                             const struct destination *destination) {
    if (subscription->has_id && !map_insert(&session->by_id, subscription)) {
        subscription_free(subscription);
        return out_of_memory(session);
    }
    list_append(&session->subscriptions, &subscription->in_session);
    session->subscription_count++;
    counter_add(&session->env->counters.subscriptions, 1);
    session->asking++;
    session->unknown++;
    if (!session->env->ops->subscribe(session, subscription, destination))
        return out_of_memory(session);
    if (subscription->known)
        session->unknown--;
    if (subscription->live)
        session->asking--;
    return true;
}

static bool on_subscribe(struct session *session, struct stomp_frame *frame) {
    struct destination destination;
    enum ack_mode ack;
    const struct bytes *id;
    const struct bytes *text = need_header(session, frame, "destination");
    if (!text || !read_new_id(session, frame, &id) || !read_ack_mode(session, frame, &ack))
        return false;
    if (!destination_of_subscribe(*text, &destination, &session->env->fault) || !is_served(session, &destination))
        return false;
    if (session->subscription_count >= session->env->limits->subscriptions)
        return fault_set(&session->env->fault, FAULT_POLICY, "too many subscriptions in this session (subscriptions)");
    struct subscription *subscription = subscription_new(session, id, *text, ack, session->version);
    if (!subscription)
        return out_of_memory(session);
    if (!add_subscription(session, subscription, &destination))
        return false;
    if (subscription->live)
        return confirm(session, frame);
    const struct bytes *receipt = stomp_frame_find(frame, BYTES("receipt"));
    if (receipt && !(subscription->receipt = write_receipt(session, *receipt)))
        return out_of_memory(session);
    return true;
}

/* The subscription is gone before it was live; who asked for its receipt gets it all the same. */
static bool unsubscribe(struct session *session, struct subscription *subscription) {
    struct message *receipt = subscription->receipt;
    subscription->receipt = NULL;
    remove_subscription(session, subscription);
    return !receipt || session_send_control(session, receipt);
}

static bool unsubscribe_destination(struct session *session, struct bytes destination) {
    LIST_FOR_EACH (node, &session->subscriptions) {
        struct subscription *subscription = CONTAINER_OF(node, struct subscription, in_session);
        if (bytes_equal(subscription_destination(subscription), destination) && !unsubscribe(session, subscription))
            return false;
    }
    return true;
}

/* One that does not exist is ignored: its messages may have been under way when the client dropped it. */
static bool on_unsubscribe(struct session *session, struct stomp_frame *frame) {
    const struct bytes *id = stomp_frame_find(frame, BYTES("id"));
    const struct bytes *destination = stomp_frame_find(frame, BYTES("destination"));
    bool by_destination = !id && destination && session->version == STOMP_1_0;
    if (!id && !by_destination)
        return need_header(session, frame, "id") != NULL;
    if (by_destination && !unsubscribe_destination(session, *destination))
        return false;
    struct subscription *subscription = id ? map_find(&session->by_id, *id) : NULL;
    if (subscription && !unsubscribe(session, subscription))
        return false;
    return confirm(session, frame);
}

/* ---- ACK and NACK: what they must carry; on a topic, at most once, there is nothing left to settle ---- */

static bool on_ack(struct session *session, struct stomp_frame *frame) {
    struct transaction *transaction;
    if (session->version == STOMP_1_0 && frame->command == STOMP_NACK)
        return protocol_fault(session, "STOMP 1.0 has no NACK");
    if (session->version == STOMP_1_2 && !need_header(session, frame, "id"))
        return false;
    if (session->version < STOMP_1_2 && !need_header(session, frame, "message-id"))
        return false;
    if (session->version == STOMP_1_1 && !need_header(session, frame, "subscription"))
        return false;
    return join_transaction(session, frame, &transaction) && confirm(session, frame);
}

/* ---- DISCONNECT ("DISCONNECT", "Connection Lingering") ---- */

static bool on_disconnect(struct session *session, struct stomp_frame *frame) {
    const struct bytes *receipt = stomp_frame_find(frame, BYTES("receipt"));
    if (receipt && !session_send_last(session, write_receipt(session, *receipt)))
        return false;
    session_stop(session, FAULT_NONE);
    return true;
}

bool session_handle_frame(struct session *session, struct stomp_frame *frame) {
    static bool (*const handlers[])(struct session *, struct stomp_frame *) = {
        [STOMP_SEND] = on_send,
        [STOMP_SUBSCRIBE] = on_subscribe,
        [STOMP_UNSUBSCRIBE] = on_unsubscribe,
        [STOMP_BEGIN] = on_begin,
        [STOMP_COMMIT] = on_commit,
        [STOMP_ABORT] = on_abort,
        [STOMP_ACK] = on_ack,
        [STOMP_NACK] = on_ack,
        [STOMP_DISCONNECT] = on_disconnect,
    };
    counter_add(&session->env->counters.frames[frame->command], 1);
    bool connects = frame->command == STOMP_CONNECT || frame->command == STOMP_STOMP;
    if (session->state == SESSION_CONNECTING)
        return connects ? on_connect(session, frame)
                        : protocol_fault(session, "the first frame must be CONNECT or STOMP");
    if (connects)
        return protocol_fault(session, "already connected");
    return handlers[frame->command](session, frame);
}
