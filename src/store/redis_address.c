/* Reading the conf file's `redis`. A part is checked when it is read, so that a fault is told at start, not on connecting. */
#include "stompd/store/redis_address.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "stompd/base/bytes.h"

#define DEFAULT_PORT 6379
#define DB_MAX       1000000

static bool split(struct bytes *rest, char separator, struct bytes *before) {
    const char *at = memchr(rest->data, separator, rest->len);
    if (!at)
        return false;
    *before = (struct bytes){rest->data, (size_t)(at - rest->data)};
    *rest = bytes_skip(*rest, before->len + 1);
    return true;
}

static bool read_number(struct bytes text, uint32_t most, uint32_t *number) {
    uint32_t value = 0;
    if (text.len == 0 || text.len > 9)
        return false;
    for (size_t n = 0; n < text.len; n++) {
        if (text.data[n] < '0' || text.data[n] > '9')
            return false;
        value = value * 10 + (uint32_t)(text.data[n] - '0');
    }
    *number = value;
    return value <= most;
}

static bool read_port(struct bytes text, uint16_t *port) {
    uint32_t number;
    if (!read_number(text, UINT16_MAX, &number) || number == 0)
        return false;
    *port = (uint16_t)number;
    return true;
}

static bool is_host(struct bytes host, const char *more) {
    for (size_t n = 0; n < host.len; n++) {
        char byte = host.data[n];
        bool plain = (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z');
        if (!plain && (byte == '\0' || !strchr(more, byte)))
            return false;
    }
    return host.len > 0;
}

/* A name or number, or an IPv6 number in brackets, then perhaps :port. */
static bool read_host_and_port(struct bytes text, bool port_needed, struct redis_address *address) {
    struct bytes host = text;
    bool bracketed = bytes_start_with(text, BYTES("["));
    if (bracketed) {
        text = bytes_skip(text, 1);
        if (!split(&text, ']', &host) || (text.len > 0 && text.data[0] != ':'))
            return false;
    } else {
        const char *colon = memchr(text.data, ':', text.len);
        host.len = colon ? (size_t)(colon - text.data) : text.len;
        text = bytes_skip(text, host.len);
    }
    if (!is_host(host, bracketed ? ":.%" : ".-_"))
        return false;
    address->port = DEFAULT_PORT;
    if (text.len > 0 ? !read_port(bytes_skip(text, 1), &address->port) : port_needed)
        return false;
    address->host = strndup(host.data, host.len);
    return address->host != NULL;
}

static int hex_digit(char byte) {
    if (byte >= '0' && byte <= '9')
        return byte - '0';
    if (byte >= 'a' && byte <= 'f')
        return byte - 'a' + 10;
    return byte >= 'A' && byte <= 'F' ? byte - 'A' + 10 : -1;
}

/* The byte that begins at *text, decoded; *text moves behind it. -1: not well encoded, or a NUL. */
static int take_byte(struct bytes *text) {
    int value = (unsigned char)text->data[0];
    size_t taken = 1;
    if (value == '%') {
        int high = text->len > 2 ? hex_digit(text->data[1]) : -1;
        int low = text->len > 2 ? hex_digit(text->data[2]) : -1;
        value = high < 0 || low < 0 ? -1 : high * 16 + low;
        taken = 3;
    }
    if (value > 0)
        *text = bytes_skip(*text, taken);
    return value > 0 ? value : -1;
}

/* NULL: not well encoded, or out of memory. */
static char *percent_decode(struct bytes text) {
    char *decoded = malloc(text.len + 1);
    char *to = decoded;
    int byte = 0;
    while (decoded && text.len > 0 && (byte = take_byte(&text)) > 0)
        *to++ = (char)byte;
    if (decoded && byte < 0) {
        free(decoded);
        return NULL;
    }
    if (decoded)
        *to = '\0';
    return decoded;
}

/* user, user:password or :password; an empty part is none. */
static bool read_credentials(struct bytes text, struct redis_address *address) {
    struct bytes user = text;
    struct bytes password = {0};
    if (split(&text, ':', &user))
        password = text;
    if (user.len > 0 && !(address->user = percent_decode(user)))
        return false;
    return password.len == 0 || (address->password = percent_decode(password)) != NULL;
}

/* Behind redis:// */
static bool read_url(struct bytes text, struct redis_address *address) {
    struct bytes before;
    if (split(&text, '@', &before) && !read_credentials(before, address))
        return false;
    struct bytes host = text;
    bool has_db = split(&text, '/', &host);
    if (has_db && text.len > 0 && !read_number(text, DB_MAX, &address->db))
        return false;
    return read_host_and_port(host, false, address);
}

/* Behind unix: */
static bool read_path(struct bytes path, struct redis_address *address) {
    if (path.len >= sizeof((struct sockaddr_un *)0)->sun_path || !bytes_start_with(path, BYTES("/")))
        return false;
    address->path = strndup(path.data, path.len);
    return address->path != NULL;
}

bool redis_address_parse(const char *text, struct redis_address *address) {
    struct bytes whole = bytes_of(text);
    bool right;
    *address = (struct redis_address){0};
    if (bytes_start_with(whole, BYTES("redis://")))
        right = read_url(bytes_skip(whole, sizeof "redis://" - 1), address);
    else if (bytes_start_with(whole, BYTES("unix:")))
        right = read_path(bytes_skip(whole, sizeof "unix:" - 1), address);
    else
        right = read_host_and_port(whole, true, address);
    if (!right)
        redis_address_free(address);
    return right;
}

void redis_address_free(struct redis_address *address) {
    if (address->password)
        explicit_bzero(address->password, strlen(address->password));
    free(address->host);
    free(address->path);
    free(address->user);
    free(address->password);
    *address = (struct redis_address){0};
}

void redis_address_write(const struct redis_address *address, char *to, size_t size) {
    char db[16] = "";
    bool bracketed = address->host && strchr(address->host, ':');
    if (address->db > 0)
        snprintf(db, sizeof db, "/%u", address->db);
    if (address->path)
        snprintf(to, size, "unix:%s", address->path);
    else
        snprintf(to, size, "%s%s%s:%u%s", bracketed ? "[" : "", address->host, bracketed ? "]" : "", address->port, db);
}
