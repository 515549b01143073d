/* Private to the files of the suite: what their tests have in common. */
#ifndef STORE_QUEUE_SUITE_H
#define STORE_QUEUE_SUITE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "queue_peer.h"

#define BOOT_A "a:1"
#define BOOT_B "b:1"

#define IDLE .idle_expiry_ms = 300000

/* What each test has: a fresh server, and node a attached to it; where there may be several, node b too. */
struct pair {
    const struct queue_contract *contract;
    struct queue_peer a;
    struct queue_peer b;
};

int suite_set_up(void **state);
int suite_tear_down(void **state);

#define SUITE_TEST(test) cmocka_unit_test_setup_teardown(test, suite_set_up, suite_tear_down)

/* Runs tests; the number of those that failed. */
int suite_run(const char *name, const char *part, const struct queue_contract *contract, struct CMUnitTest *tests,
              size_t count);

void assert_done(enum change_result result);
void assert_full(enum change_result result);
void assert_counts(struct queue_peer *peer, uint64_t expired, uint64_t dropped, uint64_t dead);

/* Binds a queue, where the store knows bindings. */
void suite_bind(struct queue_peer *peer, const char *queue, const char *topic);

/* The parts; each as queue_contract_run(). */
int queue_suite_run_changes(const char *name, const struct queue_contract *contract);
int queue_suite_run_again(const char *name, const struct queue_contract *contract);
int queue_suite_run_several(const char *name, const struct queue_contract *contract);
int queue_suite_run_recovery(const char *name, const struct queue_contract *contract);
int queue_suite_run_bindings(const char *name, const struct queue_contract *contract);

#endif
