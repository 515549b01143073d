/* Checks of credentials, with a memory of right passwords that only helper threads touch, under a lock of its own. */
#include "stompd/auth/authenticator.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "stompd/base/hash.h"

struct remembered {
    const struct user *user;
    uint64_t digest; /* of the password, under the process's own hash key */
    uint64_t until_ms;
};

struct authenticator {
    const struct users *users;
    pthread_mutex_t lock;
    struct map remembered;
};

static struct bytes remembered_key(const void *entry) {
    return bytes_of(((const struct remembered *)entry)->user->name);
}

struct authenticator *authenticator_new(const struct users *users) {
    struct authenticator *authenticator = calloc(1, sizeof *authenticator);
    if (!authenticator)
        return NULL;
    authenticator->users = users;
    pthread_mutex_init(&authenticator->lock, NULL);
    map_init(&authenticator->remembered, remembered_key);
    return authenticator;
}

void authenticator_free(struct authenticator *authenticator) {
    if (!authenticator)
        return;
    size_t cursor = 0;
    void *entry;
    while ((entry = map_next(&authenticator->remembered, &cursor)) != NULL)
        free(entry);
    map_free(&authenticator->remembered);
    pthread_mutex_destroy(&authenticator->lock);
    free(authenticator);
}

static bool has_nul(struct bytes bytes) {
    return bytes.len > 0 && memchr(bytes.data, '\0', bytes.len) != NULL;
}

enum verdict authenticator_try(const struct authenticator *authenticator, struct bytes login, struct bytes passcode,
                               struct credentials *credentials) {
    const struct user *user = users_find(authenticator->users, login);
    if (!user || has_nul(passcode))
        return VERDICT_REFUSED;
    if (user->plain)
        return user_check_plain(user, passcode) ? VERDICT_ACCEPTED : VERDICT_REFUSED;
    credentials->user = user;
    credentials->password = strndup(passcode.len > 0 ? passcode.data : "", passcode.len);
    return credentials->password ? VERDICT_SLOW : VERDICT_REFUSED;
}

static uint64_t digest_of(const char *password) {
    return hash_bytes(bytes_of(password));
}

static bool is_remembered(struct authenticator *authenticator, const struct user *user, uint64_t digest,
                          uint64_t now_ms) {
    pthread_mutex_lock(&authenticator->lock);
    const struct remembered *found = map_find(&authenticator->remembered, bytes_of(user->name));
    bool right = found && found->digest == digest && now_ms < found->until_ms;
    pthread_mutex_unlock(&authenticator->lock);
    return right;
}

static void remember(struct authenticator *authenticator, const struct user *user, uint64_t digest, uint64_t now_ms) {
    pthread_mutex_lock(&authenticator->lock);
    struct remembered *entry = map_find(&authenticator->remembered, bytes_of(user->name));
    if (!entry && authenticator->remembered.count < AUTHENTICATOR_REMEMBER_MAX &&
        (entry = calloc(1, sizeof *entry)) != NULL) {
        entry->user = user;
        if (!map_insert(&authenticator->remembered, entry)) {
            free(entry);
            entry = NULL;
        }
    }
    if (entry) {
        entry->digest = digest;
        entry->until_ms = now_ms + AUTHENTICATOR_REMEMBER_MS;
    }
    pthread_mutex_unlock(&authenticator->lock);
}

bool authenticator_check(struct authenticator *authenticator, struct credentials *credentials, uint64_t now_ms) {
    uint64_t digest = digest_of(credentials->password);
    bool right = is_remembered(authenticator, credentials->user, digest, now_ms);
    if (!right && user_check_hash(credentials->user->secret, credentials->password)) {
        right = true;
        remember(authenticator, credentials->user, digest, now_ms);
    }
    credentials_free(credentials);
    return right;
}

void credentials_free(struct credentials *credentials) {
    if (!credentials->password)
        return;
    explicit_bzero(credentials->password, strlen(credentials->password));
    free(credentials->password);
    credentials->password = NULL;
}
