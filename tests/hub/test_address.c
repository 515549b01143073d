/* Addresses of the conf file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "../../src/hub/address.h"

/* The address as the system writes it, with its port; "none" when it was refused. */
static const char *parsed(const char *text) {
    static char written[INET6_ADDRSTRLEN + 16];
    char host[INET6_ADDRSTRLEN];
    struct sockaddr_storage address;
    socklen_t len;
    if (!address_parse(text, &address, &len))
        return "none";
    if (address.ss_family == AF_INET) {
        const struct sockaddr_in *ipv4 = (const struct sockaddr_in *)&address;
        assert_int_equal(len, sizeof *ipv4);
        assert_non_null(inet_ntop(AF_INET, &ipv4->sin_addr, host, sizeof host));
        snprintf(written, sizeof written, "%s %u", host, ntohs(ipv4->sin_port));
    } else {
        const struct sockaddr_in6 *ipv6 = (const struct sockaddr_in6 *)&address;
        assert_int_equal(len, sizeof *ipv6);
        assert_non_null(inet_ntop(AF_INET6, &ipv6->sin6_addr, host, sizeof host));
        snprintf(written, sizeof written, "%s %u", host, ntohs(ipv6->sin6_port));
    }
    return written;
}

static void test_numeric_addresses(void **state) {
    (void)state;
    assert_string_equal(parsed("127.0.0.1:8080"), "127.0.0.1 8080");
    assert_string_equal(parsed("0.0.0.0:1"), "0.0.0.0 1");
    assert_string_equal(parsed("[::1]:65535"), "::1 65535");
    assert_string_equal(parsed("[::]:80"), ":: 80");
    assert_string_equal(parsed("[2001:db8:1111:2222:3333:4444:5555:6666]:80"),
                        "2001:db8:1111:2222:3333:4444:5555:6666 80");
}

static void test_localhost_and_any_address(void **state) {
    (void)state;
    assert_string_equal(parsed("localhost:80"), "127.0.0.1 80");
    assert_string_equal(parsed("*:80"), ":: 80");
}

static void test_ports_are_1_to_65535(void **state) {
    (void)state;
    assert_string_equal(parsed("127.0.0.1:00080"), "127.0.0.1 80");
    assert_string_equal(parsed("127.0.0.1:0"), "none");
    assert_string_equal(parsed("127.0.0.1:65536"), "none");
    assert_string_equal(parsed("127.0.0.1:99999999999999999999"), "none");
    assert_string_equal(parsed("127.0.0.1:"), "none");
    assert_string_equal(parsed("127.0.0.1"), "none");
    assert_string_equal(parsed("127.0.0.1:+80"), "none");
    assert_string_equal(parsed("127.0.0.1:-1"), "none");
    assert_string_equal(parsed("127.0.0.1:80x"), "none");
    assert_string_equal(parsed("127.0.0.1: 80"), "none");
    assert_string_equal(parsed("127.0.0.1:http"), "none");
}

static void test_other_forms_are_refused(void **state) {
    (void)state;
    assert_string_equal(parsed(""), "none");
    assert_string_equal(parsed(":"), "none");
    assert_string_equal(parsed(":80"), "none");
    assert_string_equal(parsed("80"), "none");
    assert_string_equal(parsed("example.org:80"), "none");
    assert_string_equal(parsed("LOCALHOST:80"), "none");
    assert_string_equal(parsed("127.1:80"), "none");
    assert_string_equal(parsed("256.0.0.1:80"), "none");
    assert_string_equal(parsed("::1:80"), "none");
    assert_string_equal(parsed("[::1:80"), "none");
    assert_string_equal(parsed("[::1]80"), "none");
    assert_string_equal(parsed("[]:80"), "none");
    assert_string_equal(parsed("[:80"), "none");
    assert_string_equal(parsed("[127.0.0.1]:80"), "none");
    assert_string_equal(parsed("[2001:db8:1111:2222:3333:4444:5555:6666:7777:8888:9999]:80"), "none");
}

static void test_equal_addresses_are_equal_bytes(void **state) {
    struct sockaddr_storage addresses[2];
    socklen_t len;
    (void)state;
    memset(&addresses[0], 0xaa, sizeof addresses[0]);
    memset(&addresses[1], 0x55, sizeof addresses[1]);
    assert_true(address_parse("localhost:80", &addresses[0], &len));
    assert_true(address_parse("127.0.0.1:80", &addresses[1], &len));
    assert_memory_equal(&addresses[0], &addresses[1], sizeof addresses[0]);
}

static void test_hosts_that_need_no_lookup(void **state) {
    static const char *const fixed[] = {"localhost",
                                        "localhost:9090",
                                        "127.0.0.1",
                                        "10.1.2.3:9090",
                                        "[::1]",
                                        "[::1]:9090",
                                        "[2001:db8:1111:2222:3333:4444:5555:6666]"};
    static const char *const other[] = {"",
                                        ":",
                                        ":80",
                                        "*",
                                        "*:80",
                                        "example.org",
                                        "example.org:9090",
                                        "localhost.example.org",
                                        "127.0.0.1.example.org",
                                        "127.0.0.1:80.example.org",
                                        "127.0.0.1:80:80",
                                        "::1",
                                        "[::1",
                                        "[2001:db8:1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb]"};
    (void)state;
    for (size_t n = 0; n < sizeof fixed / sizeof fixed[0]; n++)
        assert_true(address_is_without_lookup(fixed[n]));
    for (size_t n = 0; n < sizeof other / sizeof other[0]; n++)
        assert_false(address_is_without_lookup(other[n]));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numeric_addresses),
        cmocka_unit_test(test_localhost_and_any_address),
        cmocka_unit_test(test_ports_are_1_to_65535),
        cmocka_unit_test(test_other_forms_are_refused),
        cmocka_unit_test(test_equal_addresses_are_equal_bytes),
        cmocka_unit_test(test_hosts_that_need_no_lookup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
