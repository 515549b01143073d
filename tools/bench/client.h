/*
 * One connection: TCP, TLS and WebSocket as the target has it, then STOMP's CONNECT; after that it says what its
 * command wants, and hands on what comes. Its state only moves forward.
 */
#ifndef BENCH_CLIENT_H
#define BENCH_CLIENT_H

#include "bench/frame.h"
#include "bench/loop.h"

enum client_state {
    CLIENT_CLOSED, /* also before it was opened */
    CLIENT_CONNECTING,
    CLIENT_HANDSHAKE, /* of TLS */
    CLIENT_UPGRADING,
    CLIENT_LOGGING_IN,
    CLIENT_OPEN,
    CLIENT_LEAVING, /* has sent DISCONNECT */
};

/* What happens to a client. It may close it, but not free it. */
struct client_handler {
    void (*opened)(struct client *client); /* CONNECTED came */
    void (*message)(struct client *client, const struct frame *frame);
    void (*receipt)(struct client *client, struct bytes id);
    /* Not told for client_drop(). `why` is NULL when the client has left, and a sentence otherwise. */
    void (*closed)(struct client *client, const char *why);
};

struct client {
    struct loop *loop;
    const struct client_handler *handler;
    void *owner;      /* the handler's */
    const char *role; /* what it is called in a complaint: "subscriber" */
    unsigned index;   /* among those of its role */
    const struct target *target;
    enum client_state state;
    bool is_ready;   /* the handler's: it has all that it needs */
    bool is_dirty;   /* the loop's */
    bool is_blocked; /* the socket takes no more for now, and epoll tells when it does */
    bool has_parted; /* the close frame has been sent */
    int fd;
    SSL *tls;
    uint64_t began_ns;
    struct client *next_dirty;
    struct buffer in;      /* not complete yet, as it came */
    struct buffer partial; /* a STOMP frame that ends in another WebSocket frame */
    struct buffer out;     /* as it goes out */
};

/* Begins to connect. The members up to `target` are the caller's; all others must be zero, or those of a closed client. */
void client_open(struct client *client);

/* Says a STOMP frame of that text; the NUL is added. */
void client_say(struct client *client, const char *text, ...) PRINTF_LIKE(2, 3);

/* Says a ready-made frame, with its NUL. */
void client_send(struct client *client, struct bytes frame, bool is_text);

/* Says DISCONNECT; closed() tells when the server has closed, or has confirmed. */
void client_leave(struct client *client);

/* Closes it at once, and leaves no port waiting. */
void client_drop(struct client *client);

/* For the loop. */
void client_act(struct client *client, uint32_t events);
void client_flush(struct client *client);

/* In words, for complaints. */
const char *client_doing(const struct client *client);

/* Ends the tool: "subscriber 17 at ws://…: why". */
_Noreturn void client_fail(const struct client *client, const char *why);

#endif
