/*
 * A bench for hub/queues: two workers' mailboxes on one side, a scripted queue store on the other, and time as a number.
 * What a worker posts and what it gets are told in words.
 */
#ifndef TESTS_HUB_QUEUES_BENCH_H
#define TESTS_HUB_QUEUES_BENCH_H

#include "../../src/hub/queues.h"
#include "scripted_queues.h"

#define BENCH_WORKERS 2
#define BENCH_START   UINT64_C(100000) /* ms */

struct queues_bench {
    struct scripted_queues store;
    struct mailbox boxes[BENCH_WORKERS];
    struct mailbox *mailboxes[BENCH_WORKERS];
    unsigned wakes[BENCH_WORKERS]; /* batches posted */
    struct policies policies;
    struct queues *queues;
    uint64_t now_ms;
    struct buffer text;
    struct message *last; /* of the last delivery that was read, one reference */
};

/* For cmocka: *state is a struct queues_bench, with a store that can be called; or one that can't. */
int queues_bench_setup(void **state);
int queues_bench_setup_down(void **state);
int queues_bench_teardown(void **state);

/* ---- from a worker; nothing goes on to the store before bench_flush() ---- */

/* Each consumer is another session's; or of one session. */
void bench_consume(struct queues_bench *bench, unsigned worker, uint64_t consumer, const char *queue,
                   uint32_t prefetch);
void bench_consume_in(struct queues_bench *bench, uint64_t session, unsigned worker, uint64_t consumer,
                      const char *queue, uint32_t prefetch);
void bench_unconsume(struct queues_bench *bench, unsigned worker, uint64_t consumer);
void bench_written(struct queues_bench *bench, unsigned worker, uint64_t consumer, uint64_t bytes);
/* Takes the change over. */
void bench_change(struct queues_bench *bench, unsigned worker, struct change *change);

/* A change for which pending number `pending` waits, 0: nobody. */
struct change *bench_change_new(uintptr_t pending);
void bench_add_put(struct change *change, const char *queue, size_t body_len);
void bench_add(struct change *change, enum operation_kind kind, uint64_t consumer, uint64_t n);
/* The same as one change of its own, nobody waiting. */
void bench_put(struct queues_bench *bench, const char *queue);
void bench_settle(struct queues_bench *bench, unsigned worker, uint64_t consumer, uint64_t n);

/* One reference. */
struct message *bench_message(const char *queue, size_t body_len);

/* ---- time ---- */

void bench_flush(struct queues_bench *bench);
/* So many milliseconds later, a tick and a flush. */
void bench_tick(struct queues_bench *bench, uint64_t ms);

/* ---- to the worker ---- */

/*
 * What the worker got since the last look, in order: "changed 5 done", "consuming 7", "7 gets 3" (consumer 7, entry 3),
 * "7 gets 3 again" (its second or later delivery), with "; " in between.
 */
const char *bench_mail(struct queues_bench *bench, unsigned worker);
void expect_mail(struct queues_bench *bench, unsigned worker, const char *text);

/* ---- the store ---- */

/* The oldest call without an answer is this one; NULL: there is none. */
void expect_call(struct queues_bench *bench, const char *text);

/* An entry for the answer to a take. */
struct given {
    size_t want;
    uint64_t n;
    uint32_t size;       /* 0: 100 */
    uint32_t deliveries; /* 0: 1 */
    size_t body_len;
    const char *dead_from; /* NULL: it is no dead letter */
    enum dead_reason dead;
};

/* Answers the oldest call with these entries, and flushes. */
void bench_give(struct queues_bench *bench, const struct given *given, size_t count);
#define GIVE(bench, ...)                                                                                               \
    bench_give((bench), (const struct given[]){__VA_ARGS__},                                                           \
               sizeof((const struct given[]){__VA_ARGS__}) / sizeof(struct given))

/* The same with entries `first` to `last` of the first want; none when last is below. */
void bench_give_range(struct queues_bench *bench, uint64_t first, uint64_t last);

/* Answers the oldest call: done, or nothing found; and flushes. */
void bench_done(struct queues_bench *bench);
/* The same for the only change of the oldest call. */
void bench_result(struct queues_bench *bench, enum change_result result);

struct queues_counters bench_count(const struct queues_bench *bench);

#endif
