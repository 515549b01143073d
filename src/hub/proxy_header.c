/* Reads PROXY headers: a line of text (version 1), or a block of bytes (version 2). */
#include "proxy_header.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdlib.h>

/* ---- version 1: "PROXY TCP4 source destination source-port destination-port" CR LF ---- */

#define V1_START     "PROXY "
#define V1_MAX       107
#define V1_WORD_SIZE 64

/* ---- version 2: signature, version and command, family and protocol, length, addresses, further things ---- */

#define V2_SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define V2_FIXED     16 /* bytes up to and with the length */
#define V2_VERSION   2
#define V2_LOCAL     0
#define V2_PROXY     1
#define V2_INET      1
#define V2_INET6     2
#define V2_UNIX      3
#define V2_STREAM    1
#define V2_DGRAM     2

static enum proxy_header_state incomplete(struct proxy_header *header, size_t wanted) {
    header->len = wanted;
    return PROXY_HEADER_INCOMPLETE;
}

static enum proxy_header_state faulty(struct proxy_header *header, const char *why) {
    header->why = why;
    return PROXY_HEADER_FAULTY;
}

static enum proxy_header_state complete(struct proxy_header *header, size_t len) {
    header->len = len;
    return PROXY_HEADER_COMPLETE;
}

static void set_ipv4(struct proxy_header *header, const void *address, in_port_t port) {
    struct sockaddr_in *source = (struct sockaddr_in *)&header->source;
    source->sin_family = AF_INET;
    source->sin_port = port;
    memcpy(&source->sin_addr, address, sizeof source->sin_addr);
    header->has_source = true;
}

static void set_ipv6(struct proxy_header *header, const void *address, in_port_t port) {
    struct sockaddr_in6 *source = (struct sockaddr_in6 *)&header->source;
    source->sin6_family = AF_INET6;
    source->sin6_port = port;
    memcpy(&source->sin6_addr, address, sizeof source->sin6_addr);
    header->has_source = true;
}

/* ---- version 1 ---- */

/* The next word up to a space or the end, as a string; the space is passed over. False: it can't be any of ours. */
static bool take_word(struct bytes *rest, char word[V1_WORD_SIZE]) {
    const char *space = rest->len > 0 ? memchr(rest->data, ' ', rest->len) : NULL;
    size_t len = space ? (size_t)(space - rest->data) : rest->len;
    if (len == 0 || len >= V1_WORD_SIZE || memchr(rest->data, '\0', len))
        return false;
    memcpy(word, rest->data, len);
    word[len] = '\0';
    *rest = bytes_skip(*rest, space ? len + 1 : len);
    return true;
}

/* Without leading zeros. */
static bool parse_port(const char *word, in_port_t *port) {
    size_t digits = strspn(word, "0123456789");
    if (digits == 0 || digits > 5 || word[digits] != '\0' || (word[0] == '0' && digits > 1))
        return false;
    unsigned long number = strtoul(word, NULL, 10);
    *port = htons((uint16_t)number);
    return number <= UINT16_MAX;
}

/* Behind "TCP4 " or "TCP6 ". */
static bool read_v1_addresses(struct bytes rest, int family, struct proxy_header *header) {
    enum { SOURCE, DESTINATION, SOURCE_PORT, DESTINATION_PORT, WORDS };
    char words[WORDS][V1_WORD_SIZE];
    unsigned char addresses[2][sizeof(struct in6_addr)];
    in_port_t ports[2];
    bool ends_in_space = rest.len > 0 && rest.data[rest.len - 1] == ' ';
    for (int n = 0; n < WORDS; n++)
        if (!take_word(&rest, words[n]))
            return false;
    if (rest.len > 0 || ends_in_space || inet_pton(family, words[SOURCE], addresses[0]) != 1 ||
        inet_pton(family, words[DESTINATION], addresses[1]) != 1 || !parse_port(words[SOURCE_PORT], &ports[0]) ||
        !parse_port(words[DESTINATION_PORT], &ports[1]))
        return false;
    if (family == AF_INET)
        set_ipv4(header, addresses[0], ports[0]);
    else
        set_ipv6(header, addresses[0], ports[0]);
    return true;
}

static bool read_v1_line(struct bytes line, struct proxy_header *header) {
    if (bytes_start_with(line, BYTES("TCP4 ")))
        return read_v1_addresses(bytes_skip(line, 5), AF_INET, header);
    if (bytes_start_with(line, BYTES("TCP6 ")))
        return read_v1_addresses(bytes_skip(line, 5), AF_INET6, header);
    return bytes_equal(line, BYTES("UNKNOWN")) || bytes_start_with(line, BYTES("UNKNOWN "));
}

static enum proxy_header_state read_v1(struct bytes bytes, struct proxy_header *header) {
    size_t searched = bytes.len < V1_MAX ? bytes.len : V1_MAX;
    const char *end = memchr(bytes.data, '\n', searched);
    size_t start = sizeof V1_START - 1;
    if (!end && searched == V1_MAX)
        return faulty(header, "its line does not end within 107 bytes");
    if (!end)
        return incomplete(header, bytes.len + 1);
    size_t len = (size_t)(end - bytes.data);
    if (bytes.data[len - 1] != '\r') /* at the least it is the start's space */
        return faulty(header, "its line does not end with CR LF");
    if (!read_v1_line((struct bytes){bytes.data + start, len - 1 - start}, header))
        return faulty(header, "its line is not as version 1 has it");
    return complete(header, len + 1);
}

/* ---- version 2 ---- */

static size_t v2_len(struct bytes bytes) {
    return V2_FIXED + ((size_t)(unsigned char)bytes.data[14] << 8 | (unsigned char)bytes.data[15]);
}

/* What the fixed part says, as far as it is there. NULL: nothing is wrong with it. */
static const char *v2_fault(struct bytes bytes) {
    unsigned char command = bytes.len > 12 ? (unsigned char)bytes.data[12] : V2_VERSION << 4;
    unsigned char kind = bytes.len > 13 ? (unsigned char)bytes.data[13] : 0;
    if (command >> 4 != V2_VERSION || (command & 0xf) > V2_PROXY)
        return "it has a version or a command that does not exist";
    if ((command & 0xf) == V2_PROXY && (kind >> 4 > V2_UNIX || (kind & 0xf) > V2_DGRAM))
        return "it has an address family or a protocol that does not exist";
    if (bytes.len >= V2_FIXED && v2_len(bytes) > PROXY_HEADER_MAX)
        return "it is longer than 4096 bytes";
    return NULL;
}

/* False: too short for the addresses that it should hold. Those of other families than IP say nothing to us. */
static bool read_v2_addresses(unsigned char kind, struct bytes rest, struct proxy_header *header) {
    in_port_t port;
    if (kind == (V2_INET << 4 | V2_STREAM) && rest.len >= 12) {
        memcpy(&port, rest.data + 8, sizeof port);
        set_ipv4(header, rest.data, port);
    } else if (kind == (V2_INET6 << 4 | V2_STREAM) && rest.len >= 36) {
        memcpy(&port, rest.data + 32, sizeof port);
        set_ipv6(header, rest.data, port);
    } else {
        return kind != (V2_INET << 4 | V2_STREAM) && kind != (V2_INET6 << 4 | V2_STREAM);
    }
    return true;
}

static enum proxy_header_state read_v2(struct bytes bytes, struct proxy_header *header) {
    const char *why = v2_fault(bytes);
    if (why)
        return faulty(header, why);
    if (bytes.len < V2_FIXED || bytes.len < v2_len(bytes))
        return incomplete(header, bytes.len < V2_FIXED ? V2_FIXED : v2_len(bytes));
    bool local = ((unsigned char)bytes.data[12] & 0xf) == V2_LOCAL;
    struct bytes rest = {bytes.data + V2_FIXED, v2_len(bytes) - V2_FIXED};
    if (!local && !read_v2_addresses((unsigned char)bytes.data[13], rest, header))
        return faulty(header, "it is too short for its addresses");
    return complete(header, v2_len(bytes));
}

/* ---- both ---- */

/* As far as both go. */
static bool begins_like(struct bytes bytes, struct bytes start) {
    return memcmp(bytes.data, start.data, bytes.len < start.len ? bytes.len : start.len) == 0;
}

static const char *no_header(enum proxy_protocol allowed) {
    switch (allowed) {
    case PROXY_V1:
        return "what came is no header of version 1";
    case PROXY_V2:
        return "what came is no header of version 2";
    default:
        return "what came is no header";
    }
}

enum proxy_header_state proxy_header_parse(struct bytes bytes, enum proxy_protocol allowed,
                                           struct proxy_header *header) {
    *header = (struct proxy_header){.has_source = false};
    if (bytes.len == 0)
        return incomplete(header, 1);
    if (allowed != PROXY_V2 && begins_like(bytes, BYTES(V1_START)))
        return read_v1(bytes, header);
    if (allowed != PROXY_V1 && begins_like(bytes, BYTES(V2_SIGNATURE)))
        return read_v2(bytes, header);
    return faulty(header, no_header(allowed));
}
