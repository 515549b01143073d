/* What bench/instructions.c counts: scenarios, each the work of one part of the daemon, always the same. */
#ifndef BENCH_INSTRUCTIONS_H
#define BENCH_INSTRUCTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

struct scenario {
    const char *name;
    const char *unit; /* what the count is divided by */
    size_t units;     /* in one call of work() */
    unsigned repeats;
    void *(*set_up)(void);
    void (*prepare)(void *state); /* what work() uses up, made anew before each call; not counted */
    size_t (*work)(void *state);  /* counted; returns the units that came out right */
    void (*tear_down)(void *state);
};

extern const struct scenario parse_whole, parse_pieces;
extern const struct scenario write_plain, write_escaped;
extern const struct scenario match_exact, match_cached, match_uncached;
extern const struct scenario lay_out, send_one, fan_out, burst, settle;

/* A SEND as applications send it: a body of 128 bytes, JSON, with a content-length. */
extern const char typical_send[];
extern const size_t typical_send_len; /* with its NUL */

/* Ends the program unless it is true, as it is but for want of memory or where the daemon has changed. */
static inline void must(bool is_true, const char *what) {
    if (is_true)
        return;
    fprintf(stderr, "instructions: %s\n", what);
    exit(1);
}

#endif
