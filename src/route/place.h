/*
 * The subscribers of one exact destination or one pattern: an array in which each knows its index. One of them needs
 * no memory of its own, because most destinations have only one. Used within route/ only.
 */
#ifndef STOMPD_ROUTE_PLACE_H
#define STOMPD_ROUTE_PLACE_H

#include "stompd/route/trie.h"

struct trie_place {
    union {
        struct subscriber *one;
        struct subscriber **many;
    } held;
    uint32_t count;
    uint32_t capacity : 31;  /* of held.many; 0: held.one is in use */
    uint32_t is_pattern : 1; /* embedded in a pattern_node, otherwise in an exact_place */
};

/* Adds the subscriber at the end. False when out of memory, which a first one never meets. */
MUST_CHECK bool place_add(struct trie_place *place, struct subscriber *subscriber);

/* Takes it out; the last of the array moves to its index. Without subscribers a place holds no memory. */
void place_remove(struct trie_place *place, struct subscriber *subscriber);

static inline struct subscriber *const *place_subscribers(const struct trie_place *place) {
    return place->capacity > 0 ? place->held.many : &place->held.one;
}

#endif
