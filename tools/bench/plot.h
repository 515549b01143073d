/* Latency over rate as a drawing: SVG without scripts, readable on light and on dark ground. */
#ifndef BENCH_PLOT_H
#define BENCH_PLOT_H

#include "bench/options.h"
#include "bench/result.h"

/* To options->plot, or fails. */
void plot_write(const struct options *options, const struct results *results);

#endif
