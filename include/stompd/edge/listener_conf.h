/* A [listen NAME] section of the conf file: what the workers must know of the place a socket came in by. Immutable. */
#ifndef STOMPD_EDGE_LISTENER_CONF_H
#define STOMPD_EDGE_LISTENER_CONF_H

#include <stdbool.h>
#include <stddef.h>

enum listener_protocol { LISTENER_WS, LISTENER_STOMP };
#define LISTENER_PROTOCOLS (LISTENER_STOMP + 1)

/* Which headers of the PROXY protocol a client's proxy may send; without one of them there is no connection. */
enum proxy_protocol { PROXY_NONE, PROXY_V1, PROXY_V2, PROXY_ANY };

struct listener_conf {
    char *name;
    char *bind; /* "address:port" as written; IPv6 addresses in brackets */
    enum listener_protocol protocol;
    enum proxy_protocol proxy_protocol;
    char **paths; /* ws: where the upgrade is taken; each begins with "/" */
    size_t path_count;
    char **origins; /* ws: allowed Origin values, or "*"; none: the page's own host only */
    size_t origin_count;
    char **trusted_proxies; /* ws: whose X-Forwarded-For counts; each is what network_parse() takes */
    size_t trusted_proxy_count;
    char *files;           /* ws: folder served over HTTP, or NULL */
    bool deflate;          /* ws: permessage-deflate is offered */
    char *tls_certificate; /* PEM file with the chain, or NULL: plain */
    char *tls_key;
    unsigned line; /* of the section in the conf file, for faults found later */
};

#endif
