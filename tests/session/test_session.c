/* The session's life: input and waiting, delivery and its bound, ending, heart-beats and time-outs in fake time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "host.h"

#define TEST(name)   cmocka_unit_test_setup_teardown(name, host_setup, host_teardown)
#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* All octets of a literal, its closing NUL as the end of its last frame included. */
#define FEED(client, literal) client_feed((client), (literal), sizeof(literal))

static struct client *connect_1_2(struct host *host) {
    return client_connect(host, STOMP_1_2, "0,0");
}

/* An open session whose SUBSCRIBE (receipt "s") is not live yet. */
static struct client *connect_asking(struct host *host) {
    struct client *client = connect_1_2(host);
    host->live_at_once = false;
    client_send(client, "SUBSCRIBE\nid:0\ndestination:/topic/a\nreceipt:s\n\n");
    return client;
}

/* ---- waiting for subscriptions ---- */

static void test_a_subscribe_is_confirmed_when_it_is_live(void **state) {
    struct host *host = *state;
    struct client *client = connect_asking(host);
    client_expect_nothing(client);
    host_make_live(host);
    client_expect_receipt(client, "s");
    client_expect_nothing(client);
    assert_int_equal(client->resumes, 0); /* nothing was kept waiting */
}

static void test_send_waits_for_an_earlier_subscribe_and_is_not_lost(void **state) {
    struct host *host = *state;
    struct client *client = connect_asking(host);
    FEED(client, "SEND\ndestination:/topic/a\nreceipt:1\n\nhi\0BEGIN\ntransaction:t\nreceipt:2\n\n");
    client_send(client, "ABORT\ntransaction:t\nreceipt:3\n\n");
    assert_true(client->session->input_waits);
    assert_int_equal(host->published_count, 0);
    client_expect_nothing(client);

    host_make_live(host);
    assert_int_equal(client->resumes, 1);
    client_go_on(client);
    assert_false(client->session->input_waits);
    client_expect_receipt(client, "s");
    client_expect_message(client, "hi");
    client_expect_receipt(client, "1");
    client_expect_receipt(client, "2");
    client_expect_receipt(client, "3");
}

static void test_a_held_frame_that_came_in_pieces_is_kept_whole(void **state) {
    struct host *host = *state;
    struct client *client = connect_asking(host);
    static const char frame[] = "SEND\ndestination:/topic/a\nx:a\\cb\n\nhello";
    for (size_t n = 0; n < sizeof frame; n++)
        client_feed(client, frame + n, 1);
    assert_true(client->session->input_waits);
    assert_int_equal(client->stash.len, 0);
    host_make_live(host);
    client_go_on(client);
    client_expect_receipt(client, "s");
    client_expect_message(client, "hello");
    assert_string_equal(client_header(client, "x"), "a:b");
}

static void test_commit_and_disconnect_wait_for_an_earlier_subscribe(void **state) {
    struct host *host = *state;
    struct client *client = connect_asking(host);
    client_send(client, "BEGIN\ntransaction:t\n\n");
    FEED(client, "COMMIT\ntransaction:t\nreceipt:1\n\n\0DISCONNECT\nreceipt:2\n\n");
    client_expect_nothing(client);
    host_make_live(host);
    client_go_on(client);
    client_expect_receipt(client, "s");
    client_expect_receipt(client, "1");
    client_expect_receipt(client, "2");

    client = connect_asking(host);
    client_send(client, "DISCONNECT\nreceipt:3\n\n");
    client_expect_nothing(client);
    assert_int_equal(client->session->state, SESSION_OPEN);
    host_make_live(host);
    client_go_on(client);
    client_expect_receipt(client, "s");
    client_expect_receipt(client, "3");
}

static void test_send_waits_for_other_nodes_only_while_they_are_there(void **state) {
    struct host *host = *state;
    host->known_at_once = true;
    struct client *client = connect_asking(host);
    client_send(client, "SEND\ndestination:/topic/a\nreceipt:1\n\nhi");
    assert_int_equal(host->published_count, 0);

    host_set_away(host, true);
    client_go_on(client);
    client_expect_message(client, "hi");
    client_expect_receipt(client, "1");
    client_expect_nothing(client); /* SUBSCRIBE's receipt would promise too much */

    host_set_away(host, false);
    client_send(client, "DISCONNECT\nreceipt:2\n\n");
    client_expect_nothing(client);
    host_make_live(host);
    client_go_on(client);
    client_expect_receipt(client, "s");
    client_expect_receipt(client, "2");
}

static void test_send_waits_for_the_workers_of_its_node_even_when_no_others_are_there(void **state) {
    struct host *host = *state;
    struct client *client = connect_asking(host);
    host_set_away(host, true);
    client_send(client, "SEND\ndestination:/topic/a\nreceipt:1\n\nhi");
    assert_int_equal(host->published_count, 0);

    session_subscription_known(host->subscriptions[0]);
    client_go_on(client);
    client_expect_message(client, "hi");
    client_expect_receipt(client, "1");
}

static void test_input_goes_on_when_the_last_of_several_is_live(void **state) {
    struct host *host = *state;
    struct client *client = connect_asking(host);
    client_send(client, "SUBSCRIBE\nid:1\ndestination:/topic/b\nreceipt:t\n\n");
    client_send(client, "SEND\ndestination:/topic/a\n\nhi");
    session_subscription_known(host->subscriptions[1]);
    session_subscription_live(host->subscriptions[1]);
    client_expect_receipt(client, "t");
    assert_int_equal(client->resumes, 0);
    session_subscription_known(host->subscriptions[0]);
    session_subscription_live(host->subscriptions[0]);
    client_expect_receipt(client, "s");
    assert_int_equal(client->resumes, 1);
}

static void test_unsubscribe_before_it_is_live_confirms_both_and_ends_the_waiting(void **state) {
    struct host *host = *state;
    struct client *client = connect_asking(host);
    client_send(client, "UNSUBSCRIBE\nid:0\nreceipt:u\n\n");
    client_expect_receipt(client, "s");
    client_expect_receipt(client, "u");
    assert_int_equal(host->subscription_count, 0);
    client_send(client, "SEND\ndestination:/topic/a\nreceipt:r\n\nhi");
    client_expect_receipt(client, "r");
}

static void test_a_live_subscription_of_an_ended_session_is_not_confirmed(void **state) {
    struct host *host = *state;
    struct client *client = connect_asking(host);
    client_send(client, "SEND\ndestination:/topic/a\n\nhi");
    session_end(client->session, FAULT_RESTART, "the server is going down", true);
    assert_int_equal(host->subscription_count, 0);
    assert_int_equal(client->resumes, 1); /* so that what was kept is dropped */
    client_go_on(client);
    assert_int_equal(client->stash.len, 0);
    assert_int_equal(host->published_count, 0);
    client_expect_error(client, FAULT_RESTART, "going down");
}

/* ---- waiting for congestion ---- */

static void test_publishers_and_subscribers_wait_while_the_worker_is_congested_and_others_do_not(void **state) {
    struct host *host = *state;
    struct client *publisher = connect_1_2(host);
    struct client *other = connect_1_2(host);
    struct client *subscriber = connect_1_2(host);
    client_send(other, "SUBSCRIBE\nid:0\ndestination:/topic/a\n\n");
    client_send(subscriber, "SUBSCRIBE\nid:0\ndestination:/topic/b\n\n");
    host->env.congested = true;
    client_send(publisher, "SEND\ndestination:/topic/a\nreceipt:1\n\n1");
    client_send(subscriber, "UNSUBSCRIBE\nid:0\nreceipt:2\n\n");
    client_send(subscriber, "SUBSCRIBE\nid:1\ndestination:/topic/b\nreceipt:3\n\n");
    client_send(other, "BEGIN\ntransaction:t\nreceipt:4\n\n");
    client_expect_receipt(other, "4");
    client_send(other, "COMMIT\ntransaction:t\nreceipt:5\n\n");
    client_expect_nothing(publisher);
    client_expect_nothing(subscriber);
    client_expect_nothing(other);

    host_uncongest(host);
    assert_false(host->env.congested);
    assert_int_equal(publisher->resumes, 1);
    assert_int_equal(other->resumes, 1);
    client_go_on(publisher);
    client_expect_receipt(publisher, "1");
    client_go_on(subscriber);
    client_expect_receipt(subscriber, "2");
    client_expect_receipt(subscriber, "3");
    client_go_on(other);
    client_expect_message(other, "1");
    client_expect_receipt(other, "5");
}

static void test_disconnect_does_not_wait_for_congestion(void **state) {
    struct host *host = *state;
    struct client *client = connect_1_2(host);
    host->env.congested = true;
    client_send(client, "DISCONNECT\nreceipt:r\n\n");
    client_expect_receipt(client, "r");
}

static void test_congestion_in_the_middle_of_input_holds_the_rest(void **state) {
    struct host *host = *state;
    struct client *client = connect_1_2(host);
    host->congest_after = 1;
    FEED(client, "SEND\ndestination:/topic/a\nreceipt:1\n\n\0SEND\ndestination:/topic/a\nreceipt:2\n\n\0BEGIN\n"
                 "transaction:t\nreceipt:3\n\n");
    client_expect_receipt(client, "1");
    client_expect_nothing(client);
    host_uncongest(host);
    client_go_on(client);
    client_expect_receipt(client, "2");
    client_expect_receipt(client, "3");
}

static void test_a_session_resumed_into_new_congestion_waits_again(void **state) {
    struct host *host = *state;
    struct client *client = connect_1_2(host);
    host->env.congested = true;
    client_send(client, "SEND\ndestination:/topic/a\nreceipt:r\n\n");
    host_uncongest(host);
    host->env.congested = true;
    client_go_on(client);
    client_expect_nothing(client);
    host_uncongest(host);
    assert_int_equal(client->resumes, 2);
    client_go_on(client);
    client_expect_receipt(client, "r");
}

static void test_a_send_may_wait_for_both_reasons(void **state) {
    struct host *host = *state;
    struct client *client = connect_asking(host);
    client_send(client, "SEND\ndestination:/topic/b\nreceipt:r\n\n");
    host->env.congested = true;
    host_make_live(host);
    client_expect_receipt(client, "s");
    client_go_on(client);
    assert_true(client->session->input_waits);
    client_expect_nothing(client);
    host_uncongest(host);
    client_go_on(client);
    client_expect_receipt(client, "r");
}

static void test_a_waiting_session_may_go_away(void **state) {
    struct host *host = *state;
    struct client *gone = connect_1_2(host);
    struct client *ended = connect_1_2(host);
    host->env.congested = true;
    client_send(gone, "SEND\ndestination:/topic/a\n\n");
    client_send(ended, "SEND\ndestination:/topic/a\n\n");
    client_close(gone);
    session_end(ended->session, FAULT_NONE, "", false);
    assert_true(list_is_empty(&host->env.waiting));
    host_uncongest(host);
    assert_int_equal(host->published_count, 0);
}

/* ---- delivery ---- */

static void test_a_session_is_woken_once_until_it_is_settled(void **state) {
    struct client *client = connect_1_2(*state);
    client_send(client, "BEGIN\ntransaction:t\nreceipt:1\n\n");
    client_send(client, "ABORT\ntransaction:t\nreceipt:2\n\n");
    assert_int_equal(client->wakes, 1);
    session_settle(client->session);
    client_send(client, "BEGIN\ntransaction:t\nreceipt:3\n\n");
    assert_int_equal(client->wakes, 2);
}

static void test_above_outbox_size_what_waits_is_dropped_for_an_error(void **state) {
    struct host *host = *state;
    struct client *slow = connect_1_2(host);
    struct client *publisher = connect_1_2(host);
    char large[512];
    snprintf(large, sizeof large, "SEND\ndestination:/topic/a\n\n%0400d", 0);
    host->limits.outbox_size = 500;
    client_send(slow, "SUBSCRIBE\nid:0\ndestination:/topic/a\n\n");
    client_send(publisher, "SEND\ndestination:/topic/a\n\nhello");
    assert_false(slow->session->overflowed);
    client_send(publisher, large);
    assert_true(slow->session->overflowed);
    assert_int_equal(slow->session->state, SESSION_OPEN); /* a delivery only notes it: the caller is within a walk */
    client_send(publisher, "SEND\ndestination:/topic/a\n\nhello");
    assert_int_equal(slow->session->outbox.count, 1); /* nothing overtakes what did not fit */

    session_settle(slow->session);
    client_expect_error(slow, FAULT_SLOW, "outbox-size");
    assert_int_equal(slow->wakes, 1);
    assert_int_equal(host->subscription_count, 0);
}

static void test_outbox_size_itself_still_fits(void **state) {
    struct host *host = *state;
    struct client *client = connect_1_2(host);
    client_send(client, "SUBSCRIBE\nid:0\ndestination:/topic/a\n\n");
    client_send(client, "SEND\ndestination:/topic/a\n\nhello");
    host->limits.outbox_size = client->session->outbox.bytes * 2;
    client_send(client, "SEND\ndestination:/topic/a\n\nhello");
    session_settle(client->session);
    client_expect_message(client, "hello");
    client_expect_message(client, "hello");
    assert_int_equal(client->session->state, SESSION_OPEN);
}

static void test_a_message_above_outbox_size_fits_when_nothing_else_waits(void **state) {
    struct host *host = *state;
    struct client *client = connect_1_2(host);
    host->limits.outbox_size = 10;
    client_send(client, "SUBSCRIBE\nid:0\ndestination:/topic/a\n\n");
    client_send(client, "SEND\ndestination:/topic/a\n\nhello");
    session_settle(client->session);
    client_expect_message(client, "hello");
    client_send(client, "SEND\ndestination:/topic/a\n\nhello");
    client_send(client, "SEND\ndestination:/topic/a\n\nhello");
    session_settle(client->session);
    client_expect_error(client, FAULT_SLOW, "outbox-size");
}

static void test_receipts_count_for_outbox_size_too(void **state) {
    struct host *host = *state;
    struct client *client = connect_1_2(host);
    host->limits.outbox_size = 500;
    for (int n = 0; n < 100; n++)
        client_send(client, "UNSUBSCRIBE\nid:none\nreceipt:0123456789\n\n");
    session_settle(client->session);
    client_expect_error(client, FAULT_SLOW, "outbox-size");
}

static void test_a_full_outbox_still_takes_the_receipt_of_disconnect(void **state) {
    struct host *host = *state;
    struct client *client = connect_1_2(host);
    client_send(client, "SUBSCRIBE\nid:0\ndestination:/topic/a\n\n");
    client_send(client, "SEND\ndestination:/topic/a\n\nhello");
    host->limits.outbox_size = client->session->outbox.bytes;
    client_send(client, "DISCONNECT\nreceipt:bye\n\n");
    session_settle(client->session);
    client_expect_message(client, "hello");
    client_expect_receipt(client, "bye");
    assert_int_equal(client->session->end, FAULT_NONE);
}

/* All of it within one turn, before any flush: what counts is whether the socket takes it. */
static void test_a_burst_above_outbox_size_is_not_slow_while_the_socket_takes_it(void **state) {
    struct host *host = *state;
    struct client *client = connect_1_2(host);
    host->limits.outbox_size = 500;
    client->socket_takes_all = true;
    client_send(client, "SUBSCRIBE\nid:0\ndestination:/topic/a\n\n");
    for (int n = 0; n < 100; n++)
        client_send(client, "SEND\ndestination:/topic/a\nreceipt:r\n\nhello");
    session_settle(client->session);
    assert_int_equal(client->session->state, SESSION_OPEN);
    assert_int_equal(client->taken + client->session->outbox.count, 200);
}

/* ---- ending ---- */

static void test_faults_in_the_input_end_the_session_with_their_kind(void **state) {
    static const struct {
        const char *frame;
        enum fault_kind kind;
        const char *why;
    } cases[] = {
        {"HELLO\n\n", FAULT_PROTOCOL, "unknown command HELLO"},
        {"SEND\nno colon\n\n", FAULT_PROTOCOL, "header"},
        {"SEND\ndestination:/topic/a\nx:\\t\n\n", FAULT_PROTOCOL, "escape"},
        {"SEND\ndestination:/topic/a\nx:\xff\n\n", FAULT_ENCODING, "UTF-8"},
        {"SEND\ndestination:/topic/a\ncontent-length:190\n\n", FAULT_SIZE, "frame-size"},
        {"SEND\ndestination:/topic/a\ncontent-length:191\n\n", FAULT_SIZE, "body-size"},
        {"SEND\na:\nb:\nc:\nd:\ne:\n\n", FAULT_SIZE, "headers"},
        {"SEND\nx:0123456789012345678901234567890123456789\n\n", FAULT_SIZE, "header-size"},
    };
    struct host *host = *state;
    host->limits.frames.frame_size = 200;
    host->limits.frames.body_size = 190;
    host->limits.frames.headers = 4;
    host->limits.frames.header_size = 32;
    for (size_t n = 0; n < COUNT(cases); n++) {
        struct client *client = connect_1_2(host);
        client_send(client, cases[n].frame);
        client_expect_error(client, cases[n].kind, cases[n].why);
    }
}

static void test_end_may_go_without_an_error_frame(void **state) {
    struct client *client = connect_1_2(*state);
    session_end(client->session, FAULT_RESTART, "the server is going down", false);
    client_expect_nothing(client);
    assert_int_equal(client->session->end, FAULT_RESTART);
    assert_string_equal(client->end_reason, "the server is going down");
    assert_int_equal(client->wakes, 1);
}

static void test_only_the_first_end_counts(void **state) {
    struct client *client = connect_1_2(*state);
    session_end(client->session, FAULT_RESTART, "the server is going down", true);
    session_end(client->session, FAULT_INTERNAL, "another reason", true);
    client_expect_error(client, FAULT_RESTART, "going down");
}

static void test_nothing_is_taken_after_the_end(void **state) {
    struct host *host = *state;
    struct client *client = connect_1_2(host);
    FEED(client, "HELLO\n\n\0SEND\ndestination:/topic/a\nreceipt:r\n\nx");
    client_send(client, "SEND\ndestination:/topic/a\nreceipt:r\n\nx");
    client_expect_error(client, FAULT_PROTOCOL, "unknown command");
    assert_int_equal(host->published_count, 0);
    assert_int_equal(client->stash.len, 0);
    assert_true(session_due(client->session) == UINT64_MAX);
}

static void test_freeing_a_session_undoes_its_subscriptions_and_wakes_nobody(void **state) {
    struct host *host = *state;
    struct client *client = connect_asking(host);
    host_make_live(host);
    client_send(client, "BEGIN\ntransaction:t\n\n");
    client_send(client, "SEND\ndestination:/topic/b\ntransaction:t\n\nx");
    client_send(client, "SEND\ndestination:/topic/a\n\nqueued");
    client_send(client, "SUBSCRIBE\nid:1\ndestination:/topic/b\nreceipt:t\n\n");
    client_send(client, "SEND\ndestination:/topic/a\n\nheld");
    session_settle(client->session);
    client->wakes = 0;
    session_free(client->session);
    client->session = NULL;
    assert_int_equal(client->wakes, 0);
    assert_int_equal(client->resumes, 0);
    assert_int_equal(client->ends, 1);
    assert_int_equal(host->subscription_count, 0);
}

/* ---- time ---- */

static void tick_at(struct client *client, uint64_t now) {
    client->host->now = now;
    session_tick(client->session, now);
}

static void test_connect_must_be_complete_within_connect_time(void **state) {
    struct host *host = *state;
    struct client *client = client_open(host);
    uint64_t due = host->now + host->limits.connect_time_ms;
    assert_true(session_due(client->session) == due);
    host->now += 5000;
    client_feed(client, "\n\nCONNECT\n", sizeof "\n\nCONNECT\n" - 1);
    tick_at(client, due - 1);
    assert_int_equal(client->session->state, SESSION_CONNECTING);
    tick_at(client, due);
    client_expect_error(client, FAULT_LATE, "connect-time");
}

static void test_without_heart_beats_an_open_session_is_never_due(void **state) {
    struct client *client = connect_1_2(*state);
    assert_true(session_due(client->session) == UINT64_MAX);
    tick_at(client, UINT64_MAX / 2);
    client_expect_nothing(client);
}

static void test_a_beat_is_written_before_the_interval_is_over(void **state) {
    struct host *host = *state;
    struct client *client = client_connect(host, STOMP_1_1, "0,10000");
    uint64_t wrote = host->now + 3000;
    session_wrote(client->session, wrote);
    uint64_t due = session_due(client->session);
    assert_in_range(due, wrote + 5000, wrote + 9900);
    tick_at(client, due - 1);
    client_expect_nothing(client);
    tick_at(client, due);
    client_expect(client, "");
    assert_int_equal(client->wakes, 1);
    assert_true(session_due(client->session) == due + (due - wrote));
}

static void test_a_short_interval_leaves_half_of_it_for_the_timer(void **state) {
    struct host *host = *state;
    host->limits.heartbeat = (struct heartbeat){100, 100};
    struct client *client = client_connect(host, STOMP_1_2, "0,100");
    session_wrote(client->session, 5000);
    assert_true(session_due(client->session) == 5050);
}

static void test_no_beat_where_something_waits_already(void **state) {
    struct client *client = client_connect(*state, STOMP_1_2, "0,10000");
    client_send(client, "BEGIN\ntransaction:t\nreceipt:r\n\n");
    tick_at(client, session_due(client->session));
    client_expect_receipt(client, "r");
    client_expect_nothing(client);
}

static void test_a_client_silent_for_three_intervals_is_given_up(void **state) {
    struct host *host = *state;
    struct client *client = client_connect(host, STOMP_1_2, "20000,0");
    uint64_t due = host->now + 60000;
    assert_true(session_due(client->session) == due);
    tick_at(client, due - 1);
    assert_int_equal(client->session->state, SESSION_OPEN);
    tick_at(client, due);
    client_expect_error(client, FAULT_SILENT, "heart-beat");
}

static void test_any_input_and_a_pong_are_signs_of_life(void **state) {
    struct host *host = *state;
    struct client *client = client_connect(host, STOMP_1_2, "20000,0");
    host->now += 50000;
    client_feed(client, "\n", 1);
    assert_true(session_due(client->session) == host->now + 60000);
    host->now += 50000;
    session_heard(client->session, host->now);
    assert_true(session_due(client->session) == host->now + 60000);
}

static void test_a_client_whose_input_waits_is_not_blamed_for_silence(void **state) {
    struct host *host = *state;
    struct client *client = client_connect(host, STOMP_1_2, "10000,0");
    host->limits.pause_time_ms = 300000;
    host->env.congested = true;
    client_send(client, "SEND\ndestination:/topic/a\n\n");
    tick_at(client, host->now + 200000);
    assert_int_equal(client->session->state, SESSION_OPEN);
    host_uncongest(host);
    client_go_on(client);
    assert_true(session_due(client->session) == host->now + 30000);
}

static void test_a_frame_must_be_complete_within_frame_time(void **state) {
    struct host *host = *state;
    struct client *client = connect_1_2(host);
    client_feed(client, "\n\n", 2);
    assert_true(session_due(client->session) == UINT64_MAX);
    uint64_t due = host->now + host->limits.frame_time_ms;
    client_feed(client, "SEND\n", 5);
    host->now += 10000;
    client_feed(client, "destination:/topic/a\n", sizeof "destination:/topic/a\n" - 1);
    assert_true(session_due(client->session) == due);
    tick_at(client, due - 1);
    assert_int_equal(client->session->state, SESSION_OPEN);
    tick_at(client, due);
    client_expect_error(client, FAULT_LATE, "frame-time");
}

static void test_each_frame_has_its_own_frame_time(void **state) {
    struct host *host = *state;
    struct client *client = connect_1_2(host);
    client_feed(client, "SEND\n", 5);
    host->now += 20000;
    static const char rest[] = "destination:/topic/a\n\n\0SEND\n";
    client_feed(client, rest, sizeof rest - 1);
    assert_true(session_due(client->session) == host->now + host->limits.frame_time_ms);
    client_send(client, "destination:/topic/a\n\n");
    assert_true(session_due(client->session) == UINT64_MAX);
}

static void test_a_publisher_is_held_back_for_pause_time_at_most(void **state) {
    struct host *host = *state;
    struct client *client = connect_1_2(host);
    host->env.congested = true;
    client_feed(client, "SEND\n", 5); /* in pieces: frame-time must not end a frame that waits */
    host->now += 100;
    client_send(client, "destination:/topic/a\nreceipt:r\n\n");
    uint64_t due = host->now + host->limits.pause_time_ms;
    host->now += 20000;
    host_uncongest(host);
    host->env.congested = true;
    client_go_on(client); /* still held: the pause counts from its start */
    assert_true(session_due(client->session) == due);
    tick_at(client, due - 1);
    assert_int_equal(client->session->state, SESSION_OPEN);
    tick_at(client, due);
    client_expect_error(client, FAULT_PAUSED, "pause-time");
}

static void test_each_pause_counts_for_itself(void **state) {
    struct host *host = *state;
    struct client *client = connect_1_2(host);
    for (int n = 0; n < 3; n++) {
        host->env.congested = true;
        client_send(client, "SEND\ndestination:/topic/a\nreceipt:r\n\n");
        assert_true(session_due(client->session) == host->now + host->limits.pause_time_ms);
        host->now += host->limits.pause_time_ms - 1;
        host_uncongest(host);
        client_go_on(client);
        client_expect_receipt(client, "r");
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_a_subscribe_is_confirmed_when_it_is_live),
        TEST(test_send_waits_for_an_earlier_subscribe_and_is_not_lost),
        TEST(test_a_held_frame_that_came_in_pieces_is_kept_whole),
        TEST(test_commit_and_disconnect_wait_for_an_earlier_subscribe),
        TEST(test_send_waits_for_other_nodes_only_while_they_are_there),
        TEST(test_send_waits_for_the_workers_of_its_node_even_when_no_others_are_there),
        TEST(test_input_goes_on_when_the_last_of_several_is_live),
        TEST(test_unsubscribe_before_it_is_live_confirms_both_and_ends_the_waiting),
        TEST(test_a_live_subscription_of_an_ended_session_is_not_confirmed),
        TEST(test_publishers_and_subscribers_wait_while_the_worker_is_congested_and_others_do_not),
        TEST(test_disconnect_does_not_wait_for_congestion),
        TEST(test_congestion_in_the_middle_of_input_holds_the_rest),
        TEST(test_a_session_resumed_into_new_congestion_waits_again),
        TEST(test_a_send_may_wait_for_both_reasons),
        TEST(test_a_waiting_session_may_go_away),
        TEST(test_a_session_is_woken_once_until_it_is_settled),
        TEST(test_above_outbox_size_what_waits_is_dropped_for_an_error),
        TEST(test_outbox_size_itself_still_fits),
        TEST(test_a_message_above_outbox_size_fits_when_nothing_else_waits),
        TEST(test_receipts_count_for_outbox_size_too),
        TEST(test_a_full_outbox_still_takes_the_receipt_of_disconnect),
        TEST(test_a_burst_above_outbox_size_is_not_slow_while_the_socket_takes_it),
        TEST(test_faults_in_the_input_end_the_session_with_their_kind),
        TEST(test_end_may_go_without_an_error_frame),
        TEST(test_only_the_first_end_counts),
        TEST(test_nothing_is_taken_after_the_end),
        TEST(test_freeing_a_session_undoes_its_subscriptions_and_wakes_nobody),
        TEST(test_connect_must_be_complete_within_connect_time),
        TEST(test_without_heart_beats_an_open_session_is_never_due),
        TEST(test_a_beat_is_written_before_the_interval_is_over),
        TEST(test_a_short_interval_leaves_half_of_it_for_the_timer),
        TEST(test_no_beat_where_something_waits_already),
        TEST(test_a_client_silent_for_three_intervals_is_given_up),
        TEST(test_any_input_and_a_pong_are_signs_of_life),
        TEST(test_a_client_whose_input_waits_is_not_blamed_for_silence),
        TEST(test_a_frame_must_be_complete_within_frame_time),
        TEST(test_each_frame_has_its_own_frame_time),
        TEST(test_a_publisher_is_held_back_for_pause_time_at_most),
        TEST(test_each_pause_counts_for_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
