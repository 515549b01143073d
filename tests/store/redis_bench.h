/*
 * What the tests of the store in Redis have in common: a loop, a server, how to reach it, and a log that is read.
 */
#ifndef STORE_REDIS_BENCH_H
#define STORE_REDIS_BENCH_H

#include "peer.h"
#include "redis_server.h"

#define BENCH_LOG 65536

struct bench {
    struct event_base *base;
    struct redis_process process;
    struct redis_address address;
    const char *prefix;
    const char *registry_prefix; /* NULL: the usual */
    struct redis_times times;
    struct contract contract; /* stores for that address */
    int stderr_fd;            /* the real one, while the log is read */
    int log_fd;
    char log[BENCH_LOG];
};

/* No server runs yet; the address is that of the unix socket where it will. Short times, but for answers. */
void bench_init(struct bench *bench);
void bench_free(struct bench *bench);

/* From now on the log is kept, to be read, until bench_release_log() writes it where it belongs. */
void bench_keep_log(struct bench *bench);
void bench_release_log(struct bench *bench);

/* How often the text stands in what was logged since. */
unsigned bench_logged(struct bench *bench, const char *text);

/* Another address, as the conf file has it. */
void bench_set_address(struct bench *bench, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Waits until the store's attempts and links have failed as often. */
void bench_await_failures(struct bench *bench, struct peer *peer, uint64_t failures);

#endif
