/* Private to store/: looking a host's name up without waiting for the name server. */
#ifndef STORE_REDIS_LOOKUP_H
#define STORE_REDIS_LOOKUP_H

#include <stdbool.h>
#include <stddef.h>

#include "stompd/base/compiler.h"

#define REDIS_LOOKUP_HOST 64 /* the longest number of a host, with its end */
#define REDIS_LOOKUP_MAX  8  /* numbers of one name that are told of */

struct event_base;
struct redis_lookup;

/* Once, from the loop. Numbers of IPv4 and IPv6; count 0: there are none, `why` says it. */
typedef void (*redis_lookup_done)(void *arg, const char *const *hosts, size_t count, const char *why);

/* Reads resolv.conf and hosts anew. It is gone when `done` returns. NULL: out of memory. */
MUST_CHECK struct redis_lookup *redis_lookup_new(struct event_base *base, const char *name, redis_lookup_done done,
                                                 void *arg);

/* `done` is not called any more. It is gone at once. Not from within `done`. */
void redis_lookup_cancel(struct redis_lookup *lookup);

#endif
