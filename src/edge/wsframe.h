/*
 * Private to edge/: the head of an unmasked WebSocket frame (RFC 6455, section 5.2), written ready-made in front of
 * each STOMP frame.
 */
#ifndef STOMPD_EDGE_WSFRAME_H
#define STOMPD_EDGE_WSFRAME_H

#include <stddef.h>
#include <stdint.h>

#define WSFRAME_HEAD_MAX 10

enum wsframe_opcode { WSFRAME_TEXT = 1, WSFRAME_BINARY = 2, WSFRAME_CLOSE = 8, WSFRAME_PING = 9 };

/* The bit beside the opcode that marks a compressed message (RFC 7692, section 6). */
#define WSFRAME_COMPRESSED 0x40

static inline size_t wsframe_head_len(size_t payload) {
    return payload < 126 ? 2 : payload < 65536 ? 4 : 10;
}

/* Writes the head of a whole message of that payload length; returns its end. `opcode` may have WSFRAME_COMPRESSED. */
static inline char *wsframe_head_write(char *to, unsigned opcode, size_t payload) {
    *to++ = (char)(0x80 | opcode);
    if (payload < 126) {
        *to++ = (char)payload;
    } else if (payload < 65536) {
        *to++ = 126;
        *to++ = (char)(payload >> 8);
        *to++ = (char)payload;
    } else {
        *to++ = 127;
        for (unsigned shift = 64; shift > 0; shift -= 8)
            *to++ = (char)((uint64_t)payload >> (shift - 8));
    }
    return to;
}

#endif
