/*
 * What the string in a SEND's or SUBSCRIBE's `destination` means. The prefix decides the kind; /user/ destinations are
 * taken apart into the user's name and the rest. All rules that need no configuration are here.
 *
 * Separators are `/` and `.`. A pattern is a topic destination in SUBSCRIBE with a whole segment `*` (one segment),
 * `**` (any number, none too) or, as its last segment, `#` or `>` (both as `**`). In all other places these characters
 * stand for themselves.
 */
#ifndef STOMPD_ROUTE_DESTINATION_H
#define STOMPD_ROUTE_DESTINATION_H

#include "stompd/base/buffer.h"
#include "stompd/stomp/fault.h"

enum destination_kind {
    DESTINATION_TOPIC,      /* /topic/… */
    DESTINATION_QUEUE,      /* /queue/… */
    DESTINATION_USER,       /* /user/… */
    DESTINATION_APP,        /* /app/… */
    DESTINATION_TEMP_QUEUE, /* /temp-queue/… */
    DESTINATION_OTHER
};

/* A user's name longer than this is refused: bytes, decoded. */
#define DESTINATION_USER_MAX 255

/* A topic destination with more segments behind /topic/ is refused: it bounds what a match of patterns costs. */
#define DESTINATION_SEGMENTS_MAX 64

/* A pattern with more segments that stand for any number of segments is refused, for the same reason. */
#define DESTINATION_ANY_MAX 4

/* A destination longer than this is refused, in bytes: sessions, tries and interests keep copies of it. */
#define DESTINATION_LEN_MAX 1024

struct destination {
    enum destination_kind kind;
    bool pattern;       /* SUBSCRIBE to a topic only */
    struct bytes whole; /* as the client wrote it */

    /* DESTINATION_USER: what follows the name in a SEND, or /user in a SUBSCRIBE; begins with "/". */
    struct bytes rest;

    /* DESTINATION_USER in a SEND: the name, %2F, %2f and %25 decoded; any other % stands for itself. May be empty. */
    size_t user_len;
    char user[DESTINATION_USER_MAX];
};

static inline struct bytes destination_user(const struct destination *destination) {
    return (struct bytes){destination->user, destination->user_len};
}

/*
 * Reads a SEND's destination. Refused (FAULT_PROTOCOL) with a message that quotes it: empty, control characters (below
 * 0x20, 0x7f), a kind prefix with nothing behind it, a topic destination that would be a pattern or has too many
 * segments, `/user/NAME` without a rest, a name that is too long.
 */
MUST_CHECK bool destination_of_send(struct bytes text, struct destination *destination, struct fault *fault);

/*
 * Reads a SUBSCRIBE's destination. `/user/queue/x` always means one's own, so rest is "/queue/x". Refused: as above
 * where it applies, and wildcard segments anywhere but under /topic/ (no pattern ever crosses into another kind), /queue/
 * (where they are part of the name) and /app/ (where the whole is the name of a policy's pattern).
 */
MUST_CHECK bool destination_of_subscribe(struct bytes text, struct destination *destination, struct fault *fault);

/*
 * The key under which user subscriptions are kept: 'u' NAME NUL REST for a named user, 's' SESSION-ID NUL REST for an
 * anonymous session. The two can never be equal, because neither part holds a NUL. Returns the length; writes nothing
 * when `to` is NULL.
 */
size_t destination_user_key(char *to, bool anonymous, struct bytes name_or_session, struct bytes rest);

/* The same into a buffer, which is overwritten. False when out of memory. */
MUST_CHECK bool destination_user_key_build(struct buffer *key, bool anonymous, struct bytes name_or_session,
                                           struct bytes rest);

#endif
