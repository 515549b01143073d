/* The bench. */
#include "redis_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "stompd/base/hash.h"

/* ---- the kind of store ---- */

static struct store *attach(void *arg, const char *node, const char *boot, const struct store_events *events,
                            void *events_arg) {
    const struct bench *bench = arg;
    struct redis_conf conf = {.address = &bench->address,
                              .prefix = bench->prefix,
                              .registry_prefix = bench->registry_prefix,
                              .node = node,
                              .boot = boot,
                              .times = &bench->times};
    struct store *store = redis_store_new(bench->base, &conf, events, events_arg);
    assert_non_null(store);
    return store;
}

static bool pump_until(void *arg, bool (*reached)(void *reached_arg), void *reached_arg) {
    return turn_until(((struct bench *)arg)->base, reached, reached_arg);
}

static void empty(void *arg) {
    assert_string_equal(redis_process_say(&((struct bench *)arg)->process, "FLUSHALL", NULL), "OK");
}

/* ---- life ---- */

void bench_init(struct bench *bench) {
    memset(bench, 0, sizeof *bench);
    hash_seed();
    signal(SIGPIPE, SIG_IGN);
    redis_process_init(&bench->process);
    bench->base = event_base_new();
    assert_non_null(bench->base);
    bench->prefix = "stompd:";
    bench->times = (struct redis_times){.reply_ms = 5000, .connect_ms = 5000, .retry_min_ms = 5, .retry_max_ms = 20};
    bench->contract = (struct contract){attach, pump_until, empty, bench};
    bench->stderr_fd = -1;
    bench_set_address(bench, "unix:%s", bench->process.socket);
}

void bench_free(struct bench *bench) {
    redis_address_free(&bench->address);
    redis_process_free(&bench->process);
    event_base_free(bench->base);
}

void bench_set_address(struct bench *bench, const char *format, ...) {
    char text[256];
    va_list values;
    va_start(values, format);
    vsnprintf(text, sizeof text, format, values);
    va_end(values);
    redis_address_free(&bench->address);
    assert_true(redis_address_parse(text, &bench->address));
}

/* ---- the log ---- */

void bench_keep_log(struct bench *bench) {
    bench->log_fd = memfd_create("log", MFD_CLOEXEC);
    bench->stderr_fd = dup(STDERR_FILENO);
    assert_true(bench->log_fd >= 0 && bench->stderr_fd >= 0);
    assert_true(dup2(bench->log_fd, STDERR_FILENO) >= 0);
}

static size_t read_log(struct bench *bench) {
    ssize_t len = pread(bench->log_fd, bench->log, sizeof bench->log - 1, 0);
    bench->log[len > 0 ? len : 0] = '\0';
    return len > 0 ? (size_t)len : 0;
}

void bench_release_log(struct bench *bench) {
    size_t len = read_log(bench);
    dup2(bench->stderr_fd, STDERR_FILENO);
    close(bench->stderr_fd);
    close(bench->log_fd);
    bench->stderr_fd = -1;
    if (write(STDERR_FILENO, bench->log, len) < 0)
        perror("stderr");
}

unsigned bench_logged(struct bench *bench, const char *text) {
    unsigned times = 0;
    read_log(bench);
    for (const char *at = bench->log; (at = strstr(at, text)) != NULL; at++)
        times++;
    return times;
}

/* ---- waiting ---- */

struct failing {
    const struct store *store;
    uint64_t failures;
};

static bool has_failed(void *arg) {
    const struct failing *failing = arg;
    struct redis_status status;
    redis_store_status(failing->store, &status);
    return status.failures >= failing->failures;
}

void bench_await_failures(struct bench *bench, struct peer *peer, uint64_t failures) {
    struct failing failing = {peer->store, failures};
    assert_true(turn_until(bench->base, has_failed, &failing));
}
