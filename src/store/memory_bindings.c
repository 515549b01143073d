/* Bindings in memory: a map, and a number that counts its changes. */
#include "memory_bindings.h"

#include <stdlib.h>

struct memory_binding {
    size_t queue_len;
    size_t topic_len;
    char text[]; /* the queue's name, the topic */
};

static struct bytes queue_of(const void *entry) {
    const struct memory_binding *binding = entry;
    return (struct bytes){binding->text, binding->queue_len};
}

static struct bytes topic_of(const struct memory_binding *binding) {
    return (struct bytes){binding->text + binding->queue_len, binding->topic_len};
}

void memory_bindings_init(struct memory_bindings *bindings) {
    *bindings = (struct memory_bindings){0};
    map_init(&bindings->by_queue, queue_of);
}

void memory_bindings_free(struct memory_bindings *bindings) {
    size_t cursor = 0;
    struct memory_binding *binding;
    while ((binding = map_next(&bindings->by_queue, &cursor)) != NULL)
        free(binding);
    map_free(&bindings->by_queue);
    free(bindings->list);
}

uint64_t memory_bindings_cost(struct bytes queue, struct bytes topic) {
    return sizeof(struct memory_binding) + 2 * sizeof(struct map_slot) + queue.len + topic.len;
}

struct bytes memory_bindings_topic(const struct memory_bindings *bindings, struct bytes queue) {
    const struct memory_binding *binding = map_find(&bindings->by_queue, queue);
    return binding ? topic_of(binding) : BYTES("");
}

bool memory_bindings_add(struct memory_bindings *bindings, struct bytes queue, struct bytes topic) {
    struct memory_binding *binding = malloc(sizeof *binding + queue.len + topic.len);
    if (!binding)
        return false;
    binding->queue_len = queue.len;
    binding->topic_len = topic.len;
    memcpy(binding->text, queue.data, queue.len);
    memcpy(binding->text + queue.len, topic.data, topic.len);
    if (!map_insert(&bindings->by_queue, binding)) {
        free(binding);
        return false;
    }
    bindings->version++;
    return true;
}

void memory_bindings_remove(struct memory_bindings *bindings, struct bytes queue) {
    free(map_remove(&bindings->by_queue, queue));
    bindings->version++;
}

void memory_bindings_tell(const struct memory_bindings *bindings, struct queue_answer *answer) {
    answer->life = bindings->version > 0;
    answer->version = bindings->version;
    answer->everywhere = bindings->acting;
}

static bool reserve(struct memory_bindings *bindings) {
    size_t count = bindings->by_queue.count;
    if (count <= bindings->capacity)
        return true;
    struct queue_binding *list = realloc(bindings->list, 2 * count * sizeof *list);
    if (!list)
        return false;
    bindings->list = list;
    bindings->capacity = 2 * count;
    return true;
}

bool memory_bindings_list(struct memory_bindings *bindings, struct queue_answer *answer) {
    size_t cursor = 0;
    const struct memory_binding *binding;
    if (bindings->acting == bindings->version)
        return true;
    if (!reserve(bindings))
        return false;
    while ((binding = map_next(&bindings->by_queue, &cursor)) != NULL)
        bindings->list[answer->binding_count++] = (struct queue_binding){queue_of(binding), topic_of(binding)};
    answer->bindings = bindings->list;
    answer->complete = true;
    return true;
}
