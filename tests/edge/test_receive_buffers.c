/* Receive buffers are pages that cost nothing before something is written to them, and nothing after they are cleared. */
#define _DEFAULT_SOURCE /* mincore() */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../src/edge/receive_buffers.h"

#define MOST 3

/* As libwebsockets asks for them: with its own room before and behind. */
#define ASKED (RECEIVE_BUFFER_SIZE + 20)

static char *take(size_t size) {
    char *block = receive_buffers_allocate(NULL, size, "rx_ubuf");
    assert_non_null(block);
    return block;
}

static void give_back(char *block) {
    assert_null(receive_buffers_allocate(block, 0, NULL));
}

/* Of the pages that the buffer is on. */
static unsigned resident_pages(char *buffer) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    unsigned char pages[ASKED / 4096 + 2];
    unsigned resident = 0;
    assert_int_equal((uintptr_t)buffer % page, 0);
    assert_int_equal(mincore(buffer, ASKED, pages), 0);
    for (size_t n = 0; n * page < ASKED; n++)
        resident += pages[n] & 1;
    return resident;
}

static void test_a_buffer_costs_only_the_pages_that_are_written(void **state) {
    char *buffer = take(ASKED);
    (void)state;
    assert_int_equal(resident_pages(buffer), 0);
    buffer[16] = 'x';
    assert_int_equal(resident_pages(buffer), 1);
    give_back(buffer);
}

static void test_a_cleared_buffer_costs_nothing_and_can_be_written_again(void **state) {
    char *buffer = take(ASKED);
    (void)state;
    memset(buffer, 'x', ASKED);
    receive_buffer_clear(buffer + 16);
    assert_int_equal(resident_pages(buffer), 0);
    buffer[ASKED - 1] = 'y';
    assert_int_equal(buffer[ASKED - 1], 'y');
    assert_int_equal(buffer[0], 0);
    give_back(buffer);
}

static void test_buffers_do_not_overlap(void **state) {
    char *buffers[MOST];
    (void)state;
    for (int n = 0; n < MOST; n++)
        memset(buffers[n] = take(ASKED), 'a' + n, ASKED);
    for (int n = 0; n < MOST; n++)
        for (size_t byte = 0; byte < ASKED; byte++)
            assert_int_equal(buffers[n][byte], 'a' + n);
    for (int n = 0; n < MOST; n++)
        give_back(buffers[n]);
}

static void test_a_returned_buffer_is_taken_again_and_costs_nothing_in_between(void **state) {
    char *buffer = take(ASKED);
    (void)state;
    memset(buffer, 'x', ASKED);
    give_back(buffer);
    char *again = take(ASKED);
    assert_ptr_equal(again, buffer);
    assert_int_equal(resident_pages(again), 0);
    give_back(again);
}

static void test_beyond_what_was_reserved_the_heap_serves(void **state) {
    char *buffers[MOST + 1];
    (void)state;
    for (int n = 0; n <= MOST; n++)
        buffers[n] = take(ASKED);
    memset(buffers[MOST], 'x', ASKED);
    receive_buffer_clear(buffers[MOST]); /* none of ours: stays */
    assert_int_equal(buffers[MOST][0], 'x');
    for (int n = 0; n <= MOST; n++)
        give_back(buffers[n]);
}

static void test_other_sizes_are_the_heaps_and_a_buffer_that_grows_moves_there(void **state) {
    char *small = take(100);
    char *buffer = take(ASKED);
    (void)state;
    memset(small, 's', 100);
    small = receive_buffers_allocate(small, ASKED, "grown");
    assert_non_null(small);
    assert_int_equal(small[99], 's');
    memset(buffer, 'b', ASKED);
    assert_ptr_equal(receive_buffers_allocate(buffer, ASKED - 1, "shrunk"), buffer);
    char *grown = receive_buffers_allocate(buffer, (size_t)4 * ASKED, "grown");
    assert_non_null(grown);
    assert_ptr_not_equal(grown, buffer);
    assert_int_equal(grown[ASKED - 1], 'b');
    char *again = take(ASKED);
    assert_ptr_equal(again, buffer);
    give_back(small);
    give_back(grown);
    give_back(again);
    assert_null(receive_buffers_allocate(NULL, 0, NULL));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_buffer_costs_only_the_pages_that_are_written),
        cmocka_unit_test(test_a_cleared_buffer_costs_nothing_and_can_be_written_again),
        cmocka_unit_test(test_buffers_do_not_overlap),
        cmocka_unit_test(test_a_returned_buffer_is_taken_again_and_costs_nothing_in_between),
        cmocka_unit_test(test_beyond_what_was_reserved_the_heap_serves),
        cmocka_unit_test(test_other_sizes_are_the_heaps_and_a_buffer_that_grows_moves_there),
    };
    receive_buffers_open(MOST);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
