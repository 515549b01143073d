/* epoll, clock, signals, limits. */
#include "bench/loop.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "bench/client.h"
#include "bench/fail.h"

#define EVENTS_MAX    256
#define SCRATCH_SIZE  (256u << 10)
#define FILES_OF_OURS 32

static volatile sig_atomic_t interrupted;

static void on_signal(int signal) {
    (void)signal;
    interrupted = 1;
}

bool loop_is_interrupted(void) {
    return interrupted;
}

static uint64_t machine_clock(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

uint64_t loop_clock(struct loop *loop) {
    loop->now_ns = machine_clock() - loop->start_ns;
    return loop->now_ns;
}

static void raise_limit(uint64_t connections) {
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    if (connections + FILES_OF_OURS > limit.rlim_max)
        fail(FAULT_SELF, "%lu connections are more than this process may open: ulimit -Hn says %lu",
             (unsigned long)connections, (unsigned long)limit.rlim_max);
}

static SSL_CTX *make_tls(const struct options *options) {
    SSL_CTX *tls = SSL_CTX_new(TLS_client_method());
    if (!tls)
        fail(FAULT_SELF, "OpenSSL can't be set up");
    SSL_CTX_set_mode(tls,
                     SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_options(tls, SSL_OP_IGNORE_UNEXPECTED_EOF);
    if (options->insecure)
        return tls;
    SSL_CTX_set_verify(tls, SSL_VERIFY_PEER, NULL);
    bool is_trusting = options->ca ? SSL_CTX_load_verify_locations(tls, options->ca, NULL) == 1
                                   : SSL_CTX_set_default_verify_paths(tls) == 1;
    if (!is_trusting) {
        SSL_CTX_free(tls);
        fail(FAULT_USAGE, "--ca %s: no certificates can be read from it", options->ca ? options->ca : "");
    }
    return tls;
}

static bool needs_tls(const struct options *options) {
    for (unsigned n = 0; n < options->target_count; n++)
        if (options->targets[n].is_tls)
            return true;
    for (unsigned n = 0; n < options->publish_target_count; n++)
        if (options->publish_targets[n].is_tls)
            return true;
    return false;
}

void loop_init(struct loop *loop, const struct options *options, uint64_t connections) {
    struct sigaction action = {.sa_handler = on_signal};
    *loop = (struct loop){.options = options, .mask = 2463534242};
    raise_limit(connections);
    signal(SIGPIPE, SIG_IGN);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    prctl(PR_SET_TIMERSLACK, 1000UL); /* nanoseconds: an open loop sends when it is due */
    loop->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (loop->epoll < 0)
        fail(FAULT_SELF, "epoll: %s", strerror(errno));
    if (!buffer_reserve(&loop->scratch, SCRATCH_SIZE))
        need(NULL);
    if (needs_tls(options))
        loop->tls = make_tls(options);
    loop->start_ns = machine_clock();
}

void loop_free(struct loop *loop) {
    close(loop->epoll);
    buffer_free(&loop->scratch);
    SSL_CTX_free(loop->tls);
}

void loop_add_dirty(struct loop *loop, struct client *client) {
    if (client->is_dirty)
        return;
    client->is_dirty = true;
    client->next_dirty = loop->dirty;
    loop->dirty = client;
}

static void flush_dirty(struct loop *loop) {
    while (loop->dirty) {
        struct client *client = loop->dirty;
        loop->dirty = client->next_dirty;
        client->is_dirty = false;
        client_flush(client);
    }
}

static int wait_for(struct loop *loop, struct epoll_event *events, uint64_t wait_ns) {
    struct timespec wait = {(time_t)(wait_ns / 1000000000), (long)(wait_ns % 1000000000)};
    int ready = epoll_pwait2(loop->epoll, events, EVENTS_MAX, &wait, NULL);
    if (ready < 0 && errno == ENOSYS)
        ready = epoll_wait(loop->epoll, events, EVENTS_MAX, (int)((wait_ns + 999999) / 1000000));
    if (ready < 0 && errno != EINTR)
        fail(FAULT_SELF, "epoll: %s", strerror(errno));
    return ready;
}

void loop_turn(struct loop *loop, uint64_t until_ns) {
    struct epoll_event events[EVENTS_MAX];
    flush_dirty(loop);
    uint64_t now_ns = loop_clock(loop);
    int ready = wait_for(loop, events, until_ns > now_ns ? until_ns - now_ns : 0);
    loop_clock(loop);
    for (int n = 0; n < ready; n++)
        client_act(events[n].data.ptr, events[n].events);
    flush_dirty(loop);
}
