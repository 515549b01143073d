/*
 * The rules of queues, in lists that are searched from the front. A change is judged in thought first, then carried out
 * whole, as change.lua does it.
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

/* The next that a consumer gets, or that makes way, after so many: what was returned, then what is new. NULL: no more. */
static struct fake_entry *find_ready(struct fake_queue *queue, size_t after) {
    for (int fresh = 0; fresh < 2; fresh++)
        LIST_FOR_EACH (at, &queue->entries) {
            struct fake_entry *entry = entry_at(at);
            if ((fresh ? is_fresh(entry) : is_free(entry)) && after-- == 0)
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

static void queue_free(struct fake_queue *queue) {
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

/* A waiting node for each message, if there are as many. */
static void wake(struct work *work, struct fake_queue *queue) {
    while (queue->ready > 0 && !list_is_empty(&queue->waiting)) {
        struct fake_waiting *waiting = CONTAINER_OF(queue->waiting.next, struct fake_waiting, in_queue);
        bool self = fake_is(&waiting->node, work->node);
        if (self && !work->going)
            tell_self(work, queue);
        if (self ? !work->going : tell_node(work, buffer_bytes(&waiting->node), queue))
            queue->ready--;
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

/* A dead-letter queue has the limits of the queue that it is for, and loses its oldest. */
static void make_place(struct work *work, struct fake_queue *dead, const struct queue_policy *policy, uint32_t size) {
    struct fake_entry *oldest;
    while (is_over(policy, dead->count + 1, dead->bytes + size) && (oldest = find_ready(dead, 0)) != NULL) {
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
    return target->policy.max_deliveries > 0 && deliveries >= target->policy.max_deliveries;
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

/* ---- judging a change ---- */

static bool is_same_entry(const struct fake_operation *a, const struct fake_operation *b) {
    return a->kind != OPERATION_PUT && b->kind != OPERATION_PUT && a->entry.ms == b->entry.ms &&
           a->entry.n == b->entry.n && fake_is(&a->target.queue, buffer_bytes(&b->target.queue));
}

/* An operation before it has the same entry. */
static bool is_second(const struct fake_change *change, size_t n) {
    for (size_t before = 0; before < n; before++)
        if (is_same_entry(&change->operations[before], &change->operations[n]))
            return true;
    return false;
}

static struct fake_entry *entry_of(struct work *work, const struct fake_operation *operation) {
    return find_owned(queue_of(work, &operation->target), &operation->entry, work->boot);
}

static bool is_lost(struct work *work, const struct fake_change *change) {
    for (size_t n = 0; change->together && n < change->count; n++)
        if (change->operations[n].kind != OPERATION_PUT &&
            (!entry_of(work, &change->operations[n]) || is_second(change, n)))
            return true;
    return false;
}

/* The size of what makes way next in that queue for operation n; 0: nothing can. */
static uint32_t next_victim(struct fake_queue *queue, const struct fake_change *change, size_t n) {
    struct fake_entry *oldest = find_ready(queue, queue->room_victims);
    if (oldest) {
        queue->room_victims++;
        return oldest->entry.size;
    }
    for (size_t before = 0; before < n; before++) {
        struct fake_operation *own = &change->operations[before];
        if (own->kind == OPERATION_PUT && !own->makes_way && fake_is(&own->target.queue, buffer_bytes(&queue->name))) {
            own->makes_way = true;
            return (uint32_t)own->payload.len + OVERHEAD;
        }
    }
    return 0;
}

/* Of what has expired meanwhile, the queue is smaller in thought too. */
static void look_for_expired(struct work *work, struct fake_queue *queue) {
    uint64_t count = queue->count;
    uint64_t bytes = queue->bytes;
    drop_expired(work, queue);
    queue->room_count -= count - queue->count;
    queue->room_bytes -= bytes - queue->bytes;
}

static bool find_room_for_put(struct work *work, const struct fake_change *change, size_t n) {
    struct fake_operation *operation = &change->operations[n];
    struct fake_queue *queue = queue_of(work, &operation->target);
    const struct queue_policy *policy = &operation->target.policy;
    uint64_t size = operation->payload.len + OVERHEAD;
    if (is_over(policy, queue->room_count + 1, queue->room_bytes + size))
        look_for_expired(work, queue);
    if (policy->max_bytes > 0 && size > policy->max_bytes)
        return false;
    while (is_over(policy, queue->room_count + 1, queue->room_bytes + size)) {
        uint32_t victim = policy->when_full == WHEN_FULL_REFUSE ? 0 : next_victim(queue, change, n);
        if (victim == 0)
            return false;
        queue->room_count--;
        queue->room_bytes -= victim;
    }
    queue->room_count++;
    queue->room_bytes += size;
    return true;
}

static void make_room(struct work *work, const struct fake_change *change, size_t n) {
    const struct fake_operation *operation = &change->operations[n];
    const struct fake_entry *entry = entry_of(work, operation);
    bool leaves = operation->kind == OPERATION_SETTLE || operation->kind == OPERATION_REJECT;
    if (!entry || !leaves || is_second(change, n))
        return;
    struct fake_queue *queue = queue_of(work, &operation->target);
    queue->room_count--;
    queue->room_bytes -= entry->entry.size;
}

static void begin_rooms(struct work *work) {
    LIST_FOR_EACH (at, &work->server->queues) {
        struct fake_queue *queue = CONTAINER_OF(at, struct fake_queue, in_server);
        queue->room_count = queue->count;
        queue->room_bytes = queue->bytes;
        queue->room_victims = 0;
    }
}

static bool find_room(struct work *work, const struct fake_change *change) {
    for (size_t n = 0; n < change->count; n++) {
        if (change->operations[n].kind != OPERATION_PUT)
            make_room(work, change, n);
        else if (!find_room_for_put(work, change, n))
            return false;
    }
    return true;
}

static enum change_result judge(struct work *work, const struct fake_change *change) {
    for (size_t n = 0; n < change->count; n++) {
        (void)queue_of(work, &change->operations[n].target);
        if (work->server->full && change->operations[n].kind == OPERATION_PUT)
            return CHANGE_FAILED;
    }
    if (is_lost(work, change))
        return CHANGE_LOST;
    begin_rooms(work);
    return find_room(work, change) ? CHANGE_DONE : CHANGE_FULL;
}

/* ---- carrying it out ---- */

static uint64_t expiry_of(const struct work *work, const struct fake_operation *operation) {
    uint64_t lifetime_ms = operation->lifetime_ms;
    uint64_t max_age_ms = operation->target.policy.max_age_ms;
    if (lifetime_ms == 0 || (max_age_ms > 0 && max_age_ms < lifetime_ms))
        lifetime_ms = max_age_ms;
    if (lifetime_ms == 0)
        return 0;
    return lifetime_ms < UINT64_MAX - work->server->now_ms ? work->server->now_ms + lifetime_ms : UINT64_MAX;
}

static void drop_victims(struct work *work, const struct fake_target *target) {
    struct fake_queue *queue = queue_of(work, target);
    for (; queue->room_victims > 0; queue->room_victims--)
        drop(work, queue, target, find_ready(queue, 0));
}

static void put_all(struct work *work, const struct fake_change *change) {
    for (size_t n = 0; n < change->count; n++) {
        struct fake_operation *operation = &change->operations[n];
        if (operation->kind != OPERATION_PUT)
            continue;
        struct fake_entry *entry = put(work, queue_of(work, &operation->target), buffer_bytes(&operation->payload));
        entry->expires_ms = expiry_of(work, operation);
        operation->entry = entry->entry;
    }
}

static void drop_own(struct work *work, const struct fake_change *change) {
    for (size_t n = 0; n < change->count; n++) {
        const struct fake_operation *operation = &change->operations[n];
        struct fake_queue *queue = queue_of(work, &operation->target);
        if (operation->makes_way)
            drop(work, queue, &operation->target, find_entry(queue, &operation->entry));
    }
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

static enum change_result make(struct work *work, const struct fake_change *change) {
    enum change_result result = judge(work, change);
    if (result != CHANGE_DONE)
        return result;
    for (size_t n = 0; n < change->count; n++)
        drop_victims(work, &change->operations[n].target);
    put_all(work, change);
    drop_own(work, change);
    for (size_t n = 0; n < change->count; n++) {
        const struct fake_operation *operation = &change->operations[n];
        struct fake_entry *entry = operation->kind == OPERATION_PUT ? NULL : entry_of(work, operation);
        if (entry)
            take_away(work, operation, entry);
    }
    return CHANGE_DONE;
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
    while (count < want->messages && bytes < QUEUE_TAKE_BYTES && (entry = find_ready(queue, 0)) != NULL) {
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

static struct fake_calls *add_calls(struct fake_server *server, struct bytes boot) {
    struct fake_calls *calls = calloc(1, sizeof *calls);
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

/* ---- calls ---- */

static void carry_out(struct work *work, struct fake_calls *calls, const struct fake_queue_call *call) {
    const struct kept *kept = find_kept(calls, call->number);
    if (call->number < calls->floor) {
        work->answer->late = true;
        return;
    }
    if (kept) {
        answer_again(work, call, &kept->answer);
        return;
    }
    raise_floor(calls, call->answered);
    if (call->change_count > 0)
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
    if (!entry || !fake_is(&entry->boot, boot) || entry->fenced) {
        call->answer.result = QUEUE_GONE;
        return;
    }
    struct fake_calls *calls = fake_queues_find_calls(server, boot);
    carry_out(&work, calls ? calls : add_calls(server, boot), call);
}

/* ---- burials, time ---- */

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

bool fake_queues_bury(struct fake_server *server, const struct fake_node *dead, size_t most, struct bytes by) {
    struct bytes boot = buffer_bytes(&dead->boot);
    struct work work = {.server = server, .node = buffer_bytes(&dead->node), .boot = boot, .by = by, .going = true};
    LIST_FOR_EACH (at, &server->queues) {
        size_t count = give_back_some(&work, CONTAINER_OF(at, struct fake_queue, in_server), most);
        server->given_back += count;
        most -= count;
    }
    if (has_any(server, boot))
        return false;
    struct fake_calls *calls = fake_queues_find_calls(server, boot);
    if (calls)
        calls_free(calls);
    return true;
}

void fake_queues_advance(struct fake_server *server) {
    LIST_FOR_EACH (at, &server->queues) {
        struct fake_queue *queue = CONTAINER_OF(at, struct fake_queue, in_server);
        if (queue->goes_ms > 0 && queue->goes_ms <= server->now_ms)
            queue_free(queue);
    }
}

void fake_queues_empty(struct fake_server *server) {
    LIST_FOR_EACH (at, &server->queues)
        queue_free(CONTAINER_OF(at, struct fake_queue, in_server));
    LIST_FOR_EACH (at, &server->calls)
        calls_free(CONTAINER_OF(at, struct fake_calls, in_server));
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

struct fake_queue_call *fake_queue_call_new(struct fake_queue_store *store, struct queue_call told) {
    struct fake_queue_call *call = calloc(1, sizeof *call);
    assert_non_null(call);
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
    answer_free(&call->answer);
    free(call);
}
