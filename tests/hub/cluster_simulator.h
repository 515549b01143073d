/*
 * A cluster in one thread: nodes, each with its workers (tests/edge/simulator.h), hub and store, on one server
 * (tests/store/fake_store.h), wired as src/hub/hub.c does it. Nothing moves by itself: cluster_step() moves one thing,
 * drawn from the seed among all that can move, on the bus, between workers, or between workers and hub. Time is virtual
 * and passes when the test says so.
 */
#ifndef TESTS_HUB_CLUSTER_SIMULATOR_H
#define TESTS_HUB_CLUSTER_SIMULATOR_H

#include "../../src/hub/cluster.h"
#include "../../src/hub/queues.h"
#include "edge/simulator.h"
#include "store/fake_store.h"

#define SIM_NODES_MAX 3

#define SIM_TICK_MS      UINT64_C(100)
#define SIM_NODE_TIMEOUT 2000

/* After this time without faults nothing is left of any that was before. */
#define SIM_QUIET_MS 12000

struct cluster_simulator;

/* A node, running or not. Tests read it. */
struct sim_node {
    struct cluster_simulator *simulator;
    const char *name;
    char boot_id[16];
    char boot[32];
    struct simulator *workers; /* NULL: it does not run */
    struct mailbox *mailboxes[SIM_WORKERS_MAX];
    struct store *store;
    struct registry *registry;
    struct cluster *cluster;
    struct queue_store *queue_store;
    struct queues *queues;
    uint64_t started_ms;
    uint64_t settle_until_ms; /* it is to leave, at that time if its queues are not settled before; 0: it stays */
    uint64_t late_signs;      /* the server's, when it started */
    bool in_turn;             /* something has happened since the hub's last flush */
    bool ended;               /* it has left, or was refused */
    bool refused;
    bool left;
    bool stopped;         /* its process is */
    bool expects_refusal; /* the test has given its name to another, too */
    /* At some time since the test has set them to false: */
    bool was_deaf;   /* what others published could pass it by */
    bool had_a_link; /* as far as its hub and workers knew */
};

struct cluster_simulator {
    uint64_t random;
    uint64_t now_ms;
    unsigned boots; /* so far, on all nodes */
    unsigned node_count;
    unsigned worker_count; /* of each node */
    /* For nodes that start from now on: */
    uint64_t buffer;
    struct policies policies; /* borrowed */
    struct fake_server server;
    struct sim_node nodes[SIM_NODES_MAX];
};

/* No node runs yet. */
struct cluster_simulator *cluster_simulator_new(unsigned nodes, unsigned workers, uint64_t seed);

/* Kills all that still run. */
void cluster_simulator_free(struct cluster_simulator *simulator);

/* A new boot under the node's name. */
void sim_node_start(struct sim_node *node);

/* kill -9: whatever it had is gone. */
void sim_node_kill(struct sim_node *node);

/* SIGSTOP and SIGCONT. */
void sim_node_stop(struct sim_node *node, bool stopped);

/*
 * SIGTERM, its sessions are closed already, and their last mail comes first. It ends once its queues are settled, within a few seconds of virtual time;
 * then it does not run.
 */
void sim_node_leave(struct sim_node *node);

static inline bool sim_node_runs(const struct sim_node *node) {
    return node->workers != NULL;
}

/* It takes clients, as the hub decides it. */
bool sim_node_serves(const struct sim_node *node);

/* What others publish reaches it: its link passes, and all its interest is in place. */
bool sim_node_hears(const struct sim_node *node);

/* Its hub has a link, or had one when it sent what a worker has yet to learn. */
bool sim_node_has_link(const struct sim_node *node);

/* All that it has said has arrived, and what it says next goes at once. */
bool sim_node_is_settled(const struct sim_node *node);

/* Moves one thing. False: nothing can move. */
bool cluster_step(struct cluster_simulator *simulator);

/* Moves until nothing can. */
void cluster_settle(struct cluster_simulator *simulator);

/* One tick of virtual time on all nodes; nothing moves. */
void cluster_tick_all(struct cluster_simulator *simulator);

/* Lets so much virtual time pass, and whatever can move, move. */
void cluster_pass(struct cluster_simulator *simulator, uint64_t ms);

#endif
