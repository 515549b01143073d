/*
 * The contract of queues, kept by those in Redis; and what is Redis' own: its keys, and what others do to them. Limits and
 * what passes between nodes are in files of their own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../src/store/redis_scripts.h"
#include "redis_queue_bench.h"
#include "stompd/base/log.h"

#define IDLE .idle_expiry_ms = 300000

static struct bench bench;
static struct queue_contract contract;
static struct queue_peer a;
static struct queue_peer b;
static struct draft draft;
static struct draft drafts[3];
static struct reply reply;

static int set_up(void **state) {
    (void)state;
    contract.empty(contract.arg);
    bench_keep_log(&bench);
    queue_peer_open(&a, &contract, "a", "a:1");
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    queue_peer_close(&a);
    queue_peer_close(&b);
    bench_release_log(&bench);
    redis_process_say(&bench.process, "CONFIG", "SET", "maxmemory", "0", NULL);
    return 0;
}

#define say(...) redis_process_say(&bench.process, __VA_ARGS__, NULL)

static void assert_done(enum change_result result) {
    assert_int_equal(result, CHANGE_DONE);
}

static long number(const char *text) {
    return strtol(text, NULL, 10);
}

static void assert_unreadable(struct queue_peer *peer, uint64_t unreadable) {
    struct queue_counts counts;
    peer->store->ops->count(peer->store, &counts);
    assert_int_equal(counts.unreadable, unreadable);
}

/* ---- keys ---- */

static void test_keys_are_as_documented(void **state) {
    (void)state;
    assert_done(queue_peer_put(&a, "q:x", "1"));
    assert_done(queue_peer_put(&a, "q:x", "2"));
    assert_string_equal(queue_peer_take(&a, "q:x", 3), "1 2");
    assert_string_equal(queue_peer_take(&a, "d:ann/1", 1), "");
    assert_string_equal(say("TYPE", "stompd:q:x"), "stream");
    assert_string_equal(say("XLEN", "stompd:q:x"), "2");
    assert_int_equal(number(say("HGET", "stompd:i:q:x", "bytes")), 2 * queue_peer_entry(&a, "1").size);
    assert_string_equal(say("ZRANGE", "stompd:w:q:x", "0", "-1"), "a");
    assert_string_equal(say("ZRANGE", "stompd:w:d:ann/1", "0", "-1"), "a");
    assert_in_range(number(say("ZSCORE", "stompd:w:q:x", "a")), -1000000000000000, -900000000000000);
    assert_string_equal(say("SMEMBERS", "stompd:boot:a:1:queues"), "q:x");
    assert_string_equal(say("HKEYS", "stompd:boot:a:1:calls"), "f 4");
    assert_string_equal(say("HGET", "stompd:boot:a:1:calls", "f"), "4");
    char ids[64];
    struct entry entry = queue_peer_entry(&a, "2");
    snprintf(ids, sizeof ids, "%llu-%llu", (unsigned long long)entry.ms, (unsigned long long)entry.n);
    assert_non_null(strstr(say("XPENDING", "stompd:q:x", "stompd", ids, ids, "1", "a:1"), " 1"));
}

/* A queue that comes and goes leaves nothing with the boot. */
static void test_a_queue_that_is_empty_has_a_time_to_live(void **state) {
    static const struct queue_policy brief = {.idle_expiry_ms = 20000};
    (void)state;
    a.policy = &brief;
    assert_string_equal(queue_peer_take(&a, "q:x", 1), "");
    assert_in_range(number(say("PTTL", "stompd:w:q:x")), 15000, 20000);
    assert_done(queue_peer_put(&a, "q:x", "1"));
    assert_string_equal(say("PTTL", "stompd:q:x"), "-1");
    assert_string_equal(say("PTTL", "stompd:i:q:x"), "-1");
    assert_string_equal(queue_peer_take(&a, "q:x", 2), "1");
    assert_string_equal(say("PTTL", "stompd:q:x"), "-1");
    assert_string_equal(say("PTTL", "stompd:w:q:x"), "-1");
    assert_done(queue_peer_settle(&a, "q:x", "1"));
    assert_in_range(number(say("PTTL", "stompd:q:x")), 15000, 20000);
    assert_in_range(number(say("PTTL", "stompd:w:q:x")), 15000, 20000);
    assert_string_equal(say("EXISTS", "stompd:i:q:x", "stompd:boot:a:1:queues"), "0");
    say("PEXPIRE", "stompd:q:x", "12000");
    assert_string_equal(queue_peer_take(&a, "q:x", 1), "");
    assert_in_range(number(say("PTTL", "stompd:q:x")), 15000, 20000);
}

static void test_a_queue_whose_time_was_over_begins_anew(void **state) {
    (void)state;
    assert_done(queue_peer_put(&a, "q:x", "1"));
    assert_string_equal(queue_peer_take(&a, "q:x", 1), "1");
    say("DEL", "stompd:q:x", "stompd:i:q:x");
    assert_done(queue_peer_settle(&a, "q:x", "1"));
    assert_done(queue_peer_put(&a, "q:x", "2"));
    assert_string_equal(queue_peer_take(&a, "q:x", 2), "2");
}

static void test_bytes_are_counted_anew_when_a_queue_was_empty(void **state) {
    static const struct queue_policy policy = {.max_bytes = 100000, IDLE};
    (void)state;
    a.policy = &policy;
    say("HSET", "stompd:i:q:x", "bytes", "99990");
    assert_int_equal(queue_peer_put(&a, "q:x", "1"), CHANGE_FULL);
    say("HSET", "stompd:i:q:x", "bytes", "inf");
    assert_done(queue_peer_put(&a, "q:x", "1"));
    assert_done(queue_peer_put(&a, "q:x", "2"));
    assert_string_equal(queue_peer_take(&a, "q:x", 3), "1 2");
    assert_int_equal(number(say("HGET", "stompd:i:q:x", "bytes")), 2 * queue_peer_entry(&a, "1").size);
    say("HSET", "stompd:i:q:x", "bytes", "7");
    assert_done(queue_peer_settle(&a, "q:x", "1"));
    assert_string_equal(say("HGET", "stompd:i:q:x", "bytes"), "0");
    say("HSET", "stompd:i:q:x", "bytes", "99999");
    assert_done(queue_peer_settle(&a, "q:x", "2"));
    assert_string_equal(say("EXISTS", "stompd:i:q:x"), "0");
}

/* ---- calls made again ---- */

/* As it may lie in the socket of a link that is broken. */
static const char *call_left_behind(const char *call, const char *answered, const char *boot, const char *message) {
    char calls[64], queues[64], node[2] = {boot[0], '\0'};
    snprintf(calls, sizeof calls, "stompd:boot:%s:calls", boot);
    snprintf(queues, sizeof queues, "stompd:boot:%s:queues", boot);
    return say("EVALSHA", redis_scripts[REDIS_SCRIPT_CHANGE].sha1, "3", "stompd:nodes", calls, queues, node, boot,
               "stompd:", "word", call, answered, "1", "q:x", "0", "0", "refuse", "0", "300000", "", "0-0", "0-0", "0",
               "p1:0", message);
}

static void test_what_an_old_link_left_behind_is_void(void **state) {
    (void)state;
    for (int n = 1; n <= 3; n++)
        assert_done(queue_peer_put(&a, "q:x", "1"));
    assert_string_equal(say("HGET", "stompd:boot:a:1:calls", "f"), "3");
    assert_string_equal(call_left_behind("2", "2", "a:1", "old"), "5");
    assert_string_equal(say("XLEN", "stompd:q:x"), "3");
    /* The last, which may be made again, is known. */
    assert_string_equal(call_left_behind("3", "3", "a:1", "old"), "0 0  0 0 0 ");
    assert_string_equal(say("XLEN", "stompd:q:x"), "3");
    assert_string_equal(say("HGET", "stompd:boot:a:1:calls", "f"), "3");
    /* What was left behind knows less of what is answered. */
    assert_string_equal(call_left_behind("4", "1", "a:1", "new"), "0 0  0 0 0 ");
    assert_string_equal(say("XLEN", "stompd:q:x"), "4");
    assert_string_equal(say("HGET", "stompd:boot:a:1:calls", "f"), "3");
    /* That of a boot that is no node. */
    assert_string_equal(call_left_behind("5", "5", "c:1", "none"), "1");
    assert_string_equal(call_left_behind("5", "5", "a:2", "none"), "1");
    assert_string_equal(say("XLEN", "stompd:q:x"), "4");
}

/* Restored data may be far behind. */
static void test_answers_of_long_ago_are_forgotten_at_once(void **state) {
    (void)state;
    assert_done(queue_peer_put(&a, "q:x", "1"));
    say("HSET", "stompd:boot:a:1:calls", "7", "old", "3999999", "old", "4000001", "new");
    say("CONFIG", "RESETSTAT");
    assert_string_equal(call_left_behind("4000000", "4000000", "a:1", "new"), "0 0  0 0 0 ");
    assert_non_null(strstr(say("INFO", "commandstats"), "cmdstat_hdel:calls=1,"));
    assert_string_equal(say("HLEN", "stompd:boot:a:1:calls"), "3");
    assert_string_equal(say("HMGET", "stompd:boot:a:1:calls", "f", "4000001"), "4000000 new");
}

static void test_answers_that_have_arrived_are_not_kept(void **state) {
    (void)state;
    for (int n = 0; n < 20; n++) {
        assert_done(queue_peer_put(&a, "q:x", "1"));
        assert_string_equal(queue_peer_take(&a, "q:x", 1), "1");
        assert_done(queue_peer_settle(&a, "q:x", "1"));
    }
    assert_string_equal(say("HLEN", "stompd:boot:a:1:calls"), "2");
}

/* What another took meanwhile, or was settled, is not there any more. */
static void test_a_take_that_is_made_again_brings_what_is_still_there(void **state) {
    struct queue_want want = {.queue = BYTES("q:x"), .messages = 3};
    (void)state;
    queue_peer_put_many(&a, "q:x", 4);
    queue_peer_call_take(&a, &want, 1, &reply);
    contract.break_link(contract.arg, a.store, true);
    queue_peer_await_reply(&reply);
    assert_int_equal(reply.result, QUEUE_AWAY);
    char first[64];
    snprintf(first, sizeof first, "%.*s", (int)strcspn(say("XRANGE", "stompd:q:x", "-", "+", "COUNT", "1"), " "),
             say("XRANGE", "stompd:q:x", "-", "+", "COUNT", "1"));
    say("XDEL", "stompd:q:x", first);
    queue_peer_take_again(&a, &want, 1, &reply);
    queue_peer_await_reply(&reply);
    assert_string_equal(reply.text, "2 3");
    assert_string_equal(queue_peer_take(&a, "q:x", 9), "4");
}

struct away {
    bool done;
    unsigned downs; /* when it was told */
};

static void on_away(void *arg, struct queue_answer *answer) {
    struct away *away = arg;
    assert_int_equal(answer->result, QUEUE_AWAY);
    away->done = true;
    away->downs = queue_bench_downs(a.store);
}

static bool is_away(void *arg) {
    return ((const struct away *)arg)->done;
}

/* One that is under way, and one that comes too late. */
static void test_calls_are_away_before_down_and_while_it_is(void **state) {
    struct queue_want want = {.queue = BYTES("q:x"), .policy = a.policy, .messages = 3};
    struct store *store = queue_bench_store(a.store);
    struct away away[3] = {{0}};
    (void)state;
    a.store->ops->take(a.store, &want, 1, ++a.number, 1, (struct queue_call){on_away, &away[0]});
    store->ops->break_link(store, "the test wants it");
    a.store->ops->take(a.store, &want, 1, ++a.number, 1, (struct queue_call){on_away, &away[1]});
    assert_false(away[0].done || away[1].done);
    assert_true(contract.pump_until(contract.arg, is_away, &away[1]));
    assert_true(away[0].done);
    assert_int_equal(away[0].downs + away[1].downs, 0);
    a.store->ops->take(a.store, &want, 1, ++a.number, 1, (struct queue_call){on_away, &away[2]});
    assert_false(away[2].done);
    assert_true(contract.pump_until(contract.arg, is_away, &away[2]));
    assert_int_equal(away[2].downs, 1);
    queue_bench_await_up(a.store, 2);
}

static void test_flushed_scripts_are_loaded_again_and_calls_keep_their_order(void **state) {
    struct queue_want want = {.queue = BYTES("q:x"), .messages = 9};
    static struct reply replies[3];
    (void)state;
    say("SCRIPT", "FLUSH");
    for (int n = 0; n < 2; n++) {
        draft_begin(&drafts[n], &a, false);
        draft_put(&drafts[n], "q:x", n == 0 ? "1" : "2");
        queue_peer_call_change(&a, &drafts[n], 1, &replies[n]);
    }
    queue_peer_call_take(&a, &want, 1, &replies[2]);
    for (int n = 0; n < 3; n++) {
        queue_peer_await_reply(&replies[n]);
        assert_int_equal(replies[n].result, QUEUE_OK);
    }
    assert_string_equal(replies[2].text, "1 2");
    draft_end(&drafts[0]);
    draft_end(&drafts[1]);
    assert_int_equal(bench_logged(&bench, "error"), 0);
}

/* A change has found its script, which another node had loaded, and overtaken the take before it. */
static void test_calls_whose_order_is_lost_are_made_again_on_the_next_link(void **state) {
    struct queue_want want = {.queue = BYTES("q:x"), .messages = 9};
    static struct reply replies[2];
    (void)state;
    say("SCRIPT", "FLUSH");
    say("SCRIPT", "LOAD", redis_scripts[REDIS_SCRIPT_CHANGE].text);
    draft_begin(&draft, &a, false);
    draft_put(&draft, "q:x", "1");
    queue_peer_call_take(&a, &want, 1, &replies[0]);
    queue_peer_call_change(&a, &draft, 1, &replies[1]);
    for (int n = 0; n < 2; n++) {
        queue_peer_await_reply(&replies[n]);
        assert_int_equal(replies[n].result, QUEUE_AWAY);
    }
    queue_bench_await_up(a.store, 2);
    queue_peer_take_again(&a, &want, 1, &replies[0]);
    queue_peer_change_again(&a, &draft, 1, &replies[1]);
    for (int n = 0; n < 2; n++) {
        queue_peer_await_reply(&replies[n]);
        assert_int_equal(replies[n].result, QUEUE_OK);
    }
    assert_done(replies[1].changes[0]);
    draft_end(&draft);
    assert_string_equal(say("XLEN", "stompd:q:x"), "1");
}

static void test_a_server_that_is_emptied_knows_nobody(void **state) {
    (void)state;
    queue_peer_put_many(&a, "q:x", 2);
    assert_string_equal(queue_peer_take(&a, "q:x", 1), "1");
    say("FLUSHALL");
    draft_begin(&draft, &a, true);
    draft_put(&draft, "q:x", "3");
    queue_peer_call_change(&a, &draft, 1, &reply);
    queue_peer_await_reply(&reply);
    assert_int_equal(reply.result, QUEUE_GONE);
    queue_bench_renew(a.store);
    queue_peer_change_again(&a, &draft, 1, &reply);
    queue_peer_await_reply(&reply);
    assert_int_equal(reply.result, QUEUE_OK);
    assert_done(reply.changes[0]);
    draft_end(&draft);
    assert_done(queue_peer_settle(&a, "q:x", "1"));
    draft_begin(&draft, &a, true);
    draft_settle(&draft, "q:x", "1");
    assert_int_equal(draft_make(&draft), CHANGE_LOST);
    assert_string_equal(queue_peer_take(&a, "q:x", 9), "3");
}

/* ---- no memory ---- */

static void fill_memory(void) {
    assert_string_equal(say("CONFIG", "SET", "maxmemory", "1"), "OK");
}

static void empty_memory(void) {
    assert_string_equal(say("CONFIG", "SET", "maxmemory", "0"), "OK");
}

static void test_a_server_without_memory_takes_no_messages_but_gives_and_settles(void **state) {
    (void)state;
    queue_peer_put_many(&a, "q:x.dead", 6);
    assert_string_equal(queue_peer_take(&a, "q:x.dead", 3), "1 2 3");
    fill_memory();
    assert_int_equal(queue_peer_put(&a, "q:x.dead", "7"), CHANGE_FAILED);
    assert_int_equal(bench_logged(&bench, "the server's memory is full"), 1);
    draft_begin(&draft, &a, true);
    draft_settle(&draft, "q:x.dead", "1");
    draft_put(&draft, "q:y", "8");
    assert_int_equal(draft_make(&draft), CHANGE_FAILED);
    draft_begin(&draft, &a, true);
    draft_settle(&draft, "q:x.dead", "1");
    draft_return(&draft, "q:x.dead", "2", true);
    draft_reject(&draft, "q:x.dead", "3");
    assert_done(draft_make(&draft));
    assert_string_equal(queue_peer_take(&a, "q:x.dead", 9), "2*2 4 5 6");
    assert_string_equal(say("XLEN", "stompd:q:x.dead"), "4");
    assert_string_equal(say("EXISTS", "stompd:q:y"), "0");
    assert_int_equal(number(say("HGET", "stompd:i:q:x.dead", "bytes")), 4 * queue_peer_entry(&a, "2").size);
}

/* What is carried out is kept too, also when nothing has been kept yet; and who waits is noted. */
static void test_a_server_without_memory_carries_calls_out_once(void **state) {
    struct queue_want want = {.queue = BYTES("q:x"), .messages = 2};
    (void)state;
    queue_peer_put_many(&a, "q:x", 3);
    say("DEL", "stompd:boot:a:1:calls");
    fill_memory();
    queue_peer_call_take(&a, &want, 1, &reply);
    queue_bench_carry_out(a.store);
    empty_memory();
    contract.break_link(contract.arg, a.store, false);
    queue_peer_await_reply(&reply);
    assert_int_equal(reply.result, QUEUE_AWAY);
    fill_memory();
    queue_peer_take_again(&a, &want, 1, &reply);
    queue_peer_await_reply(&reply);
    assert_string_equal(reply.text, "1 2");
    assert_string_equal(queue_peer_take(&a, "q:x", 9), "3");
    assert_string_equal(queue_peer_take(&a, "q:new", 9), "");
    empty_memory();
    assert_done(queue_peer_put(&a, "q:x", "4"));
    assert_done(queue_peer_put(&a, "q:new", "5"));
    queue_peer_expect_ready(&a, "q:x\nq:new\n");
}

/* ---- no memory in this node ---- */

/* So that an allocation which can't be had is answered as elsewhere. */
const char *__asan_default_options(void);
const char *__asan_default_options(void) {
    return "allocator_may_return_null=1";
}

const char *__tsan_default_options(void);
const char *__tsan_default_options(void) {
    return "allocator_may_return_null=1";
}

/* Not even its name can be kept. */
static void test_calls_without_memory_are_away_with_the_others(void **state) {
    static const struct queue_policy policy = {.dead_letter = "q:dead", IDLE};
    struct queue_want want = {.queue = BYTES("q:x"), .policy = &policy, .messages = 3};
    struct queue_want wide = {.queue = {"q:x", (size_t)1 << 45}, .policy = &policy, .messages = 3};
    struct away away[2] = {{0}};
    (void)state;
    a.store->ops->take(a.store, &want, 1, ++a.number, 1, (struct queue_call){on_away, &away[0]});
    a.store->ops->take(a.store, &wide, 1, ++a.number, 1, (struct queue_call){on_away, &away[1]});
    assert_false(away[0].done || away[1].done);
    assert_true(contract.pump_until(contract.arg, is_away, &away[1]));
    assert_true(away[0].done);
    assert_int_equal(away[0].downs + away[1].downs, 0);
    queue_bench_await_up(a.store, 2);
    assert_int_equal(queue_bench_downs(a.store), 1);
}

/* ---- what others do to the keys ---- */

static void test_a_key_that_is_something_else_harms_no_other_queue(void **state) {
    struct queue_want wants[] = {{.queue = BYTES("q:x"), .messages = 1}, {.queue = BYTES("q:y"), .messages = 1}};
    (void)state;
    assert_done(queue_peer_put(&a, "q:z", "0"));
    assert_string_equal(queue_peer_take(&a, "q:z", 1), "0");
    say("SET", "stompd:q:x", "text");
    for (int n = 0; n < 3; n++)
        draft_begin(&drafts[n], &a, false);
    draft_put(&drafts[0], "q:x", "1");
    draft_put(&drafts[1], "q:y", "2");
    draft_put(&drafts[2], "q:y", "3");
    draft_settle(&drafts[2], "q:x", "0");
    queue_peer_call_change(&a, drafts, 3, &reply);
    queue_peer_await_reply(&reply);
    assert_int_equal(reply.result, QUEUE_OK);
    assert_int_equal(reply.changes[0], CHANGE_FAILED);
    assert_int_equal(reply.changes[1], CHANGE_DONE);
    assert_int_equal(reply.changes[2], CHANGE_FAILED);
    queue_peer_call_take(&a, wants, 2, &reply);
    queue_peer_await_reply(&reply);
    assert_int_equal(reply.result, QUEUE_OK);
    assert_string_equal(reply.text, ",2");
    queue_peer_call_take(&a, wants, 1, &reply);
    queue_peer_await_reply(&reply);
    assert_int_equal(reply.result, QUEUE_FAILED);
    assert_string_equal(say("GET", "stompd:q:x"), "text");
    assert_int_equal(bench_logged(&bench, "does another application use this prefix"), 2); /* change, take */
    for (int n = 0; n < 3; n++)
        draft_end(&drafts[n]);
}

static void test_what_can_not_become_a_dead_letter_stays(void **state) {
    static const struct queue_policy once = {
        .max_deliveries = 1, .max_messages = 2, .when_full = WHEN_FULL_DEAD_LETTER, IDLE};
    (void)state;
    a.policy = &once;
    queue_peer_put_many(&a, "q:x", 2);
    assert_string_equal(queue_peer_take(&a, "q:x", 1), "1");
    say("SET", "stompd:q:x.dead", "text");
    assert_int_equal(queue_peer_reject(&a, "q:x", "1"), CHANGE_FAILED);
    assert_done(queue_peer_put(&a, "q:x", "3"));
    assert_int_equal(queue_peer_put(&a, "q:x", "4"), CHANGE_FAILED);
    /* Better once too often than never. */
    assert_done(queue_peer_return(&a, "q:x", "1", true));
    assert_string_equal(queue_peer_take(&a, "q:x", 1), "1*2");
    say("DEL", "stompd:q:x.dead");
    assert_done(queue_peer_return(&a, "q:x", "1", true));
    assert_string_equal(queue_peer_take(&a, "q:x.dead", 1), "1<q:x max-deliveries");
}

static void test_keys_beside_a_queue_that_are_something_else(void **state) {
    (void)state;
    say("SET", "stompd:w:q:x", "text");
    assert_done(queue_peer_put(&a, "q:x", "1"));
    assert_string_equal(queue_peer_take(&a, "q:x", 2), "1");
    assert_done(queue_peer_settle(&a, "q:x", "1"));
    say("SET", "stompd:i:q:y", "text");
    assert_int_equal(queue_peer_put(&a, "q:y", "1"), CHANGE_FAILED);
    assert_string_equal(say("EXISTS", "stompd:q:y"), "0");
}

static void expect_failure(void) {
    struct queue_want want = {.queue = BYTES("q:x"), .messages = 1};
    queue_peer_call_take(&a, &want, 1, &reply);
    queue_peer_await_reply(&reply);
    assert_int_equal(reply.result, QUEUE_FAILED);
}

static void test_keys_of_the_boot_that_are_something_else_fail_the_call(void **state) {
    (void)state;
    assert_done(queue_peer_put(&a, "q:x", "1"));
    say("SET", "stompd:boot:a:1:queues", "text");
    expect_failure();
    say("DEL", "stompd:boot:a:1:queues");
    say("DEL", "stompd:boot:a:1:calls");
    say("SET", "stompd:boot:a:1:calls", "text");
    expect_failure();
    say("DEL", "stompd:boot:a:1:calls");
    assert_string_equal(queue_peer_take(&a, "q:x", 1), "1");
}

static void test_what_is_no_message_is_removed_and_counted(void **state) {
    (void)state;
    say("XADD", "stompd:q:x", "*", "a", "b");
    assert_done(queue_peer_put(&a, "q:x", "1"));
    say("XADD", "stompd:q:x", "*", "m", "nonsense", "id", "0-1", "size", "-1");
    say("XADD", "stompd:q:x", "*", "m", "");
    assert_done(queue_peer_put(&a, "q:x", "2"));
    assert_string_equal(queue_peer_take(&a, "q:x", 9), "1 2");
    assert_unreadable(&a, 3);
    assert_string_equal(queue_peer_take(&a, "q:x", 9), "");
    assert_string_equal(say("XLEN", "stompd:q:x"), "2");
    assert_int_equal(bench_logged(&bench, "queue q:x: an entry of its stream is not ours and removed"), 3);
}

/* Though it was all that was wanted. */
static void test_what_is_no_message_does_not_hide_what_is_behind_it(void **state) {
    (void)state;
    say("XADD", "stompd:q:x", "*", "m", "nonsense");
    say("XADD", "stompd:q:x", "*", "m", "nonsense");
    assert_done(queue_peer_put(&a, "q:x", "1"));
    assert_string_equal(queue_peer_take(&a, "q:x", 2), "");
    queue_peer_expect_ready(&a, "q:x\n");
    assert_string_equal(queue_peer_take(&a, "q:x", 2), "1");
}

/* The payload of the first entry, to be written by others. */
static void copy_payload(const char *queue, const char *field, const char *value, const char *other, const char *what) {
    static const char script[] = "local e = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1] "
                                 "return redis.call('XADD', KEYS[1], '*', 'm', e[2][2], unpack(ARGV))";
    assert_non_null(strchr(say("EVAL", script, "1", queue, field, value, other, what), '-'));
}

/* As a node of a later version puts it, so large, before all others. */
static void put_of_another_version(size_t size) {
    static const char script[] =
        "local e = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1] redis.call('DEL', KEYS[1]) "
        "redis.call('XADD', KEYS[1], '*', 'm', string.char(2) .. e[2][2]:sub(2)) "
        "return redis.call('XADD', KEYS[1], '*', 'm', e[2][2])";
    assert_done(queue_peer_put_sized(&a, "q:x", "1", size));
    assert_non_null(strchr(say("EVAL", script, "1", "stompd:q:x"), '-'));
}

/* Nor is this node to try again at once, in a circle: another may be able to. */
static void test_what_has_another_version_is_given_back(void **state) {
    static const size_t sizes[] = {0, QUEUE_TAKE_BYTES};
    (void)state;
    for (size_t n = 0; n < 2; n++) {
        say("DEL", "stompd:q:x", "stompd:w:q:x");
        put_of_another_version(sizes[n]);
        assert_string_equal(queue_peer_take(&a, "q:x", 1), "");
        assert_string_equal(queue_peer_take(&a, "q:x", 9), n == 0 ? "1" : ""); /* it waits for more, not for that one */
        assert_string_equal(queue_peer_take(&a, "q:x", 9), "");
        assert_string_equal(say("XLEN", "stompd:q:x"), "2");
        assert_non_null(strstr(say("XPENDING", "stompd:q:x", "stompd", "-", "+", "1", "free"), " 3"));
        assert_string_equal(a.ready, "");
    }
    assert_unreadable(&a, 0);
    assert_true(bench_logged(&bench, "queue q:x: an entry of its stream is given back") > 0);
}

/* So it keeps nothing else from being delivered. */
static void test_what_has_another_version_is_a_dead_letter_in_the_end(void **state) {
    static const struct queue_policy thrice = {.max_deliveries = 3, IDLE};
    (void)state;
    a.policy = &thrice;
    put_of_another_version(0);
    for (int n = 0; n < 3; n++)
        assert_string_equal(queue_peer_take(&a, "q:x", 1), "");
    assert_string_equal(queue_peer_take(&a, "q:x", 1), "1");
    assert_string_equal(say("XLEN", "stompd:q:x.dead"), "1");
    assert_unreadable(&a, 0);
}

static void test_fields_that_make_no_sense_are_passed_over(void **state) {
    (void)state;
    assert_done(queue_peer_put(&a, "q:x", "1"));
    copy_payload("stompd:q:x", "x", "soon", "z", "");
    copy_payload("stompd:q:x", "f", "q:y", "r", "whim");
    copy_payload("stompd:q:x", "f", "nowhere", "r", "full");
    copy_payload("stompd:q:x", "f", "q:y", "f", "q:z");
    copy_payload("stompd:q:x", "f", "q:y", "r", "full");
    copy_payload("stompd:q:x", "x", "1", "z", "");
    assert_string_equal(queue_peer_take(&a, "q:x", 9), "1 1 1 1 1 1<q:y full");
    assert_unreadable(&a, 0);
}

static void test_entries_that_others_delete_are_gone(void **state) {
    (void)state;
    queue_peer_put_many(&a, "q:x", 4);
    assert_string_equal(queue_peer_take(&a, "q:x", 3), "1 2 3");
    assert_done(queue_peer_return(&a, "q:x", "1", true));
    assert_done(queue_peer_return(&a, "q:x", "2", true));
    say("XTRIM", "stompd:q:x", "MAXLEN", "2");
    assert_string_equal(queue_peer_take(&a, "q:x", 9), "4");
    say("XTRIM", "stompd:q:x", "MAXLEN", "1");
    assert_done(queue_peer_settle(&a, "q:x", "3"));
    assert_done(queue_peer_reject(&a, "q:x", "3"));
    assert_done(queue_peer_settle(&a, "q:x", "4"));
    assert_string_equal(say("XLEN", "stompd:q:x"), "0");
    assert_string_equal(say("EXISTS", "stompd:i:q:x", "stompd:q:x.dead"), "0");
    assert_string_equal(say("XPENDING", "stompd:q:x", "stompd"), "0 nil nil nil");
}

static void test_a_stream_that_is_at_its_end_takes_no_more(void **state) {
    (void)state;
    say("XADD", "stompd:q:x", "18446744073709551615-18446744073709551615", "a", "b");
    assert_int_equal(queue_peer_put(&a, "q:x", "1"), CHANGE_FAILED);
    assert_int_equal(bench_logged(&bench, "somebody has written into a queue"), 1);
    draft_begin(&draft, &a, true);
    draft_put(&draft, "q:y", "2");
    draft_put(&draft, "q:x", "3");
    draft_put(&draft, "q:y", "4");
    assert_int_equal(draft_make(&draft), CHANGE_FAILED);
    assert_string_equal(queue_peer_take(&a, "q:y", 9), "");
    assert_string_equal(say("EXISTS", "stompd:i:q:y"), "0");
}

static void test_a_message_that_is_settled_twice_in_one_call_counts_once(void **state) {
    (void)state;
    queue_peer_put_many(&a, "q:x", 3);
    assert_string_equal(queue_peer_take(&a, "q:x", 1), "1");
    for (int n = 0; n < 2; n++) {
        draft_begin(&drafts[n], &a, false);
        draft_settle(&drafts[n], "q:x", "1");
    }
    queue_peer_call_change(&a, drafts, 2, &reply);
    queue_peer_await_reply(&reply);
    assert_done(reply.changes[0]);
    assert_done(reply.changes[1]);
    assert_int_equal(number(say("HGET", "stompd:i:q:x", "bytes")), 2 * queue_peer_entry(&a, "1").size);
    draft_end(&drafts[0]);
    draft_end(&drafts[1]);
}

/* ---- life ---- */

static void never(void *arg, struct queue_answer *answer) {
    (void)arg;
    (void)answer;
    fail_msg("told after the end");
}

static void test_what_is_freed_tells_nothing_and_the_store_goes_on(void **state) {
    struct queue_want want = {.queue = BYTES("q:x"), .policy = a.policy, .messages = 9};
    (void)state;
    assert_done(queue_peer_put(&a, "q:x", "1"));
    a.store->ops->take(a.store, &want, 1, ++a.number, a.answered, (struct queue_call){never, NULL});
    a.store->ops->free(a.store);
    queue_bench_renew(a.store);
    assert_string_equal(say("ZRANGE", "stompd:w:q:x", "0", "-1"), "a");
}

/* One is under way, the other has not been sent. */
static void test_a_store_may_be_freed_with_calls_that_have_no_answer(void **state) {
    struct queue_want want = {.queue = BYTES("q:x"), .policy = a.policy, .messages = 9};
    (void)state;
    kill(bench.process.pid, SIGSTOP);
    a.store->ops->take(a.store, &want, 1, ++a.number, a.answered, (struct queue_call){never, NULL});
    turn(bench.base, 2);
    a.store->ops->take(a.store, &want, 1, ++a.number, a.answered, (struct queue_call){never, NULL});
    queue_peer_close(&a);
    kill(bench.process.pid, SIGCONT);
}

static void test_a_user_with_the_rights_that_the_log_advises(void **state) {
    (void)state;
    say("ACL", "SETUSER", "ann", "on", ">hush", "~stompd:*", "&*", "+@all", "-@dangerous", "+info");
    queue_peer_close(&a);
    bench.address.user = strdup("ann");
    bench.address.password = strdup("hush");
    queue_peer_open(&a, &contract, "c", "c:1");
    queue_peer_open(&b, &contract, "b", "b:1");
    assert_string_equal(queue_peer_take(&b, "q:x", 2), "");
    queue_peer_put_many(&a, "q:x", 2);
    queue_peer_expect_ready(&b, "q:x\n");
    assert_string_equal(queue_peer_take(&a, "q:x", 1), "1");
    assert_done(queue_peer_reject(&a, "q:x", "1"));
    assert_string_equal(queue_peer_take(&b, "q:x", 1), "2");
    assert_done(queue_peer_return(&b, "q:x", "2", true));
    queue_peer_close(&b);
    contract.bury(contract.arg, "b", "b:1");
    assert_string_equal(queue_peer_take(&a, "q:x", 2), "2*2");
    bench_set_address(&bench, "unix:%s", bench.process.socket);
}

#define ONE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
    const struct CMUnitTest own[] = {
        ONE(test_keys_are_as_documented),
        ONE(test_a_queue_that_is_empty_has_a_time_to_live),
        ONE(test_a_queue_whose_time_was_over_begins_anew),
        ONE(test_bytes_are_counted_anew_when_a_queue_was_empty),
        ONE(test_what_an_old_link_left_behind_is_void),
        ONE(test_answers_of_long_ago_are_forgotten_at_once),
        ONE(test_answers_that_have_arrived_are_not_kept),
        ONE(test_a_take_that_is_made_again_brings_what_is_still_there),
        ONE(test_calls_are_away_before_down_and_while_it_is),
        ONE(test_flushed_scripts_are_loaded_again_and_calls_keep_their_order),
        ONE(test_calls_whose_order_is_lost_are_made_again_on_the_next_link),
        ONE(test_a_server_that_is_emptied_knows_nobody),
        ONE(test_a_server_without_memory_takes_no_messages_but_gives_and_settles),
        ONE(test_a_server_without_memory_carries_calls_out_once),
        ONE(test_calls_without_memory_are_away_with_the_others),
        ONE(test_a_key_that_is_something_else_harms_no_other_queue),
        ONE(test_what_can_not_become_a_dead_letter_stays),
        ONE(test_keys_beside_a_queue_that_are_something_else),
        ONE(test_keys_of_the_boot_that_are_something_else_fail_the_call),
        ONE(test_what_is_no_message_is_removed_and_counted),
        ONE(test_what_is_no_message_does_not_hide_what_is_behind_it),
        ONE(test_what_has_another_version_is_given_back),
        ONE(test_what_has_another_version_is_a_dead_letter_in_the_end),
        ONE(test_fields_that_make_no_sense_are_passed_over),
        ONE(test_entries_that_others_delete_are_gone),
        ONE(test_a_stream_that_is_at_its_end_takes_no_more),
        ONE(test_a_message_that_is_settled_twice_in_one_call_counts_once),
        ONE(test_what_is_freed_tells_nothing_and_the_store_goes_on),
        ONE(test_a_store_may_be_freed_with_calls_that_have_no_answer),
        ONE(test_a_user_with_the_rights_that_the_log_advises),
    };
    log_set_level(LOG_LEVEL_WARNING);
    bench_init(&bench);
    queue_bench_init(&contract, &bench);
    redis_process_start(&bench.process, NULL);
    int failed = queue_contract_run("the contract of queues in Redis", &contract);
    failed += cmocka_run_group_tests_name("the queues in Redis", own, NULL, NULL);
    bench_free(&bench);
    return failed;
}
