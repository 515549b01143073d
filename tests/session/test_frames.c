/* What each frame of an open session does, in every version (CONNECT is in test_connect.c). */
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

/* A frame that ends a fresh session with that fault. */
static void assert_refused(struct host *host, enum stomp_version version, const char *frame, enum fault_kind kind,
                           const char *why) {
    struct client *client = client_connect(host, version, "0,0");
    client_send(client, frame);
    client_expect_error(client, kind, why);
    client_close(client);
}

/* ---- receipts and errors ---- */

static void test_every_command_in_every_version_gives_its_receipt(void **state) {
    static const char *const ack[] = {"message-id:m\n", "message-id:m\nsubscription:0\n", "id:1\n"};
    FOR_EACH_VERSION {
        struct client *client = client_connect(*state, version, "0,0");
        char frame[128];
        client_send(client, "SUBSCRIBE\nid:0\ndestination:/topic/a\nack:client\nreceipt:1\n\n");
        client_expect_receipt(client, "1");
        client_send(client, "SEND\ndestination:/topic/a\nreceipt:2\n\nx");
        client_expect_message(client, "x");
        client_expect_receipt(client, "2");
        client_send(client, "BEGIN\ntransaction:t\nreceipt:3\n\n");
        client_expect_receipt(client, "3");
        client_send(client, "SEND\ndestination:/topic/b\ntransaction:t\nreceipt:4\n\ny");
        client_expect_receipt(client, "4");
        snprintf(frame, sizeof frame, "ACK\n%sreceipt:5\n\n", ack[version]);
        client_send(client, frame);
        client_expect_receipt(client, "5");
        snprintf(frame, sizeof frame, "NACK\n%stransaction:t\nreceipt:6\n\n", ack[version]);
        if (version > STOMP_1_0) {
            client_send(client, frame);
            client_expect_receipt(client, "6");
        }
        client_send(client, "COMMIT\ntransaction:t\nreceipt:7\n\n");
        client_expect_receipt(client, "7");
        client_send(client, "BEGIN\ntransaction:t\n\n");
        client_send(client, "ABORT\ntransaction:t\nreceipt:8\n\n");
        client_expect_receipt(client, "8");
        client_send(client, "UNSUBSCRIBE\nid:0\nreceipt:9\n\n");
        client_expect_receipt(client, "9");
        client_send(client, "DISCONNECT\nreceipt:10\n\n");
        client_expect_receipt(client, "10");
        client_expect_nothing(client);
        assert_int_equal(client->session->state, SESSION_ENDING);
        assert_int_equal(client->session->end, FAULT_NONE);
        assert_string_equal(client->end_reason, "");
        assert_int_equal(client->ends, 1);
    }
}

static void test_frames_without_receipt_header_are_answered_by_nothing(void **state) {
    struct client *client = connect_1_2(*state);
    client_send(client, "SUBSCRIBE\nid:0\ndestination:/topic/a\n\n");
    client_send(client, "SEND\ndestination:/topic/b\n\nx");
    client_send(client, "BEGIN\ntransaction:t\n\n");
    client_send(client, "COMMIT\ntransaction:t\n\n");
    client_send(client, "UNSUBSCRIBE\nid:0\n\n");
    client_send(client, "DISCONNECT\n\n");
    client_expect_nothing(client);
    assert_int_equal(client->session->end, FAULT_NONE);
}

static void test_receipt_id_is_escaped_for_the_version(void **state) {
    struct client *client = connect_1_2(*state);
    client_send(client, "BEGIN\ntransaction:t\nreceipt:a\\c\\\\\\n\\rb\n\n");
    client_expect_receipt(client, "a:\\\n\rb");
    client = client_connect(*state, STOMP_1_0, "0,0");
    client_send(client, "BEGIN\ntransaction:t\nreceipt: a\\c:b \n\n");
    client_expect_receipt(client, "a\\c:b");
}

static void test_missing_headers_are_named(void **state) {
    static const struct {
        enum stomp_version from;
        const char *frame;
        const char *why;
    } cases[] = {
        {STOMP_1_0, "SEND\n\nx", "SEND needs the header destination"},
        {STOMP_1_0, "SUBSCRIBE\nid:0\n\n", "SUBSCRIBE needs the header destination"},
        {STOMP_1_1, "SUBSCRIBE\ndestination:/topic/a\n\n", "SUBSCRIBE needs the header id"},
        {STOMP_1_0, "UNSUBSCRIBE\n\n", "UNSUBSCRIBE needs the header id"},
        {STOMP_1_1, "UNSUBSCRIBE\ndestination:/topic/a\n\n", "UNSUBSCRIBE needs the header id"},
        {STOMP_1_0, "BEGIN\n\n", "BEGIN needs the header transaction"},
        {STOMP_1_0, "COMMIT\n\n", "COMMIT needs the header transaction"},
        {STOMP_1_0, "ABORT\n\n", "ABORT needs the header transaction"},
    };
    for (size_t n = 0; n < COUNT(cases); n++)
        for (enum stomp_version version = cases[n].from; version <= STOMP_1_2; version++)
            assert_refused(*state, version, cases[n].frame, FAULT_PROTOCOL, cases[n].why);
}

static void test_an_error_echoes_the_receipt_of_the_frame_at_fault(void **state) {
    struct client *client = connect_1_2(*state);
    client_send(client, "COMMIT\ntransaction:none\nreceipt:a\\cb\n\n");
    const struct wire_frame *error = client_expect_error(client, FAULT_PROTOCOL, "no such transaction (none)");
    assert_string_equal(wire_header(error, "receipt-id"), "a:b");
    assert_string_equal(wire_header(error, "content-type"), "text/plain");
    assert_null(wire_header(error, "version"));
    assert_true(bytes_equal(error->body, bytes_of(wire_header(error, "message"))));
}

static void test_an_error_without_a_receipt_header_names_none(void **state) {
    struct client *client = connect_1_2(*state);
    client_send(client, "COMMIT\ntransaction:none\n\n");
    client_expect_error(client, FAULT_PROTOCOL, "no such transaction");
    assert_null(client_header(client, "receipt-id"));
}

/* ---- SEND ---- */

static void test_a_send_is_published_with_its_own_headers_in_order(void **state) {
    struct host *host = *state;
    struct client *client = connect_1_2(host);
    client_send(client, "SUBSCRIBE\nid:0\ndestination:/topic/a\n\n");
    client_send(client, "SEND\ndestination:/topic/a\ncontent-type:text/plain\nx:1\ny:a\\cb\nx:2\n\nhello");
    host_expect_published(host, 0, "/topic/a", "hello");
    assert_int_equal(host->published[0]->route, ROUTE_TOPIC);
    assert_int_equal(message_only(host->published[0]).len, 0);
    const struct wire_frame *frame = client_expect_message(client, "hello");
    static const struct wire_header expected[] = {{"subscription", "0"},
                                                  {"destination", "/topic/a"},
                                                  {"message-id", NULL},
                                                  {"content-type", "text/plain"},
                                                  {"x", "1"},
                                                  {"y", "a:b"},
                                                  {"x", "2"},
                                                  {"content-length", "5"}};
    assert_int_equal(frame->header_count, COUNT(expected));
    for (size_t n = 0; n < COUNT(expected); n++) {
        assert_string_equal(frame->headers[n].name, expected[n].name);
        if (expected[n].value)
            assert_string_equal(frame->headers[n].value, expected[n].value);
    }
}

static void test_a_body_may_hold_any_octets(void **state) {
    struct client *client = connect_1_2(*state);
    static const char input[] = "SEND\ndestination:/topic/a\ncontent-length:6\n\na\0\n\xff\0b";
    client_send(client, "SUBSCRIBE\nid:0\ndestination:/topic/a\n\n");
    client_feed(client, input, sizeof input);
    const struct wire_frame *frame = client_expect(client, "MESSAGE");
    assert_int_equal(frame->body.len, 6);
    assert_memory_equal(frame->body.data, "a\0\n\xff\0b", 6);
}

static void test_headers_that_the_server_sets_cannot_be_forged(void **state) {
    struct client *client = connect_1_2(*state);
    client_send(client, "SUBSCRIBE\nid:0\ndestination:/topic/a\nack:client\n\n");
    client_send(client,
                "SEND\ndestination:/topic/a\nuser:root\nsession:s\nnode:n\nsubscription:forged\nmessage-id:forged\n"
                "redelivered:true\nack:forged\ndestination:/topic/forged\nreceipt:r\n\nx");
    const struct wire_frame *frame = client_expect_message(client, "x");
    assert_string_equal(wire_header(frame, "subscription"), "0");
    assert_string_equal(wire_header(frame, "destination"), "/topic/a");
    assert_string_not_equal(wire_header(frame, "message-id"), "forged");
    assert_string_equal(wire_header(frame, "ack"), "1");
    assert_int_equal(frame->header_count, 5); /* these and content-length */
    client_expect_receipt(client, "r");
}

static void test_message_ids_differ_between_sessions_and_messages(void **state) {
    char seen[4][64];
    struct client *one = connect_1_2(*state);
    struct client *other = connect_1_2(*state);
    client_send(one, "SUBSCRIBE\nid:0\ndestination:/topic/a\n\n");
    for (size_t n = 0; n < 4; n++) {
        client_send(n % 2 == 0 ? one : other, "SEND\ndestination:/topic/a\n\nx");
        client_expect_message(one, "x");
        snprintf(seen[n], sizeof seen[n], "%s", client_header(one, "message-id"));
        for (size_t before = 0; before < n; before++)
            assert_string_not_equal(seen[before], seen[n]);
    }
}

static void test_content_type_must_be_a_mime_type(void **state) {
    FOR_EACH_VERSION
    assert_refused(*state, version, "SEND\ndestination:/topic/a\ncontent-type:text\n\nx", FAULT_PROTOCOL,
                   "content-type");
}

static void test_destinations_that_nobody_serves_are_refused(void **state) {
    static const char *const others[] = {"/temp-queue/a", "/other/a"};
    for (size_t n = 0; n < COUNT(others); n++) {
        char frame[96];
        snprintf(frame, sizeof frame, "SEND\ndestination:%s\n\nx", others[n]);
        assert_refused(*state, STOMP_1_2, frame, FAULT_PROTOCOL, others[n]);
        snprintf(frame, sizeof frame, "SUBSCRIBE\nid:0\ndestination:%s\n\n", others[n]);
        assert_refused(*state, STOMP_1_2, frame, FAULT_PROTOCOL, others[n]);
    }
    assert_int_equal(((struct host *)*state)->published_count, 0);
}

static void test_malformed_destinations_are_refused(void **state) {
    assert_refused(*state, STOMP_1_2, "SEND\ndestination:/topic/*\n\nx", FAULT_PROTOCOL, "/topic/*");
    assert_refused(*state, STOMP_1_2, "SEND\ndestination:\n\nx", FAULT_PROTOCOL, "");
    assert_refused(*state, STOMP_1_2, "SUBSCRIBE\nid:0\ndestination:/user/**\n\n", FAULT_PROTOCOL, "/user/**");
}

static void test_out_of_memory_in_publishing_is_the_servers_fault(void **state) {
    struct host *host = *state;
    host->out_of_memory = true;
    assert_refused(host, STOMP_1_2, "SEND\ndestination:/topic/a\nreceipt:r\n\nx", FAULT_INTERNAL, "out of memory");
    assert_refused(host, STOMP_1_2, "SUBSCRIBE\nid:0\ndestination:/topic/a\nreceipt:r\n\n", FAULT_INTERNAL,
                   "out of memory");
}

/* ---- SUBSCRIBE and UNSUBSCRIBE ---- */

static void test_each_subscription_to_one_destination_gets_its_own_copy(void **state) {
    struct client *client = connect_1_2(*state);
    client_send(client, "SUBSCRIBE\nid:0\ndestination:/topic/a\n\n");
    client_send(client, "SUBSCRIBE\nid:s\\c1\ndestination:/topic/a\n\n");
    client_send(client, "SEND\ndestination:/topic/a\n\nx");
    client_expect_message(client, "x");
    assert_string_equal(client_header(client, "subscription"), "0");
    client_expect_message(client, "x");
    assert_string_equal(client_header(client, "subscription"), "s:1");
    client_expect_nothing(client);
}

static void test_an_id_is_unique_while_it_is_in_use(void **state) {
    struct client *client = connect_1_2(*state);
    client_send(client, "SUBSCRIBE\nid:0\ndestination:/topic/a\n\n");
    client_send(client, "UNSUBSCRIBE\nid:0\n\n");
    client_send(client, "SUBSCRIBE\nid:0\ndestination:/topic/b\n\n");
    client_expect_nothing(client);
    client_send(client, "SUBSCRIBE\nid:0\ndestination:/topic/c\nreceipt:r\n\n");
    client_expect_error(client, FAULT_PROTOCOL, "subscription id is in use (0)");
}

static void test_a_subscription_id_is_bounded(void **state) {
    struct host *host = *state;
    char frame[2000];
    host->limits.frames.header_size = 2000;
    struct client *client = connect_1_2(host);
    snprintf(frame, sizeof frame, "SUBSCRIBE\nid:%01024d\ndestination:/topic/a\nreceipt:r\n\n", 0);
    client_send(client, frame);
    client_expect_receipt(client, "r");
    snprintf(frame, sizeof frame, "SUBSCRIBE\nid:%01025d\ndestination:/topic/a\n\n", 0);
    client_send(client, frame);
    client_expect_error(client, FAULT_SIZE, "subscription id is longer than 1024 bytes");
}

static void test_1_0_may_subscribe_without_an_id(void **state) {
    struct host *host = *state;
    struct client *client = client_connect(host, STOMP_1_0, "0,0");
    client_send(client, "SUBSCRIBE\ndestination: /topic/a\n\n");
    client_send(client, "SUBSCRIBE\ndestination:/topic/a\n\n");
    client_send(client, "SEND\ndestination:/topic/a\n\nx");
    client_expect_message(client, "x");
    assert_null(client_header(client, "subscription"));
    client_expect_message(client, "x");
    client_send(client, "UNSUBSCRIBE\ndestination:/topic/a\nreceipt:r\n\n");
    client_expect_receipt(client, "r");
    assert_int_equal(host->subscription_count, 0);
}

static void test_ack_modes_are_those_of_the_version(void **state) {
    static const char *const modes[] = {"auto", "client", "client-individual", "Auto", ""};
    FOR_EACH_VERSION
    for (size_t n = 0; n < COUNT(modes); n++) {
        struct client *client = client_connect(*state, version, "0,0");
        char frame[96];
        snprintf(frame, sizeof frame, "SUBSCRIBE\nid:0\ndestination:/topic/a\nack:%s\nreceipt:r\n\n", modes[n]);
        client_send(client, frame);
        if (n < 2 || (n == 2 && version > STOMP_1_0))
            client_expect_receipt(client, "r");
        else
            client_expect_error(client, FAULT_PROTOCOL, "no such ack mode");
    }
}

static void test_messages_carry_ack_on_1_2_unless_the_mode_is_auto(void **state) {
    FOR_EACH_VERSION {
        struct client *client = client_connect(*state, version, "0,0");
        client_send(client, "SUBSCRIBE\nid:0\ndestination:/topic/a\nack:client\n\n");
        client_send(client, "SUBSCRIBE\nid:1\ndestination:/topic/a\nack:auto\n\n");
        client_send(client, "SEND\ndestination:/topic/a\n\nx");
        client_send(client, "SEND\ndestination:/topic/a\n\nx");
        for (int n = 1; n <= 2; n++) {
            char id[16];
            snprintf(id, sizeof id, "%d", n);
            client_expect_message(client, "x");
            if (version == STOMP_1_2)
                assert_string_equal(client_header(client, "ack"), id);
            else
                assert_null(client_header(client, "ack"));
            client_expect_message(client, "x");
            assert_null(client_header(client, "ack"));
        }
        client_close(client);
    }
}

static void test_too_many_subscriptions_are_refused(void **state) {
    struct host *host = *state;
    host->limits.subscriptions = 2;
    struct client *client = connect_1_2(host);
    client_send(client, "SUBSCRIBE\nid:0\ndestination:/topic/a\n\n");
    client_send(client, "SUBSCRIBE\nid:1\ndestination:/topic/a\n\n");
    client_send(client, "UNSUBSCRIBE\nid:0\n\n");
    client_send(client, "SUBSCRIBE\nid:2\ndestination:/topic/a\nreceipt:r\n\n");
    client_expect_receipt(client, "r");
    client_send(client, "SUBSCRIBE\nid:3\ndestination:/topic/a\n\n");
    client_expect_error(client, FAULT_POLICY, "(subscriptions)");
}

static void test_unsubscribe_of_an_unknown_id_is_ignored(void **state) {
    FOR_EACH_VERSION {
        struct client *client = client_connect(*state, version, "0,0");
        client_send(client, "UNSUBSCRIBE\nid:none\nreceipt:r\n\n");
        client_expect_receipt(client, "r");
        assert_int_equal(client->session->state, SESSION_OPEN);
    }
}

static void test_nothing_of_a_subscription_follows_its_unsubscribe(void **state) {
    struct client *client = connect_1_2(*state);
    client_send(client, "SUBSCRIBE\nid:0\ndestination:/topic/a\n\n");
    client_send(client, "SUBSCRIBE\nid:1\ndestination:/topic/a\n\n");
    client_send(client, "SEND\ndestination:/topic/a\n\nx");
    client_send(client, "UNSUBSCRIBE\nid:0\nreceipt:r\n\n");
    client_send(client, "SEND\ndestination:/topic/a\n\ny");
    client_expect_message(client, "x");
    assert_string_equal(client_header(client, "subscription"), "1");
    client_expect_receipt(client, "r");
    client_expect_message(client, "y");
    assert_string_equal(client_header(client, "subscription"), "1");
    client_expect_nothing(client);
}

/* ---- ACK and NACK ---- */

static void test_ack_and_nack_need_what_their_version_says(void **state) {
    static const struct {
        enum stomp_version version;
        const char *headers;
        const char *why;
    } cases[] = {
        {STOMP_1_0, "id:1\n", "message-id"},
        {STOMP_1_1, "id:1\nsubscription:0\n", "message-id"},
        {STOMP_1_1, "message-id:1\n", "subscription"},
        {STOMP_1_2, "message-id:1\nsubscription:0\n", "id"},
        {STOMP_1_1, "message-id:1\nsubscription:0\ntransaction:none\n", "no such transaction"},
        {STOMP_1_2, "id:1\n", "no such ack id"},
        {STOMP_1_2, "id:0\n", "no such ack id"},
        {STOMP_1_2, "id:x\n", "no such ack id"},
        {STOMP_1_2, "id:\n", "no such ack id"},
    };
    for (size_t n = 0; n < COUNT(cases); n++) {
        char frame[96];
        snprintf(frame, sizeof frame, "ACK\n%s\n", cases[n].headers);
        assert_refused(*state, cases[n].version, frame, FAULT_PROTOCOL, cases[n].why);
        snprintf(frame, sizeof frame, "NACK\n%s\n", cases[n].headers);
        assert_refused(*state, cases[n].version, frame, FAULT_PROTOCOL,
                       cases[n].version == STOMP_1_0 ? "no NACK" : cases[n].why);
    }
}

/* ---- transactions ---- */

static void test_commit_publishes_in_order_and_only_then(void **state) {
    struct host *host = *state;
    struct client *client = connect_1_2(host);
    client_send(client, "BEGIN\ntransaction:t\n\n");
    client_send(client, "SEND\ndestination:/topic/a\ntransaction:t\n\n1");
    client_send(client, "SEND\ndestination:/topic/b\n\nat once");
    client_send(client, "SEND\ndestination:/topic/a\ntransaction:t\n\n2");
    assert_int_equal(host->published_count, 1);
    client_send(client, "COMMIT\ntransaction:t\n\n");
    assert_int_equal(host->published_count, 3);
    host_expect_published(host, 0, "/topic/b", "at once");
    host_expect_published(host, 1, "/topic/a", "1");
    host_expect_published(host, 2, "/topic/a", "2");
    client_send(client, "COMMIT\ntransaction:t\n\n");
    client_expect_error(client, FAULT_PROTOCOL, "no such transaction (t)");
}

static void test_abort_publishes_nothing(void **state) {
    struct host *host = *state;
    struct client *client = connect_1_2(host);
    client_send(client, "BEGIN\ntransaction:t\n\n");
    client_send(client, "SEND\ndestination:/topic/a\ntransaction:t\n\n1");
    client_send(client, "ABORT\ntransaction:t\n\n");
    client_send(client, "BEGIN\ntransaction:t\n\n");
    client_send(client, "COMMIT\ntransaction:t\n\n");
    client_expect_nothing(client);
    assert_int_equal(host->published_count, 0);
}

static void test_open_transactions_are_aborted_by_the_end(void **state) {
    static const char *const ends[] = {"DISCONNECT\n\n", "ABORT\ntransaction:none\n\n"};
    struct host *host = *state;
    for (size_t n = 0; n < COUNT(ends); n++) {
        struct client *client = connect_1_2(host);
        client_send(client, "BEGIN\ntransaction:t\n\n");
        client_send(client, "SEND\ndestination:/topic/a\ntransaction:t\n\n1");
        client_send(client, ends[n]);
        assert_int_equal(client->session->transactions.count, 0);
        assert_int_equal(client->session->transactions.bytes, 0);
    }
    assert_int_equal(host->published_count, 0);
}

static void test_transactions_must_be_open_and_their_names_unique(void **state) {
    struct client *client = connect_1_2(*state);
    client_send(client, "BEGIN\ntransaction:t\n\n");
    client_send(client, "BEGIN\ntransaction:t\n\n");
    client_expect_error(client, FAULT_PROTOCOL, "transaction is open already (t)");
    assert_refused(*state, STOMP_1_2, "SEND\ndestination:/topic/a\ntransaction:u\n\n", FAULT_PROTOCOL,
                   "no such transaction (u)");
    assert_refused(*state, STOMP_1_2, "ABORT\ntransaction:u\n\n", FAULT_PROTOCOL, "no such transaction (u)");
}

static void test_too_many_open_transactions_are_refused(void **state) {
    struct host *host = *state;
    host->limits.transactions = 1;
    struct client *client = connect_1_2(host);
    client_send(client, "BEGIN\ntransaction:a\n\n");
    client_send(client, "ABORT\ntransaction:a\n\n");
    client_send(client, "BEGIN\ntransaction:b\nreceipt:r\n\n");
    client_expect_receipt(client, "r");
    client_send(client, "BEGIN\ntransaction:c\n\n");
    client_expect_error(client, FAULT_POLICY, "(transactions)");
}

static void test_too_many_frames_in_a_transaction_are_refused_acks_included(void **state) {
    struct host *host = *state;
    host->limits.transaction_frames = 3;
    struct client *client = connect_1_2(host);
    client_send(client, "SUBSCRIBE\nid:0\ndestination:/topic/a\nack:client\n\n");
    client_send(client, "SEND\ndestination:/topic/a\n\nx");
    client_expect_message(client, "x");
    client_send(client, "BEGIN\ntransaction:t\n\n");
    client_send(client, "SEND\ndestination:/topic/a\ntransaction:t\n\n");
    client_send(client, "ACK\nid:1\ntransaction:t\n\n");
    client_send(client, "NACK\nid:1\ntransaction:t\nreceipt:r\n\n");
    client_expect_receipt(client, "r");
    client_send(client, "SEND\ndestination:/topic/a\ntransaction:t\n\n");
    client_expect_error(client, FAULT_POLICY, "(transaction-frames)");
}

static void test_too_many_bytes_in_all_open_transactions_are_refused(void **state) {
    struct host *host = *state;
    host->limits.transaction_size = 400;
    struct client *client = connect_1_2(host);
    char frame[256];
    snprintf(frame, sizeof frame, "SEND\ndestination:/topic/a\ntransaction:t\n\n%0150d", 0);
    client_send(client, "BEGIN\ntransaction:t\n\n");
    client_send(client, frame);
    client_send(client, "COMMIT\ntransaction:t\n\n");
    client_send(client, "BEGIN\ntransaction:t\n\n");
    client_send(client, frame);
    client_expect_nothing(client);
    client_send(client, "BEGIN\ntransaction:u\n\n");
    client_send(client, "SEND\ndestination:/topic/a\ntransaction:u\n\nx");
    snprintf(frame, sizeof frame, "SEND\ndestination:/topic/a\ntransaction:u\n\n%0150d", 0);
    client_send(client, frame);
    client_expect_error(client, FAULT_POLICY, "(transaction-size)");
    assert_int_equal(host->published_count, 1);
}

static void test_a_commit_that_runs_out_of_memory_gives_no_receipt(void **state) {
    struct host *host = *state;
    struct client *client = connect_1_2(host);
    client_send(client, "BEGIN\ntransaction:t\n\n");
    client_send(client, "SEND\ndestination:/topic/a\ntransaction:t\n\nx");
    host->out_of_memory = true;
    client_send(client, "COMMIT\ntransaction:t\nreceipt:r\n\n");
    client_expect_error(client, FAULT_INTERNAL, "out of memory");
    assert_string_equal(client_header(client, "receipt-id"), "r");
}

/* ---- user destinations ---- */

static void assert_routed_to_user(const struct host *host, size_t n, struct bytes key, const char *only) {
    assert_true(n < host->published_count);
    const struct message *message = host->published[n];
    assert_int_equal(message->route, ROUTE_USER);
    assert_true(bytes_equal(message_key(message), key));
    assert_true(bytes_equal(message_only(message), bytes_of(only)));
}

static void test_a_send_to_a_user_is_keyed_by_the_name_and_shows_the_private_destination(void **state) {
    struct host *host = *state;
    struct client *client = client_log_in(host, "bob");
    client_send(client, "SEND\ndestination:/user/alice/queue/x\n\nhi");
    assert_routed_to_user(host, 0, BYTES("ualice\0/queue/x"), "");
    assert_true(bytes_start_with(message_head(host->published[0], STOMP_1_2), BYTES("destination:/user/queue/x\n")));
}

static void test_names_are_decoded_and_stay_apart(void **state) {
    struct host *host = *state;
    struct client *client = client_log_in(host, "bob");
    client_send(client, "SEND\ndestination:/user/a%2Fb/queue/x\n\n");
    client_send(client, "SEND\ndestination:/user/john.doe/queue/x\n\n");
    client_send(client, "SEND\ndestination:/user/%252F/queue/x\n\n");
    client_send(client, "SEND\ndestination:/user/*/queue/x\n\n");
    assert_routed_to_user(host, 0, BYTES("ua/b\0/queue/x"), "");
    assert_routed_to_user(host, 1, BYTES("ujohn.doe\0/queue/x"), "");
    assert_routed_to_user(host, 2, BYTES("u%2F\0/queue/x"), "");
    assert_routed_to_user(host, 3, BYTES("u*\0/queue/x"), "");
}

static void test_a_session_header_picks_one_session_of_a_user_and_is_not_passed_on(void **state) {
    struct host *host = *state;
    struct client *client = client_log_in(host, "bob");
    client_send(client, "SEND\ndestination:/user/alice/queue/x\nsession:n:b:0-7\n\nhi");
    assert_routed_to_user(host, 0, BYTES("ualice\0/queue/x"), "n:b:0-7");
    struct bytes head = message_head(host->published[0], STOMP_1_0);
    assert_null(memmem(head.data, head.len, "session", strlen("session")));
}

static void test_a_session_without_a_name_is_reached_by_the_empty_name_and_its_id(void **state) {
    struct host *host = *state;
    struct client *client = client_log_in(host, "bob");
    client_send(client, "SEND\ndestination:/user//queue/x\nsession:n:b:0-7\n\nhi");
    assert_routed_to_user(host, 0, BYTES("sn:b:0-7\0/queue/x"), "");
    client_send(client, "SEND\ndestination:/user//queue/x\n\nhi");
    client_expect_error(client, FAULT_PROTOCOL, "no session header");
}

static void test_ones_own_user_destination_is_subscribed_and_shown_as_written(void **state) {
    struct host *host = *state;
    struct client *client = client_log_in(host, "alice");
    client_send(client, "SUBSCRIBE\nid:0\ndestination:/user/queue/x\nreceipt:r\n\n");
    client_expect_receipt(client, "r");
    client_send(client, "SEND\ndestination:/user/alice/queue/x\n\nhi");
    session_deliver(host->subscriptions[0], host->published[0]);
    client_expect_message(client, "hi");
    assert_string_equal(client_header(client, "destination"), "/user/queue/x");
}

/* ---- DISCONNECT ---- */

static void test_disconnect_comes_after_what_waits_and_ends_all(void **state) {
    struct host *host = *state;
    struct client *client = connect_1_2(host);
    client_send(client, "SUBSCRIBE\nid:0\ndestination:/topic/a\n\n");
    struct subscription *subscription = host->subscriptions[0];
    static const char input[] =
        "SEND\ndestination:/topic/a\n\n1\0DISCONNECT\nreceipt:r\n\n\0SEND\ndestination:/topic/a\n\n2";
    client_feed(client, input, sizeof input);
    assert_int_equal(host->published_count, 1);
    assert_int_equal(host->subscription_count, 0);
    session_deliver(subscription, host->published[0]);
    client_send(client, "no frame at all");
    client_expect_message(client, "1");
    client_expect_receipt(client, "r");
    client_expect_nothing(client);
    assert_int_equal(client->session->end, FAULT_NONE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_a_subscription_id_is_bounded),
        TEST(test_every_command_in_every_version_gives_its_receipt),
        TEST(test_frames_without_receipt_header_are_answered_by_nothing),
        TEST(test_receipt_id_is_escaped_for_the_version),
        TEST(test_missing_headers_are_named),
        TEST(test_an_error_echoes_the_receipt_of_the_frame_at_fault),
        TEST(test_an_error_without_a_receipt_header_names_none),
        TEST(test_a_send_is_published_with_its_own_headers_in_order),
        TEST(test_a_body_may_hold_any_octets),
        TEST(test_headers_that_the_server_sets_cannot_be_forged),
        TEST(test_message_ids_differ_between_sessions_and_messages),
        TEST(test_content_type_must_be_a_mime_type),
        TEST(test_destinations_that_nobody_serves_are_refused),
        TEST(test_malformed_destinations_are_refused),
        TEST(test_out_of_memory_in_publishing_is_the_servers_fault),
        TEST(test_each_subscription_to_one_destination_gets_its_own_copy),
        TEST(test_an_id_is_unique_while_it_is_in_use),
        TEST(test_1_0_may_subscribe_without_an_id),
        TEST(test_ack_modes_are_those_of_the_version),
        TEST(test_messages_carry_ack_on_1_2_unless_the_mode_is_auto),
        TEST(test_too_many_subscriptions_are_refused),
        TEST(test_unsubscribe_of_an_unknown_id_is_ignored),
        TEST(test_nothing_of_a_subscription_follows_its_unsubscribe),
        TEST(test_ack_and_nack_need_what_their_version_says),
        TEST(test_commit_publishes_in_order_and_only_then),
        TEST(test_abort_publishes_nothing),
        TEST(test_open_transactions_are_aborted_by_the_end),
        TEST(test_transactions_must_be_open_and_their_names_unique),
        TEST(test_too_many_open_transactions_are_refused),
        TEST(test_too_many_frames_in_a_transaction_are_refused_acks_included),
        TEST(test_too_many_bytes_in_all_open_transactions_are_refused),
        TEST(test_a_commit_that_runs_out_of_memory_gives_no_receipt),
        TEST(test_a_send_to_a_user_is_keyed_by_the_name_and_shows_the_private_destination),
        TEST(test_names_are_decoded_and_stay_apart),
        TEST(test_a_session_header_picks_one_session_of_a_user_and_is_not_passed_on),
        TEST(test_a_session_without_a_name_is_reached_by_the_empty_name_and_its_id),
        TEST(test_ones_own_user_destination_is_subscribed_and_shown_as_written),
        TEST(test_disconnect_comes_after_what_waits_and_ends_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
