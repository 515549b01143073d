/*
 * What sessions want put into queues: the changes that go out, the receipts and ERRORs that follow their results, and
 * what waits meanwhile. What comes out of queues is in test_deliveries.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "host.h"

#define TEST(name)       cmocka_unit_test_setup_teardown(name, host_setup, host_teardown)
#define COUNT(array)     (sizeof(array) / sizeof(array)[0])
#define FOR_EACH_VERSION for (enum stomp_version version = STOMP_1_0; version <= STOMP_1_2; version++)

static struct client *connect_1_2(struct host *host) {
    return client_connect(host, STOMP_1_2, "0,0");
}

/* ---- SEND ---- */

static void test_a_send_is_put_and_its_receipt_follows_the_result(void **state) {
    struct host *host = *state;
    FOR_EACH_VERSION {
        struct client *client = client_connect(host, version, "0,0");
        client_send(client, "SEND\ndestination:/queue/a.b/c\nreceipt:r\n\nhello");
        assert_string_equal(host_take_change(host), "put q:a.b/c 0 hello\n");
        client_expect_nothing(client);
        host_answer(host, CHANGE_DONE);
        client_expect_receipt(client, "r");
    }
    host_expect_no_change(host);
    assert_int_equal(host->published_count, 0);
    assert_int_equal(host->env.pending_bytes, 0);
}

static void test_a_send_without_receipt_is_answered_by_nothing(void **state) {
    struct host *host = *state;
    struct client *client = connect_1_2(host);
    client_send(client, "SEND\ndestination:/queue/a\n\nx");
    host_answer(host, CHANGE_DONE);
    client_expect_nothing(client);
    assert_int_equal(client->session->state, SESSION_OPEN);
}

static void test_a_stored_message_has_the_headers_of_its_send(void **state) {
    struct host *host = *state;
    struct client *client = connect_1_2(host);
    client_send(client, "SEND\ndestination:/queue/a\npersistent:true\nx:1\nuser:root\nreceipt:r\n\nhello");
    struct message *message = host->changes[0]->operations[0].message;
    struct bytes head = message_head(message, STOMP_1_2);
    assert_int_equal(message->route, ROUTE_QUEUE);
    assert_true(bytes_start_with(head, BYTES("destination:/queue/a\nmessage-id:b00t-1-1\npersistent:true\nx:1\n")));
    assert_null(memmem(head.data, head.len, "user", strlen("user")));
    assert_null(memmem(head.data, head.len, "receipt", strlen("receipt")));
}

static void test_the_earliest_of_all_times_is_the_lifetime(void **state) {
    static const struct {
        const char *headers;
        const char *lifetime;
    } cases[] = {
        {"", "0"},
        {"expiration:2500\n", "2500"},
        {"x-message-ttl:2500\n", "2500"},
        {"expires:1002500\n", "2500"},
        {"expiration:3000\nx-message-ttl:2000\nexpires:1004000\n", "2000"},
        {"expiration:2000\nx-message-ttl:3000\nexpires:1004000\n", "2000"},
        {"expiration:3000\nx-message-ttl:4000\nexpires:1002000\n", "2000"},
        {"expires:0\n", "0"},                       /* never */
        {"expires:0\nexpiration:7\n", "7"},         /* this one does not make it live longer */
        {"expires:999999\n", "1"},                  /* over already */
        {"expires:1000000\n", "1"},                 /* now */
        {"expiration:0\n", "1"},                    /* may not wait */
        {"expiration:99999999999999999999\n", "0"}, /* beyond all numbers */
        {"expiration:1\nexpiration:2\n", "1"},      /* the first entry counts */
    };
    struct host *host = *state;
    struct client *client = connect_1_2(host);
    host->env.wall_ms = 1000000;
    for (size_t n = 0; n < COUNT(cases); n++) {
        char frame[128];
        snprintf(frame, sizeof frame, "SEND\ndestination:/queue/a\n%s\n.", cases[n].headers);
        client_send(client, frame);
        snprintf(frame, sizeof frame, "put q:a %s .\n", cases[n].lifetime);
        assert_string_equal(host_take_change(host), frame);
    }
}

static void test_times_that_are_no_numbers_are_refused(void **state) {
    static const char *const names[] = {"expiration", "x-message-ttl", "expires"};
    static const char *const values[] = {"", "-1", "1s", "1.5", " 1"};
    struct host *host = *state;
    for (size_t n = 0; n < COUNT(names); n++)
        for (size_t m = 0; m < COUNT(values); m++) {
            char frame[128];
            struct client *client = connect_1_2(host);
            snprintf(frame, sizeof frame, "SEND\ndestination:/queue/a\n%s:%s\n\nx", names[n], values[m]);
            client_send(client, frame);
            client_expect_error(client, FAULT_PROTOCOL, names[n]);
            client_close(client);
        }
    host_expect_no_change(host);
}

static void test_topics_take_no_notice_of_times(void **state) {
    struct host *host = *state;
    struct client *client = connect_1_2(host);
    client_send(client, "SEND\ndestination:/topic/a\nexpires:soon\nreceipt:r\n\nx");
    client_expect_receipt(client, "r");
    assert_int_equal(host->published_count, 1);
}

/* ---- results ---- */

static void test_several_are_under_way_and_each_receipt_follows_its_own_result(void **state) {
    struct host *host = *state;
    struct client *client = connect_1_2(host);
    struct client *other = connect_1_2(host);
    client_send(client, "SEND\ndestination:/queue/a\nreceipt:1\n\nx");
    client_send(other, "SEND\ndestination:/queue/a\nreceipt:other\n\nx");
    client_send(client, "SEND\ndestination:/queue/a\n\nx");
    client_send(client, "SEND\ndestination:/queue/b\nreceipt:3\n\nx");
    client_send(client, "BEGIN\ntransaction:t\nreceipt:4\n\n");
    client_expect_receipt(client, "4");
    host_answer(host, CHANGE_DONE);
    client_expect_receipt(client, "1");
    client_expect_nothing(other);
    host_answer(host, CHANGE_DONE);
    client_expect_receipt(other, "other");
    host_answer(host, CHANGE_DONE);
    client_expect_nothing(client);
    host_answer(host, CHANGE_DONE);
    client_expect_receipt(client, "3");
}

static void test_a_refused_send_ends_the_session_with_an_error_that_names_the_queue(void **state) {
    static const struct {
        enum change_result result;
        enum fault_kind kind;
        const char *why;
    } cases[] = {
        {CHANGE_FULL, FAULT_POLICY, "the queue is full (/queue/a.b)"},
        {CHANGE_FAILED, FAULT_INTERNAL, "the queue can't be changed (/queue/a.b)"},
    };
    struct host *host = *state;
    for (size_t n = 0; n < COUNT(cases); n++) {
        struct client *client = connect_1_2(host);
        client_send(client, "SEND\ndestination:/queue/a.b\nreceipt:r\\c1\n\nx");
        host_answer(host, cases[n].result);
        client_expect_error(client, cases[n].kind, cases[n].why);
        assert_string_equal(client_header(client, "receipt-id"), "r:1");
        client = connect_1_2(host);
        client_send(client, "SEND\ndestination:/queue/a.b\n\nx");
        host_answer(host, cases[n].result);
        client_expect_error(client, cases[n].kind, cases[n].why);
        assert_null(client_header(client, "receipt-id"));
    }
}

static void test_after_an_error_later_results_are_nobodys(void **state) {
    struct host *host = *state;
    struct client *client = connect_1_2(host);
    client_send(client, "SEND\ndestination:/queue/a\nreceipt:1\n\nx");
    client_send(client, "SEND\ndestination:/queue/b\nreceipt:2\n\nx");
    client_send(client, "SEND\ndestination:/queue/c\nreceipt:3\n\nx");
    host_answer(host, CHANGE_FULL);
    client_expect_error(client, FAULT_POLICY, "/queue/a");
    assert_string_equal(client_header(client, "receipt-id"), "1");
    host_answer(host, CHANGE_DONE);
    host_answer(host, CHANGE_FULL);
    client_expect_nothing(client);
    assert_int_equal(client->ends, 1);
    assert_int_equal(host->env.pending_bytes, 0);
}

static void test_results_for_sessions_that_have_gone_are_nobodys(void **state) {
    struct host *host = *state;
    struct client *client = connect_1_2(host);
    client_send(client, "SEND\ndestination:/queue/a\nreceipt:1\n\nx");
    client_send(client, "SEND\ndestination:/queue/b\nreceipt:2\n\nx");
    client_send(client, "SEND\ndestination:/queue/c\nreceipt:3\n\nx");
    client_close(client);
    host_answer(host, CHANGE_DONE);
    host_answer(host, CHANGE_FULL);
    assert_true(host->env.pending_bytes > 0);
    host_answer(host, CHANGE_FAILED);
    assert_int_equal(host->env.pending_bytes, 0);
    assert_true(list_is_empty(&host->env.orphans));
}

static void test_results_that_never_come_are_forgotten_with_the_env(void **state) {
    struct host *host = *state;
    struct client *client = connect_1_2(host);
    client_send(client, "SEND\ndestination:/queue/a\nreceipt:1\n\nx");
    client_close(client);
    assert_false(list_is_empty(&host->env.orphans)); /* and a leak would be found */
}

static void test_out_of_memory_in_submitting_is_the_servers_fault(void **state) {
    struct host *host = *state;
    struct client *client = connect_1_2(host);
    host->out_of_memory = true;
    client_send(client, "SEND\ndestination:/queue/a\nreceipt:r\n\nx");
    client_expect_error(client, FAULT_INTERNAL, "out of memory");
    assert_string_equal(client_header(client, "receipt-id"), "r");
    assert_int_equal(host->env.pending_bytes, 0);
}

static void test_a_store_that_is_silent_for_pause_time_ends_the_session(void **state) {
    struct host *host = *state;
    host->limits.pause_time_ms = 5000;
    struct client *client = connect_1_2(host);
    assert_int_equal(session_due(client->session), UINT64_MAX);
    client_send(client, "SEND\ndestination:/queue/a\nreceipt:1\n\nx");
    host->now += 1000;
    client_send(client, "SEND\ndestination:/queue/a\nreceipt:2\n\nx");
    assert_int_equal(session_due(client->session), host->now + 4000);
    host_answer(host, CHANGE_DONE);
    client_expect_receipt(client, "1");
    assert_int_equal(session_due(client->session), host->now + 5000);
    session_tick(client->session, host->now + 4999);
    client_expect_nothing(client);
    session_tick(client->session, host->now + 5000);
    client_expect_error(client, FAULT_PAUSED, "has not answered within pause-time");
    host_answer(host, CHANGE_DONE);
    client_expect_nothing(client);
}

/* ---- waiting ---- */

static const char small_send[] = "SEND\ndestination:/queue/a\n\nx";

static void send_small(struct client *client, unsigned count) {
    for (unsigned n = 0; n < count; n++)
        client_send(client, small_send);
}

/* A session with a delivery to acknowledge, and an open transaction t that wants something in a queue. */
static struct client *connect_with_everything(struct host *host) {
    struct client *client = connect_1_2(host);
    client_send(client, "SUBSCRIBE\nid:0\ndestination:/queue/x\nack:client-individual\n\n");
    host_deliver(host, host->consumer, 1, 1, "m");
    client_expect_message(client, "m");
    client_send(client, "BEGIN\ntransaction:t\n\n");
    client_send(client, "SEND\ndestination:/queue/x\ntransaction:t\n\nin t");
    return client;
}

static void test_above_so_many_under_way_all_that_changes_queues_waits(void **state) {
    static const struct {
        const char *frame;
        const char *change;
    } cases[] = {
        {"SEND\ndestination:/queue/b\n\ny", "put q:b 0 y\n"},
        {"ACK\nid:1\n\n", "settle 7-1\n"},
        {"NACK\nid:1\n\n", "return 7-1 counted\n"},
        {"COMMIT\ntransaction:t\n\n", "together\nput q:x 0 in t\n"},
    };
    struct host *host = *state;
    for (size_t n = 0; n < COUNT(cases); n++) {
        struct client *client = connect_with_everything(host);
        send_small(client, SESSION_PENDING_MAX);
        assert_false(client->session->input_waits);
        client_send(client, cases[n].frame);
        assert_true(client->session->input_waits);
        assert_int_equal(host->change_count, SESSION_PENDING_MAX);
        host_answer(host, CHANGE_DONE);
        assert_int_equal(client->resumes, 1);
        client_go_on(client);
        host->changes_taken = SESSION_PENDING_MAX - 1;
        assert_string_equal(host_take_change(host), cases[n].change);
        assert_false(client->session->input_waits);
        host_answer_all(host);
        client_close(client);
        host_answer_all(host);
    }
}

static void test_what_changes_no_queue_does_not_wait(void **state) {
    struct host *host = *state;
    struct client *client = connect_1_2(host);
    send_small(client, SESSION_PENDING_MAX);
    client_send(client, "SUBSCRIBE\nid:0\ndestination:/queue/x\nreceipt:1\n\n");
    client_expect_receipt(client, "1");
    client_send(client, "UNSUBSCRIBE\nid:0\nreceipt:2\n\n");
    client_expect_receipt(client, "2");
    client_send(client, "BEGIN\ntransaction:u\nreceipt:3\n\n");
    client_expect_receipt(client, "3");
    client_send(client, "ABORT\ntransaction:u\nreceipt:4\n\n");
    client_expect_receipt(client, "4");
}

static void test_above_so_many_bytes_under_way_a_send_waits(void **state) {
    struct host *host = *state;
    struct client *client = connect_1_2(host);
    char frame[2048];
    snprintf(frame, sizeof frame, "SEND\ndestination:/queue/a\n\n%01900d", 0);
    while (client->session->pending_bytes < SESSION_PENDING_BYTES) {
        client_send(client, frame);
        assert_false(client->session->input_waits);
    }
    size_t under_way = host->change_count;
    assert_in_range(under_way, SESSION_PENDING_BYTES / 3000, SESSION_PENDING_BYTES / 1900 + 1);
    client_send(client, small_send);
    assert_true(client->session->input_waits);
    host_answer(host, CHANGE_DONE);
    assert_int_equal(client->resumes, 1);
    client_go_on(client);
    assert_false(client->session->input_waits);
    assert_int_equal(host->change_count, under_way);
}

static void test_while_much_of_the_worker_is_under_way_a_session_has_one_change_at_a_time(void **state) {
    struct host *host = *state;
    struct client *client = connect_1_2(host);
    host->env.pending_bytes = WORKER_PENDING_BYTES;
    client_send(client, small_send);
    assert_false(client->session->input_waits);
    client_send(client, small_send);
    assert_true(client->session->input_waits);
    assert_int_equal(host->change_count, 1);
    host_answer(host, CHANGE_DONE);
    assert_int_equal(client->resumes, 1);
    client_go_on(client);
    assert_int_equal(host->change_count, 1);
    assert_false(client->session->input_waits);
    host->env.pending_bytes -= 1; /* others are done */
    host->env.pending_bytes -= host->changes[0]->cost;
    client_send(client, small_send);
    assert_false(client->session->input_waits);
}

static void test_a_result_resumes_only_who_may_go_on(void **state) {
    struct host *host = *state;
    struct client *client = connect_1_2(host);
    host->env.pending_bytes = WORKER_PENDING_BYTES;
    send_small(client, 1);
    host->env.pending_bytes = 0;
    send_small(client, 1);
    host->env.pending_bytes = (uint64_t)2 * WORKER_PENDING_BYTES;
    send_small(client, 1);
    assert_true(client->session->input_waits);
    host_answer(host, CHANGE_DONE);
    assert_int_equal(client->resumes, 0);
    host_answer(host, CHANGE_DONE);
    assert_int_equal(client->resumes, 1);
}

static void test_a_slow_store_is_no_pause(void **state) {
    struct host *host = *state;
    struct client *client = connect_1_2(host);
    send_small(client, 1);
    host->now += host->limits.pause_time_ms / 2;
    send_small(client, 1);
    client_send(client, "DISCONNECT\nreceipt:bye\n\n");
    host->now += host->limits.pause_time_ms / 2;
    host_answer(host, CHANGE_DONE);
    host->now += host->limits.pause_time_ms / 2 - 1;
    session_tick(client->session, host->now);
    assert_int_equal(client->session->state, SESSION_OPEN);
    host_answer(host, CHANGE_DONE);
    client_go_on(client);
    client_expect_receipt(client, "bye");
}

static void test_a_session_that_sends_nothing_is_not_resumed(void **state) {
    struct host *host = *state;
    struct client *client = connect_1_2(host);
    send_small(client, 1);
    host_answer(host, CHANGE_DONE);
    assert_int_equal(client->resumes, 0);
}

static void test_disconnect_waits_for_all_results(void **state) {
    struct host *host = *state;
    struct client *client = connect_1_2(host);
    client_send(client, "SEND\ndestination:/queue/a\nreceipt:1\n\nx");
    client_send(client, "SEND\ndestination:/queue/a\nreceipt:2\n\nx");
    client_send(client, "DISCONNECT\nreceipt:3\n\n");
    client_expect_nothing(client);
    host_answer(host, CHANGE_DONE);
    client_go_on(client);
    client_expect_receipt(client, "1");
    client_expect_nothing(client);
    assert_int_equal(client->session->state, SESSION_OPEN);
    host_answer(host, CHANGE_DONE);
    assert_int_equal(client->resumes, 2);
    client_go_on(client);
    client_expect_receipt(client, "2");
    client_expect_receipt(client, "3");
    assert_int_equal(client->session->end, FAULT_NONE);
}

static void test_a_refusal_while_disconnect_waits_is_told(void **state) {
    struct host *host = *state;
    struct client *client = connect_1_2(host);
    client_send(client, "SEND\ndestination:/queue/a\n\nx");
    client_send(client, "DISCONNECT\nreceipt:r\n\n");
    host_answer(host, CHANGE_FULL);
    client_go_on(client);
    client_expect_error(client, FAULT_POLICY, "/queue/a");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_a_send_is_put_and_its_receipt_follows_the_result),
        TEST(test_a_send_without_receipt_is_answered_by_nothing),
        TEST(test_a_stored_message_has_the_headers_of_its_send),
        TEST(test_the_earliest_of_all_times_is_the_lifetime),
        TEST(test_times_that_are_no_numbers_are_refused),
        TEST(test_topics_take_no_notice_of_times),
        TEST(test_several_are_under_way_and_each_receipt_follows_its_own_result),
        TEST(test_a_refused_send_ends_the_session_with_an_error_that_names_the_queue),
        TEST(test_after_an_error_later_results_are_nobodys),
        TEST(test_results_for_sessions_that_have_gone_are_nobodys),
        TEST(test_results_that_never_come_are_forgotten_with_the_env),
        TEST(test_out_of_memory_in_submitting_is_the_servers_fault),
        TEST(test_a_store_that_is_silent_for_pause_time_ends_the_session),
        TEST(test_above_so_many_under_way_all_that_changes_queues_waits),
        TEST(test_what_changes_no_queue_does_not_wait),
        TEST(test_above_so_many_bytes_under_way_a_send_waits),
        TEST(test_while_much_of_the_worker_is_under_way_a_session_has_one_change_at_a_time),
        TEST(test_a_result_resumes_only_who_may_go_on),
        TEST(test_a_slow_store_is_no_pause),
        TEST(test_a_session_that_sends_nothing_is_not_resumed),
        TEST(test_disconnect_waits_for_all_results),
        TEST(test_a_refusal_while_disconnect_waits_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
