/*
 * A number that one thread writes and any other may read: what the daemon counts for operators. Only the writer adds,
 * so no locked instruction is needed, and on common machines it costs what a plain integer costs. Zero-initialised is 0.
 */
#ifndef STOMPD_BASE_COUNTER_H
#define STOMPD_BASE_COUNTER_H

#include <stdatomic.h>
#include <stdint.h>

struct counter {
    _Atomic uint64_t value;
};

/* Thread-safe. */
static inline uint64_t counter_read(const struct counter *counter) {
    return atomic_load_explicit(&counter->value, memory_order_relaxed);
}

/* The rest is for the writing thread alone. */
static inline void counter_set(struct counter *counter, uint64_t value) {
    atomic_store_explicit(&counter->value, value, memory_order_relaxed);
}

static inline void counter_add(struct counter *counter, uint64_t n) {
    counter_set(counter, counter_read(counter) + n);
}

static inline void counter_subtract(struct counter *counter, uint64_t n) {
    counter_set(counter, counter_read(counter) - n);
}

#endif
