/*
 * Seeded: random valid frames of one session, cut at random and held up by congestion at random, must have the same
 * effect as when they are fed whole: the same bytes in the outbox and the same publications. Every frame written passes
 * the strict reader.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "host.h"

#define SEEDS           300
#define FRAMES          60
#define IDS             4
#define TRANSACTIONS    2
#define CUT_LENGTH_MOST 80

/* Writes frames that are valid in this order: it remembers what is open. */
struct writer {
    uint64_t random; /* xorshift */
    enum stomp_version version;
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

static void write_frames(struct writer *writer) {
    put_text(writer, "CONNECT\naccept-version:");
    put_text(writer, stomp_version_name(writer->version));
    put(writer, "\n\n", 3);
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

/* All pieces, with congestion that comes and goes. */
static void feed_cut(struct client *client, struct bytes input, uint64_t *random) {
    while (input.len > 0) {
        size_t len = below(random, 3) ? 1 + below(random, CUT_LENGTH_MOST) : 1;
        len = len < input.len ? len : input.len;
        if (below(random, 8) == 0)
            client->host->env.congested = true;
        client_feed(client, input.data, len);
        input = bytes_skip(input, len);
        if (client->session->input_waits && below(random, 4) == 0) {
            host_uncongest(client->host);
            client_go_on(client);
        }
    }
    host_uncongest(client->host);
    client_go_on(client);
}

static void read_all(struct client *client) {
    assert_false(client->session->overflowed);
    while (client->session->outbox.count > 0)
        client_read(client);
    assert_int_equal(client->session->state, SESSION_ENDING);
    assert_int_equal(client->session->end, FAULT_NONE);
}

static void assert_same_publications(const struct host *one, const struct host *other) {
    assert_int_equal(one->published_count, other->published_count);
    for (size_t n = 0; n < one->published_count; n++) {
        assert_true(bytes_equal(message_key(one->published[n]), message_key(other->published[n])));
        assert_true(bytes_equal(message_body(one->published[n]), message_body(other->published[n])));
    }
}

static void compare(uint64_t seed, enum stomp_version version) {
    struct writer writer = {.random = seed * 0x9e3779b97f4a7c15, .version = version};
    void *whole_host = NULL;
    void *cut_host = NULL;
    assert_int_equal(host_setup(&whole_host), 0);
    assert_int_equal(host_setup(&cut_host), 0);
    struct client *whole = client_open(whole_host);
    struct client *cut = client_open(cut_host);
    write_frames(&writer);
    client_feed(whole, writer.input.data, writer.input.len);
    feed_cut(cut, buffer_bytes(&writer.input), &writer.random);
    read_all(whole);
    read_all(cut);
    if (!bytes_equal(buffer_bytes(&whole->seen), buffer_bytes(&cut->seen)))
        fail_msg("seed %u: cut input was answered otherwise", (unsigned)seed);
    assert_same_publications(whole_host, cut_host);
    buffer_free(&writer.input);
    assert_int_equal(host_teardown(&whole_host), 0);
    assert_int_equal(host_teardown(&cut_host), 0);
}

static void test_cuts_and_pauses_change_nothing(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++)
        compare(seed, (enum stomp_version)(seed % 3));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_cuts_and_pauses_change_nothing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
