/*
 * match: more and more subscriptions, and messages of which each is for one of them, at random. What grows with their
 * number is what it costs to find the right one.
 */
#include <stdio.h>

#include "bench/commands.h"
#include "bench/traffic.h"

#define AT_ONCE 500 /* SUBSCRIBEs before an answer is waited for */

/* splitmix64 */
static uint64_t mix(uint64_t value) {
    value += UINT64_C(0x9e3779b97f4a7c15);
    value = (value ^ (value >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ (value >> 27)) * UINT64_C(0x94d049bb133111eb);
    return value ^ (value >> 31);
}

static uint64_t target(const struct traffic *traffic, unsigned publisher, uint64_t number) {
    return mix((uint64_t)publisher << 40 | number) % traffic->subscriptions;
}

static void destination(const struct traffic *traffic, unsigned publisher, char *to, size_t size) {
    (void)publisher;
    snprintf(to, size, "%s.00000000.x", traffic->base);
}

static bool is_pattern(const struct traffic *traffic, uint64_t subscription) {
    return mix(~subscription) % 100 < traffic->options->patterns;
}

/* Subscription n belongs to receiver n modulo their number. */
static int64_t seat(const struct traffic *traffic, const struct receiver *receiver, const struct stamp *stamp) {
    uint64_t subscription = target(traffic, stamp->publisher, stamp->number);
    bool is_right = subscription % traffic->receivers.count == receiver->client.index;
    return is_right ? (int64_t)receiver->client.index : -1;
}

static uint64_t share_of(const struct traffic *traffic, const struct receiver *receiver) {
    unsigned receivers = traffic->receivers.count;
    return traffic->subscriptions / receivers + (receiver->client.index < traffic->subscriptions % receivers);
}

/* A number of them, the last with a receipt. */
static void subscribe_some(struct receiver *receiver) {
    const struct traffic *traffic = receiver->client.owner;
    uint64_t share = share_of(traffic, receiver);
    uint64_t until = receiver->subscriptions + AT_ONCE < share ? receiver->subscriptions + AT_ONCE : share;
    receiver->client.is_ready = receiver->subscriptions == share;
    receiver->client.began_ns = receiver->client.loop->now_ns;
    for (; receiver->subscriptions < until; receiver->subscriptions++) {
        uint64_t n = receiver->subscriptions * traffic->receivers.count + receiver->client.index;
        bool is_last = receiver->subscriptions + 1 == until;
        client_say(&receiver->client, "SUBSCRIBE\nid:%lu\ndestination:%s.%08lx.%s\n%s\n", (unsigned long)n,
                   traffic->base, (unsigned long)n, is_pattern(traffic, n) ? "*" : "x",
                   is_last ? "receipt:ready\n" : "");
    }
}

/* At first there are none. */
static void begin(struct receiver *receiver) {
    receiver->client.is_ready = true;
}

static void grow(struct traffic *traffic, uint64_t subscriptions) {
    traffic->subscriptions = subscriptions;
    for (unsigned n = 0; n < traffic->receivers.count; n++)
        subscribe_some((struct receiver *)group_client(&traffic->receivers, n));
    group_wait(&traffic->receivers);
}

void command_match(struct loop *loop, struct results *results) {
    static const struct traffic_kind kind = {.publisher = "publisher",
                                             .receiver = "subscriber",
                                             .prefix = "/topic/",
                                             .is_for_one = true,
                                             .destination = destination,
                                             .target = target,
                                             .subscribe = begin,
                                             .subscribed = subscribe_some,
                                             .seat = seat};
    const struct options *options = loop->options;
    struct traffic traffic;
    traffic_open(&traffic, loop, &kind, (unsigned)options->publishers, (unsigned)options->subscribers,
                 (unsigned)options->subscribers);
    for (unsigned n = 0; n < options->subscription_count && !loop_is_interrupted(); n++) {
        unsigned first = results->count;
        grow(&traffic, options->subscriptions[n]);
        traffic_measure_all(&traffic, results);
        for (unsigned item = first; item < results->count; item++)
            results->items[item].subscriptions = (double)options->subscriptions[n];
    }
    traffic_close(&traffic);
}
