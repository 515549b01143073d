/*
 * What nodes say to each other on channels: docs/payload.md has the layout. The first byte is the version; whoever does
 * not know it drops the payload. Everything that is read is checked, since anyone with access to Redis can write there.
 */
#ifndef STOMPD_STORE_PAYLOAD_H
#define STOMPD_STORE_PAYLOAD_H

#include "stompd/base/buffer.h"
#include "stompd/base/message.h"

#define PAYLOAD_VERSION 1

enum payload_type {
    PAYLOAD_PUBLICATION = 1,
    PAYLOAD_ASK,  /* to a node: is your interest in place? */
    PAYLOAD_BACK, /* the answer, and the news, that it is */
    PAYLOAD_PROBE /* to oneself: does my subscribing connection hear? */
};

/* What every payload begins with. */
struct payload_origin {
    enum payload_type type;
    struct bytes boot; /* "<node>:<boot id>" of who sent it; borrowed */
    uint64_t sequence; /* of that boot on that link; above 0; in PAYLOAD_ASK, _BACK and _PROBE: 0 */
};

/* Overwrite `to`. False: out of memory. */
MUST_CHECK bool payload_write_word(struct buffer *to, const struct payload_origin *origin);
MUST_CHECK bool payload_write_message(struct buffer *to, const struct payload_origin *origin,
                                      const struct message *message);

/* Reads the front. False: no payload of this version; *why is a sentence (static text). */
MUST_CHECK bool payload_read_origin(struct bytes payload, struct payload_origin *origin, const char **why);

/*
 * The message of a PAYLOAD_PUBLICATION, with `owners` slots and one reference, the caller's. NULL: not well-formed (its
 * parts don't fill the payload exactly, a head or body that could break the frame it becomes part of, text that is not
 * UTF-8, an unknown route), or out of memory; *why says which.
 */
MUST_CHECK struct message *payload_read_message(struct bytes payload, unsigned owners, const char **why);

#endif
