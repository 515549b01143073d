/*
 * Sessions over WebSocket: the callback of libwebsockets' HTTP and WebSocket roles. A STOMP frame may span WebSocket
 * messages and a message may hold several frames, so to the session it is all one stream of bytes.
 */
#include <string.h>

#include "connection.h"
#include "deflate.h"
#include "http.h"
#include "receive_buffers.h"
#include "transport.h"
#include "upgrade.h"
#include "wsframe.h"

/* A response to an upgrade is at most this long before our ADD_HEADERS. */
#define RESPONSE_SEARCHED 512

static int on_established(struct connection *connection) {
    return connection_open(connection) ? 0 : -1;
}

static int on_confirm_upgrade(struct connection *connection, struct lws *wsi, const char *protocol) {
    struct refusal refusal = upgrade_check(connection, wsi, protocol);
    if (refusal.status == 0) {
        upgrade_learn_peer(connection, wsi);
        return 0;
    }
    connection_serve(connection);
    return http_reply(wsi, refusal.status, refusal.why) < 0 ? -1 : 1;
}

/*
 * permessage-deflate, where the listener offers it. libwebsockets only negotiates it, so that it lets compressed frames
 * pass; deflate.h does the work. An offer that asks for a smaller window is declined.
 */
static int on_confirm_extension(struct connection *connection, struct lws *wsi) {
    char offer[512];
    if (!connection->listener->deflate || lws_hdr_copy(wsi, offer, sizeof offer, WSI_TOKEN_EXTENSIONS) <= 0 ||
        strstr(offer, "server_max_window_bits"))
        return 1;
    connection->compressed = true;
    return 0;
}

/* The extension as libwebsockets sees it: no options, and payload stays as it is. */
static int extension_callback(struct lws_context *context, const struct lws_extension *extension, struct lws *wsi,
                              enum lws_extension_callback_reasons reason, void *user, void *in, size_t len) {
    static const struct lws_ext_options none[] = {{NULL, EXTARG_NONE}};
    (void)context, (void)extension, (void)wsi, (void)user, (void)len;
    if (reason == LWS_EXT_CB_CONSTRUCT && in)
        *(const struct lws_ext_options **)in = none;
    return 0;
}

const struct lws_extension *websocket_extensions(void) {
    static const struct lws_extension extensions[] = {{"permessage-deflate", extension_callback, ""}, {0}};
    return extensions;
}

/* Before the last line end: the extension's own line, which libwebsockets wrote last. False: no room. */
static bool add_parameters(struct lws_process_html_args *args) {
    static const char parameters[] = DEFLATE_PARAMETERS "\r\n";
    if (args->max_len < (int)sizeof parameters)
        return false;
    memcpy(args->p - 2, parameters, sizeof parameters - 1);
    args->p += sizeof parameters - 1 - 2;
    return true;
}

static int on_add_headers(const struct connection *connection, struct lws *wsi, struct lws_process_html_args *args) {
    if (lws_hdr_total_length(wsi, WSI_TOKEN_UPGRADE) == 0)
        return 0; /* a file is served */
    bool chosen = upgrade_choose_protocol(wsi, args->p, RESPONSE_SEARCHED);
    return chosen && (!connection->compressed || add_parameters(args)) ? 0 : -1;
}

static void on_receive(struct connection *connection, struct lws *wsi, struct bytes payload) {
    struct inbound_piece piece = {.payload = payload,
                                  .first = lws_is_first_fragment(wsi),
                                  .last = lws_is_final_fragment(wsi),
                                  .ends_frame = lws_remaining_packet_payload(wsi) == 0,
                                  .text = !lws_frame_is_binary(wsi),
                                  .compressed = (lws_get_reserved_bits(wsi) & WSFRAME_COMPRESSED) != 0};
    connection->worker->now_ms = worker_time(connection->worker);
    if (connection->phase == CONNECTION_OPEN)
        inbound_take(connection, &piece);
}

/* All idle sessions are pinged, so the payload must not stay. */
static void on_pong(struct connection *connection, void *payload) {
    connection->worker->now_ms = worker_time(connection->worker);
    if (connection->session)
        session_heard(connection->session, connection->worker->now_ms);
    receive_buffer_clear(payload);
}

static int websocket_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len) {
    struct connection *connection = lws_get_opaque_user_data(wsi);
    if (reason == LWS_CALLBACK_OPENSSL_LOAD_EXTRA_SERVER_VERIFY_CERTS)
        listener_has_tls(in, user);
    if (!connection)
        return 0; /* libwebsockets' own, not an adopted socket */
    connection->wsi = wsi;
    switch (reason) {
    case LWS_CALLBACK_HTTP_CONFIRM_UPGRADE:
        return on_confirm_upgrade(connection, wsi, in);
    case LWS_CALLBACK_CONFIRM_EXTENSION_OKAY:
        return on_confirm_extension(connection, wsi);
    case LWS_CALLBACK_ADD_HEADERS:
        return on_add_headers(connection, wsi, in);
    case LWS_CALLBACK_ESTABLISHED:
        return on_established(connection);
    case LWS_CALLBACK_RECEIVE:
        on_receive(connection, wsi, (struct bytes){in, len});
        return 0;
    case LWS_CALLBACK_RECEIVE_PONG:
        on_pong(connection, in);
        return 0;
    case LWS_CALLBACK_SERVER_WRITEABLE:
        connection_writable(connection);
        return 0;
    case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
        connection_peer_closed(connection, (struct bytes){in, len});
        return -1;
    case LWS_CALLBACK_WSI_DESTROY:
        lws_set_opaque_user_data(wsi, NULL);
        connection_free(connection);
        return 0;
    case LWS_CALLBACK_HTTP:
        connection->worker->now_ms = worker_time(connection->worker);
        return http_request(connection, wsi, (struct bytes){in, len});
    case LWS_CALLBACK_HTTP_FILE_COMPLETION:
        return lws_http_transaction_completed(wsi) ? -1 : 0;
    case LWS_CALLBACK_RAW_ADOPT: /* what the method CONNECT would turn the socket into */
    case LWS_CALLBACK_RAW_RX:
        return -1;
    default:
        return lws_callback_http_dummy(wsi, reason, user, in, len);
    }
}

#define PROTOCOL(protocol_name)                                                                                        \
    {                                                                                                                  \
        .name = (protocol_name), .callback = websocket_callback, .rx_buffer_size = RECEIVE_BUFFER_SIZE,                \
        .tx_packet_size = TX_PACKET_SIZE                                                                               \
    }

const struct lws_protocols *websocket_protocols(void) {
    static const struct lws_protocols protocols[] = {
        PROTOCOL("v12.stomp"), PROTOCOL("v11.stomp"), PROTOCOL("v10.stomp"), {0}};
    return protocols;
}
