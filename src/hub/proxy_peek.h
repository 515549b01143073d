/*
 * Private to hub/: accepted TCP sockets on which a PROXY header must come first. It is looked at without being taken
 * (MSG_PEEK) until it is complete, then exactly the header is taken, so that whoever gets the socket finds it as if the
 * client had connected by itself: TLS may follow.
 *
 * Sockets whose header is wrong or does not come in time are closed, with a line in the log. Bounded in number: the one
 * that has waited longest makes room, since a proxy sends its header at once.
 */
#ifndef STOMPD_HUB_PROXY_PEEK_H
#define STOMPD_HUB_PROXY_PEEK_H

#include <event2/event.h>
#include <stdint.h>

#include "listener.h"
#include "stompd/base/list.h"

#define PROXY_PEEKS_MAX    4096
#define PROXY_PEEK_TIME_MS 5000

/* The sockets that wait. One owner. */
struct proxy_peeks {
    struct event_base *base;
    struct list_node waiting; /* the one that has waited longest first */
    unsigned count;
    unsigned most;
    uint32_t time_ms;
};

/* None yet. `most` may wait, each for so long: PROXY_PEEKS_MAX and PROXY_PEEK_TIME_MS, but for tests. */
void proxy_peeks_init(struct proxy_peeks *peeks, struct event_base *base, unsigned most, uint32_t time_ms);
/* Closes all that wait. */
void proxy_peeks_free(struct proxy_peeks *peeks);

/*
 * Takes over the descriptor until `done` is called with it, at once or later: `peer` is then the client that the header
 * names or, where it names none, the one given here. `conf` says which headers are allowed; borrowed for this call.
 */
void proxy_peek(struct proxy_peeks *peeks, int fd, const struct sockaddr *peer, const struct listener_conf *conf,
                socket_accepted_fn done, void *arg);

#endif
