/* Decimal numbers: what is one, the largest, and how they are written. */
#include "stompd/base/decimal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static void expect(const char *text, uint64_t number) {
    uint64_t read = 1;
    assert_true(decimal_read(bytes_of(text), &read));
    assert_true(read == number);
}

static void refuse(const char *text) {
    uint64_t read;
    assert_false(decimal_read(bytes_of(text), &read));
}

static void test_numbers(void **state) {
    (void)state;
    expect("0", 0);
    expect("007", 7);
    expect("1000000", 1000000);
    expect("18446744073709551615", UINT64_MAX);
}

static void test_too_large_counts_as_the_largest(void **state) {
    (void)state;
    expect("18446744073709551616", UINT64_MAX);
    expect("18446744073709551620", UINT64_MAX);
    expect("99999999999999999999999999", UINT64_MAX);
}

static void test_what_is_no_number(void **state) {
    (void)state;
    refuse("");
    refuse("-1");
    refuse("+1");
    refuse(" 1");
    refuse("1 ");
    refuse("1.5");
    refuse("0x10");
    refuse("ten");
}

static void expect_written(uint64_t number, const char *text) {
    char digits[DECIMAL_DIGITS];
    assert_int_equal(decimal_write(digits, number) - digits, strlen(text));
    assert_memory_equal(digits, text, strlen(text));
}

static void test_numbers_are_written_without_leading_zeros(void **state) {
    (void)state;
    expect_written(0, "0");
    expect_written(9, "9");
    expect_written(10, "10");
    expect_written(1000000, "1000000");
    expect_written(UINT64_MAX, "18446744073709551615");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_too_large_counts_as_the_largest),
        cmocka_unit_test(test_what_is_no_number),
        cmocka_unit_test(test_numbers_are_written_without_leading_zeros),
    };
    return cmocka_run_group_tests_name("decimal", tests, NULL, NULL);
}
