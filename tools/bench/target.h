/* Where to connect: ws://host:port/path, wss://…, stomp://host:port (plain TCP) or stomps://…. */
#ifndef BENCH_TARGET_H
#define BENCH_TARGET_H

#include <netinet/in.h>
#include <stdbool.h>
#include <sys/socket.h>

#include "stompd/base/compiler.h"

struct target {
    const char *url; /* as given */
    char host[256];
    char port[8];
    char path[1024];
    bool is_websocket;
    bool is_tls;
    struct sockaddr_storage address;
    socklen_t address_length;
};

/* Parses it. NULL, or what is wrong with it; `url` must outlive the target. */
MUST_CHECK const char *target_parse(const char *url, struct target *target);

/* Finds the address, or fails. */
void target_resolve(struct target *target);

#endif
