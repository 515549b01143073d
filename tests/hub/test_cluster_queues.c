/* What a cluster tells of the store's queues: when they can be called, and which of them other nodes say are ready. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "../../src/hub/cluster.h"
#include "stompd/base/hash.h"
#include "stompd/base/log.h"
#include "stompd/edge/mail.h"
#include "stompd/store/payload.h"
#include "store/fake_store.h"

struct node {
    struct store *store;
    struct registry *registry;
    struct cluster *cluster;
    struct mailbox mailbox;
    struct mailbox *mailboxes[1];
    bool refused;
    char told[512]; /* "up", "other", "down" and names of queues since the last look, with a space behind each */
};

static struct fake_server server;
static struct node a;
static uint64_t now_ms;
static uint64_t random_state;

static void write_down(struct node *node, struct bytes text) {
    size_t len = strlen(node->told);
    snprintf(node->told + len, sizeof node->told - len, "%.*s ", BYTES_ARG(text));
}

static void on_linked(void *arg, bool up, bool other) {
    write_down(arg, !up ? BYTES("down") : other ? BYTES("other") : BYTES("up"));
}

static void on_ready(void *arg, struct bytes queue) {
    write_down(arg, queue);
}

static void on_refused(void *arg, const char *why) {
    (void)why;
    ((struct node *)arg)->refused = true;
}

static void ignore(void *arg) {
    (void)arg;
}

static void attach(struct node *node, const char *boot, bool tells) {
    node->mailboxes[0] = &node->mailbox;
    mailbox_init(&node->mailbox, ignore, NULL);
    node->store = fake_store_new(&server, "a", boot, &cluster_store_events, NULL);
    node->registry = registry_new(node->store, ignore, NULL);
    node->cluster = cluster_new(&(struct cluster_conf){.node = "a",
                                                       .boot = boot,
                                                       .workers = 1,
                                                       .mailboxes = node->mailboxes,
                                                       .store = node->store,
                                                       .registry = node->registry,
                                                       .node_timeout_ms = 2000,
                                                       .buffer = 1000,
                                                       .refused = on_refused,
                                                       .left = ignore,
                                                       .ready = tells ? on_ready : NULL,
                                                       .linked = tells ? on_linked : NULL,
                                                       .arg = node},
                                now_ms);
    assert_non_null(node->cluster);
}

static void detach(struct node *node) {
    cluster_free(node->cluster);
    registry_free(node->registry);
    node->store->ops->free(node->store);
    mail_discard_all(mailbox_take(&node->mailbox));
    memset(node, 0, sizeof *node);
}

static int set_up(void **state) {
    (void)state;
    now_ms = 1000;
    random_state = 1;
    fake_server_init(&server);
    attach(&a, "a:1", true);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    detach(&a);
    fake_server_free(&server);
    return 0;
}

static void settle(struct node *node) {
    while (fake_server_step(&server, &random_state))
        cluster_flush(node->cluster);
}

static void pass(struct node *node, uint64_t ms) {
    for (uint64_t until = now_ms + ms; now_ms < until; settle(node)) {
        now_ms += 100;
        fake_server_advance(&server, now_ms);
        cluster_tick(node->cluster, now_ms);
        cluster_flush(node->cluster);
    }
}

static void expect(const char *told) {
    assert_string_equal(a.told, told);
    a.told[0] = '\0';
}

/* ---- the link ---- */

static void test_queues_can_be_called_once_this_boot_is_among_the_nodes(void **state) {
    (void)state;
    cluster_flush(a.cluster);
    expect("");
    settle(&a);
    assert_true(membership_is_in(cluster_membership(a.cluster)));
    expect("up ");
    pass(&a, 3000);
    expect("");
}

static void test_they_can_not_while_the_link_is_down(void **state) {
    (void)state;
    settle(&a);
    expect("up ");
    fake_store_cut(a.store, true);
    while (fake_server_step(&server, &random_state))
        continue;
    expect("down "); /* at once */
    pass(&a, 1000);
    expect("");
    fake_store_cut(a.store, false);
    pass(&a, 1000);
    expect("up ");
}

static void restart(void) {
    fake_server_stop(&server);
    settle(&a);
    fake_server_start(&server, false);
    pass(&a, 1000);
}

static void test_a_server_that_was_started_anew_is_another(void **state) {
    (void)state;
    settle(&a);
    expect("up ");
    restart();
    expect("down other ");
    fake_store_break(a.store, true);
    pass(&a, 1000);
    expect("down up ");
}

/* It has been seen before, on a link that broke too soon. */
static void test_another_server_is_told_of_when_queues_can_be_called_again(void **state) {
    (void)state;
    settle(&a);
    expect("up ");
    fake_store_cut(a.store, true);
    settle(&a);
    restart();
    expect("down ");
    fake_store_cut(a.store, false);
    while (cluster_state(a.cluster) == CLUSTER_AWAY)
        assert_true(fake_server_step(&server, &random_state));
    fake_store_break(a.store, false);
    expect("");
    pass(&a, 1000);
    expect("other ");
}

/* The link is up, but the name is another boot's, until that has been silent for long enough. */
static void test_they_can_not_while_another_boot_has_the_name(void **state) {
    (void)state;
    settle(&a);
    detach(&a);
    attach(&a, "a:2", true);
    pass(&a, 1000);
    assert_int_not_equal(cluster_state(a.cluster), CLUSTER_AWAY);
    expect("");
    pass(&a, 3000);
    expect("up ");
}

static void test_they_can_not_when_the_node_leaves(void **state) {
    (void)state;
    settle(&a);
    expect("up ");
    cluster_leave(a.cluster, now_ms);
    cluster_flush(a.cluster);
    expect("down ");
    pass(&a, 1000);
    expect("");
}

/* ---- what is ready ---- */

static void say(enum payload_type type, struct bytes rest) {
    struct payload_origin origin = {.type = type, .boot = BYTES("b:1")};
    struct buffer payload = {0};
    assert_true(payload_write_word(&payload, &origin));
    assert_true(buffer_append(&payload, rest.data, rest.len));
    assert_int_equal(fake_server_publish(&server, BYTES("n:a"), buffer_bytes(&payload)), 1);
    buffer_free(&payload);
    settle(&a);
}

static uint64_t foreign(void) {
    struct cluster_counters counters;
    cluster_count(a.cluster, &counters);
    return counters.fanout.foreign;
}

static void test_what_other_nodes_say_is_ready_is_told(void **state) {
    (void)state;
    settle(&a);
    expect("up ");
    say(PAYLOAD_READY, BYTES("q:orders"));
    say(PAYLOAD_READY, BYTES("d:ann/1"));
    expect("q:orders d:ann/1 ");
    assert_int_equal(foreign(), 0);
}

static void test_what_names_no_queue_is_foreign(void **state) {
    (void)state;
    settle(&a);
    expect("up ");
    say(PAYLOAD_READY, BYTES("orders"));
    say(PAYLOAD_READY, BYTES(""));
    say(PAYLOAD_STORED, BYTES(""));
    expect("");
    assert_int_equal(foreign(), 3);
}

static void test_nobody_need_be_told(void **state) {
    (void)state;
    detach(&a);
    attach(&a, "a:2", false);
    settle(&a);
    say(PAYLOAD_READY, BYTES("q:orders"));
    fake_store_cut(a.store, true);
    settle(&a);
    assert_int_equal(cluster_state(a.cluster), CLUSTER_AWAY);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_queues_can_be_called_once_this_boot_is_among_the_nodes),
        TEST(test_they_can_not_while_the_link_is_down),
        TEST(test_a_server_that_was_started_anew_is_another),
        TEST(test_another_server_is_told_of_when_queues_can_be_called_again),
        TEST(test_they_can_not_while_another_boot_has_the_name),
        TEST(test_they_can_not_when_the_node_leaves),
        TEST(test_what_other_nodes_say_is_ready_is_told),
        TEST(test_what_names_no_queue_is_foreign),
        TEST(test_nobody_need_be_told),
    };
    hash_seed();
    log_set_level(LOG_LEVEL_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
