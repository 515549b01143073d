/* The helper pool: one queue under one lock. Each thread takes the oldest job and runs it without the lock. */
#include "stompd/base/helpers.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

struct helpers {
    pthread_mutex_t lock; /* for the members down to `stopping` */
    pthread_cond_t work;
    struct job *oldest;
    struct job **end; /* where the next job is linked */
    bool stopping;
    unsigned count;
    pthread_t threads[];
};

/* Takes the oldest job; NULL when there is none. Under the lock. */
static struct job *take_oldest(struct helpers *helpers) {
    struct job *job = helpers->oldest;
    if (!job)
        return NULL;
    helpers->oldest = job->next;
    if (!helpers->oldest)
        helpers->end = &helpers->oldest;
    return job;
}

static struct job *wait_for_job(struct helpers *helpers) {
    pthread_mutex_lock(&helpers->lock);
    while (!helpers->stopping && !helpers->oldest)
        pthread_cond_wait(&helpers->work, &helpers->lock);
    struct job *job = helpers->stopping ? NULL : take_oldest(helpers);
    pthread_mutex_unlock(&helpers->lock);
    return job;
}

static void *help(void *arg) {
    struct helpers *helpers = arg;
    for (struct job *job; (job = wait_for_job(helpers));)
        job->run(job);
    return NULL;
}

/* Threads inherit the mask of their creator: signals stay with the thread that handles them. */
static bool start_threads(struct helpers *helpers, unsigned threads) {
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (helpers->count < threads && pthread_create(&helpers->threads[helpers->count], NULL, help, helpers) == 0)
        helpers->count++;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return helpers->count == threads;
}

struct helpers *helpers_new(unsigned threads) {
    struct helpers *helpers = calloc(1, sizeof *helpers + threads * sizeof helpers->threads[0]);
    if (!helpers)
        return NULL;
    pthread_mutex_init(&helpers->lock, NULL);
    pthread_cond_init(&helpers->work, NULL);
    helpers->end = &helpers->oldest;
    if (!start_threads(helpers, threads)) {
        helpers_free(helpers);
        return NULL;
    }
    return helpers;
}

void helpers_submit(struct helpers *helpers, struct job *job) {
    job->next = NULL;
    pthread_mutex_lock(&helpers->lock);
    *helpers->end = job;
    helpers->end = &job->next;
    pthread_cond_signal(&helpers->work);
    pthread_mutex_unlock(&helpers->lock);
}

static void stop(struct helpers *helpers) {
    pthread_mutex_lock(&helpers->lock);
    helpers->stopping = true;
    pthread_cond_broadcast(&helpers->work);
    pthread_mutex_unlock(&helpers->lock);
}

static void cancel_waiting(struct helpers *helpers) {
    struct job *job;
    do {
        pthread_mutex_lock(&helpers->lock);
        job = take_oldest(helpers);
        pthread_mutex_unlock(&helpers->lock);
        if (job)
            job->cancel(job);
    } while (job);
}

void helpers_free(struct helpers *helpers) {
    if (!helpers)
        return;
    stop(helpers);
    cancel_waiting(helpers);
    for (unsigned n = 0; n < helpers->count; n++)
        pthread_join(helpers->threads[n], NULL);
    cancel_waiting(helpers); /* what the last running jobs submitted */
    pthread_cond_destroy(&helpers->work);
    pthread_mutex_destroy(&helpers->lock);
    free(helpers);
}
