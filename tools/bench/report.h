/* What is shown of the results: a table for people, JSON for scripts. */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include "bench/options.h"
#include "bench/result.h"

/* A line a figure, a column a measurement; figures that none knows are left out. On standard output. */
void report_table(const struct options *options, const struct results *results);

/* To options->json; a figure that is not known is null. */
void report_json(const struct options *options, const struct results *results);

#endif
