/* Reply addresses: what a SEND's `reply-to` opens, what its receivers see, and how it is sent to. */
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

#define ADDRESS_MAX 256
#define TOKEN_LEN   16

static struct client *connect_1_2(struct host *host) {
    return client_connect(host, STOMP_1_2, "0,0");
}

/* One who is subscribed to /topic/services. */
static struct client *connect_service(struct host *host) {
    struct client *service = connect_1_2(host);
    client_send(service, "SUBSCRIBE\nid:0\ndestination:/topic/services\n\n");
    return service;
}

/* Sends a request that wants its answer at `reply_to`. Returns what the service sees there; valid until its next frame. */
static const char *request(struct client *client, struct client *service, const char *reply_to) {
    char frame[512];
    snprintf(frame, sizeof frame, "SEND\ndestination:/topic/services\nreply-to:%s\n\nrequest", reply_to);
    client_send(client, frame);
    client_expect_message(service, "request");
    return client_header(service, "reply-to");
}

/* Fails unless the address is "/temp-queue/SESSION/TOKEN/NAME" of that client. Returns where "/TOKEN/NAME" begins. */
static const char *assert_address(const char *address, const struct client *client, const char *name) {
    char front[ADDRESS_MAX];
    snprintf(front, sizeof front, "/temp-queue/%s/", client->session->id);
    assert_non_null(address);
    assert_true(bytes_start_with(bytes_of(address), bytes_of(front)));
    const char *token = address + strlen(front);
    assert_int_equal(strspn(token, "0123456789abcdef"), TOKEN_LEN);
    assert_int_equal(token[TOKEN_LEN], '/');
    assert_string_equal(token + TOKEN_LEN + 1, name);
    return token - 1;
}

/* The last subscription is routed by "/temp-queue" and that: nothing that an anonymous session could subscribe for others. */
static void assert_routed_by(const struct host *host, const char *rest) {
    assert_true(bytes_start_with(bytes_of(host->rest), BYTES("/temp-queue")));
    assert_string_equal(host->rest + strlen("/temp-queue"), rest);
}

/* From 1.1 on a session's id has to be escaped. */
static void send_to(struct client *client, const char *address, const char *body) {
    char frame[ADDRESS_MAX + 64];
    size_t len = (size_t)snprintf(frame, sizeof frame, "SEND\ndestination:");
    for (const char *from = address; *from; from++)
        len += (size_t)snprintf(frame + len, sizeof frame - len, *from == ':' ? "\\c" : "%c", *from);
    snprintf(frame + len, sizeof frame - len, "\n\n%s", body);
    client_send(client, frame);
}

static void test_a_request_subscribes_its_session_and_shows_an_address(void **state) {
    struct host *host = *state;
    struct client *service = connect_service(host);
    FOR_EACH_VERSION {
        struct client *client = client_connect(host, version, "0,0");
        const char *rest = assert_address(request(client, service, "/temp-queue/answers"), client, "answers");
        assert_routed_by(host, rest);
        assert_int_equal(client->session->subscription_count, 1);
        client_expect_nothing(client);
    }
}

static void test_answers_come_by_the_name_that_was_asked_for(void **state) {
    struct host *host = *state;
    struct client *service = connect_service(host);
    FOR_EACH_VERSION {
        struct client *client = client_connect(host, version, "0,0");
        char address[ADDRESS_MAX];
        snprintf(address, sizeof address, "%s", request(client, service, "/temp-queue/a.b"));
        send_to(service, address, "answer");
        size_t last = host->published_count - 1;
        session_deliver(host->subscriptions[host->subscription_count - 1], host->published[last]);
        client_expect_message(client, "answer");
        assert_string_equal(client_header(client, "subscription"), "/temp-queue/a.b");
        assert_string_equal(client_header(client, "destination"), address);
        assert_null(client_header(client, "ack"));
    }
}

static void test_a_request_waits_until_answers_reach_its_session(void **state) {
    struct host *host = *state;
    FOR_EACH_VERSION {
        struct client *client = client_connect(host, version, "0,0");
        size_t published = host->published_count;
        host->live_at_once = false;
        client_send(client, "BEGIN\ntransaction:t\n\n");
        client_send(client, "SEND\ndestination:/topic/a\nreply-to:/temp-queue/a\nx:\\\\n\nreceipt:r\n\nx");
        assert_int_equal(host->published_count, published);
        client_expect_nothing(client);
        host_make_live(host);
        assert_int_equal(client->resumes, 1);
        client_go_on(client);
        client_expect_receipt(client, "r");
        assert_int_equal(host->published_count, published + 1);
        assert_int_equal(client->session->subscription_count, 1);
        client_send(client, "SEND\ndestination:/topic/a\nreply-to:/temp-queue/a\n\nx");
        assert_int_equal(host->published_count, published + 2); /* it is open now */
    }
}

static void test_a_request_that_waits_for_others_opens_nothing_meanwhile(void **state) {
    struct host *host = *state;
    struct client *client = connect_1_2(host);
    host->env.congested = true;
    client_send(client, "SEND\ndestination:/topic/a\nreply-to:/temp-queue/a\n\nx");
    assert_int_equal(host->subscription_count, 0);
    host_uncongest(host);
    client_go_on(client);
    assert_int_equal(host->subscription_count, 1);
    assert_int_equal(host->published_count, 1);
}

static void test_names_are_read_as_the_version_writes_them(void **state) {
    static const struct {
        enum stomp_version version;
        const char *header;
        const char *name;
    } cases[] = {
        {STOMP_1_0, " reply-to : /temp-queue/a\\c \n", "a\\c"},
        {STOMP_1_1, "reply-to:/temp-queue/a\\c\\\\b\n", "a:\\b"},
        {STOMP_1_2, "reply-to:/temp-queue/a\\c\\\\b\r\n", "a:\\b"},
        {STOMP_1_2, "content-length:1\nreply-to:/temp-queue/a\n", "a"},
        {STOMP_1_2, "x:reply-to\nreply-to:/temp-queue/a\nreply-to:/temp-queue/b\n", "a"}, /* the first counts */
    };
    struct host *host = *state;
    struct client *service = connect_service(host);
    for (size_t n = 0; n < COUNT(cases); n++) {
        char frame[256];
        struct client *client = client_connect(host, cases[n].version, "0,0");
        snprintf(frame, sizeof frame, "SEND\ndestination:/topic/services\n%s\nx", cases[n].header);
        client_send(client, frame);
        client_expect_message(service, "x");
        assert_routed_by(host, assert_address(client_header(service, "reply-to"), client, cases[n].name));
        assert_int_equal(client->session->subscription_count, 1);
    }
}

static void test_a_request_at_fault_is_told_as_any_send(void **state) {
    struct host *host = *state;
    for (int split = 0; split <= 1; split++) { /* the parser holds a split one in a buffer of its own */
        static const char frame[] = "SEND\ndestination:/topic/a\nreply-to:/temp-queue/a\nx:\\t\n\nx";
        struct client *client = connect_1_2(host);
        client_feed(client, frame, split ? 20 : sizeof frame);
        if (split)
            client_feed(client, frame + 20, sizeof frame - 20);
        client_expect_error(client, FAULT_PROTOCOL, "undefined escape sequence");
    }
    struct client *client = client_open(host);
    client_send(client, "SEND\ndestination:/topic/a\nreply-to:/temp-queue/a\n\nx");
    client_expect_error(client, FAULT_PROTOCOL, "first frame must be CONNECT");
    assert_string_equal(host->rest, ""); /* none of them has subscribed anything */
}

static void test_a_name_has_one_subscription_and_one_address(void **state) {
    struct host *host = *state;
    struct client *service = connect_service(host);
    struct client *client = connect_1_2(host);
    char first[ADDRESS_MAX];
    snprintf(first, sizeof first, "%s", request(client, service, "/temp-queue/a"));
    assert_string_equal(request(client, service, "/temp-queue/a"), first);
    assert_int_equal(client->session->subscription_count, 1);
    assert_string_not_equal(request(client, service, "/temp-queue/b"), first);
    assert_int_equal(client->session->subscription_count, 2);
}

static void test_sessions_have_addresses_of_their_own(void **state) {
    struct host *host = *state;
    struct client *service = connect_service(host);
    struct client *one = connect_1_2(host);
    struct client *other = connect_1_2(host);
    char token[TOKEN_LEN + 2];
    snprintf(token, sizeof token, "%s", assert_address(request(one, service, "/temp-queue/a"), one, "a"));
    const char *rest = assert_address(request(other, service, "/temp-queue/a"), other, "a");
    assert_memory_not_equal(rest, token, TOKEN_LEN + 1);
}

static void test_an_address_is_passed_on_as_it_is(void **state) {
    struct host *host = *state;
    struct client *service = connect_service(host);
    struct client *client = connect_1_2(host);
    assert_string_equal(request(client, service, "/temp-queue/n\\cb\\c0-1/0123456789abcdef/a"),
                        "/temp-queue/n:b:0-1/0123456789abcdef/a");
    assert_string_equal(request(client, service, "/queue/answers"), "/queue/answers");
    assert_string_equal(request(client, service, "anything"), "anything");
    assert_int_equal(client->session->subscription_count, 0);
}

static void test_a_request_to_a_queue_or_in_a_transaction_opens_one_too(void **state) {
    struct host *host = *state;
    struct client *client = connect_1_2(host);
    client_send(client, "SEND\ndestination:/queue/a\nreply-to:/temp-queue/q\n\nx");
    assert_int_equal(client->session->subscription_count, 1);
    struct bytes head = message_head(host->changes[0]->operations[0].message, STOMP_1_0);
    assert_non_null(memmem(head.data, head.len, client->session->id, strlen(client->session->id)));
    client_send(client, "BEGIN\ntransaction:t\n\n");
    client_send(client, "SEND\ndestination:/topic/a\ntransaction:t\nreply-to:/temp-queue/t\n\nx");
    assert_int_equal(client->session->subscription_count, 2);
    assert_int_equal(host->published_count, 0);
}

static void test_a_send_to_an_address_reaches_that_session_by_token_and_name(void **state) {
    struct host *host = *state;
    struct client *client = client_log_in(host, "alice"); /* addresses have nothing to do with users */
    client_send(client, "SEND\ndestination:/temp-queue/n\\cb\\c0-7/0123/a/b\n\nanswer");
    const struct message *message = host->published[0];
    assert_int_equal(message->route, ROUTE_USER);
    assert_true(bytes_equal(message_key(message), BYTES("sn:b:0-7\0/temp-queue/0123/a/b")));
    assert_int_equal(message_only(message).len, 0);
    client_send(client, "SEND\ndestination:/temp-queue/n\\cb\\c0-7/0123/a/b\nreceipt:r\n\nanswer");
    client_expect_receipt(client, "r"); /* whether or not anyone is there */
    host_expect_no_change(host);
}

static void test_what_is_no_address_can_not_be_sent_to(void **state) {
    static const char *const destinations[] = {"/temp-queue/a", "/temp-queue//a", "/temp-queue/", "/temp-queue"};
    struct host *host = *state;
    for (size_t n = 0; n < COUNT(destinations); n++) {
        char frame[128];
        struct client *client = connect_1_2(host);
        snprintf(frame, sizeof frame, "SEND\ndestination:%s\nreceipt:r\n\nx", destinations[n]);
        client_send(client, frame);
        client_expect_error(client, FAULT_PROTOCOL, destinations[n]);
    }
    assert_int_equal(host->published_count, 0);
}

static void test_reply_addresses_can_not_be_subscribed_to(void **state) {
    static const char *const destinations[] = {"/temp-queue/a", "/temp-queue/n/0123/a", "/temp-queue/*"};
    struct host *host = *state;
    for (size_t n = 0; n < COUNT(destinations); n++) {
        char frame[128];
        struct client *client = connect_1_2(host);
        snprintf(frame, sizeof frame, "SUBSCRIBE\nid:0\ndestination:%s\nreceipt:r\n\n", destinations[n]);
        client_send(client, frame);
        client_expect_error(client, FAULT_PROTOCOL, destinations[n]);
    }
}

static void test_a_reply_to_must_be_a_destination(void **state) {
    static const char *const values[] = {"/temp-queue/", "/temp-queue/a\\nb"};
    struct host *host = *state;
    for (size_t n = 0; n < COUNT(values); n++) {
        char frame[128];
        struct client *client = connect_1_2(host);
        snprintf(frame, sizeof frame, "SEND\ndestination:/topic/a\nreply-to:%s\nreceipt:r\n\nx", values[n]);
        client_send(client, frame);
        client_expect_error(client, FAULT_PROTOCOL, "/temp-queue/");
        assert_string_equal(client_header(client, "receipt-id"), "r");
    }
    assert_int_equal(host->published_count, 0);
}

static void test_subscriptions_of_requests_count(void **state) {
    struct host *host = *state;
    host->limits.subscriptions = 2;
    struct client *client = connect_1_2(host);
    client_send(client, "SUBSCRIBE\nid:0\ndestination:/topic/a\n\n");
    client_send(client, "SEND\ndestination:/topic/b\nreply-to:/temp-queue/1\n\nx");
    client_send(client, "SEND\ndestination:/topic/b\nreply-to:/temp-queue/1\n\nx");
    client_send(client, "SEND\ndestination:/topic/b\nreply-to:/temp-queue/2\nreceipt:r\n\nx");
    client_expect_error(client, FAULT_POLICY, "(subscriptions)");
    assert_int_equal(host->published_count, 2);
}

static void test_one_ends_by_unsubscribe_and_is_opened_again_by_the_next_request(void **state) {
    struct host *host = *state;
    struct client *client = connect_1_2(host);
    client_send(client, "SEND\ndestination:/topic/b\nreply-to:/temp-queue/a\n\nx");
    client_send(client, "UNSUBSCRIBE\nid:/temp-queue/a\n\n");
    assert_int_equal(host->subscription_count, 0);
    client_send(client, "SEND\ndestination:/topic/b\nreply-to:/temp-queue/a\n\nx");
    assert_int_equal(host->subscription_count, 1);
}

static void test_out_of_memory_in_subscribing_is_the_servers_fault(void **state) {
    struct host *host = *state;
    struct client *client = connect_1_2(host);
    host->out_of_memory = true;
    client_send(client, "SEND\ndestination:/queue/b\nreply-to:/temp-queue/a\nreceipt:r\n\nx");
    client_expect_error(client, FAULT_INTERNAL, "out of memory");
    assert_int_equal(host->change_count, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_a_request_subscribes_its_session_and_shows_an_address),
        TEST(test_answers_come_by_the_name_that_was_asked_for),
        TEST(test_a_request_waits_until_answers_reach_its_session),
        TEST(test_a_request_that_waits_for_others_opens_nothing_meanwhile),
        TEST(test_names_are_read_as_the_version_writes_them),
        TEST(test_a_request_at_fault_is_told_as_any_send),
        TEST(test_a_name_has_one_subscription_and_one_address),
        TEST(test_sessions_have_addresses_of_their_own),
        TEST(test_an_address_is_passed_on_as_it_is),
        TEST(test_a_request_to_a_queue_or_in_a_transaction_opens_one_too),
        TEST(test_a_send_to_an_address_reaches_that_session_by_token_and_name),
        TEST(test_what_is_no_address_can_not_be_sent_to),
        TEST(test_reply_addresses_can_not_be_subscribed_to),
        TEST(test_a_reply_to_must_be_a_destination),
        TEST(test_subscriptions_of_requests_count),
        TEST(test_one_ends_by_unsubscribe_and_is_opened_again_by_the_next_request),
        TEST(test_out_of_memory_in_subscribing_is_the_servers_fault),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
