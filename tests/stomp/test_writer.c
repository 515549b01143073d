/* Server frames: their bytes per version, what is passed on to subscribers and what is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "stompd/stomp/writer.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static const struct bytes nothing;

static void assert_bytes(struct bytes bytes, struct bytes expected) {
    assert_int_equal(bytes.len, expected.len);
    assert_memory_equal(bytes.data, expected.data, expected.len);
}

static void assert_head(const struct message *message, enum stomp_version version, const char *expected) {
    assert_bytes(message_head(message, version), bytes_of(expected));
}

/* A control frame's head, for one version; the message is for that version only. */
static void assert_control(const char *command, struct stomp_header header, enum stomp_version version,
                           const char *expected) {
    struct message *message = stomp_write_control(1, command, &header, 1, nothing, version);
    assert_non_null(message);
    for (int i = STOMP_1_0; i <= STOMP_1_2; i++)
        assert_head(message, (enum stomp_version)i, expected);
    assert_bytes(message_body(message), BYTES("\0"));
    message_unref(message);
}

static void test_a_control_frame_has_its_headers_in_order(void **state) {
    (void)state;
    struct stomp_header headers[] = {{BYTES("version"), BYTES("1.2")}, {BYTES("session"), BYTES("node-1")}};
    struct message *message = stomp_write_control(3, "CONNECTED", headers, 2, nothing, STOMP_1_2);
    assert_non_null(message);
    assert_head(message, STOMP_1_2, "CONNECTED\nversion:1.2\nsession:node-1\n\n");
    assert_bytes(message_body(message), BYTES("\0"));
    assert_true(message->text);
    assert_int_equal(message_key(message).len, 0);
    assert_int_equal(message_only(message).len, 0);
    message_unref(message);
}

static void test_row_value_encoding_control_frames_are_escaped_for_their_version(void **state) {
    (void)state;
    struct stomp_header header = {BYTES("receipt:id"), BYTES("a:b\\c\nd\re")};
    assert_control("RECEIPT", header, STOMP_1_2, "RECEIPT\nreceipt\\cid:a\\cb\\\\c\\nd\\re\n\n");
    assert_control("RECEIPT", header, STOMP_1_1, "RECEIPT\nreceipt\\cid:a\\cb\\\\c\\nd\re\n\n");
    assert_control("RECEIPT", (struct stomp_header){BYTES("receipt-id"), BYTES("a:b\\")}, STOMP_1_0,
                   "RECEIPT\nreceipt-id:a:b\\\n\n");
}

static void test_row_value_encoding_connected_is_not_escaped(void **state) {
    (void)state;
    assert_control("CONNECTED", (struct stomp_header){BYTES("user-name"), BYTES("a:b\\c")}, STOMP_1_2,
                   "CONNECTED\nuser-name:a:b\\c\n\n");
}

static void test_unescaped_frames_leave_out_what_would_forge_headers(void **state) {
    (void)state;
    struct stomp_header header = {BYTES("user-name"), BYTES("x\nforged:1")};
    assert_control("CONNECTED", header, STOMP_1_2, "CONNECTED\n\n");
    assert_control("RECEIPT", header, STOMP_1_0, "RECEIPT\n\n");
}

static void test_row_header_content_length_is_sent_with_an_error_body(void **state) {
    (void)state;
    struct stomp_header header = {BYTES("message"), BYTES("no")};
    struct message *message = stomp_write_control(1, "ERROR", &header, 1, BYTES("why\0not"), STOMP_1_1);
    assert_non_null(message);
    assert_head(message, STOMP_1_1, "ERROR\nmessage:no\ncontent-length:7\n\n");
    assert_bytes(message_body(message), BYTES("why\0not\0"));
    message_unref(message);
}

static void test_row_message_has_destination_id_passed_headers_and_length(void **state) {
    (void)state;
    struct stomp_header headers[] = {{BYTES("destination"), BYTES("/topic/sent")},
                                     {BYTES("content-type"), BYTES("text/plain")},
                                     {BYTES("receipt"), BYTES("1")},
                                     {BYTES("foo"), BYTES("first")},
                                     {BYTES("content-length"), BYTES("99")},
                                     {BYTES("foo"), BYTES("second")}};
    struct stomp_publication publication = {
        .destination = BYTES("/topic/a"),
        .message_id = BYTES("n-1"),
        .headers = headers,
        .header_count = COUNT(headers),
        .body = BYTES("hello"),
        .route = 3,
        .key = BYTES("the key"),
        .only = BYTES("node-session"),
    };
    struct message *message = stomp_write_message(2, &publication);
    assert_non_null(message);
    static const char expected[] = "destination:/topic/a\nmessage-id:n-1\ncontent-type:text/plain\nfoo:first\n"
                                   "foo:second\ncontent-length:5\n\n";
    for (int i = STOMP_1_0; i <= STOMP_1_2; i++)
        assert_head(message, (enum stomp_version)i, expected);
    assert_bytes(message_body(message), BYTES("hello\0"));
    assert_int_equal(message->route, 3);
    assert_bytes(message_key(message), BYTES("the key"));
    assert_bytes(message_only(message), BYTES("node-session"));
    message_unref(message);
}

static struct message *publish(struct stomp_header header, struct bytes body) {
    struct stomp_publication publication = {
        .destination = BYTES("/d"), .message_id = BYTES("1"), .headers = &header, .header_count = 1, .body = body};
    struct message *message = stomp_write_message(1, &publication);
    assert_non_null(message);
    return message;
}

static void test_a_message_with_nothing_to_escape_has_one_head_for_all_versions(void **state) {
    (void)state;
    struct message *message = publish((struct stomp_header){BYTES("x"), BYTES("y")}, nothing);
    assert_int_equal(message->head_offset[STOMP_1_0], message->head_offset[STOMP_1_1]);
    assert_int_equal(message->head_offset[STOMP_1_1], message->head_offset[STOMP_1_2]);
    assert_head(message, STOMP_1_0, "destination:/d\nmessage-id:1\nx:y\ncontent-length:0\n\n");
    assert_bytes(message_body(message), BYTES("\0"));
    message_unref(message);
}

static void test_row_value_encoding_a_message_is_escaped_for_each_version(void **state) {
    (void)state;
    struct message *message = publish((struct stomp_header){BYTES("x"), BYTES("a:\\b\rc")}, BYTES("body"));
    assert_head(message, STOMP_1_0, "destination:/d\nmessage-id:1\ncontent-length:4\n\n");
    assert_head(message, STOMP_1_1, "destination:/d\nmessage-id:1\nx:a\\c\\\\b\rc\ncontent-length:4\n\n");
    assert_head(message, STOMP_1_2, "destination:/d\nmessage-id:1\nx:a\\c\\\\b\\rc\ncontent-length:4\n\n");
    assert_bytes(message_body(message), BYTES("body\0"));
    message_unref(message);
}

static void test_row_value_encoding_colons_split_1_0_from_the_later_versions(void **state) {
    (void)state;
    struct message *message = publish((struct stomp_header){BYTES("x"), BYTES("a:b")}, nothing);
    assert_head(message, STOMP_1_0, "destination:/d\nmessage-id:1\nx:a:b\ncontent-length:0\n\n");
    assert_head(message, STOMP_1_2, "destination:/d\nmessage-id:1\nx:a\\cb\ncontent-length:0\n\n");
    assert_int_equal(message->head_offset[STOMP_1_1], message->head_offset[STOMP_1_2]);
    message_unref(message);
}

#define MANY 70

static char *append_text(char *to, const char *text) {
    while (*text)
        *to++ = *text++;
    return to;
}

/* One of so many headers needs escaping, and no other is taken for it. */
static void test_row_value_encoding_any_of_many_headers_may_need_it(void **state) {
    (void)state;
    for (size_t n = 0; n < MANY; n++) {
        struct stomp_header headers[MANY];
        char expected[2][MANY * sizeof "x:a\\cb\n"];
        char *plain = expected[0];
        char *escaped = expected[1];
        for (size_t i = 0; i < MANY; i++) {
            headers[i] = (struct stomp_header){BYTES("x"), i == n ? BYTES("a:b") : BYTES("y")};
            plain = append_text(plain, i == n ? "x:a:b\n" : "x:y\n");
            escaped = append_text(escaped, i == n ? "x:a\\cb\n" : "x:y\n");
        }
        struct message *first = stomp_write_control(1, "ERROR", headers, MANY, nothing, STOMP_1_0);
        struct message *last = stomp_write_control(1, "ERROR", headers, MANY, nothing, STOMP_1_2);
        assert_non_null(first);
        assert_non_null(last);
        assert_memory_equal(message_head(first, STOMP_1_0).data + strlen("ERROR\n"), expected[0],
                            (size_t)(plain - expected[0]));
        assert_memory_equal(message_head(last, STOMP_1_2).data + strlen("ERROR\n"), expected[1],
                            (size_t)(escaped - expected[1]));
        message_unref(first);
        message_unref(last);
    }
}

/* Two headers that need escaping from 1.1 on, in front of what `message` has; takes it over. */
static struct message *with_two_more(struct message *message) {
    struct stomp_header headers[] = {{BYTES("from"), BYTES("/queue/a:b\r")}, {BYTES("why"), BYTES("full")}};
    struct message *added = stomp_add_headers(message, headers, COUNT(headers));
    assert_non_null(added);
    message_unref(message);
    return added;
}

static void test_headers_are_added_in_front_of_every_head(void **state) {
    (void)state;
    struct message *added = with_two_more(publish((struct stomp_header){BYTES("x"), BYTES("y:z\r")}, BYTES("b\0dy")));
    assert_head(added, STOMP_1_0, "why:full\ndestination:/d\nmessage-id:1\ncontent-length:4\n\n");
    assert_head(added, STOMP_1_1,
                "from:/queue/a\\cb\r\nwhy:full\ndestination:/d\nmessage-id:1\nx:y\\cz\r\ncontent-length:4\n\n");
    assert_head(added, STOMP_1_2,
                "from:/queue/a\\cb\\r\nwhy:full\ndestination:/d\nmessage-id:1\nx:y\\cz\\r\ncontent-length:4\n\n");
    assert_bytes(message_body(added), BYTES("b\0dy\0"));
    message_unref(added);
}

static void test_headers_added_to_one_head_for_all_versions_are_still_escaped_for_each(void **state) {
    (void)state;
    struct message *added = with_two_more(publish((struct stomp_header){BYTES("x"), BYTES("y")}, nothing));
    assert_head(added, STOMP_1_0, "why:full\ndestination:/d\nmessage-id:1\nx:y\ncontent-length:0\n\n");
    assert_head(added, STOMP_1_1,
                "from:/queue/a\\cb\r\nwhy:full\ndestination:/d\nmessage-id:1\nx:y\ncontent-length:0\n\n");
    assert_head(added, STOMP_1_2,
                "from:/queue/a\\cb\\r\nwhy:full\ndestination:/d\nmessage-id:1\nx:y\ncontent-length:0\n\n");
    message_unref(added);
}

static void test_heads_stay_shared_when_what_is_added_needs_no_escaping(void **state) {
    (void)state;
    struct stomp_header header = {BYTES("why"), BYTES("full")};
    struct message *message = publish((struct stomp_header){BYTES("x"), BYTES("a:b")}, nothing);
    struct message *added = stomp_add_headers(message, &header, 1);
    assert_non_null(added);
    assert_head(added, STOMP_1_0, "why:full\ndestination:/d\nmessage-id:1\nx:a:b\ncontent-length:0\n\n");
    assert_head(added, STOMP_1_2, "why:full\ndestination:/d\nmessage-id:1\nx:a\\cb\ncontent-length:0\n\n");
    assert_int_equal(added->head_offset[STOMP_1_1], added->head_offset[STOMP_1_2]);
    message_unref(added);
    message_unref(message);
}

static void test_a_message_keeps_its_routing_when_headers_are_added(void **state) {
    (void)state;
    struct stomp_publication publication = {.destination = BYTES("/d"),
                                            .message_id = BYTES("1"),
                                            .body = nothing,
                                            .route = 3,
                                            .key = BYTES("the key"),
                                            .only = BYTES("node-session")};
    struct message *added = with_two_more(stomp_write_message(2, &publication));
    assert_int_equal(added->owners, 2);
    assert_int_equal(added->route, 3);
    assert_bytes(message_key(added), BYTES("the key"));
    assert_bytes(message_only(added), BYTES("node-session"));
    assert_true(added->text);
    message_unref(added);
}

static void test_a_message_is_no_text_any_more_when_a_header_added_is_none(void **state) {
    (void)state;
    struct stomp_header header = {BYTES("from"), BYTES("\xff")};
    struct message *message = publish((struct stomp_header){BYTES("x"), BYTES("y")}, nothing);
    struct message *added = stomp_add_headers(message, &header, 1);
    assert_non_null(added);
    assert_false(added->text);
    message_unref(added);
    message_unref(message);
}

static void assert_text(struct bytes value, struct bytes body, bool text) {
    struct message *message = publish((struct stomp_header){BYTES("x"), value}, body);
    assert_int_equal(message->text, text);
    message_unref(message);
}

static void test_a_message_is_text_when_all_of_it_is_utf_8(void **state) {
    (void)state;
    assert_text(BYTES("\xc3\xa4"), BYTES("gr\xc3\xbc\xc3\x9f"), true);
    assert_text(BYTES("y"), nothing, true);
    assert_text(BYTES("y"), BYTES("\xff"), false);
    assert_text(BYTES("y"), BYTES("\xc3"), false);
    assert_text(BYTES("\xff"), BYTES("body"), false);
}

static void test_row_send_user_headers_are_passed_on(void **state) {
    (void)state;
    assert_true(stomp_passes_on(BYTES("content-type")));
    assert_true(stomp_passes_on(BYTES("priority")));
    assert_true(stomp_passes_on(BYTES("Receipt")));
    assert_true(stomp_passes_on(BYTES("sessions")));
}

static void test_headers_of_the_server_are_not_passed_on(void **state) {
    (void)state;
    static const char *const kept[] = {
        "destination", "receipt",        "transaction",      "content-length",    "user",
        "session",     "node",           "subscription",     "message-id",        "redelivered",
        "ack",         "delivery-count", "dead-letter-from", "dead-letter-reason"};
    for (size_t i = 0; i < COUNT(kept); i++)
        assert_false(stomp_passes_on(bytes_of(kept[i])));
    assert_false(stomp_passes_on(BYTES("content-length ")));
    assert_false(stomp_passes_on(BYTES("\t user")));
    assert_false(stomp_passes_on(BYTES("")));
    assert_false(stomp_passes_on(BYTES(" ")));
}

/* NULL: no id. */
static void assert_start(const char *id, enum stomp_version version, const char *expected) {
    struct bytes subscription_id = bytes_of(id ? id : "");
    size_t len = stomp_write_message_start(NULL, id ? &subscription_id : NULL, version);
    assert_int_equal(len, strlen(expected));
    char *start = malloc(len);
    assert_non_null(start);
    assert_int_equal(stomp_write_message_start(start, id ? &subscription_id : NULL, version), len);
    assert_memory_equal(start, expected, len);
    free(start);
}

static void test_row_message_starts_with_the_subscription(void **state) {
    (void)state;
    assert_start("sub-0", STOMP_1_2, "MESSAGE\nsubscription:sub-0\n");
    assert_start("a:\r", STOMP_1_2, "MESSAGE\nsubscription:a\\c\\r\n");
    assert_start("a:\r", STOMP_1_1, "MESSAGE\nsubscription:a\\c\r\n");
}

static void test_row_message_1_0_has_a_subscription_only_if_an_id_was_given(void **state) {
    (void)state;
    assert_start(NULL, STOMP_1_0, "MESSAGE\n");
    assert_start("a:b", STOMP_1_0, "MESSAGE\nsubscription:a:b\n");
}

static void test_row_header_content_type_must_be_a_mime_type(void **state) {
    (void)state;
    static const char *const types[] = {"text/plain", "text/plain;charset=utf-8", "application/vnd.a+json ; v=1",
                                        "a/b;", "application/x-stomp.v1"};
    static const char *const others[] = {"",
                                         "text",
                                         "text/",
                                         "/plain",
                                         "text /plain",
                                         "text/ plain",
                                         "text/pl ain",
                                         "text/plain, a",
                                         "te:xt/plain",
                                         "text/plain/x"};
    for (size_t i = 0; i < COUNT(types); i++)
        assert_true(stomp_is_mime_type(bytes_of(types[i])));
    for (size_t i = 0; i < COUNT(others); i++)
        assert_false(stomp_is_mime_type(bytes_of(others[i])));
    assert_false(stomp_is_mime_type(BYTES("te\0xt/plain")));
    assert_false(stomp_is_mime_type(nothing));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_control_frame_has_its_headers_in_order),
        cmocka_unit_test(test_row_value_encoding_control_frames_are_escaped_for_their_version),
        cmocka_unit_test(test_row_value_encoding_connected_is_not_escaped),
        cmocka_unit_test(test_unescaped_frames_leave_out_what_would_forge_headers),
        cmocka_unit_test(test_row_header_content_length_is_sent_with_an_error_body),
        cmocka_unit_test(test_row_message_has_destination_id_passed_headers_and_length),
        cmocka_unit_test(test_a_message_with_nothing_to_escape_has_one_head_for_all_versions),
        cmocka_unit_test(test_row_value_encoding_a_message_is_escaped_for_each_version),
        cmocka_unit_test(test_row_value_encoding_colons_split_1_0_from_the_later_versions),
        cmocka_unit_test(test_row_value_encoding_any_of_many_headers_may_need_it),
        cmocka_unit_test(test_headers_are_added_in_front_of_every_head),
        cmocka_unit_test(test_headers_added_to_one_head_for_all_versions_are_still_escaped_for_each),
        cmocka_unit_test(test_heads_stay_shared_when_what_is_added_needs_no_escaping),
        cmocka_unit_test(test_a_message_keeps_its_routing_when_headers_are_added),
        cmocka_unit_test(test_a_message_is_no_text_any_more_when_a_header_added_is_none),
        cmocka_unit_test(test_a_message_is_text_when_all_of_it_is_utf_8),
        cmocka_unit_test(test_row_send_user_headers_are_passed_on),
        cmocka_unit_test(test_headers_of_the_server_are_not_passed_on),
        cmocka_unit_test(test_row_message_starts_with_the_subscription),
        cmocka_unit_test(test_row_message_1_0_has_a_subscription_only_if_an_id_was_given),
        cmocka_unit_test(test_row_header_content_type_must_be_a_mime_type),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
