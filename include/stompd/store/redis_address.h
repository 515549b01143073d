/*
 * Where Redis is and who we are there: the conf file's `redis`, in one of the forms host:port, unix:/path, and
 * redis://user:password@host:port/db (each part but the host may be missing; user and password percent-encoded).
 */
#ifndef STOMPD_STORE_REDIS_ADDRESS_H
#define STOMPD_STORE_REDIS_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "stompd/base/compiler.h"

#define REDIS_ADDRESS_FORM "host:port, unix:/path or redis://user:password@host:port/db"

struct redis_address {
    char *host; /* name or number, IPv6 without its brackets; NULL: unix */
    uint16_t port;
    char *path;     /* of the unix socket */
    char *user;     /* NULL: Redis' default user */
    char *password; /* NULL: none */
    uint32_t db;
};

/* False: it has another form, or memory is out; nothing is to be freed then. */
MUST_CHECK bool redis_address_parse(const char *text, struct redis_address *address);

/* Erases the password. */
void redis_address_free(struct redis_address *address);

/* Where it is, for the log: without the password. Cut when it does not fit. */
void redis_address_write(const struct redis_address *address, char *to, size_t size);

#endif
