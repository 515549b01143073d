/*
 * Private to store/: calls that are answered: their commands, kept until the answer is there, and how an answer is told.
 *
 * A call goes out at once, behind all others. When the server has forgotten the scripts (SCRIPT FLUSH, which NOSCRIPT
 * tells of), calls wait: those that it refused, and new ones, until all that were under way are answered; then the
 * scripts are loaded, and they go out in their old order. Had one that came later been carried out meanwhile, since
 * another node has loaded the scripts, the order would be broken, so the link is broken instead.
 */
#ifndef STORE_REDIS_CALLS_H
#define STORE_REDIS_CALLS_H

#include "redis_link.h"
#include "redis_scripts.h"
#include "stompd/base/list.h"
#include "stompd/store/store.h"

/* The log names each error of the server at most once in this time. */
#define REDIS_CALLS_REPEAT_MS 60000

#define REDIS_CALLS_REFUSALS 16

enum redis_call_kind {
    CALL_RENEW,
    CALL_BURY,
    CALL_LEAVE,
    CALL_ADD_SESSIONS,
    CALL_REMOVE_SESSIONS,
    CALL_SESSION_PAGE,
    CALL_USER_SESSIONS,
    CALL_USERS,
    CALL_CHANGE,
    CALL_TAKE,
    CALL_RECOVER,
    CALL_BINDINGS
};

/* Whom to tell of the answer to one of the last four kinds: the reply, which may be an error, or NULL: away. */
struct redis_reply_call {
    void (*done)(void *arg, const redisReply *reply);
    void *arg;
};

struct redis_calls {
    struct redis_link *link;
    struct list_node again; /* to be sent when the scripts are there again */
    struct list_node away;  /* to be told STORE_AWAY */
    struct event *away_turn;
    size_t under_way;
    uint64_t refused; /* answers that were errors */
    struct {
        const struct redis_error *error;
        const char *command; /* of an error of one command */
        uint64_t told_ms;
    } refusals[REDIS_CALLS_REFUSALS];
};

/* False: out of memory. */
MUST_CHECK bool redis_calls_init(struct redis_calls *calls, struct redis_link *link);
/* Tells nothing. The link's unanswered calls must have gone through redis_calls_drop(). */
void redis_calls_free(struct redis_calls *calls);

/* Makes a call, with a command that is copied. Out of memory it is not answered, but the link breaks. */
void redis_calls_make(struct redis_calls *calls, enum redis_call_kind kind, const struct redis_command *command,
                      struct store_call told);
/* The same for a call whose reply is read by whoever made it. False: it was not made, and nobody is told. */
MUST_CHECK bool redis_calls_make_raw(struct redis_calls *calls, enum redis_call_kind kind,
                                     const struct redis_command *command, struct redis_reply_call told);

/* The link's answer to a call, or to the loading of scripts. */
void redis_calls_answered(struct redis_calls *calls, void *what, const redisReply *reply);

/* The same on the way to the end: tells nothing. */
void redis_calls_drop(void *what);

/* The link is down: tells STORE_AWAY to all that is left. */
void redis_calls_down(struct redis_calls *calls);

/* Calls that are neither under way nor answered. */
size_t redis_calls_waiting(const struct redis_calls *calls);

/* Counts and logs an error, which `command` (static text) was answered. Breaks the link when that is of no use any more. */
void redis_calls_refused(struct redis_calls *calls, const char *command, const redisReply *reply);
/* The same for an error that a script has met and tells of in its answer. */
void redis_calls_complain(struct redis_calls *calls, const char *command, const char *said);

#endif
