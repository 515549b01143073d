/*
 * Private to edge/: the plain HTTP requests of a WebSocket listener: /healthz, files, and clear answers to everything
 * else.
 */
#ifndef STOMPD_EDGE_HTTP_H
#define STOMPD_EDGE_HTTP_H

#include "connection.h"

/* Whether the request announces a body. */
bool http_has_body(struct lws *wsi);

/* Answers with a status and a line of text. Returns what a libwebsockets callback has to return. */
int http_reply(struct lws *wsi, unsigned status, const char *text);

/* Bytes that the client has taken: those that have left the kernel for good. */
uint64_t http_taken(struct lws *wsi);

/* LWS_CALLBACK_HTTP: a request for `target` that is not an upgrade; NUL-terminated behind its end. */
int http_request(struct connection *connection, struct lws *wsi, struct bytes target);

#endif
