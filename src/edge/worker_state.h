/* Private to edge/: the worker as its files see it. */
#ifndef STOMPD_EDGE_WORKER_STATE_H
#define STOMPD_EDGE_WORKER_STATE_H

#include <pthread.h>

#include "stompd/base/timer.h"
#include "stompd/edge/counters.h"
#include "stompd/edge/router.h"
#include "stompd/edge/worker.h"

struct compressor;
struct connection;
struct lws_context;
struct lws_vhost;
struct loop;
struct ssl_ctx_st;

/* A [listen] section as one worker serves it. */
struct listener {
    struct listener_conf conf; /* as in the settings, at an address that stays */
    struct lws_vhost *vhost;
    struct ssl_ctx_st *tls; /* the vhost's; NULL: no TLS */
};

/* libwebsockets has set up TLS for a vhost that was created for a listener. */
void listener_has_tls(struct lws_vhost *vhost, struct ssl_ctx_st *tls);

struct worker {
    struct worker_conf conf;
    struct settings *settings;    /* one reference */
    struct session_limits limits; /* as in the settings, at an address that stays */
    struct loop *loop;
    struct lws_context *context;
    struct ssl_ctx_st *client_tls; /* for connections of our own making, of which there are none (worker.c says why) */
    struct listener *listeners;    /* [settings->listener_count] */
    struct mailbox mailbox;
    struct session_env env;
    struct router router;
    struct timer_wheel timers;
    struct list_node connections;
    struct list_node dirty;        /* connections to flush at the end of the turn */
    struct list_node resuming;     /* connections whose sessions take input again */
    struct buffer scratch;         /* where frames are laid out for one write */
    struct compressor *compressor; /* for permessage-deflate, with its scratch */
    struct buffer plain;
    struct buffer packed;
    uint64_t now_ms;          /* of this turn, by worker_time() */
    uint64_t ticked_ms;       /* the same at the last tick */
    uint64_t ticked_clock_ms; /* loop_time_ms() then */
    struct worker_counters counters;
    struct mail *arriving;       /* sockets to adopt, the oldest first, linked by next */
    struct mail **arrives_next;  /* the end of that chain */
    unsigned released;           /* sockets closed in this turn */
    struct mail_batch to_hub;    /* posted at the end of the turn */
    struct connection *adopting; /* while libwebsockets takes a socket over */
    bool draining;               /* /healthz says so */
    bool closing;                /* the sessions are being closed */
    enum fault_kind drain_kind;
    bool stopping;
    bool kick;    /* libwebsockets must look again at what it has buffered or scheduled */
    bool running; /* the thread exists */
    pthread_t thread;
};

/*
 * The time by which clients are judged: milliseconds like loop_time_ms(), without those in which the worker stood still
 * (the process was stopped, its machine paused, or a turn took very long), so that nobody is late who could not be
 * heard.
 */
uint64_t worker_time(const struct worker *worker);

#endif
