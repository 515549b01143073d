/* UTF-8 validity, after the table of well-formed byte sequences in the Unicode standard (table 3-7). */
#include "stompd/base/utf8.h"

#include "stompd/base/words.h"

static bool is_high(char c) {
    return (unsigned char)c >= 0x80;
}

/* How many ASCII bytes the text begins with. Most texts are nothing else, so it goes by four words as long as it can. */
static size_t ascii_len(const char *text, size_t len) {
    size_t at = 0;
    for (; len - at >= 4 * WORD_SIZE; at += 4 * WORD_SIZE) {
        const char *words = text + at;
        if (word_find_high(word_at(words) | word_at(words + WORD_SIZE) | word_at(words + 2 * WORD_SIZE) |
                           word_at(words + 3 * WORD_SIZE)))
            break;
    }
    while (len - at >= WORD_SIZE && !word_find_high(word_at(text + at)))
        at += WORD_SIZE;
    while (at < len && !is_high(text[at]))
        at++;
    return at;
}

/*
 * The length of the well-formed sequence of several bytes at `at`, or 0. Only the second byte has bounds that depend on
 * the first.
 */
static size_t sequence_len(const unsigned char *at, size_t left) {
    unsigned char lead = at[0];
    unsigned char low = 0x80;
    unsigned char high = 0xbf;
    size_t len;
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

bool utf8_is_valid(struct bytes text) {
    size_t at = 0;
    while (at < text.len) {
        const char *rest = text.data + at;
        size_t left = text.len - at;
        size_t len = is_high(*rest) ? sequence_len((const unsigned char *)rest, left) : ascii_len(rest, left);
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
