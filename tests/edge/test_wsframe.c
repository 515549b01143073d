/* The head of a WebSocket frame as RFC 6455, section 5.2, has it, at the bounds of its three forms. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../src/edge/wsframe.h"

#define GUARD '\x5a'

/* Writes the head and compares it; nothing behind it may be touched. */
static void expect_head(unsigned opcode, size_t payload, const char *head, size_t len) {
    char written[WSFRAME_HEAD_MAX + 1];
    for (size_t n = 0; n < sizeof written; n++)
        written[n] = GUARD;
    assert_int_equal(wsframe_head_len(payload), len);
    assert_ptr_equal(wsframe_head_write(written, opcode, payload), written + len);
    assert_memory_equal(written, head, len);
    for (size_t n = len; n < sizeof written; n++)
        assert_int_equal(written[n], GUARD);
}

#define EXPECT_HEAD(opcode, payload, literal) expect_head((opcode), (payload), (literal), sizeof(literal) - 1)

static void test_a_short_payload_has_its_length_in_the_second_byte(void **state) {
    (void)state;
    EXPECT_HEAD(WSFRAME_PING, 0, "\x89\x00");
    EXPECT_HEAD(WSFRAME_CLOSE, 2, "\x88\x02");
    EXPECT_HEAD(WSFRAME_TEXT, 125, "\x81\x7d");
}

static void test_a_longer_payload_has_its_length_in_two_bytes_high_one_first(void **state) {
    (void)state;
    EXPECT_HEAD(WSFRAME_TEXT, 126, "\x81\x7e\x00\x7e");
    EXPECT_HEAD(WSFRAME_BINARY, 0x1234, "\x82\x7e\x12\x34");
    EXPECT_HEAD(WSFRAME_BINARY, 65535, "\x82\x7e\xff\xff");
}

static void test_a_large_payload_has_its_length_in_eight_bytes(void **state) {
    (void)state;
    EXPECT_HEAD(WSFRAME_TEXT, 65536, "\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00");
    EXPECT_HEAD(WSFRAME_BINARY, 0x0123456789abcdef, "\x82\x7f\x01\x23\x45\x67\x89\xab\xcd\xef");
}

static void test_a_compressed_message_is_marked_beside_its_opcode(void **state) {
    (void)state;
    EXPECT_HEAD(WSFRAME_TEXT | WSFRAME_COMPRESSED, 5, "\xc1\x05");
    EXPECT_HEAD(WSFRAME_BINARY | WSFRAME_COMPRESSED, 126, "\xc2\x7e\x00\x7e");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_short_payload_has_its_length_in_the_second_byte),
        cmocka_unit_test(test_a_longer_payload_has_its_length_in_two_bytes_high_one_first),
        cmocka_unit_test(test_a_large_payload_has_its_length_in_eight_bytes),
        cmocka_unit_test(test_a_compressed_message_is_marked_beside_its_opcode),
    };
    return cmocka_run_group_tests_name("edge/wsframe", tests, NULL, NULL);
}
