/*
 * Intrusive doubly linked list, circular with the head as sentinel. The element embeds a list_node; the list owns
 * nothing. A node that is in no list points at itself, so list_remove() is always safe on an initialised node.
 */
#ifndef STOMPD_BASE_LIST_H
#define STOMPD_BASE_LIST_H

#include <stdbool.h>

#include "stompd/base/compiler.h"

struct list_node {
    struct list_node *next;
    struct list_node *prev;
};

/* An empty list, or a node in no list. */
static inline void list_init(struct list_node *node) {
    node->next = node->prev = node;
}

static inline bool list_is_empty(const struct list_node *head) {
    return head->next == head;
}

/* True while the node is in a list. */
static inline bool list_is_linked(const struct list_node *node) {
    return node->next != node;
}

/* Puts a node that is in no list at the end. */
static inline void list_append(struct list_node *head, struct list_node *node) {
    node->prev = head->prev;
    node->next = head;
    head->prev->next = node;
    head->prev = node;
}

static inline void list_remove(struct list_node *node) {
    node->prev->next = node->next;
    node->next->prev = node->prev;
    list_init(node);
}

/* Takes the first node out, or NULL when the list is empty. */
static inline struct list_node *list_take_first(struct list_node *head) {
    if (list_is_empty(head))
        return NULL;
    struct list_node *node = head->next;
    list_remove(node);
    return node;
}

/* Walks the list; `node` may be removed (and freed) within the body, other nodes may not. */
/* NOLINTBEGIN(bugprone-macro-parentheses): a name that is declared cannot be in parentheses. */
#define LIST_FOR_EACH(node, head)                                                                                      \
    for (struct list_node *node = (head)->next, *next_of_##node = node->next; node != (head);                          \
         node = next_of_##node, next_of_##node = node->next)
/* NOLINTEND(bugprone-macro-parentheses) */

#endif
