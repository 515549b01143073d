/* Consumers: one block each, with the name of their queue. */
#include "stompd/session/consumer.h"

#include <stdlib.h>
#include <string.h>

struct consumer *consumer_new(struct subscription *subscription, uint64_t id, struct bytes queue, uint32_t prefetch) {
    struct consumer *consumer = calloc(1, sizeof *consumer + queue.len);
    if (!consumer)
        return NULL;
    consumer->id = id;
    consumer->subscription = subscription;
    consumer->prefetch = prefetch;
    consumer->queue_len = (uint32_t)queue.len;
    memcpy(consumer->queue, queue.data, queue.len);
    list_init(&consumer->deliveries);
    return consumer;
}

void consumer_free(struct consumer *consumer) {
    free(consumer);
}
