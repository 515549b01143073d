/*
 * A real redis-server for tests: a child process on a unix socket in a folder of its own, gone with the test. And a loop
 * that the stores under test live on.
 */
#ifndef STORE_REDIS_SERVER_H
#define STORE_REDIS_SERVER_H

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "stompd/store/redis_store.h"

struct redis_process {
    pid_t pid; /* 0: not running */
    char folder[64];
    char socket[96];
};

/* Makes the folder. */
void redis_process_init(struct redis_process *process);

/* Starts the server and returns when it serves. `options`: further ones, ended by NULL; NULL: none. */
void redis_process_start(struct redis_process *process, const char *const *options);

/* Ends it at once, as kill -9 does. Nothing happens when it does not run. */
void redis_process_kill(struct redis_process *process);

/* Ends it, and removes the folder. */
void redis_process_free(struct redis_process *process);

/*
 * Says a command to the server, its arguments ended by NULL, on a connection of its own. Returns the answer as text,
 * borrowed until the next.
 */
const char *redis_process_say(const struct redis_process *process, ...) __attribute__((sentinel));

/* A port on 127.0.0.1 that nobody listens on. */
uint16_t free_port(void);

/* Turns the loop until `reached`, for 20 s at most. */
bool turn_until(struct event_base *base, bool (*reached)(void *arg), void *arg);

/* Turns the loop as often, without waiting. */
void turn(struct event_base *base, unsigned times);

#endif
