/* The suite, for stores that others share: calls that are made again after the link broke, and several boots. */
#include "queue_suite.h"

#include <stdio.h>
#include <string.h>

static struct draft draft;
static struct draft drafts[3];
static struct reply reply;
static struct reply replies[3];

/* ---- calls made again ---- */

static void cut(struct pair *both, bool carried_out) {
    both->contract->break_link(both->contract->arg, both->a.store, carried_out);
}

static void test_a_change_that_is_made_again_is_carried_out_once(void **state) {
    struct pair *both = *state;
    for (int carried_out = 0; carried_out < 2; carried_out++) {
        draft_begin(&draft, &both->a, false);
        draft_put(&draft, "q:x", carried_out ? "2" : "1");
        queue_peer_call_change(&both->a, &draft, 1, &reply);
        cut(both, carried_out == 1);
        queue_peer_await_reply(&reply);
        assert_int_equal(reply.result, QUEUE_AWAY);
        queue_peer_change_again(&both->a, &draft, 1, &reply);
        queue_peer_await_reply(&reply);
        assert_int_equal(reply.result, QUEUE_OK);
        assert_int_equal(reply.change_count, 1);
        assert_done(reply.changes[0]);
        draft_end(&draft);
    }
    assert_string_equal(queue_peer_take(&both->a, "q:x", 10), "1 2");
}

static void test_results_of_changes_that_are_made_again_are_the_same(void **state) {
    struct pair *both = *state;
    static const struct queue_policy two = {.max_messages = 2, IDLE};
    static const enum change_result expected[] = {CHANGE_DONE, CHANGE_LOST, CHANGE_FULL};
    both->a.policy = &two;
    queue_peer_put_many(&both->a, "q:x", 2);
    assert_string_equal(queue_peer_take(&both->a, "q:x", 1), "1");
    for (int n = 0; n < 3; n++)
        draft_begin(&drafts[n], &both->a, true);
    draft_settle(&drafts[0], "q:x", "1");
    draft_put(&drafts[0], "q:x", "3");
    draft_settle(&drafts[1], "q:x", "1");
    draft_put(&drafts[2], "q:x", "4");
    queue_peer_call_change(&both->a, drafts, 3, &reply);
    for (int n = 0; n < 3; n++) {
        cut(both, true);
        queue_peer_await_reply(&reply);
        assert_int_equal(reply.result, QUEUE_AWAY);
        queue_peer_change_again(&both->a, drafts, 3, &reply);
    }
    queue_peer_await_reply(&reply);
    assert_int_equal(reply.result, QUEUE_OK);
    assert_int_equal(reply.change_count, 3);
    assert_memory_equal(reply.changes, expected, sizeof expected);
    for (int n = 0; n < 3; n++)
        draft_end(&drafts[n]);
    assert_string_equal(queue_peer_take(&both->a, "q:x", 10), "2 3");
}

static void test_a_take_that_is_made_again_brings_the_same(void **state) {
    struct pair *both = *state;
    struct queue_want want = {.queue = BYTES("q:x"), .messages = 2};
    queue_peer_put_many(&both->a, "q:x", 5);
    for (int carried_out = 0; carried_out < 2; carried_out++) {
        queue_peer_call_take(&both->a, &want, 1, &reply);
        cut(both, carried_out == 1);
        queue_peer_await_reply(&reply);
        assert_int_equal(reply.result, QUEUE_AWAY);
        queue_peer_take_again(&both->a, &want, 1, &reply);
        queue_peer_await_reply(&reply);
        assert_int_equal(reply.result, QUEUE_OK);
        assert_string_equal(reply.text, carried_out ? "3 4" : "1 2");
    }
    draft_begin(&draft, &both->a, true);
    for (int n = 1; n <= 4; n++)
        draft_return(&draft, "q:x", n == 1 ? "1" : n == 2 ? "2" : n == 3 ? "3" : "4", false);
    assert_done(draft_make(&draft));
    assert_string_equal(queue_peer_take(&both->a, "q:x", 10), "1 2 3 4 5");
}

static void test_several_calls_are_made_again_in_their_old_order(void **state) {
    struct pair *both = *state;
    struct queue_want want = {.queue = BYTES("q:x"), .messages = 1};
    for (int carried_out = 0; carried_out < 2; carried_out++) {
        for (int n = 0; n < 2; n++) {
            draft_begin(&drafts[n], &both->a, false);
            draft_put(&drafts[n], "q:x", n == 0 ? "1" : "2");
        }
        queue_peer_call_change(&both->a, &drafts[0], 1, &replies[0]);
        queue_peer_call_take(&both->a, &want, 1, &replies[1]);
        queue_peer_call_change(&both->a, &drafts[1], 1, &replies[2]);
        cut(both, carried_out == 1);
        for (int n = 0; n < 3; n++) {
            queue_peer_await_reply(&replies[n]);
            assert_int_equal(replies[n].result, QUEUE_AWAY);
        }
        queue_peer_change_again(&both->a, &drafts[0], 1, &replies[0]);
        queue_peer_take_again(&both->a, &want, 1, &replies[1]);
        queue_peer_change_again(&both->a, &drafts[1], 1, &replies[2]);
        for (int n = 0; n < 3; n++) {
            queue_peer_await_reply(&replies[n]);
            assert_int_equal(replies[n].result, QUEUE_OK);
        }
        assert_string_equal(replies[1].text, "1");
        assert_string_equal(queue_peer_take(&both->a, "q:x", 10), "2");
        draft_end(&drafts[0]);
        draft_end(&drafts[1]);
    }
}

/* ---- several boots ---- */

static void test_boots_take_different_messages(void **state) {
    struct pair *both = *state;
    queue_peer_put_many(&both->a, "q:x", 6);
    assert_string_equal(queue_peer_take(&both->a, "q:x", 2), "1 2");
    assert_string_equal(queue_peer_take(&both->b, "q:x", 3), "3 4 5");
    assert_done(queue_peer_return(&both->b, "q:x", "4", true));
    assert_string_equal(queue_peer_take(&both->a, "q:x", 10), "4*2 6");
    assert_string_equal(queue_peer_take(&both->b, "q:x", 10), "");
}

/* The other knows the entry all the same. */
static void lend(struct queue_peer *from, struct queue_peer *to, const char *name) {
    struct taken *taken = &to->taken[to->taken_count++];
    snprintf(taken->name, sizeof taken->name, "%s", name);
    taken->entry = queue_peer_entry(from, name);
}

static void test_what_one_boot_has_taken_another_does_not_move(void **state) {
    struct pair *both = *state;
    assert_done(queue_peer_put(&both->a, "q:x", "1"));
    assert_string_equal(queue_peer_take(&both->a, "q:x", 1), "1");
    lend(&both->a, &both->b, "1");
    assert_done(queue_peer_settle(&both->b, "q:x", "1"));
    assert_done(queue_peer_return(&both->b, "q:x", "1", true));
    assert_done(queue_peer_reject(&both->b, "q:x", "1"));
    draft_begin(&draft, &both->b, true);
    draft_put(&draft, "q:y", "2");
    draft_settle(&draft, "q:x", "1");
    assert_int_equal(draft_make(&draft), CHANGE_LOST);
    assert_string_equal(queue_peer_take(&both->b, "q:x", 10), "");
    assert_string_equal(queue_peer_take(&both->b, "q:y", 10), "");
    assert_string_equal(queue_peer_take(&both->b, "q:x.dead", 10), "");
    draft_begin(&draft, &both->a, true);
    draft_return(&draft, "q:x", "1", false);
    assert_done(draft_make(&draft));
    assert_string_equal(queue_peer_take(&both->b, "q:x", 10), "1");
}

static void test_all_boots_see_one_limit(void **state) {
    struct pair *both = *state;
    static const struct queue_policy two = {.max_messages = 2, IDLE};
    both->a.policy = &two;
    both->b.policy = &two;
    assert_done(queue_peer_put(&both->a, "q:x", "1"));
    assert_done(queue_peer_put(&both->b, "q:x", "2"));
    assert_full(queue_peer_put(&both->a, "q:x", "3"));
    assert_full(queue_peer_put(&both->b, "q:x", "3"));
}

static void test_what_one_boot_puts_or_returns_another_is_told_of(void **state) {
    struct pair *both = *state;
    assert_string_equal(queue_peer_take(&both->b, "q:x", 1), "");
    queue_peer_put_many(&both->a, "q:x", 2);
    queue_peer_expect_ready(&both->b, "q:x\n");
    assert_string_equal(queue_peer_take(&both->a, "q:x", 1), "1");
    assert_string_equal(queue_peer_take(&both->a, "q:x", 1), "2");
    assert_string_equal(queue_peer_take(&both->b, "q:x", 1), "");
    assert_done(queue_peer_return(&both->a, "q:x", "1", false));
    queue_peer_expect_ready(&both->b, "q:x\n");
    assert_string_equal(queue_peer_take(&both->b, "q:x", 1), "1");
}

static void test_what_a_dead_boot_had_stays_its_own_until_it_is_buried(void **state) {
    struct pair *both = *state;
    queue_peer_put_many(&both->a, "q:x", 4);
    queue_peer_put_many(&both->a, "q:y", 1);
    assert_string_equal(queue_peer_take(&both->a, "q:x", 2), "1 2");
    assert_string_equal(queue_peer_take(&both->a, "q:y", 1), "1");
    assert_string_equal(queue_peer_take(&both->b, "q:x", 1), "3");
    queue_peer_close(&both->a);
    assert_string_equal(queue_peer_take(&both->b, "q:x", 10), "4");
    both->contract->bury(both->contract->arg, "a", BOOT_A);
    /* A burial counts. */
    assert_string_equal(queue_peer_take(&both->b, "q:x", 10), "1*2 2*2");
    assert_string_equal(queue_peer_take(&both->b, "q:y", 10), "1*2");
}

static void test_a_burial_of_many_messages_returns_all_of_them(void **state) {
    struct pair *both = *state;
    queue_peer_put_many(&both->a, "q:x", 1000);
    (void)queue_peer_take(&both->a, "q:x", 1000);
    assert_int_equal(both->a.taken_count, 1000);
    queue_peer_close(&both->a);
    both->contract->bury(both->contract->arg, "a", BOOT_A);
    (void)queue_peer_take(&both->b, "q:x", 1001);
    assert_int_equal(both->b.taken_count, 1000);
    for (unsigned n = 0; n < 1000; n++) {
        char name[QUEUE_PEER_NAME];
        snprintf(name, sizeof name, "%u", n + 1);
        assert_string_equal(both->b.taken[n].name, name);
    }
}

static void test_burials_count_towards_too_many_deliveries(void **state) {
    struct pair *both = *state;
    static const struct queue_policy once = {.max_deliveries = 1, IDLE};
    both->a.policy = &once;
    both->b.policy = &once;
    queue_peer_put_many(&both->a, "q:x", 2);
    assert_string_equal(queue_peer_take(&both->a, "q:x", 1), "1");
    queue_peer_close(&both->a);
    both->contract->bury(both->contract->arg, "a", BOOT_A);
    assert_string_equal(queue_peer_take(&both->b, "q:x", 10), "2");
    assert_string_equal(queue_peer_take(&both->b, "q:x.dead", 10), "1<q:x max-deliveries");
}

static void test_a_burial_leaves_what_others_have_alone(void **state) {
    struct pair *both = *state;
    queue_peer_put_many(&both->a, "q:x", 2);
    assert_string_equal(queue_peer_take(&both->a, "q:x", 1), "1");
    assert_string_equal(queue_peer_take(&both->b, "q:x", 1), "2");
    queue_peer_close(&both->a);
    both->contract->bury(both->contract->arg, "a", BOOT_A);
    draft_begin(&draft, &both->b, true);
    draft_settle(&draft, "q:x", "2");
    assert_done(draft_make(&draft));
    assert_string_equal(queue_peer_take(&both->b, "q:x", 10), "1*2");
}

static void test_a_buried_boot_does_nothing_until_it_renews(void **state) {
    struct pair *both = *state;
    struct queue_want want = {.queue = BYTES("q:x"), .messages = 10};
    queue_peer_put_many(&both->a, "q:x", 2);
    assert_string_equal(queue_peer_take(&both->a, "q:x", 1), "1");
    both->contract->bury(both->contract->arg, "a", BOOT_A);
    draft_begin(&draft, &both->a, false);
    draft_put(&draft, "q:x", "3");
    queue_peer_call_change(&both->a, &draft, 1, &replies[0]);
    queue_peer_call_take(&both->a, &want, 1, &replies[1]);
    queue_peer_await_reply(&replies[0]);
    queue_peer_await_reply(&replies[1]);
    assert_int_equal(replies[0].result, QUEUE_GONE);
    assert_int_equal(replies[1].result, QUEUE_GONE);
    assert_string_equal(queue_peer_take(&both->b, "q:x", 10), "1*2 2");
    both->contract->renew(both->contract->arg, both->a.store);
    queue_peer_change_again(&both->a, &draft, 1, &replies[0]);
    queue_peer_take_again(&both->a, &want, 1, &replies[1]);
    queue_peer_await_reply(&replies[0]);
    queue_peer_await_reply(&replies[1]);
    assert_int_equal(replies[0].result, QUEUE_OK);
    assert_int_equal(replies[1].result, QUEUE_OK);
    assert_done(replies[0].changes[0]);
    assert_string_equal(replies[1].text, "3");
    draft_end(&draft);
    /* What it had is another's now. */
    draft_begin(&draft, &both->a, true);
    draft_settle(&draft, "q:x", "1");
    assert_int_equal(draft_make(&draft), CHANGE_LOST);
    draft_begin(&draft, &both->b, true);
    draft_settle(&draft, "q:x", "1");
    assert_done(draft_make(&draft));
}

/* ---- what a boot owns is given back ---- */

struct recovery {
    bool done;
    enum queue_result result;
};

static void on_recovered(void *arg, struct queue_answer *answer) {
    *(struct recovery *)arg = (struct recovery){true, answer->result};
}

static bool is_recovered(void *arg) {
    return ((const struct recovery *)arg)->done;
}

static enum queue_result recover_piece(struct queue_peer *peer) {
    struct recovery recovery = {0};
    peer->store->ops->recover(peer->store, (struct queue_call){on_recovered, &recovery});
    assert_false(recovery.done);
    assert_true(peer->contract->pump_until(peer->contract->arg, is_recovered, &recovery));
    return recovery.result;
}

static void recover(struct queue_peer *peer) {
    enum queue_result result = QUEUE_MORE;
    for (unsigned n = 0; result == QUEUE_MORE; n++) {
        result = recover_piece(peer);
        assert_in_range(n, 0, 1000);
    }
    assert_int_equal(result, QUEUE_OK);
}

static void test_a_recovery_gives_back_all_that_the_boot_has(void **state) {
    struct pair *both = *state;
    queue_peer_put_many(&both->a, "q:x", 5);
    assert_done(queue_peer_put(&both->a, "q:y", "6"));
    assert_string_equal(queue_peer_take(&both->a, "q:x", 3), "1 2 3");
    assert_string_equal(queue_peer_take(&both->a, "q:y", 1), "6");
    assert_string_equal(queue_peer_take(&both->b, "q:x", 1), "4");
    assert_string_equal(queue_peer_take(&both->b, "q:y", 1), "");
    assert_done(queue_peer_settle(&both->a, "q:x", "2"));
    recover(&both->a);
    queue_peer_expect_ready(&both->b, "q:y\n");
    assert_string_equal(queue_peer_take(&both->b, "q:y", 9), "6*2");
    assert_string_equal(queue_peer_take(&both->a, "q:x", 1), "1*2");
    assert_string_equal(queue_peer_take(&both->b, "q:x", 9), "3*2 5");
    recover(&both->a);
    recover(&both->a);
    assert_string_equal(queue_peer_take(&both->b, "q:x", 9), "1*3");
}

static void take_all(struct queue_peer *peer, const char *queue, size_t count) {
    for (size_t end = peer->taken_count + count; peer->taken_count < end;)
        assert_string_not_equal(queue_peer_take(peer, queue, 1000), "");
}

static void test_a_recovery_of_many_messages_gives_back_all_of_them(void **state) {
    struct pair *both = *state;
    static const char *const queues[] = {"q:x", "q:y"};
    for (unsigned n = 0; n < 2; n++) {
        queue_peer_put_many(&both->a, queues[n], 3000);
        take_all(&both->a, queues[n], 3000);
    }
    recover(&both->a);
    for (unsigned n = 0; n < 2; n++) {
        take_all(&both->b, queues[n], 3000);
        assert_string_equal(queue_peer_take(&both->b, queues[n], 1), "");
    }
}

static void test_a_boot_that_is_not_among_the_nodes_recovers_nothing(void **state) {
    struct pair *both = *state;
    both->contract->bury(both->contract->arg, "a", BOOT_A);
    assert_int_equal(recover_piece(&both->a), QUEUE_GONE);
    both->contract->renew(both->contract->arg, both->a.store);
    assert_int_equal(recover_piece(&both->a), QUEUE_OK);
}

/* ---- the parts ---- */

int queue_suite_run_again(const char *name, const struct queue_contract *contract) {
    struct CMUnitTest tests[] = {
        SUITE_TEST(test_a_change_that_is_made_again_is_carried_out_once),
        SUITE_TEST(test_results_of_changes_that_are_made_again_are_the_same),
        SUITE_TEST(test_a_take_that_is_made_again_brings_the_same),
        SUITE_TEST(test_several_calls_are_made_again_in_their_old_order),
    };
    return suite_run(name, ", calls made again", contract, tests, sizeof tests / sizeof *tests);
}

int queue_suite_run_several(const char *name, const struct queue_contract *contract) {
    struct CMUnitTest tests[] = {
        SUITE_TEST(test_boots_take_different_messages),
        SUITE_TEST(test_what_one_boot_has_taken_another_does_not_move),
        SUITE_TEST(test_all_boots_see_one_limit),
        SUITE_TEST(test_what_one_boot_puts_or_returns_another_is_told_of),
        SUITE_TEST(test_what_a_dead_boot_had_stays_its_own_until_it_is_buried),
        SUITE_TEST(test_a_burial_of_many_messages_returns_all_of_them),
        SUITE_TEST(test_burials_count_towards_too_many_deliveries),
        SUITE_TEST(test_a_burial_leaves_what_others_have_alone),
        SUITE_TEST(test_a_buried_boot_does_nothing_until_it_renews),
    };
    return suite_run(name, ", several boots", contract, tests, sizeof tests / sizeof *tests);
}

int queue_suite_run_recovery(const char *name, const struct queue_contract *contract) {
    struct CMUnitTest tests[] = {
        SUITE_TEST(test_a_recovery_gives_back_all_that_the_boot_has),
        SUITE_TEST(test_a_recovery_of_many_messages_gives_back_all_of_them),
        SUITE_TEST(test_a_boot_that_is_not_among_the_nodes_recovers_nothing),
    };
    return suite_run(name, ", recovery", contract, tests, sizeof tests / sizeof *tests);
}
