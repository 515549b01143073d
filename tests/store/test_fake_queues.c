/* The contract of queues, kept by those of a fake server; and what becomes of calls that a broken link has left. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "fake_queues.h"
#include "peer.h"
#include "queue_peer.h"
#include "stompd/store/payload.h"

#define LINKS_MAX 8

/* A store with its queues. */
struct link {
    struct store *store;
    struct queue_store *queues;
    char channel[24];
    unsigned ups;
    unsigned renewed;
    bool heard; /* the node's channel, on this link */
};

struct bench {
    struct fake_server server;
    struct contract contract;
    uint64_t random;
    struct link links[LINKS_MAX];
};

static struct bench bench;
static struct queue_contract contract;

static struct link *link_of(const struct queue_store *queues) {
    for (size_t n = 0; n < LINKS_MAX; n++)
        if (bench.links[n].queues == queues)
            return &bench.links[n];
    fail_msg("no such queues");
    return NULL;
}

/* ---- what the store tells ---- */

static void on_renewed(void *arg, const struct store_answer *answer) {
    struct link *link = arg;
    link->renewed += answer->result == STORE_OK || answer->result == STORE_GONE;
}

static void on_up(void *arg, struct bytes server) {
    struct link *link = arg;
    (void)server;
    link->ups++;
    link->store->ops->renew(link->store, (struct store_call){on_renewed, link});
    link->store->ops->subscribe(link->store, STORE_CHANNEL, bytes_of(link->channel));
}

static void on_down(void *arg) {
    ((struct link *)arg)->heard = false;
}

static void on_subscribed(void *arg, enum store_channel kind, struct bytes name) {
    (void)kind;
    (void)name;
    ((struct link *)arg)->heard = true;
}

static void on_message(void *arg, struct bytes channel, struct bytes payload) {
    struct link *link = arg;
    struct bytes queue;
    const char *why = "";
    assert_true(bytes_equal(channel, bytes_of(link->channel)));
    if (!payload_read_ready(payload, &queue, &why))
        fail_msg("%s", why);
    link->queues->events->ready(link->queues->arg, queue);
}

static void on_published(void *arg, bool taken) {
    (void)arg;
    (void)taken;
}

static const struct store_events events = {on_up, on_down, on_subscribed, on_subscribed, on_message, on_published};

/* ---- the kind of store ---- */

static struct store *attach_store(void *arg, const char *node, const char *boot, const struct store_events *of_store,
                                  void *events_arg) {
    (void)arg;
    return fake_store_new(&bench.server, node, boot, of_store, events_arg);
}

static bool pump_until(void *arg, bool (*reached)(void *reached_arg), void *reached_arg) {
    (void)arg;
    while (!reached(reached_arg))
        if (!fake_server_step(&bench.server, &bench.random))
            return false;
    return true;
}

struct goal {
    const struct link *link;
    unsigned ups;
    unsigned renewed;
};

static bool is_up(void *arg) {
    const struct goal *goal = arg;
    return goal->link->ups >= goal->ups && goal->link->renewed >= goal->renewed && goal->link->heard;
}

static void await_up(const struct link *link, unsigned ups, unsigned renewed) {
    struct goal goal = {link, ups, renewed};
    assert_true(pump_until(NULL, is_up, &goal));
}

static struct queue_store *attach(void *arg, const char *node, const char *boot, const struct queue_events *of_queues,
                                  void *events_arg) {
    struct link *link = link_of(NULL);
    (void)arg;
    snprintf(link->channel, sizeof link->channel, "n:%s", node);
    link->store = fake_store_new(&bench.server, node, boot, &events, link);
    link->queues = fake_store_queues(link->store, 1, of_queues, events_arg);
    await_up(link, 1, 1);
    return link->queues;
}

static void detach(void *arg, struct queue_store *queues) {
    struct link *link = link_of(queues);
    (void)arg;
    link->store->ops->free(link->store);
    *link = (struct link){0};
}

static void advance(void *arg, uint64_t ms) {
    (void)arg;
    fake_server_advance(&bench.server, bench.server.now_ms + ms);
}

static void empty(void *arg) {
    (void)arg;
    fake_server_empty(&bench.server);
}

static uint64_t renewals_of(const char *node, const char *boot) {
    LIST_FOR_EACH (at, &bench.server.nodes) {
        const struct fake_node *entry = CONTAINER_OF(at, struct fake_node, in_server);
        if (bytes_equal(buffer_bytes(&entry->node), bytes_of(node)) &&
            bytes_equal(buffer_bytes(&entry->boot), bytes_of(boot)))
            return entry->renewals;
    }
    fail_msg("%s is not among the nodes", boot);
    return 0;
}

static void bury(void *arg, const char *node, const char *boot) {
    static struct peer digger;
    uint64_t renewals = renewals_of(node, boot);
    (void)arg;
    peer_open(&digger, &bench.contract, "digger", "digger:1");
    enum store_result result = STORE_MORE;
    for (int n = 0; n < 100 && result == STORE_MORE; n++)
        result = peer_bury(&digger, node, boot, renewals, false);
    assert_int_equal(result, STORE_OK);
    peer_close(&digger);
}

static void renew(void *arg, struct queue_store *queues) {
    struct link *link = link_of(queues);
    unsigned renewed = link->renewed;
    (void)arg;
    link->store->ops->renew(link->store, (struct store_call){on_renewed, link});
    await_up(link, link->ups, renewed + 1);
}

static void break_link(void *arg, struct queue_store *queues, bool carried_out) {
    struct link *link = link_of(queues);
    unsigned renewed = link->renewed;
    (void)arg;
    fake_store_break(link->store, carried_out);
    await_up(link, link->ups + 1, renewed + 1);
}

/* ---- what is its own ---- */

static struct queue_peer peer;
static struct queue_peer other;
static struct draft draft;
static struct reply replies[2];

static int set_up(void **state) {
    (void)state;
    empty(NULL);
    queue_peer_open(&peer, &contract, "a", "a:1");
    queue_peer_open(&other, &contract, "b", "b:1");
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    queue_peer_close(&peer);
    queue_peer_close(&other);
    return 0;
}

static void settle(void) {
    while (fake_server_step(&bench.server, &bench.random))
        continue;
}

/* The put comes once, whether the link has left it behind or it was made again, and in whichever order. */
static void test_a_call_that_was_left_behind_is_carried_out_once(void **state) {
    unsigned late = 0;
    (void)state;
    for (int n = 0; n < 100; n++) {
        const struct link *link = link_of(peer.store);
        draft_begin(&draft, &peer, false);
        draft_put(&draft, "q:x", "one");
        queue_peer_call_change(&peer, &draft, 1, &replies[0]);
        link->store->ops->break_link(link->store, "the test wants it");
        queue_peer_await_reply(&replies[0]);
        assert_int_equal(replies[0].result, QUEUE_AWAY);
        await_up(link, link->ups + 1, link->renewed + 1);
        late += !list_is_empty(&bench.server.orphans);
        queue_peer_change_again(&peer, &draft, 1, &replies[0]);
        queue_peer_await_reply(&replies[0]);
        assert_int_equal(replies[0].changes[0], CHANGE_DONE);
        draft_end(&draft);
        settle();
        assert_string_equal(queue_peer_take(&other, "q:x", 10), "one");
        assert_int_equal(queue_peer_settle(&other, "q:x", "one"), CHANGE_DONE);
    }
    assert_true(late > 0);
}

/* As long as they may be asked for again, and no longer. */
static void test_answers_are_kept_until_they_were_told(void **state) {
    (void)state;
    for (int n = 0; n < 20; n++) {
        assert_int_equal(queue_peer_put(&peer, "q:x", "one"), CHANGE_DONE);
        assert_int_equal(fake_queues_find_calls(&bench.server, BYTES("a:1"))->count, 1);
    }
    queue_peer_close(&peer);
    bury(NULL, "a", "a:1");
    assert_null(fake_queues_find_calls(&bench.server, BYTES("a:1")));
}

static void test_an_empty_queue_goes_in_time(void **state) {
    (void)state;
    assert_int_equal(queue_peer_put(&peer, "q:x", "one"), CHANGE_DONE);
    advance(NULL, 10 * peer.policy->idle_expiry_ms);
    assert_string_equal(queue_peer_take(&peer, "q:x", 10), "one");
    assert_int_equal(queue_peer_settle(&peer, "q:x", "one"), CHANGE_DONE);
    advance(NULL, peer.policy->idle_expiry_ms - 1);
    assert_non_null(fake_queues_find(&bench.server, BYTES("q:x")));
    advance(NULL, 1);
    assert_null(fake_queues_find(&bench.server, BYTES("q:x")));
}

static void test_without_memory_nothing_is_put_and_all_else_is_done(void **state) {
    (void)state;
    assert_int_equal(queue_peer_put(&peer, "q:x", "1"), CHANGE_DONE);
    assert_int_equal(queue_peer_put(&peer, "q:x", "2"), CHANGE_DONE);
    bench.server.full = true;
    assert_int_equal(queue_peer_put(&peer, "q:x", "3"), CHANGE_FAILED);
    assert_string_equal(queue_peer_take(&peer, "q:x", 10), "1 2");
    assert_int_equal(queue_peer_settle(&peer, "q:x", "1"), CHANGE_DONE);
    assert_int_equal(queue_peer_return(&peer, "q:x", "2", true), CHANGE_DONE);
    bench.server.full = false;
    assert_string_equal(queue_peer_take(&peer, "q:x", 10), "2*2");
}

#define OWN_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        OWN_TEST(test_a_call_that_was_left_behind_is_carried_out_once),
        OWN_TEST(test_answers_are_kept_until_they_were_told),
        OWN_TEST(test_an_empty_queue_goes_in_time),
        OWN_TEST(test_without_memory_nothing_is_put_and_all_else_is_done),
    };
    bench.contract = (struct contract){attach_store, pump_until, empty, &bench};
    bench.random = 1;
    contract = (struct queue_contract){.attach = attach,
                                       .detach = detach,
                                       .pump_until = pump_until,
                                       .advance = advance,
                                       .empty = empty,
                                       .bindings = true,
                                       .several = true,
                                       .recovers = true,
                                       .bury = bury,
                                       .renew = renew,
                                       .break_link = break_link,
                                       .arg = &bench};
    fake_server_init(&bench.server);
    int failed = queue_contract_run("the contract of queues in one process", &contract);
    failed += cmocka_run_group_tests_name("queues in one process", tests, NULL, NULL);
    fake_server_free(&bench.server);
    return failed;
}
