/*
 * A growable run of owned bytes. Zero-initialised is empty and costs no heap. Callers bound its growth themselves.
 */
#ifndef STOMPD_BASE_BUFFER_H
#define STOMPD_BASE_BUFFER_H

#include "stompd/base/bytes.h"
#include "stompd/base/compiler.h"

struct buffer {
    char *data;
    size_t len;
    size_t capacity;
};

/* buffer_reserve() where there is not enough room yet. */
MUST_CHECK bool buffer_grow(struct buffer *buffer, size_t extra);

/* Makes room for `extra` more bytes behind len. False when out of memory; the content is then unchanged. */
MUST_CHECK static inline bool buffer_reserve(struct buffer *buffer, size_t extra) {
    return extra <= buffer->capacity - buffer->len || buffer_grow(buffer, extra);
}

/* Appends a copy of `len` bytes. False when out of memory; the content is then unchanged. */
MUST_CHECK bool buffer_append(struct buffer *buffer, const void *data, size_t len);

/* Drops the first n bytes (n <= len) and moves the rest to the front. */
void buffer_consume(struct buffer *buffer, size_t n);

/* Gives the memory back; the buffer is empty and usable again. */
void buffer_free(struct buffer *buffer);

static inline struct bytes buffer_bytes(const struct buffer *buffer) {
    return (struct bytes){buffer->data, buffer->len};
}

#endif
