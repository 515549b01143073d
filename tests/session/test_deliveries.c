/*
 * What comes out of queues: consumers and their credit, MESSAGEs, and how each delivery is settled, returned or
 * rejected, once. (That it is told as written once and given back once is checked by the host after each test.)
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

/* Subscribes /queue/x with that id. Returns the consumer. */
static uint64_t subscribe(struct client *client, const char *id, const char *mode) {
    char frame[128];
    snprintf(frame, sizeof frame, "SUBSCRIBE\nid:%s\ndestination:/queue/x\nack:%s\n\n", id, mode);
    client_send(client, frame);
    return client->host->consumer;
}

/* A session with one subscription to /queue/x, whose id is 0. */
static struct client *consume(struct host *host, enum stomp_version version, const char *mode) {
    struct client *client = client_connect(host, version, "0,0");
    subscribe(client, "0", mode);
    return client;
}

/* Delivers numbers `from` to `to` to the last consumer, in whose body the number is. */
static void deliver(struct host *host, unsigned from, unsigned to) {
    for (unsigned n = from; n <= to; n++) {
        char body[16];
        snprintf(body, sizeof body, "m%u", n);
        host_deliver(host, host->consumer, n, 1, body);
    }
}

/* The same, and they are written. */
static void deliver_and_read(struct client *client, unsigned from, unsigned to) {
    deliver(client->host, from, to);
    for (unsigned n = from; n <= to; n++)
        client_expect(client, "MESSAGE");
}

/* The next frame is written as far as the socket takes it, which is not known yet. */
static void lay(struct client *client) {
    assert_non_null(outbox_front(&client->session->outbox));
    session_pop(client->session);
}

/* ACK or NACK by the rules of 1.2, with a receipt that must follow at once or after the answer. */
static void acknowledge(struct client *client, const char *command, unsigned ack, const char *headers) {
    char frame[128];
    snprintf(frame, sizeof frame, "%s\nid:%u\n%sreceipt:%u\n\n", command, ack, headers, ack);
    client_send(client, frame);
}

static void expect_receipt(struct client *client, unsigned number) {
    char receipt[16];
    snprintf(receipt, sizeof receipt, "%u", number);
    client_expect_receipt(client, receipt);
}

/* ---- SUBSCRIBE ---- */

static void test_prefetch_is_what_the_client_asks_for_within_the_limit(void **state) {
    static const struct {
        uint32_t limit;
        const char *header;
        const char *consumed;
    } cases[] = {
        {1000, "", "q:a.* 100"},
        {50, "", "q:a.* 50"},
        {1000, "prefetch-count:1\n", "q:a.* 1"},
        {1000, "prefetch-count:1000\n", "q:a.* 1000"},
        {1000, "prefetch-count:1001\n", "q:a.* 1000"},
        {1000, "prefetch-count:0\n", "q:a.* 1000"},
        {1000, "prefetch-count:4294967297\n", "q:a.* 1000"},
        {1000, "prefetch-count:99999999999999999999999\n", "q:a.* 1000"},
    };
    struct host *host = *state;
    for (size_t n = 0; n < COUNT(cases); n++) {
        char frame[128];
        struct client *client = client_connect(host, STOMP_1_2, "0,0");
        host->limits.prefetch = cases[n].limit;
        snprintf(frame, sizeof frame, "SUBSCRIBE\nid:0\ndestination:/queue/a.*\n%sreceipt:r\n\n", cases[n].header);
        client_send(client, frame);
        client_expect_receipt(client, "r");
        assert_string_equal(host->consumed, cases[n].consumed);
        client_close(client);
        assert_int_equal(host->consumers, 0);
    }
}

static void test_a_prefetch_that_is_no_number_is_refused(void **state) {
    static const char *const values[] = {"", "-1", "many", "1 ", "1.0"};
    struct host *host = *state;
    for (size_t n = 0; n < COUNT(values); n++) {
        char frame[128];
        struct client *client = client_connect(host, STOMP_1_2, "0,0");
        snprintf(frame, sizeof frame, "SUBSCRIBE\nid:0\ndestination:/queue/a\nprefetch-count:%s\nreceipt:r\n\n",
                 values[n]);
        client_send(client, frame);
        client_expect_error(client, FAULT_PROTOCOL, "prefetch-count");
        assert_string_equal(client_header(client, "receipt-id"), "r");
    }
    assert_string_equal(host->consumed, "");
}

static void test_the_receipt_comes_when_the_queue_is_attached_and_sends_wait_for_it(void **state) {
    struct host *host = *state;
    host->consuming_at_once = false;
    struct client *client = client_connect(host, STOMP_1_2, "0,0");
    client_send(client, "SUBSCRIBE\nid:0\ndestination:/queue/x\nreceipt:r\n\n");
    client_send(client, "SEND\ndestination:/queue/x\n\ny");
    client_expect_nothing(client);
    host_expect_no_change(host);
    session_consuming(&host->env, host->consumer, CONSUMING);
    client_expect_receipt(client, "r");
    assert_int_equal(client->resumes, 1);
    client_go_on(client);
    assert_string_equal(host_take_change(host), "put q:x 0 y\n");
}

static void test_a_queue_that_is_attached_twice_or_too_late_is_nothing(void **state) {
    struct host *host = *state;
    host->consuming_at_once = false;
    struct client *client = consume(host, STOMP_1_2, "auto");
    uint64_t gone = host->consumer;
    client_send(client, "UNSUBSCRIBE\nid:0\nreceipt:1\n\n");
    client_expect_receipt(client, "1");
    session_consuming(&host->env, gone, CONSUMING);
    client_send(client, "SUBSCRIBE\nid:0\ndestination:/queue/x\nreceipt:2\n\n");
    session_consuming(&host->env, host->consumer, CONSUMING);
    session_consuming(&host->env, host->consumer, CONSUMING);
    client_expect_receipt(client, "2");
    client_expect_nothing(client);
    assert_int_equal(client->session->asking, 0);
    assert_int_equal(client->session->unknown, 0);
}

static void test_unsubscribe_before_the_queue_is_attached_gives_both_receipts(void **state) {
    struct host *host = *state;
    host->consuming_at_once = false;
    struct client *client = client_connect(host, STOMP_1_2, "0,0");
    client_send(client, "SUBSCRIBE\nid:0\ndestination:/queue/x\nreceipt:1\n\n");
    client_send(client, "UNSUBSCRIBE\nid:0\nreceipt:2\n\n");
    client_expect_receipt(client, "1");
    client_expect_receipt(client, "2");
    client_send(client, "DISCONNECT\nreceipt:3\n\n");
    client_expect_receipt(client, "3");
}

static void test_out_of_memory_in_consuming_is_the_servers_fault(void **state) {
    struct host *host = *state;
    struct client *client = client_connect(host, STOMP_1_2, "0,0");
    host->out_of_memory = true;
    client_send(client, "SUBSCRIBE\nid:0\ndestination:/queue/x\nreceipt:r\n\n");
    client_expect_error(client, FAULT_INTERNAL, "out of memory");
}

/* ---- MESSAGE ---- */

static void test_a_message_names_its_subscription_and_in_1_2_its_ack_id(void **state) {
    static const char *const modes[] = {"auto", "client", "client-individual"};
    struct host *host = *state;
    FOR_EACH_VERSION
    for (size_t n = 0; n < COUNT(modes) - (version == STOMP_1_0); n++) {
        struct client *client = client_connect(host, version, "0,0");
        subscribe(client, "s", modes[n]);
        deliver(host, 1, 1);
        client_expect_message(client, "m1");
        assert_string_equal(client_header(client, "subscription"), "s");
        assert_string_equal(client_header(client, "destination"), "/queue/x");
        if (version == STOMP_1_2 && n > 0)
            assert_string_equal(client_header(client, "ack"), "1");
        else
            assert_null(client_header(client, "ack"));
        assert_null(client_header(client, "redelivered"));
        assert_null(client_header(client, "delivery-count"));
        client_close(client);
    }
}

static void test_ack_ids_are_unique_in_the_session_with_those_of_topics(void **state) {
    struct host *host = *state;
    struct client *client = consume(host, STOMP_1_2, "client");
    client_send(client, "SUBSCRIBE\nid:t\ndestination:/topic/a\nack:client\n\n");
    deliver(host, 1, 1);
    client_send(client, "SEND\ndestination:/topic/a\n\nt");
    deliver(host, 2, 2);
    client_expect_message(client, "m1");
    assert_string_equal(client_header(client, "ack"), "1");
    client_expect_message(client, "t");
    assert_string_equal(client_header(client, "ack"), "2");
    client_expect_message(client, "m2");
    assert_string_equal(client_header(client, "ack"), "3");
    acknowledge(client, "ACK", 2, ""); /* at most once: there is nothing to settle */
    expect_receipt(client, 2);
    host_expect_no_change(host);
}

static void test_a_message_that_was_delivered_before_says_how_often(void **state) {
    struct host *host = *state;
    FOR_EACH_VERSION {
        struct client *client = consume(host, version, "client");
        host_deliver(host, host->consumer, 1, 2, "second");
        host_deliver(host, host->consumer, 2, 4294967295, "last");
        client_expect_message(client, "second");
        assert_string_equal(client_header(client, "redelivered"), "true");
        assert_string_equal(client_header(client, "delivery-count"), "2");
        client_expect_message(client, "last");
        assert_string_equal(client_header(client, "delivery-count"), "4294967295");
        client_close(client);
    }
}

/* ---- ack:auto ---- */

static void test_auto_settles_when_it_is_written_and_not_before(void **state) {
    struct host *host = *state;
    FOR_EACH_VERSION {
        struct client *client = consume(host, version, "auto");
        deliver(host, 1, 1);
        host_expect_no_change(host);
        lay(client);
        host_expect_no_change(host);
        session_wrote(client->session, host->now);
        session_flushed(client->session);
        assert_string_equal(host_take_change(host), "settle 7-1\n");
        session_wrote(client->session, host->now);
        session_flushed(client->session);
        client_send(client, "UNSUBSCRIBE\nid:0\n\n");
        host_expect_no_change(host);
        host_answer(host, CHANGE_DONE);
        client_close(client);
    }
}

/* The transport has it, and a part of it may be with the client: it counts, and can be acknowledged. */
static void test_what_has_not_left_the_transport_is_not_settled(void **state) {
    struct host *host = *state;
    struct client *client = consume(host, STOMP_1_2, "auto");
    deliver(host, 1, 1);
    lay(client);
    session_wrote(client->session, host->now);
    host_expect_no_change(host);
    assert_int_equal(host->written_bytes, 0);
    client_close(client);
    assert_string_equal(host_take_change(host), "return 7-1 counted\n");
    assert_true(host->written_bytes > 0);
}

static void test_what_has_not_left_the_transport_can_be_acknowledged(void **state) {
    struct host *host = *state;
    struct client *client = consume(host, STOMP_1_2, "client-individual");
    deliver(host, 1, 1);
    lay(client);
    session_wrote(client->session, host->now);
    client_send(client, "ACK\nid:1\n\n");
    assert_string_equal(host_take_change(host), "settle 7-1\n");
    session_flushed(client->session);
    host_expect_no_change(host);
}

static void test_what_goes_back_since_the_node_goes_does_not_count(void **state) {
    struct host *host = *state;
    const enum fault_kind kinds[] = {FAULT_RESTART, FAULT_SHUTDOWN};
    for (size_t n = 0; n < COUNT(kinds); n++) {
        struct client *client = consume(host, STOMP_1_2, "client");
        deliver_and_read(client, 1, 1);
        session_end(client->session, kinds[n], "the node goes", false);
        assert_string_equal(host_take_change(host), "return 7-1\n");
    }
}

static void test_what_is_written_together_is_settled_together(void **state) {
    struct host *host = *state;
    struct client *client = consume(host, STOMP_1_2, "auto");
    deliver(host, 1, 2);
    subscribe(client, "1", "auto");
    deliver(host, 3, 4);
    for (int n = 0; n < 3; n++)
        lay(client);
    session_wrote(client->session, host->now);
    session_flushed(client->session);
    assert_string_equal(host_take_change(host), "settle 7-1\nsettle 7-2\nsettle 7-3\n");
    client_expect_message(client, "m4");
    assert_string_equal(host_take_change(host), "settle 7-4\n");
}

static void test_settling_what_was_written_holds_nothing_up(void **state) {
    struct host *host = *state;
    struct client *client = consume(host, STOMP_1_2, "auto");
    deliver_and_read(client, 1, 1);
    assert_int_equal(client->session->pending_count, 0);
    client_send(client, "DISCONNECT\nreceipt:r\n\n");
    client_expect_receipt(client, "r");
    host_answer(host, CHANGE_DONE);
}

static void test_an_ack_of_an_auto_delivery_changes_nothing(void **state) {
    struct host *host = *state;
    struct client *client = consume(host, STOMP_1_2, "auto");
    deliver_and_read(client, 1, 1);
    assert_string_equal(host_take_change(host), "settle 7-1\n");
    acknowledge(client, "NACK", 1, "");
    expect_receipt(client, 1);
    host_expect_no_change(host);
}

/* ---- ACK and NACK ---- */

static void test_an_ack_is_confirmed_when_the_store_has_settled_it(void **state) {
    struct host *host = *state;
    struct client *client = consume(host, STOMP_1_2, "client-individual");
    deliver_and_read(client, 1, 1);
    host_expect_no_change(host);
    acknowledge(client, "ACK", 1, "");
    assert_string_equal(host_take_change(host), "settle 7-1\n");
    client_expect_nothing(client);
    host_answer(host, CHANGE_DONE);
    expect_receipt(client, 1);
}

static void test_an_ack_that_the_store_refuses_ends_the_session(void **state) {
    struct host *host = *state;
    struct client *client = consume(host, STOMP_1_2, "client-individual");
    deliver_and_read(client, 1, 1);
    acknowledge(client, "ACK", 1, "");
    host_answer(host, CHANGE_FAILED);
    client_expect_error(client, FAULT_INTERNAL, "(/queue/x)");
    assert_string_equal(client_header(client, "receipt-id"), "1");
    host_expect_no_change(host);
}

static void test_nack_returns_or_rejects(void **state) {
    static const struct {
        const char *header;
        const char *change;
    } cases[] = {
        {"", "return 7-1 counted\n"},
        {"requeue:true\n", "return 7-1 counted\n"},
        {"requeue:false\n", "reject 7-1\n"},
    };
    struct host *host = *state;
    for (size_t n = 0; n < COUNT(cases); n++) {
        struct client *client = consume(host, STOMP_1_2, "client-individual");
        deliver_and_read(client, 1, 1);
        acknowledge(client, "NACK", 1, cases[n].header);
        assert_string_equal(host_take_change(host), cases[n].change);
        host_answer(host, CHANGE_DONE);
        expect_receipt(client, 1);
        client_close(client);
    }
}

static void test_requeue_is_read_of_nack_alone_and_must_be_true_or_false(void **state) {
    struct host *host = *state;
    struct client *client = consume(host, STOMP_1_2, "client-individual");
    deliver_and_read(client, 1, 2);
    acknowledge(client, "ACK", 1, "requeue:false\n");
    assert_string_equal(host_take_change(host), "settle 7-1\n");
    acknowledge(client, "NACK", 2, "requeue:no\n");
    client_expect_error(client, FAULT_PROTOCOL, "requeue");
    assert_string_equal(host_take_change(host), "return 7-2 counted\n");
}

static void test_mode_client_speaks_for_all_before_it_in_its_subscription(void **state) {
    struct host *host = *state;
    struct client *client = consume(host, STOMP_1_2, "client");
    deliver_and_read(client, 1, 2);
    uint64_t first = host->consumer;
    subscribe(client, "other", "client");
    deliver_and_read(client, 3, 3);
    host_deliver(host, first, 4, 1, "m4");
    host_deliver(host, first, 5, 1, "m5");
    client_expect_message(client, "m4");
    client_expect_message(client, "m5");
    acknowledge(client, "ACK", 4, "");
    assert_string_equal(host_take_change(host), "settle 7-1\nsettle 7-2\nsettle 7-4\n");
    acknowledge(client, "NACK", 5, "");
    assert_string_equal(host_take_change(host), "return 7-5 counted\n");
    acknowledge(client, "ACK", 3, "");
    assert_string_equal(host_take_change(host), "settle 7-3\n");
}

static void test_mode_client_individual_speaks_for_one(void **state) {
    struct host *host = *state;
    struct client *client = consume(host, STOMP_1_2, "client-individual");
    deliver_and_read(client, 1, 3);
    acknowledge(client, "ACK", 2, "");
    assert_string_equal(host_take_change(host), "settle 7-2\n");
    acknowledge(client, "NACK", 3, "");
    assert_string_equal(host_take_change(host), "return 7-3 counted\n");
    client_send(client, "UNSUBSCRIBE\nid:0\n\n");
    assert_string_equal(host_take_change(host), "return 7-1 counted\n");
}

static void test_what_is_settled_already_is_confirmed_and_changes_nothing(void **state) {
    static const char *const modes[] = {"client", "client-individual"};
    struct host *host = *state;
    for (size_t n = 0; n < COUNT(modes); n++) {
        struct client *client = consume(host, STOMP_1_2, modes[n]);
        deliver_and_read(client, 1, 1);
        acknowledge(client, "ACK", 1, "");
        host_answer(host, CHANGE_DONE);
        expect_receipt(client, 1);
        acknowledge(client, "ACK", 1, "");
        expect_receipt(client, 1);
        acknowledge(client, "NACK", 1, "requeue:false\n");
        expect_receipt(client, 1);
        client_close(client);
    }
    host_expect_no_change(host);
}

static void test_what_went_back_with_its_subscription_is_confirmed_and_changes_nothing(void **state) {
    struct host *host = *state;
    struct client *client = consume(host, STOMP_1_2, "client");
    deliver_and_read(client, 1, 1);
    client_send(client, "UNSUBSCRIBE\nid:0\n\n");
    assert_string_equal(host_take_change(host), "return 7-1 counted\n");
    acknowledge(client, "ACK", 1, "");
    expect_receipt(client, 1);
    host_expect_no_change(host);
}

static void test_what_was_never_given_out_is_an_error(void **state) {
    struct host *host = *state;
    struct client *other = consume(host, STOMP_1_2, "client");
    deliver_and_read(other, 1, 5);
    struct client *client = consume(host, STOMP_1_2, "client");
    deliver_and_read(client, 6, 6);
    acknowledge(client, "ACK", 2, ""); /* another session's */
    client_expect_error(client, FAULT_PROTOCOL, "no such ack id in this session (2)");
    assert_string_equal(client_header(client, "receipt-id"), "2");
    assert_string_equal(host_take_change(host), "return 7-6 counted\n");
    host_expect_no_change(host);
}

static void test_what_was_not_written_yet_is_an_error(void **state) {
    struct host *host = *state;
    for (int laid = 0; laid <= 1; laid++) {
        struct client *client = consume(host, STOMP_1_2, "client");
        deliver(host, 1, 1);
        if (laid)
            lay(client);
        acknowledge(client, "ACK", 1, "");
        client_expect_error(client, FAULT_PROTOCOL, "not sent yet");
        assert_string_equal(host_take_change(host), "return 7-1\n");
    }
}

static void test_1_0_names_the_message(void **state) {
    struct host *host = *state;
    char frame[128];
    struct client *client = client_connect(host, STOMP_1_0, "0,0");
    client_send(client, "SUBSCRIBE\ndestination:/queue/x\nack:client\n\n");
    deliver_and_read(client, 1, 2);
    snprintf(frame, sizeof frame, "ACK\nmessage-id:%s\nreceipt:r\n\n", client_header(client, "message-id"));
    deliver_and_read(client, 3, 3);
    client_send(client, frame);
    assert_string_equal(host_take_change(host), "settle 7-1\nsettle 7-2\n");
    host_answer(host, CHANGE_DONE);
    client_expect_receipt(client, "r");
    client_send(client, frame);
    client_expect_receipt(client, "r");
    host_expect_no_change(host);
}

static void test_1_1_names_the_message_and_the_subscription_that_it_came_by(void **state) {
    struct host *host = *state;
    char frame[128];
    struct client *client = consume(host, STOMP_1_1, "client-individual");
    subscribe(client, "1", "client-individual");
    deliver_and_read(client, 1, 1);
    char id[32];
    snprintf(id, sizeof id, "%s", client_header(client, "message-id"));
    snprintf(frame, sizeof frame, "ACK\nmessage-id:%s\nsubscription:0\nreceipt:a\n\n", id);
    client_send(client, frame);
    client_expect_receipt(client, "a");
    host_expect_no_change(host);
    snprintf(frame, sizeof frame, "NACK\nmessage-id:%s\nsubscription:1\nrequeue:false\nreceipt:b\n\n", id);
    client_send(client, frame);
    assert_string_equal(host_take_change(host), "reject 7-1\n");
    host_answer(host, CHANGE_DONE);
    client_expect_receipt(client, "b");
}

static void test_message_ids_that_are_not_unsettled_are_confirmed_before_1_2(void **state) {
    struct host *host = *state;
    struct client *client = consume(host, STOMP_1_1, "client");
    client_send(client, "ACK\nmessage-id:none\nsubscription:0\nreceipt:1\n\n");
    client_expect_receipt(client, "1");
    client_send(client, "ACK\nmessage-id:\nsubscription:0\nreceipt:2\n\n");
    client_expect_receipt(client, "2");
    host_expect_no_change(host);
}

static void test_a_message_that_comes_again_can_be_acknowledged_again(void **state) {
    struct host *host = *state;
    char frame[128];
    struct message *message = host_message(host, "q:x", "again");
    struct client *client = consume(host, STOMP_1_1, "client");
    for (uint32_t n = 1; n <= 3; n++) {
        host_deliver_message(host, host->consumer, 1, n, message);
        client_expect_message(client, "again");
        snprintf(frame, sizeof frame, "NACK\nmessage-id:%s\nsubscription:0\n\n", client_header(client, "message-id"));
        client_send(client, frame);
        assert_string_equal(host_take_change(host), "return 7-1 counted\n");
        host_answer(host, CHANGE_DONE);
    }
    client_expect_nothing(client);
    message_unref(message);
}

/* As two durable subscriptions get it whose patterns both match. */
static void test_a_message_that_comes_by_two_subscriptions_is_acknowledged_by_each(void **state) {
    static const enum stomp_version versions[] = {STOMP_1_0, STOMP_1_1};
    struct host *host = *state;
    struct message *message = host_message(host, "q:x", "twice");
    for (size_t v = 0; v < COUNT(versions); v++) {
        char frame[128];
        struct client *client = client_connect(host, versions[v], "0,0");
        for (unsigned n = 0; n <= 1; n++) {
            host_deliver_message(host, subscribe(client, n ? "b" : "a", "client"), n, 1, message);
            client_expect_message(client, "twice");
        }
        snprintf(frame, sizeof frame, "ACK\nmessage-id:%s\nsubscription:b\n\n", client_header(client, "message-id"));
        client_send(client, frame);
        assert_string_equal(host_take_change(host), "settle 7-1\n");
        frame[strlen(frame) - 3] = 'a';
        client_send(client, frame);
        assert_string_equal(host_take_change(host), "settle 7-0\n");
        host_answer_all(host);
    }
    message_unref(message);
}

/* ---- what goes back ---- */

/* Has number 1 settled, 2 written, 3 laid, 4 and 5 in the outbox. */
static struct client *consume_a_bit_of_all(struct host *host) {
    struct client *client = consume(host, STOMP_1_2, "client-individual");
    deliver_and_read(client, 1, 2);
    acknowledge(client, "ACK", 1, "");
    assert_string_equal(host_take_change(host), "settle 7-1\n");
    host_answer_all(host);
    expect_receipt(client, 1);
    deliver(host, 3, 5);
    lay(client);
    return client;
}

static const char all_but_1[] = "return 7-2 counted\nreturn 7-3\nreturn 7-4\nreturn 7-5\n";

static void test_unsubscribe_returns_what_is_unsettled_and_nothing_of_it_follows(void **state) {
    struct host *host = *state;
    struct client *client = consume_a_bit_of_all(host);
    client_send(client, "UNSUBSCRIBE\nid:0\nreceipt:r\n\n");
    assert_string_equal(host_take_change(host), all_but_1);
    assert_int_equal(host->consumers, 0);
    client_expect_receipt(client, "r"); /* it waits for no answer */
    client_expect_nothing(client);
    host_expect_no_change(host);
}

static void test_each_way_to_end_returns_what_is_unsettled(void **state) {
    static const char *const frames[] = {"DISCONNECT\n\n", "DISCONNECT\nreceipt:r\n\n", "COMMIT\ntransaction:t\n\n"};
    struct host *host = *state;
    for (size_t n = 0; n < COUNT(frames); n++) {
        struct client *client = consume_a_bit_of_all(host);
        client_send(client, frames[n]);
        assert_string_equal(host_take_change(host), all_but_1);
        assert_int_equal(host->consumers, 0);
        assert_int_equal(client->session->outbox.count, n > 0);
        session_wrote(client->session, host->now);
        session_flushed(client->session);
        client_close(client);
        host_expect_no_change(host);
    }
    struct client *client = consume_a_bit_of_all(host);
    client_close(client);
    assert_string_equal(host_take_change(host), all_but_1);
    client = consume_a_bit_of_all(host);
    session_end(client->session, FAULT_SILENT, "away", false);
    assert_string_equal(host_take_change(host), all_but_1);
    host_expect_no_change(host);
}

static void test_what_is_settled_by_auto_is_not_returned(void **state) {
    struct host *host = *state;
    struct client *client = consume(host, STOMP_1_2, "auto");
    deliver(host, 1, 3);
    client_expect_message(client, "m1");
    assert_string_equal(host_take_change(host), "settle 7-1\n");
    lay(client);
    client_close(client);
    assert_string_equal(host_take_change(host), "return 7-2\nreturn 7-3\n");
}

static void test_each_subscription_returns_its_own(void **state) {
    struct host *host = *state;
    struct client *client = consume(host, STOMP_1_2, "client");
    deliver_and_read(client, 1, 1);
    subscribe(client, "1", "client");
    deliver(host, 2, 2);
    client_send(client, "UNSUBSCRIBE\nid:0\n\n");
    assert_string_equal(host_take_change(host), "return 7-1 counted\n");
    client_expect_message(client, "m2");
    acknowledge(client, "ACK", 2, "");
    assert_string_equal(host_take_change(host), "settle 7-2\n");
}

static void test_a_subscription_that_has_nothing_returns_nothing(void **state) {
    struct host *host = *state;
    struct client *client = consume(host, STOMP_1_2, "client");
    client_send(client, "UNSUBSCRIBE\nid:0\n\n");
    assert_int_equal(host->consumers, 0);
    host_expect_no_change(host);
}

static void test_a_delivery_to_one_who_has_gone_is_returned(void **state) {
    struct host *host = *state;
    struct client *client = consume(host, STOMP_1_2, "client");
    uint64_t unsubscribed = host->consumer;
    client_send(client, "UNSUBSCRIBE\nid:0\n\n");
    host_deliver(host, unsubscribed, 1, 1, "m1");
    assert_string_equal(host_take_change(host), "return 7-1\n");
    subscribe(client, "0", "client");
    client_send(client, "DISCONNECT\n\n");
    host_deliver(host, host->consumer, 2, 1, "m2");
    assert_string_equal(host_take_change(host), "return 7-2\n");
    client_close(client);
    host_deliver(host, host->consumer, 3, 1, "m3");
    assert_string_equal(host_take_change(host), "return 7-3\n");
    host_deliver(host, 999, 4, 1, "m4"); /* who never was */
    assert_string_equal(host_take_change(host), "return 7-4\n");
}

/* ---- beside topics ---- */

static void test_deliveries_are_bounded_by_credit_and_not_by_outbox_size(void **state) {
    struct host *host = *state;
    host->limits.outbox_size = 200;
    struct client *client = consume(host, STOMP_1_2, "client");
    deliver(host, 1, 50);
    assert_int_equal(client->session->outbox.bytes, 0);
    session_settle(client->session);
    assert_int_equal(client->wakes, 1);
    assert_int_equal(client->session->state, SESSION_OPEN);
    for (int n = 0; n < 50; n++)
        client_expect(client, "MESSAGE");
    client_expect_nothing(client);
}

static void test_a_topic_beside_a_queue_still_fills_the_outbox(void **state) {
    struct host *host = *state;
    char frame[512];
    host->limits.outbox_size = 200;
    struct client *client = consume(host, STOMP_1_2, "client");
    client_send(client, "SUBSCRIBE\nid:t\ndestination:/topic/a\n\n");
    deliver(host, 1, 5);
    snprintf(frame, sizeof frame, "SEND\ndestination:/topic/a\n\n%0250d", 0); /* one always fits */
    client_send(client, frame);
    session_settle(client->session);
    assert_int_equal(client->session->state, SESSION_OPEN);
    client_send(client, "SEND\ndestination:/topic/a\n\nx");
    deliver(host, 6, 6); /* is not kept by one who is lost */
    assert_string_equal(host_take_change(host), "return 7-6\n");
    session_settle(client->session);
    client_expect_error(client, FAULT_SLOW, "outbox-size");
    assert_string_equal(host_take_change(host), "return 7-1\nreturn 7-2\nreturn 7-3\nreturn 7-4\nreturn 7-5\n");
}

static void test_frames_leave_in_the_order_they_came(void **state) {
    struct host *host = *state;
    struct client *client = consume(host, STOMP_1_2, "client");
    client_send(client, "SUBSCRIBE\nid:t\ndestination:/topic/a\n\n");
    deliver(host, 1, 1);
    client_send(client, "SEND\ndestination:/topic/a\nreceipt:r\n\nt");
    deliver(host, 2, 2);
    client_expect_message(client, "m1");
    client_expect_message(client, "t");
    client_expect_receipt(client, "r");
    client_expect_message(client, "m2");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_prefetch_is_what_the_client_asks_for_within_the_limit),
        TEST(test_a_prefetch_that_is_no_number_is_refused),
        TEST(test_the_receipt_comes_when_the_queue_is_attached_and_sends_wait_for_it),
        TEST(test_a_queue_that_is_attached_twice_or_too_late_is_nothing),
        TEST(test_unsubscribe_before_the_queue_is_attached_gives_both_receipts),
        TEST(test_out_of_memory_in_consuming_is_the_servers_fault),
        TEST(test_a_message_names_its_subscription_and_in_1_2_its_ack_id),
        TEST(test_ack_ids_are_unique_in_the_session_with_those_of_topics),
        TEST(test_a_message_that_was_delivered_before_says_how_often),
        TEST(test_auto_settles_when_it_is_written_and_not_before),
        TEST(test_what_has_not_left_the_transport_is_not_settled),
        TEST(test_what_has_not_left_the_transport_can_be_acknowledged),
        TEST(test_what_goes_back_since_the_node_goes_does_not_count),
        TEST(test_what_is_written_together_is_settled_together),
        TEST(test_settling_what_was_written_holds_nothing_up),
        TEST(test_an_ack_of_an_auto_delivery_changes_nothing),
        TEST(test_an_ack_is_confirmed_when_the_store_has_settled_it),
        TEST(test_an_ack_that_the_store_refuses_ends_the_session),
        TEST(test_nack_returns_or_rejects),
        TEST(test_requeue_is_read_of_nack_alone_and_must_be_true_or_false),
        TEST(test_mode_client_speaks_for_all_before_it_in_its_subscription),
        TEST(test_mode_client_individual_speaks_for_one),
        TEST(test_what_is_settled_already_is_confirmed_and_changes_nothing),
        TEST(test_what_went_back_with_its_subscription_is_confirmed_and_changes_nothing),
        TEST(test_what_was_never_given_out_is_an_error),
        TEST(test_what_was_not_written_yet_is_an_error),
        TEST(test_1_0_names_the_message),
        TEST(test_1_1_names_the_message_and_the_subscription_that_it_came_by),
        TEST(test_message_ids_that_are_not_unsettled_are_confirmed_before_1_2),
        TEST(test_a_message_that_comes_again_can_be_acknowledged_again),
        TEST(test_a_message_that_comes_by_two_subscriptions_is_acknowledged_by_each),
        TEST(test_unsubscribe_returns_what_is_unsettled_and_nothing_of_it_follows),
        TEST(test_each_way_to_end_returns_what_is_unsettled),
        TEST(test_what_is_settled_by_auto_is_not_returned),
        TEST(test_each_subscription_returns_its_own),
        TEST(test_a_subscription_that_has_nothing_returns_nothing),
        TEST(test_a_delivery_to_one_who_has_gone_is_returned),
        TEST(test_deliveries_are_bounded_by_credit_and_not_by_outbox_size),
        TEST(test_a_topic_beside_a_queue_still_fills_the_outbox),
        TEST(test_frames_leave_in_the_order_they_came),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
