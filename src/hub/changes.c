/* Batches changes into calls, and answers those who wait; see changes.h. */
#include "changes.h"

#include <limits.h>
#include <stdlib.h>

#include "stompd/base/log.h"

#define NO_WORKER UINT_MAX

/* What the hub's own put weighs besides its message: the errand, the change, a message's other parts. */
#define PUT_OVERHEAD 512

struct change_call {
    struct queues_call call; /* first: the row knows only this */
    struct changes *changes;
    struct list_node errands;
    size_t count;
    size_t operations;
    uint64_t bytes;
};

static void log_lost(const char *what) {
    static struct log_limit limit;
    log_limited(&limit, LOG_LEVEL_ERROR, "out of memory: %s", what);
}

void changes_init(struct changes *changes, struct queue_store *store, struct queues_calls *calls,
                  struct queues_table *table, struct mail_batch *outgoing, struct queues_counters *counters) {
    *changes =
        (struct changes){.store = store, .calls = calls, .table = table, .outgoing = outgoing, .counters = counters};
    list_init(&changes->waiting);
    list_init(&changes->put_off);
}

/* ---- errands ---- */

static struct errand *errand_new(struct change *change) {
    struct errand *errand = calloc(1, sizeof *errand + change->count * sizeof(struct queue *));
    if (!errand)
        return NULL;
    list_init(&errand->in_list);
    errand->change = change;
    errand->worker = NO_WORKER;
    return errand;
}

static void errand_free(struct changes *changes, struct errand *errand) {
    for (uint32_t n = 0; n < errand->change->count; n++)
        if (errand->queues[n])
            queue_unref(errand->queues[n]);
    changes->own_bytes -= errand->own_bytes;
    change_free(errand->change);
    free(errand->reply);
    free(errand);
}

static void free_all(struct changes *changes, struct list_node *errands) {
    LIST_FOR_EACH (node, errands)
        errand_free(changes, CONTAINER_OF(node, struct errand, in_list));
}

void changes_free(struct changes *changes) {
    free_all(changes, &changes->waiting);
    free_all(changes, &changes->put_off);
    free(changes->queues);
    free((void *)changes->policies);
}

static void reply(struct changes *changes, struct mail_changed *mail, unsigned worker, enum change_result result) {
    mail->result = result;
    mail_batch_add(&changes->outgoing[worker], &mail->mail);
}

/* Made before it is needed: a result must not be lost. */
static struct mail_changed *reply_new(struct pending *pending) {
    struct mail_changed *mail = malloc(sizeof *mail);
    if (mail)
        *mail = (struct mail_changed){.mail.type = MAIL_CHANGED, .pending = pending};
    return mail;
}

struct errand *changes_errand(struct changes *changes, struct change *change, unsigned worker) {
    struct mail_changed *mail = change->pending ? reply_new(change->pending) : NULL;
    struct errand *errand = mail || !change->pending ? errand_new(change) : NULL;
    if (errand) {
        errand->worker = worker;
        errand->reply = mail;
        return errand;
    }
    log_lost("what a client wants done in queues is not done");
    if (mail)
        reply(changes, mail, worker, CHANGE_FAILED);
    change_free(change);
    return NULL;
}

void changes_add(struct changes *changes, struct errand *errand) {
    changes->count++;
    list_append(&changes->waiting, &errand->in_list);
}

/* ---- the hub's own ---- */

static struct errand *own_errand(const struct operation *operation) {
    struct change *change = change_new();
    struct errand *errand = change && change_add(change, operation) ? errand_new(change) : NULL;
    if (errand)
        return errand;
    if (change)
        change->count = 0; /* the message stays the caller's */
    change_free(change);
    return NULL;
}

void changes_return(struct changes *changes, struct queue *queue, const struct entry *entry) {
    struct errand *errand = own_errand(&(struct operation){.kind = OPERATION_RETURN, .entry = *entry});
    if (!errand) {
        log_lost("messages of a queue are delivered to nobody until this node ends");
        return;
    }
    errand->rest = true;
    errand->queues[0] = queue_ref(queue);
    changes_add(changes, errand);
}

bool changes_have_room(const struct changes *changes, size_t size) {
    return changes->own_bytes == 0 || changes->own_bytes + size + PUT_OVERHEAD <= QUEUES_PUT_MAX;
}

bool changes_put(struct changes *changes, struct message *message, uint64_t lifetime_ms) {
    struct operation put = {.kind = OPERATION_PUT, .message = message, .lifetime_ms = lifetime_ms};
    size_t size = message_size(message);
    struct errand *errand = changes_have_room(changes, size) ? own_errand(&put) : NULL;
    if (!errand)
        return false;
    message_ref(message);
    errand->own_bytes = size + PUT_OVERHEAD;
    changes->own_bytes += errand->own_bytes;
    changes_add(changes, errand);
    return true;
}

/* ---- results ---- */

static void count_operations(struct changes *changes, const struct change *change, bool done) {
    struct queues_counters *counters = changes->counters;
    for (uint32_t n = 0; n < change->count; n++) {
        switch (change->operations[n].kind) {
        case OPERATION_PUT:
            counters->put += done;
            counters->refused += !done;
            break;
        case OPERATION_SETTLE:
            counters->settled += done;
            break;
        case OPERATION_RETURN:
            counters->returned += done;
            break;
        case OPERATION_REJECT:
            counters->rejected += done;
            break;
        }
    }
}

/* What a consumer had, but a transaction has not settled, is to be delivered again. */
static void turn_back(struct operation *operation) {
    operation->counted = operation->kind != OPERATION_RETURN || operation->counted;
    operation->kind = OPERATION_RETURN;
}

/* The change loses what it would have put, and what is of no known queue. */
static void keep_rest(struct errand *errand) {
    struct change *change = errand->change;
    uint32_t kept = 0;
    for (uint32_t n = 0; n < change->count; n++) {
        struct operation operation = change->operations[n];
        if (operation.message)
            message_unref(operation.message);
        if (!errand->queues[n])
            continue;
        if (change->together)
            turn_back(&operation);
        errand->queues[kept] = errand->queues[n];
        change->operations[kept++] = operation;
    }
    change->count = kept;
}

static void put_off(struct changes *changes, struct errand *errand) {
    list_append(&changes->put_off, &errand->in_list);
}

static void go_on(struct changes *changes, struct errand *errand) {
    bool at_once = errand->change->together;
    keep_rest(errand);
    errand->rest = true;
    errand->change->together = false;
    if (errand->change->count == 0)
        errand_free(changes, errand);
    else if (at_once)
        changes_add(changes, errand);
    else
        put_off(changes, errand);
}

static void end(struct changes *changes, struct errand *errand, enum change_result result) {
    list_remove(&errand->in_list);
    count_operations(changes, errand->change, result == CHANGE_DONE);
    if (errand->reply)
        reply(changes, errand->reply, errand->worker, result);
    errand->reply = NULL;
    if (result == CHANGE_DONE)
        errand_free(changes, errand);
    else if (errand->rest)
        put_off(changes, errand);
    else
        go_on(changes, errand);
}

void changes_refuse(struct changes *changes, struct errand *errand) {
    end(changes, errand, CHANGE_FAILED);
}

/* ---- calls ---- */

static void free_call(struct queues_call *base) {
    struct change_call *call = (struct change_call *)base;
    free_all(call->changes, &call->errands);
    free(call);
}

static void on_changed(struct queues_call *base, struct queue_answer *answer) {
    struct change_call *call = (struct change_call *)base;
    struct changes *changes = call->changes;
    size_t n = 0;
    changes->under_way--;
    LIST_FOR_EACH (node, &call->errands) {
        changes->count--;
        end(changes, CONTAINER_OF(node, struct errand, in_list),
            answer->result == QUEUE_OK ? answer->changes[n] : CHANGE_FAILED);
        n++;
    }
    free(call);
}

/* Names the queue of operation n, which is number `at` of the call. */
static void describe(struct changes *changes, const struct errand *errand, uint32_t n, size_t at) {
    struct queue *queue = errand->queues[n];
    struct bytes name = queue ? queue_name(queue) : message_key(errand->change->operations[n].message);
    changes->queues[at] = name;
    if (queue)
        changes->policies[at] = queue->policy;
    else if (at > 0 && bytes_equal(name, changes->queues[at - 1]))
        changes->policies[at] = changes->policies[at - 1];
    else
        changes->policies[at] = queues_table_policy(changes->table, name);
}

static void make(struct queues_call *base, uint64_t answered) {
    struct change_call *call = (struct change_call *)base;
    struct changes *changes = call->changes;
    struct queue_change list[QUEUE_CHANGES_MAX];
    size_t count = 0;
    size_t at = 0;
    LIST_FOR_EACH (node, &call->errands) {
        const struct errand *errand = CONTAINER_OF(node, struct errand, in_list);
        list[count++] = (struct queue_change){errand->change, changes->queues + at, changes->policies + at};
        for (uint32_t n = 0; n < errand->change->count; n++)
            describe(changes, errand, n, at++);
    }
    changes->store->ops->change(changes->store, list, count, base->number, answered, queues_call_answer(base));
}

static bool fits(const struct change_call *call, const struct change *change) {
    return call->count == 0 ||
           (call->count < QUEUE_CHANGES_MAX && call->operations + change->count <= CHANGES_CALL_OPERATIONS &&
            call->bytes + change->cost <= CHANGES_CALL_BYTES);
}

static void collect(struct change_call *call) {
    LIST_FOR_EACH (node, &call->changes->waiting) {
        struct errand *errand = CONTAINER_OF(node, struct errand, in_list);
        if (!fits(call, errand->change))
            break;
        list_remove(node);
        list_append(&call->errands, node);
        call->count++;
        call->operations += errand->change->count;
        call->bytes += errand->change->cost;
    }
}

/* For all that a call may hold, so that calls can be made again without memory. */
static bool reserve(struct changes *changes, size_t operations) {
    if (operations <= changes->capacity)
        return true;
    struct bytes *queues = realloc(changes->queues, operations * sizeof *queues);
    if (!queues)
        return false;
    changes->queues = queues;
    const struct queue_policy **policies =
        realloc((void *)changes->policies, operations * sizeof(struct queue_policy *));
    if (!policies)
        return false;
    changes->policies = policies;
    changes->capacity = operations;
    return true;
}

static bool reserve_for_first(struct changes *changes) {
    const struct errand *first = CONTAINER_OF(changes->waiting.next, struct errand, in_list);
    size_t operations = first->change->count;
    return reserve(changes, operations > CHANGES_CALL_OPERATIONS ? operations : CHANGES_CALL_OPERATIONS);
}

/* False: out of memory, so the changes go on waiting. */
static bool make_call(struct changes *changes) {
    struct change_call *call = reserve_for_first(changes) ? calloc(1, sizeof *call) : NULL;
    if (!call)
        return false;
    *call = (struct change_call){.call = {.make = make, .over = on_changed, .free = free_call}, .changes = changes};
    list_init(&call->errands);
    collect(call);
    changes->under_way++;
    queues_calls_make(changes->calls, &call->call);
    return true;
}

bool changes_flush(struct changes *changes) {
    bool made = false;
    while (!list_is_empty(&changes->waiting) && changes->under_way < QUEUES_CALLS_MAX &&
           queues_calls_are_open(changes->calls) && make_call(changes))
        made = true;
    return made;
}

void changes_tick(struct changes *changes, uint64_t now_ms) {
    struct list_node *node;
    if (list_is_empty(&changes->put_off)) {
        changes->again_ms = now_ms + CHANGES_PUT_OFF_MS;
        return;
    }
    if (now_ms < changes->again_ms)
        return;
    changes->again_ms = now_ms + CHANGES_PUT_OFF_MS;
    while ((node = list_take_first(&changes->put_off)) != NULL)
        changes_add(changes, CONTAINER_OF(node, struct errand, in_list));
}
