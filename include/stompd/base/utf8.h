/* UTF-8 validity after RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF. */
#ifndef STOMPD_BASE_UTF8_H
#define STOMPD_BASE_UTF8_H

#include <stdint.h>

#include "stompd/base/bytes.h"

/* Fast over ASCII: bodies are checked once, at SEND. */
bool utf8_is_valid(struct bytes text);

/* Text that comes in pieces, which may be cut within a character. Zero-initialised is the start of a text. */
struct utf8_stream {
    unsigned char pending[4]; /* the bytes of a character that is not complete */
    uint8_t pending_len;
};

/*
 * The next piece. False when the text can't become valid any more (found at the end of the broken character, at the
 * latest).
 */
bool utf8_stream_feed(struct utf8_stream *stream, struct bytes piece);

/* False when the text so far ends within a character. */
static inline bool utf8_stream_is_complete(const struct utf8_stream *stream) {
    return stream->pending_len == 0;
}

#endif
