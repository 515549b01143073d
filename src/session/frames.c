/*
 * What each client frame means: one handler a command. A handler returns false with env->fault filled when the frame
 * breaks a rule or a limit; the session is then lost. Section names are those of STOMP 1.2.
 */
#include "frames.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "queues.h"
#include "stompd/base/decimal.h"
#include "stompd/route/queue_name.h"
#include "stompd/stomp/writer.h"

/* Bytes: a session keeps all its ids. */
#define SUBSCRIPTION_ID_MAX 1024

bool frame_fault(struct session *session, const char *message) {
    return fault_set(&session->env->fault, FAULT_PROTOCOL, "%s", message);
}

bool frame_out_of_memory(struct session *session) {
    return fault_set(&session->env->fault, FAULT_INTERNAL, "out of memory");
}

const struct bytes *frame_need_header(struct session *session, const struct stomp_frame *frame, const char *name) {
    const struct bytes *value = stomp_frame_find(frame, bytes_of(name));
    if (!value)
        fault_set(&session->env->fault, FAULT_PROTOCOL, "%s needs the header %s", stomp_command_name(frame->command),
                  name);
    return value;
}

bool frame_unknown_kind(struct session *session, const struct destination *destination) {
    return fault_set(&session->env->fault, FAULT_PROTOCOL,
                     "no such kind of destination, only /topic/, /queue/, /user/ and /app/ (%.*s)",
                     BYTES_ARG(destination->whole));
}

/* ---- receipts ("Header receipt", "RECEIPT") ---- */

struct message *frame_receipt(struct session *session, struct bytes receipt) {
    struct stomp_header header = {BYTES("receipt-id"), receipt};
    return stomp_write_control(session->env->owners, "RECEIPT", &header, 1, (struct bytes){NULL, 0}, session->version);
}

bool frame_confirm(struct session *session, const struct stomp_frame *frame) {
    const struct bytes *receipt = stomp_frame_find(frame, BYTES("receipt"));
    return !receipt || session_send_control(session, frame_receipt(session, *receipt));
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
        return frame_out_of_memory(session);
    session->state = SESSION_OPEN;
    counter_add(&env->counters.open, 1);
    counter_add(&env->counters.opened, 1);
    if (!env->ops->opened(session))
        return frame_out_of_memory(session);
    stomp_parser_login(&session->parser, session->version, &env->limits->frames);
    return session_send_control(session, stomp_write_control(env->owners, "CONNECTED", headers, count,
                                                             (struct bytes){NULL, 0}, session->version));
}

static bool negotiate_version(struct session *session, struct stomp_frame *frame) {
    const struct bytes *accepted = stomp_frame_find(frame, BYTES("accept-version"));
    session->names_version = accepted != NULL;
    if (accepted && !stomp_negotiate(*accepted, &session->version))
        return frame_fault(session, "no common version, this server speaks " STOMP_VERSIONS);
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
        return frame_fault(session, "heart-beat needs two numbers of milliseconds, such as 10000,10000");
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
    *id =
        session->version == STOMP_1_0 ? stomp_frame_find(frame, BYTES("id")) : frame_need_header(session, frame, "id");
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
    outbox_drop_subscription(&session->outbox, subscription);
    session_unsubscribe(session, subscription);
    if (subscription->has_id)
        map_remove(&session->by_id, subscription_id(subscription));
    list_remove(&subscription->in_session);
    session->subscription_count--;
    counter_subtract(&session->env->counters.subscriptions, 1);
    subscription_free(subscription);
}

/* Takes it over in any case. */
static bool count_subscription(struct session *session, struct subscription *subscription) {
    if (subscription->has_id && !map_insert(&session->by_id, subscription)) {
        subscription_free(subscription);
        return frame_out_of_memory(session);
    }
    list_append(&session->subscriptions, &subscription->in_session);
    session->subscription_count++;
    counter_add(&session->env->counters.subscriptions, 1);
    session->asking++;
    session->unknown++;
    return true;
}

bool frame_add_subscription(struct session *session, struct subscription *subscription,
                            const struct destination *destination) {
    if (!count_subscription(session, subscription))
        return false;
    if (!session->env->ops->subscribe(session, subscription, destination))
        return frame_out_of_memory(session);
    if (subscription->known)
        session->unknown--;
    if (subscription->live)
        session->asking--;
    return true;
}

/* How much of a queue a subscription may have at a time, unsettled. 0, or more than there may be, is all there may be. */
static bool read_prefetch(struct session *session, const struct stomp_frame *frame, uint32_t *prefetch) {
    const struct bytes *value = stomp_frame_find(frame, BYTES("prefetch-count"));
    uint32_t most = session->env->limits->prefetch;
    uint64_t wanted = PREFETCH_DEFAULT;
    if (value && !decimal_read(*value, &wanted))
        return frame_fault(session, "prefetch-count is not a number");
    *prefetch = wanted == 0 || wanted > most ? most : (uint32_t)wanted;
    return true;
}

/* `durable:true` on a topic: what arrives is kept while the user is away. */
static bool read_durable(struct session *session, const struct stomp_frame *frame, bool *durable) {
    const struct bytes *value = stomp_frame_find(frame, BYTES("durable"));
    *durable = value && bytes_equal(*value, BYTES("true"));
    return *durable || !value || bytes_equal(*value, BYTES("false")) ||
           frame_fault(session, "durable is neither true nor false");
}

/* The name of what the subscription keeps, in env->key. */
static bool name_durable(struct session *session, const struct bytes *id) {
    struct session_env *env = session->env;
    if (!session->user)
        return fault_set(&env->fault, FAULT_POLICY,
                         "a durable subscription needs a user, and this session has no login");
    if (!id || id->len == 0)
        return frame_fault(session, "a durable subscription needs an id");
    return queue_name_of_durable(&env->key, bytes_of(session->user), *id) || frame_out_of_memory(session);
}

static bool name_app(struct session *session, const struct destination *destination) {
    struct session_env *env = session->env;
    if (!queue_name_of_app(&env->key, destination->whole))
        return frame_out_of_memory(session);
    const struct policy *policy = policies_of_queue(env->policies, buffer_bytes(&env->key));
    if (!bytes_equal(bytes_of(policy->pattern), destination->whole))
        return fault_set(&env->fault, FAULT_POLICY,
                         "applications subscribe the pattern of a destination section, as it is written there (%.*s)",
                         BYTES_ARG(destination->whole));
    return policy_admits_consumer(policy, session->user) ||
           fault_set(&env->fault, FAULT_POLICY, "this user is none of the app-consumers (%.*s)",
                     BYTES_ARG(destination->whole));
}

/*
 * The queue that the subscription consumes from, its name in env->key; *stored is false when there is none, and
 * *topic what it is to be bound to, or empty.
 */
static bool name_queue(struct session *session, const struct stomp_frame *frame, const struct destination *destination,
                       const struct bytes *id, bool *stored, struct bytes *topic) {
    bool durable;
    *stored = true;
    *topic = BYTES("");
    switch (destination->kind) {
    case DESTINATION_QUEUE:
        return queue_name_of_destination(&session->env->key, destination->whole) || frame_out_of_memory(session);
    case DESTINATION_APP:
        return name_app(session, destination);
    case DESTINATION_TOPIC:
        *topic = destination->whole;
        if (!read_durable(session, frame, &durable))
            return false;
        *stored = durable;
        return !durable || name_durable(session, id);
    default:
        *stored = false;
        return true;
    }
}

static bool make_receive(struct session *session, const struct stomp_frame *frame, struct subscription *subscription,
                         const struct destination *destination) {
    struct bytes id = subscription_id(subscription);
    struct bytes topic;
    uint32_t prefetch = 0;
    bool stored;
    if (!read_prefetch(session, frame, &prefetch) ||
        !name_queue(session, frame, destination, subscription->has_id ? &id : NULL, &stored, &topic)) {
        subscription_free(subscription);
        return false;
    }
    if (!stored)
        return frame_add_subscription(session, subscription, destination);
    return count_subscription(session, subscription) &&
           queues_attach(session, subscription, buffer_bytes(&session->env->key), prefetch, topic);
}

static bool read_destination(struct session *session, const struct stomp_frame *frame,
                             struct destination *destination) {
    const struct bytes *text = frame_need_header(session, frame, "destination");
    if (!text || !destination_of_subscribe(*text, destination, &session->env->fault))
        return false;
    if (destination->kind == DESTINATION_TEMP_QUEUE)
        return fault_set(&session->env->fault, FAULT_PROTOCOL,
                         "reply addresses are subscribed by the reply-to of a SEND, not by SUBSCRIBE (%.*s)",
                         BYTES_ARG(destination->whole));
    return destination->kind != DESTINATION_OTHER || frame_unknown_kind(session, destination);
}

static bool on_subscribe(struct session *session, struct stomp_frame *frame) {
    struct destination destination;
    enum ack_mode ack;
    const struct bytes *id;
    if (!read_destination(session, frame, &destination) || !read_new_id(session, frame, &id) ||
        !read_ack_mode(session, frame, &ack))
        return false;
    if (session->subscription_count >= session->env->limits->subscriptions)
        return fault_set(&session->env->fault, FAULT_POLICY, "too many subscriptions in this session (subscriptions)");
    struct subscription *subscription = subscription_new(session, id, destination.whole, ack, session->version);
    if (!subscription)
        return frame_out_of_memory(session);
    if (!make_receive(session, frame, subscription, &destination))
        return false;
    if (subscription->live)
        return frame_confirm(session, frame);
    const struct bytes *receipt = stomp_frame_find(frame, BYTES("receipt"));
    if (receipt && !(subscription->receipt = frame_receipt(session, *receipt)))
        return frame_out_of_memory(session);
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

/* With durable:true the subscription ends for good, whether it is open in this session or not. */
static bool end_durable(struct session *session, const struct stomp_frame *frame, const struct bytes *id) {
    return name_durable(session, id) &&
           queues_end_durable(session, buffer_bytes(&session->env->key), stomp_frame_find(frame, BYTES("receipt")));
}

/* One that does not exist is ignored: its messages may have been under way when the client dropped it. */
static bool on_unsubscribe(struct session *session, struct stomp_frame *frame) {
    const struct bytes *id = stomp_frame_find(frame, BYTES("id"));
    const struct bytes *destination = stomp_frame_find(frame, BYTES("destination"));
    bool by_destination = !id && destination && session->version == STOMP_1_0;
    bool durable;
    if (!id && !by_destination)
        return frame_need_header(session, frame, "id") != NULL;
    if (by_destination && !unsubscribe_destination(session, *destination))
        return false;
    struct subscription *subscription = id ? map_find(&session->by_id, *id) : NULL;
    if (subscription && !unsubscribe(session, subscription))
        return false;
    if (!read_durable(session, frame, &durable))
        return false;
    return durable ? end_durable(session, frame, id) : frame_confirm(session, frame);
}

/* ---- DISCONNECT ("DISCONNECT", "Connection Lingering") ---- */

static bool on_disconnect(struct session *session, struct stomp_frame *frame) {
    const struct bytes *receipt = stomp_frame_find(frame, BYTES("receipt"));
    if (receipt && !session_send_last(session, frame_receipt(session, *receipt)))
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
        return connects ? on_connect(session, frame) : frame_fault(session, "the first frame must be CONNECT or STOMP");
    if (connects)
        return frame_fault(session, "already connected");
    return handlers[frame->command](session, frame);
}
