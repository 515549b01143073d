/* The tree of patterns: grown and pruned as patterns come and go, walked to find those that reach a destination. */
#include "pattern_tree.h"

#include <stdlib.h>

static struct bytes node_text(const void *entry) {
    const struct pattern_node *node = entry;
    return (struct bytes){node->text, node->text_len};
}

static struct pattern_node *node_new(struct pattern_node *parent, enum segment_kind kind, struct bytes text) {
    struct pattern_node *node = calloc(1, sizeof *node + text.len);
    if (!node)
        return NULL;
    node->place.is_pattern = true;
    node->parent = parent;
    node->kind = kind;
    map_init(&node->children, node_text);
    node->text_len = (uint32_t)text.len;
    if (text.len > 0)
        memcpy(node->text, text.data, text.len);
    return node;
}

void pattern_tree_free(struct pattern_tree *tree) {
    free(tree->sets[0].nodes);
    free(tree->sets[1].nodes);
}

/* ---- growing and pruning ---- */

static struct pattern_node *child_of_text(const struct pattern_node *node, struct bytes text) {
    return node->children.count > 0 ? map_find(&node->children, text) : NULL;
}

static struct pattern_node *child_of(const struct pattern_node *node, enum segment_kind kind, struct bytes text) {
    if (kind == SEGMENT_TEXT)
        return child_of_text(node, text);
    return kind == SEGMENT_ONE ? node->one : node->any;
}

static struct pattern_node *child_new(struct pattern_node *parent, enum segment_kind kind, struct bytes text) {
    struct pattern_node *node = node_new(parent, kind, kind == SEGMENT_TEXT ? text : (struct bytes){NULL, 0});
    if (!node)
        return NULL;
    if (kind == SEGMENT_ONE)
        parent->one = node;
    if (kind == SEGMENT_ANY)
        parent->any = node;
    if (kind == SEGMENT_TEXT && !map_insert(&parent->children, node)) {
        free(node);
        return NULL;
    }
    return node;
}

/* One edge down. Out of memory, nothing is left behind of a pattern that nobody could subscribe to. */
static struct pattern_node *descend(struct pattern_tree *tree, struct pattern_node *node, enum segment_kind kind,
                                    struct bytes text) {
    struct pattern_node *child = child_of(node, kind, text);
    if (!child)
        child = child_new(node, kind, text);
    if (!child)
        pattern_tree_prune(tree, node);
    return child;
}

struct pattern_node *pattern_tree_reach(struct pattern_tree *tree, struct bytes pattern) {
    struct bytes head, segment;
    struct segments segments = pattern_split(pattern, &head);
    if (!tree->root)
        tree->root = node_new(NULL, SEGMENT_TEXT, (struct bytes){NULL, 0});
    struct pattern_node *node = tree->root ? descend(tree, tree->root, SEGMENT_TEXT, head) : NULL;
    while (node && segments_next(&segments, &segment))
        node = descend(tree, node, segment_kind(segment, &segments), segment);
    return node;
}

static bool is_needed(const struct pattern_node *node) {
    return node->place.count > 0 || node->children.count > 0 || node->one || node->any;
}

static void detach(struct pattern_tree *tree, struct pattern_node *node) {
    struct pattern_node *parent = node->parent;
    if (!parent)
        tree->root = NULL;
    else if (node->kind == SEGMENT_ONE)
        parent->one = NULL;
    else if (node->kind == SEGMENT_ANY)
        parent->any = NULL;
    else
        map_remove(&parent->children, node_text(node));
}

void pattern_tree_prune(struct pattern_tree *tree, struct pattern_node *node) {
    while (node && !is_needed(node)) {
        struct pattern_node *parent = node->parent;
        detach(tree, node);
        map_free(&node->children);
        free(node);
        node = parent;
    }
}

/* ---- walking ---- */

static bool set_add(struct node_set *set, struct pattern_node *node) {
    if (set->count == set->capacity) {
        size_t capacity = set->capacity > 0 ? 2 * set->capacity : 16;
        struct pattern_node **nodes = realloc(set->nodes, capacity * sizeof(struct pattern_node *));
        if (!nodes)
            return false;
        set->nodes = nodes;
        set->capacity = capacity;
    }
    set->nodes[set->count++] = node;
    return true;
}

/* Adds a node and what lies behind a `**` that takes no segment, unless this step has been there. */
static bool enter(const struct pattern_tree *tree, struct node_set *set, struct pattern_node *node) {
    for (; node && node->entered != tree->steps; node = node->any) {
        node->entered = tree->steps;
        if (!set_add(set, node))
            return false;
    }
    return true;
}

/* From a node over one segment of the destination. */
static bool step(const struct pattern_tree *tree, struct pattern_node *node, struct bytes segment,
                 struct node_set *next) {
    if (node->kind == SEGMENT_ANY && !enter(tree, next, node))
        return false;
    return enter(tree, next, child_of_text(node, segment)) && enter(tree, next, node->one);
}

static bool step_all(struct pattern_tree *tree, const struct node_set *now, struct bytes segment,
                     struct node_set *next) {
    tree->steps++;
    next->count = 0;
    for (size_t n = 0; n < now->count; n++)
        if (!step(tree, now->nodes[n], segment, next))
            return false;
    return true;
}

static void keep_those_with_subscribers(struct node_set *set) {
    size_t kept = 0;
    for (size_t n = 0; n < set->count; n++)
        if (set->nodes[n]->place.count > 0)
            set->nodes[kept++] = set->nodes[n];
    set->count = kept;
}

bool pattern_tree_walk(struct pattern_tree *tree, struct bytes destination, struct pattern_nodes *found) {
    struct node_set *now = &tree->sets[0], *next = &tree->sets[1];
    struct bytes head, segment;
    struct segments segments = pattern_split(destination, &head);
    tree->steps++;
    now->count = 0;
    if (tree->root && !enter(tree, now, child_of_text(tree->root, head)))
        return false;
    while (now->count > 0 && segments_next(&segments, &segment)) {
        if (!step_all(tree, now, segment, next))
            return false;
        struct node_set *done = now;
        now = next;
        next = done;
    }
    keep_those_with_subscribers(now);
    *found = (struct pattern_nodes){now->nodes, now->count};
    return true;
}
