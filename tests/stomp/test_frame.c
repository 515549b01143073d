/* Questions to a decoded frame, command names, and the sentences of faults. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "stompd/stomp/fault.h"
#include "stompd/stomp/frame.h"

static void assert_bytes(struct bytes bytes, const char *expected) {
    assert_int_equal(bytes.len, strlen(expected));
    assert_memory_equal(bytes.data, expected, bytes.len);
}

static void test_every_client_command_is_found_by_its_name(void **state) {
    (void)state;
    static const char *const names[] = {"CONNECT", "STOMP", "SEND", "SUBSCRIBE", "UNSUBSCRIBE", "BEGIN",
                                        "COMMIT",  "ABORT", "ACK",  "NACK",      "DISCONNECT"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        enum stomp_command command = stomp_command_find(bytes_of(names[i]));
        assert_int_not_equal(command, STOMP_UNKNOWN);
        assert_string_equal(stomp_command_name(command), names[i]);
    }
}

static void test_row_stomp_frames_commands_are_case_sensitive(void **state) {
    (void)state;
    assert_int_equal(stomp_command_find(BYTES("send")), STOMP_UNKNOWN);
    assert_int_equal(stomp_command_find(BYTES("Connect")), STOMP_UNKNOWN);
}

static void test_row_client_frames_unknown_commands_are_not_found(void **state) {
    (void)state;
    assert_int_equal(stomp_command_find(BYTES("")), STOMP_UNKNOWN);
    assert_int_equal(stomp_command_find(BYTES("?")), STOMP_UNKNOWN);
    assert_int_equal(stomp_command_find(BYTES("SEN")), STOMP_UNKNOWN);
    assert_int_equal(stomp_command_find(BYTES("SEND ")), STOMP_UNKNOWN);
    assert_int_equal(stomp_command_find(BYTES("MESSAGE")), STOMP_UNKNOWN);
    assert_string_equal(stomp_command_name(STOMP_UNKNOWN), "?");
}

static void test_row_repeated_header_entries_first_one_counts(void **state) {
    (void)state;
    struct stomp_header headers[] = {
        {BYTES("a"), BYTES("1")}, {BYTES("foo"), BYTES("first")}, {BYTES("foo"), BYTES("second")}};
    struct stomp_frame frame = {.header_count = 3, .header_capacity = 3, .headers = headers};
    assert_bytes(*stomp_frame_find(&frame, BYTES("foo")), "first");
}

static void test_row_stomp_frames_header_names_are_case_sensitive(void **state) {
    (void)state;
    struct stomp_header headers[] = {{BYTES("Receipt"), BYTES("1")}};
    struct stomp_frame frame = {.header_count = 1, .header_capacity = 1, .headers = headers};
    assert_null(stomp_frame_find(&frame, BYTES("receipt")));
    assert_null(stomp_frame_find(&frame, BYTES("Receip")));
    assert_non_null(stomp_frame_find(&frame, BYTES("Receipt")));
}

static void test_trim_takes_blanks_from_both_ends_only(void **state) {
    (void)state;
    assert_bytes(stomp_trim(BYTES(" \t a b\t ")), "a b");
    assert_bytes(stomp_trim(BYTES("\r\n")), "\r\n");
    assert_int_equal(stomp_trim(BYTES("  \t")).len, 0);
    assert_int_equal(stomp_trim((struct bytes){NULL, 0}).len, 0);
}

static void test_row_value_encoding_a_1_0_frame_is_trimmed_in_names_and_values(void **state) {
    (void)state;
    struct stomp_header headers[] = {{BYTES("login "), BYTES(" x")}, {BYTES("passcode"), BYTES("  ")}};
    struct stomp_frame frame = {.header_count = 2, .header_capacity = 2, .headers = headers};
    stomp_frame_trim(&frame);
    assert_bytes(headers[0].name, "login");
    assert_bytes(headers[0].value, "x");
    assert_int_equal(headers[1].value.len, 0);
}

static void test_a_fault_keeps_only_printable_ascii_without_backslashes(void **state) {
    (void)state;
    struct fault fault;
    assert_false(fault_set(&fault, FAULT_POLICY, "no %s at %d", "\x01\\\xc3\xa4\n~ ", 7));
    assert_int_equal(fault.kind, FAULT_POLICY);
    assert_string_equal(fault.message, "no ?????~  at 7");
}

static void test_a_long_fault_is_cut(void **state) {
    (void)state;
    struct fault fault;
    fault_set(&fault, FAULT_SIZE, "%0500d", 0);
    assert_int_equal(strlen(fault.message), sizeof fault.message - 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_client_command_is_found_by_its_name),
        cmocka_unit_test(test_row_stomp_frames_commands_are_case_sensitive),
        cmocka_unit_test(test_row_client_frames_unknown_commands_are_not_found),
        cmocka_unit_test(test_row_repeated_header_entries_first_one_counts),
        cmocka_unit_test(test_row_stomp_frames_header_names_are_case_sensitive),
        cmocka_unit_test(test_trim_takes_blanks_from_both_ends_only),
        cmocka_unit_test(test_row_value_encoding_a_1_0_frame_is_trimmed_in_names_and_values),
        cmocka_unit_test(test_a_fault_keeps_only_printable_ascii_without_backslashes),
        cmocka_unit_test(test_a_long_fault_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
