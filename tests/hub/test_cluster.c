/* What a cluster promises, each in a scene of its own; tests/hub/test_cluster_random.c mixes them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cluster_simulator.h"
#include "stompd/base/log.h"

/* Between renewals, as src/hub/membership.c has it. */
#define RENEW_MS ((uint64_t)SIM_NODE_TIMEOUT / 5)

#define LARGE ((1u << 20) - 512)

struct scene {
    struct cluster_simulator *simulator;
    struct sim_node *a;
    struct sim_node *b;
    struct sim_node *c;
};

static struct scene scene;

/* ---- the stage ---- */

static void start_all(void) {
    for (unsigned n = 0; n < scene.simulator->node_count; n++)
        sim_node_start(&scene.simulator->nodes[n]);
    cluster_pass(scene.simulator, 1000);
    for (unsigned n = 0; n < scene.simulator->node_count; n++)
        assert_true(sim_node_serves(&scene.simulator->nodes[n]));
}

static void set_stage(unsigned nodes, unsigned workers) {
    scene.simulator = cluster_simulator_new(nodes, workers, 1);
    scene.a = &scene.simulator->nodes[0];
    scene.b = &scene.simulator->nodes[1];
    scene.c = &scene.simulator->nodes[2];
}

static int two_nodes(void **state) {
    (void)state;
    set_stage(2, 2);
    start_all();
    return 0;
}

static int three_nodes(void **state) {
    (void)state;
    set_stage(3, 1);
    start_all();
    return 0;
}

static int not_started(void **state) {
    (void)state;
    set_stage(2, 1);
    return 0;
}

static int clear_stage(void **state) {
    (void)state;
    cluster_simulator_free(scene.simulator);
    return 0;
}

static void settle(void) {
    cluster_settle(scene.simulator);
}

static void pass(uint64_t ms) {
    cluster_pass(scene.simulator, ms);
}

static struct sim_client *client_on(struct sim_node *node, const char *login) {
    struct sim_client *client = sim_connect(node->workers, 0, login);
    settle();
    return client;
}

static void ask_for(struct sim_client *client, const char *id, const char *destination) {
    sim_send(client, "SUBSCRIBE\nid:%s\ndestination:%s\nreceipt:%s\n\n", id, destination, id);
}

static void subscribe(struct sim_client *client, const char *id, const char *destination) {
    ask_for(client, id, destination);
    settle();
    sim_expect_receipt(client, id);
}

static void ask_to_unsubscribe(struct sim_client *client, const char *id) {
    sim_send(client, "UNSUBSCRIBE\nid:%s\n\n", id);
}

static void publish(struct sim_client *client, const char *destination, const char *body) {
    sim_send(client, "SEND\ndestination:%s\n\n%s", destination, body);
}

static void publish_to_session(struct sim_client *client, const char *destination, const struct sim_client *only,
                               const char *body) {
    sim_send(client, "SEND\ndestination:%s\nsession:%s\n\n%s", destination, only->session->id, body);
}

static struct cluster_counters counters_of(const struct sim_node *node) {
    struct cluster_counters counters;
    cluster_count(node->cluster, &counters);
    return counters;
}

static size_t length(const struct list_node *list) {
    size_t count = 0;
    LIST_FOR_EACH (at, list)
        count++;
    return count;
}

static size_t registered(void) {
    return length(&scene.simulator->server.sessions);
}

static size_t nodes_in_the_book(void) {
    return length(&scene.simulator->server.nodes);
}

static void cut(const struct sim_node *node, bool is_cut) {
    fake_store_cut(node->store, is_cut);
    settle();
}

/* ---- fan-out ---- */

static void test_a_message_reaches_a_subscriber_on_another_node_once(void **state) {
    struct sim_client *here = client_on(scene.a, NULL);
    struct sim_client *there = client_on(scene.b, NULL);
    (void)state;
    subscribe(there, "1", "/topic/x");
    subscribe(here, "1", "/topic/x");
    publish(here, "/topic/x", "one");
    settle();
    sim_expect_message(there, "1", "one");
    sim_expect_nothing(there);
    sim_expect_message(here, "1", "one");
    sim_expect_nothing(here);
}

static void test_each_subscription_gets_one_copy_however_many_match(void **state) {
    struct sim_client *publisher = client_on(scene.a, NULL);
    struct sim_client *one = client_on(scene.b, NULL);
    struct sim_client *two = sim_connect(scene.b->workers, 1, NULL);
    (void)state;
    subscribe(one, "exact", "/topic/a/b");
    subscribe(one, "star", "/topic/a/*");
    subscribe(two, "all", "/topic/**");
    subscribe(two, "dot", "/topic/*.b");
    publish(publisher, "/topic/a/b", "m");
    settle();
    sim_expect_message(one, "exact", "m");
    sim_expect_message(one, "star", "m");
    sim_expect_nothing(one);
    const char *frame = sim_read(two);
    assert_true(bytes_equal(sim_header(frame, "subscription"), BYTES("all")) ||
                bytes_equal(sim_header(frame, "subscription"), BYTES("dot")));
    assert_non_null(sim_read(two));
    sim_expect_nothing(two);
}

static void test_what_interests_nobody_on_a_node_does_not_come_there(void **state) {
    struct sim_client *publisher = client_on(scene.a, NULL);
    struct sim_client *subscriber = client_on(scene.b, NULL);
    struct sim_client *other = client_on(scene.c, NULL);
    (void)state;
    subscribe(subscriber, "1", "/topic/x");
    subscribe(other, "1", "/topic/y");
    publish(publisher, "/topic/x", "one");
    settle();
    sim_expect_message(subscriber, "1", "one");
    assert_int_equal(counters_of(scene.b).fanout.received, 1);
    assert_int_equal(counters_of(scene.c).fanout.received, 0);
    assert_int_equal(counters_of(scene.c).fanout.repeated, 0);
}

static void test_a_subscription_waits_for_the_bus_and_a_send_behind_it_too(void **state) {
    struct sim_client *client = client_on(scene.a, NULL);
    struct sim_client *answerer = client_on(scene.b, NULL);
    (void)state;
    subscribe(answerer, "1", "/topic/question");
    fake_server_freeze(&scene.simulator->server, true);
    ask_for(client, "1", "/topic/answer");
    publish(client, "/topic/question", "who");
    settle();
    sim_expect_nothing(client);
    assert_true(client->session->input_waits);
    fake_server_freeze(&scene.simulator->server, false);
    settle();
    sim_expect_receipt(client, "1");
    sim_expect_message(answerer, "1", "who");
    publish(answerer, "/topic/answer", "me");
    settle();
    sim_expect_message(client, "1", "me");
}

static void test_a_channel_that_nobody_wants_is_left_after_a_second(void **state) {
    struct sim_client *client = client_on(scene.a, NULL);
    (void)state;
    subscribe(client, "1", "/topic/x");
    assert_int_equal(counters_of(scene.a).channels, 2);
    ask_to_unsubscribe(client, "1");
    pass(CHANNELS_RELEASE_MS - SIM_TICK_MS);
    assert_int_equal(counters_of(scene.a).channels, 2);
    pass(2 * SIM_TICK_MS);
    assert_int_equal(counters_of(scene.a).channels, 1);
}

static void test_a_channel_that_is_wanted_again_while_it_is_left_is_asked_for_again(void **state) {
    struct sim_client *client = client_on(scene.a, NULL);
    struct sim_client *publisher = client_on(scene.b, NULL);
    (void)state;
    subscribe(client, "1", "/topic/x");
    ask_to_unsubscribe(client, "1");
    settle();
    fake_server_freeze(&scene.simulator->server, true);
    pass(CHANNELS_RELEASE_MS + SIM_TICK_MS);
    ask_for(client, "2", "/topic/x");
    settle();
    sim_expect_nothing(client); /* the channel's UNSUBSCRIBE is under way */
    fake_server_freeze(&scene.simulator->server, false);
    settle();
    sim_expect_receipt(client, "2");
    publish(publisher, "/topic/x", "one");
    settle();
    sim_expect_message(client, "2", "one");
}

/* Nearly 1 MB, which begins with that letter. */
static void publish_much(struct sim_client *client, char letter) {
    static char frame[LARGE];
    int count = snprintf(frame, sizeof frame, "SEND\ndestination:/topic/x\n\n%c", letter);
    memset(frame + count, '.', sizeof frame - (size_t)count - 1);
    sim_feed(client, frame, sizeof frame);
}

static void expect_much(struct sim_client *client, char letter) {
    const char *frame = sim_read(client);
    assert_non_null(frame);
    assert_int_equal(*sim_body(frame), letter);
}

static void test_a_slow_bus_pauses_publishers(void **state) {
    struct sim_client *publisher = client_on(scene.a, NULL);
    struct sim_client *subscriber = client_on(scene.b, NULL);
    (void)state;
    subscribe(subscriber, "1", "/topic/x");
    fake_server_freeze(&scene.simulator->server, true);
    for (int letter = 'a'; letter <= 'l'; letter++)
        publish_much(publisher, (char)letter);
    settle();
    assert_true(publisher->session->input_waits);
    assert_in_range(counters_of(scene.a).queued_bytes, ROUTER_HIGH_WATER, ROUTER_HIGH_WATER + LARGE);
    fake_server_freeze(&scene.simulator->server, false);
    settle();
    assert_false(publisher->session->input_waits);
    for (int letter = 'a'; letter <= 'l'; letter++)
        expect_much(subscriber, (char)letter);
    sim_expect_nothing(subscriber);
}

/* Such as for durable subscriptions, whose queues take no more for now. */
static void test_publishers_pause_when_the_hub_holds_their_credit(void **state) {
    struct sim_client *publisher = client_on(scene.a, NULL);
    struct sim_client *subscriber = client_on(scene.b, NULL);
    (void)state;
    subscribe(subscriber, "1", "/topic/x");
    cluster_hold_credit(scene.a->cluster, true);
    for (int letter = 'a'; letter <= 'l'; letter++)
        publish_much(publisher, (char)letter);
    settle();
    assert_true(publisher->session->input_waits);
    cluster_hold_credit(scene.a->cluster, false);
    pass(100);
    assert_false(publisher->session->input_waits);
    for (int letter = 'a'; letter <= 'l'; letter++)
        expect_much(subscriber, (char)letter);
}

static void test_what_was_under_way_goes_out_before_what_waited(void **state) {
    struct sim_client *publisher = client_on(scene.a, NULL);
    struct sim_client *subscriber = client_on(scene.b, NULL);
    (void)state;
    subscribe(subscriber, "1", "/topic/x");
    fake_server_freeze(&scene.simulator->server, true);
    for (int letter = 'a'; letter <= 'f'; letter++)
        publish_much(publisher, (char)letter);
    settle();
    fake_server_stop(&scene.simulator->server); /* with all that it has not read */
    settle();
    fake_server_start(&scene.simulator->server, false);
    pass(SIM_TICK_MS);
    for (int letter = 'a'; letter <= 'f'; letter++)
        expect_much(subscriber, (char)letter);
    sim_expect_nothing(subscriber);
}

/* ---- users ---- */

static void test_a_user_is_reached_on_all_nodes_and_nobody_else(void **state) {
    struct sim_client *publisher = client_on(scene.a, "bob");
    struct sim_client *ann = client_on(scene.b, "ann");
    struct sim_client *also_ann = client_on(scene.c, "ann");
    struct sim_client *nobody = client_on(scene.c, NULL);
    (void)state;
    subscribe(publisher, "1", "/user/queue/x");
    subscribe(ann, "1", "/user/queue/x");
    subscribe(also_ann, "1", "/user/queue/x");
    subscribe(nobody, "1", "/user/queue/x");
    publish(publisher, "/user/ann/queue/x", "hello");
    settle();
    sim_expect_message(ann, "1", "hello");
    sim_expect_message(also_ann, "1", "hello");
    sim_expect_nothing(ann);
    sim_expect_nothing(also_ann);
    sim_expect_nothing(publisher);
    sim_expect_nothing(nobody);
}

static void test_one_session_of_a_user_is_reached_on_another_node(void **state) {
    struct sim_client *publisher = client_on(scene.a, "bob");
    struct sim_client *ann = client_on(scene.b, "ann");
    struct sim_client *also_here = client_on(scene.b, "ann");
    struct sim_client *also_there = client_on(scene.c, "ann");
    (void)state;
    subscribe(ann, "1", "/user/queue/x");
    subscribe(also_here, "1", "/user/queue/x");
    subscribe(also_there, "1", "/user/queue/x");
    publish_to_session(publisher, "/user/ann/queue/x", ann, "you");
    publish_to_session(publisher, "/user/bob/queue/x", ann, "not yours");
    settle();
    sim_expect_message(ann, "1", "you");
    sim_expect_nothing(ann);
    sim_expect_nothing(also_here);
    sim_expect_nothing(also_there);
}

static void test_an_anonymous_session_is_reached_on_another_node_by_its_id(void **state) {
    struct sim_client *publisher = client_on(scene.a, "bob");
    struct sim_client *nobody = client_on(scene.b, NULL);
    struct sim_client *another = client_on(scene.b, NULL);
    (void)state;
    subscribe(nobody, "1", "/user/queue/x");
    subscribe(another, "1", "/user/queue/x");
    publish_to_session(publisher, "/user//queue/x", nobody, "you");
    settle();
    sim_expect_message(nobody, "1", "you");
    sim_expect_nothing(nobody);
    sim_expect_nothing(another);
}

/* ---- the link ---- */

static void test_a_node_that_is_cut_off_goes_on_alone_and_catches_up(void **state) {
    struct sim_client *publisher = client_on(scene.a, NULL);
    struct sim_client *near = client_on(scene.a, NULL);
    struct sim_client *far = client_on(scene.b, NULL);
    char body[16];
    (void)state;
    subscribe(near, "1", "/topic/x");
    subscribe(far, "1", "/topic/x");
    for (int n = 0; n < 30; n++) {
        if (n == 10)
            fake_store_cut(scene.a->store, true);
        snprintf(body, sizeof body, "%d", n);
        publish(publisher, "/topic/x", body);
        if (n % 3 == 0)
            cluster_step(scene.simulator);
    }
    settle();
    for (int n = 0; n < 30; n++) {
        snprintf(body, sizeof body, "%d", n);
        sim_expect_message(near, "1", body);
    }
    assert_true(counters_of(scene.a).queued_bytes > 0);
    cut(scene.a, false);
    pass(SIM_TICK_MS);
    for (int n = 0; n < 30; n++) {
        snprintf(body, sizeof body, "%d", n);
        sim_expect_message(far, "1", body);
    }
    sim_expect_nothing(far);
    sim_expect_nothing(near);
    assert_int_equal(counters_of(scene.a).fanout.dropped, 0);
    assert_int_equal(counters_of(scene.a).queued_bytes, 0);
}

static void test_what_does_not_fit_the_buffer_is_dropped_and_counted(void **state) {
    (void)state;
    scene.simulator->buffer = 4096;
    start_all();
    struct sim_client *publisher = client_on(scene.a, NULL);
    struct sim_client *far = client_on(scene.b, NULL);
    char body[16];
    subscribe(far, "1", "/topic/x");
    cut(scene.a, true);
    for (int n = 0; n < 100; n++) {
        snprintf(body, sizeof body, "%d", n);
        publish(publisher, "/topic/x", body);
    }
    settle();
    unsigned dropped = (unsigned)counters_of(scene.a).fanout.dropped;
    assert_in_range(dropped, 1, 99);
    assert_in_range(counters_of(scene.a).queued_bytes, 4096 - 512, 4096);
    cut(scene.a, false);
    pass(SIM_TICK_MS);
    for (unsigned n = 0; n < 100 - dropped; n++) {
        snprintf(body, sizeof body, "%u", n);
        sim_expect_message(far, "1", body);
    }
    sim_expect_nothing(far);
}

static void test_while_away_receipts_are_withheld_and_sends_go_on(void **state) {
    struct sim_client *client = client_on(scene.a, NULL);
    struct sim_client *near = sim_connect(scene.a->workers, 1, NULL);
    (void)state;
    subscribe(near, "1", "/topic/y");
    cut(scene.a, true);
    ask_for(client, "1", "/topic/x");
    publish(client, "/topic/x", "to myself");
    publish(client, "/topic/y", "to a neighbour");
    settle();
    sim_expect_message(near, "1", "to a neighbour");
    sim_expect_message(client, "1", "to myself");
    sim_expect_nothing(client);
    cut(scene.a, false);
    pass(SIM_TICK_MS);
    sim_expect_receipt(client, "1");
    sim_expect_nothing(client);
}

static void test_while_away_receipts_are_withheld_where_others_have_theirs(void **state) {
    struct sim_client *one = client_on(scene.a, NULL);
    struct sim_client *two = client_on(scene.a, NULL);
    struct sim_client *publisher = client_on(scene.b, NULL);
    (void)state;
    subscribe(one, "1", "/topic/x");
    cut(scene.a, true);
    ask_for(two, "1", "/topic/x");
    publish(publisher, "/topic/x", "lost");
    settle();
    sim_expect_nothing(two);
    cut(scene.a, false);
    pass(SIM_TICK_MS);
    sim_expect_receipt(two, "1");
    publish(publisher, "/topic/x", "heard");
    settle();
    sim_expect_message(one, "1", "heard");
    sim_expect_message(two, "1", "heard");
}

static void test_a_send_that_waits_goes_on_when_the_link_breaks(void **state) {
    struct sim_client *client = client_on(scene.a, NULL);
    (void)state;
    fake_server_freeze(&scene.simulator->server, true);
    ask_for(client, "1", "/topic/x");
    publish(client, "/topic/x", "to myself");
    settle();
    assert_true(client->session->input_waits);
    cut(scene.a, true);
    assert_false(client->session->input_waits);
    sim_expect_message(client, "1", "to myself");
}

/* One of them finds the way back a second later. */
static void restart_server(bool empty) {
    struct sim_client *here = client_on(scene.a, NULL);
    struct sim_client *there = client_on(scene.b, NULL);
    subscribe(here, "1", "/topic/x");
    subscribe(there, "1", "/topic/x");
    fake_server_stop(&scene.simulator->server);
    settle();
    publish(here, "/topic/x", "from here");
    publish(there, "/topic/x", "from there");
    settle();
    fake_store_cut(scene.b->store, true);
    fake_server_start(&scene.simulator->server, empty);
    pass(1000);
    cut(scene.b, false);
    pass(2000);
    sim_expect_message(here, "1", "from here");
    sim_expect_message(here, "1", "from there");
    sim_expect_nothing(here);
    sim_expect_message(there, "1", "from there");
    sim_expect_message(there, "1", "from here");
    sim_expect_nothing(there);
}

static void test_after_a_restart_of_the_server_what_was_kept_reaches_all(void **state) {
    (void)state;
    restart_server(false);
}

static void test_after_a_restart_without_data_what_was_kept_reaches_all_too(void **state) {
    (void)state;
    restart_server(true);
}

static void test_a_node_that_comes_back_waits_for_the_interest_of_the_others(void **state) {
    struct sim_client *here = client_on(scene.a, NULL);
    struct sim_client *there = client_on(scene.b, NULL);
    (void)state;
    subscribe(there, "1", "/topic/x");
    cut(scene.a, true);
    cut(scene.b, true);
    publish(here, "/topic/x", "one");
    cut(scene.a, false);
    pass(CLUSTER_GATHER_MS / 2);
    assert_int_equal(cluster_state(scene.a->cluster), CLUSTER_GATHERING);
    cut(scene.b, false);
    pass((uint64_t)2 * CLUSTER_ASK_MS);
    assert_int_equal(cluster_state(scene.a->cluster), CLUSTER_UP);
    sim_expect_message(there, "1", "one");
}

static void test_others_are_not_waited_for_longer_than_two_seconds(void **state) {
    (void)state;
    cut(scene.a, true);
    cut(scene.b, true);
    cut(scene.a, false);
    pass(CLUSTER_GATHER_MS - SIM_TICK_MS);
    assert_int_equal(cluster_state(scene.a->cluster), CLUSTER_GATHERING);
    pass(2 * SIM_TICK_MS);
    assert_int_equal(cluster_state(scene.a->cluster), CLUSTER_UP);
}

static void test_a_link_that_hears_nothing_is_found_out(void **state) {
    struct sim_client *publisher = client_on(scene.a, NULL);
    struct sim_client *deaf = client_on(scene.b, NULL);
    (void)state;
    subscribe(deaf, "1", "/topic/x");
    fake_store_deafen(scene.b->store);
    pass(8000);
    assert_true(fake_store_is_sound(scene.b->store));
    publish(publisher, "/topic/x", "one");
    settle();
    sim_expect_message(deaf, "1", "one");
}

/* ---- who is alive, who is online ---- */

static void test_a_dead_nodes_users_are_gone_within_node_timeout(void **state) {
    (void)state;
    client_on(scene.a, "ann");
    client_on(scene.a, "bob");
    client_on(scene.a, "eve");
    client_on(scene.b, "ann");
    client_on(scene.c, NULL);
    assert_int_equal(registered(), 4);
    sim_node_kill(scene.a);
    pass(SIM_NODE_TIMEOUT - RENEW_MS - SIM_TICK_MS);
    assert_int_equal(registered(), 4);
    pass(2 * RENEW_MS + 2 * SIM_TICK_MS);
    assert_int_equal(registered(), 1);
    assert_int_equal(nodes_in_the_book(), 2);
}

static void test_a_node_that_crashed_comes_back_under_its_name(void **state) {
    (void)state;
    client_on(scene.a, "ann");
    sim_node_kill(scene.a);
    sim_node_start(scene.a);
    pass(SIM_NODE_TIMEOUT + RENEW_MS);
    assert_true(sim_node_serves(scene.a));
    assert_int_equal(nodes_in_the_book(), 2);
    assert_int_equal(registered(), 0);
    client_on(scene.a, "ann");
    assert_int_equal(registered(), 1);
    pass(SIM_QUIET_MS);
    assert_int_equal(registered(), 1);
}

static void test_a_name_that_is_in_use_is_refused(void **state) {
    struct sim_node *second = scene.b;
    (void)state;
    second->name = scene.a->name;
    second->expects_refusal = true;
    sim_node_start(scene.a);
    pass(1000);
    sim_node_start(second);
    pass(SIM_NODE_TIMEOUT);
    assert_true(second->refused);
    assert_false(sim_node_runs(second));
    assert_true(sim_node_serves(scene.a));
    assert_int_equal(nodes_in_the_book(), 1);
}

static void test_a_node_that_leaves_leaves_nothing(void **state) {
    struct sim_client *publisher = client_on(scene.a, "ann");
    struct sim_client *far = client_on(scene.b, "bob");
    (void)state;
    subscribe(far, "1", "/topic/x");
    fake_server_freeze(&scene.simulator->server, true);
    publish(publisher, "/topic/x", "good bye");
    settle();
    sim_close(publisher);
    sim_node_leave(scene.a);
    pass(1000);
    assert_true(sim_node_runs(scene.a)); /* what it has said is not yet taken */
    fake_server_freeze(&scene.simulator->server, false);
    pass(3 * SIM_TICK_MS);
    assert_true(scene.a->left);
    sim_expect_message(far, "1", "good bye");
    assert_int_equal(nodes_in_the_book(), 1);
    assert_int_equal(registered(), 1);
    sim_node_start(scene.a);
    pass(3 * SIM_TICK_MS);
    assert_true(sim_node_serves(scene.a));
}

static void test_a_node_without_a_server_leaves_in_time(void **state) {
    (void)state;
    fake_server_freeze(&scene.simulator->server, true);
    settle();
    sim_node_leave(scene.a);
    pass(6000);
    assert_true(scene.a->left);
}

static void test_a_frozen_server_kills_nobody(void **state) {
    (void)state;
    client_on(scene.a, "ann");
    client_on(scene.b, "bob");
    fake_server_freeze(&scene.simulator->server, true);
    pass(60000);
    fake_server_freeze(&scene.simulator->server, false);
    pass(1000);
    assert_int_equal(nodes_in_the_book(), 2);
    assert_int_equal(registered(), 2);
    assert_int_equal(cluster_state(scene.a->cluster), CLUSTER_UP);
    assert_int_equal(cluster_state(scene.b->cluster), CLUSTER_UP);
}

static void test_a_node_that_was_stopped_kills_nobody_and_restores_its_own(void **state) {
    (void)state;
    client_on(scene.a, "ann");
    client_on(scene.b, "bob");
    sim_node_stop(scene.a, true);
    pass(SIM_NODE_TIMEOUT + 2 * RENEW_MS);
    assert_int_equal(nodes_in_the_book(), 1);
    assert_int_equal(registered(), 1);
    sim_node_stop(scene.a, false);
    pass(SIM_NODE_TIMEOUT);
    assert_int_equal(nodes_in_the_book(), 2);
    assert_int_equal(registered(), 2);
}

static void test_a_server_that_was_emptied_is_filled_again(void **state) {
    struct sim_client *publisher = client_on(scene.a, "ann");
    struct sim_client *far = client_on(scene.b, "bob");
    (void)state;
    subscribe(far, "1", "/topic/x");
    fake_server_empty(&scene.simulator->server);
    pass(RENEW_MS + SIM_TICK_MS);
    assert_int_equal(nodes_in_the_book(), 2);
    assert_int_equal(registered(), 2);
    publish(publisher, "/topic/x", "one");
    settle();
    sim_expect_message(far, "1", "one");
}

static void test_a_server_without_memory_gets_the_registry_later(void **state) {
    (void)state;
    scene.simulator->server.full = true;
    struct sim_client *gone = client_on(scene.a, "ann");
    client_on(scene.a, "bob");
    sim_close(gone);
    pass(10000);
    assert_int_equal(registered(), 0);
    scene.simulator->server.full = false;
    pass(6000);
    assert_int_equal(registered(), 1);
    assert_int_equal(nodes_in_the_book(), 2);
}

#define ON_STAGE(test, stage) cmocka_unit_test_setup_teardown(test, stage, clear_stage)

int main(void) {
    const struct CMUnitTest tests[] = {
        ON_STAGE(test_a_message_reaches_a_subscriber_on_another_node_once, two_nodes),
        ON_STAGE(test_each_subscription_gets_one_copy_however_many_match, two_nodes),
        ON_STAGE(test_what_interests_nobody_on_a_node_does_not_come_there, three_nodes),
        ON_STAGE(test_a_subscription_waits_for_the_bus_and_a_send_behind_it_too, two_nodes),
        ON_STAGE(test_a_channel_that_nobody_wants_is_left_after_a_second, two_nodes),
        ON_STAGE(test_a_channel_that_is_wanted_again_while_it_is_left_is_asked_for_again, two_nodes),
        ON_STAGE(test_a_slow_bus_pauses_publishers, two_nodes),
        ON_STAGE(test_publishers_pause_when_the_hub_holds_their_credit, two_nodes),
        ON_STAGE(test_a_user_is_reached_on_all_nodes_and_nobody_else, three_nodes),
        ON_STAGE(test_one_session_of_a_user_is_reached_on_another_node, three_nodes),
        ON_STAGE(test_an_anonymous_session_is_reached_on_another_node_by_its_id, two_nodes),
        ON_STAGE(test_a_node_that_is_cut_off_goes_on_alone_and_catches_up, two_nodes),
        ON_STAGE(test_what_does_not_fit_the_buffer_is_dropped_and_counted, not_started),
        ON_STAGE(test_while_away_receipts_are_withheld_and_sends_go_on, two_nodes),
        ON_STAGE(test_while_away_receipts_are_withheld_where_others_have_theirs, two_nodes),
        ON_STAGE(test_what_was_under_way_goes_out_before_what_waited, two_nodes),
        ON_STAGE(test_a_send_that_waits_goes_on_when_the_link_breaks, two_nodes),
        ON_STAGE(test_after_a_restart_of_the_server_what_was_kept_reaches_all, two_nodes),
        ON_STAGE(test_after_a_restart_without_data_what_was_kept_reaches_all_too, two_nodes),
        ON_STAGE(test_a_node_that_comes_back_waits_for_the_interest_of_the_others, two_nodes),
        ON_STAGE(test_others_are_not_waited_for_longer_than_two_seconds, two_nodes),
        ON_STAGE(test_a_link_that_hears_nothing_is_found_out, two_nodes),
        ON_STAGE(test_a_dead_nodes_users_are_gone_within_node_timeout, three_nodes),
        ON_STAGE(test_a_node_that_crashed_comes_back_under_its_name, two_nodes),
        ON_STAGE(test_a_name_that_is_in_use_is_refused, not_started),
        ON_STAGE(test_a_node_that_leaves_leaves_nothing, two_nodes),
        ON_STAGE(test_a_node_without_a_server_leaves_in_time, two_nodes),
        ON_STAGE(test_a_frozen_server_kills_nobody, two_nodes),
        ON_STAGE(test_a_node_that_was_stopped_kills_nobody_and_restores_its_own, two_nodes),
        ON_STAGE(test_a_server_that_was_emptied_is_filled_again, two_nodes),
        ON_STAGE(test_a_server_without_memory_gets_the_registry_later, two_nodes),
    };
    log_set_level(LOG_LEVEL_ERROR);
    return cmocka_run_group_tests_name("hub/cluster", tests, NULL, NULL);
}
