/* The suite. Each test has a fresh server and two boots attached to it, of nodes a and b. */
#include "contract.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "peer.h"

#define BOOT_A "a:1"
#define BOOT_B "b:1"

struct pair {
    const struct contract *contract;
    struct peer a;
    struct peer b;
};

static struct pair pair;

static int set_up(void **state) {
    const struct contract *contract = *state;
    pair.contract = contract;
    contract->empty(contract->arg);
    peer_open(&pair.a, contract, "a", BOOT_A);
    peer_open(&pair.b, contract, "b", BOOT_B);
    *state = &pair;
    return 0;
}

static int tear_down(void **state) {
    peer_close(&pair.a);
    peer_close(&pair.b);
    *state = (void *)pair.contract;
    return 0;
}

static void join(struct pair *both) {
    assert_int_equal(peer_renew(&both->a)->result, STORE_GONE);
    assert_int_equal(peer_renew(&both->b)->result, STORE_GONE);
}

static const char *sessions_of(struct pair *both, const char *user) {
    const struct answer *answer = peer_user_sessions(&both->b, user);
    assert_int_equal(answer->result, STORE_OK);
    return answer->text;
}

static const char *all_users(struct pair *both) {
    const struct answer *answer = peer_users(&both->b, "", STORE_USERS_MAX);
    assert_int_equal(answer->result, STORE_OK);
    return answer->text;
}

/* ---- channels ---- */

static void test_all_stores_know_the_server_by_the_same_id(void **state) {
    struct pair *both = *state;
    assert_true(strlen(both->a.server) > 0);
    assert_string_equal(both->a.server, both->b.server);
}

static void test_a_publication_reaches_subscribers_on_all_nodes(void **state) {
    struct pair *both = *state;
    peer_subscribe(&both->a, STORE_CHANNEL, "t:/x");
    peer_subscribe(&both->b, STORE_CHANNEL, "t:/x");
    peer_expect(&both->a, "subscribed t:/x\n");
    peer_expect(&both->b, "subscribed t:/x\n");
    peer_publish(&both->a, "t:/x", "one");
    peer_expect(&both->b, "message t:/x: one\n");
    peer_expect(&both->a, "message t:/x: one\n");
    peer_publish(&both->b, "t:/x", "");
    peer_expect(&both->b, "message t:/x: \n");
    peer_expect(&both->a, "message t:/x: \n");
}

static void test_a_publication_reaches_nobody_else(void **state) {
    struct pair *both = *state;
    peer_subscribe(&both->b, STORE_CHANNEL, "t:/x");
    peer_expect(&both->b, "subscribed t:/x\n");
    peer_publish(&both->a, "t:/xy", "no");
    peer_publish(&both->a, "t:/", "no");
    peer_publish(&both->a, "x:t:/x", "no");
    peer_publish(&both->a, "t:/x", "yes");
    peer_expect(&both->b, "message t:/x: yes\n");
    peer_await_published(&both->a, 4);
    assert_int_equal(both->a.refused, 0);
}

static void test_publications_keep_their_order(void **state) {
    struct pair *both = *state;
    char expected[4096] = "";
    peer_subscribe(&both->b, STORE_CHANNEL, "t:/x");
    peer_subscribe(&both->b, STORE_CHANNEL, "t:/y");
    peer_expect(&both->b, "subscribed t:/x\nsubscribed t:/y\n");
    for (int n = 0; n < 100; n++) {
        char number[8];
        size_t len = strlen(expected);
        snprintf(number, sizeof number, "%d", n);
        peer_publish(&both->a, n % 3 ? "t:/x" : "t:/y", number);
        snprintf(expected + len, sizeof expected - len, "message t:/%s: %d\n", n % 3 ? "x" : "y", n);
    }
    peer_expect(&both->b, expected);
}

static void test_bytes_of_a_payload_are_kept(void **state) {
    struct pair *both = *state;
    static const char payload[] = "a\0b\r\n$3\r\n";
    peer_subscribe(&both->b, STORE_CHANNEL, "t:/x");
    peer_expect(&both->b, "subscribed t:/x\n");
    both->a.store->ops->publish(both->a.store, BYTES("t:/x"), (struct bytes){payload, sizeof payload - 1});
    peer_publish(&both->a, "t:/x", "\xff\xfe \xc3\xa4");
    /* As text, the first ends at its NUL. */
    peer_expect(&both->b, "message t:/x: a\nmessage t:/x: \xff\xfe \xc3\xa4\n");
}

static void test_name_and_glob_bring_a_publication_each(void **state) {
    struct pair *both = *state;
    peer_subscribe(&both->b, STORE_CHANNEL, "t:/x/1");
    peer_subscribe(&both->b, STORE_GLOB, "t:/x/*");
    peer_subscribe(&both->b, STORE_GLOB, "t:/?/1");
    peer_expect(&both->b, "subscribed t:/x/1\nsubscribed glob t:/x/*\nsubscribed glob t:/?/1\n");
    peer_publish(&both->a, "t:/x/1", "three");
    peer_publish(&both->a, "t:/x/2", "one");
    peer_publish(&both->a, "t:/y/2", "none");
    peer_publish(&both->a, "t:/x/3", "last");
    peer_expect(&both->b, "message t:/x/1: three\nmessage t:/x/1: three\nmessage t:/x/1: three\n"
                          "message t:/x/2: one\nmessage t:/x/3: last\n");
}

static void test_a_glob_takes_escaped_characters_as_they_are(void **state) {
    struct pair *both = *state;
    peer_subscribe(&both->b, STORE_GLOB, "t:/\\*\\?\\[a\\]\\\\/*");
    peer_expect(&both->b, "subscribed glob t:/\\*\\?\\[a\\]\\\\/*\n");
    peer_publish(&both->a, "t:/xya\\/1", "no");
    peer_publish(&both->a, "t:/*?a\\/1", "no");
    peer_publish(&both->a, "t:/*?[a]\\/1", "yes");
    peer_expect(&both->b, "message t:/*?[a]\\/1: yes\n");
}

static void test_a_name_is_no_glob(void **state) {
    struct pair *both = *state;
    peer_subscribe(&both->b, STORE_CHANNEL, "t:/*");
    peer_expect(&both->b, "subscribed t:/*\n");
    peer_publish(&both->a, "t:/x", "no");
    peer_publish(&both->a, "t:/*", "yes");
    peer_expect(&both->b, "message t:/*: yes\n");
}

static void test_what_is_unsubscribed_is_not_heard_and_may_be_subscribed_again(void **state) {
    struct pair *both = *state;
    peer_subscribe(&both->b, STORE_CHANNEL, "t:/end");
    peer_expect(&both->b, "subscribed t:/end\n");
    for (int n = 0; n < 3; n++) {
        peer_subscribe(&both->b, STORE_CHANNEL, "t:/x");
        peer_subscribe(&both->b, STORE_GLOB, "t:/x*");
        peer_expect(&both->b, "subscribed t:/x\nsubscribed glob t:/x*\n");
        peer_publish(&both->a, "t:/x", "yes");
        peer_expect(&both->b, "message t:/x: yes\nmessage t:/x: yes\n");
        peer_unsubscribe(&both->b, STORE_CHANNEL, "t:/x");
        peer_unsubscribe(&both->b, STORE_GLOB, "t:/x*");
        peer_expect(&both->b, "unsubscribed t:/x\nunsubscribed glob t:/x*\n");
        peer_publish(&both->a, "t:/x", "no");
        peer_publish(&both->a, "t:/end", "yes");
        peer_expect(&both->b, "message t:/end: yes\n");
    }
}

static void test_one_may_subscribe_again_after_all_was_unsubscribed(void **state) {
    struct pair *both = *state;
    for (int n = 0; n < 3; n++) {
        peer_subscribe(&both->b, STORE_CHANNEL, "t:/x");
        peer_expect(&both->b, "subscribed t:/x\n");
        peer_publish(&both->a, "t:/x", "yes");
        peer_expect(&both->b, "message t:/x: yes\n");
        peer_unsubscribe(&both->b, STORE_CHANNEL, "t:/x");
        peer_expect(&both->b, "unsubscribed t:/x\n");
    }
}

/* ---- the book of nodes ---- */

static void test_a_first_renewal_makes_an_entry_that_later_ones_count_up(void **state) {
    struct pair *both = *state;
    const struct answer *answer = peer_renew(&both->a);
    assert_int_equal(answer->result, STORE_GONE);
    assert_string_equal(answer->text, "a a:1 1");
    answer = peer_renew(&both->b);
    assert_int_equal(answer->result, STORE_GONE);
    assert_string_equal(answer->text, "a a:1 1, b b:1 1");
    answer = peer_renew(&both->a);
    assert_int_equal(answer->result, STORE_OK);
    assert_string_equal(answer->text, "a a:1 2, b b:1 1");
}

static void test_a_name_that_another_boot_holds_is_taken(void **state) {
    struct pair *both = *state;
    static struct peer next;
    join(both);
    peer_open(&next, both->contract, "a", "a:2");
    const struct answer *answer = peer_renew(&next);
    assert_int_equal(answer->result, STORE_TAKEN);
    assert_string_equal(answer->text, "a a:1 1, b b:1 1");
    assert_int_equal(peer_add(&next, "a:2-1", "ann"), STORE_GONE);
    assert_int_equal(peer_leave(&next), STORE_OK);
    assert_string_equal(peer_renew(&both->a)->text, "a a:1 2, b b:1 1");
    peer_close(&next);
}

static void test_the_next_boot_takes_the_name_once_the_last_is_buried(void **state) {
    struct pair *both = *state;
    static struct peer next;
    join(both);
    assert_int_equal(peer_add(&both->a, "a:1-1", "ann"), STORE_OK);
    peer_open(&next, both->contract, "a", "a:2");
    assert_int_equal(peer_renew(&next)->result, STORE_TAKEN);
    assert_int_equal(peer_bury(&next, "a", BOOT_A, 1, false), STORE_OK);
    assert_int_equal(peer_renew(&next)->result, STORE_GONE);
    assert_int_equal(peer_add(&next, "a:2-1", "ann"), STORE_OK);
    assert_int_equal(peer_bury(&both->b, "a", BOOT_A, 1, false), STORE_ALIVE);
    assert_int_equal(peer_renew(&both->a)->result, STORE_TAKEN);
    assert_string_equal(sessions_of(both, "ann"), "a:2-1");
    peer_close(&next);
}

static void test_who_has_renewed_since_it_was_observed_is_not_buried(void **state) {
    struct pair *both = *state;
    join(both);
    assert_int_equal(peer_add(&both->a, "a:1-1", "ann"), STORE_OK);
    assert_int_equal(peer_renew(&both->a)->result, STORE_OK);
    assert_int_equal(peer_bury(&both->b, "a", BOOT_A, 1, false), STORE_ALIVE);
    assert_int_equal(peer_bury(&both->b, "a", BOOT_A, 0, true), STORE_ALIVE);
    assert_int_equal(peer_bury(&both->b, "a", "a:0", 2, false), STORE_ALIVE);
    assert_string_equal(sessions_of(both, "ann"), "a:1-1");
    assert_int_equal(peer_renew(&both->a)->result, STORE_OK);
}

static void test_what_is_buried_leaves_nothing(void **state) {
    struct pair *both = *state;
    join(both);
    assert_int_equal(peer_add(&both->a, "a:1-1", "ann"), STORE_OK);
    assert_int_equal(peer_bury(&both->b, "a", BOOT_A, 1, false), STORE_OK);
    assert_string_equal(sessions_of(both, "ann"), "");
    assert_string_equal(all_users(both), "");
    assert_string_equal(peer_session_page(&both->a, 0)->text, "");
    assert_string_equal(peer_renew(&both->b)->text, "b b:1 2");
    assert_int_equal(peer_bury(&both->b, "a", BOOT_A, 1, false), STORE_OK);
}

static void test_a_large_boot_is_buried_in_pieces(void **state) {
    static const char *const users[] = {"ann", "bob", "eve"};
    struct pair *both = *state;
    join(both);
    peer_add_many(&both->a, BOOT_A, 0, 2 * STORE_SESSIONS_MAX + 1, users, 3);
    assert_int_equal(peer_add(&both->b, "b:1-1", "bob"), STORE_OK);
    assert_int_equal(peer_bury(&both->b, "a", BOOT_A, 1, false), STORE_MORE);
    assert_string_equal(peer_renew(&both->b)->text, "a a:1 dead, b b:1 2");
    assert_int_equal(peer_bury(&both->b, "a", BOOT_A, 1, false), STORE_MORE);
    /* Whoever sees it fenced may go on. */
    assert_int_equal(peer_bury(&both->b, "a", BOOT_A, 0, true), STORE_OK);
    assert_string_equal(all_users(both), "bob 1");
    assert_string_equal(sessions_of(both, "bob"), "b:1-1");
    assert_string_equal(peer_renew(&both->b)->text, "b b:1 3");
}

static void test_a_fenced_boot_writes_nothing_until_it_renews_and_is_then_left_alone(void **state) {
    static const char *const users[] = {"ann"};
    struct pair *both = *state;
    join(both);
    peer_add_many(&both->a, BOOT_A, 0, STORE_SESSIONS_MAX + 1, users, 1);
    assert_int_equal(peer_bury(&both->b, "a", BOOT_A, 1, false), STORE_MORE);
    assert_int_equal(peer_add(&both->a, "a:1-x", "xen"), STORE_GONE);
    assert_int_equal(peer_remove(&both->a, "a:1-0", "ann"), STORE_GONE);
    assert_string_equal(all_users(both), "ann 1");
    assert_int_equal(peer_renew(&both->a)->result, STORE_GONE);
    assert_int_equal(peer_add(&both->a, "a:1-x", "xen"), STORE_OK);
    assert_int_equal(peer_bury(&both->b, "a", BOOT_A, 1, false), STORE_ALIVE);
    assert_int_equal(peer_bury(&both->b, "a", BOOT_A, 0, true), STORE_ALIVE);
    assert_string_equal(sessions_of(both, "xen"), "a:1-x");
    assert_int_equal(peer_renew(&both->a)->result, STORE_OK);
}

static void test_who_leaves_takes_all_of_its_own(void **state) {
    static const char *const users[] = {"ann", "bob"};
    struct pair *both = *state;
    join(both);
    peer_add_many(&both->a, BOOT_A, 0, STORE_SESSIONS_MAX + 1, users, 2);
    assert_int_equal(peer_add(&both->b, "b:1-1", "bob"), STORE_OK);
    assert_int_equal(peer_leave(&both->a), STORE_MORE);
    assert_int_equal(peer_add(&both->a, "a:1-x", "ann"), STORE_GONE);
    assert_int_equal(peer_leave(&both->a), STORE_OK);
    assert_string_equal(all_users(both), "bob 1");
    assert_string_equal(peer_renew(&both->b)->text, "b b:1 2");
    assert_int_equal(peer_leave(&both->a), STORE_OK);
}

/* ---- the registry ---- */

static void test_nothing_is_registered_without_an_entry(void **state) {
    struct pair *both = *state;
    assert_int_equal(peer_add(&both->a, "a:1-1", "ann"), STORE_GONE);
    assert_int_equal(peer_remove(&both->a, "a:1-1", "ann"), STORE_GONE);
    assert_string_equal(all_users(both), "");
    assert_string_equal(sessions_of(both, "ann"), "");
}

static void test_adding_and_removing_twice_is_the_same_as_once(void **state) {
    struct pair *both = *state;
    join(both);
    for (int n = 0; n < 2; n++) {
        assert_int_equal(peer_add(&both->a, "a:1-1", "ann"), STORE_OK);
        assert_string_equal(sessions_of(both, "ann"), "a:1-1");
        assert_string_equal(all_users(both), "ann 1");
    }
    for (int n = 0; n < 2; n++) {
        assert_int_equal(peer_remove(&both->a, "a:1-1", "ann"), STORE_OK);
        assert_string_equal(sessions_of(both, "ann"), "");
        assert_string_equal(all_users(both), "");
    }
}

static void test_a_user_is_online_as_long_as_a_node_has_a_session(void **state) {
    struct pair *both = *state;
    join(both);
    assert_int_equal(peer_add(&both->a, "a:1-1", "ann"), STORE_OK);
    assert_int_equal(peer_add(&both->a, "a:1-2", "ann"), STORE_OK);
    assert_int_equal(peer_add(&both->b, "b:1-1", "ann"), STORE_OK);
    assert_string_equal(sessions_of(both, "ann"), "a:1-1, a:1-2, b:1-1");
    assert_string_equal(all_users(both), "ann 3");
    assert_int_equal(peer_bury(&both->b, "a", BOOT_A, 1, false), STORE_OK);
    assert_string_equal(sessions_of(both, "ann"), "b:1-1");
    assert_string_equal(all_users(both), "ann 1");
    assert_int_equal(peer_remove(&both->b, "b:1-1", "ann"), STORE_OK);
    assert_string_equal(all_users(both), "");
}

static void test_several_sessions_are_written_in_one_call(void **state) {
    struct pair *both = *state;
    static struct answer answer;
    struct store_session sessions[] = {
        {BYTES("a:1-1"), BYTES("ann")}, {BYTES("a:1-2"), BYTES("bob")}, {BYTES("a:1-3"), BYTES("ann")}};
    join(both);
    both->a.store->ops->add_sessions(both->a.store, sessions, 3, peer_call(&both->a, &answer));
    peer_await_answer(&both->a, &answer);
    assert_string_equal(all_users(both), "ann 2, bob 1");
    both->a.store->ops->remove_sessions(both->a.store, sessions, 2, peer_call(&both->a, &answer));
    peer_await_answer(&both->a, &answer);
    assert_string_equal(all_users(both), "ann 1");
}

static void test_pages_of_sessions_bring_all_of_this_boot(void **state) {
    static const char *const users[] = {"ann", "bob"};
    struct pair *both = *state;
    static bool seen[1000];
    const char *item;
    uint64_t cursor = 0;
    size_t pages = 0;
    memset(seen, 0, sizeof seen);
    join(both);
    assert_int_equal(peer_add(&both->b, "b:1-1", "bob"), STORE_OK);
    peer_add_many(&both->a, BOOT_A, 0, 1000, users, 2);
    do {
        const struct answer *answer = peer_session_page(&both->a, cursor);
        assert_int_equal(answer->result, STORE_OK);
        for (item = answer->text; (item = strstr(item, "a:1-")) != NULL; item++) {
            unsigned n;
            char user[4];
            assert_int_equal(sscanf(item, "a:1-%u %3s", &n, user), 2);
            assert_string_equal(user, users[n % 2]);
            seen[n] = true;
        }
        assert_null(strstr(answer->text, "b:1"));
        cursor = answer->cursor;
        assert_true(++pages < 1000);
    } while (cursor != 0);
    assert_null(memchr(seen, false, sizeof seen));
}

static void test_pages_of_users_are_in_the_order_of_bytes(void **state) {
    static const char *const users[] = {"b", "a", "B", "\xc3\xa4", "a/b", "a b", "aa"};
    struct pair *both = *state;
    join(both);
    peer_add_many(&both->a, BOOT_A, 0, 7, users, 7);
    assert_string_equal(peer_users(&both->b, "", 2)->text, "B 1, a 1");
    assert_string_equal(peer_users(&both->b, "a", 3)->text, "a b 1, a/b 1, aa 1");
    assert_string_equal(peer_users(&both->b, "aa", 3)->text, "b 1, \xc3\xa4 1");
    assert_string_equal(peer_users(&both->b, "\xc3\xa4", 3)->text, "");
    /* One need not be online to be the place where a page begins. */
    assert_string_equal(peer_users(&both->b, "ab", 1)->text, "b 1");
}

static void test_any_bytes_may_be_a_name(void **state) {
    struct pair *both = *state;
    join(both);
    assert_int_equal(peer_add(&both->a, "a:1-1", "*?[x] \"\\\r\n%s{}"), STORE_OK);
    assert_string_equal(sessions_of(both, "*?[x] \"\\\r\n%s{}"), "a:1-1");
    assert_string_equal(all_users(both), "*?[x] \"\\\r\n%s{} 1");
}

/* ---- the link ---- */

static void test_a_link_that_breaks_answers_all_calls_first(void **state) {
    struct pair *both = *state;
    static struct answer answers[3];
    struct store *store = both->a.store;
    join(both);
    peer_publish(&both->a, "t:/x", "lost");
    store->ops->renew(store, peer_call(&both->a, &answers[0]));
    store->ops->break_link(store, "the test wants it");
    store->ops->users(store, BYTES(""), 1, peer_call(&both->a, &answers[1]));
    store->ops->user_sessions(store, BYTES("ann"), peer_call(&both->a, &answers[2]));
    peer_await_down(&both->a, 0);
    for (int n = 0; n < 3; n++) {
        assert_true(answers[n].done);
        assert_int_equal(answers[n].downs, 0);
        assert_int_equal(answers[n].result, STORE_AWAY);
    }
    assert_int_equal(both->a.published, 0);
    peer_expect(&both->a, "down\n");
}

static void test_without_a_link_calls_are_answered_away(void **state) {
    struct pair *both = *state;
    both->a.store->ops->break_link(both->a.store, "the test wants it");
    peer_await_down(&both->a, 0);
    assert_int_equal(peer_renew(&both->a)->result, STORE_AWAY);
    assert_int_equal(peer_leave(&both->a), STORE_AWAY);
    assert_int_equal(peer_add(&both->a, "a:1-1", "ann"), STORE_AWAY);
    assert_int_equal(peer_session_page(&both->a, 0)->result, STORE_AWAY);
}

static void test_a_new_link_has_no_subscriptions(void **state) {
    struct pair *both = *state;
    char server[sizeof both->a.server];
    memcpy(server, both->a.server, sizeof server);
    peer_subscribe(&both->a, STORE_CHANNEL, "t:/x");
    peer_expect(&both->a, "subscribed t:/x\n");
    both->a.store->ops->break_link(both->a.store, "the test wants it");
    peer_await_up(&both->a, 1);
    assert_string_equal(both->a.server, server);
    peer_expect(&both->a, "down\n");
    peer_publish(&both->b, "t:/x", "no");
    peer_await_published(&both->b, 1);
    peer_subscribe(&both->a, STORE_CHANNEL, "t:/x");
    peer_expect(&both->a, "subscribed t:/x\n");
    peer_publish(&both->b, "t:/x", "yes");
    peer_expect(&both->a, "message t:/x: yes\n");
}

static void test_what_was_written_outlives_the_link(void **state) {
    struct pair *both = *state;
    join(both);
    assert_int_equal(peer_add(&both->a, "a:1-1", "ann"), STORE_OK);
    both->a.store->ops->break_link(both->a.store, "the test wants it");
    peer_await_up(&both->a, 1);
    assert_string_equal(sessions_of(both, "ann"), "a:1-1");
    assert_int_equal(peer_remove(&both->a, "a:1-1", "ann"), STORE_OK);
    assert_int_equal(peer_renew(&both->a)->result, STORE_OK);
    assert_int_equal(peer_bury(&both->b, "a", BOOT_A, 1, false), STORE_ALIVE);
}

static void test_answers_come_in_the_order_of_the_calls(void **state) {
    struct pair *both = *state;
    static struct answer added;
    static struct answer read;
    struct store *store = both->a.store;
    struct store_session session = {BYTES("a:1-1"), BYTES("ann")};
    join(both);
    store->ops->add_sessions(store, &session, 1, peer_call(&both->a, &added));
    store->ops->user_sessions(store, BYTES("ann"), peer_call(&both->a, &read));
    peer_await_answer(&both->a, &read);
    assert_true(added.done);
    assert_string_equal(read.text, "a:1-1");
}

#define CONTRACT_TEST(test)                                                                                            \
    { #test, test, set_up, tear_down, NULL }

int contract_run(const char *name, const struct contract *contract) {
    struct CMUnitTest tests[] = {
        CONTRACT_TEST(test_all_stores_know_the_server_by_the_same_id),
        CONTRACT_TEST(test_a_publication_reaches_subscribers_on_all_nodes),
        CONTRACT_TEST(test_a_publication_reaches_nobody_else),
        CONTRACT_TEST(test_publications_keep_their_order),
        CONTRACT_TEST(test_bytes_of_a_payload_are_kept),
        CONTRACT_TEST(test_name_and_glob_bring_a_publication_each),
        CONTRACT_TEST(test_a_glob_takes_escaped_characters_as_they_are),
        CONTRACT_TEST(test_a_name_is_no_glob),
        CONTRACT_TEST(test_what_is_unsubscribed_is_not_heard_and_may_be_subscribed_again),
        CONTRACT_TEST(test_one_may_subscribe_again_after_all_was_unsubscribed),
        CONTRACT_TEST(test_a_first_renewal_makes_an_entry_that_later_ones_count_up),
        CONTRACT_TEST(test_a_name_that_another_boot_holds_is_taken),
        CONTRACT_TEST(test_the_next_boot_takes_the_name_once_the_last_is_buried),
        CONTRACT_TEST(test_who_has_renewed_since_it_was_observed_is_not_buried),
        CONTRACT_TEST(test_what_is_buried_leaves_nothing),
        CONTRACT_TEST(test_a_large_boot_is_buried_in_pieces),
        CONTRACT_TEST(test_a_fenced_boot_writes_nothing_until_it_renews_and_is_then_left_alone),
        CONTRACT_TEST(test_who_leaves_takes_all_of_its_own),
        CONTRACT_TEST(test_nothing_is_registered_without_an_entry),
        CONTRACT_TEST(test_adding_and_removing_twice_is_the_same_as_once),
        CONTRACT_TEST(test_a_user_is_online_as_long_as_a_node_has_a_session),
        CONTRACT_TEST(test_several_sessions_are_written_in_one_call),
        CONTRACT_TEST(test_pages_of_sessions_bring_all_of_this_boot),
        CONTRACT_TEST(test_pages_of_users_are_in_the_order_of_bytes),
        CONTRACT_TEST(test_any_bytes_may_be_a_name),
        CONTRACT_TEST(test_a_link_that_breaks_answers_all_calls_first),
        CONTRACT_TEST(test_without_a_link_calls_are_answered_away),
        CONTRACT_TEST(test_a_new_link_has_no_subscriptions),
        CONTRACT_TEST(test_what_was_written_outlives_the_link),
        CONTRACT_TEST(test_answers_come_in_the_order_of_the_calls),
    };
    for (size_t n = 0; n < sizeof tests / sizeof *tests; n++)
        tests[n].initial_state = (void *)contract;
    return _cmocka_run_group_tests(name, tests, sizeof tests / sizeof *tests, NULL, NULL);
}
