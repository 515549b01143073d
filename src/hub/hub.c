/* The hub's life: workers, mail, cluster, signals, drain. See hub.h. */
#include "stompd/hub/hub.h"

#include <event2/event.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>

#include "acceptance.h"
#include "admin.h"
#include "cluster.h"
#include "durables.h"
#include "notify.h"
#include "queues.h"
#include "reload.h"
#include "stompd/base/clock.h"
#include "stompd/base/log.h"
#include "stompd/edge/worker.h"
#include "stompd/store/memory_queues.h"
#include "stompd/store/redis_store.h"

#define HELPER_THREADS 2

/* The cluster's sense of time. */
#define TICK_MS 100

/* A node that starts waits for its place in the cluster, but not longer for a Redis that can't be reached. */
#define START_WITHOUT_REDIS_MS 3000

/* Sessions that do not go within drain-time are given this long more. */
#define DRAIN_GRACE_MS 6000

/* What sessions left to be done in queues, such as to give back what they had, has this long before the node leaves. */
#define SETTLE_MS 3000

#define BOOT_ID_BYTES 6

_Static_assert(CONF_WORKERS_MAX <= 64, "edge/router.c keeps a set of workers in 64 bits");

struct hub {
    const struct conf *conf;
    struct event_base *base;
    struct event *mail_event;
    struct event *signals[3];
    struct event *drain_timer;
    int wake_fd;
    struct mailbox mailbox;
    struct reload *reload; /* the conf in force; `conf` is that of the start */
    struct helpers *helpers;
    struct worker *workers[CONF_WORKERS_MAX];
    struct mailbox *mailboxes[CONF_WORKERS_MAX];
    struct mail stops[CONF_WORKERS_MAX]; /* ready, so that ending never fails */
    struct acceptance *acceptance;
    struct registry *registry;
    struct store *store;     /* NULL: a node on its own */
    struct cluster *cluster; /* NULL: the same */
    struct queue_store *queue_store;
    struct queues *queues;
    struct durables *durables;
    uint64_t settle_until_ms; /* 0: the sessions are not all gone yet */
    struct event *tick_timer;
    struct lag lag; /* of the tick */
    struct watchdog watchdog;
    struct starting starting;
    struct worker_gauges gauges[CONF_WORKERS_MAX];
    struct admin *admin; /* NULL: no port for operators */
    uint64_t started_ms;
    bool serving; /* sockets are accepted */
    bool draining;
    bool closing;
    bool ended;
    bool failed;
    enum fault_kind drain_kind;
    char boot_id[2 * BOOT_ID_BYTES + 1];
    char *boot; /* "<node>:<boot id>" */
};

/* ---- mail ---- */

static void wake(void *arg) {
    uint64_t one = 1;
    ssize_t written = write(*(const int *)arg, &one, sizeof one);
    (void)written; /* full means that the hub is going to wake anyway */
}

static void end(struct hub *hub) {
    hub->ended = true;
}

/* The registry is left last, when no session is there any more. */
static void leave(struct hub *hub) {
    if (hub->cluster)
        cluster_leave(hub->cluster, clock_ms());
    else
        end(hub);
}

static void leave_when_settled(struct hub *hub, uint64_t now_ms) {
    if (hub->settle_until_ms == 0)
        hub->settle_until_ms = now_ms + SETTLE_MS;
    bool settled = durables_are_settled(hub->durables) && queues_is_settled(hub->queues);
    if (settled || now_ms >= hub->settle_until_ms)
        leave(hub);
}

static void leave_when_empty(struct hub *hub) {
    if (hub->closing && acceptance_open(hub->acceptance) == 0)
        leave_when_settled(hub, clock_ms());
}

static void take_mail(struct hub *hub, const struct mail *mail, uint64_t now_ms) {
    if (mail->type == MAIL_RELEASED)
        acceptance_released(hub->acceptance, (const struct mail_released *)mail);
    else if (durables_take_mail(hub->durables, mail, now_ms) || queues_take_mail(hub->queues, mail, now_ms) ||
             (hub->cluster && cluster_take_mail(hub->cluster, mail, now_ms)))
        return;
    else if (mail->type == MAIL_SESSION)
        registry_take_mail(hub->registry, (const struct mail_session *)mail);
    else
        log_error("mail of type %u is not the hub's", mail->type);
}

static void on_mail(evutil_socket_t fd, short what, void *arg) {
    struct hub *hub = arg;
    uint64_t count;
    ssize_t got = read(fd, &count, sizeof count);
    (void)got;
    (void)what;
    uint64_t now_ms = clock_ms();
    struct mail *mail = mailbox_take(&hub->mailbox);
    while (mail) {
        struct mail *next = mail->next;
        take_mail(hub, mail, now_ms);
        free(mail);
        mail = next;
    }
    leave_when_empty(hub);
}

/* ---- going down ---- */

static void tell_workers(struct hub *hub, bool closing, uint32_t drain_time_ms) {
    for (unsigned n = 0; n < hub->conf->workers; n++) {
        struct mail_drain *mail = malloc(sizeof *mail);
        if (!mail)
            continue; /* the grace time ends it all the same */
        *mail = (struct mail_drain){
            .mail.type = MAIL_DRAIN, .closing = closing, .kind = hub->drain_kind, .drain_time_ms = drain_time_ms};
        mailbox_post(hub->mailboxes[n], &mail->mail);
    }
}

static void set_drain_timer(struct hub *hub, uint32_t ms) {
    struct timeval time = {ms / 1000, (suseconds_t)(ms % 1000) * 1000};
    event_add(hub->drain_timer, &time);
}

static void close_sessions(struct hub *hub) {
    uint32_t time_ms = hub->drain_kind == FAULT_RESTART ? reload_conf(hub->reload)->drain_time_ms : 0;
    hub->closing = true;
    acceptance_stop(hub->acceptance);
    tell_workers(hub, true, time_ms);
    set_drain_timer(hub, time_ms + DRAIN_GRACE_MS);
    log_notice("closing %u sockets over %" PRIu32 " ms", acceptance_open(hub->acceptance), time_ms);
    leave_when_empty(hub);
}

/* First the notice is over, later the grace. */
static void on_drain_timer(evutil_socket_t fd, short what, void *arg) {
    struct hub *hub = arg;
    (void)fd;
    (void)what;
    if (!hub->closing) {
        close_sessions(hub);
        return;
    }
    log_warning("%u sockets are still open; ending all the same", acceptance_open(hub->acceptance));
    leave(hub);
}

static void reload(struct hub *hub) {
    bool told = hub->serving && !hub->draining;
    if (told)
        notify_reloading();
    bool reloaded = reload_run(hub->reload, hub->acceptance, hub->mailboxes);
    if (reloaded) {
        queues_set_policies(hub->queues, &reload_conf(hub->reload)->policies);
        durables_set_per_user(hub->durables, reload_conf(hub->reload)->durable_subscriptions);
    }
    if (reloaded && hub->admin)
        admin_reload(hub->admin, reload_conf(hub->reload)->admin.token_file);
    if (told)
        notify_ready("serving clients, with %s conf", reloaded ? "the new" : "its old");
}

static void on_signal(evutil_socket_t number, short what, void *arg) {
    struct hub *hub = arg;
    (void)what;
    if (number == SIGHUP) {
        reload(hub);
        return;
    }
    if (hub->draining) {
        log_notice("%s again: ending at once", number == SIGTERM ? "SIGTERM" : "SIGINT");
        end(hub);
        return;
    }
    hub->draining = true;
    notify_stopping("closing %u sockets", acceptance_open(hub->acceptance));
    if (number == SIGINT) {
        hub->drain_kind = FAULT_SHUTDOWN;
        close_sessions(hub);
        return;
    }
    hub->drain_kind = FAULT_RESTART;
    uint32_t notice_time_ms = reload_conf(hub->reload)->notice_time_ms;
    log_notice("SIGTERM: draining, new sockets are served for %" PRIu32 " ms more", notice_time_ms);
    tell_workers(hub, false, 0);
    set_drain_timer(hub, notice_time_ms);
}

/* ---- the cluster ---- */

/* In a cluster a node serves once it has its place; where Redis can't be reached or is full, on its own meanwhile. */
static bool may_serve(const struct hub *hub) {
    if (!hub->cluster)
        return true;
    const struct membership *membership = cluster_membership(hub->cluster);
    if (cluster_state(hub->cluster) == CLUSTER_AWAY || membership_is_failing(membership))
        return clock_ms() >= hub->started_ms + START_WITHOUT_REDIS_MS;
    return cluster_state(hub->cluster) == CLUSTER_UP && membership_is_in(membership);
}

static void serve(struct hub *hub) {
    hub->serving = true;
    acceptance_start(hub->acceptance);
    notify_ready("serving clients");
    log_notice("node %s is ready: boot %s, %u workers", hub->conf->node, hub->boot_id, hub->conf->workers);
}

/* When the worker that has not turned for longest did. */
static uint64_t stalest_turn(const struct hub *hub) {
    uint64_t stalest_ms = UINT64_MAX;
    for (unsigned n = 0; n < hub->conf->workers; n++) {
        uint64_t turned_ms = counter_read(&hub->gauges[n].worker->turned_ms);
        stalest_ms = turned_ms < stalest_ms ? turned_ms : stalest_ms;
    }
    return stalest_ms;
}

static void on_tick(evutil_socket_t fd, short what, void *arg) {
    struct hub *hub = arg;
    uint64_t now_ms = clock_ms();
    (void)fd;
    (void)what;
    lag_tick(&hub->lag, now_ms);
    watchdog_tick(&hub->watchdog, now_ms, stalest_turn(hub));
    if (hub->cluster)
        cluster_tick(hub->cluster, now_ms);
    queues_tick(hub->queues, now_ms);
    leave_when_empty(hub);
    if (hub->serving || hub->draining)
        return;
    if (may_serve(hub))
        serve(hub);
    else
        notify_starting(&hub->starting, now_ms, "waiting for a place among the nodes");
}

static void on_refused(void *arg, const char *why) {
    struct hub *hub = arg;
    log_error("%s", why);
    hub->failed = true;
    end(hub);
}

static void on_left(void *arg) {
    end(arg);
}

static void on_registry_gone(void *arg) {
    const struct hub *hub = arg;
    cluster_renew(hub->cluster, clock_ms());
}

static void on_linked(void *arg, bool up, bool other) {
    const struct hub *hub = arg;
    if (up) {
        queues_up(hub->queues, other);
        durables_up(hub->durables, clock_ms());
    } else {
        queues_down(hub->queues);
        durables_down(hub->durables);
    }
}

static void on_ready(void *arg, struct bytes queue) {
    const struct hub *hub = arg;
    queues_ready(hub->queues, queue);
}

static bool create_cluster(struct hub *hub) {
    const struct cluster_settings *conf = &hub->conf->cluster;
    struct redis_conf redis = {.address = conf->redis,
                               .prefix = conf->prefix,
                               .registry_prefix = conf->registry_prefix,
                               .node = hub->conf->node,
                               .boot = hub->boot};
    if (conf->redis && !(hub->store = redis_store_new(hub->base, &redis, &cluster_store_events, NULL)))
        return false;
    hub->registry = registry_new(hub->store, on_registry_gone, hub);
    if (!hub->registry || !hub->store)
        return hub->registry != NULL;
    hub->cluster = cluster_new(&(struct cluster_conf){.node = hub->conf->node,
                                                      .boot = hub->boot,
                                                      .workers = hub->conf->workers,
                                                      .mailboxes = hub->mailboxes,
                                                      .store = hub->store,
                                                      .registry = hub->registry,
                                                      .node_timeout_ms = conf->node_timeout_ms,
                                                      .buffer = conf->buffer,
                                                      .refused = on_refused,
                                                      .left = on_left,
                                                      .linked = on_linked,
                                                      .ready = on_ready,
                                                      .arg = hub},
                               clock_ms());
    return hub->cluster != NULL;
}

static bool create_queues(struct hub *hub) {
    hub->queue_store = hub->store ? redis_store_queues(hub->store, hub->conf->workers, NULL, NULL)
                                  : memory_queues_new(hub->conf->queue_memory, clock_ms, NULL, NULL);
    if (!hub->queue_store)
        return false;
    hub->queues = queues_new(&(struct queues_conf){.workers = hub->conf->workers,
                                                   .mailboxes = hub->mailboxes,
                                                   .store = hub->queue_store,
                                                   .policies = &hub->conf->policies,
                                                   .up = !hub->cluster},
                             clock_ms());
    return hub->queues != NULL;
}

static bool create_durables(struct hub *hub) {
    hub->durables = durables_new(&(struct durables_conf){.workers = hub->conf->workers,
                                                         .mailboxes = hub->mailboxes,
                                                         .cluster = hub->cluster != NULL,
                                                         .per_user = hub->conf->durable_subscriptions,
                                                         .store = hub->queue_store,
                                                         .queues = hub->queues},
                                 clock_ms());
    return hub->durables != NULL;
}

/* ---- the port for operators ---- */

static void look(void *arg, struct node_state *state) {
    const struct hub *hub = arg;
    *state = (struct node_state){.serving = hub->serving,
                                 .draining = hub->draining,
                                 .sockets_refused = acceptance_refused(hub->acceptance),
                                 .users = registry_users(hub->registry),
                                 .sessions = registry_sessions(hub->registry)};
    queues_count(hub->queues, &state->queues);
    durables_count(hub->durables, &state->durables);
    if (hub->cluster)
        node_state_look_at_cluster(state, hub->cluster, hub->store, clock_ms());
}

static bool create_admin(struct hub *hub) {
    const struct admin_settings *conf = &hub->conf->admin;
    if (!conf->bind)
        return true;
    hub->admin = admin_new(&(struct admin_conf){.base = hub->base,
                                                .bind = conf->bind,
                                                .token_file = conf->token_file,
                                                .node = hub->conf->node,
                                                .boot = hub->boot,
                                                .connection_ms = ADMIN_CONNECTION_MS,
                                                .workers = hub->gauges,
                                                .worker_count = hub->conf->workers,
                                                .lag = &hub->lag,
                                                .cluster = hub->cluster,
                                                .registry = hub->registry,
                                                .store = hub->store,
                                                .look = look,
                                                .arg = hub});
    return hub->admin != NULL;
}

/* ---- start ---- */

static bool make_boot_id(struct hub *hub) {
    unsigned char random[BOOT_ID_BYTES];
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        return false;
    for (size_t n = 0; n < sizeof random; n++)
        snprintf(hub->boot_id + 2 * n, 3, "%02x", random[n]);
    return asprintf(&hub->boot, "%s:%s", hub->conf->node, hub->boot_id) > 0;
}

static bool create_events(struct hub *hub) {
    static const int numbers[] = {SIGTERM, SIGINT, SIGHUP};
    hub->base = event_base_new();
    hub->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (!hub->base || hub->wake_fd < 0)
        return false;
    mailbox_init(&hub->mailbox, wake, &hub->wake_fd);
    hub->mail_event = event_new(hub->base, hub->wake_fd, EV_READ | EV_PERSIST, on_mail, hub);
    hub->drain_timer = evtimer_new(hub->base, on_drain_timer, hub);
    hub->tick_timer = event_new(hub->base, -1, EV_PERSIST, on_tick, hub);
    if (!hub->mail_event || !hub->drain_timer || !hub->tick_timer || event_add(hub->mail_event, NULL) != 0)
        return false;
    for (size_t n = 0; n < sizeof numbers / sizeof numbers[0]; n++) {
        signal(numbers[n], SIG_IGN); /* what libevent restores: one more signal must not kill a node that is ending */
        hub->signals[n] = evsignal_new(hub->base, numbers[n], on_signal, hub);
        if (!hub->signals[n] || event_add(hub->signals[n], NULL) != 0)
            return false;
    }
    return true;
}

static bool create_acceptance(struct hub *hub) {
    hub->acceptance = acceptance_new(hub->base, hub->conf, hub->mailboxes);
    return hub->acceptance != NULL;
}

static bool create_workers(struct hub *hub) {
    const struct conf *conf = hub->conf;
    hub->helpers = helpers_new(HELPER_THREADS);
    if (!hub->helpers)
        return false;
    for (unsigned n = 0; n < conf->workers; n++) {
        struct worker_conf worker = {.index = n,
                                     .count = conf->workers,
                                     .cluster = conf->cluster.redis != NULL,
                                     .node = conf->node,
                                     .boot = hub->boot,
                                     .boot_id = hub->boot_id,
                                     .settings = reload_settings(hub->reload),
                                     .helpers = hub->helpers,
                                     .hub = &hub->mailbox};
        hub->workers[n] = worker_new(&worker);
        if (!hub->workers[n])
            return false;
        hub->mailboxes[n] = worker_mailbox(hub->workers[n]);
        hub->gauges[n] =
            (struct worker_gauges){worker_session_counters(hub->workers[n]), worker_counters(hub->workers[n])};
    }
    return true;
}

struct hub *hub_new(const struct conf *conf, const char *file) {
    struct hub *hub = calloc(1, sizeof *hub);
    if (!hub)
        return NULL;
    hub->conf = conf;
    hub->wake_fd = -1;
    hub->started_ms = clock_ms();
    lag_init(&hub->lag, TICK_MS);
    watchdog_init(&hub->watchdog);
    hub->reload = reload_new(file, conf);
    if (hub->reload && make_boot_id(hub) && create_events(hub) && create_acceptance(hub) && create_workers(hub) &&
        create_cluster(hub) && create_queues(hub) && create_durables(hub) && create_admin(hub))
        return hub;
    hub_free(hub);
    return NULL;
}

/* Signals are for the hub's thread alone: workers inherit them blocked. */
static bool start_workers(struct hub *hub) {
    sigset_t all;
    sigset_t before;
    bool started = true;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (unsigned n = 0; n < hub->conf->workers && started; n++)
        started = worker_start(hub->workers[n], hub->mailboxes);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return started;
}

static void stop_workers(struct hub *hub) {
    for (unsigned n = 0; n < hub->conf->workers; n++) {
        hub->stops[n].type = MAIL_STOP;
        mailbox_post(hub->mailboxes[n], &hub->stops[n]);
    }
    for (unsigned n = 0; n < hub->conf->workers; n++)
        worker_join(hub->workers[n]);
}

/* What the turn's events have collected goes out at once. A store that answers within the turn makes way for more. */
static void end_turn(struct hub *hub) {
    uint64_t now_ms = clock_ms();
    bool called;
    do {
        called = durables_flush(hub->durables, now_ms);
        queues_flush(hub->queues, now_ms);
    } while (called);
    if (!hub->cluster)
        return;
    cluster_hold_credit(hub->cluster, durables_are_behind(hub->durables));
    cluster_flush(hub->cluster);
}

bool hub_run(struct hub *hub) {
    struct timeval tick = {0, TICK_MS * (suseconds_t)1000};
    bool started = start_workers(hub) && event_add(hub->tick_timer, &tick) == 0;
    if (started && may_serve(hub))
        serve(hub);
    while (started && !hub->ended && event_base_loop(hub->base, EVLOOP_ONCE) == 0)
        end_turn(hub);
    if (started)
        log_notice("ended");
    acceptance_stop(hub->acceptance);
    stop_workers(hub);
    return started && !hub->failed;
}

static void free_events(struct hub *hub) {
    for (size_t n = 0; n < sizeof hub->signals / sizeof hub->signals[0]; n++)
        if (hub->signals[n])
            event_free(hub->signals[n]);
    if (hub->mail_event)
        event_free(hub->mail_event);
    if (hub->drain_timer)
        event_free(hub->drain_timer);
    if (hub->tick_timer)
        event_free(hub->tick_timer);
    if (hub->base)
        event_base_free(hub->base);
    if (hub->wake_fd >= 0)
        close(hub->wake_fd);
}

void hub_free(struct hub *hub) {
    if (!hub)
        return;
    acceptance_free(hub->acceptance);
    helpers_free(hub->helpers); /* before the workers: jobs answer to their mailboxes */
    for (unsigned n = 0; n < hub->conf->workers; n++)
        worker_free(hub->workers[n]);
    mail_discard_all(mailbox_take(&hub->mailbox));
    queues_free(hub->queues);
    if (hub->queue_store)
        hub->queue_store->ops->free(hub->queue_store);
    if (hub->store)
        hub->store->ops->free(hub->store);
    durables_free(hub->durables);
    admin_free(hub->admin); /* the store answers no more */
    cluster_free(hub->cluster);
    registry_free(hub->registry);
    reload_free(hub->reload); /* after the workers */
    free_events(hub);
    free(hub->boot);
    free(hub);
}
