/*
 * Private to memory_queues.c: which queues are bound to which topics, on a node that is alone. There is one boot, so
 * whatever it acts by, all do.
 */
#ifndef STORE_MEMORY_BINDINGS_H
#define STORE_MEMORY_BINDINGS_H

#include "stompd/base/map.h"
#include "stompd/store/queue_store.h"

struct memory_bindings {
    struct map by_queue;
    uint64_t version;           /* 0: there was none yet */
    uint64_t acting;            /* what the boot acts by */
    struct queue_binding *list; /* scratch: all of them */
    size_t capacity;
};

void memory_bindings_init(struct memory_bindings *bindings);
void memory_bindings_free(struct memory_bindings *bindings);

/* What a binding takes in memory. */
uint64_t memory_bindings_cost(struct bytes queue, struct bytes topic);

/* The topic that the queue is bound to; empty: it is not bound. Borrowed. */
struct bytes memory_bindings_topic(const struct memory_bindings *bindings, struct bytes queue);

/* A queue that is not bound. False when out of memory. */
MUST_CHECK bool memory_bindings_add(struct memory_bindings *bindings, struct bytes queue, struct bytes topic);
/* One that is. */
void memory_bindings_remove(struct memory_bindings *bindings, struct bytes queue);

/* Fills in how bindings are now. */
void memory_bindings_tell(const struct memory_bindings *bindings, struct queue_answer *answer);
/* And all of them, unless nothing has changed since what the boot acts by. False when out of memory. */
MUST_CHECK bool memory_bindings_list(struct memory_bindings *bindings, struct queue_answer *answer);

#endif
