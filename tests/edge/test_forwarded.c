/* X-Forwarded-For: whose word counts, and what a client can't make of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../src/edge/forwarded.h"

static char ipv4_network[] = "10.0.0.0/8", ipv4_address[] = "127.0.0.1", ipv6_network[] = "fd00::/8";
static char *trusted[] = {ipv4_network, ipv4_address, ipv6_network};
static const struct listener_conf listener = {.trusted_proxies = trusted, .trusted_proxy_count = 3};

/* The client as a string; "none" when the value says nothing. */
static const char *client_of(const char *value) {
    static char written[IP_ADDRESS_TEXT_SIZE];
    struct ip_address client;
    if (!forwarded_client(&listener, bytes_of(value), &client))
        return "none";
    ip_address_write(&client, written);
    return written;
}

static void test_the_only_address_is_the_client(void **state) {
    (void)state;
    assert_string_equal(client_of("192.0.2.1"), "192.0.2.1");
    assert_string_equal(client_of(" 192.0.2.1:4711\t"), "192.0.2.1");
    assert_string_equal(client_of("[2001:db8::1]:4711"), "2001:db8::1");
}

static void test_what_trusted_proxies_add_is_passed_over(void **state) {
    (void)state;
    assert_string_equal(client_of("192.0.2.1, 10.1.2.3"), "192.0.2.1");
    assert_string_equal(client_of("192.0.2.1,fd00::1,127.0.0.1 , ::ffff:10.0.0.1"), "192.0.2.1");
}

static void test_what_a_client_puts_in_front_does_not_count(void **state) {
    (void)state;
    assert_string_equal(client_of("198.51.100.7, 192.0.2.1"), "192.0.2.1");
    assert_string_equal(client_of("127.0.0.1, 192.0.2.1, 10.0.0.1"), "192.0.2.1");
    assert_string_equal(client_of("rubbish,, 192.0.2.1, 10.0.0.1"), "192.0.2.1");
}

static void test_where_all_are_trusted_the_first_is_the_client(void **state) {
    (void)state;
    assert_string_equal(client_of("10.1.1.1"), "10.1.1.1");
    assert_string_equal(client_of("10.1.1.1, 10.2.2.2"), "10.1.1.1");
}

static void test_a_malformed_value_says_nothing(void **state) {
    (void)state;
    assert_string_equal(client_of(""), "none");
    assert_string_equal(client_of(","), "none");
    assert_string_equal(client_of("192.0.2.1,"), "none");
    assert_string_equal(client_of("192.0.2.1, unknown"), "none");
    assert_string_equal(client_of("unknown, 10.0.0.1"), "none");
    assert_string_equal(client_of("192.0.2.1 10.0.0.1"), "none");
    assert_string_equal(client_of("for=192.0.2.1"), "none");
}

static void test_without_trusted_proxies_nobody_is_trusted(void **state) {
    (void)state;
    static const struct listener_conf plain;
    struct ip_address address;
    assert_true(ip_address_parse(BYTES("127.0.0.1"), &address));
    assert_true(forwarded_is_trusted(&listener, &address));
    assert_false(forwarded_is_trusted(&plain, &address));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_only_address_is_the_client),
        cmocka_unit_test(test_what_trusted_proxies_add_is_passed_over),
        cmocka_unit_test(test_what_a_client_puts_in_front_does_not_count),
        cmocka_unit_test(test_where_all_are_trusted_the_first_is_the_client),
        cmocka_unit_test(test_a_malformed_value_says_nothing),
        cmocka_unit_test(test_without_trusted_proxies_nobody_is_trusted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
