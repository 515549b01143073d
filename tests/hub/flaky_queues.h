/*
 * A queue store behind a link that breaks: calls are carried out or lost, answers come late, in order, or never; what is
 * called again with its number is carried out once in all. Checks of every call that numbers follow the contract.
 */
#ifndef TESTS_HUB_FLAKY_QUEUES_H
#define TESTS_HUB_FLAKY_QUEUES_H

#include "stompd/base/list.h"
#include "stompd/store/queue_store.h"

#define FLAKY_DUE_MAX 32

struct flaky_queues {
    struct queue_store front;   /* first: the ops get it */
    struct queue_store *behind; /* the store itself, owned */
    struct list_node under_way; /* calls without an answer, oldest first */
    struct list_node kept;      /* answers, by number */
    uint64_t newest;            /* number */
    uint64_t floor;
    uint64_t due[FLAKY_DUE_MAX]; /* numbers to be called again */
    size_t due_count;
    bool broken; /* nothing is carried out, nothing is answered */
    bool gone;   /* what is called now is answered QUEUE_GONE */
};

/* Takes the store over. */
void flaky_queues_init(struct flaky_queues *flaky, struct queue_store *behind);
void flaky_queues_free(struct flaky_queues *flaky);

/* Answers up to `count` of the oldest calls. Returns whether there are more. */
bool flaky_queues_answer(struct flaky_queues *flaky, size_t count);

/* From now on calls are lost; then all without an answer are answered QUEUE_AWAY, and the link is good again. */
void flaky_queues_break(struct flaky_queues *flaky);
void flaky_queues_mend(struct flaky_queues *flaky);

#endif
