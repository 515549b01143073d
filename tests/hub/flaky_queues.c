/* Keeps what the store has answered until the hub says that it has got it; see flaky_queues.h. */
#include "flaky_queues.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

struct kept {
    struct list_node in_list;
    struct flaky_queues *flaky;
    uint64_t number;
    size_t asked; /* changes or wants */
    bool take;
    bool known; /* the store has answered */
    enum change_result changes[QUEUE_CHANGES_MAX];
    struct queue_entry *entries; /* each with a reference */
    size_t entry_count;
};

struct under_way {
    struct list_node in_list;
    uint64_t number;
    struct queue_call told;
    bool gone;
};

static struct kept *find(const struct flaky_queues *flaky, uint64_t number) {
    LIST_FOR_EACH (node, &flaky->kept) {
        struct kept *kept = CONTAINER_OF(node, struct kept, in_list);
        if (kept->number == number)
            return kept;
    }
    return NULL;
}

static void kept_free(struct kept *kept) {
    list_remove(&kept->in_list);
    for (size_t n = 0; n < kept->entry_count; n++)
        message_unref(kept->entries[n].message);
    free(kept->entries);
    free(kept);
}

static void forget_below(struct flaky_queues *flaky, uint64_t floor) {
    LIST_FOR_EACH (node, &flaky->kept)
        if (CONTAINER_OF(node, struct kept, in_list)->number < floor)
            kept_free(CONTAINER_OF(node, struct kept, in_list));
    flaky->floor = floor;
}

/* New ones count up; those made again keep to their old order, and come before anything new. */
static void check_numbers(struct flaky_queues *flaky, uint64_t number, uint64_t answered) {
    assert_in_range(answered, flaky->floor > 0 ? flaky->floor : 1, number);
    if (flaky->due_count > 0) {
        assert_int_equal(number, flaky->due[0]);
        flaky->due_count--;
        for (size_t n = 0; n < flaky->due_count; n++)
            flaky->due[n] = flaky->due[n + 1];
    } else {
        assert_int_equal(number, ++flaky->newest);
    }
    forget_below(flaky, answered);
}

/* Notes the call. The answer to be filled in by the store; NULL: it does not get it, or has had it before. */
static struct kept *note(struct flaky_queues *flaky, bool take, size_t count, uint64_t number, uint64_t answered,
                         struct queue_call told) {
    check_numbers(flaky, number, answered);
    struct kept *kept = find(flaky, number);
    struct under_way *call = calloc(1, sizeof *call);
    assert_non_null(call);
    *call = (struct under_way){.number = number, .told = told, .gone = flaky->gone};
    list_init(&call->in_list);
    list_append(&flaky->under_way, &call->in_list);
    if (kept)
        assert_true(kept->take == take && kept->asked == count);
    if (kept || flaky->broken || flaky->gone)
        return NULL;
    kept = calloc(1, sizeof *kept);
    assert_non_null(kept);
    *kept = (struct kept){.flaky = flaky, .number = number, .take = take, .asked = count};
    list_init(&kept->in_list);
    list_append(&flaky->kept, &kept->in_list);
    return kept;
}

static void on_answer(void *arg, struct queue_answer *answer) {
    struct kept *kept = arg;
    assert_int_equal(answer->result, QUEUE_OK);
    assert_int_equal(answer->change_count, kept->take ? 0 : kept->asked);
    for (size_t n = 0; n < answer->change_count; n++)
        kept->changes[n] = answer->changes[n];
    kept->entries = calloc(answer->entry_count + 1, sizeof *kept->entries);
    assert_non_null(kept->entries);
    for (size_t n = 0; n < answer->entry_count; n++) {
        kept->entries[n] = answer->entries[n];
        if (kept->entries[n].dead != DEAD_NOT) /* the answer's name is gone when ours is told */
            kept->entries[n].dead_from = BYTES("q:somewhere");
        answer->entries[n].message = NULL;
    }
    kept->entry_count = answer->entry_count;
    kept->known = true;
}

static void change(struct queue_store *store, const struct queue_change *changes, size_t count, uint64_t number,
                   uint64_t answered, struct queue_call told) {
    struct flaky_queues *flaky = (struct flaky_queues *)store;
    struct kept *kept = note(flaky, false, count, number, answered, told);
    if (kept)
        flaky->behind->ops->change(flaky->behind, changes, count, number, answered,
                                   (struct queue_call){on_answer, kept});
}

static void take(struct queue_store *store, const struct queue_want *wants, size_t count, uint64_t number,
                 uint64_t answered, struct queue_call told) {
    struct flaky_queues *flaky = (struct flaky_queues *)store;
    struct kept *kept = note(flaky, true, count, number, answered, told);
    if (kept)
        flaky->behind->ops->take(flaky->behind, wants, count, number, answered, (struct queue_call){on_answer, kept});
}

static bool turn(struct queue_store *store) {
    struct flaky_queues *flaky = (struct flaky_queues *)store;
    while (flaky->behind->ops->turn(flaky->behind)) {
    }
    return false;
}

static void count(const struct queue_store *store, struct queue_counts *counts) {
    const struct flaky_queues *flaky = (const struct flaky_queues *)store;
    flaky->behind->ops->count(flaky->behind, counts);
}

static const struct queue_store_ops ops = {.change = change, .take = take, .turn = turn, .count = count};

/* Words are lost with the link. */
static void on_ready(void *arg, struct bytes queue) {
    struct flaky_queues *flaky = arg;
    if (!flaky->broken)
        flaky->front.events->ready(flaky->front.arg, queue);
}

static const struct queue_events events = {.ready = on_ready};

void flaky_queues_init(struct flaky_queues *flaky, struct queue_store *behind) {
    *flaky = (struct flaky_queues){.front.ops = &ops, .behind = behind};
    behind->events = &events;
    behind->arg = flaky;
    list_init(&flaky->under_way);
    list_init(&flaky->kept);
}

void flaky_queues_free(struct flaky_queues *flaky) {
    struct list_node *node;
    forget_below(flaky, UINT64_MAX);
    while ((node = list_take_first(&flaky->under_way)) != NULL)
        free(CONTAINER_OF(node, struct under_way, in_list));
    flaky->behind->ops->free(flaky->behind);
}

static void tell(struct queue_call told, const struct kept *kept) {
    struct queue_entry *entries = calloc(kept->entry_count + 1, sizeof *entries);
    assert_non_null(entries);
    for (size_t n = 0; n < kept->entry_count; n++) {
        entries[n] = kept->entries[n];
        message_ref(entries[n].message);
    }
    told.done(told.arg, &(struct queue_answer){.changes = kept->changes,
                                               .change_count = kept->take ? 0 : kept->asked,
                                               .entries = entries,
                                               .entry_count = kept->entry_count});
    for (size_t n = 0; n < kept->entry_count; n++)
        if (entries[n].message)
            message_unref(entries[n].message);
    free(entries);
}

static void fail_first(struct flaky_queues *flaky, enum queue_result result) {
    struct under_way *call = CONTAINER_OF(list_take_first(&flaky->under_way), struct under_way, in_list);
    struct queue_call told = call->told;
    assert_in_range(flaky->due_count, 0, FLAKY_DUE_MAX - 1);
    flaky->due[flaky->due_count++] = call->number;
    free(call);
    told.done(told.arg, &(struct queue_answer){.result = result});
}

static void answer_first(struct flaky_queues *flaky) {
    struct under_way *call = CONTAINER_OF(flaky->under_way.next, struct under_way, in_list);
    struct kept *kept = find(flaky, call->number);
    struct queue_call told = call->told;
    if (call->gone) {
        fail_first(flaky, QUEUE_GONE);
        return;
    }
    assert_true(kept && kept->known);
    list_remove(&call->in_list);
    free(call);
    tell(told, kept);
}

bool flaky_queues_answer(struct flaky_queues *flaky, size_t count) {
    for (; count > 0 && !flaky->broken && !list_is_empty(&flaky->under_way); count--)
        answer_first(flaky);
    return !list_is_empty(&flaky->under_way);
}

void flaky_queues_break(struct flaky_queues *flaky) {
    flaky->broken = true;
}

void flaky_queues_mend(struct flaky_queues *flaky) {
    while (!list_is_empty(&flaky->under_way))
        fail_first(flaky, QUEUE_AWAY);
    flaky->broken = false;
}
