/*
 * The queues of one node. A call is carried out at once, and its answer waits in `notes`, among the words that something
 * is ready, for the owner's turn.
 *
 * A change takes effect as a whole: each move of a message that it makes is written down, and all are taken back in the
 * opposite order if one of its operations can't be carried out. Only then are the queues' maps put right, what has left
 * is freed, and whoever waits is told.
 *
 * Of the bytes that all queues may hold together, each queue and each message takes some for itself. When most are in use,
 * every call looks at a few queues, in turn, for what has expired and for queues that are empty. Those that somebody waits
 * for may stay, as long as all queues do not take too much themselves.
 */
#include "stompd/store/memory_queues.h"

#include <assert.h>
#include <stdlib.h>

#include "memory_bindings.h"
#include "memory_queue.h"
#include "stompd/base/log.h"
#include "stompd/route/queue_name.h"

/* What a message and a queue need besides the bytes that count: themselves, and their slots in half empty maps. */
#define STORED_OVERHEAD (sizeof(struct stored) + sizeof(struct message) + 2 * sizeof(struct map_slot))
#define QUEUE_OVERHEAD  (sizeof(struct memory_queue) + sizeof(struct memory_queue_name) + 2 * sizeof(struct map_slot))

#define RECLAIM_QUEUES 16    /* that one call looks at */
#define WAITING_MS     5000  /* whoever waits takes again within this time */
#define DROPPED_MOST   10000 /* messages that have expired, or are worn out, that leave at a time: about a millisecond */
#define RECORDS_KEPT   4096  /* room for more is given back */

/* Calls that are answered, of those for which there is no memory at a time. */
#define SPARE_ANSWERS 16

/* Why a message was moved, where that is counted. */
enum reason { REASON_NONE, REASON_EXPIRED, REASON_DROPPED, REASON_DEAD, REASONS };

/* A move that a change has made. */
struct record {
    struct stored *stored;
    enum stored_place was; /* NOWHERE: the change has put it there */
    uint32_t deliveries;   /* before it */
    enum reason reason;
};

/* An answer that waits for its turn; those arrays that it has are in the same block. */
struct answer {
    struct memory_note note; /* in memory_queues.notes or .spares */
    struct queue_call call;
    enum queue_result result;
    bool spare;
    enum { ABOUT_MESSAGES, ABOUT_BINDINGS, LISTS_BINDINGS } about; /* what it tells, as that is then */
    enum change_result *changes;
    size_t change_count;
    struct queue_entry *entries;
    struct memory_queue_name **from; /* [entry_count] what keeps each entry's dead_from; NULL: nothing */
    size_t entry_count;
    size_t capacity;
};

struct memory_queues {
    struct queue_store front;
    uint64_t (*clock)(void);
    uint64_t now_ms; /* of the call that is carried out */
    uint64_t memory;
    uint64_t bytes; /* in use */
    uint64_t last_n;
    struct map queues;
    struct memory_bindings bindings;
    struct list_node all;   /* the queues; those at the front were not looked at for the longest time */
    struct list_node notes; /* struct memory_note: what is to be told, in this order */
    struct timer_wheel idle;
    struct record *records; /* of the change that is under way */
    size_t record_count;
    size_t record_capacity;
    struct buffer dead_letters; /* the name of a dead-letter queue */
    uint64_t counts[REASONS];
    struct list_node spares;
    struct answer spare[SPARE_ANSWERS];
};

static struct log_limit no_memory_limit;

/* ---- queues come and go ---- */

static struct bytes queue_key(const void *queue) {
    return memory_queue_name(queue);
}

static uint64_t queue_cost(struct bytes name) {
    return QUEUE_OVERHEAD + name.len;
}

static uint64_t stored_cost(const struct entry *entry) {
    return STORED_OVERHEAD + entry->size;
}

static void remove_queue(struct memory_queues *queues, struct memory_queue *queue) {
    (void)map_remove(&queues->queues, memory_queue_name(queue));
    list_remove(&queue->in_store);
    list_remove(&queue->word.node);
    timer_cancel(&queues->idle, &queue->idle);
    queues->bytes -= queue_cost(memory_queue_name(queue)) + queue->count * STORED_OVERHEAD + queue->bytes;
    memory_queue_free(queue);
}

static void on_idle(struct timer *timer, uint64_t now_ms) {
    struct memory_queue *queue = CONTAINER_OF(timer, struct memory_queue, idle);
    uint64_t since = queue->count > 0 ? now_ms : queue->used_ms;
    if (since + queue->idle_expiry_ms <= now_ms && queue->count == 0)
        remove_queue(queue->store, queue);
    else
        timer_set(&queue->store->idle, timer, since + queue->idle_expiry_ms);
}

static struct memory_queue *add_queue(struct memory_queues *queues, struct bytes name) {
    struct memory_queue *queue = memory_queue_new(name);
    if (!queue)
        return NULL;
    if (!map_insert(&queues->queues, queue)) {
        memory_queue_free(queue);
        return NULL;
    }
    queue->store = queues;
    timer_init(&queue->idle, on_idle);
    list_append(&queues->all, &queue->in_store);
    queues->bytes += queue_cost(name);
    return queue;
}

/* The queue of that name, which is made if need be. NULL when out of memory. */
static struct memory_queue *use_queue(struct memory_queues *queues, struct bytes name,
                                      const struct queue_policy *policy) {
    struct memory_queue *queue = map_find(&queues->queues, name);
    if (!queue && !(queue = add_queue(queues, name)))
        return NULL;
    queue->used_ms = queues->now_ms;
    queue->idle_expiry_ms = policy->idle_expiry_ms;
    if (!list_is_linked(&queue->idle.node))
        timer_set(&queues->idle, &queue->idle, queue->used_ms + queue->idle_expiry_ms);
    return queue;
}

/* Something is ready there. */
static void wake(struct memory_queues *queues, struct memory_queue *queue) {
    if (!queue->wanted)
        return;
    /* Behind the answer to that take, even where a word to an earlier one is not told yet. */
    list_remove(&queue->word.node);
    list_append(&queues->notes, &queue->word.node);
    queue->wanted = false;
}

/* ---- moves that can be taken back ---- */

static bool reserve_record(struct memory_queues *queues) {
    if (queues->record_count < queues->record_capacity)
        return true;
    size_t capacity = queues->record_capacity ? queues->record_capacity * 2 : 16;
    struct record *records = realloc(queues->records, capacity * sizeof *records);
    if (!records)
        return false;
    queues->records = records;
    queues->record_capacity = capacity;
    return true;
}

static void give_records_back(struct memory_queues *queues) {
    queues->record_count = 0;
    if (queues->record_capacity > RECORDS_KEPT) {
        free(queues->records);
        queues->records = NULL;
        queues->record_capacity = 0;
    }
}

/* Moves it, and counts what is held in all. */
static void move(struct memory_queues *queues, struct stored *stored, enum stored_place place) {
    uint64_t cost = stored_cost(&stored->entry);
    if (stored->place != STORED_NOWHERE)
        queues->bytes -= cost;
    if (place != STORED_NOWHERE)
        queues->bytes += cost;
    stored_move(stored, place);
}

/* The same as part of the change. False when out of memory; nothing was done then. */
static bool stage(struct memory_queues *queues, struct stored *stored, enum stored_place place, enum reason reason) {
    if (!reserve_record(queues))
        return false;
    queues->records[queues->record_count++] = (struct record){stored, stored->place, stored->deliveries, reason};
    stored->staged = true;
    move(queues, stored, place);
    return true;
}

static void take_back(struct memory_queues *queues, const struct record *record) {
    struct stored *stored = record->stored;
    /* One that was the first of the fresh is older than all that are left of them: it may as well be a returned one. */
    move(queues, stored, record->was == STORED_FRESH ? STORED_RETURNED : record->was);
    stored->deliveries = record->deliveries;
    stored->staged = false;
    if (record->was == STORED_NOWHERE)
        stored_free(stored);
}

static void roll_back(struct memory_queues *queues) {
    while (queues->record_count > 0)
        take_back(queues, &queues->records[--queues->record_count]);
    give_records_back(queues);
}

static void put_right(struct memory_queues *queues, const struct record *record, struct list_node *gone) {
    struct stored *stored = record->stored;
    queues->counts[record->reason]++;
    if (record->was == STORED_OWNED)
        stored_disown(stored);
    if (stored_is_ready(stored))
        wake(queues, stored->queue);
    if (stored->staged && stored->place == STORED_NOWHERE)
        list_append(gone, &stored->at.node);
    stored->staged = false;
}

static void commit(struct memory_queues *queues) {
    struct list_node gone, *node;
    list_init(&gone);
    for (size_t n = 0; n < queues->record_count; n++)
        put_right(queues, &queues->records[n], &gone);
    give_records_back(queues);
    while ((node = list_take_first(&gone)) != NULL)
        stored_free(CONTAINER_OF(node, struct stored, at.node));
}

/* ---- what makes room ---- */

static bool is_expired(const struct memory_queues *queues, const struct stored *stored, uint64_t max_age_ms) {
    return (stored->expires_ms > 0 && queues->now_ms >= stored->expires_ms) ||
           (max_age_ms > 0 && queues->now_ms - stored->entry.ms >= max_age_ms);
}

/* One more of that size, into a queue that holds so much. */
static bool fits(uint64_t count, uint64_t bytes, const struct queue_policy *policy, uint32_t size) {
    return (policy->max_messages == 0 || count < policy->max_messages) &&
           (policy->max_bytes == 0 || bytes + size <= policy->max_bytes);
}

/* Drops what has expired at the front of the queue, `*most` at most, but for what the change has moved. */
static void drop_expired(struct memory_queues *queues, struct memory_queue *queue, uint64_t max_age_ms,
                         unsigned *most) {
    struct stored *oldest;
    while (*most > 0 && (oldest = memory_queue_oldest(queue)) != NULL && !oldest->staged &&
           is_expired(queues, oldest, max_age_ms)) {
        move(queues, oldest, STORED_NOWHERE);
        stored_free(oldest);
        queues->counts[REASON_EXPIRED]++;
        --*most;
    }
}

/* Else whoever waits would not be told when something is put. */
static bool is_waited_for(const struct memory_queues *queues, const struct memory_queue *queue) {
    return queue->wanted && queues->now_ms - queue->used_ms < WAITING_MS &&
           queues->queues.count * QUEUE_OVERHEAD < queues->memory / 16;
}

/* Not while a change is under way. */
static void reclaim(struct memory_queues *queues) {
    unsigned most = DROPPED_MOST;
    assert(queues->record_count == 0);
    for (unsigned n = 0; n < RECLAIM_QUEUES && !list_is_empty(&queues->all); n++) {
        struct memory_queue *queue = CONTAINER_OF(list_take_first(&queues->all), struct memory_queue, in_store);
        list_append(&queues->all, &queue->in_store);
        drop_expired(queues, queue, 0, &most);
        if (queue->count == 0 && !is_waited_for(queues, queue))
            remove_queue(queues, queue);
    }
}

static void begin_call(struct memory_queues *queues) {
    queues->now_ms = queues->clock();
    if (queues->bytes > queues->memory - queues->memory / 8)
        reclaim(queues);
}

/* ---- dead letters ---- */

static struct entry next_entry(struct memory_queues *queues, const struct message *message) {
    return (struct entry){.ms = queues->now_ms,
                          .n = ++queues->last_n,
                          .size = (uint32_t)(message_size(message) + message_key(message).len)};
}

/* Of the queue where dead letters of that one go to; empty: there is none. False when out of memory. */
static bool name_dead_letters(struct memory_queues *queues, const struct memory_queue *queue,
                              const struct queue_policy *policy, struct bytes *name) {
    *name = BYTES("");
    if (!policy->dead_letter && !queue_name_of_dead_letters(&queues->dead_letters, memory_queue_name(queue)))
        return false;
    *name = policy->dead_letter ? bytes_of(policy->dead_letter) : buffer_bytes(&queues->dead_letters);
    if (bytes_equal(*name, memory_queue_name(queue)))
        *name = BYTES("");
    return true;
}

/* That queue, or NULL: there is none, or `ok` is false, no memory. */
static struct memory_queue *dead_letter_queue(struct memory_queues *queues, const struct memory_queue *queue,
                                              const struct queue_policy *policy, bool *ok) {
    struct bytes name;
    *ok = name_dead_letters(queues, queue, policy, &name);
    if (name.len == 0)
        return NULL;
    struct memory_queue *dead = map_find(&queues->queues, name);
    if (!dead)
        dead = use_queue(queues, name, policy);
    *ok = dead != NULL;
    return dead;
}

/* The oldest dead letters make way for another one, where there are as many as their source may hold. */
static bool make_place(struct memory_queues *queues, struct memory_queue *dead, const struct queue_policy *policy,
                       uint32_t size) {
    struct stored *oldest;
    while (!fits(dead->count, dead->bytes, policy, size) && (oldest = memory_queue_oldest(dead)) != NULL)
        if (!stage(queues, oldest, STORED_NOWHERE, REASON_DROPPED))
            return false;
    return true;
}

static bool stage_letter(struct memory_queues *queues, struct memory_queue *dead, const struct stored *stored,
                         enum dead_reason why) {
    struct entry entry = next_entry(queues, stored->message);
    struct stored *letter = stored_new(dead, stored->message, entry, stored->queue->name);
    if (!letter)
        return false;
    letter->dead = why;
    if (stage(queues, letter, STORED_FRESH, REASON_NONE))
        return true;
    stored_free(letter);
    return false;
}

/* As part of the change, from whichever place. False when out of memory; the change is to be taken back then. */
static bool stage_dead(struct memory_queues *queues, struct stored *stored, const struct queue_policy *policy,
                       enum dead_reason why) {
    bool ok;
    struct memory_queue *dead = dead_letter_queue(queues, stored->queue, policy, &ok);
    if (!dead)
        return ok && stage(queues, stored, STORED_NOWHERE, why == DEAD_FULL ? REASON_DROPPED : REASON_NONE);
    return make_place(queues, dead, policy, stored->entry.size) && stage_letter(queues, dead, stored, why) &&
           stage(queues, stored, STORED_NOWHERE, REASON_DEAD);
}

/* ---- operations ---- */

/* The oldest that is ready goes. */
static enum change_result make_way(struct memory_queues *queues, struct memory_queue *queue,
                                   const struct queue_policy *policy) {
    struct stored *oldest = memory_queue_oldest(queue);
    bool ok;
    if (is_expired(queues, oldest, policy->max_age_ms))
        ok = stage(queues, oldest, STORED_NOWHERE, REASON_EXPIRED);
    else if (policy->when_full == WHEN_FULL_REFUSE)
        return CHANGE_FULL;
    else if (policy->when_full == WHEN_FULL_DROP)
        ok = stage(queues, oldest, STORED_NOWHERE, REASON_DROPPED);
    else
        ok = stage_dead(queues, oldest, policy, DEAD_FULL);
    return ok ? CHANGE_DONE : CHANGE_FAILED;
}

/* What counts against the limits: where the oldest may make way, only what is ready does. */
static bool has_room(const struct memory_queue *queue, const struct queue_policy *policy, uint32_t size) {
    bool all = policy->when_full == WHEN_FULL_REFUSE;
    return fits(queue->count - (all ? 0 : queue->owned_count), queue->bytes - (all ? 0 : queue->owned_bytes), policy,
                size);
}

/* Whether there is room when all that is ready has made way. */
static bool could_have_room(const struct memory_queue *queue, const struct queue_policy *policy, uint32_t size) {
    bool all = policy->when_full == WHEN_FULL_REFUSE;
    return fits(all ? queue->owned_count : 0, all ? queue->owned_bytes : 0, policy, size);
}

static enum change_result make_room(struct memory_queues *queues, struct memory_queue *queue,
                                    const struct queue_policy *policy, const struct entry *entry) {
    unsigned most = DROPPED_MOST;
    if (!could_have_room(queue, policy, entry->size))
        return CHANGE_FULL;
    bool in_memory = queues->bytes + stored_cost(entry) <= queues->memory;
    if (!in_memory || !has_room(queue, policy, entry->size))
        drop_expired(queues, queue, policy->max_age_ms, &most);
    while (!has_room(queue, policy, entry->size)) {
        enum change_result result = make_way(queues, queue, policy);
        if (result != CHANGE_DONE)
            return result;
    }
    return queues->bytes + stored_cost(entry) <= queues->memory ? CHANGE_DONE : CHANGE_FULL;
}

/* When a message that is put now expires: the earliest of what its sender and the policy say. */
static uint64_t expiry(const struct memory_queues *queues, uint64_t lifetime_ms, const struct queue_policy *policy) {
    uint64_t after = lifetime_ms;
    if (after == 0 || (policy->max_age_ms > 0 && policy->max_age_ms < after))
        after = policy->max_age_ms;
    return after == 0 || after > UINT64_MAX - queues->now_ms ? 0 : queues->now_ms + after;
}

static enum change_result put(struct memory_queues *queues, const struct operation *operation, struct bytes name,
                              const struct queue_policy *policy) {
    bool exists = map_find(&queues->queues, name) != NULL;
    if (queue_name_is_durable(name) && memory_bindings_topic(&queues->bindings, name).len == 0)
        return CHANGE_DONE; /* the subscription has ended */
    struct entry entry = next_entry(queues, operation->message);
    if (!exists && queues->bytes + queue_cost(name) + stored_cost(&entry) > queues->memory)
        return CHANGE_FULL;
    struct memory_queue *queue = use_queue(queues, name, policy);
    if (!queue)
        return CHANGE_FAILED;
    enum change_result result = make_room(queues, queue, policy, &entry);
    if (result != CHANGE_DONE)
        return result;
    struct stored *stored = stored_new(queue, operation->message, entry, NULL);
    if (!stored)
        return CHANGE_FAILED;
    stored->expires_ms = expiry(queues, operation->lifetime_ms, policy);
    if (!stage(queues, stored, STORED_FRESH, REASON_NONE)) {
        stored_free(stored);
        return CHANGE_FAILED;
    }
    return CHANGE_DONE;
}

/* Where there is no dead-letter queue it never is. Without memory to tell, stage_dead() will have none either. */
static bool is_worn_out(struct memory_queues *queues, const struct stored *stored, const struct queue_policy *policy) {
    struct bytes dead;
    return policy->max_deliveries > 0 && stored->deliveries >= policy->max_deliveries &&
           (!name_dead_letters(queues, stored->queue, policy, &dead) || dead.len > 0);
}

static bool give_back(struct memory_queues *queues, struct stored *stored, bool counted,
                      const struct queue_policy *policy) {
    if (!stage(queues, stored, STORED_RETURNED, REASON_NONE))
        return false;
    if (counted)
        stored->deliveries++;
    return !is_worn_out(queues, stored, policy) || stage_dead(queues, stored, policy, DEAD_MAX_DELIVERIES);
}

static enum change_result finish(struct memory_queues *queues, const struct operation *operation, struct bytes name,
                                 const struct queue_policy *policy, bool together) {
    struct memory_queue *queue = map_find(&queues->queues, name);
    struct stored *stored = queue ? memory_queue_find_owned(queue, &operation->entry) : NULL;
    bool ok;
    if (!stored)
        return together ? CHANGE_LOST : CHANGE_DONE;
    (void)use_queue(queues, name, policy);
    if (operation->kind == OPERATION_SETTLE)
        ok = stage(queues, stored, STORED_NOWHERE, REASON_NONE);
    else if (operation->kind == OPERATION_RETURN)
        ok = give_back(queues, stored, operation->counted, policy);
    else
        ok = stage_dead(queues, stored, policy, DEAD_REJECTED);
    return ok ? CHANGE_DONE : CHANGE_FAILED;
}

static enum change_result make_change(struct memory_queues *queues, const struct queue_change *change) {
    enum change_result result = CHANGE_DONE;
    for (uint32_t n = 0; n < change->change->count && result == CHANGE_DONE; n++) {
        const struct operation *operation = &change->change->operations[n];
        if (operation->kind == OPERATION_PUT)
            result = put(queues, operation, change->queues[n], change->policies[n]);
        else
            result = finish(queues, operation, change->queues[n], change->policies[n], change->change->together);
    }
    if (result == CHANGE_DONE)
        commit(queues);
    else
        roll_back(queues);
    if (result == CHANGE_FAILED)
        log_limited(&no_memory_limit, LOG_LEVEL_ERROR, "out of memory: a change of queues is refused");
    return result;
}

/* ---- answers ---- */

/* For a call for which there is no memory. */
static void answer_failed(struct memory_queues *queues, struct queue_call call) {
    struct list_node *node = list_take_first(&queues->spares);
    log_limited(&no_memory_limit, LOG_LEVEL_ERROR, "out of memory: a call of the queues is refused");
    if (!node)
        return;
    struct answer *answer = CONTAINER_OF(node, struct answer, note.node);
    *answer = (struct answer){.call = call, .result = QUEUE_FAILED, .spare = true};
    list_append(&queues->notes, &answer->note.node);
}

/* In the notes. NULL: out of memory; it is answered so. */
static struct answer *answer_new(struct memory_queues *queues, struct queue_call call, size_t changes, size_t entries) {
    struct answer *answer =
        malloc(sizeof *answer + entries * (sizeof *answer->entries + sizeof(struct memory_queue_name *)) +
               changes * sizeof *answer->changes);
    if (!answer) {
        answer_failed(queues, call);
        return NULL;
    }
    *answer = (struct answer){.call = call, .result = QUEUE_OK, .change_count = changes, .capacity = entries};
    answer->entries = (struct queue_entry *)(answer + 1);
    answer->from = (struct memory_queue_name **)(answer->entries + entries);
    answer->changes = (enum change_result *)(answer->from + entries);
    list_append(&queues->notes, &answer->note.node);
    return answer;
}

static void answer_free(struct memory_queues *queues, struct answer *answer) {
    for (size_t n = 0; n < answer->entry_count; n++) {
        if (answer->entries[n].message)
            message_unref(answer->entries[n].message);
        memory_queue_name_unref(answer->from[n]);
    }
    if (answer->spare)
        list_append(&queues->spares, &answer->note.node);
    else
        free(answer);
}

static void tell_answer(struct memory_queues *queues, struct answer *answer) {
    struct queue_answer told = {.result = answer->result,
                                .changes = answer->changes,
                                .change_count = answer->change_count,
                                .entries = answer->entries,
                                .entry_count = answer->entry_count};
    if (answer->about != ABOUT_MESSAGES)
        memory_bindings_tell(&queues->bindings, &told);
    if (answer->about == LISTS_BINDINGS && !memory_bindings_list(&queues->bindings, &told)) {
        log_limited(&no_memory_limit, LOG_LEVEL_ERROR, "out of memory: durable subscriptions are not looked up");
        told = (struct queue_answer){.result = QUEUE_FAILED};
    }
    answer->call.done(answer->call.arg, &told);
    answer_free(queues, answer);
}

static void tell_ready(struct memory_queues *queues, struct memory_queue *queue) {
    struct memory_queue_name *name = memory_queue_name_ref(queue->name);
    queues->front.events->ready(queues->front.arg, memory_queue_name(queue));
    memory_queue_name_unref(name);
}

static void tell(struct memory_queues *queues, struct memory_note *note) {
    if (note->is_word)
        tell_ready(queues, CONTAINER_OF(note, struct memory_queue, word));
    else
        tell_answer(queues, CONTAINER_OF(note, struct answer, note));
}

/* ---- calls ---- */

static struct memory_queues *queues_of(struct queue_store *store) {
    return CONTAINER_OF(store, struct memory_queues, front);
}

/* Numbers are of no use here: no call is made again. */
static void change(struct queue_store *store, const struct queue_change *changes, size_t count, uint64_t number,
                   uint64_t answered, struct queue_call call) {
    struct memory_queues *queues = queues_of(store);
    struct answer *answer = answer_new(queues, call, count, 0);
    (void)number;
    (void)answered;
    if (!answer)
        return;
    begin_call(queues);
    for (size_t n = 0; n < count; n++)
        answer->changes[n] = make_change(queues, &changes[n]);
}

/*
 * The oldest that may be taken, once those before it that may not are gone; `*most` of them go at most. NULL: there is
 * none, or no memory, or it has not come to that.
 */
static struct stored *next_to_take(struct memory_queues *queues, struct memory_queue *queue,
                                   const struct queue_policy *policy, unsigned *most) {
    for (;; --*most) {
        drop_expired(queues, queue, policy->max_age_ms, most);
        struct stored *oldest = memory_queue_oldest(queue);
        if (*most == 0)
            return NULL;
        if (!oldest || !is_worn_out(queues, oldest, policy))
            return oldest;
        if (!stage_dead(queues, oldest, policy, DEAD_MAX_DELIVERIES)) {
            roll_back(queues);
            return NULL;
        }
        commit(queues);
    }
}

static bool hand_out(struct stored *stored, size_t want, struct answer *answer) {
    if (!stored_own(stored))
        return false;
    struct bytes from = stored->from ? (struct bytes){stored->from->text, stored->from->len} : BYTES("");
    answer->from[answer->entry_count] = stored->from ? memory_queue_name_ref(stored->from) : NULL;
    answer->entries[answer->entry_count++] = (struct queue_entry){.want = want,
                                                                  .entry = stored->entry,
                                                                  .deliveries = stored->deliveries + 1,
                                                                  .message = message_ref(stored->message),
                                                                  .dead_from = from,
                                                                  .dead = stored->dead};
    return true;
}

/* The queue to take from. NULL: there is none, and no memory for it; whoever waits takes again. */
static struct memory_queue *wanted_queue(struct memory_queues *queues, const struct queue_want *want) {
    bool exists = map_find(&queues->queues, want->queue) != NULL;
    if (!exists && queues->bytes + queue_cost(want->queue) > queues->memory)
        return NULL;
    return use_queue(queues, want->queue, want->policy);
}

static void take_from(struct memory_queues *queues, const struct queue_want *want, size_t n, struct answer *answer) {
    struct memory_queue *queue = wanted_queue(queues, want);
    struct stored *stored;
    unsigned most = DROPPED_MOST;
    uint32_t messages = 0;
    uint64_t bytes = 0;
    if (!queue)
        return;
    while (messages < want->messages && bytes < QUEUE_TAKE_BYTES && answer->entry_count < answer->capacity &&
           (stored = next_to_take(queues, queue, want->policy, &most)) != NULL && hand_out(stored, n, answer)) {
        messages++;
        bytes += stored->entry.size;
    }
    queue->wanted = messages < want->messages;
    bool cut_short = bytes >= QUEUE_TAKE_BYTES || answer->entry_count == answer->capacity || most == 0;
    if (cut_short && memory_queue_oldest(queue))
        wake(queues, queue);
}

/* How many messages the wants may bring. */
static size_t count_ready(const struct memory_queues *queues, const struct queue_want *wants, size_t count) {
    size_t sum = 0;
    for (size_t n = 0; n < count; n++) {
        const struct memory_queue *queue = map_find(&queues->queues, wants[n].queue);
        uint64_t ready = queue ? queue->count - queue->owned_count : 0;
        sum += ready < wants[n].messages ? ready : wants[n].messages;
    }
    return sum;
}

static void take(struct queue_store *store, const struct queue_want *wants, size_t count, uint64_t number,
                 uint64_t answered, struct queue_call call) {
    struct memory_queues *queues = queues_of(store);
    struct answer *answer = answer_new(queues, call, 0, count_ready(queues, wants, count));
    (void)number;
    (void)answered;
    if (!answer)
        return;
    begin_call(queues);
    for (size_t n = 0; n < count; n++)
        take_from(queues, &wants[n], n, answer);
}

static enum queue_result make_binding(struct memory_queues *queues, struct bytes queue, struct bytes topic) {
    struct bytes bound = memory_bindings_topic(&queues->bindings, queue);
    uint64_t cost = memory_bindings_cost(queue, topic);
    if (bound.len > 0)
        return bytes_equal(bound, topic) ? QUEUE_OK : QUEUE_TAKEN;
    if (queues->bytes + cost > queues->memory || !memory_bindings_add(&queues->bindings, queue, topic)) {
        log_limited(&no_memory_limit, LOG_LEVEL_ERROR, "out of memory for queues: no durable subscription is made");
        return QUEUE_FAILED;
    }
    queues->bytes += cost;
    return QUEUE_OK;
}

static void bind_queue(struct queue_store *store, struct bytes queue, struct bytes topic, struct queue_call call) {
    struct memory_queues *queues = queues_of(store);
    struct answer *answer = answer_new(queues, call, 0, 0);
    if (!answer)
        return;
    begin_call(queues);
    answer->about = ABOUT_BINDINGS;
    answer->result = make_binding(queues, queue, topic);
}

static void unbind_queue(struct queue_store *store, struct bytes name, struct queue_call call) {
    struct memory_queues *queues = queues_of(store);
    struct answer *answer = answer_new(queues, call, 0, 0);
    if (!answer)
        return;
    begin_call(queues);
    answer->about = ABOUT_BINDINGS;
    struct memory_queue *queue = map_find(&queues->queues, name);
    struct bytes topic = memory_bindings_topic(&queues->bindings, name);
    if (topic.len == 0)
        return;
    queues->bytes -= memory_bindings_cost(name, topic);
    memory_bindings_remove(&queues->bindings, name);
    if (queue)
        remove_queue(queues, queue);
}

static void bindings(struct queue_store *store, uint64_t version, struct queue_call call) {
    struct memory_queues *queues = queues_of(store);
    struct answer *answer = answer_new(queues, call, 0, 0);
    if (!answer)
        return;
    answer->about = LISTS_BINDINGS;
    queues->bindings.acting = version;
}

/* What is called from within an answer waits for the next turn. */
static bool turn(struct queue_store *store) {
    struct memory_queues *queues = queues_of(store);
    struct list_node end, *node;
    timer_wheel_advance(&queues->idle, queues->clock());
    list_append(&queues->notes, &end);
    while ((node = list_take_first(&queues->notes)) != &end)
        tell(queues, CONTAINER_OF(node, struct memory_note, node));
    return !list_is_empty(&queues->notes);
}

static void count(const struct queue_store *store, struct queue_counts *counts) {
    const struct memory_queues *queues = CONTAINER_OF(store, const struct memory_queues, front);
    *counts = (struct queue_counts){.expired = queues->counts[REASON_EXPIRED],
                                    .dropped = queues->counts[REASON_DROPPED],
                                    .dead = queues->counts[REASON_DEAD]};
}

/* ---- life ---- */

static void free_queues(struct queue_store *store) {
    struct memory_queues *queues = queues_of(store);
    LIST_FOR_EACH (node, &queues->all)
        remove_queue(queues, CONTAINER_OF(node, struct memory_queue, in_store));
    LIST_FOR_EACH (node, &queues->notes) {
        list_remove(node); /* what is left are answers */
        answer_free(queues, CONTAINER_OF(node, struct answer, note.node));
    }
    map_free(&queues->queues);
    memory_bindings_free(&queues->bindings);
    buffer_free(&queues->dead_letters);
    free(queues->records);
    free(queues);
}

static const struct queue_store_ops ops = {.change = change,
                                           .take = take,
                                           .bind = bind_queue,
                                           .unbind = unbind_queue,
                                           .bindings = bindings,
                                           .turn = turn,
                                           .count = count,
                                           .free = free_queues};

struct queue_store *memory_queues_new(uint64_t memory, uint64_t (*clock)(void), const struct queue_events *events,
                                      void *arg) {
    struct memory_queues *queues = calloc(1, sizeof *queues);
    if (!queues)
        return NULL;
    queues->front = (struct queue_store){.ops = &ops, .events = events, .arg = arg};
    queues->memory = memory;
    queues->clock = clock;
    map_init(&queues->queues, queue_key);
    memory_bindings_init(&queues->bindings);
    list_init(&queues->all);
    list_init(&queues->notes);
    list_init(&queues->spares);
    timer_wheel_init(&queues->idle, clock());
    for (size_t n = 0; n < SPARE_ANSWERS; n++)
        list_append(&queues->spares, &queues->spare[n].note.node);
    return &queues->front;
}
