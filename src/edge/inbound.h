/*
 * Private to edge/: what arrives in WebSocket messages on its way to the session: decompressed where the client
 * compressed it, and checked to be UTF-8 where it is text. Across its pieces a message keeps only this little state.
 */
#ifndef STOMPD_EDGE_INBOUND_H
#define STOMPD_EDGE_INBOUND_H

#include "stompd/base/utf8.h"

struct connection;
struct inflater;

struct inbound {
    struct inflater *inflater; /* while a compressed message comes in */
    struct utf8_stream utf8;
    uint64_t began_ms;
    bool text;
};

/* A piece of a message's payload; `first` and `last` mark its ends. `text` and `compressed` count with the first. */
void inbound_take(struct connection *connection, struct bytes piece, bool first, bool last, bool text, bool compressed);

/* The connection goes. */
void inbound_free(struct connection *connection);

#endif
