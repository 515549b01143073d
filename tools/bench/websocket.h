/* The client's side of WebSocket (RFC 6455): the upgrade, masked frames out, frames in. No sockets. */
#ifndef BENCH_WEBSOCKET_H
#define BENCH_WEBSOCKET_H

#include <stdint.h>

#include "bench/target.h"
#include "stompd/base/buffer.h"

enum websocket_opcode {
    WEBSOCKET_CONTINUATION = 0,
    WEBSOCKET_TEXT = 1,
    WEBSOCKET_BINARY = 2,
    WEBSOCKET_CLOSE = 8,
    WEBSOCKET_PING = 9,
    WEBSOCKET_PONG = 10,
};

/* Appends the request that asks for the sub-protocol v12.stomp. */
void websocket_ask(struct buffer *out, const struct target *target);

/*
 * The answer to it: how long it is, 0 while it is not complete. Unless the server has agreed, `fault` is filled with a
 * sentence, and 0 is returned.
 */
size_t websocket_answer(struct bytes in, char *fault, size_t fault_size);

/* Appends one masked frame, a whole message. `mask` is a seed, changed by every frame. */
void websocket_write(struct buffer *out, enum websocket_opcode opcode, struct bytes payload, uint32_t *mask);

struct websocket_frame {
    enum websocket_opcode opcode;
    struct bytes payload;
    size_t size; /* with the head */
};

/* False while the frame is not complete. */
MUST_CHECK bool websocket_read(struct bytes in, struct websocket_frame *frame);

#endif
