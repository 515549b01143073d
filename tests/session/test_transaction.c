/* Transactions: what is open, in what order, and who holds the messages. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "stompd/session/transaction.h"

/* A message that holds `size` bytes, of which the test keeps a reference. */
static struct message *message_of(uint32_t size) {
    struct message *message = message_new(1, size);
    assert_non_null(message);
    message->body_len = size;
    return message;
}

static struct transaction *begin(struct transactions *transactions, const char *name) {
    struct transaction *transaction = transactions_begin(transactions, bytes_of(name));
    assert_non_null(transaction);
    return transaction;
}

static void test_open_ones_are_found_by_their_exact_name(void **state) {
    (void)state;
    struct transactions transactions;
    transactions_init(&transactions);
    struct transaction *one = begin(&transactions, "tx");
    struct transaction *other = begin(&transactions, "tx1");
    struct transaction *empty = begin(&transactions, "");
    assert_ptr_equal(transactions_find(&transactions, BYTES("tx")), one);
    assert_ptr_equal(transactions_find(&transactions, BYTES("tx1")), other);
    assert_ptr_equal(transactions_find(&transactions, BYTES("")), empty);
    assert_null(transactions_find(&transactions, BYTES("TX")));
    assert_int_equal(transactions.count, 3);
    transaction_end(&transactions, one);
    assert_null(transactions_find(&transactions, BYTES("tx")));
    assert_int_equal(transactions.count, 2);
    transactions_end(&transactions);
    assert_int_equal(transactions.count, 0);
}

static void test_messages_are_kept_in_order_with_their_bytes(void **state) {
    (void)state;
    struct transactions transactions;
    struct message *messages[10];
    transactions_init(&transactions);
    struct transaction *transaction = begin(&transactions, "tx");
    struct transaction *other = begin(&transactions, "other");
    assert_true(transaction_add(&transactions, other, message_of(1000)));
    for (uint32_t n = 0; n < 10; n++) {
        messages[n] = message_of(n + 1);
        assert_true(transaction_add(&transactions, transaction, message_ref(messages[n])));
    }
    assert_int_equal(transaction->message_count, 10);
    for (uint32_t n = 0; n < 10; n++)
        assert_ptr_equal(transaction->messages[n], messages[n]);
    assert_int_equal(transaction->bytes, 55);
    assert_int_equal(transactions.bytes, 1055);
    transaction_end(&transactions, transaction);
    assert_int_equal(transactions.bytes, 1000);
    for (uint32_t n = 0; n < 10; n++) {
        assert_int_equal(atomic_load(&messages[n]->refs), 1);
        message_unref(messages[n]);
    }
    transactions_end(&transactions);
    assert_int_equal(transactions.bytes, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_open_ones_are_found_by_their_exact_name),
        cmocka_unit_test(test_messages_are_kept_in_order_with_their_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
