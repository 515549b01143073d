/* What /proc says of the servers' processes: CPU and memory. */
#ifndef BENCH_PROCESS_H
#define BENCH_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct usage {
    double user_s; /* CPU seconds since the processes' start */
    double system_s;
    double resident_bytes; /* at present */
};

/*
 * All of them together; with `children` their descendants too, and what those have used that have ended. Fails when one
 * of the processes is gone.
 */
struct usage process_usage(const pid_t *pids, size_t count, bool children);

/* This process, its CPU alone. */
struct usage process_own_usage(void);

/* What was used between the two; the memory is the later one's. */
struct usage usage_since(struct usage later, struct usage earlier);

double usage_cpu(struct usage usage);

#endif
