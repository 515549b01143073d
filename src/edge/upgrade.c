/* Checks of WebSocket upgrade requests, with the answers that libwebsockets 4.1 would give by hanging up in silence. */
#include "upgrade.h"

#include <libwebsockets.h>
#include <string.h>
#include <strings.h>

#include "forwarded.h"
#include "http.h"

/* libwebsockets copies the list into 128 bytes; a longer one would end in a silent hang-up. */
#define PROTOCOL_LIST_MAX 127
/* 16 bytes in base64 (RFC 6455, section 4.1). */
#define KEY_LEN 24

#define HEADER_MAX 512
/* As much as all headers together may have, so that no length hides what proxies have added. */
#define FORWARDED_MAX 16384

static const char *const protocols[] = {"v12.stomp", "v11.stomp", "v10.stomp"}; /* best first */
#define PROTOCOL_LEN 9

static const struct refusal accepted = {0, NULL};

/* False when the header is missing, or longer than we look at. */
static bool copy_header(struct lws *wsi, char *to, size_t size, enum lws_token_indexes token) {
    return lws_hdr_copy(wsi, to, (int)size, token) > 0;
}

bool upgrade_path_exists(const struct listener_conf *listener, const char *path) {
    for (size_t n = 0; n < listener->path_count; n++)
        if (strcmp(listener->paths[n], path) == 0)
            return true;
    return false;
}

/* Without the default port of the Origin's scheme. */
static struct bytes without_default_port(struct bytes host, const char *origin) {
    struct bytes port = strncasecmp(origin, "https:", 6) == 0 ? BYTES(":443") : BYTES(":80");
    if (host.len > port.len && bytes_equal(bytes_skip(host, host.len - port.len), port))
        host.len -= port.len;
    return host;
}

/* Whether "https://app.example" is the page that the Host header names. */
static bool same_host(const char *origin, const char *header) {
    const char *authority = strstr(origin, "://");
    if (!authority)
        return false;
    struct bytes ours = without_default_port(bytes_of(header), origin);
    struct bytes theirs = without_default_port(bytes_of(authority + strlen("://")), origin);
    return theirs.len > 0 && theirs.len == ours.len && strncasecmp(theirs.data, ours.data, ours.len) == 0;
}

/* Browsers always send Origin; who sends none is no browser, and the rule is not for it. */
static bool origin_allowed(const struct listener_conf *listener, struct lws *wsi) {
    char origin[HEADER_MAX];
    char host[HEADER_MAX];
    if (lws_hdr_total_length(wsi, WSI_TOKEN_ORIGIN) == 0)
        return true;
    if (!copy_header(wsi, origin, sizeof origin, WSI_TOKEN_ORIGIN))
        return false;
    for (size_t n = 0; n < listener->origin_count; n++)
        if (strcmp(listener->origins[n], "*") == 0 || strcasecmp(listener->origins[n], origin) == 0)
            return true;
    return listener->origin_count == 0 && copy_header(wsi, host, sizeof host, WSI_TOKEN_HOST) &&
           same_host(origin, host);
}

/* The best of the offered sub-protocols, or NULL. */
static const char *best_protocol(char *list) {
    size_t best = sizeof protocols / sizeof protocols[0];
    char *rest = list;
    char *item;
    while ((item = strsep(&rest, ",")) != NULL) {
        item += strspn(item, " \t");
        item[strcspn(item, " \t")] = '\0';
        for (size_t n = 0; n < best; n++)
            if (strcmp(item, protocols[n]) == 0)
                best = n;
    }
    return best < sizeof protocols / sizeof protocols[0] ? protocols[best] : NULL;
}

static struct refusal check_protocols(struct lws *wsi) {
    char list[PROTOCOL_LIST_MAX + 1];
    if (lws_hdr_total_length(wsi, WSI_TOKEN_PROTOCOL) == 0)
        return accepted;
    if (!copy_header(wsi, list, sizeof list, WSI_TOKEN_PROTOCOL))
        return (struct refusal){HTTP_STATUS_BAD_REQUEST, "Sec-WebSocket-Protocol is too long"};
    if (!best_protocol(list))
        return (struct refusal){HTTP_STATUS_BAD_REQUEST,
                                "of the sub-protocols v12.stomp, v11.stomp, v10.stomp none is offered"};
    return accepted;
}

struct refusal upgrade_check(const struct connection *connection, struct lws *wsi, const char *protocol) {
    char path[HEADER_MAX];
    char version[8];
    if (strcasecmp(protocol, "websocket") != 0)
        return (struct refusal){HTTP_STATUS_BAD_REQUEST, "only an upgrade to websocket is possible"};
    if (http_has_body(wsi))
        return (struct refusal){HTTP_STATUS_BAD_REQUEST, "no request body is taken here"};
    if (lws_hdr_total_length(wsi, WSI_TOKEN_GET_URI) == 0)
        return (struct refusal){HTTP_STATUS_METHOD_NOT_ALLOWED, "an upgrade needs the method GET"};
    if (!copy_header(wsi, path, sizeof path, WSI_TOKEN_GET_URI) || !upgrade_path_exists(connection->listener, path))
        return (struct refusal){HTTP_STATUS_NOT_FOUND, "no WebSocket at this path"};
    if (!copy_header(wsi, version, sizeof version, WSI_TOKEN_VERSION) || strcmp(version, "13") != 0)
        return (struct refusal){426, "Sec-WebSocket-Version must be 13"};
    if (lws_hdr_total_length(wsi, WSI_TOKEN_KEY) != KEY_LEN)
        return (struct refusal){HTTP_STATUS_BAD_REQUEST, "Sec-WebSocket-Key must be 16 bytes in base64"};
    if (!origin_allowed(connection->listener, wsi))
        return (struct refusal){HTTP_STATUS_FORBIDDEN, "this Origin is not allowed (conf key: origins)"};
    return check_protocols(wsi);
}

void upgrade_learn_peer(struct connection *connection, struct lws *wsi) {
    char value[FORWARDED_MAX];
    struct ip_address peer;
    struct ip_address client;
    _Static_assert(sizeof connection->peer >= IP_ADDRESS_TEXT_SIZE, "an address must fit");
    if (connection->listener->trusted_proxy_count == 0 || !ip_address_parse(bytes_of(connection->peer), &peer) ||
        !forwarded_is_trusted(connection->listener, &peer) ||
        !copy_header(wsi, value, sizeof value, WSI_TOKEN_X_FORWARDED_FOR))
        return;
    if (forwarded_client(connection->listener, bytes_of(value), &client))
        ip_address_write(&client, connection->peer);
}

/* The last one: the buffer may hold older text in front of the response, such as the request itself. */
static char *find_last(char *from, const char *end, const char *text, size_t len) {
    char *found = NULL;
    char *next = from;
    while ((next = memmem(next, (size_t)(end - next), text, len)) != NULL)
        found = next++;
    return found;
}

bool upgrade_choose_protocol(struct lws *wsi, char *end, size_t room) {
    static const char name[] = "Sec-WebSocket-Protocol: ";
    char list[PROTOCOL_LIST_MAX + 1];
    if (!copy_header(wsi, list, sizeof list, WSI_TOKEN_PROTOCOL))
        return true;
    const char *best = best_protocol(list);
    char *header = find_last(end - room, end, name, sizeof name - 1);
    if (!best || !header || (size_t)(end - header) < sizeof name - 1 + PROTOCOL_LEN)
        return false;
    memcpy(header + sizeof name - 1, best, PROTOCOL_LEN);
    return true;
}
