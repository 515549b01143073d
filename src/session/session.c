/*
 * The session's life: input and waiting, delivery, ending, heart-beats and time-outs. What each frame means is in
 * frames.c.
 */
#include "stompd/session/session.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "frames.h"
#include "queues.h"
#include "replies.h"
#include "stompd/base/timer.h"
#include "stompd/stomp/writer.h"

/* A client is given up after this many of its heart-beat intervals without a sign of life. */
#define HEARTBEAT_MARGIN 3

/* "<boot>:<worker>-<n>": room for the two numbers and their separators. */
#define SESSION_NUMBERS_MAX 40

static struct bytes consumer_key(const void *entry) {
    const struct consumer *consumer = entry;
    return (struct bytes){(const char *)&consumer->id, sizeof consumer->id};
}

static struct bytes unsettled_key(const void *entry) {
    const struct delivery *delivery = entry;
    return (struct bytes){delivery->key, delivery->key_len};
}

static struct bytes subscription_key(const void *entry) {
    return subscription_id(entry);
}

bool session_env_init(struct session_env *env) {
    list_init(&env->waiting);
    list_init(&env->orphans);
    map_init(&env->consumers, consumer_key);
    env->key = env->shown = env->reply = (struct buffer){0};
    env->headers = NULL;
    env->header_capacity = 0;
    env->beat = message_new(env->owners, 1);
    if (!session_env_fit(env, env->limits->frames.headers) || !env->beat) {
        session_env_free(env);
        return false;
    }
    char *eol = message_data(env->beat);
    *eol = '\n';
    env->beat->text = true;
    env->beat->body_offset = (uint32_t)(eol - (char *)env->beat);
    env->beat->body_len = 1;
    return true;
}

bool session_env_fit(struct session_env *env, size_t headers) {
    if (headers <= env->header_capacity)
        return true; /* a frame that waits may still need what there is */
    struct stomp_header *larger = calloc(headers, sizeof *larger);
    if (!larger)
        return false;
    free(env->headers);
    env->headers = larger;
    env->header_capacity = headers;
    return true;
}

void session_env_free(struct session_env *env) {
    free(env->headers);
    env->headers = NULL;
    if (env->beat)
        message_unref(env->beat);
    env->beat = NULL;
    buffer_free(&env->key);
    buffer_free(&env->shown);
    buffer_free(&env->reply);
    map_free(&env->consumers);
    queues_forget(env);
}

struct session *session_new(struct session_env *env, uint64_t now_ms) {
    char numbers[SESSION_NUMBERS_MAX];
    uint64_t number = env->sessions + 1;
    snprintf(numbers, sizeof numbers, ":%u-%" PRIu64, env->owner, number);
    size_t boot_len = strlen(env->boot);
    size_t numbers_size = strlen(numbers) + 1;
    struct session *session = calloc(1, sizeof *session + boot_len + numbers_size);
    if (!session)
        return NULL;
    session->number = env->sessions = number;
    memcpy(session->id, env->boot, boot_len);
    memcpy(session->id + boot_len, numbers, numbers_size);
    session->env = env;
    session->opened_ms = session->heard_ms = session->wrote_ms = now_ms;
    session->version = STOMP_1_0;
    stomp_parser_init(&session->parser, &env->limits->before_login, &env->fault);
    outbox_init(&session->outbox, env->owner);
    transactions_init(&session->transactions);
    list_init(&session->waiting);
    list_init(&session->subscriptions);
    list_init(&session->laid);
    list_init(&session->pendings);
    map_init(&session->by_id, subscription_key);
    map_init(&session->unsettled, unsettled_key);
    return session;
}

void session_free(struct session *session) {
    session->woken = true; /* whoever frees it needs no wake or resume */
    session->input_waits = false;
    if (session->state != SESSION_ENDING)
        session_stop(session, FAULT_GONE);
    outbox_free(&session->outbox);
    LIST_FOR_EACH (node, &session->subscriptions)
        subscription_free(CONTAINER_OF(node, struct subscription, in_session));
    map_free(&session->by_id);
    map_free(&session->unsettled);
    stomp_parser_free(&session->parser);
    free(session->user);
    free(session);
}

static void session_wake(struct session *session) {
    if (session->woken)
        return;
    session->woken = true;
    session->env->ops->wake(session);
}

/* ---- input ---- */

static bool must_wait(const struct session *session, enum stomp_command command) {
    if (session->state != SESSION_OPEN)
        return false;
    bool subscribing = (session->env->away ? session->unknown : session->asking) > 0;
    switch (command) {
    case STOMP_SEND:
    case STOMP_COMMIT:
        return subscribing || session->env->congested || session->committing > 0 || queues_are_busy(session);
    case STOMP_ACK:
    case STOMP_NACK:
        return queues_are_busy(session);
    case STOMP_SUBSCRIBE:
    case STOMP_UNSUBSCRIBE:
        return session->env->congested;
    case STOMP_DISCONNECT:
        return subscribing || session->pending_count > 0;
    default:
        return false;
    }
}

static void input_waits(struct session *session, uint64_t now_ms) {
    session->input_waits = true;
    if (session->waits_since_ms == 0)
        session->waits_since_ms = now_ms;
    if (!list_is_linked(&session->waiting))
        list_append(&session->env->waiting, &session->waiting);
}

static void fail(struct session *session, const struct bytes *receipt) {
    session_send_error(session, receipt);
    session_stop(session, session->env->fault.kind);
}

/* `refused`: it is at fault already. */
static void take_frame(struct session *session, bool refused) {
    struct session_env *env = session->env;
    struct stomp_frame frame = {.headers = env->headers, .header_capacity = env->header_capacity};
    session->frame_began_ms = 0;
    session->waits_since_ms = 0;
    if (!stomp_parser_take(&session->parser, &frame))
        fail(session, NULL);
    else if (refused || !session_handle_frame(session, &frame))
        fail(session, stomp_frame_find(&frame, BYTES("receipt")));
}

/* False: no more input is taken for now. */
static bool take_or_hold_frame(struct session *session, uint64_t now_ms) {
    enum stomp_command command = session->parser.command;
    bool waits = must_wait(session, command);
    bool refused = !waits && command == STOMP_SEND && !replies_prepare(session);
    if (refused || (!waits && !must_wait(session, command))) {
        take_frame(session, refused);
        return true;
    }
    if (!stomp_parser_hold(&session->parser)) {
        fault_set(&session->env->fault, FAULT_INTERNAL, "out of memory");
        fail(session, NULL);
        return true;
    }
    input_waits(session, now_ms);
    return false;
}

size_t session_input(struct session *session, char *bytes, size_t len, uint64_t now_ms) {
    size_t used = 0;
    session->heard_ms = now_ms;
    session->input_waits = false;
    while (session->state == SESSION_CONNECTING || session->state == SESSION_OPEN) {
        size_t taken = 0;
        switch (stomp_parser_feed(&session->parser, bytes + used, len - used, &taken)) {
        case STOMP_PARSE_MORE:
            if (!stomp_parser_is_mid_frame(&session->parser))
                session->frame_began_ms = 0;
            else if (session->frame_began_ms == 0)
                session->frame_began_ms = now_ms;
            return used + taken;
        case STOMP_PARSE_FRAME:
            used += taken;
            if (!take_or_hold_frame(session, now_ms))
                return used;
            break;
        case STOMP_PARSE_FAULT:
            fail(session, NULL);
            break;
        }
    }
    if (session->state == SESSION_ENDING)
        return len;
    session->input_waits = true; /* logging in, which is no pause of a publisher */
    return used;
}

void session_heard(struct session *session, uint64_t now_ms) {
    session->heard_ms = now_ms;
}

void session_wrote(struct session *session, uint64_t now_ms) {
    session->wrote_ms = now_ms;
    if (!list_is_empty(&session->laid))
        queues_wrote(session);
}

void session_flushed(struct session *session) {
    if (!list_is_empty(&session->laid))
        queues_flushed(session);
}

void session_stood_still(struct session *session, uint64_t ms) {
    session->wrote_ms -= ms < session->wrote_ms ? ms : session->wrote_ms;
}

static void resume(struct session *session) {
    if (session->input_waits)
        session->env->ops->resume(session);
}

void sessions_go_on(struct session_env *env) {
    struct list_node *node;
    while ((node = list_take_first(&env->waiting)) != NULL)
        resume(CONTAINER_OF(node, struct session, waiting));
}

void session_logged_in(struct session *session, const char *user, uint64_t now_ms) {
    if (session->state != SESSION_LOGGING_IN)
        return;
    session->heard_ms = now_ms;
    if (!user) {
        fault_set(&session->env->fault, FAULT_LOGIN, "login or passcode is wrong");
        fail(session, NULL);
    } else if (!session_open(session, user)) {
        fail(session, NULL);
    }
    resume(session);
}

/* ---- output ---- */

/*
 * Before it counts as slow, the transport writes what the socket takes: only a socket that takes no more makes it so.
 */
static bool has_room(struct session *session, const struct outbox_entry *entry) {
    const struct outbox *outbox = &session->outbox;
    if (outbox->bytes == 0)
        return true;
    uint64_t limit = session->env->limits->outbox_size;
    size_t size = outbox_entry_size(outbox, entry);
    if (outbox->bytes + size > limit)
        session->env->ops->make_room(session);
    return outbox->bytes == 0 || outbox->bytes + size <= limit;
}

/* Appends, or notes the overflow. False when out of memory. */
static inline bool enqueue(struct session *session, const struct outbox_entry *entry) {
    if (session->overflowed)
        return true;
    session_wake(session);
    session->overflowed = !has_room(session, entry);
    return session->overflowed || outbox_push(&session->outbox, entry);
}

bool session_send_delivery(struct session *session, const struct outbox_entry *entry) {
    if (!outbox_push(&session->outbox, entry))
        return false;
    session_wake(session);
    return true;
}

bool session_send_last(struct session *session, struct message *message) {
    bool pushed = message && outbox_push(&session->outbox, &(struct outbox_entry){.message = message});
    if (message)
        message_unref(message);
    session_wake(session);
    return pushed || fault_set(&session->env->fault, FAULT_INTERNAL, "out of memory");
}

bool session_send_control(struct session *session, struct message *message) {
    bool enqueued = message && enqueue(session, &(struct outbox_entry){.message = message});
    if (message)
        message_unref(message);
    return enqueued || fault_set(&session->env->fault, FAULT_INTERNAL, "out of memory");
}

void session_send_error(struct session *session, const struct bytes *receipt) {
    struct bytes why = bytes_of(session->env->fault.message);
    struct stomp_header headers[4] = {{BYTES("message"), why}, {BYTES("content-type"), BYTES("text/plain")}};
    size_t count = 2;
    if (receipt)
        headers[count++] = (struct stomp_header){BYTES("receipt-id"), *receipt};
    if (session->state == SESSION_CONNECTING)
        headers[count++] = (struct stomp_header){BYTES("version"), BYTES(STOMP_VERSIONS)};
    struct message *message = stomp_write_control(session->env->owners, "ERROR", headers, count, why, session->version);
    if (!session_send_last(session, message))
        session->env->fault.kind = FAULT_INTERNAL; /* the close code alone has to tell */
}

void session_deliver(struct subscription *subscription, struct message *message) {
    struct session *session = subscription->session;
    if (session->state != SESSION_OPEN)
        return;
    struct outbox_entry entry = {.message = message, .subscription = subscription};
    if (subscription->ack != ACK_AUTO && session->version == STOMP_1_2)
        entry.ack = ++session->acks;
    if (!enqueue(session, &entry))
        session->overflowed = true; /* no memory to hold it: the same end as no room */
    counter_add(&session->env->counters.delivered, session->overflowed ? 0 : 1);
}

void session_settle(struct session *session) {
    if (session->overflowed && session->state == SESSION_OPEN) {
        outbox_free(&session->outbox);
        session->overflowed = false;
        session_end(session, FAULT_SLOW, "too slow, more was waiting for this session than outbox-size allows", true);
    }
    session->woken = false;
}

void session_subscription_known(struct subscription *subscription) {
    struct session *session = subscription->session;
    subscription->known = true;
    session->unknown--;
    if (session->unknown == 0 && session->env->away)
        resume(session);
}

void session_subscription_live(struct subscription *subscription) {
    struct session *session = subscription->session;
    struct message *receipt = subscription->receipt;
    subscription->live = true;
    subscription->receipt = NULL;
    session->asking--;
    if (receipt && !session_send_control(session, receipt))
        fail(session, NULL);
    if (session->asking == 0)
        resume(session);
}

/* ---- ending ---- */

static void count_end(struct session *session, enum fault_kind end) {
    struct session_counters *counters = &session->env->counters;
    counter_add(&counters->ended[end], 1);
    if (session->state == SESSION_OPEN)
        counter_subtract(&counters->open, 1);
    counter_subtract(&counters->subscriptions, session->subscription_count);
}

void session_unsubscribe(struct session *session, struct subscription *subscription) {
    if (subscription->consumer)
        queues_detach(session, subscription);
    else
        session->env->ops->unsubscribe(session, subscription);
}

void session_stop(struct session *session, enum fault_kind end) {
    count_end(session, end);
    session->state = SESSION_ENDING;
    session->end = end;
    session->frame_began_ms = 0;
    session->asking = 0;
    session->unknown = 0;
    queues_leave(session);
    LIST_FOR_EACH (node, &session->transactions.open)
        queues_abort(session, CONTAINER_OF(node, struct transaction, in_session));
    transactions_end(&session->transactions);
    outbox_drop_deliveries(&session->outbox);
    LIST_FOR_EACH (node, &session->subscriptions)
        session_unsubscribe(session, CONTAINER_OF(node, struct subscription, in_session));
    list_remove(&session->waiting);
    session->env->ops->ended(session, end == FAULT_NONE || end == FAULT_GONE ? "" : session->env->fault.message);
    session_wake(session);
    resume(session);
}

void session_end(struct session *session, enum fault_kind kind, const char *why, bool with_error) {
    if (session->state == SESSION_ENDING)
        return;
    fault_set(&session->env->fault, kind, "%s", why);
    if (with_error)
        session_send_error(session, NULL);
    session_stop(session, session->env->fault.kind);
}

/* ---- time ---- */

static uint64_t earlier(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

/* When the client's silence becomes too long; while its input waits it cannot be blamed. */
static uint64_t silence_due(const struct session *session) {
    if (session->heartbeat.receive_ms == 0 || session->input_waits)
        return UINT64_MAX;
    return session->heard_ms + (uint64_t)HEARTBEAT_MARGIN * session->heartbeat.receive_ms;
}

/* Early by what the timer may be late, so that the client hears from us within the interval. */
static uint64_t beat_due(const struct session *session) {
    uint32_t interval = session->heartbeat.send_ms;
    if (interval == 0)
        return UINT64_MAX;
    uint32_t slack = interval / 2 < 2 * TIMER_TICK_MS ? interval / 2 : 2 * TIMER_TICK_MS;
    return session->wrote_ms + interval - slack;
}

static uint64_t frame_due(const struct session *session) {
    if (session->frame_began_ms == 0 || session->input_waits)
        return UINT64_MAX;
    return session->frame_began_ms + session->env->limits->frame_time_ms;
}

static uint64_t pause_due(const struct session *session) {
    if (!session->input_waits || session->waits_since_ms == 0)
        return UINT64_MAX;
    return session->waits_since_ms + session->env->limits->pause_time_ms;
}

uint64_t session_due(const struct session *session) {
    switch (session->state) {
    case SESSION_CONNECTING:
    case SESSION_LOGGING_IN:
        return session->opened_ms + session->env->limits->connect_time_ms;
    case SESSION_OPEN:
        return earlier(earlier(earlier(silence_due(session), beat_due(session)), queues_due(session)),
                       earlier(frame_due(session), pause_due(session)));
    default:
        return UINT64_MAX;
    }
}

static void beat(struct session *session, uint64_t now_ms) {
    session->wrote_ms = now_ms; /* also when frames wait for a choked socket: they are better than a beat behind them */
    if (session->outbox.count == 0 &&
        outbox_push(&session->outbox, &(struct outbox_entry){.message = session->env->beat}))
        session_wake(session);
}

void session_tick(struct session *session, uint64_t now_ms) {
    bool connected = session->state == SESSION_OPEN;
    if (!connected && session_due(session) <= now_ms)
        session_end(session, FAULT_LATE, "not connected within connect-time", true);
    if (!connected)
        return;
    if (silence_due(session) <= now_ms)
        session_end(session, FAULT_SILENT, "no heart-beat from the client", true);
    else if (frame_due(session) <= now_ms)
        session_end(session, FAULT_LATE, "a frame took longer than frame-time", true);
    else if (queues_due(session) <= now_ms)
        session_end(session, FAULT_PAUSED, "the store of the queues has not answered within pause-time", true);
    else if (pause_due(session) <= now_ms)
        session_end(session, FAULT_PAUSED, "the server could not take this session's messages within pause-time", true);
    else if (beat_due(session) <= now_ms)
        beat(session, now_ms);
}
