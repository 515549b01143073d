/* The worker's life and turn; see worker.h. */
#include "stompd/edge/worker.h"

#include <libwebsockets.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "connection.h"
#include "deflate.h"
#include "receive_buffers.h"
#include "stompd/base/clock.h"
#include "stompd/base/log.h"
#include "stompd/edge/loop.h"
#include "stompd/edge/queue_mail.h"
#include "transport.h"
#include "worker_state.h"

/* libwebsockets' buffer for reading, shared by a worker's connections. */
#define SERVICE_BUFFER RECEIVE_BUFFER_SIZE

/* Cookies of several kilobytes must fit: what is larger is dropped without an answer. */
#define HTTP_HEADERS_MAX 16384

#define HTTP_TIMEOUT_S   10
#define HTTP_KEEPALIVE_S 5

/*
 * When thousands of clients come at once, so many are taken in a turn: each costs some 50 µs until it has subscribed,
 * and whoever is there already must not wait for all of them.
 */
#define ADOPTIONS_A_TURN 16

/* What a tick comes later than this, the worker has stood still. */
#define STANDSTILL_MS ((uint64_t)5 * TIMER_TICK_MS)

/* ---- time ---- */

static uint64_t without_standstill(uint64_t passed_ms) {
    return passed_ms < STANDSTILL_MS ? passed_ms : STANDSTILL_MS;
}

uint64_t worker_time(const struct worker *worker) {
    return worker->ticked_ms + without_standstill(loop_time_ms(worker->loop) - worker->ticked_clock_ms);
}

static void on_tick(void *arg) {
    struct worker *worker = arg;
    uint64_t clock = loop_time_ms(worker->loop);
    uint64_t passed = clock - worker->ticked_clock_ms;
    uint64_t stood_still = passed - without_standstill(passed);
    worker->ticked_clock_ms = clock;
    worker->now_ms = worker->ticked_ms += without_standstill(passed);
    lag_tick(&worker->counters.lag, clock);
    if (stood_still > 0)
        LIST_FOR_EACH (node, &worker->connections)
            connection_stood_still(CONTAINER_OF(node, struct connection, in_worker), stood_still);
    timer_wheel_advance(&worker->timers, worker->now_ms);
}

/* ---- start ---- */

/* libwebsockets' own troubles; what clients can provoke it to say is limited. */
static void on_lws_log(int level, const char *line) {
    static struct log_limit limit;
    log_limited(&limit, level == LLL_ERR ? LOG_LEVEL_WARNING : LOG_LEVEL_INFO, "libwebsockets: %.*s",
                (int)strcspn(line, "\n"), line);
}

/* As many connections as there may be. */
static size_t open_files_limit(void) {
    struct rlimit limit;
    return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : 0;
}

static bool create_context(struct worker *worker) {
    static const lws_retry_bo_t no_validity_timer = {0}; /* ours is cheaper: connection.c pings */
    void *loops[] = {loop_native(worker->loop)};
    struct lws_context_creation_info info = {
        .port = CONTEXT_PORT_NO_LISTEN_SERVER,
        .options = loop_lws_option() | LWS_SERVER_OPTION_EXPLICIT_VHOSTS | LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT,
        .foreign_loops = loops,
        .count_threads = 1,
        .pt_serv_buf_size = SERVICE_BUFFER,
        .max_http_header_data = HTTP_HEADERS_MAX,
        .timeout_secs = HTTP_TIMEOUT_S,
        .retry_and_idle_policy = &no_validity_timer,
    };
    lws_set_log_level(LLL_ERR | LLL_WARN, on_lws_log);
    receive_buffers_open(open_files_limit());
    lws_set_allocator(receive_buffers_allocate);
    worker->context = lws_create_context(&info);
    return worker->context != NULL;
}

void listener_has_tls(struct lws_vhost *vhost, struct ssl_ctx_st *tls) {
    struct listener *listener = lws_vhost_user(vhost);
    listener->tls = tls;
}

/*
 * `listener` is NULL for the first. libwebsockets takes it that a vhost with TLS will connect to others too: were it
 * not given a client's SSL_CTX, it would make one, with all the authorities that the system trusts, and where there are
 * several workers never free it.
 */
static struct lws_vhost *create_vhost(struct worker *worker, const struct lws_protocols *protocols,
                                      struct listener *listener) {
    static const lws_retry_bo_t no_validity_timer = {0};
    const struct listener_conf *tls = listener ? &listener->conf : NULL;
    struct lws_context_creation_info info = {
        .port = CONTEXT_PORT_NO_LISTEN_SERVER,
        .vhost_name = "stompd",
        .user = listener,
        .protocols = protocols,
        .extensions = websocket_extensions(),
        .ssl_cert_filepath = tls ? tls->tls_certificate : NULL,
        .ssl_private_key_filepath = tls ? tls->tls_key : NULL,
        .provided_client_ssl_ctx = worker->client_tls,
        .options = tls && tls->tls_certificate ? LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT : 0,
        .alpn = "http/1.1",
        .keepalive_timeout = HTTP_KEEPALIVE_S,
        .timeout_secs = HTTP_TIMEOUT_S,
        .retry_and_idle_policy = &no_validity_timer,
    };
    return lws_create_vhost(worker->context, &info);
}

/*
 * A client's Host header or TLS server name makes libwebsockets look for another vhost; on adopted sockets it then
 * takes the first one, whatever the name. So the first one is made to suit every socket: WebSocket protocols, and no
 * certificate, so that each listener keeps its own. What else differs between listeners is decided by
 * connection->listener.
 */
static bool create_listeners(struct worker *worker) {
    const struct lws_protocols *websocket = websocket_protocols();
    worker->client_tls = SSL_CTX_new(TLS_client_method());
    worker->listeners = calloc(worker->settings->listener_count, sizeof *worker->listeners);
    if (!worker->client_tls || !worker->listeners || !create_vhost(worker, websocket, NULL))
        return false;
    for (size_t n = 0; n < worker->settings->listener_count; n++) {
        struct listener *listener = &worker->listeners[n];
        listener->conf = worker->settings->listeners[n];
        listener->vhost =
            create_vhost(worker, listener->conf.protocol == LISTENER_WS ? websocket : tcp_protocols(), listener);
        if (!listener->vhost) {
            log_error("listen %s: its certificate or key can't be used", listener->conf.name);
            return false;
        }
    }
    return true;
}

static bool create_parts(struct worker *worker) {
    worker->loop = loop_new(on_tick, worker);
    if (!worker->loop)
        return false;
    worker->ticked_clock_ms = loop_time_ms(worker->loop);
    mailbox_init(&worker->mailbox, loop_wake, worker->loop);
    worker->env = (struct session_env){.ops = &connection_ops,
                                       .limits = &worker->limits,
                                       .anonymous = worker->settings->users->anonymous,
                                       .policies = worker->settings->policies,
                                       .node = worker->conf.node,
                                       .boot = worker->conf.boot,
                                       .boot_id = worker->conf.boot_id,
                                       .owner = worker->conf.index,
                                       .owners = worker->conf.count,
                                       .wall_ms = clock_wall_ms()};
    worker->compressor = compressor_new();
    return worker->compressor && session_env_init(&worker->env) && create_context(worker) && create_listeners(worker);
}

struct worker *worker_new(const struct worker_conf *conf) {
    struct worker *worker = calloc(1, sizeof *worker);
    if (worker) {
        worker->conf = *conf;
        worker->settings = settings_ref(conf->settings);
        worker->limits = *conf->settings->limits;
        worker->now_ms = worker->ticked_ms = clock_ms();
        list_init(&worker->connections);
        list_init(&worker->dirty);
        list_init(&worker->resuming);
        worker->arrives_next = &worker->arriving;
        timer_wheel_init(&worker->timers, worker->now_ms);
        lag_init(&worker->counters.lag, TIMER_TICK_MS);
        if (create_parts(worker))
            return worker;
    }
    log_error("worker %u can't be set up", conf->index);
    worker_free(worker);
    return NULL;
}

struct mailbox *worker_mailbox(struct worker *worker) {
    return &worker->mailbox;
}

const struct session_counters *worker_session_counters(const struct worker *worker) {
    return &worker->env.counters;
}

const struct worker_counters *worker_counters(const struct worker *worker) {
    return &worker->counters;
}

void worker_free(struct worker *worker) {
    if (!worker)
        return;
    loop_free(worker->loop, worker->context); /* closes the connections, and so the sessions */
    SSL_CTX_free(worker->client_tls);
    mail_discard_all(mailbox_take(&worker->mailbox));
    mail_discard_all(worker->arriving);
    mail_discard_all(worker->to_hub.newest);
    router_free(&worker->router);
    session_env_free(&worker->env);
    compressor_free(worker->compressor);
    buffer_free(&worker->scratch);
    buffer_free(&worker->plain);
    buffer_free(&worker->packed);
    free(worker->listeners);
    settings_unref(worker->settings);
    free(worker);
}

/* ---- mail ---- */

/* Spread evenly, so that the other nodes are not hit by all the clients at once. */
static void close_sessions(struct worker *worker, uint32_t drain_time_ms) {
    uint64_t parts = 1;
    uint64_t n = 0;
    LIST_FOR_EACH (node, &worker->connections)
        parts++;
    LIST_FOR_EACH (node, &worker->connections)
        connection_drain(CONTAINER_OF(node, struct connection, in_worker),
                         worker->now_ms + drain_time_ms * n++ / parts);
}

static void drain(struct worker *worker, const struct mail_drain *mail) {
    worker->draining = true;
    worker->drain_kind = mail->kind;
    worker->closing = mail->closing;
    if (mail->closing)
        close_sessions(worker, mail->drain_time_ms);
}

/* New connections show the new certificates. */
static void install_certificates(struct worker *worker) {
    for (size_t n = 0; n < worker->settings->listener_count; n++) {
        struct listener *listener = &worker->listeners[n];
        const struct certificate *certificate = worker->settings->certificates[n];
        if (listener->tls && certificate && !certificate_install(certificate, listener->tls))
            log_error("listen %s: worker %u is out of memory and keeps its certificate", listener->conf.name,
                      worker->conf.index);
    }
}

/* Times that have become shorter are due earlier than the timers say. */
static void rearm_timers(struct worker *worker) {
    LIST_FOR_EACH (node, &worker->connections)
        connection_arm_timer(CONTAINER_OF(node, struct connection, in_worker));
}

/* Takes the reference. Sessions and connections point to copies, whose addresses stay. */
static void take_settings(struct worker *worker, struct settings *settings) {
    if (!session_env_fit(&worker->env, settings->limits->frames.headers)) {
        log_error("worker %u is out of memory and keeps the conf that it has", worker->conf.index);
        settings_unref(settings);
        return;
    }
    settings_unref(worker->settings);
    worker->settings = settings;
    worker->limits = *settings->limits;
    worker->env.anonymous = settings->users->anonymous;
    worker->env.policies = settings->policies;
    for (size_t n = 0; n < settings->listener_count; n++)
        worker->listeners[n].conf = settings->listeners[n];
    install_certificates(worker);
    rearm_timers(worker);
}

static void adopt(struct worker *worker, const struct mail_adopt *mail) {
    const struct listener *listener = &worker->listeners[mail->listener];
    struct connection *connection = worker->closing ? NULL : connection_new(worker, mail);
    if (!connection) {
        close(mail->fd);
        worker->released++;
        return;
    }
    bool websocket = listener->conf.protocol == LISTENER_WS;
    lws_adopt_desc_t description = {
        .vh = listener->vhost,
        .type = (lws_adoption_type)(LWS_ADOPT_SOCKET | LWS_ADOPT_ALLOW_SSL | (websocket ? LWS_ADOPT_HTTP : 0)),
        .fd.sockfd = mail->fd,
        .vh_prot_name = websocket ? NULL : TCP_PROTOCOL,
        .opaque = connection,
    };
    connection_adopt(connection, &description);
}

static void adopt_some(struct worker *worker) {
    for (unsigned n = 0; n < ADOPTIONS_A_TURN && worker->arriving; n++) {
        struct mail *mail = worker->arriving;
        worker->arriving = mail->next;
        adopt(worker, (struct mail_adopt *)mail);
        free(mail);
    }
    if (worker->arriving)
        loop_wake(worker->loop);
    else
        worker->arrives_next = &worker->arriving;
}

static void take_mail(struct worker *worker, struct mail *mail) {
    if (router_take_mail(&worker->router, mail) || queue_mail_take(&worker->env, mail)) {
        free(mail);
        return;
    }
    switch ((enum mail_type)mail->type) {
    case MAIL_ADOPT:
        mail->next = NULL;
        *worker->arrives_next = mail;
        worker->arrives_next = &mail->next;
        return;
    case MAIL_DRAIN:
        drain(worker, (struct mail_drain *)mail);
        break;
    case MAIL_SETTINGS:
        take_settings(worker, ((struct mail_settings *)mail)->settings);
        break;
    case MAIL_STOP:
        worker->stopping = true;
        return;
    case MAIL_LOGIN:
        connection_logged_in(worker, (struct mail_login *)mail);
        return;
    default:
        break; /* the hub's */
    }
    free(mail);
}

/* ---- the turn ---- */

static void take_all_mail(struct worker *worker) {
    struct mail *mail = mailbox_take(&worker->mailbox);
    while (mail) {
        struct mail *next = mail->next;
        take_mail(worker, mail);
        mail = next;
    }
}

static void resume_all(struct worker *worker) {
    struct list_node *node;
    while ((node = list_take_first(&worker->resuming)) != NULL)
        connection_resume(CONTAINER_OF(node, struct connection, resuming));
}

static void flush_all(struct worker *worker) {
    struct list_node *node;
    while ((node = list_take_first(&worker->dirty)) != NULL)
        connection_flush(CONTAINER_OF(node, struct connection, dirty));
}

static void post_to_hub(struct worker *worker) {
    struct mail_released *mail = worker->released > 0 ? malloc(sizeof *mail) : NULL;
    if (mail) {
        *mail =
            (struct mail_released){.mail.type = MAIL_RELEASED, .from = worker->conf.index, .count = worker->released};
        worker->released = 0;
        mail_batch_add(&worker->to_hub, &mail->mail);
    }
    mailbox_post_batch(worker->conf.hub, &worker->to_hub);
}

static void count_turn(struct worker *worker) {
    counter_add(&worker->counters.turns, 1);
    counter_set(&worker->counters.turned_ms, clock_ms());
    counter_set(&worker->counters.congested, worker->env.congested);
}

static void *run(void *arg) {
    struct worker *worker = arg;
    while (!worker->stopping) {
        loop_turn(worker->loop);
        worker->now_ms = worker_time(worker);
        worker->env.wall_ms = clock_wall_ms();
        take_all_mail(worker);
        adopt_some(worker);
        resume_all(worker);
        router_post(&worker->router);
        flush_all(worker);
        post_to_hub(worker);
        if (worker->kick)
            lws_cancel_service(worker->context);
        worker->kick = false;
        count_turn(worker);
    }
    return NULL;
}

bool worker_start(struct worker *worker, struct mailbox *const *mailboxes) {
    counter_set(&worker->counters.turned_ms, clock_ms());
    if (!router_init(&worker->router, &worker->env, worker->conf.index, worker->conf.count, mailboxes, worker->conf.hub,
                     worker->conf.cluster) ||
        pthread_create(&worker->thread, NULL, run, worker) != 0) {
        log_error("worker %u can't be started", worker->conf.index);
        return false;
    }
    worker->running = true;
    return true;
}

void worker_join(struct worker *worker) {
    if (worker->running)
        pthread_join(worker->thread, NULL);
    worker->running = false;
}
