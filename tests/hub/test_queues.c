/* Changes on their way to the queue store and back: batches, results, links that break, refusals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "../../src/hub/changes.h"
#include "../../src/hub/queues_calls.h"
#include "queues_bench.h"
#include "stompd/session/session.h"

/* A change that puts one message into q:a, for pending number n. */
static void put_for(struct queues_bench *bench, unsigned worker, uintptr_t pending) {
    struct change *change = bench_change_new(pending);
    bench_add_put(change, "q:a", 0);
    bench_change(bench, worker, change);
}

/* A consumer of that queue, with deliveries 1 to n. */
static void deliver(struct queues_bench *bench, unsigned worker, uint64_t consumer, const char *queue, size_t n) {
    bench_consume(bench, worker, consumer, queue, (uint32_t)n);
    bench_flush(bench);
    bench_give_range(bench, 1, n);
    bench_mail(bench, worker);
}

/* ---- the way there and back ---- */

static void changes_of_a_turn_go_in_one_call(void **state) {
    struct queues_bench *bench = *state;
    put_for(bench, 0, 1);
    put_for(bench, 1, 2);
    expect_call(bench, NULL);
    bench_flush(bench);
    expect_call(bench, "put q:a | put q:a");
    assert_int_equal(bench->store.made, 1);
}

static void results_go_to_those_who_wait_for_them(void **state) {
    struct queues_bench *bench = *state;
    put_for(bench, 0, 1);
    put_for(bench, 1, 2);
    bench_put(bench, "q:a");
    put_for(bench, 0, 3);
    bench_flush(bench);
    enum change_result results[] = {CHANGE_DONE, CHANGE_FULL, CHANGE_DONE, CHANGE_FAILED};
    scripted_queues_answer(&bench->store, &(struct queue_answer){.changes = results, .change_count = 4});
    expect_mail(bench, 0, "");
    bench_flush(bench);
    expect_mail(bench, 0, "changed 1 done; changed 3 failed");
    expect_mail(bench, 1, "changed 2 full");
}

static void the_results_of_a_turn_wake_a_worker_once(void **state) {
    struct queues_bench *bench = *state;
    for (uintptr_t n = 1; n <= 3; n++) {
        put_for(bench, 0, n);
        bench_flush(bench);
    }
    scripted_queues_done(&bench->store);
    scripted_queues_done(&bench->store);
    scripted_queues_done(&bench->store);
    bench_flush(bench);
    assert_int_equal(bench->wakes[0], 1);
    expect_mail(bench, 0, "changed 1 done; changed 2 done; changed 3 done");
}

static void operations_name_their_queues(void **state) {
    struct queues_bench *bench = *state;
    deliver(bench, 0, 7, "q:a", 2);
    deliver(bench, 0, 8, "q:b", 2);
    struct change *change = bench_change_new(1);
    change->together = true;
    bench_add(change, OPERATION_SETTLE, 8, 1);
    bench_add_put(change, "q:c", 0);
    bench_add(change, OPERATION_REJECT, 7, 1);
    bench_change(bench, 0, change);
    change = bench_change_new(0);
    bench_add(change, OPERATION_RETURN, 8, 2);
    change->operations[0].counted = true;
    bench_add(change, OPERATION_RETURN, 7, 2);
    bench_change(bench, 0, change);
    bench_flush(bench);
    expect_call(bench, "together: settle q:b 1, put q:c, reject q:a 1 | return q:b 2, uncounted q:a 2");
}

/* ---- calls ---- */

static void so_many_calls_are_under_way_and_what_comes_meanwhile_goes_with_the_next(void **state) {
    struct queues_bench *bench = *state;
    for (unsigned n = 0; n < QUEUES_CALLS_MAX + 2; n++) {
        bench_put(bench, "q:a");
        bench_flush(bench);
    }
    assert_int_equal(bench->store.waiting, QUEUES_CALLS_MAX);
    bench_done(bench);
    assert_int_equal(bench->store.waiting, QUEUES_CALLS_MAX);
    while (bench->store.waiting > 1)
        bench_done(bench);
    expect_call(bench, "put q:a | put q:a");
}

static void a_call_holds_so_many_changes(void **state) {
    struct queues_bench *bench = *state;
    for (unsigned n = 0; n < QUEUE_CHANGES_MAX + 1; n++)
        bench_put(bench, "q:a");
    bench_flush(bench);
    assert_int_equal(scripted_queues_first(&bench->store)->count, QUEUE_CHANGES_MAX);
    bench_done(bench);
    expect_call(bench, "put q:a");
}

static void a_call_holds_so_many_operations(void **state) {
    struct queues_bench *bench = *state;
    for (unsigned n = 0; n < 3; n++) {
        struct change *change = bench_change_new(0);
        for (unsigned i = 0; i < CHANGES_CALL_OPERATIONS / 2; i++)
            bench_add_put(change, "q:a", 0);
        change->cost = 0;
        bench_change(bench, 0, change);
    }
    bench_flush(bench);
    assert_int_equal(scripted_queues_first(&bench->store)->count, 2);
    bench_done(bench);
    assert_int_equal(scripted_queues_first(&bench->store)->count, 1);
}

static void a_call_holds_so_many_bytes(void **state) {
    struct queues_bench *bench = *state;
    for (unsigned n = 0; n < 3; n++) {
        struct change *change = bench_change_new(0);
        bench_add_put(change, "q:a", CHANGES_CALL_BYTES / 2 - 1000);
        bench_change(bench, 0, change);
    }
    bench_flush(bench);
    assert_int_equal(scripted_queues_first(&bench->store)->count, 2);
}

static void a_change_above_the_limits_goes_alone(void **state) {
    struct queues_bench *bench = *state;
    struct change *change = bench_change_new(1);
    for (unsigned i = 0; i <= CHANGES_CALL_OPERATIONS; i++)
        bench_add_put(change, "q:a", CHANGES_CALL_BYTES / CHANGES_CALL_OPERATIONS);
    bench_change(bench, 0, change);
    bench_put(bench, "q:b");
    bench_flush(bench);
    assert_int_equal(scripted_queues_first(&bench->store)->count, 1);
    bench_done(bench);
    expect_mail(bench, 0, "changed 1 done");
    expect_call(bench, "put q:b");
}

static void a_store_that_answers_within_its_turn_gets_all_that_waits(void **state) {
    struct queues_bench *bench = *state;
    static const size_t prompt[] = {1, QUEUES_CALLS_MAX};
    for (size_t i = 0; i < 2; i++) {
        bench->store.prompt = prompt[i];
        for (unsigned n = 0; n < QUEUE_CHANGES_MAX * (QUEUES_CALLS_MAX + 1); n++)
            bench_put(bench, "q:a");
        put_for(bench, 0, 1);
        bench_flush(bench);
        expect_call(bench, NULL);
        expect_mail(bench, 0, "changed 1 done");
    }
}

static void changes_and_takes_share_one_row_of_numbers(void **state) {
    struct queues_bench *bench = *state;
    bench_put(bench, "q:a");
    bench_consume(bench, 0, 7, "q:b", 10);
    bench_flush(bench);
    bench_put(bench, "q:c");
    bench_flush(bench);
    static const char *const calls[] = {"put q:a", "take q:b 10", "put q:c"};
    for (uint64_t n = 1; n <= 3; n++) {
        expect_call(bench, calls[n - 1]);
        assert_int_equal(scripted_queues_first(&bench->store)->number, n);
        assert_int_equal(scripted_queues_first(&bench->store)->answered, 1);
        bench_done(bench);
    }
    bench_put(bench, "q:d");
    bench_flush(bench);
    assert_int_equal(scripted_queues_first(&bench->store)->answered, 4);
}

/* ---- links ---- */

static void while_the_store_is_away_changes_wait(void **state) {
    struct queues_bench *bench = *state;
    put_for(bench, 0, 1);
    bench_flush(bench);
    bench_tick(bench, 5000);
    expect_call(bench, NULL);
    assert_int_equal(bench_count(bench).waiting, 1);
    queues_up(bench->queues, false);
    bench_flush(bench);
    expect_call(bench, "put q:a");
    bench_done(bench);
    expect_mail(bench, 0, "changed 1 done");
    assert_int_equal(bench_count(bench).waiting, 0);
}

/* The oldest call has this number. */
static void expect_numbered(struct queues_bench *bench, uint64_t number, uint64_t answered, const char *text) {
    expect_call(bench, text);
    assert_int_equal(scripted_queues_first(&bench->store)->number, number);
    assert_int_equal(scripted_queues_first(&bench->store)->answered, answered);
}

static void what_a_broken_link_left_is_called_again_before_anything_new(void **state) {
    struct queues_bench *bench = *state;
    put_for(bench, 0, 1);
    bench_flush(bench);
    put_for(bench, 0, 2);
    bench_consume(bench, 1, 7, "q:b", 10);
    bench_flush(bench);
    bench_done(bench);
    scripted_queues_fail_all(&bench->store, QUEUE_AWAY);
    queues_down(bench->queues);
    bench_put(bench, "q:new");
    bench_tick(bench, 100);
    expect_call(bench, NULL);
    queues_up(bench->queues, false);
    bench_flush(bench);
    expect_numbered(bench, 2, 2, "put q:a");
    bench_done(bench);
    expect_numbered(bench, 3, 2, "take q:b 10");
    GIVE(bench, {.n = 5});
    expect_numbered(bench, 4, 2, "put q:new");
    expect_mail(bench, 0, "changed 1 done; changed 2 done");
    expect_mail(bench, 1, "consuming 7; 7 gets 5");
}

static void a_link_that_breaks_again_and_again_changes_nothing(void **state) {
    struct queues_bench *bench = *state;
    put_for(bench, 0, 1);
    bench_flush(bench);
    for (unsigned n = 0; n < 3; n++) {
        scripted_queues_fail_all(&bench->store, QUEUE_AWAY);
        queues_down(bench->queues);
        bench_flush(bench);
        queues_up(bench->queues, false);
        bench_flush(bench);
        assert_int_equal(bench->store.waiting, 1);
        expect_numbered(bench, 1, 1, "put q:a");
    }
    bench_done(bench);
    expect_mail(bench, 0, "changed 1 done");
}

static void a_call_that_found_the_node_gone_is_made_again_at_the_next_tick(void **state) {
    struct queues_bench *bench = *state;
    put_for(bench, 0, 1);
    bench_flush(bench);
    bench_put(bench, "q:b");
    scripted_queues_fail(&bench->store, QUEUE_GONE);
    bench_flush(bench);
    expect_call(bench, NULL);
    bench_tick(bench, 100);
    expect_numbered(bench, 1, 1, "put q:a");
    bench_done(bench);
    expect_numbered(bench, 2, 1, "put q:b");
    expect_mail(bench, 0, "changed 1 done");
}

static void or_as_soon_as_the_node_is_said_to_be_back(void **state) {
    struct queues_bench *bench = *state;
    put_for(bench, 0, 1);
    bench_flush(bench);
    scripted_queues_fail(&bench->store, QUEUE_GONE);
    queues_up(bench->queues, false);
    bench_flush(bench);
    expect_numbered(bench, 1, 1, "put q:a");
}

static void nothing_is_made_again_while_others_are_under_way(void **state) {
    struct queues_bench *bench = *state;
    bench_put(bench, "q:a");
    bench_flush(bench);
    bench_put(bench, "q:b");
    bench_flush(bench);
    scripted_queues_fail(&bench->store, QUEUE_GONE);
    bench_put(bench, "q:new");
    bench_tick(bench, 100);
    expect_numbered(bench, 2, 1, "put q:b");
    assert_int_equal(bench->store.waiting, 1);
    scripted_queues_fail(&bench->store, QUEUE_GONE);
    bench_tick(bench, 100);
    expect_numbered(bench, 1, 1, "put q:a");
    bench_done(bench);
    expect_numbered(bench, 2, 1, "put q:b");
    bench_done(bench);
    expect_numbered(bench, 3, 1, "put q:new");
}

static void what_is_never_answered_is_called_again_when_the_store_is_back(void **state) {
    struct queues_bench *bench = *state;
    put_for(bench, 0, 1);
    bench_flush(bench);
    bench_consume(bench, 1, 7, "q:b", 10);
    bench_flush(bench);
    scripted_queues_lose(&bench->store);
    queues_up(bench->queues, false); /* no news: the answer may still come */
    bench_tick(bench, 100);
    expect_call(bench, "take q:b 10");
    scripted_queues_fail(&bench->store, QUEUE_AWAY);
    queues_down(bench->queues);
    queues_up(bench->queues, false);
    bench_flush(bench);
    expect_numbered(bench, 1, 1, "put q:a");
    bench_done(bench);
    expect_numbered(bench, 2, 1, "take q:b 10");
    bench_done(bench);
    expect_call(bench, NULL);
    expect_mail(bench, 0, "changed 1 done");
    assert_true(queues_is_settled(bench->queues));
    bench_put(bench, "q:a");
    bench_flush(bench);
    expect_numbered(bench, 3, 3, "put q:a");
}

/* ---- other servers ---- */

static void another_server_gives_back_what_the_node_has_before_anything_new(void **state) {
    struct queues_bench *bench = *state;
    put_for(bench, 0, 1);
    bench_flush(bench);
    bench_consume(bench, 1, 7, "q:b", 10);
    bench_flush(bench);
    scripted_queues_fail_all(&bench->store, QUEUE_AWAY);
    queues_down(bench->queues);
    bench_put(bench, "q:new");
    queues_up(bench->queues, true);
    bench_flush(bench);
    expect_numbered(bench, 1, 1, "put q:a");
    bench_done(bench);
    expect_numbered(bench, 2, 1, "take q:b 10");
    assert_int_equal(bench->store.waiting, 1);
    GIVE(bench, {.n = 5});
    for (unsigned n = 0; n < 3; n++) {
        expect_call(bench, "recover");
        assert_int_equal(bench->store.waiting, 1);
        scripted_queues_fail(&bench->store, QUEUE_MORE);
        bench_flush(bench);
    }
    bench_done(bench);
    expect_numbered(bench, 3, 3, "put q:new");
    bench_done(bench);
    expect_call(bench, NULL);
    expect_mail(bench, 1, "consuming 7; 7 gets 5");
}

static void what_waits_while_that_is_done_goes_behind_it(void **state) {
    struct queues_bench *bench = *state;
    queues_down(bench->queues);
    queues_up(bench->queues, true);
    bench_put(bench, "q:a");
    bench_flush(bench);
    expect_call(bench, "recover");
    bench_put(bench, "q:b");
    bench_tick(bench, 5000);
    assert_int_equal(bench->store.waiting, 1);
    bench_done(bench);
    expect_numbered(bench, 1, 1, "put q:a | put q:b");
}

static void where_the_link_breaks_meanwhile_it_is_begun_again(void **state) {
    struct queues_bench *bench = *state;
    queues_down(bench->queues);
    queues_up(bench->queues, true);
    bench_put(bench, "q:a");
    for (unsigned n = 0; n < 3; n++) {
        bench_flush(bench);
        expect_call(bench, "recover");
        if (n == 0)
            scripted_queues_lose(&bench->store);
        else
            scripted_queues_fail(&bench->store, n == 1 ? QUEUE_AWAY : QUEUE_GONE);
        bench_flush(bench);
        expect_call(bench, NULL);
        if (n < 2) {
            queues_down(bench->queues);
            bench_tick(bench, 100);
            expect_call(bench, NULL);
            queues_up(bench->queues, false);
        }
    }
    bench_tick(bench, 100); /* the node may be back by now */
    expect_call(bench, "recover");
    bench_done(bench);
    expect_call(bench, "put q:a");
}

static void where_it_is_refused_it_is_tried_again_later_and_nobody_waits(void **state) {
    struct queues_bench *bench = *state;
    queues_down(bench->queues);
    queues_up(bench->queues, true);
    bench_tick(bench, 100);
    scripted_queues_fail(&bench->store, QUEUE_FAILED);
    bench_put(bench, "q:a");
    bench_tick(bench, QUEUES_RECOVER_AGAIN_MS - 1);
    expect_call(bench, "put q:a");
    bench_tick(bench, 1);
    bench_put(bench, "q:b");
    bench_flush(bench);
    assert_int_equal(bench->store.waiting, 1);
    bench_done(bench);
    expect_call(bench, "recover");
    bench_done(bench);
    expect_call(bench, "put q:b");
    bench_done(bench);
    bench_tick(bench, QUEUES_RECOVER_AGAIN_MS);
    expect_call(bench, NULL);
}

static void the_same_server_gives_nothing_back(void **state) {
    struct queues_bench *bench = *state;
    queues_down(bench->queues);
    queues_up(bench->queues, false);
    bench_tick(bench, 5000);
    expect_call(bench, NULL);
}

/* ---- refusals ---- */

static void a_call_that_the_server_refuses_fails_all_its_changes_for_good(void **state) {
    struct queues_bench *bench = *state;
    put_for(bench, 0, 1);
    put_for(bench, 1, 2);
    bench_flush(bench);
    scripted_queues_fail(&bench->store, QUEUE_FAILED);
    bench_tick(bench, 100);
    expect_mail(bench, 0, "changed 1 failed");
    expect_mail(bench, 1, "changed 2 failed");
    expect_call(bench, NULL);
}

/* A COMMIT of an ACK, a SEND, a NACK and a release, whose consumer goes then; its queue is remembered all the same. */
static void commit(struct queues_bench *bench) {
    struct change *change = bench_change_new(1);
    change->together = true;
    bench_add(change, OPERATION_SETTLE, 7, 1);
    bench_add_put(change, "q:b", 0);
    bench_add(change, OPERATION_REJECT, 7, 2);
    bench_add(change, OPERATION_RETURN, 7, 3);
    bench_change(bench, 0, change);
    bench_unconsume(bench, 0, 7);
    bench_flush(bench);
}

static void what_a_refused_change_would_have_settled_is_returned(void **state) {
    struct queues_bench *bench = *state;
    static const enum change_result refusals[] = {CHANGE_FULL, CHANGE_LOST, CHANGE_FAILED};
    static const char *const mail[] = {"changed 1 full", "changed 1 lost", "changed 1 failed"};
    for (size_t n = 0; n < 3; n++) {
        deliver(bench, 0, 7, "q:a", 3);
        commit(bench);
        expect_call(bench, "together: settle q:a 1, put q:b, reject q:a 2, uncounted q:a 3");
        bench_result(bench, refusals[n]);
        expect_mail(bench, 0, mail[n]);
        expect_call(bench, "return q:a 1, return q:a 2, uncounted q:a 3");
        bench_done(bench);
        expect_call(bench, NULL);
        expect_mail(bench, 0, "");
    }
}

static void a_return_that_is_refused_is_tried_again_later(void **state) {
    struct queues_bench *bench = *state;
    deliver(bench, 0, 7, "q:a", 3);
    commit(bench);
    bench_tick(bench, 100);
    bench_result(bench, CHANGE_FULL);
    for (unsigned n = 0; n < 2; n++) {
        expect_call(bench, "return q:a 1, return q:a 2, uncounted q:a 3");
        bench_result(bench, CHANGE_FAILED);
        bench_tick(bench, CHANGES_PUT_OFF_MS - 1);
        expect_call(bench, NULL);
        assert_true(queues_is_settled(bench->queues)); /* nobody waits for it */
        bench_tick(bench, 1);
    }
    bench_done(bench);
    bench_tick(bench, CHANGES_PUT_OFF_MS);
    expect_call(bench, NULL);
}

/* A return instead would be a duplicate for sure: its consumer has done with it. */
static void what_consumers_have_done_with_is_not_returned_where_the_server_refuses_but_settled_later(void **state) {
    struct queues_bench *bench = *state;
    deliver(bench, 0, 7, "q:a", 4);
    struct change *change = bench_change_new(1);
    bench_add(change, OPERATION_SETTLE, 7, 1);
    bench_add(change, OPERATION_REJECT, 7, 2);
    bench_add(change, OPERATION_RETURN, 7, 3);
    bench_change(bench, 0, change);
    bench_settle(bench, 0, 7, 4);
    bench_unconsume(bench, 0, 7);
    bench_tick(bench, 100);
    for (unsigned n = 0; n < 2; n++) {
        expect_call(bench, "settle q:a 1, reject q:a 2, uncounted q:a 3 | settle q:a 4");
        scripted_queues_fail(&bench->store, QUEUE_FAILED);
        bench_flush(bench);
        expect_mail(bench, 0, n == 0 ? "changed 1 failed" : "");
        bench_tick(bench, CHANGES_PUT_OFF_MS - 1);
        expect_call(bench, NULL);
        bench_tick(bench, 1);
    }
    bench_done(bench);
    bench_tick(bench, CHANGES_PUT_OFF_MS);
    expect_call(bench, NULL);
    assert_int_equal(bench_count(bench).settled, 2);
}

static void a_change_of_an_unknown_consumer_fails_and_the_rest_of_it_goes_on(void **state) {
    struct queues_bench *bench = *state;
    for (unsigned together = 0; together < 2; together++) {
        deliver(bench, 0, 7, "q:a", 2);
        struct change *change = bench_change_new(1);
        change->together = together == 1;
        bench_add(change, OPERATION_SETTLE, 7, 1);
        bench_add(change, OPERATION_SETTLE, 99, 5);
        bench_add_put(change, "q:a", 0);
        bench_add(change, OPERATION_SETTLE, 7, 2);
        bench_change(bench, 0, change);
        bench_unconsume(bench, 0, 7);
        bench_flush(bench);
        expect_mail(bench, 0, "changed 1 failed");
        bench_tick(bench, together == 1 ? 0 : CHANGES_PUT_OFF_MS);
        expect_call(bench, together == 1 ? "return q:a 1, return q:a 2" : "settle q:a 1, settle q:a 2");
        bench_done(bench);
        expect_call(bench, NULL);
    }
}

static void a_worker_can_not_settle_for_the_consumers_of_another(void **state) {
    struct queues_bench *bench = *state;
    deliver(bench, 0, 7, "q:a", 1);
    struct change *change = bench_change_new(1);
    bench_add(change, OPERATION_SETTLE, 7, 1);
    bench_change(bench, 1, change);
    bench_flush(bench);
    expect_mail(bench, 1, "changed 1 failed");
    expect_call(bench, NULL);
}

/* ---- policies ---- */

static void expect_policy(struct queues_bench *bench, uint64_t max_messages) {
    assert_int_equal(scripted_queues_first(&bench->store)->policy->max_messages, max_messages);
}

static void queues_have_the_policies_that_hold_now(void **state) {
    struct queues_bench *bench = *state;
    static char pattern[] = "/queue/a";
    struct policy old[] = {{.pattern = pattern, .queue = {.max_messages = 5}}};
    struct policy new[] = {{.pattern = pattern, .queue = {.max_messages = 6}}};
    struct policies five = {.list = old, .count = 1};
    struct policies six = {.list = new, .count = 1};
    queues_set_policies(bench->queues, &five);
    deliver(bench, 0, 7, "q:a", 1);
    bench_put(bench, "q:b");
    bench_put(bench, "q:a");
    bench_settle(bench, 0, 7, 1);
    bench_flush(bench);
    expect_policy(bench, 5);
    scripted_queues_fail_all(&bench->store, QUEUE_AWAY);
    old[0] = (struct policy){.pattern = pattern}; /* nobody may look at it any more */
    queues_set_policies(bench->queues, &six);
    queues_up(bench->queues, false);
    bench_flush(bench);
    expect_call(bench, "put q:b | put q:a | settle q:a 1");
    expect_policy(bench, 6);
    bench_done(bench);
    expect_call(bench, "take q:a 1");
    expect_policy(bench, 6);
    bench_done(bench);
    bench_put(bench, "q:a");
    bench_flush(bench);
    expect_policy(bench, 6);
    bench_done(bench);
    bench_unconsume(bench, 0, 7);
    bench_put(bench, "q:b");
    bench_put(bench, "q:a");
    bench_flush(bench);
    expect_policy(bench, 6);
    bench_done(bench);
    bench_put(bench, "q:b");
    bench_flush(bench);
    assert_int_not_equal(scripted_queues_first(&bench->store)->policy->max_messages, 6);
}

/* ---- the hub's own ---- */

static void the_hub_stores_messages_of_its_own(void **state) {
    struct queues_bench *bench = *state;
    struct message *message = bench_message("d:ann/1", 10);
    assert_true(queues_put(bench->queues, message, 5));
    bench_flush(bench);
    expect_call(bench, "put d:ann/1");
    assert_int_equal(atomic_load(&message->refs), 2);
    bench_done(bench);
    assert_int_equal(atomic_load(&message->refs), 1);
    message_unref(message);
    expect_mail(bench, 0, "");
    assert_int_equal(bench_count(bench).put, 1);
}

static void so_many_bytes_of_them_may_wait(void **state) {
    struct queues_bench *bench = *state;
    struct message *message = bench_message("d:ann/1", QUEUES_PUT_MAX / 2 - 1000);
    assert_true(queues_put(bench->queues, message, 0));
    assert_true(queues_put(bench->queues, message, 0));
    assert_false(queues_put(bench->queues, message, 0));
    assert_int_equal(atomic_load(&message->refs), 3);
    bench_flush(bench);
    assert_false(queues_put(bench->queues, message, 0)); /* under way is not done */
    bench_done(bench);
    assert_true(queues_put(bench->queues, message, 0));
    message_unref(message);
}

/* ---- figures ---- */

static void what_was_done_is_counted(void **state) {
    struct queues_bench *bench = *state;
    bench->store.counts = (struct queue_counts){.expired = 1, .dropped = 2, .dead = 3, .unreadable = 4};
    deliver(bench, 0, 7, "q:a", 6);
    bench_consume(bench, 1, 8, "q:b", 1);
    struct change *change = bench_change_new(0);
    bench_add(change, OPERATION_SETTLE, 7, 1);
    bench_add(change, OPERATION_SETTLE, 7, 2);
    bench_add(change, OPERATION_SETTLE, 7, 3);
    bench_add(change, OPERATION_RETURN, 7, 4);
    bench_add(change, OPERATION_RETURN, 7, 5);
    bench_add(change, OPERATION_REJECT, 7, 6);
    bench_add_put(change, "q:a", 0);
    bench_change(bench, 0, change);
    bench_flush(bench);
    bench_result(bench, CHANGE_DONE);
    put_for(bench, 0, 1);
    bench_flush(bench);
    GIVE(bench, {.n = 1, .deliveries = 2});
    bench_result(bench, CHANGE_FULL);
    bench_put(bench, "q:a");
    struct queues_counters counters = bench_count(bench);
    assert_int_equal(counters.put, 1);
    assert_int_equal(counters.refused, 1);
    assert_int_equal(counters.delivered, 7);
    assert_int_equal(counters.redelivered, 1);
    assert_int_equal(counters.settled, 3);
    assert_int_equal(counters.returned, 2);
    assert_int_equal(counters.rejected, 1);
    assert_int_equal(counters.consumers, 2);
    assert_int_equal(counters.waiting, 1);
    assert_memory_equal(&counters.store, &bench->store.counts, sizeof counters.store);
}

static void the_node_may_go_when_nothing_waits(void **state) {
    struct queues_bench *bench = *state;
    assert_true(queues_is_settled(bench->queues));
    bench_consume(bench, 0, 7, "q:a", 1);
    bench_flush(bench);
    assert_false(queues_is_settled(bench->queues)); /* a take is under way */
    GIVE(bench, {.n = 1});
    assert_false(queues_is_settled(bench->queues)); /* a consumer has something */
    bench_settle(bench, 0, 7, 1);
    bench_unconsume(bench, 0, 7);
    assert_false(queues_is_settled(bench->queues)); /* a change waits */
    bench_flush(bench);
    assert_false(queues_is_settled(bench->queues)); /* it is under way */
    bench_done(bench);
    assert_true(queues_is_settled(bench->queues));
}

static void other_mail_is_none_of_its_business(void **state) {
    struct queues_bench *bench = *state;
    assert_false(queues_take_mail(bench->queues, &(struct mail){.type = MAIL_SESSION}, 0));
    assert_false(queues_take_mail(bench->queues, &(struct mail){.type = MAIL_PUBLISH}, 0));
}

#define TEST(function)      cmocka_unit_test_setup_teardown(function, queues_bench_setup, queues_bench_teardown)
#define TEST_DOWN(function) cmocka_unit_test_setup_teardown(function, queues_bench_setup_down, queues_bench_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(changes_of_a_turn_go_in_one_call),
        TEST(results_go_to_those_who_wait_for_them),
        TEST(the_results_of_a_turn_wake_a_worker_once),
        TEST(operations_name_their_queues),
        TEST(so_many_calls_are_under_way_and_what_comes_meanwhile_goes_with_the_next),
        TEST(a_call_holds_so_many_changes),
        TEST(a_call_holds_so_many_operations),
        TEST(a_call_holds_so_many_bytes),
        TEST(a_change_above_the_limits_goes_alone),
        TEST(a_store_that_answers_within_its_turn_gets_all_that_waits),
        TEST(changes_and_takes_share_one_row_of_numbers),
        TEST_DOWN(while_the_store_is_away_changes_wait),
        TEST(what_a_broken_link_left_is_called_again_before_anything_new),
        TEST(a_link_that_breaks_again_and_again_changes_nothing),
        TEST(a_call_that_found_the_node_gone_is_made_again_at_the_next_tick),
        TEST(or_as_soon_as_the_node_is_said_to_be_back),
        TEST(nothing_is_made_again_while_others_are_under_way),
        TEST(what_is_never_answered_is_called_again_when_the_store_is_back),
        TEST(another_server_gives_back_what_the_node_has_before_anything_new),
        TEST(what_waits_while_that_is_done_goes_behind_it),
        TEST(where_the_link_breaks_meanwhile_it_is_begun_again),
        TEST(where_it_is_refused_it_is_tried_again_later_and_nobody_waits),
        TEST(the_same_server_gives_nothing_back),
        TEST(a_call_that_the_server_refuses_fails_all_its_changes_for_good),
        TEST(what_a_refused_change_would_have_settled_is_returned),
        TEST(a_return_that_is_refused_is_tried_again_later),
        TEST(what_consumers_have_done_with_is_not_returned_where_the_server_refuses_but_settled_later),
        TEST(a_change_of_an_unknown_consumer_fails_and_the_rest_of_it_goes_on),
        TEST(a_worker_can_not_settle_for_the_consumers_of_another),
        TEST(queues_have_the_policies_that_hold_now),
        TEST(the_hub_stores_messages_of_its_own),
        TEST(so_many_bytes_of_them_may_wait),
        TEST(what_was_done_is_counted),
        TEST(the_node_may_go_when_nothing_waits),
        TEST(other_mail_is_none_of_its_business),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
