/*
 * The trie as its users see it: the map of exact destinations, with the patterns that reach each of them remembered
 * beside its subscribers. What is remembered are the patterns, not their subscribers: it stays valid, and small, while
 * thousands come and go at a pattern that others have too.
 */
#include "stompd/route/trie.h"

#include <stdlib.h>

#include "pattern_tree.h"
#include "stompd/base/list.h"

/*
 * What is longer, or reached by more patterns, is matched anew each time, so that a client can't fill the memory with
 * what it sends to.
 */
#define REMEMBERED_TEXT_MAX     1024
#define REMEMBERED_PATTERNS_MAX 256

struct exact_place {
    struct trie_place place;
    struct list_node idle;          /* in trie.idle while it has no subscriber */
    struct pattern_node **patterns; /* that reach it, as of `version`; NULL when none do */
    uint64_t version;
    uint32_t pattern_count;
    uint32_t text_len;
    char text[];
};

struct trie {
    struct map exact;
    struct pattern_tree patterns;
    uint64_t version;      /* counts the patterns that came or went; never 0 while there is one */
    struct list_node idle; /* destinations without an exact subscriber, the oldest first */
    size_t idle_count;
    struct subscriber **gathered; /* of several patterns, for the caller of trie_match() */
    size_t gathered_capacity;
};

static struct bytes exact_text(const void *entry) {
    const struct exact_place *exact = entry;
    return (struct bytes){exact->text, exact->text_len};
}

struct trie *trie_new(void) {
    struct trie *trie = calloc(1, sizeof *trie);
    if (!trie)
        return NULL;
    map_init(&trie->exact, exact_text);
    list_init(&trie->idle);
    return trie;
}

/* ---- exact destinations ---- */

static struct exact_place *exact_new(struct trie *trie, struct bytes text) {
    struct exact_place *exact = calloc(1, sizeof *exact + text.len);
    if (!exact)
        return NULL;
    list_init(&exact->idle);
    exact->text_len = (uint32_t)text.len;
    if (text.len > 0)
        memcpy(exact->text, text.data, text.len);
    if (map_insert(&trie->exact, exact))
        return exact;
    free(exact);
    return NULL;
}

static void exact_free(struct trie *trie, struct exact_place *exact) {
    map_remove(&trie->exact, exact_text(exact));
    free(exact->patterns);
    free(exact);
}

static void forget_oldest(struct trie *trie) {
    struct list_node *node = list_take_first(&trie->idle);
    trie->idle_count--;
    exact_free(trie, CONTAINER_OF(node, struct exact_place, idle));
}

static void forget_all(struct trie *trie) {
    while (trie->idle_count > 0)
        forget_oldest(trie);
}

bool trie_add_exact(struct trie *trie, struct bytes destination, struct subscriber *subscriber) {
    struct exact_place *exact = map_find(&trie->exact, destination);
    if (!exact)
        exact = exact_new(trie, destination);
    if (!exact || !place_add(&exact->place, subscriber))
        return false;
    if (list_is_linked(&exact->idle)) {
        list_remove(&exact->idle);
        trie->idle_count--;
    }
    return true;
}

/* ---- patterns ---- */

bool trie_add_pattern(struct trie *trie, struct bytes pattern, struct subscriber *subscriber) {
    struct pattern_node *node = pattern_tree_reach(&trie->patterns, pattern);
    if (!node || !place_add(&node->place, subscriber))
        return false;
    if (node->place.count == 1)
        trie->version++;
    return true;
}

static void pattern_lost_its_last(struct trie *trie, struct pattern_node *node) {
    trie->version++;
    pattern_tree_prune(&trie->patterns, node);
    if (pattern_tree_is_empty(&trie->patterns))
        forget_all(trie);
}

void trie_remove(struct trie *trie, struct subscriber *subscriber) {
    struct trie_place *place = subscriber->place;
    if (!place)
        return;
    place_remove(place, subscriber);
    if (place->count > 0)
        return;
    if (place->is_pattern)
        pattern_lost_its_last(trie, CONTAINER_OF(place, struct pattern_node, place));
    else
        exact_free(trie, CONTAINER_OF(place, struct exact_place, place));
}

void trie_free(struct trie *trie) {
    forget_all(trie);
    pattern_tree_free(&trie->patterns);
    map_free(&trie->exact);
    free(trie->gathered);
    free(trie);
}

/* ---- matching ---- */

static struct exact_place *idle_new(struct trie *trie, struct bytes destination) {
    if (trie->idle_count == TRIE_CACHE_MAX)
        forget_oldest(trie);
    struct exact_place *exact = exact_new(trie, destination);
    if (!exact)
        return NULL;
    list_append(&trie->idle, &exact->idle);
    trie->idle_count++;
    return exact;
}

/*
 * Remembers what a walk has found. `exact` is the destination's place or NULL. Out of memory, the next match walks
 * again.
 */
static void remember(struct trie *trie, struct bytes destination, struct exact_place *exact,
                     struct pattern_nodes found) {
    struct pattern_node **patterns = NULL;
    if (destination.len > REMEMBERED_TEXT_MAX || found.count > REMEMBERED_PATTERNS_MAX)
        return;
    if (found.count > 0 && !(patterns = malloc(found.count * sizeof(struct pattern_node *))))
        return;
    if (!exact && !(exact = idle_new(trie, destination))) {
        free(patterns);
        return;
    }
    if (patterns)
        memcpy(patterns, found.nodes, found.count * sizeof(struct pattern_node *));
    free(exact->patterns);
    exact->patterns = patterns;
    exact->pattern_count = (uint32_t)found.count;
    exact->version = trie->version;
}

static bool find_patterns(struct trie *trie, struct bytes destination, struct exact_place *exact,
                          struct pattern_nodes *found) {
    if (exact && exact->version == trie->version) {
        *found = (struct pattern_nodes){exact->patterns, exact->pattern_count};
        return true;
    }
    if (!pattern_tree_walk(&trie->patterns, destination, found))
        return false;
    remember(trie, destination, exact, *found);
    return true;
}

static bool reserve_gathered(struct trie *trie, size_t count) {
    if (count <= trie->gathered_capacity)
        return true;
    struct subscriber **gathered = realloc(trie->gathered, 2 * count * sizeof(struct subscriber *));
    if (!gathered)
        return false;
    trie->gathered = gathered;
    trie->gathered_capacity = 2 * count;
    return true;
}

/* The subscribers of all found patterns in one array; those of a single pattern where they are. */
static bool gather(struct trie *trie, struct pattern_nodes found, struct match *match) {
    size_t total = 0, count = 0;
    for (size_t n = 0; n < found.count; n++)
        total += found.nodes[n]->place.count;
    match->pattern_count = total;
    if (found.count == 1)
        match->patterns = place_subscribers(&found.nodes[0]->place);
    if (found.count <= 1)
        return true;
    if (!reserve_gathered(trie, total))
        return false;
    for (size_t n = 0; n < found.count; n++) {
        const struct trie_place *place = &found.nodes[n]->place;
        memcpy(trie->gathered + count, place_subscribers(place), place->count * sizeof(struct subscriber *));
        count += place->count;
    }
    match->patterns = trie->gathered;
    return true;
}

bool trie_match(struct trie *trie, struct bytes destination, struct match *match) {
    struct pattern_nodes found;
    struct exact_place *exact = map_find(&trie->exact, destination);
    *match = (struct match){0};
    if (exact) {
        match->exact = place_subscribers(&exact->place);
        match->exact_count = exact->place.count;
    }
    if (pattern_tree_is_empty(&trie->patterns))
        return true;
    if (find_patterns(trie, destination, exact, &found) && gather(trie, found, match))
        return true;
    *match = (struct match){0};
    return false;
}

size_t trie_cached(const struct trie *trie) {
    return trie->idle_count;
}
