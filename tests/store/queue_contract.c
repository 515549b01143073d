/* The suite: what becomes of one message. Its other parts are in files of their own. */
#include "queue_contract.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "queue_suite.h"
#include "stompd/session/session.h"

/* Times after which a message has expired, and by when none of the others has. */
#define SHORT_MS 50
#define PASS_MS  70
#define LONG_MS  600000

/* Bodies large enough to make other bytes of an entry few. */
#define LARGE ((size_t)10000)

static struct draft draft;
static struct reply reply;

/* ---- what the parts have in common ---- */

static struct pair pair;

int suite_set_up(void **state) {
    const struct queue_contract *contract = *state;
    pair.contract = contract;
    contract->empty(contract->arg);
    queue_peer_open(&pair.a, contract, "a", BOOT_A);
    if (contract->several)
        queue_peer_open(&pair.b, contract, "b", BOOT_B);
    *state = &pair;
    return 0;
}

int suite_tear_down(void **state) {
    queue_peer_close(&pair.a);
    queue_peer_close(&pair.b);
    *state = (void *)pair.contract;
    return 0;
}

int suite_run(const char *name, const char *part, const struct queue_contract *contract, struct CMUnitTest *tests,
              size_t count) {
    char whole[128];
    snprintf(whole, sizeof whole, "%s%s", name, part);
    for (size_t n = 0; n < count; n++)
        tests[n].initial_state = (void *)contract;
    return _cmocka_run_group_tests(whole, tests, count, NULL, NULL);
}

void assert_done(enum change_result result) {
    assert_int_equal(result, CHANGE_DONE);
}

void assert_full(enum change_result result) {
    assert_int_equal(result, CHANGE_FULL);
}

void assert_counts(struct queue_peer *peer, uint64_t expired, uint64_t dropped, uint64_t dead) {
    struct queue_counts counts;
    peer->store->ops->count(peer->store, &counts);
    assert_int_equal(counts.expired, expired);
    assert_int_equal(counts.dropped, dropped);
    assert_int_equal(counts.dead, dead);
    assert_int_equal(counts.unreadable, 0);
}

static void pass(struct pair *both, uint64_t ms) {
    both->contract->advance(both->contract->arg, ms);
}

/* ---- order ---- */

static void test_messages_are_taken_in_the_order_they_were_put(void **state) {
    struct pair *both = *state;
    queue_peer_put_many(&both->a, "q:x", 12);
    assert_string_equal(queue_peer_take(&both->a, "q:x", 4), "1 2 3 4");
    assert_string_equal(queue_peer_take(&both->a, "q:x", 1), "5");
    assert_string_equal(queue_peer_take(&both->a, "q:x", 100), "6 7 8 9 10 11 12");
    assert_string_equal(queue_peer_take(&both->a, "q:x", 100), "");
}

static void test_many_calls_keep_the_order(void **state) {
    struct pair *both = *state;
    static char expected[QUEUE_PEER_TEXT];
    expected[0] = '\0';
    queue_peer_put_many(&both->a, "q:x", 3 * QUEUE_CHANGES_MAX);
    for (unsigned n = 1; n <= 3 * QUEUE_CHANGES_MAX; n++) {
        size_t len = strlen(expected);
        snprintf(expected + len, sizeof expected - len, "%s%u", n > 1 ? " " : "", n);
    }
    assert_string_equal(queue_peer_take(&both->a, "q:x", 10000), expected);
}

static void test_queues_are_apart(void **state) {
    struct pair *both = *state;
    static const char *const names[] = {"q:x",       "q:X",     "q:x/",
                                        "a:/app/**", "d:ann/1", "q:\r\n*?[a]{b} %s\\\"\xc3\xa4\xff"};
    suite_bind(&both->a, "d:ann/1", "/topic/a");
    for (size_t n = 0; n < 6; n++)
        assert_done(queue_peer_put(&both->a, names[n], names[n][2] == '\r' ? "odd" : names[n]));
    for (size_t n = 0; n < 6; n++)
        assert_string_equal(queue_peer_take(&both->a, names[n], 10), names[n][2] == '\r' ? "odd" : names[n]);
}

static void test_one_call_takes_from_several_queues(void **state) {
    struct pair *both = *state;
    struct queue_want wants[] = {{.queue = BYTES("q:y"), .messages = 2},
                                 {.queue = BYTES("q:none"), .messages = 9},
                                 {.queue = BYTES("q:x"), .messages = 9},
                                 {.queue = BYTES("q:z"), .messages = 1}};
    assert_done(queue_peer_put(&both->a, "q:x", "x1"));
    queue_peer_put_many(&both->a, "q:y", 3);
    assert_done(queue_peer_put(&both->a, "q:x", "x2"));
    queue_peer_call_take(&both->a, wants, 4, &reply);
    queue_peer_await_reply(&reply);
    assert_int_equal(reply.result, QUEUE_OK);
    assert_string_equal(reply.text, "1 2,,x1 x2");
}

static void assert_same_bytes(struct bytes bytes, struct bytes expected) {
    assert_int_equal(bytes.len, expected.len);
    assert_memory_equal(bytes.data, expected.data, expected.len);
}

static void assert_same_message(const struct message *message, const struct message *expected) {
    for (unsigned version = 0; version < MESSAGE_HEADS; version++)
        assert_same_bytes(message_head(message, version), message_head(expected, version));
    assert_same_bytes(message_body(message), message_body(expected));
    assert_same_bytes(message_key(message), message_key(expected));
    assert_int_equal(message->route, expected->route);
    assert_int_equal(message->text, expected->text);
}

struct kept {
    struct message *message;
    uint32_t size;
};

/* Takes the reference over. */
static void keep_message(void *arg, struct queue_answer *answer) {
    struct kept *kept = arg;
    assert_int_equal(answer->result, QUEUE_OK);
    assert_int_equal(answer->entry_count, 1);
    assert_int_equal(answer->entries[0].dead_from.len, 0);
    kept->message = answer->entries[0].message;
    kept->size = answer->entries[0].entry.size;
    answer->entries[0].message = NULL;
}

static bool has_message(void *arg) {
    return ((const struct kept *)arg)->message != NULL;
}

static void test_a_message_comes_as_it_was_put_and_may_be_kept(void **state) {
    struct pair *both = *state;
    struct queue_peer *a = &both->a;
    struct kept kept = {0};
    struct queue_want want = {.queue = BYTES("q:x"), .policy = a->policy, .messages = 1};
    struct message *message = queue_message("q:x", "one\xff", 1000);
    draft_begin(&draft, a, false);
    draft_put_message(&draft, "q:x", message_ref(message), 0);
    assert_done(draft_make(&draft));
    a->store->ops->take(a->store, &want, 1, ++a->number, a->answered, (struct queue_call){keep_message, &kept});
    assert_true(both->contract->pump_until(both->contract->arg, has_message, &kept));
    queue_peer_close(a);
    assert_same_message(kept.message, message);
    assert_true(kept.size >= message_size(message));
    message_unref(kept.message);
    message_unref(message);
}

/* ---- settling, returning ---- */

static void test_what_is_settled_is_gone(void **state) {
    struct pair *both = *state;
    queue_peer_put_many(&both->a, "q:x", 3);
    assert_string_equal(queue_peer_take(&both->a, "q:x", 3), "1 2 3");
    assert_done(queue_peer_settle(&both->a, "q:x", "2"));
    for (int n = 1; n <= 3; n++)
        assert_done(queue_peer_return(&both->a, "q:x", n == 1 ? "1" : n == 2 ? "2" : "3", false));
    assert_string_equal(queue_peer_take(&both->a, "q:x", 10), "1 3");
}

static void test_what_is_returned_comes_first_in_its_old_order(void **state) {
    struct pair *both = *state;
    queue_peer_put_many(&both->a, "q:x", 7);
    assert_string_equal(queue_peer_take(&both->a, "q:x", 5), "1 2 3 4 5");
    assert_done(queue_peer_return(&both->a, "q:x", "4", false));
    assert_done(queue_peer_return(&both->a, "q:x", "2", false));
    assert_done(queue_peer_return(&both->a, "q:x", "5", false));
    assert_done(queue_peer_put(&both->a, "q:x", "8"));
    assert_string_equal(queue_peer_take(&both->a, "q:x", 2), "2 4");
    assert_done(queue_peer_return(&both->a, "q:x", "4", false));
    assert_done(queue_peer_return(&both->a, "q:x", "1", false));
    assert_string_equal(queue_peer_take(&both->a, "q:x", 100), "1 4 5 6 7 8");
}

static void test_counted_returns_count_up(void **state) {
    struct pair *both = *state;
    assert_done(queue_peer_put(&both->a, "q:x", "one"));
    assert_string_equal(queue_peer_take(&both->a, "q:x", 1), "one");
    assert_done(queue_peer_return(&both->a, "q:x", "one", true));
    assert_string_equal(queue_peer_take(&both->a, "q:x", 1), "one*2");
    assert_done(queue_peer_return(&both->a, "q:x", "one", false));
    assert_string_equal(queue_peer_take(&both->a, "q:x", 1), "one*2");
    assert_done(queue_peer_return(&both->a, "q:x", "one", true));
    assert_string_equal(queue_peer_take(&both->a, "q:x", 1), "one*3");
}

static void test_an_uncounted_return_leaves_no_trace(void **state) {
    struct pair *both = *state;
    assert_done(queue_peer_put(&both->a, "q:x", "one"));
    for (int n = 0; n < 5; n++) {
        assert_string_equal(queue_peer_take(&both->a, "q:x", 1), "one");
        assert_done(queue_peer_return(&both->a, "q:x", "one", false));
    }
}

static void test_what_is_not_owned_any_more_counts_as_settled(void **state) {
    struct pair *both = *state;
    queue_peer_put_many(&both->a, "q:x", 3);
    assert_string_equal(queue_peer_take(&both->a, "q:x", 2), "1 2");
    assert_done(queue_peer_settle(&both->a, "q:x", "1"));
    assert_done(queue_peer_settle(&both->a, "q:x", "1"));
    assert_done(queue_peer_return(&both->a, "q:x", "1", true));
    assert_done(queue_peer_reject(&both->a, "q:x", "1"));
    assert_done(queue_peer_return(&both->a, "q:x", "2", true));
    assert_done(queue_peer_return(&both->a, "q:x", "2", true));
    assert_done(queue_peer_reject(&both->a, "q:x", "2"));
    assert_done(queue_peer_settle(&both->a, "q:x", "2"));
    assert_string_equal(queue_peer_take(&both->a, "q:x", 10), "2*2 3");
    assert_string_equal(queue_peer_take(&both->a, "q:x.dead", 10), "");
}

/* An entry is one queue's: elsewhere, and where there is no queue, it is nobody's. */
static void test_an_entry_is_not_found_in_another_queue(void **state) {
    struct pair *both = *state;
    assert_done(queue_peer_put(&both->a, "q:x", "one"));
    assert_done(queue_peer_put(&both->a, "q:y", "two"));
    assert_string_equal(queue_peer_take(&both->a, "q:x", 1), "one");
    assert_done(queue_peer_settle(&both->a, "q:y", "one"));
    assert_done(queue_peer_return(&both->a, "q:none", "one", false));
    assert_string_equal(queue_peer_take(&both->a, "q:y", 10), "two");
    assert_string_equal(queue_peer_take(&both->a, "q:none", 10), "");
    assert_done(queue_peer_return(&both->a, "q:x", "one", false));
    assert_string_equal(queue_peer_take(&both->a, "q:x", 10), "one");
}

/* ---- dead letters ---- */

static void test_what_is_rejected_goes_to_the_dead_letter_queue(void **state) {
    struct pair *both = *state;
    queue_peer_put_many(&both->a, "q:x", 3);
    assert_string_equal(queue_peer_take(&both->a, "q:x", 3), "1 2 3");
    assert_done(queue_peer_return(&both->a, "q:x", "3", true));
    assert_string_equal(queue_peer_take(&both->a, "q:x", 3), "3*2");
    assert_done(queue_peer_reject(&both->a, "q:x", "3"));
    assert_done(queue_peer_reject(&both->a, "q:x", "1"));
    assert_counts(&both->a, 0, 0, 2);
    assert_string_equal(queue_peer_take(&both->a, "q:x.dead", 10), "3<q:x rejected 1<q:x rejected");
    assert_string_equal(queue_peer_take(&both->a, "q:x", 10), "");
}

static void test_a_dead_letter_is_returned_and_settled_like_any_other(void **state) {
    struct pair *both = *state;
    assert_done(queue_peer_put(&both->a, "q:x", "one"));
    assert_string_equal(queue_peer_take(&both->a, "q:x", 1), "one");
    assert_done(queue_peer_reject(&both->a, "q:x", "one"));
    assert_string_equal(queue_peer_take(&both->a, "q:x.dead", 1), "one<q:x rejected");
    assert_done(queue_peer_return(&both->a, "q:x.dead", "one", true));
    assert_string_equal(queue_peer_take(&both->a, "q:x.dead", 1), "one*2<q:x rejected");
    assert_done(queue_peer_settle(&both->a, "q:x.dead", "one"));
    assert_done(queue_peer_return(&both->a, "q:x.dead", "one", true));
    assert_string_equal(queue_peer_take(&both->a, "q:x.dead", 1), "");
}

static void test_what_is_rejected_where_there_is_no_dead_letter_queue_is_gone(void **state) {
    struct pair *both = *state;
    assert_done(queue_peer_put(&both->a, "q:x.dead", "one"));
    assert_string_equal(queue_peer_take(&both->a, "q:x.dead", 1), "one");
    assert_done(queue_peer_reject(&both->a, "q:x.dead", "one"));
    assert_string_equal(queue_peer_take(&both->a, "q:x.dead", 10), "");
    assert_string_equal(queue_peer_take(&both->a, "q:x.dead.dead", 10), "");
    assert_counts(&both->a, 0, 0, 0);
}

static void test_a_policy_names_the_dead_letter_queue(void **state) {
    struct pair *both = *state;
    static const struct queue_policy elsewhere = {.dead_letter = "q:graves", IDLE};
    both->a.policy = &elsewhere;
    assert_done(queue_peer_put(&both->a, "q:x", "one"));
    assert_done(queue_peer_put(&both->a, "q:y.dead", "two"));
    assert_string_equal(queue_peer_take(&both->a, "q:x", 1), "one");
    assert_string_equal(queue_peer_take(&both->a, "q:y.dead", 1), "two");
    assert_done(queue_peer_reject(&both->a, "q:x", "one"));
    assert_done(queue_peer_reject(&both->a, "q:y.dead", "two"));
    assert_string_equal(queue_peer_take(&both->a, "q:x.dead", 10), "");
    assert_string_equal(queue_peer_take(&both->a, "q:graves", 10), "one<q:x rejected two<q:y.dead rejected");
}

/* Else the dead letter would come back for ever. */
static void test_a_queue_is_not_its_own_dead_letter_queue(void **state) {
    struct pair *both = *state;
    static const struct queue_policy itself = {.dead_letter = "q:graves", IDLE};
    both->a.policy = &itself;
    assert_done(queue_peer_put(&both->a, "q:graves", "one"));
    assert_string_equal(queue_peer_take(&both->a, "q:graves", 1), "one");
    assert_done(queue_peer_reject(&both->a, "q:graves", "one"));
    assert_string_equal(queue_peer_take(&both->a, "q:graves", 10), "");
}

static void test_other_kinds_of_queues_have_a_dead_letter_queue_in_common(void **state) {
    struct pair *both = *state;
    suite_bind(&both->a, "d:ann/1", "/topic/a");
    assert_done(queue_peer_put(&both->a, "a:/app/**", "one"));
    assert_done(queue_peer_put(&both->a, "d:ann/1", "two"));
    assert_string_equal(queue_peer_take(&both->a, "a:/app/**", 1), "one");
    assert_string_equal(queue_peer_take(&both->a, "d:ann/1", 1), "two");
    assert_done(queue_peer_reject(&both->a, "a:/app/**", "one"));
    assert_done(queue_peer_reject(&both->a, "d:ann/1", "two"));
    assert_string_equal(queue_peer_take(&both->a, "q:app.dead", 10), "one<a:/app/** rejected");
    assert_string_equal(queue_peer_take(&both->a, "q:durable.dead", 10), "two<d:ann/1 rejected");
}

static void test_a_message_that_was_delivered_too_often_is_dead_when_it_is_returned(void **state) {
    struct pair *both = *state;
    static const struct queue_policy twice = {.max_deliveries = 2, IDLE};
    both->a.policy = &twice;
    assert_done(queue_peer_put(&both->a, "q:x", "one"));
    assert_string_equal(queue_peer_take(&both->a, "q:x", 1), "one");
    assert_done(queue_peer_return(&both->a, "q:x", "one", true));
    for (int n = 0; n < 3; n++) {
        assert_string_equal(queue_peer_take(&both->a, "q:x", 1), "one*2");
        assert_done(queue_peer_return(&both->a, "q:x", "one", false));
    }
    assert_string_equal(queue_peer_take(&both->a, "q:x", 1), "one*2");
    assert_counts(&both->a, 0, 0, 0);
    assert_done(queue_peer_return(&both->a, "q:x", "one", true));
    assert_counts(&both->a, 0, 0, 1);
    assert_string_equal(queue_peer_take(&both->a, "q:x", 1), "");
    assert_string_equal(queue_peer_take(&both->a, "q:x.dead", 1), "one<q:x max-deliveries");
}

/* The limit may have come down meanwhile. */
static void test_a_message_that_was_delivered_too_often_is_not_taken(void **state) {
    struct pair *both = *state;
    static const struct queue_policy once = {.max_deliveries = 1, IDLE};
    queue_peer_put_many(&both->a, "q:x", 3);
    assert_string_equal(queue_peer_take(&both->a, "q:x", 2), "1 2");
    assert_done(queue_peer_return(&both->a, "q:x", "1", true));
    assert_done(queue_peer_return(&both->a, "q:x", "2", true));
    both->a.policy = &once;
    assert_string_equal(queue_peer_take(&both->a, "q:x", 1), "3");
    assert_counts(&both->a, 0, 0, 2);
    assert_string_equal(queue_peer_take(&both->a, "q:x.dead", 9), "1<q:x max-deliveries 2<q:x max-deliveries");
}

/* Where a message has nowhere to go, it is not lost for having been delivered too often. */
static void test_without_a_dead_letter_queue_max_deliveries_do_not_apply(void **state) {
    struct pair *both = *state;
    static const struct queue_policy once = {.max_deliveries = 1, IDLE};
    static const struct queue_policy itself = {.max_deliveries = 1, .dead_letter = "q:graves", IDLE};
    static const char *const queues[] = {"q:x.dead", "q:graves"};
    for (int n = 0; n < 2; n++) {
        both->a.policy = n == 0 ? &once : &itself;
        assert_done(queue_peer_put(&both->a, queues[n], "one"));
        assert_string_equal(queue_peer_take(&both->a, queues[n], 1), "one");
        assert_done(queue_peer_return(&both->a, queues[n], "one", true));
        assert_string_equal(queue_peer_take(&both->a, queues[n], 1), "one*2");
        assert_done(queue_peer_return(&both->a, queues[n], "one", true));
        assert_string_equal(queue_peer_take(&both->a, queues[n], 10), "one*3");
        assert_done(queue_peer_settle(&both->a, queues[n], "one"));
    }
    assert_counts(&both->a, 0, 0, 0);
}

static void test_without_a_limit_a_message_may_be_delivered_any_number_of_times(void **state) {
    struct pair *both = *state;
    assert_done(queue_peer_put(&both->a, "q:x", "one"));
    for (int n = 1; n <= 30; n++) {
        char expected[16];
        snprintf(expected, sizeof expected, n > 1 ? "one*%d" : "one", n);
        assert_string_equal(queue_peer_take(&both->a, "q:x", 1), expected);
        assert_done(queue_peer_return(&both->a, "q:x", "one", true));
    }
}

/* ---- limits ---- */

static void test_a_queue_that_is_full_refuses(void **state) {
    struct pair *both = *state;
    static const struct queue_policy three = {.max_messages = 3, IDLE};
    both->a.policy = &three;
    queue_peer_put_many(&both->a, "q:x", 3);
    assert_full(queue_peer_put(&both->a, "q:x", "4"));
    assert_done(queue_peer_put(&both->a, "q:y", "4"));
    /* Those that were delivered count until they are settled. */
    assert_string_equal(queue_peer_take(&both->a, "q:x", 2), "1 2");
    assert_full(queue_peer_put(&both->a, "q:x", "4"));
    assert_done(queue_peer_settle(&both->a, "q:x", "1"));
    assert_done(queue_peer_put(&both->a, "q:x", "5"));
    assert_full(queue_peer_put(&both->a, "q:x", "6"));
    assert_done(queue_peer_reject(&both->a, "q:x", "2"));
    assert_done(queue_peer_put(&both->a, "q:x", "7"));
    assert_full(queue_peer_put(&both->a, "q:x", "8"));
    assert_string_equal(queue_peer_take(&both->a, "q:x", 10), "3 5 7");
    assert_counts(&both->a, 0, 0, 1);
}

/* The size of an entry of a message whose name has one letter. */
static uint32_t learn_size(struct queue_peer *peer, size_t body) {
    assert_done(queue_peer_put_sized(peer, "q:x", "s", body));
    assert_string_equal(queue_peer_take(peer, "q:x", 1), "s");
    assert_done(queue_peer_settle(peer, "q:x", "s"));
    return queue_peer_entry(peer, "s").size;
}

static void test_bytes_are_counted_as_entries_have_them(void **state) {
    struct pair *both = *state;
    uint32_t size = learn_size(&both->a, LARGE);
    struct queue_policy two = {.max_bytes = 2ull * size, IDLE};
    struct queue_policy nearly_two = {.max_bytes = 2ull * size - 1, IDLE};
    struct message *message = queue_message("q:x", "s", LARGE);
    assert_true(size >= message_size(message));
    message_unref(message);
    both->a.policy = &nearly_two;
    assert_done(queue_peer_put_sized(&both->a, "q:x", "1", LARGE));
    assert_full(queue_peer_put_sized(&both->a, "q:x", "2", LARGE));
    both->a.policy = &two;
    assert_done(queue_peer_put_sized(&both->a, "q:x", "3", LARGE));
    assert_full(queue_peer_put_sized(&both->a, "q:x", "4", 0));
    assert_string_equal(queue_peer_take(&both->a, "q:x", 2), "1 3");
    assert_full(queue_peer_put_sized(&both->a, "q:x", "5", 0));
    assert_done(queue_peer_settle(&both->a, "q:x", "1"));
    assert_done(queue_peer_put_sized(&both->a, "q:x", "6", LARGE));
}

static void test_a_full_queue_drops_its_oldest(void **state) {
    struct pair *both = *state;
    static const struct queue_policy three = {.max_messages = 3, .when_full = WHEN_FULL_DROP, IDLE};
    both->a.policy = &three;
    queue_peer_put_many(&both->a, "q:x", 4);
    assert_counts(&both->a, 0, 1, 0);
    /* What consumers have stays theirs, and does not count. */
    assert_string_equal(queue_peer_take(&both->a, "q:x", 1), "2");
    assert_done(queue_peer_put(&both->a, "q:x", "5"));
    assert_counts(&both->a, 0, 1, 0);
    assert_done(queue_peer_put(&both->a, "q:x", "6"));
    assert_counts(&both->a, 0, 2, 0);
    assert_done(queue_peer_return(&both->a, "q:x", "2", false));
    assert_string_equal(queue_peer_take(&both->a, "q:x", 10), "2 4 5 6");
}

static void test_what_was_returned_is_the_oldest_to_be_dropped(void **state) {
    struct pair *both = *state;
    static const struct queue_policy three = {.max_messages = 3, .when_full = WHEN_FULL_DROP, IDLE};
    both->a.policy = &three;
    queue_peer_put_many(&both->a, "q:x", 3);
    assert_string_equal(queue_peer_take(&both->a, "q:x", 2), "1 2");
    assert_done(queue_peer_return(&both->a, "q:x", "2", true));
    assert_done(queue_peer_put(&both->a, "q:x", "4"));
    assert_counts(&both->a, 0, 0, 0);
    assert_done(queue_peer_put(&both->a, "q:x", "5"));
    assert_counts(&both->a, 0, 1, 0);
    /* It may hold more then; the next that is put finds that out. */
    assert_done(queue_peer_return(&both->a, "q:x", "1", true));
    assert_counts(&both->a, 0, 1, 0);
    assert_done(queue_peer_put(&both->a, "q:x", "6"));
    assert_counts(&both->a, 0, 3, 0);
    assert_string_equal(queue_peer_take(&both->a, "q:x", 10), "4 5 6");
}

/* Else a queue of one message would refuse every second one, while a consumer has the first. */
static void test_where_the_oldest_makes_way_only_what_is_ready_counts(void **state) {
    struct pair *both = *state;
    uint32_t size = learn_size(&both->a, LARGE);
    const struct queue_policy one[] = {{.max_messages = 1, .when_full = WHEN_FULL_DROP, IDLE},
                                       {.max_messages = 1, .when_full = WHEN_FULL_DEAD_LETTER, IDLE},
                                       {.max_bytes = size, .when_full = WHEN_FULL_DROP, IDLE},
                                       {.max_bytes = size, .when_full = WHEN_FULL_DEAD_LETTER, IDLE}};
    for (int n = 0; n < 4; n++) {
        both->a.policy = &one[n];
        assert_done(queue_peer_put_sized(&both->a, "q:x", "1", LARGE));
        assert_string_equal(queue_peer_take(&both->a, "q:x", 1), "1");
        assert_done(queue_peer_put_sized(&both->a, "q:x", "2", LARGE));
        assert_string_equal(queue_peer_take(&both->a, "q:x", 1), "2");
        assert_done(queue_peer_put_sized(&both->a, "q:x", "3", LARGE));
        assert_done(queue_peer_put_sized(&both->a, "q:x", "4", LARGE));
        assert_string_equal(queue_peer_take(&both->a, "q:x", 10), "4");
        for (int m = 0; m < 3; m++)
            assert_done(queue_peer_settle(&both->a, "q:x", m == 0 ? "1" : m == 1 ? "2" : "4"));
        assert_counts(&both->a, 0, 1 + n / 2, (n + 1) / 2);
        if (n % 2 == 1) {
            assert_string_equal(queue_peer_take(&both->a, "q:x.dead", 10), "3<q:x full");
            assert_done(queue_peer_settle(&both->a, "q:x.dead", "3"));
        }
    }
}

static void test_as_many_are_dropped_as_a_large_message_needs(void **state) {
    struct pair *both = *state;
    uint32_t size = learn_size(&both->a, LARGE);
    struct queue_policy four = {.max_bytes = 4ull * size, .when_full = WHEN_FULL_DROP, IDLE};
    both->a.policy = &four;
    for (int n = 1; n <= 4; n++)
        assert_done(queue_peer_put_sized(&both->a, "q:x", n == 1 ? "1" : n == 2 ? "2" : n == 3 ? "3" : "4", LARGE));
    assert_done(queue_peer_put_sized(&both->a, "q:x", "5", 5 * LARGE / 2));
    assert_counts(&both->a, 0, 3, 0);
    assert_string_equal(queue_peer_take(&both->a, "q:x", 10), "4 5");
}

static void test_a_message_larger_than_its_queue_drops_nothing(void **state) {
    struct pair *both = *state;
    uint32_t size = learn_size(&both->a, LARGE);
    struct queue_policy four = {.max_bytes = 4ull * size, .when_full = WHEN_FULL_DROP, IDLE};
    both->a.policy = &four;
    assert_done(queue_peer_put_sized(&both->a, "q:x", "1", LARGE));
    assert_done(queue_peer_put_sized(&both->a, "q:x", "2", LARGE));
    assert_full(queue_peer_put_sized(&both->a, "q:x", "3", 5 * LARGE));
    assert_string_equal(queue_peer_take(&both->a, "q:x", 1), "1");
    assert_string_equal(queue_peer_take(&both->a, "q:x", 10), "2");
    assert_counts(&both->a, 0, 0, 0);
    /* Nor does one, where that is refused, that would fit were it not for what consumers have. */
    four.when_full = WHEN_FULL_REFUSE;
    assert_full(queue_peer_put_sized(&both->a, "q:x", "4", 5 * LARGE / 2));
    four.when_full = WHEN_FULL_DROP;
    assert_done(queue_peer_put_sized(&both->a, "q:x", "5", 7 * LARGE / 2));
    assert_string_equal(queue_peer_take(&both->a, "q:x", 10), "5");
}

static void test_a_full_queue_makes_its_oldest_a_dead_letter(void **state) {
    struct pair *both = *state;
    static const struct queue_policy two = {.max_messages = 2, .when_full = WHEN_FULL_DEAD_LETTER, IDLE};
    both->a.policy = &two;
    queue_peer_put_many(&both->a, "q:x", 4);
    assert_counts(&both->a, 0, 0, 2);
    assert_string_equal(queue_peer_take(&both->a, "q:x", 10), "3 4");
    assert_string_equal(queue_peer_take(&both->a, "q:x.dead", 10), "1<q:x full 2<q:x full");
}

static void test_a_dead_letter_queue_holds_as_much_as_the_queue_that_it_is_for(void **state) {
    struct pair *both = *state;
    static const struct queue_policy two = {.max_messages = 2, .when_full = WHEN_FULL_DEAD_LETTER, IDLE};
    both->a.policy = &two;
    queue_peer_put_many(&both->a, "q:x", 6);
    assert_counts(&both->a, 0, 2, 4);
    assert_string_equal(queue_peer_take(&both->a, "q:x", 10), "5 6");
    assert_done(queue_peer_reject(&both->a, "q:x", "5"));
    assert_counts(&both->a, 0, 3, 5);
    assert_string_equal(queue_peer_take(&both->a, "q:x.dead", 10), "4<q:x full 5<q:x rejected");
    /* A dead letter is never refused. */
    assert_done(queue_peer_reject(&both->a, "q:x", "6"));
    assert_counts(&both->a, 0, 3, 6);
    assert_string_equal(queue_peer_take(&both->a, "q:x.dead", 10), "6<q:x rejected");
}

static void test_a_full_dead_letter_queue_drops_its_oldest(void **state) {
    struct pair *both = *state;
    static const struct queue_policy two = {.max_messages = 2, .when_full = WHEN_FULL_DEAD_LETTER, IDLE};
    both->a.policy = &two;
    queue_peer_put_many(&both->a, "q:x.dead", 3);
    assert_counts(&both->a, 0, 1, 0);
    assert_string_equal(queue_peer_take(&both->a, "q:x.dead", 10), "2 3");
    assert_string_equal(queue_peer_take(&both->a, "q:x.dead.dead", 10), "");
}

/* ---- expiry ---- */

static void test_a_message_expires_after_its_lifetime(void **state) {
    struct pair *both = *state;
    assert_done(queue_peer_put_for(&both->a, "q:x", "1", SHORT_MS));
    assert_done(queue_peer_put_for(&both->a, "q:x", "2", LONG_MS));
    assert_done(queue_peer_put_for(&both->a, "q:x", "3", SHORT_MS));
    assert_done(queue_peer_put_for(&both->a, "q:x", "4", 0));
    assert_done(queue_peer_put_for(&both->a, "q:x", "5", UINT64_MAX));
    pass(both, PASS_MS);
    assert_string_equal(queue_peer_take(&both->a, "q:x", 10), "2 4 5");
    assert_counts(&both->a, 2, 0, 0);
}

static void test_a_policy_bounds_the_age_of_messages(void **state) {
    struct pair *both = *state;
    static const struct queue_policy brief = {.max_age_ms = SHORT_MS, IDLE};
    static const struct queue_policy lasting = {.max_age_ms = LONG_MS, IDLE};
    both->a.policy = &brief;
    assert_done(queue_peer_put_for(&both->a, "q:x", "1", 0));
    assert_done(queue_peer_put_for(&both->a, "q:x", "2", LONG_MS));
    both->a.policy = &lasting;
    assert_done(queue_peer_put_for(&both->a, "q:y", "1", SHORT_MS));
    assert_done(queue_peer_put_for(&both->a, "q:y", "2", 0));
    pass(both, PASS_MS);
    assert_string_equal(queue_peer_take(&both->a, "q:y", 10), "2");
    both->a.policy = &brief;
    assert_string_equal(queue_peer_take(&both->a, "q:x", 10), "");
    assert_counts(&both->a, 3, 0, 0);
}

static void test_what_is_delivered_does_not_expire_but_is_not_delivered_again(void **state) {
    struct pair *both = *state;
    assert_done(queue_peer_put_for(&both->a, "q:x", "1", SHORT_MS));
    assert_done(queue_peer_put_for(&both->a, "q:x", "2", SHORT_MS));
    assert_string_equal(queue_peer_take(&both->a, "q:x", 2), "1 2");
    pass(both, PASS_MS);
    draft_begin(&draft, &both->a, true);
    draft_settle(&draft, "q:x", "1");
    assert_done(draft_make(&draft));
    assert_done(queue_peer_return(&both->a, "q:x", "2", true));
    assert_string_equal(queue_peer_take(&both->a, "q:x", 10), "");
    assert_counts(&both->a, 1, 0, 0);
}

static void test_what_has_expired_makes_room_in_a_full_queue(void **state) {
    struct pair *both = *state;
    static const struct queue_policy two = {.max_messages = 2, IDLE};
    both->a.policy = &two;
    assert_done(queue_peer_put_for(&both->a, "q:x", "1", SHORT_MS));
    assert_done(queue_peer_put_for(&both->a, "q:x", "2", SHORT_MS));
    pass(both, PASS_MS);
    assert_done(queue_peer_put(&both->a, "q:x", "3"));
    assert_done(queue_peer_put(&both->a, "q:x", "4"));
    assert_full(queue_peer_put(&both->a, "q:x", "5"));
    assert_string_equal(queue_peer_take(&both->a, "q:x", 10), "3 4");
    assert_counts(&both->a, 2, 0, 0);
}

static void test_what_has_expired_is_no_dead_letter(void **state) {
    struct pair *both = *state;
    static const struct queue_policy one = {.max_messages = 1, .when_full = WHEN_FULL_DEAD_LETTER, IDLE};
    both->a.policy = &one;
    assert_done(queue_peer_put_for(&both->a, "q:x", "1", SHORT_MS));
    pass(both, PASS_MS);
    assert_done(queue_peer_put(&both->a, "q:x", "2"));
    assert_string_equal(queue_peer_take(&both->a, "q:x.dead", 10), "");
    assert_counts(&both->a, 1, 0, 0);
}

static void test_a_dead_letter_outlives_its_lifetime(void **state) {
    struct pair *both = *state;
    assert_done(queue_peer_put_for(&both->a, "q:x", "1", SHORT_MS));
    assert_string_equal(queue_peer_take(&both->a, "q:x", 1), "1");
    assert_done(queue_peer_reject(&both->a, "q:x", "1"));
    pass(both, PASS_MS);
    assert_string_equal(queue_peer_take(&both->a, "q:x.dead", 1), "1<q:x rejected");
    assert_counts(&both->a, 0, 0, 1);
}

/* ---- the whole ---- */

static int run_messages(const char *name, const struct queue_contract *contract) {
    struct CMUnitTest tests[] = {
        SUITE_TEST(test_messages_are_taken_in_the_order_they_were_put),
        SUITE_TEST(test_many_calls_keep_the_order),
        SUITE_TEST(test_queues_are_apart),
        SUITE_TEST(test_one_call_takes_from_several_queues),
        SUITE_TEST(test_a_message_comes_as_it_was_put_and_may_be_kept),
        SUITE_TEST(test_what_is_settled_is_gone),
        SUITE_TEST(test_what_is_returned_comes_first_in_its_old_order),
        SUITE_TEST(test_counted_returns_count_up),
        SUITE_TEST(test_an_uncounted_return_leaves_no_trace),
        SUITE_TEST(test_what_is_not_owned_any_more_counts_as_settled),
        SUITE_TEST(test_an_entry_is_not_found_in_another_queue),
        SUITE_TEST(test_what_is_rejected_goes_to_the_dead_letter_queue),
        SUITE_TEST(test_a_dead_letter_is_returned_and_settled_like_any_other),
        SUITE_TEST(test_what_is_rejected_where_there_is_no_dead_letter_queue_is_gone),
        SUITE_TEST(test_a_policy_names_the_dead_letter_queue),
        SUITE_TEST(test_a_queue_is_not_its_own_dead_letter_queue),
        SUITE_TEST(test_other_kinds_of_queues_have_a_dead_letter_queue_in_common),
        SUITE_TEST(test_a_message_that_was_delivered_too_often_is_dead_when_it_is_returned),
        SUITE_TEST(test_a_message_that_was_delivered_too_often_is_not_taken),
        SUITE_TEST(test_without_a_dead_letter_queue_max_deliveries_do_not_apply),
        SUITE_TEST(test_without_a_limit_a_message_may_be_delivered_any_number_of_times),
        SUITE_TEST(test_a_queue_that_is_full_refuses),
        SUITE_TEST(test_bytes_are_counted_as_entries_have_them),
        SUITE_TEST(test_a_full_queue_drops_its_oldest),
        SUITE_TEST(test_what_was_returned_is_the_oldest_to_be_dropped),
        SUITE_TEST(test_where_the_oldest_makes_way_only_what_is_ready_counts),
        SUITE_TEST(test_as_many_are_dropped_as_a_large_message_needs),
        SUITE_TEST(test_a_message_larger_than_its_queue_drops_nothing),
        SUITE_TEST(test_a_full_queue_makes_its_oldest_a_dead_letter),
        SUITE_TEST(test_a_dead_letter_queue_holds_as_much_as_the_queue_that_it_is_for),
        SUITE_TEST(test_a_full_dead_letter_queue_drops_its_oldest),
        SUITE_TEST(test_a_message_expires_after_its_lifetime),
        SUITE_TEST(test_a_policy_bounds_the_age_of_messages),
        SUITE_TEST(test_what_is_delivered_does_not_expire_but_is_not_delivered_again),
        SUITE_TEST(test_what_has_expired_makes_room_in_a_full_queue),
        SUITE_TEST(test_what_has_expired_is_no_dead_letter),
        SUITE_TEST(test_a_dead_letter_outlives_its_lifetime),
    };
    return suite_run(name, ", messages", contract, tests, sizeof tests / sizeof *tests);
}

int queue_contract_run(const char *name, const struct queue_contract *contract) {
    int failed = run_messages(name, contract);
    failed += queue_suite_run_changes(name, contract);
    if (contract->bindings)
        failed += queue_suite_run_bindings(name, contract);
    if (contract->break_link)
        failed += queue_suite_run_again(name, contract);
    if (contract->several)
        failed += queue_suite_run_several(name, contract);
    if (contract->recovers)
        failed += queue_suite_run_recovery(name, contract);
    return failed;
}
