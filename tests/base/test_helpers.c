#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>

#include "stompd/base/helpers.h"

#define TASKS 16

/* A job that notes what became of it and posts `ended` then. */
struct task {
    struct job job;
    sem_t *ended;
    unsigned ran;
    unsigned cancelled;
};

static void note_run(struct job *job) {
    struct task *task = (struct task *)job;
    task->ran++;
    sem_post(task->ended);
}

static void note_cancel(struct job *job) {
    struct task *task = (struct task *)job;
    task->cancelled++;
    sem_post(task->ended);
}

static struct task task_of(sem_t *ended, void (*run)(struct job *job)) {
    return (struct task){.job = {.run = run, .cancel = note_cancel}, .ended = ended};
}

static struct helpers *start(unsigned threads) {
    struct helpers *helpers = helpers_new(threads);
    assert_non_null(helpers);
    return helpers;
}

static void wait_for(sem_t *semaphore, unsigned times) {
    for (unsigned n = 0; n < times; n++)
        sem_wait(semaphore);
}

static int open_semaphore(void **state) {
    static sem_t ended;
    *state = &ended;
    return sem_init(&ended, 0, 0);
}

static int close_semaphore(void **state) {
    return sem_destroy(*state);
}

/* ---- running ---- */

struct ordered_task {
    struct task task;
    unsigned *started; /* how many have, shared by all and touched by the one thread only */
    unsigned place;
};

static void note_place(struct job *job) {
    struct ordered_task *ordered = (struct ordered_task *)job;
    ordered->place = (*ordered->started)++;
    sem_post(ordered->task.ended);
}

static void jobs_start_in_the_order_submitted(void **state) {
    struct ordered_task ordered[TASKS];
    unsigned started = 0;
    struct helpers *helpers = start(1);
    for (unsigned n = 0; n < TASKS; n++) {
        ordered[n] = (struct ordered_task){.task = task_of(*state, note_place), .started = &started};
        helpers_submit(helpers, &ordered[n].task.job);
        if (n == TASKS / 2)
            wait_for(*state, n + 1); /* the queue runs empty once in between */
    }
    wait_for(*state, TASKS - TASKS / 2 - 1);
    helpers_free(helpers);
    for (unsigned n = 0; n < TASKS; n++)
        assert_int_equal(ordered[n].place, n);
}

struct meeting_task {
    struct task task;
    pthread_barrier_t *meeting;
};

static void meet(struct job *job) {
    pthread_barrier_wait(((struct meeting_task *)job)->meeting);
    note_run(job);
}

/* No job ends before both have begun, so a pool that ran one at a time would hang. */
static void jobs_run_side_by_side(void **state) {
    pthread_barrier_t meeting;
    pthread_barrier_init(&meeting, NULL, 2);
    struct meeting_task first = {task_of(*state, meet), &meeting};
    struct meeting_task second = {task_of(*state, meet), &meeting};
    struct helpers *helpers = start(2);
    helpers_submit(helpers, &first.task.job);
    helpers_submit(helpers, &second.task.job);
    wait_for(*state, 2);
    helpers_free(helpers);
    pthread_barrier_destroy(&meeting);
}

#define SUBMITTERS 3
#define EACH       2000

struct submitter {
    pthread_t thread;
    struct helpers *helpers;
    sem_t *ended;
    struct task tasks[EACH];
};

static void *submit_all(void *arg) {
    struct submitter *submitter = arg;
    for (unsigned n = 0; n < EACH; n++) {
        submitter->tasks[n] = task_of(submitter->ended, note_run);
        helpers_submit(submitter->helpers, &submitter->tasks[n].job);
    }
    return NULL;
}

static void every_job_of_several_threads_runs_once(void **state) {
    static struct submitter submitters[SUBMITTERS];
    struct helpers *helpers = start(4);
    for (unsigned n = 0; n < SUBMITTERS; n++) {
        submitters[n].helpers = helpers;
        submitters[n].ended = *state;
        assert_int_equal(pthread_create(&submitters[n].thread, NULL, submit_all, &submitters[n]), 0);
    }
    for (unsigned n = 0; n < SUBMITTERS; n++)
        pthread_join(submitters[n].thread, NULL);
    wait_for(*state, SUBMITTERS * EACH);
    helpers_free(helpers);
    for (unsigned n = 0; n < SUBMITTERS; n++) {
        for (unsigned task = 0; task < EACH; task++) {
            assert_int_equal(submitters[n].tasks[task].ran, 1);
            assert_int_equal(submitters[n].tasks[task].cancelled, 0);
        }
    }
}

struct mask_task {
    struct task task;
    sigset_t mask;
};

static void note_mask(struct job *job) {
    struct mask_task *task = (struct mask_task *)job;
    pthread_sigmask(SIG_SETMASK, NULL, &task->mask);
    note_run(job);
}

static void signals_are_blocked_on_the_threads_and_only_there(void **state) {
    static const int signals[] = {SIGTERM, SIGHUP, SIGINT, SIGCHLD, SIGUSR1};
    struct mask_task task = {.task = task_of(*state, note_mask)};
    struct helpers *helpers = start(1);
    helpers_submit(helpers, &task.task.job);
    wait_for(*state, 1);
    helpers_free(helpers);
    sigset_t own;
    pthread_sigmask(SIG_SETMASK, NULL, &own);
    for (size_t n = 0; n < sizeof signals / sizeof signals[0]; n++) {
        assert_int_equal(sigismember(&task.mask, signals[n]), 1);
        assert_int_equal(sigismember(&own, signals[n]), 0);
    }
}

/* ---- the end ---- */

struct last_task {
    struct task task;
    struct helpers *helpers;
    struct task *late;
    sem_t cancelled; /* the `ended` of the tasks behind it */
    sem_t begun;
};

/* Holds the only thread until the pool is being freed, and submits one more job then. */
static void outlast_the_waiting(struct job *job) {
    struct last_task *last = (struct last_task *)job;
    sem_post(&last->begun);
    wait_for(&last->cancelled, TASKS);
    helpers_submit(last->helpers, &last->late->job);
    note_run(job);
}

static void freeing_cancels_what_waits_and_lets_end_what_runs(void **state) {
    struct last_task last = {.task = task_of(*state, outlast_the_waiting), .helpers = start(1)};
    struct task waiting[TASKS];
    struct task late = task_of(*state, note_run);
    last.late = &late;
    assert_int_equal(sem_init(&last.cancelled, 0, 0), 0);
    assert_int_equal(sem_init(&last.begun, 0, 0), 0);
    helpers_submit(last.helpers, &last.task.job);
    wait_for(&last.begun, 1);
    for (unsigned n = 0; n < TASKS; n++) {
        waiting[n] = task_of(&last.cancelled, note_run);
        helpers_submit(last.helpers, &waiting[n].job);
    }
    helpers_free(last.helpers);
    assert_int_equal(last.task.ran, 1);
    for (unsigned n = 0; n < TASKS; n++) {
        assert_int_equal(waiting[n].ran, 0);
        assert_int_equal(waiting[n].cancelled, 1);
    }
    assert_int_equal(late.ran, 0);
    assert_int_equal(late.cancelled, 1);
    sem_destroy(&last.cancelled);
    sem_destroy(&last.begun);
}

static void unused_pool_and_none_at_all_may_be_freed(void **state) {
    (void)state;
    helpers_free(start(3));
    helpers_free(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(jobs_start_in_the_order_submitted, open_semaphore, close_semaphore),
        cmocka_unit_test_setup_teardown(jobs_run_side_by_side, open_semaphore, close_semaphore),
        cmocka_unit_test_setup_teardown(every_job_of_several_threads_runs_once, open_semaphore, close_semaphore),
        cmocka_unit_test_setup_teardown(signals_are_blocked_on_the_threads_and_only_there, open_semaphore,
                                        close_semaphore),
        cmocka_unit_test_setup_teardown(freeing_cancels_what_waits_and_lets_end_what_runs, open_semaphore,
                                        close_semaphore),
        cmocka_unit_test(unused_pool_and_none_at_all_may_be_freed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
