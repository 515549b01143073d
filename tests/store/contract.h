/*
 * The contract of store.h as a suite of tests, for any store: what a kind of store must offer is a `contract`. Stores of
 * several boots are attached to one server. The tests wait for what they expect by turning whatever drives the stores;
 * nothing sleeps.
 */
#ifndef STORE_CONTRACT_H
#define STORE_CONTRACT_H

#include "stompd/store/store.h"

struct contract {
    /* A store for that boot of that node, which begins to connect. Never NULL: it fails the test. */
    struct store *(*attach)(void *arg, const char *node, const char *boot, const struct store_events *events,
                            void *events_arg);
    /* Turns the loop until `reached` says so. False: it does not come to that. */
    bool (*pump_until)(void *arg, bool (*reached)(void *reached_arg), void *reached_arg);
    /* Empties the server: no nodes, no users. No store is attached. */
    void (*empty)(void *arg);
    void *arg;
};

/* Runs the suite; the number of tests that failed. */
int contract_run(const char *name, const struct contract *contract);

#endif
