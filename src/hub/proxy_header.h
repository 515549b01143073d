/*
 * Private to hub/: the header that a proxy sends ahead of a client's bytes (the PROXY protocol, versions 1 and 2, as
 * HAProxy's doc/proxy-protocol.txt has it). Pure: bytes in, an address out.
 */
#ifndef STOMPD_HUB_PROXY_HEADER_H
#define STOMPD_HUB_PROXY_HEADER_H

#include <sys/socket.h>

#include "stompd/base/bytes.h"
#include "stompd/base/compiler.h"
#include "stompd/edge/listener_conf.h"

/*
 * A longer header is refused. One of version 1 has 107 bytes at most, one of version 2 with addresses alone 232; the
 * rest is for what proxies add to it, such as the names in a client's certificate.
 */
#define PROXY_HEADER_MAX 4096

enum proxy_header_state { PROXY_HEADER_INCOMPLETE, PROXY_HEADER_FAULTY, PROXY_HEADER_COMPLETE };

struct proxy_header {
    size_t len;                     /* complete: its length; incomplete: with fewer bytes it is still incomplete */
    const char *why;                /* faulty: a sentence about it (static text) */
    bool has_source;                /* complete; false: the proxy speaks for itself or does not know the client */
    struct sockaddr_storage source; /* the client: IPv4 or IPv6, with its port; unused bytes are zero */
};

/*
 * Reads what a connection begins with. `allowed` is not PROXY_NONE. It is faulty as soon as no further bytes could make
 * a header of it. What follows a complete header is left alone.
 */
MUST_CHECK enum proxy_header_state proxy_header_parse(struct bytes bytes, enum proxy_protocol allowed,
                                                      struct proxy_header *header);

#endif
