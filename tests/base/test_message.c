#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <pthread.h>

#include "stompd/base/message.h"

static struct message *new_message(unsigned owners, size_t size) {
    struct message *message = message_new(owners, size);
    assert_non_null(message);
    return message;
}

static void new_message_has_one_reference_and_nothing_laid_in(void **state) {
    (void)state;
    struct message *message = new_message(3, 10);
    assert_int_equal(message->refs, 1);
    assert_int_equal(message->owners, 3);
    for (unsigned n = 0; n < 3; n++)
        assert_int_equal(message->local[n], 0);
    assert_false(message->text);
    assert_int_equal(message_key(message).len, 0);
    assert_int_equal(message_only(message).len, 0);
    assert_int_equal(message_size(message), 0);
    message_unref(message);
}

/* The sanitizers and valgrind see it when the room for the bytes is too small or meets the local slots. */
static void room_for_the_bytes_lies_behind_the_local_slots(void **state) {
    (void)state;
    for (unsigned owners = 0; owners <= 5; owners++) {
        struct message *message = new_message(owners, 100);
        assert_ptr_equal(message_data(message), &message->local[owners]);
        memset(message_data(message), 0xff, 100);
        for (unsigned n = 0; n < owners; n++)
            assert_int_equal(message->local[n], 0);
        message_unref(message);
    }
}

static void size_beyond_32_bits_is_refused(void **state) {
    (void)state;
    assert_null(message_new(1, UINT32_MAX));
    assert_null(message_new(1, SIZE_MAX));
    assert_null(message_new(UINT16_MAX + 1, 1));
}

static uint32_t lay(struct message *message, char **to, struct bytes bytes) {
    memcpy(*to, bytes.data, bytes.len);
    uint32_t offset = (uint32_t)(*to - (char *)message);
    *to += bytes.len;
    return offset;
}

static void parts_are_found_where_the_builder_laid_them(void **state) {
    (void)state;
    struct message *message = new_message(2, 64);
    char *to = message_data(message);
    message->key_offset = lay(message, &to, BYTES("/topic/a"));
    message->key_len = 8;
    message->only_offset = lay(message, &to, BYTES("node-1"));
    message->only_len = 6;
    message->head_offset[0] = lay(message, &to, BYTES("head"));
    message->head_len[0] = 4;
    message->head_offset[1] = message->head_offset[2] = lay(message, &to, BYTES("escaped"));
    message->head_len[1] = message->head_len[2] = 7;
    message->body_offset = lay(message, &to, BYTES("body\0"));
    message->body_len = 5;
    assert_true(bytes_equal(message_key(message), BYTES("/topic/a")));
    assert_true(bytes_equal(message_only(message), BYTES("node-1")));
    assert_true(bytes_equal(message_head(message, 0), BYTES("head")));
    assert_true(bytes_equal(message_head(message, 2), BYTES("escaped")));
    assert_true(bytes_equal(message_body(message), BYTES("body\0")));
    assert_int_equal(message_size(message), 12);
    message_unref(message);
}

static void fan_out_within_one_owner_takes_one_atomic_reference(void **state) {
    (void)state;
    struct message *message = new_message(2, 1);
    for (int n = 0; n < 1000; n++)
        message_ref_local(message, 1);
    assert_int_equal(message->refs, 2);
    assert_int_equal(message->local[1], 1000);
    message_ref_local(message, 0);
    assert_int_equal(message->refs, 3);
    for (int n = 0; n < 999; n++)
        message_unref_local(message, 1);
    assert_int_equal(message->refs, 3);
    message_unref_local(message, 1);
    assert_int_equal(message->refs, 2);
    message_ref_local(message, 1);
    assert_int_equal(message->refs, 3);
    message_unref_local(message, 1);
    message_unref(message);
    message_unref_local(message, 0); /* the last reference of any kind frees it */
}

/* ---- several owners ---- */

#define OWNERS 4
#define ROUNDS 20000

struct owner {
    pthread_t thread;
    struct message *message; /* one atomic reference, as if it came by mail */
    unsigned index;
};

/* Delivers to a few outboxes at a time, then gives the reference of the mail back and drains the last of them. */
static void *deliver(void *arg) {
    struct owner *owner = arg;
    for (int round = 0; round < ROUNDS; round++) {
        for (int n = 0; n < round % 4; n++)
            message_ref_local(owner->message, owner->index);
        for (int n = 0; n < round % 4; n++)
            message_unref_local(owner->message, owner->index);
    }
    message_ref_local(owner->message, owner->index);
    message_unref(owner->message);
    if (message_body(owner->message).data[0] == 'x')
        message_unref_local(owner->message, owner->index);
    return NULL;
}

static void start_owners(struct owner owners[OWNERS], struct message *message) {
    *message_data(message) = 'x';
    message->body_offset = (uint32_t)(message_data(message) - (char *)message);
    message->body_len = 1;
    for (unsigned n = 0; n < OWNERS; n++) {
        owners[n] = (struct owner){.message = message_ref(message), .index = n};
        assert_int_equal(pthread_create(&owners[n].thread, NULL, deliver, &owners[n]), 0);
    }
}

static void owners_on_several_threads_count_right(void **state) {
    (void)state;
    struct owner owners[OWNERS];
    struct message *message = new_message(OWNERS, 1);
    start_owners(owners, message);
    for (unsigned n = 0; n < OWNERS; n++)
        pthread_join(owners[n].thread, NULL);
    assert_int_equal(message->refs, 1);
    message_unref(message);
}

/*
 * The builder lets go while the others work; who frees the message, and whether that races, is for the sanitizers to
 * see.
 */
static void last_owner_frees_the_message_on_any_thread(void **state) {
    (void)state;
    struct owner owners[OWNERS];
    struct message *message = new_message(OWNERS, 1);
    start_owners(owners, message);
    message_unref(message);
    for (unsigned n = 0; n < OWNERS; n++)
        pthread_join(owners[n].thread, NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(new_message_has_one_reference_and_nothing_laid_in),
        cmocka_unit_test(room_for_the_bytes_lies_behind_the_local_slots),
        cmocka_unit_test(size_beyond_32_bits_is_refused),
        cmocka_unit_test(parts_are_found_where_the_builder_laid_them),
        cmocka_unit_test(fan_out_within_one_owner_takes_one_atomic_reference),
        cmocka_unit_test(owners_on_several_threads_count_right),
        cmocka_unit_test(last_owner_frees_the_message_on_any_thread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
