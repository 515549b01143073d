/* Listening sockets, and a pause in accepting when descriptors run out. */
#include "listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/listener.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "address.h"
#include "stompd/base/log.h"

#define BACKLOG  4096
#define RETRY_US 200000 /* after descriptors ran out */

struct socket_listener {
    const struct listener_conf *conf;
    struct evconnlistener *events;
    struct event *retry;
    socket_accepted_fn accepted;
    void *arg;
};

static void on_accept(struct evconnlistener *events, evutil_socket_t fd, struct sockaddr *peer, int len, void *arg) {
    struct socket_listener *listener = arg;
    (void)events;
    (void)len;
    listener->accepted(listener->arg, fd, peer);
}

static void on_error(struct evconnlistener *events, void *arg) {
    static struct log_limit limit;
    struct socket_listener *listener = arg;
    struct timeval wait = {0, RETRY_US};
    log_limited(&limit, LOG_LEVEL_WARNING, "listen %s: accept: %s", listener->conf->name, strerror(errno));
    evconnlistener_disable(events);
    event_add(listener->retry, &wait);
}

static void on_retry(evutil_socket_t fd, short what, void *arg) {
    (void)fd;
    (void)what;
    evconnlistener_enable(((struct socket_listener *)arg)->events);
}

static struct evconnlistener *bind_and_listen(struct event_base *base, struct socket_listener *listener) {
    const unsigned flags = LEV_OPT_REUSEABLE | LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_DISABLED;
    struct sockaddr_storage address;
    socklen_t len;
    if (!address_parse(listener->conf->bind, &address, &len)) {
        errno = EINVAL;
        return NULL;
    }
    struct evconnlistener *events =
        evconnlistener_new_bind(base, on_accept, listener, flags, BACKLOG, (struct sockaddr *)&address, (int)len);
    /* A machine without IPv6 has only the other half of `*`. */
    if (events || strncmp(listener->conf->bind, "*:", 2) != 0 || errno != EAFNOSUPPORT)
        return events;
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = ((struct sockaddr_in6 *)&address)->sin6_port};
    return evconnlistener_new_bind(base, on_accept, listener, flags, BACKLOG, (struct sockaddr *)&any, sizeof any);
}

struct socket_listener *listener_new(struct event_base *base, const struct listener_conf *conf,
                                     socket_accepted_fn accepted, void *arg) {
    struct socket_listener *listener = calloc(1, sizeof *listener);
    if (!listener)
        return NULL;
    *listener = (struct socket_listener){.conf = conf, .accepted = accepted, .arg = arg};
    listener->events = bind_and_listen(base, listener);
    if (!listener->events) {
        log_error("listen %s: %s: %s", conf->name, conf->bind, strerror(errno));
        free(listener);
        return NULL;
    }
    listener->retry = evtimer_new(base, on_retry, listener);
    evconnlistener_set_error_cb(listener->events, on_error);
    if (!listener->retry) {
        listener_free(listener);
        return NULL;
    }
    return listener;
}

void listener_enable(struct socket_listener *listener) {
    evconnlistener_enable(listener->events);
}

void listener_free(struct socket_listener *listener) {
    if (!listener)
        return;
    evconnlistener_free(listener->events);
    if (listener->retry)
        event_free(listener->retry);
    free(listener);
}

void peer_address_write(const struct sockaddr *peer, char *to, size_t size) {
    char text[INET6_ADDRSTRLEN];
    if (peer->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)peer;
        inet_ntop(AF_INET6, &in6->sin6_addr, text, sizeof text);
        snprintf(to, size, "[%s]:%u", text, ntohs(in6->sin6_port));
    } else {
        const struct sockaddr_in *in = (const struct sockaddr_in *)peer;
        inet_ntop(AF_INET, &in->sin_addr, text, sizeof text);
        snprintf(to, size, "%s:%u", text, ntohs(in->sin_port));
    }
}
