/*
 * Random clients of queues on two or three nodes of one or two workers: they send, alone and in transactions, take in
 * all ack modes and by few at a time, settle, give back, reject, come and go, and some stop reading; while links break,
 * fall silent or go deaf, the server freezes, restarts with its data or, in some runs, without, or has no memory, and
 * nodes are killed, stopped until others bury them, or leave. What was promised is the business of queue_ledger.h. In
 * the end all is mended: everybody who is left gets as much as he may have at a time, and in all queues nothing is left.
 *
 * A failing run names its seed. STOMPD_SEED=n repeats that one alone, with the log; STOMPD_SEEDS=n runs so many.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "queue_clients.h"
#include "stompd/base/log.h"
#include "store/fake_queues.h"

#define SEEDS   250
#define ACTIONS 900

/* Large letters of a run that has some. */
#define LARGE_MAX 8

/* A node that leaves has that long. */
#define LEAVE_MS 15000

/* Rounds in which all is consumed. */
#define ROUNDS_MAX LEDGER_LETTERS

/* A letter may wait for the next sweep in one of so many cases. */
#define WAITS 2000

/* Answers that may be asked for again. */
#define KEPT_MAX 16

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

enum trouble { CUT, STALL, DEAFEN, FREEZE, RESTART, FILL, KILL, LEAVE, STOP, LOSE, FAULTS };

/* ---- faults ---- */

/* Its clients are gone; `loses`: and some of what was under way. */
static void lose_node(struct run *run, const struct sim_node *node, bool loses_some) {
    unsigned boot = (unsigned)strtoul(node->boot_id, NULL, 10);
    for (size_t n = 0; n < PLAYERS; n++) {
        struct player *player = &run->players[n];
        if (player->client && run->connections[player->connection].node == run_index_of(run, node))
            client_forget(run, player, loses_some || client_loses(player));
    }
    for (unsigned n = 0; n < run->connection_count && loses_some; n++)
        if (run->connections[n].boot == boot)
            ledger_doubt(&run->ledger, n);
}

static void start_node(struct run *run, struct sim_node *node) {
    sim_node_start(node);
    run->cut[run_index_of(run, node)] = false;
}

static void kill_or_start(struct run *run, struct sim_node *node) {
    if (!sim_node_runs(node)) {
        start_node(run, node);
        return;
    }
    lose_node(run, node, true);
    sim_node_kill(node);
}

static bool is_on_the_bus(const struct run *run, const struct sim_node *node) {
    return run->simulator->server.running && !run->simulator->server.frozen && sim_node_hears(node) &&
           cluster_state(node->cluster) == CLUSTER_UP;
}

/* What its clients have goes back first, if it can. */
static void leave_or_start(struct run *run, struct sim_node *node) {
    if (!sim_node_runs(node)) {
        start_node(run, node);
        return;
    }
    if (node->stopped || node->ended)
        return;
    const struct fake_server *server = &run->simulator->server;
    uint64_t left_behind = server->left_behind;
    bool may_give_back = is_on_the_bus(run, node) && !server->full;
    lose_node(run, node, !is_on_the_bus(run, node));
    while (node->workers->client_count > 0)
        sim_close(node->workers->clients[0]);
    sim_node_leave(node);
    for (uint64_t end_ms = run->simulator->now_ms + LEAVE_MS; sim_node_runs(node);) {
        assert_true(run->simulator->now_ms < end_ms);
        cluster_pass(run->simulator, SIM_TICK_MS);
    }
    assert_true(!may_give_back || server->left_behind == left_behind);
}

static void restart_server(struct run *run) {
    struct fake_server *server = &run->simulator->server;
    if (server->running)
        fake_server_stop(server);
    else
        fake_server_start(server, false);
}

static void lose_data(struct run *run) {
    struct fake_server *server = &run->simulator->server;
    run->lost = true;
    ledger_lose_all(&run->ledger);
    if (server->running)
        fake_server_empty(server);
    else
        fake_server_start(server, true);
}

static void cut_or_mend(struct run *run, const struct sim_node *node) {
    bool *cut = &run->cut[run_index_of(run, node)];
    *cut = !*cut;
    fake_store_cut(node->store, *cut);
}

static void fail_node(struct run *run, enum trouble fault, struct sim_node *node) {
    if (fault == KILL)
        kill_or_start(run, node);
    else if (fault == LEAVE)
        leave_or_start(run, node);
    else if (!sim_node_runs(node))
        return;
    else if (fault == STOP)
        sim_node_stop(node, !node->stopped);
    else if (fault == CUT)
        cut_or_mend(run, node);
    else if (fault == STALL)
        fake_store_stall(node->store);
    else
        fake_store_deafen(node->store);
}

static void fail_something(struct run *run) {
    struct fake_server *server = &run->simulator->server;
    enum trouble fault = (enum trouble)run_draw(run, FAULTS);
    if ((run->faults & 1u << fault) == 0)
        return;
    if (fault == FREEZE) {
        fake_server_freeze(server, !server->frozen);
    } else if (fault == RESTART) {
        restart_server(run);
    } else if (fault == LOSE) {
        lose_data(run);
    } else if (fault == FILL) {
        server->full = !server->full;
        run->ledger.filled = true;
    } else {
        fail_node(run, fault, run_draw_node(run));
    }
}

static void mend_all(struct run *run) {
    struct fake_server *server = &run->simulator->server;
    server->full = false;
    fake_server_freeze(server, false);
    if (!server->running)
        fake_server_start(server, false);
    for (unsigned n = 0; n < run->simulator->node_count; n++) {
        run->cut[n] = false;
        if (!sim_node_runs(&run->simulator->nodes[n]))
            continue;
        sim_node_stop(&run->simulator->nodes[n], false);
        fake_store_cut(run->simulator->nodes[n].store, false);
    }
}

/* ---- rest ---- */

/* Also those that were refused. */
static void lose_nodes(struct run *run) {
    for (unsigned n = 0; n < run->simulator->node_count; n++)
        if (!sim_node_runs(&run->simulator->nodes[n]))
            lose_node(run, &run->simulator->nodes[n], true);
}

/* Nodes that run are on the bus, and have no more to say. */
static bool is_quiet(const struct run *run) {
    bool quiet = run->simulator->server.running && !run->simulator->server.frozen;
    for (unsigned n = 0; n < run->simulator->node_count; n++)
        if (sim_node_runs(&run->simulator->nodes[n]) && !sim_node_is_settled(&run->simulator->nodes[n]))
            quiet = false;
    return quiet;
}

static size_t count_deliveries(const struct consumer *consumer) {
    size_t count = 0;
    LIST_FOR_EACH (at, &consumer->deliveries)
        count++;
    return count;
}

/* Deliveries that the consumers of a queue may still have. */
static size_t credit_of(const struct run *run, struct bytes queue) {
    size_t credit = 0;
    for (size_t n = 0; n < PLAYERS; n++) {
        const struct player *player = &run->players[n];
        if (!player->client || player->client->session->state != SESSION_OPEN)
            continue;
        LIST_FOR_EACH (at, &player->client->session->subscriptions) {
            const struct consumer *consumer = CONTAINER_OF(at, struct subscription, in_session)->consumer;
            size_t count = consumer ? count_deliveries(consumer) : 0;
            if (consumer && bytes_equal(consumer_queue(consumer), queue))
                credit += consumer->prefetch - count;
        }
    }
    return credit;
}

static size_t count_ready(const struct fake_queue *queue) {
    size_t count = 0;
    LIST_FOR_EACH (at, &queue->entries) {
        const struct fake_entry *entry = CONTAINER_OF(at, struct fake_entry, in_queue);
        count += entry->owner.len == 0 || bytes_equal(buffer_bytes(&entry->owner), BYTES(FAKE_FREE));
    }
    return count;
}

/*
 * Without faults, and where nobody goes, whoever may have something has it at once, but for a word now and then that goes
 * to a node which has had enough meanwhile.
 */
static void look_for_waiting(struct run *run) {
    bool waits = false;
    if (run->faults > 0 || run->leaves || run->heavy)
        return;
    LIST_FOR_EACH (at, &run->simulator->server.queues) {
        const struct fake_queue *queue = CONTAINER_OF(at, struct fake_queue, in_server);
        waits = waits || (count_ready(queue) > 0 && credit_of(run, buffer_bytes(&queue->name)) > 0);
    }
    run->tally->rests++;
    run->tally->waits += waits;
}

static void check_limits(const struct run *run) {
    for (size_t n = 0; n < PLAYERS; n++) {
        if (!run->players[n].client)
            continue;
        LIST_FOR_EACH (at, &run->players[n].client->session->subscriptions) {
            const struct consumer *consumer = CONTAINER_OF(at, struct subscription, in_session)->consumer;
            assert_true(!consumer || count_deliveries(consumer) <= consumer->prefetch);
        }
    }
    const struct fake_queue *queue = fake_queues_find(&run->simulator->server, BYTES("q:b"));
    assert_true(!queue || queue->count <= LEDGER_LIMIT);
}

static void come_to_rest(struct run *run) {
    cluster_settle(run->simulator);
    lose_nodes(run);
    check_limits(run);
    if (!is_quiet(run))
        return;
    for (size_t n = 0; n < PLAYERS; n++)
        assert_false(run->players[n].client && run->players[n].client->session->input_waits);
    clients_notice_ended(run);
    ledger_rest(&run->ledger);
    look_for_waiting(run);
}

static unsigned read_everything(struct run *run) {
    unsigned count = 0;
    for (size_t n = 0; n < PLAYERS; n++)
        count += client_read(run, &run->players[n], UINT32_MAX);
    return count;
}

/* ---- the end ---- */

static bool has_survivor(const struct run *run) {
    for (unsigned n = 0; n < run->simulator->node_count; n++)
        if (sim_node_runs(&run->simulator->nodes[n]))
            return true;
    return false;
}

/* Somebody has to clean up after the dead; the first who tries may be refused, for a late sign of their life. */
static void calm_down(struct run *run) {
    mend_all(run);
    for (int n = 0; n < 2; n++) {
        if (!has_survivor(run))
            start_node(run, run_draw_node(run));
        cluster_pass(run->simulator, SIM_QUIET_MS);
        lose_nodes(run);
    }
}

static void acknowledge_all(struct run *run) {
    for (size_t p = 0; p < PLAYERS; p++) {
        struct player *player = &run->players[p];
        unsigned n;
        while (player->client && !player->leaving && client_pick_held(run, player, &n))
            client_acknowledge(run, player, n, true, false, false);
    }
}

/* Everybody reads and acknowledges until nothing comes any more, which may take the time of a sweep. */
static void consume_all(struct run *run) {
    unsigned rounds = 0;
    for (unsigned idle = 0; idle < 2; idle++) {
        acknowledge_all(run);
        cluster_pass(run->simulator, QUEUES_SWEEP_MS + SIM_TICK_MS);
        come_to_rest(run);
        while (read_everything(run) > 0) {
            acknowledge_all(run);
            come_to_rest(run);
            idle = 0;
            assert_in_range(++rounds, 1, ROUNDS_MAX);
        }
    }
    assert_true(is_quiet(run));
}

/* Nobody is slow, or in the middle of something, any more. */
static void wind_up(struct run *run) {
    for (size_t n = 0; n < PLAYERS; n++) {
        struct player *player = &run->players[n];
        player->slow = false;
        if (player->client && !player->leaving && player->deal > 0)
            client_end_deal(run, player, run_draw(run, 2) == 0);
    }
    consume_all(run);
}

static struct player *player_of(struct run *run, const struct ledger_subscription *subscription) {
    for (size_t n = 0; n < PLAYERS; n++)
        if (run->players[n].client && run->players[n].connection == subscription->connection)
            return &run->players[n];
    return NULL;
}

static unsigned count_held(const struct player *player, unsigned subscription) {
    unsigned count = 0;
    for (unsigned n = 0; n < player->held_count; n++)
        count += player->held[n].subscription == subscription;
    return count;
}

/* Those that settle by themselves would have them all. */
static void unsubscribe_auto(struct run *run) {
    for (unsigned n = 0; n < run->ledger.subscription_count; n++) {
        const struct ledger_subscription *subscription = run_subscription(run, n);
        if (subscription->holds && subscription->ack == LEDGER_AUTO && subscription->place != LEDGER_TOPIC)
            client_unsubscribe(run, player_of(run, subscription), n);
    }
    consume_all(run);
}

/* How much the subscriptions of a queue may have, and have, together. */
static unsigned count_of(struct run *run, unsigned place, bool may) {
    unsigned count = 0;
    for (unsigned n = 0; n < run->ledger.subscription_count; n++) {
        const struct ledger_subscription *subscription = run_subscription(run, n);
        if (subscription->holds && subscription->place == place)
            count += may ? subscription->prefetch : count_held(player_of(run, subscription), n);
    }
    return count;
}

static void check_credit_of(struct run *run, unsigned place) {
    unsigned count = count_of(run, place, true);
    struct player *sender = &run->players[0];
    while (count > 0 && !sender->client)
        sender++;
    if (place == LEDGER_LIMITED && count > LEDGER_LIMIT)
        count = LEDGER_LIMIT;
    for (unsigned n = 0; n < count; n++) {
        unsigned letter = ledger_send(&run->ledger, sender->connection, place, 0);
        sim_send(sender->client, "SEND\ndestination:%s\nreceipt:m%u\n\n%u", ledger_destination(place), letter, letter);
    }
    cluster_pass(run->simulator, QUEUES_SWEEP_MS + SIM_TICK_MS);
    read_everything(run);
    assert_int_equal(count_of(run, place, false), count);
}

/* Whoever is left gets all that he may have, and so has all his credit. */
static void check_credit(struct run *run) {
    unsubscribe_auto(run);
    for (unsigned place = 0; place < LEDGER_PLACES; place++)
        check_credit_of(run, place);
    consume_all(run);
}

static void part(struct run *run) {
    for (size_t n = 0; n < PLAYERS; n++) {
        struct player *player = &run->players[n];
        if (player->client && run_draw(run, 2) == 0)
            client_drop(run, player);
        else if (player->client)
            client_disconnect(run, player);
    }
    consume_all(run);
    for (size_t n = 0; n < PLAYERS; n++)
        assert_null(run->players[n].client);
}

/* New clients, one a node, get what nobody has taken. */
static void collect(struct run *run) {
    for (unsigned n = 0; n < run->simulator->node_count; n++) {
        if (!sim_node_runs(&run->simulator->nodes[n]))
            continue;
        client_connect(run, &run->players[n], &run->simulator->nodes[n]);
        assert_non_null(run->players[n].client);
        for (unsigned place = 0; place < LEDGER_PLACES; place++)
            client_subscribe(run, &run->players[n], place);
    }
    consume_all(run);
}

static bool is_running(const struct run *run, const struct buffer *boot) {
    for (unsigned n = 0; n < run->simulator->node_count; n++)
        if (sim_node_runs(&run->simulator->nodes[n]) &&
            bytes_equal(buffer_bytes(boot), bytes_of(run->simulator->nodes[n].boot)))
            return true;
    return false;
}

static void check_server(const struct run *run) {
    LIST_FOR_EACH (at, &run->simulator->server.queues) {
        const struct fake_queue *queue = CONTAINER_OF(at, struct fake_queue, in_server);
        LIST_FOR_EACH (of_queue, &queue->entries) {
            const struct fake_entry *entry = CONTAINER_OF(of_queue, struct fake_entry, in_queue);
            fail_msg("%.*s still has an entry, of \"%.*s\", delivered %u times", BYTES_ARG(buffer_bytes(&queue->name)),
                     BYTES_ARG(buffer_bytes(&entry->owner)), entry->deliveries);
        }
        assert_int_equal(queue->bytes, 0);
    }
    LIST_FOR_EACH (at, &run->simulator->server.calls) {
        const struct fake_calls *calls = CONTAINER_OF(at, struct fake_calls, in_server);
        if (!is_running(run, &calls->boot))
            fail_msg("answers for %.*s are kept", BYTES_ARG(buffer_bytes(&calls->boot)));
        assert_in_range(calls->count, 0, KEPT_MAX);
    }
}

static void check_node(const struct run *run, const struct sim_node *node) {
    struct queues_counters counters;
    queues_count(node->queues, &counters);
    assert_int_equal(counters.consumers, 0);
    assert_int_equal(counters.waiting, 0);
    assert_true(queues_is_settled(node->queues));
    for (unsigned n = 0; n < run->simulator->worker_count; n++) {
        const struct session_env *env = &node->workers->workers[n].env;
        assert_int_equal(env->consumers.count, 0);
        assert_int_equal(env->pending_bytes, 0);
        assert_true(list_is_empty(&env->orphans));
    }
}

static void check_nothing_is_left(struct run *run) {
    part(run);
    check_server(run);
    for (unsigned n = 0; n < run->simulator->node_count; n++)
        if (sim_node_runs(&run->simulator->nodes[n]))
            check_node(run, &run->simulator->nodes[n]);
}

/*
 * A take that a broken link has left behind, and that is done only after this boot was buried, or the data lost, and is
 * back: nobody knows of what it has taken, until the node ends.
 */
static bool has_lost_track(const struct run *run) {
    return run->simulator->server.late_calls > 0;
}

static void end(struct run *run) {
    calm_down(run);
    if (has_lost_track(run))
        return;
    wind_up(run);
    if (run->faults == 0)
        ledger_check_topic(&run->ledger);
    check_credit(run);
    part(run);
    collect(run);
    ledger_check_all(&run->ledger);
    check_nothing_is_left(run);
}

/* ---- the run ---- */

static void wait(struct run *run) {
    for (unsigned ticks = 1 + run_draw(run, 8); ticks > 0; ticks--) {
        cluster_tick_all(run->simulator);
        for (unsigned n = run_draw(run, 60); n > 0; n--)
            cluster_step(run->simulator);
    }
}

static void act(struct run *run) {
    unsigned choice = run_draw(run, 100);
    if (choice < 55)
        client_act(run, &run->players[run_draw(run, PLAYERS)]);
    else if (choice < 80)
        for (unsigned n = run_draw(run, 80); n > 0; n--)
            cluster_step(run->simulator);
    else if (choice < 90)
        wait(run);
    else if (choice < 94)
        fail_something(run);
    else if (choice < 96)
        mend_all(run);
    else
        come_to_rest(run);
}

static void set_policies(struct run *run) {
    static char limited[] = "/queue/b";
    static char wearing[] = "/queue/c";
    run->policies[0] =
        (struct policy){.pattern = limited, .queue = {.max_messages = LEDGER_LIMIT, .idle_expiry_ms = 10000}};
    run->policies[1] =
        (struct policy){.pattern = wearing, .queue = {.max_deliveries = LEDGER_DELIVERIES, .idle_expiry_ms = 10000}};
    run->simulator->policies = (struct policies){.list = run->policies, .count = COUNT(run->policies)};
}

static void begin(struct run *run) {
    run->random = run->seed * UINT64_C(0x9e3779b97f4a7c15);
    run->simulator = cluster_simulator_new(2 + run_draw(run, 2), 1 + run_draw(run, 2), run->random);
    run->faults = run_draw(run, 3) == 0 ? 0 : run_draw(run, 1u << FAULTS);
    if (run_draw(run, 3) > 0)
        run->faults &= ~(1u << LOSE);
    run->leaves = run_draw(run, 3) > 0;
    if (!run->leaves)
        run->faults &= ~(1u << LEAVE);
    run->ledger.orderly = !run->leaves;
    run->heavy = run_draw(run, 8) == 0;
    run->large = run->heavy ? LARGE_MAX : 0;
    set_policies(run);
    for (unsigned n = 0; n < run->simulator->node_count; n++)
        start_node(run, &run->simulator->nodes[n]);
    cluster_pass(run->simulator, 2 * SIM_TICK_MS);
    for (size_t n = 0; n < PLAYERS; n++)
        client_connect(run, &run->players[n], run_draw_node(run));
}

static void play(struct run *run) {
    begin(run);
    for (unsigned n = 0; n < ACTIONS; n++) {
        act(run);
        lose_nodes(run);
    }
    end(run);
}

/* ---- the test ---- */

static int setup(void **state) {
    *state = calloc(1, sizeof(struct run));
    return *state ? 0 : -1;
}

/* A run that did not get to its end has left its simulator. */
static int teardown(void **state) {
    struct run *run = *state;
    if (run->simulator) {
        print_error("STOMPD_SEED=%" PRIu64 " repeats it\n", run->seed);
        cluster_simulator_free(run->simulator);
    }
    free(run);
    return 0;
}

static void test_random_clients_of_queues_get_what_they_were_promised(void **state) {
    struct run *run = *state;
    struct tally tally = {0};
    const char *only = getenv("STOMPD_SEED");
    const char *many = getenv("STOMPD_SEEDS");
    uint64_t first = only ? strtoull(only, NULL, 10) : 1;
    uint64_t last = only ? first : many ? strtoull(many, NULL, 10) : SEEDS;
    log_set_level(only ? LOG_LEVEL_DEBUG : LOG_LEVEL_ERROR);
    assert_true(first > 0 && last > 0);
    for (uint64_t seed = first; seed <= last; seed++) {
        memset(run, 0, sizeof *run);
        run->tally = &tally;
        run->seed = seed;
        play(run);
        cluster_simulator_free(run->simulator);
        run->simulator = NULL;
    }
    assert_in_range(tally.waits, 0, 1 + tally.rests / WAITS);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_random_clients_of_queues_get_what_they_were_promised, setup, teardown),
    };
    return cmocka_run_group_tests_name("hub/queues_cluster_random", tests, NULL, NULL);
}
