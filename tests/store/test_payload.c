/* Payloads: what is written is read again as it was, and what could do harm is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <stdio.h>

#include "base/random.h"
#include "route/repeat.h"
#include "stompd/session/session.h"
#include "stompd/stomp/writer.h"
#include "stompd/store/payload.h"

#define BOOT     "node-a:b00t"
#define SEQUENCE 0x0102030405060708

/* Where things lie in a payload of that boot. */
#define FRONT (11 + sizeof BOOT - 1)
#define PARTS (FRONT + 26)

#define HEAD "destination:/topic/a\nmessage-id:1\ncontent-length:2\n\n"

static const struct payload_origin origin = {
    .type = PAYLOAD_PUBLICATION, .boot = {BOOT, sizeof BOOT - 1}, .sequence = SEQUENCE};

static int set_up(void **state) {
    static struct buffer payload;
    *state = &payload;
    return 0;
}

static int tear_down(void **state) {
    buffer_free(*state);
    return 0;
}

static void assert_bytes(struct bytes bytes, struct bytes expected) {
    assert_int_equal(bytes.len, expected.len);
    if (bytes.len > 0)
        assert_memory_equal(bytes.data, expected.data, expected.len);
}

/* ---- to and fro ---- */

static struct message *publication(struct stomp_header header, struct bytes body, enum route route, struct bytes key,
                                   struct bytes only) {
    struct message *message = stomp_write_message(2, &(struct stomp_publication){.destination = BYTES("/topic/a"),
                                                                                 .message_id = BYTES("1"),
                                                                                 .headers = &header,
                                                                                 .header_count = 1,
                                                                                 .body = body,
                                                                                 .route = (uint8_t)route,
                                                                                 .key = key,
                                                                                 .only = only});
    assert_non_null(message);
    return message;
}

static void assert_same(const struct message *message, const struct message *original) {
    for (unsigned version = 0; version < MESSAGE_HEADS; version++)
        assert_bytes(message_head(message, version), message_head(original, version));
    assert_bytes(message_body(message), message_body(original));
    assert_bytes(message_key(message), message_key(original));
    assert_bytes(message_only(message), message_only(original));
    assert_int_equal(message->text, original->text);
    assert_int_equal(message->route, original->route);
}

static const struct payload_origin stored = {.type = PAYLOAD_STORED, .boot = {BOOT, sizeof BOOT - 1}};

/* Releases it. Returns how long its payload was. */
static size_t assert_passes_as(struct buffer *payload, struct message *original, const struct payload_origin *by) {
    const char *why = "";
    assert_true(payload_write_message(payload, by, original));
    struct message *message = payload_read_message(buffer_bytes(payload), 3, &why);
    assert_string_equal(why, "");
    assert_non_null(message);
    assert_int_equal(message->owners, 3);
    assert_same(message, original);
    size_t len = payload->len;
    struct buffer again = {0};
    assert_true(payload_write_message(&again, by, message));
    assert_bytes(buffer_bytes(&again), buffer_bytes(payload));
    buffer_free(&again);
    message_unref(message);
    message_unref(original);
    return len;
}

static size_t assert_passes(struct buffer *payload, struct message *original) {
    return assert_passes_as(payload, original, &origin);
}

static void test_a_message_comes_out_as_it_went_in(void **state) {
    struct stomp_header header = {BYTES("price"), BYTES("1 EUR")};
    assert_passes(*state, publication(header, BYTES("hello"), ROUTE_TOPIC, BYTES("/topic/a"), BYTES("")));
    assert_passes(*state, publication(header, BYTES(""), ROUTE_TOPIC, BYTES("/topic/a"), BYTES("")));
    assert_passes(*state, publication(header, BYTES("\0\0a\0"), ROUTE_TOPIC, BYTES("/topic/a"), BYTES("")));
    assert_passes(*state, publication(header, BYTES("\xff\xfe"), ROUTE_TOPIC, BYTES("/topic/a"), BYTES("")));
    assert_passes(*state, publication(header, BYTES("j\xc3\xb6"), ROUTE_TOPIC, BYTES("/topic/j\xc3\xb6"), BYTES("")));
}

static void test_user_keys_and_the_one_session_come_out_too(void **state) {
    struct stomp_header header = {BYTES("a"), BYTES("b")};
    assert_passes(*state, publication(header, BYTES("x"), ROUTE_USER, BYTES("ubob\0/queue/a"), BYTES("")));
    assert_passes(*state, publication(header, BYTES("x"), ROUTE_USER, BYTES("ubob\0/queue/a"), BYTES("node-b:1:0-2")));
    assert_passes(*state, publication(header, BYTES("x"), ROUTE_USER, BYTES("snode-b:1:0-2\0/queue/a"), BYTES("")));
}

static void test_stored_messages_come_out_with_their_queue(void **state) {
    struct stomp_header header = {BYTES("a"), BYTES("b")};
    struct payload_origin read;
    const char *why;
    assert_passes_as(*state, publication(header, BYTES("x"), ROUTE_QUEUE, BYTES("q:orders"), BYTES("")), &stored);
    assert_passes_as(*state, publication(header, BYTES("x"), ROUTE_QUEUE, BYTES("a:/app/**"), BYTES("")), &stored);
    assert_passes_as(*state, publication(header, BYTES("x"), ROUTE_QUEUE, BYTES("d:ann/1"), BYTES("")), &stored);
    assert_true(payload_read_origin(buffer_bytes(*state), &read, &why));
    assert_int_equal(read.type, PAYLOAD_STORED);
    assert_int_equal(read.sequence, 0);
}

static void test_a_head_that_versions_share_is_there_once(void **state) {
    struct bytes key = BYTES("/topic/a");
    struct stomp_header plain = {BYTES("n"), BYTES("aaa")};
    struct stomp_header colon = {BYTES("n"), BYTES("a:a")};
    struct stomp_header line_end = {BYTES("n"), BYTES("a\ra")};
    size_t head = sizeof "destination:/topic/a\nmessage-id:1\nn:aaa\ncontent-length:1\n\n" - 1;
    size_t one = assert_passes(*state, publication(plain, BYTES("x"), ROUTE_TOPIC, key, BYTES("")));
    assert_int_equal(one, PARTS + head + 2 + key.len);
    size_t two = assert_passes(*state, publication(colon, BYTES("x"), ROUTE_TOPIC, key, BYTES("")));
    assert_int_equal(two, one + head + 1);
    size_t three = assert_passes(*state, publication(line_end, BYTES("x"), ROUTE_TOPIC, key, BYTES("")));
    assert_int_equal(three, one + (head - 6) + head + 1);
}

/* Whatever header a client may send, its message reaches the other nodes. */
static void test_all_that_the_writer_makes_is_read(void **state) {
    static const char letters[] = "ab:\\\n\r \tcnr";
    uint64_t seed = 1;
    for (int n = 0; n < 20000; n++) {
        char name[8], value[8];
        struct stomp_header header = {{name, random_below(&seed, sizeof name)}, {value, random_below(&seed, 8)}};
        for (size_t i = 0; i < sizeof name; i++) {
            name[i] = letters[random_below(&seed, sizeof letters - 1)];
            value[i] = letters[random_below(&seed, sizeof letters - 1)];
        }
        assert_passes(*state, publication(header, BYTES("x"), ROUTE_TOPIC, BYTES("/topic/a"), BYTES("")));
    }
}

static void test_the_origin_comes_out_as_it_went_in(void **state) {
    struct buffer *payload = *state;
    struct payload_origin read;
    const char *why;
    static const enum payload_type words[] = {PAYLOAD_ASK, PAYLOAD_BACK, PAYLOAD_PROBE};
    for (size_t n = 0; n < sizeof words / sizeof words[0]; n++) {
        assert_true(payload_write_word(payload, &(struct payload_origin){words[n], BYTES(BOOT), 0}));
        assert_true(payload_read_origin(buffer_bytes(payload), &read, &why));
        assert_int_equal(read.type, words[n]);
        assert_int_equal(read.sequence, 0);
        assert_bytes(read.boot, BYTES(BOOT));
        assert_null(payload_read_message(buffer_bytes(payload), 1, &why));
        assert_string_equal(why, "it is no message");
    }
    struct message *message = publication((struct stomp_header){BYTES("a"), BYTES("b")}, BYTES("x"), ROUTE_TOPIC,
                                          BYTES("/topic/a"), BYTES(""));
    assert_true(payload_write_message(payload, &origin, message));
    message_unref(message);
    assert_true(payload_read_origin(buffer_bytes(payload), &read, &why));
    assert_int_equal(read.type, PAYLOAD_PUBLICATION);
    assert_true(read.sequence == SEQUENCE);
    assert_bytes(read.boot, BYTES(BOOT));
}

/* As scripts make it: the word, and the name behind it. */
static bool read_ready(struct buffer *payload, enum payload_type type, struct bytes name, struct bytes *queue) {
    struct payload_origin read;
    const char *why = NULL;
    assert_true(payload_write_word(payload, &(struct payload_origin){type, BYTES(BOOT), 0}));
    assert_true(buffer_append(payload, name.data, name.len));
    if (payload_read_ready(buffer_bytes(payload), queue, &why))
        return payload_read_origin(buffer_bytes(payload), &read, &why) && read.type == PAYLOAD_READY;
    assert_string_equal(why, "it does not say which queue is ready");
    assert_true(type != PAYLOAD_READY || !payload_read_origin(buffer_bytes(payload), &read, &why));
    return false;
}

static void test_the_word_of_what_is_ready_names_a_queue(void **state) {
    struct bytes queue;
    const char *why;
    assert_true(read_ready(*state, PAYLOAD_READY, BYTES("q:orders"), &queue));
    assert_bytes(queue, BYTES("q:orders"));
    assert_false(read_ready(*state, PAYLOAD_READY, BYTES(""), &queue));
    assert_false(read_ready(*state, PAYLOAD_READY, BYTES("orders"), &queue));
    assert_false(read_ready(*state, PAYLOAD_READY, BYTES("q:"), &queue));
    assert_false(read_ready(*state, PAYLOAD_READY, BYTES("d:ann"), &queue));
    assert_false(read_ready(*state, PAYLOAD_PROBE, BYTES("q:orders"), &queue));
    assert_false(payload_read_ready(BYTES("hello"), &queue, &why));
    assert_string_equal(why, "it has no version that this node knows");
}

/* docs/payload.md, byte by byte. */
static void test_the_layout_is_as_documented(void **state) {
    static const char expected[] = "\x01"                             /* version */
                                   "\x01"                             /* type */
                                   "\x0b"                             /* length of boot */
                                   "\x01\x02\x03\x04\x05\x06\x07\x08" /* sequence */
                                   "node-a:b00t"                      /* boot */
                                   "\x01"                             /* route */
                                   "\x01"                             /* text */
                                   "\0\0\0\x3a\0\0\0\x3c\0\0\0\0"     /* heads */
                                   "\0\0\0\x02"                       /* body */
                                   "\0\0\0\x06"                       /* key */
                                   "\0\0\0\x03"                       /* only */
                                   "destination:/topic/a\nmessage-id:1\na:b:\\\ncontent-length:1\n\n"
                                   "destination:/topic/a\nmessage-id:1\na:b\\c\\\\\ncontent-length:1\n\n"
                                   "x\0"
                                   "ubob\0/"
                                   "n:1";
    struct buffer *payload = *state;
    struct message *message = publication((struct stomp_header){BYTES("a"), BYTES("b:\\")}, BYTES("x"), ROUTE_USER,
                                          BYTES("ubob\0/"), BYTES("n:1"));
    assert_true(payload_write_message(payload, &origin, message));
    message_unref(message);
    assert_bytes(buffer_bytes(payload), (struct bytes){expected, sizeof expected - 1});
}

/* ---- what is refused ---- */

struct shape {
    bool stored;
    uint8_t route;
    uint8_t text;
    struct bytes heads[MESSAGE_HEADS];
    struct bytes body;
    struct bytes key;
    struct bytes only;
};

/* One that is well-formed, to be spoilt. */
static struct shape good_shape(void) {
    return (struct shape){.route = ROUTE_TOPIC,
                          .text = 1,
                          .heads = {BYTES(HEAD)},
                          .body = BYTES("xy\0"),
                          .key = BYTES("/topic/a"),
                          .only = BYTES("")};
}

static void append(struct buffer *payload, struct bytes bytes) {
    assert_true(buffer_append(payload, bytes.data, bytes.len));
}

static void append_len(struct buffer *payload, size_t len) {
    char bytes[] = {(char)(len >> 24), (char)(len >> 16), (char)(len >> 8), (char)len};
    append(payload, (struct bytes){bytes, sizeof bytes});
}

static void write_shape(struct buffer *payload, const struct shape *shape) {
    const struct bytes parts[] = {shape->heads[0], shape->heads[1], shape->heads[2],
                                  shape->body,     shape->key,      shape->only};
    const char bytes[] = {(char)shape->route, (char)shape->text};
    payload->len = 0;
    if (shape->stored)
        append(payload, BYTES("\x01\x06\x0b\0\0\0\0\0\0\0\0" BOOT));
    else
        append(payload, BYTES("\x01\x01\x0b\x01\x02\x03\x04\x05\x06\x07\x08" BOOT));
    append(payload, (struct bytes){bytes, sizeof bytes});
    for (size_t n = 0; n < sizeof parts / sizeof parts[0]; n++)
        append_len(payload, parts[n].len);
    for (size_t n = 0; n < sizeof parts / sizeof parts[0]; n++)
        append(payload, parts[n]);
}

/* "" when it is taken. */
static const char *fault_of(struct bytes payload) {
    const char *why = "no reason";
    struct payload_origin read;
    struct message *message = NULL;
    /* In a block of its own, so that valgrind sees every byte read too far. */
    char *copy = malloc(payload.len + 1);
    assert_non_null(copy);
    memcpy(copy + 1, payload.data, payload.len);
    struct bytes alone = {copy + 1, payload.len};
    if (payload_read_origin(alone, &read, &why))
        message = payload_read_message(alone, 1, &why);
    if (message)
        message_unref(message);
    free(copy);
    return message ? "" : why;
}

static const char *fault_of_shape(struct buffer *payload, const struct shape *shape) {
    write_shape(payload, shape);
    return fault_of(buffer_bytes(payload));
}

#define LITERAL(text)                                                                                                  \
    { (text), sizeof(text) - 1 }

#define BREAKS_FRAME "one of its heads would break the frame"
#define NO_WHERE     "it does not say where its message goes"

static void test_another_version_or_type_is_refused(void **state) {
    struct buffer *payload = *state;
    struct shape shape = good_shape();
    assert_string_equal(fault_of_shape(payload, &shape), "");
    payload->data[0] = 2;
    assert_string_equal(fault_of(buffer_bytes(payload)), "it has no version that this node knows");
    payload->data[0] = 1;
    for (int type = 0; type < 256; type += type == 0 ? 7 : 31) {
        payload->data[1] = (char)type;
        assert_string_equal(fault_of(buffer_bytes(payload)), "it has no type that this node knows");
    }
    assert_string_equal(fault_of(BYTES("")), "it has no version that this node knows");
    assert_string_equal(fault_of(BYTES("hello")), "it has no version that this node knows");
    assert_string_equal(fault_of(BYTES("\x01hello")), "it is too short");
}

static const char *fault_of_boot(struct buffer *payload, const char *boot, size_t len) {
    const char front[] = {1, PAYLOAD_ASK, (char)len, 0, 0, 0, 0, 0, 0, 0, 0};
    struct payload_origin read;
    const char *why;
    payload->len = 0;
    append(payload, (struct bytes){front, sizeof front});
    append(payload, (struct bytes){boot, len});
    return payload_read_origin(buffer_bytes(payload), &read, &why) ? "" : why;
}

static void test_a_boot_is_a_node_a_colon_and_an_id(void **state) {
    static const char fault[] = "it does not say which boot it is from";
    static const char *const wrong[] = {"", ":", "node", "node:", ":id", "no de:id", "node:id\n", "j\xc3\xb6:id"};
    char longest[129];
    memset(longest, 'n', sizeof longest);
    longest[64] = ':';
    assert_string_equal(fault_of_boot(*state, "n:1", 3), "");
    assert_string_equal(fault_of_boot(*state, longest, 128), "");
    assert_string_equal(fault_of_boot(*state, longest, 129), fault);
    for (size_t n = 0; n < sizeof wrong / sizeof wrong[0]; n++)
        assert_string_equal(fault_of_boot(*state, wrong[n], strlen(wrong[n])), fault);
}

static void test_publications_are_numbered_and_words_are_not(void **state) {
    struct buffer *payload = *state;
    struct payload_origin read;
    const char *why;
    assert_true(payload_write_word(payload, &(struct payload_origin){PAYLOAD_ASK, BYTES(BOOT), 1}));
    assert_false(payload_read_origin(buffer_bytes(payload), &read, &why));
    assert_string_equal(why, "it has a wrong sequence number");
    assert_true(payload_write_word(payload, &(struct payload_origin){PAYLOAD_PUBLICATION, BYTES(BOOT), 0}));
    assert_false(payload_read_origin(buffer_bytes(payload), &read, &why));
    assert_string_equal(why, "it has a wrong sequence number");
    assert_true(payload_write_word(payload, &(struct payload_origin){PAYLOAD_STORED, BYTES(BOOT), 1}));
    assert_false(payload_read_origin(buffer_bytes(payload), &read, &why));
    assert_string_equal(why, "it has a wrong sequence number");
}

static void test_nothing_is_missing_and_nothing_follows(void **state) {
    struct buffer *payload = *state;
    struct shape shape = good_shape();
    write_shape(payload, &shape);
    for (size_t len = 0; len < payload->len; len++)
        assert_string_not_equal(fault_of((struct bytes){payload->data, len}), "");
    append(payload, BYTES("x"));
    assert_string_equal(fault_of(buffer_bytes(payload)), "its parts do not fill it");
    assert_true(payload_write_word(payload, &(struct payload_origin){PAYLOAD_ASK, BYTES(BOOT), 0}));
    append(payload, BYTES("x"));
    assert_string_equal(fault_of(buffer_bytes(payload)), "more follows than there should be");
}

static void test_lengths_that_add_up_only_in_32_bits_are_refused(void **state) {
    struct buffer *payload = *state;
    struct shape shape = good_shape();
    write_shape(payload, &shape);
    char *lengths = payload->data + FRONT + 2;
    memset(lengths + 4, 0xff, 4);        /* one head of 2^32 - 1 bytes … */
    lengths[3] = (char)(lengths[3] + 1); /* … and one byte more before it */
    assert_string_equal(fault_of(buffer_bytes(payload)), "its parts do not fill it");
}

static void test_a_body_ends_with_a_nul(void **state) {
    struct shape shape = good_shape();
    shape.body = BYTES("xy");
    assert_string_equal(fault_of_shape(*state, &shape), "its body does not end with a NUL");
    shape.body = BYTES("");
    assert_string_equal(fault_of_shape(*state, &shape), "its body does not end with a NUL");
}

/* A head for all versions, with a body of two bytes. */
static void test_heads_that_break_the_frame_are_refused(void **state) {
    static const struct bytes heads[] = {
        LITERAL("\n"),
        LITERAL("content-length:2\n"),        /* no empty line */
        LITERAL("content-length:2\n\n\n"),    /* more behind it */
        LITERAL("content-length:2\n\nx\n"),   /* a body of its own */
        LITERAL("\ncontent-length:2\n\n"),    /* a body that begins early */
        LITERAL("a:b\n\n"),                   /* a body whose end is sought */
        LITERAL("content-length:3\n\n"),      /* the next frame in it */
        LITERAL("content-length:1\n\n"),      /* an end within it */
        LITERAL("content-length: 2\n\n"),     /* not as it is written */
        LITERAL("content-length:02\n\n"),     /* nor this */
        LITERAL("content-length:2\na:b\n\n"), /* not the last */
        LITERAL("content-length:1\ncontent-length:2\n\n"),
        LITERAL("content-length:2\ncontent-length:2\n\n"),
        LITERAL("content-length :1\ncontent-length:2\n\n"), /* for 1.0, another end */
        LITERAL("line\ncontent-length:2\n\n"),              /* no header */
        LITERAL("a:b\0\ncontent-length:2\n\n"),             /* the frame's end */
        LITERAL("a:b\r\ncontent-length:2\n\n"),             /* a line end of 1.2 */
        LITERAL("a:b:c\ncontent-length:2\n\n"),             /* not escaped for 1.1 and 1.2 */
        LITERAL("a:b\\\ncontent-length:2\n\n"),             /* half an escape */
        LITERAL("a:b\\x\ncontent-length:2\n\n"),            /* an escape that does not exist */
        LITERAL("a:b\\r\ncontent-length:2\n\n"),            /* nor this one in 1.1 */
        LITERAL("a:\xff\ncontent-length:2\n\n"),            /* not UTF-8 */
    };
    struct shape shape = good_shape();
    for (size_t n = 0; n < sizeof heads / sizeof heads[0]; n++) {
        shape.heads[0] = heads[n];
        assert_string_equal(fault_of_shape(*state, &shape), BREAKS_FRAME);
    }
    shape.heads[0] = BYTES("");
    assert_string_equal(fault_of_shape(*state, &shape), BREAKS_FRAME);
    shape.heads[1] = BYTES(HEAD);
    assert_string_equal(fault_of_shape(*state, &shape), BREAKS_FRAME);
}

/* What a head may hold when it is for one version only. */
static void test_each_version_has_its_own_rules_for_heads(void **state) {
    static const struct {
        const char *line;
        bool fits[MESSAGE_HEADS];
    } lines[] = {
        {"a:b:c\n", {true, false, false}},   {"a:b\\x\n", {true, false, false}}, {"a:b\rc\n", {false, true, false}},
        {"a:b\\rc\n", {true, false, true}},  {"a:b\\c\n", {true, true, true}},   {"a\\cb:c\n", {true, true, true}},
        {"a:\\\\\\n\n", {true, true, true}}, {":a\n", {false, false, false}},    {"a:\n", {true, true, true}},
    };
    for (size_t n = 0; n < sizeof lines / sizeof lines[0]; n++) {
        for (unsigned version = 0; version < MESSAGE_HEADS; version++) {
            char head[64];
            struct shape shape = good_shape();
            shape.heads[1] = shape.heads[2] = shape.heads[0];
            int len = snprintf(head, sizeof head, "%scontent-length:2\n\n", lines[n].line);
            shape.heads[version] = (struct bytes){head, (size_t)len};
            assert_string_equal(fault_of_shape(*state, &shape), lines[n].fits[version] ? "" : BREAKS_FRAME);
        }
    }
}

static void test_text_is_utf8(void **state) {
    struct shape shape = good_shape();
    shape.body = BYTES("\xc3(\0");
    assert_string_equal(fault_of_shape(*state, &shape), "its text is not valid UTF-8");
    shape.text = 0;
    assert_string_equal(fault_of_shape(*state, &shape), "");
    shape.text = 2;
    shape.body = BYTES("xy\0");
    assert_string_equal(fault_of_shape(*state, &shape), "its text is not valid UTF-8");
}

static void test_a_route_is_known_and_fits_the_type(void **state) {
    static const char fault[] = "its route is none that this node knows";
    struct shape shape = good_shape();
    shape.route = ROUTE_QUEUE;
    shape.key = BYTES("q:orders");
    assert_string_equal(fault_of_shape(*state, &shape), fault);
    shape.stored = true;
    assert_string_equal(fault_of_shape(*state, &shape), "");
    shape.route = ROUTE_QUEUE + 1;
    assert_string_equal(fault_of_shape(*state, &shape), fault);
    shape.route = ROUTE_TOPIC;
    shape.key = BYTES("/topic/a");
    assert_string_equal(fault_of_shape(*state, &shape), fault);
    shape.route = ROUTE_USER;
    shape.key = BYTES("ubob\0/queue/a");
    assert_string_equal(fault_of_shape(*state, &shape), fault);
}

static void test_the_key_of_what_is_stored_is_a_queue(void **state) {
    static const struct bytes wrong[] = {LITERAL(""), LITERAL("q:"), LITERAL("/queue/orders"), LITERAL("d:ann")};
    struct shape shape = good_shape();
    shape.stored = true;
    shape.route = ROUTE_QUEUE;
    for (size_t n = 0; n < sizeof wrong / sizeof wrong[0]; n++) {
        shape.key = wrong[n];
        assert_string_equal(fault_of_shape(*state, &shape), NO_WHERE);
    }
}

static void assert_no_key(struct buffer *payload, enum route route, struct bytes key) {
    struct shape shape = good_shape();
    shape.route = (uint8_t)route;
    shape.key = key;
    assert_string_equal(fault_of_shape(payload, &shape), NO_WHERE);
}

static void test_a_key_is_what_a_client_can_send_to(void **state) {
    char room[DESTINATION_LEN_MAX + 2];
    int longest = DESTINATION_LEN_MAX - (int)strlen("/topic/");
    struct shape shape = good_shape();
    shape.key = repeat(room, sizeof room, "/topic/", longest, "a", "");
    assert_string_equal(fault_of_shape(*state, &shape), "");
    assert_no_key(*state, ROUTE_TOPIC, repeat(room, sizeof room, "/topic/", longest + 1, "a", ""));
    assert_no_key(*state, ROUTE_TOPIC, BYTES(""));
    assert_no_key(*state, ROUTE_TOPIC, BYTES("/topic/"));
    assert_no_key(*state, ROUTE_TOPIC, BYTES("/topic/a\n"));
    assert_no_key(*state, ROUTE_TOPIC, BYTES("/topic/a\0"));
    assert_no_key(*state, ROUTE_TOPIC, BYTES("/topic/*"));
    assert_no_key(*state, ROUTE_TOPIC, BYTES("/queue/a"));
    assert_no_key(*state, ROUTE_TOPIC, BYTES("/user/bob/queue/a"));
    assert_no_key(*state, ROUTE_TOPIC, BYTES("a"));
    assert_no_key(*state, ROUTE_USER, BYTES(""));
    assert_no_key(*state, ROUTE_USER, BYTES("/topic/a"));
    assert_no_key(*state, ROUTE_USER, BYTES("ubob"));
    assert_no_key(*state, ROUTE_USER, BYTES("ubob\0queue/a"));
    assert_no_key(*state, ROUTE_USER, BYTES("ubob\0/queue\0/a"));
    assert_no_key(*state, ROUTE_USER, BYTES("u\0/queue/a"));
    assert_no_key(*state, ROUTE_USER, BYTES("snode\0/queue/a"));
    assert_no_key(*state, ROUTE_USER, BYTES("s:b00t:0-1\0/queue/a"));
}

static void test_an_id_of_a_session_has_no_nul(void **state) {
    struct shape shape = good_shape();
    shape.only = BYTES("n:1\0");
    assert_string_equal(fault_of_shape(*state, &shape), NO_WHERE);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_a_message_comes_out_as_it_went_in),
        TEST(test_user_keys_and_the_one_session_come_out_too),
        TEST(test_stored_messages_come_out_with_their_queue),
        TEST(test_a_head_that_versions_share_is_there_once),
        TEST(test_all_that_the_writer_makes_is_read),
        TEST(test_the_origin_comes_out_as_it_went_in),
        TEST(test_the_word_of_what_is_ready_names_a_queue),
        TEST(test_the_layout_is_as_documented),
        TEST(test_another_version_or_type_is_refused),
        TEST(test_a_boot_is_a_node_a_colon_and_an_id),
        TEST(test_publications_are_numbered_and_words_are_not),
        TEST(test_nothing_is_missing_and_nothing_follows),
        TEST(test_lengths_that_add_up_only_in_32_bits_are_refused),
        TEST(test_a_body_ends_with_a_nul),
        TEST(test_heads_that_break_the_frame_are_refused),
        TEST(test_each_version_has_its_own_rules_for_heads),
        TEST(test_text_is_utf8),
        TEST(test_a_route_is_known_and_fits_the_type),
        TEST(test_the_key_of_what_is_stored_is_a_queue),
        TEST(test_a_key_is_what_a_client_can_send_to),
        TEST(test_an_id_of_a_session_has_no_nul),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
