/*
 * Private to hub/: the node's part in the cluster. It is one more peer of every worker and stands for all other nodes:
 * it takes their publications and interest by mail, and gives them what other nodes publish. Beneath it are membership
 * (who is alive), registry (who is online), channels (what we hear) and fanout (what we say); this file's part is their
 * order:
 *
 *     link up   -> all channels asked for, own channel last -> interest is in place: confirm, tell the others (BACK)
 *               -> ask the others whether theirs is (ASK), until all have said so, or for 2 s -> publish what waits
 *     link down -> workers are told, publishers no longer wait, publications are buffered
 *
 * An idle link is probed by a publication to the node's own channel. Pure: it knows the store and mailboxes, no loop;
 * time is an argument. One owner, the hub; the simulator (tests/hub) runs several in one process.
 */
#ifndef STOMPD_HUB_CLUSTER_H
#define STOMPD_HUB_CLUSTER_H

#include "channels.h"
#include "fanout.h"
#include "membership.h"
#include "registry.h"

/* After the link is back: how long the other nodes' interest is waited for, and how often they are asked. */
#define CLUSTER_GATHER_MS 2000
#define CLUSTER_ASK_MS    100

/* A worker that has this much of what other nodes published before it gets no more until it has worked some off. */
#define CLUSTER_INBOUND_MAX (64u << 20)

struct cluster;

struct cluster_conf {
    const char *node;
    const char *boot; /* "<node>:<boot id>" */
    unsigned workers;
    struct mailbox *const *mailboxes; /* [workers] */
    struct store *store;
    struct registry *registry;
    uint32_t node_timeout_ms;
    uint64_t buffer;
    /* The name is in use: the node must end. */
    void (*refused)(void *arg, const char *why);
    /* cluster_leave() is done, or can't be. */
    void (*left)(void *arg);
    /*
     * The store's queues can be called, since the link is up and this boot is among the nodes; or not any more: told
     * when all that was called has its answer. At first they can't. `other`: since they could the last time the server
     * has been started anew, or another one has taken its place, so it may have lost what was done last. May be NULL.
     */
    void (*linked)(void *arg, bool up, bool other);
    /* Another node has put something into the queue, from which this one got less than it wanted. May be NULL. */
    void (*ready)(void *arg, struct bytes queue);
    void *arg;
};

enum cluster_state {
    CLUSTER_AWAY,      /* no link */
    CLUSTER_RESTORING, /* the link is there, interest is not yet in place */
    CLUSTER_GATHERING, /* ours is; others' may not be */
    CLUSTER_UP
};

struct cluster_counters {
    struct fanout_counters fanout;
    uint64_t inbound_dropped; /* publications of other nodes that a worker was too far behind for */
    uint64_t queued_bytes;    /* on their way out */
    uint64_t channels;        /* subscribed to, or about to be */
};

/* The store's events, for whoever creates the store; their arg is the cluster (cluster_new() sets both). */
extern const struct store_events cluster_store_events;

/* Borrows all. The store must not have told anything yet. NULL when out of memory. */
MUST_CHECK struct cluster *cluster_new(const struct cluster_conf *conf, uint64_t now_ms);
/* NULL is allowed. */
void cluster_free(struct cluster *cluster);

/* Acts on a worker's mail, which stays the caller's to free. False: it is none of the cluster's. */
MUST_CHECK bool cluster_take_mail(struct cluster *cluster, const struct mail *mail, uint64_t now_ms);

/* For the registry's `gone`: this boot has no entry among the nodes any more. */
void cluster_renew(struct cluster *cluster, uint64_t now_ms);

/* At the end of the hub's turn: posts what the workers get, writes the registry's changes. */
void cluster_flush(struct cluster *cluster);

/* While it holds, workers get no credit for what they have published, so that publishers pause in the end. */
void cluster_hold_credit(struct cluster *cluster, bool hold);

/* Every 100 ms or so. */
void cluster_tick(struct cluster *cluster, uint64_t now_ms);

/*
 * The node goes: sends what waits, then leaves membership and registry; `left` follows within a bounded time (ticks).
 * The workers' sessions should be gone.
 */
void cluster_leave(struct cluster *cluster, uint64_t now_ms);

enum cluster_state cluster_state(const struct cluster *cluster);
const struct membership *cluster_membership(const struct cluster *cluster);
void cluster_count(const struct cluster *cluster, struct cluster_counters *counters);

#endif
