/*
 * Private to store/: the queues in Redis: the calls of queue_store.h as calls of the link's, with their scripts
 * (lua/change.lua, lua/take.lua, lua/recover.lua, lua/bindings.lua). What Redis keeps of a queue: lua/queue.lua.
 */
#ifndef STORE_REDIS_QUEUES_H
#define STORE_REDIS_QUEUES_H

#include "redis_calls.h"
#include "stompd/store/queue_store.h"

struct redis_queues;

struct redis_queues_conf {
    const struct redis_conf *redis;
    struct bytes ready_word; /* of PAYLOAD_READY, without a queue's name */
    unsigned owners;         /* slots of the messages that are taken */
};

/* Borrows all. NULL when out of memory. */
MUST_CHECK struct redis_queues *redis_queues_new(struct redis_calls *calls, const struct redis_queues_conf *conf,
                                                 const struct queue_events *events, void *arg);
/* Tells nothing. NULL is allowed. The calls must be gone. */
void redis_queues_free(struct redis_queues *queues);

struct queue_store *redis_queues_store(struct redis_queues *queues);

/* The link is down, and all calls have been told: so are those now that could not be made. */
void redis_queues_down(struct redis_queues *queues);

#endif
