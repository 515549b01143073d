/* The outbox: order, byte count, layout, the ring's growth and what it keeps. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "stompd/session/outbox.h"
#include "stompd/stomp/writer.h"

#define OWNER  1
#define OWNERS 2

static struct message *receipt(const char *id) {
    struct stomp_header header = {BYTES("receipt-id"), bytes_of(id)};
    struct message *message = stomp_write_control(OWNERS, "RECEIPT", &header, 1, BYTES(""), STOMP_1_2);
    assert_non_null(message);
    return message;
}

/* Pushes a RECEIPT whose only holder is the outbox. */
static void push(struct outbox *outbox, unsigned number) {
    char id[16];
    snprintf(id, sizeof id, "%u", number);
    struct message *message = receipt(id);
    assert_true(outbox_push(outbox, &(struct outbox_entry){.message = message}));
    message_unref(message);
}

static void assert_front(const struct outbox *outbox, const char *expected) {
    const struct outbox_entry *entry = outbox_front(outbox);
    assert_non_null(entry);
    size_t size = entry->size;
    assert_int_equal(outbox_entry_size(outbox, entry), size);
    char *text = malloc(size);
    assert_non_null(text);
    assert_ptr_equal(outbox_entry_write(outbox, entry, text), text + size);
    assert_int_equal(size, strlen(expected) + 1);
    assert_memory_equal(text, expected, size);
    free(text);
}

static void pop_receipt(struct outbox *outbox, unsigned number) {
    char expected[64];
    snprintf(expected, sizeof expected, "RECEIPT\nreceipt-id:%u\n\n", number);
    assert_front(outbox, expected);
    outbox_pop(outbox);
}

static struct subscription *subscription(const char *id) {
    struct bytes bytes = bytes_of(id);
    struct subscription *subscription = subscription_new(NULL, &bytes, BYTES("/topic/a"), ACK_AUTO, STOMP_1_2);
    assert_non_null(subscription);
    return subscription;
}

static struct message *publication(const char *body, const struct stomp_header *header) {
    struct stomp_publication what = {.destination = BYTES("/topic/a"),
                                     .message_id = BYTES("m"),
                                     .headers = header,
                                     .header_count = header ? 1 : 0,
                                     .body = bytes_of(body),
                                     .key = BYTES("/topic/a")};
    struct message *message = stomp_write_message(OWNERS, &what);
    assert_non_null(message);
    return message;
}

static void test_entries_leave_in_order_across_the_end_of_the_ring_and_its_growth(void **state) {
    (void)state;
    struct outbox outbox;
    unsigned pushed = 0;
    unsigned popped = 0;
    outbox_init(&outbox, OWNER);
    for (int round = 0; round < 40; round++) {
        for (int n = 0; n < 3; n++)
            push(&outbox, pushed++);
        for (int n = 0; n < 2; n++)
            pop_receipt(&outbox, popped++);
    }
    assert_int_equal(outbox.count, pushed - popped);
    while (popped < pushed)
        pop_receipt(&outbox, popped++);
    assert_null(outbox_front(&outbox));
    outbox_free(&outbox);
}

static void test_bytes_are_those_of_the_frames_that_wait(void **state) {
    (void)state;
    struct outbox outbox;
    outbox_init(&outbox, OWNER);
    push(&outbox, 7);
    assert_int_equal(outbox.bytes, sizeof "RECEIPT\nreceipt-id:7\n\n");
    push(&outbox, 10);
    assert_int_equal(outbox.bytes, sizeof "RECEIPT\nreceipt-id:7\n\n" + sizeof "RECEIPT\nreceipt-id:10\n\n");
    outbox_pop(&outbox);
    assert_int_equal(outbox.bytes, sizeof "RECEIPT\nreceipt-id:10\n\n");
    outbox_pop(&outbox);
    assert_int_equal(outbox.bytes, 0);
    outbox_free(&outbox);
}

static void test_a_message_is_laid_out_behind_its_subscription_and_ack_for_the_version(void **state) {
    (void)state;
    struct outbox outbox;
    struct stomp_header colon = {BYTES("k"), BYTES("a:b")};
    struct subscription *to = subscription("s:1");
    struct message *message = publication("hi", &colon);
    outbox_init(&outbox, OWNER);
    outbox.version = STOMP_1_2;
    struct outbox_entry entry = {.message = message, .subscription = to, .ack = UINT64_MAX};
    assert_true(outbox_push(&outbox, &entry));
    assert_front(&outbox, "MESSAGE\nsubscription:s\\c1\nack:18446744073709551615\ndestination:/topic/a\nmessage-id:m\n"
                          "k:a\\cb\ncontent-length:2\n\nhi");
    outbox_pop(&outbox);
    outbox.version = STOMP_1_0;
    entry.ack = 0;
    assert_true(outbox_push(&outbox, &entry));
    assert_front(&outbox,
                 "MESSAGE\nsubscription:s\\c1\ndestination:/topic/a\nmessage-id:m\nk:a:b\ncontent-length:2\n\nhi");
    outbox_free(&outbox);
    message_unref(message);
    subscription_free(to);
}

static void test_each_entry_holds_one_local_reference(void **state) {
    (void)state;
    struct outbox outbox;
    struct message *message = receipt("r");
    outbox_init(&outbox, OWNER);
    assert_true(outbox_push(&outbox, &(struct outbox_entry){.message = message}));
    assert_true(outbox_push(&outbox, &(struct outbox_entry){.message = message}));
    assert_int_equal(message->local[OWNER], 2);
    assert_int_equal(message->local[0], 0);
    outbox_pop(&outbox);
    assert_int_equal(message->local[OWNER], 1);
    outbox_free(&outbox);
    assert_int_equal(message->local[OWNER], 0);
    assert_int_equal(outbox.bytes, 0);
    assert_null(outbox_front(&outbox));
    message_unref(message);
}

static void test_a_drained_outbox_keeps_a_small_ring_only(void **state) {
    (void)state;
    struct outbox outbox;
    outbox_init(&outbox, OWNER);
    push(&outbox, 0);
    outbox_pop(&outbox);
    assert_in_range(outbox.capacity, 1, 8);
    for (unsigned n = 0; n < 100; n++)
        push(&outbox, n);
    for (unsigned n = 0; n < 100; n++)
        outbox_pop(&outbox);
    assert_int_equal(outbox.capacity, 0);
    push(&outbox, 1);
    pop_receipt(&outbox, 1);
    outbox_free(&outbox);
}

static void test_dropping_a_subscription_leaves_the_others_frames_in_order(void **state) {
    (void)state;
    struct outbox outbox;
    struct subscription *dropped = subscription("a");
    struct subscription *kept = subscription("b");
    struct message *message = publication("x", NULL);
    outbox_init(&outbox, OWNER);
    outbox.version = STOMP_1_2;
    for (unsigned n = 0; n < 3; n++) /* so that what follows lies across the ring's end */
        push(&outbox, n);
    for (unsigned n = 0; n < 3; n++)
        outbox_pop(&outbox);
    push(&outbox, 1);
    assert_true(outbox_push(&outbox, &(struct outbox_entry){.message = message, .subscription = dropped, .ack = 1}));
    assert_true(outbox_push(&outbox, &(struct outbox_entry){.message = message, .subscription = kept}));
    assert_true(outbox_push(&outbox, &(struct outbox_entry){.message = message, .subscription = dropped, .ack = 20}));
    uint64_t others = outbox_entry_size(&outbox, outbox_front(&outbox)) +
                      outbox_entry_size(&outbox, &(struct outbox_entry){.message = message, .subscription = kept});
    outbox_drop_subscription(&outbox, dropped);
    assert_int_equal(outbox.count, 2);
    assert_int_equal(outbox.bytes, others);
    assert_int_equal(message->local[OWNER], 1);
    push(&outbox, 2);
    pop_receipt(&outbox, 1);
    assert_front(&outbox, "MESSAGE\nsubscription:b\ndestination:/topic/a\nmessage-id:m\ncontent-length:1\n\nx");
    outbox_pop(&outbox);
    pop_receipt(&outbox, 2);
    outbox_free(&outbox);
    message_unref(message);
    subscription_free(dropped);
    subscription_free(kept);
}

static void test_dropping_all_gives_a_large_ring_back(void **state) {
    (void)state;
    struct outbox outbox;
    struct subscription *dropped = subscription("a");
    struct message *message = publication("x", NULL);
    outbox_init(&outbox, OWNER);
    for (unsigned n = 0; n < 100; n++)
        assert_true(outbox_push(&outbox, &(struct outbox_entry){.message = message, .subscription = dropped}));
    outbox_drop_subscription(&outbox, dropped);
    assert_int_equal(outbox.capacity, 0);
    assert_int_equal(outbox.bytes, 0);
    outbox_free(&outbox);
    message_unref(message);
    subscription_free(dropped);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_entries_leave_in_order_across_the_end_of_the_ring_and_its_growth),
        cmocka_unit_test(test_bytes_are_those_of_the_frames_that_wait),
        cmocka_unit_test(test_a_message_is_laid_out_behind_its_subscription_and_ack_for_the_version),
        cmocka_unit_test(test_each_entry_holds_one_local_reference),
        cmocka_unit_test(test_a_drained_outbox_keeps_a_small_ring_only),
        cmocka_unit_test(test_dropping_a_subscription_leaves_the_others_frames_in_order),
        cmocka_unit_test(test_dropping_all_gives_a_large_ring_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
