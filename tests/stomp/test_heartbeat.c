/* The heart-beat header and the intervals both sides agree on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "stompd/stomp/heartbeat.h"

static void assert_reads(const char *value, uint32_t send_ms, uint32_t receive_ms) {
    struct heartbeat client;
    assert_true(heartbeat_parse(bytes_of(value), &client));
    assert_int_equal(client.send_ms, send_ms);
    assert_int_equal(client.receive_ms, receive_ms);
}

static void test_row_heart_beating_reads_two_numbers(void **state) {
    (void)state;
    assert_reads("0,0", 0, 0);
    assert_reads("10000,20000", 10000, 20000);
    assert_reads("007,4294967295", 7, UINT32_MAX);
}

static void test_numbers_beyond_32_bits_count_as_the_largest(void **state) {
    (void)state;
    assert_reads("4294967296,1", UINT32_MAX, 1);
    assert_reads("1,99999999999999999999999999999999999999", 1, UINT32_MAX);
}

static void test_malformed_values_are_refused(void **state) {
    (void)state;
    static const char *const malformed[] = {"",     "1",    "1,",   ",1",   ",",     "-1,0",  "0,-1",  "+1,0",
                                            "1 ,0", "1, 0", " 1,0", "1,0 ", "1,0,0", "1.5,0", "0x1,0", "a,b"};
    for (size_t i = 0; i < sizeof malformed / sizeof malformed[0]; i++) {
        struct heartbeat client = {1, 2};
        assert_false(heartbeat_parse(bytes_of(malformed[i]), &client));
        assert_int_equal(client.send_ms, 1);
        assert_int_equal(client.receive_ms, 2);
    }
    struct heartbeat client;
    assert_false(heartbeat_parse((struct bytes){NULL, 0}, &client));
    assert_false(heartbeat_parse((struct bytes){"1,0\0", 4}, &client));
}

static void assert_agrees(struct heartbeat server, struct heartbeat client, uint32_t send_ms, uint32_t receive_ms) {
    struct heartbeat agreed = heartbeat_negotiate(server, client);
    assert_int_equal(agreed.send_ms, send_ms);
    assert_int_equal(agreed.receive_ms, receive_ms);
}

static void test_row_heart_beating_takes_the_larger_of_both(void **state) {
    (void)state;
    assert_agrees((struct heartbeat){10000, 10000}, (struct heartbeat){5000, 30000}, 30000, 10000);
    assert_agrees((struct heartbeat){10000, 10000}, (struct heartbeat){30000, 5000}, 10000, 30000);
}

static void test_row_heart_beating_none_when_either_side_has_zero(void **state) {
    (void)state;
    assert_agrees((struct heartbeat){10000, 10000}, (struct heartbeat){0, 0}, 0, 0);
    assert_agrees((struct heartbeat){0, 10000}, (struct heartbeat){7000, 7000}, 0, 10000);
    assert_agrees((struct heartbeat){10000, 0}, (struct heartbeat){7000, 7000}, 10000, 0);
    assert_agrees((struct heartbeat){10000, 10000}, (struct heartbeat){0, 7000}, 10000, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_row_heart_beating_reads_two_numbers),
        cmocka_unit_test(test_numbers_beyond_32_bits_count_as_the_largest),
        cmocka_unit_test(test_malformed_values_are_refused),
        cmocka_unit_test(test_row_heart_beating_takes_the_larger_of_both),
        cmocka_unit_test(test_row_heart_beating_none_when_either_side_has_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
