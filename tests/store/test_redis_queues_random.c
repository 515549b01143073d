/*
 * Queues in Redis against those in memory: the same random calls must have the same answers, also when Redis' link breaks
 * in between and they are made again. A failing run names its seed; STOMPD_SEED=n runs that one alone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "redis_queue_bench.h"
#include "stompd/base/clock.h"
#include "stompd/base/log.h"
#include "stompd/store/memory_queues.h"

#define SEEDS    25
#define STEPS    150
#define QUEUES   6
#define LIVING   3 /* those that are put to; where a dead-letter queue is, too, the stores may differ in what is full */
#define POLICIES 5
#define CHANGES  4 /* of a call, at most */
#define TAKEN    4096
#define IDLE     .idle_expiry_ms = 300000

static const char *const names[QUEUES] = {"q:x", "q:y", "a:/app/**", "q:x.dead", "q:y.dead", "q:app.dead"};
static const struct queue_policy policies[POLICIES] = {
    {IDLE},
    {.max_messages = 6, IDLE},
    {.max_messages = 5, .when_full = WHEN_FULL_DROP, .max_deliveries = 2, IDLE},
    {.max_messages = 4, .when_full = WHEN_FULL_DEAD_LETTER, .dead_letter = "q:app.dead", IDLE},
    {.max_messages = 3, .when_full = WHEN_FULL_DEAD_LETTER, .max_deliveries = 3, IDLE},
};

/* Redis, and memory. */
enum { REDIS, MEMORY, BOTH };

static struct bench bench;
static struct queue_contract contracts[BOTH];
static struct queue_peer peers[BOTH];
static struct draft drafts[BOTH][CHANGES];
static struct reply replies[BOTH];
static uint64_t seed;
static unsigned messages; /* so far */

/* What was ever taken, and from where. */
static unsigned taken_count;
static struct {
    char name[QUEUE_PEER_NAME];
    unsigned queue;
} taken[TAKEN];

/* ---- memory as a kind of store ---- */

static struct queue_store *attach(void *arg, const char *node, const char *boot, const struct queue_events *events,
                                  void *events_arg) {
    (void)arg;
    (void)node;
    (void)boot;
    struct queue_store *store = memory_queues_new(64u << 20, clock_ms, events, events_arg);
    assert_non_null(store);
    return store;
}

static void detach(void *arg, struct queue_store *store) {
    (void)arg;
    store->ops->free(store);
}

static bool pump_until(void *arg, bool (*reached)(void *reached_arg), void *reached_arg) {
    (void)arg;
    while (!reached(reached_arg))
        if (!peers[MEMORY].store->ops->turn(peers[MEMORY].store))
            return reached(reached_arg);
    return true;
}

/* ---- the same for both ---- */

static unsigned below(unsigned bound) {
    return (unsigned)random_below(&seed, bound);
}

static void add_put(size_t n) {
    char name[QUEUE_PEER_NAME];
    const char *queue = names[below(LIVING)];
    snprintf(name, sizeof name, "%u", ++messages);
    for (int store = 0; store < BOTH; store++)
        draft_put(&drafts[store][n], queue, name);
}

/* One of the last that were taken, where it was taken last: its entry there is what queue_peer.h knows. */
static unsigned draw_taken(void) {
    unsigned which = taken_count - 1 - below(taken_count < 12 ? taken_count : 12);
    for (unsigned n = taken_count; n-- > which;)
        if (strcmp(taken[n].name, taken[which].name) == 0)
            return n;
    return which;
}

static void add_finish(size_t n) {
    unsigned which = draw_taken();
    unsigned how = below(4);
    const char *queue = names[taken[which].queue];
    const char *name = taken[which].name;
    for (int store = 0; store < BOTH; store++) {
        struct draft *draft = &drafts[store][n];
        if (how == 0)
            draft_settle(draft, queue, name);
        else if (how == 1)
            draft_reject(draft, queue, name);
        else
            draft_return(draft, queue, name, how == 2);
    }
}

static void draw_change(size_t n) {
    bool together = below(2) == 0;
    unsigned operations = 1 + below(below(3) == 0 ? 8 : 2);
    for (int store = 0; store < BOTH; store++)
        draft_begin(&drafts[store][n], &peers[store], together);
    for (; operations > 0; operations--) {
        const struct queue_policy *policy = &policies[below(POLICIES)];
        peers[REDIS].policy = peers[MEMORY].policy = policy;
        if (taken_count == 0 || below(2) == 0)
            add_put(n);
        else
            add_finish(n);
    }
}

static void assert_same_answers(void) {
    struct queue_counts counts[BOTH];
    for (int store = 0; store < BOTH; store++) {
        queue_peer_await_reply(&replies[store]);
        assert_int_equal(replies[store].result, QUEUE_OK);
        peers[store].store->ops->count(peers[store].store, &counts[store]);
    }
    assert_int_equal(replies[REDIS].change_count, replies[MEMORY].change_count);
    for (size_t n = 0; n < replies[MEMORY].change_count; n++)
        assert_int_equal(replies[REDIS].changes[n], replies[MEMORY].changes[n]);
    assert_string_equal(replies[REDIS].text, replies[MEMORY].text);
    assert_int_equal(counts[REDIS].dropped, counts[MEMORY].dropped);
    assert_int_equal(counts[REDIS].dead, counts[MEMORY].dead);
    assert_int_equal(counts[REDIS].expired, 0);
    assert_int_equal(counts[REDIS].unreadable, 0);
}

/* Whether the call has to be made again. */
static bool is_cut(void) {
    if (below(30) > 0)
        return false;
    contracts[REDIS].break_link(contracts[REDIS].arg, peers[REDIS].store, below(2) == 0);
    queue_peer_await_reply(&replies[REDIS]);
    assert_int_equal(replies[REDIS].result, QUEUE_AWAY);
    return true;
}

/* Of one queue in one call there is one policy. */
static void unify_policies(struct draft *of_store, size_t count) {
    static const struct queue_policy *by_queue[QUEUES];
    memset(by_queue, 0, sizeof by_queue);
    for (size_t n = 0; n < count; n++)
        for (size_t i = 0; i < of_store[n].change->count; i++)
            for (size_t queue = 0; queue < QUEUES; queue++)
                if (bytes_equal(of_store[n].queues[i], bytes_of(names[queue]))) {
                    if (!by_queue[queue])
                        by_queue[queue] = of_store[n].policies[i];
                    of_store[n].policies[i] = by_queue[queue];
                }
}

static void change(void) {
    size_t count = 1 + below(CHANGES);
    for (size_t n = 0; n < count; n++)
        draw_change(n);
    for (int store = 0; store < BOTH; store++) {
        unify_policies(drafts[store], count);
        queue_peer_call_change(&peers[store], drafts[store], count, &replies[store]);
    }
    while (is_cut())
        queue_peer_change_again(&peers[REDIS], drafts[REDIS], count, &replies[REDIS]);
    assert_same_answers();
    for (int store = 0; store < BOTH; store++)
        for (size_t n = 0; n < count; n++)
            draft_end(&drafts[store][n]);
}

static void note_taken(unsigned queue, size_t from) {
    for (size_t n = from; n < peers[MEMORY].taken_count; n++) {
        assert_true(taken_count < TAKEN);
        snprintf(taken[taken_count].name, QUEUE_PEER_NAME, "%s", peers[MEMORY].taken[n].name);
        taken[taken_count++].queue = queue;
    }
}

/* From one queue, so that it is known where each is from. */
static void take(uint32_t most) {
    unsigned queue = below(QUEUES);
    size_t before = peers[MEMORY].taken_count;
    struct queue_want want = {.queue = bytes_of(names[queue]), .messages = most};
    peers[REDIS].policy = peers[MEMORY].policy = &policies[below(POLICIES)];
    for (int store = 0; store < BOTH; store++)
        queue_peer_call_take(&peers[store], &want, 1, &replies[store]);
    while (is_cut())
        queue_peer_take_again(&peers[REDIS], &want, 1, &replies[REDIS]);
    assert_same_answers();
    note_taken(queue, before);
}

static void run(uint64_t first) {
    seed = first;
    messages = taken_count = 0;
    contracts[REDIS].empty(contracts[REDIS].arg);
    for (int store = 0; store < BOTH; store++)
        queue_peer_open(&peers[store], &contracts[store], "a", "a:1");
    for (int step = 0; step < STEPS; step++) {
        if (below(3) == 0)
            take(1 + below(5));
        else
            change();
    }
    for (int n = 0; n < 3 * QUEUES; n++)
        take(100);
    for (int store = 0; store < BOTH; store++)
        queue_peer_close(&peers[store]);
}

static void test_both_answer_the_same(void **state) {
    const char *only = getenv("STOMPD_SEED");
    uint64_t first = only ? strtoull(only, NULL, 10) : 1;
    (void)state;
    for (uint64_t n = first; n < (only ? first + 1 : first + SEEDS); n++) {
        print_message("seed %" PRIu64 "\n", n);
        run(n);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_both_answer_the_same)};
    log_set_level(LOG_LEVEL_ERROR);
    bench_init(&bench);
    queue_bench_init(&contracts[REDIS], &bench);
    contracts[MEMORY] = (struct queue_contract){.attach = attach, .detach = detach, .pump_until = pump_until};
    redis_process_start(&bench.process, NULL);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    bench_free(&bench);
    return failed;
}
