#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "stompd/base/utf8.h"

/* Lays the code point out in `len` bytes, whether or not that is its proper length. */
static struct bytes encode(char to[4], uint32_t code, size_t len) {
    static const uint32_t leads[] = {0, 0x00, 0xc0, 0xe0, 0xf0};
    for (size_t n = len; n-- > 1; code >>= 6)
        to[n] = (char)(0x80 | (code & 0x3f));
    to[0] = (char)(leads[len] | code);
    return (struct bytes){to, len};
}

static size_t proper_len(uint32_t code) {
    return code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
}

static void assert_all(uint32_t from, uint32_t to, size_t len, bool valid) {
    char text[4];
    for (uint32_t code = from; code <= to; code++) {
        if (utf8_is_valid(encode(text, code, len)) != valid)
            fail_msg("U+%04X in %zu bytes should be %s", code, len, valid ? "valid" : "invalid");
    }
}

static void nothing_is_valid(void **state) {
    (void)state;
    assert_true(utf8_is_valid((struct bytes){NULL, 0}));
}

static void every_code_point_but_surrogates_is_valid(void **state) {
    (void)state;
    assert_all(0, 0x7f, 1, true);
    assert_all(0x80, 0x7ff, 2, true);
    assert_all(0x800, 0xd7ff, 3, true);
    assert_all(0xd800, 0xdfff, 3, false);
    assert_all(0xe000, 0xffff, 3, true);
    assert_all(0x10000, 0x10ffff, 4, true);
}

static void overlong_forms_are_invalid(void **state) {
    (void)state;
    assert_all(0, 0x7f, 2, false);
    assert_all(0, 0x7ff, 3, false);
    assert_all(0, 0xffff, 4, false);
}

static void code_points_above_10ffff_are_invalid(void **state) {
    (void)state;
    assert_all(0x110000, 0x1fffff, 4, false);
    assert_false(utf8_is_valid(BYTES("\xf8\x88\x80\x80\x80")));
    assert_false(utf8_is_valid(BYTES("\xfc\x84\x80\x80\x80\x80")));
    assert_false(utf8_is_valid(BYTES("\xfe")));
    assert_false(utf8_is_valid(BYTES("\xff")));
}

static void stray_continuation_bytes_are_invalid(void **state) {
    (void)state;
    char text[4];
    for (int byte = 0x80; byte < 0xc0; byte++)
        assert_false(utf8_is_valid((struct bytes){encode(text, (uint32_t)byte, 1).data, 1}));
    assert_false(utf8_is_valid(BYTES("\xc3\xa9\xa9")));
}

/* At each place of a sequence, both neighbours of the range of continuation bytes. */
static void each_byte_of_a_sequence_must_continue_it(void **state) {
    (void)state;
    static const uint32_t codes[] = {0x80, 0x7ff, 0x800, 0xffff, 0x10000, 0x10ffff};
    for (size_t n = 0; n < sizeof codes / sizeof codes[0]; n++) {
        for (size_t place = 1; place < proper_len(codes[n]); place++) {
            char text[4];
            struct bytes bytes = encode(text, codes[n], proper_len(codes[n]));
            text[place] = 0x7f;
            assert_false(utf8_is_valid(bytes));
            text[place] = (char)0xc0;
            assert_false(utf8_is_valid(bytes));
        }
    }
}

/*
 * Around the steps of 32 and of eight bytes at a time: a sequence behind any number of ASCII bytes, whole and cut short,
 * with ASCII behind it.
 */
static void sequences_are_seen_at_any_place_among_ascii(void **state) {
    (void)state;
    static const uint32_t codes[] = {0xe9, 0x20ac, 0x1f600};
    char text[110];
    for (size_t n = 0; n < sizeof codes / sizeof codes[0]; n++) {
        size_t len = proper_len(codes[n]);
        for (size_t before = 0; before < 72; before++) {
            memset(text, 'a', sizeof text);
            encode(text + before, codes[n], len);
            assert_true(utf8_is_valid((struct bytes){text, sizeof text}));
            assert_true(utf8_is_valid((struct bytes){text, before + len}));
            for (size_t cut = 1; cut < len; cut++) {
                assert_false(utf8_is_valid((struct bytes){text, before + cut}));
                memset(text + before + cut, 'a', len - cut);
                assert_false(utf8_is_valid((struct bytes){text, sizeof text}));
                encode(text + before, codes[n], len);
            }
        }
    }
}

/* Every text, cut at every place into two pieces, must be judged like the whole. */
static void test_a_stream_judges_pieces_like_the_whole(void **state) {
    static const char *const texts[] = {"",
                                        "plain",
                                        "h\xc3\xa4llo",
                                        "\xe2\x82\xac",
                                        "\xf0\x9f\x98\x80x",
                                        "a\xf4\x8f\xbf\xbf",
                                        "\xc3",
                                        "\xe2\x82",
                                        "\xf0\x9f\x98",
                                        "\xc0\x80",
                                        "\xed\xa0\x80",
                                        "\xf4\x90\x80\x80",
                                        "\x80",
                                        "a\xffz",
                                        "\xc3(",
                                        "\xe2\x28\xa1",
                                        "\xf0\x28\x8c\x28",
                                        "\xe2\x82\xac\xe2",
                                        "\xf5\x80",
                                        "\xc3\xa4\xbf",
                                        "12345678\xc3",
                                        "xyzxyzxy\xc3\xa4zzzzzzzz"};
    (void)state;
    for (size_t n = 0; n < sizeof texts / sizeof texts[0]; n++) {
        struct bytes text = bytes_of(texts[n]);
        for (size_t cut = 0; cut <= text.len; cut++) {
            struct utf8_stream stream = {.pending_len = 0};
            bool valid = utf8_stream_feed(&stream, (struct bytes){text.data, cut}) &&
                         utf8_stream_feed(&stream, bytes_skip(text, cut)) && utf8_stream_is_complete(&stream);
            assert_int_equal(valid, utf8_is_valid(text));
        }
    }
}

static void test_a_stream_takes_single_bytes(void **state) {
    struct bytes text = BYTES("z\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80");
    struct utf8_stream stream = {.pending_len = 0};
    (void)state;
    for (size_t n = 0; n < text.len; n++)
        assert_true(utf8_stream_feed(&stream, (struct bytes){text.data + n, 1}));
    assert_true(utf8_stream_is_complete(&stream));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_valid),
        cmocka_unit_test(every_code_point_but_surrogates_is_valid),
        cmocka_unit_test(overlong_forms_are_invalid),
        cmocka_unit_test(code_points_above_10ffff_are_invalid),
        cmocka_unit_test(stray_continuation_bytes_are_invalid),
        cmocka_unit_test(each_byte_of_a_sequence_must_continue_it),
        cmocka_unit_test(sequences_are_seen_at_any_place_among_ascii),
        cmocka_unit_test(test_a_stream_judges_pieces_like_the_whole),
        cmocka_unit_test(test_a_stream_takes_single_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
