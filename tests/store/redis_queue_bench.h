/*
 * The queues in Redis as a kind of queue store: each on a store of its own, attached to the bench's server, whose boot is
 * among the nodes and whose node's channel is heard, as the hub does it.
 */
#ifndef STORE_REDIS_QUEUE_BENCH_H
#define STORE_REDIS_QUEUE_BENCH_H

#include "queue_peer.h"
#include "redis_bench.h"

/* The server runs when stores are attached. */
void queue_bench_init(struct queue_contract *contract, struct bench *bench);

/* The store whose queues these are. */
struct store *queue_bench_store(struct queue_store *queues);

/* Makes this boot known to the nodes, again. */
void queue_bench_renew(struct queue_store *queues);

/* Waits until it has come up, and been renewed, `ups` times. */
void queue_bench_await_up(struct queue_store *queues, unsigned ups);
unsigned queue_bench_ups(struct queue_store *queues);
unsigned queue_bench_downs(struct queue_store *queues);

/* All that was called is on its way to the server, which does it, and no answer is read. */
void queue_bench_carry_out(struct queue_store *queues);

#endif
