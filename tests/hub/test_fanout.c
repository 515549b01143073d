/* Publications to and from other nodes, on a store that only records what is published. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "../../src/hub/fanout.h"
#include "stompd/session/session.h"
#include "stompd/stomp/writer.h"

#define SENT_MAX 64
#define COST     UINT64_C(100)

struct sent {
    char channel[64];
    enum payload_type type;
    uint64_t sequence;
    char body[32];
};

struct bench {
    struct store store; /* first: the ops get it */
    struct fanout fanout;
    struct sent sent[SENT_MAX];
    size_t sent_count;
    uint64_t credited[2]; /* by worker */
};

static void on_publish(struct store *store, struct bytes channel, struct bytes payload) {
    struct bench *bench = (struct bench *)store;
    struct payload_origin origin;
    const char *why;
    assert_true(payload_read_origin(payload, &origin, &why));
    assert_true(bytes_equal(origin.boot, BYTES("node-a:b00t")));
    assert_true(bench->sent_count < SENT_MAX);
    struct sent *sent = &bench->sent[bench->sent_count++];
    *sent = (struct sent){.type = origin.type, .sequence = origin.sequence};
    snprintf(sent->channel, sizeof sent->channel, "%.*s", BYTES_ARG(channel));
    if (origin.type != PAYLOAD_PUBLICATION)
        return;
    struct message *message = payload_read_message(payload, 2, &why);
    assert_non_null(message);
    snprintf(sent->body, sizeof sent->body, "%s", message_body(message).data);
    message_unref(message);
}

static const struct store_ops recording = {.publish = on_publish};

static void on_credit(void *arg, unsigned worker, uint64_t bytes) {
    ((struct bench *)arg)->credited[worker] += bytes;
}

static int setup(void **state) {
    static struct bench bench;
    bench = (struct bench){.store.ops = &recording};
    fanout_init(&bench.fanout, &bench.store, BYTES("node-a:b00t"), 3 * COST, on_credit, &bench);
    *state = &bench;
    return 0;
}

static int teardown(void **state) {
    fanout_free(&((struct bench *)*state)->fanout);
    return 0;
}

static void publish_to(struct bench *bench, enum route route, struct bytes key, const char *body) {
    struct stomp_publication publication = {.destination = BYTES("/topic/a"),
                                            .message_id = BYTES("1"),
                                            .body = bytes_of(body),
                                            .route = (uint8_t)route,
                                            .key = key};
    struct message *message = stomp_write_message(2, &publication);
    assert_non_null(message);
    fanout_publish(&bench->fanout, message, 1, COST);
}

static void publish(struct bench *bench, const char *body) {
    publish_to(bench, ROUTE_TOPIC, BYTES("/topic/a"), body);
}

/* Everything that was sent since the last call, as "sequence body" words. */
static const char *take_sent(struct bench *bench) {
    static char words[512];
    size_t len = 0;
    words[0] = '\0';
    for (size_t n = 0; n < bench->sent_count; n++)
        len += (size_t)snprintf(words + len, sizeof words - len, "%s%u%s", n > 0 ? " " : "",
                                (unsigned)bench->sent[n].sequence, bench->sent[n].body);
    bench->sent_count = 0;
    return words;
}

static void test_publications_go_out_numbered_to_their_channel(void **state) {
    struct bench *bench = *state;
    fanout_open(&bench->fanout);
    publish(bench, "x");
    publish(bench, "y");
    assert_string_equal(bench->sent[0].channel, "t:/topic/a");
    assert_string_equal(take_sent(bench), "1x 2y");
}

static void test_credit_comes_with_the_answer(void **state) {
    struct bench *bench = *state;
    fanout_open(&bench->fanout);
    publish(bench, "x");
    publish(bench, "y");
    assert_int_equal(bench->credited[1], 0);
    fanout_published(&bench->fanout, true);
    assert_int_equal(bench->credited[1], COST);
    fanout_published(&bench->fanout, false);
    assert_int_equal(bench->credited[1], 2 * COST);
    assert_int_equal(bench->fanout.counters.sent, 1);
    assert_int_equal(bench->fanout.counters.dropped, 1);
    assert_true(fanout_is_empty(&bench->fanout));
}

static void test_what_was_not_answered_is_sent_again_first_with_its_number(void **state) {
    struct bench *bench = *state;
    fanout_open(&bench->fanout);
    publish(bench, "x");
    publish(bench, "y");
    publish(bench, "z");
    fanout_published(&bench->fanout, true);
    take_sent(bench);

    fanout_close(&bench->fanout);
    publish(bench, "w");
    assert_string_equal(take_sent(bench), "");
    fanout_open(&bench->fanout);
    assert_string_equal(take_sent(bench), "2y 3z 4w");
    assert_int_equal(bench->fanout.counters.resent, 2);
}

static void test_while_closed_credit_is_given_at_once_and_only_once(void **state) {
    struct bench *bench = *state;
    fanout_open(&bench->fanout);
    publish(bench, "x");
    fanout_close(&bench->fanout);
    publish(bench, "y");
    assert_int_equal(bench->credited[1], 2 * COST);
    fanout_open(&bench->fanout);
    fanout_published(&bench->fanout, true);
    fanout_published(&bench->fanout, true);
    assert_int_equal(bench->credited[1], 2 * COST);
}

static void test_while_closed_the_buffer_is_bounded_and_the_oldest_are_kept(void **state) {
    struct bench *bench = *state;
    for (int n = 0; n < 5; n++)
        publish(bench, (const char *[]){"a", "b", "c", "d", "e"}[n]);
    assert_int_equal(bench->fanout.counters.dropped, 2);
    assert_int_equal(bench->credited[1], 5 * COST);
    fanout_open(&bench->fanout);
    publish(bench, "f");
    assert_string_equal(take_sent(bench), "1a 2b 3c 4f");
}

static void test_no_more_than_the_window_is_under_way(void **state) {
    struct bench *bench = *state;
    size_t window = FANOUT_WINDOW / COST + 1;
    fanout_open(&bench->fanout);
    for (size_t n = 0; n < window; n++) {
        publish(bench, "");
        take_sent(bench);
    }
    publish(bench, "later");
    assert_string_equal(take_sent(bench), "");
    fanout_published(&bench->fanout, true);
    assert_string_equal(bench->sent[0].body, "later");
}

static void test_a_session_id_without_a_node_is_nobodys_and_no_loss(void **state) {
    struct bench *bench = *state;
    fanout_open(&bench->fanout);
    publish_to(bench, ROUTE_USER, (struct bytes){"sunknown\0/queue/x", 17}, "x");
    publish(bench, "y");
    assert_string_equal(take_sent(bench), "2y");
    assert_int_equal(bench->fanout.counters.dropped, 0);
    assert_int_equal(bench->credited[1], COST);
}

static void test_words_overtake_what_waits_and_are_not_said_again(void **state) {
    struct bench *bench = *state;
    publish(bench, "x");
    fanout_tell(&bench->fanout, PAYLOAD_ASK, BYTES("node-b"));
    assert_string_equal(bench->sent[0].channel, "n:node-b");
    assert_int_equal(bench->sent[0].type, PAYLOAD_ASK);
    fanout_close(&bench->fanout);
    take_sent(bench);
    fanout_open(&bench->fanout);
    assert_string_equal(take_sent(bench), "1x");
    fanout_published(&bench->fanout, true);
    assert_true(fanout_is_empty(&bench->fanout));
}

/* It comes in, and is good. */
static bool is_new(struct bench *bench, const char *boot, uint64_t sequence, uint64_t now_ms) {
    struct payload_origin origin = {PAYLOAD_PUBLICATION, bytes_of(boot), sequence};
    if (!fanout_is_new(&bench->fanout, &origin))
        return false;
    fanout_note(&bench->fanout, &origin, now_ms);
    return true;
}

static void test_only_what_is_newer_than_the_last_of_its_origin_is_new(void **state) {
    struct bench *bench = *state;
    assert_true(is_new(bench, "node-b:1", 5, 0));
    assert_false(is_new(bench, "node-b:1", 5, 0));
    assert_false(is_new(bench, "node-b:1", 4, 0));
    assert_true(is_new(bench, "node-b:1", 7, 0));
    assert_true(is_new(bench, "node-b:2", 1, 0)); /* another boot counts anew */
    assert_int_equal(bench->fanout.counters.received, 3);
    assert_int_equal(bench->fanout.counters.repeated, 2);
}

static void test_its_own_publications_are_never_new(void **state) {
    assert_false(is_new(*state, "node-a:b00t", 1, 0));
}

static void test_what_was_not_good_does_not_hide_what_follows(void **state) {
    struct bench *bench = *state;
    assert_true(fanout_is_new(&bench->fanout, &(struct payload_origin){PAYLOAD_PUBLICATION, BYTES("node-b:1"), 900}));
    assert_true(is_new(bench, "node-b:1", 5, 0));
}

static void test_origins_are_bounded_and_the_longest_silent_goes(void **state) {
    struct bench *bench = *state;
    char boot[32];
    for (unsigned n = 0; n <= FANOUT_ORIGINS_MAX; n++) {
        snprintf(boot, sizeof boot, "node:%u", n);
        assert_true(is_new(bench, boot, 1, n));
    }
    assert_int_equal(bench->fanout.origins.count, FANOUT_ORIGINS_MAX);
    assert_false(is_new(bench, "node:1", 1, 0));
    assert_true(is_new(bench, "node:0", 1, 0));
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_publications_go_out_numbered_to_their_channel),
        TEST(test_credit_comes_with_the_answer),
        TEST(test_what_was_not_answered_is_sent_again_first_with_its_number),
        TEST(test_while_closed_credit_is_given_at_once_and_only_once),
        TEST(test_while_closed_the_buffer_is_bounded_and_the_oldest_are_kept),
        TEST(test_no_more_than_the_window_is_under_way),
        TEST(test_a_session_id_without_a_node_is_nobodys_and_no_loss),
        TEST(test_words_overtake_what_waits_and_are_not_said_again),
        TEST(test_only_what_is_newer_than_the_last_of_its_origin_is_new),
        TEST(test_its_own_publications_are_never_new),
        TEST(test_what_was_not_good_does_not_hide_what_follows),
        TEST(test_origins_are_bounded_and_the_longest_silent_goes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
