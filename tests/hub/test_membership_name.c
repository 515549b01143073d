/* A name that another boot holds, and giving up one's own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

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

/* ---- one's own name ---- */

static const char in_use[] = "the name a is in use by the boot a:0, which is alive; give each node a name of its own "
                             "([server] node)";

static void test_a_name_that_another_boot_renews_is_refused(void **state) {
    struct observer *a = *state;
    struct entry *other = book_put(&book, "a", "a:0");
    observer_up(a);
    observer_answer(a);
    observer_expect(a, "");
    assert_false(membership_is_in(a->membership));
    observer_pass(a, 7 * INTERVAL_MS);
    other->renewals++;
    observer_pass(a, INTERVAL_MS);
    observer_expect(a, "");
    observer_pass(a, TIMEOUT_MS - 2 * INTERVAL_MS);
    other->renewals++;
    observer_pass(a, INTERVAL_MS);
    observer_expect(a, in_use);
    size_t made = a->scripted.made;
    observer_pass(a, 3 * TIMEOUT_MS);
    observer_expect(a, "");
    assert_int_equal(a->scripted.made, made);
}

static void test_a_node_that_crashed_comes_back_under_its_name(void **state) {
    struct observer *a = *state;
    book_put(&book, "a", "a:0")->left = 1;
    observer_up(a);
    observer_answer(a);
    assert_int_equal(observer_pass_until(a, "bury a a:0 1"), TIMEOUT_MS);
    observer_answer_burial(a);
    observer_answer_burial(a);
    observer_expect(a, "died a a:0");
    observer_expect_asked(a, "renew");
    observer_answer(a);
    observer_expect(a, "joined");
    assert_true(membership_is_in(a->membership));
    assert_int_equal(observer_see(a, "a").count, 1);
}

/* It had sent one more renewal, which was carried out after we had looked first. */
static void test_one_late_renewal_of_a_node_that_crashed_is_no_refusal(void **state) {
    struct observer *a = *state;
    struct entry *other = book_put(&book, "a", "a:0");
    observer_up(a);
    observer_answer(a);
    observer_pass(a, 7 * INTERVAL_MS);
    other->renewals += 2; /* however far it moves */
    observer_pass(a, INTERVAL_MS);
    assert_int_equal(observer_pass_until(a, "bury a a:0 3"), TIMEOUT_MS);
    observer_answer_burial(a);
    observer_answer(a);
    observer_expect(a, "died a a:0, joined");
    assert_true(membership_is_in(a->membership));
}

/* So that the node can serve on its own meanwhile. */
static void test_a_name_that_can_not_be_freed_is_told_as_failing(void **state) {
    struct observer *a = *state;
    book_put(&book, "a", "a:0");
    observer_up(a);
    observer_answer(a);
    observer_pass_until(a, "bury a a:0 1");
    scripted_result(&a->scripted, STORE_FAILED);
    assert_true(membership_is_failing(a->membership));
    observer_pass_until(a, "bury a a:0 1");
    assert_true(membership_is_failing(a->membership));
    observer_answer_burial(a);
    assert_false(membership_is_failing(a->membership));
    observer_answer(a);
    observer_expect(a, "died a a:0, joined");
}

static void test_a_late_renewal_amid_the_burial_is_no_refusal(void **state) {
    struct observer *a = *state;
    struct entry *other = book_put(&book, "a", "a:0");
    other->left = 5;
    observer_up(a);
    observer_answer(a);
    observer_pass_until(a, "bury a a:0 1");
    observer_answer_burial(a);
    membership_renew(a->membership, a->now); /* it is seen as fenced */
    observer_answer_burial(a);
    *other = (struct entry){.node = "a", .boot = "a:0", .renewals = 2};
    observer_answer_burial(a);
    observer_pass_until(a, "bury a a:0 2");
    observer_answer_burial(a);
    observer_answer(a);
    observer_expect(a, "died a a:0, joined");
}

static void test_a_late_renewal_after_the_burial_is_waited_for_again(void **state) {
    struct observer *a = *state;
    book_put(&book, "a", "a:0");
    observer_up(a);
    observer_answer(a);
    observer_pass_until(a, "bury a a:0 1");
    observer_answer_burial(a);
    observer_expect(a, "died a a:0");
    book_put(&book, "a", "a:0")->renewals = 2;
    observer_answer(a);
    observer_expect(a, "");
    assert_false(membership_is_in(a->membership));
    assert_int_equal(observer_pass_until(a, "bury a a:0 2"), TIMEOUT_MS);
    observer_answer_burial(a);
    observer_answer(a);
    observer_expect(a, "died a a:0, joined");
}

static void test_a_name_whose_boot_another_node_buries_is_taken(void **state) {
    struct observer *a = *state;
    book_put(&book, "a", "a:0");
    book_put_living(&book, "b", "b:1");
    observer_up(a);
    observer_answer(a);
    book_erase(&book, "a");
    observer_pass(a, INTERVAL_MS);
    observer_expect(a, "died a a:0, joined");
    observer_pass(a, 3 * TIMEOUT_MS);
    observer_expect(a, "");
    assert_false(observer_see(a, "a").found);
}

static void test_a_name_that_is_half_buried_is_taken_at_once(void **state) {
    struct observer *a = *state;
    book_put(&book, "a", "a:0")->fenced = true;
    observer_up(a);
    observer_answer(a);
    assert_int_equal(observer_pass_until(a, "bury a a:0 dead"), TICK_MS);
    observer_answer_burial(a);
    observer_answer(a);
    observer_expect(a, "died a a:0, joined");
}

static void test_a_waiting_node_is_refused_when_the_burial_finds_the_other_alive(void **state) {
    struct observer *a = *state;
    struct entry *other = book_put(&book, "a", "a:0");
    observer_up(a);
    observer_answer(a);
    observer_pass_until(a, "bury a a:0 1");
    other->renewals++;
    scripted_result(&a->scripted, STORE_ALIVE);
    observer_answer(a);
    observer_expect(a, "");
    other->renewals++;
    observer_pass(a, INTERVAL_MS);
    observer_expect(a, in_use);
}

static void test_a_broken_link_makes_a_waiting_node_wait_anew(void **state) {
    struct observer *a = *state;
    book_put(&book, "a", "a:0");
    observer_up(a);
    observer_answer(a);
    observer_pass(a, TIMEOUT_MS - TICK_MS);
    observer_down(a);
    observer_up(a);
    observer_answer(a);
    assert_int_equal(observer_pass_until(a, "bury a a:0 1"), TIMEOUT_MS);
}

static void test_a_name_that_was_taken_meanwhile_is_refused_when_it_is_renewed(void **state) {
    struct observer *a = *state;
    observer_join(a);
    book_put_living(&book, "a", "a:0");
    observer_pass(a, INTERVAL_MS);
    observer_expect(a, "");
    assert_false(membership_is_in(a->membership));
    observer_pass(a, INTERVAL_MS);
    observer_expect(a, "");
    observer_pass(a, INTERVAL_MS);
    observer_expect(a, in_use);
}

static void test_a_name_that_was_taken_meanwhile_is_taken_back_from_the_dead(void **state) {
    struct observer *a = *state;
    observer_join(a);
    book_put(&book, "a", "a:0");
    observer_pass_until(a, "bury a a:0 1");
    observer_answer_burial(a);
    observer_answer(a);
    observer_expect(a, "died a a:0, joined");
}

static void test_something_foreign_under_its_name_is_taken_away(void **state) {
    struct observer *a = *state;
    book_put(&book, "a", "rubbish");
    observer_up(a);
    observer_answer(a);
    observer_pass_until(a, "bury a rubbish 1");
    observer_answer_burial(a);
    observer_answer(a);
    observer_expect(a, "died a rubbish, joined");
}

/* ---- leaving ---- */

static void test_leaving_takes_all_pieces_and_ends_renewing(void **state) {
    struct observer *a = *state;
    observer_join(a);
    membership_leave(a->membership);
    observer_expect_asked(a, "leave");
    scripted_result(&a->scripted, STORE_MORE);
    observer_expect_asked(a, "leave");
    observer_expect(a, "");
    membership_leave(a->membership);
    scripted_result(&a->scripted, STORE_OK);
    observer_expect(a, "left");
    assert_false(membership_is_in(a->membership));
    observer_pass(a, 3 * TIMEOUT_MS);
    membership_renew(a->membership, a->now);
    observer_expect_asked(a, "");
    observer_down(a);
    membership_up(a->membership, a->now);
    observer_expect_asked(a, "");
}

static void test_a_renewal_under_way_does_not_stop_it_from_leaving(void **state) {
    struct observer *a = *state;
    observer_join(a);
    book_erase(&book, "a");
    membership_renew(a->membership, a->now);
    membership_leave(a->membership);
    observer_answer(a);
    observer_expect(a, "");
    observer_expect_asked(a, "leave");
    scripted_result(&a->scripted, STORE_OK);
    observer_expect(a, "left");
}

static void test_in_the_first_moments_of_a_new_link_it_takes_its_entry_along(void **state) {
    struct observer *a = *state;
    observer_join(a);
    book_find(&book, "a")->left = 2;
    observer_down(a);
    observer_up(a);
    assert_false(membership_is_in(a->membership));
    membership_leave(a->membership);
    for (int n = 0; n < 3; n++) {
        observer_answer(a); /* the renewal, then pieces */
        observer_expect_asked(a, "leave");
        observer_expect(a, "");
    }
    observer_answer(a);
    observer_expect(a, "left");
    assert_null(book_find(&book, "a"));
    observer_pass(a, 3 * TIMEOUT_MS);
    observer_expect_asked(a, "");
}

static void test_an_entry_that_is_just_being_made_is_taken_along(void **state) {
    struct observer *a = *state;
    observer_up(a);
    membership_leave(a->membership);
    observer_answer(a);
    assert_non_null(book_find(&book, "a"));
    observer_expect_asked(a, "leave");
    observer_answer(a);
    observer_expect(a, "left");
    assert_null(book_find(&book, "a"));
}

static void test_who_was_in_and_waits_for_its_name_leaves_the_store_too(void **state) {
    struct observer *a = *state;
    observer_join(a);
    book_put(&book, "a", "a:0");
    observer_pass(a, INTERVAL_MS);
    assert_false(membership_is_in(a->membership));
    membership_leave(a->membership);
    observer_expect_asked(a, "leave");
    observer_answer(a);
    observer_expect(a, "left");
    assert_non_null(book_find(&book, "a"));
}

static void test_who_was_in_and_lost_its_entry_leaves_the_store_too(void **state) {
    struct observer *a = *state;
    observer_join(a);
    observer_down(a);
    observer_up(a);
    scripted_result(&a->scripted, STORE_FAILED);
    book_erase(&book, "a");
    membership_leave(a->membership);
    observer_expect_asked(a, "leave");
    observer_answer(a);
    observer_expect(a, "left");
}

static void test_leaving_ends_when_the_store_does_not_do_it(void **state) {
    struct observer *a = *state;
    observer_join(a);
    membership_leave(a->membership);
    scripted_result(&a->scripted, STORE_FAILED);
    observer_expect(a, "left");
}

static void test_leaving_ends_with_the_link(void **state) {
    struct observer *a = *state;
    observer_join(a);
    membership_leave(a->membership);
    observer_down(a);
    observer_expect(a, "left");
}

static void test_without_link_or_entry_it_has_left_at_once(void **state) {
    struct observer *a = *state;
    book_put(&book, "a", "a:0");
    observer_up(a);
    observer_answer(a);
    membership_leave(a->membership);
    observer_expect(a, "left");
    observer_pass(a, 3 * TIMEOUT_MS);
    observer_expect_asked(a, "");
}

static void test_while_the_link_is_down_it_has_left_at_once(void **state) {
    struct observer *a = *state;
    observer_join(a);
    observer_down(a);
    membership_leave(a->membership);
    observer_expect(a, "left");
}

static void test_the_store_may_go_first(void **state) {
    struct observer *a = *state;
    book_put(&book, "b", "b:1");
    observer_join(a);
    observer_pass_until(a, "bury b b:1 1");
    membership_renew(a->membership, a->now);
    scripted_break(&a->scripted); /* teardown frees the membership, without another word from the link */
    observer_expect(a, "");
    observer_expect_asked(a, "");
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_name_that_another_boot_renews_is_refused),
        TEST(a_node_that_crashed_comes_back_under_its_name),
        TEST(a_name_that_can_not_be_freed_is_told_as_failing),
        TEST(one_late_renewal_of_a_node_that_crashed_is_no_refusal),
        TEST(a_late_renewal_amid_the_burial_is_no_refusal),
        TEST(a_late_renewal_after_the_burial_is_waited_for_again),
        TEST(a_name_whose_boot_another_node_buries_is_taken),
        TEST(a_name_that_is_half_buried_is_taken_at_once),
        TEST(a_waiting_node_is_refused_when_the_burial_finds_the_other_alive),
        TEST(a_broken_link_makes_a_waiting_node_wait_anew),
        TEST(a_name_that_was_taken_meanwhile_is_refused_when_it_is_renewed),
        TEST(a_name_that_was_taken_meanwhile_is_taken_back_from_the_dead),
        TEST(something_foreign_under_its_name_is_taken_away),
        TEST(leaving_takes_all_pieces_and_ends_renewing),
        TEST(a_renewal_under_way_does_not_stop_it_from_leaving),
        TEST(in_the_first_moments_of_a_new_link_it_takes_its_entry_along),
        TEST(an_entry_that_is_just_being_made_is_taken_along),
        TEST(who_was_in_and_waits_for_its_name_leaves_the_store_too),
        TEST(who_was_in_and_lost_its_entry_leaves_the_store_too),
        TEST(leaving_ends_when_the_store_does_not_do_it),
        TEST(leaving_ends_with_the_link),
        TEST(without_link_or_entry_it_has_left_at_once),
        TEST(while_the_link_is_down_it_has_left_at_once),
        TEST(the_store_may_go_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
