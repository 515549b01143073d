/*
 * Random clients on one to four workers, mail moved in random order. What they were promised is checked while they read
 * and at the end: no message twice to a subscription, those of one publisher in order, none after UNSUBSCRIBE's
 * receipt, and every one that was sent after a subscription's receipt was read and had time to arrive before its
 * UNSUBSCRIBE.
 *
 * A failing run names its seed; STOMPD_SEED=n runs that one alone.
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
#include "simulator.h"

#define SEEDS             1000
#define ACTIONS           250
#define PLAYERS           8
#define SUBSCRIPTIONS_MAX 256
#define MESSAGES_MAX      256
#define CONNECTIONS_MAX   64

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static const char *const topics[] = {"/topic/a", "/topic/b", "/topic/a.b", "/topic/a/b"};
static const char *const interests[] = {"/topic/a",  "/topic/b",   "/topic/a.b",    "/topic/*",
                                        "/topic/**", "/topic/a/*", "/user/queue/x", "/user/queue/y"};
static const char *const user_destinations[] = {"/user/ann/queue/x", "/user/ann/queue/y", "/user/bob/queue/x"};
static const char *const users[] = {"ann", "bob", NULL};

/* Times are numbers of actions; 0: not yet. */
struct subscription_record {
    unsigned player; /* as it was when it subscribed: players come back as others */
    const char *user;
    const char *destination;
    unsigned live;         /* its receipt was read */
    unsigned unsubscribed; /* UNSUBSCRIBE was sent, or the socket went */
    bool gone;             /* UNSUBSCRIBE's receipt was read: nothing may follow */
    bool holds;            /* not unsubscribed, by a client that is still there */
    unsigned received[MESSAGES_MAX];
    size_t newest_of[CONNECTIONS_MAX]; /* the newest message of each publisher, plus one */
};

struct message_record {
    unsigned publisher; /* the number of the connection */
    const char *destination;
    unsigned sent;
    unsigned arrived; /* nothing was under way any more; 0: it may have been lost with its publisher */
    bool lost;
};

struct player {
    struct sim_client *client;
    unsigned connection; /* a number that is not used again */
    const char *user;
    unsigned worker;
};

struct run {
    uint64_t seed;
    uint64_t random;
    unsigned now;
    unsigned connections;
    struct simulator *simulator;
    struct player players[PLAYERS];
    size_t subscription_count;
    size_t message_count;
    struct message_record messages[MESSAGES_MAX];
    struct subscription_record subscriptions[SUBSCRIPTIONS_MAX];
};

static unsigned draw(struct run *run, unsigned bound) {
    return (unsigned)random_below(&run->random, bound);
}

/* ---- what is promised ---- */

static bool is_user(const char *destination) {
    return strncmp(destination, "/user/", 6) == 0;
}

/* By the rule itself: /user/NAME/rest for who is NAME and subscribed to /user/rest. */
static bool matches(const struct subscription_record *subscription, const struct message_record *message) {
    if (is_user(subscription->destination) != is_user(message->destination))
        return false;
    if (!is_user(message->destination))
        return strcmp(subscription->destination, message->destination) == 0 ||
               (strchr(subscription->destination, '*') &&
                pattern_matches(bytes_of(subscription->destination), bytes_of(message->destination)));
    size_t name_len = strcspn(message->destination + 6, "/");
    return subscription->user && strlen(subscription->user) == name_len &&
           strncmp(subscription->user, message->destination + 6, name_len) == 0 &&
           strcmp(subscription->destination + 5, message->destination + 6 + name_len) == 0;
}

static bool must_have(const struct subscription_record *subscription, const struct message_record *message) {
    return matches(subscription, message) && subscription->live > 0 && subscription->live < message->sent &&
           message->arrived > 0 && (subscription->holds || message->arrived < subscription->unsubscribed);
}

static void check_all_arrived(const struct run *run) {
    for (size_t n = 0; n < run->subscription_count; n++)
        for (size_t m = 0; m < run->message_count; m++)
            if (must_have(&run->subscriptions[n], &run->messages[m]) && run->subscriptions[n].received[m] != 1)
                fail_msg("message %zu to %s did not reach subscription %zu to %s", m, run->messages[m].destination, n,
                         run->subscriptions[n].destination);
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

static void read_receipt(struct run *run, const char *frame) {
    struct bytes id = sim_header(frame, "receipt-id");
    size_t number = number_in(id);
    assert_true(number < run->subscription_count);
    if (id.data[0] == 'u')
        run->subscriptions[number].gone = true;
    else if (run->subscriptions[number].live == 0)
        run->subscriptions[number].live = run->now;
    else
        fail_msg("the receipt of subscription %zu came twice", number);
}

static void read_message(struct run *run, const struct player *player, const char *frame) {
    size_t number = number_in(sim_header(frame, "subscription"));
    size_t m = strtoul(sim_body(frame), NULL, 10);
    assert_true(number < run->subscription_count && m < run->message_count);
    struct subscription_record *subscription = &run->subscriptions[number];
    struct message_record *message = &run->messages[m];
    size_t *newest = &subscription->newest_of[message->publisher];
    if (subscription->player != player->connection || subscription->gone || !matches(subscription, message))
        fail_msg("message %zu to %s reached subscription %zu to %s%s", m, message->destination, number,
                 subscription->destination, subscription->gone ? ", which has ended" : "");
    if (++subscription->received[m] > 1)
        fail_msg("message %zu reached subscription %zu twice", m, number);
    if (*newest > m)
        fail_msg("message %zu reached subscription %zu behind message %zu of its publisher", m, number, *newest - 1);
    *newest = m + 1;
}

static void read_all(struct run *run, struct player *player) {
    const char *frame;
    while ((frame = sim_read(player->client)) != NULL) {
        if (strncmp(frame, "RECEIPT\n", 8) == 0)
            read_receipt(run, frame);
        else if (strncmp(frame, "MESSAGE\n", 8) == 0)
            read_message(run, player, frame);
        else
            fail_msg("unexpected:\n%s", frame);
    }
}

/* ---- actions ---- */

static void connect_player(struct run *run, struct player *player) {
    player->worker = draw(run, run->simulator->worker_count);
    player->user = users[draw(run, COUNT(users))];
    player->connection = run->connections++;
    player->client = sim_connect(run->simulator, player->worker, player->user);
}

static void subscribe(struct run *run, struct player *player, const char *destination) {
    size_t number = run->subscription_count;
    if (number == SUBSCRIPTIONS_MAX)
        return;
    run->subscription_count++;
    struct subscription_record *subscription = &run->subscriptions[number];
    subscription->player = player->connection;
    subscription->user = player->user;
    subscription->destination = destination;
    subscription->holds = true;
    sim_send(player->client, "SUBSCRIBE\nid:%zu\ndestination:%s\nreceipt:s%zu\n\n", number, destination, number);
}

/* One of the player's subscriptions, or NULL. */
static struct subscription_record *pick_subscription(struct run *run, const struct player *player) {
    size_t first = draw(run, SUBSCRIPTIONS_MAX);
    for (size_t n = 0; n < run->subscription_count; n++) {
        struct subscription_record *subscription = &run->subscriptions[(first + n) % run->subscription_count];
        if (subscription->player == player->connection && subscription->holds)
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

static void publish(struct run *run, struct player *player) {
    if (run->message_count == MESSAGES_MAX)
        return;
    struct message_record *message = &run->messages[run->message_count];
    message->publisher = player->connection;
    message->destination =
        draw(run, 3) > 0 ? topics[draw(run, COUNT(topics))] : user_destinations[draw(run, COUNT(user_destinations))];
    message->sent = run->now;
    sim_send(player->client, "SEND\ndestination:%s\n\n%zu", message->destination, run->message_count++);
}

/* The socket goes without a word; what its session had not taken is lost. */
static void drop(struct run *run, struct player *player) {
    if (run->connections == CONNECTIONS_MAX)
        return;
    for (size_t n = 0; n < run->message_count; n++)
        if (run->messages[n].publisher == player->connection && player->client->session->input_waits)
            run->messages[n].lost = true;
    for (size_t n = 0; n < run->subscription_count; n++) {
        struct subscription_record *subscription = &run->subscriptions[n];
        if (subscription->player != player->connection || !subscription->holds)
            continue;
        subscription->holds = false;
        subscription->unsubscribed = run->now;
    }
    sim_close(player->client);
    connect_player(run, player);
}

/* As if a peer had fallen behind: publishers wait. */
static void congest(struct run *run) {
    run->simulator->workers[draw(run, run->simulator->worker_count)].env.congested = true;
}

static void uncongest(struct run *run) {
    for (unsigned n = 0; n < run->simulator->worker_count; n++)
        if (run->simulator->workers[n].env.congested)
            sim_uncongest(&run->simulator->workers[n]);
}

/* Nothing is under way any more, and everyone has read what there was. */
static void come_to_rest(struct run *run) {
    uncongest(run);
    sim_settle(run->simulator);
    for (size_t n = 0; n < PLAYERS; n++) {
        assert_false(run->players[n].client->session->input_waits);
        read_all(run, &run->players[n]);
    }
    for (size_t n = 0; n < run->message_count; n++)
        if (run->messages[n].arrived == 0 && !run->messages[n].lost)
            run->messages[n].arrived = run->now;
}

static void act(struct run *run) {
    struct player *player = &run->players[draw(run, PLAYERS)];
    unsigned choice = draw(run, 100);
    if (choice < 10)
        subscribe(run, player, interests[draw(run, COUNT(interests))]);
    else if (choice < 33)
        unsubscribe(run, player);
    else if (choice < 60)
        publish(run, player);
    else if (choice < 75)
        read_all(run, player);
    else if (choice < 93)
        for (unsigned n = draw(run, 6); n > 0; n--)
            sim_step_random(run->simulator);
    else if (choice < 95)
        drop(run, player);
    else if (choice < 96)
        congest(run);
    else if (choice < 98)
        uncongest(run);
    else
        come_to_rest(run);
}

static void play(struct run *run) {
    run->random = run->seed * UINT64_C(0x9e3779b97f4a7c15);
    run->simulator = simulator_new(1 + draw(run, SIM_WORKERS_MAX), run->random);
    for (size_t n = 0; n < PLAYERS; n++)
        connect_player(run, &run->players[n]);
    for (run->now = 1; run->now <= ACTIONS; run->now++)
        act(run);
    come_to_rest(run);
    check_all_arrived(run);
    for (size_t n = 0; n < run->subscription_count; n++)
        assert_true(run->subscriptions[n].live > 0 || !run->subscriptions[n].holds);
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
        simulator_free(run->simulator);
    }
    free(run);
    return 0;
}

static void test_random_clients_get_what_they_were_promised(void **state) {
    struct run *run = *state;
    const char *only = getenv("STOMPD_SEED");
    uint64_t first = only ? strtoull(only, NULL, 10) : 1;
    uint64_t last = only ? first : SEEDS;
    assert_true(first > 0);
    for (uint64_t seed = first; seed <= last; seed++) {
        *run = (struct run){.seed = seed};
        play(run);
        simulator_free(run->simulator);
        run->simulator = NULL;
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_random_clients_get_what_they_were_promised, setup, teardown),
    };
    return cmocka_run_group_tests_name("edge/router_random", tests, NULL, NULL);
}
