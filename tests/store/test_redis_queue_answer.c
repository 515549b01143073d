/* Replies of the scripts of queues: what is right is read, and nothing else is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "../../src/store/redis_queue_answer.h"
#include "stompd/session/session.h"
#include "stompd/stomp/writer.h"
#include "stompd/store/payload.h"

/* An error, three counts, a queue that is ready. */
#define TAIL "$0\r\n\r\n:1\r\n:2\r\n:3\r\n*1\r\n$3\r\nq:x\r\n"

static const struct bytes queues[] = {{"q:x", 3}, {"q:y", 3}};

static redisReply *parse(struct bytes text) {
    redisReader *reader = redisReaderCreate();
    void *reply = NULL;
    assert_int_equal(redisReaderFeed(reader, text.data, text.len), REDIS_OK);
    assert_int_equal(redisReaderGetReply(reader, &reply), REDIS_OK);
    assert_non_null(reply);
    redisReaderFree(reader);
    return reply;
}

/* ---- changes ---- */

static void test_results_and_tail_are_read(void **state) {
    struct redis_queue_answer answer;
    redisReply *reply = parse(BYTES("*7\r\n:0\r\n$4\r\n0123\r\n" TAIL));
    (void)state;
    assert_true(redis_queue_answer_changes(reply, 4, &answer));
    assert_int_equal(answer.answer.result, QUEUE_OK);
    assert_int_equal(answer.answer.change_count, 4);
    for (int n = 0; n < 4; n++)
        assert_int_equal(answer.answer.changes[n], n);
    assert_string_equal(answer.failure, "");
    assert_int_equal(answer.counts.expired, 1);
    assert_int_equal(answer.counts.dropped, 2);
    assert_int_equal(answer.counts.dead, 3);
    assert_int_equal(answer.ready->elements, 1);
    redis_queue_answer_free(&answer);
    freeReplyObject(reply);
}

static void test_whoever_is_gone_gets_nothing_else(void **state) {
    struct redis_queue_answer answer;
    redisReply *reply = parse(BYTES("*1\r\n:1\r\n"));
    (void)state;
    assert_true(redis_queue_answer_changes(reply, 4, &answer));
    assert_int_equal(answer.answer.result, QUEUE_GONE);
    assert_int_equal(answer.answer.change_count, 0);
    redis_queue_answer_free(&answer);
    assert_true(redis_queue_answer_entries(reply, queues, 2, 1, &answer));
    assert_int_equal(answer.answer.result, QUEUE_GONE);
    redis_queue_answer_free(&answer);
    freeReplyObject(reply);
}

static void test_results_of_another_form_are_refused(void **state) {
    static const char *const wrong[] = {
        ":0\r\n",
        "+OK\r\n",
        "$-1\r\n",
        "*-1\r\n",
        "*0\r\n",
        "*1\r\n:0\r\n",
        "*1\r\n:5\r\n",
        "*1\r\n:-1\r\n",
        "*1\r\n$1\r\n0\r\n",
        "*2\r\n:0\r\n$2\r\n00\r\n",
        "*7\r\n:0\r\n$1\r\n0\r\n" TAIL,
        "*7\r\n:0\r\n$3\r\n000\r\n" TAIL,
        "*7\r\n:0\r\n$2\r\n04\r\n" TAIL,
        "*7\r\n:0\r\n$2\r\n0/\r\n" TAIL,
        "*7\r\n:0\r\n:0\r\n" TAIL,
        "*7\r\n:0\r\n$-1\r\n" TAIL,
        "*7\r\n:0\r\n*2\r\n:0\r\n:0\r\n" TAIL,
        "*8\r\n:0\r\n$2\r\n00\r\n" TAIL ":0\r\n",
        "*7\r\n:0\r\n$2\r\n00\r\n:0\r\n:1\r\n:2\r\n:3\r\n*0\r\n",
        "*7\r\n:0\r\n$2\r\n00\r\n$-1\r\n:1\r\n:2\r\n:3\r\n*0\r\n",
        "*7\r\n:0\r\n$2\r\n00\r\n$0\r\n\r\n:-1\r\n:2\r\n:3\r\n*0\r\n",
        "*7\r\n:0\r\n$2\r\n00\r\n$0\r\n\r\n:1\r\n:2\r\n$1\r\n3\r\n*0\r\n",
        "*7\r\n:0\r\n$2\r\n00\r\n$0\r\n\r\n:1\r\n:2\r\n:3\r\n$-1\r\n",
        "*7\r\n:3\r\n$2\r\n00\r\n" TAIL, /* only a recovery has more */
    };
    (void)state;
    for (size_t n = 0; n < sizeof wrong / sizeof wrong[0]; n++) {
        struct redis_queue_answer answer;
        redisReply *reply = parse(bytes_of(wrong[n]));
        if (redis_queue_answer_changes(reply, 2, &answer))
            fail_msg("taken: %s", wrong[n]);
        freeReplyObject(reply);
    }
}

/* ---- recoveries ---- */

static enum queue_result result_of_recovery(const char *text) {
    struct redis_queue_answer answer;
    redisReply *reply = parse(bytes_of(text));
    bool right = redis_queue_answer_recovery(reply, &answer);
    assert_true(!right || answer.answer.result == QUEUE_GONE || answer.ready->elements == 1);
    freeReplyObject(reply);
    return right ? answer.answer.result : QUEUE_FAILED;
}

static void test_the_result_of_a_recovery_is_read(void **state) {
    (void)state;
    assert_int_equal(result_of_recovery("*7\r\n:0\r\n$0\r\n\r\n" TAIL), QUEUE_OK);
    assert_int_equal(result_of_recovery("*7\r\n:3\r\n$0\r\n\r\n" TAIL), QUEUE_MORE);
    assert_int_equal(result_of_recovery("*1\r\n:1\r\n"), QUEUE_GONE);
    assert_int_equal(result_of_recovery("*1\r\n:3\r\n"), QUEUE_FAILED);
    assert_int_equal(result_of_recovery("*7\r\n:2\r\n$0\r\n\r\n" TAIL), QUEUE_FAILED);
}

/* ---- entries ---- */

static void append(struct buffer *text, struct bytes bytes) {
    assert_true(buffer_append(text, bytes.data, bytes.len));
}

static void append_string(struct buffer *text, struct bytes string) {
    char head[32];
    snprintf(head, sizeof head, "$%zu\r\n", string.len);
    append(text, bytes_of(head));
    append(text, string);
    append(text, BYTES("\r\n"));
}

/* The payload of a message, as a queue keeps it, or as it is published. */
static void write_payload(struct buffer *payload, enum route route, struct bytes key) {
    bool stored = route == ROUTE_QUEUE;
    struct payload_origin origin = {stored ? PAYLOAD_STORED : PAYLOAD_PUBLICATION, BYTES("a:1"), stored ? 0 : 1};
    struct message *message = stomp_write_message(1, &(struct stomp_publication){.destination = BYTES("/queue/x"),
                                                                                 .message_id = BYTES("1"),
                                                                                 .body = BYTES("hello"),
                                                                                 .route = (uint8_t)route,
                                                                                 .key = key});
    assert_non_null(message);
    assert_true(payload_write_message(payload, &origin, message));
    message_unref(message);
}

static void append_entry(struct buffer *text, const char *label, struct bytes payload) {
    append_string(text, bytes_of(label));
    append_string(text, payload);
}

static void test_entries_are_read(void **state) {
    struct redis_queue_answer answer;
    struct buffer text = {0}, payload = {0};
    (void)state;
    write_payload(&payload, ROUTE_QUEUE, BYTES("q:x"));
    append(&text, BYTES("*7\r\n:0\r\n*2\r\n*4\r\n"));
    append_entry(&text, "12-0", buffer_bytes(&payload));
    append_entry(&text, "18446744073709551615-18446744073709551615 7 max-deliveries q:a b", buffer_bytes(&payload));
    append(&text, BYTES("*4\r\n"));
    append_entry(&text, "13-2 1 rejected", buffer_bytes(&payload));
    append_entry(&text, "13-3 4294967295", buffer_bytes(&payload));
    append(&text, BYTES(TAIL));
    redisReply *reply = parse(buffer_bytes(&text));
    assert_true(redis_queue_answer_entries(reply, queues, 2, 3, &answer));
    assert_int_equal(answer.answer.entry_count, 4);
    assert_int_equal(answer.stray_count, 0);
    const struct queue_entry *entries = answer.answer.entries;
    assert_true(entries[0].want == 0 && entries[0].entry.ms == 12 && entries[0].entry.n == 0);
    assert_int_equal(entries[0].entry.size, payload.len + REDIS_QUEUE_OVERHEAD);
    assert_int_equal(entries[0].deliveries, 1);
    assert_int_equal(entries[0].dead, DEAD_NOT);
    assert_int_equal(entries[0].message->owners, 3);
    assert_true(entries[1].want == 0 && entries[1].entry.ms == UINT64_MAX && entries[1].entry.n == UINT64_MAX);
    assert_int_equal(entries[1].deliveries, 7);
    assert_int_equal(entries[1].dead, DEAD_MAX_DELIVERIES);
    assert_true(bytes_equal(entries[1].dead_from, BYTES("q:a b")));
    assert_true(entries[2].want == 1 && entries[2].entry.ms == 13 && entries[2].entry.n == 2);
    assert_int_equal(entries[2].dead, DEAD_NOT);
    assert_int_equal(entries[2].deliveries, 1);
    assert_int_equal(entries[3].deliveries, 4294967295);
    redis_queue_answer_free(&answer);
    freeReplyObject(reply);
    buffer_free(&text);
    buffer_free(&payload);
}

static void test_what_is_no_stored_message_is_set_apart(void **state) {
    struct redis_queue_answer answer;
    struct buffer text = {0}, payload = {0}, published = {0}, later = {0};
    (void)state;
    write_payload(&payload, ROUTE_QUEUE, BYTES("q:x"));
    write_payload(&published, ROUTE_TOPIC, BYTES("/topic/x"));
    append(&later, buffer_bytes(&payload));
    later.data[0] = PAYLOAD_VERSION_MAX;
    append(&text, BYTES("*7\r\n:0\r\n*2\r\n*0\r\n*8\r\n"));
    append_entry(&text, "1-1", buffer_bytes(&published));
    append_entry(&text, "1-2", BYTES("hello"));
    append_entry(&text, "1-3", buffer_bytes(&later));
    append_entry(&text, "1-4", buffer_bytes(&payload));
    append(&text, BYTES(TAIL));
    redisReply *reply = parse(buffer_bytes(&text));
    assert_true(redis_queue_answer_entries(reply, queues, 2, 1, &answer));
    assert_int_equal(answer.answer.entry_count, 1);
    assert_int_equal(answer.answer.entries[0].entry.n, 4);
    assert_int_equal(answer.stray_count, 3);
    for (size_t n = 0; n < 3; n++) {
        assert_int_equal(answer.strays[n].want, 1);
        assert_int_equal(answer.strays[n].entry.n, 1 + n);
        assert_int_equal(answer.strays[n].end, n < 2 ? STRAY_GOES : STRAY_WAITS);
    }
    assert_int_equal(answer.counts.unreadable, 2);
    redis_queue_answer_free(&answer);
    freeReplyObject(reply);
    buffer_free(&text);
    buffer_free(&payload);
    buffer_free(&published);
    buffer_free(&later);
}

/* A message before it must not be lost to memory. */
static void test_entries_of_another_form_are_refused(void **state) {
    static const char *const wrong[] = {
        "*2\r\n$3\r\n1-1\r\n:0\r\n",
        "*2\r\n$3\r\n1-1\r\n$-1\r\n",
        "*2\r\n$6\r\n1-1 -1\r\n$1\r\nm\r\n",
        "*2\r\n$5\r\n1-1 x\r\n$1\r\nm\r\n",
        "*2\r\n$14\r\n1-1 4294967296\r\n$1\r\nm\r\n",
        "*2\r\n$3\r\n1.1\r\n$1\r\nm\r\n",
        "*2\r\n$2\r\n-1\r\n$1\r\nm\r\n",
        "*2\r\n$2\r\n1-\r\n$1\r\nm\r\n",
        "*2\r\n$4\r\n 1-1\r\n$1\r\nm\r\n",
        "*2\r\n$0\r\n\r\n$1\r\nm\r\n",
        "*2\r\n:11\r\n$1\r\nm\r\n",
        "*3\r\n$3\r\n1-1\r\n$1\r\nm\r\n$3\r\n1-2\r\n",
        "$1\r\nx\r\n",
        "$-1\r\n",
        ":1\r\n",
    };
    (void)state;
    for (size_t n = 0; n < sizeof wrong / sizeof wrong[0]; n++) {
        struct redis_queue_answer answer;
        struct buffer text = {0}, payload = {0};
        write_payload(&payload, ROUTE_QUEUE, BYTES("q:x"));
        append(&text, BYTES("*7\r\n:0\r\n*2\r\n*2\r\n"));
        append_entry(&text, "1-1", buffer_bytes(&payload));
        append(&text, bytes_of(wrong[n]));
        append(&text, BYTES(TAIL));
        redisReply *reply = parse(buffer_bytes(&text));
        if (redis_queue_answer_entries(reply, queues, 2, 1, &answer))
            fail_msg("taken: %s", wrong[n]);
        assert_false(redis_queue_answer_entries(reply, queues, 1, 1, &answer));
        freeReplyObject(reply);
        buffer_free(&text);
        buffer_free(&payload);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_results_and_tail_are_read),
        cmocka_unit_test(test_whoever_is_gone_gets_nothing_else),
        cmocka_unit_test(test_results_of_another_form_are_refused),
        cmocka_unit_test(test_the_result_of_a_recovery_is_read),
        cmocka_unit_test(test_entries_are_read),
        cmocka_unit_test(test_what_is_no_stored_message_is_set_apart),
        cmocka_unit_test(test_entries_of_another_form_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
