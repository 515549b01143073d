/* Percentiles: exact for small values, at most 1/128 too high for others, up to the greatest number. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/random.h"
#include "bench/histogram.h"

static int setup(void **state) {
    *state = calloc(1, sizeof(struct histogram));
    return *state ? 0 : -1;
}

static int teardown(void **state) {
    free(*state);
    return 0;
}

static void an_empty_one_says_0(void **state) {
    assert_int_equal(histogram_percentile(*state, 50), 0);
    assert_true(histogram_mean(*state) == 0);
}

static void small_values_are_exact(void **state) {
    for (uint64_t value = 1; value <= 200; value++)
        histogram_add(*state, value);
    assert_int_equal(histogram_percentile(*state, 50), 100);
    assert_int_equal(histogram_percentile(*state, 99), 198);
    assert_int_equal(histogram_percentile(*state, 100), 200);
    assert_int_equal(histogram_percentile(*state, 0.01), 1);
    assert_true(histogram_mean(*state) == 100.5);
}

static void a_single_value_is_every_percentile(void **state) {
    const struct histogram *histogram = *state;
    histogram_add(*state, 123456789);
    assert_int_equal(histogram_percentile(histogram, 0.1), 123456789);
    assert_int_equal(histogram_percentile(histogram, 50), 123456789);
    assert_int_equal(histogram_percentile(histogram, 99.9), 123456789);
    assert_int_equal(histogram->least, 123456789);
    assert_int_equal(histogram->most, 123456789);
}

static void an_outlier_is_not_below_its_percentile(void **state) {
    for (int n = 0; n < 999; n++)
        histogram_add(*state, 1000);
    histogram_add(*state, 5000000);
    assert_in_range(histogram_percentile(*state, 99.9), 1000, 1000 + 1000 / 128);
    assert_int_equal(histogram_percentile(*state, 99.91), 5000000);
}

/* Against a value that is alone below a far greater one, whatever its size: never below it, 1/128 above it at most. */
static void check_bound(uint64_t value) {
    struct histogram *histogram = calloc(1, sizeof *histogram);
    assert_non_null(histogram);
    histogram_add(histogram, value);
    histogram_add(histogram, UINT64_MAX);
    uint64_t read = histogram_percentile(histogram, 50);
    if (read < value || read - value > value / 128)
        fail_msg("%lu is read as %lu", (unsigned long)value, (unsigned long)read);
    free(histogram);
}

static void the_error_has_a_bound_at_every_size(void **state) {
    uint64_t random = 4711;
    (void)state;
    for (unsigned bits = 0; bits < 64; bits++) {
        uint64_t power = UINT64_C(1) << bits;
        check_bound(power - 1);
        check_bound(power);
        check_bound(power + power / 3);
        check_bound(power + random_below(&random, power));
    }
    check_bound(UINT64_MAX - 1);
}

static int compare(const void *a, const void *b) {
    uint64_t left = *(const uint64_t *)a;
    uint64_t right = *(const uint64_t *)b;
    return left < right ? -1 : left > right;
}

static void percentiles_are_those_of_the_sorted_values(void **state) {
    enum { COUNT = 10000 };
    static uint64_t values[COUNT];
    uint64_t random = 42;
    for (int n = 0; n < COUNT; n++) {
        values[n] = random_below(&random, UINT64_C(1) << (1 + random_below(&random, 45)));
        histogram_add(*state, values[n]);
    }
    qsort(values, COUNT, sizeof values[0], compare);
    for (int percent = 1; percent <= 100; percent++) {
        uint64_t true_one = values[COUNT * percent / 100 - 1];
        assert_in_range(histogram_percentile(*state, percent), true_one, true_one + true_one / 128);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_empty_one_says_0, setup, teardown),
        cmocka_unit_test_setup_teardown(small_values_are_exact, setup, teardown),
        cmocka_unit_test_setup_teardown(a_single_value_is_every_percentile, setup, teardown),
        cmocka_unit_test_setup_teardown(an_outlier_is_not_below_its_percentile, setup, teardown),
        cmocka_unit_test(the_error_has_a_bound_at_every_size),
        cmocka_unit_test_setup_teardown(percentiles_are_those_of_the_sorted_values, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
