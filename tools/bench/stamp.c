/* Fields of fixed width, one after the other. */
#include "bench/stamp.h"

#define RUN_DIGITS       8
#define PUBLISHER_DIGITS 6
#define NUMBER_DIGITS    10
#define TIME_DIGITS      12

_Static_assert(RUN_DIGITS + PUBLISHER_DIGITS + NUMBER_DIGITS + TIME_DIGITS == STAMP_SIZE, "the fields fill the stamp");

void hex_write(char *to, unsigned digits, uint64_t number) {
    for (; digits > 0; number >>= 4)
        to[--digits] = "0123456789abcdef"[number & 15];
}

static int digit_of(char c) {
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool hex_read(const char *from, unsigned digits, uint64_t *number) {
    uint64_t sum = 0;
    for (unsigned n = 0; n < digits; n++) {
        int digit = digit_of(from[n]);
        if (digit < 0)
            return false;
        sum = sum << 4 | (unsigned)digit;
    }
    *number = sum;
    return true;
}

void stamp_write(char *to, const struct stamp *stamp) {
    hex_write(to, RUN_DIGITS, stamp->run);
    hex_write(to += RUN_DIGITS, PUBLISHER_DIGITS, stamp->publisher);
    hex_write(to += PUBLISHER_DIGITS, NUMBER_DIGITS, stamp->number);
    hex_write(to + NUMBER_DIGITS, TIME_DIGITS, stamp->time_ns);
}

bool stamp_read(struct bytes body, struct stamp *stamp) {
    uint64_t run;
    uint64_t publisher;
    const char *at = body.data;
    if (body.len < STAMP_SIZE || !hex_read(at, RUN_DIGITS, &run) ||
        !hex_read(at += RUN_DIGITS, PUBLISHER_DIGITS, &publisher) ||
        !hex_read(at += PUBLISHER_DIGITS, NUMBER_DIGITS, &stamp->number) ||
        !hex_read(at + NUMBER_DIGITS, TIME_DIGITS, &stamp->time_ns))
        return false;
    stamp->run = (uint32_t)run;
    stamp->publisher = (uint32_t)publisher;
    return true;
}
