/* The contract, kept by the queues of one node; and what is their own: the bound on memory, and that idle queues go. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>

#include "queue_peer.h"
#include "stompd/base/hash.h"
#include "stompd/base/timer.h"
#include "stompd/store/memory_queues.h"

#define MEMORY       (64u << 20)
#define SMALL_MEMORY (1u << 20)

static uint64_t now_ms = 1000000;

static uint64_t fake_clock(void) {
    return now_ms;
}

/* ---- the kind of store ---- */

struct bench {
    struct queue_contract contract;
    struct queue_store *store; /* the only one */
    uint64_t memory;
};

static struct bench bench;
static struct queue_peer peer;

static struct queue_store *attach(void *arg, const char *node, const char *boot, const struct queue_events *events,
                                  void *events_arg) {
    struct bench *at = arg;
    (void)node;
    (void)boot;
    assert_null(at->store);
    at->store = memory_queues_new(at->memory, fake_clock, events, events_arg);
    assert_non_null(at->store);
    return at->store;
}

static void detach(void *arg, struct queue_store *store) {
    ((struct bench *)arg)->store = NULL;
    store->ops->free(store);
}

static bool pump_until(void *arg, bool (*reached)(void *reached_arg), void *reached_arg) {
    const struct bench *at = arg;
    bool more = true;
    while (!reached(reached_arg) && more)
        more = at->store->ops->turn(at->store);
    return reached(reached_arg);
}

static void advance(void *arg, uint64_t ms) {
    (void)arg;
    now_ms += ms;
}

static void empty(void *arg) {
    (void)arg;
}

/* ---- the tests' own ---- */

static const struct queue_policy no_limits = {.idle_expiry_ms = 300000};
static const struct queue_policy brief = {.idle_expiry_ms = 10000};

static int set_up(void **state) {
    (void)state;
    queue_peer_open(&peer, &bench.contract, "a", "a:1");
    return 0;
}

static int set_up_small(void **state) {
    bench.memory = SMALL_MEMORY;
    return set_up(state);
}

static int tear_down(void **state) {
    (void)state;
    queue_peer_close(&peer);
    bench.memory = MEMORY;
    return 0;
}

static void turn(void) {
    while (bench.store->ops->turn(bench.store))
        continue;
}

static uint64_t count_expired(void) {
    struct queue_counts counts;
    bench.store->ops->count(bench.store, &counts);
    return counts.expired;
}

static enum change_result put_ref(const char *queue, struct message *message) {
    static struct draft draft;
    draft_begin(&draft, &peer, false);
    draft_put_message(&draft, queue, message_ref(message), 0);
    return draft_make(&draft);
}

/* ---- the bound on memory ---- */

static unsigned put_until_full(const char *queue, size_t size) {
    unsigned count = 0;
    while (queue_peer_put_sized(&peer, queue, "x", size) == CHANGE_DONE)
        assert_true(++count < SMALL_MEMORY);
    return count;
}

static void test_all_queues_together_hold_no_more_than_their_memory(void **state) {
    (void)state;
    unsigned count = put_until_full("q:x", 10000);
    assert_in_range(count, SMALL_MEMORY / 10600, SMALL_MEMORY / 10000 - 1);
    assert_int_equal(queue_peer_put_sized(&peer, "q:y", "y", 10000), CHANGE_FULL);
    assert_string_equal(queue_peer_take(&peer, "q:x", 1), "x");
    assert_int_equal(queue_peer_put_sized(&peer, "q:y", "y", 10000), CHANGE_FULL);
    assert_int_equal(queue_peer_settle(&peer, "q:x", "x"), CHANGE_DONE);
    assert_int_equal(queue_peer_put_sized(&peer, "q:y", "y", 9000), CHANGE_DONE);
    assert_int_equal(queue_peer_put_sized(&peer, "q:x", "x", 10000), CHANGE_FULL);
}

/* Bytes of the heap, where the library can tell: not where a sanitizer has taken it over. */
static size_t heap(void) {
    return mallinfo2().uordblks;
}

static void test_small_messages_and_queues_count_with_what_they_take_for_themselves(void **state) {
    char name[32];
    size_t before = heap();
    unsigned count = 0;
    (void)state;
    do
        snprintf(name, sizeof name, "q:%u", count);
    while (queue_peer_put(&peer, name, "x") == CHANGE_DONE && ++count < SMALL_MEMORY);
    assert_in_range(count, SMALL_MEMORY / 2000, SMALL_MEMORY / 400);
    if (before > 0)
        assert_in_range(heap() - before, SMALL_MEMORY / 2, SMALL_MEMORY + SMALL_MEMORY / 4);
}

struct told {
    bool done;
    enum queue_result result;
};

static void on_told(void *arg, struct queue_answer *answer) {
    *(struct told *)arg = (struct told){true, answer->result};
}

static enum queue_result bind_number(unsigned n) {
    struct told told = {0};
    char name[32];
    snprintf(name, sizeof name, "d:ann/%u", n);
    peer.store->ops->bind(peer.store, bytes_of(name), BYTES("/topic/a"), (struct queue_call){on_told, &told});
    turn();
    assert_true(told.done);
    return told.result;
}

static void unbind_number(unsigned n) {
    struct told told = {0};
    char name[32];
    snprintf(name, sizeof name, "d:ann/%u", n);
    peer.store->ops->unbind(peer.store, bytes_of(name), (struct queue_call){on_told, &told});
    turn();
    assert_int_equal(told.result, QUEUE_OK);
}

static unsigned bind_until_full(void) {
    unsigned count = 0;
    while (bind_number(count) == QUEUE_OK)
        assert_true(++count < SMALL_MEMORY);
    return count;
}

static void test_bindings_count_too_and_leave_what_they_and_their_queues_took(void **state) {
    (void)state;
    unsigned bindings = bind_until_full();
    assert_in_range(bindings, SMALL_MEMORY / 200, SMALL_MEMORY / 50);
    for (unsigned n = 0; n < bindings; n++)
        unbind_number(n);
    unsigned messages = 0;
    for (unsigned n = 0; n < 3; n++) {
        assert_int_equal(bind_number(7), QUEUE_OK);
        unsigned count = put_until_full("d:ann/7", 10000);
        assert_true(n == 0 || count == messages);
        messages = count;
        assert_string_not_equal(queue_peer_take(&peer, "d:ann/7", 5), ""); /* those that are owned, too */
        unbind_number(7);
    }
    assert_int_equal(bind_until_full(), bindings);
}

static void test_beyond_the_memory_no_queue_drops_its_oldest(void **state) {
    static const struct queue_policy drop = {.max_messages = 1000, .when_full = WHEN_FULL_DROP};
    struct queue_counts counts;
    (void)state;
    peer.policy = &drop;
    unsigned count = put_until_full("q:x", 10000);
    bench.store->ops->count(bench.store, &counts);
    assert_int_equal(counts.dropped, 0);
    (void)queue_peer_take(&peer, "q:x", count + 1);
    while (peer.taken_count < count)
        assert_string_not_equal(queue_peer_take(&peer, "q:x", count), "");
    assert_int_equal(peer.taken_count, count);
}

static void test_what_has_expired_in_any_queue_makes_room_in_memory(void **state) {
    char name[32];
    unsigned count = 0;
    (void)state;
    do
        snprintf(name, sizeof name, "q:%u", count % 40);
    while (queue_peer_put_for(&peer, name, "x", 1000) == CHANGE_DONE && ++count < SMALL_MEMORY);
    assert_int_equal(queue_peer_put(&peer, "q:0", "y"), CHANGE_FULL);
    assert_int_equal(count_expired(), 0);
    now_ms += 1000;
    assert_int_equal(queue_peer_put(&peer, "q:y", "y"), CHANGE_DONE);
    /* A few queues a call, until it is enough. */
    assert_in_range(count_expired(), 1, count - 1);
}

static enum change_result put_large_for(const char *queue, uint64_t lifetime_ms) {
    static struct draft draft;
    draft_begin(&draft, &peer, false);
    draft_put_message(&draft, queue, queue_message(queue, "x", 10000), lifetime_ms);
    return draft_make(&draft);
}

static void test_what_has_expired_in_the_queue_itself_makes_room_in_memory(void **state) {
    char name[32];
    (void)state;
    /* Those that come first to be looked at. */
    for (unsigned n = 0; n < 40; n++) {
        snprintf(name, sizeof name, "q:%u", n);
        assert_int_equal(queue_peer_put(&peer, name, "x"), CHANGE_DONE);
    }
    for (unsigned n = 0; n < SMALL_MEMORY / 11500; n++)
        assert_int_equal(put_large_for("q:x", 1000), CHANGE_DONE);
    now_ms += 1000;
    assert_int_equal(queue_peer_put_sized(&peer, "q:x", "y", SMALL_MEMORY / 2), CHANGE_DONE);
    assert_string_equal(queue_peer_take(&peer, "q:x", 10), "y");
}

/* A client that uses each queue once fills nothing. */
static void test_empty_queues_make_room_in_memory(void **state) {
    char name[32];
    (void)state;
    for (unsigned n = 0; n < SMALL_MEMORY / 100; n++) {
        snprintf(name, sizeof name, "q:%u", n);
        if (queue_peer_put(&peer, name, "x") != CHANGE_DONE)
            fail_msg("%s is refused", name);
        assert_string_equal(queue_peer_take(&peer, name, 2), "x");
        assert_int_equal(queue_peer_settle(&peer, name, "x"), CHANGE_DONE);
        peer.taken_count = 0;
        peer.ready[0] = '\0';
    }
}

/* Else whoever waits would get nothing before the next sweep. */
static void test_an_empty_queue_that_is_waited_for_stays_where_memory_is_short(void **state) {
    char name[32];
    (void)state;
    while (queue_peer_put_sized(&peer, "q:x", "x", 1000) == CHANGE_DONE)
        continue;
    assert_string_equal(queue_peer_take(&peer, "q:x", 50), "x x x x x x x x x x x x x x x x x x x x x x x x x "
                                                           "x x x x x x x x x x x x x x x x x x x x x x x x x");
    while (peer.taken_count > 0) {
        assert_int_equal(queue_peer_settle(&peer, "q:x", "x"), CHANGE_DONE);
        peer.taken_count--;
    }
    for (unsigned n = 0; n < 40; n++) {
        snprintf(name, sizeof name, "q:%u", n);
        assert_string_equal(queue_peer_take(&peer, name, 1), "");
    }
    now_ms += 1000;
    for (unsigned n = 0; n < 40; n++) {
        snprintf(name, sizeof name, "q:%u", n);
        assert_int_equal(queue_peer_put(&peer, name, "x"), CHANGE_DONE);
        snprintf(name, sizeof name, "q:%u\n", n);
        queue_peer_expect_ready(&peer, name);
    }
}

static void test_but_not_when_it_was_not_used_for_a_while(void **state) {
    (void)state;
    assert_string_equal(queue_peer_take(&peer, "q:y", 1), "");
    (void)put_until_full("q:x", 1000);
    now_ms += 10000;
    for (unsigned n = 0; n < 20; n++)
        assert_int_equal(queue_peer_put_sized(&peer, "q:x", "x", 1000), CHANGE_FULL);
    assert_string_equal(queue_peer_take(&peer, "q:x", 1), "x");
    assert_int_equal(queue_peer_settle(&peer, "q:x", "x"), CHANGE_DONE);
    assert_int_equal(queue_peer_put(&peer, "q:y", "y"), CHANGE_DONE);
    turn();
    assert_string_equal(peer.ready, "");
}

/* So many that those that a call gives back would not make up for them. */
static void use_many_queues(unsigned round, bool put) {
    static char queues[QUEUE_WANTS_MAX][32];
    static struct queue_want wants[QUEUE_WANTS_MAX];
    static struct draft drafts[QUEUE_WANTS_MAX];
    static struct reply reply;
    for (unsigned n = 0; n < QUEUE_WANTS_MAX; n++) {
        snprintf(queues[n], sizeof queues[n], "q:%u/%u", round, n);
        wants[n] = (struct queue_want){.queue = bytes_of(queues[n]), .messages = 1};
        draft_begin(&drafts[n], &peer, false);
        draft_put_message(&drafts[n], queues[n], queue_message(queues[n], "x", 10000), 0);
    }
    if (put)
        queue_peer_call_change(&peer, drafts, QUEUE_WANTS_MAX, &reply);
    else
        queue_peer_call_take(&peer, wants, QUEUE_WANTS_MAX, &reply);
    queue_peer_await_reply(&reply);
    for (unsigned n = 0; n < QUEUE_WANTS_MAX; n++)
        draft_end(&drafts[n]);
}

static void test_queues_that_are_only_named_do_not_exceed_the_memory(void **state) {
    (void)state;
    (void)put_until_full("q:x", 10000);
    for (unsigned n = 0; n < 10; n++)
        use_many_queues(n, n % 2 == 0);
    assert_string_equal(queue_peer_take(&peer, "q:x", 1), "x");
    assert_int_equal(queue_peer_settle(&peer, "q:x", "x"), CHANGE_DONE);
    assert_int_equal(queue_peer_put_sized(&peer, "q:x", "x", 9000), CHANGE_DONE);
}

/* ---- messages ---- */

static void test_messages_are_kept_by_reference(void **state) {
    struct message *message = queue_message("q:x", "x", 100);
    (void)state;
    assert_int_equal(put_ref("q:x", message), CHANGE_DONE);
    assert_int_equal(put_ref("q:y", message), CHANGE_DONE);
    assert_int_equal(message->refs, 3);
    assert_string_equal(queue_peer_take(&peer, "q:x", 1), "x");
    assert_int_equal(queue_peer_entry(&peer, "x").size, message_size(message) + message->key_len);
    assert_int_equal(queue_peer_reject(&peer, "q:x", "x"), CHANGE_DONE);
    assert_int_equal(message->refs, 3);
    assert_string_equal(queue_peer_take(&peer, "q:x.dead", 1), "x<q:x rejected");
    assert_int_equal(queue_peer_settle(&peer, "q:x.dead", "x"), CHANGE_DONE);
    assert_int_equal(message->refs, 2);
    assert_string_equal(queue_peer_take(&peer, "q:y", 1), "x");
    assert_int_equal(queue_peer_settle(&peer, "q:y", "x"), CHANGE_DONE);
    assert_int_equal(message->refs, 1);
    message_unref(message);
}

/* Wherever they are: ready, returned, taken, dead, or on their way in an answer that is not told any more. */
static void test_all_is_given_back_with_the_store(void **state) {
    struct message *message = queue_message("q:x", "x", 100);
    struct queue_want want = {.queue = BYTES("q:x"), .messages = 2};
    static struct draft draft;
    static struct reply replies[2];
    (void)state;
    for (int n = 0; n < 6; n++)
        assert_int_equal(put_ref("q:x", message), CHANGE_DONE);
    assert_string_equal(queue_peer_take(&peer, "q:x", 3), "x x x");
    assert_int_equal(queue_peer_reject(&peer, "q:x", "x"), CHANGE_DONE);
    peer.taken_count = 2;
    assert_int_equal(queue_peer_return(&peer, "q:x", "x", true), CHANGE_DONE);
    draft_begin(&draft, &peer, false);
    draft_put_message(&draft, "q:y", message_ref(message), 0);
    assert_string_equal(queue_peer_take(&peer, "q:y", 1), "");
    queue_peer_call_take(&peer, &want, 1, &replies[0]);
    queue_peer_call_change(&peer, &draft, 1, &replies[1]);
    draft_end(&draft);
    queue_peer_close(&peer);
    assert_false(replies[0].done || replies[1].done);
    assert_string_equal(peer.ready, "");
    assert_int_equal(message->refs, 1);
    message_unref(message);
}

/* ---- the turn ---- */

struct chain {
    unsigned answers;
};

static void take_again(void *arg, struct queue_answer *answer) {
    struct chain *chain = arg;
    struct queue_want want = {.queue = BYTES("q:x"), .policy = &no_limits, .messages = 1};
    assert_int_equal(answer->result, QUEUE_OK);
    if (++chain->answers < 3)
        bench.store->ops->take(bench.store, &want, 1, chain->answers + 1, 1, (struct queue_call){take_again, chain});
}

static void test_what_is_called_from_within_an_answer_waits_for_the_next_turn(void **state) {
    struct chain chain = {0};
    struct queue_want want = {.queue = BYTES("q:x"), .policy = &no_limits, .messages = 1};
    (void)state;
    assert_false(bench.store->ops->turn(bench.store));
    bench.store->ops->take(bench.store, &want, 1, 1, 1, (struct queue_call){take_again, &chain});
    assert_int_equal(chain.answers, 0);
    assert_true(bench.store->ops->turn(bench.store));
    assert_int_equal(chain.answers, 1);
    assert_true(bench.store->ops->turn(bench.store));
    assert_false(bench.store->ops->turn(bench.store));
    assert_int_equal(chain.answers, 3);
}

/* Else whoever waits would take it for the word to an earlier take. */
static void test_a_word_comes_behind_the_answer_that_it_is_for(void **state) {
    struct queue_want want = {.queue = BYTES("q:x"), .messages = 5};
    static struct draft drafts[2];
    static struct reply replies[4];
    (void)state;
    for (int n = 0; n < 2; n++) {
        draft_begin(&drafts[n], &peer, false);
        draft_put(&drafts[n], "q:x", "x");
    }
    queue_peer_call_take(&peer, &want, 1, &replies[0]);
    queue_peer_call_change(&peer, &drafts[0], 1, &replies[1]);
    queue_peer_call_take(&peer, &want, 1, &replies[2]);
    queue_peer_call_change(&peer, &drafts[1], 1, &replies[3]);
    turn();
    assert_string_equal(replies[2].text, "x");
    assert_string_equal(peer.ready, "q:x\n");
    assert_int_equal(peer.ready_order, replies[2].order + 2);
    for (int n = 0; n < 2; n++)
        draft_end(&drafts[n]);
}

static void test_who_takes_too_many_bytes_is_told_at_once_that_there_is_more(void **state) {
    (void)state;
    assert_int_equal(queue_peer_put_sized(&peer, "q:x", "1", QUEUE_TAKE_BYTES), CHANGE_DONE);
    assert_int_equal(queue_peer_put_sized(&peer, "q:x", "2", QUEUE_TAKE_BYTES), CHANGE_DONE);
    assert_string_equal(queue_peer_take(&peer, "q:x", 3), "1");
    queue_peer_expect_ready(&peer, "q:x\n");
    assert_string_equal(queue_peer_take(&peer, "q:x", 3), "2");
    turn();
    assert_string_equal(peer.ready, "");
}

/* The hub has more to do than to drop a million messages. */
static void test_a_take_meets_a_bounded_number_of_messages_that_have_expired(void **state) {
    static struct draft draft;
    struct message *message = queue_message("q:x", "x", 0);
    unsigned takes = 0;
    (void)state;
    for (unsigned n = 0; n < 25; n++) {
        draft_begin(&draft, &peer, false);
        for (unsigned m = 0; m < 1000; m++)
            draft_put_message(&draft, "q:x", message_ref(message), 1000);
        assert_int_equal(draft_make(&draft), CHANGE_DONE);
    }
    message_unref(message);
    assert_int_equal(queue_peer_put(&peer, "q:x", "y"), CHANGE_DONE);
    now_ms += 1000;
    while (queue_peer_take(&peer, "q:x", 1)[0] == '\0') {
        queue_peer_expect_ready(&peer, "q:x\n");
        assert_true(++takes < 10);
    }
    assert_int_equal(takes, 2);
    assert_int_equal(count_expired(), 25000);
}

/* ---- idle queues ---- */

/* A queue that has gone does not know any more that something is wanted from it. */
static void assert_queue_is_there(bool there) {
    assert_int_equal(queue_peer_put(&peer, "q:x", "x"), CHANGE_DONE);
    turn();
    assert_string_equal(peer.ready, there ? "q:x\n" : "");
}

static void test_an_empty_queue_stays_for_its_idle_expiry(void **state) {
    (void)state;
    peer.policy = &brief;
    assert_string_equal(queue_peer_take(&peer, "q:x", 1), "");
    for (int n = 0; n < 9; n++) {
        now_ms += 1000;
        turn();
    }
    assert_queue_is_there(true);
}

static void test_an_empty_queue_goes_after_its_idle_expiry(void **state) {
    (void)state;
    peer.policy = &brief;
    assert_string_equal(queue_peer_take(&peer, "q:x", 1), "");
    now_ms += 10000 + TIMER_TICK_MS;
    turn();
    assert_queue_is_there(false);
}

static void test_a_queue_that_is_wanted_from_stays(void **state) {
    (void)state;
    peer.policy = &brief;
    for (int n = 0; n < 30; n++) {
        assert_string_equal(queue_peer_take(&peer, "q:x", 1), "");
        now_ms += 1000;
        turn();
    }
    assert_queue_is_there(true);
}

static void test_a_queue_is_idle_from_when_it_became_empty(void **state) {
    (void)state;
    peer.policy = &brief;
    assert_int_equal(queue_peer_put(&peer, "q:x", "1"), CHANGE_DONE);
    assert_string_equal(queue_peer_take(&peer, "q:x", 2), "1");
    for (int n = 0; n < 30; n++) {
        now_ms += 1000;
        turn();
    }
    assert_int_equal(queue_peer_settle(&peer, "q:x", "1"), CHANGE_DONE);
    now_ms += 9000;
    turn();
    assert_queue_is_there(true);
}

static void test_a_queue_with_messages_stays(void **state) {
    static struct draft draft;
    (void)state;
    peer.policy = &brief;
    queue_peer_put_many(&peer, "q:x", 2);
    assert_string_equal(queue_peer_take(&peer, "q:x", 1), "1");
    for (int n = 0; n < 100; n++) {
        now_ms += 1000;
        turn();
    }
    draft_begin(&draft, &peer, true);
    draft_settle(&draft, "q:x", "1");
    assert_int_equal(draft_make(&draft), CHANGE_DONE);
    assert_string_equal(queue_peer_take(&peer, "q:x", 1), "2");
}

#define OWN_TEST(test)   cmocka_unit_test_setup_teardown(test, set_up, tear_down)
#define SMALL_TEST(test) cmocka_unit_test_setup_teardown(test, set_up_small, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        SMALL_TEST(test_all_queues_together_hold_no_more_than_their_memory),
        SMALL_TEST(test_small_messages_and_queues_count_with_what_they_take_for_themselves),
        SMALL_TEST(test_bindings_count_too_and_leave_what_they_and_their_queues_took),
        SMALL_TEST(test_beyond_the_memory_no_queue_drops_its_oldest),
        SMALL_TEST(test_what_has_expired_in_any_queue_makes_room_in_memory),
        SMALL_TEST(test_what_has_expired_in_the_queue_itself_makes_room_in_memory),
        SMALL_TEST(test_empty_queues_make_room_in_memory),
        SMALL_TEST(test_an_empty_queue_that_is_waited_for_stays_where_memory_is_short),
        SMALL_TEST(test_but_not_when_it_was_not_used_for_a_while),
        SMALL_TEST(test_queues_that_are_only_named_do_not_exceed_the_memory),
        OWN_TEST(test_messages_are_kept_by_reference),
        OWN_TEST(test_all_is_given_back_with_the_store),
        OWN_TEST(test_what_is_called_from_within_an_answer_waits_for_the_next_turn),
        OWN_TEST(test_a_word_comes_behind_the_answer_that_it_is_for),
        OWN_TEST(test_who_takes_too_many_bytes_is_told_at_once_that_there_is_more),
        OWN_TEST(test_a_take_meets_a_bounded_number_of_messages_that_have_expired),
        OWN_TEST(test_an_empty_queue_stays_for_its_idle_expiry),
        OWN_TEST(test_an_empty_queue_goes_after_its_idle_expiry),
        OWN_TEST(test_a_queue_that_is_wanted_from_stays),
        OWN_TEST(test_a_queue_is_idle_from_when_it_became_empty),
        OWN_TEST(test_a_queue_with_messages_stays),
    };
    hash_seed();
    bench.memory = MEMORY;
    bench.contract = (struct queue_contract){.attach = attach,
                                             .detach = detach,
                                             .pump_until = pump_until,
                                             .advance = advance,
                                             .empty = empty,
                                             .bindings = true,
                                             .arg = &bench};
    int failed = queue_contract_run("the contract of queues in memory", &bench.contract);
    failed += cmocka_run_group_tests_name("queues in memory", tests, NULL, NULL);
    return failed;
}
