/*
 * One node's membership on a book of nodes that the test keeps. A call is answered as Redis' scripts would, or by hand.
 * Time passes in steps of the tick, and renewals are answered meanwhile.
 */
#ifndef TESTS_HUB_OBSERVER_H
#define TESTS_HUB_OBSERVER_H

#include "../../src/hub/membership.h"
#include "scripted_store.h"

#define TICK_MS     100u
#define TIMEOUT_MS  UINT64_C(15000)
#define INTERVAL_MS UINT64_C(1000) /* between renewals */
#define BOOK_MAX    5000

/* An entry, and what the tests do with it. */
struct entry {
    char node[32];
    char boot[32];
    uint64_t renewals;
    bool fenced;
    bool beats;    /* renews by itself, each time the book is read */
    unsigned left; /* pieces that a burial or leaving takes, less one */
};

struct book {
    struct entry entries[BOOK_MAX];
    size_t count;
};

/* NULL: there is none. */
struct entry *book_find(struct book *book, const char *node);
/* Takes the place of the node's entry, if it has one: one renewal, not fenced. */
struct entry *book_put(struct book *book, const char *node, const char *boot);
/* The same for a boot that renews. */
struct entry *book_put_living(struct book *book, const char *node, const char *boot);
void book_erase(struct book *book, const char *node);

struct observer {
    struct scripted_store scripted;
    struct membership *membership;
    struct book *book;
    const char *node;
    const char *boot;
    uint64_t now;
    char events[512]; /* since the last look: "joined, died b b:1, left" */
};

void observer_open(struct observer *observer, struct book *book, const char *node, const char *boot,
                   uint32_t node_timeout_ms);
void observer_close(struct observer *observer);

void observer_up(struct observer *observer);
/* What has no answer is answered STORE_AWAY. */
void observer_down(struct observer *observer);
/* Up, and in as a new entry. */
void observer_join(struct observer *observer);

/* Answers the oldest call as the book has it. */
void observer_answer(struct observer *observer);
/* Answers renewals up to the next piece of a burial, and that. */
void observer_answer_burial(struct observer *observer);

void observer_tick(struct observer *observer);
/* Renewals are answered at once; nothing else may be asked meanwhile. */
void observer_pass(struct observer *observer, uint64_t ms);
/* The same until that is asked; how long it took. */
uint64_t observer_pass_until(struct observer *observer, const char *asked);

void observer_expect(struct observer *observer, const char *expected);
void observer_expect_asked(const struct observer *observer, const char *asked);

/* How another node looks to this one. */
struct sight {
    const char *node;
    struct member member;
    size_t count; /* of all nodes, itself too */
    bool found;
};

struct sight observer_see(const struct observer *observer, const char *node);

#endif
