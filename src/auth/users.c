/*
 * The users of the conf file, by name. Filled while the file is read, immutable and shared by all threads afterwards.
 */
#include "stompd/auth/users.h"

#include <crypt.h>
#include <stdlib.h>

static const struct bytes plain_prefix = {"plain:", 6};

static struct bytes user_key(const void *entry) {
    return bytes_of(((const struct user *)entry)->name);
}

static void user_free(struct user *user) {
    free(user->name);
    if (user->secret)
        explicit_bzero(user->secret, strlen(user->secret));
    free(user->secret);
    free(user);
}

static struct user *user_new(struct bytes name, struct bytes password) {
    bool plain = bytes_start_with(password, plain_prefix);
    struct bytes secret = bytes_skip(password, plain ? plain_prefix.len : 0);
    struct user *user = calloc(1, sizeof *user);
    if (!user)
        return NULL;
    *user = (struct user){strndup(name.data, name.len), strndup(secret.data, secret.len), plain};
    if (user->name && user->secret)
        return user;
    user_free(user);
    return NULL;
}

void users_init(struct users *users) {
    users->anonymous = false;
    map_init(&users->by_name, user_key);
}

void users_free(struct users *users) {
    size_t cursor = 0;
    struct user *user;
    while ((user = map_next(&users->by_name, &cursor)) != NULL)
        user_free(user);
    map_free(&users->by_name);
}

static bool is_text(struct bytes bytes) {
    return bytes.len > 0 && !memchr(bytes.data, '\0', bytes.len);
}

/* The old DES hashes have no mark of their own: almost any word would pass as one, a forgotten "plain:" too. */
static bool is_hash(struct bytes password) {
    char hash[CRYPT_OUTPUT_SIZE];
    if (password.len >= sizeof hash || !bytes_start_with(password, BYTES("$")))
        return false;
    memcpy(hash, password.data, password.len);
    hash[password.len] = '\0';
    int method = crypt_checksalt(hash);
    return method == CRYPT_SALT_OK || method == CRYPT_SALT_METHOD_LEGACY;
}

/* What was expected instead of this name and password; NULL: they are right. */
static const char *refusal(const struct users *users, struct bytes name, struct bytes password) {
    if (!is_text(name))
        return "a name";
    if (users_find(users, name))
        return "a name that no other user has";
    if (bytes_equal(password, plain_prefix))
        return "a password behind plain:";
    if (!is_text(password) || (!bytes_start_with(password, plain_prefix) && !is_hash(password)))
        return "plain: and a password, or a crypt(3) hash that begins with $";
    return NULL;
}

bool users_add(struct users *users, struct bytes name, struct bytes password, const char **why) {
    *why = refusal(users, name, password);
    if (*why)
        return false;
    struct user *user = user_new(name, password);
    if (user && map_insert(&users->by_name, user))
        return true;
    if (user)
        user_free(user);
    *why = "memory for one more user";
    return false;
}

const struct user *users_find(const struct users *users, struct bytes name) {
    return map_find(&users->by_name, name);
}

/* Looks at every byte of `given`, whatever the first ones are; `right` is read round and round up to its NUL. */
static bool equal_in_constant_time(const char *right, struct bytes given) {
    size_t len = strlen(right);
    volatile unsigned char difference = len != given.len;
    for (size_t i = 0; i < given.len; i++)
        difference |= (unsigned char)(right[i % (len + 1)] ^ given.data[i]);
    return difference == 0;
}

bool user_check_plain(const struct user *user, struct bytes password) {
    return equal_in_constant_time(user->secret, password);
}

bool user_check_hash(const char *hash, const char *password) {
    struct crypt_data *data = calloc(1, sizeof *data);
    if (!data)
        return false;
    const char *hashed = crypt_r(password, hash, data);
    bool right = hashed && equal_in_constant_time(hash, bytes_of(hashed));
    explicit_bzero(data, sizeof *data);
    free(data);
    return right;
}
