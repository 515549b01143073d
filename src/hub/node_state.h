/*
 * Private to hub/: the node as a whole, as operators are told of it: what /readyz and /metrics say beside the workers'
 * counters. Filled anew for each request.
 */
#ifndef STOMPD_HUB_NODE_STATE_H
#define STOMPD_HUB_NODE_STATE_H

#include "cluster.h"
#include "durables.h"
#include "stompd/store/redis_store.h"

struct evbuffer;

struct node_state {
    bool serving;  /* clients' sockets are accepted, or were until the drain */
    bool draining; /* SIGTERM or SIGINT has come */
    uint64_t sockets_refused;
    size_t users; /* here, with a name */
    size_t sessions;
    struct queues_counters queues;
    struct durables_counters durables;
    bool clustered; /* the rest holds in a cluster only */
    bool joined;    /* the node has its place in the book of nodes */
    enum cluster_state cluster;
    unsigned members_alive; /* this node too */
    unsigned members_dead;  /* being cleaned up after */
    struct cluster_counters counters;
    struct redis_status redis;
};

/* Fills in what there is of the cluster; the store must be Redis'. */
void node_state_look_at_cluster(struct node_state *state, const struct cluster *cluster, const struct store *store,
                                uint64_t now_ms);

/*
 * Whether clients may be sent here. Appends a line for each reason why not to `reasons`, which may be NULL; a line that
 * memory is out for is missing.
 */
bool node_state_is_ready(const struct node_state *state, struct evbuffer *reasons);

#endif
