/* How late ticks come: the last one, and the worst of the last one or two windows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "stompd/base/lag.h"

#define INTERVAL UINT64_C(100)

static int setup(void **state) {
    static struct lag lag;
    lag_init(&lag, INTERVAL);
    *state = &lag;
    return 0;
}

static void assert_lag(const struct lag *lag, uint64_t last_ms, uint64_t worst_ms) {
    assert_int_equal(counter_read(&lag->last_ms), last_ms);
    assert_int_equal(counter_read(&lag->worst_ms), worst_ms);
}

static void the_first_tick_is_not_late(void **state) {
    struct lag *lag = *state;
    assert_lag(lag, 0, 0);
    lag_tick(lag, 1234567);
    assert_lag(lag, 0, 0);
}

static void ticks_in_time_are_not_late(void **state) {
    struct lag *lag = *state;
    for (uint64_t now = 1000; now < 3000; now += INTERVAL)
        lag_tick(lag, now);
    assert_lag(lag, 0, 0);
}

static void an_early_tick_is_not_late(void **state) {
    struct lag *lag = *state;
    lag_tick(lag, 1000);
    lag_tick(lag, 1001);
    assert_lag(lag, 0, 0);
}

static void a_late_tick_is_late_by_what_it_waited_beyond_the_interval(void **state) {
    struct lag *lag = *state;
    lag_tick(lag, 1000);
    lag_tick(lag, 1000 + INTERVAL + 37);
    assert_lag(lag, 37, 37);
}

static void lateness_is_not_carried_to_the_next_tick(void **state) {
    struct lag *lag = *state;
    lag_tick(lag, 1000);
    lag_tick(lag, 1000 + INTERVAL + 37);
    lag_tick(lag, 1000 + INTERVAL + 37 + INTERVAL);
    assert_lag(lag, 0, 37);
}

/* Ticks in time from `from` on, for so long; returns when the last was. */
static uint64_t tick_in_time(struct lag *lag, uint64_t from, uint64_t ms) {
    uint64_t now = from;
    for (; now < from + ms; now += INTERVAL)
        lag_tick(lag, now);
    return now - INTERVAL;
}

static void the_worst_is_remembered_for_a_window_at_least(void **state) {
    struct lag *lag = *state;
    uint64_t last = tick_in_time(lag, 1000, 5000);
    lag_tick(lag, last + INTERVAL + 500);
    tick_in_time(lag, last + 2 * INTERVAL + 500, LAG_WINDOW_MS - INTERVAL);
    assert_lag(lag, 0, 500);
}

static void the_worst_is_forgotten_after_two_windows(void **state) {
    struct lag *lag = *state;
    uint64_t last = tick_in_time(lag, 1000, 5000);
    lag_tick(lag, last + INTERVAL + 500);
    last = tick_in_time(lag, last + 2 * INTERVAL + 500, 2 * LAG_WINDOW_MS);
    assert_lag(lag, 0, 0);
    lag_tick(lag, last + INTERVAL + 3);
    assert_lag(lag, 3, 3);
}

static void a_loop_that_stood_still_for_windows_says_so(void **state) {
    struct lag *lag = *state;
    uint64_t last = tick_in_time(lag, 1000, 5000);
    lag_tick(lag, last + INTERVAL + 5 * LAG_WINDOW_MS);
    assert_lag(lag, 5 * LAG_WINDOW_MS, 5 * LAG_WINDOW_MS);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_first_tick_is_not_late, setup),
        cmocka_unit_test_setup(ticks_in_time_are_not_late, setup),
        cmocka_unit_test_setup(an_early_tick_is_not_late, setup),
        cmocka_unit_test_setup(a_late_tick_is_late_by_what_it_waited_beyond_the_interval, setup),
        cmocka_unit_test_setup(lateness_is_not_carried_to_the_next_tick, setup),
        cmocka_unit_test_setup(the_worst_is_remembered_for_a_window_at_least, setup),
        cmocka_unit_test_setup(the_worst_is_forgotten_after_two_windows, setup),
        cmocka_unit_test_setup(a_loop_that_stood_still_for_windows_says_so, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
