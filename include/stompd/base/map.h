/*
 * Hash map from bytes to entries that carry their own key: open addressing, linear probing, backward-shift deletion.
 * Zero cost until the first insert. The map owns the slots, never the entries.
 */
#ifndef STOMPD_BASE_MAP_H
#define STOMPD_BASE_MAP_H

#include <stdint.h>

#include "stompd/base/bytes.h"
#include "stompd/base/compiler.h"

/* The key of an entry; must stay the same while the entry is in the map. */
typedef struct bytes (*map_key_fn)(const void *entry);

struct map_slot {
    uint64_t hash;
    void *entry; /* NULL: free */
};

struct map {
    map_key_fn key;
    struct map_slot *slots;
    uint32_t count;
    uint32_t capacity; /* 0 or a power of two */
};

/* An empty map, which costs no heap. */
void map_init(struct map *map, map_key_fn key);

/* Frees the slots, not the entries. */
void map_free(struct map *map);

/* The entry with that key, or NULL. */
void *map_find(const struct map *map, struct bytes key);

/* Adds an entry whose key is not in the map yet. False when out of memory; nothing changed then. */
MUST_CHECK bool map_insert(struct map *map, void *entry);

/* Takes out the entry with that key and returns it, or NULL. Shrinks the table when it has become sparse. */
void *map_remove(struct map *map, struct bytes key);

/* Iterates: start with *cursor = 0; returns the next entry or NULL. No insert or remove in between. */
void *map_next(const struct map *map, size_t *cursor);

#endif
