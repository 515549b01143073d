/*
 * Private to store/: one connection to Redis: bytes to and fro, and which answer belongs to what. Commands are
 * pipelined; each is answered in turn, within a time, or the connection is of no use.
 *
 * It is hiredis' non-blocking context on two libevent events. Its asynchronous layer (async.h, 0.14.1) is not used: it
 * ends the process by assert() when a server answers what it does not expect, mistakes answers while it is subscribed
 * (PONG, UNSUBSCRIBE with SUBSCRIBE behind it), and keeps the subscribed names, which clients choose, by a hash without
 * a key.
 */
#ifndef STORE_REDIS_CONNECTION_H
#define STORE_REDIS_CONNECTION_H

#include <hiredis/hiredis.h>
#include <stdint.h>

#include "redis_command.h"

struct event;
struct event_base;
struct redis_connection;

struct redis_connection_events {
    void (*connected)(struct redis_connection *connection);
    /* The oldest command without an answer, which `what` came with, has this one; borrowed. */
    void (*answered)(struct redis_connection *connection, void *what, const redisReply *reply);
    /* A subscriber's: "message", channel, payload, or "pmessage", glob, channel, payload: all strings; borrowed. */
    void (*published)(struct redis_connection *connection, const redisReply *reply);
    /*
     * It is of no use any more, and tells nothing more. Comes from the loop, and from within redis_connection_open()
     * and redis_connection_send(); the connection must not be closed before that has returned.
     */
    void (*failed)(struct redis_connection *connection, const char *why);
};

/* A command without an answer. */
struct redis_unanswered {
    void *what;
    uint64_t sent_ms;
};

struct redis_connection {
    const struct redis_connection_events *events;
    void *arg;       /* the owner's */
    bool subscriber; /* publications may come between answers */
    redisContext *context;
    struct event *readable;
    struct event *writable;
    struct event *overdue; /* pending while there are unanswered commands */
    uint64_t overdue_ms;   /* when it is to fire */
    uint32_t reply_ms;
    bool connected;
    bool failed;
    struct redis_unanswered *unanswered; /* a ring, the oldest at `oldest` */
    size_t oldest;
    size_t count;
    size_t capacity; /* 0 or a power of two */
};

/* Nothing is open yet. `reply_ms`: the time within which a command must be answered. */
void redis_connection_init(struct redis_connection *connection, const struct redis_connection_events *events, void *arg,
                           bool subscriber, uint32_t reply_ms);

/* Begins to connect, to a unix socket (host NULL) or to a number and port. `failed` tells when that is not possible. */
void redis_connection_open(struct redis_connection *connection, struct event_base *base, const char *host,
                           uint16_t port, const char *path);

static inline bool redis_connection_is_open(const struct redis_connection *connection) {
    return connection->context && !connection->failed;
}

/* Puts a command behind those that are on their way; copies it. False: it failed, before or now. */
bool redis_connection_send(struct redis_connection *connection, const struct redis_command *command, void *what);

/* Takes out the oldest command without an answer. False: there is none. */
MUST_CHECK bool redis_connection_take(struct redis_connection *connection, void **what);

/* It tells nothing more. May come from within an event. */
void redis_connection_stop(struct redis_connection *connection);

/* Not from within an event. What is unanswered stays to be taken. */
void redis_connection_close(struct redis_connection *connection);

/* Closes it, and forgets what is unanswered. */
void redis_connection_free(struct redis_connection *connection);

#endif
