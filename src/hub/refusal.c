/*
 * Refusals: the answer is sent at once (it fits any socket's buffer), our end is shut, and the client's bytes are
 * dropped until it closes too, so that no reset overtakes the answer. Bounded in number and time.
 */
#include "refusal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "stompd/base/clock.h"

#define REFUSALS_MAX    64 /* below the hub's reserve of descriptors */
#define REFUSAL_TIME_MS 2000

struct refused_socket {
    struct refusals *refusals;
    struct list_node node;
    struct event *event;
    int fd;
    uint64_t until_ms; /* also for a client that goes on sending */
};

#define HTTP_BODY     "this node has as many sockets as it takes: connections\n"
#define HTTP_BODY_LEN "55"
_Static_assert(sizeof HTTP_BODY - 1 == 55, "the length that is sent must be the body's");

static const char http_answer[] = "HTTP/1.1 503 Service Unavailable\r\n"
                                  "content-type: text/plain\r\n"
                                  "content-length: " HTTP_BODY_LEN "\r\n"
                                  "retry-after: 5\r\n"
                                  "connection: close\r\n"
                                  "\r\n" HTTP_BODY;

static const char stomp_answer[] = "ERROR\n"
                                   "message:this node has as many sockets as it takes (connections)\n"
                                   "\n";

void refusals_init(struct refusals *refusals, struct event_base *base) {
    *refusals = (struct refusals){.base = base};
    list_init(&refusals->open);
}

static void refused_socket_free(struct refused_socket *refused) {
    list_remove(&refused->node);
    refused->refusals->count--;
    event_free(refused->event);
    close(refused->fd);
    free(refused);
}

void refusals_free(struct refusals *refusals) {
    LIST_FOR_EACH (node, &refusals->open)
        refused_socket_free(CONTAINER_OF(node, struct refused_socket, node));
}

static void on_readable(evutil_socket_t fd, short what, void *arg) {
    char dropped[4096];
    struct refused_socket *refused = arg;
    if ((what & EV_READ) != 0 && clock_ms() < refused->until_ms && recv(fd, dropped, sizeof dropped, 0) > 0)
        return;
    refused_socket_free(refused);
}

static struct refused_socket *refused_socket_new(struct refusals *refusals, int fd) {
    struct refused_socket *refused = calloc(1, sizeof *refused);
    if (!refused)
        return NULL;
    *refused = (struct refused_socket){.refusals = refusals, .fd = fd, .until_ms = clock_ms() + REFUSAL_TIME_MS};
    refused->event = event_new(refusals->base, fd, EV_READ | EV_PERSIST, on_readable, refused);
    if (!refused->event) {
        free(refused);
        return NULL;
    }
    list_append(&refusals->open, &refused->node);
    refusals->count++;
    return refused;
}

void refuse(struct refusals *refusals, int fd, const struct listener_conf *listener) {
    struct timeval time = {REFUSAL_TIME_MS / 1000, 0};
    bool websocket = listener->protocol == LISTENER_WS;
    const char *answer = websocket ? http_answer : stomp_answer;
    size_t len = websocket ? sizeof http_answer - 1 : sizeof stomp_answer; /* the NUL ends a STOMP frame */
    struct refused_socket *refused = NULL;
    if (!listener->tls_certificate && refusals->count < REFUSALS_MAX)
        refused = refused_socket_new(refusals, fd);
    if (!refused || send(fd, answer, len, MSG_NOSIGNAL) != (ssize_t)len || shutdown(fd, SHUT_WR) != 0 ||
        event_add(refused->event, &time) != 0) {
        if (refused)
            refused_socket_free(refused);
        else
            close(fd);
    }
}
