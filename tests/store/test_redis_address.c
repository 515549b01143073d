/* The forms of the conf file's `redis`. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "stompd/store/redis_address.h"

/* All that was read, by turns; "none" when it was refused. */
static const char *parsed(const char *text) {
    static char written[512];
    struct redis_address address;
    if (!redis_address_parse(text, &address))
        return "none";
    snprintf(written, sizeof written, "%s %u %s %s %s %u", address.host ? address.host : "-", address.port,
             address.path ? address.path : "-", address.user ? address.user : "-",
             address.password ? address.password : "-", address.db);
    redis_address_free(&address);
    return written;
}

/* As it stands in the log. */
static const char *logged(const char *text) {
    static char written[128];
    struct redis_address address;
    assert_true(redis_address_parse(text, &address));
    redis_address_write(&address, written, sizeof written);
    redis_address_free(&address);
    return written;
}

static void test_host_and_port(void **state) {
    (void)state;
    assert_string_equal(parsed("127.0.0.1:6379"), "127.0.0.1 6379 - - - 0");
    assert_string_equal(parsed("redis-1.example_x.org:1"), "redis-1.example_x.org 1 - - - 0");
    assert_string_equal(parsed("[::1]:65535"), "::1 65535 - - - 0");
    assert_string_equal(parsed("[fe80::1%eth0]:80"), "fe80::1%eth0 80 - - - 0");
}

static void test_a_port_is_needed_without_the_scheme(void **state) {
    (void)state;
    assert_string_equal(parsed("127.0.0.1"), "none");
    assert_string_equal(parsed("127.0.0.1:"), "none");
    assert_string_equal(parsed("[::1]"), "none");
    assert_string_equal(parsed("[::1]:"), "none");
}

static void test_ports_are_1_to_65535(void **state) {
    (void)state;
    assert_string_equal(parsed("h:0"), "none");
    assert_string_equal(parsed("h:65536"), "none");
    assert_string_equal(parsed("h:4294967297"), "none");
    assert_string_equal(parsed("h:+1"), "none");
    assert_string_equal(parsed("h:-1"), "none");
    assert_string_equal(parsed("h: 1"), "none");
    assert_string_equal(parsed("h:1x"), "none");
    assert_string_equal(parsed("redis://h:0"), "none");
    assert_string_equal(parsed("redis://h:"), "none");
}

static void test_a_unix_socket(void **state) {
    char longest[5 + 107 + 2] = "unix:/";
    (void)state;
    assert_string_equal(parsed("unix:/run/redis/redis.sock"), "- 0 /run/redis/redis.sock - - 0");
    assert_string_equal(parsed("unix:/"), "- 0 / - - 0");
    assert_string_equal(parsed("unix:run/redis.sock"), "none");
    assert_string_equal(parsed("unix:"), "none");
    memset(longest + 6, 'x', 106);
    assert_string_not_equal(parsed(longest), "none");
    longest[6 + 106] = 'x';
    assert_string_equal(parsed(longest), "none");
}

static void test_a_url_with_each_part_missing(void **state) {
    (void)state;
    assert_string_equal(parsed("redis://u:p@h:1/2"), "h 1 - u p 2");
    assert_string_equal(parsed("redis://h"), "h 6379 - - - 0");
    assert_string_equal(parsed("redis://h/"), "h 6379 - - - 0");
    assert_string_equal(parsed("redis://h/15"), "h 6379 - - - 15");
    assert_string_equal(parsed("redis://h:1"), "h 1 - - - 0");
    assert_string_equal(parsed("redis://u@h"), "h 6379 - u - 0");
    assert_string_equal(parsed("redis://:p@h"), "h 6379 - - p 0");
    assert_string_equal(parsed("redis://u:@h"), "h 6379 - u - 0");
    assert_string_equal(parsed("redis://[::1]/1"), "::1 6379 - - - 1");
    assert_string_equal(parsed("redis://u:p@[::1]:7/1"), "::1 7 - u p 1");
}

static void test_user_and_password_are_percent_encoded(void **state) {
    (void)state;
    assert_string_equal(parsed("redis://a%40b:c%3A%2f%25@h"), "h 6379 - a@b c:/% 0");
    assert_string_equal(parsed("redis://u:a:b@h"), "h 6379 - u a:b 0");
    assert_string_equal(parsed("redis://u:%c3%a4@h"), "h 6379 - u \xc3\xa4 0");
    assert_string_equal(parsed("redis://u:%@h"), "none");
    assert_string_equal(parsed("redis://u:%4@h"), "none");
    assert_string_equal(parsed("redis://u:%4g@h"), "none");
    assert_string_equal(parsed("redis://u:%00@h"), "none");
    assert_string_equal(parsed("redis://u:a@b@h"), "none");
}

static void test_a_database_is_a_number(void **state) {
    (void)state;
    assert_string_equal(parsed("redis://h/x"), "none");
    assert_string_equal(parsed("redis://h/-1"), "none");
    assert_string_equal(parsed("redis://h/1/2"), "none");
    assert_string_equal(parsed("redis://h/4294967296"), "none");
    assert_string_equal(parsed("redis://h/0?timeout=1"), "none");
}

static void test_other_forms_are_refused(void **state) {
    (void)state;
    assert_string_equal(parsed(""), "none");
    assert_string_equal(parsed(":6379"), "none");
    assert_string_equal(parsed("redis://"), "none");
    assert_string_equal(parsed("redis:///1"), "none");
    assert_string_equal(parsed("redis://u:p@"), "none");
    assert_string_equal(parsed("rediss://h"), "none");
    assert_string_equal(parsed("http://h:80"), "none");
    assert_string_equal(parsed("::1:6379"), "none");
    assert_string_equal(parsed("[::1:6379"), "none");
    assert_string_equal(parsed("[]:6379"), "none");
    assert_string_equal(parsed("[::1]6379"), "none");
    assert_string_equal(parsed("a b:6379"), "none");
    assert_string_equal(parsed("a\n:6379"), "none");
    assert_string_equal(parsed("u:p@h:6379"), "none");
    assert_string_equal(parsed("h:6379/1"), "none");
}

static void test_the_log_has_no_password(void **state) {
    (void)state;
    assert_string_equal(logged("h:1"), "h:1");
    assert_string_equal(logged("redis://user:password@h/3"), "h:6379/3");
    assert_string_equal(logged("redis://:password@[::1]:7"), "[::1]:7");
    assert_string_equal(logged("unix:/run/redis.sock"), "unix:/run/redis.sock");
}

static void test_a_log_that_is_too_short_is_cut(void **state) {
    struct redis_address address;
    char written[4];
    (void)state;
    assert_true(redis_address_parse("host:1", &address));
    redis_address_write(&address, written, sizeof written);
    assert_string_equal(written, "hos");
    redis_address_free(&address);
    assert_null(address.host);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_host_and_port),
        cmocka_unit_test(test_a_port_is_needed_without_the_scheme),
        cmocka_unit_test(test_ports_are_1_to_65535),
        cmocka_unit_test(test_a_unix_socket),
        cmocka_unit_test(test_a_url_with_each_part_missing),
        cmocka_unit_test(test_user_and_password_are_percent_encoded),
        cmocka_unit_test(test_a_database_is_a_number),
        cmocka_unit_test(test_other_forms_are_refused),
        cmocka_unit_test(test_the_log_has_no_password),
        cmocka_unit_test(test_a_log_that_is_too_short_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
