/*
 * The store of one process, without sockets: a fake_server stands for one Redis, and stores are attached to it that
 * keep the contract of store.h. Nothing moves by itself: fake_server_step() moves one thing, drawn at random among all
 * that can move. A link is two connections, as in redis_store.h, one that speaks and one that hears; each keeps its
 * order, and neither waits for the other.
 *
 * When a link breaks, what it had said and the server had not yet read may still be executed, even after the next link
 * has come up: the server goes on reading a connection whose other end is gone.
 *
 *     store -- commands -->  server  (executes)
 *           <-- answers, messages --
 */
#ifndef STORE_FAKE_STORE_H
#define STORE_FAKE_STORE_H

#include "stompd/base/buffer.h"
#include "stompd/base/list.h"
#include "stompd/store/queue_store.h"
#include "stompd/store/store.h"

/* An entry of the book of nodes. */
struct fake_node {
    struct list_node in_server;
    struct buffer node;
    struct buffer boot;
    uint64_t renewals;
    bool fenced;
};

/* A session of the registry. */
struct fake_session {
    struct list_node in_server;
    uint64_t number; /* counts up: pages go by it */
    struct buffer boot;
    struct buffer id;
    struct buffer user;
};

/* Tests read all, and set the first three. */
struct fake_server {
    uint64_t reply_ms; /* a command without an answer for so long breaks its link */
    unsigned piece;    /* sessions that a page or a piece of a burial has; STORE_SESSIONS_MAX at most */
    bool full;         /* no memory is left: what would need some fails */
    bool running;
    bool frozen;
    uint64_t now_ms;
    uint64_t runs;         /* how often it was started: its run id */
    uint64_t breaks;       /* of links, so far */
    uint64_t late_signs;   /* signs of life that came from a connection whose other end was gone */
    uint64_t buried_alive; /* boots that were declared dead while their store was attached */
    uint64_t given_back;   /* messages that boots had when they were buried, or left */
    /*
     * Calls of queues that a broken link had left behind, and that were done once more: nothing was kept any more, since
     * the boot had been buried or the data lost.
     */
    uint64_t late_calls;
    uint64_t left_behind; /* of these, when they left */
    uint64_t last_number;
    struct list_node nodes;
    struct list_node sessions;
    struct list_node queues;   /* struct fake_queue */
    struct list_node calls;    /* struct fake_calls */
    struct list_node bindings; /* struct fake_binding */
    uint64_t bindings_life;    /* 0: there was none yet */
    uint64_t bindings_version;
    uint64_t lives; /* of bindings, so far */
    struct list_node stores;
    struct list_node orphans; /* connections whose other end is gone */
};

/* Running and empty. */
void fake_server_init(struct fake_server *server);
/* All stores must be freed. */
void fake_server_free(struct fake_server *server);

/* Moves one thing. False: nothing can move. */
bool fake_server_step(struct fake_server *server, uint64_t *random);

/* It is that late: links whose commands were not answered in time are about to break. */
void fake_server_advance(struct fake_server *server, uint64_t now_ms);

/* It executes nothing until it is thawed. */
void fake_server_freeze(struct fake_server *server, bool frozen);

/* It ends: all links break, and none comes up until it is started again, with the data that it had or without. */
void fake_server_stop(struct fake_server *server);
void fake_server_start(struct fake_server *server, bool empty);

/* Loses all data and says nothing: FLUSHALL. */
void fake_server_empty(struct fake_server *server);

/* A store for that boot of that node, whose link is about to come up. Never NULL: it fails the test. */
struct store *fake_store_new(struct fake_server *server, const char *node, const char *boot,
                             const struct store_events *events, void *arg);

/*
 * The queues of its server, over its link, at most once a store; freed with it. See redis_store_queues(), whose words
 * come the same way.
 */
struct queue_store *fake_store_queues(struct store *store, unsigned owners, const struct queue_events *events,
                                      void *arg);

/* The link breaks, and none comes up while it is cut. */
void fake_store_cut(struct store *store, bool cut);

/* The link breaks. All that was said on it is done, its answers are lost; or none of it was done, or ever will be. */
void fake_store_break(struct store *store, bool done);

/* Nothing passes on the link any more, in silence, until it breaks. */
void fake_store_stall(struct store *store);
/* The same for the hearing connection alone. */
void fake_store_deafen(struct store *store);

/* The process that it belongs to is stopped: it hears nothing meanwhile, and misses nothing. */
void fake_store_pause(struct store *store, bool paused);

/* The link is up and whatever is said on it passes. */
bool fake_store_is_sound(const struct store *store);

/* A command is under way, or its answer. */
bool fake_store_is_busy(const struct store *store);

/* As Redis' PUBLISH: how many have heard it. */
size_t fake_server_publish(struct fake_server *server, struct bytes channel, struct bytes payload);

/* A store of that boot is attached. */
bool fake_server_has_boot(const struct fake_server *server, struct bytes boot);
/* The highest number of that store's calls of queues that was carried out and answered; 0: there is none. */
uint64_t fake_server_carried_out(const struct fake_server *server, struct bytes boot);

/* As Redis' PSUBSCRIBE matches. */
bool fake_glob_matches(struct bytes glob, struct bytes text);

#endif
