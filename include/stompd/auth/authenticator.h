/*
 * Checks credentials against the users of the conf file. Plain secrets are compared at once. Hashes are checked on a
 * helper thread, and a password that was right is remembered for a while (as a keyed digest, never as text), so that
 * thousands of browsers may reconnect at once.
 */
#ifndef STOMPD_AUTH_AUTHENTICATOR_H
#define STOMPD_AUTH_AUTHENTICATOR_H

#include "stompd/auth/users.h"
#include "stompd/base/helpers.h"

/* How long a right password is remembered, and for how many users at most. */
#define AUTHENTICATOR_REMEMBER_MS  300000
#define AUTHENTICATOR_REMEMBER_MAX 100000

struct authenticator;

enum verdict { VERDICT_ACCEPTED, VERDICT_REFUSED, VERDICT_SLOW /* ask authenticator_check() on a helper */ };

/* Copies of what a check on another thread needs. */
struct credentials {
    const struct user *user; /* of the authenticator's users */
    char *password;
};

/* Borrows the users. NULL when out of memory. */
MUST_CHECK struct authenticator *authenticator_new(const struct users *users);
/* Forgets all. NULL is allowed. */
void authenticator_free(struct authenticator *authenticator);

/* What can be said at once. On VERDICT_SLOW the credentials are filled in for authenticator_check(). Any thread. */
enum verdict authenticator_try(const struct authenticator *authenticator, struct bytes login, struct bytes passcode,
                               struct credentials *credentials);

/* Looks among the remembered, else hashes (slow). Erases and frees the password. Any thread. */
bool authenticator_check(struct authenticator *authenticator, struct credentials *credentials, uint64_t now_ms);

/* Erases and frees the password without a check. */
void credentials_free(struct credentials *credentials);

#endif
