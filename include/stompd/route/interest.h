/*
 * What one worker must hear from its peers, the other workers and, in a cluster, the hub, which stands for all other
 * nodes: how many of its own subscriptions want a key (an exact destination, a pattern, or a user key), and whether all
 * peers have said that they know. Pure book-keeping: who calls announces and withdraws. One owner.
 *
 *     absent --acquire--> asking --confirm by every worker--> known here --confirm by the hub--> live
 *        ^                   |                                    |                               |
 *        +----release (last)-+------------------release (last)----+---------------release (last)--+
 *
 * Each announcement has an id of its own, so that a late confirmation of an earlier one confirms nothing.
 */
#ifndef STOMPD_ROUTE_INTEREST_H
#define STOMPD_ROUTE_INTEREST_H

#include <stdint.h>

#include "stompd/base/list.h"
#include "stompd/base/map.h"

enum interest_kind { INTEREST_EXACT, INTEREST_PATTERN, INTEREST_USER };

struct interest {
    uint64_t id;              /* of the announcement */
    unsigned holders;         /* subscriptions that want it */
    unsigned unconfirmed;     /* workers that have not answered yet */
    bool hub_unconfirmed;     /* nor has the hub */
    struct list_node waiting; /* holders' own nodes, to be told when live */
    enum interest_kind kind;
    uint32_t key_len;
    char key[];
};

struct interests {
    struct map by_key[3]; /* by kind */
    uint64_t last_id;
    unsigned workers;
    bool hub;
};

/* `workers`: how many others have to confirm; `hub`: whether it has to. With neither, interest is live at once. */
void interests_init(struct interests *interests, unsigned workers, bool hub);

/* Frees all that is left. */
void interests_free(struct interests *interests);

/* One more holder. *first says that it is new and must be announced to the peers. NULL when out of memory. */
MUST_CHECK struct interest *interests_acquire(struct interests *interests, enum interest_kind kind, struct bytes key,
                                              bool *first);

/*
 * One holder less; the caller has taken its node out of `waiting`. Returns true when it was the last: withdraw it from
 * the peers; the interest is freed.
 */
bool interests_release(struct interests *interests, struct interest *interest);

/*
 * A worker, or the hub, has confirmed announcement `id` of that key. Returns the interest when that made it known here
 * or live (its waiting list is the caller's), else NULL.
 */
struct interest *interests_confirm(struct interests *interests, enum interest_kind kind, struct bytes key, uint64_t id,
                                   bool by_hub);

/* The hub has lost the other nodes: it confirms everything once more when it is back. */
void interests_lose_hub(struct interests *interests);

/* Every worker of this node knows of it. */
static inline bool interest_is_known(const struct interest *interest) {
    return interest->unconfirmed == 0;
}

/* And so do all other nodes. */
static inline bool interest_is_live(const struct interest *interest) {
    return interest_is_known(interest) && !interest->hub_unconfirmed;
}

static inline struct bytes interest_key(const struct interest *interest) {
    return (struct bytes){interest->key, interest->key_len};
}

#endif
