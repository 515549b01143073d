/*
 * The store in Redis 6.2 or later, or Valkey, on hiredis. A link is two connections to one server, one that publishes
 * and calls scripts, one that is subscribed; when either breaks, both are made anew, with exponential back-off and
 * jitter. Keys and channels: DESIGN.md, "Redis". Clean-up, registry and queues are Lua scripts (lua/), each atomic.
 *
 * What is wrong with the server is logged once, with what to do: a wrong password, a read-only replica, a server that
 * is too old, that is loading, or that has no memory left. None of it ends the process.
 */
#ifndef STOMPD_STORE_REDIS_STORE_H
#define STOMPD_STORE_REDIS_STORE_H

#include "stompd/store/queue_store.h"
#include "stompd/store/redis_address.h"
#include "stompd/store/store.h"

struct event_base;

/* A call or publication that the server does not answer within this time breaks the link. */
#define REDIS_REPLY_MS 5000
/* From the first attempt to connect to a server that is ready to serve. */
#define REDIS_CONNECT_MS 5000
/* Between attempts: doubled each time, with up to half of it taken off at random. */
#define REDIS_RETRY_MIN_MS 100
#define REDIS_RETRY_MAX_MS 5000

/* For tests, which can't wait that long. */
struct redis_times {
    uint32_t reply_ms;
    uint32_t connect_ms;
    uint32_t retry_min_ms;
    uint32_t retry_max_ms;
};

/* What it points at is borrowed, and to outlive the store. */
struct redis_conf {
    const struct redis_address *address;
    const char *prefix;          /* of all keys and channels; may be empty */
    const char *registry_prefix; /* of the sets of a user's sessions; NULL: "<prefix>user:" */
    const char *node;
    const char *boot;                /* "<node>:<boot id>" */
    const struct redis_times *times; /* NULL: those above */
};

/* What operators want to know of the link. */
struct redis_status {
    bool up;
    uint64_t ups;      /* how often a link came to be */
    uint64_t failures; /* attempts and links that broke */
    uint64_t waiting;  /* calls and publications without an answer */
    uint64_t refused;  /* answers that were errors */
    char version[32];  /* of the server, as it names it; empty: not known yet */
    char trouble[256]; /* why it is not up; empty when it is */
};

/* Begins to connect. Borrows base, events and arg, and copies conf. NULL when out of memory. */
MUST_CHECK struct store *redis_store_new(struct event_base *base, const struct redis_conf *conf,
                                         const struct store_events *events, void *arg);

/*
 * The queues of that Redis, over the same link; at most once a store. Owned by the store and freed with it: their free()
 * only ends answers and events. `owners`: slots of the messages that are taken (base/message.h). Their `ready` is told
 * of what this node puts or gives back; where another node does, its word comes by this node's channel
 * (payload_read_ready()). A call for which there is no memory breaks the link. NULL when out of memory.
 */
MUST_CHECK struct queue_store *redis_store_queues(struct store *store, unsigned owners,
                                                  const struct queue_events *events, void *arg);

/* Of a store that redis_store_new() made. */
void redis_store_status(const struct store *store, struct redis_status *status);

#endif
