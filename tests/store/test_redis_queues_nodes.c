/* The queues in Redis and the nodes: who is woken, who gets how much, and what becomes of what a boot had. */
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
static struct draft drafts[2];
static struct reply reply;
static struct reply replies[2];

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

/* ---- waking ---- */

static void test_nodes_that_hear_nothing_do_not_keep_others_asleep(void **state) {
    (void)state;
    for (int n = 0; n < 8; n++) {
        assert_string_equal(queue_peer_take(&b, "q:x", 1), "");
        say("ZADD", "stompd:w:q:x", "-1e15", "dead1", "-1e15", "dead2", "-1e15", "dead3", "-1", "dead4");
        assert_done(queue_peer_put(&a, "q:x", "1"));
        queue_peer_expect_ready(&b, "q:x\n");
        assert_string_equal(queue_peer_take(&b, "q:x", 1), "1");
        say("DEL", "stompd:w:q:x");
    }
}

/* The members of w:q:x that have not been woken. */
static long waiting(void) {
    return number(say("ZCOUNT", "stompd:w:q:x", "-inf", "(0"));
}

static void test_a_node_is_woken_for_each_message(void **state) {
    (void)state;
    assert_string_equal(queue_peer_take(&a, "q:x", 9), "");
    assert_string_equal(queue_peer_take(&b, "q:x", 9), "");
    assert_int_equal(waiting(), 2);
    assert_done(queue_peer_put(&a, "q:x", "1"));
    assert_int_equal(waiting(), 1);
    assert_string_equal(say("PTTL", "stompd:w:q:x"), "-1");
    /* Who has waited for longest is the first. */
    queue_peer_expect_ready(&a, "q:x\n");
    assert_done(queue_peer_put(&a, "q:x", "2"));
    queue_peer_expect_ready(&b, "q:x\n");
    assert_done(queue_peer_put(&a, "q:x", "3"));
    assert_string_equal(queue_peer_take(&b, "q:x", 1), "1");
    assert_string_equal(queue_peer_take(&b, "q:x", 9), "2");
    assert_string_equal(queue_peer_take(&a, "q:x", 9), "3");
    assert_string_equal(queue_peer_take(&b, "q:x", 9), "");
    assert_int_equal(waiting(), 2);
    queue_peer_put_many(&a, "q:x", 3);
    queue_peer_expect_ready(&a, "q:x\n");
    queue_peer_expect_ready(&b, "q:x\nq:x\n"); /* it had more than one for a moment, and left it */
}

/* ---- shares ---- */

static void test_a_take_leaves_as_much_to_others_that_want_something(void **state) {
    (void)state;
    assert_string_equal(queue_peer_take(&a, "q:x", 9), "");
    assert_string_equal(queue_peer_take(&b, "q:x", 9), "");
    queue_peer_put_many(&a, "q:x", 10);
    queue_peer_expect_ready(&a, "q:x\n");
    queue_peer_expect_ready(&b, "q:x\n");
    assert_string_equal(queue_peer_take(&a, "q:x", 9), "1 2 3 4 5");
    queue_peer_expect_ready(&a, "q:x\n"); /* it may come again */
    assert_string_equal(queue_peer_take(&b, "q:x", 9), "6 7 8 9 10");
    assert_string_equal(queue_peer_take(&a, "q:x", 9), "");
}

/* There was less than they could have been woken for. */
static void test_who_was_not_woken_gets_a_share_too(void **state) {
    (void)state;
    assert_string_equal(queue_peer_take(&b, "q:x", 9), "");
    say("ZADD", "stompd:w:q:x", "-1e15", "b");
    assert_done(queue_peer_put(&a, "q:x", "1"));
    queue_peer_expect_ready(&b, "q:x\n");
    say("ZADD", "stompd:w:q:x", "-1e15", "b");
    assert_string_equal(queue_peer_take(&a, "q:x", 9), "1"); /* one at least */
    queue_peer_put_many(&b, "q:y", 4);
    say("ZADD", "stompd:w:q:y", "-1e15", "b");
    assert_string_equal(queue_peer_take(&a, "q:y", 2), "1 2");
    assert_string_equal(queue_peer_take(&a, "q:y", 2), "3");
    queue_peer_expect_ready(&a, "q:y\n");
    queue_peer_expect_ready(&b, "q:y\n");
    assert_string_equal(queue_peer_take(&b, "q:y", 2), "4");
}

/* Nor does it get less for long, for the sake of one that does not come. */
static void test_who_does_not_come_keeps_nothing_from_others(void **state) {
    char text[64] = "";
    (void)state;
    assert_string_equal(queue_peer_take(&b, "q:x", 9), "");
    queue_peer_put_many(&a, "q:x", 8);
    for (int n = 0; n < 4; n++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s,", queue_peer_take(&a, "q:x", 9));
    assert_string_equal(text, "1 2 3 4,5 6,7,8,");
    /* It was woken too long ago. */
    queue_peer_put_many(&a, "q:x", 8);
    say("ZADD", "stompd:w:q:x", "1", "b");
    assert_string_equal(queue_peer_take(&a, "q:x", 8), "1 2 3 4 5 6 7 8");
    assert_string_equal(say("EXISTS", "stompd:w:q:x"), "0");
}

/* What is left for it wakes it, so that it is known. */
static void test_a_node_that_is_dead_gets_no_share_again(void **state) {
    (void)state;
    queue_peer_put_many(&a, "q:x", 8);
    say("ZADD", "stompd:w:q:x", "-1", "dead");
    assert_string_equal(queue_peer_take(&a, "q:x", 8), "1 2 3 4");
    queue_peer_expect_ready(&a, "q:x\n");
    assert_string_equal(queue_peer_take(&a, "q:x", 4), "5 6 7 8");
}

static void test_a_burial_wakes_who_waits(void **state) {
    (void)state;
    assert_done(queue_peer_put(&a, "q:x", "1"));
    assert_string_equal(queue_peer_take(&a, "q:x", 9), "1"); /* the dead one waits too */
    assert_string_equal(queue_peer_take(&b, "q:x", 9), "");
    queue_peer_close(&a);
    contract.bury(contract.arg, "a", "a:1");
    queue_peer_expect_ready(&b, "q:x\n");
    assert_string_equal(queue_peer_take(&b, "q:x", 9), "1*2");
}

/* ---- burials ---- */

static enum store_result result_of_leaving;

static void on_left(void *arg, const struct store_answer *answer) {
    (void)arg;
    result_of_leaving = answer->result;
}

static bool has_left(void *arg) {
    (void)arg;
    return result_of_leaving != STORE_AWAY;
}

static enum store_result leave(struct queue_peer *peer) {
    struct store *store = queue_bench_store(peer->store);
    result_of_leaving = STORE_AWAY;
    store->ops->leave(store, (struct store_call){on_left, NULL});
    assert_true(contract.pump_until(contract.arg, has_left, NULL));
    return result_of_leaving;
}

static void test_who_leaves_leaves_nothing_but_messages(void **state) {
    struct queue_want want = {.queue = BYTES("q:x"), .messages = 1};
    (void)state;
    queue_peer_put_many(&a, "q:x", 600);
    (void)queue_peer_take(&a, "q:x", 600);
    assert_done(queue_peer_put(&a, "q:y", "1"));
    assert_string_equal(queue_peer_take(&a, "q:y", 1), "1");
    assert_int_equal(leave(&a), STORE_MORE);
    /* Whoever is going can't do anything any more, and it is not only half gone. */
    assert_string_equal(say("HGETALL", "stompd:nodes"), "a a:1 dead b b:1 1");
    queue_peer_call_take(&a, &want, 1, &reply);
    queue_peer_await_reply(&reply);
    assert_int_equal(reply.result, QUEUE_GONE);
    assert_int_equal(leave(&a), STORE_MORE);
    assert_int_equal(leave(&a), STORE_OK);
    assert_string_equal(say("HGETALL", "stompd:nodes"), "b b:1 1");
    assert_string_equal(say("KEYS", "stompd:boot:a:1:*"), "");
    assert_null(strstr(say("XINFO", "CONSUMERS", "stompd:q:y", "stompd"), "a:1"));
    assert_string_equal(queue_peer_take(&b, "q:y", 1), "1*2");
    (void)queue_peer_take(&b, "q:x", 1000);
    assert_int_equal(b.taken_count, 601);
}

static void test_foreign_keys_do_not_keep_a_boot_from_being_buried(void **state) {
    (void)state;
    assert_done(queue_peer_put(&a, "q:x", "1"));
    assert_done(queue_peer_put(&a, "q:y", "2"));
    assert_string_equal(queue_peer_take(&a, "q:x", 1), "1");
    assert_string_equal(queue_peer_take(&a, "q:y", 1), "2");
    say("SET", "stompd:q:x", "text");
    say("SADD", "stompd:boot:a:1:queues", "q:none", "q:y");
    queue_peer_close(&a);
    contract.bury(contract.arg, "a", "a:1");
    assert_string_equal(queue_peer_take(&b, "q:y", 1), "2*2");
    queue_peer_open(&a, &contract, "a", "a:2");
    say("SET", "stompd:boot:a:2:queues", "text");
    queue_peer_close(&a);
    contract.bury(contract.arg, "a", "a:2");
    assert_string_equal(say("HGETALL", "stompd:nodes"), "b b:1 1");
}

/* What has been delivered is better delivered once more than lost. */
static void test_a_burial_where_there_is_no_dead_letter_queue_loses_nothing(void **state) {
    static const struct queue_policy once = {.max_deliveries = 1, IDLE};
    (void)state;
    a.policy = b.policy = &once;
    assert_done(queue_peer_put(&a, "q:x.dead", "1"));
    assert_string_equal(queue_peer_take(&a, "q:x.dead", 1), "1");
    queue_peer_close(&a);
    contract.bury(contract.arg, "a", "a:1");
    assert_string_equal(queue_peer_take(&b, "q:x.dead", 1), "1*2");
}

/* Else a later call would be carried out before one that is still to be made again. */
static void test_after_a_burial_the_row_begins_with_its_first(void **state) {
    (void)state;
    assert_done(queue_peer_put(&a, "q:x", "1"));
    contract.bury(contract.arg, "a", "a:1");
    for (int n = 0; n < 2; n++) {
        draft_begin(&drafts[n], &a, false);
        draft_put(&drafts[n], "q:x", n == 0 ? "2" : "3");
        queue_peer_call_change(&a, &drafts[n], 1, &replies[n]);
        queue_peer_await_reply(&replies[n]);
        assert_int_equal(replies[n].result, QUEUE_GONE);
        contract.renew(contract.arg, a.store);
    }
    for (int n = 0; n < 2; n++) {
        queue_peer_change_again(&a, &drafts[n], 1, &replies[n]);
        queue_peer_await_reply(&replies[n]);
        assert_int_equal(replies[n].result, QUEUE_OK);
        draft_end(&drafts[n]);
    }
    assert_string_equal(queue_peer_take(&b, "q:x", 9), "1 2 3");
}

/* ---- recoveries ---- */

static void on_recovered(void *arg, struct queue_answer *answer) {
    *(enum queue_result *)arg = answer->result;
}

static bool is_recovered(void *arg) {
    return *(enum queue_result *)arg != QUEUE_AWAY;
}

static enum queue_result recover_piece(struct queue_peer *peer) {
    enum queue_result result = QUEUE_AWAY;
    peer->store->ops->recover(peer->store, (struct queue_call){on_recovered, &result});
    assert_true(contract.pump_until(contract.arg, is_recovered, &result));
    return result;
}

/* A server that has failed is back with what it had a second before. */
static void test_what_was_settled_too_late_to_be_remembered_is_recovered(void **state) {
    (void)state;
    queue_peer_put_many(&a, "q:x", 3);
    assert_string_equal(queue_peer_take(&a, "q:x", 9), "1 2 3");
    say("COPY", "stompd:q:x", "x");
    say("COPY", "stompd:boot:a:1:queues", "queues");
    assert_done(queue_peer_settle(&a, "q:x", "1"));
    assert_done(queue_peer_return(&a, "q:x", "2", false));
    assert_string_equal(queue_peer_take(&b, "q:x", 9), "2");
    assert_done(queue_peer_settle(&b, "q:x", "2"));
    assert_done(queue_peer_settle(&a, "q:x", "3"));
    say("COPY", "x", "stompd:q:x", "REPLACE");
    say("COPY", "queues", "stompd:boot:a:1:queues", "REPLACE");
    assert_string_equal(queue_peer_take(&b, "q:x", 9), "");
    assert_string_equal(queue_peer_take(&a, "q:x", 9), "");
    assert_int_equal(recover_piece(&a), QUEUE_OK);
    queue_peer_expect_ready(&a, "q:x\nq:x\n"); /* the first was for what was returned */
    queue_peer_expect_ready(&b, "q:x\n");
    assert_string_equal(queue_peer_take(&b, "q:x", 1), "1*2");
    assert_string_equal(queue_peer_take(&a, "q:x", 1), "2*2");
    assert_string_equal(queue_peer_take(&a, "q:x", 1), "3*2");
}

static void test_a_recovery_goes_by_pieces(void **state) {
    (void)state;
    queue_peer_put_many(&a, "q:x", 1500);
    (void)queue_peer_take(&a, "q:x", 1000);
    (void)queue_peer_take(&a, "q:x", 500);
    assert_int_equal(recover_piece(&a), QUEUE_MORE);
    assert_true(strstr(say("XPENDING", "stompd:q:x", "stompd"), "free 1000") != NULL);
    assert_int_equal(recover_piece(&a), QUEUE_OK);
    assert_string_equal(say("EXISTS", "stompd:boot:a:1:queues"), "0");
    assert_non_null(strstr(say("XINFO", "CONSUMERS", "stompd:q:x", "stompd"), "a:1"));
}

/* ---- what a boot notes ---- */

static void test_queues_that_others_have_emptied_are_forgotten(void **state) {
    bool is_noted = true;
    (void)state;
    queue_peer_put_many(&a, "q:x", 2);
    assert_done(queue_peer_put(&a, "q:z", "3"));
    assert_string_equal(queue_peer_take(&a, "q:x", 1), "1");
    assert_string_equal(queue_peer_take(&a, "q:z", 1), "3");
    assert_string_equal(queue_peer_take(&b, "q:x", 1), "2");
    assert_done(queue_peer_settle(&a, "q:x", "1"));
    assert_done(queue_peer_settle(&b, "q:x", "2"));
    for (int n = 0; n < 1000 && is_noted; n++) {
        assert_string_equal(queue_peer_take(&a, "q:y", 1), "");
        is_noted = strcmp(say("SMEMBERS", "stompd:boot:a:1:queues"), "q:z") != 0;
    }
    assert_false(is_noted);
    for (int n = 0; n < 64; n++)
        assert_string_equal(queue_peer_take(&a, "q:y", 1), "");
    assert_string_equal(say("SMEMBERS", "stompd:boot:a:1:queues"), "q:z");
}

#define ONE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
#define TWO(test) cmocka_unit_test_setup_teardown(test, set_up_two, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TWO(test_nodes_that_hear_nothing_do_not_keep_others_asleep),
        TWO(test_a_node_is_woken_for_each_message),
        TWO(test_a_take_leaves_as_much_to_others_that_want_something),
        TWO(test_who_was_not_woken_gets_a_share_too),
        TWO(test_who_does_not_come_keeps_nothing_from_others),
        TWO(test_a_node_that_is_dead_gets_no_share_again),
        TWO(test_a_burial_wakes_who_waits),
        TWO(test_who_leaves_leaves_nothing_but_messages),
        TWO(test_foreign_keys_do_not_keep_a_boot_from_being_buried),
        TWO(test_a_burial_where_there_is_no_dead_letter_queue_loses_nothing),
        TWO(test_after_a_burial_the_row_begins_with_its_first),
        TWO(test_what_was_settled_too_late_to_be_remembered_is_recovered),
        TWO(test_a_recovery_goes_by_pieces),
        TWO(test_queues_that_others_have_emptied_are_forgotten),
    };
    log_set_level(LOG_LEVEL_WARNING);
    bench_init(&bench);
    queue_bench_init(&contract, &bench);
    redis_process_start(&bench.process, NULL);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    bench_free(&bench);
    return failed;
}
