/*
 * Private to hub/: the port for operators, HTTP on the hub's loop (evhttp):
 *
 *     /healthz  200, or 503 while the node drains, as on the websocket listeners
 *     /readyz   200, or 503 with a line for each reason why clients should not be sent here
 *     /metrics  metrics.h
 *     /api/v1/… admin_api.h
 *
 * Only GET and HEAD, one request a connection. Where there is a token, all but the first two need it, and without it
 * /readyz gives no reasons; where there is none, a Host must be localhost or numeric. Connections are bounded in number,
 * size of request and time.
 */
#ifndef STOMPD_HUB_ADMIN_H
#define STOMPD_HUB_ADMIN_H

#include <event2/event.h>

#include "cluster.h"
#include "metrics.h"
#include "node_state.h"
#include "registry.h"

/* Connections at a time. For a further one the oldest that has not asked goes; where all have, it waits in the kernel. */
#define ADMIN_CONNECTIONS_MAX 32

/* What a connection's time should be, from the accepted socket to the last byte of the answer. */
#define ADMIN_CONNECTION_MS 30000

/* Bytes of a request. */
#define ADMIN_REQUEST_MAX 8192

struct admin;

/* All borrowed. */
struct admin_conf {
    struct event_base *base;
    const char *bind;       /* what address_parse() reads */
    const char *token_file; /* NULL: none, which only a loopback address may have */
    const char *node;
    const char *boot;       /* "<node>:<boot id>" */
    uint32_t connection_ms; /* ADMIN_CONNECTION_MS */
    const struct worker_gauges *workers;
    unsigned worker_count;
    const struct lag *lag;         /* the hub's */
    const struct cluster *cluster; /* NULL: a node on its own */
    const struct registry *registry;
    struct store *store; /* NULL: the same */
    /* Fills in how the node is. */
    void (*look)(void *arg, struct node_state *state);
    void *arg;
};

/* Reads the token and binds; answers once the loop runs. NULL: the log says why. */
MUST_CHECK struct admin *admin_new(const struct admin_conf *conf);

/* Closes all connections. The store must answer no more; the loop must still be there. NULL is allowed. */
void admin_free(struct admin *admin);

/*
 * Reads the token from this file from now on; NULL: no token. False: it can't be read, or is needed and is not there; the
 * old one goes on, and the log says why.
 */
bool admin_reload(struct admin *admin, const char *token_file);

#endif
