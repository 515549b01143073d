/* Users of the conf file: what is taken as a password, and the two ways to check one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <crypt.h>
#include <stdio.h>

#include "stompd/auth/users.h"
#include "stompd/base/hash.h"

/* Methods at their cheapest. */
static const struct {
    const char *prefix;
    unsigned long rounds;
} methods[] = {{"$2b$", 4}, {"$5$", 1000}, {"$6$", 1000}, {"$y$", 1}, {"$1$", 0}};

static int set_up(void **state) {
    static struct users users;
    users_init(&users);
    *state = &users;
    return 0;
}

static int tear_down(void **state) {
    users_free(*state);
    return 0;
}

/* What users_add() expected instead, or "" when it took the user. */
static const char *added(struct users *users, const char *name, const char *password) {
    const char *why = "untouched";
    bool taken = users_add(users, bytes_of(name), bytes_of(password), &why);
    assert_true(taken == !why);
    return taken ? "" : why;
}

static void hash_password(const char *password, const char *prefix, unsigned long rounds, char *hash) {
    static const char salt[16] = "a salt of 16 byt";
    char setting[CRYPT_GENSALT_OUTPUT_SIZE];
    struct crypt_data data = {0};
    assert_non_null(crypt_gensalt_rn(prefix, rounds, salt, sizeof salt, setting, sizeof setting));
    assert_non_null(crypt_r(password, setting, &data));
    snprintf(hash, CRYPT_OUTPUT_SIZE, "%s", data.output);
}

static void test_nobody_is_known_and_let_in_nameless_at_first(void **state) {
    struct users *users = *state;
    assert_false(users->anonymous);
    assert_null(users_find(users, BYTES("guest")));
    assert_null(users_find(users, BYTES("")));
}

static void test_a_plain_password_stands_behind_its_mark(void **state) {
    struct users *users = *state;
    assert_string_equal(added(users, "guest", "plain:plain:x"), "");
    const struct user *user = users_find(users, BYTES("guest"));
    assert_non_null(user);
    assert_true(user->plain);
    assert_string_equal(user->name, "guest");
    assert_string_equal(user->secret, "plain:x");
}

static void test_names_are_told_apart_byte_by_byte(void **state) {
    struct users *users = *state;
    assert_string_equal(added(users, "john", "plain:1"), "");
    assert_string_equal(added(users, "John", "plain:2"), "");
    assert_string_equal(added(users, "j\xc3\xb6hn", "plain:3"), "");
    assert_string_equal(users_find(users, BYTES("John"))->secret, "2");
    assert_string_equal(users_find(users, BYTES("j\xc3\xb6hn"))->secret, "3");
    assert_null(users_find(users, BYTES("joh")));
    assert_null(users_find(users, BYTES("john\0")));
}

static void test_a_name_is_given_once(void **state) {
    struct users *users = *state;
    assert_string_equal(added(users, "guest", "plain:first"), "");
    assert_string_equal(added(users, "guest", "plain:second"), "a name that no other user has");
    assert_string_equal(users_find(users, BYTES("guest"))->secret, "first");
}

static void test_unusable_names_and_passwords_are_refused(void **state) {
    static const char form[] = "plain: and a password, or a crypt(3) hash that begins with $";
    struct users *users = *state;
    const char *why;
    assert_string_equal(added(users, "", "plain:x"), "a name");
    assert_string_equal(added(users, "a", "plain:"), "a password behind plain:");
    assert_string_equal(added(users, "a", ""), form);
    assert_string_equal(added(users, "a", "secret"), form);
    assert_string_equal(added(users, "a", "Plain:secret"), form);
    assert_string_equal(added(users, "a", "abJnggxhB/yWI"), form); /* DES: any word looks like it */
    assert_string_equal(added(users, "a", "$9$salt$hash"), form);
    assert_string_equal(added(users, "a", "$6$sa:lt$hash"), form);
    assert_false(users_add(users, BYTES("a\0b"), BYTES("plain:x"), &why));
    assert_false(users_add(users, BYTES("a"), BYTES("plain:x\0y"), &why));
    assert_int_equal(users->by_name.count, 0);
}

static void test_a_text_too_long_for_any_hash_is_refused(void **state) {
    struct users *users = *state;
    char longest[CRYPT_OUTPUT_SIZE + 1] = "$6$salt$";
    const char *why;
    memset(longest + strlen(longest), 'x', sizeof longest - strlen(longest));
    assert_false(users_add(users, BYTES("a"), (struct bytes){longest, CRYPT_OUTPUT_SIZE}, &why));
    assert_true(users_add(users, BYTES("a"), (struct bytes){longest, CRYPT_OUTPUT_SIZE - 1}, &why));
}

static void test_only_the_whole_plain_password_is_right(void **state) {
    struct users *users = *state;
    assert_string_equal(added(users, "guest", "plain:open sesame"), "");
    const struct user *user = users_find(users, BYTES("guest"));
    assert_true(user_check_plain(user, BYTES("open sesame")));
    assert_false(user_check_plain(user, BYTES("Open sesame")));
    assert_false(user_check_plain(user, BYTES("open sesamE")));
    assert_false(user_check_plain(user, BYTES("open sesam")));
    assert_false(user_check_plain(user, BYTES("open sesame\0")));
    assert_false(user_check_plain(user, BYTES("open sesame\0open sesame")));
    assert_false(user_check_plain(user, BYTES("plain:open sesame")));
    assert_false(user_check_plain(user, (struct bytes){NULL, 0}));
}

static void test_hashes_of_every_marked_method_are_checked(void **state) {
    struct users *users = *state;
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
        char hash[CRYPT_OUTPUT_SIZE];
        hash_password("open sesame", methods[i].prefix, methods[i].rounds, hash);
        assert_string_equal(added(users, methods[i].prefix, hash), "");
        const struct user *user = users_find(users, bytes_of(methods[i].prefix));
        assert_false(user->plain);
        assert_string_equal(user->secret, hash);
        assert_true(user_check_hash(user->secret, "open sesame"));
        assert_false(user_check_hash(user->secret, "open sesamE"));
        assert_false(user_check_hash(user->secret, ""));
    }
}

static void test_a_broken_hash_lets_nobody_in(void **state) {
    (void)state;
    assert_false(user_check_hash("$6$salt$", "")); /* taken by users_add(), but no password makes it */
    assert_false(user_check_hash("*0", "x"));      /* what crypt returns for a failure */
    assert_false(user_check_hash("*1", "x"));
    assert_false(user_check_hash("", ""));
}

static void test_a_password_longer_than_crypt_takes_is_wrong(void **state) {
    char password[CRYPT_MAX_PASSPHRASE_SIZE + 2];
    char hash[CRYPT_OUTPUT_SIZE];
    (void)state;
    hash_password("x", "$5$", 1000, hash);
    memset(password, 'x', sizeof password - 1);
    password[sizeof password - 1] = '\0';
    assert_false(user_check_hash(hash, password));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_nobody_is_known_and_let_in_nameless_at_first, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_plain_password_stands_behind_its_mark, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_names_are_told_apart_byte_by_byte, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_name_is_given_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_unusable_names_and_passwords_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_text_too_long_for_any_hash_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_only_the_whole_plain_password_is_right, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_hashes_of_every_marked_method_are_checked, set_up, tear_down),
        cmocka_unit_test(test_a_broken_hash_lets_nobody_in),
        cmocka_unit_test(test_a_password_longer_than_crypt_takes_is_wrong),
    };
    hash_seed();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
