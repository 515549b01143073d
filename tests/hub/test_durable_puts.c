/* What is published, on its way to durable subscriptions: in a cluster, and on a node on its own, with its workers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "durables_bench.h"
#include "stompd/edge/router.h"
#include "stompd/session/session.h"
#include "stompd/stomp/writer.h"

/* ---- publications ---- */

static void publications_go_into_all_queues_that_they_reach(void **state) {
    struct hub_bench *bench = *state;
    hub_learn(bench, LIFE + 4,
              LIST("d:ann/1", "/topic/a.b", "d:ann/2", "/topic/a.*", "d:bob/1", "/topic/**", "d:bob/2", "/topic/c"));
    hub_publish(bench, "/topic/a.b", "hi");
    hub_publish(bench, "/topic/d", "ho");
    hub_flush(bench);
    hub_expect_call(bench, "put d:ann/1 | put d:ann/2 | put d:bob/1 | put d:bob/1");
    assert_int_equal(hub_dropped(bench), 0);
}

static void what_is_no_publication_to_a_topic_is_let_pass(void **state) {
    struct hub_bench *bench = *state;
    hub_learn(bench, LIFE + 1, LIST("d:bob/1", "/topic/**"));
    struct message *message = hub_message_to("/topic/a", "hi", 2);
    struct message *private = stomp_readdress(message, ROUTE_USER, BYTES("/topic/a"));
    assert_non_null(private);
    message_unref(message);
    hub_publish_message(bench, 0, private);
    hub_flush(bench);
    hub_expect_call(bench, NULL);
}

/* Others may have been bound meanwhile. */
static void publications_wait_until_the_bindings_are_known(void **state) {
    struct hub_bench *bench = *state;
    hub_publish(bench, "/topic/a", "1");
    assert_false(durables_are_behind(bench->durables)); /* publishers go on */
    assert_false(durables_are_settled(bench->durables));
    hub_come_up(bench);
    hub_publish(bench, "/topic/b", "2");
    hub_publish(bench, "/topic/a", "3");
    hub_answer_list(bench, "look 0", LIFE + 1, 0, true, LIST("d:ann/1", "/topic/a"));
    hub_expect_call(bench, "look 1001");
    scripted_queues_done(&bench->store);
    hub_expect_call(bench, "put d:ann/1 | put d:ann/1");
    assert_true(durables_are_settled(bench->durables));
}

static void while_the_store_is_away_publications_wait_for_what_is_bound_meanwhile(void **state) {
    struct hub_bench *bench = *state;
    hub_learn(bench, LIFE + 1, LIST("d:ann/1", "/topic/a"));
    hub_go_down(bench);
    hub_publish(bench, "/topic/a", "1");
    hub_come_up(bench);
    hub_answer_list(bench, "look 0", LIFE + 2, 0, true, LIST("d:ann/1", "/topic/a", "d:bob/1", "/topic/*"));
    hub_expect_call(bench, "look 1002");
    scripted_queues_done(&bench->store);
    hub_expect_call(bench, "put d:ann/1 | put d:bob/1");
}

/* Who is not heard of for long is declared dead, and nobody waits for it any more. */
static void what_is_known_is_trusted_for_so_long(void **state) {
    struct hub_bench *bench = *state;
    hub_learn(bench, LIFE + 1, LIST("d:ann/1", "/topic/a"));
    hub_pass(bench, DURABLES_SURE_MS - 1);
    hub_expect_call(bench, "look 1001");
    uint64_t looked_ms = bench->now_ms;
    hub_publish(bench, "/topic/a", "1");
    assert_true(durables_are_settled(bench->durables));
    bench->now_ms++;
    hub_publish(bench, "/topic/a", "2");
    assert_false(durables_are_settled(bench->durables));
    assert_true(durables_are_behind(bench->durables));
    bench->now_ms = looked_ms + DURABLES_SURE_MS;
    hub_publish(bench, "/topic/a", "3");
    hub_answer_list(bench, "look 1001", LIFE + 2, LIFE + 1, false, LIST("d:ann/1", "", "d:ann/2", "/topic/a"));
    hub_answer_list(bench, "look 1002", LIFE + 3, LIFE + 2, false, LIST("d:ann/2", "", "d:ann/3", "/topic/a"));
    hub_expect_call(bench, "put d:ann/1 | put d:ann/2");
    scripted_queues_done(&bench->store);
    hub_expect_call(bench, "look 1003");
    scripted_queues_done(&bench->store);
    hub_expect_call(bench, "put d:ann/3");
}

static void a_store_that_knows_no_bindings_makes_nobody_wait(void **state) {
    struct hub_bench *bench = *state;
    hub_learn(bench, LIFE + 1, LIST("d:ann/1", "/topic/a"));
    hub_pass(bench, DURABLES_SURE_MS);
    hub_publish(bench, "/topic/a", "1");
    assert_true(durables_are_behind(bench->durables));
    hub_answer_result(bench, "look 1001", QUEUE_GONE);
    assert_true(durables_are_behind(bench->durables));
    hub_pass(bench, DURABLES_RETRY_MS);
    hub_answer_result(bench, "look 1001", QUEUE_FAILED);
    assert_false(durables_are_behind(bench->durables));
}

/* Beyond the limit the oldest go where it is known that they belong, and then, beyond that of the queues, nowhere. */
static void so_much_waits_while_the_store_is_away(void **state) {
    struct hub_bench *bench = *state;
    const size_t size = QUEUES_PUT_MAX / 4 - 4096;
    hub_learn(bench, LIFE + 1, LIST("d:ann/1", "/topic/a", "d:bob/1", "/topic/b"));
    hub_go_down(bench);
    for (int n = 0; n < 8; n++)
        hub_publish_large(bench, "/topic/a", size);
    assert_int_equal(hub_dropped(bench), 0);
    hub_publish_large(bench, "/topic/a", size);
    hub_publish_large(bench, "/topic/c", size);
    assert_int_equal(hub_dropped(bench), 2);
    hub_come_up(bench);
    hub_answer_list(bench, "look 0", LIFE + 1, 0, true, LIST("d:ann/1", "/topic/a"));
    assert_int_equal(hub_dropped(bench), 2);
}

static void publishers_pause_while_the_queues_have_no_room(void **state) {
    struct hub_bench *bench = *state;
    const size_t size = QUEUES_PUT_MAX / 4 - 4096;
    hub_learn(bench, LIFE + 2, LIST("d:ann/1", "/topic/a", "d:ann/2", "/topic/*"));
    hub_publish_large(bench, "/topic/a", size);
    assert_false(durables_are_behind(bench->durables));
    hub_publish_large(bench, "/topic/b", size);
    hub_publish_large(bench, "/topic/a", size); /* half of it */
    assert_true(durables_are_behind(bench->durables));
    hub_publish(bench, "/topic/a", "last");
    for (int n = 0; n < 5; n++)
        hub_publish_large(bench, "/topic/c", size);
    hub_flush(bench);
    unsigned puts = 0;
    for (; bench->store.waiting > 0; hub_flush(bench)) {
        puts += (unsigned)scripted_queues_first(&bench->store)->count;
        scripted_queues_done(&bench->store);
    }
    assert_int_equal(puts, 12); /* each once */
    assert_false(durables_are_behind(bench->durables));
    assert_int_equal(hub_dropped(bench), 0);
}

/* ---- policies ---- */

static void a_queue_has_the_policy_of_its_topic(void **state) {
    struct hub_bench *bench = *state;
    struct policy *policy = policies_add(&bench->policies, "/topic/a.**");
    assert_non_null(policy);
    policy->queue.max_messages = 7;
    hub_learn(bench, LIFE + 2, LIST("d:ann/1", "/topic/a.*", "d:ann/2", "/topic/b"));
    hub_publish(bench, "/topic/a.b", "hi");
    hub_flush(bench);
    assert_int_equal(scripted_queues_first(&bench->store)->policy->max_messages, 7);
    scripted_queues_done(&bench->store);
    hub_publish(bench, "/topic/b", "hi");
    hub_flush(bench);
    assert_int_equal(scripted_queues_first(&bench->store)->policy->max_messages, 100000);
    scripted_queues_done(&bench->store);
    hub_subscribe(bench, 1, "d:ann/1", "/topic/a.*");
    hub_flush(bench);
    hub_answer_version(bench, "bind d:ann/1 /topic/a.*", LIFE + 2, LIFE + 2);
    hub_expect_call(bench, "take d:ann/1 10");
    assert_int_equal(scripted_queues_first(&bench->store)->policy->max_messages, 7);
}

/* ---- a node on its own ---- */

static void workers_are_told_what_to_publish(void **state) {
    struct hub_bench *bench = *state;
    hub_flush(bench);
    hub_answer_list(bench, "look 0", 0, 0, false, NO_LIST);
    hub_subscribe(bench, 1, "d:ann/1", "/topic/a");
    hub_subscribe(bench, 2, "d:ann/2", "/topic/*.b");
    hub_subscribe(bench, 3, "d:bob/1", "/topic/a");
    hub_flush(bench);
    hub_answer_version(bench, "bind d:ann/1 /topic/a", LIFE + 1, 0);
    hub_answer_version(bench, "bind d:ann/2 /topic/*.b", LIFE + 2, 0);
    hub_answer_version(bench, "bind d:bob/1 /topic/a", LIFE + 3, 0);
    hub_answer_list(bench, "look 0", LIFE + 3, 0, true,
                    LIST("d:ann/1", "/topic/a", "d:ann/2", "/topic/*.b", "d:bob/1", "/topic/a"));
    for (unsigned n = 0; n < WORKERS; n++)
        hub_expect_mail(bench, n, "announce /topic/a; announce /topic/*.b (pattern)");
    hub_confirm(bench, 0, 1, "/topic/a", INTEREST_EXACT);
    hub_confirm(bench, 1, 1, "/topic/a", INTEREST_EXACT);
    hub_confirm(bench, 0, 2, "/topic/*.b", INTEREST_PATTERN);
    hub_flush(bench);
    hub_expect_call(bench, NULL);
    hub_expect_mail(bench, 0, "");
    hub_confirm(bench, 1, 2, "/topic/*.b", INTEREST_PATTERN);
    hub_flush(bench);
    hub_answer_list(bench, "look 1003", LIFE + 3, LIFE + 3, false, NO_LIST);
    hub_expect_mail(bench, 0, "consuming 1; consuming 2; consuming 3");
    hub_expect_mail(bench, 1, "");
}

/* Consumer 1 consumes from d:ann/1, of /topic/a. */
static void serve_alone(struct hub_bench *bench) {
    hub_flush(bench);
    hub_answer_list(bench, "look 0", 0, 0, false, NO_LIST);
    hub_subscribe(bench, 1, "d:ann/1", "/topic/a");
    hub_flush(bench);
    hub_answer_version(bench, "bind d:ann/1 /topic/a", LIFE + 1, 0);
    hub_answer_list(bench, "look 0", LIFE + 1, 0, true, LIST("d:ann/1", "/topic/a"));
    for (unsigned n = 0; n < WORKERS; n++)
        hub_confirm(bench, n, 1, "/topic/a", INTEREST_EXACT);
    hub_flush(bench);
    hub_answer_list(bench, "look 1001", LIFE + 1, LIFE + 1, false, NO_LIST);
    hub_answer_result(bench, "take d:ann/1 10", QUEUE_OK);
    hub_expect_mail(bench, 0, "announce /topic/a; consuming 1");
    hub_expect_mail(bench, 1, "announce /topic/a");
}

static void workers_are_told_when_the_last_of_a_topic_ends(void **state) {
    struct hub_bench *bench = *state;
    serve_alone(bench);
    hub_subscribe(bench, 2, "d:bob/1", "/topic/a");
    hub_flush(bench);
    hub_answer_version(bench, "bind d:bob/1 /topic/a", LIFE + 2, LIFE + 1);
    hub_answer_list(bench, "look 1001", LIFE + 2, LIFE + 1, true, LIST("d:ann/1", "/topic/a", "d:bob/1", "/topic/a"));
    hub_answer_list(bench, "look 1002", LIFE + 2, LIFE + 2, false, NO_LIST);
    hub_answer_result(bench, "take d:bob/1 10", QUEUE_OK);
    hub_expect_mail(bench, 0, "consuming 2");
    hub_end(bench, "d:ann/1");
    hub_flush(bench);
    hub_answer_version(bench, "unbind d:ann/1", LIFE + 3, LIFE + 2);
    hub_answer_list(bench, "look 1002", LIFE + 3, LIFE + 2, true, LIST("d:bob/1", "/topic/a"));
    hub_expect_mail(bench, 0, "changed 77");
    hub_answer_list(bench, "look 1003", LIFE + 3, LIFE + 3, false, NO_LIST);
    hub_end(bench, "d:bob/1");
    hub_flush(bench);
    hub_answer_version(bench, "unbind d:bob/1", LIFE + 4, LIFE + 3);
    hub_answer_list(bench, "look 1003", LIFE + 4, LIFE + 3, true, NO_LIST);
    hub_expect_mail(bench, 0, "changed 77; withdraw /topic/a");
    hub_expect_mail(bench, 1, "withdraw /topic/a");
}

static void an_end_before_the_workers_know_leaves_nobody_waiting(void **state) {
    struct hub_bench *bench = *state;
    hub_flush(bench);
    hub_answer_list(bench, "look 0", 0, 0, false, NO_LIST);
    hub_subscribe(bench, 1, "d:ann/1", "/topic/a");
    hub_flush(bench);
    hub_answer_version(bench, "bind d:ann/1 /topic/a", LIFE + 1, 0);
    hub_answer_list(bench, "look 0", LIFE + 1, 0, true, LIST("d:ann/1", "/topic/a"));
    hub_end(bench, "d:ann/1");
    hub_flush(bench);
    hub_answer_version(bench, "unbind d:ann/1", LIFE + 2, 0);
    hub_answer_list(bench, "look 0", LIFE + 2, 0, true, NO_LIST);
    hub_expect_mail(bench, 0, "announce /topic/a; changed 77; withdraw /topic/a");
    hub_answer_list(bench, "look 1002", LIFE + 2, LIFE + 2, false, NO_LIST);
    hub_confirm(bench, 0, 1, "/topic/a", INTEREST_EXACT); /* late */
    hub_flush(bench);
    hub_expect_call(bench, "take d:ann/1 10"); /* who has it open still is served, with nothing */
}

static void publishers_get_credit_for_what_was_put(void **state) {
    struct hub_bench *bench = *state;
    serve_alone(bench);
    struct message *message = hub_message_to("/topic/a", "hi", 2);
    uint64_t cost = router_cost(message);
    hub_publish_message(bench, 1, message);
    hub_flush(bench);
    hub_mail_of(bench, 1);
    assert_int_equal(bench->credit[1], cost);
    assert_int_equal(bench->credit[0], 0);
    hub_expect_call(bench, "put d:ann/1");
}

static void publishers_get_no_credit_for_what_waits(void **state) {
    struct hub_bench *bench = *state;
    serve_alone(bench);
    for (int n = 0; n < 3; n++)
        hub_publish_large(bench, "/topic/a", QUEUES_PUT_MAX / 2 - 4096);
    hub_flush(bench);
    hub_mail_of(bench, 0);
    assert_true(durables_are_behind(bench->durables));
    assert_in_range(bench->credit[0], QUEUES_PUT_MAX - 10000, QUEUES_PUT_MAX);
    scripted_queues_done(&bench->store);
    hub_flush(bench);
    hub_mail_of(bench, 0);
    assert_in_range(bench->credit[0], 3 * (QUEUES_PUT_MAX / 2) - 15000, 3 * (QUEUES_PUT_MAX / 2));
    assert_false(durables_are_behind(bench->durables));
}

/* What workers give for announcements is of no interest. */
static void credit_of_workers_is_swallowed(void **state) {
    struct hub_bench *bench = *state;
    struct mail_credit mail = {.mail.type = MAIL_CREDIT, .from = 0, .bytes = 100};
    assert_int_equal(durables_take_mail(bench->durables, &mail.mail, START), !bench->cluster);
}

static void queues_keep_their_own_mail(void **state) {
    struct hub_bench *bench = *state;
    hub_say(bench, MAIL_CONSUME, 0, 5, "q:a", "");
    hub_expect_call(bench, NULL);
    queues_flush(bench->queues, bench->now_ms);
    hub_expect_mail(bench, 0, "consuming 5");
    assert_false(hub_unsubscribe(bench, 5));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        CLUSTER(publications_go_into_all_queues_that_they_reach),
        CLUSTER(what_is_no_publication_to_a_topic_is_let_pass),
        CLUSTER(publications_wait_until_the_bindings_are_known),
        CLUSTER(while_the_store_is_away_publications_wait_for_what_is_bound_meanwhile),
        CLUSTER(what_is_known_is_trusted_for_so_long),
        CLUSTER(a_store_that_knows_no_bindings_makes_nobody_wait),
        CLUSTER(so_much_waits_while_the_store_is_away),
        CLUSTER(publishers_pause_while_the_queues_have_no_room),
        CLUSTER(a_queue_has_the_policy_of_its_topic),
        ALONE(workers_are_told_what_to_publish),
        ALONE(workers_are_told_when_the_last_of_a_topic_ends),
        ALONE(an_end_before_the_workers_know_leaves_nobody_waiting),
        ALONE(publishers_get_credit_for_what_was_put),
        ALONE(publishers_get_no_credit_for_what_waits),
        ALONE(credit_of_workers_is_swallowed),
        CLUSTER(credit_of_workers_is_swallowed),
        ALONE(queues_keep_their_own_mail),
    };
    return cmocka_run_group_tests_name("what durable subscriptions get", tests, NULL, NULL);
}
