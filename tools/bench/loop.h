/*
 * The loop of all connections: one thread and a raw epoll, since what is measured should not wait for what measures,
 * and a client needs nothing that a library adds. What a turn makes a client say leaves in one write at its end.
 */
#ifndef BENCH_LOOP_H
#define BENCH_LOOP_H

#include <openssl/ssl.h>
#include <stdint.h>

#include "bench/options.h"
#include "stompd/base/buffer.h"

struct client;

struct loop {
    const struct options *options;
    int epoll;
    uint64_t start_ns;     /* of the machine's clock */
    uint64_t now_ns;       /* since then; as of the last wait or read */
    struct client *dirty;  /* those that have something to write */
    struct buffer scratch; /* what is being read */
    SSL_CTX *tls;          /* NULL: no target needs it */
    uint32_t mask;
    unsigned opened; /* sockets so far, for --from */
    char why[1024];  /* why a connection has ended, while that is told */
};

/* Sets everything up for as many connections, or fails. */
void loop_init(struct loop *loop, const struct options *options, uint64_t connections);

void loop_free(struct loop *loop);

/* Reads the clock. */
uint64_t loop_clock(struct loop *loop);

/* Waits for something to read or write, at most until that time; acts on it, and writes what that has brought. */
void loop_turn(struct loop *loop, uint64_t until_ns);

/* Writes at the end of the turn. */
void loop_add_dirty(struct loop *loop, struct client *client);

/* True after SIGINT or SIGTERM: what runs is to end early, and to tell what it has seen. */
bool loop_is_interrupted(void);

#endif
