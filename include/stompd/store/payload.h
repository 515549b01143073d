/*
 * What nodes say to each other on channels, and store in queues: docs/payload.md has the layout. The first byte is the
 * version; whoever does not know it drops the payload. Everything that is read is checked, since anyone with access to
 * Redis can write there.
 */
#ifndef STOMPD_STORE_PAYLOAD_H
#define STOMPD_STORE_PAYLOAD_H

#include "stompd/base/buffer.h"
#include "stompd/base/message.h"

#define PAYLOAD_VERSION 1

/* None will be higher: what begins with such a byte is no payload at all. */
#define PAYLOAD_VERSION_MAX 31

enum payload_type {
    PAYLOAD_PUBLICATION = 1,
    PAYLOAD_ASK,   /* to a node: is your interest in place? */
    PAYLOAD_BACK,  /* the answer, and the news, that it is */
    PAYLOAD_PROBE, /* to oneself: does my subscribing connection hear? */
    PAYLOAD_READY, /* to a node: something may be ready in a queue that you wait for */
    PAYLOAD_STORED /* a message as a queue keeps it; not on channels */
};

/* The *why of payload_read_message() when the payload may be well-formed, but there is no memory for it. */
extern const char payload_out_of_memory[];
/* And when it has another version, which other nodes may know. */
extern const char payload_of_another_version[];

/* What every payload begins with. */
struct payload_origin {
    enum payload_type type;
    struct bytes boot; /* "<node>:<boot id>" of who sent it; borrowed */
    uint64_t sequence; /* of a PAYLOAD_PUBLICATION, of that boot on that link; above 0; else 0 */
};

/*
 * Overwrite `to`. False: out of memory. A word of PAYLOAD_READY is not complete: the queue's name is to be put behind it
 * (the scripts do that). A message is a PAYLOAD_PUBLICATION, or, with route ROUTE_QUEUE, a PAYLOAD_STORED.
 */
MUST_CHECK bool payload_write_word(struct buffer *to, const struct payload_origin *origin);
MUST_CHECK bool payload_write_message(struct buffer *to, const struct payload_origin *origin,
                                      const struct message *message);

/* Reads the front. False: no payload of this version; *why is a sentence (static text). */
MUST_CHECK bool payload_read_origin(struct bytes payload, struct payload_origin *origin, const char **why);

/* The queue's name of a PAYLOAD_READY; borrowed. False: it is none, or no name; *why is a sentence. */
MUST_CHECK bool payload_read_ready(struct bytes payload, struct bytes *queue, const char **why);

/*
 * The message of a PAYLOAD_PUBLICATION or PAYLOAD_STORED, with `owners` slots and one reference, the caller's. NULL: not well-formed (its
 * parts don't fill the payload exactly, a head or body that could break the frame it becomes part of, text that is not
 * UTF-8, an unknown route or one of the other type), or out of memory; *why says which.
 */
MUST_CHECK struct message *payload_read_message(struct bytes payload, unsigned owners, const char **why);

#endif
