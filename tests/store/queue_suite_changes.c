/* The suite: changes of several operations, takes, and who is told that something is ready. */
#include "queue_suite.h"

#include <stdio.h>
#include <string.h>

static struct draft draft;
static struct draft drafts[QUEUE_CHANGES_MAX];
static struct reply reply;
static struct reply replies[4];

/* ---- changes of several operations ---- */

static void test_a_change_does_all_that_it_says(void **state) {
    struct pair *both = *state;
    for (int together = 0; together < 2; together++) {
        queue_peer_put_many(&both->a, "q:x", 4);
        assert_string_equal(queue_peer_take(&both->a, "q:x", 4), "1 2 3 4");
        draft_begin(&draft, &both->a, together == 1);
        draft_put(&draft, "q:y", "5");
        draft_settle(&draft, "q:x", "1");
        draft_return(&draft, "q:x", "2", true);
        draft_put(&draft, "q:x", "6");
        draft_reject(&draft, "q:x", "3");
        draft_put(&draft, "q:y", "7");
        draft_return(&draft, "q:x", "4", false);
        assert_done(draft_make(&draft));
        assert_string_equal(queue_peer_take(&both->a, "q:x", 10), "2*2 4 6");
        assert_string_equal(queue_peer_take(&both->a, "q:y", 10), "5 7");
        assert_string_equal(queue_peer_take(&both->a, "q:x.dead", 10), "3<q:x rejected");
        draft_begin(&draft, &both->a, true);
        draft_settle(&draft, "q:x", "2");
        draft_settle(&draft, "q:x", "4");
        draft_settle(&draft, "q:x", "6");
        assert_done(draft_make(&draft));
    }
}

/* Of what is put together at once, nothing is there, and what was owned still is. */
static void assert_nothing_was_done(struct queue_peer *peer) {
    assert_string_equal(queue_peer_take(peer, "q:new", 10), "");
    assert_string_equal(queue_peer_take(peer, "q:x.dead", 10), "");
    assert_string_equal(queue_peer_take(peer, "q:x", 10), "4");
    draft_begin(&draft, peer, true);
    for (int n = 1; n <= 3; n++)
        draft_return(&draft, "q:x", n == 1 ? "1" : n == 2 ? "2" : "3", false);
    assert_done(draft_make(&draft));
    assert_string_equal(queue_peer_take(peer, "q:x", 10), "1 2 3");
    assert_counts(peer, 0, 0, 0);
}

static void begin_together(struct queue_peer *peer) {
    queue_peer_put_many(peer, "q:x", 4);
    assert_string_equal(queue_peer_take(peer, "q:x", 3), "1 2 3");
    draft_begin(&draft, peer, true);
    draft_put(&draft, "q:new", "5");
    draft_settle(&draft, "q:x", "1");
    draft_return(&draft, "q:x", "2", true);
    draft_reject(&draft, "q:x", "3");
}

static void test_where_one_queue_is_full_nothing_is_done_of_what_belongs_together(void **state) {
    struct pair *both = *state;
    static const struct queue_policy one = {.max_messages = 1, IDLE};
    const struct queue_policy *no_limits = both->a.policy;
    assert_done(queue_peer_put(&both->a, "q:full", "0"));
    begin_together(&both->a);
    both->a.policy = &one;
    draft_put(&draft, "q:full", "6");
    assert_full(draft_make(&draft));
    both->a.policy = no_limits;
    assert_string_equal(queue_peer_take(&both->a, "q:full", 10), "0");
    assert_nothing_was_done(&both->a);
}

static void test_where_one_message_is_lost_nothing_is_done_of_what_belongs_together(void **state) {
    struct pair *both = *state;
    assert_done(queue_peer_put(&both->a, "q:gone", "0"));
    assert_string_equal(queue_peer_take(&both->a, "q:gone", 1), "0");
    assert_done(queue_peer_settle(&both->a, "q:gone", "0"));
    begin_together(&both->a);
    draft_settle(&draft, "q:gone", "0");
    assert_int_equal(draft_make(&draft), CHANGE_LOST);
    assert_nothing_was_done(&both->a);
}

static void test_a_message_is_lost_to_its_second_operation_in_one_change(void **state) {
    struct pair *both = *state;
    begin_together(&both->a);
    draft_settle(&draft, "q:x", "2");
    assert_int_equal(draft_make(&draft), CHANGE_LOST);
    assert_nothing_was_done(&both->a);
}

static void test_what_made_room_for_a_change_that_was_not_done_is_still_there(void **state) {
    struct pair *both = *state;
    static const struct queue_policy drop = {.max_messages = 3, .when_full = WHEN_FULL_DROP, IDLE};
    static const struct queue_policy bury = {.max_messages = 3, .when_full = WHEN_FULL_DEAD_LETTER, IDLE};
    both->a.policy = &drop;
    queue_peer_put_many(&both->a, "q:x", 3);
    assert_done(queue_peer_put(&both->a, "q:gone", "0"));
    assert_string_equal(queue_peer_take(&both->a, "q:gone", 1), "0");
    assert_done(queue_peer_settle(&both->a, "q:gone", "0"));
    for (int n = 0; n < 2; n++) {
        both->a.policy = n == 0 ? &drop : &bury;
        draft_begin(&draft, &both->a, true);
        draft_put(&draft, "q:x", "4");
        draft_put(&draft, "q:x", "5");
        draft_settle(&draft, "q:gone", "0");
        assert_int_equal(draft_make(&draft), CHANGE_LOST);
    }
    assert_string_equal(queue_peer_take(&both->a, "q:x.dead", 10), "");
    assert_string_equal(queue_peer_take(&both->a, "q:x", 10), "1 2 3");
    assert_counts(&both->a, 0, 0, 0);
}

static void test_what_a_change_puts_counts_for_its_further_operations(void **state) {
    struct pair *both = *state;
    static const struct queue_policy three = {.max_messages = 3, IDLE};
    both->a.policy = &three;
    assert_done(queue_peer_put(&both->a, "q:x", "1"));
    draft_begin(&draft, &both->a, true);
    draft_put(&draft, "q:x", "2");
    draft_put(&draft, "q:x", "3");
    draft_put(&draft, "q:x", "4");
    assert_full(draft_make(&draft));
    draft_begin(&draft, &both->a, true);
    draft_put(&draft, "q:x", "5");
    draft_put(&draft, "q:x", "6");
    assert_done(draft_make(&draft));
    assert_string_equal(queue_peer_take(&both->a, "q:x", 10), "1 5 6");
}

static void test_what_a_change_settles_makes_room_for_what_it_puts_later(void **state) {
    struct pair *both = *state;
    static const struct queue_policy two = {.max_messages = 2, IDLE};
    both->a.policy = &two;
    queue_peer_put_many(&both->a, "q:x", 2);
    assert_string_equal(queue_peer_take(&both->a, "q:x", 2), "1 2");
    draft_begin(&draft, &both->a, true);
    draft_put(&draft, "q:x", "3");
    draft_settle(&draft, "q:x", "1");
    assert_full(draft_make(&draft));
    draft_begin(&draft, &both->a, true);
    draft_settle(&draft, "q:x", "1");
    draft_put(&draft, "q:x", "4");
    draft_reject(&draft, "q:x", "2");
    draft_put(&draft, "q:x", "5");
    assert_done(draft_make(&draft));
    assert_string_equal(queue_peer_take(&both->a, "q:x", 10), "4 5");
}

static void test_what_a_change_puts_may_make_way_for_what_it_puts_later(void **state) {
    struct pair *both = *state;
    static const struct queue_policy two = {.max_messages = 2, .when_full = WHEN_FULL_DROP, IDLE};
    both->a.policy = &two;
    assert_done(queue_peer_put(&both->a, "q:x", "1"));
    draft_begin(&draft, &both->a, true);
    for (int n = 2; n <= 5; n++)
        draft_put(&draft, "q:x", n == 2 ? "2" : n == 3 ? "3" : n == 4 ? "4" : "5");
    assert_done(draft_make(&draft));
    assert_string_equal(queue_peer_take(&both->a, "q:x", 10), "4 5");
    assert_counts(&both->a, 0, 3, 0);
}

static void test_each_change_of_a_call_has_its_own_result(void **state) {
    struct pair *both = *state;
    static const struct queue_policy two = {.max_messages = 2, IDLE};
    both->a.policy = &two;
    assert_done(queue_peer_put(&both->a, "q:gone", "0"));
    assert_string_equal(queue_peer_take(&both->a, "q:gone", 1), "0");
    assert_done(queue_peer_settle(&both->a, "q:gone", "0"));
    for (int n = 0; n < 6; n++)
        draft_begin(&drafts[n], &both->a, true);
    draft_put(&drafts[0], "q:x", "1");
    draft_settle(&drafts[1], "q:gone", "0");
    draft_put(&drafts[2], "q:x", "2");
    draft_put(&drafts[3], "q:x", "3");
    draft_put(&drafts[4], "q:y", "4");
    queue_peer_call_change(&both->a, drafts, 6, &reply);
    queue_peer_await_reply(&reply);
    assert_int_equal(reply.result, QUEUE_OK);
    assert_int_equal(reply.change_count, 6);
    static const enum change_result expected[] = {CHANGE_DONE, CHANGE_LOST, CHANGE_DONE,
                                                  CHANGE_FULL, CHANGE_DONE, CHANGE_DONE};
    assert_memory_equal(reply.changes, expected, sizeof expected);
    for (int n = 0; n < 6; n++)
        draft_end(&drafts[n]);
    assert_string_equal(queue_peer_take(&both->a, "q:x", 10), "1 2");
    assert_string_equal(queue_peer_take(&both->a, "q:y", 10), "4");
}

static void test_a_change_may_have_many_operations(void **state) {
    struct pair *both = *state;
    queue_peer_put_many(&both->a, "q:x", DRAFT_MAX);
    (void)queue_peer_take(&both->a, "q:x", DRAFT_MAX);
    assert_int_equal(both->a.taken_count, DRAFT_MAX);
    draft_begin(&draft, &both->a, true);
    for (unsigned n = 0; n < DRAFT_MAX; n++) {
        if (n % 2)
            draft_settle(&draft, "q:x", both->a.taken[n].name);
        else
            draft_put(&draft, "q:y", both->a.taken[n].name);
    }
    assert_done(draft_make(&draft));
    (void)queue_peer_take(&both->a, "q:y", DRAFT_MAX);
    assert_int_equal(both->a.taken_count, DRAFT_MAX + DRAFT_MAX / 2);
}

/* ---- takes ---- */

static void test_a_take_goes_on_until_it_has_enough_bytes(void **state) {
    struct pair *both = *state;
    for (int n = 1; n <= 5; n++)
        assert_done(queue_peer_put_sized(&both->a, "q:x",
                                         n == 1   ? "1"
                                         : n == 2 ? "2"
                                         : n == 3 ? "3"
                                                  : "4",
                                         QUEUE_TAKE_BYTES * 2 / 5));
    assert_done(queue_peer_put(&both->a, "q:y", "y"));
    struct queue_want wants[] = {{.queue = BYTES("q:x"), .messages = 10}, {.queue = BYTES("q:y"), .messages = 10}};
    queue_peer_call_take(&both->a, wants, 2, &reply);
    queue_peer_await_reply(&reply);
    assert_string_equal(reply.text, "1 2 3,y");
    assert_in_range(reply.bytes, QUEUE_TAKE_BYTES, QUEUE_TAKE_BYTES * 7 / 5);
    assert_string_equal(queue_peer_take(&both->a, "q:x", 10), "4 4");
}

static void test_a_message_above_the_bytes_of_a_take_is_taken_alone(void **state) {
    struct pair *both = *state;
    assert_done(queue_peer_put_sized(&both->a, "q:x", "1", (size_t)2 * QUEUE_TAKE_BYTES));
    assert_done(queue_peer_put_sized(&both->a, "q:x", "2", (size_t)2 * QUEUE_TAKE_BYTES));
    assert_string_equal(queue_peer_take(&both->a, "q:x", 10), "1");
    assert_string_equal(queue_peer_take(&both->a, "q:x", 10), "2");
}

static void test_a_call_may_have_many_wants(void **state) {
    struct pair *both = *state;
    static char names[QUEUE_WANTS_MAX][QUEUE_PEER_NAME];
    static struct queue_want wants[QUEUE_WANTS_MAX];
    for (int n = 0; n < QUEUE_WANTS_MAX; n++) {
        snprintf(names[n], sizeof names[n], "q:%d", n);
        wants[n] = (struct queue_want){.queue = bytes_of(names[n]), .messages = 2};
        draft_begin(&drafts[n], &both->a, false);
        draft_put(&drafts[n], names[n], names[n]);
    }
    queue_peer_call_change(&both->a, drafts, QUEUE_WANTS_MAX, &replies[0]);
    queue_peer_call_take(&both->a, wants, QUEUE_WANTS_MAX, &replies[1]);
    queue_peer_await_reply(&replies[0]);
    queue_peer_await_reply(&replies[1]);
    assert_int_equal(replies[1].entry_count, QUEUE_WANTS_MAX);
    for (int n = 0; n < QUEUE_WANTS_MAX; n++) {
        assert_string_equal(both->a.taken[n].name, names[n]);
        draft_end(&drafts[n]);
    }
}

static void test_calls_are_answered_in_their_order_and_see_what_came_before(void **state) {
    struct pair *both = *state;
    struct queue_want want = {.queue = BYTES("q:x"), .messages = 10};
    draft_begin(&drafts[0], &both->a, false);
    draft_put(&drafts[0], "q:x", "1");
    draft_begin(&drafts[1], &both->a, false);
    draft_put(&drafts[1], "q:x", "2");
    queue_peer_call_take(&both->a, &want, 1, &replies[0]);
    queue_peer_call_change(&both->a, &drafts[0], 1, &replies[1]);
    queue_peer_call_change(&both->a, &drafts[1], 1, &replies[2]);
    queue_peer_call_take(&both->a, &want, 1, &replies[3]);
    for (int n = 0; n < 4; n++) {
        queue_peer_await_reply(&replies[n]);
        assert_int_equal(replies[n].result, QUEUE_OK);
        assert_true(n == 0 || replies[n].order > replies[n - 1].order);
    }
    assert_string_equal(replies[0].text, "");
    assert_string_equal(replies[3].text, "1 2");
    draft_end(&drafts[0]);
    draft_end(&drafts[1]);
}

/* ---- ready ---- */

static void test_a_take_that_got_less_is_told_when_something_is_put(void **state) {
    struct pair *both = *state;
    assert_done(queue_peer_put(&both->a, "q:x", "1"));
    assert_string_equal(queue_peer_take(&both->a, "q:x", 2), "1");
    assert_string_equal(queue_peer_take(&both->a, "q:y", 1), "");
    assert_done(queue_peer_put(&both->a, "q:y", "2"));
    assert_done(queue_peer_put(&both->a, "q:x", "3"));
    queue_peer_expect_ready(&both->a, "q:y\nq:x\n");
    assert_string_equal(queue_peer_take(&both->a, "q:x", 1), "3");
}

static void test_a_take_is_told_once(void **state) {
    struct pair *both = *state;
    assert_string_equal(queue_peer_take(&both->a, "q:x", 1), "");
    queue_peer_put_many(&both->a, "q:x", 3);
    queue_peer_expect_ready(&both->a, "q:x\n");
    assert_done(queue_peer_put(&both->a, "q:x", "4"));
    assert_string_equal(queue_peer_take(&both->a, "q:y", 1), "");
    assert_done(queue_peer_put(&both->a, "q:y", "5"));
    queue_peer_expect_ready(&both->a, "q:y\n");
}

static void test_a_take_that_got_all_it_wanted_is_told_nothing(void **state) {
    struct pair *both = *state;
    queue_peer_put_many(&both->a, "q:x", 2);
    assert_string_equal(queue_peer_take(&both->a, "q:x", 10), "1 2");
    assert_done(queue_peer_put(&both->a, "q:x", "3"));
    queue_peer_expect_ready(&both->a, "q:x\n");
    assert_string_equal(queue_peer_take(&both->a, "q:x", 1), "3");
    assert_done(queue_peer_put(&both->a, "q:x", "4"));
    assert_string_equal(queue_peer_take(&both->a, "q:y", 1), "");
    assert_done(queue_peer_put(&both->a, "q:y", "5"));
    queue_peer_expect_ready(&both->a, "q:y\n");
}

static void test_what_is_returned_or_dead_is_ready_too(void **state) {
    struct pair *both = *state;
    queue_peer_put_many(&both->a, "q:x", 2);
    assert_string_equal(queue_peer_take(&both->a, "q:x", 3), "1 2");
    assert_string_equal(queue_peer_take(&both->a, "q:x.dead", 3), "");
    assert_done(queue_peer_reject(&both->a, "q:x", "1"));
    queue_peer_expect_ready(&both->a, "q:x.dead\n");
    assert_done(queue_peer_return(&both->a, "q:x", "2", true));
    queue_peer_expect_ready(&both->a, "q:x\n");
}

static void test_what_was_not_done_makes_nothing_ready(void **state) {
    struct pair *both = *state;
    assert_done(queue_peer_put(&both->a, "q:gone", "0"));
    assert_string_equal(queue_peer_take(&both->a, "q:gone", 1), "0");
    assert_done(queue_peer_settle(&both->a, "q:gone", "0"));
    assert_string_equal(queue_peer_take(&both->a, "q:x", 1), "");
    assert_string_equal(queue_peer_take(&both->a, "q:y", 1), "");
    draft_begin(&draft, &both->a, true);
    draft_put(&draft, "q:x", "1");
    draft_settle(&draft, "q:gone", "0");
    assert_int_equal(draft_make(&draft), CHANGE_LOST);
    assert_done(queue_peer_put(&both->a, "q:y", "2"));
    queue_peer_expect_ready(&both->a, "q:y\n");
    assert_done(queue_peer_put(&both->a, "q:x", "3"));
    queue_peer_expect_ready(&both->a, "q:x\n");
}

/* ---- the part ---- */

int queue_suite_run_changes(const char *name, const struct queue_contract *contract) {
    struct CMUnitTest tests[] = {
        SUITE_TEST(test_a_change_does_all_that_it_says),
        SUITE_TEST(test_where_one_queue_is_full_nothing_is_done_of_what_belongs_together),
        SUITE_TEST(test_where_one_message_is_lost_nothing_is_done_of_what_belongs_together),
        SUITE_TEST(test_a_message_is_lost_to_its_second_operation_in_one_change),
        SUITE_TEST(test_what_made_room_for_a_change_that_was_not_done_is_still_there),
        SUITE_TEST(test_what_a_change_puts_counts_for_its_further_operations),
        SUITE_TEST(test_what_a_change_settles_makes_room_for_what_it_puts_later),
        SUITE_TEST(test_what_a_change_puts_may_make_way_for_what_it_puts_later),
        SUITE_TEST(test_each_change_of_a_call_has_its_own_result),
        SUITE_TEST(test_a_change_may_have_many_operations),
        SUITE_TEST(test_a_take_goes_on_until_it_has_enough_bytes),
        SUITE_TEST(test_a_message_above_the_bytes_of_a_take_is_taken_alone),
        SUITE_TEST(test_a_call_may_have_many_wants),
        SUITE_TEST(test_calls_are_answered_in_their_order_and_see_what_came_before),
        SUITE_TEST(test_a_take_that_got_less_is_told_when_something_is_put),
        SUITE_TEST(test_a_take_is_told_once),
        SUITE_TEST(test_a_take_that_got_all_it_wanted_is_told_nothing),
        SUITE_TEST(test_what_is_returned_or_dead_is_ready_too),
        SUITE_TEST(test_what_was_not_done_makes_nothing_ready),
    };
    return suite_run(name, ", changes and takes", contract, tests, sizeof tests / sizeof *tests);
}
