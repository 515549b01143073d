/* PROXY headers of both versions: what is read, what is incomplete, what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <stdio.h>

#include "../../src/hub/listener.h"
#include "../../src/hub/proxy_header.h"

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"

/* Version 2: version and command, family and protocol, length; the addresses of 192.0.2.1:4711 and 192.0.2.2:80. */
#define V2_IPV4 SIGNATURE "\x21\x11\0\x0c\xc0\0\x02\x01\xc0\0\x02\x02\x12\x67\0\x50"

#define LITERAL(text)                                                                                                  \
    { (text), sizeof(text) - 1 }

/*
 * What comes of the bytes: the source as "address:port", "local", "incomplete" or the fault. They lie in a block of their
 * own, so that valgrind sees every byte read too far.
 */
static const char *read_bytes(struct bytes bytes, enum proxy_protocol allowed, struct proxy_header *header) {
    static char source[64];
    char *alone = malloc(bytes.len + 1);
    assert_non_null(alone);
    memcpy(alone + 1, bytes.data, bytes.len);
    enum proxy_header_state state = proxy_header_parse((struct bytes){alone + 1, bytes.len}, allowed, header);
    free(alone);
    if (state == PROXY_HEADER_INCOMPLETE)
        return "incomplete";
    if (state == PROXY_HEADER_FAULTY)
        return header->why;
    if (!header->has_source)
        return "local";
    peer_address_write((const struct sockaddr *)&header->source, source, sizeof source);
    return source;
}

static size_t lay(char *to, struct bytes bytes) {
    memcpy(to, bytes.data, bytes.len);
    return bytes.len;
}

/* Also with bytes of the client behind it; the length must be that of the header. */
static void assert_reads(struct bytes bytes, const char *expected) {
    struct proxy_header header;
    char room[PROXY_HEADER_MAX + 8];
    size_t len = lay(room, bytes);
    len += lay(room + len, BYTES("GET /\r\n"));
    const struct bytes both[] = {bytes, {room, len}};
    for (size_t n = 0; n < 2; n++) {
        assert_string_equal(read_bytes(both[n], PROXY_ANY, &header), expected);
        assert_int_equal(header.len, bytes.len);
    }
    for (size_t cut = 0; cut < bytes.len; cut++) {
        assert_string_equal(read_bytes((struct bytes){bytes.data, cut}, PROXY_ANY, &header), "incomplete");
        assert_in_range(header.len, cut + 1, bytes.len);
    }
}

static void assert_fault(struct bytes bytes, const char *expected) {
    struct proxy_header header;
    assert_string_equal(read_bytes(bytes, PROXY_ANY, &header), expected);
}

/* ---- version 1 ---- */

static void test_v1_tells_the_source(void **state) {
    (void)state;
    assert_reads(BYTES("PROXY TCP4 192.0.2.1 192.0.2.2 4711 80\r\n"), "192.0.2.1:4711");
    assert_reads(BYTES("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n"), "255.255.255.255:65535");
    assert_reads(BYTES("PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n"), "0.0.0.0:0");
    assert_reads(BYTES("PROXY TCP6 2001:db8::1 2001:DB8::2 4711 80\r\n"), "[2001:db8::1]:4711");
    assert_reads(BYTES("PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
                       "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"),
                 "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535");
}

static void test_v1_unknown_leaves_the_sockets_own_address(void **state) {
    (void)state;
    assert_reads(BYTES("PROXY UNKNOWN\r\n"), "local");
    assert_reads(BYTES("PROXY UNKNOWN anything \0 at all\r\n"), "local");
    assert_reads(BYTES("PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
                       "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"),
                 "local");
}

static void test_v1_has_exactly_its_form(void **state) {
    static const struct bytes lines[] = {
        LITERAL("PROXY \r\n"),
        LITERAL("PROXY TCP4\r\n"),
        LITERAL("PROXY TCP4 \r\n"),
        LITERAL("PROXY TCP5 192.0.2.1 192.0.2.2 1 2\r\n"),
        LITERAL("PROXY tcp4 192.0.2.1 192.0.2.2 1 2\r\n"),
        LITERAL("PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n"),
        LITERAL("PROXY UNKNOWNS\r\n"),
        LITERAL("PROXY  TCP4 192.0.2.1 192.0.2.2 1 2\r\n"),
        LITERAL("PROXY TCP4  192.0.2.1 192.0.2.2 1 2\r\n"),
        LITERAL("PROXY TCP4 192.0.2.1  192.0.2.2 1 2\r\n"),
        LITERAL("PROXY TCP4 192.0.2.1 192.0.2.2 1 2 \r\n"),
        LITERAL("PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n"),
        LITERAL("PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n"),
        LITERAL("PROXY TCP4 192.0.2.1 192.0.2.2\r\n"),
        LITERAL("PROXY TCP4\t192.0.2.1 192.0.2.2 1 2\r\n"),
        LITERAL("PROXY TCP4 192.0.2.01 192.0.2.2 1 2\r\n"),
        LITERAL("PROXY TCP4 192.0.2.256 192.0.2.2 1 2\r\n"),
        LITERAL("PROXY TCP4 192.0.2 192.0.2.2 1 2\r\n"),
        LITERAL("PROXY TCP4 192.0.2.1 localhost 1 2\r\n"),
        LITERAL("PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n"),
        LITERAL("PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n"),
        LITERAL("PROXY TCP4 192.0.2.1 192.0.2.2 65536 2\r\n"),
        LITERAL("PROXY TCP4 192.0.2.1 192.0.2.2 1 99999\r\n"),
        LITERAL("PROXY TCP4 192.0.2.1 192.0.2.2 1 -2\r\n"),
        LITERAL("PROXY TCP4 192.0.2.1 192.0.2.2 1 2x\r\n"),
        LITERAL("PROXY TCP4 192.0.2.1\0 192.0.2.2 1 2\r\n"),
        LITERAL("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\0\r\n"),
        LITERAL("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\r\n"),
        LITERAL("PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n"),
        LITERAL("PROXY TCP6 2001:db8::1::2 2001:db8::2 1 2\r\n"),
        LITERAL("PROXY TCP6 [2001:db8::1] 2001:db8::2 1 2\r\n"),
    };
    (void)state;
    for (size_t n = 0; n < sizeof lines / sizeof lines[0]; n++)
        assert_fault(lines[n], "its line is not as version 1 has it");
}

static void test_v1_ends_with_cr_lf_within_107_bytes(void **state) {
    (void)state;
    assert_fault(BYTES("PROXY UNKNOWN\n"), "its line does not end with CR LF");
    assert_fault(BYTES("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n\r\n"), "its line does not end with CR LF");
    assert_fault(BYTES("PROXY \n"), "its line does not end with CR LF");
    char line[120];
    memset(line, 'x', sizeof line);
    lay(line, BYTES("PROXY UNKNOWN "));
    struct proxy_header header;
    assert_string_equal(read_bytes((struct bytes){line, 106}, PROXY_V1, &header), "incomplete");
    assert_fault((struct bytes){line, 107}, "its line does not end within 107 bytes");
    line[106] = '\r';
    line[107] = '\n';
    assert_fault((struct bytes){line, 108}, "its line does not end within 107 bytes");
    line[105] = '\r';
    line[106] = '\n';
    assert_reads((struct bytes){line, 107}, "local");
}

/* ---- version 2 ---- */

static void test_v2_tells_the_source(void **state) {
    (void)state;
    assert_reads(BYTES(V2_IPV4), "192.0.2.1:4711");
    assert_reads(BYTES(SIGNATURE "\x21\x21\0\x24"
                                 "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01"
                                 "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x02\x12\x67\0\x50"),
                 "[2001:db8::1]:4711");
}

static void test_v2_passes_over_what_follows_the_addresses(void **state) {
    (void)state;
    assert_reads(BYTES(SIGNATURE "\x21\x11\0\x13\xc0\0\x02\x01\xc0\0\x02\x02\x12\x67\0\x50\x04\0\x04\0\0\0\0"),
                 "192.0.2.1:4711");
    assert_reads(BYTES(SIGNATURE "\x21\x11\0\x0d\xc0\0\x02\x01\xc0\0\x02\x02\x12\x67\0\x50\xff"), "192.0.2.1:4711");
}

static void test_v2_local_and_unknown_leave_the_sockets_own_address(void **state) {
    char unix_header[16 + 216] = {0};
    (void)state;
    assert_reads(BYTES(SIGNATURE "\x20\0\0\0"), "local");
    assert_reads(BYTES(SIGNATURE "\x20\xff\0\x03xyz"), "local"); /* a family that is ignored */
    assert_reads(BYTES(SIGNATURE "\x20\x11\0\x0c\xc0\0\x02\x01\xc0\0\x02\x02\x12\x67\0\x50"), "local");
    assert_reads(BYTES(SIGNATURE "\x21\0\0\0"), "local");
    assert_reads(BYTES(SIGNATURE "\x21\x10\0\0"), "local");
    assert_reads(BYTES(SIGNATURE "\x21\x12\0\x0c\xc0\0\x02\x01\xc0\0\x02\x02\x12\x67\0\x50"), "local"); /* UDP */
    lay(unix_header, BYTES(SIGNATURE "\x21\x31\0\xd8"));
    assert_reads((struct bytes){unix_header, sizeof unix_header}, "local");
}

static void test_v2_has_exactly_its_form(void **state) {
    (void)state;
    assert_fault(BYTES(SIGNATURE "\x11"), "it has a version or a command that does not exist");
    assert_fault(BYTES(SIGNATURE "\x31"), "it has a version or a command that does not exist");
    assert_fault(BYTES(SIGNATURE "\x22"), "it has a version or a command that does not exist");
    assert_fault(BYTES(SIGNATURE "\x21\x41"), "it has an address family or a protocol that does not exist");
    assert_fault(BYTES(SIGNATURE "\x21\x13"), "it has an address family or a protocol that does not exist");
    assert_fault(BYTES(SIGNATURE "\x21\x11\0\x0b\xc0\0\x02\x01\xc0\0\x02\x02\x12\x67\0"),
                 "it is too short for its addresses");
    assert_fault(BYTES(SIGNATURE "\x21\x11\0\0"), "it is too short for its addresses");
    assert_fault(BYTES(SIGNATURE "\x21\x21\0\x0c\xc0\0\x02\x01\xc0\0\x02\x02\x12\x67\0\x50"),
                 "it is too short for its addresses");
}

static void test_v2_is_bounded(void **state) {
    static char header[PROXY_HEADER_MAX];
    (void)state;
    lay(header, BYTES(V2_IPV4));
    header[14] = (PROXY_HEADER_MAX - 16) >> 8;
    header[15] = (char)((PROXY_HEADER_MAX - 16) & 0xff);
    assert_reads((struct bytes){header, sizeof header}, "192.0.2.1:4711");
    header[15]++;
    assert_fault((struct bytes){header, 16}, "it is longer than 4096 bytes");
    header[14] = header[15] = (char)0xff;
    assert_fault((struct bytes){header, 16}, "it is longer than 4096 bytes");
}

/* ---- both ---- */

static void test_only_what_is_allowed_is_read(void **state) {
    struct proxy_header header;
    struct bytes v1 = BYTES("PROXY TCP4 192.0.2.1 192.0.2.2 4711 80\r\n");
    struct bytes v2 = BYTES(V2_IPV4);
    (void)state;
    assert_string_equal(read_bytes(v1, PROXY_V1, &header), "192.0.2.1:4711");
    assert_string_equal(read_bytes(v2, PROXY_V2, &header), "192.0.2.1:4711");
    assert_string_equal(read_bytes(v2, PROXY_V1, &header), "what came is no header of version 1");
    assert_string_equal(read_bytes(v1, PROXY_V2, &header), "what came is no header of version 2");
}

static void test_other_beginnings_are_refused_at_once(void **state) {
    (void)state;
    assert_fault(BYTES("G"), "what came is no header");
    assert_fault(BYTES("PROXX"), "what came is no header");
    assert_fault(BYTES("PROXY\t"), "what came is no header");
    assert_fault(BYTES("proxy TCP4"), "what came is no header");
    assert_fault(BYTES("\r\n\r\n\0\r\nQUIT\r"), "what came is no header");
    assert_fault(BYTES("\r\n\r\n\r"), "what came is no header");
    assert_fault(BYTES("CONNECT\n"), "what came is no header");
    assert_fault(BYTES("\x16\x03\x01"), "what came is no header");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_v1_tells_the_source),
        cmocka_unit_test(test_v1_unknown_leaves_the_sockets_own_address),
        cmocka_unit_test(test_v1_has_exactly_its_form),
        cmocka_unit_test(test_v1_ends_with_cr_lf_within_107_bytes),
        cmocka_unit_test(test_v2_tells_the_source),
        cmocka_unit_test(test_v2_passes_over_what_follows_the_addresses),
        cmocka_unit_test(test_v2_local_and_unknown_leave_the_sockets_own_address),
        cmocka_unit_test(test_v2_has_exactly_its_form),
        cmocka_unit_test(test_v2_is_bounded),
        cmocka_unit_test(test_only_what_is_allowed_is_read),
        cmocka_unit_test(test_other_beginnings_are_refused_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
