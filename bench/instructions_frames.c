/* Scenarios of bench/instructions.c without a session: frames are parsed and written, destinations matched. */
#include <string.h>

#include "instructions.h"
#include "stompd/route/trie.h"
#include "stompd/stomp/parser.h"
#include "stompd/stomp/writer.h"

/* ---- parse: typical SENDs, at once and as a network may cut them */

#define SENDS       1000
#define HEADERS_MAX 16
#define PIECE       100

struct parsing {
    struct stomp_parser_limits limits;
    struct fault fault;
    struct stomp_parser parser;
    struct stomp_header headers[HEADERS_MAX];
    struct buffer frames;
    char *input; /* a copy: the parser unescapes in place */
    size_t piece;
};

/* One in ten has something to unescape and ends with the first NUL. */
static void add_send(struct buffer *frames, unsigned n) {
    static const char escaped[] = "SEND\ndestination:/topic/chat.lobby\ntitle:from a\\cto b\\nand on\n\nGood morning!";
    bool added = n % 10 == 0 ? buffer_append(frames, escaped, sizeof escaped)
                             : buffer_append(frames, typical_send, typical_send_len);
    must(added, "out of memory");
}

static struct parsing *new_parsing(void) {
    struct parsing *parsing = calloc(1, sizeof *parsing);
    must(parsing != NULL, "out of memory");
    parsing->limits = (struct stomp_parser_limits){.frame_size = 65536,
                                                   .body_size = 65536,
                                                   .headers = HEADERS_MAX,
                                                   .header_size = 1024,
                                                   .frame_size_key = "frame-size"};
    for (unsigned n = 0; n < SENDS; n++)
        add_send(&parsing->frames, n);
    parsing->input = malloc(parsing->frames.len);
    must(parsing->input != NULL, "out of memory");
    stomp_parser_init(&parsing->parser, &parsing->limits, &parsing->fault);
    stomp_parser_login(&parsing->parser, STOMP_1_2, &parsing->limits);
    parsing->piece = parsing->frames.len;
    return parsing;
}

static void *set_up_whole(void) {
    return new_parsing();
}

static void *set_up_pieces(void) {
    struct parsing *parsing = new_parsing();
    parsing->piece = PIECE;
    return parsing;
}

static void prepare_input(void *state) {
    struct parsing *parsing = state;
    memcpy(parsing->input, parsing->frames.data, parsing->frames.len);
}

static size_t feed(struct parsing *parsing, char *bytes, size_t len) {
    size_t found = 0;
    size_t used;
    while (stomp_parser_feed(&parsing->parser, bytes, len, &used) == STOMP_PARSE_FRAME) {
        struct stomp_frame frame = {.headers = parsing->headers, .header_capacity = HEADERS_MAX};
        found += stomp_parser_take(&parsing->parser, &frame);
        bytes += used, len -= used;
    }
    return found;
}

static size_t parse(void *state) {
    struct parsing *parsing = state;
    size_t found = 0;
    for (size_t done = 0; done < parsing->frames.len; done += parsing->piece) {
        size_t left = parsing->frames.len - done;
        found += feed(parsing, parsing->input + done, left < parsing->piece ? left : parsing->piece);
    }
    return found;
}

static void tear_down_parsing(void *state) {
    struct parsing *parsing = state;
    stomp_parser_free(&parsing->parser);
    buffer_free(&parsing->frames);
    free(parsing->input);
    free(parsing);
}

#define PARSE(scenario_name, set_up_it)                                                                                \
    {                                                                                                                  \
        .name = (scenario_name), .unit = "SEND", .units = SENDS, .repeats = 20, .set_up = (set_up_it),                 \
        .prepare = prepare_input, .work = parse, .tear_down = tear_down_parsing                                        \
    }

const struct scenario parse_whole = PARSE("parse", set_up_whole);
const struct scenario parse_pieces = PARSE("parse-pieces", set_up_pieces);

/* ---- write: the shared part of a MESSAGE, which is one head for all versions unless something is to be escaped */

#define WRITTEN 1000

static struct stomp_header plain_headers[] = {{BYTES("destination"), BYTES("/topic/prices.eur-usd")},
                                              {BYTES("content-type"), BYTES("application/json")},
                                              {BYTES("content-length"), BYTES("128")},
                                              {BYTES("correlation-id"), BYTES("9f1c2d34-77")}};
static struct stomp_header escaped_headers[] = {{BYTES("destination"), BYTES("/topic/prices.eur-usd")},
                                                {BYTES("content-type"), BYTES("application/json")},
                                                {BYTES("content-length"), BYTES("128")},
                                                {BYTES("correlation-id"), BYTES("9f1c:2d34-77")}};

static void *set_up_plain(void) {
    return plain_headers;
}

static void *set_up_escaped(void) {
    return escaped_headers;
}

static size_t write_messages(void *state) {
    struct stomp_publication publication = {.destination = BYTES("/topic/prices.eur-usd"),
                                            .message_id = BYTES("b00t-0-1234567"),
                                            .headers = state,
                                            .header_count = sizeof plain_headers / sizeof plain_headers[0],
                                            .body = {typical_send + typical_send_len - 129, 128},
                                            .key = BYTES("/topic/prices.eur-usd")};
    size_t written = 0;
    for (unsigned n = 0; n < WRITTEN; n++) {
        struct message *message = stomp_write_message(1, &publication);
        if (message) {
            message_unref(message);
            written++;
        }
    }
    return written;
}

static void tear_down_nothing(void *state) {
    (void)state;
}

#define WRITE(scenario_name, set_up_it)                                                                                \
    {                                                                                                                  \
        .name = (scenario_name), .unit = "MESSAGE", .units = WRITTEN, .repeats = 20, .set_up = (set_up_it),            \
        .work = write_messages, .tear_down = tear_down_nothing                                                         \
    }

const struct scenario write_plain = WRITE("write", set_up_plain);
const struct scenario write_escaped = WRITE("write-escaped", set_up_escaped);

/* ---- match: who gets it */

#define MATCHES      1000
#define SUBSCRIBERS  1000
#define DESTINATIONS ((size_t)3 * TRIE_CACHE_MAX) /* in turns, so that what comes next is not cached any more */

struct matching {
    struct trie *trie;
    struct subscriber subscribers[SUBSCRIBERS];
    char (*destinations)[48];
    size_t count;
    size_t next;
};

static struct matching *new_matching(size_t destinations) {
    struct matching *matching = calloc(1, sizeof *matching);
    must(matching != NULL, "out of memory");
    matching->trie = trie_new();
    matching->destinations = calloc(destinations, sizeof *matching->destinations);
    matching->count = destinations;
    must(matching->trie && matching->destinations, "out of memory");
    for (unsigned n = 0; n < destinations; n++)
        snprintf(matching->destinations[n], sizeof matching->destinations[n], "/topic/prices.%u.desk-%u",
                 n % SUBSCRIBERS, n / SUBSCRIBERS);
    return matching;
}

/* Two in ten have other shapes, and one is for all. Each destination is reached. */
static void add_patterns(struct matching *matching) {
    static const char *const shapes[][2] = {{"prices", "*"}, {"prices", "**"}, {"*", "*"}};
    for (unsigned n = 0; n < SUBSCRIBERS; n++) {
        const char *const *shape = shapes[n % 10 < 8 ? 0 : n % 10 - 7];
        char pattern[48];
        snprintf(pattern, sizeof pattern, "/topic/%s.%u.%s", shape[0], n, shape[1]);
        struct bytes text = n + 1 < SUBSCRIBERS ? bytes_of(pattern) : BYTES("/topic/**");
        must(trie_add_pattern(matching->trie, text, &matching->subscribers[n]), "out of memory");
    }
}

static size_t match(void *state) {
    struct matching *matching = state;
    size_t matched = 0;
    for (unsigned n = 0; n < MATCHES; n++) {
        struct match found;
        matched += trie_match(matching->trie, bytes_of(matching->destinations[matching->next]), &found) &&
                   found.exact_count + found.pattern_count > 0;
        matching->next = matching->next + 1 < matching->count ? matching->next + 1 : 0;
    }
    return matched;
}

static void *set_up_exact(void) {
    struct matching *matching = new_matching(SUBSCRIBERS);
    for (unsigned n = 0; n < SUBSCRIBERS; n++)
        must(trie_add_exact(matching->trie, bytes_of(matching->destinations[n]), &matching->subscribers[n]),
             "out of memory");
    return matching;
}

static void *set_up_cached(void) {
    struct matching *matching = new_matching(MATCHES);
    add_patterns(matching);
    return matching;
}

static void *set_up_uncached(void) {
    struct matching *matching = new_matching(DESTINATIONS);
    add_patterns(matching);
    for (size_t n = 0; n < TRIE_CACHE_MAX; n += MATCHES)
        match(matching);
    return matching;
}

static void tear_down_matching(void *state) {
    struct matching *matching = state;
    for (unsigned n = 0; n < SUBSCRIBERS; n++)
        trie_remove(matching->trie, &matching->subscribers[n]);
    trie_free(matching->trie);
    free(matching->destinations);
    free(matching);
}

#define MATCH(scenario_name, set_up_it, times)                                                                         \
    {                                                                                                                  \
        .name = (scenario_name), .unit = "match", .units = MATCHES, .repeats = (times), .set_up = (set_up_it),         \
        .work = match, .tear_down = tear_down_matching                                                                 \
    }

const struct scenario match_exact = MATCH("match-exact", set_up_exact, 20);
const struct scenario match_cached = MATCH("match-cached", set_up_cached, 20);
const struct scenario match_uncached = MATCH("match-uncached", set_up_uncached, 10);
