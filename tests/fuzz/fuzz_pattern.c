/*
 * Fuzzes destinations and patterns. The input's lines are each in turn a SEND's and a SUBSCRIBE's destination, a
 * subscriber of the trie (an exact one where the line begins with '=') and a destination to match: the trie must name
 * whom pattern_matches() names, each once, with everybody there and after every other one has left. Anything else
 * aborts.
 */
#include <stdint.h>
#include <stdlib.h>

#include "stompd/route/destination.h"
#include "stompd/route/trie.h"

/* More would only make it slow. */
#define LINES_MAX 48

struct line {
    struct subscriber subscriber;
    struct bytes text;
    bool exact;
    unsigned named;
};

struct lines {
    struct line all[LINES_MAX];
    size_t count;
};

static void require(bool condition) {
    if (!condition)
        abort();
}

static void split(struct bytes input, struct lines *lines) {
    lines->count = 0;
    while (input.len > 0 && lines->count < LINES_MAX) {
        const char *end = memchr(input.data, '\n', input.len);
        size_t len = end ? (size_t)(end - input.data) : input.len;
        struct line line = {.text = {input.data, len}, .exact = input.data[0] == '='};
        if (line.exact)
            line.text = bytes_skip(line.text, 1);
        lines->all[lines->count++] = line;
        input = bytes_skip(input, end ? len + 1 : len);
    }
}

static bool lies_within(struct bytes part, struct bytes whole) {
    return part.data >= whole.data && part.data + part.len <= whole.data + whole.len;
}

static void require_sane(const struct destination *destination, struct bytes text) {
    require(bytes_equal(destination->whole, text));
    require(destination->user_len <= DESTINATION_USER_MAX);
    if (destination->kind == DESTINATION_USER)
        require(destination->rest.len > 1 && destination->rest.data[0] == '/' && lies_within(destination->rest, text));
    require(!destination->pattern || destination->kind == DESTINATION_TOPIC);
}

/* The text in a block of its own, so that the sanitizer sees every byte read too far. */
static void read_destination(struct bytes text) {
    struct destination destination;
    struct fault fault = {.kind = FAULT_NONE};
    char *copy = malloc(text.len + 1);
    require(copy != NULL);
    memmove(copy + 1, text.data, text.len);
    struct bytes alone = {copy + 1, text.len};
    if (destination_of_send(alone, &destination, &fault)) {
        require(!destination.pattern);
        require_sane(&destination, alone);
    } else {
        require(fault.kind == FAULT_PROTOCOL && fault.message[0] != '\0');
    }
    if (destination_of_subscribe(alone, &destination, &fault))
        require_sane(&destination, alone);
    free(copy);
}

static void name_all(struct subscriber *const *subscribers, size_t count, bool exact) {
    for (size_t n = 0; n < count; n++) {
        struct line *line = CONTAINER_OF(subscribers[n], struct line, subscriber);
        require(line->exact == exact);
        line->named++;
    }
}

static bool should_be_named(const struct line *line, struct bytes destination) {
    if (!line->subscriber.place)
        return false;
    return line->exact ? bytes_equal(line->text, destination) : pattern_matches(line->text, destination);
}

static void match(struct trie *trie, struct lines *lines, struct bytes destination) {
    struct match match;
    for (size_t n = 0; n < lines->count; n++)
        lines->all[n].named = 0;
    require(trie_match(trie, destination, &match));
    name_all(match.exact, match.exact_count, true);
    name_all(match.patterns, match.pattern_count, false);
    for (size_t n = 0; n < lines->count; n++)
        require(lines->all[n].named == should_be_named(&lines->all[n], destination));
}

static void match_all(struct trie *trie, struct lines *lines) {
    for (size_t n = 0; n < lines->count; n++)
        match(trie, lines, lines->all[n].text);
}

static void join(struct trie *trie, struct line *line) {
    if (line->exact)
        require(trie_add_exact(trie, line->text, &line->subscriber));
    else
        require(trie_add_pattern(trie, line->text, &line->subscriber));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct lines lines;
    struct trie *trie = trie_new();
    require(trie != NULL);
    split((struct bytes){(const char *)data, size}, &lines);
    for (size_t n = 0; n < lines.count; n++) {
        read_destination(lines.all[n].text);
        join(trie, &lines.all[n]);
    }
    match_all(trie, &lines);
    for (size_t n = 0; n < lines.count; n += 2)
        trie_remove(trie, &lines.all[n].subscriber);
    match_all(trie, &lines);
    for (size_t n = 1; n < lines.count; n += 2)
        trie_remove(trie, &lines.all[n].subscriber);
    require(trie_cached(trie) == 0);
    trie_free(trie);
    return 0;
}
