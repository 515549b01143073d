/*
 * Private to hub/: publications on their way to other nodes, and those of other nodes on their way in.
 *
 * Out: each gets the next sequence number when it is queued, and stays in the queue until the store has answered for
 * it; after a broken link all that is left is sent again under the same numbers. The worker that it came from is given
 * credit when it is answered, or at once while the store is away: then the queue is bounded by `buffer`, and what does
 * not fit is dropped and counted.
 *
 * In: what this boot sent itself, and what is not newer than the last of its origin, is dropped: that removes echoes,
 * copies by overlapping globs, and resends. (DESIGN.md, "Between nodes".)
 */
#ifndef STOMPD_HUB_FANOUT_H
#define STOMPD_HUB_FANOUT_H

#include "stompd/base/list.h"
#include "stompd/base/map.h"
#include "stompd/base/message.h"
#include "stompd/store/payload.h"
#include "stompd/store/store.h"

/*
 * Bytes that may be sent and not answered; more wait. Small, since Redis takes in faster than it writes out: what all
 * nodes have under way comes to lie in its buffers for subscribers, and who has too much there is cut.
 */
#define FANOUT_WINDOW (128u << 10)

/* So many origins are remembered; then the one that has been silent for longest is forgotten for a new one. */
#define FANOUT_ORIGINS_MAX 4096

struct fanout_counters {
    uint64_t sent;     /* publications that the store has taken */
    uint64_t resent;   /* of these, more than once */
    uint64_t dropped;  /* publications that did not fit `buffer`, or that the store refused */
    uint64_t received; /* publications of other nodes that were new here */
    uint64_t repeated; /* that were not: echoes, overlaps, resends */
    uint64_t foreign;  /* payloads that are none of ours */
};

struct fanout {
    struct store *store;
    struct bytes boot;
    void (*credit)(void *arg, unsigned worker, uint64_t bytes);
    void *arg;
    struct list_node waiting;   /* publications to be sent: struct outgoing, oldest first */
    struct list_node under_way; /* sent and not answered, words to nodes too */
    uint64_t queued_bytes;      /* of all publications in both */
    uint64_t window_bytes;      /* of those under way */
    uint64_t buffer;            /* the conf's bound while the store is away */
    uint64_t sequence;          /* the last given out */
    bool open;                  /* may send */
    bool dropping;              /* already told in the log; until it may send again */
    struct map origins;         /* struct origin by boot */
    struct buffer name;         /* scratch */
    struct buffer payload;      /* scratch */
    struct fanout_counters counters;
};

/* Borrows store and boot. `credit`: a worker's publication is worked off. */
void fanout_init(struct fanout *fanout, struct store *store, struct bytes boot, uint64_t buffer,
                 void (*credit)(void *arg, unsigned worker, uint64_t bytes), void *arg);
void fanout_free(struct fanout *fanout);

/* Takes over the reference. `cost`: what the worker counts it by. */
void fanout_publish(struct fanout *fanout, struct message *message, unsigned worker, uint64_t cost);

/* Word to a node: PAYLOAD_ASK, PAYLOAD_BACK or PAYLOAD_PROBE. Goes at once, ahead of what waits, and only once. */
void fanout_tell(struct fanout *fanout, enum payload_type word, struct bytes node);

/* From now on may send (what waits goes first), or may not; what was under way is to be sent again. */
void fanout_open(struct fanout *fanout);
void fanout_close(struct fanout *fanout);

/* The store's event. */
void fanout_published(struct fanout *fanout, bool taken);

/* Nothing is left to be sent or to be answered. */
bool fanout_is_empty(const struct fanout *fanout);

/* Whether what was received is to be delivered. Else it is counted as repeated. */
MUST_CHECK bool fanout_is_new(struct fanout *fanout, const struct payload_origin *from);

/* It was good, and so is the last of its origin. */
void fanout_note(struct fanout *fanout, const struct payload_origin *from, uint64_t now_ms);

#endif
