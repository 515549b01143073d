/* Taking URLs apart. */
#include "bench/target.h"

#include <netdb.h>
#include <stdio.h>
#include <string.h>

#include "bench/fail.h"

static const struct scheme {
    const char *prefix;
    const char *port;
    bool is_websocket;
    bool is_tls;
} schemes[] = {
    {"ws://", "80", true, false},
    {"wss://", "443", true, true},
    {"stomp://", "61613", false, false},
    {"stomps://", "61614", false, true},
};

static const struct scheme *find_scheme(const char *url) {
    for (size_t n = 0; n < sizeof schemes / sizeof schemes[0]; n++)
        if (strncmp(url, schemes[n].prefix, strlen(schemes[n].prefix)) == 0)
            return &schemes[n];
    return NULL;
}

/* False: it does not fit, or is empty. */
static bool copy(char *to, size_t size, const char *from, size_t length) {
    if (length == 0 || length >= size)
        return false;
    memcpy(to, from, length);
    to[length] = '\0';
    return true;
}

static bool is_port(const char *text) {
    unsigned port = 0;
    if (strlen(text) != strspn(text, "0123456789"))
        return false;
    return sscanf(text, "%u", &port) == 1 && port > 0 && port < 65536;
}

/* "host:port" without what follows; IPv6 in brackets. */
static const char *parse_authority(const char *text, size_t length, struct target *target) {
    const char *end = text + length;
    const char *closing = *text == '[' ? memchr(text, ']', length) : NULL;
    const char *colon = memchr(closing ? closing : text, ':', (size_t)(end - (closing ? closing : text)));
    const char *host_end = closing ? closing : colon ? colon : end;
    const char *host = closing ? text + 1 : text;
    if (!copy(target->host, sizeof target->host, host, (size_t)(host_end - host)))
        return "it has no host, or too long a one";
    if (colon && !copy(target->port, sizeof target->port, colon + 1, (size_t)(end - colon - 1)))
        return "its port is not a number from 1 to 65535";
    return is_port(target->port) ? NULL : "its port is not a number from 1 to 65535";
}

const char *target_parse(const char *url, struct target *target) {
    const struct scheme *scheme = find_scheme(url);
    if (!scheme)
        return "it must begin with ws://, wss://, stomp:// or stomps://";
    const char *authority = url + strlen(scheme->prefix);
    size_t length = strcspn(authority, "/?#");
    const char *path = authority + length;
    *target = (struct target){.url = url, .is_websocket = scheme->is_websocket, .is_tls = scheme->is_tls};
    snprintf(target->port, sizeof target->port, "%s", scheme->port);
    if (!scheme->is_websocket && *path && strcmp(path, "/") != 0)
        return "only ws:// and wss:// have a path";
    if (strlen(path) != strcspn(path, " \t\r\n") || strlen(path) >= sizeof target->path - 1)
        return "its path has blanks, or is too long";
    snprintf(target->path, sizeof target->path, "%s%s", *path == '/' ? "" : "/", path);
    return parse_authority(authority, length, target);
}

void target_resolve(struct target *target) {
    struct addrinfo wanted = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    int error = getaddrinfo(target->host, target->port, &wanted, &found);
    if (error)
        fail(FAULT_SERVER, "%s: the host %s is not known: %s", target->url, target->host, gai_strerror(error));
    memcpy(&target->address, found->ai_addr, found->ai_addrlen);
    target->address_length = found->ai_addrlen;
    freeaddrinfo(found);
}
