/* The course of a measurement, and the counting. */
#include "bench/traffic.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "bench/fail.h"

#define LOOK_NS UINT64_C(50000000)

/* ---- what comes */

static struct traffic *traffic_of(const struct client *client) {
    return client->owner;
}

static struct publisher *publisher_at(const struct traffic *traffic, unsigned n) {
    return (struct publisher *)group_client(&traffic->publishers, n);
}

/* False: it is of another measurement, or of someone else, or has another body than it was sent with. */
static bool read_body(struct traffic *traffic, struct bytes body, struct stamp *stamp) {
    if (!stamp_read(body, stamp) || stamp->run != traffic->run || stamp->publisher >= traffic->publishers.count ||
        stamp->number >= publisher_at(traffic, stamp->publisher)->next)
        return false;
    if (body.len == traffic->options->size &&
        memcmp(body.data + STAMP_SIZE, traffic->filler, body.len - STAMP_SIZE) == 0)
        return true;
    traffic->damaged++;
    return false;
}

static void count_delivery(struct traffic *traffic, const struct stamp *stamp) {
    uint64_t now_ns = traffic->loop->now_ns;
    if (now_ns >= traffic->measure_ns && now_ns < traffic->stop_ns)
        traffic->measured_deliveries++;
    if (stamp->time_ns >= traffic->measure_ns && stamp->time_ns < traffic->stop_ns)
        histogram_add(&traffic->latency, now_ns - stamp->time_ns);
}

static void take_message(struct receiver *receiver, struct bytes body) {
    struct traffic *traffic = traffic_of(&receiver->client);
    struct stamp stamp;
    if (!read_body(traffic, body, &stamp))
        return;
    int64_t seat = traffic->kind->seat(traffic, receiver, &stamp);
    traffic->last_word_ns = traffic->loop->now_ns;
    if (seat < 0)
        traffic->strays++;
    else if (ledger_take(&traffic->ledger, stamp.publisher, (unsigned)seat, stamp.number)) {
        count_delivery(traffic, &stamp);
        publisher_credit(publisher_at(traffic, stamp.publisher), traffic, stamp.number);
    }
}

static void on_message(struct client *client, const struct frame *frame) {
    struct receiver *receiver = (struct receiver *)client;
    const struct traffic_kind *kind = traffic_of(client)->kind;
    take_message(receiver, frame->body);
    if (kind->took)
        kind->took(receiver, frame);
}

static void on_receiver_opened(struct client *client) {
    traffic_of(client)->kind->subscribe((struct receiver *)client);
}

static void on_receiver_receipt(struct client *client, struct bytes id) {
    const struct traffic_kind *kind = traffic_of(client)->kind;
    if (!bytes_equal(id, BYTES("ready")))
        client_fail(client, "a receipt came that was not asked for");
    if (kind->subscribed)
        kind->subscribed((struct receiver *)client);
    else
        client->is_ready = true;
}

static void on_closed(struct client *client, const char *why) {
    struct traffic *traffic = traffic_of(client);
    if (traffic->is_over)
        return;
    if (!traffic->kind->counts_closed || !traffic->is_open)
        client_fail(client, why);
    traffic->closed++;
}

static void on_publisher_opened(struct client *client) {
    client->is_ready = true;
}

static void on_publisher_message(struct client *client, const struct frame *frame) {
    (void)frame;
    client_fail(client, "a message came there, but it has subscribed to nothing");
}

static void on_publisher_receipt(struct client *client, struct bytes id) {
    struct traffic *traffic = traffic_of(client);
    uint64_t number;
    if (id.len != 10 || !hex_read(id.data, 10, &number) || number >= ((struct publisher *)client)->next)
        client_fail(client, "a receipt came that was not asked for");
    traffic->receipts++;
    traffic->last_word_ns = traffic->loop->now_ns;
    publisher_credit((struct publisher *)client, traffic, number);
}

/* ---- the course */

static void send_due(struct traffic *traffic) {
    uint64_t until_ns = traffic->loop->now_ns < traffic->stop_ns ? traffic->loop->now_ns : traffic->stop_ns - 1;
    for (;;) {
        uint64_t due_ns = traffic->begin_ns + traffic->sent * 1000000000 / traffic->rate;
        if (due_ns > until_ns)
            return;
        publisher_send(publisher_at(traffic, (unsigned)(traffic->sent % traffic->publishers.count)), traffic, due_ns);
    }
}

static void give_up(struct traffic *traffic) {
    for (unsigned n = 0; n < traffic->publishers.count; n++)
        publisher_give_up(publisher_at(traffic, n), traffic);
}

static uint64_t least(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

static void go_on_until(struct traffic *traffic, uint64_t end_ns) {
    struct loop *loop = traffic->loop;
    uint64_t look_ns = loop->now_ns + LOOK_NS;
    while (loop->now_ns < end_ns && !loop_is_interrupted()) {
        uint64_t until_ns = least(end_ns, look_ns);
        if (traffic->rate > 0) {
            send_due(traffic);
            until_ns = least(until_ns, traffic->begin_ns + traffic->sent * 1000000000 / traffic->rate);
        } else if (loop->now_ns >= look_ns) {
            give_up(traffic);
        }
        if (loop->now_ns >= look_ns)
            look_ns = loop->now_ns + LOOK_NS;
        loop_turn(loop, until_ns);
    }
    if (traffic->rate > 0)
        send_due(traffic); /* what was due in the last turn */
}

static uint64_t expected(const struct traffic *traffic) {
    return traffic->sent * traffic->deliveries_each;
}

static bool is_all_there(const struct traffic *traffic) {
    return traffic->ledger.received == expected(traffic) &&
           (!traffic->kind->has_receipts || traffic->receipts == traffic->sent);
}

/* Waits until all is there, or nothing has come for --timeout. */
static void drain(struct traffic *traffic) {
    struct loop *loop = traffic->loop;
    traffic->is_stopped = true;
    traffic->last_word_ns = loop->now_ns;
    while (!is_all_there(traffic) && loop->now_ns < traffic->last_word_ns + traffic->options->timeout_ns)
        loop_turn(loop, loop->now_ns + LOOK_NS);
}

static void begin(struct traffic *traffic, uint64_t rate) {
    const struct options *options = traffic->options;
    unsigned publishers = traffic->publishers.count;
    traffic->run++;
    traffic->rate = rate;
    traffic->sent = traffic->receipts = traffic->strays = traffic->damaged = 0;
    traffic->measured_sent = traffic->measured_deliveries = 0;
    traffic->latency = (struct histogram){0};
    ledger_free(&traffic->ledger);
    if (traffic->kind->is_for_one)
        ledger_init_one(&traffic->ledger, publishers, traffic->seats);
    else
        ledger_init_all(&traffic->ledger, publishers, traffic->seats);
    traffic->begin_ns = loop_clock(traffic->loop);
    traffic->measure_ns = traffic->begin_ns + options->warm_up_ns;
    traffic->stop_ns = traffic->measure_ns + options->duration_ns;
    traffic->is_stopped = false;
    for (unsigned n = 0; n < publishers; n++) {
        struct publisher *publisher = publisher_at(traffic, n);
        publisher->next = publisher->oldest = 0;
    }
}

static void fill_windows(struct traffic *traffic) {
    for (unsigned n = 0; n < traffic->publishers.count; n++)
        publisher_fill(publisher_at(traffic, n), traffic);
}

static void add(double *sum, uint64_t more) {
    *sum = (isnan(*sum) ? 0 : *sum) + (double)more;
}

static void add_faults(const struct traffic *traffic, struct result *result) {
    add(&result->lost, expected(traffic) - traffic->ledger.received);
    add(&result->duplicates, traffic->ledger.duplicates);
    add(&result->reordered, traffic->ledger.reordered);
    add(&result->strays, traffic->strays);
    add(&result->damaged, traffic->damaged);
}

static void finish(const struct traffic *traffic, struct result *result) {
    if (traffic->rate > 0)
        result->rate = (double)traffic->rate;
    else
        result->window = (double)traffic->options->window;
    result->messages = (double)traffic->measured_sent;
    result->deliveries = (double)traffic->measured_deliveries;
    add_faults(traffic, result);
    result_set_latency(result, &traffic->latency);
}

struct usage traffic_server_usage(const struct options *options) {
    return process_usage(options->pids, options->pid_count, options->children);
}

void traffic_measure(struct traffic *traffic, uint64_t rate, struct result *result) {
    begin(traffic, rate);
    if (rate == 0)
        fill_windows(traffic);
    go_on_until(traffic, traffic->measure_ns);
    uint64_t from_ns = loop_clock(traffic->loop);
    struct usage server = traffic_server_usage(traffic->options);
    struct usage tool = process_own_usage();
    go_on_until(traffic, traffic->stop_ns);
    traffic->stop_ns = least(traffic->stop_ns, loop_clock(traffic->loop));
    result->seconds = (double)(traffic->loop->now_ns - from_ns) / 1e9;
    server = usage_since(traffic_server_usage(traffic->options), server);
    tool = usage_since(process_own_usage(), tool);
    drain(traffic);
    finish(traffic, result);
    result_set_usage(result, traffic->options->pid_count > 0 ? &server : NULL, &tool);
}

uint64_t traffic_send_one(struct traffic *traffic, struct result *result) {
    begin(traffic, 1);
    publisher_send(publisher_at(traffic, 0), traffic, traffic->begin_ns);
    drain(traffic);
    add_faults(traffic, result);
    return traffic->last_word_ns - traffic->begin_ns;
}

void traffic_measure_all(struct traffic *traffic, struct results *results) {
    const struct options *options = traffic->options;
    if (options->rate_count == 0)
        traffic_measure(traffic, 0, results_add(results));
    for (unsigned n = 0; n < options->rate_count && !loop_is_interrupted(); n++)
        traffic_measure(traffic, options->rates[n], results_add(results));
}

/* ---- beginning and end */

static void fill(char *filler, const struct options *options) {
    uint32_t state = 12345;
    for (size_t n = 0; n < options->size - STAMP_SIZE; n++) {
        state = state * 1664525 + 1013904223;
        if (options->content == CONTENT_TEXT)
            filler[n] = 'x';
        else if (options->content == CONTENT_RANDOM)
            filler[n] = "abcdefghijklmnopqrstuvwxyz0123456789"[(state >> 16) % 36];
        else
            filler[n] = (char)(state >> 16);
    }
}

static void name_destination(struct traffic *traffic) {
    const char *given = traffic->options->destination;
    if (getrandom(&traffic->run, sizeof traffic->run, 0) < 0)
        fail(FAULT_SELF, "the kernel gives no random number");
    if (given && strlen(given) >= sizeof traffic->base)
        fail(FAULT_USAGE, "--destination is too long");
    if (given)
        snprintf(traffic->base, sizeof traffic->base, "%s", given);
    else
        snprintf(traffic->base, sizeof traffic->base, "%sstomp-bench.%08x", traffic->kind->prefix, traffic->run);
}

void traffic_open(struct traffic *traffic, struct loop *loop, const struct traffic_kind *kind, unsigned publishers,
                  unsigned receivers, unsigned seats) {
    static const struct client_handler publisher_handler = {on_publisher_opened, on_publisher_message,
                                                            on_publisher_receipt, on_closed};
    static const struct client_handler receiver_handler = {on_receiver_opened, on_message, on_receiver_receipt,
                                                           on_closed};
    *traffic = (struct traffic){.loop = loop, .options = loop->options, .kind = kind, .seats = seats};
    traffic->deliveries_each = kind->is_for_one ? 1 : seats;
    traffic->filler = need_zeroed(traffic->options->size, 1);
    fill(traffic->filler, traffic->options);
    name_destination(traffic);
    traffic->receivers =
        (struct group){need_zeroed(receivers, sizeof(struct receiver)), sizeof(struct receiver), receivers};
    traffic->publishers =
        (struct group){need_zeroed(publishers, sizeof(struct publisher)), sizeof(struct publisher), publishers};
    group_init(&traffic->receivers, loop, &receiver_handler, kind->receiver, traffic);
    group_init(&traffic->publishers, loop, &publisher_handler, kind->publisher, traffic);
    group_open(&traffic->receivers);
    group_open(&traffic->publishers);
    for (unsigned n = 0; n < publishers; n++)
        publisher_init(publisher_at(traffic, n), traffic);
    traffic->is_open = true;
}

void traffic_close(struct traffic *traffic) {
    traffic->is_over = true;
    group_leave(&traffic->publishers);
    group_leave(&traffic->receivers);
    for (unsigned n = 0; n < traffic->publishers.count; n++)
        publisher_free(publisher_at(traffic, n));
    free(traffic->publishers.first);
    free(traffic->receivers.first);
    free(traffic->filler);
    ledger_free(&traffic->ledger);
}
