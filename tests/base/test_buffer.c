#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "stompd/base/buffer.h"

static void zeroed_buffer_is_empty_and_owns_nothing(void **state) {
    (void)state;
    struct buffer buffer = {0};
    assert_true(buffer_append(&buffer, NULL, 0));
    buffer_consume(&buffer, 0);
    assert_null(buffer.data);
    assert_int_equal(buffer_bytes(&buffer).len, 0);
}

static void appended_bytes_are_copied_in_order(void **state) {
    (void)state;
    struct buffer buffer = {0};
    char part[3] = {'a', '\0', 'b'};
    for (size_t n = 0; n < 100; n++) {
        part[2] = (char)n;
        assert_true(buffer_append(&buffer, part, sizeof part));
    }
    assert_int_equal(buffer.len, 300);
    for (size_t n = 0; n < 100; n++) {
        part[2] = (char)n;
        assert_memory_equal(buffer.data + n * 3, part, sizeof part);
    }
    buffer_free(&buffer);
}

static void reserved_room_is_used_without_moving(void **state) {
    (void)state;
    struct buffer buffer = {0};
    assert_true(buffer_append(&buffer, "head", 4));
    assert_true(buffer_reserve(&buffer, 1000));
    assert_true(buffer.capacity >= 1004);
    assert_int_equal(buffer.len, 4);
    assert_memory_equal(buffer.data, "head", 4);
    const char *before = buffer.data;
    for (int n = 0; n < 1000; n++)
        assert_true(buffer_append(&buffer, "x", 1));
    assert_ptr_equal(buffer.data, before);
    buffer_free(&buffer);
}

static void growing_byte_by_byte_takes_few_allocations(void **state) {
    (void)state;
    struct buffer buffer = {0};
    int grown = 0;
    for (int n = 0; n < 100000; n++) {
        size_t before = buffer.capacity;
        assert_true(buffer_append(&buffer, "x", 1));
        grown += buffer.capacity != before;
    }
    assert_in_range(grown, 1, 17);
    buffer_free(&buffer);
}

static void size_beyond_the_address_space_is_refused_and_changes_nothing(void **state) {
    (void)state;
    struct buffer buffer = {0};
    assert_true(buffer_append(&buffer, "kept", 4));
    assert_false(buffer_reserve(&buffer, SIZE_MAX));
    assert_false(buffer_reserve(&buffer, SIZE_MAX - 3));
    assert_int_equal(buffer.len, 4);
    assert_memory_equal(buffer.data, "kept", 4);
    buffer_free(&buffer);
}

static void consuming_moves_the_rest_to_the_front(void **state) {
    (void)state;
    struct buffer buffer = {0};
    assert_true(buffer_append(&buffer, "0123456789", 10));
    buffer_consume(&buffer, 3);
    assert_int_equal(buffer.len, 7);
    assert_memory_equal(buffer.data, "3456789", 7);
    buffer_consume(&buffer, 7);
    assert_int_equal(buffer.len, 0);
    buffer_free(&buffer);
}

static void freed_buffer_is_empty_and_usable(void **state) {
    (void)state;
    struct buffer buffer = {0};
    assert_true(buffer_append(&buffer, "old", 3));
    buffer_free(&buffer);
    assert_int_equal(buffer.capacity, 0);
    assert_true(buffer_append(&buffer, "new", 3));
    assert_true(bytes_equal(buffer_bytes(&buffer), BYTES("new")));
    buffer_free(&buffer);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zeroed_buffer_is_empty_and_owns_nothing),
        cmocka_unit_test(appended_bytes_are_copied_in_order),
        cmocka_unit_test(reserved_room_is_used_without_moving),
        cmocka_unit_test(growing_byte_by_byte_takes_few_allocations),
        cmocka_unit_test(size_beyond_the_address_space_is_refused_and_changes_nothing),
        cmocka_unit_test(consuming_moves_the_rest_to_the_front),
        cmocka_unit_test(freed_buffer_is_empty_and_usable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
