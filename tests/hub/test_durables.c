/* Durable subscriptions in a cluster: binding, what all nodes know, ends, links that break, what the store has lost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "durables_bench.h"

/* ---- in a cluster: subscribing ---- */

static void a_subscription_is_bound_and_waits_until_all_nodes_act_by_it(void **state) {
    struct hub_bench *bench = *state;
    hub_learn(bench, LIFE + 1, LIST("d:bob/1", "/topic/b"));
    hub_subscribe(bench, 1, "d:ann/1", "/topic/a.**");
    hub_flush(bench);
    hub_answer_version(bench, "bind d:ann/1 /topic/a.**", LIFE + 2, LIFE + 1);
    hub_answer_list(bench, "look 1001", LIFE + 2, LIFE + 1, false, LIST("d:ann/1", "/topic/a.**"));
    hub_answer_list(bench, "look 1002", LIFE + 2, LIFE + 1, false, NO_LIST);
    hub_expect_call(bench, NULL);
    hub_expect_mail(bench, 0, "");
    hub_pass(bench, DURABLES_WAIT_MS);
    hub_answer_list(bench, "look 1002", LIFE + 2, LIFE + 2, false, NO_LIST);
    hub_expect_mail(bench, 0, "consuming 1");
    hub_expect_call(bench, "take d:ann/1 10");
}

static void who_comes_back_to_what_all_know_is_served_at_once(void **state) {
    hub_learn_and_serve(*state);
}

/* All act by more than it needs. */
static void later_changes_do_not_hold_a_subscription_up(void **state) {
    struct hub_bench *bench = *state;
    hub_learn(bench, LIFE + 5, LIST("d:ann/1", "/topic/a"));
    hub_subscribe(bench, 1, "d:ann/1", "/topic/a");
    hub_subscribe(bench, 2, "d:ann/2", "/topic/a");
    hub_flush(bench);
    hub_answer_version(bench, "bind d:ann/1 /topic/a", LIFE + 5, LIFE + 5);
    hub_expect_mail(bench, 0, "consuming 1");
    hub_answer_version(bench, "bind d:ann/2 /topic/a", LIFE + 6, LIFE + 5);
    hub_expect_mail(bench, 0, "");
}

static void bindings_are_looked_at_from_time_to_time(void **state) {
    struct hub_bench *bench = *state;
    hub_learn(bench, LIFE + 1, LIST("d:bob/1", "/topic/b"));
    hub_pass(bench, DURABLES_LOOK_MS - 1);
    hub_expect_call(bench, NULL);
    hub_pass(bench, 1);
    hub_expect_call(bench, "look 1001");
    hub_pass(bench, UINT64_C(10) * DURABLES_LOOK_MS); /* one at a time */
    assert_int_equal(bench->store.waiting, 1);
    hub_answer_list(bench, "look 1001", LIFE + 3, LIFE + 1, false, LIST("d:bob/1", "", "d:bob/2", "/topic/c"));
    hub_expect_call(bench, "look 1003");
    assert_int_equal(hub_subscriptions(bench), 1);
    assert_true(bytes_equal(durables_topic(bench->durables, BYTES("d:bob/2")), BYTES("/topic/c")));
    assert_int_equal(durables_topic(bench->durables, BYTES("d:bob/1")).len, 0);
}

static void a_complete_list_takes_the_place_of_what_was_known(void **state) {
    struct hub_bench *bench = *state;
    hub_learn(bench, LIFE + 4, LIST("d:bob/1", "/topic/a", "d:bob/2", "/topic/a", "d:bob/3", "/topic/a"));
    hub_pass(bench, DURABLES_LOOK_MS);
    hub_answer_list(bench, "look 1004", LIFE + 9, LIFE + 4, true, LIST("d:bob/2", "/topic/a", "d:bob/3", "/topic/b"));
    assert_int_equal(hub_subscriptions(bench), 2);
    hub_publish(bench, "/topic/a", "1");
    hub_publish(bench, "/topic/b", "2");
    hub_flush(bench);
    hub_expect_call(bench, "look 1009");
    scripted_queues_done(&bench->store);
    hub_expect_call(bench, "put d:bob/2 | put d:bob/3");
}

/* Somebody else has written it. */
static void what_is_bound_to_no_topic_does_nothing(void **state) {
    struct hub_bench *bench = *state;
    hub_learn(bench, LIFE + 1,
              LIST("d:ann/1", "/queue/a", "d:ann/2", "nonsense", "d:ann/3", "/topic/", "d:ann/4", "/topic/a"));
    assert_int_equal(hub_subscriptions(bench), 1);
}

static void a_subscription_of_another_topic_is_refused(void **state) {
    struct hub_bench *bench = *state;
    hub_learn(bench, LIFE + 1, LIST("d:ann/1", "/topic/a"));
    hub_subscribe(bench, 7, "d:ann/1", "/topic/b");
    hub_flush(bench);
    hub_answer_result(bench, "bind d:ann/1 /topic/b", QUEUE_TAKEN);
    hub_expect_mail(bench, 0, "taken 7");
    hub_pass(bench, DURABLES_RETRY_MS);
    hub_expect_call(bench, "look 1001");
    assert_int_equal(bench->store.waiting, 1);
}

static void a_user_has_so_many(void **state) {
    struct hub_bench *bench = *state;
    hub_learn(bench, LIFE + 3, LIST("d:ann/1", "/topic/a", "d:ann/2", "/topic/a", "d:anna/1", "/topic/a"));
    hub_subscribe(bench, 1, "d:ann/3", "/topic/a");
    hub_subscribe(bench, 2, "d:ann/4", "/topic/a");
    hub_subscribe(bench, 3, "d:ann/2", "/topic/a"); /* is no new one */
    hub_subscribe(bench, 4, "d:anna/2", "/topic/a");
    hub_flush(bench);
    hub_expect_mail(bench, 0, "too many 2");
    hub_expect_call(bench, "bind d:ann/3 /topic/a");
    assert_int_equal(bench->store.waiting, 3);
}

static void those_that_are_not_known_yet_count(void **state) {
    struct hub_bench *bench = *state;
    hub_learn(bench, LIFE + 2, LIST("d:ann/1", "/topic/a", "d:ann/2", "/topic/a"));
    hub_subscribe(bench, 1, "d:ann/3", "/topic/a");
    hub_flush(bench);
    hub_subscribe(bench, 2, "d:ann/4", "/topic/a");
    hub_flush(bench);
    hub_expect_mail(bench, 0, "too many 2");
    hub_answer_version(bench, "bind d:ann/3 /topic/a", LIFE + 3, LIFE + 2);
    hub_subscribe(bench, 3, "d:ann/5", "/topic/a");
    hub_flush(bench);
    hub_expect_mail(bench, 0, "too many 3");
}

static void two_that_share_one_count_once(void **state) {
    struct hub_bench *bench = *state;
    hub_learn(bench, LIFE + 1, LIST("d:ann/1", "/topic/a"));
    hub_subscribe(bench, 1, "d:ann/2", "/topic/a");
    hub_subscribe(bench, 2, "d:ann/2", "/topic/a");
    hub_subscribe(bench, 3, "d:ann/3", "/topic/a");
    hub_subscribe(bench, 4, "d:ann/3", "/topic/a");
    hub_subscribe(bench, 5, "d:ann/4", "/topic/a");
    hub_flush(bench);
    hub_expect_mail(bench, 0, "too many 5");
    assert_int_equal(bench->store.waiting, 4);
}

static void a_limit_may_change(void **state) {
    struct hub_bench *bench = *state;
    hub_learn(bench, LIFE + 2, LIST("d:ann/1", "/topic/a", "d:ann/2", "/topic/a"));
    durables_set_per_user(bench->durables, 2);
    hub_subscribe(bench, 1, "d:ann/3", "/topic/a");
    hub_flush(bench);
    hub_expect_mail(bench, 0, "too many 1");
    durables_set_per_user(bench->durables, 3);
    hub_subscribe(bench, 2, "d:ann/3", "/topic/a");
    hub_flush(bench);
    hub_expect_call(bench, "bind d:ann/3 /topic/a");
}

/* Nobody knows yet how many there are. */
static void nothing_is_bound_before_the_bindings_are_known(void **state) {
    struct hub_bench *bench = *state;
    hub_subscribe(bench, 1, "d:ann/1", "/topic/a");
    hub_flush(bench);
    hub_expect_call(bench, NULL);
    hub_come_up(bench);
    hub_answer_list(bench, "look 0", LIFE, 0, true, NO_LIST);
    hub_expect_call(bench, "bind d:ann/1 /topic/a");
}

static void so_many_are_bound_at_a_time(void **state) {
    struct hub_bench *bench = *state;
    char queue[32];
    hub_learn(bench, LIFE + 1, LIST("d:bob/1", "/topic/b"));
    for (unsigned n = 0; n < DURABLES_BINDS_MAX + 1; n++) {
        snprintf(queue, sizeof queue, "d:user-%u/1", n);
        hub_subscribe(bench, n + 1, queue, "/topic/a");
    }
    hub_flush(bench);
    assert_int_equal(bench->store.waiting, DURABLES_BINDS_MAX);
    hub_answer_result(bench, "bind d:user-0/1 /topic/a", QUEUE_TAKEN);
    assert_int_equal(bench->store.waiting, DURABLES_BINDS_MAX);
    while (bench->store.waiting > 1)
        scripted_queues_fail(&bench->store, QUEUE_TAKEN);
    hub_expect_call(bench, "bind d:user-256/1 /topic/a");
}

static void what_the_store_would_not_do_is_tried_again_after_a_while(void **state) {
    static const enum queue_result results[] = {QUEUE_GONE, QUEUE_FAILED, QUEUE_AWAY};
    struct hub_bench *bench = *state;
    hub_learn(bench, LIFE + 1, LIST("d:ann/1", "/topic/a"));
    hub_subscribe(bench, 1, "d:ann/2", "/topic/a");
    hub_end(bench, "d:ann/1");
    hub_flush(bench);
    for (size_t n = 0; n < 3; n++) {
        hub_answer_result(bench, "unbind d:ann/1", results[n]);
        hub_answer_result(bench, "bind d:ann/2 /topic/a", results[n]);
        if (bench->now_ms >= START + DURABLES_LOOK_MS)
            hub_answer_result(bench, "look 1001", results[n]);
        hub_expect_call(bench, NULL);
        hub_pass(bench, DURABLES_RETRY_MS - 1);
        hub_expect_call(bench, NULL);
        hub_pass(bench, 1);
    }
    hub_expect_call(bench, "unbind d:ann/1");
    hub_expect_mail(bench, 0, "");
}

/* ---- unsubscribing ---- */

static void who_goes_before_it_is_bound_is_forgotten(void **state) {
    struct hub_bench *bench = *state;
    hub_learn(bench, LIFE + 1, LIST("d:ann/1", "/topic/a"));
    hub_subscribe(bench, 1, "d:ann/1", "/topic/a");
    assert_true(hub_unsubscribe(bench, 1));
    hub_flush(bench);
    hub_expect_call(bench, NULL);
    hub_subscribe(bench, 2, "d:ann/1", "/topic/a");
    hub_subscribe(bench, 3, "d:ann/9", "/topic/a");
    hub_flush(bench);
    assert_true(hub_unsubscribe(bench, 2));
    hub_answer_version(bench, "bind d:ann/1 /topic/a", LIFE + 1, LIFE + 1);
    hub_answer_version(bench, "bind d:ann/9 /topic/a", LIFE + 2, LIFE + 1);
    assert_true(hub_unsubscribe(bench, 3));
    hub_answer_list(bench, "look 1001", LIFE + 2, LIFE + 2, false, LIST("d:ann/9", "/topic/a"));
    hub_expect_mail(bench, 0, "");
}

static void who_is_served_is_taken_from_the_queue_when_it_goes(void **state) {
    struct hub_bench *bench = *state;
    hub_learn_and_serve(bench);
    assert_false(hub_unsubscribe(bench, 1));
    hub_subscribe(bench, 2, "d:ann/1", "/topic/a");
    hub_flush(bench);
    hub_answer_version(bench, "bind d:ann/1 /topic/a", LIFE + 1, LIFE + 1);
    hub_expect_mail(bench, 0, "consuming 2");
}

static void a_subscription_that_ends_is_unbound(void **state) {
    struct hub_bench *bench = *state;
    hub_learn(bench, LIFE + 1, LIST("d:ann/1", "/topic/a"));
    hub_end(bench, "d:ann/1");
    assert_false(durables_are_settled(bench->durables));
    hub_flush(bench);
    assert_false(durables_are_settled(bench->durables));
    hub_expect_mail(bench, 0, "");
    hub_answer_version(bench, "unbind d:ann/1", LIFE + 2, LIFE + 1);
    assert_true(durables_are_settled(bench->durables));
    hub_expect_mail(bench, 0, "changed 77");
    hub_answer_list(bench, "look 1001", LIFE + 2, LIFE + 1, false, LIST("d:ann/1", ""));
    assert_int_equal(hub_subscriptions(bench), 0);
}

static void a_subscription_may_end_and_begin_anew_in_one_turn(void **state) {
    struct hub_bench *bench = *state;
    hub_learn_and_serve(bench);
    assert_false(hub_unsubscribe(bench, 1));
    hub_end(bench, "d:ann/1");
    hub_subscribe(bench, 2, "d:ann/1", "/topic/b");
    hub_flush(bench);
    hub_answer_version(bench, "unbind d:ann/1", LIFE + 2, LIFE + 1);
    hub_answer_version(bench, "bind d:ann/1 /topic/b", LIFE + 3, LIFE + 1);
    hub_answer_list(bench, "look 1001", LIFE + 3, LIFE + 1, false, LIST("d:ann/1", "/topic/b"));
    hub_answer_list(bench, "look 1003", LIFE + 3, LIFE + 3, false, NO_LIST);
    hub_expect_mail(bench, 0, "changed 77; consuming 2");
}

/* Though somebody has it open: that one gets nothing more. */
static void who_is_served_is_not_bound_again_when_another_ends_it(void **state) {
    struct hub_bench *bench = *state;
    hub_learn_and_serve(bench);
    hub_pass(bench, DURABLES_LOOK_MS);
    hub_answer_list(bench, "look 1001", LIFE + 2, LIFE + 1, false, LIST("d:ann/1", ""));
    hub_answer_list(bench, "look 1002", LIFE + 2, LIFE + 2, false, NO_LIST);
    hub_expect_call(bench, NULL);
}

/* ---- links that break, and what the store has lost ---- */

static void what_was_under_way_is_made_again_when_the_link_is_back(void **state) {
    struct hub_bench *bench = *state;
    hub_learn(bench, LIFE + 2, LIST("d:ann/1", "/topic/a", "d:ann/2", "/topic/a"));
    hub_subscribe(bench, 1, "d:ann/2", "/topic/a");
    hub_subscribe(bench, 2, "d:ann/3", "/topic/a");
    hub_flush(bench);
    hub_answer_version(bench, "bind d:ann/2 /topic/a", LIFE + 2, LIFE + 1); /* somebody lags behind */
    hub_expect_mail(bench, 0, "");
    hub_end(bench, "d:ann/1");
    hub_flush(bench);
    hub_go_down(bench);
    hub_pass(bench, 10000);
    hub_expect_call(bench, NULL);
    hub_come_up(bench);
    hub_expect_call(bench, "unbind d:ann/1");
    scripted_queues_done(&bench->store);
    hub_answer_list(bench, "look 0", LIFE + 2, 0, true, LIST("d:ann/2", "/topic/a"));
    hub_expect_call(bench, "bind d:ann/3 /topic/a");
    assert_int_equal(bench->store.waiting, 3);
    scripted_queues_fail(&bench->store, QUEUE_TAKEN);
    hub_expect_call(bench, "bind d:ann/2 /topic/a");
}

static void in_another_life_who_is_here_is_bound_again(void **state) {
    struct hub_bench *bench = *state;
    hub_learn_and_serve(bench);
    durables_set_per_user(bench->durables, 0);
    hub_pass(bench, DURABLES_LOOK_MS);
    hub_answer_life(bench, "look 1001", 0, 0);
    hub_expect_call(bench, "bind d:ann/1 /topic/a");
    hub_answer(bench, "bind d:ann/1 /topic/a", &(struct queue_answer){.life = 5000, .version = 5001});
    struct queue_binding binding = {BYTES("d:ann/1"), BYTES("/topic/a")};
    hub_answer(bench, "look 0",
               &(struct queue_answer){
                   .life = 5000, .version = 5001, .bindings = &binding, .binding_count = 1, .complete = true});
    hub_answer(bench, "look 5001", &(struct queue_answer){.life = 5000, .version = 5001, .everywhere = 5001});
    hub_expect_mail(bench, 0, ""); /* it was told already */
    hub_expect_call(bench, NULL);
    assert_int_equal(hub_subscriptions(bench), 1);
    assert_false(hub_unsubscribe(bench, 1));
}

static void in_another_life_who_waits_is_bound_again(void **state) {
    struct hub_bench *bench = *state;
    hub_learn(bench, LIFE + 1, LIST("d:ann/1", "/topic/a"));
    hub_subscribe(bench, 1, "d:ann/1", "/topic/a");
    hub_flush(bench);
    hub_answer_version(bench, "bind d:ann/1 /topic/a", LIFE + 1, LIFE); /* somebody lags behind */
    hub_pass(bench, DURABLES_LOOK_MS);
    hub_answer_life(bench, "look 1001", 0, 0);
    hub_expect_call(bench, "bind d:ann/1 /topic/a");
    hub_expect_mail(bench, 0, "");
}

/* A life that began and ended between two looks. */
static void what_was_bound_in_a_life_that_nobody_saw_is_bound_again(void **state) {
    struct hub_bench *bench = *state;
    hub_come_up(bench);
    hub_answer_life(bench, "look 0", 0, 0);
    hub_subscribe(bench, 1, "d:ann/1", "/topic/a");
    hub_flush(bench);
    hub_answer(bench, "bind d:ann/1 /topic/a", &(struct queue_answer){.life = 4000, .version = 4001});
    hub_answer_life(bench, "look 0", 0, 0);
    hub_expect_call(bench, "bind d:ann/1 /topic/a");
    hub_expect_mail(bench, 0, "");
}

/* Whatever numbers the one and the other have. */
static void what_is_bound_in_another_life_waits_for_that(void **state) {
    struct hub_bench *bench = *state;
    hub_learn(bench, LIFE + 7, LIST("d:bob/1", "/topic/b"));
    hub_subscribe(bench, 1, "d:ann/1", "/topic/a");
    hub_flush(bench);
    hub_answer(bench, "bind d:ann/1 /topic/a", &(struct queue_answer){.life = 1, .version = 2, .everywhere = 2});
    hub_expect_mail(bench, 0, "");
    hub_expect_call(bench, "look 1007");
}

/* Such as a Redis that comes back without its last second: who was bound in it must not get nothing for ever. */
static void what_a_store_that_was_away_has_lost_is_bound_again(void **state) {
    struct hub_bench *bench = *state;
    hub_learn_and_serve(bench);
    hub_go_down(bench);
    hub_come_up(bench);
    hub_answer_list(bench, "look 0", LIFE + 1, 0, true, LIST("d:bob/1", "/topic/b"));
    hub_answer_result(bench, "take d:ann/1 10", QUEUE_OK);
    hub_answer_version(bench, "bind d:ann/1 /topic/a", LIFE + 2, LIFE + 1);
    hub_expect_mail(bench, 0, "");
    hub_expect_call(bench, "look 1001");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        CLUSTER(a_subscription_is_bound_and_waits_until_all_nodes_act_by_it),
        CLUSTER(who_comes_back_to_what_all_know_is_served_at_once),
        CLUSTER(later_changes_do_not_hold_a_subscription_up),
        CLUSTER(bindings_are_looked_at_from_time_to_time),
        CLUSTER(a_complete_list_takes_the_place_of_what_was_known),
        CLUSTER(what_is_bound_to_no_topic_does_nothing),
        CLUSTER(a_subscription_of_another_topic_is_refused),
        CLUSTER(a_user_has_so_many),
        CLUSTER(those_that_are_not_known_yet_count),
        CLUSTER(two_that_share_one_count_once),
        CLUSTER(a_limit_may_change),
        CLUSTER(nothing_is_bound_before_the_bindings_are_known),
        CLUSTER(so_many_are_bound_at_a_time),
        CLUSTER(what_the_store_would_not_do_is_tried_again_after_a_while),
        CLUSTER(who_goes_before_it_is_bound_is_forgotten),
        CLUSTER(who_is_served_is_taken_from_the_queue_when_it_goes),
        CLUSTER(a_subscription_that_ends_is_unbound),
        CLUSTER(a_subscription_may_end_and_begin_anew_in_one_turn),
        CLUSTER(who_is_served_is_not_bound_again_when_another_ends_it),
        CLUSTER(what_was_under_way_is_made_again_when_the_link_is_back),
        CLUSTER(in_another_life_who_is_here_is_bound_again),
        CLUSTER(in_another_life_who_waits_is_bound_again),
        CLUSTER(what_was_bound_in_a_life_that_nobody_saw_is_bound_again),
        CLUSTER(what_is_bound_in_another_life_waits_for_that),
        CLUSTER(what_a_store_that_was_away_has_lost_is_bound_again),
    };
    return cmocka_run_group_tests_name("durable subscriptions", tests, NULL, NULL);
}
