/*
 * Private to store/: calls of the queue store as commands, which run lua/change.lua, lua/take.lua and lua/recover.lua.
 * Of each queue that a change has to do with, name and policy are said once; operations name it by its place.
 */
#ifndef STORE_REDIS_QUEUE_COMMAND_H
#define STORE_REDIS_QUEUE_COMMAND_H

#include "redis_command.h"
#include "stompd/store/queue_store.h"
#include "stompd/store/redis_store.h"

/* A queue of a change, and which entries of it the change has to do with. */
struct redis_queue_row {
    struct bytes queue;
    const struct queue_policy *policy;
    size_t entries;
    struct entry first;
    struct entry last;
};

struct redis_queue_writer {
    const struct redis_conf *conf;
    struct bytes ready_word;      /* of PAYLOAD_READY, without a queue's name */
    struct redis_command command; /* the last that was written */
    struct buffer text;           /* scratch, as are these: */
    struct redis_queue_row *rows;
    size_t row_count;
    size_t row_capacity;
};

/* In place of the last command. Out of memory it has failed. Number 0: a call that may be carried out twice. */
void redis_queue_write_changes(struct redis_queue_writer *writer, const struct queue_change *changes, size_t count,
                               uint64_t number, uint64_t answered);
void redis_queue_write_take(struct redis_queue_writer *writer, const struct queue_want *wants, size_t count,
                            uint64_t number, uint64_t answered);
void redis_queue_write_recovery(struct redis_queue_writer *writer);

void redis_queue_writer_free(struct redis_queue_writer *writer);

#endif
