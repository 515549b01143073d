/* Renewing, and who is dead: what one node makes of the book of nodes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "observer.h"

static struct book book;
static struct observer observer;

static int setup(void **state) {
    book.count = 0;
    observer_open(&observer, &book, "a", "a:1", TIMEOUT_MS);
    *state = &observer;
    return 0;
}

static int teardown(void **state) {
    observer_close(*state);
    return 0;
}

/* ---- renewing ---- */

static void test_an_entry_that_was_not_there_is_told_as_joined(void **state) {
    struct observer *a = *state;
    observer_up(a);
    observer_expect_asked(a, "renew");
    assert_false(membership_is_in(a->membership));
    assert_false(membership_is_listed(a->membership));
    observer_answer(a);
    observer_expect(a, "joined");
    assert_true(membership_is_in(a->membership));
    assert_true(membership_is_listed(a->membership));
    observer_pass(a, INTERVAL_MS);
    observer_expect(a, "");
}

static void test_after_a_broken_link_an_entry_that_is_still_there_is_no_joining(void **state) {
    struct observer *a = *state;
    observer_join(a);
    observer_down(a);
    assert_false(membership_is_in(a->membership));
    assert_false(membership_is_listed(a->membership));
    observer_pass(a, INTERVAL_MS);
    observer_expect_asked(a, "");
    observer_up(a);
    observer_answer(a);
    observer_expect(a, "");
    assert_true(membership_is_in(a->membership));
}

static void test_an_entry_that_was_lost_is_told_as_joined_again(void **state) {
    struct observer *a = *state;
    observer_join(a);
    book_erase(&book, "a");
    observer_pass(a, INTERVAL_MS);
    observer_expect(a, "joined");
}

static size_t renewals_in(uint32_t node_timeout_ms, uint64_t ms) {
    struct observer who;
    book.count = 0;
    observer_open(&who, &book, "a", "a:1", node_timeout_ms);
    observer_join(&who);
    observer_pass(&who, ms);
    size_t made = who.scripted.made - 1;
    observer_close(&who);
    return made;
}

static void test_it_renews_five_times_in_node_timeout_within_bounds(void **state) {
    (void)state;
    assert_int_equal(renewals_in(2000, 2000), 5);
    assert_int_equal(renewals_in(5000, 5000), 5);
    assert_int_equal(renewals_in(15000, 15000), 15);
    assert_int_equal(renewals_in(300, 1000), 10);
    assert_int_equal(renewals_in(3600000, 30000), 30);
}

static void test_one_renewal_is_under_way_at_a_time(void **state) {
    struct observer *a = *state;
    observer_join(a);
    for (int n = 0; n < 300; n++)
        observer_tick(a);
    membership_renew(a->membership, a->now);
    assert_int_equal(a->scripted.waiting, 1);
}

static void test_it_renews_at_once_when_the_registry_asks_for_it(void **state) {
    struct observer *a = *state;
    observer_join(a);
    book_erase(&book, "a");
    membership_renew(a->membership, a->now);
    observer_answer(a);
    observer_expect(a, "joined");
}

static void test_a_refused_renewal_is_tried_again(void **state) {
    struct observer *a = *state;
    observer_up(a);
    scripted_result(&a->scripted, STORE_FAILED);
    assert_false(membership_is_in(a->membership));
    assert_false(membership_is_listed(a->membership));
    observer_pass(a, INTERVAL_MS);
    observer_expect(a, "joined");
}

/* Nothing is heard of others meanwhile, so nobody is judged. */
static void test_a_store_that_refuses_renewals_is_told_as_failing(void **state) {
    struct observer *a = *state;
    book_put(&book, "b", "b:1");
    observer_join(a);
    assert_false(membership_is_failing(a->membership));
    for (uint64_t ms = 0; ms < 2 * TIMEOUT_MS; ms += TICK_MS) {
        observer_tick(a);
        if (scripted_first(&a->scripted)) {
            observer_expect_asked(a, "renew");
            scripted_result(&a->scripted, STORE_FAILED);
            assert_true(membership_is_failing(a->membership));
        }
    }
    assert_true(membership_is_in(a->membership));
    observer_pass(a, INTERVAL_MS);
    assert_false(membership_is_failing(a->membership));
    assert_int_equal(observer_see(a, "b").count, 2);
}

static void make_failing(struct observer *a) {
    membership_renew(a->membership, a->now);
    scripted_result(&a->scripted, STORE_FAILED);
    assert_true(membership_is_failing(a->membership));
}

static void test_whatever_else_is_answered_is_no_failing(void **state) {
    struct observer *a = *state;
    static const enum store_result others[] = {STORE_OK, STORE_GONE, STORE_TAKEN, STORE_AWAY};
    observer_join(a);
    for (size_t n = 0; n < sizeof others / sizeof others[0]; n++) {
        make_failing(a);
        membership_renew(a->membership, a->now);
        assert_true(membership_is_failing(a->membership));
        scripted_result(&a->scripted, others[n]);
        assert_false(membership_is_failing(a->membership));
    }
}

static void test_failing_ends_with_the_link(void **state) {
    struct observer *a = *state;
    observer_join(a);
    make_failing(a);
    observer_down(a);
    assert_false(membership_is_failing(a->membership));
    observer_up(a);
    assert_false(membership_is_failing(a->membership));
    observer_answer(a);
    make_failing(a);
    membership_up(a->membership, a->now);
    assert_false(membership_is_failing(a->membership));
}

/* ---- the dead ---- */

static void test_a_node_that_stands_still_for_node_timeout_is_buried(void **state) {
    struct observer *a = *state;
    book_put_living(&book, "b", "b:1");
    observer_join(a);
    observer_pass(a, 4 * INTERVAL_MS);
    book_find(&book, "b")->beats = false;
    assert_int_equal(observer_pass_until(a, "bury b b:1 6"), TIMEOUT_MS);
    observer_answer(a);
    observer_expect(a, "died b b:1");
    assert_false(observer_see(a, "b").found);
    assert_null(book_find(&book, "b"));
    observer_pass(a, 3 * TIMEOUT_MS);
    observer_expect(a, "");
}

static void test_a_burial_goes_on_piece_by_piece(void **state) {
    struct observer *a = *state;
    book_put(&book, "b", "b:1")->left = 2;
    observer_join(a);
    assert_true(observer_see(a, "b").member.alive);
    observer_pass_until(a, "bury b b:1 1");
    assert_false(observer_see(a, "b").member.alive);
    observer_answer_burial(a);
    observer_answer_burial(a);
    observer_expect(a, "");
    assert_false(observer_see(a, "b").member.alive);
    observer_answer_burial(a);
    observer_expect(a, "died b b:1");
    assert_int_equal(a->scripted.waiting, 0);
}

static void test_renewals_go_on_during_a_burial(void **state) {
    struct observer *a = *state;
    book_put(&book, "b", "b:1")->left = 20;
    observer_join(a);
    observer_pass_until(a, "bury b b:1 1");
    uint64_t renewals = book_find(&book, "a")->renewals;
    while (book_find(&book, "b")) {
        for (int n = 0; n < (int)(INTERVAL_MS / TICK_MS); n++)
            observer_tick(a);
        observer_answer_burial(a);
    }
    assert_true(book_find(&book, "a")->renewals >= renewals + 10);
    observer_expect(a, "died b b:1");
}

static void test_living_nodes_are_never_buried(void **state) {
    struct observer *a = *state;
    book_put_living(&book, "b", "b:1");
    book_put_living(&book, "c", "c:1");
    observer_join(a);
    observer_pass(a, 20 * TIMEOUT_MS);
    observer_expect(a, "");
    assert_int_equal(observer_see(a, "b").count, 3);
}

static void test_one_burial_at_a_time(void **state) {
    struct observer *a = *state;
    book_put(&book, "b", "b:1")->fenced = true;
    book_put(&book, "c", "c:1")->fenced = true;
    observer_join(a);
    for (int n = 0; n < 5; n++)
        observer_tick(a);
    assert_int_equal(a->scripted.waiting, 1);
    bool b_first = strcmp(scripted_asked(&a->scripted), "bury b b:1 dead") == 0;
    observer_answer_burial(a);
    assert_int_equal(observer_pass_until(a, b_first ? "bury c c:1 dead" : "bury b b:1 dead"), TICK_MS);
    observer_answer_burial(a);
    observer_expect(a, b_first ? "died b b:1, died c c:1" : "died c c:1, died b b:1");
}

static void test_a_fenced_entry_is_buried_at_once(void **state) {
    struct observer *a = *state;
    book_put(&book, "b", "b:1")->fenced = true;
    observer_join(a);
    assert_false(observer_see(a, "b").member.alive);
    assert_int_equal(observer_pass_until(a, "bury b b:1 dead"), TICK_MS);
    observer_answer(a);
    observer_expect(a, "died b b:1");
}

static void test_a_boot_that_is_alive_after_all_is_watched_anew(void **state) {
    struct observer *a = *state;
    struct entry *b = book_put(&book, "b", "b:1");
    observer_join(a);
    observer_pass_until(a, "bury b b:1 1");
    b->renewals++;
    observer_answer(a);
    observer_expect(a, "");
    assert_true(observer_see(a, "b").member.alive);
    uint64_t silent = observer_pass_until(a, "bury b b:1 2");
    assert_in_range(silent, TIMEOUT_MS, TIMEOUT_MS + INTERVAL_MS);
    observer_answer(a);
    observer_expect(a, "died b b:1");
}

static void test_a_fenced_boot_that_renews_again_is_alive(void **state) {
    struct observer *a = *state;
    struct entry *b = book_put(&book, "b", "b:1");
    b->left = 5;
    observer_join(a);
    observer_pass_until(a, "bury b b:1 1");
    observer_answer_burial(a);
    observer_answer(a); /* a renewal, so that it is seen as fenced */
    *b = (struct entry){.node = "b", .boot = "b:1", .renewals = 9, .beats = true};
    observer_answer_burial(a);
    observer_tick(a);
    observer_expect_asked(a, "");
    observer_pass(a, 3 * TIMEOUT_MS);
    observer_expect(a, "");
    assert_true(observer_see(a, "b").member.alive);
}

static void test_a_burial_that_the_server_refused_is_tried_again(void **state) {
    struct observer *a = *state;
    book_put(&book, "b", "b:1");
    book_put(&book, "c", "c:1")->fenced = true;
    observer_join(a);
    observer_pass_until(a, "bury c c:1 dead");
    scripted_result(&a->scripted, STORE_FAILED);
    assert_int_equal(observer_pass_until(a, "bury c c:1 dead"), INTERVAL_MS);
    observer_answer(a);
    observer_expect(a, "died c c:1");
    observer_pass_until(a, "bury b b:1 1");
    scripted_result(&a->scripted, STORE_FAILED);
    assert_int_equal(observer_pass_until(a, "bury b b:1 1"), INTERVAL_MS);
    observer_answer(a);
    observer_expect(a, "died b b:1");
}

static void test_a_burial_that_keeps_failing_does_not_keep_others_waiting(void **state) {
    struct observer *a = *state;
    book_put(&book, "b", "b:1")->fenced = true;
    book_put(&book, "c", "c:1")->fenced = true;
    observer_join(a);
    observer_tick(a);
    bool b_first = strcmp(scripted_asked(&a->scripted), "bury b b:1 dead") == 0;
    scripted_result(&a->scripted, STORE_FAILED);
    observer_tick(a);
    observer_expect_asked(a, b_first ? "bury c c:1 dead" : "bury b b:1 dead");
}

static void test_a_burial_whose_link_breaks_goes_on_with_the_next_link(void **state) {
    struct observer *a = *state;
    book_put(&book, "b", "b:1")->left = 5;
    observer_join(a);
    observer_pass_until(a, "bury b b:1 1");
    observer_answer_burial(a);
    observer_down(a);
    observer_expect(a, "");
    observer_up(a);
    observer_answer(a);
    assert_int_equal(observer_pass_until(a, "bury b b:1 dead"), TICK_MS);
}

static void test_an_entry_that_vanishes_has_died(void **state) {
    struct observer *a = *state;
    book_put_living(&book, "b", "b:1");
    book_put_living(&book, "c", "c:1");
    observer_join(a);
    book_erase(&book, "b");
    observer_pass(a, INTERVAL_MS);
    observer_expect(a, "died b b:1");
    assert_int_equal(observer_see(a, "c").count, 2);
}

static void test_a_broken_link_is_nobodys_death(void **state) {
    struct observer *a = *state;
    book_put_living(&book, "b", "b:1");
    observer_join(a);
    observer_down(a);
    observer_expect(a, "");
    assert_true(observer_see(a, "b").member.alive);
}

static void test_a_new_boot_of_a_node_is_watched_by_itself(void **state) {
    struct observer *a = *state;
    book_put(&book, "b", "b:1");
    observer_join(a);
    observer_pass(a, TIMEOUT_MS - 2 * INTERVAL_MS);
    book_put(&book, "b", "b:2");
    observer_pass(a, INTERVAL_MS);
    observer_expect(a, "died b b:1");
    assert_int_equal(observer_pass_until(a, "bury b b:2 1"), TIMEOUT_MS);
    observer_answer_burial(a);
    observer_expect(a, "died b b:2");
}

static void test_a_boot_that_vanishes_while_it_is_buried_dies_once(void **state) {
    struct observer *a = *state;
    book_put(&book, "b", "b:1")->left = 5;
    observer_join(a);
    observer_pass_until(a, "bury b b:1 1");
    membership_renew(a->membership, a->now);
    observer_answer_burial(a);
    book_erase(&book, "b");
    observer_answer(a);
    observer_expect(a, "died b b:1");
    observer_expect_asked(a, "bury b b:1 1");
    observer_answer(a);
    observer_expect(a, "");
    assert_int_equal(observer_see(a, "a").count, 1);
}

static void test_a_boot_that_is_replaced_while_it_is_buried_dies_once(void **state) {
    struct observer *a = *state;
    book_put(&book, "b", "b:1")->left = 5;
    observer_join(a);
    observer_pass_until(a, "bury b b:1 1");
    membership_renew(a->membership, a->now);
    observer_answer_burial(a);
    book_put_living(&book, "b", "b:2");
    observer_answer(a);
    observer_expect(a, "died b b:1");
    observer_expect_asked(a, "bury b b:1 1");
    observer_answer(a);
    observer_expect(a, "");
    observer_pass(a, 3 * TIMEOUT_MS);
    observer_expect(a, "");
    assert_true(observer_see(a, "b").member.alive);
}

/* Redis was emptied: all others have still to renew, and are not dead for that. */
static void test_when_the_book_was_emptied_the_others_have_node_timeout_to_come_back(void **state) {
    struct observer *a = *state;
    book_put_living(&book, "b", "b:1");
    book_put_living(&book, "c", "c:1");
    observer_join(a);
    book.count = 0;
    observer_pass(a, INTERVAL_MS);
    observer_expect(a, "joined");
    assert_true(observer_see(a, "b").member.alive);
    book_put(&book, "b", "b:1")->renewals = 2; /* the count that was seen last */
    observer_pass_until(a, "bury c c:1 2");
    observer_answer_burial(a);
    observer_expect(a, "died c c:1");
    assert_int_equal(observer_pass_until(a, "bury b b:1 2"), 2 * INTERVAL_MS);
}

static void test_who_came_back_after_the_book_was_emptied_may_vanish_again(void **state) {
    struct observer *a = *state;
    book_put_living(&book, "b", "b:1");
    observer_join(a);
    book.count = 0;
    observer_pass(a, INTERVAL_MS);
    observer_expect(a, "joined");
    book_put_living(&book, "b", "b:1");
    observer_pass(a, 3 * TIMEOUT_MS);
    observer_expect(a, "");
    book_erase(&book, "b");
    observer_pass(a, INTERVAL_MS);
    observer_expect(a, "died b b:1");
}

/* ---- what the dead had still sent ---- */

static void test_a_boot_that_renews_after_its_burial_is_buried_again(void **state) {
    struct observer *a = *state;
    book_put(&book, "b", "b:1")->left = 1;
    observer_join(a);
    observer_pass_until(a, "bury b b:1 1");
    observer_answer_burial(a);
    observer_answer_burial(a);
    observer_expect(a, "died b b:1");
    observer_pass(a, 2 * TIMEOUT_MS);
    *book_put(&book, "b", "b:1") = (struct entry){.node = "b", .boot = "b:1", .renewals = 2, .left = 2};
    observer_pass(a, INTERVAL_MS);
    assert_true(observer_see(a, "b").member.alive);
    assert_int_equal(observer_pass_until(a, "bury b b:1 2"), TIMEOUT_MS);
    for (int n = 0; n < 3; n++)
        observer_answer_burial(a);
    observer_expect(a, "died b b:1");
    assert_null(book_find(&book, "b"));
    observer_pass(a, 3 * TIMEOUT_MS);
    observer_expect(a, "");
    assert_int_equal(observer_see(a, "b").count, 1);
}

static void test_a_boot_that_renews_between_the_pieces_of_its_burial_is_buried_again(void **state) {
    struct observer *a = *state;
    struct entry *b = book_put(&book, "b", "b:1");
    b->left = 5;
    observer_join(a);
    observer_pass_until(a, "bury b b:1 1");
    observer_answer_burial(a);
    *b = (struct entry){.node = "b", .boot = "b:1", .renewals = 2, .left = 1};
    observer_answer_burial(a);
    observer_expect(a, "");
    assert_in_range(observer_pass_until(a, "bury b b:1 2"), TIMEOUT_MS, TIMEOUT_MS + INTERVAL_MS);
    observer_answer_burial(a);
    observer_answer_burial(a);
    observer_expect(a, "died b b:1");
    assert_null(book_find(&book, "b"));
}

/* Another node was faster with the burial, and this one's is still under way when the entry is there again. */
static void test_a_boot_that_is_back_while_this_burial_goes_on_is_buried_again(void **state) {
    struct observer *a = *state;
    book_put(&book, "b", "b:1")->left = 5;
    observer_join(a);
    observer_pass_until(a, "bury b b:1 1");
    membership_renew(a->membership, a->now);
    observer_answer_burial(a);
    book_erase(&book, "b");
    observer_answer(a);
    observer_expect(a, "died b b:1");
    book_put(&book, "b", "b:1")->renewals = 2;
    observer_answer_burial(a);
    observer_expect(a, "");
    observer_pass_until(a, "bury b b:1 2");
    observer_answer_burial(a);
    observer_expect(a, "died b b:1");
    assert_null(book_find(&book, "b"));
}

/* ---- an uninterrupted link ---- */

static void test_a_frozen_redis_kills_nobody(void **state) {
    struct observer *a = *state;
    book_put(&book, "b", "b:1");
    observer_join(a);
    observer_pass(a, 2 * INTERVAL_MS);
    for (int n = 0; n < 600; n++)
        observer_tick(a); /* a minute without an answer */
    assert_int_equal(a->scripted.waiting, 1);
    observer_answer(a);
    assert_int_equal(observer_pass_until(a, "bury b b:1 1"), TIMEOUT_MS);
}

static void test_an_observer_that_was_stopped_kills_nobody(void **state) {
    struct observer *a = *state;
    book_put(&book, "b", "b:1");
    observer_join(a);
    observer_pass(a, TIMEOUT_MS - INTERVAL_MS);
    a->now += 60000;
    observer_tick(a);
    observer_expect_asked(a, "renew");
    observer_answer(a);
    assert_int_equal(observer_pass_until(a, "bury b b:1 1"), TIMEOUT_MS);
}

static void test_an_answer_that_waited_while_the_observer_was_stopped_kills_nobody(void **state) {
    struct observer *a = *state;
    book_put(&book, "b", "b:1");
    observer_join(a);
    observer_pass(a, TIMEOUT_MS - TICK_MS);
    membership_renew(a->membership, a->now);
    observer_answer(a); /* read before the first tick, so at a time that is long past */
    a->now += 60000;
    observer_tick(a);
    observer_expect_asked(a, "renew");
    observer_answer(a);
    assert_int_equal(observer_pass_until(a, "bury b b:1 1"), TIMEOUT_MS);
}

static void test_a_short_hiccup_saves_nobody(void **state) {
    struct observer *a = *state;
    book_put(&book, "b", "b:1");
    observer_join(a);
    observer_pass(a, 2 * INTERVAL_MS);
    a->now += TIMEOUT_MS / 2 - TICK_MS; /* the next tick is another */
    uint64_t more = observer_pass_until(a, "bury b b:1 1");
    assert_int_equal(more, TIMEOUT_MS - 2 * INTERVAL_MS - (TIMEOUT_MS / 2 - TICK_MS));
}

static void test_a_new_link_begins_anew(void **state) {
    struct observer *a = *state;
    book_put(&book, "b", "b:1");
    observer_join(a);
    observer_pass(a, TIMEOUT_MS - TICK_MS);
    observer_down(a);
    observer_up(a);
    observer_answer(a);
    assert_int_equal(observer_pass_until(a, "bury b b:1 1"), TIMEOUT_MS);
}

/* ---- what others write ---- */

static void test_foreign_entries_are_no_nodes(void **state) {
    struct observer *a = *state;
    book_put(&book, "b", "c:1");
    book_put(&book, "c", "c");
    book_put(&book, "d", "d:");
    book_put(&book, "e", "ee:1");
    book_put(&book, "", ":1");
    book_put(&book, "ab", "a:1");
    observer_join(a);
    observer_pass(a, 3 * TIMEOUT_MS);
    observer_expect(a, "");
    assert_int_equal(observer_see(a, "b").count, 1);
}

static void test_the_nodes_that_are_remembered_are_bounded(void **state) {
    struct observer *a = *state;
    for (int n = 0; n < 4500; n++) {
        char node[16];
        char boot[16];
        snprintf(node, sizeof node, "n%d", n);
        snprintf(boot, sizeof boot, "n%d:1", n);
        book_put_living(&book, node, boot);
    }
    book_put(&book, "a", "a:0")->fenced = true;
    observer_up(a);
    observer_answer(a);
    assert_int_equal(observer_see(a, "a").count, 1 + 4096 + 1);
    observer_pass_until(a, "bury a a:0 dead");
}

static void test_silence_is_told(void **state) {
    struct observer *a = *state;
    book_put(&book, "b", "b:1");
    observer_join(a);
    observer_pass(a, 7000);
    assert_int_equal(observer_see(a, "b").member.silent_ms, 7000);
    observer_down(a);
    observer_tick(a);
    assert_int_equal(observer_see(a, "b").member.silent_ms, 7000 + TICK_MS);
}

/* ---- two nodes ---- */

/* As in a restart of one after another with another node-timeout. */
static void test_nodes_of_different_node_timeouts_do_not_bury_each_other(void **state) {
    struct observer *hasty = *state;
    struct observer patient;
    observer_close(hasty);
    observer_open(hasty, &book, "a", "a:1", 3000);
    observer_open(&patient, &book, "b", "b:1", 60000);
    observer_join(hasty);
    observer_join(&patient);
    for (uint64_t ms = 0; ms < 120000; ms += TICK_MS) {
        observer_pass(hasty, TICK_MS);
        observer_pass(&patient, TICK_MS);
    }
    observer_expect(hasty, "");
    observer_expect(&patient, "");
    assert_true(observer_see(hasty, "b").member.alive);
    assert_true(observer_see(&patient, "a").member.alive);
    observer_close(&patient);
}

static void test_two_survivors_may_bury_the_same_boot(void **state) {
    struct observer *a = *state;
    struct observer c;
    observer_open(&c, &book, "c", "c:1", TIMEOUT_MS);
    book_put(&book, "b", "b:1")->left = 2;
    observer_join(a);
    observer_join(&c);
    book_find(&book, "a")->beats = book_find(&book, "c")->beats = true;
    observer_pass_until(a, "bury b b:1 1");
    observer_pass_until(&c, "bury b b:1 1");
    observer_answer_burial(a);
    observer_answer_burial(&c);
    observer_answer_burial(a);
    assert_null(book_find(&book, "b"));
    observer_answer_burial(&c);
    observer_expect(a, "died b b:1");
    observer_expect(&c, "died b b:1");
    book_put_living(&book, "b", "b:2");
    observer_pass(a, 3 * TIMEOUT_MS);
    observer_pass(&c, 3 * TIMEOUT_MS);
    observer_expect(a, "");
    observer_expect(&c, "");
    observer_close(&c);
}

static void test_a_survivor_that_is_late_leaves_the_next_boot_alone(void **state) {
    struct observer *a = *state;
    book_put(&book, "b", "b:1");
    observer_join(a);
    observer_pass_until(a, "bury b b:1 1");
    book_put_living(&book, "b", "b:2"); /* somebody was faster, and b is back */
    observer_answer(a);
    assert_non_null(book_find(&book, "b"));
    observer_pass(a, 3 * TIMEOUT_MS);
    observer_expect(a, "died b b:1");
    assert_true(observer_see(a, "b").member.alive);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(an_entry_that_was_not_there_is_told_as_joined),
        TEST(after_a_broken_link_an_entry_that_is_still_there_is_no_joining),
        TEST(an_entry_that_was_lost_is_told_as_joined_again),
        cmocka_unit_test(test_it_renews_five_times_in_node_timeout_within_bounds),
        TEST(one_renewal_is_under_way_at_a_time),
        TEST(it_renews_at_once_when_the_registry_asks_for_it),
        TEST(a_refused_renewal_is_tried_again),
        TEST(a_store_that_refuses_renewals_is_told_as_failing),
        TEST(whatever_else_is_answered_is_no_failing),
        TEST(failing_ends_with_the_link),
        TEST(a_node_that_stands_still_for_node_timeout_is_buried),
        TEST(a_burial_goes_on_piece_by_piece),
        TEST(renewals_go_on_during_a_burial),
        TEST(living_nodes_are_never_buried),
        TEST(one_burial_at_a_time),
        TEST(a_fenced_entry_is_buried_at_once),
        TEST(a_boot_that_is_alive_after_all_is_watched_anew),
        TEST(a_fenced_boot_that_renews_again_is_alive),
        TEST(a_burial_that_the_server_refused_is_tried_again),
        TEST(a_burial_that_keeps_failing_does_not_keep_others_waiting),
        TEST(a_burial_whose_link_breaks_goes_on_with_the_next_link),
        TEST(an_entry_that_vanishes_has_died),
        TEST(a_broken_link_is_nobodys_death),
        TEST(a_new_boot_of_a_node_is_watched_by_itself),
        TEST(a_boot_that_vanishes_while_it_is_buried_dies_once),
        TEST(a_boot_that_is_replaced_while_it_is_buried_dies_once),
        TEST(when_the_book_was_emptied_the_others_have_node_timeout_to_come_back),
        TEST(who_came_back_after_the_book_was_emptied_may_vanish_again),
        TEST(a_boot_that_renews_after_its_burial_is_buried_again),
        TEST(a_boot_that_renews_between_the_pieces_of_its_burial_is_buried_again),
        TEST(a_boot_that_is_back_while_this_burial_goes_on_is_buried_again),
        TEST(a_frozen_redis_kills_nobody),
        TEST(an_observer_that_was_stopped_kills_nobody),
        TEST(an_answer_that_waited_while_the_observer_was_stopped_kills_nobody),
        TEST(a_short_hiccup_saves_nobody),
        TEST(a_new_link_begins_anew),
        TEST(foreign_entries_are_no_nodes),
        TEST(the_nodes_that_are_remembered_are_bounded),
        TEST(silence_is_told),
        TEST(nodes_of_different_node_timeouts_do_not_bury_each_other),
        TEST(two_survivors_may_bury_the_same_boot),
        TEST(a_survivor_that_is_late_leaves_the_next_boot_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
