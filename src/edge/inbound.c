/* Incoming WebSocket messages; see inbound.h. */
#include "inbound.h"

#include "connection.h"
#include "deflate.h"

static void fail(struct connection *connection, enum fault_kind kind, const char *why) {
    session_end(connection->session, kind, why, true);
}

/* Payload as the client meant it. False when no more is wanted. */
static bool take_plain(void *arg, char *bytes, size_t len) {
    struct connection *connection = arg;
    struct inbound *inbound = &connection->inbound;
    if (inbound->text && !utf8_stream_feed(&inbound->utf8, (struct bytes){bytes, len})) {
        fail(connection, FAULT_ENCODING, "a text message is not UTF-8");
        return false;
    }
    connection_input(connection, bytes, len);
    return connection->session->state != SESSION_ENDING;
}

static void begin(struct connection *connection, const struct inbound_piece *piece) {
    struct inbound *inbound = &connection->inbound;
    inbound_free(connection);
    inbound->began_ms = connection->worker->now_ms;
    inbound->text = piece->text;
    inbound->utf8.pending_len = 0;
    if (piece->compressed && !(inbound->inflater = inflater_begin(connection->worker->compressor)))
        fail(connection, FAULT_INTERNAL, "out of memory");
}

static void end(struct connection *connection) {
    const struct inbound *inbound = &connection->inbound;
    if (inbound->inflater && !inflater_finish(inbound->inflater, take_plain, connection))
        fail(connection, FAULT_ENCODING, "a compressed message is broken");
    if (inbound->text && !utf8_stream_is_complete(&inbound->utf8))
        fail(connection, FAULT_ENCODING, "a text message is not UTF-8");
    inbound_free(connection);
}

void inbound_take(struct connection *connection, const struct inbound_piece *piece) {
    struct inbound *inbound = &connection->inbound;
    if (piece->first)
        begin(connection, piece);
    else if (piece->compressed && !inbound->within_frame)
        fail(connection, FAULT_PROTOCOL, "only a message's first frame may say that it is compressed");
    inbound->within_frame = !piece->ends_frame;
    if (connection->session->state == SESSION_ENDING)
        return;
    if (!inbound->inflater)
        take_plain(connection, (char *)(uintptr_t)piece->payload.data, piece->payload.len);
    else if (!inflater_feed(inbound->inflater, piece->payload, take_plain, connection))
        fail(connection, FAULT_ENCODING, "a compressed message is broken");
    if (piece->last)
        end(connection);
    else
        connection_arm_timer(connection);
}

void inbound_free(struct connection *connection) {
    if (connection->inbound.inflater)
        inflater_end(connection->worker->compressor, connection->inbound.inflater);
    connection->inbound.inflater = NULL;
}
