/* The figures, and how they follow from what was counted. */
#include "bench/result.h"

#include <math.h>
#include <stdlib.h>

#include "bench/fail.h"

#define FAN     FOR(COMMAND_FAN_OUT)
#define PAIRS   FOR(COMMAND_PAIRS)
#define IDLE    FOR(COMMAND_IDLE)
#define CHURN   FOR(COMMAND_CHURN)
#define MATCH   FOR(COMMAND_MATCH)
#define QUEUE   FOR(COMMAND_QUEUE)
#define TRAFFIC (FAN | PAIRS | MATCH | QUEUE)
#define ALL     (TRAFFIC | IDLE | CHURN)

#define AT(member) offsetof(struct result, member)

const struct figure figures[] = {
    {"subscriptions", "subscriptions", UNIT_COUNT, MATCH, AT(subscriptions)},
    {"rate", "rate asked for, /s", UNIT_COUNT, TRAFFIC | CHURN, AT(rate)},
    {"window", "window", UNIT_COUNT, TRAFFIC, AT(window)},
    {"seconds", NULL, UNIT_SECONDS, ALL, AT(seconds)},
    {"messages", NULL, UNIT_COUNT, TRAFFIC, AT(messages)},
    {"deliveries", NULL, UNIT_COUNT, TRAFFIC, AT(deliveries)},
    {"messages_per_second", "messages/s", UNIT_COUNT, TRAFFIC, AT(messages_per_second)},
    {"deliveries_per_second", "deliveries/s", UNIT_COUNT, TRAFFIC, AT(deliveries_per_second)},
    {"connections", "connections", UNIT_COUNT, IDLE, AT(connections)},
    {"connect_seconds", "opened in", UNIT_SECONDS, IDLE, AT(connect_seconds)},
    {"connections_per_second", "opened/s", UNIT_COUNT, IDLE, AT(connections_per_second)},
    {"first_to_all_ms", "a message to all, first", UNIT_MS, IDLE, AT(first_to_all_ms)},
    {"last_to_all_ms", "a message to all, at the end", UNIT_MS, IDLE, AT(last_to_all_ms)},
    {"closed_connections", "closed by the server", UNIT_COUNT, IDLE, AT(closed_connections)},
    {"clients", NULL, UNIT_COUNT, CHURN, AT(clients)},
    {"clients_per_second", "clients/s", UNIT_COUNT, CHURN, AT(clients_per_second)},
    {"failed_clients", "failed", UNIT_COUNT, CHURN, AT(failed_clients)},
    {"latency_mean_ms", NULL, UNIT_MS, TRAFFIC | CHURN, AT(latency_mean_ms)},
    {"latency_p50_ms", "latency, half are below", UNIT_MS, TRAFFIC | CHURN, AT(latency_p50_ms)},
    {"latency_p90_ms", "  90 %", UNIT_MS, TRAFFIC | CHURN, AT(latency_p90_ms)},
    {"latency_p99_ms", "  99 %", UNIT_MS, TRAFFIC | CHURN, AT(latency_p99_ms)},
    {"latency_p99_9_ms", "  99.9 %", UNIT_MS, TRAFFIC | CHURN, AT(latency_p99_9_ms)},
    {"latency_max_ms", "  the longest", UNIT_MS, TRAFFIC | CHURN, AT(latency_max_ms)},
    {"lost", "lost", UNIT_COUNT, TRAFFIC | IDLE, AT(lost)},
    {"duplicates", "duplicates", UNIT_COUNT, TRAFFIC | IDLE, AT(duplicates)},
    {"reordered", "out of order", UNIT_COUNT, TRAFFIC | IDLE, AT(reordered)},
    {"strays", "at the wrong place", UNIT_COUNT, TRAFFIC | IDLE, AT(strays)},
    {"damaged", "damaged", UNIT_COUNT, TRAFFIC | IDLE, AT(damaged)},
    {"server_cores", "server, cores in use", UNIT_CORES, ALL, AT(server_cores)},
    {"server_user_seconds", NULL, UNIT_SECONDS, ALL, AT(server_user_seconds)},
    {"server_system_seconds", NULL, UNIT_SECONDS, ALL, AT(server_system_seconds)},
    {"server_us_per_message", "  CPU a message", UNIT_US, TRAFFIC, AT(server_us_per_message)},
    {"deliveries_per_cpu_second", "  deliveries a CPU second", UNIT_COUNT, TRAFFIC, AT(deliveries_per_cpu_second)},
    {"clients_per_cpu_second", "  clients a CPU second", UNIT_COUNT, CHURN, AT(clients_per_cpu_second)},
    {"resident_before_bytes", "  memory before", UNIT_BYTES, IDLE, AT(resident_before_bytes)},
    {"resident_open_bytes", "  memory when all were open", UNIT_BYTES, IDLE, AT(resident_open_bytes)},
    {"server_resident_bytes", "  memory at the end", UNIT_BYTES, ALL, AT(server_resident_bytes)},
    {"resident_bytes_per_connection", "  memory a connection", UNIT_BYTES, IDLE, AT(resident_bytes_per_connection)},
    {"tool_cores", "this tool, cores in use", UNIT_CORES, ALL, AT(tool_cores)},
};
const size_t figure_count = sizeof figures / sizeof figures[0];

double result_figure(const struct result *result, const struct figure *figure) {
    return *(const double *)((const char *)result + figure->offset);
}

void result_init(struct result *result) {
    for (size_t n = 0; n < figure_count; n++)
        *(double *)((char *)result + figures[n].offset) = NAN;
}

void result_set_latency(struct result *result, const struct histogram *latency) {
    if (latency->count == 0)
        return;
    result->latency_mean_ms = histogram_mean(latency) / 1e6;
    result->latency_p50_ms = (double)histogram_percentile(latency, 50) / 1e6;
    result->latency_p90_ms = (double)histogram_percentile(latency, 90) / 1e6;
    result->latency_p99_ms = (double)histogram_percentile(latency, 99) / 1e6;
    result->latency_p99_9_ms = (double)histogram_percentile(latency, 99.9) / 1e6;
    result->latency_max_ms = (double)latency->most / 1e6;
}

/* Unknown where it would be divided by nothing, as after too short a time. */
static double ratio(double a, double b) {
    return b > 0 ? a / b : NAN;
}

void result_set_usage(struct result *result, const struct usage *server, const struct usage *tool) {
    result->messages_per_second = ratio(result->messages, result->seconds);
    result->deliveries_per_second = ratio(result->deliveries, result->seconds);
    result->clients_per_second = ratio(result->clients, result->seconds);
    result->tool_cores = ratio(usage_cpu(*tool), result->seconds);
    if (!server)
        return;
    double cpu = usage_cpu(*server);
    result->server_user_seconds = server->user_s;
    result->server_system_seconds = server->system_s;
    result->server_cores = ratio(cpu, result->seconds);
    result->server_us_per_message = ratio(cpu * 1e6, result->messages);
    result->deliveries_per_cpu_second = ratio(result->deliveries, cpu);
    result->clients_per_cpu_second = ratio(result->clients, cpu);
    result->server_resident_bytes = server->resident_bytes;
}

bool result_has_loss(const struct result *result) {
    return result->lost > 0 || result->damaged > 0 || result->closed_connections > 0 || result->failed_clients > 0;
}

struct result *results_add(struct results *results) {
    results->items = need(realloc(results->items, (results->count + 1) * sizeof *results->items));
    result_init(&results->items[results->count]);
    return &results->items[results->count++];
}
