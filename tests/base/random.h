/* A seeded generator (xorshift64*), so that a random test does the same each time. */
#ifndef TESTS_BASE_RANDOM_H
#define TESTS_BASE_RANDOM_H

#include <stdint.h>

/* A number below `bound`. The state must not be 0. */
static inline uint64_t random_below(uint64_t *state, uint64_t bound) {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return (*state * 0x2545f4914f6cdd1d >> 16) % bound;
}

#endif
