/* A subscription's texts and what it owns. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "stompd/session/subscription.h"

static void assert_text(struct bytes text, const char *expected) {
    assert_true(bytes_equal(text, bytes_of(expected)));
}

static void test_it_holds_copies_of_its_texts_and_the_start_of_its_messages(void **state) {
    (void)state;
    char id[] = "s:1";
    char destination[] = "/topic/a";
    struct bytes id_bytes = bytes_of(id);
    struct subscription *subscription = subscription_new(NULL, &id_bytes, bytes_of(destination), ACK_CLIENT, STOMP_1_1);
    assert_non_null(subscription);
    id[0] = destination[0] = '?';
    assert_text(subscription_id(subscription), "s:1");
    assert_text(subscription_destination(subscription), "/topic/a");
    assert_text(subscription_start(subscription), "MESSAGE\nsubscription:s\\c1\n");
    assert_true(subscription->has_id);
    assert_false(subscription->live);
    assert_int_equal(subscription->ack, ACK_CLIENT);
    subscription_free(subscription);
}

static void test_without_an_id_its_messages_name_no_subscription(void **state) {
    (void)state;
    struct subscription *subscription = subscription_new(NULL, NULL, BYTES("/topic/a"), ACK_AUTO, STOMP_1_0);
    assert_non_null(subscription);
    assert_false(subscription->has_id);
    assert_text(subscription_id(subscription), "");
    assert_text(subscription_destination(subscription), "/topic/a");
    assert_text(subscription_start(subscription), "MESSAGE\n");
    subscription_free(subscription);
}

static void test_an_empty_id_is_an_id(void **state) {
    (void)state;
    struct bytes empty = BYTES("");
    struct subscription *subscription = subscription_new(NULL, &empty, BYTES("/topic/a"), ACK_AUTO, STOMP_1_2);
    assert_non_null(subscription);
    assert_true(subscription->has_id);
    assert_text(subscription_start(subscription), "MESSAGE\nsubscription:\n");
    subscription_free(subscription);
}

static void test_free_drops_a_receipt_that_was_not_sent(void **state) {
    (void)state;
    struct bytes id = BYTES("0");
    struct subscription *subscription = subscription_new(NULL, &id, BYTES("/topic/a"), ACK_AUTO, STOMP_1_2);
    struct message *receipt = message_new(1, 1);
    assert_non_null(subscription);
    assert_non_null(receipt);
    subscription->receipt = message_ref(receipt);
    subscription_free(subscription);
    assert_int_equal(atomic_load(&receipt->refs), 1);
    message_unref(receipt);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_it_holds_copies_of_its_texts_and_the_start_of_its_messages),
        cmocka_unit_test(test_without_an_id_its_messages_name_no_subscription),
        cmocka_unit_test(test_an_empty_id_is_an_id),
        cmocka_unit_test(test_free_drops_a_receipt_that_was_not_sent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
