/* The life of an interest: absent, asking, live, and what confirmations of the past are worth. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "stompd/base/hash.h"
#include "stompd/route/interest.h"

static const struct bytes key = {"/topic/a", 8};

static struct interest *acquire(struct interests *interests, enum interest_kind kind, bool expect_first) {
    bool first;
    struct interest *interest = interests_acquire(interests, kind, key, &first);
    assert_non_null(interest);
    assert_int_equal(first, expect_first);
    return interest;
}

static void test_the_first_holder_announces_and_the_last_withdraws(void **state) {
    (void)state;
    struct interests interests;
    interests_init(&interests, 1, false);
    struct interest *interest = acquire(&interests, INTEREST_EXACT, true);
    assert_ptr_equal(acquire(&interests, INTEREST_EXACT, false), interest);
    assert_false(interests_release(&interests, interest));
    assert_true(interests_release(&interests, interest));
    interests_release(&interests, acquire(&interests, INTEREST_EXACT, true));
    interests_free(&interests);
}

static void test_live_when_every_peer_has_confirmed(void **state) {
    (void)state;
    struct interests interests;
    interests_init(&interests, 3, false);
    struct interest *interest = acquire(&interests, INTEREST_EXACT, true);
    assert_null(interests_confirm(&interests, INTEREST_EXACT, key, interest->id, false));
    assert_null(interests_confirm(&interests, INTEREST_EXACT, key, interest->id, false));
    assert_false(interest_is_live(interest));
    assert_ptr_equal(interests_confirm(&interests, INTEREST_EXACT, key, interest->id, false), interest);
    assert_true(interest_is_live(interest));
    assert_null(interests_confirm(&interests, INTEREST_EXACT, key, interest->id, false));
    assert_true(interest_is_live(interest));
    interests_free(&interests);
}

static void test_without_peers_every_interest_is_live_at_once(void **state) {
    (void)state;
    struct interests interests;
    interests_init(&interests, 0, false);
    assert_true(interest_is_live(acquire(&interests, INTEREST_USER, true)));
    interests_free(&interests);
}

static void test_a_holder_that_joins_while_asking_waits_for_the_same_confirmation(void **state) {
    (void)state;
    struct interests interests;
    interests_init(&interests, 1, false);
    struct interest *interest = acquire(&interests, INTEREST_EXACT, true);
    uint64_t id = interest->id;
    struct list_node first, second;
    list_append(&interest->waiting, &first);
    list_append(&acquire(&interests, INTEREST_EXACT, false)->waiting, &second);
    assert_ptr_equal(interests_confirm(&interests, INTEREST_EXACT, key, id, false), interest);
    assert_ptr_equal(list_take_first(&interest->waiting), &first);
    assert_ptr_equal(list_take_first(&interest->waiting), &second);
    assert_null(list_take_first(&interest->waiting));
    interests_free(&interests);
}

static void test_a_late_confirmation_of_an_earlier_announcement_confirms_nothing(void **state) {
    (void)state;
    struct interests interests;
    interests_init(&interests, 1, false);
    struct interest *earlier = acquire(&interests, INTEREST_PATTERN, true);
    uint64_t earlier_id = earlier->id;
    interests_release(&interests, earlier);
    assert_null(interests_confirm(&interests, INTEREST_PATTERN, key, earlier_id, false));
    struct interest *interest = acquire(&interests, INTEREST_PATTERN, true);
    assert_null(interests_confirm(&interests, INTEREST_PATTERN, key, earlier_id, false));
    assert_false(interest_is_live(interest));
    assert_ptr_equal(interests_confirm(&interests, INTEREST_PATTERN, key, interest->id, false), interest);
    interests_free(&interests);
}

static void test_kinds_are_kept_apart(void **state) {
    (void)state;
    struct interests interests;
    interests_init(&interests, 1, false);
    struct interest *exact = acquire(&interests, INTEREST_EXACT, true);
    struct interest *pattern = acquire(&interests, INTEREST_PATTERN, true);
    struct interest *user = acquire(&interests, INTEREST_USER, true);
    assert_null(interests_confirm(&interests, INTEREST_PATTERN, key, exact->id, false));
    assert_ptr_equal(interests_confirm(&interests, INTEREST_USER, key, user->id, false), user);
    assert_false(interest_is_live(exact) || interest_is_live(pattern));
    assert_true(interests_release(&interests, pattern));
    assert_ptr_equal(interests_confirm(&interests, INTEREST_EXACT, key, exact->id, false), exact);
    interests_free(&interests);
}

static void test_the_key_is_copied_with_its_nul(void **state) {
    (void)state;
    struct interests interests;
    interests_init(&interests, 1, false);
    char text[] = "ubob\0/queue/x";
    struct bytes user_key = {text, sizeof text - 1};
    bool first;
    struct interest *interest = interests_acquire(&interests, INTEREST_USER, user_key, &first);
    assert_non_null(interest);
    memset(text, '#', sizeof text);
    assert_true(bytes_equal(interest_key(interest), BYTES("ubob\0/queue/x")));
    assert_ptr_equal(interests_acquire(&interests, INTEREST_USER, BYTES("ubob\0/queue/x"), &first), interest);
    assert_false(first);
    interests_free(&interests);
}

static void test_in_a_cluster_it_is_known_when_the_workers_know_and_live_when_the_hub_does_too(void **state) {
    struct interests interests;
    struct bytes topic = BYTES("/topic/a");
    bool first;
    (void)state;
    for (int hub_first = 0; hub_first <= 1; hub_first++) {
        interests_init(&interests, 1, true);
        struct interest *interest = interests_acquire(&interests, INTEREST_EXACT, topic, &first);
        assert_false(interest_is_known(interest));
        struct interest *changed = interests_confirm(&interests, INTEREST_EXACT, topic, interest->id, hub_first);
        assert_ptr_equal(changed, hub_first ? NULL : interest);
        assert_int_equal(interest_is_known(interest), !hub_first);
        assert_false(interest_is_live(interest));
        assert_ptr_equal(interests_confirm(&interests, INTEREST_EXACT, topic, interest->id, !hub_first), interest);
        assert_true(interest_is_live(interest));
        interests_free(&interests);
    }
}

static void test_what_was_live_waits_for_the_hub_again_when_that_has_lost_the_others(void **state) {
    struct interests interests;
    struct bytes topic = BYTES("/topic/a");
    bool first;
    (void)state;
    interests_init(&interests, 1, true);
    struct interest *interest = interests_acquire(&interests, INTEREST_EXACT, topic, &first);
    interests_confirm(&interests, INTEREST_EXACT, topic, interest->id, false);
    interests_confirm(&interests, INTEREST_EXACT, topic, interest->id, true);
    assert_true(interest_is_live(interest));
    interests_lose_hub(&interests);
    assert_true(interest_is_known(interest));
    assert_false(interest_is_live(interest));
    assert_ptr_equal(interests_confirm(&interests, INTEREST_EXACT, topic, interest->id, true), interest);
    assert_true(interest_is_live(interest));
    interests_free(&interests);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_in_a_cluster_it_is_known_when_the_workers_know_and_live_when_the_hub_does_too),
        cmocka_unit_test(test_what_was_live_waits_for_the_hub_again_when_that_has_lost_the_others),
        cmocka_unit_test(test_the_first_holder_announces_and_the_last_withdraws),
        cmocka_unit_test(test_live_when_every_peer_has_confirmed),
        cmocka_unit_test(test_without_peers_every_interest_is_live_at_once),
        cmocka_unit_test(test_a_holder_that_joins_while_asking_waits_for_the_same_confirmation),
        cmocka_unit_test(test_a_late_confirmation_of_an_earlier_announcement_confirms_nothing),
        cmocka_unit_test(test_kinds_are_kept_apart),
        cmocka_unit_test(test_the_key_is_copied_with_its_nul),
    };
    hash_seed();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
