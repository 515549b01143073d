/*
 * idle: connections that subscribe to one topic and stay. One message to all when all are there, another when they have
 * been idle: each must come once at each. What the server's memory has grown by is what they cost.
 */
#include <stdio.h>

#include "bench/commands.h"
#include "bench/traffic.h"

#define LOOK_NS UINT64_C(50000000)

static void destination(const struct traffic *traffic, unsigned publisher, char *to, size_t size) {
    (void)publisher;
    snprintf(to, size, "%s", traffic->base);
}

static void subscribe(struct receiver *receiver) {
    const struct traffic *traffic = receiver->client.owner;
    client_say(&receiver->client, "SUBSCRIBE\nid:0\ndestination:%s\nreceipt:ready\n\n", traffic->base);
}

static int64_t seat(const struct traffic *traffic, const struct receiver *receiver, const struct stamp *stamp) {
    (void)traffic, (void)stamp;
    return receiver->client.index;
}

static const struct traffic_kind kind = {.publisher = "publisher",
                                         .receiver = "connection",
                                         .prefix = "/topic/",
                                         .counts_closed = true,
                                         .destination = destination,
                                         .subscribe = subscribe,
                                         .seat = seat};

/* What a server sets up with its first client should not count. */
static void warm_up(struct loop *loop) {
    struct traffic traffic;
    struct result unused;
    result_init(&unused);
    traffic_open(&traffic, loop, &kind, 1, 1, 1);
    traffic_send_one(&traffic, &unused);
    traffic_close(&traffic);
}

static void stay(struct loop *loop) {
    uint64_t end_ns = loop_clock(loop) + loop->options->duration_ns;
    while (loop->now_ns < end_ns && !loop_is_interrupted())
        loop_turn(loop, end_ns < loop->now_ns + LOOK_NS ? end_ns : loop->now_ns + LOOK_NS);
}

static void measure_stay(struct loop *loop, struct result *result) {
    const struct options *options = loop->options;
    uint64_t from_ns = loop_clock(loop);
    struct usage server = traffic_server_usage(options);
    struct usage tool = process_own_usage();
    stay(loop);
    server = usage_since(traffic_server_usage(options), server);
    tool = usage_since(process_own_usage(), tool);
    result->seconds = (double)(loop->now_ns - from_ns) / 1e9;
    result_set_usage(result, options->pid_count > 0 ? &server : NULL, &tool);
}

static void open_all(struct traffic *traffic, struct loop *loop, struct result *result) {
    unsigned connections = (unsigned)loop->options->connections;
    uint64_t from_ns = loop_clock(loop);
    traffic_open(traffic, loop, &kind, 1, connections, connections);
    result->connections = connections;
    result->connect_seconds = (double)(loop_clock(loop) - from_ns) / 1e9;
    result->connections_per_second = connections / result->connect_seconds;
}

static double resident(const struct options *options) {
    return traffic_server_usage(options).resident_bytes;
}

void command_idle(struct loop *loop, struct results *results) {
    const struct options *options = loop->options;
    bool knows_server = options->pid_count > 0;
    struct result *result = results_add(results);
    struct traffic traffic;
    warm_up(loop);
    double before = resident(options);
    open_all(&traffic, loop, result);
    double open = resident(options);
    result->first_to_all_ms = (double)traffic_send_one(&traffic, result) / 1e6;
    measure_stay(loop, result);
    result->last_to_all_ms = (double)traffic_send_one(&traffic, result) / 1e6;
    result->closed_connections = (double)traffic.closed;
    if (knows_server) {
        result->resident_before_bytes = before;
        result->resident_open_bytes = open;
        result->server_resident_bytes = resident(options);
        result->resident_bytes_per_connection = (result->server_resident_bytes - before) / result->connections;
    }
    traffic_close(&traffic);
}
