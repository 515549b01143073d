/* What carries a client's bytes: a TCP socket, with TLS where the target has it. Private to client.c. */
#ifndef BENCH_TRANSPORT_H
#define BENCH_TRANSPORT_H

#include "bench/client.h"

#define TRANSPORT_READ_SIZE (128u << 10)

/* Opens the socket and begins to connect; fails when this machine can't. */
void transport_connect(struct client *client);

/* After epoll has spoken: NULL when it is connected, or why it is not. */
const char *transport_connected(struct client *client);

/* A step of TLS: true when it is through; `why` is set when it has failed. */
bool transport_handshake(struct client *client, const char **why);

/* Appends what has come to the buffer, which has room. Why nothing more will come, or NULL. */
const char *transport_read(struct client *client, struct buffer *buffer);

/* Writes what the socket takes of client->out, and returns how much; `why` is set when it takes nothing more. */
size_t transport_write(struct client *client, const char **why);

/* What epoll is to tell. */
void transport_watch(struct client *client, uint32_t events);

/* With a reset: no port is left waiting. */
void transport_close(struct client *client);

#endif
