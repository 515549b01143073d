/*
 * Addresses of IPv4 and IPv6 and networks of them, as they stand in conf files and HTTP headers. An IPv4 address that is
 * written or comes as one of IPv6 (::ffff:192.0.2.1) is the IPv4 address.
 */
#ifndef STOMPD_BASE_NETWORK_H
#define STOMPD_BASE_NETWORK_H

#include "stompd/base/bytes.h"
#include "stompd/base/compiler.h"

#define IP_ADDRESS_TEXT_SIZE 46 /* with a NUL */

struct ip_address {
    bool ipv6;
    unsigned char octets[16]; /* four of them for IPv4, the others are zero */
};

struct network {
    struct ip_address address;
    unsigned bits; /* of the address, which all in the network share */
};

/*
 * Reads a numeric address, with a port behind it or without: 192.0.2.1, 192.0.2.1:80, 2001:db8::1, [2001:db8::1],
 * [2001:db8::1]:80. The port is left out. False: it has another form.
 */
MUST_CHECK bool ip_address_parse(struct bytes text, struct ip_address *address);

/* As a string without a port. */
void ip_address_write(const struct ip_address *address, char to[IP_ADDRESS_TEXT_SIZE]);

#define NETWORK_FORM "addresses or networks such as 10.0.0.0/8 or fd00::/8"

/*
 * Reads an address, or one and how many bits of it count, behind a slash; the others are zero. False: it has another
 * form.
 */
MUST_CHECK bool network_parse(const char *text, struct network *network);

bool network_contains(const struct network *network, const struct ip_address *address);

#endif
