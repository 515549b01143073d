/*
 * A queue store that only records what is asked of it, and answers when and what the test says: the oldest call first.
 */
#ifndef TESTS_HUB_SCRIPTED_QUEUES_H
#define TESTS_HUB_SCRIPTED_QUEUES_H

#include "stompd/base/buffer.h"
#include "stompd/base/list.h"
#include "stompd/store/queue_store.h"

struct recorded_call {
    struct list_node in_list;
    struct queue_call told;
    bool take;
    uint64_t number;
    uint64_t answered;
    size_t count;                      /* changes, or wants; none of bindings */
    const struct queue_policy *policy; /* of the last operation, or the last want */
    /*
     * "take q:a 10, q:b 5", or the changes: "put q:a | settle q:a 7, reject q:a 8 | together: return q:b 9". Entries are
     * told by their n alone; a return that is not counted is "uncounted q:b 9". Or "bind d:a/1 /topic/a", "unbind d:a/1",
     * "look 7": bindings(), acting by version 7; "recover".
     */
    struct buffer text;
};

struct scripted_queues {
    struct queue_store store; /* first: the ops get it */
    struct list_node calls;
    size_t waiting; /* for an answer */
    size_t made;    /* since the beginning */
    size_t prompt;  /* so many calls are answered by a turn: everything done, nothing found */
    struct queue_counts counts;
};

void scripted_queues_init(struct scripted_queues *scripted);
/* Answers nothing more. */
void scripted_queues_free(struct scripted_queues *scripted);

/* The oldest call without an answer; fails when there is none. */
const struct recorded_call *scripted_queues_first(const struct scripted_queues *scripted);

/* Answers the oldest call. */
void scripted_queues_answer(struct scripted_queues *scripted, struct queue_answer *answer);
/* QUEUE_OK: all changes of it are done, or no entry is there. */
void scripted_queues_done(struct scripted_queues *scripted);
/* QUEUE_OK of one change. */
void scripted_queues_result(struct scripted_queues *scripted, enum change_result result);
void scripted_queues_fail(struct scripted_queues *scripted, enum queue_result result);
/* Never answers the oldest call. */
void scripted_queues_lose(struct scripted_queues *scripted);
/* The same as fail for all that there are. */
void scripted_queues_fail_all(struct scripted_queues *scripted, enum queue_result result);

#endif
