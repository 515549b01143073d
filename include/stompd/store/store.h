/*
 * The store: what nodes share. One Redis, as the hub sees it: channels that carry publications, the book of nodes that
 * are alive, and the registry of users and their sessions. Contract; redis_store.h is behind it, and the tests' own
 * store in one process (tests/store/fake_store.h).
 *
 * All of it happens on the hub's thread. Calls never block and answer later, never from within the call; answers and
 * events come in the order of what caused them. Where the link breaks, every call that was not answered is answered
 * STORE_AWAY, then `down` is told; whatever is called until the next `up` is answered STORE_AWAY or, where there is no
 * answer, does nothing. Arguments are borrowed for the call. What was not answered may still be done later, but renew,
 * add_sessions and remove_sessions of a broken link do nothing any more once one of the next link is done. A call for
 * which there is no memory breaks the link and may go without an answer.
 *
 * Names of channels, nodes and users stand here without the conf file's prefix; the store puts it in front.
 */
#ifndef STOMPD_STORE_STORE_H
#define STOMPD_STORE_STORE_H

#include <stdint.h>

#include "stompd/base/bytes.h"
#include "stompd/base/compiler.h"

/* Sessions that one call of add_sessions, remove_sessions or bury deals with at most. */
#define STORE_SESSIONS_MAX 256

/* Users that one page of users() holds at most. */
#define STORE_USERS_MAX 1000

enum store_result {
    STORE_OK,
    STORE_GONE,   /* this boot has no entry among the nodes; see each call */
    STORE_TAKEN,  /* another boot holds this node's name; nothing was done */
    STORE_MORE,   /* bury, leave: one piece is done, more are left: call again */
    STORE_ALIVE,  /* bury: the boot is not the one that was observed, or renews again; nothing was done */
    STORE_FAILED, /* the server refused; the store has logged why */
    STORE_AWAY    /* no link, or it broke before the answer: nobody knows whether it was done */
};

/* An entry of the book of nodes. */
struct store_node {
    struct bytes node;
    struct bytes boot; /* "<node>:<boot id>" */
    uint64_t renewals; /* counts up while the boot is alive */
    bool fenced;       /* declared dead; what it left is being cleaned up */
};

/* A session of the registry. */
struct store_session {
    struct bytes id;   /* begins with its boot */
    struct bytes user; /* empty in answers of user_sessions */
};

struct store_user {
    struct bytes name;
    uint64_t sessions;
};

/* What an answer brings, as far as the call says so; borrowed for the callback. */
struct store_answer {
    enum store_result result;
    const struct store_node *nodes;
    size_t node_count;
    const struct store_session *sessions;
    size_t session_count;
    const struct store_user *users;
    size_t user_count;
    uint64_t cursor;
};

/* Whom to tell. */
struct store_call {
    void (*done)(void *arg, const struct store_answer *answer);
    void *arg;
};

/* A channel that is subscribed to: by its name, or by a glob as Redis' PSUBSCRIBE has it. */
enum store_channel { STORE_CHANNEL, STORE_GLOB };

/* What a store tells its owner; all are set. */
struct store_events {
    /*
     * The link is there, to the same server in both directions; nothing is subscribed on it yet. `server`: the run id,
     * new when the server has been started anew.
     */
    void (*up)(void *arg, struct bytes server);
    /* It is gone. The store has logged why and goes on trying. */
    void (*down)(void *arg);
    /* The server has acknowledged subscribe() or unsubscribe(). */
    void (*subscribed)(void *arg, enum store_channel kind, struct bytes name);
    void (*unsubscribed)(void *arg, enum store_channel kind, struct bytes name);
    /* A publication. It comes once for each subscribed name and glob that matches. */
    void (*message)(void *arg, struct bytes channel, struct bytes payload);
    /* The oldest publish() without an answer has one. False: the server refused it. Not told when the link breaks. */
    void (*published)(void *arg, bool taken);
};

struct store;

struct store_ops {
    /* ---- channels ---- */

    /* Answered by `published`. */
    void (*publish)(struct store *store, struct bytes channel, struct bytes payload);
    /* Answered by `subscribed`. Only what is not subscribed, and whose unsubscribe() was answered. */
    void (*subscribe)(struct store *store, enum store_channel kind, struct bytes name);
    /* Answered by `unsubscribed`. Only what `subscribed` was told of. */
    void (*unsubscribe)(struct store *store, enum store_channel kind, struct bytes name);

    /* ---- the book of nodes ---- */

    /*
     * Counts this boot's renewals up, with a new entry too: no count of a boot comes twice, so that whoever observed
     * one can tell. STORE_OK; STORE_GONE: it had no entry, or a fenced one, and has a new one now: the
     * registry must be restored; STORE_TAKEN. Brings all nodes, as they are after it.
     */
    void (*renew)(struct store *store, struct store_call call);
    /*
     * Cleans up after a dead boot: fences it, unless it is not as observed (STORE_ALIVE), and removes some of its
     * sessions. STORE_MORE; STORE_OK: all is clean, its entry too, or somebody else had done it.
     */
    void (*bury)(struct store *store, const struct store_node *dead, struct store_call call);
    /* The same for this boot itself. STORE_MORE, STORE_OK. */
    void (*leave)(struct store *store, struct store_call call);

    /* ---- the registry ---- */

    /* Both idempotent. STORE_OK; STORE_GONE: nothing was done, renew first. */
    void (*add_sessions)(struct store *store, const struct store_session *sessions, size_t count,
                         struct store_call call);
    void (*remove_sessions)(struct store *store, const struct store_session *sessions, size_t count,
                            struct store_call call);
    /*
     * Some of the sessions that the registry has of this boot, with their users, and the cursor of the next page; from
     * 0, to 0. A session may come twice; one that is there all the time comes.
     */
    void (*session_page)(struct store *store, uint64_t cursor, struct store_call call);
    /* The sessions of a user on all nodes (without `user`); none: the user is not online. */
    void (*user_sessions)(struct store *store, struct bytes user, struct store_call call);
    /*
     * Users that are online, with how many sessions, in the order of their names' bytes: those after `after`
     * (empty: from the first), `limit` (up to STORE_USERS_MAX) at most.
     */
    void (*users)(struct store *store, struct bytes after, unsigned limit, struct store_call call);

    /* ---- the link ---- */

    /* It seems dead: break it, as if it had broken by itself, and make a new one. */
    void (*break_link)(struct store *store, const char *why);
    /* Nothing is answered or told any more. Not from within an answer or event. */
    void (*free)(struct store *store);
};

/* The front of every store. */
struct store {
    const struct store_ops *ops;
    const struct store_events *events;
    void *arg; /* of the events */
};

#endif
