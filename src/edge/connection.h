/*
 * Private to edge/: a connection is one adopted socket and, once it speaks STOMP, its session. Between the transports
 * (websocket.c, tcp.c), which know libwebsockets' callbacks, and the session, which knows no sockets: input that must
 * wait, the flush, closing, timers.
 */
#ifndef STOMPD_EDGE_CONNECTION_H
#define STOMPD_EDGE_CONNECTION_H

#include "inbound.h"
#include "worker_state.h"

struct lws;
struct lws_adopt_desc;

enum connection_phase {
    CONNECTION_OPENING, /* TLS, HTTP; no session yet */
    CONNECTION_OPEN,
    CONNECTION_CLOSING, /* the session has ended; what it left is being written */
    CONNECTION_CLOSED   /* nothing may be written any more; the socket is lingering or on its way out */
};

struct connection {
    struct worker *worker;
    const struct listener_conf *listener;
    struct lws *wsi;
    struct session *session;
    struct mail_login *login;   /* credentials under check */
    struct mail_session *leave; /* tells the hub that the user's session is gone; ready, so that it can't fail */
    struct list_node in_worker; /* worker->connections */
    struct list_node dirty;     /* worker->dirty: has something to write */
    struct list_node resuming;  /* worker->resuming: takes input again */
    struct timer timer;
    struct buffer stash; /* input that the session did not take yet */
    struct inbound inbound;
    uint64_t opened_ms; /* the socket, its latest HTTP request, or when the response was last seen to go on */
    uint64_t taken;     /* bytes that the client had taken by then */
    uint64_t pinged_ms; /* the last WebSocket ping */
    uint64_t drain_ms;  /* when it is to go because the node does; 0: not asked */
    uint64_t linger_ms; /* when a closing connection is given up; 0: not closing */
    enum connection_phase phase;
    bool compressed; /* permessage-deflate was negotiated */
    bool paused;     /* its socket is not read: the session takes no input */
    bool held;       /* nor is it read before more of the output is written */
    bool served;     /* past the handshake: an HTTP request, or the first bytes over TCP, arrived */
    char peer[PEER_ADDRESS_MAX];
};

/*
 * A closing connection is given up after this long: a client that does not read must not hold it, and even less a node
 * that is to end at once.
 */
#define CONNECTION_LINGER_MS          5000
#define CONNECTION_LINGER_SHUTDOWN_MS 500

static inline bool connection_is_websocket(const struct connection *connection) {
    return connection->listener->protocol == LISTENER_WS;
}

/* The session_ops of all sessions. */
extern const struct session_ops connection_ops;

/* NULL when out of memory. */
MUST_CHECK struct connection *connection_new(struct worker *worker, const struct mail_adopt *adopt);

/* Hands the socket to libwebsockets. Afterwards the connection may be gone. */
void connection_adopt(struct connection *connection, const struct lws_adopt_desc *description);

/* Ends its session, or the bare socket, at that time, for worker->drain_kind. */
void connection_drain(struct connection *connection, uint64_t when_ms);

/* The socket is gone. */
void connection_free(struct connection *connection);

/* It is past the handshake: an HTTP request is being answered. */
void connection_serve(struct connection *connection);

/* From here on it speaks STOMP. False when out of memory. */
MUST_CHECK bool connection_open(struct connection *connection);

/* Bytes from the client, writable. */
void connection_input(struct connection *connection, char *bytes, size_t len);

/* Feeds what was kept back; from worker->resuming. */
void connection_resume(struct connection *connection);

/* Writes what fits; from worker->dirty and when the socket has become writable. */
void connection_flush(struct connection *connection);

/* session_ops: writes what the socket takes, ahead of the flush. */
void connection_make_room(struct session *session);

/* The socket takes more. */
void connection_writable(struct connection *connection);

/*
 * WebSocket: the client has sent a close frame. Unless it is the answer to ours, it is answered behind all that the
 * session has to say; the socket can be closed now, and libwebsockets writes what it does not take yet.
 */
void connection_peer_closed(struct connection *connection, struct bytes payload);

/* Stops or resumes reading the socket, for the session's sake. */
void connection_pause(struct connection *connection, bool paused);

/* The same for the sake of the output. */
void connection_hold(struct connection *connection, bool held);

/* Writes a WebSocket ping. False: the socket takes nothing now. */
MUST_CHECK bool connection_ping(struct connection *connection);

/* The worker stood still for that long, and worker_time() with it. */
void connection_stood_still(struct connection *connection, uint64_t ms);

/* Sees to it that the timer fires when the next thing is due. */
void connection_arm_timer(struct connection *connection);

/* Cuts the socket without ceremony, soon. */
void connection_kill(struct connection *connection);

/* session_ops: checks credentials, at once or with a helper. */
void connection_log_in(struct session *session, struct bytes login, struct bytes passcode);

/* The connection goes while its credentials are under check. */
void connection_abandon_login(struct connection *connection);

/* The answer of a helper thread. Frees the mail. */
void connection_logged_in(struct worker *worker, struct mail_login *mail);

#endif
