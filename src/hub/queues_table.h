/*
 * Private to hub/: the queues that this node has to do with at the moment: because it has consumers of them, or because
 * something that concerns them is on its way to the store. Each is counted by those who refer to it, and goes with the
 * last. What is consumed of it is consumers.c's business; the table only keeps it.
 */
#ifndef STOMPD_HUB_QUEUES_TABLE_H
#define STOMPD_HUB_QUEUES_TABLE_H

#include "stompd/base/list.h"
#include "stompd/base/map.h"
#include "stompd/route/policy.h"

struct queues_table {
    const struct policies *policies;
    /* The topic of a durable subscription's queue; NULL: nobody knows. */
    struct bytes (*topic_of)(const void *topics, struct bytes queue);
    const void *topics;
    struct map by_name;
};

struct queue {
    struct queues_table *table;
    const struct queue_policy *policy; /* of the policies that hold now */
    uint32_t refs;

    /* This node's consumers of it (consumers.c), each in one list. The first of a list is the next to get something. */
    struct list_node hungry; /* may get something */
    struct list_node
        choked; /* might, but too much is before them, or their session, that their sockets have not taken */
    struct list_node sated;   /* have all they may, or are closed */
    uint64_t credit;          /* how much the hungry may get */
    struct list_node in_list; /* consumers->to_take or ->waiting; in none without credit, or while it is taken from */
    uint64_t due_ms;          /* while it waits: when it is asked for again */
    bool taking;              /* a take is under way */
    bool readied;             /* meanwhile something was put */
    bool empty;               /* nothing was left at the last take, and no word since that anything is ready */
    bool alone;               /* the take that it was in was refused: the next is for it alone */

    uint32_t name_len;
    char name[];
};

static inline struct bytes queue_name(const struct queue *queue) {
    return (struct bytes){queue->name, queue->name_len};
}

/* Borrows the policies. */
void queues_table_init(struct queues_table *table, const struct policies *policies);
/* Frees all queues, whoever refers to them. */
void queues_table_free(struct queues_table *table);

/* Others hold from now on. */
void queues_table_set_policies(struct queues_table *table, const struct policies *policies);

/* NULL when it is not known. */
struct queue *queues_table_find(const struct queues_table *table, struct bytes name);

/* The policy of any queue; never NULL. */
const struct queue_policy *queues_table_policy(const struct queues_table *table, struct bytes name);

/* A reference to the queue, which is made known. NULL when out of memory. */
MUST_CHECK struct queue *queues_table_get(struct queues_table *table, struct bytes name);

/* One more reference, and one less. */
struct queue *queue_ref(struct queue *queue);
void queue_unref(struct queue *queue);

#endif
