/*
 * Who was given what: finds what was lost, came twice or came out of order. Of two kinds. Where every receiver is to get
 * every message of a publisher, each pair of them has a stream: the next number that is due, and which of the last 256
 * have been seen. Where a message is for one receiver alone, each publisher has a bit for each of its messages.
 */
#ifndef BENCH_LEDGER_H
#define BENCH_LEDGER_H

#include <stdint.h>

#include "stompd/base/compiler.h"

#include <stdbool.h>

#define LEDGER_SEEN 256 /* what comes further behind counts as come twice: it can't be told, and a loss stays one */

struct ledger_stream {
    uint64_t next;    /* above all that have come */
    uint64_t missing; /* below `next`, not come yet */
    uint64_t seen[LEDGER_SEEN / 64];
};

struct ledger {
    unsigned publishers;
    unsigned receivers;
    struct ledger_stream *streams; /* publishers × receivers; NULL: a message is for one of them */
    struct ledger_set {
        uint64_t *bits;
        uint64_t capacity; /* in bits */
    } * sets;              /* one a publisher */
    uint64_t *next;        /* publishers × receivers: above the last that came there */
    uint64_t received;     /* each counted once */
    uint64_t duplicates;
    uint64_t reordered; /* came, for the first time, behind a later one of the same publisher */
};

/* Every receiver is to get every message. */
void ledger_init_all(struct ledger *ledger, unsigned publishers, unsigned receivers);

/* Every message is for one receiver. */
void ledger_init_one(struct ledger *ledger, unsigned publishers, unsigned receivers);

void ledger_free(struct ledger *ledger);

/* True: it came there for the first time. */
MUST_CHECK bool ledger_take(struct ledger *ledger, unsigned publisher, unsigned receiver, uint64_t number);

#endif
