/*
 * Times in buckets, log-linear: each power of two is cut into as many equal buckets, so that a figure read from it is
 * at most 1/128 above the true one, from nanoseconds to centuries, in 58 KiB. Recording costs a few instructions.
 */
#ifndef BENCH_HISTOGRAM_H
#define BENCH_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_BITS    7 /* buckets a power of two, as a power of two: an error of 1/128 at most */
#define HISTOGRAM_BUCKETS (((64 - HISTOGRAM_BITS) << HISTOGRAM_BITS) + (1 << HISTOGRAM_BITS))

/* Zero-initialised is empty. */
struct histogram {
    uint64_t count;
    uint64_t sum;
    uint64_t least; /* exact; only with a count */
    uint64_t most;  /* exact */
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_add(struct histogram *histogram, uint64_t value);

/*
 * The value that as many per cent of all are not above (0 < percent <= 100): never below the true one, at most 1/128
 * above it, and never above the greatest. 0 when empty.
 */
uint64_t histogram_percentile(const struct histogram *histogram, double percent);

/* Exact. 0 when empty. */
double histogram_mean(const struct histogram *histogram);

#endif
