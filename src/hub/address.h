/* Private to hub/: the addresses of the conf file. */
#ifndef STOMPD_HUB_ADDRESS_H
#define STOMPD_HUB_ADDRESS_H

#include <stdbool.h>
#include <sys/socket.h>

#include "stompd/base/compiler.h"

/* In the words of a fault. */
#define ADDRESS_FORM "address:port with a numeric address (IPv6 in brackets), localhost or * and a port from 1 to 65535"

/*
 * Reads "address:port": a numeric IPv4 address, an IPv6 one in brackets, `localhost` (127.0.0.1) or `*` (every address,
 * as IPv6's [::]). False when it has another form. Unused bytes are zero, so that equal addresses are equal bytes.
 */
MUST_CHECK bool address_parse(const char *text, struct sockaddr_storage *address, socklen_t *len);

/*
 * Whether no name server decides where this host of a URL, with or without a port, leads: a numeric address (IPv6 in
 * brackets) or `localhost`.
 */
bool address_is_without_lookup(const char *host);

/* Whether only this machine can reach the address. */
bool address_is_loopback(const struct sockaddr_storage *address);

#endif
