/* The hub's life: workers, listeners, mail, signals, drain. See hub.h. */
#include "stompd/hub/hub.h"

#include <errno.h>
#include <event2/event.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "listener.h"
#include "refusal.h"
#include "stompd/base/log.h"
#include "stompd/edge/worker.h"

#define HELPER_THREADS 2

/* Descriptors besides those of clients: listeners, loops, files being served, the log. */
#define DESCRIPTORS_RESERVED 128

/* Sessions that do not go within drain-time are given this long more. */
#define DRAIN_GRACE_MS 6000

#define BOOT_ID_BYTES 6

_Static_assert(CONF_WORKERS_MAX <= 64, "edge/router.c keeps a set of workers in 64 bits");

struct listening {
    struct hub *hub;
    size_t index;
    struct socket_listener *listener;
};

struct hub {
    const struct conf *conf;
    struct event_base *base;
    struct event *mail_event;
    struct event *signals[3];
    struct event *drain_timer;
    int wake_fd;
    struct mailbox mailbox;
    struct authenticator *authenticator;
    struct helpers *helpers;
    struct worker *workers[CONF_WORKERS_MAX];
    struct mailbox *mailboxes[CONF_WORKERS_MAX];
    struct mail stops[CONF_WORKERS_MAX]; /* ready, so that ending never fails */
    unsigned open[CONF_WORKERS_MAX];     /* sockets by worker */
    unsigned open_total;
    uint32_t connections; /* the limit, as descriptors allow it */
    struct listening *listening;
    struct refusals refusals;
    bool draining;
    bool closing;
    enum fault_kind drain_kind;
    char boot_id[2 * BOOT_ID_BYTES + 1];
    char *boot; /* "<node>:<boot id>" */
};

/* ---- sockets ---- */

static unsigned least_loaded(const struct hub *hub) {
    unsigned best = 0;
    for (unsigned n = 1; n < hub->conf->workers; n++)
        if (hub->open[n] < hub->open[best])
            best = n;
    return best;
}

/*
 * Small frames must not wait for more; and a plain TCP client that vanished without a heart-beat is found by the
 * kernel.
 */
static void set_socket_options(int fd) {
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
}

static void on_accepted(void *arg, int fd, const struct sockaddr *peer) {
    static struct log_limit limit;
    struct listening *listening = arg;
    struct hub *hub = listening->hub;
    const struct listener_conf *conf = &hub->conf->listeners[listening->index];
    if (hub->open_total >= hub->connections) {
        log_limited(&limit, LOG_LEVEL_WARNING, "listen %s: refused a socket: %u are open (connections)", conf->name,
                    hub->open_total);
        refuse(&hub->refusals, fd, conf);
        return;
    }
    struct mail_adopt *mail = malloc(sizeof *mail);
    if (!mail) {
        close(fd);
        return;
    }
    unsigned worker = least_loaded(hub);
    *mail = (struct mail_adopt){.mail.type = MAIL_ADOPT, .fd = fd, .listener = listening->index};
    peer_address_write(peer, mail->peer, sizeof mail->peer);
    set_socket_options(fd);
    hub->open[worker]++;
    hub->open_total++;
    mailbox_post(hub->mailboxes[worker], &mail->mail);
}

/*
 * As many descriptors as the limit on connections needs, not more: libwebsockets allocates tables by that number. Where
 * the hard limit is lower, the limit on connections is too.
 */
static void fit_descriptors(struct hub *hub) {
    struct rlimit limit;
    rlim_t needed = (rlim_t)hub->conf->connections + DESCRIPTORS_RESERVED;
    hub->connections = hub->conf->connections;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = needed < limit.rlim_max ? needed : limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        log_warning("the limit on open files can't be raised: %s", strerror(errno));
    if (limit.rlim_cur < needed) {
        hub->connections = limit.rlim_cur > DESCRIPTORS_RESERVED ? (uint32_t)limit.rlim_cur - DESCRIPTORS_RESERVED : 1;
        log_notice("connections is %" PRIu32 ", not %" PRIu32 ": the hard limit of open files is %ju", hub->connections,
                   hub->conf->connections, (uintmax_t)limit.rlim_max);
    }
}

/* ---- mail ---- */

static void wake(void *arg) {
    uint64_t one = 1;
    ssize_t written = write(*(const int *)arg, &one, sizeof one);
    (void)written; /* full means that the hub is going to wake anyway */
}

static void end_when_empty(struct hub *hub) {
    if (hub->closing && hub->open_total == 0)
        event_base_loopbreak(hub->base);
}

static void on_mail(evutil_socket_t fd, short what, void *arg) {
    struct hub *hub = arg;
    uint64_t count;
    ssize_t got = read(fd, &count, sizeof count);
    (void)got;
    (void)what;
    struct mail *mail = mailbox_take(&hub->mailbox);
    while (mail) {
        struct mail *next = mail->next;
        if (mail->type == MAIL_RELEASED) {
            const struct mail_released *released = (const struct mail_released *)mail;
            hub->open[released->from] -= released->count;
            hub->open_total -= released->count;
        }
        free(mail);
        mail = next;
    }
    end_when_empty(hub);
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

static void stop_listening(struct hub *hub) {
    for (size_t n = 0; n < hub->conf->listener_count; n++) {
        listener_free(hub->listening[n].listener);
        hub->listening[n].listener = NULL;
    }
}

static void close_sessions(struct hub *hub) {
    uint32_t time_ms = hub->drain_kind == FAULT_RESTART ? hub->conf->drain_time_ms : 0;
    hub->closing = true;
    stop_listening(hub);
    tell_workers(hub, true, time_ms);
    set_drain_timer(hub, time_ms + DRAIN_GRACE_MS);
    log_notice("closing %u sockets over %" PRIu32 " ms", hub->open_total, time_ms);
    end_when_empty(hub);
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
    log_warning("%u sockets are still open; ending all the same", hub->open_total);
    event_base_loopbreak(hub->base);
}

static void on_signal(evutil_socket_t number, short what, void *arg) {
    struct hub *hub = arg;
    (void)what;
    if (number == SIGHUP) {
        log_notice("SIGHUP: this version can't reload its conf file; restart to change it");
        return;
    }
    if (hub->draining) {
        log_notice("%s again: ending at once", number == SIGTERM ? "SIGTERM" : "SIGINT");
        event_base_loopbreak(hub->base);
        return;
    }
    hub->draining = true;
    if (number == SIGINT) {
        hub->drain_kind = FAULT_SHUTDOWN;
        close_sessions(hub);
        return;
    }
    hub->drain_kind = FAULT_RESTART;
    log_notice("SIGTERM: draining, new sockets are served for %" PRIu32 " ms more", hub->conf->notice_time_ms);
    tell_workers(hub, false, 0);
    set_drain_timer(hub, hub->conf->notice_time_ms);
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
    refusals_init(&hub->refusals, hub->base);
    hub->mail_event = event_new(hub->base, hub->wake_fd, EV_READ | EV_PERSIST, on_mail, hub);
    hub->drain_timer = evtimer_new(hub->base, on_drain_timer, hub);
    if (!hub->mail_event || !hub->drain_timer || event_add(hub->mail_event, NULL) != 0)
        return false;
    for (size_t n = 0; n < sizeof numbers / sizeof numbers[0]; n++) {
        signal(numbers[n], SIG_IGN); /* what libevent restores: one more signal must not kill a node that is ending */
        hub->signals[n] = evsignal_new(hub->base, numbers[n], on_signal, hub);
        if (!hub->signals[n] || event_add(hub->signals[n], NULL) != 0)
            return false;
    }
    return true;
}

static bool create_listeners(struct hub *hub) {
    hub->listening = calloc(hub->conf->listener_count, sizeof *hub->listening);
    if (!hub->listening)
        return false;
    for (size_t n = 0; n < hub->conf->listener_count; n++) {
        struct listening *listening = &hub->listening[n];
        *listening = (struct listening){.hub = hub, .index = n};
        listening->listener = listener_new(hub->base, &hub->conf->listeners[n], on_accepted, listening);
        if (!listening->listener)
            return false;
    }
    return true;
}

static bool create_workers(struct hub *hub) {
    const struct conf *conf = hub->conf;
    hub->authenticator = authenticator_new(&conf->users);
    hub->helpers = helpers_new(HELPER_THREADS);
    if (!hub->authenticator || !hub->helpers)
        return false;
    for (unsigned n = 0; n < conf->workers; n++) {
        struct worker_conf worker = {.index = n,
                                     .count = conf->workers,
                                     .boot = hub->boot,
                                     .boot_id = hub->boot_id,
                                     .limits = &conf->limits,
                                     .users = &conf->users,
                                     .listeners = conf->listeners,
                                     .listener_count = conf->listener_count,
                                     .ping_time_ms = conf->ping_time_ms,
                                     .authenticator = hub->authenticator,
                                     .helpers = hub->helpers,
                                     .hub = &hub->mailbox};
        hub->workers[n] = worker_new(&worker);
        if (!hub->workers[n])
            return false;
        hub->mailboxes[n] = worker_mailbox(hub->workers[n]);
    }
    return true;
}

struct hub *hub_new(const struct conf *conf) {
    struct hub *hub = calloc(1, sizeof *hub);
    if (!hub)
        return NULL;
    hub->conf = conf;
    hub->wake_fd = -1;
    fit_descriptors(hub);
    if (make_boot_id(hub) && create_events(hub) && create_listeners(hub) && create_workers(hub))
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

bool hub_run(struct hub *hub) {
    bool started = start_workers(hub);
    if (started) {
        for (size_t n = 0; n < hub->conf->listener_count; n++)
            listener_enable(hub->listening[n].listener);
        log_notice("node %s is ready: boot %s, %u workers", hub->conf->node, hub->boot_id, hub->conf->workers);
        event_base_dispatch(hub->base);
        log_notice("ended");
    }
    stop_listening(hub);
    stop_workers(hub);
    return started;
}

static void free_events(struct hub *hub) {
    for (size_t n = 0; n < sizeof hub->signals / sizeof hub->signals[0]; n++)
        if (hub->signals[n])
            event_free(hub->signals[n]);
    if (hub->mail_event)
        event_free(hub->mail_event);
    if (hub->drain_timer)
        event_free(hub->drain_timer);
    if (hub->base) {
        refusals_free(&hub->refusals);
        event_base_free(hub->base);
    }
    if (hub->wake_fd >= 0)
        close(hub->wake_fd);
}

void hub_free(struct hub *hub) {
    if (!hub)
        return;
    if (hub->listening)
        stop_listening(hub);
    helpers_free(hub->helpers); /* before the workers: jobs answer to their mailboxes */
    for (unsigned n = 0; n < hub->conf->workers; n++)
        worker_free(hub->workers[n]);
    mail_discard_all(mailbox_take(&hub->mailbox));
    authenticator_free(hub->authenticator);
    free_events(hub);
    free(hub->listening);
    free(hub->boot);
    free(hub);
}
