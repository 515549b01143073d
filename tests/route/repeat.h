/* Builds long destinations and patterns for tests. */
#ifndef STOMPD_TESTS_ROUTE_REPEAT_H
#define STOMPD_TESTS_ROUTE_REPEAT_H

#include <stdio.h>

#include "stompd/base/bytes.h"

/* Lays `start`, `times` times `piece`, and `end` into `room`, which is large enough. */
static inline struct bytes repeat(char *room, size_t size, const char *start, int times, const char *piece,
                                  const char *end) {
    size_t len = (size_t)snprintf(room, size, "%s", start);
    for (int n = 0; n < times; n++)
        len += (size_t)snprintf(room + len, size - len, "%s", piece);
    len += (size_t)snprintf(room + len, size - len, "%s", end);
    return (struct bytes){room, len};
}

#endif
