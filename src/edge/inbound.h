/*
 * Private to edge/: what arrives in WebSocket messages on its way to the session: decompressed where the client
 * compressed it, and checked to be UTF-8 where it is text. Across its pieces a message keeps only this little state.
 */
#ifndef STOMPD_EDGE_INBOUND_H
#define STOMPD_EDGE_INBOUND_H

#include "stompd/base/bytes.h"
#include "stompd/base/utf8.h"

struct connection;
struct inflater;

struct inbound {
    struct inflater *inflater; /* while a compressed message comes in */
    uint64_t began_ms;
    struct utf8_stream utf8;
    bool text;
    bool within_frame;
};

/* Some bytes of a frame's payload, as they were read. */
struct inbound_piece {
    struct bytes payload;
    bool first;      /* of its message */
    bool last;       /* of its message */
    bool ends_frame; /* of its frame */
    bool text;       /* the message's opcode */
    bool compressed; /* RSV1 of its frame (RFC 7692, section 6) */
};

/* The next piece, in order. A broken one ends the session. */
void inbound_take(struct connection *connection, const struct inbound_piece *piece);

/* The connection goes. */
void inbound_free(struct connection *connection);

#endif
