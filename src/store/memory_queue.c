/* One queue in memory: the order of what is ready, the map of what is owned, and the sums of both. */
#include "memory_queue.h"

#include <stdlib.h>

/* ---- names ---- */

struct memory_queue_name *memory_queue_name_new(struct bytes text) {
    struct memory_queue_name *name = malloc(sizeof *name + text.len);
    if (!name)
        return NULL;
    name->refs = 1;
    name->len = text.len;
    if (text.len > 0)
        memcpy(name->text, text.data, text.len);
    return name;
}

struct memory_queue_name *memory_queue_name_ref(struct memory_queue_name *name) {
    name->refs++;
    return name;
}

void memory_queue_name_unref(struct memory_queue_name *name) {
    if (name && --name->refs == 0)
        free(name);
}

/* ---- the heap of what was returned ---- */

static bool is_older(const struct stored *one, const struct stored *other) {
    return one->entry.n < other->entry.n;
}

/* Two heaps become one. Either may be NULL. */
static struct stored *meld(struct stored *one, struct stored *other) {
    if (!one || !other)
        return one ? one : other;
    struct stored *root = is_older(one, other) ? one : other;
    struct stored *child = root == one ? other : one;
    child->at.heap.prev = root;
    child->at.heap.next = root->at.heap.child;
    if (root->at.heap.child)
        root->at.heap.child->at.heap.prev = child;
    root->at.heap.child = child;
    return root;
}

static struct stored *cut_sibling(struct stored *stored) {
    struct stored *next = stored->at.heap.next;
    stored->at.heap.next = NULL;
    stored->at.heap.prev = NULL;
    return next;
}

/* A row of siblings becomes one heap: by pairs from the first to the last, then those from the last to the first. */
static struct stored *meld_siblings(struct stored *first) {
    struct stored *pairs = NULL, *root = NULL;
    while (first) {
        struct stored *one = first, *other = cut_sibling(one);
        first = other ? cut_sibling(other) : NULL;
        struct stored *pair = meld(one, other);
        pair->at.heap.next = pairs;
        pairs = pair;
    }
    while (pairs) {
        struct stored *pair = pairs;
        pairs = cut_sibling(pair);
        root = meld(root, pair);
    }
    return root;
}

static void heap_add(struct stored **root, struct stored *stored) {
    stored->at.heap = (struct stored_heap){0};
    *root = meld(*root, stored);
}

static void heap_remove(struct stored **root, struct stored *stored) {
    struct stored_heap *at = &stored->at.heap;
    struct stored *below = meld_siblings(at->child);
    if (stored == *root) {
        *root = below;
        return;
    }
    if (at->prev->at.heap.child == stored)
        at->prev->at.heap.child = at->next;
    else
        at->prev->at.heap.next = at->next;
    if (at->next)
        at->next->at.heap.prev = at->prev;
    *root = meld(*root, below);
}

/* ---- what is stored ---- */

struct stored *stored_new(struct memory_queue *queue, struct message *message, struct entry entry,
                          struct memory_queue_name *from) {
    struct stored *stored = calloc(1, sizeof *stored);
    if (!stored)
        return NULL;
    stored->queue = queue;
    stored->message = message_ref(message);
    stored->entry = entry;
    stored->from = from ? memory_queue_name_ref(from) : NULL;
    return stored;
}

void stored_free(struct stored *stored) {
    message_unref(stored->message);
    memory_queue_name_unref(stored->from);
    free(stored);
}

static void leave(struct stored *stored) {
    struct memory_queue *queue = stored->queue;
    if (stored->place == STORED_FRESH) {
        list_remove(&stored->at.node);
    } else if (stored->place == STORED_RETURNED) {
        heap_remove(&queue->returned, stored);
    } else if (stored->place == STORED_OWNED) {
        queue->owned_count--;
        queue->owned_bytes -= stored->entry.size;
    }
    if (stored->place != STORED_NOWHERE) {
        queue->count--;
        queue->bytes -= stored->entry.size;
    }
}

void stored_move(struct stored *stored, enum stored_place place) {
    struct memory_queue *queue = stored->queue;
    leave(stored);
    stored->place = place;
    if (place == STORED_NOWHERE)
        return;
    queue->count++;
    queue->bytes += stored->entry.size;
    if (place == STORED_FRESH) {
        list_append(&queue->fresh, &stored->at.node);
    } else if (place == STORED_RETURNED) {
        heap_add(&queue->returned, stored);
    } else {
        queue->owned_count++;
        queue->owned_bytes += stored->entry.size;
    }
}

/* Entries are told apart by their first two members. */
static struct bytes entry_key(const struct entry *entry) {
    return (struct bytes){(const char *)entry, offsetof(struct entry, size)};
}

static struct bytes stored_key(const void *stored) {
    return entry_key(&((const struct stored *)stored)->entry);
}

bool stored_own(struct stored *stored) {
    if (!map_insert(&stored->queue->owned, stored))
        return false;
    stored_move(stored, STORED_OWNED);
    return true;
}

void stored_disown(struct stored *stored) {
    (void)map_remove(&stored->queue->owned, stored_key(stored));
}

bool stored_is_ready(const struct stored *stored) {
    return stored->place == STORED_FRESH || stored->place == STORED_RETURNED;
}

/* ---- the queue ---- */

struct memory_queue *memory_queue_new(struct bytes name) {
    struct memory_queue *queue = calloc(1, sizeof *queue);
    if (!queue)
        return NULL;
    queue->name = memory_queue_name_new(name);
    if (!queue->name) {
        free(queue);
        return NULL;
    }
    list_init(&queue->in_store);
    list_init(&queue->word.node);
    queue->word.is_word = true;
    list_init(&queue->fresh);
    map_init(&queue->owned, stored_key);
    return queue;
}

static void release(struct stored *stored) {
    stored_move(stored, STORED_NOWHERE);
    stored_free(stored);
}

void memory_queue_free(struct memory_queue *queue) {
    struct stored *stored;
    size_t cursor = 0;
    while ((stored = map_next(&queue->owned, &cursor)) != NULL)
        release(stored);
    while (queue->returned)
        stored_move(queue->returned, STORED_FRESH);
    LIST_FOR_EACH (node, &queue->fresh)
        release(CONTAINER_OF(node, struct stored, at.node));
    map_free(&queue->owned);
    memory_queue_name_unref(queue->name);
    free(queue);
}

struct stored *memory_queue_oldest(const struct memory_queue *queue) {
    if (queue->returned)
        return queue->returned;
    return list_is_empty(&queue->fresh) ? NULL : CONTAINER_OF(queue->fresh.next, struct stored, at.node);
}

struct stored *memory_queue_find_owned(const struct memory_queue *queue, const struct entry *entry) {
    struct stored *stored = map_find(&queue->owned, entry_key(entry));
    return stored && stored->place == STORED_OWNED ? stored : NULL;
}
