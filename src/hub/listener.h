/* Private to hub/: a listening socket on the hub's loop. */
#ifndef STOMPD_HUB_LISTENER_H
#define STOMPD_HUB_LISTENER_H

#include <event2/event.h>
#include <sys/socket.h>

#include "stompd/edge/listener_conf.h"

struct socket_listener;

/* Takes over the descriptor. */
typedef void (*socket_accepted_fn)(void *arg, int fd, const struct sockaddr *peer);

/*
 * Binds and listens; accepts once listener_enable() was called. NULL: the log names the listener, the address and the
 * reason.
 */
struct socket_listener *listener_new(struct event_base *base, const struct listener_conf *conf,
                                     socket_accepted_fn accepted, void *arg);

/* Accepts from now on. */
void listener_enable(struct socket_listener *listener);

/* Closes the listening socket: new clients are refused by the kernel. NULL is allowed. */
void listener_free(struct socket_listener *listener);

/* "address:port", IPv6 in brackets. */
void peer_address_write(const struct sockaddr *peer, char *to, size_t size);

#endif
