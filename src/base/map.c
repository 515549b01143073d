/*
 * The hash map. An entry lies at its home (its hash modulo the capacity) or behind it with no free slot in between;
 * removal moves later entries back into the gap. So a search may stop at the first free slot, and nothing is left
 * behind to slow it.
 *
 * The table doubles when it is three quarters full and halves below one eighth: its size stays in proportion to the
 * entries, and a map that goes to and fro at one bound is far from the other.
 */
#include "stompd/base/map.h"

#include <stdlib.h>

#include "stompd/base/hash.h"

/* Room for one: most sessions have one subscription, and most maps few entries. */
#define FIRST_CAPACITY 2
#define LAST_CAPACITY  (UINT32_C(1) << 31)

void map_init(struct map *map, map_key_fn key) {
    *map = (struct map){.key = key};
}

void map_free(struct map *map) {
    free(map->slots);
    map_init(map, map->key);
}

static void place(struct map *map, struct map_slot slot) {
    size_t mask = map->capacity - 1;
    size_t at = slot.hash & mask;
    while (map->slots[at].entry)
        at = (at + 1) & mask;
    map->slots[at] = slot;
}

static bool resize(struct map *map, uint32_t capacity) {
    struct map old = *map;
    struct map_slot *slots = calloc(capacity, sizeof *slots);
    if (!slots)
        return false;
    map->slots = slots;
    map->capacity = capacity;
    for (size_t at = 0; at < old.capacity; at++) {
        if (old.slots[at].entry)
            place(map, old.slots[at]);
    }
    free(old.slots);
    return true;
}

/* The slot of the entry with that key, or NULL. */
static struct map_slot *find_slot(const struct map *map, struct bytes key) {
    if (map->count == 0)
        return NULL;
    uint64_t hash = hash_bytes(key);
    size_t mask = map->capacity - 1;
    for (size_t at = hash & mask; map->slots[at].entry; at = (at + 1) & mask) {
        struct map_slot *slot = &map->slots[at];
        if (slot->hash == hash && bytes_equal(map->key(slot->entry), key))
            return slot;
    }
    return NULL;
}

void *map_find(const struct map *map, struct bytes key) {
    struct map_slot *slot = find_slot(map, key);
    return slot ? slot->entry : NULL;
}

static bool grow(struct map *map) {
    if (map->capacity == 0)
        return resize(map, FIRST_CAPACITY);
    return map->capacity < LAST_CAPACITY && resize(map, map->capacity * 2);
}

bool map_insert(struct map *map, void *entry) {
    bool full = map->count >= map->capacity / 2 + map->capacity / 4;
    if (full && !grow(map))
        return false;
    place(map, (struct map_slot){hash_bytes(map->key(entry)), entry});
    map->count++;
    return true;
}

/* Frees the slot `gap`, after moving into it what may lie there, and so on for the slot that this leaves empty. */
static void close_gap(struct map *map, size_t gap) {
    size_t mask = map->capacity - 1;
    for (size_t at = (gap + 1) & mask; map->slots[at].entry; at = (at + 1) & mask) {
        size_t from_home = (at - map->slots[at].hash) & mask;
        size_t from_gap = (at - gap) & mask;
        if (from_home >= from_gap) {
            map->slots[gap] = map->slots[at];
            gap = at;
        }
    }
    map->slots[gap].entry = NULL;
}

void *map_remove(struct map *map, struct bytes key) {
    struct map_slot *slot = find_slot(map, key);
    if (!slot)
        return NULL;
    void *entry = slot->entry;
    close_gap(map, (size_t)(slot - map->slots));
    map->count--;
    if (map->capacity > FIRST_CAPACITY && map->count < map->capacity / 8) {
        /* Without memory for a smaller table the larger one goes on serving. */
        (void)resize(map, map->capacity / 2);
    }
    return entry;
}

void *map_next(const struct map *map, size_t *cursor) {
    while (*cursor < map->capacity) {
        void *entry = map->slots[(*cursor)++].entry;
        if (entry)
            return entry;
    }
    return NULL;
}
