/* The row of calls; see queues_calls.h. */
#include "queues_calls.h"

void queues_calls_init(struct queues_calls *calls, bool up) {
    *calls = (struct queues_calls){.up = up};
    list_init(&calls->row);
}

void queues_calls_free(struct queues_calls *calls) {
    struct list_node *node;
    while ((node = list_take_first(&calls->row)) != NULL) {
        struct queues_call *call = CONTAINER_OF(node, struct queues_call, in_row);
        call->free(call);
    }
}

void queues_calls_up(struct queues_calls *calls) {
    calls->up = true;
    calls->paused = false;
}

void queues_calls_down(struct queues_calls *calls) {
    calls->up = false;
}

void queues_calls_tick(struct queues_calls *calls) {
    calls->paused = false;
}

static struct queues_call *first_of(const struct queues_calls *calls) {
    return CONTAINER_OF(calls->row.next, struct queues_call, in_row);
}

static void make(struct queues_calls *calls, struct queues_call *call) {
    calls->under_way++;
    call->make(call, first_of(calls)->number);
}

bool queues_calls_make_again(struct queues_calls *calls) {
    if (!calls->up || calls->paused || calls->under_way > 0 || calls->in_row == 0)
        return false;
    LIST_FOR_EACH (node, &calls->row)
        make(calls, CONTAINER_OF(node, struct queues_call, in_row));
    return true;
}

bool queues_calls_are_open(const struct queues_calls *calls) {
    return calls->up && calls->under_way == calls->in_row;
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
