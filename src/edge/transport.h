/* Private to edge/: the libwebsockets protocols that carry sessions. */
#ifndef STOMPD_EDGE_TRANSPORT_H
#define STOMPD_EDGE_TRANSPORT_H

#include <libwebsockets.h>

/* The protocols of a WebSocket listener: v12.stomp, v11.stomp, v10.stomp. */
const struct lws_protocols *websocket_protocols(void);

/* libwebsockets gives the socket no more than this of a write and keeps the rest, even if the socket would take it. */
#define TX_PACKET_SIZE (1u << 20)

/* permessage-deflate, for listeners that offer it. */
const struct lws_extension *websocket_extensions(void);

/* The one protocol of a plain TCP listener, and its name. */
#define TCP_PROTOCOL "stomp"
const struct lws_protocols *tcp_protocols(void);

#endif
