/* What sessions count for operators: each number moves when it should, and only then. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "host.h"

static uint64_t count_of(const struct counter *counter) {
    return counter_read(counter);
}

static void assert_ends(const struct host *host, enum fault_kind kind, uint64_t count) {
    uint64_t all = 0;
    for (size_t n = 0; n < FAULT_KINDS; n++)
        all += count_of(&host->env.counters.ended[n]);
    assert_int_equal(count_of(&host->env.counters.ended[kind]), count);
    assert_int_equal(all, count);
}

static void a_session_is_open_from_connect_to_its_end(void **state) {
    struct host *host = *state;
    const struct session_counters *counters = &host->env.counters;
    struct client *early = client_open(host);
    assert_int_equal(count_of(&counters->open), 0);
    struct client *client = client_connect(host, STOMP_1_2, "0,0");
    assert_int_equal(count_of(&counters->open), 1);
    client_send(client, "DISCONNECT\n\n");
    assert_int_equal(count_of(&counters->open), 0);
    client_close(client); /* counts no second time */
    client_close(early);
    assert_int_equal(count_of(&counters->open), 0);
    assert_int_equal(count_of(&counters->opened), 1);
    assert_int_equal(count_of(&counters->ended[FAULT_NONE]), 1);
    assert_int_equal(count_of(&counters->ended[FAULT_GONE]), 1);
}

static void a_client_that_goes_without_disconnect_is_gone(void **state) {
    struct host *host = *state;
    client_close(client_connect(host, STOMP_1_2, "0,0"));
    assert_ends(host, FAULT_GONE, 1);
    assert_int_equal(count_of(&host->env.counters.open), 0);
}

static void a_refused_login_was_never_open(void **state) {
    struct host *host = *state;
    host->login = LOGIN_REFUSE;
    struct client *client = client_open(host);
    client_send(client, "CONNECT\naccept-version:1.2\nhost:h\nlogin:eve\npasscode:guess\n\n");
    assert_ends(host, FAULT_LOGIN, 1);
    assert_int_equal(count_of(&host->env.counters.opened), 0);
    assert_int_equal(count_of(&host->env.counters.open), 0);
}

static void each_end_is_counted_by_its_cause(void **state) {
    struct host *host = *state;
    struct client *client = client_connect(host, STOMP_1_2, "0,0");
    session_end(client->session, FAULT_RESTART, "going down", false);
    session_end(client->session, FAULT_INTERNAL, "too late to matter", false);
    assert_ends(host, FAULT_RESTART, 1);
}

static void a_silent_client_counts_as_silent(void **state) {
    struct host *host = *state;
    struct client *client = client_connect(host, STOMP_1_2, "10000,0");
    session_tick(client->session, host->now + 10 * (uint64_t)host->limits.heartbeat.receive_ms);
    assert_ends(host, FAULT_SILENT, 1);
}

static void a_client_that_does_not_connect_in_time_is_late(void **state) {
    struct host *host = *state;
    struct client *client = client_open(host);
    session_tick(client->session, host->now + host->limits.connect_time_ms);
    assert_ends(host, FAULT_LATE, 1);
}

static void a_publisher_that_was_held_back_too_long_counts_as_paused(void **state) {
    struct host *host = *state;
    struct client *client = client_connect(host, STOMP_1_2, "0,0");
    host->env.congested = true;
    client_send(client, "SEND\ndestination:/topic/a\n\nx");
    session_tick(client->session, host->now + host->limits.pause_time_ms);
    assert_ends(host, FAULT_PAUSED, 1);
    assert_int_equal(count_of(&host->env.counters.published), 0);
}

static void frames_are_counted_by_command_once_they_are_understood(void **state) {
    struct host *host = *state;
    const struct session_counters *counters = &host->env.counters;
    struct client *client = client_connect(host, STOMP_1_2, "0,0");
    client_send(client, "SEND\ndestination:/topic/a\n\n1");
    client_send(client, "\n\nSEND\ndestination:/topic/a\n\n2");
    client_send(client, "SUBSCRIBE\nid:1\ndestination:/topic/a\n\n");
    client_send(client, "FROB\n\n");
    assert_int_equal(count_of(&counters->frames[STOMP_CONNECT]), 1);
    assert_int_equal(count_of(&counters->frames[STOMP_SEND]), 2);
    assert_int_equal(count_of(&counters->frames[STOMP_SUBSCRIBE]), 1);
    assert_int_equal(count_of(&counters->frames[STOMP_UNKNOWN]), 0);
    assert_ends(host, FAULT_PROTOCOL, 1);
}

static void subscriptions_are_those_of_sessions_that_have_not_ended(void **state) {
    struct host *host = *state;
    const struct counter *subscriptions = &host->env.counters.subscriptions;
    struct client *a = client_connect(host, STOMP_1_2, "0,0");
    struct client *b = client_connect(host, STOMP_1_2, "0,0");
    client_send(a, "SUBSCRIBE\nid:1\ndestination:/topic/a\n\n");
    client_send(a, "SUBSCRIBE\nid:2\ndestination:/topic/b\n\n");
    client_send(b, "SUBSCRIBE\nid:1\ndestination:/topic/a\n\n");
    assert_int_equal(count_of(subscriptions), 3);
    client_send(a, "UNSUBSCRIBE\nid:2\n\n");
    client_send(a, "UNSUBSCRIBE\nid:nothing\n\n");
    assert_int_equal(count_of(subscriptions), 2);
    client_send(a, "DISCONNECT\n\n");
    assert_int_equal(count_of(subscriptions), 1);
    client_close(a);
    client_close(b);
    assert_int_equal(count_of(subscriptions), 0);
}

static void publications_of_a_transaction_count_when_it_is_committed(void **state) {
    struct host *host = *state;
    const struct counter *published = &host->env.counters.published;
    struct client *client = client_connect(host, STOMP_1_2, "0,0");
    client_send(client, "SEND\ndestination:/topic/a\n\n1");
    assert_int_equal(count_of(published), 1);
    client_send(client, "BEGIN\ntransaction:t\n\n");
    client_send(client, "SEND\ntransaction:t\ndestination:/topic/a\n\n2");
    client_send(client, "SEND\ntransaction:t\ndestination:/topic/a\n\n3");
    assert_int_equal(count_of(published), 1);
    client_send(client, "COMMIT\ntransaction:t\n\n");
    assert_int_equal(count_of(published), 3);
    client_send(client, "BEGIN\ntransaction:u\n\n");
    client_send(client, "SEND\ntransaction:u\ndestination:/topic/a\n\n4");
    client_send(client, "ABORT\ntransaction:u\n\n");
    assert_int_equal(count_of(published), 3);
}

static void deliveries_count_once_a_subscription(void **state) {
    struct host *host = *state;
    struct client *client = client_connect(host, STOMP_1_2, "0,0");
    client_send(client, "SUBSCRIBE\nid:1\ndestination:/topic/a\nreceipt:r\n\n");
    client_send(client, "SUBSCRIBE\nid:2\ndestination:/topic/a\n\n");
    client_send(client, "SEND\ndestination:/topic/a\nreceipt:s\n\nx");
    client_send(client, "SEND\ndestination:/topic/nobody\n\nx");
    assert_int_equal(count_of(&host->env.counters.delivered), 2); /* receipts are none */
}

static void what_a_slow_client_can_not_be_given_is_not_delivered(void **state) {
    struct host *host = *state;
    struct client *slow = client_connect(host, STOMP_1_2, "0,0");
    struct client *publisher = client_connect(host, STOMP_1_2, "0,0");
    client_send(slow, "SUBSCRIBE\nid:1\ndestination:/topic/a\n\n");
    host->limits.outbox_size = 1; /* one message always fits */
    for (unsigned n = 0; n < 3; n++)
        client_send(publisher, "SEND\ndestination:/topic/a\n\nx");
    assert_int_equal(count_of(&host->env.counters.delivered), 1);
    session_settle(slow->session);
    assert_ends(host, FAULT_SLOW, 1);
    assert_int_equal(count_of(&host->env.counters.published), 3);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, host_setup, host_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_session_is_open_from_connect_to_its_end),
        TEST(a_client_that_goes_without_disconnect_is_gone),
        TEST(a_refused_login_was_never_open),
        TEST(each_end_is_counted_by_its_cause),
        TEST(a_silent_client_counts_as_silent),
        TEST(a_client_that_does_not_connect_in_time_is_late),
        TEST(a_publisher_that_was_held_back_too_long_counts_as_paused),
        TEST(frames_are_counted_by_command_once_they_are_understood),
        TEST(subscriptions_are_those_of_sessions_that_have_not_ended),
        TEST(publications_of_a_transaction_count_when_it_is_committed),
        TEST(deliveries_count_once_a_subscription),
        TEST(what_a_slow_client_can_not_be_given_is_not_delivered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
