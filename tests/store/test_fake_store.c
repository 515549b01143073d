/* The contract, kept by the stores of one process; and what breaks there as it does in reality. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fake_store.h"
#include "peer.h"

struct bench {
    struct fake_server server;
    struct contract contract;
    uint64_t random;
};

static struct bench bench;
static struct peer peer;
static struct peer other;

/* ---- the kind of store ---- */

static struct store *attach(void *arg, const char *node, const char *boot, const struct store_events *events,
                            void *events_arg) {
    return fake_store_new(&((struct bench *)arg)->server, node, boot, events, events_arg);
}

static bool pump_until(void *arg, bool (*reached)(void *reached_arg), void *reached_arg) {
    struct bench *at = arg;
    while (!reached(reached_arg))
        if (!fake_server_step(&at->server, &at->random))
            return false;
    return true;
}

static void empty(void *arg) {
    fake_server_empty(&((struct bench *)arg)->server);
}

/* ---- faults ---- */

static int set_up(void **state) {
    (void)state;
    fake_server_init(&bench.server);
    bench.random = 1;
    peer_open(&peer, &bench.contract, "a", "a:1");
    peer_open(&other, &bench.contract, "b", "b:1");
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    peer_close(&peer);
    peer_close(&other);
    fake_server_free(&bench.server);
    return 0;
}

static void settle(void) {
    while (fake_server_step(&bench.server, &bench.random))
        continue;
}

static void test_what_was_said_on_a_link_that_broke_may_be_done_or_not(void **state) {
    unsigned done = 0;
    (void)state;
    peer_subscribe(&other, STORE_CHANNEL, "t:/x");
    settle();
    for (int n = 0; n < 100; n++) {
        other.told[0] = '\0';
        peer_publish(&peer, "t:/x", "one");
        fake_store_cut(peer.store, true);
        settle();
        fake_store_cut(peer.store, false);
        settle();
        done += other.told[0] != '\0';
    }
    assert_in_range(done, 1, 99);
    assert_int_equal(peer.published, 0);
    assert_int_equal(peer.downs, 100);
}

static void test_what_was_said_before_may_come_behind_what_is_said_after(void **state) {
    bool overtaken = false;
    (void)state;
    peer_subscribe(&other, STORE_CHANNEL, "t:/x");
    settle();
    for (int n = 0; n < 100 && !overtaken; n++) {
        other.told[0] = '\0';
        peer_publish(&peer, "t:/x", "before");
        peer.store->ops->break_link(peer.store, "the test wants it");
        peer_await_up(&peer, peer.ups);
        peer_publish(&peer, "t:/x", "after");
        settle();
        overtaken = strcmp(other.told, "message t:/x: after\nmessage t:/x: before\n") == 0;
    }
    assert_true(overtaken);
}

static void test_the_two_connections_of_a_link_do_not_wait_for_each_other(void **state) {
    bool published_first = false;
    bool heard_first = false;
    (void)state;
    peer_subscribe(&peer, STORE_CHANNEL, "t:/x");
    settle();
    for (int n = 0; n < 100; n++) {
        unsigned published = peer.published;
        peer.told[0] = '\0';
        peer_publish(&peer, "t:/x", "one");
        while (peer.published == published && peer.told[0] == '\0')
            assert_true(fake_server_step(&bench.server, &bench.random));
        published_first = published_first || peer.told[0] == '\0';
        heard_first = heard_first || peer.published == published;
        settle();
    }
    assert_true(published_first && heard_first);
}

static void test_a_frozen_server_does_nothing_until_it_thaws(void **state) {
    (void)state;
    fake_server_freeze(&bench.server, true);
    peer_publish(&peer, "t:/x", "one");
    assert_false(fake_server_step(&bench.server, &bench.random));
    fake_server_freeze(&bench.server, false);
    peer_await_published(&peer, 1);
}

static void test_a_command_without_an_answer_breaks_its_link_in_time(void **state) {
    (void)state;
    fake_server_advance(&bench.server, 1000);
    fake_server_freeze(&bench.server, true);
    peer_publish(&peer, "t:/x", "one");
    fake_server_advance(&bench.server, 1000 + bench.server.reply_ms - 1);
    settle();
    assert_int_equal(peer.downs, 0);
    fake_server_advance(&bench.server, 1000 + bench.server.reply_ms);
    settle();
    assert_int_equal(peer.downs, 1);
    assert_int_equal(peer.ups, 1);
    assert_int_equal(other.downs, 0);
    fake_server_freeze(&bench.server, false);
    peer_await_up(&peer, 1);
}

static void test_a_stalled_link_is_silent_until_it_breaks(void **state) {
    (void)state;
    peer_subscribe(&peer, STORE_CHANNEL, "t:/x");
    settle();
    peer.told[0] = '\0';
    fake_store_stall(peer.store);
    assert_false(fake_store_is_sound(peer.store));
    peer_publish(&peer, "t:/x", "one");
    peer_publish(&other, "t:/x", "two");
    settle();
    assert_string_equal(peer.told, "");
    assert_int_equal(other.published, 1);
    peer.store->ops->break_link(peer.store, "the test wants it");
    peer_await_up(&peer, 1);
    assert_true(fake_store_is_sound(peer.store));
}

static void test_a_deaf_link_still_speaks(void **state) {
    (void)state;
    peer_subscribe(&peer, STORE_CHANNEL, "t:/x");
    settle();
    peer.told[0] = '\0';
    fake_store_deafen(peer.store);
    peer_publish(&peer, "t:/x", "one");
    settle();
    assert_string_equal(peer.told, "");
    assert_int_equal(peer.published, 1);
}

static void test_a_server_that_is_started_anew_has_a_new_id_and_its_data(void **state) {
    char before[sizeof peer.server];
    (void)state;
    assert_int_equal(peer_renew(&peer)->result, STORE_GONE);
    memcpy(before, peer.server, sizeof before);
    fake_server_stop(&bench.server);
    settle();
    assert_int_equal(peer.downs, 1);
    assert_int_equal(peer.ups, 1);
    fake_server_start(&bench.server, false);
    settle();
    assert_string_not_equal(peer.server, before);
    assert_string_equal(peer.server, other.server);
    assert_int_equal(peer_renew(&peer)->result, STORE_OK);
    fake_server_stop(&bench.server);
    fake_server_start(&bench.server, true);
    settle();
    assert_int_equal(peer_renew(&peer)->result, STORE_GONE);
}

static void test_without_memory_only_what_needs_some_fails(void **state) {
    (void)state;
    assert_int_equal(peer_renew(&peer)->result, STORE_GONE);
    assert_int_equal(peer_add(&peer, "a:1-1", "ann"), STORE_OK);
    bench.server.full = true;
    assert_int_equal(peer_renew(&peer)->result, STORE_FAILED);
    assert_int_equal(peer_add(&peer, "a:1-2", "ann"), STORE_FAILED);
    assert_string_equal(peer_user_sessions(&peer, "ann")->text, "a:1-1");
    assert_int_equal(peer_remove(&peer, "a:1-1", "ann"), STORE_OK);
}

static void test_globs_match_as_in_redis(void **state) {
    static const struct {
        const char *glob;
        const char *text;
        bool matches;
    } cases[] = {{"", "", true},          {"", "a", false},       {"*", "", true},          {"**", "ab", true},
                 {"a*c", "abbc", true},   {"a*c", "abb", false},  {"a?c", "abc", true},     {"a?c", "ac", false},
                 {"[ab]x", "bx", true},   {"[ab]x", "cx", false}, {"[^ab]x", "cx", true},   {"[^ab]x", "ax", false},
                 {"[a-c]", "b", true},    {"[c-a]", "b", true},   {"[a-c]", "d", false},    {"[/.]", "/", true},
                 {"[/.]", "x", false},    {"[\\]]", "]", true},   {"[a\\-c]", "b", false},  {"[a\\-c]", "-", true},
                 {"\\*", "*", true},      {"\\*", "a", false},    {"\\\\", "\\", true},     {"\\", "\\", true},
                 {"[ab", "b", true},      {"*.b", "a.b.b", true}, {"*a*b*", "xaxbx", true}, {"*a*b*", "xbxax", false},
                 {"\xff*", "\xffz", true}};
    (void)state;
    for (size_t n = 0; n < sizeof cases / sizeof *cases; n++)
        if (fake_glob_matches(bytes_of(cases[n].glob), bytes_of(cases[n].text)) != cases[n].matches)
            fail_msg("%s and %s", cases[n].glob, cases[n].text);
}

#define FAULT_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
    const struct CMUnitTest faults[] = {
        FAULT_TEST(test_what_was_said_on_a_link_that_broke_may_be_done_or_not),
        FAULT_TEST(test_what_was_said_before_may_come_behind_what_is_said_after),
        FAULT_TEST(test_the_two_connections_of_a_link_do_not_wait_for_each_other),
        FAULT_TEST(test_a_frozen_server_does_nothing_until_it_thaws),
        FAULT_TEST(test_a_command_without_an_answer_breaks_its_link_in_time),
        FAULT_TEST(test_a_stalled_link_is_silent_until_it_breaks),
        FAULT_TEST(test_a_deaf_link_still_speaks),
        FAULT_TEST(test_a_server_that_is_started_anew_has_a_new_id_and_its_data),
        FAULT_TEST(test_without_memory_only_what_needs_some_fails),
        cmocka_unit_test(test_globs_match_as_in_redis),
    };
    bench.contract = (struct contract){attach, pump_until, empty, &bench};
    bench.random = 1;
    fake_server_init(&bench.server);
    int failed = contract_run("the contract of the store in one process", &bench.contract);
    fake_server_free(&bench.server);
    failed += cmocka_run_group_tests_name("the store in one process", faults, NULL, NULL);
    return failed;
}
