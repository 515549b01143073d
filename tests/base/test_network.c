/* Addresses and networks: their forms, and what lies in a network. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "stompd/base/network.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* As it is written again; "none" when it was refused. */
static const char *read_address(const char *text) {
    static char written[IP_ADDRESS_TEXT_SIZE];
    struct ip_address address;
    if (!ip_address_parse(bytes_of(text), &address))
        return "none";
    ip_address_write(&address, written);
    return written;
}

static void test_addresses_with_and_without_a_port(void **state) {
    (void)state;
    assert_string_equal(read_address("192.0.2.1"), "192.0.2.1");
    assert_string_equal(read_address("192.0.2.1:1"), "192.0.2.1");
    assert_string_equal(read_address("192.0.2.1:65535"), "192.0.2.1");
    assert_string_equal(read_address("2001:DB8::1"), "2001:db8::1");
    assert_string_equal(read_address("[2001:db8::1]"), "2001:db8::1");
    assert_string_equal(read_address("[2001:db8::1]:0"), "2001:db8::1");
    assert_string_equal(read_address("::"), "::");
    assert_string_equal(read_address("[2001:db8:1111:2222:3333:4444:5555:6666]:65535"),
                        "2001:db8:1111:2222:3333:4444:5555:6666");
}

static void test_ipv4_within_ipv6_is_ipv4(void **state) {
    (void)state;
    assert_string_equal(read_address("::ffff:192.0.2.1"), "192.0.2.1");
    assert_string_equal(read_address("[::ffff:c000:201]:80"), "192.0.2.1");
}

static void test_other_forms_are_refused(void **state) {
    (void)state;
    static const char *const texts[] = {"",
                                        "unknown",
                                        "192.0.2",
                                        "192.0.2.256",
                                        "192.0.2.1 ",
                                        " 192.0.2.1",
                                        "192.0.2.1:",
                                        "192.0.2.1:x",
                                        "192.0.2.1:70000",
                                        "192.0.2.1:080",
                                        "[192.0.2.1]",
                                        "192.0.2.01",
                                        "2001:db8::1::",
                                        "[2001:db8::1",
                                        "2001:db8::1]",
                                        "[2001:db8::1]80",
                                        "[2001:db8::1]:",
                                        "[]",
                                        "fe80::1%eth0",
                                        "[2001:db8:1111:2222:3333:4444:5555:6666]:655350000000000000000000000"};
    for (size_t n = 0; n < COUNT(texts); n++)
        assert_string_equal(read_address(texts[n]), "none");
    struct ip_address address;
    assert_false(ip_address_parse(BYTES("192.0.2.1\0"), &address));
    assert_false(ip_address_parse((struct bytes){NULL, 0}, &address));
}

static void assert_in(const char *network_text, const char *address_text, bool expected) {
    struct network network;
    struct ip_address address;
    assert_true(network_parse(network_text, &network));
    assert_true(ip_address_parse(bytes_of(address_text), &address));
    if (network_contains(&network, &address) != expected)
        fail_msg("%s in %s", address_text, network_text);
}

static void test_what_lies_in_a_network(void **state) {
    (void)state;
    assert_in("10.0.0.0/8", "10.255.255.255", true);
    assert_in("10.0.0.0/8", "11.0.0.0", false);
    assert_in("192.0.2.128/25", "192.0.2.128", true);
    assert_in("192.0.2.128/25", "192.0.2.127", false);
    assert_in("192.0.2.4/31", "192.0.2.5", true);
    assert_in("192.0.2.4/31", "192.0.2.6", false);
    assert_in("0.0.0.0/0", "255.0.0.1", true);
    assert_in("fd00::/8", "fdff::1", true);
    assert_in("fd00::/8", "fe00::1", false);
    assert_in("2001:db8:0:8000::/49", "2001:db8:0:8000::1", true);
    assert_in("2001:db8:0:8000::/49", "2001:db8:0:7fff::1", false);
    assert_in("::/0", "fe00::1", true);
}

static void test_an_address_is_a_network_of_one(void **state) {
    (void)state;
    assert_in("192.0.2.1", "192.0.2.1", true);
    assert_in("192.0.2.1", "192.0.2.0", false);
    assert_in("2001:db8::1", "2001:db8::1", true);
    assert_in("2001:db8::1/128", "2001:db8::", false);
}

static void test_ipv4_and_ipv6_are_apart(void **state) {
    (void)state;
    assert_in("::/0", "10.0.0.1", false);
    assert_in("0.0.0.0/0", "::1", false);
    assert_in("10.0.0.0/8", "::ffff:10.0.0.1", true);
    assert_in("::ffff:10.0.0.0/104", "10.0.0.1", true);
    assert_in("::ffff:10.0.0.0/104", "11.0.0.1", false);
    assert_in("::ffff:10.0.0.1", "10.0.0.1", true);
}

static void test_other_networks_are_refused(void **state) {
    (void)state;
    static const char *const texts[] = {"",
                                        "/",
                                        "/8",
                                        "10.0.0.0/",
                                        "10.0.0.0/33",
                                        "10.0.0.0/08",
                                        "10.0.0.0/x",
                                        "10.0.0.0/-1",
                                        "10.0.0.1/8",
                                        "10.0.0.0/8/8",
                                        "192.0.2.1/31",
                                        "10/8",
                                        "fd00::/129",
                                        "fd00::1/8",
                                        "[fd00::]/8",
                                        "10.0.0.0:80",
                                        "::ffff:10.0.0.0/90",
                                        "::ffff:10.0.0.0/129",
                                        "localhost",
                                        "10.0.0.0 /8",
                                        "10.0.0.0/ 8",
                                        "2001:db8:1111:2222:3333:4444:5555:6666:7777:8888:9999/8"};
    struct network network;
    for (size_t n = 0; n < COUNT(texts); n++)
        if (network_parse(texts[n], &network))
            fail_msg("%s is taken", texts[n]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addresses_with_and_without_a_port), cmocka_unit_test(test_ipv4_within_ipv6_is_ipv4),
        cmocka_unit_test(test_other_forms_are_refused),           cmocka_unit_test(test_what_lies_in_a_network),
        cmocka_unit_test(test_an_address_is_a_network_of_one),    cmocka_unit_test(test_ipv4_and_ipv6_are_apart),
        cmocka_unit_test(test_other_networks_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
