/*
 * What every body begins with: the run that it belongs to, the publisher, the message's number with that publisher and
 * the time at which it was sent, or was to be sent. In hexadecimal, so that a body stays text.
 */
#ifndef BENCH_STAMP_H
#define BENCH_STAMP_H

#include <stdint.h>

#include "stompd/base/bytes.h"
#include "stompd/base/compiler.h"

#define STAMP_SIZE 36 /* bytes */

struct stamp {
    uint32_t run;
    uint32_t publisher; /* up to 24 bits */
    uint64_t number;    /* up to 40 bits */
    uint64_t time_ns;   /* up to 48 bits: three days from the start of the tool */
};

void stamp_write(char *to, const struct stamp *stamp);

/* False: the body has none. */
MUST_CHECK bool stamp_read(struct bytes body, struct stamp *stamp);

/* The lowest bits of a number in as many hexadecimal digits, and back. */
void hex_write(char *to, unsigned digits, uint64_t number);
MUST_CHECK bool hex_read(const char *from, unsigned digits, uint64_t *number);

#endif
