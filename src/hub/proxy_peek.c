/* Waits for PROXY headers. A socket is awake only when there is more to see than at the last look: SO_RCVLOWAT. */
#include "proxy_peek.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proxy_header.h"
#include "stompd/base/clock.h"
#include "stompd/base/log.h"

#define PEER_TEXT_MAX      64
#define LISTENER_NAME_SIZE 65

struct peeked_socket {
    struct proxy_peeks *peeks;
    struct list_node node;
    struct event *event;
    enum proxy_protocol allowed;
    socket_accepted_fn done;
    void *arg;
    int fd;
    bool partial; /* something came, and SO_RCVLOWAT is set */
    uint64_t until_ms;
    struct sockaddr_storage peer;
    char listener[LISTENER_NAME_SIZE];
};

void proxy_peeks_init(struct proxy_peeks *peeks, struct event_base *base, unsigned most, uint32_t time_ms) {
    *peeks = (struct proxy_peeks){.base = base, .most = most, .time_ms = time_ms};
    list_init(&peeks->waiting);
}

/* The descriptor stays. */
static void forget(struct peeked_socket *peeked) {
    list_remove(&peeked->node);
    peeked->peeks->count--;
    event_free(peeked->event);
    free(peeked);
}

static void drop(struct peeked_socket *peeked) {
    close(peeked->fd);
    forget(peeked);
}

void proxy_peeks_free(struct proxy_peeks *peeks) {
    LIST_FOR_EACH (node, &peeks->waiting)
        drop(CONTAINER_OF(node, struct peeked_socket, node));
}

static void refuse(struct peeked_socket *peeked, const char *why) {
    static struct log_limit limit;
    char text[PEER_TEXT_MAX];
    peer_address_write((const struct sockaddr *)&peeked->peer, text, sizeof text);
    log_limited(&limit, LOG_LEVEL_WARNING, "listen %s: %s: closed without a PROXY header: %s (proxy-protocol)",
                peeked->listener, text, why);
    drop(peeked);
}

static void set_low_water(int fd, size_t bytes) {
    int value = (int)bytes;
    setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &value, sizeof value);
}

/* Takes the header off and hands the socket on. */
static void finish(struct peeked_socket *peeked, const struct proxy_header *header) {
    char taken[PROXY_HEADER_MAX];
    struct peeked_socket done = *peeked;
    if (recv(peeked->fd, taken, header->len, MSG_DONTWAIT) != (ssize_t)header->len) {
        drop(peeked);
        return;
    }
    if (peeked->partial)
        set_low_water(peeked->fd, 1);
    forget(peeked);
    done.done(done.arg, done.fd, (const struct sockaddr *)(header->has_source ? &header->source : &done.peer));
}

static bool is_ended(int fd) {
    struct pollfd state = {.fd = fd, .events = POLLRDHUP};
    return poll(&state, 1, 0) > 0;
}

static void wait_for(struct peeked_socket *peeked, size_t bytes) {
    uint64_t now_ms = clock_ms();
    uint64_t left_ms = peeked->until_ms > now_ms ? peeked->until_ms - now_ms : 0;
    struct timeval time = {(time_t)(left_ms / 1000), (suseconds_t)(left_ms % 1000) * 1000};
    if (bytes > 1) {
        peeked->partial = true;
        set_low_water(peeked->fd, bytes);
    }
    if (event_add(peeked->event, &time) != 0)
        drop(peeked);
}

/* `ended`: what is there now is all that will come. */
static void look(struct peeked_socket *peeked, bool ended) {
    char seen[PROXY_HEADER_MAX];
    struct proxy_header header;
    ssize_t len = recv(peeked->fd, seen, sizeof seen, MSG_PEEK | MSG_DONTWAIT);
    if (len == 0 || (len < 0 && errno != EAGAIN && errno != EINTR)) {
        drop(peeked); /* without a byte, as whoever only tries the port does */
        return;
    }
    struct bytes bytes = {seen, len > 0 ? (size_t)len : 0};
    enum proxy_header_state state = proxy_header_parse(bytes, peeked->allowed, &header);
    if (state == PROXY_HEADER_COMPLETE)
        finish(peeked, &header);
    else if (state == PROXY_HEADER_FAULTY)
        refuse(peeked, header.why);
    else if (ended)
        refuse(peeked, "the connection ended within it");
    else if (is_ended(peeked->fd))
        look(peeked, true);
    else
        wait_for(peeked, header.len);
}

static void on_event(evutil_socket_t fd, short what, void *arg) {
    struct peeked_socket *peeked = arg;
    (void)fd;
    if ((what & EV_TIMEOUT) != 0)
        refuse(peeked, "it did not come in time");
    else
        look(peeked, false);
}

static struct peeked_socket *peeked_socket_new(struct proxy_peeks *peeks, int fd, const struct sockaddr *peer) {
    struct peeked_socket *peeked = calloc(1, sizeof *peeked);
    if (!peeked)
        return NULL;
    peeked->peeks = peeks;
    peeked->fd = fd;
    peeked->until_ms = clock_ms() + peeks->time_ms;
    memcpy(&peeked->peer, peer, peer->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in));
    peeked->event = event_new(peeks->base, fd, EV_READ, on_event, peeked);
    if (!peeked->event) {
        free(peeked);
        return NULL;
    }
    list_append(&peeks->waiting, &peeked->node);
    peeks->count++;
    return peeked;
}

void proxy_peek(struct proxy_peeks *peeks, int fd, const struct sockaddr *peer, const struct listener_conf *conf,
                socket_accepted_fn done, void *arg) {
    if (peeks->count >= peeks->most)
        refuse(CONTAINER_OF(peeks->waiting.next, struct peeked_socket, node), "too many others wait for theirs");
    struct peeked_socket *peeked = peeked_socket_new(peeks, fd, peer);
    if (!peeked) {
        close(fd);
        return;
    }
    peeked->allowed = conf->proxy_protocol;
    snprintf(peeked->listener, sizeof peeked->listener, "%s", conf->name);
    peeked->done = done;
    peeked->arg = arg;
    look(peeked, false);
}
