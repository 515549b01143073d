/* The row of calls; see queues_calls.h. */
#include "queues_calls.h"

#include <assert.h>

void queues_calls_init(struct queues_calls *calls, struct queue_store *store, bool up) {
    *calls = (struct queues_calls){.store = store, .up = up};
    list_init(&calls->row);
}

void queues_calls_free(struct queues_calls *calls) {
    struct list_node *node;
    while ((node = list_take_first(&calls->row)) != NULL) {
        struct queues_call *call = CONTAINER_OF(node, struct queues_call, in_row);
        call->free(call);
    }
}

static void give_up_waiting(struct queues_calls *calls) {
    LIST_FOR_EACH (node, &calls->row)
        CONTAINER_OF(node, struct queues_call, in_row)->under_way = false;
    calls->under_way = 0;
}

void queues_calls_up(struct queues_calls *calls, bool other) {
    if (calls->was_down)
        give_up_waiting(calls);
    calls->up = true;
    calls->was_down = false;
    calls->paused = false;
    calls->recover = calls->recover || (other && calls->store->ops->recover);
}

void queues_calls_down(struct queues_calls *calls) {
    calls->up = false;
    calls->was_down = true;
}

void queues_calls_tick(struct queues_calls *calls, uint64_t now_ms) {
    calls->now_ms = now_ms;
    calls->paused = false;
    if (calls->recover_again_ms == 0 || now_ms < calls->recover_again_ms)
        return;
    calls->recover_again_ms = 0;
    calls->recover = true;
}

static struct queues_call *first_of(const struct queues_calls *calls) {
    return CONTAINER_OF(calls->row.next, struct queues_call, in_row);
}

static void make(struct queues_calls *calls, struct queues_call *call) {
    calls->under_way++;
    call->under_way = true;
    call->make(call, first_of(calls)->number);
}

/* A server that refuses it may do the rest: nobody is to wait for long. */
static void on_recovered(void *arg, struct queue_answer *answer) {
    struct queues_calls *calls = arg;
    assert(calls->under_way > 0);
    calls->under_way--;
    calls->paused = answer->result == QUEUE_AWAY || answer->result == QUEUE_GONE;
    calls->recover = calls->paused || answer->result == QUEUE_MORE;
    if (answer->result == QUEUE_FAILED)
        calls->recover_again_ms = calls->now_ms + QUEUES_RECOVER_AGAIN_MS;
}

static bool recover(struct queues_calls *calls) {
    if (!calls->recover)
        return false;
    calls->under_way++;
    calls->store->ops->recover(calls->store, (struct queue_call){on_recovered, calls});
    return true;
}

bool queues_calls_make_again(struct queues_calls *calls) {
    if (!calls->up || calls->paused || calls->under_way > 0)
        return false;
    if (calls->in_row == 0)
        return recover(calls);
    LIST_FOR_EACH (node, &calls->row)
        make(calls, CONTAINER_OF(node, struct queues_call, in_row));
    return true;
}

bool queues_calls_are_open(const struct queues_calls *calls) {
    return calls->up && !calls->recover && calls->under_way == calls->in_row;
}

void queues_calls_make(struct queues_calls *calls, struct queues_call *call) {
    call->calls = calls;
    call->number = ++calls->made;
    list_init(&call->in_row);
    list_append(&calls->row, &call->in_row);
    calls->in_row++;
    make(calls, call);
}

static void on_answer(void *arg, struct queue_answer *answer) {
    struct queues_call *call = arg;
    struct queues_calls *calls = call->calls;
    assert(call->under_way);
    call->under_way = false;
    calls->under_way--;
    if (answer->result == QUEUE_AWAY || answer->result == QUEUE_GONE) {
        calls->paused = true;
        return;
    }
    list_remove(&call->in_row);
    calls->in_row--;
    call->over(call, answer);
}

struct queue_call queues_call_answer(struct queues_call *call) {
    return (struct queue_call){on_answer, call};
}
