/*
 * What passes on the links of a fake_server (fake_store.h): commands with their arguments, which become their own
 * answers when they are executed, and messages. What the scripts of the store in Redis do (src/store/lua/) is written
 * here once more, in C.
 */
#ifndef STORE_FAKE_COMMAND_H
#define STORE_FAKE_COMMAND_H

#include "fake_queues.h"

enum fake_kind {
    FAKE_PUBLISH,     /* a row: channel, payload */
    FAKE_MESSAGE,     /* the same, on its way to a subscriber */
    FAKE_SUBSCRIBE,   /* a row: name */
    FAKE_UNSUBSCRIBE, /* the same */
    FAKE_RENEW,
    FAKE_BURY, /* a row: node, boot, what was observed */
    FAKE_LEAVE,
    FAKE_ADD_SESSIONS, /* rows: session, user */
    FAKE_REMOVE_SESSIONS,
    FAKE_SESSION_PAGE,
    FAKE_USER_SESSIONS, /* a row: user */
    FAKE_USERS,         /* a row: the name behind which the page begins */
    FAKE_QUEUES         /* a call of queues: `queues` has all of it */
};

/* Of a command's arguments, or of its answer: a node, a session or a user. */
struct fake_row {
    struct buffer first;
    struct buffer second;
    uint64_t number;
    bool fenced;
};

struct fake_command {
    struct list_node in_pipe;
    enum fake_kind kind;
    enum store_channel channel;     /* FAKE_SUBSCRIBE, FAKE_UNSUBSCRIBE */
    uint64_t number;                /* the boot's count of renewals, a cursor or a limit */
    uint64_t least;                 /* of the boot's counts, what this link may have left in its entry */
    uint64_t since_ms;              /* when it was given */
    struct store_call call;         /* done is NULL: nobody waits */
    struct fake_queue_call *queues; /* FAKE_QUEUES; else NULL */
    enum store_result result;
    struct fake_row *rows;
    size_t count;
};

struct fake_command *fake_command_new(enum fake_kind kind);
void fake_command_free(struct fake_command *command);

/* Copies. */
struct fake_row *fake_command_add(struct fake_command *command, struct bytes first, struct bytes second);

bool fake_command_has_waiter(const struct fake_command *command);
/* A command of the same kind, without arguments, that has whoever waited for this one; nobody does any more. */
struct fake_command *fake_command_move_waiter(struct fake_command *command);

/* Says it on the store's link, as its own. */
void fake_store_say(struct store *store, struct fake_command *command);

/* Executes a command for that boot, but no publication: its rows and result are the answer then. */
void fake_command_execute(struct fake_command *command, struct fake_server *server, struct bytes node,
                          struct bytes boot);

/* Tells whoever waits, with that result; of queues: STORE_AWAY, or whatever theirs is. */
void fake_command_answer(const struct fake_command *command, enum store_result result);

/* ---- for the files of the fake ---- */

struct buffer fake_copy(struct bytes bytes);
bool fake_is(const struct buffer *buffer, struct bytes bytes);
/* NULL: there is none. */
struct fake_node *fake_find_node(struct fake_server *server, struct bytes node);

#endif
