/*
 * Fuzzes the frame parser. Whatever the input, in every version and before login, with roomy and with tight limits:
 * fed whole, byte by byte and at cuts that follow from the input, the same frames and the same fault come out, no
 * slice lies outside of what it may point into, and no memory is left behind. Anything else aborts.
 */
#include <stdint.h>
#include <stdlib.h>

#include "stompd/stomp/parser.h"

#define HEADERS 16

static const struct stomp_parser_limits roomy = {
    .frame_size = 65536, .body_size = 65536, .headers = HEADERS, .header_size = 8192, .frame_size_key = "frame-size"};
static const struct stomp_parser_limits tight = {
    .frame_size = 64, .body_size = 24, .headers = 3, .header_size = 20, .frame_size_key = "frame-size-before-login"};

/* What came out, boiled down to a hash (FNV-1a). */
struct outcome {
    uint64_t hash;
    bool alive;
    bool mid_frame;
};

struct run {
    struct stomp_parser parser;
    struct fault fault;
    struct stomp_header headers[HEADERS];
    struct stomp_frame frame;
    struct outcome outcome;
};

struct cuts {
    size_t size; /* 0: by the seed */
    uint64_t seed;
    bool hold;
};

static void require(bool condition) {
    if (!condition)
        abort();
}

static uint64_t hash_bytes(uint64_t hash, struct bytes bytes) {
    for (size_t i = 0; i < bytes.len; i++)
        hash = (hash ^ (unsigned char)bytes.data[i]) * 1099511628211u;
    return (hash ^ bytes.len) * 1099511628211u;
}

static void add(struct outcome *outcome, struct bytes bytes) {
    outcome->hash = hash_bytes(outcome->hash, bytes);
}

static void require_within(struct bytes part, struct bytes whole) {
    require(part.data >= whole.data && part.len <= whole.len && part.data + part.len <= whole.data + whole.len);
}

/* The frame lies in the parser's buffer, or in the piece when that had all of it. */
static void add_frame(struct run *run, struct bytes piece) {
    const struct stomp_frame *frame = &run->frame;
    struct bytes home = run->parser.buffer.len > 0 ? buffer_bytes(&run->parser.buffer) : piece;
    require(frame->command != STOMP_UNKNOWN && frame->header_count <= run->parser.limits->headers);
    add(&run->outcome, bytes_of(stomp_command_name(frame->command)));
    for (size_t i = 0; i < frame->header_count; i++) {
        require_within(frame->headers[i].name, home);
        require_within(frame->headers[i].value, home);
        add(&run->outcome, frame->headers[i].name);
        add(&run->outcome, frame->headers[i].value);
    }
    require_within(frame->body, home);
    require(frame->body.len <= run->parser.limits->body_size);
    add(&run->outcome, frame->body);
}

static void feed_piece(struct run *run, char *piece, size_t len, bool hold) {
    struct stomp_parser *parser = &run->parser;
    char *at = piece;
    size_t used;
    enum stomp_parse found;
    while ((found = stomp_parser_feed(parser, at, len, &used)) == STOMP_PARSE_FRAME) {
        if (hold) {
            require(stomp_parser_hold(parser));
            memset(at, '#', used);
        }
        if (!stomp_parser_take(parser, &run->frame)) {
            found = STOMP_PARSE_FAULT;
            break;
        }
        add_frame(run, (struct bytes){at, used});
        at += used;
        len -= used;
    }
    run->outcome.alive = found == STOMP_PARSE_MORE;
    require(!run->outcome.alive || used == len);
    require(parser->buffer.len <= parser->limits->frame_size);
    require(parser->buffer.len == 0 || stomp_parser_is_mid_frame(parser));
}

static size_t piece_size(struct cuts *cuts) {
    if (cuts->size > 0)
        return cuts->size;
    cuts->seed = cuts->seed * 6364136223846793005u + 1442695040888963407u;
    return 1 + (cuts->seed >> 33) % 23;
}

/* Each piece is a block of its own, so that the sanitizer sees every byte read too late or too far. */
static struct outcome play(struct bytes input, int version, const struct stomp_parser_limits *limits,
                           struct cuts cuts) {
    struct run run = {.outcome = {.alive = true}};
    run.frame.headers = run.headers;
    run.frame.header_capacity = HEADERS;
    stomp_parser_init(&run.parser, limits, &run.fault);
    if (version <= STOMP_1_2)
        stomp_parser_login(&run.parser, (enum stomp_version)version, limits);
    while (input.len > 0 && run.outcome.alive) {
        size_t size = piece_size(&cuts);
        if (size > input.len)
            size = input.len;
        char *piece = malloc(size);
        require(piece != NULL);
        memcpy(piece, input.data, size);
        feed_piece(&run, piece, size, cuts.hold);
        free(piece);
        input = bytes_skip(input, size);
    }
    if (!run.outcome.alive) {
        add(&run.outcome, bytes_of(run.fault.message));
        add(&run.outcome, (struct bytes){(const char *)&run.fault.kind, sizeof run.fault.kind});
        require(run.parser.buffer.data == NULL);
    }
    run.outcome.mid_frame = stomp_parser_is_mid_frame(&run.parser);
    stomp_parser_free(&run.parser);
    return run.outcome;
}

static void require_same(struct outcome a, struct outcome b) {
    require(a.hash == b.hash && a.alive == b.alive && a.mid_frame == b.mid_frame);
}

static void check(struct bytes input, int version, const struct stomp_parser_limits *limits) {
    uint64_t seed = hash_bytes((uint64_t)version, input);
    struct outcome whole = play(input, version, limits, (struct cuts){.size = input.len});
    require_same(whole, play(input, version, limits, (struct cuts){.size = input.len, .hold = true}));
    require_same(whole, play(input, version, limits, (struct cuts){.size = 1}));
    require_same(whole, play(input, version, limits, (struct cuts){.seed = seed}));
    require_same(whole, play(input, version, limits, (struct cuts){.seed = ~seed, .hold = true}));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct bytes input = {(const char *)data, size};
    /* One beyond the last version stands for "before login". */
    for (int version = STOMP_1_0; version <= STOMP_1_2 + 1 && size > 0; version++) {
        check(input, version, &roomy);
        check(input, version, &tight);
    }
    return 0;
}
