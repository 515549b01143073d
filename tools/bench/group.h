/* Clients of one role, opened and ended together. */
#ifndef BENCH_GROUP_H
#define BENCH_GROUP_H

#include "bench/client.h"

/* Clients that are the first member of larger structs, in an array. */
struct group {
    void *first;
    size_t stride;
    unsigned count;
};

struct client *group_client(const struct group *group, unsigned n);

/* What all have in common; targets are taken in turn. */
void group_init(const struct group *group, struct loop *loop, const struct client_handler *handler, const char *role,
                void *owner);

/* Opens all, --at-a-time of them, and waits until each is_ready. Fails after --timeout. */
void group_open(const struct group *group);

/* Waits until each is_ready; began_ns is when each of them began. Fails after --timeout. */
void group_wait(const struct group *group);

/* All leave, or are dropped after some seconds. Their handlers are told. */
void group_leave(const struct group *group);

#endif
