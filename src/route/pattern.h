/*
 * How destinations and patterns fall into segments; the one place that knows separators and wildcards. Used within
 * route/ and, to make Redis' globs of patterns, by store/channel.c.
 *
 * The kind, all up to the second slash ("/topic/"), is compared byte by byte, so that no pattern reaches "/topic.a" or
 * another kind. What follows it is segments, with `/` and `.` as the same boundary: n separators make n + 1 segments,
 * some perhaps empty.
 */
#ifndef STOMPD_ROUTE_PATTERN_H
#define STOMPD_ROUTE_PATTERN_H

#include "stompd/base/bytes.h"

enum segment_kind {
    SEGMENT_TEXT, /* stands for itself */
    SEGMENT_ONE,  /* any one segment */
    SEGMENT_ANY   /* any number of segments, none too */
};

/* What is left of a text; copy it to remember a position. */
struct segments {
    struct bytes rest;
    bool more;
};

/*
 * Splits a destination or pattern into its kind (*head; empty where the text does not begin with "/…/") and the
 * segments behind it.
 */
struct segments pattern_split(struct bytes text, struct bytes *head);

/* The next segment; false at the end. */
bool segments_next(struct segments *segments, struct bytes *segment);

/*
 * What a pattern's segment means; `segments` is where it was just taken from (`#` and `>` are wildcards as the last
 * one only).
 */
enum segment_kind segment_kind(struct bytes segment, const struct segments *segments);

/* Whether any segment of the text is a wildcard. */
bool pattern_has_wildcard(struct bytes text);

#endif
