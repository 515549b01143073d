/* Version names and the choice in CONNECT. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "stompd/stomp/version.h"

/* The negotiated version's name, or "none". */
static const char *negotiated(const char *accept_version) {
    enum stomp_version version;
    return stomp_negotiate(bytes_of(accept_version), &version) ? stomp_version_name(version) : "none";
}

static void test_row_protocol_negotiation_highest_common_version_wins(void **state) {
    (void)state;
    assert_string_equal(negotiated("1.0,1.1,1.2"), "1.2");
    assert_string_equal(negotiated("1.2,1.1,1.0"), "1.2");
    assert_string_equal(negotiated("1.0,1.1"), "1.1");
    assert_string_equal(negotiated("1.0"), "1.0");
    assert_string_equal(negotiated("1.1,2.0,0.9"), "1.1");
}

static void test_row_protocol_negotiation_nothing_common(void **state) {
    (void)state;
    assert_string_equal(negotiated("1.3"), "none");
    assert_string_equal(negotiated(""), "none");
    assert_string_equal(negotiated(",,"), "none");
    assert_string_equal(negotiated("1.20,11.2,1"), "none");
    assert_string_equal(negotiated("1.1;1.2"), "none");
}

static void test_blanks_around_versions_are_ignored(void **state) {
    (void)state;
    assert_string_equal(negotiated(" 1.1 , 1.2\t"), "1.2");
    assert_string_equal(negotiated("1. 2"), "none");
}

static void test_the_version_is_untouched_when_nothing_is_common(void **state) {
    (void)state;
    enum stomp_version version = STOMP_1_1;
    assert_false(stomp_negotiate(BYTES("3.0"), &version));
    assert_int_equal(version, STOMP_1_1);
}

static void test_the_list_for_errors_names_every_version(void **state) {
    (void)state;
    assert_string_equal(STOMP_VERSIONS, "1.0,1.1,1.2");
    assert_string_equal(negotiated(STOMP_VERSIONS), "1.2");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_row_protocol_negotiation_highest_common_version_wins),
        cmocka_unit_test(test_row_protocol_negotiation_nothing_common),
        cmocka_unit_test(test_blanks_around_versions_are_ignored),
        cmocka_unit_test(test_the_version_is_untouched_when_nothing_is_common),
        cmocka_unit_test(test_the_list_for_errors_names_every_version),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
