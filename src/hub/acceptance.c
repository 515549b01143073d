/* Sockets on their way to workers; see acceptance.h. */
#include "acceptance.h"

#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "listener.h"
#include "proxy_peek.h"
#include "refusal.h"
#include "stompd/base/log.h"

/* Descriptors besides those of clients. The hub's: listeners, operators, Redis, refused sockets, files being served. */
#define DESCRIPTORS_HUB    128
#define DESCRIPTORS_WORKER 8

/* libwebsockets allocates tables for each worker by the limit of descriptors, of 16 bytes for each. */
#define DESCRIPTORS_CHEAP 16384

struct listening {
    struct acceptance *acceptance;
    size_t index;
    struct socket_listener *listener;
};

struct acceptance {
    struct event_base *base;
    const struct conf *conf;
    struct mailbox *const *mailboxes;
    unsigned open[CONF_WORKERS_MAX]; /* sockets by worker */
    unsigned open_total;
    uint32_t connections; /* the limit, as descriptors allow it */
    uint32_t room;        /* what the descriptors allow, since the start */
    uint64_t refused;
    struct listening *listening;
    struct refusals refusals;
    struct proxy_peeks peeks;
};

static unsigned least_loaded(const struct acceptance *acceptance) {
    unsigned best = 0;
    for (unsigned n = 1; n < acceptance->conf->workers; n++)
        if (acceptance->open[n] < acceptance->open[best])
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

static void hand_over(void *arg, int fd, const struct sockaddr *peer) {
    const struct listening *listening = arg;
    struct acceptance *acceptance = listening->acceptance;
    struct mail_adopt *mail = malloc(sizeof *mail);
    if (!mail) {
        close(fd);
        return;
    }
    unsigned worker = least_loaded(acceptance);
    *mail = (struct mail_adopt){.mail.type = MAIL_ADOPT, .fd = fd, .listener = listening->index};
    peer_address_write(peer, mail->peer, sizeof mail->peer);
    set_socket_options(fd);
    acceptance->open[worker]++;
    acceptance->open_total++;
    mailbox_post(acceptance->mailboxes[worker], &mail->mail);
}

static void on_accepted(void *arg, int fd, const struct sockaddr *peer) {
    static struct log_limit limit;
    struct listening *listening = arg;
    struct acceptance *acceptance = listening->acceptance;
    const struct listener_conf *conf = &acceptance->conf->listeners[listening->index];
    unsigned open = acceptance->open_total + acceptance->peeks.count;
    if (open >= acceptance->connections) {
        log_limited(&limit, LOG_LEVEL_WARNING, "listen %s: refused a socket: %u are open (connections)", conf->name,
                    open);
        acceptance->refused++;
        refuse(&acceptance->refusals, fd, conf);
    } else if (conf->proxy_protocol != PROXY_NONE) {
        proxy_peek(&acceptance->peeks, fd, peer, conf, hand_over, listening);
    } else {
        hand_over(listening, fd, peer);
    }
}

static rlim_t smaller(rlim_t a, rlim_t b) {
    return a < b ? a : b;
}

/* What is needed, and more where the process has more and that costs little. */
static rlim_t fitting_limit(const struct rlimit *limit, rlim_t needed) {
    rlim_t kept = smaller(limit->rlim_cur, DESCRIPTORS_CHEAP);
    return smaller(kept > needed ? kept : needed, limit->rlim_max);
}

/*
 * Makes the limit of descriptors fit the limit on connections; where the hard limit does not allow that, the other way
 * round. False: there are not enough for the workers alone.
 */
static bool fit_descriptors(struct acceptance *acceptance) {
    const struct conf *conf = acceptance->conf;
    struct rlimit limit;
    rlim_t reserved = DESCRIPTORS_HUB + (rlim_t)conf->workers * DESCRIPTORS_WORKER;
    acceptance->connections = acceptance->room = conf->connections;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return true;
    limit.rlim_cur = fitting_limit(&limit, reserved + conf->connections);
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        log_warning("the limit on open files can't be changed: %s", strerror(errno));
    if (limit.rlim_cur <= reserved) {
        log_error("the hard limit of open files is %ju, and %u workers need %ju besides those of clients",
                  (uintmax_t)limit.rlim_max, conf->workers, (uintmax_t)reserved);
        return false;
    }
    acceptance->room = (uint32_t)smaller(limit.rlim_cur - reserved, UINT32_MAX);
    if (acceptance->room < conf->connections) {
        acceptance->connections = acceptance->room;
        log_notice("connections is %" PRIu32 ", not %" PRIu32 ": the hard limit of open files is %ju",
                   acceptance->connections, conf->connections, (uintmax_t)limit.rlim_max);
    }
    return true;
}

void acceptance_change(struct acceptance *acceptance, const struct conf *conf) {
    acceptance->conf = conf;
    acceptance->connections = conf->connections < acceptance->room ? conf->connections : acceptance->room;
    if (acceptance->connections < conf->connections)
        log_notice("connections is %" PRIu32 ", not %" PRIu32 ": there are no more descriptors without a restart",
                   acceptance->connections, conf->connections);
}

static bool create_listeners(struct acceptance *acceptance) {
    for (size_t n = 0; n < acceptance->conf->listener_count; n++) {
        struct listening *listening = &acceptance->listening[n];
        *listening = (struct listening){.acceptance = acceptance, .index = n};
        listening->listener = listener_new(acceptance->base, &acceptance->conf->listeners[n], on_accepted, listening);
        if (!listening->listener)
            return false;
    }
    return true;
}

struct acceptance *acceptance_new(struct event_base *base, const struct conf *conf, struct mailbox *const *mailboxes) {
    struct acceptance *acceptance = calloc(1, sizeof *acceptance);
    if (!acceptance)
        return NULL;
    *acceptance = (struct acceptance){.base = base, .conf = conf, .mailboxes = mailboxes};
    refusals_init(&acceptance->refusals, base);
    proxy_peeks_init(&acceptance->peeks, base, PROXY_PEEKS_MAX, PROXY_PEEK_TIME_MS);
    acceptance->listening = calloc(conf->listener_count, sizeof *acceptance->listening);
    if (acceptance->listening && fit_descriptors(acceptance) && create_listeners(acceptance))
        return acceptance;
    acceptance_free(acceptance);
    return NULL;
}

void acceptance_start(struct acceptance *acceptance) {
    for (size_t n = 0; n < acceptance->conf->listener_count; n++)
        listener_enable(acceptance->listening[n].listener);
}

void acceptance_stop(struct acceptance *acceptance) {
    for (size_t n = 0; acceptance->listening && n < acceptance->conf->listener_count; n++) {
        listener_free(acceptance->listening[n].listener);
        acceptance->listening[n].listener = NULL;
    }
    proxy_peeks_free(&acceptance->peeks);
}

void acceptance_free(struct acceptance *acceptance) {
    if (!acceptance)
        return;
    acceptance_stop(acceptance);
    refusals_free(&acceptance->refusals);
    free(acceptance->listening);
    free(acceptance);
}

void acceptance_released(struct acceptance *acceptance, const struct mail_released *mail) {
    acceptance->open[mail->from] -= mail->count;
    acceptance->open_total -= mail->count;
}

unsigned acceptance_open(const struct acceptance *acceptance) {
    return acceptance->open_total;
}

uint64_t acceptance_refused(const struct acceptance *acceptance) {
    return acceptance->refused;
}
