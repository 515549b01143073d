/* Counts who refers to which queue; see queues_table.h. */
#include "queues_table.h"

#include <stdlib.h>

#include "stompd/route/queue_name.h"

static struct bytes queue_key(const void *entry) {
    return queue_name(entry);
}

void queues_table_init(struct queues_table *table, const struct policies *policies) {
    *table = (struct queues_table){.policies = policies};
    map_init(&table->by_name, queue_key);
}

void queues_table_free(struct queues_table *table) {
    size_t cursor = 0;
    struct queue *queue;
    while ((queue = map_next(&table->by_name, &cursor)) != NULL)
        free(queue);
    map_free(&table->by_name);
}

const struct queue_policy *queues_table_policy(const struct queues_table *table, struct bytes name) {
    bool durable = table->topic_of && queue_name_is_durable(name);
    struct bytes topic = durable ? table->topic_of(table->topics, name) : BYTES("");
    if (topic.len > 0)
        return &policies_find(table->policies, topic)->queue;
    return &policies_of_queue(table->policies, name)->queue;
}

void queues_table_set_policies(struct queues_table *table, const struct policies *policies) {
    size_t cursor = 0;
    struct queue *queue;
    table->policies = policies;
    while ((queue = map_next(&table->by_name, &cursor)) != NULL)
        queue->policy = queues_table_policy(table, queue_name(queue));
}

struct queue *queues_table_find(const struct queues_table *table, struct bytes name) {
    return map_find(&table->by_name, name);
}

static struct queue *queue_new(struct queues_table *table, struct bytes name) {
    struct queue *queue = calloc(1, sizeof *queue + name.len);
    if (!queue)
        return NULL;
    queue->table = table;
    queue->policy = queues_table_policy(table, name);
    list_init(&queue->hungry);
    list_init(&queue->choked);
    list_init(&queue->sated);
    list_init(&queue->in_list);
    queue->name_len = (uint32_t)name.len;
    memcpy(queue->name, name.data, name.len);
    if (map_insert(&table->by_name, queue))
        return queue;
    free(queue);
    return NULL;
}

struct queue *queues_table_get(struct queues_table *table, struct bytes name) {
    struct queue *queue = map_find(&table->by_name, name);
    if (!queue && !(queue = queue_new(table, name)))
        return NULL;
    return queue_ref(queue);
}

struct queue *queue_ref(struct queue *queue) {
    queue->refs++;
    return queue;
}

void queue_unref(struct queue *queue) {
    if (--queue->refs > 0)
        return;
    list_remove(&queue->in_list);
    map_remove(&queue->table->by_name, queue_name(queue));
    free(queue);
}
