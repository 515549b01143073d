/* Durable subscriptions of topics, as a session asks for them and ends them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "host.h"

#define TEST(name)  cmocka_unit_test_setup_teardown(name, host_setup, host_teardown)
#define SUBSCRIBE   "SUBSCRIBE\nid:1\ndestination:/topic/a\ndurable:true\nreceipt:s\n\n"
#define UNSUBSCRIBE "UNSUBSCRIBE\nid:1\ndurable:true\nreceipt:u\n\n"

static void end_forgetting(struct host *host) {
    struct pending *pending = host->forgetting;
    assert_non_null(pending);
    host->forgetting = NULL;
    session_changed(&host->env, pending, CHANGE_DONE);
}

/* ---- SUBSCRIBE ---- */

static void test_a_durable_subscription_consumes_from_a_queue_of_its_own(void **state) {
    static const char *const cases[][4] = {
        /* user, headers, queue and prefetch, topic */
        {"ann", "id:1\ndestination:/topic/a", "d:ann/1 100", "/topic/a"},
        {"ann", "id:a b/c\ndestination:/topic/a.**\nack:client", "d:ann/a b/c 100", "/topic/a.**"},
        {"a/b%", "id:2\ndestination:/topic/*\nprefetch-count:7", "d:a%2Fb%25/2 7", "/topic/*"},
    };
    struct host *host = *state;
    for (size_t n = 0; n < 3; n++) {
        char frame[256];
        struct client *client = client_log_in(host, cases[n][0]);
        snprintf(frame, sizeof frame, "SUBSCRIBE\n%s\ndurable:true\nreceipt:r\n\n", cases[n][1]);
        client_send(client, frame);
        client_expect_receipt(client, "r");
        assert_string_equal(host->consumed, cases[n][2]);
        assert_string_equal(host->bound, cases[n][3]);
    }
    assert_int_equal(host->subscription_count, 0);
    assert_int_equal(host->consumers, 3);
}

static void test_what_is_not_durable_is_a_subscription_like_any_other(void **state) {
    struct host *host = *state;
    struct client *client = client_connect(host, STOMP_1_2, "0,0");
    host->live_at_once = true;
    client_send(client, "SUBSCRIBE\nid:1\ndestination:/topic/a\ndurable:false\nreceipt:r\n\n");
    client_expect_receipt(client, "r");
    assert_int_equal(host->subscription_count, 1);
    assert_int_equal(host->consumers, 0);
    client_send(client, "UNSUBSCRIBE\nid:1\ndurable:false\nreceipt:u\n\n");
    client_expect_receipt(client, "u");
    assert_string_equal(host->forgotten, "");
}

static void test_a_queue_is_no_more_durable_than_it_is(void **state) {
    struct host *host = *state;
    struct client *client = client_connect(host, STOMP_1_2, "0,0");
    client_send(client, "SUBSCRIBE\nid:1\ndestination:/queue/a\ndurable:true\nreceipt:r\n\n");
    client_expect_receipt(client, "r");
    assert_string_equal(host->consumed, "q:a 100");
    assert_string_equal(host->bound, "");
}

static void test_the_receipt_waits_until_it_is_bound(void **state) {
    struct host *host = *state;
    struct client *client = client_log_in(host, "ann");
    host->consuming_at_once = false;
    client_send(client, SUBSCRIBE);
    client_send(client, "SEND\ndestination:/topic/b\n\nlater"); /* so that an answer to it would not be missed */
    client_expect_nothing(client);
    assert_int_equal(host->published_count, 0);
    session_consuming(&host->env, host->consumer, CONSUMING);
    client_expect_receipt(client, "s");
    client_go_on(client);
    host_expect_published(host, 0, "/topic/b", "later");
}

static void expect_refusal(struct host *host, enum consuming consuming, const char *why) {
    struct client *client = client_log_in(host, "ann");
    host->consuming_at_once = false;
    client_send(client, SUBSCRIBE);
    session_consuming(&host->env, host->consumer, consuming);
    client_expect_error(client, FAULT_POLICY, why);
    assert_int_equal(host->consumers, 0);
}

static void test_what_is_refused_ends_the_session(void **state) {
    expect_refusal(*state, CONSUMING_TAKEN, "one of another destination");
    expect_refusal(*state, CONSUMING_TOO_MANY, "too many durable subscriptions (durable-subscriptions)");
}

/* Such as when the store was emptied, and it was bound again meanwhile by somebody else. */
static void test_who_is_served_is_not_refused_any_more(void **state) {
    struct host *host = *state;
    struct client *client = client_log_in(host, "ann");
    client_send(client, SUBSCRIBE);
    client_expect_receipt(client, "s");
    session_consuming(&host->env, host->consumer, CONSUMING_TAKEN);
    client_expect_nothing(client);
}

static void test_it_needs_a_name_and_an_id(void **state) {
    struct host *host = *state;
    struct client *client = client_connect(host, STOMP_1_2, "0,0");
    client_send(client, SUBSCRIBE);
    client_expect_error(client, FAULT_POLICY, "needs a user");
    client = client_connect(host, STOMP_1_2, "0,0");
    client_send(client, UNSUBSCRIBE);
    client_expect_error(client, FAULT_POLICY, "needs a user");
    client = client_log_in(host, "ann");
    client_send(client, "SUBSCRIBE\nid:\ndestination:/topic/a\ndurable:true\n\n");
    client_expect_error(client, FAULT_PROTOCOL, "needs an id");
    client = client_log_in(host, "ann");
    client_send(client, "SUBSCRIBE\nid:1\ndestination:/topic/a\ndurable:yes\n\n");
    client_expect_error(client, FAULT_PROTOCOL, "neither true nor false");
    client = client_log_in(host, "ann");
    client_send(client, "UNSUBSCRIBE\nid:1\ndurable:\n\n");
    client_expect_error(client, FAULT_PROTOCOL, "neither true nor false");
    assert_int_equal(host->consumers, 0);
    assert_string_equal(host->forgotten, "");
}

/* ---- UNSUBSCRIBE ---- */

static void test_unsubscribe_alone_ends_the_receiving(void **state) {
    struct host *host = *state;
    struct client *client = client_log_in(host, "ann");
    client_send(client, SUBSCRIBE);
    client_expect_receipt(client, "s");
    client_send(client, "UNSUBSCRIBE\nid:1\nreceipt:u\n\n");
    client_expect_receipt(client, "u");
    assert_int_equal(host->consumers, 0);
    assert_string_equal(host->forgotten, "");
}

static void test_with_durable_it_ends_the_subscription_and_the_receipt_says_when(void **state) {
    struct host *host = *state;
    struct client *client = client_log_in(host, "ann");
    client_send(client, SUBSCRIBE);
    client_expect_receipt(client, "s");
    client_send(client, UNSUBSCRIBE);
    assert_int_equal(host->consumers, 0);
    assert_string_equal(host->forgotten, "d:ann/1");
    client_expect_nothing(client);
    end_forgetting(host);
    client_expect_receipt(client, "u");
}

static void test_it_need_not_be_open(void **state) {
    struct host *host = *state;
    struct client *client = client_log_in(host, "ann");
    client_send(client, UNSUBSCRIBE);
    assert_string_equal(host->forgotten, "d:ann/1");
    end_forgetting(host);
    client_expect_receipt(client, "u");
}

static void test_disconnect_waits_for_the_end(void **state) {
    struct host *host = *state;
    struct client *client = client_log_in(host, "ann");
    client_send(client, "UNSUBSCRIBE\nid:1\ndurable:true\n\n");
    client_send(client, "DISCONNECT\nreceipt:d\n\n");
    client_expect_nothing(client);
    end_forgetting(host);
    client_go_on(client);
    client_expect_receipt(client, "d");
}

static void test_a_session_may_go_before_the_end(void **state) {
    struct host *host = *state;
    struct client *client = client_log_in(host, "ann");
    client_send(client, UNSUBSCRIBE);
    client_close(client);
    end_forgetting(host);
}

static void test_without_memory_it_does_not_end(void **state) {
    struct host *host = *state;
    struct client *client = client_log_in(host, "ann");
    host->out_of_memory = true;
    client_send(client, UNSUBSCRIBE);
    client_expect_error(client, FAULT_INTERNAL, "out of memory");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_a_durable_subscription_consumes_from_a_queue_of_its_own),
        TEST(test_what_is_not_durable_is_a_subscription_like_any_other),
        TEST(test_a_queue_is_no_more_durable_than_it_is),
        TEST(test_the_receipt_waits_until_it_is_bound),
        TEST(test_what_is_refused_ends_the_session),
        TEST(test_who_is_served_is_not_refused_any_more),
        TEST(test_it_needs_a_name_and_an_id),
        TEST(test_unsubscribe_alone_ends_the_receiving),
        TEST(test_with_durable_it_ends_the_subscription_and_the_receipt_says_when),
        TEST(test_it_need_not_be_open),
        TEST(test_disconnect_waits_for_the_end),
        TEST(test_a_session_may_go_before_the_end),
        TEST(test_without_memory_it_does_not_end),
    };
    return cmocka_run_group_tests_name("session/durable", tests, NULL, NULL);
}
