/*
 * The conf file. One table in conf_table.c has an entry a key: section, name, type, default, one line of help, whether a
 * reload changes it (hub/reload.h), and where the value goes. From it come the parser, the faults, and the commented
 * reference file conf/stompd.conf (tools/conf_reference.c).
 *
 * Syntax: INI (libinih). `#` or `;` at the start of a line, or behind white space, begins a comment. Sizes: bytes, or
 * with k, m, g (1024s). Times with ms, s, m, h; a bare number is seconds. Unknown sections and keys, values that do not
 * fit and keys given twice are faults.
 */
#ifndef STOMPD_HUB_CONF_H
#define STOMPD_HUB_CONF_H

#include <stdio.h>

#include "stompd/auth/users.h"
#include "stompd/base/log.h"
#include "stompd/edge/listener_conf.h"
#include "stompd/route/policy.h"
#include "stompd/session/limits.h"
#include "stompd/store/redis_address.h"

#define CONF_WORKERS_MAX 64

/* [cluster]: what the node shares with others. */
struct cluster_settings {
    struct redis_address *redis; /* NULL: no such section, a node on its own; with the text of password-file in it */
    char *password_file;         /* NULL: not given */
    char *prefix;                /* of all keys and channels */
    char *registry_prefix;       /* of the sets of a user's sessions; NULL: "<prefix>user:" */
    uint32_t node_timeout_ms;    /* after which a silent node is dead */
    uint64_t buffer;             /* bytes kept for other nodes while Redis is away */
};

/* [admin]: the port for operators. */
struct admin_settings {
    char *bind;       /* NULL: no such section */
    char *token_file; /* NULL: none, on loopback only */
};

struct conf {
    char *node;       /* [server] node: letters, digits, '.', '_', '-'; default: the host name */
    unsigned workers; /* [server] workers: 1 to CONF_WORKERS_MAX; `auto` is one per core that this process may use */
    enum log_level log_level; /* [server] log-level: error, warning, notice, info, debug */
    uint32_t ping_time_ms;    /* [server] ping-time: WebSocket ping after that long without a byte from the client */
    uint32_t notice_time_ms;  /* [server] notice-time: after SIGTERM, how long sockets are still served */
    uint32_t drain_time_ms;   /* [server] drain-time: over which sessions are closed after that */
    uint32_t connections;     /* [limits] connections: sockets open at a time */
    uint32_t durable_subscriptions; /* [limits] durable-subscriptions: one user's */
    uint64_t queue_memory;          /* [limits] queue-memory: bytes in all queues of a node on its own */
    struct session_limits limits;   /* the rest of [limits], and [server] heart-beat-send, heart-beat-receive */
    struct users users;             /* [auth] and [user NAME] */
    struct policies policies;       /* [destination PATTERN] */
    struct cluster_settings cluster;
    struct admin_settings admin;
    struct listener_conf *listeners;
    size_t listener_count;
};

/*
 * Reads the file. Every fault is written to `faults` as `file:line: what, expected what`, one a line, and the file is
 * read to its end, so that one run shows them all. NULL when there was any fault (also: a file that can't be read, no
 * [listen] section, memory). The result is immutable; free with conf_free().
 */
MUST_CHECK struct conf *conf_read(const char *file, FILE *faults);

/* NULL is allowed. */
void conf_free(struct conf *conf);

/* Writes the reference file: every section and key with its help and default. */
void conf_write_reference(FILE *out);

#endif
