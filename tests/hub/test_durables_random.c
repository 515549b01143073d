/*
 * Durable subscriptions of three nodes in a seeded random order: users come, go and end their subscriptions on any node,
 * messages are published, links break, boots are buried, and everything is lost at times. Whatever is published on any
 * node after a subscription was confirmed, and before its end, is put into its queue once; and nothing ever twice.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../src/hub/durables.h"
#include "base/random.h"
#include "binding_server.h"
#include "stompd/base/log.h"
#include "stompd/route/trie.h"
#include "stompd/session/session.h"
#include "stompd/stomp/writer.h"

#define SEEDS   300
#define STEPS   3000
#define READERS 12
#define START   100000
#define SILENCE 1000 /* ms after which a node that does not look may be buried: the least node-timeout */

static const char *const queues[SERVER_QUEUES] = {"d:ann/1", "d:ann/2", "d:ann/3", "d:bob/1", "d:bob/2", "d:bob/3"};
static const char *const topics[SERVER_QUEUES] = {"/topic/a",  "/topic/*",   "/topic/b",
                                                  "/topic/**", "/topic/a.x", "/topic/a"};
static const char *const destinations[] = {"/topic/a", "/topic/b", "/topic/a.x", "/topic/c"};

struct node {
    struct mailbox box;
    struct mailbox *mailboxes[1];
    struct queues *queues;
    struct durables *durables;
    bool up;
    uint64_t alive_ms; /* the server has heard of it */
    uint64_t wakes_ms; /* it stands still until then */
};

struct reader {
    bool open;
    bool confirmed;
    bool doubtful; /* it came while its subscription was about to end, and may end with it */
    bool old;      /* something was lost since it came, so what confirms it may be older than that */
    unsigned node;
    unsigned queue;
    uint64_t id;
};

struct run {
    uint64_t random;
    uint64_t seed;
    uint64_t now_ms;
    uint64_t readers_so_far;
    struct binding_server server;
    struct node nodes[SERVER_NODES];
    struct reader readers[READERS];
    size_t published;
    bool promised[SERVER_QUEUES][SERVER_MESSAGES];
    bool confirmed[SERVER_QUEUES];           /* to somebody, since it began and nobody has ended it */
    const struct node *ender[SERVER_QUEUES]; /* who is about to end it */
};

static uint64_t below(struct run *run, uint64_t bound) {
    return random_below(&run->random, bound);
}

static void on_wake(void *arg) {
    (void)arg;
}

/* ---- nodes ---- */

static void begin_node(struct run *run, unsigned n) {
    static const struct policies policies;
    struct node *node = &run->nodes[n];
    mailbox_init(&node->box, on_wake, NULL);
    node->mailboxes[0] = &node->box;
    node->queues = queues_new(
        &(struct queues_conf){
            .workers = 1, .mailboxes = node->mailboxes, .store = &run->server.links[n].store, .policies = &policies},
        run->now_ms);
    assert_non_null(node->queues);
    node->durables = durables_new(&(struct durables_conf){.workers = 1,
                                                          .mailboxes = node->mailboxes,
                                                          .cluster = true,
                                                          .per_user = 3,
                                                          .store = &run->server.links[n].store,
                                                          .queues = node->queues},
                                  run->now_ms);
    assert_non_null(node->durables);
    node->alive_ms = run->now_ms;
}

static void take(struct run *run, struct node *node, const struct mail *mail) {
    assert_true(durables_take_mail(node->durables, mail, run->now_ms) ||
                queues_take_mail(node->queues, mail, run->now_ms));
}

static struct reader *reader_by_id(struct run *run, uint64_t id) {
    for (unsigned n = 0; n < READERS; n++)
        if (run->readers[n].open && run->readers[n].id == id)
            return &run->readers[n];
    return NULL;
}

static bool is_about_to_end(const struct run *run, unsigned queue) {
    return run->ender[queue] && !durables_are_settled(run->ender[queue]->durables);
}

/* From here on all that is published anywhere is promised. */
static void on_consuming(struct run *run, const struct mail_consumer *mail) {
    struct reader *reader = reader_by_id(run, mail->consumer);
    assert_int_equal(mail->consuming, CONSUMING);
    if (!reader)
        return;
    assert_false(reader->confirmed);
    reader->confirmed = true;
    if (!reader->doubtful && !reader->old && !is_about_to_end(run, reader->queue))
        run->confirmed[reader->queue] = true;
}

static void read_mail(struct run *run, struct node *node) {
    struct mail *mail = mailbox_take(&node->box);
    while (mail) {
        struct mail *next = mail->next;
        if (mail->type == MAIL_CONSUMING)
            on_consuming(run, (const struct mail_consumer *)mail);
        free(mail);
        mail = next;
    }
}

static void turn(struct run *run, unsigned n) {
    struct node *node = &run->nodes[n];
    queues_tick(node->queues, run->now_ms);
    durables_flush(node->durables, run->now_ms);
    queues_flush(node->queues, run->now_ms);
    read_mail(run, node);
}

static void go_down(struct run *run, unsigned n) {
    struct node *node = &run->nodes[n];
    if (!node->up)
        return;
    node->up = false;
    binding_server_break(&run->server, n, (unsigned)below(run, 4));
    queues_down(node->queues);
    durables_down(node->durables);
}

/* With its entry among the nodes, as hub/cluster tells it. */
static void come_up(struct run *run, unsigned n) {
    struct node *node = &run->nodes[n];
    binding_server_renew(&run->server, n);
    if (node->up)
        return;
    node->up = true;
    queues_up(node->queues, false);
    durables_up(node->durables, run->now_ms);
}

static void carry_out(struct run *run, unsigned n) {
    if (binding_server_carry_out(&run->server, n))
        run->nodes[n].alive_ms = run->now_ms;
}

/* Who is not heard of for long may be declared dead. */
static void bury(struct run *run, unsigned n) {
    if (run->now_ms >= run->nodes[n].alive_ms + SILENCE)
        binding_server_bury(&run->server, n);
}

static bool is_awake(const struct run *run, unsigned n) {
    return run->now_ms >= run->nodes[n].wakes_ms;
}

/* ---- users ---- */

static void say(struct run *run, unsigned n, enum mail_type type, uint64_t id, unsigned queue, const char *topic) {
    struct bytes name = bytes_of(queues[queue]), destination = bytes_of(topic);
    struct mail_consume *mail = malloc(sizeof *mail + name.len + destination.len);
    assert_non_null(mail);
    *mail = (struct mail_consume){
        .mail.type = type, .consumer = id, .prefetch = 1, .queue_len = name.len, .topic_len = destination.len};
    memcpy(mail->text, name.data, name.len);
    memcpy(mail->text + name.len, destination.data, destination.len);
    take(run, &run->nodes[n], &mail->mail);
    free(mail);
}

static void subscribe(struct run *run) {
    struct reader *reader = &run->readers[below(run, READERS)];
    if (reader->open)
        return;
    *reader = (struct reader){.open = true,
                              .node = (unsigned)below(run, SERVER_NODES),
                              .queue = (unsigned)below(run, SERVER_QUEUES),
                              .id = ++run->readers_so_far};
    reader->doubtful = is_about_to_end(run, reader->queue);
    say(run, reader->node, MAIL_CONSUME, reader->id, reader->queue, topics[reader->queue]);
}

static void unsubscribe(struct run *run, struct reader *reader) {
    if (!reader->open)
        return;
    struct mail_consumer mail = {.mail.type = MAIL_UNCONSUME, .consumer = reader->id};
    reader->open = false;
    take(run, &run->nodes[reader->node], &mail.mail);
}

/* Messages that are under way at the end may be lost with it; what was confirmed before was so for that long. */
static void promise_nothing(struct run *run, unsigned queue) {
    for (unsigned n = 0; n < SERVER_NODES; n++)
        turn(run, n);
    for (size_t n = 0; n < run->published; n++)
        if (run->server.puts[queue][n] == 0)
            run->promised[queue][n] = false;
    run->confirmed[queue] = false;
}

/* By somebody who has it not open; whoever has gets nothing more. */
static void end_one(struct run *run) {
    unsigned queue = (unsigned)below(run, SERVER_QUEUES);
    for (unsigned n = 0; n < READERS; n++)
        if (run->readers[n].queue == queue)
            unsubscribe(run, &run->readers[n]);
    unsigned n = (unsigned)below(run, SERVER_NODES);
    if (is_about_to_end(run, queue))
        return;
    promise_nothing(run, queue);
    run->ender[queue] = &run->nodes[n];
    say(run, n, MAIL_FORGET, 0, queue, "");
}

static void publish(struct run *run, unsigned n) {
    const char *destination = destinations[below(run, 4)];
    char text[16];
    assert_true(run->published < SERVER_MESSAGES);
    size_t number = run->published++;
    struct bytes body = {text, (size_t)snprintf(text, sizeof text, "%zu", number)};
    struct stomp_publication publication = {.destination = bytes_of(destination),
                                            .message_id = body,
                                            .body = body,
                                            .route = ROUTE_TOPIC,
                                            .key = bytes_of(destination)};
    struct message *message = stomp_write_message(1, &publication);
    assert_non_null(message);
    struct mail_publish mail = {.mail.type = MAIL_PUBLISH, .message = message};
    for (unsigned queue = 0; queue < SERVER_QUEUES; queue++)
        run->promised[queue][number] =
            run->confirmed[queue] && pattern_matches(bytes_of(topics[queue]), bytes_of(destination));
    assert_false(durables_take_mail(run->nodes[n].durables, &mail.mail, run->now_ms));
    message_unref(message);
}

/* ---- a run ---- */

static void begin_loss(struct run *run) {
    for (unsigned queue = 0; queue < SERVER_QUEUES; queue++)
        promise_nothing(run, queue);
    for (unsigned n = 0; n < READERS; n++)
        run->readers[n].old = true;
}

/* The server starts anew from its disk, where the last moments are missing. */
static void lose_a_little(struct run *run) {
    begin_loss(run);
    for (unsigned n = 0; n < SERVER_NODES; n++)
        go_down(run, n);
    binding_server_restore(&run->server);
}

static void lose_everything(struct run *run) {
    begin_loss(run);
    binding_server_empty(&run->server);
    for (unsigned n = 0; n < SERVER_NODES; n++)
        if (below(run, 2) == 0)
            go_down(run, n);
}

static void rarely(struct run *run, unsigned n) {
    uint64_t what = below(run, 100);
    if (what < 20)
        end_one(run);
    else if (what < 40)
        go_down(run, n);
    else if (what < 80)
        run->nodes[n].wakes_ms = run->now_ms + below(run, UINT64_C(3) * SILENCE);
    else if (what == 80)
        lose_everything(run);
    else if (what == 81)
        lose_a_little(run);
    else if (what < 88)
        binding_server_save(&run->server);
}

static void act(struct run *run, unsigned n) {
    uint64_t what = below(run, 100);
    if (what < 36)
        turn(run, n);
    else if (what < 72)
        (void)binding_server_answer(&run->server, n);
    else if (what < 88 && run->published < SERVER_MESSAGES / 2)
        publish(run, n);
    else
        come_up(run, n);
}

static void step(struct run *run) {
    unsigned n = (unsigned)below(run, SERVER_NODES);
    uint64_t what = below(run, 100);
    if (what < 60 && is_awake(run, n))
        act(run, n);
    else if (what < 80)
        carry_out(run, n);
    else if (what < 87)
        subscribe(run);
    else if (what < 89)
        unsubscribe(run, &run->readers[below(run, READERS)]);
    else if (what < 91)
        rarely(run, n);
    else if (what < 94)
        bury(run, n);
    else
        run->now_ms += below(run, 100);
}

static void walk(struct run *run, unsigned steps) {
    for (unsigned n = 0; n < steps; n++)
        step(run);
}

static void come_to_rest(struct run *run) {
    for (unsigned round = 0; round < 200; round++) {
        run->now_ms += 100;
        for (unsigned n = 0; n < SERVER_NODES; n++) {
            come_up(run, n);
            turn(run, n);
            while (binding_server_carry_out(&run->server, n))
                continue;
            while (binding_server_answer(&run->server, n))
                continue;
        }
    }
}

/* Whoever is there is served after all, whatever was lost. */
static void publish_at_rest(struct run *run) {
    for (unsigned n = 0; n < READERS; n++)
        if (run->readers[n].open && !run->readers[n].doubtful)
            run->confirmed[run->readers[n].queue] = true;
    for (unsigned n = 0; n < 4 * SERVER_NODES; n++)
        publish(run, n % SERVER_NODES);
    come_to_rest(run);
}

static void check(struct run *run) {
    for (unsigned n = 0; n < SERVER_NODES; n++) {
        assert_true(durables_are_settled(run->nodes[n].durables));
        assert_false(durables_are_behind(run->nodes[n].durables));
    }
    for (unsigned n = 0; n < READERS; n++)
        if (run->readers[n].open && !run->readers[n].confirmed)
            fail_msg("%s is never confirmed", queues[run->readers[n].queue]);
    for (unsigned queue = 0; queue < SERVER_QUEUES; queue++)
        for (size_t n = 0; n < run->published; n++) {
            if (run->promised[queue][n] && run->server.puts[queue][n] == 0)
                fail_msg("%s has not got message %zu", queues[queue], n);
            if (run->server.puts[queue][n] > 1)
                fail_msg("%s has got message %zu twice", queues[queue], n);
        }
}

static void begin(struct run *run, uint64_t seed) {
    *run = (struct run){.random = seed * 0x9e3779b97f4a7c15 + 1, .seed = seed, .now_ms = START};
    binding_server_init(&run->server, queues);
    for (unsigned n = 0; n < SERVER_NODES; n++)
        begin_node(run, n);
}

static void end(struct run *run) {
    for (unsigned n = 0; n < SERVER_NODES; n++) {
        queues_free(run->nodes[n].queues);
        durables_free(run->nodes[n].durables);
        mail_discard_all(mailbox_take(&run->nodes[n].box));
    }
    binding_server_free(&run->server);
}

static size_t promised_so_far;

static void run_seed(uint64_t seed) {
    static struct run run;
    begin(&run, seed);
    walk(&run, STEPS);
    binding_server_save(&run.server);
    walk(&run, STEPS / 10);
    come_to_rest(&run);
    if (seed % 3 == 0)
        lose_a_little(&run);
    else if (seed % 3 == 1)
        lose_everything(&run);
    come_to_rest(&run);
    publish_at_rest(&run);
    check(&run);
    for (unsigned queue = 0; queue < SERVER_QUEUES; queue++)
        for (size_t n = 0; n < run.published; n++)
            promised_so_far += run.promised[queue][n];
    end(&run);
}

static void nothing_is_missed_once_a_subscription_is_confirmed(void **state) {
    const char *only = getenv("STOMPD_SEED");
    (void)state;
    if (only) {
        run_seed(strtoull(only, NULL, 10));
        return;
    }
    for (uint64_t seed = 1; seed <= SEEDS; seed++)
        run_seed(seed);
    assert_true(promised_so_far > 20UL * SEEDS); /* it is not by silence that nothing is missed */
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(nothing_is_missed_once_a_subscription_is_confirmed)};
    log_set_level(LOG_LEVEL_ERROR);
    return cmocka_run_group_tests_name("durable subscriptions in a random order", tests, NULL, NULL);
}
