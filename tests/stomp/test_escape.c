/* Header escaping in both directions and per version. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "stompd/stomp/escape.h"

/* Escapes into a block of exactly the announced length, so that a sanitizer sees any byte too many. */
static void assert_escaped(struct bytes text, enum stomp_version version, const char *expected) {
    size_t len = stomp_escaped_len(text, version);
    assert_int_equal(len, strlen(expected));
    char *room = malloc(len + 1);
    assert_non_null(room);
    assert_ptr_equal(stomp_escape(room, text, version), room + len);
    assert_memory_equal(room, expected, len);
    free(room);
}

/* NULL: must be refused. The copy ends where the text does. */
static void assert_unescaped(const char *text, const char *expected) {
    struct bytes source = bytes_of(text);
    size_t len = source.len;
    char *copy = malloc(len > 0 ? len : 1);
    assert_non_null(copy);
    memcpy(copy, source.data, len);
    assert_int_equal(stomp_unescape(copy, &len), expected != NULL);
    if (expected) {
        assert_int_equal(len, strlen(expected));
        assert_memory_equal(copy, expected, len);
    }
    free(copy);
}

static void test_row_value_encoding_1_2_escapes_lf_colon_backslash_and_cr(void **state) {
    (void)state;
    assert_escaped(BYTES("a\nb:c\\d\re"), STOMP_1_2, "a\\nb\\cc\\\\d\\re");
    assert_escaped(BYTES("\n:\\\r"), STOMP_1_2, "\\n\\c\\\\\\r");
}

static void test_row_value_encoding_1_1_has_no_escape_for_cr(void **state) {
    (void)state;
    assert_escaped(BYTES("a\nb:c\\d\re"), STOMP_1_1, "a\\nb\\cc\\\\d\re");
}

static void test_row_value_encoding_1_0_escapes_nothing(void **state) {
    (void)state;
    assert_escaped(BYTES("a:b\\c"), STOMP_1_0, "a:b\\c");
}

static void test_text_without_special_octets_stays(void **state) {
    (void)state;
    assert_escaped(BYTES("plain \t\xc3\xa4 \x7f"), STOMP_1_2, "plain \t\xc3\xa4 \x7f");
    assert_escaped((struct bytes){NULL, 0}, STOMP_1_2, "");
}

static void test_row_value_encoding_unescapes_the_four_sequences(void **state) {
    (void)state;
    assert_unescaped("\\n\\c\\\\\\r", "\n:\\\r");
    assert_unescaped("a\\cb", "a:b");
    assert_unescaped("\\\\n", "\\n");
    assert_unescaped("\\\\\\n", "\\\n");
    assert_unescaped("a:b", "a:b");
    assert_unescaped("", "");
}

static void test_row_value_encoding_undefined_sequences_are_refused(void **state) {
    (void)state;
    assert_unescaped("\\t", NULL);
    assert_unescaped("a\\x", NULL);
    assert_unescaped("\\N", NULL);
    assert_unescaped("\\\xc3", NULL);
    assert_unescaped("\\:", NULL);
}

static void test_a_backslash_at_the_end_is_refused(void **state) {
    (void)state;
    assert_unescaped("\\", NULL);
    assert_unescaped("ab\\\\\\", NULL);
}

static void test_every_octet_survives_escaping_and_unescaping_on_1_2(void **state) {
    (void)state;
    char all[256];
    char escaped[2 * sizeof all];
    for (size_t i = 0; i < sizeof all; i++)
        all[i] = (char)i;
    size_t len = (size_t)(stomp_escape(escaped, (struct bytes){all, sizeof all}, STOMP_1_2) - escaped);
    assert_true(stomp_unescape(escaped, &len));
    assert_int_equal(len, sizeof all);
    assert_memory_equal(escaped, all, sizeof all);
}

/* At every place of texts around the length of a word: in the name, and in the value. */
static void test_a_header_is_plain_when_no_version_escapes_any_of_it(void **state) {
    (void)state;
    for (size_t len = 1; len <= 20; len++) {
        for (size_t place = 0; place < len; place++) {
            for (unsigned octet = 0; octet <= UINT8_MAX; octet++) {
                char text[20];
                memset(text, 'x', sizeof text);
                text[place] = (char)octet;
                struct bytes changed = {text, len};
                struct bytes same = {"xxxxxxxxxxxxxxxxxxxx", len};
                bool plain = octet >= ' ' && octet != ':' && octet != '\\';
                assert_int_equal(stomp_is_plain(&(struct stomp_header){changed, same}), plain);
                assert_int_equal(stomp_is_plain(&(struct stomp_header){same, changed}), plain);
            }
        }
    }
    assert_true(stomp_is_plain(&(struct stomp_header){BYTES("x"), {NULL, 0}}));
}

static void test_1_0_cannot_carry_what_would_forge_headers(void **state) {
    (void)state;
    assert_false(stomp_can_carry(&(struct stomp_header){BYTES("a"), BYTES("x\nforged:1")}, STOMP_1_0));
    assert_false(stomp_can_carry(&(struct stomp_header){BYTES("a"), BYTES("x\r")}, STOMP_1_0));
    assert_false(stomp_can_carry(&(struct stomp_header){BYTES("a\nb"), BYTES("x")}, STOMP_1_0));
    assert_false(stomp_can_carry(&(struct stomp_header){BYTES("a\r"), BYTES("x")}, STOMP_1_0));
    assert_false(stomp_can_carry(&(struct stomp_header){BYTES("a:b"), BYTES("x")}, STOMP_1_0));
}

static void test_1_0_carries_colons_and_backslashes_in_values(void **state) {
    (void)state;
    assert_true(stomp_can_carry(&(struct stomp_header){BYTES("a\\"), BYTES("x:\\y")}, STOMP_1_0));
    assert_true(stomp_can_carry(&(struct stomp_header){BYTES("a"), {NULL, 0}}, STOMP_1_0));
}

static void test_later_versions_carry_everything(void **state) {
    (void)state;
    struct stomp_header header = {BYTES("a:\r\n"), BYTES("\r\n:\\")};
    assert_true(stomp_can_carry(&header, STOMP_1_1));
    assert_true(stomp_can_carry(&header, STOMP_1_2));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_row_value_encoding_1_2_escapes_lf_colon_backslash_and_cr),
        cmocka_unit_test(test_row_value_encoding_1_1_has_no_escape_for_cr),
        cmocka_unit_test(test_row_value_encoding_1_0_escapes_nothing),
        cmocka_unit_test(test_text_without_special_octets_stays),
        cmocka_unit_test(test_row_value_encoding_unescapes_the_four_sequences),
        cmocka_unit_test(test_row_value_encoding_undefined_sequences_are_refused),
        cmocka_unit_test(test_a_backslash_at_the_end_is_refused),
        cmocka_unit_test(test_every_octet_survives_escaping_and_unescaping_on_1_2),
        cmocka_unit_test(test_a_header_is_plain_when_no_version_escapes_any_of_it),
        cmocka_unit_test(test_1_0_cannot_carry_what_would_forge_headers),
        cmocka_unit_test(test_1_0_carries_colons_and_backslashes_in_values),
        cmocka_unit_test(test_later_versions_carry_everything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
