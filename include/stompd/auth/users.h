/*
 * The users of the conf file: names and secrets. A secret is plain text or a crypt(3) hash; plain ones are compared at
 * once, hashes take long by design and belong on a helper thread (auth/authenticator.h).
 */
#ifndef STOMPD_AUTH_USERS_H
#define STOMPD_AUTH_USERS_H

#include "stompd/base/map.h"

struct user {
    char *name;
    char *secret; /* without the "plain:" */
    bool plain;   /* false: secret is a crypt(3) hash */
};

struct users {
    bool anonymous; /* a CONNECT without credentials is let in, nameless */
    struct map by_name;
};

/* No users, and not anonymous. */
void users_init(struct users *users);
/* Frees all users, their secrets erased. */
void users_free(struct users *users);

/*
 * Adds a user; `password` is the conf file's value: "plain:" and the text, or a crypt(3) hash of a method that crypt
 * knows and that is marked by a "$". False: *why says what was expected (static text), and nothing was added. Also
 * refused: a name that exists, empty text, a NUL.
 */
MUST_CHECK bool users_add(struct users *users, struct bytes name, struct bytes password, const char **why);

/* The user, or NULL. */
const struct user *users_find(const struct users *users, struct bytes name);

/* Compares in a time that does not depend on where the texts differ. For plain secrets only. */
bool user_check_plain(const struct user *user, struct bytes password);

/* Hashes the password with the user's crypt(3) setting and compares. Slow: never on a loop. Any thread. */
bool user_check_hash(const char *hash, const char *password);

#endif
