/* /app/…: SENDs to the application's own consumers, what they can rely on, and who may be one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "host.h"

#define TEST(name)       cmocka_unit_test_setup_teardown(name, host_setup, host_teardown)
#define COUNT(array)     (sizeof(array) / sizeof(array)[0])
#define FOR_EACH_VERSION for (enum stomp_version version = STOMP_1_0; version <= STOMP_1_2; version++)

/* A section of the conf file whose app-consumers are `worker` and, if not NULL, another. */
static void add_section(struct host *host, const char *pattern, const char *other) {
    struct policy *policy = policies_add(&host->policies, pattern);
    assert_non_null(policy);
    policy->app_consumers = calloc(2, sizeof *policy->app_consumers);
    assert_non_null(policy->app_consumers);
    policy->app_consumers[policy->app_consumer_count++] = strdup("worker");
    if (other)
        policy->app_consumers[policy->app_consumer_count++] = strdup(other);
}

/* One without app-consumers. */
static void add_empty_section(struct host *host, const char *pattern) {
    assert_non_null(policies_add(&host->policies, pattern));
}

/* What was put last. */
static struct message *last_put(const struct host *host) {
    assert_true(host->change_count > 0);
    return host->changes[host->change_count - 1]->operations[0].message;
}

/* ---- SEND ---- */

static void test_a_send_goes_to_the_queue_of_the_first_section_that_matches(void **state) {
    static const struct {
        const char *destination;
        const char *change;
    } cases[] = {
        {"/app/orders.new", "put a:/app/orders.* 0 x\n"},
        {"/app/orders/new", "put a:/app/orders.* 0 x\n"},
        {"/app/orders.a.b", "put a:/app/** 0 x\n"},
        {"/app/chat", "put a:/app/chat 0 x\n"},
        {"/app/other", "put a:/app/** 0 x\n"},
    };
    struct host *host = *state;
    add_section(host, "/app/orders.*", NULL);
    add_section(host, "/app/chat", NULL);
    add_section(host, "/app/**", NULL);
    struct client *client = client_connect(host, STOMP_1_2, "0,0");
    for (size_t n = 0; n < COUNT(cases); n++) {
        char frame[128];
        snprintf(frame, sizeof frame, "SEND\ndestination:%s\nreceipt:r\n\nx", cases[n].destination);
        client_send(client, frame);
        assert_string_equal(host_take_change(host), cases[n].change);
        client_expect_nothing(client);
        host_answer(host, CHANGE_DONE);
        client_expect_receipt(client, "r");
    }
}

static void test_the_application_sees_where_it_was_sent(void **state) {
    struct host *host = *state;
    add_section(host, "/app/**", NULL);
    struct client *client = client_connect(host, STOMP_1_2, "0,0");
    client_send(client, "SEND\ndestination:/app/a/b\n\nx");
    assert_true(bytes_start_with(message_head(last_put(host), STOMP_1_2), BYTES("destination:/app/a/b\n")));
}

/* What was put last comes to the application. */
static void give_to_application(struct host *host, struct client *application) {
    host_deliver_message(host, host->consumer, 1, 1, last_put(host));
    client_expect(application, "MESSAGE");
}

static void test_the_application_is_told_who_has_sent_it_and_nobody_can_forge_it(void **state) {
    struct host *host = *state;
    add_section(host, "/app/**", NULL);
    struct client *application = client_log_in(host, "worker");
    client_send(application, "SUBSCRIBE\nid:0\ndestination:/app/**\nack:client\n\n");
    struct client *alice = client_log_in(host, "al\\cice");
    client_send(alice, "SEND\ndestination:/app/a\nuser:root\nsession:s\nnode:n\n user:root\nx:1\n\nx");
    give_to_application(host, application);
    assert_string_equal(client_header(application, "user"), "al\\cice");
    assert_string_equal(client_header(application, "session"), alice->session->id);
    assert_string_equal(client_header(application, "node"), "node-a");
    assert_string_equal(client_header(application, "x"), "1");
    assert_int_equal(application->frame.header_count,
                     9); /* these, destination, message-id, subscription, ack, length */
    struct client *nobody = client_connect(host, STOMP_1_2, "0,0");
    client_send(nobody, "SEND\ndestination:/app/a\nuser:root\nsession:s\nnode:n\n\nx");
    give_to_application(host, application);
    assert_null(client_header(application, "user"));
    assert_string_equal(client_header(application, "session"), nobody->session->id);
}

static void test_only_applications_are_told_the_sender(void **state) {
    struct host *host = *state;
    struct client *client = client_log_in(host, "alice");
    client_send(client, "SEND\ndestination:/queue/a\n\nx");
    struct bytes head = message_head(last_put(host), STOMP_1_2);
    assert_null(memmem(head.data, head.len, "alice", strlen("alice")));
    assert_null(memmem(head.data, head.len, "session", strlen("session")));
}

static void test_a_send_where_no_application_is_named_is_refused(void **state) {
    struct host *host = *state;
    add_empty_section(host, "/app/closed");
    add_section(host, "/app/open.**", NULL);
    static const char *const destinations[] = {"/app/closed", "/app/elsewhere"};
    for (size_t n = 0; n < COUNT(destinations); n++) {
        char frame[128];
        struct client *client = client_connect(host, STOMP_1_2, "0,0");
        snprintf(frame, sizeof frame, "SEND\ndestination:%s\nreceipt:r\n\nx", destinations[n]);
        client_send(client, frame);
        client_expect_error(client, FAULT_POLICY, "app-consumers");
        assert_non_null(strstr(client_header(client, "message"), destinations[n]));
        assert_string_equal(client_header(client, "receipt-id"), "r");
    }
    host_expect_no_change(host);
}

static void test_a_send_of_a_transaction_waits_for_commit(void **state) {
    struct host *host = *state;
    add_section(host, "/app/**", NULL);
    struct client *client = client_connect(host, STOMP_1_2, "0,0");
    client_send(client, "BEGIN\ntransaction:t\n\n");
    client_send(client, "SEND\ndestination:/app/a\ntransaction:t\n\nx");
    host_expect_no_change(host);
    client_send(client, "COMMIT\ntransaction:t\n\n");
    assert_string_equal(host_take_change(host), "together\nput a:/app/** 0 x\n");
}

static void test_a_full_queue_is_called_by_the_sends_destination(void **state) {
    struct host *host = *state;
    add_section(host, "/app/**", NULL);
    struct client *client = client_connect(host, STOMP_1_2, "0,0");
    client_send(client, "SEND\ndestination:/app/a\n\nx");
    host_answer(host, CHANGE_FULL);
    client_expect_error(client, FAULT_POLICY, "the queue is full (/app/a)");
}

/* ---- SUBSCRIBE ---- */

static void test_those_who_are_named_may_subscribe_the_sections_pattern(void **state) {
    static const char *const users[] = {"worker", "second"};
    struct host *host = *state;
    add_section(host, "/app/orders.**", "second");
    for (size_t n = 0; n < COUNT(users); n++) {
        struct client *client = client_log_in(host, users[n]);
        client_send(client, "SUBSCRIBE\nid:0\ndestination:/app/orders.**\nprefetch-count:7\nreceipt:r\n\n");
        client_expect_receipt(client, "r");
        assert_string_equal(host->consumed, "a:/app/orders.** 7");
    }
}

static void test_all_others_may_not(void **state) {
    static const char *const users[] = {"alice", "work", "Worker", "worker2"};
    struct host *host = *state;
    add_section(host, "/app/**", NULL);
    for (size_t n = 0; n <= COUNT(users); n++) {
        struct client *client =
            n < COUNT(users) ? client_log_in(host, users[n]) : client_connect(host, STOMP_1_2, "0,0");
        client_send(client, "SUBSCRIBE\nid:0\ndestination:/app/**\nreceipt:r\n\n");
        client_expect_error(client, FAULT_POLICY, "app-consumers (/app/**)");
        assert_string_equal(client_header(client, "receipt-id"), "r");
    }
    assert_string_equal(host->consumed, "");
}

static void test_what_is_no_sections_pattern_as_it_is_written_there_is_refused(void **state) {
    static const char *const others[] = {"/app/orders",   "/app/orders.new", "/app/orders/**",
                                         "/app/orders.*", "/app/orders.***", "/app/chat/x"};
    struct host *host = *state;
    add_section(host, "/app/orders.**", NULL);
    add_section(host, "/app/chat.x", NULL);
    for (size_t n = 0; n < COUNT(others); n++) {
        char frame[128];
        struct client *client = client_log_in(host, "worker");
        snprintf(frame, sizeof frame, "SUBSCRIBE\nid:0\ndestination:%s\n\n", others[n]);
        client_send(client, frame);
        client_expect_error(client, FAULT_POLICY, "as it is written there");
        assert_non_null(strstr(client_header(client, "message"), others[n]));
    }
    assert_string_equal(host->consumed, "");
}

static void test_the_default_section_admits_nobody(void **state) {
    struct host *host = *state;
    struct client *client = client_log_in(host, "worker");
    client_send(client, "SUBSCRIBE\nid:0\ndestination:/app/**\n\n");
    client_expect_error(client, FAULT_POLICY, "app-consumers (/app/**)");
}

/* Two stars, read as a destination, are a segment that one star stands for. */
static void test_a_pattern_may_look_like_a_destination_of_an_earlier_section(void **state) {
    struct host *host = *state;
    add_section(host, "/app/*", NULL);
    add_section(host, "/app/**", NULL);
    struct client *client = client_log_in(host, "worker");
    client_send(client, "SUBSCRIBE\nid:0\ndestination:/app/**\nreceipt:r\n\n");
    client_expect_receipt(client, "r");
    assert_string_equal(host->consumed, "a:/app/** 100");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_a_send_goes_to_the_queue_of_the_first_section_that_matches),
        TEST(test_the_application_sees_where_it_was_sent),
        TEST(test_the_application_is_told_who_has_sent_it_and_nobody_can_forge_it),
        TEST(test_only_applications_are_told_the_sender),
        TEST(test_a_send_where_no_application_is_named_is_refused),
        TEST(test_a_send_of_a_transaction_waits_for_commit),
        TEST(test_a_full_queue_is_called_by_the_sends_destination),
        TEST(test_those_who_are_named_may_subscribe_the_sections_pattern),
        TEST(test_all_others_may_not),
        TEST(test_what_is_no_sections_pattern_as_it_is_written_there_is_refused),
        TEST(test_the_default_section_admits_nobody),
        TEST(test_a_pattern_may_look_like_a_destination_of_an_earlier_section),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
