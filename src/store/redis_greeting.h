/*
 * Private to store/: what a new connection says first (who we are, which database, the scripts), and whether the server
 * that answers will do: Redis 6.2 or later or Valkey, a master, alone, done with loading.
 */
#ifndef STORE_REDIS_GREETING_H
#define STORE_REDIS_GREETING_H

#include "redis_connection.h"
#include "stompd/store/redis_store.h"

/* What the server says of itself. */
struct redis_server {
    char version[32];
    char run_id[64];
    char eviction[24]; /* the policy by which it may throw our keys away; empty: it does not */
};

/* Sends it all at once. A subscriber also tries out whether it may subscribe; else the scripts are loaded. */
void redis_greeting_send(struct redis_connection *connection, struct redis_command *scratch,
                         const struct redis_conf *conf);

/* Loads the scripts; each is answered by itself, with `what`. */
void redis_greeting_load_scripts(struct redis_connection *connection, struct redis_command *scratch, void *what);

/* Takes the answer to one of the commands, which `what` came with. False: the server will not do, *why says it. */
MUST_CHECK bool redis_greeting_take(void *what, const redisReply *reply, struct redis_server *server, char *why,
                                    size_t size);

/* The prefix as a part of a glob that stands for itself. False: out of memory. */
MUST_CHECK bool redis_glob_of_prefix(struct buffer *glob, const char *prefix);

#endif
