/*
 * A worker: an I/O thread with its own libwebsockets context, which adopts sockets from the hub and owns their
 * sessions. Its turn:
 *
 *     run the loop (sockets are read, sessions act, messages go into outboxes)
 *     take the mailbox
 *     adopt some of the sockets that have come
 *     feed sessions whose input may go on
 *     post what other workers get
 *     flush every session that has something to write, once
 */
#ifndef STOMPD_EDGE_WORKER_H
#define STOMPD_EDGE_WORKER_H

#include "stompd/edge/counters.h"
#include "stompd/edge/mail.h"
#include "stompd/session/counters.h"

struct worker;

/* All borrowed, and to outlive the worker. */
struct worker_conf {
    unsigned index;
    unsigned count; /* workers in all */
    bool cluster;   /* there are other nodes, for which the hub stands */
    const char *node;
    const char *boot; /* "<node>:<boot id>" */
    const char *boot_id;
    struct settings *settings; /* at first; the worker takes a reference of its own */
    struct helpers *helpers;
    struct mailbox *hub;
};

/* Creates the worker with its context; in the main thread, before any worker runs. NULL: the log says why. */
MUST_CHECK struct worker *worker_new(const struct worker_conf *conf);

/* Where mail for the worker goes; lives as long as the worker. */
struct mailbox *worker_mailbox(struct worker *worker);

/* What it has counted: to be read at any time, as long as the worker lives. */
const struct session_counters *worker_session_counters(const struct worker *worker);
const struct worker_counters *worker_counters(const struct worker *worker);

/* Starts the thread. `mailboxes` are those of all workers, by index. False: the log says why. */
MUST_CHECK bool worker_start(struct worker *worker, struct mailbox *const *mailboxes);

/* Waits for the thread, which ends on MAIL_STOP. */
void worker_join(struct worker *worker);

/* In the main thread, after worker_join() (or without a start). NULL is allowed. */
void worker_free(struct worker *worker);

#endif
