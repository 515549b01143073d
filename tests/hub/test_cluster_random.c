/*
 * Random clients on two or three nodes of one or two workers, with links that break, fall silent or go deaf, a server
 * that freezes, restarts, loses its data or its memory, and nodes that are killed, stopped or leave. What was promised
 * is checked while clients read and when all is quiet: no message twice to a subscription, those of one publisher in
 * order, none to whom it is not for, none after UNSUBSCRIBE's receipt; every one that was sent after a subscription's
 * receipt, unless the subscriber's node was cut off from the bus meanwhile or the publisher's was lost with it; no
 * receipt while a node is alone, where publishers go on all the same; and in the end a registry that is equal to the
 * truth, and nothing left of what nobody wants.
 *
 * A failing run names its seed. STOMPD_SEED=n repeats that one alone, with the log; STOMPD_SEEDS=n runs so many.
 */
#include <inttypes.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/random.h"
#include "cluster_simulator.h"
#include "stompd/base/log.h"

#define SEEDS             500
#define ACTIONS           300
#define PLAYERS           8
#define SUBSCRIPTIONS_MAX 256
#define MESSAGES_MAX      256
#define CONNECTIONS_MAX   96

/* Until what was left is left. */
#define RELEASE_MS (CHANNELS_RELEASE_MS + SIM_TICK_MS)

/* A node that leaves has that long. */
#define LEAVE_MS 10000

#define NOBODY UINT_MAX

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static const char *const topics[] = {"/topic/a", "/topic/b", "/topic/a.b", "/topic/a/b", "/topic/a/*c", "/topic/a?"};
static const char *const interests[] = {"/topic/a",   "/topic/b",    "/topic/a.b",    "/topic/*",     "/topic/**",
                                        "/topic/a/*", "/topic/**.b", "/user/queue/x", "/user/queue/y"};
static const char *const user_destinations[] = {"/user/ann/queue/x", "/user/ann/queue/y", "/user/bob/queue/x",
                                                "/user//queue/x"};
static const char *const users[] = {"ann", "bob", NULL};

enum trouble { CUT, STALL, DEAFEN, FREEZE, RESTART, EMPTY, FILL, KILL, LEAVE, STOP, FAULTS };

/* A client, as it is from CONNECT on. */
struct connection_record {
    char session[64];
    const char *user;
    unsigned node;
    unsigned boot;
};

/* Times are numbers of actions; 0: not yet. */
struct subscription_record {
    unsigned connection;
    const char *destination;
    unsigned asked;        /* SUBSCRIBE was sent */
    unsigned live;         /* its receipt was read */
    unsigned unsubscribed; /* UNSUBSCRIBE was sent, or the client went */
    bool gone;             /* UNSUBSCRIBE's receipt was read: nothing may follow */
    bool holds;            /* not unsubscribed, by a client that is still there */
    uint8_t received[MESSAGES_MAX];
    uint16_t newest_of[CONNECTIONS_MAX]; /* the newest message of each publisher, plus one */
};

struct message_record {
    unsigned publisher; /* connection */
    const char *destination;
    unsigned only; /* connection; NOBODY: whoever is subscribed */
    unsigned sent;
    unsigned arrived; /* nothing was under way any more */
    bool lost;        /* perhaps, with its publisher */
};

struct player {
    struct sim_client *client; /* NULL: not connected */
    unsigned connection;
    bool leaving; /* DISCONNECT was sent */
};

struct run {
    uint64_t seed;
    uint64_t random;
    unsigned faults; /* a bit for each kind that may happen */
    unsigned now;
    struct cluster_simulator *simulator;
    bool cut[SIM_NODES_MAX];
    bool deaf[SIM_NODES_MAX][ACTIONS + 8]; /* by action, as the node had it at some time then */
    bool linked[SIM_NODES_MAX][ACTIONS + 8];
    struct player players[PLAYERS];
    unsigned connection_count;
    const struct subscription_record *answered; /* whose receipt was read last, and nobody has acted on it; or NULL */
    size_t subscription_count;
    size_t message_count;
    struct connection_record connections[CONNECTIONS_MAX];
    struct message_record messages[MESSAGES_MAX];
    struct subscription_record subscriptions[SUBSCRIPTIONS_MAX];
};

static unsigned draw(struct run *run, unsigned bound) {
    return (unsigned)random_below(&run->random, bound);
}

static struct sim_node *draw_node(struct run *run) {
    return &run->simulator->nodes[draw(run, run->simulator->node_count)];
}

static unsigned index_of(const struct run *run, const struct sim_node *node) {
    return (unsigned)(node - run->simulator->nodes);
}

/* ---- what is promised ---- */

static bool is_user(const char *destination) {
    return strncmp(destination, "/user/", 6) == 0;
}

static bool topic_matches(const char *interest, const char *topic) {
    return strcmp(interest, topic) == 0 ||
           (strchr(interest, '*') && pattern_matches(bytes_of(interest), bytes_of(topic)));
}

/* By the rule itself: /user/NAME/rest for who is NAME and subscribed to /user/rest; no name: a nameless session. */
static bool user_matches(const struct run *run, const struct subscription_record *subscription,
                         const struct message_record *message) {
    const char *user = run->connections[subscription->connection].user;
    const char *name = message->destination + strlen("/user/");
    size_t name_len = strcspn(name, "/");
    if (strcmp(subscription->destination + strlen("/user"), name + name_len) != 0)
        return false;
    if (message->only != NOBODY && message->only != subscription->connection)
        return false;
    if (name_len == 0)
        return !user && message->only != NOBODY;
    return user && strlen(user) == name_len && strncmp(user, name, name_len) == 0;
}

static bool matches(const struct run *run, const struct subscription_record *subscription,
                    const struct message_record *message) {
    if (is_user(subscription->destination) != is_user(message->destination))
        return false;
    return is_user(message->destination) ? user_matches(run, subscription, message)
                                         : topic_matches(subscription->destination, message->destination);
}

/* It did not have to pass the bus, or the subscriber's node was on the bus all the time. */
static bool could_come(const struct run *run, const struct subscription_record *subscription,
                       const struct message_record *message) {
    const struct connection_record *to = &run->connections[subscription->connection];
    if (to->boot == run->connections[message->publisher].boot)
        return true;
    for (unsigned time = message->sent; time <= message->arrived; time++)
        if (run->deaf[to->node][time])
            return false;
    return true;
}

static bool must_have(const struct run *run, const struct subscription_record *subscription,
                      const struct message_record *message) {
    return matches(run, subscription, message) && subscription->live > 0 && subscription->live < message->sent &&
           message->arrived > 0 && !message->lost &&
           (subscription->holds || message->arrived < subscription->unsubscribed) &&
           could_come(run, subscription, message);
}

static void check_all_arrived(const struct run *run) {
    for (size_t n = 0; n < run->subscription_count; n++)
        for (size_t m = 0; m < run->message_count; m++)
            if (must_have(run, &run->subscriptions[n], &run->messages[m]) && run->subscriptions[n].received[m] != 1)
                fail_msg("message %zu to %s, sent at %u, did not reach subscription %zu to %s, live at %u", m,
                         run->messages[m].destination, run->messages[m].sent, n, run->subscriptions[n].destination,
                         run->subscriptions[n].live);
}

/* ---- clients go ---- */

/* Whatever ended it, its subscriptions end, and what it had sent and had not come through is lost. */
static void forget_client(struct run *run, struct player *player, bool loses) {
    for (size_t n = 0; n < run->message_count; n++)
        if (run->messages[n].publisher == player->connection && run->messages[n].arrived == 0 && loses)
            run->messages[n].lost = true;
    for (size_t n = 0; n < run->subscription_count; n++) {
        struct subscription_record *subscription = &run->subscriptions[n];
        if (subscription->connection != player->connection || !subscription->holds)
            continue;
        subscription->holds = false;
        subscription->unsubscribed = run->now;
    }
}

/* The socket goes without a word; what its session had not taken is lost. */
static void drop(struct run *run, struct player *player) {
    forget_client(run, player, player->client->session->input_waits);
    sim_close(player->client);
    player->client = NULL;
}

/* ---- reading ---- */

/* A number behind one letter: s3, u3, 17. */
static size_t number_in(struct bytes text) {
    size_t number = 0;
    for (size_t n = 0; n < text.len; n++)
        if (text.data[n] >= '0' && text.data[n] <= '9')
            number = number * 10 + (size_t)(text.data[n] - '0');
    return number;
}

/* The other nodes could learn of it at some time since it was asked for. */
static bool could_be_live(const struct run *run, const struct subscription_record *subscription) {
    unsigned node = run->connections[subscription->connection].node;
    for (unsigned time = subscription->asked; time < run->now; time++)
        if (run->linked[node][time])
            return true;
    return run->simulator->nodes[node].had_a_link;
}

/* One that was unsubscribed before it was live has its receipt all the same. */
static void note_live(struct run *run, size_t number) {
    struct subscription_record *subscription = &run->subscriptions[number];
    if (subscription->live > 0)
        fail_msg("the receipt of subscription %zu came twice", number);
    if (subscription->holds && !could_be_live(run, subscription))
        fail_msg("subscription %zu to %s has its receipt, though its node was alone since %u", number,
                 subscription->destination, subscription->asked);
    subscription->live = run->now;
    run->answered = subscription;
}

static void read_receipt(struct run *run, const char *frame) {
    struct bytes id = sim_header(frame, "receipt-id");
    size_t number = number_in(id);
    assert_true(number < run->subscription_count);
    if (id.data[0] == 'u')
        run->subscriptions[number].gone = true;
    else
        note_live(run, number);
}

static void read_message(struct run *run, const struct player *player, const char *frame) {
    size_t number = number_in(sim_header(frame, "subscription"));
    size_t m = strtoul(sim_body(frame), NULL, 10);
    assert_true(number < run->subscription_count && m < run->message_count);
    struct subscription_record *subscription = &run->subscriptions[number];
    struct message_record *message = &run->messages[m];
    uint16_t *newest = &subscription->newest_of[message->publisher];
    if (subscription->connection != player->connection || subscription->gone || !matches(run, subscription, message))
        fail_msg("message %zu to %s reached subscription %zu to %s%s", m, message->destination, number,
                 subscription->destination, subscription->gone ? ", which has ended" : "");
    if (++subscription->received[m] > 1)
        fail_msg("message %zu reached subscription %zu twice", m, number);
    if (*newest > m)
        fail_msg("message %zu reached subscription %zu behind message %u of its publisher", m, number, *newest - 1U);
    *newest = (uint16_t)(m + 1);
}

static bool is_receipt_of_disconnect(const char *frame) {
    return strncmp(frame, "RECEIPT\n", 8) == 0 && bytes_equal(sim_header(frame, "receipt-id"), BYTES("bye"));
}

static void read_all(struct run *run, struct player *player) {
    const char *frame;
    while (player->client && (frame = sim_read(player->client)) != NULL) {
        if (is_receipt_of_disconnect(frame))
            drop(run, player);
        else if (strncmp(frame, "RECEIPT\n", 8) == 0)
            read_receipt(run, frame);
        else if (strncmp(frame, "MESSAGE\n", 8) == 0)
            read_message(run, player, frame);
        else
            fail_msg("unexpected:\n%s", frame);
    }
}

/* ---- what clients do ---- */

static void connect_player(struct run *run, struct player *player) {
    const struct sim_node *node = draw_node(run);
    if (run->connection_count == CONNECTIONS_MAX || !sim_node_serves(node) || node->stopped)
        return;
    struct connection_record *connection = &run->connections[run->connection_count];
    connection->user = users[draw(run, COUNT(users))];
    connection->node = index_of(run, node);
    connection->boot = (unsigned)strtoul(node->boot_id, NULL, 10);
    *player = (struct player){.connection = run->connection_count++};
    player->client = sim_connect(node->workers, draw(run, run->simulator->worker_count), connection->user);
    snprintf(connection->session, sizeof connection->session, "%s", player->client->session->id);
}

static void subscribe(struct run *run, struct player *player, const char *destination) {
    size_t number = run->subscription_count;
    if (number == SUBSCRIPTIONS_MAX)
        return;
    run->subscription_count++;
    struct subscription_record *subscription = &run->subscriptions[number];
    subscription->connection = player->connection;
    subscription->destination = destination;
    subscription->asked = run->now;
    subscription->holds = true;
    sim_send(player->client, "SUBSCRIBE\nid:%zu\ndestination:%s\nreceipt:s%zu\n\n", number, destination, number);
}

/* One of the player's subscriptions, or NULL. */
static struct subscription_record *pick_subscription(struct run *run, const struct player *player) {
    size_t first = draw(run, SUBSCRIPTIONS_MAX);
    for (size_t n = 0; n < run->subscription_count; n++) {
        struct subscription_record *subscription = &run->subscriptions[(first + n) % run->subscription_count];
        if (subscription->connection == player->connection && subscription->holds)
            return subscription;
    }
    return NULL;
}

/* Often the same destination is wanted again at once: announcements then overtake confirmations. */
static void unsubscribe(struct run *run, struct player *player) {
    struct subscription_record *subscription = pick_subscription(run, player);
    if (!subscription)
        return;
    size_t number = (size_t)(subscription - run->subscriptions);
    subscription->holds = false;
    subscription->unsubscribed = run->now;
    sim_send(player->client, "UNSUBSCRIBE\nid:%zu\nreceipt:u%zu\n\n", number, number);
    if (draw(run, 2) == 0)
        subscribe(run, player, subscription->destination);
}

static void publish_to(struct run *run, struct player *player, const char *destination) {
    size_t number = run->message_count;
    if (number == MESSAGES_MAX)
        return;
    run->message_count++;
    struct message_record *message = &run->messages[number];
    message->publisher = player->connection;
    message->destination = destination;
    message->sent = run->now;
    message->only = NOBODY;
    if (is_user(destination) && (strstr(destination, "//") || draw(run, 2) == 0))
        message->only = draw(run, run->connection_count);
    if (message->only == NOBODY)
        sim_send(player->client, "SEND\ndestination:%s\n\n%zu", message->destination, number);
    else
        sim_send(player->client, "SEND\ndestination:%s\nsession:%s\n\n%zu", message->destination,
                 run->connections[message->only].session, number);
}

static void publish(struct run *run, struct player *player) {
    bool to_user = draw(run, 3) == 0;
    publish_to(run, player,
               to_user ? user_destinations[draw(run, COUNT(user_destinations))] : topics[draw(run, COUNT(topics))]);
}

/* Now that it is promised to arrive. */
static void publish_to_answered(struct run *run, struct player *player) {
    const char *destination = run->answered->destination;
    run->answered = NULL;
    if (is_user(destination) || strchr(destination, '*'))
        publish(run, player);
    else
        publish_to(run, player, destination);
}

static void disconnect(struct run *run, struct player *player) {
    forget_client(run, player, false);
    player->leaving = true;
    sim_send(player->client, "DISCONNECT\nreceipt:bye\n\n");
}

static void act_as(struct run *run, struct player *player) {
    unsigned choice = draw(run, 72);
    if (!player->client)
        connect_player(run, player);
    else if (player->leaving || choice < 18)
        read_all(run, player);
    else if (run->answered)
        publish_to_answered(run, player);
    else if (choice < 28)
        subscribe(run, player, interests[draw(run, COUNT(interests))]);
    else if (choice < 44)
        unsubscribe(run, player);
    else if (choice < 68)
        publish(run, player);
    else if (choice < 70)
        disconnect(run, player);
    else
        drop(run, player);
}

/* ---- faults ---- */

/* Its clients are gone. */
static void lose_node(struct run *run, const struct sim_node *node, bool loses) {
    for (size_t n = 0; n < PLAYERS; n++) {
        struct player *player = &run->players[n];
        if (!player->client || run->connections[player->connection].node != index_of(run, node))
            continue;
        forget_client(run, player, loses || player->client->session->input_waits);
        player->client = NULL;
    }
    for (size_t n = 0; n < run->message_count; n++)
        if (loses && run->messages[n].arrived == 0 &&
            run->connections[run->messages[n].publisher].boot == strtoul(node->boot_id, NULL, 10))
            run->messages[n].lost = true;
}

static void start_node(struct run *run, struct sim_node *node) {
    sim_node_start(node);
    run->cut[index_of(run, node)] = false;
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

/* What it has said goes out first, if it can. */
static void leave_or_start(struct run *run, struct sim_node *node) {
    if (!sim_node_runs(node)) {
        start_node(run, node);
        return;
    }
    if (node->stopped || node->ended)
        return;
    lose_node(run, node, !is_on_the_bus(run, node));
    while (node->workers->client_count > 0)
        sim_close(node->workers->clients[0]);
    cluster_settle(run->simulator);
    if (sim_node_runs(node))
        sim_node_leave(node);
    for (uint64_t end_ms = run->simulator->now_ms + LEAVE_MS; sim_node_runs(node);) {
        assert_true(run->simulator->now_ms < end_ms);
        cluster_pass(run->simulator, SIM_TICK_MS);
    }
}

static void restart_server(struct run *run) {
    struct fake_server *server = &run->simulator->server;
    if (server->running)
        fake_server_stop(server);
    else
        fake_server_start(server, draw(run, 2) == 0);
}

static void cut_or_mend(struct run *run, const struct sim_node *node) {
    bool *cut = &run->cut[index_of(run, node)];
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
    enum trouble fault = (enum trouble)draw(run, FAULTS);
    if ((run->faults & 1u << fault) == 0)
        return;
    if (fault == FREEZE)
        fake_server_freeze(server, !server->frozen);
    else if (fault == RESTART)
        restart_server(run);
    else if (fault == EMPTY)
        fake_server_empty(server);
    else if (fault == FILL)
        server->full = !server->full;
    else
        fail_node(run, fault, draw_node(run));
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

static void read_everything(struct run *run) {
    for (size_t n = 0; n < PLAYERS; n++)
        read_all(run, &run->players[n]);
}

/* Nodes that run are on the bus, and have no more to say. */
static bool is_quiet(const struct run *run) {
    bool quiet = run->simulator->server.running && !run->simulator->server.frozen;
    for (unsigned n = 0; n < run->simulator->node_count; n++)
        if (sim_node_runs(&run->simulator->nodes[n]) && !sim_node_is_settled(&run->simulator->nodes[n]))
            quiet = false;
    return quiet;
}

/* Where nothing is under way, whatever was sent has arrived, and whoever has subscribed has his receipt. */
static void check_rest(struct run *run) {
    for (size_t n = 0; n < PLAYERS; n++)
        assert_false(run->players[n].client && run->players[n].client->session->input_waits);
    for (size_t n = 0; n < run->message_count; n++)
        if (run->messages[n].arrived == 0)
            run->messages[n].arrived = run->now;
    for (size_t n = 0; n < run->subscription_count; n++)
        if (run->subscriptions[n].holds && run->subscriptions[n].live == 0)
            fail_msg("subscription %zu to %s has no receipt", n, run->subscriptions[n].destination);
}

/* Where nothing is under way, a node that is alone lets its publishers go on. */
static void check_nobody_waits_for_others(const struct run *run) {
    for (size_t n = 0; n < PLAYERS; n++) {
        const struct player *player = &run->players[n];
        const struct sim_node *node = &run->simulator->nodes[run->connections[player->connection].node];
        if (player->client && !node->stopped && cluster_state(node->cluster) == CLUSTER_AWAY)
            assert_false(player->client->session->input_waits);
    }
}

/* Also those that were refused. */
static void lose_nodes(struct run *run) {
    for (unsigned n = 0; n < run->simulator->node_count; n++)
        if (!sim_node_runs(&run->simulator->nodes[n]))
            lose_node(run, &run->simulator->nodes[n], true);
}

static void come_to_rest(struct run *run) {
    cluster_settle(run->simulator);
    lose_nodes(run);
    check_nobody_waits_for_others(run);
    read_everything(run);
    if (is_quiet(run))
        check_rest(run);
}

/* ---- the end ---- */

/* Users' sessions that are there, by the players' own knowledge. */
static bool is_online(const struct run *run, struct bytes session, struct bytes user) {
    for (size_t n = 0; n < PLAYERS; n++) {
        const struct player *player = &run->players[n];
        const struct connection_record *connection = &run->connections[player->connection];
        if (player->client && bytes_equal(session, bytes_of(connection->session)))
            return connection->user && bytes_equal(user, bytes_of(connection->user));
    }
    return false;
}

static size_t count_online(const struct run *run) {
    size_t count = 0;
    for (size_t n = 0; n < PLAYERS; n++)
        count += run->players[n].client && run->connections[run->players[n].connection].user;
    return count;
}

static bool is_running(const struct run *run, const struct fake_node *entry) {
    for (unsigned n = 0; n < run->simulator->node_count; n++)
        if (sim_node_runs(&run->simulator->nodes[n]) &&
            bytes_equal(buffer_bytes(&entry->boot), bytes_of(run->simulator->nodes[n].boot)))
            return !entry->fenced;
    return false;
}

static void check_registry(const struct run *run) {
    const struct fake_server *server = &run->simulator->server;
    size_t online = 0;
    size_t alive = 0;
    LIST_FOR_EACH (at, &server->sessions) {
        const struct fake_session *session = CONTAINER_OF(at, struct fake_session, in_server);
        if (!is_online(run, buffer_bytes(&session->id), buffer_bytes(&session->user)))
            fail_msg("the registry has %.*s of %.*s", BYTES_ARG(buffer_bytes(&session->id)),
                     BYTES_ARG(buffer_bytes(&session->user)));
        online++;
    }
    assert_int_equal(online, count_online(run));
    LIST_FOR_EACH (at, &server->nodes) {
        const struct fake_node *entry = CONTAINER_OF(at, struct fake_node, in_server);
        if (!is_running(run, entry))
            fail_msg("the book of nodes has %.*s", BYTES_ARG(buffer_bytes(&entry->boot)));
        alive++;
    }
    for (unsigned n = 0; n < run->simulator->node_count; n++)
        alive -= sim_node_runs(&run->simulator->nodes[n]);
    assert_int_equal(alive, 0);
}

/* Without clients a node is subscribed to nothing but its own channel, and no publisher owes anything. */
static void check_nothing_is_left(struct run *run) {
    for (size_t n = 0; n < PLAYERS; n++)
        if (run->players[n].client)
            drop(run, &run->players[n]);
    cluster_pass(run->simulator, RELEASE_MS);
    for (unsigned n = 0; n < run->simulator->node_count; n++) {
        const struct sim_node *node = &run->simulator->nodes[n];
        struct cluster_counters counters;
        if (!sim_node_runs(node))
            continue;
        cluster_count(node->cluster, &counters);
        assert_int_equal(counters.channels, 1);
        assert_int_equal(counters.fanout.dropped, 0);
        assert_int_equal(counters.inbound_dropped, 0);
        for (unsigned worker = 0; worker < run->simulator->worker_count; worker++)
            assert_int_equal(node->workers->workers[worker].router.peers[run->simulator->worker_count].unsettled, 0);
    }
    assert_true(list_is_empty(&run->simulator->server.sessions));
}

/* ---- the run ---- */

static void wait(struct run *run) {
    for (unsigned ticks = 1 + draw(run, 8); ticks > 0; ticks--) {
        cluster_tick_all(run->simulator);
        for (unsigned n = draw(run, 60); n > 0; n--)
            cluster_step(run->simulator);
    }
}

static void act(struct run *run) {
    unsigned choice = draw(run, 100);
    if (choice < 68)
        act_as(run, &run->players[draw(run, PLAYERS)]);
    else if (choice < 84)
        for (unsigned n = draw(run, 20); n > 0; n--)
            cluster_step(run->simulator);
    else if (choice < 91)
        wait(run);
    else if (choice < 96)
        fail_something(run);
    else if (choice < 97)
        mend_all(run);
    else
        come_to_rest(run);
}

static void look_after(struct run *run) {
    lose_nodes(run);
    for (unsigned n = 0; n < run->simulator->node_count; n++) {
        struct sim_node *node = &run->simulator->nodes[n];
        run->deaf[n][run->now] = node->was_deaf;
        run->linked[n][run->now] = node->had_a_link;
        node->was_deaf = !sim_node_hears(node);
        node->had_a_link = sim_node_has_link(node);
    }
}

static void begin(struct run *run) {
    run->random = run->seed * UINT64_C(0x9e3779b97f4a7c15);
    run->simulator = cluster_simulator_new(2 + draw(run, 2), 1 + draw(run, 2), run->random);
    run->faults = draw(run, 4) == 0 ? 0 : draw(run, 1u << FAULTS);
    for (unsigned n = 0; n < run->simulator->node_count; n++)
        start_node(run, &run->simulator->nodes[n]);
    cluster_pass(run->simulator, 2 * SIM_TICK_MS);
    for (size_t n = 0; n < PLAYERS; n++)
        connect_player(run, &run->players[n]);
}

/* Everybody says one thing more, which has to come through at once. */
static void say_good_bye(struct run *run) {
    for (size_t n = 0; n < PLAYERS; n++)
        if (run->players[n].client)
            publish(run, &run->players[n]);
    come_to_rest(run);
    assert_true(is_quiet(run));
}

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
            start_node(run, draw_node(run));
        cluster_pass(run->simulator, SIM_QUIET_MS);
        lose_nodes(run);
    }
}

static void end(struct run *run) {
    calm_down(run);
    come_to_rest(run);
    assert_true(is_quiet(run));
    check_registry(run);
    look_after(run);
    run->now++;
    say_good_bye(run);
    check_all_arrived(run);
    check_nothing_is_left(run);
}

static void play(struct run *run) {
    begin(run);
    for (run->now = 1; run->now <= ACTIONS; run->now++) {
        act(run);
        look_after(run);
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

static void test_random_clients_get_what_they_were_promised(void **state) {
    struct run *run = *state;
    const char *only = getenv("STOMPD_SEED");
    const char *many = getenv("STOMPD_SEEDS");
    uint64_t first = only ? strtoull(only, NULL, 10) : 1;
    uint64_t last = only ? first : many ? strtoull(many, NULL, 10) : SEEDS;
    log_set_level(only ? LOG_LEVEL_DEBUG : LOG_LEVEL_ERROR);
    assert_true(first > 0 && last > 0);
    for (uint64_t seed = first; seed <= last; seed++) {
        *run = (struct run){.seed = seed};
        play(run);
        cluster_simulator_free(run->simulator);
        run->simulator = NULL;
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_random_clients_get_what_they_were_promised, setup, teardown),
    };
    return cmocka_run_group_tests_name("hub/cluster_random", tests, NULL, NULL);
}
