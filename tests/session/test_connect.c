/* CONNECT of src/session/frames.c: negotiation, login, and what a session answers before it is open. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "host.h"

#define TEST(name) cmocka_unit_test_setup_teardown(name, host_setup, host_teardown)

/* ---- CONNECTED and negotiation ---- */

static void test_connected_carries_version_session_server_and_heart_beat(void **state) {
    struct host *host = *state;
    host->limits.heartbeat = (struct heartbeat){20000, 15000};
    for (enum stomp_version version = STOMP_1_1; version <= STOMP_1_2; version++) {
        struct client *client = client_connect(host, version, "0,0");
        assert_string_equal(client_header(client, "version"), stomp_version_name(version));
        assert_string_equal(client_header(client, "session"), client->session->id);
        assert_string_equal(client_header(client, "server"), "stompd/" STOMPD_VERSION);
        assert_string_equal(client_header(client, "heart-beat"), "20000,15000");
        assert_null(client_header(client, "user-name"));
        assert_int_equal(client->session->state, SESSION_OPEN);
    }
}

static void test_connected_of_1_0_has_no_heart_beat(void **state) {
    struct client *client = client_connect(*state, STOMP_1_0, "1,1");
    assert_string_equal(client_header(client, "version"), "1.0");
    assert_null(client_header(client, "heart-beat"));
    assert_int_equal(client->session->heartbeat.send_ms, 0);
    assert_int_equal(client->session->heartbeat.receive_ms, 0);
}

static void test_missing_accept_version_is_1_0_which_names_no_version(void **state) {
    struct client *client = client_open(*state);
    client_send(client, "CONNECT\n\n");
    client_expect(client, "CONNECTED");
    assert_null(client_header(client, "version"));
    assert_non_null(client_header(client, "session"));
    assert_int_equal(client->session->version, STOMP_1_0);
}

static void test_the_highest_common_version_wins(void **state) {
    struct client *client = client_open(*state);
    client_send(client, "STOMP\naccept-version:1.0,1.1,2.7\n\n");
    client_expect(client, "CONNECTED");
    assert_string_equal(client_header(client, "version"), "1.1");
}

static void test_no_common_version_is_told_with_those_that_are_spoken(void **state) {
    struct client *client = client_open(*state);
    client_send(client, "CONNECT\naccept-version:2.0\n\n");
    client_expect_error(client, FAULT_PROTOCOL, "no common version");
    assert_string_equal(client_header(client, "version"), "1.0,1.1,1.2");
}

static void test_heart_beat_is_the_larger_of_offer_and_wish_each_way(void **state) {
    struct host *host = *state;
    host->limits.heartbeat = (struct heartbeat){10000, 20000};
    struct client *client = client_connect(host, STOMP_1_2, "30000,5000");
    assert_int_equal(client->session->heartbeat.send_ms, 10000);
    assert_int_equal(client->session->heartbeat.receive_ms, 30000);
}

static void test_malformed_heart_beat_is_refused_from_1_1_on(void **state) {
    struct client *client = client_open(*state);
    client_send(client, "CONNECT\naccept-version:1.1\nheart-beat:often\n\n");
    client_expect_error(client, FAULT_PROTOCOL, "heart-beat");
    client = client_open(*state);
    client_send(client, "CONNECT\naccept-version:1.0\nheart-beat:often\n\n");
    client_expect(client, "CONNECTED");
}

static void test_session_ids_begin_with_the_boot_and_differ(void **state) {
    struct client *one = client_open(*state);
    struct client *other = client_open(*state);
    assert_true(bytes_start_with(bytes_of(one->session->id), BYTES("node-a:b00t:1-")));
    assert_true(bytes_start_with(bytes_of(other->session->id), BYTES("node-a:b00t:1-")));
    assert_string_not_equal(one->session->id, other->session->id);
}

/* ---- login ---- */

static void test_credentials_are_handed_on_as_sent_and_never_unescaped(void **state) {
    struct host *host = *state;
    struct client *client = client_open(host);
    client_send(client, "CONNECT\naccept-version:1.2\nlogin: gu\\cest\npasscode:a:b \n\n");
    assert_string_equal(host->logged_in, " gu\\cest/a:b ");
}

static void test_credentials_of_1_0_are_trimmed(void **state) {
    struct host *host = *state;
    struct client *client = client_open(host);
    client_send(client, "CONNECT\nlogin: guest\npasscode: secret \n\n");
    assert_string_equal(host->logged_in, "guest/secret");
}

static void test_login_answered_at_once_opens_the_session(void **state) {
    struct host *host = *state;
    host->login = LOGIN_ACCEPT;
    struct client *client = client_open(host);
    client_send(client, "CONNECT\naccept-version:1.2\nlogin:a:b\\c\n\n");
    client_expect(client, "CONNECTED");
    assert_string_equal(client_header(client, "user-name"), "a:b\\c");
    assert_string_equal(client->session->user, "a:b\\c");
    assert_non_null(client->session->user);
}

static void test_input_waits_for_the_answer_to_login(void **state) {
    struct host *host = *state;
    struct client *client = client_open(host);
    static const char input[] = "CONNECT\naccept-version:1.2\nlogin:guest\npasscode:x\n\n\0"
                                "SUBSCRIBE\nid:0\ndestination:/topic/a\nreceipt:r\n\n\0SEND\ndest";
    client_feed(client, input, sizeof input - 1);
    assert_int_equal(client->session->state, SESSION_LOGGING_IN);
    assert_true(client->session->input_waits);
    client_expect_nothing(client);
    client_feed(client, "ination:/topic/a\n\nhi", sizeof "ination:/topic/a\n\nhi");
    assert_int_equal(host->subscription_count, 0);

    session_logged_in(client->session, "guest", host->now);
    client_expect(client, "CONNECTED");
    assert_string_equal(client_header(client, "user-name"), "guest");
    assert_int_equal(client->resumes, 1);
    client_go_on(client);
    client_expect_receipt(client, "r");
    client_expect_message(client, "hi");
}

static void test_connect_time_holds_until_the_login_is_answered(void **state) {
    struct host *host = *state;
    struct client *client = client_open(host);
    client_send(client, "CONNECT\naccept-version:1.2\nlogin:guest\n\n");
    assert_true(session_due(client->session) == host->now + host->limits.connect_time_ms);
    host->now += host->limits.connect_time_ms;
    session_tick(client->session, host->now);
    client_expect_error(client, FAULT_LATE, "connect-time");
    session_logged_in(client->session, "guest", host->now); /* too late */
    client_expect_nothing(client);
}

static void test_time_to_log_in_is_no_pause_of_a_publisher(void **state) {
    struct host *host = *state;
    struct client *client = client_open(host);
    client_send(client, "CONNECT\naccept-version:1.2\nlogin:guest\n\n");
    host->now += host->limits.connect_time_ms - 1;
    session_tick(client->session, host->now);
    session_logged_in(client->session, "guest", host->now);
    client_go_on(client);
    client_expect(client, "CONNECTED");

    host->env.congested = true;
    client_send(client, "SEND\ndestination:/topic/a\n\n");
    assert_true(session_due(client->session) == host->now + host->limits.pause_time_ms);
}

static void test_refused_login_ends_the_session_at_once_or_later(void **state) {
    struct host *host = *state;
    host->login = LOGIN_REFUSE;
    struct client *client = client_open(host);
    client_send(client, "CONNECT\naccept-version:1.2\nlogin:guest\npasscode:wrong\n\n");
    client_expect_error(client, FAULT_LOGIN, "login or passcode is wrong");

    host->login = LOGIN_LATER;
    client = client_open(host);
    client_send(client, "CONNECT\naccept-version:1.2\nlogin:guest\npasscode:wrong\n\n");
    session_logged_in(client->session, NULL, host->now);
    client_expect_error(client, FAULT_LOGIN, "login or passcode is wrong");
}

static void test_wrong_credentials_are_refused_where_anonymous_is_allowed(void **state) {
    struct host *host = *state;
    host->env.anonymous = true;
    host->login = LOGIN_REFUSE;
    struct client *client = client_open(host);
    client_send(client, "CONNECT\naccept-version:1.2\nlogin:guest\n\n");
    client_expect_error(client, FAULT_LOGIN, "login or passcode is wrong");
}

static void test_no_credentials_need_anonymous(void **state) {
    struct host *host = *state;
    host->env.anonymous = false;
    struct client *client = client_open(host);
    client_send(client, "CONNECT\naccept-version:1.2\n\n");
    client_expect_error(client, FAULT_LOGIN, "login");
    assert_int_equal(host->logins, 0);
}

static void test_empty_credentials_are_none(void **state) {
    struct host *host = *state;
    struct client *client = client_open(host);
    client_send(client, "CONNECT\naccept-version:1.2\nlogin:\npasscode:\n\n");
    client_expect(client, "CONNECTED");
    assert_null(client->session->user);
    assert_int_equal(host->logins, 0);
}

static void test_passcode_without_login_is_refused(void **state) {
    struct client *client = client_open(*state);
    client_send(client, "CONNECT\naccept-version:1.2\npasscode:x\n\n");
    client_expect_error(client, FAULT_LOGIN, "passcode without login");
}

static void test_answer_to_login_after_the_end_is_ignored(void **state) {
    struct host *host = *state;
    struct client *client = client_open(host);
    client_send(client, "CONNECT\naccept-version:1.2\nlogin:guest\n\n");
    session_end(client->session, FAULT_RESTART, "the server is going down", true);
    session_logged_in(client->session, "guest", host->now);
    client_expect_error(client, FAULT_RESTART, "going down");
}

/* ---- order of frames ---- */

static void test_the_first_frame_must_be_connect(void **state) {
    static const char *const others[] = {"SEND",  "SUBSCRIBE", "UNSUBSCRIBE", "BEGIN",     "COMMIT",
                                         "ABORT", "ACK",       "NACK",        "DISCONNECT"};
    for (size_t n = 0; n < sizeof others / sizeof others[0]; n++) {
        char frame[64];
        struct client *client = client_open(*state);
        snprintf(frame, sizeof frame, "%s\nid:1\ndestination:/topic/a\nreceipt:r\n\n", others[n]);
        client_send(client, frame);
        client_expect_error(client, FAULT_PROTOCOL, "the first frame must be CONNECT or STOMP");
    }
}

static void test_a_first_frame_that_is_no_connect_does_not_wait_for_congestion(void **state) {
    struct host *host = *state;
    struct client *client = client_open(host);
    host->env.congested = true;
    client_send(client, "SEND\ndestination:/topic/a\n\nx");
    client_expect_error(client, FAULT_PROTOCOL, "the first frame must be CONNECT or STOMP");
}

static void test_a_second_connect_is_refused(void **state) {
    static const char *const frames[] = {"CONNECT\naccept-version:1.2\n\n", "STOMP\naccept-version:1.2\nreceipt:r\n\n"};
    for (size_t n = 0; n < 2; n++) {
        struct client *client = client_connect(*state, STOMP_1_2, "0,0");
        client_send(client, frames[n]);
        client_expect_error(client, FAULT_PROTOCOL, "already connected");
    }
}

/* ---- limits ---- */

static void test_before_login_a_frame_has_its_own_limit(void **state) {
    struct host *host = *state;
    char large[700];
    int len = snprintf(large, sizeof large, "CONNECT\naccept-version:1.2\nx:%0600d\n\n", 0);
    host->limits.before_login.frame_size = 512;
    struct client *client = client_open(host);
    client_feed(client, large, (size_t)len + 1);
    client_expect_error(client, FAULT_SIZE, "frame-size-before-login");

    client = client_connect(host, STOMP_1_2, "0,0");
    snprintf(large, sizeof large, "SEND\ndestination:/topic/a\n\n%0600d", 0);
    client_send(client, large);
    client_expect_nothing(client);
    assert_int_equal(host->published_count, 1);
}

static void test_headers_before_login_beyond_what_the_host_holds_are_refused(void **state) {
    struct host *host = *state;
    host->limits.before_login.headers = 64;
    struct client *client = client_open(host);
    static const char header[] = "a:b\n";
    client_feed(client, "CONNECT\n", sizeof "CONNECT\n" - 1);
    for (int n = 0; n < 17; n++)
        client_feed(client, header, sizeof header - 1);
    client_send(client, "\n");
    client_expect_error(client, FAULT_SIZE, "headers");
}

static void test_limits_change_under_a_session(void **state) {
    struct host *host = *state;
    struct client *client = client_connect(host, STOMP_1_2, "0,0");
    char many[256];
    size_t len = (size_t)snprintf(many, sizeof many, "SEND\ndestination:/topic/a\n");
    for (int n = 0; n < 40; n++)
        len += (size_t)snprintf(many + len, sizeof many - len, "a:b\n");
    snprintf(many + len, sizeof many - len, "\n");
    assert_true(session_env_fit(&host->env, 64));
    host->limits.frames.headers = 64;
    client_send(client, many);
    assert_int_equal(host->published_count, 1);

    /* A frame that waits has been found good. */
    host->env.congested = true;
    client_send(client, many);
    assert_int_equal(host->published_count, 1);
    assert_true(session_env_fit(&host->env, 8));
    host->limits.frames.headers = 8;
    host_uncongest(host);
    client_go_on(client);
    assert_int_equal(host->published_count, 2);
    client_send(client, many);
    client_expect_error(client, FAULT_SIZE, "headers");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_connected_carries_version_session_server_and_heart_beat),
        TEST(test_connected_of_1_0_has_no_heart_beat),
        TEST(test_missing_accept_version_is_1_0_which_names_no_version),
        TEST(test_the_highest_common_version_wins),
        TEST(test_no_common_version_is_told_with_those_that_are_spoken),
        TEST(test_heart_beat_is_the_larger_of_offer_and_wish_each_way),
        TEST(test_malformed_heart_beat_is_refused_from_1_1_on),
        TEST(test_session_ids_begin_with_the_boot_and_differ),
        TEST(test_credentials_are_handed_on_as_sent_and_never_unescaped),
        TEST(test_credentials_of_1_0_are_trimmed),
        TEST(test_login_answered_at_once_opens_the_session),
        TEST(test_input_waits_for_the_answer_to_login),
        TEST(test_connect_time_holds_until_the_login_is_answered),
        TEST(test_time_to_log_in_is_no_pause_of_a_publisher),
        TEST(test_refused_login_ends_the_session_at_once_or_later),
        TEST(test_wrong_credentials_are_refused_where_anonymous_is_allowed),
        TEST(test_no_credentials_need_anonymous),
        TEST(test_empty_credentials_are_none),
        TEST(test_passcode_without_login_is_refused),
        TEST(test_answer_to_login_after_the_end_is_ignored),
        TEST(test_the_first_frame_must_be_connect),
        TEST(test_a_first_frame_that_is_no_connect_does_not_wait_for_congestion),
        TEST(test_a_second_connect_is_refused),
        TEST(test_before_login_a_frame_has_its_own_limit),
        TEST(test_headers_before_login_beyond_what_the_host_holds_are_refused),
        TEST(test_limits_change_under_a_session),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
