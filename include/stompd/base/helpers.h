/*
 * Helper pool: a few threads for slow work (password hashing) that must not run on a loop. A job reports back by
 * posting mail from within run().
 */
#ifndef STOMPD_BASE_HELPERS_H
#define STOMPD_BASE_HELPERS_H

#include "stompd/base/compiler.h"

#include <stdbool.h>

struct job {
    struct job *next;
    /* On a helper thread; owns the job from here on. */
    void (*run)(struct job *job);
    /* Instead of run, for jobs still waiting when the pool is freed: frees the job or hands it on. */
    void (*cancel)(struct job *job);
};

struct helpers;

/* Starts `threads` threads (all signals blocked). NULL when that is not possible. */
MUST_CHECK struct helpers *helpers_new(unsigned threads);

/* Hands the job over; jobs start in order. Thread-safe, never fails; callers bound how many they submit. */
void helpers_submit(struct helpers *helpers, struct job *job);

/* Lets running jobs end, cancels the waiting ones, joins the threads. NULL is allowed. */
void helpers_free(struct helpers *helpers);

#endif
