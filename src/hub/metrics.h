/*
 * Private to hub/: /metrics, in the text format of Prometheus (version 0.0.4). Every metric has its line of help in
 * metrics.c; docs/operations.md says which ones to watch.
 */
#ifndef STOMPD_HUB_METRICS_H
#define STOMPD_HUB_METRICS_H

#include "node_state.h"
#include "stompd/edge/counters.h"
#include "stompd/session/counters.h"

struct evbuffer;

#define METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* One worker's counters. */
struct worker_gauges {
    const struct session_counters *sessions;
    const struct worker_counters *worker;
};

struct metrics {
    const char *node; /* names that need no escaping: conf_is_name() */
    const char *boot;
    double started_s; /* since 1970 */
    const struct worker_gauges *workers;
    unsigned worker_count;
    const struct lag *hub_lag;
    const struct node_state *state;
    uint64_t now_ms;
};

/* Appends all metrics. False: out of memory. */
MUST_CHECK bool metrics_write(struct evbuffer *to, const struct metrics *metrics);

#endif
