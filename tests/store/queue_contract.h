/*
 * The contract of queue_store.h as a suite of tests, for any queue store: what a kind of store must offer is a
 * `queue_contract`. The tests wait for what they expect by turning whatever drives the stores, and let time pass by
 * advance(); nothing else sleeps.
 */
#ifndef STORE_QUEUE_CONTRACT_H
#define STORE_QUEUE_CONTRACT_H

#include "stompd/store/queue_store.h"

struct queue_contract {
    /*
     * A queue store for that boot ("<node>:<boot id>") of that node, which can be called: its link is up and the boot is
     * among the nodes. Never NULL: it fails the test.
     */
    struct queue_store *(*attach)(void *arg, const char *node, const char *boot, const struct queue_events *events,
                                  void *events_arg);
    /* Frees it, in silence: as if its process had been killed. */
    void (*detach)(void *arg, struct queue_store *store);
    /* Turns what drives the stores, their turn() included, until `reached` says so. False: it does not come to that. */
    bool (*pump_until)(void *arg, bool (*reached)(void *reached_arg), void *reached_arg);
    /* So much time passes for the store: at least that much where time is real. A few hundred milliseconds at most. */
    void (*advance)(void *arg, uint64_t ms);
    /* Empties the server. No store is attached. */
    void (*empty)(void *arg);

    /* The store knows bindings. Where not, anything may be put into queues of durable subscriptions. */
    bool bindings;

    /* Stores of several boots may be attached to the server at a time. Where not, bury and renew are not called. */
    bool several;
    /* Another node has declared the boot dead and cleans up after it, to the end. Its store may still be attached. */
    void (*bury)(void *arg, const char *node, const char *boot);
    /* The boot of that store is among the nodes again. */
    void (*renew)(void *arg, struct queue_store *store);
    /* The store has recover(); only where there are several. */
    bool recovers;

    /*
     * The store's link breaks: what was called and not answered is answered QUEUE_AWAY. `carried_out`: the server has done
     * all of it, only the answers were lost; else it has done none of it. Returns when the store can be called again.
     * NULL: it is never away.
     */
    void (*break_link)(void *arg, struct queue_store *store, bool carried_out);
    void *arg;
};

/* Runs the suite; the number of tests that failed. */
int queue_contract_run(const char *name, const struct queue_contract *contract);

#endif
