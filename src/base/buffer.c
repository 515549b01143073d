/* A growable run of bytes: doubles when it is full, so that appending costs the same at any length. */
#include "stompd/base/buffer.h"

#include <stdint.h>
#include <stdlib.h>

#define FIRST_CAPACITY 64

bool buffer_grow(struct buffer *buffer, size_t extra) {
    if (extra > SIZE_MAX / 2 - buffer->len)
        return false;
    size_t capacity = buffer->capacity > 0 ? buffer->capacity * 2 : FIRST_CAPACITY;
    if (capacity < buffer->len + extra)
        capacity = buffer->len + extra;
    char *data = realloc(buffer->data, capacity);
    if (!data)
        return false;
    buffer->data = data;
    buffer->capacity = capacity;
    return true;
}

bool buffer_append(struct buffer *buffer, const void *data, size_t len) {
    if (!buffer_reserve(buffer, len))
        return false;
    if (len > 0)
        memcpy(buffer->data + buffer->len, data, len);
    buffer->len += len;
    return true;
}

void buffer_consume(struct buffer *buffer, size_t n) {
    buffer->len -= n;
    if (n > 0 && buffer->len > 0)
        memmove(buffer->data, buffer->data + n, buffer->len);
}

void buffer_free(struct buffer *buffer) {
    free(buffer->data);
    *buffer = (struct buffer){0};
}
