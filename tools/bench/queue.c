/*
 * queue: each message is for one consumer, who acknowledges it. A message is complete when its RECEIPT has said that it
 * is stored and a consumer has it, so that a queue does not grow without end; its latency is that of the delivery.
 */
#include <stdio.h>

#include "bench/commands.h"
#include "bench/traffic.h"

static void destination(const struct traffic *traffic, unsigned publisher, char *to, size_t size) {
    (void)publisher;
    snprintf(to, size, "%s", traffic->base);
}

static void subscribe(struct receiver *receiver) {
    const struct traffic *traffic = receiver->client.owner;
    client_say(&receiver->client,
               "SUBSCRIBE\nid:0\ndestination:%s\nack:client-individual\nprefetch-count:%lu\nreceipt:ready\n\n",
               traffic->base, (unsigned long)traffic->options->prefetch);
}

static int64_t seat(const struct traffic *traffic, const struct receiver *receiver, const struct stamp *stamp) {
    (void)traffic, (void)stamp;
    return receiver->client.index;
}

/* The id goes back as it came, with its escapes. */
static void acknowledge(struct receiver *receiver, const struct frame *frame) {
    if (frame->ack.len == 0)
        client_fail(&receiver->client, "a message of a queue came without the header ack");
    client_say(&receiver->client, "ACK\nid:%.*s\n\n", BYTES_ARG(frame->ack));
}

void command_queue(struct loop *loop, struct results *results) {
    static const struct traffic_kind kind = {.publisher = "producer",
                                             .receiver = "consumer",
                                             .prefix = "/queue/",
                                             .is_for_one = true,
                                             .has_receipts = true,
                                             .destination = destination,
                                             .subscribe = subscribe,
                                             .seat = seat,
                                             .took = acknowledge};
    const struct options *options = loop->options;
    struct traffic traffic;
    traffic_open(&traffic, loop, &kind, (unsigned)options->publishers, (unsigned)options->subscribers,
                 (unsigned)options->subscribers);
    traffic_measure_all(&traffic, results);
    traffic_close(&traffic);
}
