/* The queue store of a fake_store: calls become commands, and what they come back with is told. */
#include "fake_queues.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "fake_command.h"
#include "stompd/route/queue_name.h"
#include "stompd/store/payload.h"

struct fake_queue_store {
    struct queue_store front;
    struct store *store;
    const char *boot;
    unsigned owners;
    bool over;
    uint64_t last_number;
    uint64_t carried_out;
    struct queue_counts counts;
};

static struct fake_queue_store *of(struct queue_store *front) {
    return CONTAINER_OF(front, struct fake_queue_store, front);
}

/* ---- what is called ---- */

/* A queue can't be its own dead-letter queue. */
static struct fake_target target_of(struct bytes queue, const struct queue_policy *policy) {
    struct fake_target target = {.queue = fake_copy(queue), .policy = *policy};
    if (policy->dead_letter)
        target.dead = fake_copy(bytes_of(policy->dead_letter));
    else
        assert_true(queue_name_of_dead_letters(&target.dead, queue));
    if (fake_is(&target.dead, queue))
        target.dead.len = 0;
    target.policy.dead_letter = NULL;
    return target;
}

static void write_operation(const struct fake_queue_store *queues, struct fake_operation *to,
                            const struct operation *operation) {
    struct payload_origin origin = {.type = PAYLOAD_STORED, .boot = bytes_of(queues->boot)};
    to->kind = operation->kind;
    to->counted = operation->counted;
    to->lifetime_ms = operation->lifetime_ms;
    to->entry = operation->entry;
    if (operation->kind == OPERATION_PUT)
        assert_true(payload_write_message(&to->payload, &origin, operation->message));
}

static void write_change(const struct fake_queue_store *queues, struct fake_change *to,
                         const struct queue_change *change) {
    to->together = change->change->together;
    to->count = change->change->count;
    to->operations = calloc(to->count + 1, sizeof *to->operations);
    assert_non_null(to->operations);
    for (size_t n = 0; n < to->count; n++) {
        to->operations[n].target = target_of(change->queues[n], change->policies[n]);
        write_operation(queues, &to->operations[n], &change->change->operations[n]);
    }
}

/* A number is the next, or one that was called before. */
static struct fake_queue_call *begin(struct fake_queue_store *queues, enum fake_queue_kind kind, uint64_t number,
                                     uint64_t answered, struct queue_call told) {
    struct fake_queue_call *call = fake_queue_call_new(queues, kind, told);
    assert_in_range(number, 1, queues->last_number + 1);
    assert_in_range(answered, 1, number);
    if (number > queues->last_number)
        queues->last_number = number;
    call->number = number;
    call->answered = answered;
    return call;
}

static void say(struct fake_queue_store *queues, struct fake_queue_call *call) {
    struct fake_command *command = fake_command_new(FAKE_QUEUES);
    command->queues = call;
    fake_store_say(queues->store, command);
}

static void change(struct queue_store *front, const struct queue_change *changes, size_t count, uint64_t number,
                   uint64_t answered, struct queue_call told) {
    struct fake_queue_store *queues = of(front);
    struct fake_queue_call *call = begin(queues, FAKE_CHANGE, number, answered, told);
    assert_in_range(count, 1, QUEUE_CHANGES_MAX);
    call->changes = calloc(count, sizeof *call->changes);
    assert_non_null(call->changes);
    for (size_t n = 0; n < count; n++)
        write_change(queues, &call->changes[call->change_count++], &changes[n]);
    say(queues, call);
}

static void take(struct queue_store *front, const struct queue_want *wants, size_t count, uint64_t number,
                 uint64_t answered, struct queue_call told) {
    struct fake_queue_store *queues = of(front);
    struct fake_queue_call *call = begin(queues, FAKE_TAKE, number, answered, told);
    assert_in_range(count, 1, QUEUE_WANTS_MAX);
    call->wants = calloc(count, sizeof *call->wants);
    assert_non_null(call->wants);
    for (size_t n = 0; n < count; n++) {
        assert_true(wants[n].messages > 0);
        call->wants[call->want_count++] =
            (struct fake_want){target_of(wants[n].queue, wants[n].policy), wants[n].messages};
    }
    say(queues, call);
}

static void recover(struct queue_store *front, struct queue_call told) {
    say(of(front), fake_queue_call_new(of(front), FAKE_RECOVER, told));
}

static void say_binding(struct queue_store *front, enum fake_queue_kind kind, struct bytes queue, struct bytes topic,
                        struct queue_call told) {
    struct fake_queue_call *call = fake_queue_call_new(of(front), kind, told);
    call->binding = (struct fake_bound){fake_copy(queue), fake_copy(topic)};
    say(of(front), call);
}

static void bind_queue(struct queue_store *front, struct bytes queue, struct bytes topic, struct queue_call told) {
    say_binding(front, FAKE_BIND, queue, topic, told);
}

static void unbind_queue(struct queue_store *front, struct bytes queue, struct queue_call told) {
    say_binding(front, FAKE_UNBIND, queue, BYTES(""), told);
}

static void look(struct queue_store *front, uint64_t version, struct queue_call told) {
    struct fake_queue_call *call = fake_queue_call_new(of(front), FAKE_LOOK, told);
    call->acting = version;
    say(of(front), call);
}

/* ---- what is told ---- */

static void read_taken(const struct fake_queue_store *queues, const struct fake_taken *taken,
                       struct queue_entry *entry) {
    const char *why = "";
    *entry = (struct queue_entry){.want = taken->want,
                                  .entry = taken->entry,
                                  .deliveries = taken->deliveries,
                                  .dead = taken->dead,
                                  .dead_from = buffer_bytes(&taken->dead_from)};
    entry->message = payload_read_message(buffer_bytes(&taken->payload), queues->owners, &why);
    if (!entry->message)
        fail_msg("%s", why);
}

static void tell_done(struct fake_queue_store *queues, const struct fake_queue_call *call) {
    const struct fake_answer *from = &call->answer;
    struct queue_entry *entries = calloc(from->taken_count + 1, sizeof *entries);
    struct queue_binding *bindings = calloc(from->bound_count + 1, sizeof *bindings);
    assert_true(entries && bindings);
    for (size_t n = 0; n < from->bound_count; n++)
        bindings[n] = (struct queue_binding){buffer_bytes(&from->bound[n].queue), buffer_bytes(&from->bound[n].topic)};
    for (size_t n = 0; n < from->taken_count; n++)
        read_taken(queues, &from->taken[n], &entries[n]);
    struct queue_answer answer = {.result = from->result,
                                  .changes = from->results,
                                  .change_count = from->result_count,
                                  .entries = entries,
                                  .entry_count = from->taken_count,
                                  .life = from->life,
                                  .version = from->version,
                                  .everywhere = from->everywhere,
                                  .bindings = bindings,
                                  .binding_count = from->bound_count,
                                  .complete = from->complete};
    call->told.done(call->told.arg, &answer);
    for (size_t n = 0; n < from->taken_count; n++)
        if (entries[n].message)
            message_unref(entries[n].message);
    free(entries);
    free(bindings);
}

static void tell_ready(const struct fake_queue_store *queues, const struct buffer *ready) {
    for (size_t at = 0; at < ready->len; at += strlen(ready->data + at) + 1)
        if (!queues->over)
            queues->front.events->ready(queues->front.arg, bytes_of(ready->data + at));
}

static void add_counts(struct queue_counts *counts, const struct queue_counts *more) {
    counts->expired += more->expired;
    counts->dropped += more->dropped;
    counts->dead += more->dead;
}

void fake_queue_store_tell(struct fake_queue_call *call, bool away) {
    struct fake_queue_store *queues = call->store;
    if (!call->told.done || queues->over)
        return;
    if (away) {
        call->told.done(call->told.arg, &(struct queue_answer){.result = QUEUE_AWAY});
        return;
    }
    assert_false(call->answer.late); /* somebody waits for it, so nobody can have known the answer */
    add_counts(&queues->counts, &call->answer.counts);
    tell_done(queues, call);
    tell_ready(queues, &call->answer.ready);
}

/* ---- the rest of the contract ---- */

/* Answers come with the link's. */
static bool turn(struct queue_store *front) {
    (void)front;
    return false;
}

static void count(const struct queue_store *front, struct queue_counts *counts) {
    *counts = CONTAINER_OF(front, const struct fake_queue_store, front)->counts;
}

static void end(struct queue_store *front) {
    of(front)->over = true;
}

static const struct queue_store_ops ops = {.change = change,
                                           .take = take,
                                           .recover = recover,
                                           .bind = bind_queue,
                                           .unbind = unbind_queue,
                                           .bindings = look,
                                           .turn = turn,
                                           .count = count,
                                           .free = end};

struct fake_queue_store *fake_queue_store_new(struct store *store, const char *boot, unsigned owners,
                                              const struct queue_events *events, void *arg) {
    struct fake_queue_store *queues = calloc(1, sizeof *queues);
    assert_non_null(queues);
    queues->front = (struct queue_store){&ops, events, arg};
    queues->store = store;
    queues->boot = boot;
    queues->owners = owners;
    return queues;
}

void fake_queue_store_free(struct fake_queue_store *queues) {
    free(queues);
}

struct queue_store *fake_queue_store_front(struct fake_queue_store *queues) {
    return &queues->front;
}

uint64_t *fake_queue_store_carried_out(struct fake_queue_store *queues) {
    return &queues->carried_out;
}
