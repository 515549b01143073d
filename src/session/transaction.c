/* Transactions: messages that wait for COMMIT. */
#include "stompd/session/transaction.h"

#include <stdlib.h>
#include <string.h>

void transactions_init(struct transactions *transactions) {
    *transactions = (struct transactions){0};
    list_init(&transactions->open);
}

struct transaction *transactions_find(const struct transactions *transactions, struct bytes name) {
    LIST_FOR_EACH (node, &transactions->open) {
        struct transaction *transaction = CONTAINER_OF(node, struct transaction, in_session);
        if (bytes_equal((struct bytes){transaction->name, transaction->name_len}, name))
            return transaction;
    }
    return NULL;
}

struct transaction *transactions_begin(struct transactions *transactions, struct bytes name) {
    struct transaction *transaction = calloc(1, sizeof *transaction + name.len);
    if (!transaction)
        return NULL;
    transaction->name_len = (uint32_t)name.len;
    if (name.len > 0)
        memcpy(transaction->name, name.data, name.len);
    list_append(&transactions->open, &transaction->in_session);
    transactions->count++;
    return transaction;
}

bool transaction_add(struct transactions *transactions, struct transaction *transaction, struct message *message) {
    if (transaction->message_count == transaction->message_capacity) {
        uint32_t capacity = transaction->message_capacity ? transaction->message_capacity * 2 : 4;
        struct message **messages = realloc(transaction->messages, capacity * sizeof(struct message *));
        if (!messages)
            return false;
        transaction->messages = messages;
        transaction->message_capacity = capacity;
    }
    transaction->messages[transaction->message_count++] = message;
    transaction->bytes += message_size(message);
    transactions->bytes += message_size(message);
    return true;
}

bool transaction_change(struct transactions *transactions, struct transaction *transaction,
                        const struct operation *operation) {
    if (!transaction->change && !(transaction->change = change_new()))
        return false;
    uint64_t cost = transaction->change->cost;
    if (!change_add(transaction->change, operation))
        return false;
    cost = transaction->change->cost - cost;
    transaction->change->together = true;
    transaction->bytes += cost;
    transactions->bytes += cost;
    return true;
}

void transaction_close(struct transactions *transactions, struct transaction *transaction) {
    list_remove(&transaction->in_session);
    transactions->count--;
    transactions->bytes -= transaction->bytes;
}

void transaction_free(struct transaction *transaction) {
    if (!transaction)
        return;
    for (uint32_t n = 0; n < transaction->message_count; n++)
        message_unref(transaction->messages[n]);
    change_free(transaction->change);
    free(transaction->messages);
    free(transaction);
}

void transaction_end(struct transactions *transactions, struct transaction *transaction) {
    transaction_close(transactions, transaction);
    transaction_free(transaction);
}

void transactions_end(struct transactions *transactions) {
    LIST_FOR_EACH (node, &transactions->open)
        transaction_end(transactions, CONTAINER_OF(node, struct transaction, in_session));
}
