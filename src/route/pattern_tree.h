/*
 * The patterns of a trie as a tree: an edge is the kind, a segment's text, `*` or `**`. A node is there as long as a
 * pattern ends in it or beneath it. Used by trie.c only.
 */
#ifndef STOMPD_ROUTE_PATTERN_TREE_H
#define STOMPD_ROUTE_PATTERN_TREE_H

#include "pattern.h"
#include "place.h"
#include "stompd/base/map.h"

struct pattern_node {
    struct trie_place place; /* of the pattern that ends here */
    struct pattern_node *parent;
    struct pattern_node *one; /* behind `*` */
    struct pattern_node *any; /* behind `**` */
    struct map children;      /* behind a text */
    uint64_t entered;         /* the step of a walk that came here last */
    enum segment_kind kind;   /* of the edge to here */
    uint32_t text_len;
    char text[];
};

/* Some nodes; borrowed. */
struct pattern_nodes {
    struct pattern_node *const *nodes;
    size_t count;
};

/* Nodes that a walk has reached. */
struct node_set {
    struct pattern_node **nodes;
    size_t count;
    size_t capacity;
};

struct pattern_tree {
    struct pattern_node *root; /* NULL: no patterns */
    uint64_t steps;            /* of all walks */
    struct node_set sets[2];   /* a walk's; kept for the next one */
};

static inline bool pattern_tree_is_empty(const struct pattern_tree *tree) {
    return tree->root == NULL;
}

/* Frees what walks have left; the tree must be empty. */
void pattern_tree_free(struct pattern_tree *tree);

/* The node where the pattern ends, made where it is missing. NULL when out of memory. */
MUST_CHECK struct pattern_node *pattern_tree_reach(struct pattern_tree *tree, struct bytes pattern);

/* Frees the node, and those above it, as far as no pattern needs them. */
void pattern_tree_prune(struct pattern_tree *tree, struct pattern_node *node);

/*
 * The nodes of all patterns that reach the destination, each once; valid until the next call. False when out of
 * memory. It goes through the segments with the set of nodes reached so far, so at most (segments) × (nodes) steps,
 * whatever the patterns are.
 */
MUST_CHECK bool pattern_tree_walk(struct pattern_tree *tree, struct bytes destination, struct pattern_nodes *found);

#endif
