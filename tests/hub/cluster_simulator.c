/* The hub's part, played without a loop. */
#include "cluster_simulator.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/random.h"

#define BUFFER (1u << 20)

/* As in src/hub/hub.c. */
#define START_WITHOUT_REDIS_MS 3000
#define SETTLE_MS              3000

/* Small, so that few sessions make many pieces. */
#define PIECE 2

/* How likely the bus moves, as against one of the places where mail may lie. */
#define BUS_WEIGHT 8

/* Whoever comes to rest at all does so within far fewer. */
#define STEPS_MAX 1000000

static const char *const names[SIM_NODES_MAX] = {"a", "b", "c"};

/* ---- a node ---- */

static void on_registry_gone(void *arg) {
    const struct sim_node *node = arg;
    cluster_renew(node->cluster, node->simulator->now_ms);
}

/* Where nobody else has the name, only a late sign of life of the boot before can look like it. */
static void on_refused(void *arg, const char *why) {
    struct sim_node *node = arg;
    if (!node->expects_refusal && node->simulator->server.late_signs == node->late_signs)
        fail_msg("node %s: %s", node->name, why);
    node->refused = node->ended = true;
}

static void on_left(void *arg) {
    struct sim_node *node = arg;
    node->left = node->ended = true;
}

static void on_linked(void *arg, bool up, bool other) {
    const struct sim_node *node = arg;
    if (up)
        queues_up(node->queues, other);
    else
        queues_down(node->queues);
}

static void on_ready(void *arg, struct bytes queue) {
    const struct sim_node *node = arg;
    queues_ready(node->queues, queue);
}

static void create_cluster(struct sim_node *node) {
    struct cluster_simulator *simulator = node->simulator;
    for (unsigned n = 0; n < simulator->worker_count; n++)
        node->mailboxes[n] = &node->workers->workers[n].mailbox;
    node->store = fake_store_new(&simulator->server, node->name, node->boot, &cluster_store_events, NULL);
    node->registry = registry_new(node->store, on_registry_gone, node);
    assert_non_null(node->registry);
    node->cluster = cluster_new(&(struct cluster_conf){.node = node->name,
                                                       .boot = node->boot,
                                                       .workers = simulator->worker_count,
                                                       .mailboxes = node->mailboxes,
                                                       .store = node->store,
                                                       .registry = node->registry,
                                                       .node_timeout_ms = SIM_NODE_TIMEOUT,
                                                       .buffer = simulator->buffer,
                                                       .refused = on_refused,
                                                       .left = on_left,
                                                       .linked = on_linked,
                                                       .ready = on_ready,
                                                       .arg = node},
                                simulator->now_ms);
    assert_non_null(node->cluster);
}

static void create_queues(struct sim_node *node) {
    struct cluster_simulator *simulator = node->simulator;
    node->queue_store = fake_store_queues(node->store, simulator->worker_count, NULL, NULL);
    node->queues = queues_new(&(struct queues_conf){.workers = simulator->worker_count,
                                                    .mailboxes = node->mailboxes,
                                                    .store = node->queue_store,
                                                    .policies = &node->workers->policies},
                              simulator->now_ms);
    assert_non_null(node->queues);
}

void sim_node_start(struct sim_node *node) {
    struct cluster_simulator *simulator = node->simulator;
    assert_false(sim_node_runs(node));
    node->ended = node->refused = node->left = node->stopped = node->in_turn = false;
    node->was_deaf = true;
    node->started_ms = simulator->now_ms;
    node->settle_until_ms = 0;
    node->late_signs = simulator->server.late_signs;
    snprintf(node->boot_id, sizeof node->boot_id, "%u", ++simulator->boots);
    snprintf(node->boot, sizeof node->boot, "%s:%s", node->name, node->boot_id);
    node->workers =
        simulator_new_with_hub(simulator->worker_count, 1 + simulator->random / 2, node->boot, node->boot_id);
    node->workers->policies = simulator->policies;
    create_cluster(node);
    create_queues(node);
}

void sim_node_kill(struct sim_node *node) {
    assert_true(sim_node_runs(node));
    queues_free(node->queues);
    simulator_free(node->workers);
    node->queue_store->ops->free(node->queue_store);
    node->store->ops->free(node->store);
    cluster_free(node->cluster);
    registry_free(node->registry);
    node->workers = NULL;
    node->store = NULL;
    node->cluster = NULL;
    node->registry = NULL;
    node->queue_store = NULL;
    node->queues = NULL;
    node->was_deaf = true;
}

void sim_node_stop(struct sim_node *node, bool stopped) {
    node->stopped = stopped;
    fake_store_pause(node->store, stopped);
}

bool sim_node_serves(const struct sim_node *node) {
    if (!sim_node_runs(node) || node->ended)
        return false;
    if (cluster_state(node->cluster) == CLUSTER_AWAY)
        return node->simulator->now_ms >= node->started_ms + START_WITHOUT_REDIS_MS;
    return cluster_state(node->cluster) == CLUSTER_UP && membership_is_in(cluster_membership(node->cluster));
}

bool sim_node_hears(const struct sim_node *node) {
    return sim_node_runs(node) && fake_store_is_sound(node->store) && cluster_state(node->cluster) >= CLUSTER_GATHERING;
}

bool sim_node_has_link(const struct sim_node *node) {
    if (!sim_node_runs(node))
        return false;
    bool has_link = node->in_turn || cluster_state(node->cluster) != CLUSTER_AWAY;
    for (unsigned n = 0; n < node->simulator->worker_count; n++) {
        const struct sim_worker *worker = &node->workers->workers[n];
        bool has_mail = worker->mailbox.newest || worker->arrived[node->simulator->worker_count].oldest;
        has_link = has_link || has_mail || !worker->env.away;
    }
    return has_link;
}

bool sim_node_is_settled(const struct sim_node *node) {
    struct cluster_counters counters;
    struct queues_counters queues;
    cluster_count(node->cluster, &counters);
    queues_count(node->queues, &queues);
    return queues.waiting == 0 && !node->stopped && sim_node_hears(node) &&
           cluster_state(node->cluster) == CLUSTER_UP && counters.queued_bytes == 0 && !fake_store_is_busy(node->store);
}

/* ---- one thing moves ---- */

static bool move_to_hub(struct sim_node *node, unsigned worker) {
    struct mail *mail = sim_take_for_hub(node->workers, worker);
    if (!mail)
        return false;
    assert_true(queues_take_mail(node->queues, mail, node->simulator->now_ms) ||
                cluster_take_mail(node->cluster, mail, node->simulator->now_ms));
    free(mail);
    node->in_turn = true;
    return true;
}

static bool end_turn(struct sim_node *node) {
    if (!node->in_turn)
        return false;
    node->in_turn = false;
    queues_flush(node->queues, node->simulator->now_ms);
    cluster_flush(node->cluster);
    return true;
}

/* Of a node's moves: the hub ends its turn, a worker's mail reaches the hub, mail reaches a worker. */
static bool move_node(struct sim_node *node, unsigned what) {
    if (!sim_node_runs(node) || node->stopped)
        return false;
    if (what == 0)
        return end_turn(node);
    if (what <= node->simulator->worker_count)
        return move_to_hub(node, what - 1);
    return sim_step_random(node->workers);
}

static bool move_bus(struct cluster_simulator *simulator) {
    if (!fake_server_step(&simulator->server, &simulator->random))
        return false;
    for (unsigned n = 0; n < simulator->node_count; n++)
        simulator->nodes[n].in_turn = sim_node_runs(&simulator->nodes[n]);
    return true;
}

static void look_after(struct sim_node *node) {
    if (!sim_node_hears(node))
        node->was_deaf = true;
    if (sim_node_has_link(node))
        node->had_a_link = true;
    if (node->ended && sim_node_runs(node))
        sim_node_kill(node);
}

static bool move(struct cluster_simulator *simulator, unsigned choice) {
    unsigned of_node = simulator->worker_count + 2;
    if (choice < simulator->node_count * of_node)
        return move_node(&simulator->nodes[choice / of_node], choice % of_node);
    return move_bus(simulator);
}

bool cluster_step(struct cluster_simulator *simulator) {
    unsigned choices = simulator->node_count * (simulator->worker_count + 2) + BUS_WEIGHT;
    unsigned first = (unsigned)random_below(&simulator->random, choices);
    for (unsigned n = 0; n < choices; n++) {
        if (!move(simulator, (first + n) % choices))
            continue;
        for (unsigned node = 0; node < simulator->node_count; node++)
            look_after(&simulator->nodes[node]);
        return true;
    }
    return false;
}

void cluster_settle(struct cluster_simulator *simulator) {
    for (unsigned n = 0; cluster_step(simulator); n++)
        assert_in_range(n, 0, STEPS_MAX);
}

/* ---- leaving ---- */

static void leave_when_settled(struct sim_node *node) {
    if (queues_is_settled(node->queues) || node->simulator->now_ms >= node->settle_until_ms)
        cluster_leave(node->cluster, node->simulator->now_ms);
}

void sim_node_leave(struct sim_node *node) {
    for (unsigned n = 0; n < node->simulator->worker_count; n++)
        while (move_to_hub(node, n))
            continue;
    node->settle_until_ms = node->simulator->now_ms + SETTLE_MS;
    leave_when_settled(node);
    node->in_turn = true;
}

/* ---- time ---- */

void cluster_tick_all(struct cluster_simulator *simulator) {
    simulator->now_ms += SIM_TICK_MS;
    fake_server_advance(&simulator->server, simulator->now_ms);
    for (unsigned n = 0; n < simulator->node_count; n++) {
        struct sim_node *node = &simulator->nodes[n];
        if (!sim_node_runs(node) || node->stopped)
            continue;
        cluster_tick(node->cluster, simulator->now_ms);
        queues_tick(node->queues, simulator->now_ms);
        if (node->settle_until_ms > 0)
            leave_when_settled(node);
        node->in_turn = true;
        look_after(node);
    }
}

void cluster_pass(struct cluster_simulator *simulator, uint64_t ms) {
    uint64_t until_ms = simulator->now_ms + ms;
    cluster_settle(simulator);
    while (simulator->now_ms < until_ms) {
        cluster_tick_all(simulator);
        cluster_settle(simulator);
    }
}

/* ---- life ---- */

struct cluster_simulator *cluster_simulator_new(unsigned nodes, unsigned workers, uint64_t seed) {
    struct cluster_simulator *simulator = calloc(1, sizeof *simulator);
    assert_non_null(simulator);
    assert_in_range(nodes, 1, SIM_NODES_MAX);
    simulator->random = seed;
    simulator->now_ms = 1000;
    simulator->node_count = nodes;
    simulator->worker_count = workers;
    simulator->buffer = BUFFER;
    fake_server_init(&simulator->server);
    simulator->server.piece = PIECE;
    for (unsigned n = 0; n < nodes; n++)
        simulator->nodes[n] = (struct sim_node){.simulator = simulator, .name = names[n]};
    return simulator;
}

void cluster_simulator_free(struct cluster_simulator *simulator) {
    for (unsigned n = 0; n < simulator->node_count; n++)
        if (sim_node_runs(&simulator->nodes[n]))
            sim_node_kill(&simulator->nodes[n]);
    fake_server_free(&simulator->server);
    free(simulator);
}
