/* fan-out and pairs: one topic for all, or one for each. */
#include <stdio.h>

#include "bench/commands.h"
#include "bench/traffic.h"

/* ---- fan-out */

static void common_destination(const struct traffic *traffic, unsigned publisher, char *to, size_t size) {
    (void)publisher;
    snprintf(to, size, "%s", traffic->base);
}

static void subscribe_common(struct receiver *receiver) {
    const struct traffic *traffic = receiver->client.owner;
    client_say(&receiver->client, "SUBSCRIBE\nid:0\ndestination:%s\nreceipt:ready\n\n", traffic->base);
}

static int64_t common_seat(const struct traffic *traffic, const struct receiver *receiver, const struct stamp *stamp) {
    (void)traffic, (void)stamp;
    return receiver->client.index;
}

void command_fan_out(struct loop *loop, struct results *results) {
    static const struct traffic_kind kind = {.publisher = "publisher",
                                             .receiver = "subscriber",
                                             .prefix = "/topic/",
                                             .destination = common_destination,
                                             .subscribe = subscribe_common,
                                             .seat = common_seat};
    const struct options *options = loop->options;
    struct traffic traffic;
    traffic_open(&traffic, loop, &kind, (unsigned)options->publishers, (unsigned)options->subscribers,
                 (unsigned)options->subscribers);
    traffic_measure_all(&traffic, results);
    traffic_close(&traffic);
}

/* ---- pairs */

static void own_destination(const struct traffic *traffic, unsigned publisher, char *to, size_t size) {
    snprintf(to, size, "%s.%u", traffic->base, publisher);
}

static void subscribe_own(struct receiver *receiver) {
    char destination[640];
    own_destination(receiver->client.owner, receiver->client.index, destination, sizeof destination);
    client_say(&receiver->client, "SUBSCRIBE\nid:0\ndestination:%s\nreceipt:ready\n\n", destination);
}

static int64_t own_seat(const struct traffic *traffic, const struct receiver *receiver, const struct stamp *stamp) {
    (void)traffic;
    return receiver->client.index == stamp->publisher ? 0 : -1;
}

void command_pairs(struct loop *loop, struct results *results) {
    static const struct traffic_kind kind = {.publisher = "publisher",
                                             .receiver = "subscriber",
                                             .prefix = "/topic/",
                                             .destination = own_destination,
                                             .subscribe = subscribe_own,
                                             .seat = own_seat};
    unsigned pairs = (unsigned)loop->options->pairs;
    struct traffic traffic;
    traffic_open(&traffic, loop, &kind, pairs, pairs, 1);
    traffic_measure_all(&traffic, results);
    traffic_close(&traffic);
}
