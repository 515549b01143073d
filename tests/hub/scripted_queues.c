/* Records calls; see scripted_queues.h. */
#include "scripted_queues.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static struct recorded_call *record(struct queue_store *store, size_t count, uint64_t number, uint64_t answered,
                                    struct queue_call told) {
    struct scripted_queues *scripted = (struct scripted_queues *)store;
    struct recorded_call *call = calloc(1, sizeof *call);
    assert_non_null(call);
    *call = (struct recorded_call){.told = told, .number = number, .answered = answered, .count = count};
    list_init(&call->in_list);
    list_append(&scripted->calls, &call->in_list);
    scripted->waiting++;
    scripted->made++;
    return call;
}

static void PRINTF_LIKE(2, 3) add(struct recorded_call *call, const char *format, ...) {
    char text[256];
    va_list values;
    va_start(values, format);
    int len = vsnprintf(text, sizeof text, format, values);
    va_end(values);
    assert_in_range(len, 0, sizeof text - 1);
    assert_true(buffer_append(&call->text, text, (size_t)len));
}

static void end_text(struct recorded_call *call) {
    assert_true(buffer_append(&call->text, "", 1));
}

static void add_operation(struct recorded_call *call, const struct operation *operation, struct bytes queue) {
    static const char *const names[] = {
        [OPERATION_SETTLE] = "settle", [OPERATION_RETURN] = "return", [OPERATION_REJECT] = "reject"};
    bool uncounted = operation->kind == OPERATION_RETURN && !operation->counted;
    if (operation->kind == OPERATION_PUT)
        add(call, "put %.*s", BYTES_ARG(queue));
    else
        add(call, "%s %.*s %" PRIu64, uncounted ? "uncounted" : names[operation->kind], BYTES_ARG(queue),
            operation->entry.n);
}

static void change(struct queue_store *store, const struct queue_change *changes, size_t count, uint64_t number,
                   uint64_t answered, struct queue_call told) {
    struct recorded_call *call = record(store, count, number, answered, told);
    assert_in_range(count, 1, QUEUE_CHANGES_MAX);
    for (size_t n = 0; n < count; n++) {
        add(call, "%s%s", n > 0 ? " | " : "", changes[n].change->together ? "together: " : "");
        for (uint32_t i = 0; i < changes[n].change->count; i++) {
            add(call, "%s", i > 0 ? ", " : "");
            add_operation(call, &changes[n].change->operations[i], changes[n].queues[i]);
            call->policy = changes[n].policies[i];
        }
    }
    end_text(call);
}

static void take(struct queue_store *store, const struct queue_want *wants, size_t count, uint64_t number,
                 uint64_t answered, struct queue_call told) {
    struct recorded_call *call = record(store, count, number, answered, told);
    assert_in_range(count, 1, QUEUE_WANTS_MAX);
    call->take = true;
    for (size_t n = 0; n < count; n++) {
        add(call, "%s %.*s %" PRIu32, n > 0 ? "," : "take", BYTES_ARG(wants[n].queue), wants[n].messages);
        call->policy = wants[n].policy;
    }
    end_text(call);
}

static void recover(struct queue_store *store, struct queue_call told) {
    struct recorded_call *call = record(store, 0, 0, 0, told);
    add(call, "recover");
    end_text(call);
}

static void bind_queue(struct queue_store *store, struct bytes queue, struct bytes topic, struct queue_call told) {
    struct recorded_call *call = record(store, 0, 0, 0, told);
    add(call, "bind %.*s %.*s", BYTES_ARG(queue), BYTES_ARG(topic));
    end_text(call);
}

static void unbind_queue(struct queue_store *store, struct bytes queue, struct queue_call told) {
    struct recorded_call *call = record(store, 0, 0, 0, told);
    add(call, "unbind %.*s", BYTES_ARG(queue));
    end_text(call);
}

static void look(struct queue_store *store, uint64_t version, struct queue_call told) {
    struct recorded_call *call = record(store, 0, 0, 0, told);
    add(call, "look %" PRIu64, version);
    end_text(call);
}

static bool turn(struct queue_store *store) {
    struct scripted_queues *scripted = (struct scripted_queues *)store;
    for (size_t n = 0; n < scripted->prompt && scripted->waiting > 0; n++)
        scripted_queues_done(scripted);
    return scripted->prompt > 0 && scripted->waiting > 0;
}

static void count_all(const struct queue_store *store, struct queue_counts *counts) {
    *counts = ((const struct scripted_queues *)store)->counts;
}

static const struct queue_store_ops ops = {.change = change,
                                           .take = take,
                                           .recover = recover,
                                           .bind = bind_queue,
                                           .unbind = unbind_queue,
                                           .bindings = look,
                                           .turn = turn,
                                           .count = count_all};

void scripted_queues_init(struct scripted_queues *scripted) {
    *scripted = (struct scripted_queues){.store.ops = &ops};
    list_init(&scripted->calls);
}

static void call_free(struct recorded_call *call) {
    buffer_free(&call->text);
    free(call);
}

void scripted_queues_free(struct scripted_queues *scripted) {
    LIST_FOR_EACH (node, &scripted->calls)
        call_free(CONTAINER_OF(node, struct recorded_call, in_list));
    list_init(&scripted->calls);
}

const struct recorded_call *scripted_queues_first(const struct scripted_queues *scripted) {
    assert_false(list_is_empty(&scripted->calls));
    return CONTAINER_OF(scripted->calls.next, struct recorded_call, in_list);
}

void scripted_queues_answer(struct scripted_queues *scripted, struct queue_answer *answer) {
    struct recorded_call *call = CONTAINER_OF(list_take_first(&scripted->calls), struct recorded_call, in_list);
    struct queue_call told = call->told;
    if (answer->result == QUEUE_OK)
        assert_int_equal(answer->change_count, call->take ? 0 : call->count);
    scripted->waiting--;
    call_free(call);
    told.done(told.arg, answer);
    for (size_t n = 0; n < answer->entry_count; n++)
        if (answer->entries[n].message)
            message_unref(answer->entries[n].message);
}

void scripted_queues_done(struct scripted_queues *scripted) {
    enum change_result results[QUEUE_CHANGES_MAX] = {CHANGE_DONE};
    const struct recorded_call *call = scripted_queues_first(scripted);
    size_t count = call->take ? 0 : call->count;
    scripted_queues_answer(scripted, &(struct queue_answer){.changes = results, .change_count = count});
}

void scripted_queues_result(struct scripted_queues *scripted, enum change_result result) {
    assert_int_equal(scripted_queues_first(scripted)->count, 1);
    scripted_queues_answer(scripted, &(struct queue_answer){.changes = &result, .change_count = 1});
}

void scripted_queues_fail(struct scripted_queues *scripted, enum queue_result result) {
    assert_non_null(scripted_queues_first(scripted));
    scripted_queues_answer(scripted, &(struct queue_answer){.result = result});
}

void scripted_queues_lose(struct scripted_queues *scripted) {
    assert_non_null(scripted_queues_first(scripted));
    call_free(CONTAINER_OF(list_take_first(&scripted->calls), struct recorded_call, in_list));
    scripted->waiting--;
}

void scripted_queues_fail_all(struct scripted_queues *scripted, enum queue_result result) {
    while (scripted->waiting > 0)
        scripted_queues_fail(scripted, result);
}
