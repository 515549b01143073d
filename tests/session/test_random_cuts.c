/*
 * Seeded: random valid frames of one session, cut at random and held up by congestion at random, must have the same
 * effect as when they are fed whole: the same bytes in the outbox and the same publications. Every frame written passes
 * the strict reader. With queues, whose answers come at random times, the order of RECEIPTs and what a topic's subscriber
 * sees of a COMMIT depend on these: then each receipt must come once, and what is published and put must be the same.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "host.h"

#define SEEDS           300
#define FRAMES          60
#define IDS             4
#define TRANSACTIONS    2
#define CUT_LENGTH_MOST 80
#define RECEIPTS_MOST   (FRAMES + 1)

/* Writes frames that are valid in this order: it remembers what is open. */
struct writer {
    uint64_t random; /* xorshift */
    enum stomp_version version;
    bool queues;
    bool subscribed[IDS];
    bool begun[TRANSACTIONS];
    unsigned receipts;
    struct buffer input;
};

static unsigned below(uint64_t *random, unsigned limit) {
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    return (unsigned)((*random >> 33) % limit);
}

static unsigned any(struct writer *writer, unsigned limit) {
    return below(&writer->random, limit);
}

static void put(struct writer *writer, const void *data, size_t len) {
    assert_true(buffer_append(&writer->input, data, len));
}

static void put_text(struct writer *writer, const char *text) {
    put(writer, text, strlen(text));
}

static void put_header(struct writer *writer, const char *name, const char *prefix, unsigned number) {
    char line[64];
    snprintf(line, sizeof line, "%s:%s%u\n", name, prefix, number);
    put_text(writer, line);
}

/* Ends the head, mostly after asking for a receipt, and the frame with that body. */
static void finish(struct writer *writer, const void *body, size_t len) {
    static const char *const gaps[] = {"", "", "\n", "\n\n\n", "\r\n\n"};
    if (any(writer, 4) > 0)
        put_header(writer, "receipt", writer->version == STOMP_1_0 ? "r" : "r\\c\\n", writer->receipts++);
    put_text(writer, writer->version == STOMP_1_2 && any(writer, 2) ? "\r\n" : "\n");
    put(writer, body, len);
    put(writer, "", 1);
    put_text(writer, gaps[any(writer, writer->version == STOMP_1_2 ? 5 : 4)]);
}

static void put_send(struct writer *writer) {
    static const char body[] = "one\0two\nthree\0\n";
    unsigned transaction = any(writer, TRANSACTIONS);
    bool binary = any(writer, 2);
    size_t len = any(writer, binary ? sizeof body : 4);
    put_text(writer, "SEND\n");
    if (writer->queues && any(writer, 2))
        put_text(writer, any(writer, 2) ? "destination:/queue/a\n" : "destination:/queue/b\n");
    else
        put_text(writer, any(writer, 2) ? "destination:/topic/a\n" : "destination:/topic/b\n");
    if (any(writer, 2) && writer->begun[transaction])
        put_header(writer, "transaction", "t", transaction);
    if (any(writer, 2))
        put_text(writer, writer->version == STOMP_1_0 ? "colon: a:b \n" : "co\\clon:a:\\\\b\n");
    if (binary)
        put_header(writer, "content-length", "", (unsigned)len);
    finish(writer, body, len);
}

static void put_subscription(struct writer *writer) {
    static const char *const modes[] = {"", "ack:auto\n", "ack:client\n"};
    unsigned id = any(writer, IDS);
    bool is_new = !writer->subscribed[id];
    put_text(writer, is_new ? "SUBSCRIBE\n" : "UNSUBSCRIBE\n");
    put_header(writer, "id", "i", id);
    if (is_new) {
        put_text(writer, any(writer, 2) ? "destination:/topic/a\n" : "destination:/topic/b\n");
        put_text(writer, modes[any(writer, 3)]);
    }
    writer->subscribed[id] = is_new;
    finish(writer, "", 0);
}

static void put_transaction(struct writer *writer) {
    unsigned transaction = any(writer, TRANSACTIONS);
    bool is_new = !writer->begun[transaction];
    if (is_new)
        put_text(writer, "BEGIN\n");
    else
        put_text(writer, any(writer, 3) ? "COMMIT\n" : "ABORT\n");
    put_header(writer, "transaction", "t", transaction);
    writer->begun[transaction] = is_new;
    finish(writer, "", 0);
}

static void put_ack(struct writer *writer) {
    put_text(writer, writer->version > STOMP_1_0 && any(writer, 2) ? "NACK\n" : "ACK\n");
    put_text(writer, writer->version == STOMP_1_2 ? "id:1\n" : "message-id:m\nsubscription:i0\n");
    finish(writer, "", 0);
}

/* Two frames, so that the ACKs to come name what was given out. */
static const char gives_out_an_ack_id[] = "SUBSCRIBE\nid:first\ndestination:/topic/first\nack:client\n\n\0"
                                          "SEND\ndestination:/topic/first\n\n";

static void write_frames(struct writer *writer) {
    put_text(writer, "CONNECT\naccept-version:");
    put_text(writer, stomp_version_name(writer->version));
    put(writer, "\n\n", 3);
    put(writer, gives_out_an_ack_id, sizeof gives_out_an_ack_id);
    for (int n = 0; n < FRAMES; n++) {
        switch (any(writer, 8)) {
        case 0:
        case 1:
            put_subscription(writer);
            break;
        case 2:
        case 3:
            put_transaction(writer);
            break;
        case 4:
            put_ack(writer);
            break;
        default:
            put_send(writer);
            break;
        }
    }
    put_text(writer, "DISCONNECT\n");
    finish(writer, "", 0);
}

/* What one session did. */
struct run {
    struct host *host;
    struct client *client;
    struct buffer changes; /* as text */
    unsigned receipts[RECEIPTS_MOST];
};

static void start(struct run *run) {
    void *host = NULL;
    *run = (struct run){0};
    assert_int_equal(host_setup(&host), 0);
    run->host = host;
    run->client = client_open(host);
}

static void note_changes(struct run *run) {
    while (run->host->changes_taken < run->host->change_count) {
        const char *text = host_take_change(run->host);
        assert_true(buffer_append(&run->changes, text, strlen(text)));
    }
}

/* All pieces, with congestion that comes and goes, and answers now and then. */
static void feed_cut(struct run *run, struct bytes input, uint64_t *random) {
    struct client *client = run->client;
    while (input.len > 0) {
        size_t len = below(random, 3) ? 1 + below(random, CUT_LENGTH_MOST) : 1;
        len = len < input.len ? len : input.len;
        if (below(random, 8) == 0)
            client->host->env.congested = true;
        client_feed(client, input.data, len);
        input = bytes_skip(input, len);
        note_changes(run);
        if (run->host->change_count > 0 && below(random, 3) == 0)
            host_answer(run->host, CHANGE_DONE);
        if (client->session->input_waits && below(random, 4) == 0) {
            host_uncongest(client->host);
            client_go_on(client);
        }
    }
    host_uncongest(client->host);
}

static void count_receipt(struct run *run) {
    const char *id = client_header(run->client, "receipt-id");
    unsigned long number = strtoul(id + strcspn(id, "0123456789"), NULL, 10);
    assert_in_range(number, 0, RECEIPTS_MOST - 1);
    run->receipts[number]++;
}

/* Agrees to all that the session wants until it has ended, and reads all. */
static void finish_run(struct run *run) {
    struct client *client = run->client;
    while (client->session->state == SESSION_OPEN) {
        note_changes(run);
        host_answer_all(run->host);
        client_go_on(client);
    }
    assert_int_equal(run->host->change_count, 0);
    assert_false(client->session->overflowed);
    while (client->session->outbox.count > 0)
        if (strcmp(client_read(client)->command, "RECEIPT") == 0)
            count_receipt(run);
    assert_int_equal(client->session->state, SESSION_ENDING);
    assert_int_equal(client->session->end, FAULT_NONE);
}

static void end(struct run *run) {
    void *host = run->host;
    buffer_free(&run->changes);
    assert_int_equal(host_teardown(&host), 0);
}

static void assert_same_publications(const struct host *one, const struct host *other) {
    assert_int_equal(one->published_count, other->published_count);
    for (size_t n = 0; n < one->published_count; n++) {
        assert_true(bytes_equal(message_key(one->published[n]), message_key(other->published[n])));
        assert_true(bytes_equal(message_body(one->published[n]), message_body(other->published[n])));
    }
}

static void assert_same_text(const struct buffer *whole, const struct buffer *cut, uint64_t seed) {
    if (!bytes_equal(buffer_bytes(whole), buffer_bytes(cut)))
        fail_msg("seed %u: cut input was answered otherwise", (unsigned)seed);
}

static void assert_same(const struct run *whole, const struct run *cut, const struct writer *writer, uint64_t seed) {
    assert_same_publications(whole->host, cut->host);
    assert_same_text(&whole->changes, &cut->changes, seed);
    if (!writer->queues)
        assert_same_text(&whole->client->seen, &cut->client->seen, seed);
    for (unsigned n = 0; n < RECEIPTS_MOST; n++) {
        assert_int_equal(whole->receipts[n], n < writer->receipts);
        assert_int_equal(cut->receipts[n], n < writer->receipts);
    }
}

static void compare(uint64_t seed, enum stomp_version version, bool queues) {
    struct writer writer = {.random = seed * 0x9e3779b97f4a7c15, .version = version, .queues = queues};
    struct run whole, cut;
    start(&whole);
    start(&cut);
    write_frames(&writer);
    client_feed(whole.client, writer.input.data, writer.input.len);
    feed_cut(&cut, buffer_bytes(&writer.input), &writer.random);
    finish_run(&whole);
    finish_run(&cut);
    assert_same(&whole, &cut, &writer, seed);
    buffer_free(&writer.input);
    end(&whole);
    end(&cut);
}

static void test_cuts_and_pauses_change_nothing(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++)
        compare(seed, (enum stomp_version)(seed % 3), seed % 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_cuts_and_pauses_change_nothing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
