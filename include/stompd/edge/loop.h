/*
 * A worker's event loop. The one place that knows libuv: where libwebsockets is built with another event library, only
 * loop.c changes.
 */
#ifndef STOMPD_EDGE_LOOP_H
#define STOMPD_EDGE_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "stompd/base/compiler.h"

struct lws_context;
struct loop;

/* `tick` runs within the loop every TIMER_TICK_MS. NULL when out of memory or descriptors. */
MUST_CHECK struct loop *loop_new(void (*tick)(void *arg), void *arg);

/*
 * What libwebsockets wants to know of the loop: its foreign_loops entry, and the option that names the event library.
 */
void *loop_native(struct loop *loop);
unsigned long long loop_lws_option(void);

/* One turn: waits for something to happen and runs all that is ready. */
void loop_turn(struct loop *loop);

/* clock_ms() as of when the loop last woke up or called `tick`; costs no look at the clock. */
uint64_t loop_time_ms(const struct loop *loop);

/* Ends the wait of a running or the next turn. Thread-safe. */
void loop_wake(void *loop);

/* Destroys the context that lives on the loop (NULL is allowed), then the loop. */
void loop_free(struct loop *loop, struct lws_context *context);

#endif
