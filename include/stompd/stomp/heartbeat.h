/* Heart-beat arithmetic (1.2, "Heart-beating"). All times are milliseconds; 0 is "none". */
#ifndef STOMPD_STOMP_HEARTBEAT_H
#define STOMPD_STOMP_HEARTBEAT_H

#include <stdint.h>

#include "stompd/base/bytes.h"
#include "stompd/base/compiler.h"

/* What one side can send and what it wants to receive: the header's `<x>,<y>`. */
struct heartbeat {
    uint32_t send_ms;
    uint32_t receive_ms;
};

/*
 * Reads `<x>,<y>`: two non-negative decimal numbers without sign or blanks; larger than 32 bits counts as the largest.
 * False when malformed.
 */
MUST_CHECK bool heartbeat_parse(struct bytes value, struct heartbeat *client);

/*
 * What the server does: send_ms = max(server sends, client wants) unless either is 0; receive_ms = max(client sends,
 * server wants) likewise.
 */
struct heartbeat heartbeat_negotiate(struct heartbeat server, struct heartbeat client);

#endif
