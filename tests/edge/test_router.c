/* Routing within and between workers, in the simulator: interest, receipts, who gets what, users, congestion, ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "simulator.h"

#define TEST(name, workers) cmocka_unit_test_prestate_setup_teardown(name, setup, teardown, (workers))

static unsigned one = 1;
static unsigned two = 2;
static unsigned three = 3;

static int setup(void **state) {
    *state = simulator_new(*(unsigned *)*state, 1);
    return 0;
}

/* ASan sees what is left over. */
static int teardown(void **state) {
    simulator_free(*state);
    return 0;
}

/* The receipt's id is the subscription's. */
static void subscribe(struct sim_client *client, const char *id, const char *destination) {
    sim_send(client, "SUBSCRIBE\nid:%s\ndestination:%s\nreceipt:%s\n\n", id, destination, id);
}

/* A client of that worker with a live subscription "s". */
static struct sim_client *connect_subscribed(struct simulator *simulator, unsigned worker, const char *login,
                                             const char *destination) {
    struct sim_client *client = sim_connect(simulator, worker, login);
    subscribe(client, "s", destination);
    sim_settle(simulator);
    sim_expect_receipt(client, "s");
    return client;
}

static void publish(struct sim_client *client, const char *destination, const char *body) {
    sim_send(client, "SEND\ndestination:%s\n\n%s", destination, body);
}

static unsigned handled(const struct simulator *simulator, unsigned worker, enum mail_type type) {
    return simulator->workers[worker].handled[type];
}

/* ---- interest and receipts ---- */

static void test_a_lone_worker_makes_subscriptions_live_at_once(void **state) {
    struct sim_client *client = sim_connect(*state, 0, NULL);
    subscribe(client, "a", "/topic/a");
    sim_expect_receipt(client, "a");
    subscribe(client, "b", "/topic/*");
    sim_expect_receipt(client, "b");
    subscribe(client, "c", "/user/queue/c");
    sim_expect_receipt(client, "c");
    publish(client, "/topic/a", "hi");
    sim_expect_message(client, "a", "hi");
    sim_expect_message(client, "b", "hi");
    sim_expect_nothing(client);
}

static void receipt_waits_for_all_peers(struct simulator *simulator, const char *destination) {
    struct sim_client *client = sim_connect(simulator, 0, "ann");
    subscribe(client, "s", destination);
    sim_step(simulator, 0, 1, MAIL_ANNOUNCE);
    sim_step(simulator, 1, 0, MAIL_CONFIRM);
    sim_expect_nothing(client);
    sim_step(simulator, 0, 2, MAIL_ANNOUNCE);
    sim_expect_nothing(client);
    sim_step(simulator, 2, 0, MAIL_CONFIRM);
    sim_expect_receipt(client, "s");
}

static void test_a_receipt_waits_until_all_peers_have_confirmed(void **state) {
    receipt_waits_for_all_peers(*state, "/topic/a");
    receipt_waits_for_all_peers(*state, "/topic/**");
    receipt_waits_for_all_peers(*state, "/user/queue/a");
}

static void test_a_key_is_announced_once_and_confirms_all_who_wait(void **state) {
    struct simulator *simulator = *state;
    struct sim_client *first = sim_connect(simulator, 0, NULL);
    struct sim_client *second = sim_connect(simulator, 0, NULL);
    subscribe(first, "1", "/topic/a");
    subscribe(second, "2", "/topic/a");
    sim_expect_nothing(first);
    sim_expect_nothing(second);
    sim_settle(simulator);
    sim_expect_receipt(first, "1");
    sim_expect_receipt(second, "2");
    subscribe(second, "3", "/topic/a");
    sim_expect_receipt(second, "3");
    sim_settle(simulator);
    assert_int_equal(handled(simulator, 1, MAIL_ANNOUNCE), 1);
}

static void test_an_exact_destination_and_its_pattern_are_confirmed_apart(void **state) {
    struct simulator *simulator = *state;
    struct sim_client *client = sim_connect(simulator, 0, NULL);
    subscribe(client, "p", "/topic/*");
    sim_settle(simulator);
    sim_expect_receipt(client, "p");
    subscribe(client, "e", "/topic/a");
    sim_expect_nothing(client);
    sim_settle(simulator);
    sim_expect_receipt(client, "e");
}

static void test_a_message_sent_after_the_receipt_arrives_from_every_worker(void **state) {
    struct simulator *simulator = *state;
    struct sim_client *subscriber = connect_subscribed(simulator, 1, NULL, "/topic/a");
    for (unsigned worker = 0; worker < 3; worker++) {
        publish(sim_connect(simulator, worker, NULL), "/topic/a", "hi");
        sim_settle(simulator);
        sim_expect_message(subscriber, "s", "hi");
    }
    sim_expect_nothing(subscriber);
}

static void test_a_send_waits_for_the_subscribe_before_it(void **state) {
    struct simulator *simulator = *state;
    struct sim_client *client = sim_connect(simulator, 0, NULL);
    struct sim_client *other = connect_subscribed(simulator, 1, NULL, "/topic/request");
    subscribe(client, "answer", "/topic/answer");
    publish(client, "/topic/request", "?");
    sim_step(simulator, 0, 1, MAIL_ANNOUNCE);
    sim_expect_nothing(other);
    sim_step(simulator, 1, 0, MAIL_CONFIRM);
    sim_expect_receipt(client, "answer");
    sim_step(simulator, 0, 1, MAIL_PUBLISH);
    sim_expect_message(other, "s", "?");
    publish(other, "/topic/answer", "!");
    sim_step(simulator, 1, 0, MAIL_PUBLISH);
    sim_expect_message(client, "answer", "!");
}

static void test_a_late_confirmation_of_an_earlier_announcement_confirms_nothing(void **state) {
    struct simulator *simulator = *state;
    struct sim_client *client = sim_connect(simulator, 0, NULL);
    sim_send(client, "SUBSCRIBE\nid:1\ndestination:/topic/a\n\n");
    sim_step(simulator, 0, 1, MAIL_ANNOUNCE);
    sim_send(client, "UNSUBSCRIBE\nid:1\n\n");
    subscribe(client, "2", "/topic/a");
    sim_step(simulator, 1, 0, MAIL_CONFIRM);
    sim_expect_nothing(client);
    sim_step(simulator, 0, 1, MAIL_WITHDRAW);
    sim_step(simulator, 0, 1, MAIL_ANNOUNCE);
    sim_expect_nothing(client);
    sim_step(simulator, 1, 0, MAIL_CONFIRM);
    sim_expect_receipt(client, "2");
}

static void test_resubscribing_in_one_turn_leaves_the_interest_in_place(void **state) {
    struct simulator *simulator = *state;
    struct sim_client *client = connect_subscribed(simulator, 0, NULL, "/topic/a");
    struct sim_client *publisher = sim_connect(simulator, 1, NULL);
    sim_send(client, "UNSUBSCRIBE\nid:s\n\n");
    subscribe(client, "t", "/topic/a");
    sim_settle(simulator);
    sim_expect_receipt(client, "t");
    publish(publisher, "/topic/a", "hi");
    sim_settle(simulator);
    sim_expect_message(client, "t", "hi");
    sim_expect_nothing(client);
}

static void test_unsubscribing_before_the_confirmation_leaves_no_interest_behind(void **state) {
    struct simulator *simulator = *state;
    struct sim_client *client = sim_connect(simulator, 0, NULL);
    struct sim_client *publisher = sim_connect(simulator, 1, NULL);
    sim_send(client, "SUBSCRIBE\nid:1\ndestination:/topic/a\n\n");
    sim_send(client, "UNSUBSCRIBE\nid:1\nreceipt:gone\n\n");
    sim_settle(simulator);
    sim_expect_receipt(client, "gone");
    publish(publisher, "/topic/a", "hi");
    sim_settle(simulator);
    sim_expect_nothing(client);
    assert_int_equal(handled(simulator, 0, MAIL_PUBLISH), 0);
}

static void test_interest_is_withdrawn_with_the_last_subscription_only(void **state) {
    struct simulator *simulator = *state;
    struct sim_client *first = connect_subscribed(simulator, 0, NULL, "/topic/*");
    struct sim_client *second = connect_subscribed(simulator, 0, NULL, "/topic/*");
    struct sim_client *publisher = sim_connect(simulator, 1, NULL);
    sim_send(first, "UNSUBSCRIBE\nid:s\n\n");
    sim_settle(simulator);
    publish(publisher, "/topic/a", "1");
    sim_settle(simulator);
    sim_expect_nothing(first);
    sim_expect_message(second, "s", "1");
    sim_close(second);
    sim_settle(simulator);
    publish(publisher, "/topic/a", "2");
    sim_settle(simulator);
    assert_int_equal(handled(simulator, 0, MAIL_PUBLISH), 1);
    assert_int_equal(handled(simulator, 1, MAIL_WITHDRAW), 1);
}

static void test_a_message_on_its_way_when_its_last_subscriber_goes_is_dropped(void **state) {
    struct simulator *simulator = *state;
    struct sim_client *subscriber = connect_subscribed(simulator, 0, NULL, "/topic/a");
    struct sim_client *publisher = sim_connect(simulator, 1, NULL);
    publish(publisher, "/topic/a", "hi");
    sim_send(subscriber, "UNSUBSCRIBE\nid:s\nreceipt:gone\n\n");
    sim_step(simulator, 1, 0, MAIL_PUBLISH);
    sim_expect_receipt(subscriber, "gone");
    sim_expect_nothing(subscriber);
}

/* ---- who gets what ---- */

static void test_each_interested_worker_gets_one_mail_and_each_subscription_a_copy(void **state) {
    struct simulator *simulator = *state;
    struct sim_client *own = connect_subscribed(simulator, 0, NULL, "/topic/a.b");
    struct sim_client *many = connect_subscribed(simulator, 1, NULL, "/topic/a.b");
    struct sim_client *beside = connect_subscribed(simulator, 1, NULL, "/topic/a.b");
    struct sim_client *elsewhere = connect_subscribed(simulator, 2, NULL, "/topic/other");
    subscribe(many, "one", "/topic/a.*");
    subscribe(many, "any", "/topic/**");
    sim_settle(simulator);
    sim_expect_receipt(many, "one");
    sim_expect_receipt(many, "any");

    publish(sim_connect(simulator, 0, NULL), "/topic/a.b", "hi");
    sim_settle(simulator);
    sim_expect_message(own, "s", "hi");
    sim_expect_message(beside, "s", "hi");
    sim_expect_nothing(beside);
    sim_expect_message(many, "s", "hi");
    for (int n = 0; n < 2; n++)
        assert_string_equal(sim_body(sim_read(many)), "hi");
    sim_expect_nothing(many);
    sim_expect_nothing(elsewhere);
    assert_int_equal(handled(simulator, 1, MAIL_PUBLISH), 1);
    assert_int_equal(handled(simulator, 2, MAIL_PUBLISH), 0);
}

static void test_what_a_peer_published_is_not_passed_on(void **state) {
    struct simulator *simulator = *state;
    struct sim_client *first = connect_subscribed(simulator, 1, NULL, "/topic/a");
    struct sim_client *second = connect_subscribed(simulator, 2, NULL, "/topic/a");
    publish(sim_connect(simulator, 0, NULL), "/topic/a", "hi");
    sim_settle(simulator);
    sim_expect_message(first, "s", "hi");
    sim_expect_message(second, "s", "hi");
    sim_expect_nothing(first);
    sim_expect_nothing(second);
}

static void test_a_transaction_reaches_other_workers_at_commit_and_in_order(void **state) {
    struct simulator *simulator = *state;
    struct sim_client *subscriber = connect_subscribed(simulator, 1, NULL, "/topic/a");
    struct sim_client *publisher = sim_connect(simulator, 0, NULL);
    sim_send(publisher, "BEGIN\ntransaction:t\n\n");
    sim_send(publisher, "SEND\ndestination:/topic/a\ntransaction:t\n\n1");
    sim_send(publisher, "SEND\ndestination:/topic/a\ntransaction:t\n\n2");
    sim_settle(simulator);
    sim_expect_nothing(subscriber);
    sim_send(publisher, "COMMIT\ntransaction:t\n\n");
    sim_settle(simulator);
    sim_expect_message(subscriber, "s", "1");
    sim_expect_message(subscriber, "s", "2");
}

static void test_a_session_cut_for_slowness_takes_its_interest_along(void **state) {
    struct simulator *simulator = *state;
    struct sim_client *slow = connect_subscribed(simulator, 1, NULL, "/topic/a");
    struct sim_client *publisher = sim_connect(simulator, 0, NULL);
    simulator->limits.outbox_size = 100;
    publish(publisher, "/topic/a", "1");
    publish(publisher, "/topic/a", "2");
    sim_settle(simulator);
    const char *error = sim_read(slow);
    assert_non_null(error);
    assert_int_equal(strncmp(error, "ERROR\n", 6), 0);
    sim_settle(simulator);
    publish(publisher, "/topic/a", "3");
    sim_settle(simulator);
    assert_int_equal(handled(simulator, 1, MAIL_PUBLISH), 2);
}

/* ---- users ---- */

static void test_a_user_is_reached_in_all_sessions_on_all_workers(void **state) {
    struct simulator *simulator = *state;
    struct sim_client *here = connect_subscribed(simulator, 0, "ann", "/user/queue/x");
    struct sim_client *there = connect_subscribed(simulator, 1, "ann", "/user/queue/x");
    struct sim_client *other = connect_subscribed(simulator, 1, "bob", "/user/queue/x");
    struct sim_client *rest = connect_subscribed(simulator, 1, "ann", "/user/queue/y");
    publish(sim_connect(simulator, 2, "bob"), "/user/ann/queue/x", "hi");
    sim_settle(simulator);
    const char *frame = sim_expect_message(here, "s", "hi");
    assert_true(bytes_equal(sim_header(frame, "destination"), BYTES("/user/queue/x")));
    sim_expect_message(there, "s", "hi");
    sim_expect_nothing(other);
    sim_expect_nothing(rest);
    assert_int_equal(handled(simulator, 1, MAIL_PUBLISH), 1);
}

/* Session ids hold colons, which a header's value escapes. */
static void publish_to_session(struct sim_client *client, const char *destination, const char *id, const char *body) {
    char escaped[128] = "";
    for (size_t len = 0; *id && len < sizeof escaped - 3; id++) {
        if (*id == ':')
            escaped[len++] = '\\';
        escaped[len++] = *id;
        if (*id == ':')
            escaped[len - 1] = 'c';
    }
    sim_send(client, "SEND\ndestination:%s\nsession:%s\n\n%s", destination, escaped, body);
}

static void test_a_session_header_picks_one_session_of_the_user(void **state) {
    struct simulator *simulator = *state;
    struct sim_client *first = connect_subscribed(simulator, 1, "ann", "/user/queue/x");
    struct sim_client *second = connect_subscribed(simulator, 1, "ann", "/user/queue/x");
    struct sim_client *other = connect_subscribed(simulator, 0, "bob", "/user/queue/x");
    publish_to_session(other, "/user/ann/queue/x", second->session->id, "hi");
    publish_to_session(other, "/user/ann/queue/x", other->session->id, "not ann's");
    sim_settle(simulator);
    sim_expect_nothing(first);
    sim_expect_message(second, "s", "hi");
    sim_expect_nothing(second);
    sim_expect_nothing(other);
}

static void test_an_anonymous_session_has_user_destinations_of_its_own(void **state) {
    struct simulator *simulator = *state;
    struct sim_client *first = connect_subscribed(simulator, 1, NULL, "/user/queue/x");
    struct sim_client *second = connect_subscribed(simulator, 1, NULL, "/user/queue/x");
    struct sim_client *namesake = connect_subscribed(simulator, 1, first->session->id, "/user/queue/x");
    publish_to_session(sim_connect(simulator, 0, NULL), "/user//queue/x", first->session->id, "hi");
    sim_settle(simulator);
    sim_expect_message(first, "s", "hi");
    sim_expect_nothing(second);
    sim_expect_nothing(namesake);
}

static void test_a_topic_of_the_same_text_as_a_user_key_stays_a_topic(void **state) {
    struct simulator *simulator = *state;
    struct sim_client *pattern = connect_subscribed(simulator, 1, "ann", "/topic/**");
    struct sim_client *user = connect_subscribed(simulator, 1, "ann", "/user/topic/a");
    publish(sim_connect(simulator, 0, NULL), "/user/ann/topic/a", "private");
    publish(sim_connect(simulator, 0, NULL), "/topic/a", "public");
    sim_settle(simulator);
    sim_expect_message(pattern, "s", "public");
    sim_expect_nothing(pattern);
    sim_expect_message(user, "s", "private");
    sim_expect_nothing(user);
}

/* ---- congestion ---- */

#define BODY_SIZE   (512u << 10)
#define UNTIL_PAUSE (ROUTER_HIGH_WATER / BODY_SIZE) /* with its headers the last one is above the mark */

/* Sends a large body that begins with a number. */
static void publish_large(struct sim_client *client, const char *destination, unsigned number) {
    static const char format[] = "SEND\ndestination:%s\n\n%u.";
    size_t size = BODY_SIZE + 128;
    char *frame = malloc(size);
    assert_non_null(frame);
    size_t len = (size_t)snprintf(frame, size, format, destination, number);
    memset(frame + len, 'x', BODY_SIZE);
    frame[len + BODY_SIZE] = '\0';
    sim_feed(client, frame, len + BODY_SIZE + 1);
    free(frame);
}

static void expect_large(struct sim_client *client, unsigned number) {
    const char *frame = sim_read(client);
    assert_non_null(frame);
    assert_int_equal(strtoul(sim_body(frame), NULL, 10), number);
}

static void test_a_publisher_waits_above_the_high_water_mark_and_loses_nothing(void **state) {
    struct simulator *simulator = *state;
    struct sim_client *subscriber = connect_subscribed(simulator, 1, NULL, "/topic/a");
    struct sim_client *publisher = sim_connect(simulator, 0, NULL);
    unsigned total = UNTIL_PAUSE + 5;
    for (unsigned n = 0; n < total; n++) {
        assert_true(publisher->session->input_waits == (n >= UNTIL_PAUSE + 1));
        publish_large(publisher, "/topic/a", n);
    }
    for (unsigned n = 0; n < UNTIL_PAUSE; n++)
        sim_step(simulator, 0, 1, MAIL_PUBLISH);
    sim_step_all(simulator, 0, 1);
    assert_int_equal(handled(simulator, 1, MAIL_PUBLISH), UNTIL_PAUSE); /* the others wait for credit */
    sim_settle(simulator);
    assert_false(publisher->session->input_waits);
    for (unsigned n = 0; n < total; n++)
        expect_large(subscriber, n);
    sim_expect_nothing(subscriber);
}

/* Publishes to /topic/a from worker 0 until it is congested; the publisher's next SEND waits. */
static struct sim_client *congest(struct simulator *simulator) {
    struct sim_client *publisher = sim_connect(simulator, 0, NULL);
    for (unsigned n = 0; n <= UNTIL_PAUSE; n++)
        publish_large(publisher, "/topic/a", n);
    assert_true(simulator->workers[0].env.congested);
    assert_true(publisher->session->input_waits);
    return publisher;
}

static void test_subscribers_wait_until_the_congestion_is_over(void **state) {
    struct simulator *simulator = *state;
    connect_subscribed(simulator, 1, NULL, "/topic/a");
    congest(simulator);
    struct sim_client *client = sim_connect(simulator, 0, NULL);
    subscribe(client, "b", "/topic/b");
    sim_expect_nothing(client);
    sim_settle(simulator);
    assert_false(simulator->workers[0].env.congested);
    sim_expect_receipt(client, "b");
}

static void test_who_subscribes_and_unsubscribes_without_end_has_to_wait(void **state) {
    struct simulator *simulator = *state;
    struct sim_client *client = sim_connect(simulator, 0, NULL);
    size_t pairs = 0;
    for (; !client->session->input_waits; pairs++) {
        subscribe(client, "s", "/topic/b");
        sim_send(client, "UNSUBSCRIBE\nid:s\n\n");
        while (sim_read(client))
            ;
        assert_true(pairs < ROUTER_HIGH_WATER / router_interest_cost(0));
    }
    sim_settle(simulator);
    assert_false(client->session->input_waits);
}

static void test_a_session_without_publications_goes_on_while_publishers_wait(void **state) {
    struct simulator *simulator = *state;
    struct sim_client *subscriber = connect_subscribed(simulator, 1, NULL, "/topic/a");
    struct sim_client *receiver = connect_subscribed(simulator, 0, NULL, "/topic/b");
    congest(simulator);
    sim_send(receiver, "BEGIN\ntransaction:t\nreceipt:r\n\n");
    sim_expect_receipt(receiver, "r");
    sim_send(receiver, "DISCONNECT\nreceipt:bye\n\n");
    sim_expect_receipt(receiver, "bye");
    sim_expect_nothing(subscriber);
}

static void test_congestion_ends_when_every_peer_is_below_the_low_water_mark(void **state) {
    struct simulator *simulator = *state;
    connect_subscribed(simulator, 1, NULL, "/topic/a");
    connect_subscribed(simulator, 2, NULL, "/topic/a");
    struct sim_client *publisher = congest(simulator);
    sim_step_all(simulator, 0, 1);
    sim_step_all(simulator, 1, 0);
    assert_true(publisher->session->input_waits);
    const struct peer *other = &simulator->workers[0].router.peers[2];
    while (publisher->session->input_waits) {
        assert_true(other->unsettled > ROUTER_LOW_WATER);
        sim_step(simulator, 0, 2, MAIL_PUBLISH);
        sim_step_all(simulator, 2, 0);
    }
    assert_true(other->unsettled < ROUTER_LOW_WATER + 2 * BODY_SIZE); /* with the one that waited */
}

static void test_messages_that_nobody_takes_any_more_are_credited_too(void **state) {
    struct simulator *simulator = *state;
    struct sim_client *subscriber = connect_subscribed(simulator, 1, NULL, "/topic/a");
    struct sim_client *publisher = congest(simulator);
    sim_close(subscriber);
    sim_settle(simulator);
    assert_false(publisher->session->input_waits);
}

static void test_a_session_may_end_while_it_waits_for_credit(void **state) {
    struct simulator *simulator = *state;
    connect_subscribed(simulator, 1, NULL, "/topic/a");
    struct sim_client *second = congest(simulator);
    struct sim_client *first = sim_connect(simulator, 0, NULL);
    publish(first, "/topic/a", "waits");
    sim_close(second);
    session_end(first->session, FAULT_SHUTDOWN, "over", false);
    sim_settle(simulator);
    assert_false(simulator->workers[0].env.congested);
    assert_true(list_is_empty(&simulator->workers[0].env.waiting));
}

static void test_a_publisher_may_wait_for_a_subscription_and_for_credit(void **state) {
    struct simulator *simulator = *state;
    struct sim_client *subscriber = connect_subscribed(simulator, 1, NULL, "/topic/b");
    struct sim_client *late = connect_subscribed(simulator, 1, NULL, "/topic/a");
    struct sim_client *client = sim_connect(simulator, 0, NULL);
    congest(simulator);
    subscribe(client, "c", "/topic/c");
    publish(client, "/topic/b", "1");
    publish(client, "/topic/b", "2");
    sim_step_all(simulator, 0, 1); /* worked off and announced; neither is told yet */
    sim_expect_nothing(subscriber);
    sim_settle(simulator);
    sim_expect_receipt(client, "c");
    sim_expect_message(subscriber, "s", "1");
    sim_expect_message(subscriber, "s", "2");
    expect_large(late, 0);
}

/* ---- ends ---- */

static void test_a_session_may_end_while_it_asks_and_others_get_their_receipt(void **state) {
    struct simulator *simulator = *state;
    struct sim_client *gone = sim_connect(simulator, 0, NULL);
    struct sim_client *stays = sim_connect(simulator, 0, NULL);
    subscribe(gone, "1", "/topic/a");
    subscribe(gone, "2", "/topic/b");
    subscribe(stays, "1", "/topic/a");
    sim_step_all(simulator, 0, 1);
    sim_close(gone);
    sim_settle(simulator);
    sim_expect_receipt(stays, "1");
    publish(sim_connect(simulator, 1, NULL), "/topic/b", "nobody");
    publish(sim_connect(simulator, 1, NULL), "/topic/a", "somebody");
    sim_settle(simulator);
    sim_expect_message(stays, "1", "somebody");
    assert_int_equal(handled(simulator, 0, MAIL_PUBLISH), 1);
}

static void test_a_fault_while_asking_withdraws_all_at_once(void **state) {
    struct simulator *simulator = *state;
    struct sim_client *client = sim_connect(simulator, 0, NULL);
    subscribe(client, "1", "/topic/a");
    subscribe(client, "2", "/topic/*");
    sim_send(client, "NONSENSE\n\n");
    assert_int_equal(client->session->state, SESSION_ENDING);
    sim_settle(simulator);
    publish(sim_connect(simulator, 1, NULL), "/topic/a", "hi");
    sim_settle(simulator);
    assert_int_equal(handled(simulator, 0, MAIL_PUBLISH), 0);
}

static void test_everything_is_freed_with_mail_of_every_kind_under_way(void **state) {
    struct simulator *simulator = *state;
    struct sim_client *subscriber = connect_subscribed(simulator, 1, NULL, "/topic/a");
    connect_subscribed(simulator, 0, NULL, "/topic/b");
    congest(simulator);
    for (unsigned n = 0; n < 4; n++)
        sim_step(simulator, 0, 1, MAIL_PUBLISH); /* a credit is collected by worker 1 */
    publish(subscriber, "/topic/b", "collected");
    sim_send(subscriber, "UNSUBSCRIBE\nid:s\n\n");
    subscribe(subscriber, "t", "/topic/t");
    struct sim_client *asking = sim_connect(simulator, 0, NULL);
    subscribe(asking, "u", "/topic/u");
    router_post(&simulator->workers[0].router); /* posted, and not taken */
    sim_expect_nothing(asking);
}

/* ---- the hub of a node on its own: a peer that publishes nothing and wants some topics ---- */

#define WITH_HUB(name, workers) cmocka_unit_test_prestate_setup_teardown(name, setup_with_hub, teardown, (workers))

static int setup_with_hub(void **state) {
    *state = simulator_new_with_lone_hub(*(unsigned *)*state, 1);
    return 0;
}

/* As src/hub/durable_bindings.c tells it. */
static void tell_interest(struct simulator *simulator, unsigned worker, enum mail_type type, enum interest_kind kind,
                          const char *key) {
    struct bytes text = bytes_of(key);
    struct mail_interest *mail = malloc(sizeof *mail + text.len);
    assert_non_null(mail);
    *mail = (struct mail_interest){
        .mail.type = type, .from = simulator->worker_count, .kind = kind, .id = 7, .key_len = text.len};
    memcpy(mail->key, text.data, text.len);
    mailbox_post(&simulator->workers[worker].mailbox, &mail->mail);
    sim_step(simulator, simulator->worker_count, worker, type);
}

/* The mail that the hub gets next from that worker, of that type. */
static struct mail *at_hub(struct simulator *simulator, unsigned worker, enum mail_type type) {
    struct mail *mail = sim_take_for_hub(simulator, worker);
    assert_non_null(mail);
    assert_int_equal(mail->type, type);
    return mail;
}

static void expect_confirmation(struct simulator *simulator, unsigned worker, const char *key) {
    struct mail_interest *mail = (struct mail_interest *)at_hub(simulator, worker, MAIL_CONFIRM);
    assert_int_equal(mail->from, worker);
    assert_int_equal(mail->id, 7);
    assert_true(bytes_equal((struct bytes){mail->key, mail->key_len}, bytes_of(key)));
    free(mail);
}

/* Returns what it counts for. */
static uint64_t expect_at_hub(struct simulator *simulator, unsigned worker, const char *body) {
    struct mail_publish *mail = (struct mail_publish *)at_hub(simulator, worker, MAIL_PUBLISH);
    assert_int_equal(mail->from, worker);
    assert_string_equal(message_body(mail->message).data, body);
    uint64_t cost = router_cost(mail->message);
    message_unref(mail->message);
    free(mail);
    return cost;
}

static void expect_nothing_at_hub(struct simulator *simulator, unsigned worker) {
    assert_null(sim_take_for_hub(simulator, worker));
}

static void test_a_hub_that_stands_for_no_nodes_is_told_of_no_interest(void **state) {
    struct simulator *simulator = *state;
    struct sim_client *client = sim_connect(simulator, 0, NULL);
    subscribe(client, "s", "/topic/a");
    sim_step(simulator, 0, 1, MAIL_ANNOUNCE);
    sim_step(simulator, 1, 0, MAIL_CONFIRM);
    sim_expect_receipt(client, "s");
    publish(client, "/topic/b", "hi");
    expect_nothing_at_hub(simulator, 0);
    expect_nothing_at_hub(simulator, 1);
}

static void test_the_hub_gets_what_it_wants_from_who_publishes_it(void **state) {
    struct simulator *simulator = *state;
    struct sim_client *subscriber = connect_subscribed(simulator, 1, NULL, "/topic/a.b");
    for (unsigned n = 0; n < 2; n++) {
        tell_interest(simulator, n, MAIL_ANNOUNCE, INTEREST_EXACT, "/topic/a.b");
        expect_confirmation(simulator, n, "/topic/a.b");
        tell_interest(simulator, n, MAIL_ANNOUNCE, INTEREST_PATTERN, "/topic/a.*");
        expect_confirmation(simulator, n, "/topic/a.*");
    }
    struct sim_client *publisher = sim_connect(simulator, 0, NULL);
    publish(publisher, "/topic/a.b", "1");
    publish(publisher, "/topic/c", "2");
    publish(publisher, "/topic/a.c", "3");
    sim_settle(simulator);
    expect_at_hub(simulator, 0, "1"); /* once, though it wants it twice */
    expect_at_hub(simulator, 0, "3");
    expect_nothing_at_hub(simulator, 0);
    expect_nothing_at_hub(simulator, 1);
    sim_expect_message(subscriber, "s", "1");
    sim_expect_nothing(subscriber);
}

static void test_the_hub_gets_no_more_of_what_it_has_withdrawn(void **state) {
    struct simulator *simulator = *state;
    struct sim_client *publisher = sim_connect(simulator, 0, NULL);
    tell_interest(simulator, 0, MAIL_ANNOUNCE, INTEREST_PATTERN, "/topic/**");
    expect_confirmation(simulator, 0, "/topic/**");
    tell_interest(simulator, 0, MAIL_WITHDRAW, INTEREST_PATTERN, "/topic/**");
    publish(publisher, "/topic/a", "1");
    expect_nothing_at_hub(simulator, 0);
}

static void test_a_user_destination_is_no_topic_that_the_hub_wants(void **state) {
    struct simulator *simulator = *state;
    struct sim_client *ann = sim_connect(simulator, 0, "ann");
    tell_interest(simulator, 0, MAIL_ANNOUNCE, INTEREST_PATTERN, "/topic/**");
    expect_confirmation(simulator, 0, "/topic/**");
    free(at_hub(simulator, 0, MAIL_SESSION));
    subscribe(ann, "s", "/user/topic/a");
    sim_expect_receipt(ann, "s");
    publish(ann, "/user/ann/topic/a", "1");
    sim_expect_message(ann, "s", "1");
    expect_nothing_at_hub(simulator, 0);
}

static void give_credit_of_hub(struct simulator *simulator, unsigned worker, uint64_t bytes) {
    struct mail_credit *mail = malloc(sizeof *mail);
    assert_non_null(mail);
    *mail = (struct mail_credit){.mail.type = MAIL_CREDIT, .from = simulator->worker_count, .bytes = bytes};
    mailbox_post(&simulator->workers[worker].mailbox, &mail->mail);
    sim_step(simulator, simulator->worker_count, worker, MAIL_CREDIT);
}

static void test_publishers_wait_for_a_hub_that_falls_behind(void **state) {
    struct simulator *simulator = *state;
    tell_interest(simulator, 0, MAIL_ANNOUNCE, INTEREST_EXACT, "/topic/a");
    expect_confirmation(simulator, 0, "/topic/a");
    struct sim_client *publisher = congest(simulator);
    struct mail *mail;
    uint64_t costs = 0;
    while ((mail = sim_take_for_hub(simulator, 0)) != NULL) {
        assert_int_equal(mail->type, MAIL_PUBLISH);
        costs += router_cost(((struct mail_publish *)mail)->message);
        message_unref(((struct mail_publish *)mail)->message);
        free(mail);
    }
    give_credit_of_hub(simulator, 0, costs - ROUTER_LOW_WATER - 1);
    assert_true(publisher->session->input_waits);
    give_credit_of_hub(simulator, 0, 1);
    assert_false(simulator->workers[0].env.congested);
    assert_false(publisher->session->input_waits);
    mail_discard_all(sim_take_for_hub(simulator, 0)); /* the one that waited */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_a_lone_worker_makes_subscriptions_live_at_once, &one),
        TEST(test_a_receipt_waits_until_all_peers_have_confirmed, &three),
        TEST(test_a_key_is_announced_once_and_confirms_all_who_wait, &two),
        TEST(test_an_exact_destination_and_its_pattern_are_confirmed_apart, &two),
        TEST(test_a_message_sent_after_the_receipt_arrives_from_every_worker, &three),
        TEST(test_a_send_waits_for_the_subscribe_before_it, &two),
        TEST(test_a_late_confirmation_of_an_earlier_announcement_confirms_nothing, &two),
        TEST(test_resubscribing_in_one_turn_leaves_the_interest_in_place, &two),
        TEST(test_unsubscribing_before_the_confirmation_leaves_no_interest_behind, &two),
        TEST(test_interest_is_withdrawn_with_the_last_subscription_only, &two),
        TEST(test_a_message_on_its_way_when_its_last_subscriber_goes_is_dropped, &two),
        TEST(test_each_interested_worker_gets_one_mail_and_each_subscription_a_copy, &three),
        TEST(test_what_a_peer_published_is_not_passed_on, &three),
        TEST(test_a_transaction_reaches_other_workers_at_commit_and_in_order, &two),
        TEST(test_a_session_cut_for_slowness_takes_its_interest_along, &two),
        TEST(test_a_user_is_reached_in_all_sessions_on_all_workers, &three),
        TEST(test_a_session_header_picks_one_session_of_the_user, &two),
        TEST(test_an_anonymous_session_has_user_destinations_of_its_own, &two),
        TEST(test_a_topic_of_the_same_text_as_a_user_key_stays_a_topic, &two),
        TEST(test_a_publisher_waits_above_the_high_water_mark_and_loses_nothing, &two),
        TEST(test_subscribers_wait_until_the_congestion_is_over, &two),
        TEST(test_who_subscribes_and_unsubscribes_without_end_has_to_wait, &two),
        TEST(test_a_session_without_publications_goes_on_while_publishers_wait, &two),
        TEST(test_congestion_ends_when_every_peer_is_below_the_low_water_mark, &three),
        TEST(test_messages_that_nobody_takes_any_more_are_credited_too, &two),
        TEST(test_a_session_may_end_while_it_waits_for_credit, &two),
        TEST(test_a_publisher_may_wait_for_a_subscription_and_for_credit, &two),
        TEST(test_a_session_may_end_while_it_asks_and_others_get_their_receipt, &two),
        TEST(test_a_fault_while_asking_withdraws_all_at_once, &two),
        TEST(test_everything_is_freed_with_mail_of_every_kind_under_way, &two),
        WITH_HUB(test_a_hub_that_stands_for_no_nodes_is_told_of_no_interest, &two),
        WITH_HUB(test_the_hub_gets_what_it_wants_from_who_publishes_it, &two),
        WITH_HUB(test_the_hub_gets_no_more_of_what_it_has_withdrawn, &one),
        WITH_HUB(test_a_user_destination_is_no_topic_that_the_hub_wants, &one),
        WITH_HUB(test_publishers_wait_for_a_hub_that_falls_behind, &one),
    };
    return cmocka_run_group_tests_name("edge/router", tests, NULL, NULL);
}
