/*
 * Private to store/: commands as Redis reads them, an array of counted strings. Written into a buffer that is used
 * again for each, so that a publication costs no allocation. An error sticks, so that only the end need be checked.
 */
#ifndef STORE_REDIS_COMMAND_H
#define STORE_REDIS_COMMAND_H

#include <stdint.h>

#include "stompd/base/buffer.h"

struct redis_command {
    struct buffer bytes;
    bool failed; /* out of memory since redis_command_begin() */
};

/* A new command, in place of the last. As many arguments have to follow; the command's name is the first. */
void redis_command_begin(struct redis_command *command, size_t arguments);

void redis_command_add(struct redis_command *command, struct bytes argument);

/* One argument that is made of two parts. */
void redis_command_add_joined(struct redis_command *command, struct bytes front, struct bytes back);

void redis_command_add_number(struct redis_command *command, uint64_t number);

void redis_command_free(struct redis_command *command);

#endif
