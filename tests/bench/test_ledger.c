/* What is lost, comes twice or comes late: for streams to every receiver, and for messages of one receiver each. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bench/ledger.h"

static struct ledger ledger;

static int all_of_2_by_2(void **state) {
    (void)state;
    ledger_init_all(&ledger, 2, 2);
    return 0;
}

static int one_of_2_by_2(void **state) {
    (void)state;
    ledger_init_one(&ledger, 2, 2);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    ledger_free(&ledger);
    return 0;
}

static void take(unsigned receiver, uint64_t number) {
    assert_true(ledger_take(&ledger, 1, receiver, number));
}

static void take_again(unsigned receiver, uint64_t number) {
    assert_false(ledger_take(&ledger, 1, receiver, number));
}

static void assert_counts(uint64_t received, uint64_t duplicates, uint64_t reordered) {
    assert_int_equal(ledger.received, received);
    assert_int_equal(ledger.duplicates, duplicates);
    assert_int_equal(ledger.reordered, reordered);
}

/* ---- to all */

static void each_receiver_has_a_stream_of_each_publisher(void **state) {
    (void)state;
    for (uint64_t number = 0; number < 1000; number++)
        for (unsigned publisher = 0; publisher < 2; publisher++)
            for (unsigned receiver = 0; receiver < 2; receiver++)
                assert_true(ledger_take(&ledger, publisher, receiver, number));
    assert_counts(4000, 0, 0);
}

static void what_comes_again_is_a_duplicate(void **state) {
    (void)state;
    take(0, 0);
    take_again(0, 0);
    take(0, 1);
    take_again(0, 0);
    take_again(0, 1);
    take(1, 0);
    assert_counts(3, 3, 0);
}

static void a_gap_is_no_delivery(void **state) {
    (void)state;
    take(0, 0);
    take(0, 5);
    assert_counts(2, 0, 0);
}

static void what_comes_into_a_gap_is_late_once(void **state) {
    (void)state;
    take(0, 0);
    take(0, 3);
    take(0, 1);
    take_again(0, 1);
    take_again(0, 3);
    take(0, 2);
    take(0, 4);
    assert_counts(5, 2, 2);
}

static void the_first_may_come_late(void **state) {
    (void)state;
    take(0, 1);
    take(0, 0);
    take_again(0, 0);
    assert_counts(2, 1, 1);
}

/* The bits of numbers that lie a round of the window apart are the same ones. */
static void bits_are_not_those_of_a_round_before(void **state) {
    (void)state;
    for (uint64_t number = 0; number < LEDGER_SEEN; number++)
        take(0, number);
    take(0, LEDGER_SEEN + 7);
    for (uint64_t number = LEDGER_SEEN; number < LEDGER_SEEN + 7; number++)
        take(0, number);
    assert_counts(LEDGER_SEEN + 8, 0, 7);
}

static void after_a_leap_nothing_old_is_remembered(void **state) {
    (void)state;
    for (uint64_t number = 0; number < 10; number++)
        take(0, number);
    take(0, UINT64_C(10) * LEDGER_SEEN);
    take(0, UINT64_C(10) * LEDGER_SEEN - 1);
    take_again(0, UINT64_C(10) * LEDGER_SEEN - 1);
    take_again(0, 5); /* too far back to know, so it is not taken for new */
    assert_counts(12, 2, 1);
}

/* ---- to one */

static void a_message_counts_once_wherever_it_comes(void **state) {
    (void)state;
    take(0, 0);
    take(1, 1);
    take_again(1, 0);
    take_again(1, 1);
    assert_true(ledger_take(&ledger, 0, 0, 0));
    assert_counts(3, 2, 0);
}

static void each_receiver_has_an_order_of_its_own(void **state) {
    (void)state;
    take(0, 3);
    take(1, 1);
    take(1, 2);
    assert_counts(3, 0, 0);
    take(0, 0);
    assert_counts(4, 0, 1);
}

static void numbers_are_remembered_however_far_back(void **state) {
    (void)state;
    take(0, 100000);
    for (uint64_t number = 0; number < 20000; number++)
        take(1, number);
    for (uint64_t number = 0; number < 20000; number++)
        take_again(1, number);
    take_again(0, 100000);
    assert_counts(20001, 20001, 0);
}

#define ALL(test) cmocka_unit_test_setup_teardown(test, all_of_2_by_2, teardown)
#define ONE(test) cmocka_unit_test_setup_teardown(test, one_of_2_by_2, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        ALL(each_receiver_has_a_stream_of_each_publisher),
        ALL(what_comes_again_is_a_duplicate),
        ALL(a_gap_is_no_delivery),
        ALL(what_comes_into_a_gap_is_late_once),
        ALL(the_first_may_come_late),
        ALL(bits_are_not_those_of_a_round_before),
        ALL(after_a_leap_nothing_old_is_remembered),
        ONE(a_message_counts_once_wherever_it_comes),
        ONE(each_receiver_has_an_order_of_its_own),
        ONE(numbers_are_remembered_however_far_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
