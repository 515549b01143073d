/*
 * Private to store/: the calls of the queue store that are about bindings, as commands that run lua/bindings.lua, and
 * their replies. Others may have written into the hash of bindings: what is no binding there is passed over.
 */
#ifndef STORE_REDIS_BINDINGS_H
#define STORE_REDIS_BINDINGS_H

#include "redis_queue_answer.h"
#include "redis_queue_command.h"

/* As redis_queue_write_changes(). */
void redis_bindings_write_bind(struct redis_queue_writer *writer, struct bytes queue, struct bytes topic);
void redis_bindings_write_unbind(struct redis_queue_writer *writer, struct bytes queue);
void redis_bindings_write_look(struct redis_queue_writer *writer, uint64_t version);

/* As redis_queue_answer_changes(), for the reply to any of the three. */
MUST_CHECK bool redis_bindings_answer(const redisReply *reply, struct redis_queue_answer *answer);

#endif
