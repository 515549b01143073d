/* Reads "address:port". Names other than localhost would have to be looked up, which may take long and give several. */
#include "address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* In network order; 0: it is none. */
static in_port_t parse_port(const char *text) {
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 5 || text[digits] != '\0')
        return 0;
    unsigned long port = strtoul(text, NULL, 10);
    return port <= UINT16_MAX ? htons((uint16_t)port) : 0;
}

static bool parse_ipv4(const char *host, in_port_t port, struct sockaddr_storage *address, socklen_t *len) {
    struct sockaddr_in *ipv4 = (struct sockaddr_in *)address;
    ipv4->sin_family = AF_INET;
    ipv4->sin_port = port;
    *len = sizeof *ipv4;
    return inet_pton(AF_INET, host, &ipv4->sin_addr) == 1;
}

static bool parse_ipv6(const char *host, in_port_t port, struct sockaddr_storage *address, socklen_t *len) {
    struct sockaddr_in6 *ipv6 = (struct sockaddr_in6 *)address;
    ipv6->sin6_family = AF_INET6;
    ipv6->sin6_port = port;
    *len = sizeof *ipv6;
    return inet_pton(AF_INET6, host, &ipv6->sin6_addr) == 1;
}

bool address_parse(const char *text, struct sockaddr_storage *address, socklen_t *len) {
    char host[INET6_ADDRSTRLEN + sizeof "[]"];
    const char *colon = strrchr(text, ':');
    in_port_t port = colon ? parse_port(colon + 1) : 0;
    memset(address, 0, sizeof *address);
    if (port == 0 || (size_t)(colon - text) >= sizeof host)
        return false;
    size_t host_len = (size_t)(colon - text);
    memcpy(host, text, host_len);
    host[host_len] = '\0';
    if (strcmp(host, "*") == 0)
        return parse_ipv6("::", port, address, len);
    if (strcmp(host, "localhost") == 0)
        return parse_ipv4("127.0.0.1", port, address, len);
    if (host[0] != '[')
        return parse_ipv4(host, port, address, len);
    if (host[host_len - 1] != ']')
        return false;
    host[host_len - 1] = '\0';
    return parse_ipv6(host + 1, port, address, len);
}

bool address_is_without_lookup(const char *host) {
    char with_port[INET6_ADDRSTRLEN + sizeof "[]:80"];
    struct sockaddr_storage address;
    socklen_t len;
    if (host[0] == '*')
        return false;
    int written = snprintf(with_port, sizeof with_port, "%s:80", host);
    return address_parse(host, &address, &len) ||
           (written < (int)sizeof with_port && address_parse(with_port, &address, &len));
}

static bool is_loopback_ipv4(struct in_addr address) {
    return ntohl(address.s_addr) >> 24 == IN_LOOPBACKNET;
}

bool address_is_loopback(const struct sockaddr_storage *address) {
    if (address->ss_family == AF_INET)
        return is_loopback_ipv4(((const struct sockaddr_in *)address)->sin_addr);
    const struct in6_addr *ipv6 = &((const struct sockaddr_in6 *)address)->sin6_addr;
    struct in_addr mapped;
    memcpy(&mapped, &ipv6->s6_addr[12], sizeof mapped);
    return IN6_IS_ADDR_LOOPBACK(ipv6) || (IN6_IS_ADDR_V4MAPPED(ipv6) && is_loopback_ipv4(mapped));
}
