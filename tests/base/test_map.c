/* The map, and the hash it stands on. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <setjmp.h>

#include <cmocka.h>

#include "random.h"
#include "stompd/base/hash.h"
#include "stompd/base/map.h"

struct entry {
    char name[16];
    bool in_map;
    bool met;
};

static struct bytes entry_key(const void *entry) {
    return bytes_of(((const struct entry *)entry)->name);
}

static struct entry *make_entries(size_t count) {
    struct entry *entries = calloc(count, sizeof *entries);
    assert_non_null(entries);
    for (size_t n = 0; n < count; n++)
        snprintf(entries[n].name, sizeof entries[n].name, "name-%zu", n);
    return entries;
}

/* ---- hash ---- */

/*
 * Runs before the key is drawn. The numbers are CPython 3.11's hash() under PYTHONHASHSEED=0, which is SipHash-1-3 with
 * a zero key.
 */
static void hash_is_siphash_1_3(void **state) {
    (void)state;
    static const struct {
        size_t len;
        uint64_t hash;
    } cases[] = {
        {1, 0x68a914128e01e473},  {7, 0x2f098ab0c751325a},  {8, 0xead411e67ebe2eea},  {9, 0x75927f9d95124362},
        {15, 0xf30eb725bb91c9ea}, {16, 0x8972188433a5c5b7}, {63, 0x385d3e39e5f37359},
    };
    char counting[64];
    for (size_t n = 0; n < sizeof counting; n++)
        counting[n] = (char)n;
    for (size_t n = 0; n < sizeof cases / sizeof cases[0]; n++)
        assert_true(hash_bytes((struct bytes){counting, cases[n].len}) == cases[n].hash);
}

static void drawn_key_changes_the_hash(void **state) {
    (void)state;
    uint64_t before = hash_bytes(BYTES("name"));
    hash_seed();
    assert_true(hash_bytes(BYTES("name")) != before);
}

static void equal_bytes_at_any_address_hash_equally(void **state) {
    (void)state;
    const struct bytes name = BYTES("a destination of some length");
    char text[64];
    for (size_t offset = 0; offset < 16; offset++) {
        memcpy(text + offset, name.data, name.len);
        assert_true(hash_bytes((struct bytes){text + offset, name.len}) == hash_bytes(name));
    }
}

static void zero_bytes_at_the_end_count(void **state) {
    (void)state;
    const char zeros[17] = {0};
    uint64_t hashes[sizeof zeros + 1];
    for (size_t len = 0; len <= sizeof zeros; len++) {
        hashes[len] = hash_bytes((struct bytes){zeros, len});
        for (size_t shorter = 0; shorter < len; shorter++)
            assert_true(hashes[len] != hashes[shorter]);
    }
}

/* The bounds are eight standard deviations away: a good hash is never outside, whatever its key. */
static void similar_names_spread_over_the_low_bits(void **state) {
    (void)state;
    enum { NAMES = 65536, PLACES = 64, MEAN = NAMES / PLACES };
    unsigned counts[PLACES] = {0};
    char name[24];
    for (int n = 0; n < NAMES; n++) {
        snprintf(name, sizeof name, "/topic/price.%d", n);
        counts[hash_bytes(bytes_of(name)) % PLACES]++;
    }
    for (int n = 0; n < PLACES; n++)
        assert_in_range(counts[n], MEAN - MEAN / 4, MEAN + MEAN / 4);
}

/* ---- map ---- */

static void empty_map_owns_nothing(void **state) {
    (void)state;
    struct map map;
    size_t cursor = 0;
    map_init(&map, entry_key);
    assert_null(map_find(&map, BYTES("x")));
    assert_null(map_remove(&map, BYTES("x")));
    assert_null(map_next(&map, &cursor));
    assert_null(map.slots);
}

static void entries_are_found_by_the_bytes_of_their_key(void **state) {
    (void)state;
    struct map map;
    struct entry entry = {.name = "price"};
    char same[] = "price";
    map_init(&map, entry_key);
    assert_true(map_insert(&map, &entry));
    assert_ptr_equal(map_find(&map, bytes_of(same)), &entry);
    assert_null(map_find(&map, BYTES("pric")));
    assert_null(map_find(&map, BYTES("price\0")));
    assert_ptr_equal(map_remove(&map, bytes_of(same)), &entry);
    assert_null(map_find(&map, bytes_of(same)));
    assert_null(map_remove(&map, bytes_of(same)));
    map_free(&map);
}

static void freed_map_is_empty_and_usable(void **state) {
    (void)state;
    struct map map;
    struct entry entry = {.name = "price"};
    map_init(&map, entry_key);
    assert_true(map_insert(&map, &entry));
    map_free(&map);
    assert_null(map_find(&map, BYTES("price")));
    assert_true(map_insert(&map, &entry));
    assert_ptr_equal(map_find(&map, BYTES("price")), &entry);
    map_free(&map);
}

/* Every entry is in the map as its flag says, and iterating meets exactly those, once each. */
static void check_against_flags(const struct map *map, struct entry *entries, size_t count) {
    size_t expected = 0;
    for (size_t n = 0; n < count; n++) {
        assert_ptr_equal(map_find(map, entry_key(&entries[n])), entries[n].in_map ? &entries[n] : NULL);
        expected += entries[n].in_map;
        entries[n].met = false;
    }
    size_t cursor = 0;
    size_t met = 0;
    for (struct entry *entry; (entry = map_next(map, &cursor)); met++) {
        assert_true(entry->in_map && !entry->met);
        entry->met = true;
    }
    assert_int_equal(met, expected);
    assert_int_equal(map->count, expected);
}

static void insert_and_remove_at_random(size_t universe, unsigned steps, unsigned checks) {
    uint64_t seed = 1 + universe;
    struct entry *entries = make_entries(universe);
    struct map map;
    map_init(&map, entry_key);
    for (unsigned step = 0; step < steps; step++) {
        struct entry *entry = &entries[random_below(&seed, universe)];
        bool growing = step / (universe * 4) % 2 == 0;
        bool insert = random_below(&seed, 4) < (growing ? 3 : 1);
        if (insert && !entry->in_map)
            assert_true(map_insert(&map, entry));
        else if (!insert)
            assert_ptr_equal(map_remove(&map, entry_key(entry)), entry->in_map ? entry : NULL);
        entry->in_map = insert;
        if (step % (steps / checks) == 0)
            check_against_flags(&map, entries, universe);
    }
    map_free(&map);
    free(entries);
}

static void map_agrees_with_flags_after_many_inserts_and_removes(void **state) {
    (void)state;
    insert_and_remove_at_random(3, 2000, 2000);
    insert_and_remove_at_random(24, 20000, 20000);
    insert_and_remove_at_random(3000, 200000, 100);
}

static void table_stays_in_proportion_to_the_entries(void **state) {
    (void)state;
    enum { COUNT = 10000 };
    struct entry *entries = make_entries(COUNT);
    struct map map;
    map_init(&map, entry_key);
    for (size_t n = 0; n < COUNT; n++) {
        assert_true(map_insert(&map, &entries[n]));
        assert_in_range(map.capacity, map.count + 1, 4 * map.count);
    }
    for (size_t n = 0; n < COUNT; n++) {
        assert_ptr_equal(map_remove(&map, entry_key(&entries[n])), &entries[n]);
        assert_in_range(map.capacity, map.count + 1, 8 * (map.count + 1));
    }
    map_free(&map);
    free(entries);
}

/* From every size, going on and off by one in both directions changes the table at most once. */
static void table_does_not_change_to_and_fro_at_a_bound(void **state) {
    (void)state;
    enum { COUNT = 200 };
    struct entry *entries = make_entries(COUNT);
    struct map map;
    map_init(&map, entry_key);
    for (size_t n = 0; n < COUNT; n++) {
        assert_true(map_insert(&map, &entries[n]));
        size_t capacity = map.capacity;
        for (int time = 0; time < 3; time++) {
            assert_non_null(map_remove(&map, entry_key(&entries[n])));
            assert_int_equal(map.capacity, capacity);
            assert_true(map_insert(&map, &entries[n]));
            assert_int_equal(map.capacity, capacity);
        }
    }
    for (size_t n = COUNT; n-- > 0;) {
        assert_non_null(map_remove(&map, entry_key(&entries[n])));
        size_t capacity = map.capacity;
        assert_true(map_insert(&map, &entries[n]));
        assert_int_equal(map.capacity, capacity);
        assert_non_null(map_remove(&map, entry_key(&entries[n])));
        assert_int_equal(map.capacity, capacity);
    }
    map_free(&map);
    free(entries);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hash_is_siphash_1_3),
        cmocka_unit_test(drawn_key_changes_the_hash),
        cmocka_unit_test(equal_bytes_at_any_address_hash_equally),
        cmocka_unit_test(zero_bytes_at_the_end_count),
        cmocka_unit_test(similar_names_spread_over_the_low_bits),
        cmocka_unit_test(empty_map_owns_nothing),
        cmocka_unit_test(entries_are_found_by_the_bytes_of_their_key),
        cmocka_unit_test(freed_map_is_empty_and_usable),
        cmocka_unit_test(map_agrees_with_flags_after_many_inserts_and_removes),
        cmocka_unit_test(table_stays_in_proportion_to_the_entries),
        cmocka_unit_test(table_does_not_change_to_and_fro_at_a_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
