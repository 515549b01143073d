/* Segments, and the rule by which a pattern reaches a destination, as told without any trie. */
#include "pattern.h"

#include "stompd/base/words.h"
#include "stompd/route/trie.h"

struct segments pattern_split(struct bytes text, struct bytes *head) {
    const char *slash = text.len > 0 && text.data[0] == '/' ? memchr(text.data + 1, '/', text.len - 1) : NULL;
    *head = (struct bytes){text.data, slash ? (size_t)(slash + 1 - text.data) : 0};
    return (struct segments){slash ? bytes_skip(text, head->len) : text, true};
}

bool segments_next(struct segments *segments, struct bytes *segment) {
    if (!segments->more)
        return false;
    struct bytes rest = segments->rest;
    size_t len = 0;
    while (len < rest.len && rest.data[len] != '/' && rest.data[len] != '.')
        len++;
    *segment = (struct bytes){rest.data, len};
    segments->more = len < rest.len;
    if (segments->more)
        segments->rest = bytes_skip(rest, len + 1);
    return true;
}

enum segment_kind segment_kind(struct bytes segment, const struct segments *segments) {
    if (segment.len == 0 || segment.len > 2)
        return SEGMENT_TEXT;
    char first = segment.data[0];
    if (segment.len == 2)
        return first == '*' && segment.data[1] == '*' ? SEGMENT_ANY : SEGMENT_TEXT;
    if (first == '*')
        return SEGMENT_ONE;
    return (first == '#' || first == '>') && !segments->more ? SEGMENT_ANY : SEGMENT_TEXT;
}

static uint64_t find_wildcard(uint64_t word) {
    return word_find(word, '*') | word_find(word, '#') | word_find(word, '>');
}

bool pattern_has_wildcard(struct bytes text) {
    struct segments segments = {text, true};
    struct bytes segment;
    if (!words_have(text, find_wildcard)) /* nearly every text */
        return false;
    while (segments_next(&segments, &segment))
        if (segment_kind(segment, &segments) != SEGMENT_TEXT)
            return true;
    return false;
}

/* True when a pattern that is at its end or has only `**` left needs no further segment. */
static bool accepts_none(struct segments pattern) {
    struct bytes segment;
    while (segments_next(&pattern, &segment))
        if (segment_kind(segment, &pattern) != SEGMENT_ANY)
            return false;
    return true;
}

/*
 * Two positions, and one to return to: behind the last `**`, which then takes one segment more. Earlier ones need no
 * second try, because what the last one can't reach by taking more, they can't either. So at most (segments of the
 * pattern) × (segments of the destination) steps.
 */
static bool segments_match(struct segments pattern, struct segments destination) {
    struct segments after_any = {.more = false}, taken = {.more = false};
    bool has_any = false;
    while (destination.more) {
        struct segments next = pattern;
        struct bytes want, have;
        bool wants = segments_next(&next, &want);
        enum segment_kind kind = wants ? segment_kind(want, &next) : SEGMENT_TEXT;
        if (wants && kind == SEGMENT_ANY) {
            pattern = after_any = next;
            taken = destination;
            has_any = true;
            continue;
        }
        segments_next(&destination, &have);
        if (wants && (kind == SEGMENT_ONE || bytes_equal(want, have))) {
            pattern = next;
            continue;
        }
        if (!has_any)
            return false;
        segments_next(&taken, &have);
        destination = taken;
        pattern = after_any;
    }
    return accepts_none(pattern);
}

bool pattern_matches(struct bytes pattern, struct bytes destination) {
    struct bytes want, have;
    struct segments wanted = pattern_split(pattern, &want), had = pattern_split(destination, &have);
    return bytes_equal(want, have) && segments_match(wanted, had);
}
