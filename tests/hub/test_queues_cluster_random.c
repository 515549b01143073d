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

#include "base/random.h"
#include "cluster_simulator.h"
#include "queue_ledger.h"
#include "stompd/base/log.h"
#include "store/fake_queues.h"

#define SEEDS   100
#define ACTIONS 900
#define PLAYERS 8
#define HELD    128

/* The end needs some, too. */
#define LETTERS       (LEDGER_LETTERS - 240)
#define DEALS         (LEDGER_DEALS - PLAYERS)
#define CONNECTIONS   (LEDGER_CONNECTIONS - 8)
#define SUBSCRIPTIONS (LEDGER_SUBSCRIPTIONS - 3 * LEDGER_PLACES)

#define PREFETCH_MAX 5

/* In some runs a few letters are so large that a take, or a slow client, has enough of them. */
#define LARGE     300000
#define LARGE_MAX 8

/* Letters that may expire do so after this time. */
#define BRIEF_MS 3000

/* A node that leaves has that long. */
#define LEAVE_MS 15000

/* Rounds in which all is consumed. */
#define ROUNDS_MAX LEDGER_LETTERS

/* Answers that may be asked for again. */
#define KEPT_MAX 16

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

enum trouble { CUT, STALL, DEAFEN, FREEZE, RESTART, FILL, KILL, LEAVE, STOP, LOSE, FAULTS };

/* A letter that a client has and has not acknowledged, or not yet committed. */
struct held {
    unsigned letter;
    unsigned subscription;
    bool claimed;
    char id[64]; /* what ACK names it by */
};

struct player {
    struct sim_client *client; /* NULL: not connected */
    unsigned connection;
    bool old;      /* it speaks 1.1 */
    bool leaving;  /* DISCONNECT was sent */
    bool slow;     /* its socket takes nothing */
    unsigned deal; /* its open transaction, plus one; 0: none */
    unsigned held_count;
    struct held held[HELD];
};

struct connection_record {
    unsigned node;
    unsigned boot;
};

struct run {
    uint64_t seed;
    uint64_t random;
    unsigned faults; /* a bit for each kind that may happen */
    bool lost;       /* the server has lost its data */
    bool leaves;     /* clients may go, and give back */
    bool heavy;      /* some letters are large, */
    unsigned large;  /* so many more */
    struct cluster_simulator *simulator;
    bool cut[SIM_NODES_MAX];
    struct player players[PLAYERS];
    unsigned connection_count;
    struct connection_record connections[LEDGER_CONNECTIONS];
    struct policy policies[2];
    struct ledger ledger;
};

static char large_body[LARGE + 1];

static unsigned draw(struct run *run, unsigned bound) {
    return (unsigned)random_below(&run->random, bound);
}

static struct sim_node *draw_node(struct run *run) {
    return &run->simulator->nodes[draw(run, run->simulator->node_count)];
}

static unsigned index_of(const struct run *run, const struct sim_node *node) {
    return (unsigned)(node - run->simulator->nodes);
}

static struct sim_node *node_of(const struct run *run, const struct player *player) {
    return &run->simulator->nodes[run->connections[player->connection].node];
}

static struct ledger_subscription *subscription_of(struct run *run, unsigned number) {
    return &run->ledger.subscriptions[number];
}

/* What is promised, by what has happened. */
static void look_at_server(struct run *run) {
    const struct fake_server *server = &run->simulator->server;
    run->ledger.sound = server->buried_alive == 0 && !run->lost;
    run->ledger.exact = run->ledger.sound && server->given_back == 0;
}

/* ---- clients go ---- */

static bool loses(const struct player *player) {
    return player->client->session->input_waits || player->client->session->state != SESSION_OPEN;
}

static void forget_client(struct run *run, struct player *player, bool loses_some) {
    ledger_disconnect(&run->ledger, player->connection, loses_some);
    player->client = NULL;
}

/* The socket goes without a word; what its session had not taken is lost. */
static void drop(struct run *run, struct player *player) {
    struct sim_client *client = player->client;
    bool loses_some = loses(player);
    forget_client(run, player, loses_some);
    sim_close(client);
}

/* Those whose sessions have ended have nothing any more, though they may have yet to read why. */
static void notice_ended(struct run *run) {
    for (size_t n = 0; n < PLAYERS; n++) {
        struct player *player = &run->players[n];
        if (!player->client || player->leaving || player->client->session->state == SESSION_OPEN)
            continue;
        ledger_disconnect(&run->ledger, player->connection, true);
        player->held_count = 0;
        player->deal = 0;
        player->leaving = true;
    }
}

/* ---- what clients have ---- */

static void add_held(struct run *run, struct player *player, unsigned letter, unsigned subscription, struct bytes id) {
    assert_true(player->held_count < HELD);
    struct held *held = &player->held[player->held_count++];
    *held = (struct held){.letter = letter, .subscription = subscription};
    snprintf(held->id, sizeof held->id, "%.*s", BYTES_ARG(id));
    unsigned count = 0;
    for (unsigned n = 0; n < player->held_count; n++)
        count += player->held[n].subscription == subscription;
    if (count > subscription_of(run, subscription)->prefetch)
        fail_msg("subscription %u has more than it may have", subscription);
}

static void remove_held(struct player *player, unsigned n) {
    player->held_count--;
    memmove(&player->held[n], &player->held[n + 1], (player->held_count - n) * sizeof player->held[0]);
}

/* ---- reading ---- */

/* Behind a letter: m12. */
static unsigned number_in(struct bytes text) {
    unsigned number = 0;
    for (size_t n = 0; n < text.len; n++)
        if (text.data[n] >= '0' && text.data[n] <= '9')
            number = number * 10 + (unsigned)(text.data[n] - '0');
    return number;
}

static void read_receipt(struct run *run, const char *frame) {
    struct bytes id = sim_header(frame, "receipt-id");
    unsigned number = number_in(id);
    switch (id.data[0]) {
    case 'm':
        ledger_taken(&run->ledger, number);
        break;
    case 't':
        ledger_committed(&run->ledger, number);
        break;
    case 'a':
        ledger_carried_out(&run->ledger, number);
        break;
    case 's':
        subscription_of(run, number)->live = run->ledger.orders + 1;
        break;
    default:
        subscription_of(run, number)->gone = true;
    }
}

static void read_message(struct run *run, struct player *player, const char *frame) {
    struct bytes count = sim_header(frame, "delivery-count");
    struct sighting sighting = {.letter = (unsigned)strtoul(sim_body(frame), NULL, 10),
                                .subscription = number_in(sim_header(frame, "subscription")),
                                .redelivered = bytes_equal(sim_header(frame, "redelivered"), BYTES("true")),
                                .deliveries = count.data ? number_in(count) : 1,
                                .dead_from = sim_header(frame, "dead-letter-from"),
                                .dead_reason = sim_header(frame, "dead-letter-reason")};
    look_at_server(run);
    ledger_saw(&run->ledger, player->connection, &sighting);
    const struct ledger_subscription *subscription = subscription_of(run, sighting.subscription);
    if (subscription->place == LEDGER_TOPIC)
        return;
    if (subscription->ack == LEDGER_AUTO)
        ledger_settle(&run->ledger, sighting.letter, player->connection, 0);
    else if (subscription->holds)
        add_held(run, player, sighting.letter, sighting.subscription,
                 sim_header(frame, player->old ? "message-id" : "ack"));
}

/* It may only be about what is on its way. */
static void read_error(struct run *run, struct player *player, const char *frame) {
    struct bytes receipt = sim_header(frame, "receipt-id");
    look_at_server(run);
    if (!receipt.data || (receipt.data[0] != 'm' && receipt.data[0] != 't'))
        fail_msg("unexpected:\n%s", frame);
    ledger_refused(&run->ledger, receipt.data[0] == 't', number_in(receipt), frame);
    drop(run, player);
}

static bool is_receipt_of_disconnect(const char *frame) {
    return strncmp(frame, "RECEIPT\n", 8) == 0 && bytes_equal(sim_header(frame, "receipt-id"), BYTES("bye"));
}

static bool read_frame(struct run *run, struct player *player) {
    const char *frame = sim_read(player->client);
    notice_ended(run);
    if (!frame)
        return false;
    if (is_receipt_of_disconnect(frame))
        drop(run, player);
    else if (strncmp(frame, "RECEIPT\n", 8) == 0)
        read_receipt(run, frame);
    else if (strncmp(frame, "MESSAGE\n", 8) == 0)
        read_message(run, player, frame);
    else if (strncmp(frame, "ERROR\n", 6) == 0)
        read_error(run, player, frame);
    else
        fail_msg("unexpected:\n%s", frame);
    return true;
}

/* Returns how many frames it has read. */
static unsigned read_some(struct run *run, struct player *player, unsigned most) {
    unsigned count = 0;
    while (count < most && player->client && !player->slow && read_frame(run, player))
        count++;
    return count;
}

/* ---- clients come, and subscribe ---- */

static void connect_player(struct run *run, struct player *player, const struct sim_node *node) {
    if (run->connection_count == LEDGER_CONNECTIONS || !sim_node_serves(node) || node->stopped)
        return;
    struct connection_record *connection = &run->connections[run->connection_count];
    connection->node = index_of(run, node);
    connection->boot = (unsigned)strtoul(node->boot_id, NULL, 10);
    *player = (struct player){.connection = run->connection_count++, .old = draw(run, 4) == 0};
    player->client =
        sim_connect_as(node->workers, draw(run, run->simulator->worker_count), NULL, player->old ? "1.1" : "1.2");
}

static void subscribe(struct run *run, struct player *player, unsigned place) {
    static const char *const modes[] = {"auto", "client", "client-individual"};
    unsigned number = run->ledger.subscription_count++;
    struct ledger_subscription *subscription = subscription_of(run, number);
    subscription->connection = player->connection;
    subscription->place = place;
    subscription->ack = (enum ledger_ack)draw(run, 3);
    /* Before 1.2 nobody knows which of two an ACK means that also speaks for what lies between them. */
    if (place == LEDGER_TOPIC || (player->old && subscription->ack == LEDGER_CLIENT))
        subscription->ack = LEDGER_AUTO;
    subscription->prefetch = 1 + draw(run, PREFETCH_MAX);
    subscription->holds = true;
    sim_send(player->client, "SUBSCRIBE\nid:%u\ndestination:%s\nack:%s\nprefetch-count:%u\nreceipt:s%u\n\n", number,
             ledger_destination(place), modes[subscription->ack], subscription->prefetch, number);
}

static void subscribe_somewhere(struct run *run, struct player *player) {
    unsigned choice = draw(run, 8);
    if (run->ledger.subscription_count >= SUBSCRIPTIONS)
        return;
    if (choice == 0)
        subscribe(run, player, LEDGER_TOPIC);
    else if (choice == 1 && run->leaves)
        subscribe(run, player, LEDGER_QUEUES + draw(run, LEDGER_QUEUES));
    else
        subscribe(run, player, draw(run, LEDGER_QUEUES));
}

static void unsubscribe(struct run *run, struct player *player, unsigned number) {
    ledger_unsubscribe(&run->ledger, number);
    for (unsigned n = player->held_count; n-- > 0;)
        if (player->held[n].subscription == number && !player->held[n].claimed)
            remove_held(player, n);
    sim_send(player->client, "UNSUBSCRIBE\nid:%u\nreceipt:u%u\n\n", number, number);
}

static void unsubscribe_somewhere(struct run *run, struct player *player) {
    unsigned first = draw(run, LEDGER_SUBSCRIPTIONS);
    for (unsigned n = 0; n < run->ledger.subscription_count; n++) {
        unsigned number = (first + n) % run->ledger.subscription_count;
        const struct ledger_subscription *subscription = subscription_of(run, number);
        if (subscription->connection != player->connection || !subscription->holds)
            continue;
        unsubscribe(run, player, number);
        return;
    }
}

/* ---- clients send ---- */

static void send_large(struct player *player, const char *head, unsigned letter) {
    static char frame[LARGE + 1024];
    int len = snprintf(frame, sizeof frame, "%s%u%s", head, letter, large_body);
    sim_feed(player->client, frame, (size_t)len + 1);
}

static void send_letter(struct run *run, struct player *player, unsigned place, unsigned deal) {
    char head[256];
    char of_deal[64] = "";
    unsigned number = ledger_send(&run->ledger, player->connection, place, deal);
    bool brief = place != LEDGER_TOPIC && draw(run, 16) == 0;
    bool large = run->large > 0 && place != LEDGER_TOPIC && draw(run, 8) == 0;
    run->ledger.letters[number].excused = brief;
    run->large -= large;
    if (deal > 0)
        snprintf(of_deal, sizeof of_deal, "transaction:%u\n", deal - 1);
    else
        snprintf(of_deal, sizeof of_deal, "receipt:m%u\n", number);
    snprintf(head, sizeof head, "SEND\ndestination:%s\n%s%s\n", ledger_destination(place), of_deal,
             brief ? "expiration:3000\n" : "");
    if (large)
        send_large(player, head, number);
    else
        sim_send(player->client, "%s%u", head, number);
}

static void send_somewhere(struct run *run, struct player *player, unsigned deal) {
    static const unsigned places[] = {0, 0, 0, LEDGER_LIMITED, LEDGER_WEARING, LEDGER_WEARING};
    if (run->ledger.letter_count < LETTERS)
        send_letter(run, player, deal > 0 && draw(run, 4) == 0 ? LEDGER_TOPIC : places[draw(run, COUNT(places))], deal);
}

static void send_several(struct run *run, struct player *player) {
    for (unsigned n = 1 + draw(run, 3); n > 0; n--)
        send_somewhere(run, player, 0);
}

/* ---- clients settle ---- */

/* What the frame speaks for: in mode `client` all before it, too. */
static bool is_covered(struct run *run, const struct player *player, unsigned n, unsigned last) {
    const struct held *held = &player->held[n];
    const struct held *named = &player->held[last];
    if (held->claimed || held->subscription != named->subscription || n > last)
        return false;
    return n == last || subscription_of(run, held->subscription)->ack == LEDGER_CLIENT;
}

static void claim(struct run *run, struct player *player, unsigned last, bool settles, bool rejects) {
    for (unsigned n = 0; n <= last; n++) {
        if (!is_covered(run, player, n, last))
            continue;
        ledger_claim(&run->ledger, player->deal - 1, player->held[n].letter, settles, rejects);
        player->held[n].claimed = true;
    }
}

static void finish(struct run *run, struct player *player, unsigned last, unsigned ticket, bool settles, bool rejects) {
    for (unsigned n = last + 1; n-- > 0;) {
        unsigned letter = player->held[n].letter;
        if (!is_covered(run, player, n, last))
            continue;
        if (settles)
            ledger_settle(&run->ledger, letter, player->connection, ticket);
        else if (rejects)
            ledger_reject(&run->ledger, letter, player->connection, ticket);
        else
            ledger_give_back(&run->ledger, letter);
    }
    /* Backwards, since the last says which are covered. */
    struct held named = player->held[last];
    bool all = subscription_of(run, named.subscription)->ack == LEDGER_CLIENT;
    for (unsigned n = last + 1; n-- > 0;)
        if (n == last || (all && player->held[n].subscription == named.subscription && !player->held[n].claimed))
            remove_held(player, n);
}

static void acknowledge(struct run *run, struct player *player, unsigned n, bool settles, bool rejects, bool in_deal) {
    const struct held *held = &player->held[n];
    char name[160];
    char with[64];
    unsigned ticket = in_deal ? 0 : ++run->ledger.tickets;
    if (player->old)
        snprintf(name, sizeof name, "message-id:%s\nsubscription:%u", held->id, held->subscription);
    else
        snprintf(name, sizeof name, "id:%s", held->id);
    if (in_deal)
        snprintf(with, sizeof with, "transaction:%u\n", player->deal - 1);
    else
        snprintf(with, sizeof with, draw(run, 2) == 0 ? "receipt:a%u\n" : "", ticket);
    sim_send(player->client, "%s\n%s\n%s%s\n", settles ? "ACK" : "NACK", name, with, rejects ? "requeue:false\n" : "");
    if (in_deal)
        claim(run, player, n, settles, rejects);
    else
        finish(run, player, n, ticket, settles, rejects);
}

/* One that no transaction has. */
static bool pick_held(struct run *run, const struct player *player, unsigned *picked) {
    unsigned first = draw(run, HELD);
    for (unsigned n = 0; n < player->held_count; n++) {
        *picked = (first + n) % player->held_count;
        if (!player->held[*picked].claimed)
            return true;
    }
    return false;
}

static bool deal_has_room(const struct run *run, const struct player *player) {
    return run->ledger.deals[player->deal - 1].claim_count + player->held_count <= LEDGER_CLAIMS;
}

static void acknowledge_something(struct run *run, struct player *player, bool in_deal) {
    unsigned n;
    unsigned choice = run->leaves ? draw(run, 10) : 0;
    if (pick_held(run, player, &n) && (!in_deal || deal_has_room(run, player)))
        acknowledge(run, player, n, choice < 5, choice >= 8, in_deal);
}

static void acknowledge_some(struct run *run, struct player *player) {
    for (unsigned n = 1 + draw(run, 3); n > 0; n--)
        acknowledge_something(run, player, false);
}

/* ---- transactions ---- */

static void begin_deal(struct run *run, struct player *player) {
    if (run->ledger.deal_count == DEALS)
        return;
    player->deal = ledger_begin(&run->ledger, player->connection) + 1;
    sim_send(player->client, "BEGIN\ntransaction:%u\n\n", player->deal - 1);
}

static void end_deal(struct run *run, struct player *player, bool commits) {
    unsigned deal = player->deal - 1;
    player->deal = 0;
    if (commits)
        ledger_commit(&run->ledger, deal);
    else
        ledger_abort(&run->ledger, deal);
    for (unsigned n = player->held_count; n-- > 0;) {
        struct held *held = &player->held[n];
        bool holds = subscription_of(run, held->subscription)->holds;
        if (!held->claimed)
            continue;
        if (!commits && !holds)
            ledger_give_back(&run->ledger, held->letter);
        if (commits || !holds)
            remove_held(player, n);
        else
            held->claimed = false;
    }
    if (commits)
        sim_send(player->client, "COMMIT\ntransaction:%u\nreceipt:t%u\n\n", deal, deal);
    else
        sim_send(player->client, "ABORT\ntransaction:%u\n\n", deal);
}

/* Of a transaction: whoever is to give nothing back only takes, or only sends. */
static void go_on_with_deal(struct run *run, struct player *player, bool sends, bool takes) {
    unsigned choice = draw(run, 10);
    if (player->deal == 0)
        begin_deal(run, player);
    else if (choice < 4 && sends)
        send_somewhere(run, player, player->deal);
    else if (choice < 7 && takes)
        acknowledge_something(run, player, true);
    else if (choice < 9)
        end_deal(run, player, true);
    else
        end_deal(run, player, false);
}

/* ---- what clients do ---- */

static void disconnect(struct run *run, struct player *player) {
    for (unsigned n = 0; n < run->ledger.subscription_count; n++)
        if (subscription_of(run, n)->connection == player->connection)
            ledger_unsubscribe(&run->ledger, n);
    ledger_disconnect(&run->ledger, player->connection, false);
    player->held_count = 0;
    player->deal = 0;
    player->slow = false;
    player->leaving = true;
    sim_send(player->client, "DISCONNECT\nreceipt:bye\n\n");
}

static void go(struct run *run, struct player *player, unsigned choice) {
    if (choice < 96)
        player->slow = true;
    else if (choice < 97)
        disconnect(run, player);
    else
        drop(run, player);
}

/* Where nobody goes, those with even numbers send, and the others take. */
static void act_as(struct run *run, struct player *player) {
    unsigned choice = draw(run, 98);
    bool even = (player - run->players) % 2 == 0;
    bool sends = run->leaves || even;
    bool takes = run->leaves || !even;
    notice_ended(run);
    player->slow = player->slow && draw(run, 6) > 0;
    if (!player->client)
        connect_player(run, player, draw_node(run));
    else if (player->leaving || choice < 32)
        read_some(run, player, player->leaving ? UINT32_MAX : 1 + draw(run, 12));
    else if (choice < 40 && takes)
        subscribe_somewhere(run, player);
    else if (choice < 42 && run->leaves)
        unsubscribe_somewhere(run, player);
    else if (choice < 55 && sends)
        send_several(run, player);
    else if (choice < 80 && takes)
        acknowledge_some(run, player);
    else if (choice < 92)
        go_on_with_deal(run, player, sends, takes);
    else if (choice < 96 || run->leaves || even)
        go(run, player, choice);
}

/* ---- faults ---- */

/* Its clients are gone; `loses`: and some of what was under way. */
static void lose_node(struct run *run, const struct sim_node *node, bool loses_some) {
    unsigned boot = (unsigned)strtoul(node->boot_id, NULL, 10);
    for (size_t n = 0; n < PLAYERS; n++) {
        struct player *player = &run->players[n];
        if (player->client && node_of(run, player) == node)
            forget_client(run, player, loses_some || loses(player));
    }
    for (unsigned n = 0; n < run->connection_count && loses_some; n++)
        if (run->connections[n].boot == boot)
            ledger_doubt(&run->ledger, n);
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

/* What its clients have goes back first, if it can. */
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
        fail_node(run, fault, draw_node(run));
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

/* Deliveries that the consumers of a queue may still have. Each has no more than it may have. */
static size_t credit_of(const struct run *run, struct bytes queue) {
    size_t credit = 0;
    for (size_t n = 0; n < PLAYERS; n++) {
        const struct player *player = &run->players[n];
        if (!player->client || player->client->session->state != SESSION_OPEN)
            continue;
        LIST_FOR_EACH (at, &player->client->session->subscriptions) {
            const struct consumer *consumer = CONTAINER_OF(at, struct subscription, in_session)->consumer;
            size_t count = consumer ? count_deliveries(consumer) : 0;
            assert_true(!consumer || count <= consumer->prefetch);
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

/* Without faults, and where nobody goes, words are not lost: whoever may have something has it at once. */
static void check_nobody_waits(const struct run *run) {
    LIST_FOR_EACH (at, &run->simulator->server.queues) {
        const struct fake_queue *queue = CONTAINER_OF(at, struct fake_queue, in_server);
        size_t credit = credit_of(run, buffer_bytes(&queue->name));
        if (run->faults == 0 && !run->leaves && !run->heavy && count_ready(queue) > 0 && credit > 0)
            fail_msg("%zu letters of %.*s wait for consumers that may have %zu", count_ready(queue),
                     BYTES_ARG(buffer_bytes(&queue->name)), credit);
    }
}

static void come_to_rest(struct run *run) {
    cluster_settle(run->simulator);
    lose_nodes(run);
    if (!is_quiet(run))
        return;
    for (size_t n = 0; n < PLAYERS; n++)
        assert_false(run->players[n].client && run->players[n].client->session->input_waits);
    notice_ended(run);
    ledger_rest(&run->ledger);
    check_nobody_waits(run);
}

static unsigned read_everything(struct run *run) {
    unsigned count = 0;
    for (size_t n = 0; n < PLAYERS; n++)
        count += read_some(run, &run->players[n], UINT32_MAX);
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
            start_node(run, draw_node(run));
        cluster_pass(run->simulator, SIM_QUIET_MS);
        lose_nodes(run);
    }
}

static void acknowledge_all(struct run *run) {
    for (size_t p = 0; p < PLAYERS; p++) {
        struct player *player = &run->players[p];
        unsigned n;
        while (player->client && !player->leaving && pick_held(run, player, &n))
            acknowledge(run, player, n, true, false, false);
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
            end_deal(run, player, draw(run, 2) == 0);
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
        const struct ledger_subscription *subscription = subscription_of(run, n);
        if (subscription->holds && subscription->ack == LEDGER_AUTO && subscription->place != LEDGER_TOPIC)
            unsubscribe(run, player_of(run, subscription), n);
    }
    consume_all(run);
}

/* How much the subscriptions of a queue may have, and have, together. */
static unsigned count_of(struct run *run, unsigned place, bool may) {
    unsigned count = 0;
    for (unsigned n = 0; n < run->ledger.subscription_count; n++) {
        const struct ledger_subscription *subscription = subscription_of(run, n);
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
        if (player->client && draw(run, 2) == 0)
            drop(run, player);
        else if (player->client)
            disconnect(run, player);
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
        connect_player(run, &run->players[n], &run->simulator->nodes[n]);
        assert_non_null(run->players[n].client);
        for (unsigned place = 0; place < LEDGER_PLACES; place++)
            subscribe(run, &run->players[n], place);
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

static void end(struct run *run) {
    calm_down(run);
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
    for (unsigned ticks = 1 + draw(run, 8); ticks > 0; ticks--) {
        cluster_tick_all(run->simulator);
        for (unsigned n = draw(run, 60); n > 0; n--)
            cluster_step(run->simulator);
    }
}

static void act(struct run *run) {
    unsigned choice = draw(run, 100);
    if (choice < 55)
        act_as(run, &run->players[draw(run, PLAYERS)]);
    else if (choice < 80)
        for (unsigned n = draw(run, 80); n > 0; n--)
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
    run->simulator = cluster_simulator_new(2 + draw(run, 2), 1 + draw(run, 2), run->random);
    run->faults = draw(run, 4) == 0 ? 0 : draw(run, 1u << FAULTS);
    if (draw(run, 3) > 0)
        run->faults &= ~(1u << LOSE);
    run->leaves = draw(run, 4) > 0;
    if (!run->leaves)
        run->faults &= ~(1u << LEAVE);
    run->ledger.orderly = !run->leaves;
    run->heavy = draw(run, 8) == 0;
    run->large = run->heavy ? LARGE_MAX : 0;
    set_policies(run);
    for (unsigned n = 0; n < run->simulator->node_count; n++)
        start_node(run, &run->simulator->nodes[n]);
    cluster_pass(run->simulator, 2 * SIM_TICK_MS);
    for (size_t n = 0; n < PLAYERS; n++)
        connect_player(run, &run->players[n], draw_node(run));
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
    memset(large_body, ' ', LARGE);
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
    const char *only = getenv("STOMPD_SEED");
    const char *many = getenv("STOMPD_SEEDS");
    uint64_t first = only ? strtoull(only, NULL, 10) : 1;
    uint64_t last = only ? first : many ? strtoull(many, NULL, 10) : SEEDS;
    log_set_level(only ? LOG_LEVEL_DEBUG : LOG_LEVEL_ERROR);
    assert_true(first > 0 && last > 0);
    for (uint64_t seed = first; seed <= last; seed++) {
        memset(run, 0, sizeof *run);
        run->seed = seed;
        play(run);
        cluster_simulator_free(run->simulator);
        run->simulator = NULL;
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_random_clients_of_queues_get_what_they_were_promised, setup, teardown),
    };
    return cmocka_run_group_tests_name("hub/queues_cluster_random", tests, NULL, NULL);
}
