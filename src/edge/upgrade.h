/*
 * Private to edge/: whether a request may become a WebSocket (RFC 6455, section 4.2.1), decided before libwebsockets
 * does anything about it.
 */
#ifndef STOMPD_EDGE_UPGRADE_H
#define STOMPD_EDGE_UPGRADE_H

#include "connection.h"

/* The refusal of a request: an HTTP status and a line for the body. */
struct refusal {
    unsigned status; /* 0: not refused */
    const char *why;
};

/*
 * Checks method, path, version, Origin, and sub-protocols of an upgrade request. `protocol` is what its Upgrade header
 * says.
 */
struct refusal upgrade_check(const struct connection *connection, struct lws *wsi, const char *protocol);

/*
 * Where the connection comes from a trusted proxy, its peer is from now on the client that X-Forwarded-For names. For a
 * request that is taken, and so the connection's last: a proxy may send requests of several clients over one.
 */
void upgrade_learn_peer(struct connection *connection, struct lws *wsi);

/* Whether the listener takes upgrades at that path. */
bool upgrade_path_exists(const struct listener_conf *listener, const char *path);

/*
 * libwebsockets answers with the first sub-protocol of the client's list that it knows; the rule here is the best one.
 * All have the same length, so the answer is corrected in place, in the response that ends at `end` and began at most
 * `room` bytes before. False: there is no such header to correct, though the client offered some.
 */
bool upgrade_choose_protocol(struct lws *wsi, char *end, size_t room);

#endif
