/* What clients of queues do, and what of it goes into the ledger; see queue_clients.h. */
#include "queue_clients.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* The end of a run needs some, too. */
#define LETTERS       (LEDGER_LETTERS - 240)
#define DEALS         (LEDGER_DEALS - PLAYERS)
#define CONNECTIONS   (LEDGER_CONNECTIONS - 8)
#define SUBSCRIPTIONS (LEDGER_SUBSCRIPTIONS - 3 * LEDGER_PLACES)

#define PREFETCH_MAX 5

/* Letters that may expire do so after this time. */
#define BRIEF_MS 3000

#define LARGE 300000

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* What is promised, by what has happened. */
static void look_at_server(struct run *run) {
    const struct fake_server *server = &run->simulator->server;
    run->ledger.sound = server->buried_alive == 0 && !run->lost && server->runs == 1;
    run->ledger.exact = run->ledger.sound && server->given_back == 0;
}

/* ---- clients go ---- */

bool client_loses(const struct player *player) {
    return player->client->session->input_waits || player->client->session->state != SESSION_OPEN;
}

void client_forget(struct run *run, struct player *player, bool loses_some) {
    ledger_disconnect(&run->ledger, player->connection, loses_some);
    player->client = NULL;
}

/* The socket goes without a word; what its session had not taken is lost. */
void client_drop(struct run *run, struct player *player) {
    struct sim_client *client = player->client;
    bool loses_some = client_loses(player);
    client_forget(run, player, loses_some);
    sim_close(client);
}

/* Those whose sessions were ended have nothing any more. */
void clients_notice_ended(struct run *run) {
    for (size_t n = 0; n < PLAYERS; n++) {
        struct player *player = &run->players[n];
        const struct session *session = player->client ? player->client->session : NULL;
        if (!session || player->ended || session->state == SESSION_OPEN || session->end == FAULT_NONE)
            continue;
        ledger_disconnect(&run->ledger, player->connection, true);
        player->held_count = 0;
        player->deal = 0;
        player->leaving = player->ended = true;
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
    if (count > run_subscription(run, subscription)->prefetch)
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
        run_subscription(run, number)->live = run->ledger.orders + 1;
        break;
    default:
        run_subscription(run, number)->gone = true;
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
    const struct ledger_subscription *subscription = run_subscription(run, sighting.subscription);
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
    bool deal = bytes_start_with(receipt, BYTES("t"));
    if (!deal && !bytes_start_with(receipt, BYTES("m")))
        fail_msg("unexpected:\n%s", frame);
    ledger_refused(&run->ledger, deal, number_in(receipt), frame);
    client_drop(run, player);
}

static bool is_receipt_of_disconnect(const char *frame) {
    return strncmp(frame, "RECEIPT\n", 8) == 0 && bytes_equal(sim_header(frame, "receipt-id"), BYTES("bye"));
}

static bool read_frame(struct run *run, struct player *player) {
    const char *frame = sim_read(player->client);
    clients_notice_ended(run);
    if (!frame)
        return false;
    if (is_receipt_of_disconnect(frame))
        client_drop(run, player);
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
unsigned client_read(struct run *run, struct player *player, unsigned most) {
    unsigned count = 0;
    while (count < most && player->client && !player->slow && read_frame(run, player))
        count++;
    return count;
}

/* ---- clients come, and subscribe ---- */

void client_connect(struct run *run, struct player *player, const struct sim_node *node) {
    if (run->connection_count == LEDGER_CONNECTIONS || !sim_node_serves(node) || node->stopped)
        return;
    struct connection_record *connection = &run->connections[run->connection_count];
    connection->node = run_index_of(run, node);
    connection->boot = (unsigned)strtoul(node->boot_id, NULL, 10);
    *player = (struct player){.connection = run->connection_count++, .old = run_draw(run, 4) == 0};
    player->client =
        sim_connect_as(node->workers, run_draw(run, run->simulator->worker_count), NULL, player->old ? "1.1" : "1.2");
}

void client_subscribe(struct run *run, struct player *player, unsigned place) {
    static const char *const modes[] = {"auto", "client", "client-individual"};
    unsigned number = run->ledger.subscription_count++;
    struct ledger_subscription *subscription = run_subscription(run, number);
    subscription->connection = player->connection;
    subscription->place = place;
    subscription->ack = (enum ledger_ack)run_draw(run, 3);
    /* Before 1.2 nobody knows which of two an ACK means that also speaks for what lies between them. */
    if (place == LEDGER_TOPIC || (player->old && subscription->ack == LEDGER_CLIENT))
        subscription->ack = LEDGER_AUTO;
    subscription->prefetch = 1 + run_draw(run, PREFETCH_MAX);
    subscription->holds = true;
    sim_send(player->client, "SUBSCRIBE\nid:%u\ndestination:%s\nack:%s\nprefetch-count:%u\nreceipt:s%u\n\n", number,
             ledger_destination(place), modes[subscription->ack], subscription->prefetch, number);
}

static void subscribe_somewhere(struct run *run, struct player *player) {
    unsigned choice = run_draw(run, 8);
    if (run->ledger.subscription_count >= SUBSCRIPTIONS)
        return;
    if (choice == 0)
        client_subscribe(run, player, LEDGER_TOPIC);
    else if (choice == 1 && run->leaves)
        client_subscribe(run, player, LEDGER_QUEUES + run_draw(run, LEDGER_QUEUES));
    else
        client_subscribe(run, player, run_draw(run, LEDGER_QUEUES));
}

void client_unsubscribe(struct run *run, struct player *player, unsigned number) {
    ledger_unsubscribe(&run->ledger, number);
    for (unsigned n = player->held_count; n-- > 0;)
        if (player->held[n].subscription == number && !player->held[n].claimed)
            remove_held(player, n);
    sim_send(player->client, "UNSUBSCRIBE\nid:%u\nreceipt:u%u\n\n", number, number);
}

static void unsubscribe_somewhere(struct run *run, struct player *player) {
    unsigned first = run_draw(run, LEDGER_SUBSCRIPTIONS);
    for (unsigned n = 0; n < run->ledger.subscription_count; n++) {
        unsigned number = (first + n) % run->ledger.subscription_count;
        const struct ledger_subscription *subscription = run_subscription(run, number);
        if (subscription->connection != player->connection || !subscription->holds)
            continue;
        client_unsubscribe(run, player, number);
        return;
    }
}

/* ---- clients send ---- */

static void send_large(struct player *player, const char *head, unsigned letter) {
    static char frame[LARGE + 1024];
    int len = snprintf(frame, sizeof frame, "%s%-*u", head, LARGE, letter);
    sim_feed(player->client, frame, (size_t)len + 1);
}

static void send_letter(struct run *run, struct player *player, unsigned place, unsigned deal) {
    char head[256];
    char of_deal[64];
    char expiry[32] = "";
    unsigned number = ledger_send(&run->ledger, player->connection, place, deal);
    bool brief = place != LEDGER_TOPIC && run_draw(run, 16) == 0;
    bool large = run->large > 0 && place != LEDGER_TOPIC && run_draw(run, 8) == 0;
    run->ledger.letters[number].excused = brief;
    run->large -= large;
    if (deal > 0)
        snprintf(of_deal, sizeof of_deal, "transaction:%u\n", deal - 1);
    else
        snprintf(of_deal, sizeof of_deal, "receipt:m%u\n", number);
    if (brief)
        snprintf(expiry, sizeof expiry, "expiration:%d\n", BRIEF_MS);
    snprintf(head, sizeof head, "SEND\ndestination:%s\n%s%s\n", ledger_destination(place), of_deal, expiry);
    if (large)
        send_large(player, head, number);
    else
        sim_send(player->client, "%s%u", head, number);
}

static void send_somewhere(struct run *run, struct player *player, unsigned deal) {
    static const unsigned places[] = {0, 0, LEDGER_LIMITED, LEDGER_WEARING, LEDGER_WEARING};
    if (run->ledger.letter_count < LETTERS)
        send_letter(run, player,
                    deal > 0 && run_draw(run, 4) == 0 ? LEDGER_TOPIC : places[run_draw(run, COUNT(places))], deal);
}

static void send_several(struct run *run, struct player *player) {
    for (unsigned n = 1 + run_draw(run, 3); n > 0; n--)
        send_somewhere(run, player, 0);
}

/* ---- clients settle ---- */

/* What the frame speaks for: in mode `client` all before it, too. */
static bool is_covered(struct run *run, const struct player *player, unsigned n, unsigned last) {
    const struct held *held = &player->held[n];
    const struct held *named = &player->held[last];
    if (held->claimed || held->subscription != named->subscription || n > last)
        return false;
    return n == last || run_subscription(run, held->subscription)->ack == LEDGER_CLIENT;
}

static void claim(struct run *run, struct player *player, unsigned last, bool settles, bool rejects) {
    for (unsigned n = 0; n <= last; n++) {
        struct held *held = &player->held[n];
        if (!is_covered(run, player, n, last))
            continue;
        ledger_claim(&run->ledger, player->deal - 1,
                     &(struct claim){.letter = held->letter,
                                     .place = run_subscription(run, held->subscription)->place,
                                     .settles = settles,
                                     .rejects = rejects});
        held->claimed = true;
    }
}

static void finish(struct run *run, struct player *player, unsigned last, unsigned ticket, bool settles, bool rejects) {
    const struct ledger_subscription *subscription = run_subscription(run, player->held[last].subscription);
    bool covered[HELD];
    for (unsigned n = 0; n <= last; n++)
        covered[n] = is_covered(run, player, n, last);
    for (unsigned n = last + 1; n-- > 0;) {
        unsigned letter = player->held[n].letter;
        if (!covered[n])
            continue;
        remove_held(player, n);
        if (settles)
            ledger_settle(&run->ledger, letter, player->connection, ticket);
        else if (rejects)
            ledger_reject(&run->ledger, letter, subscription->place, player->connection, ticket);
        else
            ledger_give_back(&run->ledger, letter);
    }
}

void client_acknowledge(struct run *run, struct player *player, unsigned n, bool settles, bool rejects, bool in_deal) {
    const struct held *held = &player->held[n];
    char name[160];
    char with[64] = "";
    unsigned ticket = in_deal ? 0 : ++run->ledger.tickets;
    if (player->old)
        snprintf(name, sizeof name, "message-id:%s\nsubscription:%u", held->id, held->subscription);
    else
        snprintf(name, sizeof name, "id:%s", held->id);
    if (in_deal)
        snprintf(with, sizeof with, "transaction:%u\n", player->deal - 1);
    else if (run_draw(run, 2) == 0)
        snprintf(with, sizeof with, "receipt:a%u\n", ticket);
    sim_send(player->client, "%s\n%s\n%s%s\n", settles ? "ACK" : "NACK", name, with, rejects ? "requeue:false\n" : "");
    if (in_deal)
        claim(run, player, n, settles, rejects);
    else
        finish(run, player, n, ticket, settles, rejects);
}

/* One that no transaction has. */
bool client_pick_held(struct run *run, const struct player *player, unsigned *picked) {
    unsigned first = run_draw(run, HELD);
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
    unsigned choice = run->leaves ? run_draw(run, 10) : 0;
    if (client_pick_held(run, player, &n) && (!in_deal || deal_has_room(run, player)))
        client_acknowledge(run, player, n, choice < 5, choice >= 8, in_deal);
}

static void acknowledge_some(struct run *run, struct player *player) {
    for (unsigned n = 1 + run_draw(run, 3); n > 0; n--)
        acknowledge_something(run, player, false);
}

/* ---- transactions ---- */

static void begin_deal(struct run *run, struct player *player) {
    if (run->ledger.deal_count == DEALS)
        return;
    player->deal = ledger_begin(&run->ledger, player->connection) + 1;
    sim_send(player->client, "BEGIN\ntransaction:%u\n\n", player->deal - 1);
}

void client_end_deal(struct run *run, struct player *player, bool commits) {
    unsigned deal = player->deal - 1;
    player->deal = 0;
    if (commits)
        ledger_commit(&run->ledger, deal);
    else
        ledger_abort(&run->ledger, deal);
    for (unsigned n = player->held_count; n-- > 0;) {
        struct held *held = &player->held[n];
        bool holds = run_subscription(run, held->subscription)->holds;
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
    unsigned choice = run_draw(run, 10);
    if (player->deal == 0)
        begin_deal(run, player);
    else if (choice < 4 && sends)
        send_somewhere(run, player, player->deal);
    else if (choice < 7 && takes)
        acknowledge_something(run, player, true);
    else if (choice < 9)
        client_end_deal(run, player, true);
    else
        client_end_deal(run, player, false);
}

/* ---- what clients do ---- */

void client_disconnect(struct run *run, struct player *player) {
    for (unsigned n = 0; n < run->ledger.subscription_count; n++)
        if (run_subscription(run, n)->connection == player->connection)
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
        client_disconnect(run, player);
    else
        client_drop(run, player);
}

/* Where nobody goes, those with even numbers send, and the others take. */
void client_act(struct run *run, struct player *player) {
    unsigned choice = run_draw(run, 98);
    bool even = (player - run->players) % 2 == 0;
    bool sends = run->leaves || even;
    bool takes = run->leaves || !even;
    clients_notice_ended(run);
    player->slow = player->slow && run_draw(run, 6) > 0;
    if (!player->client && run->connection_count == CONNECTIONS)
        return;
    if (!player->client)
        client_connect(run, player, run_draw_node(run));
    else if (player->leaving || choice < 32)
        client_read(run, player, player->leaving ? UINT32_MAX : 1 + run_draw(run, 12));
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
