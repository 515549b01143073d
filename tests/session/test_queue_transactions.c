/*
 * BEGIN … COMMIT with queues in it: one change that the store takes or leaves as a whole, what is published after it,
 * and what becomes of deliveries that an open transaction has claimed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "host.h"

#define TEST(name)   cmocka_unit_test_setup_teardown(name, host_setup, host_teardown)
#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* A session with subscription 0 to /queue/x, which got as many messages, and transaction t. */
static struct client *begin(struct host *host, const char *mode, unsigned deliveries) {
    char frame[128];
    struct client *client = client_connect(host, STOMP_1_2, "0,0");
    snprintf(frame, sizeof frame, "SUBSCRIBE\nid:0\ndestination:/queue/x\nack:%s\n\n", mode);
    client_send(client, frame);
    for (unsigned n = 1; n <= deliveries; n++) {
        host_deliver(host, host->consumer, n, 1, "m");
        client_expect_message(client, "m");
    }
    client_send(client, "BEGIN\ntransaction:t\n\n");
    return client;
}

/* ---- COMMIT ---- */

static void test_commit_makes_one_change_of_all_in_the_order_of_the_frames(void **state) {
    struct host *host = *state;
    struct client *client = begin(host, "client-individual", 3);
    client_send(client, "SEND\ndestination:/queue/a\ntransaction:t\nreceipt:1\n\nfirst");
    client_expect_receipt(client, "1");
    client_send(client, "ACK\nid:2\ntransaction:t\nreceipt:2\n\n");
    client_expect_receipt(client, "2");
    client_send(client, "NACK\nid:1\ntransaction:t\nreceipt:3\n\n");
    client_expect_receipt(client, "3");
    client_send(client, "NACK\nid:3\nrequeue:false\ntransaction:t\n\n");
    client_send(client, "SEND\ndestination:/queue/b\nexpiration:9\ntransaction:t\n\nlast");
    host_expect_no_change(host);
    client_send(client, "COMMIT\ntransaction:t\nreceipt:r\n\n");
    assert_string_equal(host_take_change(host), "together\nput q:a 0 first\nsettle 7-2\nreturn 7-1 counted\n"
                                                "reject 7-3\nput q:b 9 last\n");
    client_expect_nothing(client);
    host_answer(host, CHANGE_DONE);
    client_expect_receipt(client, "r");
    client_send(client, "UNSUBSCRIBE\nid:0\n\n");
    host_expect_no_change(host);
    assert_int_equal(client->session->transactions.bytes, 0);
}

static void test_mode_client_claims_all_before_it_that_nobody_has_claimed(void **state) {
    struct host *host = *state;
    struct client *client = begin(host, "client", 4);
    client_send(client, "BEGIN\ntransaction:u\n\n");
    client_send(client, "ACK\nid:2\ntransaction:t\n\n");
    client_send(client, "NACK\nid:3\ntransaction:u\n\n");
    client_send(client, "ACK\nid:4\nreceipt:r\n\n");
    assert_string_equal(host_take_change(host), "settle 7-4\n");
    client_send(client, "COMMIT\ntransaction:u\n\n");
    assert_string_equal(host_take_change(host), "together\nreturn 7-3 counted\n");
    client_send(client, "COMMIT\ntransaction:t\n\n");
    assert_string_equal(host_take_change(host), "together\nsettle 7-1\nsettle 7-2\n");
}

static void test_what_is_claimed_is_claimed_once(void **state) {
    struct host *host = *state;
    struct client *client = begin(host, "client-individual", 1);
    client_send(client, "BEGIN\ntransaction:u\n\n");
    client_send(client, "ACK\nid:1\ntransaction:t\n\n");
    client_send(client, "ACK\nid:1\ntransaction:t\nreceipt:1\n\n");
    client_expect_receipt(client, "1");
    client_send(client, "NACK\nid:1\ntransaction:u\nreceipt:2\n\n");
    client_expect_receipt(client, "2");
    client_send(client, "NACK\nid:1\nreceipt:3\n\n");
    client_expect_receipt(client, "3");
    client_send(client, "COMMIT\ntransaction:u\nreceipt:4\n\n");
    client_expect_receipt(client, "4");
    host_expect_no_change(host);
    client_send(client, "COMMIT\ntransaction:t\n\n");
    assert_string_equal(host_take_change(host), "together\nsettle 7-1\n");
}

/* In 1.1 the message-id is all that the client knows it by. */
static void test_what_a_commit_has_returned_may_come_again(void **state) {
    struct host *host = *state;
    struct client *client = client_connect(host, STOMP_1_1, "0,0");
    struct message *message = host_message(host, "q:x", "again");
    client_send(client, "SUBSCRIBE\nid:0\ndestination:/queue/x\nack:client\n\n");
    for (uint32_t n = 1; n <= 2; n++) {
        char frame[128];
        host_deliver_message(host, host->consumer, 1, n, message);
        client_expect_message(client, "again");
        client_send(client, "BEGIN\ntransaction:t\n\n");
        snprintf(frame, sizeof frame, "NACK\nmessage-id:%s\nsubscription:0\ntransaction:t\n\n",
                 client_header(client, "message-id"));
        client_send(client, frame);
        client_send(client, "COMMIT\ntransaction:t\n\n");
        assert_string_equal(host_take_change(host), "together\nreturn 7-1 counted\n");
    }
    message_unref(message);
}

static void test_what_goes_to_topics_is_published_after_the_store_has_agreed(void **state) {
    struct host *host = *state;
    struct client *client = begin(host, "client", 0);
    client_send(client, "SEND\ndestination:/topic/a\ntransaction:t\n\n1");
    client_send(client, "SEND\ndestination:/queue/a\ntransaction:t\n\nq");
    client_send(client, "SEND\ndestination:/user/bob/x\ntransaction:t\n\n2");
    client_send(client, "COMMIT\ntransaction:t\nreceipt:r\n\n");
    assert_string_equal(host_take_change(host), "together\nput q:a 0 q\n");
    assert_int_equal(host->published_count, 0);
    host_answer(host, CHANGE_DONE);
    assert_int_equal(host->published_count, 2);
    host_expect_published(host, 0, "/topic/a", "1");
    assert_int_equal(host->published[1]->route, ROUTE_USER);
    client_expect_receipt(client, "r");
}

static void test_until_then_sends_and_commits_wait_to_keep_the_order(void **state) {
    struct host *host = *state;
    struct client *client = begin(host, "client-individual", 1);
    client_send(client, "SEND\ndestination:/topic/a\ntransaction:t\n\n1");
    client_send(client, "SEND\ndestination:/queue/a\ntransaction:t\n\nq");
    client_send(client, "COMMIT\ntransaction:t\n\n");
    client_send(client, "ACK\nid:1\n\n"); /* waits for nothing */
    assert_int_equal(host->change_count, 2);
    client_send(client, "SEND\ndestination:/topic/a\n\n2");
    assert_true(client->session->input_waits);
    host_answer(host, CHANGE_DONE);
    assert_int_equal(client->resumes, 1);
    client_go_on(client);
    assert_int_equal(host->published_count, 2);
    host_expect_published(host, 0, "/topic/a", "1");
    host_expect_published(host, 1, "/topic/a", "2");
}

static void test_a_commit_that_publishes_nothing_holds_up_no_send(void **state) {
    struct host *host = *state;
    struct client *client = begin(host, "client", 0);
    client_send(client, "SEND\ndestination:/queue/a\ntransaction:t\n\nq");
    client_send(client, "COMMIT\ntransaction:t\n\n");
    client_send(client, "SEND\ndestination:/topic/a\nreceipt:r\n\n1");
    client_expect_receipt(client, "r");
}

static void test_a_name_is_free_again_after_its_commit(void **state) {
    struct host *host = *state;
    struct client *client = begin(host, "client", 0);
    client_send(client, "SEND\ndestination:/queue/a\ntransaction:t\n\nq");
    client_send(client, "COMMIT\ntransaction:t\n\n");
    client_send(client, "BEGIN\ntransaction:t\nreceipt:r\n\n");
    client_expect_receipt(client, "r");
    assert_int_equal(client->session->transactions.count, 1);
}

static void test_a_refused_commit_publishes_nothing_and_ends_the_session(void **state) {
    static const struct {
        enum change_result result;
        enum fault_kind kind;
        const char *why;
    } cases[] = {
        {CHANGE_FULL, FAULT_POLICY, "the queue is full (one of this transaction)"},
        {CHANGE_LOST, FAULT_POLICY, "has gone to another consumer"},
        {CHANGE_FAILED, FAULT_INTERNAL, "can't be changed (one of this transaction)"},
    };
    struct host *host = *state;
    for (size_t n = 0; n < COUNT(cases); n++) {
        struct client *client = begin(host, "client", 2);
        client_send(client, "ACK\nid:1\ntransaction:t\n\n");
        client_send(client, "SEND\ndestination:/queue/a\ntransaction:t\n\nq");
        client_send(client, "SEND\ndestination:/topic/a\ntransaction:t\n\n1");
        client_send(client, "COMMIT\ntransaction:t\nreceipt:r\n\n");
        assert_string_equal(host_take_change(host), "together\nsettle 7-1\nput q:a 0 q\n");
        host_answer(host, cases[n].result);
        client_expect_error(client, cases[n].kind, cases[n].why);
        assert_string_equal(client_header(client, "receipt-id"), "r");
        /* Number 1 was in the change: what was refused is returned by the hub. */
        assert_string_equal(host_take_change(host), "return 7-2 counted\n");
        host_answer_all(host);
    }
    assert_int_equal(host->published_count, 0);
}

static void test_a_commit_without_memory_for_its_change_is_the_servers_fault(void **state) {
    struct host *host = *state;
    struct client *client = begin(host, "client", 1);
    client_send(client, "ACK\nid:1\ntransaction:t\n\n");
    client_send(client, "SEND\ndestination:/topic/a\ntransaction:t\n\n1");
    host->out_of_memory = true;
    client_send(client, "COMMIT\ntransaction:t\nreceipt:r\n\n");
    client_expect_error(client, FAULT_INTERNAL, "out of memory");
    assert_int_equal(host->published_count, 0);
}

/* ---- the socket is lost after COMMIT ---- */

static void test_a_commit_under_way_is_carried_out_for_a_session_that_has_gone(void **state) {
    struct host *host = *state;
    struct client *client = begin(host, "client", 0);
    struct client *other = client_connect(host, STOMP_1_2, "0,0");
    client_send(other, "SUBSCRIBE\nid:0\ndestination:/topic/a\n\n");
    client_send(client, "SEND\ndestination:/topic/a\ntransaction:t\n\n1");
    client_send(client, "SEND\ndestination:/queue/a\ntransaction:t\n\nq");
    client_send(client, "COMMIT\ntransaction:t\nreceipt:r\n\n");
    client_close(client);
    client_expect_nothing(other);
    host_answer(host, CHANGE_DONE);
    client_expect_message(other, "1");
    assert_int_equal(host->env.pending_bytes, 0);
}

static void test_and_if_it_is_refused_nothing_is_published(void **state) {
    struct host *host = *state;
    struct client *client = begin(host, "client", 0);
    client_send(client, "SEND\ndestination:/topic/a\ntransaction:t\n\n1");
    client_send(client, "SEND\ndestination:/queue/a\ntransaction:t\n\nq");
    client_send(client, "COMMIT\ntransaction:t\n\n");
    client_close(client);
    host_answer(host, CHANGE_FULL);
    assert_int_equal(host->published_count, 0);
}

/* ---- ABORT, and what is claimed ---- */

static void test_after_abort_deliveries_can_be_acknowledged_again(void **state) {
    struct host *host = *state;
    struct client *client = begin(host, "client-individual", 2);
    client_send(client, "SEND\ndestination:/queue/a\ntransaction:t\n\nq");
    client_send(client, "ACK\nid:1\ntransaction:t\n\n");
    client_send(client, "NACK\nid:2\ntransaction:t\n\n");
    client_send(client, "ABORT\ntransaction:t\nreceipt:r\n\n");
    client_expect_receipt(client, "r");
    host_expect_no_change(host);
    client_send(client, "ACK\nid:2\n\n");
    assert_string_equal(host_take_change(host), "settle 7-2\n");
    client_send(client, "BEGIN\ntransaction:t\n\n");
    client_send(client, "ACK\nid:1\ntransaction:t\n\n");
    client_send(client, "COMMIT\ntransaction:t\n\n");
    assert_string_equal(host_take_change(host), "together\nsettle 7-1\n");
}

static void test_unsubscribe_leaves_what_is_claimed_to_the_commit(void **state) {
    struct host *host = *state;
    struct client *client = begin(host, "client-individual", 3);
    client_send(client, "ACK\nid:2\ntransaction:t\n\n");
    client_send(client, "UNSUBSCRIBE\nid:0\n\n");
    assert_string_equal(host_take_change(host), "return 7-1 counted\nreturn 7-3 counted\n");
    client_send(client, "COMMIT\ntransaction:t\n\n");
    assert_string_equal(host_take_change(host), "together\nsettle 7-2\n");
}

static void test_and_to_the_abort_which_returns_it(void **state) {
    struct host *host = *state;
    struct client *client = begin(host, "client-individual", 2);
    client_send(client, "NACK\nid:2\nrequeue:false\ntransaction:t\n\n");
    client_send(client, "NACK\nid:1\nrequeue:false\ntransaction:t\n\n");
    client_send(client, "UNSUBSCRIBE\nid:0\n\n");
    host_expect_no_change(host);
    client_send(client, "ABORT\ntransaction:t\n\n");
    assert_string_equal(host_take_change(host), "return 7-2 counted\n");
    assert_string_equal(host_take_change(host), "return 7-1 counted\n");
}

/* Of two transactions, one whose subscription has gone and one whose lives, and of a delivery that is in neither. */
static void leave_open(struct host *host, struct client **client) {
    *client = begin(host, "client-individual", 1);
    client_send(*client, "SEND\ndestination:/queue/a\ntransaction:t\n\nq");
    client_send(*client, "SEND\ndestination:/topic/a\ntransaction:t\n\n1");
    client_send(*client, "ACK\nid:1\ntransaction:t\n\n");
    client_send(*client, "UNSUBSCRIBE\nid:0\n\n");
    client_send(*client, "BEGIN\ntransaction:u\n\n");
    client_send(*client, "SUBSCRIBE\nid:1\ndestination:/queue/x\nack:client-individual\n\n");
    for (unsigned n = 2; n <= 3; n++) {
        host_deliver(host, host->consumer, n, 1, "m");
        client_expect_message(*client, "m");
    }
    client_send(*client, "ACK\nid:2\ntransaction:u\n\n");
    host_expect_no_change(host);
}

static void test_whatever_ends_a_session_returns_what_open_transactions_have_claimed(void **state) {
    struct host *host = *state;
    for (int n = 0; n < 3; n++) {
        struct client *client;
        leave_open(host, &client);
        if (n == 0)
            client_close(client);
        else
            client_send(client, n == 1 ? "DISCONNECT\n\n" : "COMMIT\ntransaction:none\n\n");
        assert_string_equal(host_take_change(host), "return 7-1 counted\n");
        assert_string_equal(host_take_change(host), "return 7-2 counted\nreturn 7-3 counted\n");
        host_expect_no_change(host);
        host_answer_all(host);
    }
    assert_int_equal(host->published_count, 0);
}

/* ---- limits ---- */

static void test_transaction_size_counts_what_goes_to_queues(void **state) {
    struct host *host = *state;
    char frame[256];
    host->limits.transaction_size = 600;
    struct client *client = begin(host, "client", 0);
    client_send(client, "BEGIN\ntransaction:u\n\n");
    snprintf(frame, sizeof frame, "SEND\ndestination:/queue/a\ntransaction:t\n\n%0150d", 0);
    client_send(client, frame);
    snprintf(frame, sizeof frame, "SEND\ndestination:/topic/a\ntransaction:u\n\n%0150d", 0);
    client_send(client, frame);
    client_expect_nothing(client);
    snprintf(frame, sizeof frame, "SEND\ndestination:/queue/a\ntransaction:t\nreceipt:r\n\n%0150d", 0);
    client_send(client, frame);
    client_expect_error(client, FAULT_POLICY, "(transaction-size)");
    assert_string_equal(client_header(client, "receipt-id"), "r");
    assert_int_equal(client->session->transactions.bytes, 0);
}

static void test_transaction_size_is_free_again_once_it_is_committed(void **state) {
    struct host *host = *state;
    char frame[256];
    host->limits.transaction_size = 400;
    struct client *client = begin(host, "client", 0);
    snprintf(frame, sizeof frame, "SEND\ndestination:/queue/a\ntransaction:t\n\n%0150d", 0);
    for (int n = 0; n < 3; n++) {
        client_send(client, frame);
        client_send(client, "COMMIT\ntransaction:t\n\n");
        client_send(client, "BEGIN\ntransaction:t\n\n");
    }
    assert_int_equal(host->change_count, 3);
    client_expect_nothing(client);
}

static void test_transaction_frames_counts_what_goes_to_queues(void **state) {
    struct host *host = *state;
    host->limits.transaction_frames = 3;
    struct client *client = begin(host, "client-individual", 2);
    client_send(client, "SEND\ndestination:/queue/a\ntransaction:t\n\nq");
    client_send(client, "ACK\nid:1\ntransaction:t\n\n");
    client_send(client, "NACK\nid:2\ntransaction:t\nreceipt:3\n\n");
    client_expect_receipt(client, "3");
    client_send(client, "SEND\ndestination:/queue/a\ntransaction:t\n\nq");
    client_expect_error(client, FAULT_POLICY, "(transaction-frames)");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_commit_makes_one_change_of_all_in_the_order_of_the_frames),
        TEST(test_mode_client_claims_all_before_it_that_nobody_has_claimed),
        TEST(test_what_is_claimed_is_claimed_once),
        TEST(test_what_a_commit_has_returned_may_come_again),
        TEST(test_what_goes_to_topics_is_published_after_the_store_has_agreed),
        TEST(test_until_then_sends_and_commits_wait_to_keep_the_order),
        TEST(test_a_commit_that_publishes_nothing_holds_up_no_send),
        TEST(test_a_name_is_free_again_after_its_commit),
        TEST(test_a_refused_commit_publishes_nothing_and_ends_the_session),
        TEST(test_a_commit_without_memory_for_its_change_is_the_servers_fault),
        TEST(test_a_commit_under_way_is_carried_out_for_a_session_that_has_gone),
        TEST(test_and_if_it_is_refused_nothing_is_published),
        TEST(test_after_abort_deliveries_can_be_acknowledged_again),
        TEST(test_unsubscribe_leaves_what_is_claimed_to_the_commit),
        TEST(test_and_to_the_abort_which_returns_it),
        TEST(test_whatever_ends_a_session_returns_what_open_transactions_have_claimed),
        TEST(test_transaction_size_counts_what_goes_to_queues),
        TEST(test_transaction_size_is_free_again_once_it_is_committed),
        TEST(test_transaction_frames_counts_what_goes_to_queues),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
