/* The contract, kept by the store in Redis; and what Redis holds then. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "redis_bench.h"
#include "stompd/base/log.h"

/* A prefix with the characters that mean something in a glob. */
#define PREFIX "st*mpd[x]:"

static struct bench bench;
static struct peer peer;

static int set_up(void **state) {
    (void)state;
    bench.contract.empty(&bench);
    peer_open(&peer, &bench.contract, "a", "a:1");
    return 0;
}

static int set_up_for_spring(void **state) {
    bench.registry_prefix = "spring:websockets:users:";
    return set_up(state);
}

static int tear_down(void **state) {
    (void)state;
    peer_close(&peer);
    bench.registry_prefix = NULL;
    return 0;
}

static const char *say(const char *command, const char *key) {
    char whole[128];
    snprintf(whole, sizeof whole, PREFIX "%s", key);
    return redis_process_say(&bench.process, command, whole, NULL);
}

static void test_keys_are_as_documented(void **state) {
    (void)state;
    assert_int_equal(peer_renew(&peer)->result, STORE_GONE);
    assert_int_equal(peer_add(&peer, "a:1-1", "ann"), STORE_OK);
    assert_string_equal(redis_process_say(&bench.process, "HGETALL", PREFIX "nodes", NULL), "a a:1 1");
    assert_string_equal(redis_process_say(&bench.process, "HGETALL", PREFIX "boot:a:1:sessions", NULL), "a:1-1 ann");
    assert_string_equal(redis_process_say(&bench.process, "SMEMBERS", PREFIX "user:ann", NULL), "a:1-1");
    assert_string_equal(redis_process_say(&bench.process, "ZRANGE", PREFIX "users", "0", "-1", "WITHSCORES", NULL),
                        "ann 0");
    assert_int_equal(peer_leave(&peer), STORE_OK);
    assert_string_equal(redis_process_say(&bench.process, "KEYS", "*", NULL), "");
}

static void test_a_registry_prefix_gives_keys_that_spring_reads(void **state) {
    (void)state;
    assert_int_equal(peer_renew(&peer)->result, STORE_GONE);
    assert_int_equal(peer_add(&peer, "a:1-1", "ann"), STORE_OK);
    assert_string_equal(redis_process_say(&bench.process, "SMEMBERS", "spring:websockets:users:ann", NULL), "a:1-1");
    assert_string_equal(say("EXISTS", "user:ann"), "0");
    assert_string_equal(peer_user_sessions(&peer, "ann")->text, "a:1-1");
}

static void test_sessions_of_others_under_the_same_keys_stay(void **state) {
    (void)state;
    assert_int_equal(peer_renew(&peer)->result, STORE_GONE);
    redis_process_say(&bench.process, "SADD", "spring:websockets:users:ann", "theirs", NULL);
    assert_int_equal(peer_add(&peer, "a:1-1", "ann"), STORE_OK);
    assert_string_equal(peer_user_sessions(&peer, "ann")->text, "a:1-1, theirs");
    assert_int_equal(peer_remove(&peer, "a:1-1", "ann"), STORE_OK);
    assert_string_equal(peer_user_sessions(&peer, "ann")->text, "theirs");
    assert_string_equal(peer_users(&peer, "", 10)->text, "ann 1");
}

static void test_a_name_whose_sessions_others_took_out_is_not_online(void **state) {
    static const char *const users[] = {"a", "b", "c", "d"};
    (void)state;
    assert_int_equal(peer_renew(&peer)->result, STORE_GONE);
    peer_add_many(&peer, "a:1", 0, 4, users, 4);
    redis_process_say(&bench.process, "DEL", PREFIX "user:a", PREFIX "user:b", NULL);
    assert_string_equal(peer_users(&peer, "", 1)->text, "c 1");
    assert_string_equal(peer_users(&peer, "c", 1)->text, "d 1");
    assert_string_equal(peer_users(&peer, "d", 1)->text, "");
}

static void test_entries_that_are_no_entries_are_passed_over(void **state) {
    (void)state;
    redis_process_say(&bench.process, "HSET", PREFIX "nodes", "b", "nonsense", "c", "", "d", "d:1 ", "e", "e:1 -1", "f",
                      "f:1 99999999999999999999", NULL);
    redis_process_say(&bench.process, "HSET", PREFIX "nodes", "g", "g:1 7", NULL);
    const struct answer *answer = peer_renew(&peer);
    assert_int_equal(answer->result, STORE_GONE);
    assert_string_equal(answer->text, "a a:1 1, g g:1 7");
}

static void test_a_count_is_compared_as_a_number(void **state) {
    (void)state;
    redis_process_say(&bench.process, "HSET", PREFIX "nodes", "b", "b:1 012", "c", "c:1 9007199254740991", NULL);
    assert_string_equal(peer_renew(&peer)->text, "a a:1 1, b b:1 12, c c:1 9007199254740991");
    assert_int_equal(peer_bury(&peer, "b", "b:1", 13, false), STORE_ALIVE);
    assert_int_equal(peer_bury(&peer, "b", "b:1", 12, false), STORE_OK);
    assert_int_equal(peer_bury(&peer, "c", "c:1", 9007199254740990, false), STORE_ALIVE);
    assert_int_equal(peer_bury(&peer, "c", "c:1", 9007199254740991, false), STORE_OK);
    assert_string_equal(peer_renew(&peer)->text, "a a:1 2");
}

/* From there on Lua's numbers are not exact. */
static void test_a_count_of_2_to_the_53_is_none(void **state) {
    (void)state;
    redis_process_say(&bench.process, "HSET", PREFIX "nodes", "a", "a:1 9007199254740992", "b", "b:1 9007199254740992",
                      NULL);
    assert_int_equal(peer_add(&peer, "a:1-1", "ann"), STORE_GONE);
    const struct answer *answer = peer_renew(&peer);
    assert_int_equal(answer->result, STORE_GONE);
    assert_string_equal(answer->text, "a a:1 1");
    assert_int_equal(peer_bury(&peer, "b", "b:1", 9007199254740992, false), STORE_ALIVE);
}

static void test_ones_own_entry_is_mended(void **state) {
    (void)state;
    redis_process_say(&bench.process, "HSET", PREFIX "nodes", "a", "nonsense", NULL);
    assert_int_equal(peer_add(&peer, "a:1-1", "ann"), STORE_GONE);
    assert_int_equal(peer_renew(&peer)->result, STORE_GONE);
    assert_int_equal(peer_renew(&peer)->result, STORE_OK);
    redis_process_say(&bench.process, "HSET", PREFIX "nodes", "a", "a:1 what", NULL);
    assert_int_equal(peer_renew(&peer)->result, STORE_GONE);
}

static void test_keys_that_hold_something_else_are_a_failure(void **state) {
    (void)state;
    redis_process_say(&bench.process, "SET", PREFIX "nodes", "text", NULL);
    assert_int_equal(peer_renew(&peer)->result, STORE_FAILED);
    assert_int_equal(peer_add(&peer, "a:1-1", "ann"), STORE_FAILED);
    assert_int_equal(peer_bury(&peer, "b", "b:1", 1, false), STORE_FAILED);
    redis_process_say(&bench.process, "DEL", PREFIX "nodes", NULL);
    redis_process_say(&bench.process, "MSET", PREFIX "users", "text", PREFIX "user:ann", "text", NULL);
    assert_int_equal(peer_users(&peer, "", 10)->result, STORE_FAILED);
    assert_int_equal(peer_user_sessions(&peer, "ann")->result, STORE_FAILED);
    assert_int_equal(peer.downs, 0);
}

static void test_a_user_key_that_holds_something_else_harms_no_other(void **state) {
    static const char *const users[] = {"ann", "bob"};
    static struct answer answer;
    struct store_session sessions[] = {{BYTES("a:1-8"), BYTES("ann")}, {BYTES("a:1-9"), BYTES("bob")}};
    (void)state;
    assert_int_equal(peer_renew(&peer)->result, STORE_GONE);
    peer_add_many(&peer, "a:1", 0, 2, users, 2);
    redis_process_say(&bench.process, "SET", PREFIX "user:ann", "text", NULL);
    peer.store->ops->add_sessions(peer.store, sessions, 2, peer_call(&peer, &answer));
    peer_await_answer(&peer, &answer);
    assert_int_equal(answer.result, STORE_FAILED);
    assert_string_equal(peer_users(&peer, "", 10)->text, "bob 2");
    assert_int_equal(peer_remove(&peer, "a:1-0", "ann"), STORE_OK);
    assert_int_equal(peer_leave(&peer), STORE_OK);
    assert_string_equal(say("EXISTS", "nodes"), "0");
    assert_string_equal(say("EXISTS", "user:bob"), "0");
}

static void test_a_payload_may_be_large(void **state) {
    static char payload[3 * 1024 * 1024];
    static char expected[sizeof payload];
    (void)state;
    memset(payload, 'x', sizeof payload - 1);
    peer_subscribe(&peer, STORE_CHANNEL, "t:/x");
    peer_expect(&peer, "subscribed t:/x\n");
    peer_publish(&peer, "t:/x", payload);
    memset(expected, 'x', PEER_TEXT - 1);
    memcpy(expected, "message t:/x: ", 14);
    peer_await_published(&peer, 1);
    peer_publish(&peer, "t:/x", "small");
    peer_await_published(&peer, 2);
    expected[PEER_TEXT - 1] = '\0';
    peer_expect(&peer, expected);
}

static void test_both_connections_bear_the_nodes_name(void **state) {
    (void)state;
    const char *clients = redis_process_say(&bench.process, "CLIENT", "LIST", NULL);
    const char *first = strstr(clients, "name=stompd:a ");
    assert_non_null(first);
    assert_non_null(strstr(first + 1, "name=stompd:a "));
}

static void test_status_tells_the_version(void **state) {
    struct redis_status status;
    (void)state;
    redis_store_status(peer.store, &status);
    assert_true(status.up);
    assert_int_equal(status.ups, 1);
    assert_int_equal(status.failures, 0);
    assert_memory_equal(status.version, "Redis ", 6);
    assert_string_equal(status.trouble, "");
}

int main(void) {
    const struct CMUnitTest own[] = {
        cmocka_unit_test_setup_teardown(test_keys_are_as_documented, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_registry_prefix_gives_keys_that_spring_reads, set_up_for_spring,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_sessions_of_others_under_the_same_keys_stay, set_up_for_spring, tear_down),
        cmocka_unit_test_setup_teardown(test_a_name_whose_sessions_others_took_out_is_not_online, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_entries_that_are_no_entries_are_passed_over, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_count_is_compared_as_a_number, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_count_of_2_to_the_53_is_none, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_ones_own_entry_is_mended, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_keys_that_hold_something_else_are_a_failure, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_user_key_that_holds_something_else_harms_no_other, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_payload_may_be_large, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_both_connections_bear_the_nodes_name, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_status_tells_the_version, set_up, tear_down),
    };
    log_set_level(LOG_LEVEL_ERROR);
    bench_init(&bench);
    bench.prefix = PREFIX;
    redis_process_start(&bench.process, NULL);
    int failed = contract_run("the contract of the store in Redis", &bench.contract);
    failed += cmocka_run_group_tests_name("the store in Redis", own, NULL, NULL);
    bench_free(&bench);
    return failed;
}
