/*
 * Queues in memory against a model of them: an array of messages that is searched for whatever is asked. Random calls
 * must have the same results in both, and at the end both must have the same left. The model is copied before each change,
 * and where that fails the copy holds. A failing run names its seed; STOMPD_SEED=n runs that one alone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "queue_peer.h"
#include "stompd/base/hash.h"
#include "stompd/store/memory_queues.h"

#define SEEDS      60
#define STEPS      600
#define ENTRIES    600
#define OPERATIONS 12 /* of one change, at most */
#define QUEUES     4
#define POLICIES   6
#define TEXT       8192

static const char *const names[QUEUES] = {"q:x", "q:y", "q:x.dead", "q:y.dead"};
static const struct queue_policy policies[POLICIES] = {
    {0},
    {.max_messages = 6},
    {.max_messages = 5, .when_full = WHEN_FULL_DROP, .max_deliveries = 2},
    {.max_messages = 4, .when_full = WHEN_FULL_DEAD_LETTER, .max_age_ms = 300},
    {.max_bytes = 900, .when_full = WHEN_FULL_DROP},
    {.max_bytes = 900, .when_full = WHEN_FULL_DEAD_LETTER, .max_deliveries = 3},
};

static uint64_t now_ms;

static uint64_t fake_clock(void) {
    return now_ms;
}

/* ---- the model ---- */

struct kept {
    unsigned name; /* unique */
    unsigned queue;
    uint64_t order;
    uint64_t put_ms;
    uint64_t expires_ms;
    uint32_t size;
    uint32_t deliveries;
    bool owned;
    bool touched; /* by the change that is under way */
    enum dead_reason dead;
    unsigned from;
    struct entry entry; /* of the last time that it was taken */
};

struct model {
    struct kept kept[ENTRIES];
    unsigned count;
    uint64_t order;
    struct queue_counts counts;
};

static struct model model;
static struct model saved;
static unsigned purged[ENTRIES]; /* names of what a change has found expired, which is gone whatever comes of it */
static unsigned purged_count;

static struct kept *find(unsigned name) {
    for (unsigned n = 0; n < model.count; n++)
        if (model.kept[n].name == name)
            return &model.kept[n];
    return NULL;
}

static void forget(struct kept *kept) {
    *kept = model.kept[--model.count];
}

static struct kept *oldest_of(unsigned queue) {
    struct kept *oldest = NULL;
    for (unsigned n = 0; n < model.count; n++) {
        struct kept *kept = &model.kept[n];
        if (kept->queue == queue && !kept->owned && (!oldest || kept->order < oldest->order))
            oldest = kept;
    }
    return oldest;
}

/* Beside what is ready, or owned, or both. */
static bool has_room(unsigned queue, bool ready, bool owned, const struct queue_policy *policy, uint32_t size) {
    uint64_t count = 0, bytes = 0;
    for (unsigned n = 0; n < model.count; n++)
        if (model.kept[n].queue == queue && (model.kept[n].owned ? owned : ready)) {
            count++;
            bytes += model.kept[n].size;
        }
    return (policy->max_messages == 0 || count < policy->max_messages) &&
           (policy->max_bytes == 0 || bytes + size <= policy->max_bytes);
}

static bool is_over(const struct kept *kept, const struct queue_policy *policy) {
    return (kept->expires_ms > 0 && now_ms >= kept->expires_ms) ||
           (policy->max_age_ms > 0 && now_ms >= kept->put_ms + policy->max_age_ms);
}

static void purge(unsigned queue, const struct queue_policy *policy) {
    struct kept *oldest;
    while ((oldest = oldest_of(queue)) != NULL && !oldest->touched && is_over(oldest, policy)) {
        purged[purged_count++] = oldest->name;
        forget(oldest);
    }
}

static struct kept *add(unsigned name, unsigned queue, uint32_t size) {
    assert_true(model.count < ENTRIES);
    struct kept *kept = &model.kept[model.count++];
    *kept = (struct kept){
        .name = name, .queue = queue, .order = ++model.order, .put_ms = now_ms, .size = size, .touched = true};
    return kept;
}

static void model_dead(struct kept *kept, const struct queue_policy *policy, enum dead_reason why) {
    struct kept was = *kept;
    forget(kept);
    if (was.queue >= 2) {
        model.counts.dropped += why == DEAD_FULL;
        return;
    }
    unsigned dead = was.queue + 2;
    struct kept *oldest;
    model.counts.dead++;
    while (!has_room(dead, true, true, policy, was.size) && (oldest = oldest_of(dead)) != NULL) {
        model.counts.dropped++;
        forget(oldest);
    }
    struct kept *letter = add(was.name, dead, was.size);
    letter->dead = why;
    letter->from = was.queue;
}

/* False: there is none to go. */
static bool model_make_way(unsigned queue, const struct queue_policy *policy) {
    struct kept *oldest = oldest_of(queue);
    bool over = is_over(oldest, policy);
    if (!over && policy->when_full == WHEN_FULL_REFUSE)
        return false;
    if (!over && policy->when_full == WHEN_FULL_DEAD_LETTER) {
        model_dead(oldest, policy, DEAD_FULL);
        return true;
    }
    if (over)
        model.counts.expired++;
    else
        model.counts.dropped++;
    forget(oldest);
    return true;
}

static enum change_result model_put(unsigned name, unsigned queue, const struct queue_policy *policy, uint32_t size,
                                    uint64_t lifetime_ms) {
    bool owned = policy->when_full == WHEN_FULL_REFUSE;
    if (!has_room(queue, false, owned, policy, size))
        return CHANGE_FULL;
    if (!has_room(queue, true, owned, policy, size))
        purge(queue, policy);
    while (!has_room(queue, true, owned, policy, size))
        if (!model_make_way(queue, policy))
            return CHANGE_FULL;
    uint64_t age = policy->max_age_ms;
    struct kept *kept = add(name, queue, size);
    if (lifetime_ms > 0 || age > 0)
        kept->expires_ms = now_ms + (lifetime_ms == 0 || (age > 0 && age < lifetime_ms) ? age : lifetime_ms);
    return CHANGE_DONE;
}

static bool is_worn_out(const struct kept *kept, const struct queue_policy *policy) {
    bool has_dead_letters = kept->queue < 2;
    return has_dead_letters && policy->max_deliveries > 0 && kept->deliveries >= policy->max_deliveries;
}

static void model_return(struct kept *kept, const struct queue_policy *policy, bool counted) {
    kept->owned = false;
    kept->touched = true;
    kept->deliveries += counted;
    if (is_worn_out(kept, policy))
        model_dead(kept, policy, DEAD_MAX_DELIVERIES);
}

static void model_begin(void) {
    for (unsigned n = 0; n < model.count; n++)
        model.kept[n].touched = false;
    purged_count = 0;
    saved = model;
}

static void model_end(bool done) {
    if (!done) {
        model = saved;
        for (unsigned n = 0; n < purged_count; n++)
            forget(find(purged[n]));
    }
    model.counts.expired += purged_count;
}

/* ---- both ---- */

struct run {
    uint64_t seed;
    uint64_t random;
    struct queue_store *store;
    unsigned last_name;
    uint64_t number;
    char seen[TEXT]; /* what the last call brought */
    char expected[TEXT];
};

static uint64_t any(struct run *run, uint64_t below) {
    return random_below(&run->random, below);
}

static void write_entry(char *text, unsigned name, uint32_t deliveries, const char *from, enum dead_reason dead) {
    size_t len = strlen(text);
    snprintf(text + len, TEXT - len, " %u*%u%s%u", name, deliveries, from, (unsigned)dead);
}

static unsigned number_of(const struct message *message) {
    return (unsigned)strtoul(message_body(message).data, NULL, 10);
}

static void on_done(void *arg, struct queue_answer *answer) {
    struct run *run = arg;
    assert_int_equal(answer->result, QUEUE_OK);
    run->seen[0] = '\0';
    for (size_t n = 0; n < answer->entry_count; n++) {
        const struct queue_entry *entry = &answer->entries[n];
        char from[32];
        snprintf(from, sizeof from, "<%.*s ", BYTES_ARG(entry->dead_from));
        write_entry(run->seen, number_of(entry->message), entry->deliveries, from, entry->dead);
        struct kept *kept = find(number_of(entry->message));
        assert_non_null(kept);
        assert_int_equal(kept->size, entry->entry.size);
        kept->entry = entry->entry;
    }
    if (answer->change_count == 1)
        snprintf(run->seen, sizeof run->seen, "result %d", (int)answer->changes[0]);
}

static void await(struct run *run) {
    while (run->store->ops->turn(run->store))
        continue;
    assert_string_equal(run->seen, run->expected);
}

static void take(struct run *run, unsigned queue, const struct queue_policy *policy, uint32_t messages) {
    struct queue_want want = {.queue = bytes_of(names[queue]), .policy = policy, .messages = messages};
    struct kept *oldest;
    run->expected[0] = '\0';
    run->number++;
    run->store->ops->take(run->store, &want, 1, run->number, run->number, (struct queue_call){on_done, run});
    model_begin();
    while (messages > 0) {
        purge(queue, policy);
        if (!(oldest = oldest_of(queue)))
            break;
        if (is_worn_out(oldest, policy)) {
            model_dead(oldest, policy, DEAD_MAX_DELIVERIES);
            continue;
        }
        char from[32];
        snprintf(from, sizeof from, "<%s ", oldest->dead ? names[oldest->from] : "");
        oldest->owned = true;
        write_entry(run->expected, oldest->name, oldest->deliveries + 1, from, oldest->dead);
        messages--;
    }
    model_end(true);
    await(run);
}

/* One that was taken once, whosever it is by now; NULL: there is none. */
static struct kept *any_taken(struct run *run) {
    for (unsigned n = 0; n < 20 && model.count > 0; n++) {
        struct kept *kept = &model.kept[any(run, model.count)];
        if (kept->entry.n > 0 && (kept->owned || n > 15))
            return kept;
    }
    return NULL;
}

struct change_parts {
    struct change *change;
    struct bytes queues[OPERATIONS];
    const struct queue_policy *policies[OPERATIONS];
};

static enum change_result add_put(struct run *run, struct change_parts *parts) {
    unsigned queue = (unsigned)any(run, QUEUES), n = parts->change->count;
    char name[16];
    snprintf(name, sizeof name, "%u", ++run->last_name);
    struct message *message = queue_message(names[queue], name, any(run, 5) == 0 ? 500 : 10);
    uint32_t size = (uint32_t)(message_size(message) + message->key_len);
    struct operation operation = {
        .kind = OPERATION_PUT, .message = message, .lifetime_ms = any(run, 3) == 0 ? 1 + any(run, 400) : 0};
    parts->queues[n] = bytes_of(names[queue]);
    parts->policies[n] = &policies[any(run, POLICIES)];
    assert_true(change_add(parts->change, &operation));
    return model_put(run->last_name, queue, parts->policies[n], size, operation.lifetime_ms);
}

static enum change_result add_finish(struct run *run, struct change_parts *parts, struct kept *kept) {
    unsigned n = parts->change->count;
    const struct queue_policy *policy = &policies[any(run, POLICIES)];
    struct operation operation = {.kind = (enum operation_kind)(OPERATION_SETTLE + any(run, 3)),
                                  .counted = any(run, 2) == 0,
                                  .entry = kept->entry};
    parts->queues[n] = bytes_of(names[kept->queue]);
    parts->policies[n] = policy;
    assert_true(change_add(parts->change, &operation));
    if (!kept->owned)
        return parts->change->together ? CHANGE_LOST : CHANGE_DONE;
    if (operation.kind == OPERATION_SETTLE)
        forget(kept);
    else if (operation.kind == OPERATION_RETURN)
        model_return(kept, policy, operation.counted);
    else
        model_dead(kept, policy, DEAD_REJECTED);
    return CHANGE_DONE;
}

static void change(struct run *run) {
    struct change_parts parts = {.change = change_new()};
    enum change_result result = CHANGE_DONE;
    assert_non_null(parts.change);
    parts.change->together = any(run, 2) == 0;
    model_begin();
    for (uint64_t n = 1 + any(run, OPERATIONS); n > 0 && result == CHANGE_DONE; n--) {
        struct kept *kept = any(run, 2) == 0 ? any_taken(run) : NULL;
        result = kept ? add_finish(run, &parts, kept) : add_put(run, &parts);
    }
    model_end(result == CHANGE_DONE);
    struct queue_change one = {parts.change, parts.queues, parts.policies};
    snprintf(run->expected, sizeof run->expected, "result %d", (int)result);
    run->number++;
    run->store->ops->change(run->store, &one, 1, run->number, run->number, (struct queue_call){on_done, run});
    change_free(parts.change);
    await(run);
}

static void compare_counts(const struct run *run) {
    struct queue_counts counts;
    run->store->ops->count(run->store, &counts);
    assert_int_equal(counts.expired, model.counts.expired);
    assert_int_equal(counts.dropped, model.counts.dropped);
    assert_int_equal(counts.dead, model.counts.dead);
}

static void on_ready(void *arg, struct bytes queue) {
    (void)arg;
    (void)queue;
}

static void play(struct run *run, uint64_t seed) {
    static const struct queue_events events = {on_ready};
    *run = (struct run){.seed = seed, .random = seed};
    memset(&model, 0, sizeof model);
    now_ms = 1000;
    run->store = memory_queues_new(1u << 30, fake_clock, &events, run);
    assert_non_null(run->store);
    for (unsigned step = 0; step < STEPS; step++) {
        now_ms += any(run, 20);
        if (any(run, 3) == 0)
            take(run, (unsigned)any(run, QUEUES), &policies[any(run, POLICIES)], 1 + (uint32_t)any(run, 5));
        else
            change(run);
        compare_counts(run);
    }
    for (unsigned queue = 0; queue < QUEUES; queue++)
        take(run, queue, &policies[0], UINT32_MAX);
}

static void end(struct run *run) {
    if (run->store)
        run->store->ops->free(run->store);
    run->store = NULL;
}

/* A run that did not get to its end has left its store. */
static int tear_down(void **state) {
    struct run *run = *state;
    if (run->store)
        print_error("STOMPD_SEED=%" PRIu64 " repeats it\n", run->seed);
    end(run);
    return 0;
}

static void test_random_calls_do_what_a_model_does(void **state) {
    struct run *run = *state;
    const char *only = getenv("STOMPD_SEED");
    uint64_t first = only ? strtoull(only, NULL, 10) : 1;
    uint64_t last = only ? first : SEEDS;
    assert_true(first > 0);
    for (uint64_t seed = first; seed <= last; seed++) {
        play(run, seed);
        end(run);
    }
}

int main(void) {
    static struct run run;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate_setup_teardown(test_random_calls_do_what_a_model_does, NULL, tear_down, &run),
    };
    hash_seed();
    return cmocka_run_group_tests_name("queues in memory, at random", tests, NULL, NULL);
}
