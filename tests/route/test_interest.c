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
    interests_init(&interests, 1);
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
    interests_init(&interests, 3);
    struct interest *interest = acquire(&interests, INTEREST_EXACT, true);
    assert_null(interests_confirm(&interests, INTEREST_EXACT, key, interest->id));
    assert_null(interests_confirm(&interests, INTEREST_EXACT, key, interest->id));
    assert_false(interest_is_live(interest));
    assert_ptr_equal(interests_confirm(&interests, INTEREST_EXACT, key, interest->id), interest);
    assert_true(interest_is_live(interest));
    assert_null(interests_confirm(&interests, INTEREST_EXACT, key, interest->id));
    assert_true(interest_is_live(interest));
    interests_free(&interests);
}

static void test_without_peers_every_interest_is_live_at_once(void **state) {
    (void)state;
    struct interests interests;
    interests_init(&interests, 0);
    assert_true(interest_is_live(acquire(&interests, INTEREST_USER, true)));
    interests_free(&interests);
}

static void test_a_holder_that_joins_while_asking_waits_for_the_same_confirmation(void **state) {
    (void)state;
    struct interests interests;
    interests_init(&interests, 1);
    struct interest *interest = acquire(&interests, INTEREST_EXACT, true);
    uint64_t id = interest->id;
    struct list_node first, second;
    list_append(&interest->waiting, &first);
    list_append(&acquire(&interests, INTEREST_EXACT, false)->waiting, &second);
    assert_ptr_equal(interests_confirm(&interests, INTEREST_EXACT, key, id), interest);
    assert_ptr_equal(list_take_first(&interest->waiting), &first);
    assert_ptr_equal(list_take_first(&interest->waiting), &second);
    assert_null(list_take_first(&interest->waiting));
    interests_free(&interests);
}

static void test_a_late_confirmation_of_an_earlier_announcement_confirms_nothing(void **state) {
    (void)state;
    struct interests interests;
    interests_init(&interests, 1);
    struct interest *earlier = acquire(&interests, INTEREST_PATTERN, true);
    uint64_t earlier_id = earlier->id;
    interests_release(&interests, earlier);
    assert_null(interests_confirm(&interests, INTEREST_PATTERN, key, earlier_id));
    struct interest *interest = acquire(&interests, INTEREST_PATTERN, true);
    assert_null(interests_confirm(&interests, INTEREST_PATTERN, key, earlier_id));
    assert_false(interest_is_live(interest));
    assert_ptr_equal(interests_confirm(&interests, INTEREST_PATTERN, key, interest->id), interest);
    interests_free(&interests);
}

static void test_kinds_are_kept_apart(void **state) {
    (void)state;
    struct interests interests;
    interests_init(&interests, 1);
    struct interest *exact = acquire(&interests, INTEREST_EXACT, true);
    struct interest *pattern = acquire(&interests, INTEREST_PATTERN, true);
    struct interest *user = acquire(&interests, INTEREST_USER, true);
    assert_null(interests_confirm(&interests, INTEREST_PATTERN, key, exact->id));
    assert_ptr_equal(interests_confirm(&interests, INTEREST_USER, key, user->id), user);
    assert_false(interest_is_live(exact) || interest_is_live(pattern));
    assert_true(interests_release(&interests, pattern));
    assert_ptr_equal(interests_confirm(&interests, INTEREST_EXACT, key, exact->id), exact);
    interests_free(&interests);
}

static void test_the_key_is_copied_with_its_nul(void **state) {
    (void)state;
    struct interests interests;
    interests_init(&interests, 1);
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

int main(void) {
    const struct CMUnitTest tests[] = {
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
