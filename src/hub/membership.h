/*
 * Private to hub/: which nodes are alive (DESIGN.md, "Redis"). This node renews its entry; the others' renewals are
 * watched, and who stands still for node-timeout is buried by whoever sees it first. Standing still is measured by the
 * observer's own uninterrupted link alone: from each `up`, and anew whenever two of its own renewals lie too far apart,
 * so that a frozen Redis, or an observer that was stopped, kills nobody. Nodes may have different node-timeouts, as while
 * it is changed on one after another, as long as each is several seconds: whatever its own is, a node renews every
 * second at least.
 *
 *     OUT --up--> WAITING (the name is another boot's: does it renew?) --> IN --leave--> LEAVING --> OUT
 *                    |  it does, twice: refused                             ^
 *                    +-- it stood still for node-timeout: bury, renew ------+
 *
 * What a dead process had sent may still be carried out: one renewal under our name is no proof of life, and a boot whose
 * entry appears again after its burial is watched, and buried, again.
 *
 * Pure book-keeping on top of the store; time is an argument. One owner, the cluster.
 */
#ifndef STOMPD_HUB_MEMBERSHIP_H
#define STOMPD_HUB_MEMBERSHIP_H

#include "stompd/base/map.h"
#include "stompd/store/store.h"

struct membership;

struct membership_events {
    /* This boot has a new entry: the registry must be restored. */
    void (*joined)(void *arg);
    /* The name is in use by a boot that renews it. The node must end; `why` says it all. */
    void (*refused)(void *arg, const char *why);
    /* A boot's entry is gone. For information: it may come back, and die again, and its node may have a later boot. */
    void (*died)(void *arg, struct bytes node, struct bytes boot);
    /* leave() is done, or can't be. */
    void (*left)(void *arg);
};

struct membership_conf {
    const char *node;
    const char *boot; /* "<node>:<boot id>" */
    uint32_t node_timeout_ms;
    struct store *store;
    const struct membership_events *events;
    void *arg;
};

/* A node as this one sees it. */
struct member {
    struct bytes node;
    struct bytes boot;
    bool alive; /* false: being buried */
    bool self;
    uint64_t silent_ms; /* since its last renewal that was seen */
};

/* Borrows what the conf points at. NULL when out of memory. */
MUST_CHECK struct membership *membership_new(const struct membership_conf *conf);
/* No event follows. NULL is allowed. */
void membership_free(struct membership *membership);

/* The link came, or went. */
void membership_up(struct membership *membership, uint64_t now_ms);
void membership_down(struct membership *membership);

/* Every 100 ms or so: renews, judges, buries. */
void membership_tick(struct membership *membership, uint64_t now_ms);

/* The registry was told STORE_GONE: renew now. */
void membership_renew(struct membership *membership, uint64_t now_ms);

/*
 * Takes this boot's sessions and entry out of the store, where the link is up and it may have any; `left` follows, at
 * once where there is nothing to do. Nothing is renewed any more.
 */
void membership_leave(struct membership *membership);

bool membership_is_in(const struct membership *membership);

/*
 * The server is there, but refused the last renewal on this link, or the burial of who held this node's name: it has no
 * memory left, say.
 */
bool membership_is_failing(const struct membership *membership);

/* The store has told all nodes since the link came, so that membership_each() shows what is. */
bool membership_is_listed(const struct membership *membership);

/* Visits all nodes that are known, this one too, in no order. */
void membership_each(const struct membership *membership, uint64_t now_ms,
                     void (*visit)(void *arg, const struct member *member), void *arg);

#endif
