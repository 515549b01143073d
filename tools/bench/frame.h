/* A server's STOMP frames, as far as a client that measures must understand them. */
#ifndef BENCH_FRAME_H
#define BENCH_FRAME_H

#include "stompd/base/bytes.h"
#include "stompd/base/compiler.h"

struct frame {
    struct bytes command;
    struct bytes receipt_id; /* headers as they came, escapes and all; empty when they are not there */
    struct bytes ack;
    struct bytes message;
    struct bytes version;
    struct bytes body;
    size_t size; /* with the NUL */
};

enum frame_state { FRAME_COMPLETE, FRAME_PARTIAL, FRAME_BROKEN };

/* Reads the frame that `in` begins with; the frame borrows from it. Line ends ahead of it must have been taken off. */
MUST_CHECK enum frame_state frame_read(struct bytes in, struct frame *frame);

#endif
