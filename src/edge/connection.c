/* Connections: what lies between a transport's callbacks and a session. */
#include "connection.h"

#include <libwebsockets.h>
#include <stdlib.h>
#include <string.h>

#include "http.h"
#include "stompd/base/log.h"
#include "stompd/edge/queue_mail.h"

/* How many of the largest frames may be kept for a session that takes no input. */
#define STASH_FRAMES 2

/* ---- life ---- */

static void on_timer(struct timer *timer, uint64_t now_ms);

struct connection *connection_new(struct worker *worker, const struct mail_adopt *adopt) {
    struct connection *connection = calloc(1, sizeof *connection);
    if (!connection)
        return NULL;
    connection->worker = worker;
    connection->listener = &worker->listeners[adopt->listener].conf;
    connection->opened_ms = worker->now_ms;
    memcpy(connection->peer, adopt->peer, sizeof connection->peer);
    list_init(&connection->dirty);
    list_init(&connection->resuming);
    list_append(&worker->connections, &connection->in_worker);
    counter_add(&worker->counters.connections[connection->listener->protocol], 1);
    counter_add(&worker->counters.adopted[connection->listener->protocol], 1);
    timer_init(&connection->timer, on_timer);
    connection_arm_timer(connection);
    return connection;
}

void connection_free(struct connection *connection) {
    struct worker *worker = connection->worker;
    if (connection->login)
        connection_abandon_login(connection);
    if (connection->session) {
        log_debug("%s: session %s closed", connection->peer, connection->session->id);
        session_free(connection->session);
    }
    if (worker->adopting == connection)
        worker->adopting = NULL;
    free(connection->leave);
    timer_cancel(&worker->timers, &connection->timer);
    list_remove(&connection->dirty);
    list_remove(&connection->resuming);
    list_remove(&connection->in_worker);
    counter_subtract(&worker->counters.connections[connection->listener->protocol], 1);
    buffer_free(&connection->stash);
    inbound_free(connection);
    worker->released++;
    free(connection);
}

static void give_up_later(struct connection *connection) {
    connection->phase = CONNECTION_CLOSED;
    connection->wsi = NULL;
    connection->linger_ms = connection->worker->now_ms + CONNECTION_LINGER_MS;
    connection_arm_timer(connection);
}

void connection_serve(struct connection *connection) {
    connection->served = true;
    connection->opened_ms = connection->worker->now_ms;
    connection_arm_timer(connection);
}

bool connection_open(struct connection *connection) {
    connection->session = session_new(&connection->worker->env, connection->worker->now_ms);
    if (!connection->session)
        return false;
    connection->session->transport = connection;
    connection->phase = CONNECTION_OPEN;
    log_debug("%s: session %s opened on %s", connection->peer, connection->session->id, connection->listener->name);
    connection_arm_timer(connection);
    return true;
}

void connection_adopt(struct connection *connection, const struct lws_adopt_desc *description) {
    struct worker *worker = connection->worker;
    worker->adopting = connection;
    struct lws *wsi = lws_adopt_descriptor_vhost_via_info(description);
    if (!worker->adopting)
        return; /* freed on the way */
    worker->adopting = NULL;
    if (wsi)
        connection->wsi = wsi;
    else
        give_up_later(connection); /* the descriptor is closed; whether a destroy callback follows is not known */
}

void connection_kill(struct connection *connection) {
    connection->phase = CONNECTION_CLOSED;
    lws_set_timeout(connection->wsi, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_ASYNC);
    connection->worker->kick = true;
}

/* ---- input ---- */

static void set_reading(struct connection *connection) {
    bool reading = !connection->paused && !connection->held;
    lws_rx_flow_control(connection->wsi, reading);
    if (reading)
        connection->worker->kick = true;
}

void connection_pause(struct connection *connection, bool paused) {
    if (connection->paused == paused)
        return;
    connection->paused = paused;
    set_reading(connection);
}

void connection_hold(struct connection *connection, bool held) {
    if (connection->held == held)
        return;
    connection->held = held;
    set_reading(connection);
}

static void feed(struct connection *connection, char *bytes, size_t len) {
    size_t used = session_input(connection->session, bytes, len, connection->worker->now_ms);
    if (used < len && !buffer_append(&connection->stash, bytes + used, len - used))
        session_end(connection->session, FAULT_INTERNAL, "out of memory", true);
    connection_pause(connection, connection->session->input_waits);
    connection_arm_timer(connection);
}

/* libwebsockets hands over what it had read before the pause, and decompressing can make much of it. */
static void keep_for_later(struct connection *connection, const char *bytes, size_t len) {
    if (connection->stash.len + len > STASH_FRAMES * connection->worker->limits.frames.frame_size)
        session_end(connection->session, FAULT_SIZE, "too much was sent behind a frame that has to wait (frame-size)",
                    true);
    else if (!buffer_append(&connection->stash, bytes, len))
        session_end(connection->session, FAULT_INTERNAL, "out of memory", true);
}

void connection_input(struct connection *connection, char *bytes, size_t len) {
    if (connection->phase != CONNECTION_OPEN || len == 0)
        return;
    counter_add(&connection->worker->counters.received_bytes, len);
    if (connection->session->input_waits)
        keep_for_later(connection, bytes, len);
    else
        feed(connection, bytes, len);
}

void connection_resume(struct connection *connection) {
    struct buffer waiting = connection->stash;
    char nothing;
    connection->stash = (struct buffer){0};
    if (connection->phase == CONNECTION_OPEN)
        feed(connection, waiting.data ? waiting.data : &nothing, waiting.len);
    buffer_free(&waiting);
}

/* ---- time ---- */

/* A silent WebSocket client is pinged, early enough for its pong to count as a sign of life. */
static uint64_t ping_interval(const struct connection *connection) {
    uint64_t interval = connection->worker->settings->ping_time_ms;
    uint64_t expected = connection->session->heartbeat.receive_ms;
    return expected > 0 && expected * 3 / 2 < interval ? expected * 3 / 2 : interval;
}

static bool is_pinged(const struct connection *connection) {
    return connection->phase == CONNECTION_OPEN && connection_is_websocket(connection) && !connection->paused &&
           connection->worker->settings->ping_time_ms > 0;
}

static uint64_t ping_due(const struct connection *connection) {
    if (!is_pinged(connection))
        return UINT64_MAX;
    uint64_t heard = connection->session->heard_ms;
    uint64_t since = connection->pinged_ms > heard ? connection->pinged_ms : heard;
    return since + ping_interval(connection);
}

/* A compressed message that is never finished must not hold its decompressor for ever. */
static uint64_t message_due(const struct connection *connection) {
    if (!connection->inbound.inflater || connection->paused)
        return UINT64_MAX;
    return connection->inbound.began_ms + connection->worker->limits.frame_time_ms;
}

static uint64_t earlier(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

/*
 * A handshake has connect-time. An HTTP request has as long as a frame, and its response again as long each time that
 * the client is found to have taken some of it.
 */
static uint64_t opening_due(const struct connection *connection) {
    const struct session_limits *limits = &connection->worker->limits;
    return connection->opened_ms + (connection->served ? limits->frame_time_ms : limits->connect_time_ms);
}

static uint64_t connection_due(const struct connection *connection) {
    uint64_t due = connection->drain_ms > 0 ? connection->drain_ms : UINT64_MAX;
    if (connection->linger_ms > 0)
        return connection->linger_ms;
    if (connection->phase == CONNECTION_OPENING)
        due = earlier(due, opening_due(connection));
    if (connection->phase == CONNECTION_OPEN)
        due = earlier(earlier(due, message_due(connection)),
                      earlier(session_due(connection->session), ping_due(connection)));
    return due;
}

void connection_arm_timer(struct connection *connection) {
    uint64_t due = connection_due(connection);
    if (due == UINT64_MAX)
        return;
    if (!list_is_linked(&connection->timer.node) || due < connection->timer.due_ms)
        timer_set(&connection->worker->timers, &connection->timer, due);
}

void connection_stood_still(struct connection *connection, uint64_t ms) {
    if (connection->phase == CONNECTION_OPEN)
        session_stood_still(connection->session, ms);
    connection_arm_timer(connection);
}

/* With STOMP heart-beats, the session itself judges the client's silence. */
static void ping_or_give_up(struct connection *connection, uint64_t now_ms) {
    bool unanswered = connection->pinged_ms > connection->session->heard_ms;
    if (unanswered && connection->session->heartbeat.receive_ms == 0)
        session_end(connection->session, FAULT_SILENT, "no answer to a ping", true);
    else if (connection_ping(connection))
        connection->pinged_ms = now_ms;
}

static void end_or_kill(struct connection *connection) {
    connection->drain_ms = 0;
    if (connection->phase == CONNECTION_OPEN)
        session_end(connection->session, connection->worker->drain_kind, "this node is going down, please reconnect",
                    !connection_is_websocket(connection)); /* a WebSocket's close code says it */
    else
        connection_kill(connection);
}

/* Whether the client takes what it has asked for. */
static bool response_goes_on(struct connection *connection, uint64_t now_ms) {
    if (connection->phase != CONNECTION_OPENING || !connection->served)
        return false;
    uint64_t taken = http_taken(connection->wsi);
    if (taken == connection->taken)
        return false;
    connection->taken = taken;
    connection->opened_ms = now_ms;
    return true;
}

void connection_drain(struct connection *connection, uint64_t when_ms) {
    connection->drain_ms = when_ms;
    if (connection->linger_ms > 0 && connection->worker->drain_kind == FAULT_SHUTDOWN)
        connection->linger_ms = earlier(connection->linger_ms, when_ms + CONNECTION_LINGER_SHUTDOWN_MS);
    connection_arm_timer(connection);
}

/* False: it is over with the connection, which may be freed. */
static bool act_on_time(struct connection *connection, uint64_t now_ms) {
    if (!connection->wsi) {
        connection_free(connection);
        return false;
    }
    if (connection->drain_ms > 0 && connection->drain_ms <= now_ms) {
        end_or_kill(connection);
    } else if (connection->phase != CONNECTION_OPEN) {
        if (response_goes_on(connection, now_ms))
            return true;
        connection_kill(connection);
        return false;
    } else {
        session_tick(connection->session, now_ms);
        if (message_due(connection) <= now_ms)
            session_end(connection->session, FAULT_LATE, "a WebSocket message took longer than frame-time", true);
        if (connection->session->state != SESSION_ENDING && ping_due(connection) <= now_ms)
            ping_or_give_up(connection, now_ms);
    }
    return connection->phase != CONNECTION_CLOSED;
}

static void on_timer(struct timer *timer, uint64_t now_ms) {
    struct connection *connection = CONTAINER_OF(timer, struct connection, timer);
    if (connection_due(connection) > now_ms || act_on_time(connection, now_ms))
        connection_arm_timer(connection);
}

/* ---- effects of the session ---- */

static struct connection *connection_of(struct session *session) {
    return session->transport;
}

static void on_wake(struct session *session) {
    struct connection *connection = connection_of(session);
    if (!list_is_linked(&connection->dirty))
        list_append(&connection->worker->dirty, &connection->dirty);
}

static struct mail_session *session_mail(const struct session *session, bool open) {
    size_t id_len = strlen(session->id);
    size_t user_len = strlen(session->user);
    struct mail_session *mail = malloc(sizeof *mail + id_len + user_len);
    if (!mail)
        return NULL;
    *mail = (struct mail_session){.mail.type = MAIL_SESSION, .open = open, .id_len = id_len, .user_len = user_len};
    memcpy(mail->text, session->id, id_len);
    memcpy(mail->text + id_len, session->user, user_len);
    return mail;
}

/* The registry learns of sessions that have a user. */
static bool on_opened(struct session *session) {
    struct connection *connection = connection_of(session);
    struct mail_session *enter = session->user ? session_mail(session, true) : NULL;
    if (!session->user)
        return true;
    connection->leave = session_mail(session, false);
    if (!enter || !connection->leave) {
        free(enter);
        return false; /* without an `enter`, a `leave` that on_ended() sends does no harm */
    }
    mail_batch_add(&connection->worker->to_hub, &enter->mail);
    return true;
}

static void on_ended(struct session *session, const char *why) {
    static struct log_limit limit;
    struct connection *connection = connection_of(session);
    if (connection->leave)
        mail_batch_add(&connection->worker->to_hub, &connection->leave->mail);
    connection->leave = NULL;
    if (why[0] != '\0' && session->end != FAULT_RESTART && session->end != FAULT_SHUTDOWN)
        log_limited(&limit, LOG_LEVEL_INFO, "%s: session %s (%s) ended: %s", connection->peer, session->id,
                    session->user ? session->user : "no user", why);
}

/* Not at once: the caller may be within a walk that further frames of this session would disturb. */
static void on_resume(struct session *session) {
    struct connection *connection = connection_of(session);
    if (!list_is_linked(&connection->resuming))
        list_append(&connection->worker->resuming, &connection->resuming);
}

static bool on_subscribe(struct session *session, struct subscription *subscription,
                         const struct destination *destination) {
    return router_subscribe(&connection_of(session)->worker->router, subscription, destination);
}

static void on_unsubscribe(struct session *session, struct subscription *subscription) {
    router_unsubscribe(&connection_of(session)->worker->router, subscription);
}

static struct worker *worker_of(struct session_env *env) {
    return CONTAINER_OF(env, struct worker, env);
}

static bool on_publish(struct session_env *env, struct message *message) {
    return router_publish(&worker_of(env)->router, message);
}

static bool on_consume(struct session_env *env, const struct consumer *consumer, struct bytes topic) {
    return queue_mail_consume(&worker_of(env)->to_hub, env->owner, consumer, topic);
}

static bool on_forget(struct session_env *env, struct bytes queue, struct pending *pending) {
    return queue_mail_forget(&worker_of(env)->to_hub, env->owner, queue, pending);
}

static void on_unconsume(struct session_env *env, uint64_t consumer) {
    queue_mail_unconsume(&worker_of(env)->to_hub, env->owner, consumer);
}

static void on_written(struct session_env *env, uint64_t consumer, uint64_t bytes) {
    queue_mail_written(&worker_of(env)->to_hub, env->owner, consumer, bytes);
}

static bool on_submit(struct session_env *env, struct change *change) {
    return queue_mail_submit(&worker_of(env)->to_hub, env->owner, change);
}

const struct session_ops connection_ops = {
    .wake = on_wake,
    .make_room = connection_make_room,
    .opened = on_opened,
    .ended = on_ended,
    .resume = on_resume,
    .log_in = connection_log_in,
    .subscribe = on_subscribe,
    .unsubscribe = on_unsubscribe,
    .publish = on_publish,
    .consume = on_consume,
    .forget = on_forget,
    .unconsume = on_unconsume,
    .written = on_written,
    .submit = on_submit,
};
