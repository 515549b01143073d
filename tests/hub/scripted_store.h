/*
 * A store that only records what is asked of it, and answers when and what the test says: the oldest call first. For
 * tests of what stands on the book of nodes and the registry; channels are not its part.
 */
#ifndef TESTS_HUB_SCRIPTED_STORE_H
#define TESTS_HUB_SCRIPTED_STORE_H

#include "stompd/base/list.h"
#include "stompd/store/store.h"

#define SCRIPTED_NAME_SIZE 64

enum scripted_kind { SCRIPTED_RENEW, SCRIPTED_BURY, SCRIPTED_LEAVE, SCRIPTED_ADD, SCRIPTED_REMOVE, SCRIPTED_PAGE };

struct scripted_session {
    char id[SCRIPTED_NAME_SIZE];
    char user[SCRIPTED_NAME_SIZE];
};

struct scripted_call {
    struct list_node in_list;
    struct store_call told;
    enum scripted_kind kind;
    /* "renew", "bury b b:1 5", "bury b b:1 dead", "leave", "add s1=ann s2=bob", "page 0". */
    char text[256];
    uint64_t cursor;
    size_t count;
    struct scripted_session sessions[];
};

struct scripted_store {
    struct store store; /* first: the ops get it */
    struct list_node calls;
    size_t waiting; /* for an answer */
    size_t made;    /* since the beginning */
};

void scripted_init(struct scripted_store *scripted);
/* Answers nothing more. */
void scripted_free(struct scripted_store *scripted);

/* The oldest call without an answer, or NULL. */
const struct scripted_call *scripted_first(const struct scripted_store *scripted);
/* Its text; "" when there is none. */
const char *scripted_asked(const struct scripted_store *scripted);

/* Answers the oldest call. */
void scripted_answer(struct scripted_store *scripted, const struct store_answer *answer);
void scripted_result(struct scripted_store *scripted, enum store_result result);
/* Answers STORE_AWAY to all that there are. */
void scripted_break(struct scripted_store *scripted);

#endif
