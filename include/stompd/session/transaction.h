/*
 * A session's open transactions (1.2, "BEGIN", "COMMIT", "ABORT"): the messages that its SENDs have built, kept until
 * COMMIT publishes them in order, and the change that its SENDs, ACKs and NACKs want in queues, which the store takes
 * first, as a whole.
 */
#ifndef STOMPD_SESSION_TRANSACTION_H
#define STOMPD_SESSION_TRANSACTION_H

#include <stdint.h>

#include "stompd/base/list.h"
#include "stompd/session/change.h"

struct transaction {
    struct list_node in_session;
    struct change *change;     /* in queues; NULL: none */
    struct message **messages; /* for topics and users; one reference each */
    uint32_t message_count;
    uint32_t message_capacity;
    uint32_t frames; /* SEND, ACK and NACK */
    uint64_t bytes;  /* of all messages, those of the change too */
    uint32_t name_len;
    char name[];
};

/* All that one session has open. */
struct transactions {
    struct list_node open;
    uint32_t count;
    uint64_t bytes;
};

/* None open. */
void transactions_init(struct transactions *transactions);

/* The open transaction with that name, or NULL. */
struct transaction *transactions_find(const struct transactions *transactions, struct bytes name);

/* Opens one whose name is not open. NULL when out of memory. */
MUST_CHECK struct transaction *transactions_begin(struct transactions *transactions, struct bytes name);

/* Keeps a message until the end; takes over the reference on success. False when out of memory. */
MUST_CHECK bool transaction_add(struct transactions *transactions, struct transaction *transaction,
                                struct message *message);

/*
 * Keeps an operation in queues until the end; takes over the reference of its message on success. False when out of
 * memory.
 */
MUST_CHECK bool transaction_change(struct transactions *transactions, struct transaction *transaction,
                                   const struct operation *operation);

/* It is open no more, and the caller's to free. */
void transaction_close(struct transactions *transactions, struct transaction *transaction);

/* A closed one, with what it holds. NULL is allowed. */
void transaction_free(struct transaction *transaction);

/* Drops the transaction and what it holds. */
void transaction_end(struct transactions *transactions, struct transaction *transaction);

/* Drops all. */
void transactions_end(struct transactions *transactions);

#endif
