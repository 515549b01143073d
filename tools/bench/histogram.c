/* Which bucket a value belongs to, and what a bucket stands for. */
#include "bench/histogram.h"

#include <math.h>

/* Values of up to twice the buckets of a power have one each; further ones lose as many of their low bits. */
static unsigned lost_bits(uint64_t value) {
    unsigned width = value ? 64 - (unsigned)__builtin_clzll(value) : 0;
    return width > HISTOGRAM_BITS + 1 ? width - HISTOGRAM_BITS - 1 : 0;
}

static unsigned bucket_of(uint64_t value) {
    unsigned lost = lost_bits(value);
    return (lost << HISTOGRAM_BITS) + (unsigned)(value >> lost);
}

/* The greatest value of the bucket. */
static uint64_t top_of(unsigned bucket) {
    unsigned lost = bucket >> HISTOGRAM_BITS;
    lost = lost > 0 ? lost - 1 : 0;
    uint64_t kept = bucket - (lost << HISTOGRAM_BITS);
    return (kept << lost) + ((UINT64_C(1) << lost) - 1);
}

void histogram_add(struct histogram *histogram, uint64_t value) {
    if (histogram->count == 0 || value < histogram->least)
        histogram->least = value;
    if (value > histogram->most)
        histogram->most = value;
    histogram->count++;
    histogram->sum += value;
    histogram->buckets[bucket_of(value)]++;
}

uint64_t histogram_percentile(const struct histogram *histogram, double percent) {
    uint64_t wanted = (uint64_t)ceil((double)histogram->count * percent / 100 - 1e-9);
    uint64_t seen = 0;
    if (wanted == 0)
        wanted = 1;
    for (unsigned bucket = 0; bucket < HISTOGRAM_BUCKETS; bucket++) {
        seen += histogram->buckets[bucket];
        if (seen >= wanted)
            return top_of(bucket) < histogram->most ? top_of(bucket) : histogram->most;
    }
    return histogram->most;
}

double histogram_mean(const struct histogram *histogram) {
    return histogram->count ? (double)histogram->sum / (double)histogram->count : 0;
}
