/* Addresses and networks; inet_pton() and inet_ntop() know their forms. */
#include "stompd/base/network.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdlib.h>

#define IPV4_BITS 32
#define IPV6_BITS 128

/* The bits of IPv6 in front of an IPv4 address that is written as one. */
#define MAPPED_BITS 96

/* Digits, without leading zeros. False: none, or a number above `most`. */
static bool parse_number(const char *text, unsigned most, unsigned *number) {
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 5 || text[digits] != '\0' || (text[0] == '0' && digits > 1))
        return false;
    *number = (unsigned)strtoul(text, NULL, 10);
    return *number <= most;
}

/* Nothing around it. */
static bool parse_bare(const char *text, struct ip_address *address) {
    struct in6_addr ipv6;
    *address = (struct ip_address){.ipv6 = false};
    if (inet_pton(AF_INET, text, address->octets) == 1)
        return true;
    if (inet_pton(AF_INET6, text, &ipv6) != 1)
        return false;
    address->ipv6 = !IN6_IS_ADDR_V4MAPPED(&ipv6);
    if (address->ipv6)
        memcpy(address->octets, &ipv6, sizeof ipv6);
    else
        memcpy(address->octets, ipv6.s6_addr + MAPPED_BITS / 8, IPV4_BITS / 8);
    return true;
}

static bool is_port(const char *text) {
    unsigned port;
    return parse_number(text, UINT16_MAX, &port);
}

bool ip_address_parse(struct bytes text, struct ip_address *address) {
    char room[IP_ADDRESS_TEXT_SIZE + sizeof "[]:65535"];
    if (text.len >= sizeof room || (text.len > 0 && memchr(text.data, '\0', text.len)))
        return false;
    if (text.len > 0)
        memcpy(room, text.data, text.len);
    room[text.len] = '\0';
    char *bracket = room[0] == '[' ? strchr(room, ']') : NULL;
    if (bracket) {
        *bracket = '\0';
        return strchr(room, ':') && (bracket[1] == '\0' || (bracket[1] == ':' && is_port(bracket + 2))) &&
               parse_bare(room + 1, address);
    }
    char *colon = strchr(room, ':');
    if (!colon || strchr(colon + 1, ':'))
        return parse_bare(room, address);
    *colon = '\0';
    return is_port(colon + 1) && parse_bare(room, address);
}

void ip_address_write(const struct ip_address *address, char to[IP_ADDRESS_TEXT_SIZE]) {
    inet_ntop(address->ipv6 ? AF_INET6 : AF_INET, address->octets, to, IP_ADDRESS_TEXT_SIZE);
}

/* Whether the first bits are the same. */
static bool same_bits(const unsigned char *a, const unsigned char *b, unsigned bits) {
    unsigned whole = bits / 8;
    unsigned char mask = (unsigned char)(0xff00 >> bits % 8);
    return memcmp(a, b, whole) == 0 && (bits % 8 == 0 || ((a[whole] ^ b[whole]) & mask) == 0);
}

static bool rest_is_zero(const struct network *network) {
    struct network cut = *network;
    unsigned bits = network->address.ipv6 ? IPV6_BITS : IPV4_BITS;
    for (unsigned n = network->bits; n < bits; n++)
        cut.address.octets[n / 8] &= (unsigned char)~(0x80 >> n % 8);
    return same_bits(cut.address.octets, network->address.octets, bits);
}

bool network_parse(const char *text, struct network *network) {
    char room[IP_ADDRESS_TEXT_SIZE];
    const char *slash = strchr(text, '/');
    size_t len = slash ? (size_t)(slash - text) : strlen(text);
    if (len >= sizeof room)
        return false;
    memcpy(room, text, len);
    room[len] = '\0';
    if (!parse_bare(room, &network->address))
        return false;
    unsigned most = network->address.ipv6 ? IPV6_BITS : IPV4_BITS;
    unsigned mapped = !network->address.ipv6 && strchr(room, ':') ? MAPPED_BITS : 0;
    network->bits = most;
    if (slash && (!parse_number(slash + 1, mapped + most, &network->bits) || network->bits < mapped))
        return false;
    network->bits -= slash ? mapped : 0;
    return rest_is_zero(network);
}

bool network_contains(const struct network *network, const struct ip_address *address) {
    return network->address.ipv6 == address->ipv6 && same_bits(network->address.octets, address->octets, network->bits);
}
