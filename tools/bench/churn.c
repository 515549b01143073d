/* churn: clients that connect, subscribe and leave, one after the other or at a rate. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "bench/commands.h"
#include "bench/fail.h"
#include "bench/group.h"

#define LOOK_NS UINT64_C(50000000)

struct churner {
    struct client client; /* first */
    struct churner *next_free;
    uint64_t due_ns; /* when it was to begin */
};

struct churn {
    struct loop *loop;
    const struct options *options;
    struct group churners;
    struct churner *free;
    char base[512];
    uint64_t rate; /* 0: as fast as it goes */
    uint64_t begin_ns;
    uint64_t measure_ns;
    uint64_t stop_ns;
    uint64_t begun;
    uint64_t through;
    uint64_t failed;
    uint64_t measured;
    struct histogram latency; /* until subscribed */
};

/* ---- one of them */

static void give_back(struct client *client) {
    struct churn *churn = client->owner;
    struct churner *churner = (struct churner *)client;
    churner->next_free = churn->free;
    churn->free = churner;
}

static void on_opened(struct client *client) {
    const struct churn *churn = client->owner;
    client_say(client, "SUBSCRIBE\nid:0\ndestination:%s.%u\nreceipt:ready\n\n", churn->base, client->index);
}

static void on_message(struct client *client, const struct frame *frame) {
    (void)client, (void)frame;
}

static void on_receipt(struct client *client, struct bytes id) {
    struct churn *churn = client->owner;
    uint64_t due_ns = ((struct churner *)client)->due_ns;
    if (!bytes_equal(id, BYTES("ready")))
        client_fail(client, "a receipt came that was not asked for");
    if (due_ns >= churn->measure_ns && due_ns < churn->stop_ns)
        histogram_add(&churn->latency, churn->loop->now_ns - due_ns);
    client_leave(client);
}

/* One that fails is counted, and the first is told; but when none has come through before, there is nothing to measure. */
static void fail_one(struct client *client, const char *why) {
    struct churn *churn = client->owner;
    if (churn->through == 0)
        client_fail(client, why);
    if (churn->failed++ == 0)
        fprintf(stderr, "stomp-bench: the first client that failed, at %s: %s\n", client->target->url, why);
    give_back(client);
}

static void on_closed(struct client *client, const char *why) {
    struct churn *churn = client->owner;
    if (why) {
        fail_one(client, why);
        return;
    }
    churn->through++;
    churn->measured += churn->loop->now_ns >= churn->measure_ns && churn->loop->now_ns < churn->stop_ns;
    give_back(client);
}

/* ---- all of them */

static uint64_t due_of(const struct churn *churn, uint64_t number) {
    return churn->rate > 0 ? churn->begin_ns + number * 1000000000 / churn->rate : churn->loop->now_ns;
}

static void begin_due(struct churn *churn) {
    while (churn->free) {
        struct churner *churner = churn->free;
        uint64_t due_ns = due_of(churn, churn->begun);
        if (due_ns > churn->loop->now_ns || due_ns >= churn->stop_ns)
            return;
        churn->free = churner->next_free;
        churner->due_ns = due_ns;
        churn->begun++;
        client_open(&churner->client);
    }
}

static void give_up_late(const struct churn *churn) {
    for (unsigned n = 0; n < churn->churners.count; n++) {
        struct client *client = group_client(&churn->churners, n);
        if (client->state != CLIENT_CLOSED && client->began_ns + churn->options->timeout_ns < churn->loop->now_ns) {
            char why[128];
            snprintf(why, sizeof why, "no answer %s in time", client_doing(client));
            client_drop(client);
            fail_one(client, why);
        }
    }
}

static bool is_busy(const struct churn *churn) {
    return churn->begun > churn->through + churn->failed;
}

/* In a closed loop a client is free again within a turn, which ends when something has come. */
static void go_on_until(struct churn *churn, uint64_t end_ns) {
    struct loop *loop = churn->loop;
    uint64_t look_ns = loop->now_ns + LOOK_NS;
    while (loop->now_ns < end_ns && !loop_is_interrupted()) {
        begin_due(churn);
        if (loop->now_ns >= look_ns) {
            give_up_late(churn);
            look_ns = loop->now_ns + LOOK_NS;
        }
        uint64_t until_ns = look_ns < end_ns ? look_ns : end_ns;
        if (churn->rate > 0 && churn->free && due_of(churn, churn->begun) < until_ns)
            until_ns = due_of(churn, churn->begun);
        loop_turn(loop, until_ns);
    }
    if (churn->rate > 0)
        begin_due(churn); /* those that were due in the last turn */
}

/* In an open loop: those for whom there was no client. */
static void count_missed(struct churn *churn) {
    uint64_t missed = 0;
    while (churn->rate > 0 && due_of(churn, churn->begun + missed) < churn->stop_ns)
        missed++;
    churn->failed += missed;
    if (missed > 0)
        fprintf(
            stderr,
            "stomp-bench: %lu clients could not begin when they were due: %lu others were under way (--at-a-time)\n",
            (unsigned long)missed, (unsigned long)churn->options->at_a_time);
}

static void drain(struct churn *churn) {
    while (is_busy(churn)) {
        loop_turn(churn->loop, churn->loop->now_ns + LOOK_NS);
        give_up_late(churn);
    }
}

static void begin(struct churn *churn, uint64_t rate) {
    churn->rate = rate;
    churn->begin_ns = loop_clock(churn->loop);
    churn->measure_ns = churn->begin_ns + churn->options->warm_up_ns;
    churn->stop_ns = churn->measure_ns + churn->options->duration_ns;
    churn->begun = churn->through = churn->failed = churn->measured = 0;
    churn->latency = (struct histogram){0};
}

static void measure(struct churn *churn, uint64_t rate, struct result *result) {
    const struct options *options = churn->options;
    begin(churn, rate);
    go_on_until(churn, churn->measure_ns);
    uint64_t from_ns = loop_clock(churn->loop);
    struct usage server = process_usage(options->pids, options->pid_count, options->children);
    struct usage tool = process_own_usage();
    go_on_until(churn, churn->stop_ns);
    if (loop_clock(churn->loop) < churn->stop_ns)
        churn->stop_ns = churn->loop->now_ns;
    result->seconds = (double)(churn->loop->now_ns - from_ns) / 1e9;
    server = usage_since(process_usage(options->pids, options->pid_count, options->children), server);
    tool = usage_since(process_own_usage(), tool);
    drain(churn);
    count_missed(churn);
    if (rate > 0)
        result->rate = (double)rate;
    result->clients = (double)churn->measured;
    result->failed_clients = (double)churn->failed;
    result_set_latency(result, &churn->latency);
    result_set_usage(result, options->pid_count > 0 ? &server : NULL, &tool);
}

static void churn_init(struct churn *churn, struct loop *loop) {
    static const struct client_handler handler = {on_opened, on_message, on_receipt, on_closed};
    const struct options *options = loop->options;
    uint32_t token = 0;
    *churn = (struct churn){.loop = loop, .options = options};
    if (getrandom(&token, sizeof token, 0) < 0)
        fail(FAULT_SELF, "the kernel gives no random number");
    if (options->destination && strlen(options->destination) >= sizeof churn->base)
        fail(FAULT_USAGE, "--destination is too long");
    if (options->destination)
        snprintf(churn->base, sizeof churn->base, "%s", options->destination);
    else
        snprintf(churn->base, sizeof churn->base, "/topic/stomp-bench.%08x", token);
    churn->churners = (struct group){need_zeroed(options->at_a_time, sizeof(struct churner)), sizeof(struct churner),
                                     (unsigned)options->at_a_time};
    group_init(&churn->churners, loop, &handler, "client", churn);
    for (unsigned n = churn->churners.count; n-- > 0;)
        give_back(group_client(&churn->churners, n));
}

void command_churn(struct loop *loop, struct results *results) {
    const struct options *options = loop->options;
    struct churn *churn = need_zeroed(1, sizeof *churn);
    churn_init(churn, loop);
    if (options->rate_count == 0)
        measure(churn, 0, results_add(results));
    for (unsigned n = 0; n < options->rate_count && !loop_is_interrupted(); n++)
        measure(churn, options->rates[n], results_add(results));
    free(churn->churners.first);
    free(churn);
}
