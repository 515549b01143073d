/* The queues in Redis, when they are full: who makes way, what counts; and how much one call looks at. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "redis_queue_bench.h"
#include "stompd/base/log.h"

#define IDLE .idle_expiry_ms = 300000

static struct bench bench;
static struct queue_contract contract;
static struct queue_peer a;
static struct queue_peer b;
static struct draft draft;
static struct reply reply;

static int set_up(void **state) {
    (void)state;
    contract.empty(contract.arg);
    bench_keep_log(&bench);
    queue_peer_open(&a, &contract, "a", "a:1");
    return 0;
}

static int set_up_two(void **state) {
    set_up(state);
    queue_peer_open(&b, &contract, "b", "b:1");
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    queue_peer_close(&a);
    queue_peer_close(&b);
    bench_release_log(&bench);
    return 0;
}

#define say(...) redis_process_say(&bench.process, __VA_ARGS__, NULL)

static void assert_done(enum change_result result) {
    assert_int_equal(result, CHANGE_DONE);
}

static long number(const char *text) {
    return strtol(text, NULL, 10);
}

/* How often the server has carried that command out since it was told CONFIG RESETSTAT. */
static long calls_of(const char *command) {
    char name[64];
    snprintf(name, sizeof name, "cmdstat_%s:calls=", command);
    const char *at = strstr(say("INFO", "commandstats"), name);
    return at ? number(at + strlen(name)) : 0;
}

/* Copies of the first message, whose time was over long ago. */
static void put_expired(const char *queue, const char *count) {
    static const char script[] = "local e = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1] "
                                 "for n = 1, ARGV[1] do redis.call('XADD', KEYS[1], '*', 'm', e[2][2], 'x', 1) end "
                                 "return redis.call('XLEN', KEYS[1])";
    assert_true(number(say("EVAL", script, "1", queue, count)) > 0);
}

static void assert_counts(uint64_t expired, uint64_t dropped, uint64_t dead) {
    struct queue_counts counts;
    a.store->ops->count(a.store, &counts);
    assert_int_equal(counts.expired, expired);
    assert_int_equal(counts.dropped, dropped);
    assert_int_equal(counts.dead, dead);
}

/* ---- what has expired ---- */

static void test_what_a_consumer_has_does_not_expire_to_make_room(void **state) {
    static const struct queue_policy two = {.max_messages = 2, IDLE};
    (void)state;
    a.policy = &two;
    assert_done(queue_peer_put(&a, "q:x", "1"));
    put_expired("stompd:q:x", "1");
    say("XGROUP", "CREATE", "stompd:q:x", "stompd", "0");
    say("XREADGROUP", "GROUP", "stompd", "b:1", "STREAMS", "stompd:q:x", ">");
    assert_int_equal(queue_peer_put(&a, "q:x", "2"), CHANGE_FULL);
    say("XAUTOCLAIM", "stompd:q:x", "stompd", "free", "0", "0");
    assert_done(queue_peer_put(&a, "q:x", "2"));
    assert_counts(1, 0, 0);
}

static void test_what_was_delivered_too_often_and_has_expired_is_no_dead_letter(void **state) {
    static const struct queue_policy once = {.max_deliveries = 1, IDLE};
    (void)state;
    a.policy = &once;
    assert_done(queue_peer_put(&a, "q:x", "1"));
    put_expired("stompd:q:x", "1");
    assert_string_equal(queue_peer_take(&a, "q:x.dead", 9), "");
    say("XGROUP", "CREATE", "stompd:q:x", "stompd", "0");
    say("XREADGROUP", "GROUP", "stompd", "free", "STREAMS", "stompd:q:x", ">");
    assert_string_equal(queue_peer_take(&a, "q:x", 9), "");
    assert_counts(1, 0, 1);
}

/* Also where consumers have more than are looked at. */
static void test_what_is_ready_and_has_expired_makes_room(void **state) {
    static const struct queue_policy policy = {.max_messages = 130, IDLE};
    (void)state;
    a.policy = &policy;
    queue_peer_put_many(&a, "q:x", 120);
    (void)queue_peer_take(&a, "q:x", 120);
    put_expired("stompd:q:x", "10");
    assert_done(queue_peer_put(&a, "q:x", "new"));
    assert_counts(10, 0, 0);
    assert_string_equal(queue_peer_take(&a, "q:x", 9), "new");
}

/* Behind more than are looked at, and while a call looks once. */
static void test_what_makes_way_and_has_expired_is_no_dead_letter(void **state) {
    static const struct queue_policy policy = {.max_messages = 102, .when_full = WHEN_FULL_DEAD_LETTER, IDLE};
    (void)state;
    a.policy = &policy;
    queue_peer_put_many(&a, "q:x", 101);
    put_expired("stompd:q:x", "1");
    draft_begin(&draft, &a, false);
    for (int n = 0; n < 103; n++)
        draft_put(&draft, "q:x", n < 102 ? "other" : "last");
    assert_done(draft_make(&draft));
    assert_counts(1, 0, 102);
    assert_string_equal(say("XLEN", "stompd:q:x"), "102");
}

/* ---- what counts ---- */

/* Not at once, which would hold all others up. */
static void test_a_limit_that_came_down_is_kept_step_by_step(void **state) {
    static const struct queue_policy ten = {.max_messages = 10, .when_full = WHEN_FULL_DROP, IDLE};
    (void)state;
    queue_peer_put_many(&a, "q:x", 2100);
    a.policy = &ten;
    assert_done(queue_peer_put(&a, "q:x", "new"));
    assert_string_equal(say("XLEN", "stompd:q:x"), "1101");
    assert_done(queue_peer_put(&a, "q:x", "new"));
    assert_string_equal(say("XLEN", "stompd:q:x"), "102");
    assert_done(queue_peer_put(&a, "q:x", "new"));
    assert_string_equal(say("XLEN", "stompd:q:x"), "10");
    assert_counts(0, 2093, 0);
    assert_string_equal(queue_peer_take(&a, "q:x", 9), "2094 2095 2096 2097 2098 2099 2100 new new");
}

static void test_a_message_larger_than_its_queue_is_refused_whatever_there_is_to_drop(void **state) {
    static const struct queue_policy small = {.max_bytes = 1000, .when_full = WHEN_FULL_DROP, IDLE};
    (void)state;
    queue_peer_put_many(&a, "q:x", 1100);
    a.policy = &small;
    assert_int_equal(queue_peer_put_sized(&a, "q:x", "large", 1000), CHANGE_FULL);
    assert_string_equal(say("XLEN", "stompd:q:x"), "1100");
}

/* Messages of that size, which it has then. */
static void take_large(struct queue_peer *peer, size_t size, unsigned count) {
    for (; count > 0; count--) {
        assert_done(queue_peer_put_sized(peer, "q:x", "large", size));
        assert_string_equal(queue_peer_take(peer, "q:x", 1), "large");
    }
}

static void put_small(const char *const *names, size_t count) {
    for (size_t n = 0; n < count; n++)
        assert_done(queue_peer_put_sized(&a, "q:x", names[n], 1000));
}

static long bytes_held(const char *boot) {
    return number(say("HGET", "stompd:i:q:x", boot));
}

/* To the byte, whatever the sizes. */
static void test_bytes_that_consumers_have_do_not_count_where_the_oldest_makes_way(void **state) {
    static const struct queue_policy policy = {.max_bytes = 20000, .when_full = WHEN_FULL_DROP, IDLE};
    static const char *const names[] = {"1", "2", "3", "4", "5", "6", "7", "8"};
    (void)state;
    a.policy = b.policy = &policy;
    take_large(&a, 15000, 2);
    take_large(&b, 10000, 1);
    assert_int_equal(bytes_held("a:1"), 2 * queue_peer_entry(&a, "large").size);
    assert_int_equal(bytes_held("b:1"), queue_peer_entry(&b, "large").size);
    put_small(names, 8);
    assert_counts(0, 0, 0);
    assert_done(queue_peer_put_sized(&a, "q:x", "9", 11500));
    assert_counts(0, 1, 0);
    /* What is returned counts again. */
    assert_done(queue_peer_return(&b, "q:x", "large", false));
    assert_done(queue_peer_put_sized(&a, "q:x", "10", 1));
    assert_counts(0, 3, 0);
    assert_string_equal(queue_peer_take(&a, "q:x", 9), "3 4 5 6 7 8 9 10");
}

static void test_what_a_change_settles_makes_no_room_where_only_what_is_ready_counts(void **state) {
    static const struct queue_policy two = {.max_messages = 2, .when_full = WHEN_FULL_DROP, IDLE};
    (void)state;
    a.policy = &two;
    queue_peer_put_many(&a, "q:x", 2);
    assert_string_equal(queue_peer_take(&a, "q:x", 2), "1 2");
    assert_done(queue_peer_put(&a, "q:x", "3"));
    assert_done(queue_peer_put(&a, "q:x", "4"));
    draft_begin(&draft, &a, true);
    draft_settle(&draft, "q:x", "1");
    draft_return(&draft, "q:x", "2", false);
    draft_put(&draft, "q:x", "5");
    assert_done(draft_make(&draft));
    assert_counts(0, 2, 0);
    assert_string_equal(queue_peer_take(&a, "q:x", 9), "4 5");
}

static void test_bytes_that_a_boot_has_are_forgotten_with_it(void **state) {
    static const struct queue_policy policy = {.max_bytes = 20000, .when_full = WHEN_FULL_DROP, IDLE};
    (void)state;
    a.policy = b.policy = &policy;
    take_large(&a, 10000, 1);
    take_large(&b, 10000, 1);
    queue_peer_close(&b);
    contract.bury(contract.arg, "b", "b:1");
    assert_string_equal(say("HGET", "stompd:i:q:x", "b:1"), "nil");
    assert_done(queue_peer_settle(&a, "q:x", "large"));
    assert_string_equal(say("HKEYS", "stompd:i:q:x"), "bytes");
    /* Those of one that has left without a trace, when they would count. */
    say("HSET", "stompd:i:q:x", "c:1", "90000");
    assert_done(queue_peer_put_sized(&a, "q:x", "1", 15000));
    assert_counts(0, 1, 0);
    assert_string_equal(say("HGET", "stompd:i:q:x", "c:1"), "nil");
}

/* Each in a change of its own, in one call; where there is a minus in front of the name, it is returned. */
static void settle_all(const char *const *names, size_t count) {
    static struct draft drafts[QUEUE_CHANGES_MAX];
    for (size_t n = 0; n < count; n++) {
        draft_begin(&drafts[n], &a, false);
        if (names[n][0] == '-')
            draft_return(&drafts[n], "q:x", names[n] + 1, false);
        else
            draft_settle(&drafts[n], "q:x", names[n]);
    }
    queue_peer_call_change(&a, drafts, count, &reply);
    queue_peer_await_reply(&reply);
    assert_int_equal(reply.result, QUEUE_OK);
    for (size_t n = 0; n < count; n++) {
        assert_done(reply.changes[n]);
        draft_end(&drafts[n]);
    }
}

static void assert_stored(unsigned count) {
    assert_int_equal(number(say("XLEN", "stompd:q:x")), count);
    assert_int_equal(number(say("HGET", "stompd:i:q:x", "bytes")), count * queue_peer_entry(&a, "1").size);
}

/* Those that nobody else has are settled without a look at each. */
static void test_messages_that_are_settled_again_and_again_count_once(void **state) {
    static const char *const first[] = {"4", "5", "6"};
    static const char *const then[] = {"1", "2", "4", "1", "6", "-3", "2", "2"};
    (void)state;
    queue_peer_put_many(&a, "q:x", 8);
    assert_string_equal(queue_peer_take(&a, "q:x", 6), "1 2 3 4 5 6");
    settle_all(first, 3);
    assert_stored(5);
    settle_all(then, 8);
    assert_stored(3);
    assert_string_equal(queue_peer_take(&a, "q:x", 9), "3 7 8");
}

/* A server with older data has delivered it to nobody yet. */
static void test_what_has_yet_to_be_delivered_is_not_settled(void **state) {
    static const char *const names[] = {"1", "2", "3", "4", "5", "6", "7"};
    (void)state;
    queue_peer_put_many(&a, "q:x", 7);
    assert_string_equal(queue_peer_take(&a, "q:x", 6), "1 2 3 4 5 6");
    say("COPY", "stompd:q:x", "before");
    assert_string_equal(queue_peer_take(&a, "q:x", 1), "7");
    say("COPY", "before", "stompd:q:x", "REPLACE");
    settle_all(names, 7);
    assert_stored(1);
    assert_string_equal(queue_peer_take(&a, "q:x", 9), "7");
}

/* ---- how much one call looks at ---- */

static void test_a_take_that_meets_many_expired_messages_comes_again(void **state) {
    static const struct queue_policy brief = {.max_age_ms = 1, IDLE};
    const struct queue_policy *no_limits = a.policy;
    (void)state;
    a.policy = &brief;
    queue_peer_put_many(&a, "q:x", 1500);
    a.policy = no_limits;
    contract.advance(contract.arg, 5);
    assert_done(queue_peer_put(&a, "q:x", "new"));
    assert_string_equal(queue_peer_take(&a, "q:x", 1), "");
    queue_peer_expect_ready(&a, "q:x\n");
    assert_string_equal(queue_peer_take(&a, "q:x", 1), "new");
    assert_string_equal(say("XLEN", "stompd:q:x"), "1");
}

/* It learns from what it passes over how much it may read at a time. */
static void test_what_has_expired_is_read_in_large_pieces(void **state) {
    (void)state;
    assert_done(queue_peer_put(&a, "q:x", "1"));
    put_expired("stompd:q:x", "1000");
    assert_string_equal(queue_peer_take(&a, "q:x", 1), "1");
    say("CONFIG", "RESETSTAT");
    assert_string_equal(queue_peer_take(&a, "q:x", 500), "");
    assert_counts(1000, 0, 0);
    assert_in_range(calls_of("xreadgroup"), 1, 10);
}

#define MANY 20

/* Wants of queues "q:a", "q:b" and so on. */
static struct queue_want wants[MANY];
static char names_of_wants[MANY][4];
static char all_names[MANY * 4 + 1];

static void want_from(unsigned count, uint32_t messages) {
    all_names[0] = '\0';
    for (unsigned n = 0; n < count; n++) {
        snprintf(names_of_wants[n], sizeof names_of_wants[n], "q:%c", (char)('a' + n));
        wants[n] = (struct queue_want){.queue = bytes_of(names_of_wants[n]), .messages = messages};
        snprintf(all_names + strlen(all_names), sizeof all_names - strlen(all_names), "%s\n", names_of_wants[n]);
    }
}

static void take_wants(unsigned count) {
    queue_peer_call_take(&a, wants, count, &reply);
    queue_peer_await_reply(&reply);
    assert_int_equal(reply.result, QUEUE_OK);
}

/* Others would wait for as long. What it had no time for comes with the next. */
static void test_a_take_passes_over_so_many_expired_messages_in_all(void **state) {
    char key[96];
    (void)state;
    want_from(8, 1);
    for (unsigned n = 0; n < 8; n++) {
        snprintf(key, sizeof key, "stompd:%s", names_of_wants[n]);
        assert_done(queue_peer_put(&a, names_of_wants[n], "1"));
        put_expired(key, "1100");
        assert_string_equal(queue_peer_take(&a, names_of_wants[n], 1), "1");
    }
    take_wants(8);
    assert_string_equal(reply.text, "");
    assert_string_equal(say("XLEN", "stompd:q:h"), "1101");
    queue_peer_expect_ready(&a, all_names);
    for (int n = 0; n < 3; n++)
        take_wants(8);
    assert_counts(8800, 0, 0);
}

static void test_a_take_has_so_many_bytes_in_all(void **state) {
    (void)state;
    want_from(MANY, 9);
    for (unsigned n = 0; n < MANY; n++)
        assert_done(queue_peer_put_sized(&a, names_of_wants[n], names_of_wants[n] + 2, 300000));
    take_wants(MANY);
    assert_in_range(reply.bytes, 4 << 20, (4 << 20) + 400000);
    assert_int_equal(reply.entry_count, 14);
    queue_peer_expect_ready(&a, all_names);
    take_wants(MANY);
    assert_string_equal(reply.text, ",,,,,,,,,,,,,,o,p,q,r,s,t");
}

#define ONE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
#define TWO(test) cmocka_unit_test_setup_teardown(test, set_up_two, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        ONE(test_what_a_consumer_has_does_not_expire_to_make_room),
        ONE(test_what_was_delivered_too_often_and_has_expired_is_no_dead_letter),
        ONE(test_what_is_ready_and_has_expired_makes_room),
        ONE(test_what_makes_way_and_has_expired_is_no_dead_letter),
        ONE(test_a_limit_that_came_down_is_kept_step_by_step),
        ONE(test_a_message_larger_than_its_queue_is_refused_whatever_there_is_to_drop),
        TWO(test_bytes_that_consumers_have_do_not_count_where_the_oldest_makes_way),
        ONE(test_what_a_change_settles_makes_no_room_where_only_what_is_ready_counts),
        TWO(test_bytes_that_a_boot_has_are_forgotten_with_it),
        ONE(test_messages_that_are_settled_again_and_again_count_once),
        ONE(test_what_has_yet_to_be_delivered_is_not_settled),
        ONE(test_a_take_that_meets_many_expired_messages_comes_again),
        ONE(test_what_has_expired_is_read_in_large_pieces),
        ONE(test_a_take_passes_over_so_many_expired_messages_in_all),
        ONE(test_a_take_has_so_many_bytes_in_all),
    };
    log_set_level(LOG_LEVEL_WARNING);
    bench_init(&bench);
    queue_bench_init(&contract, &bench);
    redis_process_start(&bench.process, NULL);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    bench_free(&bench);
    return failed;
}
