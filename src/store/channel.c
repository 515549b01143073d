/* The names of channels. Called by the hub for each publication and each announcement of interest. */
#include "stompd/store/channel.h"

#include "../route/pattern.h"
#include "user_key.h"

/*
 * A glob ends at this star at the latest and then covers more than it would have to. A Redis before 6.2.11 or 7.0.9
 * (CVE-2022-36021) takes a time that grows with the power of the stars, at every publication.
 */
#define GLOB_STARS_MAX 4

/* An octet of a pattern becomes at most "[/.]". */
#define GLOB_GROWTH 4

static bool name_channel(struct buffer *name, const char *prefix, struct bytes text) {
    name->len = 0;
    return text.len > 0 && buffer_append(name, prefix, strlen(prefix)) && buffer_append(name, text.data, text.len);
}

static bool name_user_channel(struct buffer *name, struct bytes key) {
    struct user_key split;
    if (!user_key_split(key, &split))
        return false;
    return split.anonymous ? channel_of_node(name, split.node) : name_channel(name, "u:", split.user);
}

bool channel_of_message(struct buffer *name, enum route route, struct bytes key) {
    switch (route) {
    case ROUTE_TOPIC:
        return name_channel(name, "t:", key);
    case ROUTE_USER:
        return name_user_channel(name, key);
    default:
        return false;
    }
}

bool channel_of_node(struct buffer *name, struct bytes node) {
    return name_channel(name, "n:", node);
}

/* ---- globs ---- */

/* Room is there. */
static void put(struct buffer *glob, struct bytes text) {
    if (text.len > 0)
        memcpy(glob->data + glob->len, text.data, text.len);
    glob->len += text.len;
}

static void put_literal(struct buffer *glob, struct bytes text) {
    for (size_t n = 0; n < text.len; n++) {
        if (strchr("*?[]^-\\", text.data[n]))
            glob->data[glob->len++] = '\\';
        glob->data[glob->len++] = text.data[n];
    }
}

/*
 * A segment that stands for any number of segments may stand for none, and then there is one boundary less: so it has
 * none of its own, only a star behind that of its neighbours.
 */
static void put_segments(struct buffer *glob, struct segments segments) {
    struct bytes segment;
    size_t stars = 0;
    bool is_first = true, star = false;
    while (segments_next(&segments, &segment)) {
        enum segment_kind kind = segment_kind(segment, &segments);
        star = star || kind != SEGMENT_TEXT;
        if (kind == SEGMENT_ANY)
            continue;
        if (!is_first)
            put(glob, BYTES("[/.]"));
        if (star)
            put(glob, BYTES("*"));
        if (star && ++stars == GLOB_STARS_MAX)
            return;
        if (kind == SEGMENT_TEXT)
            put_literal(glob, segment);
        is_first = star = false;
    }
    if (star)
        put(glob, BYTES("*"));
}

static bool name_pattern(struct buffer *name, struct bytes pattern) {
    struct bytes head;
    struct segments segments = pattern_split(pattern, &head);
    name->len = 0;
    if (pattern.len == 0 || !buffer_reserve(name, strlen("t:") + GLOB_GROWTH * pattern.len))
        return false;
    put(name, BYTES("t:"));
    put_literal(name, head);
    put_segments(name, segments);
    return true;
}

bool channel_of_interest(struct buffer *name, enum store_channel *channel, enum interest_kind kind, struct bytes key) {
    *channel = kind == INTEREST_PATTERN ? STORE_GLOB : STORE_CHANNEL;
    switch (kind) {
    case INTEREST_EXACT:
        return name_channel(name, "t:", key);
    case INTEREST_PATTERN:
        return name_pattern(name, key);
    case INTEREST_USER:
        return name_user_channel(name, key);
    default:
        return false;
    }
}
