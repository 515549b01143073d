/* UTF-8 validity, after the table of well-formed byte sequences in the Unicode standard (table 3-7). */
#include "stompd/base/utf8.h"

#include <stdint.h>

static bool is_ascii_word(const unsigned char *at) {
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return (word & 0x8080808080808080) == 0;
}

/* The length of the well-formed sequence at `at`, or 0. Only the second byte has bounds that depend on the first. */
static size_t sequence_len(const unsigned char *at, size_t left) {
    unsigned char lead = at[0];
    unsigned char low = 0x80;
    unsigned char high = 0xbf;
    size_t len;
    if (lead < 0x80)
        return 1;
    if (lead < 0xc2 || lead > 0xf4)
        return 0;
    if (lead < 0xe0) {
        len = 2;
    } else if (lead < 0xf0) {
        len = 3;
        low = lead == 0xe0 ? 0xa0 : low;   /* not overlong */
        high = lead == 0xed ? 0x9f : high; /* no surrogate */
    } else {
        len = 4;
        low = lead == 0xf0 ? 0x90 : low;   /* not overlong */
        high = lead == 0xf4 ? 0x8f : high; /* not above U+10FFFF */
    }
    if (left < len || at[1] < low || at[1] > high)
        return 0;
    for (size_t n = 2; n < len; n++) {
        if ((at[n] & 0xc0) != 0x80)
            return 0;
    }
    return len;
}

bool utf8_is_valid(struct bytes bytes) {
    const unsigned char *data = (const unsigned char *)bytes.data;
    size_t at = 0;
    while (at < bytes.len) {
        if (bytes.len - at >= sizeof(uint64_t) && is_ascii_word(data + at)) {
            at += sizeof(uint64_t);
            continue;
        }
        size_t len = sequence_len(data + at, bytes.len - at);
        if (len == 0)
            return false;
        at += len;
    }
    return true;
}

/* How long a character is that begins with this byte; what can't begin one is judged by itself. */
static size_t announced_len(unsigned char lead) {
    return lead < 0xc0 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
}

/* How many bytes at the end belong to a character that is not complete. */
static size_t incomplete_len(struct bytes piece) {
    for (size_t back = 1; back <= 3 && back <= piece.len; back++) {
        unsigned char byte = (unsigned char)piece.data[piece.len - back];
        if ((byte & 0xc0) != 0x80)
            return announced_len(byte) > back ? back : 0;
    }
    return 0;
}

/* Completes the pending character as far as the piece allows; returns what it took. */
static size_t complete_pending(struct utf8_stream *stream, struct bytes piece) {
    size_t missing = announced_len(stream->pending[0]) - stream->pending_len;
    size_t taken = missing < piece.len ? missing : piece.len;
    memcpy(stream->pending + stream->pending_len, piece.data, taken);
    stream->pending_len = (uint8_t)(stream->pending_len + taken);
    return taken;
}

bool utf8_stream_feed(struct utf8_stream *stream, struct bytes piece) {
    if (piece.len == 0)
        return true;
    if (stream->pending_len > 0) {
        piece = bytes_skip(piece, complete_pending(stream, piece));
        if (stream->pending_len < announced_len(stream->pending[0]))
            return true;
        if (!utf8_is_valid((struct bytes){(const char *)stream->pending, stream->pending_len}))
            return false;
        stream->pending_len = 0;
    }
    size_t rest = incomplete_len(piece);
    piece.len -= rest;
    if (!utf8_is_valid(piece))
        return false;
    if (rest > 0)
        memcpy(stream->pending, piece.data + piece.len, rest);
    stream->pending_len = (uint8_t)rest;
    return true;
}
