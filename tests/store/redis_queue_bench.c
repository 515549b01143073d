/* Attaching, renewing, breaking links. */
#include "redis_queue_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "stompd/store/payload.h"

#define LINKS_MAX 8

/* A store with its queues. */
struct link {
    struct bench *bench;
    struct store *store;
    struct queue_store *queues;
    char node[16];
    char channel[24];
    unsigned ups;
    unsigned downs;
    unsigned renewed;
    bool heard; /* the node's channel, on this link */
};

static struct link links[LINKS_MAX];

static struct link *link_of(const struct queue_store *queues) {
    for (size_t n = 0; n < LINKS_MAX; n++)
        if (links[n].queues == queues)
            return &links[n];
    fail_msg("no such queues");
    return NULL;
}

/* ---- what the store tells ---- */

static void on_renewed(void *arg, const struct store_answer *answer) {
    struct link *link = arg;
    link->renewed += answer->result == STORE_OK || answer->result == STORE_GONE;
}

static void on_up(void *arg, struct bytes server) {
    struct link *link = arg;
    (void)server;
    link->ups++;
    link->store->ops->renew(link->store, (struct store_call){on_renewed, link});
    link->store->ops->subscribe(link->store, STORE_CHANNEL, bytes_of(link->channel));
}

static void on_down(void *arg) {
    struct link *link = arg;
    link->downs++;
    link->heard = false;
}

static void on_subscribed(void *arg, enum store_channel kind, struct bytes name) {
    (void)kind;
    (void)name;
    ((struct link *)arg)->heard = true;
}

static void on_message(void *arg, struct bytes channel, struct bytes payload) {
    struct link *link = arg;
    struct bytes queue;
    const char *why = "";
    assert_true(bytes_equal(channel, bytes_of(link->channel)));
    if (!payload_read_ready(payload, &queue, &why))
        fail_msg("%s", why);
    link->queues->events->ready(link->queues->arg, queue);
}

static void on_published(void *arg, bool taken) {
    (void)arg;
    (void)taken;
}

static const struct store_events events = {on_up, on_down, on_subscribed, on_subscribed, on_message, on_published};

/* ---- waiting ---- */

struct goal {
    const struct link *link;
    unsigned count;
};

static bool is_up(void *arg) {
    const struct goal *goal = arg;
    return goal->link->ups >= goal->count && goal->link->renewed >= goal->count && goal->link->heard;
}

static bool is_renewed(void *arg) {
    const struct goal *goal = arg;
    return goal->link->renewed >= goal->count;
}

static void await(const struct link *link, bool (*reached)(void *arg), unsigned count) {
    struct goal goal = {link, count};
    assert_true(turn_until(link->bench->base, reached, &goal));
}

/* ---- the kind of store ---- */

static struct queue_store *attach(void *arg, const char *node, const char *boot, const struct queue_events *of_queues,
                                  void *events_arg) {
    struct bench *bench = arg;
    struct link *link = link_of(NULL);
    *link = (struct link){.bench = bench};
    snprintf(link->node, sizeof link->node, "%s", node);
    snprintf(link->channel, sizeof link->channel, "n:%s", node);
    link->store = bench->contract.attach(bench, node, boot, &events, link);
    link->queues = redis_store_queues(link->store, 1, of_queues, events_arg);
    assert_non_null(link->queues);
    await(link, is_up, 1);
    return link->queues;
}

static void detach(void *arg, struct queue_store *queues) {
    struct link *link = link_of(queues);
    (void)arg;
    link->store->ops->free(link->store);
    *link = (struct link){0};
}

static bool pump_until(void *arg, bool (*reached)(void *reached_arg), void *reached_arg) {
    return turn_until(((struct bench *)arg)->base, reached, reached_arg);
}

/* The server's time is real. */
static void advance(void *arg, uint64_t ms) {
    struct timespec wait = {(time_t)(ms / 1000), (long)(ms % 1000) * 1000000};
    (void)arg;
    nanosleep(&wait, NULL);
}

static void empty(void *arg) {
    ((struct bench *)arg)->contract.empty(arg);
}

static void bury(void *arg, const char *node, const char *boot) {
    struct bench *bench = arg;
    static struct peer digger;
    char key[64];
    snprintf(key, sizeof key, "%snodes", bench->prefix);
    peer_open(&digger, &bench->contract, "digger", "digger:1");
    const char *entry = redis_process_say(&bench->process, "HGET", key, node, NULL);
    assert_memory_equal(entry, boot, strlen(boot));
    uint64_t renewals = strtoull(entry + strlen(boot), NULL, 10);
    enum store_result result = peer_bury(&digger, node, boot, renewals, false);
    for (int n = 0; n < 100 && result == STORE_MORE; n++)
        result = peer_bury(&digger, node, boot, renewals, false);
    assert_int_equal(result, STORE_OK);
    peer_close(&digger);
}

static void renew(void *arg, struct queue_store *queues) {
    (void)arg;
    queue_bench_renew(queues);
}

static void break_link(void *arg, struct queue_store *queues, bool carried_out) {
    struct link *link = link_of(queues);
    unsigned ups = link->ups;
    (void)arg;
    if (carried_out)
        queue_bench_carry_out(queues);
    link->store->ops->break_link(link->store, "the test wants it");
    queue_bench_await_up(queues, ups + 1);
}

void queue_bench_init(struct queue_contract *contract, struct bench *bench) {
    *contract = (struct queue_contract){.attach = attach,
                                        .detach = detach,
                                        .pump_until = pump_until,
                                        .advance = advance,
                                        .empty = empty,
                                        .bindings = true,
                                        .several = true,
                                        .bury = bury,
                                        .recovers = true,
                                        .renew = renew,
                                        .break_link = break_link,
                                        .arg = bench};
}

/* ---- the same for tests ---- */

struct store *queue_bench_store(struct queue_store *queues) {
    return link_of(queues)->store;
}

void queue_bench_renew(struct queue_store *queues) {
    struct link *link = link_of(queues);
    unsigned renewed = link->renewed;
    link->store->ops->renew(link->store, (struct store_call){on_renewed, link});
    await(link, is_renewed, renewed + 1);
}

unsigned queue_bench_ups(struct queue_store *queues) {
    return link_of(queues)->ups;
}

unsigned queue_bench_downs(struct queue_store *queues) {
    return link_of(queues)->downs;
}

void queue_bench_await_up(struct queue_store *queues, unsigned ups) {
    await(link_of(queues), is_up, ups);
}

/* The server stands still while the commands are written, and then answers others, who came later. */
void queue_bench_carry_out(struct queue_store *queues) {
    struct bench *bench = link_of(queues)->bench;
    kill(bench->process.pid, SIGSTOP);
    turn(bench->base, 3);
    kill(bench->process.pid, SIGCONT);
    for (int n = 0; n < 2; n++)
        assert_string_equal(redis_process_say(&bench->process, "PING", NULL), "PONG");
}
