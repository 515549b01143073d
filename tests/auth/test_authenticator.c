/* The authenticator: what it answers at once, what it leaves to a helper, and what it remembers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <crypt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stompd/auth/authenticator.h"
#include "stompd/base/hash.h"

struct fixture {
    struct users users;
    struct authenticator *authenticator;
};

static struct bytes cheap_hash(const char *password, char *to, size_t size) {
    struct crypt_data data = {0};
    char setting[CRYPT_GENSALT_OUTPUT_SIZE];
    assert_non_null(crypt_gensalt_rn("$5$", 1000, NULL, 0, setting, sizeof setting));
    const char *hash = crypt_r(password, setting, &data);
    assert_non_null(hash);
    assert_true(snprintf(to, size, "%s", hash) < (int)size);
    return bytes_of(to);
}

static int set_up(void **state) {
    struct fixture *fixture = calloc(1, sizeof *fixture);
    char hash[CRYPT_OUTPUT_SIZE];
    const char *why = NULL;
    users_init(&fixture->users);
    assert_true(users_add(&fixture->users, BYTES("plain"), BYTES("plain:secret"), &why));
    assert_true(users_add(&fixture->users, BYTES("hashed"), cheap_hash("secret", hash, sizeof hash), &why));
    fixture->authenticator = authenticator_new(&fixture->users);
    assert_non_null(fixture->authenticator);
    *state = fixture;
    return 0;
}

static int tear_down(void **state) {
    struct fixture *fixture = *state;
    authenticator_free(fixture->authenticator);
    users_free(&fixture->users);
    free(fixture);
    return 0;
}

static enum verdict try_login(struct fixture *fixture, struct bytes login, struct bytes passcode) {
    struct credentials credentials = {0};
    enum verdict verdict = authenticator_try(fixture->authenticator, login, passcode, &credentials);
    credentials_free(&credentials);
    return verdict;
}

static bool check_hashed(struct fixture *fixture, struct bytes passcode, uint64_t now_ms) {
    struct credentials credentials;
    assert_int_equal(authenticator_try(fixture->authenticator, BYTES("hashed"), passcode, &credentials), VERDICT_SLOW);
    bool right = authenticator_check(fixture->authenticator, &credentials, now_ms);
    assert_null(credentials.password);
    return right;
}

static void test_plain_secrets_are_answered_at_once(void **state) {
    assert_int_equal(try_login(*state, BYTES("plain"), BYTES("secret")), VERDICT_ACCEPTED);
    assert_int_equal(try_login(*state, BYTES("plain"), BYTES("Secret")), VERDICT_REFUSED);
    assert_int_equal(try_login(*state, BYTES("plain"), BYTES("")), VERDICT_REFUSED);
}

static void test_unknown_users_are_refused_at_once(void **state) {
    assert_int_equal(try_login(*state, BYTES("nobody"), BYTES("secret")), VERDICT_REFUSED);
    assert_int_equal(try_login(*state, BYTES("hashe"), BYTES("secret")), VERDICT_REFUSED);
}

/* crypt(3) would stop at the NUL and accept what follows it unseen. */
static void test_a_passcode_with_a_nul_is_refused(void **state) {
    assert_int_equal(try_login(*state, BYTES("hashed"), BYTES("secret\0more")), VERDICT_REFUSED);
}

static void test_hashes_are_checked_on_request(void **state) {
    assert_true(check_hashed(*state, BYTES("secret"), 1));
    assert_false(check_hashed(*state, BYTES("wrong"), 1));
    assert_false(check_hashed(*state, BYTES(""), 1));
}

/* The hash is made useless behind the authenticator's back, so that only what it remembers can still be right. */
static void test_a_right_password_is_remembered_for_a_while_and_a_wrong_one_never(void **state) {
    struct fixture *fixture = *state;
    const uint64_t now_ms = 1000;
    assert_false(check_hashed(fixture, BYTES("wrong"), now_ms));
    assert_true(check_hashed(fixture, BYTES("secret"), now_ms));
    char *hash = users_find(&fixture->users, BYTES("hashed"))->secret;
    hash[strlen(hash) - 1] ^= 1;
    assert_false(check_hashed(fixture, BYTES("wrong"), now_ms));
    assert_true(check_hashed(fixture, BYTES("secret"), now_ms + AUTHENTICATOR_REMEMBER_MS - 1));
    assert_false(check_hashed(fixture, BYTES("secret"), now_ms + AUTHENTICATOR_REMEMBER_MS));
}

int main(void) {
    hash_seed();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_plain_secrets_are_answered_at_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_unknown_users_are_refused_at_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_passcode_with_a_nul_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_hashes_are_checked_on_request, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_right_password_is_remembered_for_a_while_and_a_wrong_one_never, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
