/* Sessions over plain TCP (or TLS): the callback of libwebsockets' raw sockets. */
#include "connection.h"
#include "transport.h"

#define RX_BUFFER 16384

static void on_receive(struct connection *connection, struct lws *wsi, char *bytes, size_t len) {
    /* libwebsockets times the TLS handshake and forgets to stop once it is over; connect-time is ours. */
    if (!connection->served)
        lws_set_timeout(wsi, NO_PENDING_TIMEOUT, 0);
    connection->served = true;
    connection->worker->now_ms = worker_time(connection->worker);
    connection_input(connection, bytes, len);
}

static int tcp_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len) {
    struct connection *connection = lws_get_opaque_user_data(wsi);
    if (reason == LWS_CALLBACK_OPENSSL_LOAD_EXTRA_SERVER_VERIFY_CERTS)
        listener_has_tls(in, user);
    if (!connection)
        return 0; /* libwebsockets' own, not an adopted socket */
    connection->wsi = wsi;
    switch (reason) {
    case LWS_CALLBACK_RAW_ADOPT:
        return connection_open(connection) ? 0 : -1;
    case LWS_CALLBACK_RAW_RX:
        on_receive(connection, wsi, in, len);
        return 0;
    case LWS_CALLBACK_RAW_WRITEABLE:
        connection_writable(connection);
        return 0;
    case LWS_CALLBACK_WSI_DESTROY:
        lws_set_opaque_user_data(wsi, NULL);
        connection_free(connection);
        return 0;
    default:
        return 0;
    }
}

const struct lws_protocols *tcp_protocols(void) {
    static const struct lws_protocols protocols[] = {
        {.name = TCP_PROTOCOL, .callback = tcp_callback, .rx_buffer_size = RX_BUFFER, .tx_packet_size = TX_PACKET_SIZE},
        {0}};
    return protocols;
}
