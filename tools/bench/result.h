/*
 * What one measurement has found, as figures: each with a name in JSON, a title in the table for people, a unit, and the
 * commands that have it. The table of them (result.c) is what the reports are written from.
 */
#ifndef BENCH_RESULT_H
#define BENCH_RESULT_H

#include <stddef.h>
#include <stdint.h>

#include "bench/histogram.h"
#include "bench/options.h"
#include "bench/process.h"

/* A figure that is not known, such as the CPU of a server without --pid, is NAN. */
struct result {
    double rate;          /* as asked for; of an open loop */
    double window;        /* of a closed loop */
    double subscriptions; /* of match: how many there were */

    double seconds;  /* that were measured */
    double messages; /* sent, or scheduled, in that time */
    double deliveries;
    double messages_per_second;
    double deliveries_per_second;

    double connections;
    double connect_seconds;
    double connections_per_second;
    double first_to_all_ms; /* from the SEND until all had it, before they were idle */
    double last_to_all_ms;  /* and after */
    double closed_connections;

    double clients; /* of churn: that were through in the measured time */
    double clients_per_second;
    double failed_clients;

    double latency_mean_ms;
    double latency_p50_ms;
    double latency_p90_ms;
    double latency_p99_ms;
    double latency_p99_9_ms;
    double latency_max_ms;

    double lost; /* warm-up included, as with the next ones */
    double duplicates;
    double reordered;
    double strays;  /* came where they should not */
    double damaged; /* came with another body */

    double server_cores; /* CPU seconds a second */
    double server_user_seconds;
    double server_system_seconds;
    double server_us_per_message;
    double deliveries_per_cpu_second;
    double clients_per_cpu_second;
    double server_resident_bytes;
    double resident_before_bytes;
    double resident_open_bytes;
    double resident_bytes_per_connection;
    double tool_cores;
};

enum unit { UNIT_COUNT, UNIT_SECONDS, UNIT_MS, UNIT_US, UNIT_BYTES, UNIT_CORES };

struct figure {
    const char *name;  /* in JSON */
    const char *title; /* in the table; NULL: not there */
    enum unit unit;
    unsigned commands; /* FOR() */
    size_t offset;     /* of the double in struct result */
};

extern const struct figure figures[];
extern const size_t figure_count;

/* All figures NAN. */
void result_init(struct result *result);

double result_figure(const struct result *result, const struct figure *figure);

/* From the histogram, whose values are nanoseconds; empty, they stay NAN. */
void result_set_latency(struct result *result, const struct histogram *latency);

/* From what was used in result->seconds; `server` is NULL when it is not known. */
void result_set_usage(struct result *result, const struct usage *server, const struct usage *tool);

/* True: something that was expected did not come, or did not stay. */
bool result_has_loss(const struct result *result);

/* Of one run of the tool, at least one. */
struct results {
    struct result *items;
    unsigned count;
};

/* A further one, initialised. It moves with the next. */
struct result *results_add(struct results *results);

#endif
