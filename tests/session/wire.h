/*
 * A strict reader of server frames: what a client that takes STOMP at its word accepts. It fails the test on anything
 * else. Used by the host on every frame that a session writes.
 */
#ifndef TESTS_SESSION_WIRE_H
#define TESTS_SESSION_WIRE_H

#include "stompd/base/bytes.h"
#include "stompd/stomp/version.h"

#define WIRE_FRAME_MAX   4096
#define WIRE_HEADERS_MAX 24

struct wire_header {
    const char *name; /* decoded */
    const char *value;
};

struct wire_frame {
    const char *command; /* "" is a heart-beat */
    struct wire_header headers[WIRE_HEADERS_MAX];
    size_t header_count;
    struct bytes body;
    char text[WIRE_FRAME_MAX]; /* holds all of the above */
};

/* Reads the bytes, which must be exactly one server frame of that version, or one EOL. */
void wire_read(struct wire_frame *frame, struct bytes bytes, enum stomp_version version);

/* The header's value, or NULL. */
const char *wire_header(const struct wire_frame *frame, const char *name);

#endif
