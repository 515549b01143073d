/* Interest as subscriptions to the store's channels, on a store that only records what is asked of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../src/hub/channels.h"
#include "stompd/edge/router.h"
#include "stompd/stomp/writer.h"

struct bench {
    struct store store; /* first: the ops get it */
    struct channels channels;
    struct mail_batch outgoing[2];
    uint64_t credited[2]; /* by worker */
    char asked[512];      /* what was asked of the store since the last look: "+channel", "-channel", "*glob" */
};

static void note(struct store *store, const char *mark, struct bytes name) {
    struct bench *bench = (struct bench *)store;
    size_t len = strlen(bench->asked);
    snprintf(bench->asked + len, sizeof bench->asked - len, "%s%s%.*s", len > 0 ? " " : "", mark, BYTES_ARG(name));
}

static void on_subscribe(struct store *store, enum store_channel kind, struct bytes name) {
    note(store, kind == STORE_GLOB ? "*" : "+", name);
}

static void on_unsubscribe(struct store *store, enum store_channel kind, struct bytes name) {
    note(store, kind == STORE_GLOB ? "*-" : "-", name);
}

static const struct store_ops recording = {.subscribe = on_subscribe, .unsubscribe = on_unsubscribe};

static void on_credit(void *arg, unsigned worker, uint64_t bytes) {
    ((struct bench *)arg)->credited[worker] += bytes;
}

/* So many announcements and withdrawals of keys of that length have been credited to the worker. */
static void expect_credit(const struct bench *bench, unsigned worker, unsigned count, const char *key) {
    assert_int_equal(bench->credited[worker], count * router_interest_cost(strlen(key)));
}

static void expect_asked(struct bench *bench, const char *asked) {
    assert_string_equal(bench->asked, asked);
    bench->asked[0] = '\0';
}

static int setup(void **state) {
    static struct bench bench;
    bench = (struct bench){.store.ops = &recording};
    assert_true(channels_init(&bench.channels, &bench.store, BYTES("node-a"), 2, bench.outgoing, on_credit, &bench));
    *state = &bench;
    return 0;
}

static int setup_up(void **state) {
    setup(state);
    struct bench *bench = *state;
    channels_up(&bench->channels);
    expect_asked(bench, "+n:node-a");
    return channels_subscribed(&bench->channels, STORE_CHANNEL, BYTES("n:node-a")) ? 0 : -1;
}

static int teardown(void **state) {
    struct bench *bench = *state;
    channels_free(&bench->channels);
    for (unsigned n = 0; n < 2; n++)
        mail_discard_all(bench->outgoing[n].newest);
    return 0;
}

static struct mail_interest *interest(unsigned worker, enum interest_kind kind, const char *key, uint64_t id) {
    struct buffer whole = {0};
    assert_true(buffer_append(&whole, key, strlen(key) + (kind == INTEREST_USER)));
    assert_true(kind != INTEREST_USER || buffer_append(&whole, "/queue/x", strlen("/queue/x")));
    struct mail_interest *mail = malloc(sizeof *mail + whole.len);
    assert_non_null(mail);
    *mail = (struct mail_interest){.from = worker, .kind = kind, .id = id, .key_len = whole.len};
    memcpy(mail->key, whole.data, whole.len);
    buffer_free(&whole);
    return mail;
}

static void announce(struct bench *bench, unsigned worker, enum interest_kind kind, const char *key, uint64_t id) {
    struct mail_interest *mail = interest(worker, kind, key, id);
    channels_announce(&bench->channels, mail, 0);
    free(mail);
}

static void withdraw(struct bench *bench, unsigned worker, enum interest_kind kind, const char *key, uint64_t now_ms) {
    struct mail_interest *mail = interest(worker, kind, key, 0);
    channels_withdraw(&bench->channels, mail, now_ms);
    free(mail);
}

static void subscribed(struct bench *bench, const char *name) {
    assert_false(channels_subscribed(&bench->channels, STORE_CHANNEL, bytes_of(name)));
}

/* The worker got one confirmation, of that announcement; 0: none. */
static void expect_confirmed(struct bench *bench, unsigned worker, uint64_t id) {
    struct mail_interest *mail = (struct mail_interest *)bench->outgoing[worker].newest;
    bench->outgoing[worker] = (struct mail_batch){0};
    assert_int_equal(mail != NULL, id > 0);
    if (!mail)
        return;
    assert_null(mail->mail.next);
    assert_int_equal(mail->mail.type, MAIL_CONFIRM);
    assert_int_equal(mail->from, 2);
    assert_int_equal(mail->id, id);
    free(mail);
}

static uint64_t match(struct bench *bench, enum route route, struct bytes key) {
    struct stomp_publication publication = {
        .destination = BYTES("/x"), .message_id = BYTES("1"), .body = BYTES(""), .route = (uint8_t)route, .key = key};
    struct message *message = stomp_write_message(2, &publication);
    uint64_t workers;
    assert_non_null(message);
    assert_true(channels_match(&bench->channels, message, &workers));
    message_unref(message);
    return workers;
}

static void test_interest_is_confirmed_when_its_channel_is_acknowledged(void **state) {
    struct bench *bench = *state;
    announce(bench, 1, INTEREST_EXACT, "/topic/a", 7);
    expect_asked(bench, "+t:/topic/a");
    expect_confirmed(bench, 1, 0);
    subscribed(bench, "t:/topic/a");
    expect_confirmed(bench, 1, 7);
}

static void test_a_live_channel_serves_further_interest_at_once(void **state) {
    struct bench *bench = *state;
    announce(bench, 0, INTEREST_EXACT, "/topic/a", 1);
    subscribed(bench, "t:/topic/a");
    expect_asked(bench, "+t:/topic/a");
    announce(bench, 1, INTEREST_EXACT, "/topic/a", 2);
    expect_asked(bench, "");
    expect_confirmed(bench, 1, 2);
}

static void test_a_pattern_never_stands_in_for_an_exact_channel(void **state) {
    struct bench *bench = *state;
    announce(bench, 0, INTEREST_PATTERN, "/topic/*", 1);
    expect_asked(bench, "*t:/topic/*");
    assert_false(channels_subscribed(&bench->channels, STORE_GLOB, BYTES("t:/topic/*")));
    expect_confirmed(bench, 0, 1);
    announce(bench, 0, INTEREST_EXACT, "/topic/a", 2);
    expect_asked(bench, "+t:/topic/a");
    expect_confirmed(bench, 0, 0);
}

static void test_a_user_has_one_channel_for_all_destinations(void **state) {
    struct bench *bench = *state;
    announce(bench, 0, INTEREST_USER, "uann", 1);
    expect_asked(bench, "+u:ann");
    assert_int_equal(match(bench, ROUTE_USER, (struct bytes){"uann\0/queue/x", 13}), 1);
    assert_int_equal(match(bench, ROUTE_USER, (struct bytes){"uann\0/queue/y", 13}), 0);
    assert_int_equal(match(bench, ROUTE_TOPIC, (struct bytes){"uann\0/queue/x", 13}), 0);
}

static void test_an_anonymous_session_is_reached_by_its_nodes_own_channel(void **state) {
    struct bench *bench = *state;
    announce(bench, 1, INTEREST_USER, "snode-a:b00t:1-1", 3);
    expect_asked(bench, "");
    expect_confirmed(bench, 1, 3);
}

static void test_a_channel_is_left_a_second_after_its_last_interest(void **state) {
    struct bench *bench = *state;
    announce(bench, 0, INTEREST_EXACT, "/topic/a", 1);
    announce(bench, 1, INTEREST_EXACT, "/topic/a", 2);
    subscribed(bench, "t:/topic/a");
    expect_asked(bench, "+t:/topic/a");
    withdraw(bench, 0, INTEREST_EXACT, "/topic/a", 5000);
    channels_tick(&bench->channels, 9000);
    expect_asked(bench, "");
    withdraw(bench, 1, INTEREST_EXACT, "/topic/a", 10000);
    channels_tick(&bench->channels, 10000 + CHANNELS_RELEASE_MS - 1);
    expect_asked(bench, "");
    channels_tick(&bench->channels, 10000 + CHANNELS_RELEASE_MS);
    expect_asked(bench, "-t:/topic/a");
    channels_unsubscribed(&bench->channels, STORE_CHANNEL, BYTES("t:/topic/a"));
    assert_int_equal(channels_count(&bench->channels), 1);
}

static struct bench *release(void **state) {
    struct bench *bench = *state;
    announce(bench, 0, INTEREST_EXACT, "/topic/a", 1);
    subscribed(bench, "t:/topic/a");
    expect_confirmed(bench, 0, 1);
    withdraw(bench, 0, INTEREST_EXACT, "/topic/a", 0);
    expect_asked(bench, "+t:/topic/a");
    return bench;
}

static void test_new_interest_within_the_second_cancels_the_release(void **state) {
    struct bench *bench = release(state);
    announce(bench, 1, INTEREST_EXACT, "/topic/a", 2);
    expect_confirmed(bench, 1, 2);
    channels_tick(&bench->channels, 60000);
    expect_asked(bench, "");
}

static void test_new_interest_while_it_is_left_waits_for_the_answer_and_asks_again(void **state) {
    struct bench *bench = release(state);
    channels_tick(&bench->channels, 60000);
    expect_asked(bench, "-t:/topic/a");
    announce(bench, 1, INTEREST_EXACT, "/topic/a", 2);
    expect_asked(bench, "");
    channels_unsubscribed(&bench->channels, STORE_CHANNEL, BYTES("t:/topic/a"));
    expect_asked(bench, "+t:/topic/a");
    expect_confirmed(bench, 1, 0);
    subscribed(bench, "t:/topic/a");
    expect_confirmed(bench, 1, 2);
}

static void test_interest_that_goes_before_the_answer_is_left_after_it(void **state) {
    struct bench *bench = *state;
    announce(bench, 0, INTEREST_EXACT, "/topic/a", 1);
    withdraw(bench, 0, INTEREST_EXACT, "/topic/a", 0);
    channels_tick(&bench->channels, 60000);
    expect_asked(bench, "+t:/topic/a");
    subscribed(bench, "t:/topic/a");
    expect_confirmed(bench, 0, 0);
    channels_tick(&bench->channels, 60000);
    expect_asked(bench, "-t:/topic/a");
}

static void test_a_new_link_asks_for_all_and_for_the_nodes_own_channel_last(void **state) {
    struct bench *bench = release(state);
    announce(bench, 0, INTEREST_EXACT, "/topic/b", 2);
    expect_asked(bench, "+t:/topic/b");
    channels_down(&bench->channels);
    assert_false(channels_are_live(&bench->channels));
    announce(bench, 1, INTEREST_PATTERN, "/topic/**", 3);
    announce(bench, 1, INTEREST_EXACT, "/topic/c", 4);
    withdraw(bench, 1, INTEREST_EXACT, "/topic/c", 0);
    expect_asked(bench, "");
    channels_up(&bench->channels); /* without what was released or has come and gone meanwhile */
    expect_asked(bench, "+t:/topic/b *t:/topic/* +n:node-a");
    subscribed(bench, "t:/topic/b");
    expect_confirmed(bench, 0, 2);
    assert_false(channels_subscribed(&bench->channels, STORE_GLOB, BYTES("t:/topic/*")));
    assert_false(channels_are_live(&bench->channels));
    assert_true(channels_subscribed(&bench->channels, STORE_CHANNEL, BYTES("n:node-a")));
    assert_true(channels_are_live(&bench->channels));
}

static void test_credit_for_an_announcement_comes_with_its_channel(void **state) {
    struct bench *bench = *state;
    announce(bench, 0, INTEREST_EXACT, "/topic/a", 1);
    expect_credit(bench, 0, 0, "/topic/a");
    subscribed(bench, "t:/topic/a");
    expect_credit(bench, 0, 1, "/topic/a");
    announce(bench, 1, INTEREST_EXACT, "/topic/a", 2);
    expect_credit(bench, 1, 1, "/topic/a");
}

static void test_credit_for_the_last_withdrawal_comes_when_the_channel_is_left(void **state) {
    struct bench *bench = *state;
    announce(bench, 0, INTEREST_EXACT, "/topic/a", 1);
    announce(bench, 1, INTEREST_EXACT, "/topic/a", 2);
    subscribed(bench, "t:/topic/a");
    withdraw(bench, 0, INTEREST_EXACT, "/topic/a", 0);
    expect_credit(bench, 0, 2, "/topic/a");
    withdraw(bench, 1, INTEREST_EXACT, "/topic/a", 0);
    channels_tick(&bench->channels, 60000);
    expect_credit(bench, 1, 1, "/topic/a");
    channels_unsubscribed(&bench->channels, STORE_CHANNEL, BYTES("t:/topic/a"));
    expect_credit(bench, 1, 2, "/topic/a");
}

static void test_credit_comes_at_once_while_the_store_is_away(void **state) {
    struct bench *bench = *state;
    announce(bench, 0, INTEREST_EXACT, "/topic/a", 1);
    channels_down(&bench->channels);
    expect_credit(bench, 0, 1, "/topic/a");
    announce(bench, 1, INTEREST_EXACT, "/topic/b", 2);
    withdraw(bench, 1, INTEREST_EXACT, "/topic/b", 0);
    expect_credit(bench, 1, 2, "/topic/b");
    channels_up(&bench->channels);
    subscribed(bench, "t:/topic/a");
    expect_credit(bench, 0, 1, "/topic/a");
}

static void test_a_key_that_is_announced_again_is_kept_once(void **state) {
    struct bench *bench = *state;
    announce(bench, 0, INTEREST_EXACT, "/topic/a", 1);
    announce(bench, 0, INTEREST_EXACT, "/topic/a", 2);
    subscribed(bench, "t:/topic/a");
    expect_confirmed(bench, 0, 2);
    withdraw(bench, 0, INTEREST_EXACT, "/topic/a", 0);
    assert_int_equal(match(bench, ROUTE_TOPIC, BYTES("/topic/a")), 0);
    expect_credit(bench, 0, 3, "/topic/a"); /* that of the withdrawal waits for the channel's end */
}

static void test_a_message_is_for_each_worker_that_wants_it_once(void **state) {
    struct bench *bench = *state;
    announce(bench, 0, INTEREST_EXACT, "/topic/a", 1);
    announce(bench, 0, INTEREST_PATTERN, "/topic/*", 2);
    announce(bench, 1, INTEREST_PATTERN, "/topic/*", 3);
    assert_int_equal(match(bench, ROUTE_TOPIC, BYTES("/topic/a")), 3);
    assert_int_equal(match(bench, ROUTE_TOPIC, BYTES("/topic/a.b")), 0);
    withdraw(bench, 1, INTEREST_PATTERN, "/topic/*", 0);
    assert_int_equal(match(bench, ROUTE_TOPIC, BYTES("/topic/a")), 1);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup_up, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_interest_is_confirmed_when_its_channel_is_acknowledged),
        TEST(test_a_live_channel_serves_further_interest_at_once),
        TEST(test_a_pattern_never_stands_in_for_an_exact_channel),
        TEST(test_a_user_has_one_channel_for_all_destinations),
        TEST(test_an_anonymous_session_is_reached_by_its_nodes_own_channel),
        TEST(test_a_channel_is_left_a_second_after_its_last_interest),
        TEST(test_new_interest_within_the_second_cancels_the_release),
        TEST(test_new_interest_while_it_is_left_waits_for_the_answer_and_asks_again),
        TEST(test_interest_that_goes_before_the_answer_is_left_after_it),
        TEST(test_a_new_link_asks_for_all_and_for_the_nodes_own_channel_last),
        TEST(test_credit_for_an_announcement_comes_with_its_channel),
        TEST(test_credit_for_the_last_withdrawal_comes_when_the_channel_is_left),
        TEST(test_credit_comes_at_once_while_the_store_is_away),
        TEST(test_a_key_that_is_announced_again_is_kept_once),
        TEST(test_a_message_is_for_each_worker_that_wants_it_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
