/* The clocks of the system, in milliseconds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <time.h>

#include "stompd/base/clock.h"

static void test_the_clock_never_goes_back(void **state) {
    (void)state;
    uint64_t first = clock_ms();
    uint64_t second = clock_ms();
    assert_true(first > 0);
    assert_true(second >= first);
}

/* time() may lag a tick behind. */
static void test_the_clock_on_the_wall_is_that_of_the_system(void **state) {
    (void)state;
    uint64_t before = (uint64_t)time(NULL);
    uint64_t now = clock_wall_ms();
    uint64_t after = (uint64_t)time(NULL);
    assert_in_range(now / 1000, before, after + 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_clock_never_goes_back),
        cmocka_unit_test(test_the_clock_on_the_wall_is_that_of_the_system),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
