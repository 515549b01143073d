/*
 * The rules of queues, in lists that are searched from the front. The operations of a change are carried out one by one;
 * should one of them fail, all queues are made again as they were.
 */
#include "fake_queues.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "fake_command.h"
#include "stompd/store/payload.h"

/* What an entry counts beside its payload. */
#define OVERHEAD 64

/* What a boot has been answered, of a take without the messages. */
struct kept {
    struct list_node in_calls;
    uint64_t number;
    struct fake_answer answer;
};

/* A call that is carried out. */
struct work {
    struct fake_server *server;
    struct bytes node;
    struct bytes boot; /* for whom */
    struct bytes by;   /* who publishes words */
    bool going;        /* the node is: it is not woken itself */
    struct fake_answer *answer;
};

/* ---- entries ---- */

static struct fake_entry *entry_at(struct list_node *node) {
    return CONTAINER_OF(node, struct fake_entry, in_queue);
}

static void set_owner(struct fake_entry *entry, struct bytes owner) {
    buffer_free(&entry->owner);
    entry->owner = fake_copy(owner);
}

static bool is_fresh(const struct fake_entry *entry) {
    return entry->owner.len == 0;
}

static bool is_free(const struct fake_entry *entry) {
    return fake_is(&entry->owner, BYTES(FAKE_FREE));
}

static bool has_expired(const struct work *work, const struct fake_entry *entry) {
    return entry->expires_ms > 0 && entry->expires_ms <= work->server->now_ms;
}

static struct fake_entry *find_entry(struct fake_queue *queue, const struct entry *id) {
    LIST_FOR_EACH (at, &queue->entries) {
        struct fake_entry *entry = entry_at(at);
        if (entry->entry.ms == id->ms && entry->entry.n == id->n)
            return entry;
    }
    return NULL;
}

/* NULL: it is not the boot's. */
static struct fake_entry *find_owned(struct fake_queue *queue, const struct entry *id, struct bytes boot) {
    struct fake_entry *entry = find_entry(queue, id);
    return entry && fake_is(&entry->owner, boot) ? entry : NULL;
}

static void entry_free(struct fake_entry *entry) {
    list_remove(&entry->in_queue);
    buffer_free(&entry->owner);
    buffer_free(&entry->payload);
    buffer_free(&entry->dead_from);
    free(entry);
}

static void remove_entry(struct fake_queue *queue, struct fake_entry *entry) {
    queue->count--;
    queue->bytes -= entry->entry.size;
    entry_free(entry);
}

/* The next that a consumer gets, or that makes way: what was returned, then what is new. NULL: there is none. */
static struct fake_entry *find_ready(struct fake_queue *queue) {
    for (int fresh = 0; fresh < 2; fresh++)
        LIST_FOR_EACH (at, &queue->entries) {
            struct fake_entry *entry = entry_at(at);
            if (fresh ? is_fresh(entry) : is_free(entry))
                return entry;
        }
    return NULL;
}

/* ---- queues ---- */

struct fake_queue *fake_queues_find(struct fake_server *server, struct bytes name) {
    LIST_FOR_EACH (at, &server->queues) {
        struct fake_queue *queue = CONTAINER_OF(at, struct fake_queue, in_server);
        if (fake_is(&queue->name, name))
            return queue;
    }
    return NULL;
}

static struct fake_queue *add_queue(struct fake_server *server, struct bytes name) {
    struct fake_queue *queue = calloc(1, sizeof *queue);
    assert_non_null(queue);
    queue->name = fake_copy(name);
    list_init(&queue->entries);
    list_init(&queue->waiting);
    list_init(&queue->in_server);
    list_append(&server->queues, &queue->in_server);
    return queue;
}

static void waiting_free(struct fake_waiting *waiting) {
    list_remove(&waiting->in_queue);
    buffer_free(&waiting->node);
    free(waiting);
}

void fake_queues_remove(struct fake_queue *queue) {
    LIST_FOR_EACH (at, &queue->entries)
        entry_free(entry_at(at));
    LIST_FOR_EACH (at, &queue->waiting)
        waiting_free(CONTAINER_OF(at, struct fake_waiting, in_queue));
    list_remove(&queue->in_server);
    buffer_free(&queue->name);
    free(queue);
}

static struct fake_queue *use_queue(struct work *work, struct bytes name, uint64_t idle_ms) {
    struct fake_queue *queue = fake_queues_find(work->server, name);
    if (!queue)
        queue = add_queue(work->server, name);
    if (!queue->used)
        queue->idle_ms = idle_ms;
    queue->used = true;
    return queue;
}

static struct fake_queue *queue_of(struct work *work, const struct fake_target *target) {
    return use_queue(work, buffer_bytes(&target->queue), target->policy.idle_expiry_ms);
}

/* NULL: it has none. */
static struct fake_queue *dead_letters_of(struct work *work, const struct fake_target *target) {
    return target->dead.len > 0 ? use_queue(work, buffer_bytes(&target->dead), target->policy.idle_expiry_ms) : NULL;
}

static struct fake_entry *put(struct work *work, struct fake_queue *queue, struct bytes payload) {
    struct fake_entry *entry = calloc(1, sizeof *entry);
    assert_non_null(entry);
    entry->entry = (struct entry){work->server->now_ms, ++work->server->last_number, (uint32_t)payload.len + OVERHEAD};
    entry->payload = fake_copy(payload);
    list_init(&entry->in_queue);
    list_append(&queue->entries, &entry->in_queue);
    queue->count++;
    queue->bytes += entry->entry.size;
    queue->ready++;
    return entry;
}

/* ---- words ---- */

static void wait_for(struct fake_queue *queue, struct bytes node) {
    LIST_FOR_EACH (at, &queue->waiting)
        if (fake_is(&CONTAINER_OF(at, struct fake_waiting, in_queue)->node, node))
            return;
    struct fake_waiting *waiting = calloc(1, sizeof *waiting);
    assert_non_null(waiting);
    waiting->node = fake_copy(node);
    list_init(&waiting->in_queue);
    list_append(&queue->waiting, &waiting->in_queue);
}

static void tell_self(struct work *work, const struct fake_queue *queue) {
    assert_true(buffer_append(&work->answer->ready, queue->name.data, queue->name.len) &&
                buffer_append(&work->answer->ready, "", 1));
}

static bool tell_node(struct work *work, struct bytes node, const struct fake_queue *queue) {
    struct buffer channel = fake_copy(BYTES("n:"));
    struct buffer word = {0};
    struct payload_origin origin = {.type = PAYLOAD_READY, .boot = work->by};
    assert_true(buffer_append(&channel, node.data, node.len) && payload_write_word(&word, &origin) &&
                buffer_append(&word, queue->name.data, queue->name.len));
    bool heard = fake_server_publish(work->server, buffer_bytes(&channel), buffer_bytes(&word)) > 0;
    buffer_free(&channel);
    buffer_free(&word);
    return heard;
}

/* False: it does not hear it. */
static bool tell(struct work *work, struct bytes node, const struct fake_queue *queue) {
    if (!bytes_equal(node, work->node))
        return tell_node(work, node, queue);
    if (!work->going)
        tell_self(work, queue);
    return !work->going;
}

/* A waiting node for each message, if there are as many. */
static void wake(struct work *work, struct fake_queue *queue) {
    struct list_node *node;
    while (queue->ready > 0 && (node = list_take_first(&queue->waiting)) != NULL) {
        struct fake_waiting *waiting = CONTAINER_OF(node, struct fake_waiting, in_queue);
        queue->ready -= tell(work, buffer_bytes(&waiting->node), queue);
        waiting_free(waiting);
    }
    queue->ready = 0;
}

static void finish_all(struct work *work) {
    LIST_FOR_EACH (at, &work->server->queues) {
        struct fake_queue *queue = CONTAINER_OF(at, struct fake_queue, in_server);
        if (!queue->used)
            continue;
        queue->used = queue->looked = false;
        queue->goes_ms = queue->count == 0 ? work->server->now_ms + queue->idle_ms : 0;
        wake(work, queue);
    }
}

/* ---- messages leave ---- */

static void drop_expired_entry(struct work *work, struct fake_queue *queue, struct fake_entry *entry) {
    work->answer->counts.expired++;
    remove_entry(queue, entry);
}

/* Once a call. */
static void drop_expired(struct work *work, struct fake_queue *queue) {
    if (queue->looked)
        return;
    queue->looked = true;
    LIST_FOR_EACH (at, &queue->entries) {
        struct fake_entry *entry = entry_at(at);
        if (has_expired(work, entry) && (is_fresh(entry) || is_free(entry)))
            drop_expired_entry(work, queue, entry);
    }
}

static bool is_over(const struct queue_policy *policy, uint64_t count, uint64_t bytes) {
    return (policy->max_messages > 0 && count > policy->max_messages) ||
           (policy->max_bytes > 0 && bytes > policy->max_bytes);
}

static bool is_full(const struct fake_queue *queue, const struct queue_policy *policy, uint64_t size) {
    return is_over(policy, queue->count + 1, queue->bytes + size);
}

/* Where the oldest makes way, only what is ready counts. */
static bool is_full_of_ready(struct fake_queue *queue, const struct queue_policy *policy, uint64_t size) {
    uint64_t count = 1;
    uint64_t bytes = size;
    LIST_FOR_EACH (at, &queue->entries) {
        const struct fake_entry *entry = entry_at(at);
        if (!is_fresh(entry) && !is_free(entry))
            continue;
        count++;
        bytes += entry->entry.size;
    }
    return is_over(policy, count, bytes);
}

/* A dead-letter queue has the limits of the queue that it is for, and loses its oldest. */
static void make_place(struct work *work, struct fake_queue *dead, const struct queue_policy *policy, uint32_t size) {
    struct fake_entry *oldest;
    while (is_full(dead, policy, size) && (oldest = find_ready(dead)) != NULL) {
        work->answer->counts.dropped++;
        remove_entry(dead, oldest);
    }
}

/* Into the dead-letter queue, where there is one. */
static void move_to_dead_letters(struct work *work, struct fake_queue *queue, const struct fake_target *target,
                                 struct fake_entry *entry, enum dead_reason reason) {
    struct fake_queue *dead = dead_letters_of(work, target);
    if (dead) {
        make_place(work, dead, &target->policy, entry->entry.size);
        struct fake_entry *letter = put(work, dead, buffer_bytes(&entry->payload));
        letter->dead = reason;
        letter->dead_from = fake_copy(buffer_bytes(&queue->name));
        work->answer->counts.dead++;
    }
    remove_entry(queue, entry);
}

static bool is_worn_out(const struct fake_target *target, uint32_t deliveries) {
    return target->dead.len > 0 && target->policy.max_deliveries > 0 && deliveries >= target->policy.max_deliveries;
}

static void give_back(struct work *work, struct fake_queue *queue, const struct fake_target *target,
                      struct fake_entry *entry, uint32_t deliveries) {
    if (is_worn_out(target, deliveries)) {
        move_to_dead_letters(work, queue, target, entry, DEAD_MAX_DELIVERIES);
        return;
    }
    entry->deliveries = deliveries;
    set_owner(entry, BYTES(FAKE_FREE));
    queue->ready++;
}

/* It makes way for another. */
static void drop(struct work *work, struct fake_queue *queue, const struct fake_target *target,
                 struct fake_entry *entry) {
    if (has_expired(work, entry)) {
        drop_expired_entry(work, queue, entry);
    } else if (target->policy.when_full == WHEN_FULL_DEAD_LETTER && target->dead.len > 0) {
        move_to_dead_letters(work, queue, target, entry, DEAD_FULL);
    } else {
        work->answer->counts.dropped++;
        remove_entry(queue, entry);
    }
}

/* ---- what may have to be as it was ---- */

/* A queue before a change. */
struct saved {
    struct list_node in_list;
    struct fake_queue *queue;
    struct fake_queue was; /* its entries are copies */
};

static struct fake_entry *copy_entry(const struct fake_entry *entry) {
    struct fake_entry *copy = calloc(1, sizeof *copy);
    assert_non_null(copy);
    *copy = *entry;
    copy->owner = fake_copy(buffer_bytes(&entry->owner));
    copy->payload = fake_copy(buffer_bytes(&entry->payload));
    copy->dead_from = fake_copy(buffer_bytes(&entry->dead_from));
    list_init(&copy->in_queue);
    return copy;
}

static void save(struct list_node *all, struct fake_queue *queue) {
    struct saved *saved = calloc(1, sizeof *saved);
    assert_non_null(saved);
    saved->queue = queue;
    saved->was = *queue;
    list_init(&saved->was.entries);
    LIST_FOR_EACH (at, &queue->entries)
        list_append(&saved->was.entries, &copy_entry(entry_at(at))->in_queue);
    list_init(&saved->in_list);
    list_append(all, &saved->in_list);
}

static void drop_entries(struct list_node *entries) {
    LIST_FOR_EACH (at, entries)
        entry_free(entry_at(at));
}

static void restore(struct saved *saved) {
    struct fake_queue *queue = saved->queue;
    struct list_node *node;
    drop_entries(&queue->entries);
    while ((node = list_take_first(&saved->was.entries)) != NULL)
        list_append(&queue->entries, node);
    queue->count = saved->was.count;
    queue->bytes = saved->was.bytes;
    queue->ready = saved->was.ready;
    queue->looked = saved->was.looked;
}

static void saved_free(struct saved *saved) {
    list_remove(&saved->in_list);
    drop_entries(&saved->was.entries);
    free(saved);
}

/* ---- changes ---- */

static uint64_t expiry_of(const struct work *work, const struct fake_operation *operation) {
    uint64_t lifetime_ms = operation->lifetime_ms;
    uint64_t max_age_ms = operation->target.policy.max_age_ms;
    if (lifetime_ms == 0 || (max_age_ms > 0 && max_age_ms < lifetime_ms))
        lifetime_ms = max_age_ms;
    if (lifetime_ms == 0)
        return 0;
    return lifetime_ms < UINT64_MAX - work->server->now_ms ? work->server->now_ms + lifetime_ms : UINT64_MAX;
}

static bool make_room(struct work *work, struct fake_queue *queue, const struct fake_target *target, uint64_t size) {
    const struct queue_policy *policy = &target->policy;
    if (policy->max_bytes > 0 && size > policy->max_bytes)
        return false;
    if (is_full(queue, policy, size))
        drop_expired(work, queue);
    if (policy->when_full == WHEN_FULL_REFUSE)
        return !is_full(queue, policy, size);
    while (is_full_of_ready(queue, policy, size))
        drop(work, queue, target, find_ready(queue));
    return true;
}

/* What is for a durable subscription that has ended goes nowhere. */
static bool is_unbound(const struct work *work, const struct fake_target *target) {
    struct bytes queue = buffer_bytes(&target->queue);
    return bytes_start_with(queue, BYTES("d:")) && !fake_bindings_have(work->server, queue);
}

static enum change_result carry_out_put(struct work *work, const struct fake_operation *operation) {
    struct fake_queue *queue = queue_of(work, &operation->target);
    if (work->server->full)
        return CHANGE_FAILED;
    if (is_unbound(work, &operation->target))
        return CHANGE_DONE;
    if (!make_room(work, queue, &operation->target, operation->payload.len + OVERHEAD))
        return CHANGE_FULL;
    put(work, queue, buffer_bytes(&operation->payload))->expires_ms = expiry_of(work, operation);
    return CHANGE_DONE;
}

static void take_away(struct work *work, const struct fake_operation *operation, struct fake_entry *entry) {
    struct fake_queue *queue = queue_of(work, &operation->target);
    switch (operation->kind) {
    case OPERATION_SETTLE:
        remove_entry(queue, entry);
        break;
    case OPERATION_RETURN:
        give_back(work, queue, &operation->target, entry, entry->deliveries - !operation->counted);
        break;
    case OPERATION_REJECT:
        move_to_dead_letters(work, queue, &operation->target, entry, DEAD_REJECTED);
        break;
    case OPERATION_PUT:
        break;
    }
}

static enum change_result carry_out_one(struct work *work, const struct fake_operation *operation, bool together) {
    if (operation->kind == OPERATION_PUT)
        return carry_out_put(work, operation);
    struct fake_entry *entry = find_owned(queue_of(work, &operation->target), &operation->entry, work->boot);
    if (!entry)
        return together ? CHANGE_LOST : CHANGE_DONE;
    take_away(work, operation, entry);
    return CHANGE_DONE;
}

static enum change_result make(struct work *work, const struct fake_change *change) {
    enum change_result result = CHANGE_DONE;
    struct queue_counts counts = work->answer->counts;
    struct list_node saved;
    list_init(&saved);
    for (size_t n = 0; n < change->count; n++) {
        (void)queue_of(work, &change->operations[n].target);
        (void)dead_letters_of(work, &change->operations[n].target);
    }
    if (change->count > 1)
        LIST_FOR_EACH (at, &work->server->queues)
            save(&saved, CONTAINER_OF(at, struct fake_queue, in_server));
    for (size_t n = 0; n < change->count && result == CHANGE_DONE; n++)
        result = carry_out_one(work, &change->operations[n], change->together);
    if (result != CHANGE_DONE && change->count > 1)
        work->answer->counts = counts;
    LIST_FOR_EACH (at, &saved) {
        if (result != CHANGE_DONE)
            restore(CONTAINER_OF(at, struct saved, in_list));
        saved_free(CONTAINER_OF(at, struct saved, in_list));
    }
    return result;
}

static void carry_out_changes(struct work *work, const struct fake_queue_call *call) {
    struct fake_answer *answer = work->answer;
    answer->results = calloc(call->change_count + 1, sizeof *answer->results);
    assert_non_null(answer->results);
    for (size_t n = 0; n < call->change_count; n++)
        answer->results[answer->result_count++] = make(work, &call->changes[n]);
    finish_all(work);
}

/* ---- takes ---- */

static struct fake_taken *add_taken(struct fake_answer *answer) {
    struct fake_taken *taken = realloc(answer->taken, (answer->taken_count + 1) * sizeof *taken);
    assert_non_null(taken);
    answer->taken = taken;
    taken += answer->taken_count++;
    *taken = (struct fake_taken){0};
    return taken;
}

static void hand_over(struct work *work, size_t want, const struct fake_entry *entry) {
    struct fake_taken *taken = add_taken(work->answer);
    *taken = (struct fake_taken){.want = want,
                                 .entry = entry->entry,
                                 .deliveries = entry->deliveries,
                                 .payload = fake_copy(buffer_bytes(&entry->payload)),
                                 .dead_from = fake_copy(buffer_bytes(&entry->dead_from)),
                                 .dead = entry->dead};
}

static void take_from(struct work *work, const struct fake_want *want, size_t number) {
    struct fake_queue *queue = queue_of(work, &want->target);
    struct fake_entry *entry = NULL;
    uint64_t bytes = 0;
    uint32_t count = 0;
    while (count < want->messages && bytes < QUEUE_TAKE_BYTES && (entry = find_ready(queue)) != NULL) {
        if (has_expired(work, entry)) {
            drop_expired_entry(work, queue, entry);
        } else if (is_free(entry) && is_worn_out(&want->target, entry->deliveries)) {
            move_to_dead_letters(work, queue, &want->target, entry, DEAD_MAX_DELIVERIES);
        } else {
            set_owner(entry, work->boot);
            entry->deliveries++;
            hand_over(work, number, entry);
            bytes += entry->entry.size;
            count++;
        }
    }
    if (count < want->messages && bytes >= QUEUE_TAKE_BYTES)
        tell_self(work, queue);
    else if (count < want->messages)
        wait_for(queue, work->node);
}

static void carry_out_takes(struct work *work, const struct fake_queue_call *call) {
    for (size_t n = 0; n < call->want_count; n++)
        take_from(work, &call->wants[n], n);
    finish_all(work);
}

/* ---- kept answers ---- */

static void answer_free(struct fake_answer *answer) {
    for (size_t n = 0; n < answer->taken_count; n++) {
        buffer_free(&answer->taken[n].payload);
        buffer_free(&answer->taken[n].dead_from);
    }
    for (size_t n = 0; n < answer->bound_count; n++) {
        buffer_free(&answer->bound[n].queue);
        buffer_free(&answer->bound[n].topic);
    }
    free(answer->bound);
    free(answer->taken);
    free(answer->results);
    buffer_free(&answer->ready);
    *answer = (struct fake_answer){0};
}

static void kept_free(struct fake_calls *calls, struct kept *kept) {
    list_remove(&kept->in_calls);
    answer_free(&kept->answer);
    free(kept);
    calls->count--;
}

static void calls_free(struct fake_calls *calls) {
    LIST_FOR_EACH (at, &calls->kept)
        kept_free(calls, CONTAINER_OF(at, struct kept, in_calls));
    list_remove(&calls->in_server);
    buffer_free(&calls->boot);
    free(calls);
}

struct fake_calls *fake_queues_find_calls(struct fake_server *server, struct bytes boot) {
    LIST_FOR_EACH (at, &server->calls) {
        struct fake_calls *calls = CONTAINER_OF(at, struct fake_calls, in_server);
        if (fake_is(&calls->boot, boot))
            return calls;
    }
    return NULL;
}

struct fake_calls *fake_queues_need_calls(struct fake_server *server, struct bytes boot) {
    struct fake_calls *calls = fake_queues_find_calls(server, boot);
    if (calls)
        return calls;
    calls = calloc(1, sizeof *calls);
    assert_non_null(calls);
    calls->boot = fake_copy(boot);
    list_init(&calls->kept);
    list_init(&calls->in_server);
    list_append(&server->calls, &calls->in_server);
    return calls;
}

static struct kept *find_kept(struct fake_calls *calls, uint64_t number) {
    LIST_FOR_EACH (at, &calls->kept) {
        struct kept *kept = CONTAINER_OF(at, struct kept, in_calls);
        if (kept->number == number)
            return kept;
    }
    return NULL;
}

static void raise_floor(struct fake_calls *calls, uint64_t answered) {
    if (answered > calls->floor)
        calls->floor = answered;
    LIST_FOR_EACH (at, &calls->kept) {
        struct kept *kept = CONTAINER_OF(at, struct kept, in_calls);
        if (kept->number < calls->floor)
            kept_free(calls, kept);
    }
}

static void copy_answer(struct fake_answer *to, const struct fake_answer *from) {
    to->result = from->result;
    to->counts = from->counts;
    to->ready = fake_copy(buffer_bytes(&from->ready));
    to->result_count = from->result_count;
    to->results = calloc(from->result_count + 1, sizeof *to->results);
    assert_non_null(to->results);
    for (size_t n = 0; n < from->result_count; n++)
        to->results[n] = from->results[n];
}

static void keep(struct fake_calls *calls, uint64_t number, const struct fake_answer *answer) {
    struct kept *kept = calloc(1, sizeof *kept);
    assert_non_null(kept);
    kept->number = number;
    copy_answer(&kept->answer, answer);
    for (size_t n = 0; n < answer->taken_count; n++) {
        struct fake_taken *taken = add_taken(&kept->answer);
        taken->want = answer->taken[n].want;
        taken->entry = answer->taken[n].entry;
    }
    list_init(&kept->in_calls);
    list_append(&calls->kept, &kept->in_calls);
    calls->count++;
}

/* What this boot has settled, or lost, since, is not there any more. */
static void answer_again(struct work *work, const struct fake_queue_call *call, const struct fake_answer *kept) {
    copy_answer(work->answer, kept);
    for (size_t n = 0; n < kept->taken_count; n++) {
        size_t want = kept->taken[n].want;
        struct fake_queue *queue = fake_queues_find(work->server, buffer_bytes(&call->wants[want].target.queue));
        struct fake_entry *entry = queue ? find_owned(queue, &kept->taken[n].entry, work->boot) : NULL;
        if (entry)
            hand_over(work, want, entry);
    }
}

/* ---- what a boot has goes back ---- */

/* Returns how many. They have been delivered, so their counts stay. */
static size_t give_back_some(struct work *work, struct fake_queue *queue, size_t most) {
    size_t count = 0;
    LIST_FOR_EACH (at, &queue->entries) {
        struct fake_entry *entry = entry_at(at);
        if (count == most || !fake_is(&entry->owner, work->boot))
            continue;
        set_owner(entry, BYTES(FAKE_FREE));
        queue->ready++;
        count++;
    }
    wake(work, queue);
    return count;
}

static bool has_any(struct fake_server *server, struct bytes boot) {
    LIST_FOR_EACH (queue, &server->queues)
        LIST_FOR_EACH (at, &CONTAINER_OF(queue, struct fake_queue, in_server)->entries)
            if (fake_is(&entry_at(at)->owner, boot))
                return true;
    return false;
}

static size_t give_back_piece(struct work *work, size_t most) {
    size_t count = 0;
    LIST_FOR_EACH (at, &work->server->queues)
        count += give_back_some(work, CONTAINER_OF(at, struct fake_queue, in_server), most - count);
    return count;
}

bool fake_queues_bury(struct fake_server *server, const struct fake_node *dead, size_t most, struct bytes by) {
    struct bytes boot = buffer_bytes(&dead->boot);
    struct work work = {.server = server, .node = buffer_bytes(&dead->node), .boot = boot, .by = by, .going = true};
    server->given_back += give_back_piece(&work, most);
    if (has_any(server, boot))
        return false;
    struct fake_calls *calls = fake_queues_find_calls(server, boot);
    if (calls)
        calls_free(calls);
    return true;
}

static void recover(struct work *work) {
    work->server->given_back += give_back_piece(work, work->server->piece);
    work->answer->result = has_any(work->server, work->boot) ? QUEUE_MORE : QUEUE_OK;
}

/* ---- calls ---- */

static void note_carried_out(struct work *work, const struct fake_queue_call *call) {
    if (!call->told.done)
        work->server->late_calls += call->number <= fake_server_carried_out(work->server, work->boot);
    else if (call->number > *fake_queue_store_carried_out(call->store))
        *fake_queue_store_carried_out(call->store) = call->number;
}

/* Of those that have numbers. */
static void carry_out_once(struct work *work, const struct fake_queue_call *call) {
    struct fake_calls *calls = fake_queues_need_calls(work->server, work->boot);
    const struct kept *kept = find_kept(calls, call->number);
    if (call->number < calls->floor) {
        work->answer->late = true;
        return;
    }
    if (kept) {
        answer_again(work, call, &kept->answer);
        return;
    }
    note_carried_out(work, call);
    raise_floor(calls, call->answered);
    if (call->kind == FAKE_CHANGE)
        carry_out_changes(work, call);
    else
        carry_out_takes(work, call);
    keep(calls, call->number, work->answer);
}

void fake_queues_execute(struct fake_queue_call *call, struct fake_server *server, struct bytes node,
                         struct bytes boot) {
    struct work work = {.server = server, .node = node, .boot = boot, .by = boot, .answer = &call->answer};
    const struct fake_node *entry = fake_find_node(server, node);
    answer_free(&call->answer);
    if (!entry || !fake_is(&entry->boot, boot) || entry->fenced)
        call->answer.result = QUEUE_GONE;
    else if (call->kind == FAKE_CHANGE || call->kind == FAKE_TAKE)
        carry_out_once(&work, call);
    else if (call->kind == FAKE_RECOVER)
        recover(&work);
    else
        fake_bindings_execute(call, server, boot);
}

/* ---- time ---- */

void fake_queues_advance(struct fake_server *server) {
    LIST_FOR_EACH (at, &server->queues) {
        struct fake_queue *queue = CONTAINER_OF(at, struct fake_queue, in_server);
        if (queue->goes_ms > 0 && queue->goes_ms <= server->now_ms)
            fake_queues_remove(queue);
    }
}

void fake_queues_empty(struct fake_server *server) {
    LIST_FOR_EACH (at, &server->queues)
        fake_queues_remove(CONTAINER_OF(at, struct fake_queue, in_server));
    LIST_FOR_EACH (at, &server->calls)
        calls_free(CONTAINER_OF(at, struct fake_calls, in_server));
    fake_bindings_empty(server);
}

/* ---- calls on their way ---- */

static void target_free(struct fake_target *target) {
    buffer_free(&target->queue);
    buffer_free(&target->dead);
}

static void change_free_all(struct fake_change *change) {
    for (size_t n = 0; n < change->count; n++) {
        target_free(&change->operations[n].target);
        buffer_free(&change->operations[n].payload);
    }
    free(change->operations);
}

struct fake_queue_call *fake_queue_call_new(struct fake_queue_store *store, enum fake_queue_kind kind,
                                            struct queue_call told) {
    struct fake_queue_call *call = calloc(1, sizeof *call);
    assert_non_null(call);
    call->kind = kind;
    call->store = store;
    call->told = told;
    return call;
}

void fake_queue_call_free(struct fake_queue_call *call) {
    for (size_t n = 0; n < call->change_count; n++)
        change_free_all(&call->changes[n]);
    for (size_t n = 0; n < call->want_count; n++)
        target_free(&call->wants[n].target);
    free(call->changes);
    free(call->wants);
    buffer_free(&call->binding.queue);
    buffer_free(&call->binding.topic);
    answer_free(&call->answer);
    free(call);
}
