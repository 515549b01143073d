/* Searches within a word: what is found, and where its first is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "stompd/base/words.h"

/* Eight bytes that no search below looks for, but for one. */
static uint64_t with(size_t place, unsigned char byte) {
    char text[WORD_SIZE];
    memset(text, 'a', sizeof text);
    text[place] = (char)byte;
    return word_at(text);
}

static void assert_found(uint64_t found, bool expected, size_t place) {
    assert_int_equal(found != 0, expected);
    if (expected)
        assert_int_equal(word_first(found), place);
}

static void test_every_byte_is_found_at_every_place_and_no_other_is(void **state) {
    (void)state;
    for (unsigned byte = 0; byte <= UINT8_MAX; byte++) {
        for (size_t place = 0; place < WORD_SIZE; place++) {
            uint64_t word = with(place, (unsigned char)byte);
            assert_found(word_find(word, '\0'), byte == 0, place);
            assert_found(word_find(word, ':'), byte == ':', place);
            assert_found(word_find(word, '\x7f'), byte == 0x7f, place);
            assert_found(word_find_below(word, 0x20), byte < 0x20, place);
            assert_found(word_find_high(word), byte >= 0x80, place);
        }
    }
}

static void test_the_first_of_several_is_certain(void **state) {
    (void)state;
    for (size_t first = 0; first < WORD_SIZE; first++) {
        char text[WORD_SIZE];
        memset(text, ';', sizeof text); /* one above ':', which a hit before it makes look like one */
        memset(text + first, ':', sizeof text - first);
        assert_found(word_find(word_at(text), ':'), true, first);
        text[WORD_SIZE - 1] = '\n';
        assert_found(word_find(word_at(text), ':') | word_find_below(word_at(text), 0x20), true, first);
    }
}

static void test_a_word_may_begin_anywhere(void **state) {
    (void)state;
    static const char text[] = "0123456789abcdef";
    for (size_t start = 0; start <= WORD_SIZE; start++)
        assert_int_equal(word_at(text + start) & 0xff, text[start]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_byte_is_found_at_every_place_and_no_other_is),
        cmocka_unit_test(test_the_first_of_several_is_certain),
        cmocka_unit_test(test_a_word_may_begin_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
