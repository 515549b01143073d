/*
 * Who gets a message: exact destinations in a hash map, compared byte by byte; patterns in a trie by segments, where
 * `/` and `.` are the same boundary behind the kind, "/topic/", which is compared byte by byte too. The pattern
 * matches of a destination are cached with its exact subscribers, so that a publication to a known destination costs
 * one hash look-up; the first subscription to a pattern and the end of its last make what is cached stale. One owner,
 * no threads.
 *
 * The same structure without patterns serves as the map of user destinations.
 */
#ifndef STOMPD_ROUTE_TRIE_H
#define STOMPD_ROUTE_TRIE_H

#include <stdint.h>

#include "stompd/base/bytes.h"
#include "stompd/base/compiler.h"

/* Cached destinations without an exact subscriber: above this number the oldest are forgotten. */
#define TRIE_CACHE_MAX 4096

struct trie;
struct trie_place;

/* One who wants messages; embedded in a subscription or a peer's interest. Zeroed before use. */
struct subscriber {
    struct trie_place *place; /* where it is; NULL: nowhere */
    uint32_t index;           /* in the place's array */
    uint32_t kind;            /* the user's own mark; the trie leaves it alone */
};

/* Borrowed arrays: valid until the trie is changed or asked again. */
struct match {
    struct subscriber *const *exact;
    size_t exact_count;
    struct subscriber *const *patterns;
    size_t pattern_count;
};

MUST_CHECK struct trie *trie_new(void);

/* Every subscriber must have been removed. */
void trie_free(struct trie *trie);

/* Adds a subscriber to an exact destination. The trie keeps its own copy of the text. False when out of memory. */
MUST_CHECK bool trie_add_exact(struct trie *trie, struct bytes destination, struct subscriber *subscriber);

/* Adds a subscriber to a pattern (see destination.h). False when out of memory. */
MUST_CHECK bool trie_add_pattern(struct trie *trie, struct bytes pattern, struct subscriber *subscriber);

/* Takes the subscriber out in O(1) and frees what nobody uses any more. Does nothing when it is nowhere. */
void trie_remove(struct trie *trie, struct subscriber *subscriber);

/*
 * All subscribers that the destination reaches, each once per subscription. False when out of memory: nobody is named.
 */
MUST_CHECK bool trie_match(struct trie *trie, struct bytes destination, struct match *match);

/* How many destinations without an exact subscriber are cached; none while there are no patterns. */
size_t trie_cached(const struct trie *trie);

/* Whether the one destination is reached by the pattern; the rule itself, by which the trie is tested. */
bool pattern_matches(struct bytes pattern, struct bytes destination);

#endif
