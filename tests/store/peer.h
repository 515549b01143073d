/* A store as the tests use it: what it tells is written down as text, and a call waits for its answer. */
#ifndef STORE_PEER_H
#define STORE_PEER_H

#include "contract.h"

#define PEER_TEXT 65536

struct peer {
    const struct contract *contract;
    struct store *store;
    char told[PEER_TEXT]; /* subscriptions and messages since the last look, and "down", each with a line end */
    char server[64];      /* the run id of the last `up` */
    unsigned ups;
    unsigned downs;
    unsigned published; /* publications that were answered */
    unsigned refused;   /* of these, refused */
};

/* An answer, copied. Items are separated by commas and sorted by their bytes. */
struct answer {
    const struct peer *peer;
    bool done;
    unsigned downs; /* of the peer, when it was answered */
    enum store_result result;
    uint64_t cursor;
    size_t count;
    char text[PEER_TEXT];
};

/* Attaches a store. `up` is counted, not written down. */
void peer_attach(struct peer *peer, const struct contract *contract, const char *node, const char *boot);
/* The same, and waits for `up`. */
void peer_open(struct peer *peer, const struct contract *contract, const char *node, const char *boot);
void peer_close(struct peer *peer);

/* Waits until something is reached; fails the test when it is not. */
void peer_await(struct peer *peer, bool (*reached)(void *arg), void *arg);

/* Waits until exactly that was told since the last look. */
void peer_expect(struct peer *peer, const char *told);

/* Waits for one more of these than `before`. */
void peer_await_up(struct peer *peer, unsigned before);
void peer_await_down(struct peer *peer, unsigned before);

/* Waits until that many publications were answered, since the store was attached. */
void peer_await_published(struct peer *peer, unsigned published);

void peer_publish(struct peer *peer, const char *channel, const char *payload);
void peer_subscribe(struct peer *peer, enum store_channel kind, const char *name);
void peer_unsubscribe(struct peer *peer, enum store_channel kind, const char *name);

/* For a call: writes the answer down. */
struct store_call peer_call(struct peer *peer, struct answer *answer);
/* Waits for it. */
void peer_await_answer(struct peer *peer, struct answer *answer);

/* Calls that wait for their answers. What they answer is borrowed until the next of the same kind. */
const struct answer *peer_renew(struct peer *peer);
enum store_result peer_bury(struct peer *peer, const char *node, const char *boot, uint64_t renewals, bool fenced);
enum store_result peer_leave(struct peer *peer);
const struct answer *peer_user_sessions(struct peer *peer, const char *user);
const struct answer *peer_users(struct peer *peer, const char *after, unsigned limit);
const struct answer *peer_session_page(struct peer *peer, uint64_t cursor);

/* Of one session. */
enum store_result peer_add(struct peer *peer, const char *session, const char *user);
enum store_result peer_remove(struct peer *peer, const char *session, const char *user);

/* `count` sessions "<boot>-<n>" from n = `first` on, of users by turns; at most STORE_SESSIONS_MAX a call. */
void peer_add_many(struct peer *peer, const char *boot, size_t first, size_t count, const char *const *users,
                   size_t user_count);

#endif
