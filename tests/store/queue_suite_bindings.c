/* The suite: which queues are bound to which topics, by whom that is known, and what becomes of them. */
#include "queue_suite.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KNOWN_MAX  2048
#define NAME_MAX   64
#define MANY       1200 /* changes, more than any store tells one by one */
#define FLIGHT_MAX 256  /* calls under way */

/* An answer to a call about bindings. */
struct told {
    bool done;
    enum queue_result result;
    uint64_t life;
    uint64_t version;
    uint64_t everywhere;
};

/* What a node knows, kept by what it was told as the hub does it. */
struct known {
    struct told last;
    size_t count;
    char lines[KNOWN_MAX][2 * NAME_MAX]; /* "queue topic" */
    char text[KNOWN_MAX * 2 * NAME_MAX];
};

static struct known known_a;
static struct known known_b;

static int set_up(void **state) {
    known_a.count = known_b.count = 0;
    known_a.last = known_b.last = (struct told){0};
    return suite_set_up(state);
}

#define BINDINGS_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, suite_tear_down)

/* ---- calls ---- */

static void note(struct told *told, const struct queue_answer *answer) {
    *told = (struct told){true, answer->result, answer->life, answer->version, answer->everywhere};
}

static void on_told(void *arg, struct queue_answer *answer) {
    assert_false(((const struct told *)arg)->done);
    assert_int_equal(answer->binding_count, 0);
    note(arg, answer);
}

static bool is_done(void *arg) {
    return ((const struct told *)arg)->done;
}

static void await(const struct queue_peer *peer, struct told *told) {
    assert_false(told->done); /* nothing is answered from within the call */
    assert_true(peer->contract->pump_until(peer->contract->arg, is_done, told));
}

static struct told bind_queue(struct queue_peer *peer, const char *queue, const char *topic) {
    struct told told = {0};
    peer->store->ops->bind(peer->store, bytes_of(queue), bytes_of(topic), (struct queue_call){on_told, &told});
    await(peer, &told);
    return told;
}

static struct told unbind_queue(struct queue_peer *peer, const char *queue) {
    struct told told = {0};
    peer->store->ops->unbind(peer->store, bytes_of(queue), (struct queue_call){on_told, &told});
    await(peer, &told);
    return told;
}

static uint64_t version_of(struct told told) {
    assert_int_equal(told.result, QUEUE_OK);
    return told.version;
}

void suite_bind(struct queue_peer *peer, const char *queue, const char *topic) {
    if (peer->contract->bindings)
        (void)version_of(bind_queue(peer, queue, topic));
}

/* ---- what is known ---- */

static void forget(struct known *known, struct bytes queue) {
    for (size_t n = 0; n < known->count; n++) {
        const char *line = known->lines[n];
        if (strncmp(line, queue.data, queue.len) != 0 || line[queue.len] != ' ')
            continue;
        known->count--;
        memmove(known->lines[n], known->lines[known->count], sizeof known->lines[n]);
        return;
    }
}

static void learn(struct known *known, const struct queue_binding *binding) {
    forget(known, binding->queue);
    if (binding->topic.len == 0)
        return;
    assert_true(known->count < KNOWN_MAX);
    snprintf(known->lines[known->count++], sizeof known->lines[0], "%.*s %.*s", BYTES_ARG(binding->queue),
             BYTES_ARG(binding->topic));
}

static void on_looked(void *arg, struct queue_answer *answer) {
    struct known *known = arg;
    note(&known->last, answer);
    if (answer->complete)
        known->count = 0;
    for (size_t n = 0; n < answer->binding_count; n++) {
        assert_false(answer->complete && answer->bindings[n].topic.len == 0);
        learn(known, &answer->bindings[n]);
    }
}

static int compare(const void *one, const void *other) {
    return strcmp(one, other);
}

static bool has_looked(void *arg) {
    return ((const struct known *)arg)->last.done;
}

/* Looks, acting by that version; returns all that is known then, in order, each with a line end. */
static const char *look(struct queue_peer *peer, struct known *known, uint64_t version) {
    known->last.done = false;
    peer->store->ops->bindings(peer->store, version, (struct queue_call){on_looked, known});
    assert_false(known->last.done);
    assert_true(peer->contract->pump_until(peer->contract->arg, has_looked, known));
    assert_int_equal(known->last.result, QUEUE_OK);
    qsort(known->lines, known->count, sizeof known->lines[0], compare);
    char *at = known->text;
    *at = '\0';
    for (size_t n = 0; n < known->count; n++)
        at += snprintf(at, 2 * NAME_MAX + 2, "%s\n", known->lines[n]);
    return known->text;
}

/* The same, acting by all that is known. */
static const char *look_again(struct queue_peer *peer, struct known *known) {
    return look(peer, known, known->last.version);
}

static uint64_t acting_everywhere(struct queue_peer *peer, struct known *known) {
    (void)look_again(peer, known);
    return known->last.everywhere;
}

/* ---- one node ---- */

static void test_at_first_nothing_is_bound(void **state) {
    struct pair *both = *state;
    assert_string_equal(look(&both->a, &known_a, 0), "");
    assert_int_equal(known_a.last.version, 0);
    assert_int_equal(known_a.last.everywhere, 0);
    assert_int_equal(known_a.last.life, 0);
}

static void test_what_is_bound_is_told(void **state) {
    struct pair *both = *state;
    uint64_t first = version_of(bind_queue(&both->a, "d:ann/1", "/topic/a"));
    assert_string_equal(look(&both->a, &known_a, 0), "d:ann/1 /topic/a\n");
    assert_int_equal(known_a.last.version, first);
    assert_true(known_a.last.life > 0);
    assert_int_equal(version_of(bind_queue(&both->a, "d:ann/2", "/topic/b.**")), first + 1);
    assert_int_equal(version_of(bind_queue(&both->a, "d:bob/1", "/topic/a")), first + 2);
    assert_string_equal(look_again(&both->a, &known_a), "d:ann/1 /topic/a\nd:ann/2 /topic/b.**\nd:bob/1 /topic/a\n");
    assert_int_equal(known_a.last.version, first + 2);
    assert_string_equal(look_again(&both->a, &known_a), "d:ann/1 /topic/a\nd:ann/2 /topic/b.**\nd:bob/1 /topic/a\n");
}

static void test_what_is_bound_already_stays_as_it_is(void **state) {
    struct pair *both = *state;
    struct told first = bind_queue(&both->a, "d:ann/1", "/topic/a");
    struct told again = bind_queue(&both->a, "d:ann/1", "/topic/a");
    assert_int_equal(version_of(again), version_of(first));
    assert_int_equal(again.life, first.life);
    assert_int_equal(bind_queue(&both->a, "d:ann/1", "/topic/b").result, QUEUE_TAKEN);
    assert_string_equal(look(&both->a, &known_a, 0), "d:ann/1 /topic/a\n");
    assert_int_equal(known_a.last.version, first.version);
}

static void test_what_is_unbound_is_told_and_may_be_bound_anew(void **state) {
    struct pair *both = *state;
    (void)bind_queue(&both->a, "d:ann/1", "/topic/a");
    uint64_t version = version_of(bind_queue(&both->a, "d:ann/2", "/topic/b"));
    (void)look(&both->a, &known_a, 0);
    assert_int_equal(version_of(unbind_queue(&both->a, "d:ann/1")), version + 1);
    assert_string_equal(look_again(&both->a, &known_a), "d:ann/2 /topic/b\n");
    assert_int_equal(version_of(unbind_queue(&both->a, "d:ann/1")), version + 1);
    assert_int_equal(version_of(unbind_queue(&both->a, "d:none/1")), version + 1);
    assert_int_equal(version_of(bind_queue(&both->a, "d:ann/1", "/topic/c")), version + 2);
    assert_string_equal(look_again(&both->a, &known_a), "d:ann/1 /topic/c\nd:ann/2 /topic/b\n");
    (void)unbind_queue(&both->a, "d:ann/1");
    (void)unbind_queue(&both->a, "d:ann/2");
    assert_string_equal(look_again(&both->a, &known_a), "");
    assert_int_equal(known_a.last.version, version + 4);
}

static void test_names_are_taken_as_they_are(void **state) {
    struct pair *both = *state;
    (void)version_of(bind_queue(&both->a, "d:a%2Fb/\\\"*?[x]{y}\xc3\xa4", "/topic/'\\ **\xff.#"));
    assert_string_equal(look(&both->a, &known_a, 0), "d:a%2Fb/\\\"*?[x]{y}\xc3\xa4 /topic/'\\ **\xff.#\n");
    assert_done(queue_peer_put(&both->a, "d:a%2Fb/\\\"*?[x]{y}\xc3\xa4", "1"));
    assert_string_equal(queue_peer_take(&both->a, "d:a%2Fb/\\\"*?[x]{y}\xc3\xa4", 2), "1");
}

static void test_a_node_is_told_everywhere_once_it_acts(void **state) {
    struct pair *both = *state;
    struct told told = bind_queue(&both->a, "d:ann/1", "/topic/a");
    if (both->contract->several)
        queue_peer_close(&both->b); /* whether it is there or not is another test's business */
    if (both->contract->several)
        both->contract->bury(both->contract->arg, "b", BOOT_B);
    assert_int_equal(told.everywhere, 0);
    (void)look(&both->a, &known_a, 0);
    assert_int_equal(known_a.last.everywhere, 0);
    assert_int_equal(acting_everywhere(&both->a, &known_a), told.version);
    struct told next = bind_queue(&both->a, "d:ann/2", "/topic/a");
    assert_int_equal(next.everywhere, told.version);
    assert_int_equal(unbind_queue(&both->a, "d:ann/1").everywhere, told.version);
    assert_int_equal(acting_everywhere(&both->a, &known_a), told.version);
    assert_int_equal(acting_everywhere(&both->a, &known_a), next.version + 1);
    (void)look(&both->a, &known_a, 0); /* by none any more */
    assert_int_equal(known_a.last.everywhere, 0);
}

static void call_many(struct queue_peer *peer, unsigned first, unsigned count) {
    static struct told told[FLIGHT_MAX];
    char queue[NAME_MAX];
    for (unsigned n = 0; n < count; n++) {
        told[n].done = false;
        snprintf(queue, sizeof queue, "d:ann/%u", (first + n) / 2);
        if ((first + n) % 2 == 0)
            peer->store->ops->bind(peer->store, bytes_of(queue), BYTES("/topic/many"),
                                   (struct queue_call){on_told, &told[n]});
        else
            peer->store->ops->unbind(peer->store, bytes_of(queue), (struct queue_call){on_told, &told[n]});
    }
    for (unsigned n = count; n-- > 0;)
        if (!told[n].done)
            await(peer, &told[n]);
}

static void test_who_has_missed_many_changes_is_told_what_there_is(void **state) {
    struct pair *both = *state;
    (void)bind_queue(&both->a, "d:bob/old", "/topic/old");
    (void)bind_queue(&both->a, "d:bob/gone", "/topic/gone");
    (void)look(&both->a, &known_a, 0);
    uint64_t version = known_a.last.version;
    (void)unbind_queue(&both->a, "d:bob/gone");
    for (unsigned done = 0; done < MANY; done += FLIGHT_MAX)
        call_many(&both->a, done, MANY - done < FLIGHT_MAX ? MANY - done : FLIGHT_MAX);
    (void)bind_queue(&both->a, "d:bob/new", "/topic/new");
    assert_string_equal(look(&both->a, &known_a, version), "d:bob/new /topic/new\nd:bob/old /topic/old\n");
    assert_int_equal(known_a.last.version, version + 1 + MANY + 1);
}

/* ---- what bound queues hold ---- */

static void test_a_queue_goes_with_what_it_holds(void **state) {
    struct pair *both = *state;
    (void)bind_queue(&both->a, "d:ann/1", "/topic/a");
    queue_peer_put_many(&both->a, "d:ann/1", 3);
    assert_string_equal(queue_peer_take(&both->a, "d:ann/1", 1), "1");
    (void)unbind_queue(&both->a, "d:ann/1");
    assert_string_equal(queue_peer_take(&both->a, "d:ann/1", 9), "");
    (void)bind_queue(&both->a, "d:ann/1", "/topic/a");
    assert_done(queue_peer_return(&both->a, "d:ann/1", "1", true));
    assert_done(queue_peer_put(&both->a, "d:ann/1", "4"));
    assert_string_equal(queue_peer_take(&both->a, "d:ann/1", 9), "4");
    assert_done(queue_peer_settle(&both->a, "d:ann/1", "4"));
}

/* Which a node may do that has not heard of the end yet. */
static void test_what_is_put_into_a_queue_that_is_not_bound_is_dropped(void **state) {
    struct pair *both = *state;
    static const struct queue_policy small = {.max_messages = 1, IDLE};
    both->a.policy = &small;
    assert_done(queue_peer_put(&both->a, "d:ann/1", "1"));
    (void)bind_queue(&both->a, "d:ann/1", "/topic/a");
    assert_string_equal(queue_peer_take(&both->a, "d:ann/1", 9), "");
    assert_done(queue_peer_put(&both->a, "d:ann/1", "2"));
    (void)unbind_queue(&both->a, "d:ann/1");
    assert_done(queue_peer_put(&both->a, "d:ann/1", "3"));
    assert_done(queue_peer_put(&both->a, "d:ann/1", "4"));
    (void)bind_queue(&both->a, "d:ann/1", "/topic/a");
    assert_string_equal(queue_peer_take(&both->a, "d:ann/1", 9), "");
    assert_counts(&both->a, 0, 0, 0);
}

static void test_a_bound_queue_is_a_queue_like_any_other(void **state) {
    struct pair *both = *state;
    static const struct queue_policy three = {.max_messages = 3, .when_full = WHEN_FULL_DROP, IDLE};
    (void)bind_queue(&both->a, "d:ann/1", "/topic/a");
    both->a.policy = &three;
    queue_peer_put_many(&both->a, "d:ann/1", 5);
    assert_string_equal(queue_peer_take(&both->a, "d:ann/1", 2), "3 4");
    assert_done(queue_peer_return(&both->a, "d:ann/1", "3", true));
    assert_done(queue_peer_reject(&both->a, "d:ann/1", "4"));
    assert_string_equal(queue_peer_take(&both->a, "d:ann/1", 9), "3*2 5");
    assert_string_equal(queue_peer_take(&both->a, "q:durable.dead", 9), "4<d:ann/1 rejected");
}

/* ---- several nodes ---- */

static void test_all_nodes_know_all_bindings(void **state) {
    struct pair *both = *state;
    (void)bind_queue(&both->a, "d:ann/1", "/topic/a");
    (void)bind_queue(&both->b, "d:bob/1", "/topic/b");
    assert_string_equal(look(&both->a, &known_a, 0), "d:ann/1 /topic/a\nd:bob/1 /topic/b\n");
    assert_int_equal(bind_queue(&both->b, "d:ann/1", "/topic/b").result, QUEUE_TAKEN);
    (void)unbind_queue(&both->b, "d:ann/1");
    assert_string_equal(look_again(&both->a, &known_a), "d:bob/1 /topic/b\n");
    assert_string_equal(look(&both->b, &known_b, 0), "d:bob/1 /topic/b\n");
}

static void test_everywhere_is_by_what_the_last_node_acts(void **state) {
    struct pair *both = *state;
    uint64_t version = version_of(bind_queue(&both->a, "d:ann/1", "/topic/a"));
    (void)look(&both->a, &known_a, 0);
    (void)look(&both->b, &known_b, 0);
    assert_int_equal(acting_everywhere(&both->a, &known_a), 0);
    assert_int_equal(acting_everywhere(&both->b, &known_b), version);
    assert_int_equal(acting_everywhere(&both->a, &known_a), version);
    uint64_t next = version_of(bind_queue(&both->b, "d:ann/2", "/topic/a"));
    (void)look_again(&both->a, &known_a);
    assert_int_equal(acting_everywhere(&both->a, &known_a), version);
    (void)look_again(&both->b, &known_b);
    assert_int_equal(acting_everywhere(&both->b, &known_b), next);
}

static void test_a_dead_node_is_not_waited_for(void **state) {
    struct pair *both = *state;
    uint64_t version = version_of(bind_queue(&both->a, "d:ann/1", "/topic/a"));
    (void)look(&both->a, &known_a, 0);
    assert_int_equal(acting_everywhere(&both->a, &known_a), 0);
    both->contract->bury(both->contract->arg, "b", BOOT_B);
    assert_int_equal(acting_everywhere(&both->a, &known_a), version);
}

/* It may have missed anything meanwhile. */
static void test_a_node_that_was_buried_is_waited_for_until_it_acts_again(void **state) {
    struct pair *both = *state;
    uint64_t version = version_of(bind_queue(&both->a, "d:ann/1", "/topic/a"));
    (void)look(&both->a, &known_a, 0);
    (void)look(&both->b, &known_b, 0);
    (void)look_again(&both->b, &known_b);
    both->contract->bury(both->contract->arg, "b", BOOT_B);
    assert_int_equal(acting_everywhere(&both->a, &known_a), version);
    both->contract->renew(both->contract->arg, both->b.store);
    assert_int_equal(acting_everywhere(&both->a, &known_a), 0);
    (void)look_again(&both->b, &known_b);
    assert_int_equal(acting_everywhere(&both->a, &known_a), version);
}

static void test_a_buried_node_binds_nothing(void **state) {
    struct pair *both = *state;
    uint64_t version = version_of(bind_queue(&both->a, "d:ann/1", "/topic/a"));
    assert_done(queue_peer_put(&both->a, "d:ann/1", "1"));
    both->contract->bury(both->contract->arg, "b", BOOT_B);
    assert_int_equal(bind_queue(&both->b, "d:bob/1", "/topic/b").result, QUEUE_GONE);
    assert_int_equal(unbind_queue(&both->b, "d:ann/1").result, QUEUE_GONE);
    struct told told = {0};
    both->b.store->ops->bindings(both->b.store, version, (struct queue_call){on_told, &told});
    await(&both->b, &told);
    assert_int_equal(told.result, QUEUE_GONE);
    assert_string_equal(look(&both->a, &known_a, 0), "d:ann/1 /topic/a\n");
    assert_string_equal(queue_peer_take(&both->a, "d:ann/1", 9), "1");
    both->contract->renew(both->contract->arg, both->b.store);
    assert_int_equal(version_of(bind_queue(&both->b, "d:bob/1", "/topic/b")), version + 1);
}

/* ---- links that break ---- */

static void test_calls_that_are_made_again_change_nothing_more(void **state) {
    struct pair *both = *state;
    struct queue_peer *a = &both->a;
    for (int carried_out = 0; carried_out < 2; carried_out++) {
        struct told told[2] = {{0}};
        (void)version_of(bind_queue(a, "d:ann/old", "/topic/a"));
        uint64_t version = version_of(unbind_queue(a, "d:ann/1"));
        a->store->ops->bind(a->store, BYTES("d:ann/1"), BYTES("/topic/a"), (struct queue_call){on_told, &told[0]});
        a->store->ops->unbind(a->store, BYTES("d:ann/old"), (struct queue_call){on_told, &told[1]});
        both->contract->break_link(both->contract->arg, a->store, carried_out == 1);
        for (int n = 0; n < 2; n++)
            if (!told[n].done)
                await(a, &told[n]);
        assert_int_equal(told[0].result, QUEUE_AWAY);
        assert_int_equal(told[1].result, QUEUE_AWAY);
        (void)bind_queue(a, "d:ann/1", "/topic/a");
        assert_int_equal(version_of(unbind_queue(a, "d:ann/old")), version + 2);
    }
    assert_string_equal(look(a, &known_a, 0), "d:ann/1 /topic/a\n");
}

/* ---- the parts ---- */

static int run_alone(const char *name, const struct queue_contract *contract) {
    struct CMUnitTest tests[] = {
        BINDINGS_TEST(test_at_first_nothing_is_bound),
        BINDINGS_TEST(test_what_is_bound_is_told),
        BINDINGS_TEST(test_what_is_bound_already_stays_as_it_is),
        BINDINGS_TEST(test_what_is_unbound_is_told_and_may_be_bound_anew),
        BINDINGS_TEST(test_names_are_taken_as_they_are),
        BINDINGS_TEST(test_a_node_is_told_everywhere_once_it_acts),
        BINDINGS_TEST(test_who_has_missed_many_changes_is_told_what_there_is),
        BINDINGS_TEST(test_a_queue_goes_with_what_it_holds),
        BINDINGS_TEST(test_what_is_put_into_a_queue_that_is_not_bound_is_dropped),
        BINDINGS_TEST(test_a_bound_queue_is_a_queue_like_any_other),
    };
    return suite_run(name, ", bindings", contract, tests, sizeof tests / sizeof *tests);
}

static int run_several(const char *name, const struct queue_contract *contract) {
    struct CMUnitTest tests[] = {
        BINDINGS_TEST(test_all_nodes_know_all_bindings),
        BINDINGS_TEST(test_everywhere_is_by_what_the_last_node_acts),
        BINDINGS_TEST(test_a_dead_node_is_not_waited_for),
        BINDINGS_TEST(test_a_node_that_was_buried_is_waited_for_until_it_acts_again),
        BINDINGS_TEST(test_a_buried_node_binds_nothing),
    };
    return suite_run(name, ", bindings of several nodes", contract, tests, sizeof tests / sizeof *tests);
}

static int run_again(const char *name, const struct queue_contract *contract) {
    struct CMUnitTest tests[] = {BINDINGS_TEST(test_calls_that_are_made_again_change_nothing_more)};
    return suite_run(name, ", bindings made again", contract, tests, sizeof tests / sizeof *tests);
}

int queue_suite_run_bindings(const char *name, const struct queue_contract *contract) {
    int failed = run_alone(name, contract);
    if (contract->several)
        failed += run_several(name, contract);
    if (contract->break_link)
        failed += run_again(name, contract);
    return failed;
}
