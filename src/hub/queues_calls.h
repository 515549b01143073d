/*
 * Private to hub/: the calls to the queue store in the one row of their numbers, those of change() and of take() alike. A
 * call stays in the row until it has an answer that ends it. One that was answered QUEUE_AWAY or QUEUE_GONE is made
 * again, with its number, when the store can be called: after queues_calls_up(), or at the next tick, since nobody tells
 * when the node's entry is back after QUEUE_GONE. Those are made in their old order and before anything new; and not
 * while others of the row are still under way, which may be to be made again too.
 *
 * When the server has become another one, recover() comes behind those, and before anything new.
 */
#ifndef STOMPD_HUB_QUEUES_CALLS_H
#define STOMPD_HUB_QUEUES_CALLS_H

#include "stompd/base/list.h"
#include "stompd/store/queue_store.h"

/* After so long a recovery that the server refused is tried again. */
#define QUEUES_RECOVER_AGAIN_MS 5000

struct queues_calls {
    struct queue_store *store; /* for recover() */
    struct list_node row;      /* struct queues_call without a final answer, by number */
    uint64_t made;             /* the last number given out */
    unsigned in_row;
    unsigned under_way; /* of these, those without any answer; and recover() */
    bool up;
    bool was_down;             /* since queues_calls_up() */
    bool paused;               /* what was called last could not be done; until the next tick */
    bool recover;              /* to be called, or under way */
    uint64_t now_ms;           /* of the last tick */
    uint64_t recover_again_ms; /* 0: not */
};

/* The front of a call. */
struct queues_call {
    struct list_node in_row;
    struct queues_calls *calls;
    uint64_t number;
    bool under_way; /* it has no answer yet */
    /* Calls the store, with queues_call_answer(). */
    void (*make)(struct queues_call *call, uint64_t answered);
    /* It is over: QUEUE_OK or QUEUE_FAILED. The call is out of the row, and the callee's to free. */
    void (*over)(struct queues_call *call, struct queue_answer *answer);
    /* It will not be over. */
    void (*free)(struct queues_call *call);
};

void queues_calls_init(struct queues_calls *calls, struct queue_store *store, bool up);
/* Frees the calls of the row. */
void queues_calls_free(struct queues_calls *calls);

/*
 * As queues_up() and queues_down(). What was called before the store was down, and has no answer when it is up, gets
 * none: that is as good as QUEUE_AWAY.
 */
void queues_calls_up(struct queues_calls *calls, bool other);
void queues_calls_down(struct queues_calls *calls);
void queues_calls_tick(struct queues_calls *calls, uint64_t now_ms);

/* Makes again what is to be made again, if now is the time. Returns whether there was anything. */
bool queues_calls_make_again(struct queues_calls *calls);

/* Whether anything new may be called. */
bool queues_calls_are_open(const struct queues_calls *calls);

/* Makes a call whose functions are filled in. Only while open. */
void queues_calls_make(struct queues_calls *calls, struct queues_call *call);

/* What `make` passes on to the store. */
struct queue_call queues_call_answer(struct queues_call *call);

#endif
