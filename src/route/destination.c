/* Reads the destinations of SEND and SUBSCRIBE. Called by the session before anything is routed. */
#include "stompd/route/destination.h"

#include "pattern.h"
#include "stompd/base/words.h"

/* So much of a refused destination is quoted. */
#define QUOTED_MAX 100

static const struct {
    enum destination_kind kind;
    struct bytes prefix;
} kinds[] = {
    {DESTINATION_TOPIC, BYTES("/topic")},
    {DESTINATION_QUEUE, BYTES("/queue")},
    {DESTINATION_USER, BYTES("/user")},
    {DESTINATION_APP, BYTES("/app")},
    {DESTINATION_TEMP_QUEUE, BYTES("/temp-queue")},
};

static bool refuse(struct fault *fault, const char *why, struct bytes text) {
    int quoted = text.len < QUOTED_MAX ? (int)text.len : QUOTED_MAX;
    return fault_set(fault, FAULT_PROTOCOL, "%s (%.*s%s)", why, quoted, text.data, text.len > QUOTED_MAX ? "..." : "");
}

static uint64_t find_control_character(uint64_t word) {
    return word_find_below(word, 0x20) | word_find(word, 0x7f);
}

/*
 * What follows the prefix, from its slash on, or nothing; *rest is left alone when the destination is of no known
 * kind.
 */
static enum destination_kind kind_of(struct bytes text, struct bytes *rest) {
    for (size_t n = 0; n < sizeof kinds / sizeof *kinds; n++) {
        struct bytes prefix = kinds[n].prefix;
        if (!bytes_start_with(text, prefix) || (text.len > prefix.len && text.data[prefix.len] != '/'))
            continue;
        *rest = bytes_skip(text, prefix.len);
        return kinds[n].kind;
    }
    return DESTINATION_OTHER;
}

static bool has_too_many_segments(struct bytes text) {
    size_t separators = 0;
    if (text.len < DESTINATION_SEGMENTS_MAX) /* nearly every destination */
        return false;
    for (size_t n = 0; n < text.len; n++)
        separators += text.data[n] == '/' || text.data[n] == '.';
    return separators + 1 > DESTINATION_SEGMENTS_MAX;
}

/* The rules that SEND and SUBSCRIBE share. Leaves in `rest` what follows the prefix, for all kinds. */
static bool read_common(struct bytes text, struct destination *destination, struct fault *fault) {
    struct bytes rest = text;
    if (text.len == 0)
        return fault_set(fault, FAULT_PROTOCOL, "the destination is empty");
    if (text.len > DESTINATION_LEN_MAX)
        return refuse(fault, "the destination is too long", text);
    if (words_have(text, find_control_character))
        return refuse(fault, "the destination has a control character", text);
    destination->kind = kind_of(text, &rest);
    destination->pattern = false;
    destination->whole = text;
    destination->rest = rest;
    destination->user_len = 0;
    if (destination->kind != DESTINATION_OTHER && rest.len <= 1)
        return refuse(fault, "the destination has nothing behind its prefix", text);
    if (destination->kind == DESTINATION_TOPIC && has_too_many_segments(bytes_skip(rest, 1)))
        return refuse(fault, "the destination has too many segments", text);
    return true;
}

/* The character that the name's next one stands for; *used says how many it took. */
static char decode(struct bytes name, size_t *used) {
    *used = 3;
    if (bytes_start_with(name, BYTES("%2F")) || bytes_start_with(name, BYTES("%2f")))
        return '/';
    if (bytes_start_with(name, BYTES("%25")))
        return '%';
    *used = 1;
    return name.data[0];
}

static bool decode_user(struct bytes name, struct destination *destination) {
    while (name.len > 0) {
        size_t used;
        if (destination->user_len == DESTINATION_USER_MAX)
            return false;
        destination->user[destination->user_len++] = decode(name, &used);
        name = bytes_skip(name, used);
    }
    return true;
}

/* From "/NAME/rest" in destination->rest. */
static bool read_user(struct destination *destination, struct fault *fault) {
    struct bytes name = bytes_skip(destination->rest, 1);
    const char *slash = memchr(name.data, '/', name.len);
    size_t name_len = slash ? (size_t)(slash - name.data) : name.len;
    destination->rest = bytes_skip(name, name_len);
    if (destination->rest.len <= 1)
        return refuse(fault, "the destination has nothing behind the user's name", destination->whole);
    name.len = name_len;
    return decode_user(name, destination) || refuse(fault, "the user's name is too long", destination->whole);
}

bool destination_of_send(struct bytes text, struct destination *destination, struct fault *fault) {
    if (!read_common(text, destination, fault))
        return false;
    if (destination->kind == DESTINATION_TOPIC && pattern_has_wildcard(text))
        return refuse(fault, "a message can not be sent to a pattern", text);
    return destination->kind != DESTINATION_USER || read_user(destination, fault);
}

/* Each `**` keeps a walk through the patterns at all further segments: a few are useful, many cost everyone. */
static bool has_too_many_any(struct bytes pattern) {
    struct bytes head;
    struct bytes segment;
    struct segments segments = pattern_split(pattern, &head);
    size_t count = 0;
    while (segments_next(&segments, &segment))
        count += segment_kind(segment, &segments) == SEGMENT_ANY;
    return count > DESTINATION_ANY_MAX;
}

bool destination_of_subscribe(struct bytes text, struct destination *destination, struct fault *fault) {
    if (!read_common(text, destination, fault))
        return false;
    bool wildcard = pattern_has_wildcard(text);
    destination->pattern = wildcard && destination->kind == DESTINATION_TOPIC;
    if (destination->pattern && has_too_many_any(text))
        return refuse(fault, "the pattern has too many segments **", text);
    /*
     * A queue's name may hold any character, so that what can be sent to can also be subscribed to. Applications name the
     * pattern of a policy.
     */
    if (!wildcard || destination->pattern || destination->kind == DESTINATION_QUEUE ||
        destination->kind == DESTINATION_APP)
        return true;
    return refuse(fault, "only topics can be subscribed to by a pattern", text);
}

static char *append(char *to, struct bytes text) {
    if (text.len > 0)
        memcpy(to, text.data, text.len);
    return to + text.len;
}

size_t destination_user_key(char *to, bool anonymous, struct bytes name_or_session, struct bytes rest) {
    if (to) {
        *to++ = anonymous ? 's' : 'u';
        to = append(to, name_or_session);
        *to++ = '\0';
        append(to, rest);
    }
    return 1 + name_or_session.len + 1 + rest.len;
}

bool destination_user_key_build(struct buffer *key, bool anonymous, struct bytes name_or_session, struct bytes rest) {
    key->len = 0;
    if (!buffer_reserve(key, destination_user_key(NULL, anonymous, name_or_session, rest)))
        return false;
    key->len = destination_user_key(key->data, anonymous, name_or_session, rest);
    return true;
}
