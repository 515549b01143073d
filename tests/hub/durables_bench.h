/*
 * A bench for hub/durables and hub/queues together, as src/hub/hub.c has them: two workers' mailboxes on one side, a
 * scripted queue store on the other, and time as a number. Functions play the hub, the workers and the store.
 */
#ifndef TESTS_HUB_DURABLES_BENCH_H
#define TESTS_HUB_DURABLES_BENCH_H

#include "../../src/hub/durables.h"
#include "scripted_queues.h"

#define WORKERS  2
#define START    UINT64_C(100000) /* ms */
#define PER_USER 3
#define LIFE     1000 /* versions of the store's first life begin here */

struct hub_bench {
    struct scripted_queues store;
    struct mailbox boxes[WORKERS];
    struct mailbox *mailboxes[WORKERS];
    struct policies policies;
    struct queues *queues;
    struct durables *durables;
    bool cluster;
    uint64_t now_ms;
    uint64_t credit[WORKERS]; /* that the workers got so far */
    struct buffer text;
};

/* For cmocka: *state is a struct hub_bench, of a node on its own or of one of a cluster, whose store is down at first. */
int hub_set_up_alone(void **state);
int hub_set_up_cluster(void **state);
int hub_tear_down(void **state);

#define ALONE(test)   cmocka_unit_test_setup_teardown(test, hub_set_up_alone, hub_tear_down)
#define CLUSTER(test) cmocka_unit_test_setup_teardown(test, hub_set_up_cluster, hub_tear_down)

/* ---- from a worker, as the hub passes it on ---- */

/* Mail of a consumer's; of MAIL_FORGET it is the number of its pending. */
void hub_say(struct hub_bench *bench, enum mail_type type, unsigned worker, uint64_t consumer, const char *queue,
             const char *topic);

/* Of worker 0. An end is for pending number 77. */
void hub_subscribe(struct hub_bench *bench, uint64_t consumer, const char *queue, const char *topic);
void hub_end(struct hub_bench *bench, const char *queue);
/* Whether it was for durables alone. */
bool hub_unsubscribe(struct hub_bench *bench, uint64_t consumer);

/* One reference. */
struct message *hub_message_to(const char *destination, const char *text, size_t len);
/* Takes the reference over. */
void hub_publish_message(struct hub_bench *bench, unsigned worker, struct message *message);
void hub_publish(struct hub_bench *bench, const char *destination, const char *text);
void hub_publish_large(struct hub_bench *bench, const char *destination, size_t len);

/* The worker confirms announcement `id` of that topic. */
void hub_confirm(struct hub_bench *bench, unsigned worker, uint64_t id, const char *topic, enum interest_kind kind);

/* ---- turns ---- */

/* The end of one. */
void hub_flush(struct hub_bench *bench);
/* So much later. */
void hub_pass(struct hub_bench *bench, uint64_t ms);

/* The link to the store: as the store does it, all calls are answered before it is down. */
void hub_come_up(struct hub_bench *bench);
void hub_go_down(struct hub_bench *bench);

/* ---- to a worker ---- */

/*
 * What the worker got since the last look, in order, but for credit: "announce /topic/a", "withdraw /topic/x.** (pattern)",
 * "consuming 7", "taken 7", "too many 7", "changed 77", with "; " in between.
 */
const char *hub_mail_of(struct hub_bench *bench, unsigned worker);
void hub_expect_mail(struct hub_bench *bench, unsigned worker, const char *text);

/* ---- the store ---- */

/* The oldest call without an answer is this one; NULL: there is none. */
void hub_expect_call(struct hub_bench *bench, const char *text);

/* The oldest call is this one, and is answered so; a turn ends. */
void hub_answer(struct hub_bench *bench, const char *call, struct queue_answer *with);
void hub_answer_result(struct hub_bench *bench, const char *call, enum queue_result result);
/* QUEUE_OK, in life LIFE; or in another, of which nothing is left. */
void hub_answer_version(struct hub_bench *bench, const char *call, uint64_t version, uint64_t everywhere);
void hub_answer_life(struct hub_bench *bench, const char *call, uint64_t life, uint64_t version);

/* A look's answer: pairs of queue and topic, as LIST() or NO_LIST. */
void hub_answer_list(struct hub_bench *bench, const char *call, uint64_t version, uint64_t everywhere, bool complete,
                     const char *const *pairs);

#define LIST(...) ((const char *const[]){__VA_ARGS__, NULL})
#define NO_LIST   ((const char *const[]){NULL})

/* The link is new, and this node knows nothing yet: it learns that version, and acts by it, as all do. */
void hub_learn(struct hub_bench *bench, uint64_t version, const char *const *pairs);
/* The same, and consumer 1 consumes from d:ann/1, which is bound to /topic/a. */
void hub_learn_and_serve(struct hub_bench *bench);

size_t hub_subscriptions(const struct hub_bench *bench);
size_t hub_dropped(const struct hub_bench *bench);

#endif
