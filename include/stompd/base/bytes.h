/*
 * A borrowed run of bytes: a pointer and a length, never NUL-terminated, never owned. What protocol code passes around
 * instead of C strings, because STOMP values may hold any octet.
 */
#ifndef STOMPD_BASE_BYTES_H
#define STOMPD_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct bytes {
    const char *data; /* may be NULL when len is 0 */
    size_t len;
};

/* For printf's "%.*s": BYTES_ARG(b) gives the precision and the pointer. */
#define BYTES_ARG(b) (int)(b).len, (b).data ? (b).data : ""

/* A literal as bytes, its length known at compile time. */
#define BYTES(literal) ((struct bytes){(literal), sizeof(literal) - 1})

/* The bytes of a NUL-terminated string; borrows it. */
static inline struct bytes bytes_of(const char *string) {
    return (struct bytes){string, strlen(string)};
}

static inline bool bytes_equal(struct bytes a, struct bytes b) {
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static inline bool bytes_start_with(struct bytes whole, struct bytes prefix) {
    return whole.len >= prefix.len && (prefix.len == 0 || memcmp(whole.data, prefix.data, prefix.len) == 0);
}

/* What is left of `whole` behind its first n bytes; n must not exceed its length. */
static inline struct bytes bytes_skip(struct bytes whole, size_t n) {
    return (struct bytes){whole.data + n, whole.len - n};
}

#endif
