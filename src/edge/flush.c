/*
 * The output of a connection: frames are laid out from the session's outbox and written, once a turn; and how a
 * connection is closed when its session has ended.
 */
#include <libwebsockets.h>
#include <openssl/ssl.h>
#include <string.h>
#include <sys/socket.h>

#include "connection.h"
#include "deflate.h"
#include "wsframe.h"

/* How much is laid out for one write; a single larger frame makes the scratch grow. */
#define SCRATCH_SIZE (64u << 10)
#define SCRATCH_KEPT (256u << 10)

static bool is_choked(struct connection *connection) {
    return lws_partial_buffered(connection->wsi) != 0;
}

/* Bytes of the entry's frame with its WebSocket head. */
static size_t framed_size(const struct connection *connection, const struct outbox_entry *entry) {
    size_t size = outbox_entry_size(&connection->session->outbox, entry);
    return connection_is_websocket(connection) ? wsframe_head_len(size) + size : size;
}

/* Compressed where that makes it smaller. NULL: as it is. */
static char *lay_out_packed(const struct connection *connection, const struct outbox_entry *entry,
                            enum wsframe_opcode opcode, char *to) {
    struct worker *worker = connection->worker;
    const struct outbox *outbox = &connection->session->outbox;
    worker->plain.len = 0;
    if (!buffer_reserve(&worker->plain, outbox_entry_size(outbox, entry)))
        return NULL;
    worker->plain.len = (size_t)(outbox_entry_write(outbox, entry, worker->plain.data) - worker->plain.data);
    if (!compressor_pack(worker->compressor, buffer_bytes(&worker->plain), &worker->packed))
        return NULL;
    to = wsframe_head_write(to, opcode | WSFRAME_COMPRESSED, worker->packed.len);
    memcpy(to, worker->packed.data, worker->packed.len);
    return to + worker->packed.len;
}

/* At most framed_size() bytes; returns their end. */
static char *lay_out(const struct connection *connection, const struct outbox_entry *entry, char *to) {
    const struct outbox *outbox = &connection->session->outbox;
    if (connection_is_websocket(connection)) {
        enum wsframe_opcode opcode = entry->message->text ? WSFRAME_TEXT : WSFRAME_BINARY;
        char *end = connection->compressed ? lay_out_packed(connection, entry, opcode, to) : NULL;
        if (end)
            return end;
        to = wsframe_head_write(to, opcode, outbox_entry_size(outbox, entry));
    }
    return outbox_entry_write(outbox, entry, to);
}

/* Lays as many frames as fit into the scratch. False: out of memory for a large one. */
static bool fill_scratch(struct connection *connection) {
    uint64_t messages = 0;
    struct outbox *outbox = &connection->session->outbox;
    struct buffer *scratch = &connection->worker->scratch;
    const struct outbox_entry *entry;
    scratch->len = 0;
    while ((entry = outbox_front(outbox)) != NULL) {
        size_t size = framed_size(connection, entry);
        if (scratch->len > 0 && scratch->len + size > SCRATCH_SIZE)
            break;
        if (!buffer_reserve(scratch, size > SCRATCH_SIZE ? size : SCRATCH_SIZE - scratch->len))
            return false;
        scratch->len = (size_t)(lay_out(connection, entry, scratch->data + scratch->len) - scratch->data);
        messages += entry->subscription != NULL;
        outbox_pop(outbox);
    }
    counter_add(&connection->worker->counters.written, messages);
    return true;
}

static bool write_raw(struct connection *connection, char *bytes, size_t len) {
    counter_add(&connection->worker->counters.writes, 1);
    counter_add(&connection->worker->counters.sent_bytes, len);
    if (lws_write(connection->wsi, (unsigned char *)bytes, len, LWS_WRITE_RAW) >= (int)len)
        return true;
    connection_kill(connection);
    return false;
}

bool connection_ping(struct connection *connection) {
    char ping[WSFRAME_HEAD_MAX + 1];
    char *end = wsframe_head_write(ping, WSFRAME_PING, 1);
    *end++ = '?'; /* libwebsockets does not report a pong without payload */
    return !is_choked(connection) && write_raw(connection, ping, (size_t)(end - ping));
}

/* Writes until the outbox is empty or the socket takes no more; then the writable callback goes on. */
static void write_out(struct connection *connection) {
    while (outbox_front(&connection->session->outbox)) {
        if (is_choked(connection)) {
            lws_callback_on_writable(connection->wsi);
            return;
        }
        if (!fill_scratch(connection)) {
            connection_kill(connection);
            return;
        }
        if (!write_raw(connection, connection->worker->scratch.data, connection->worker->scratch.len))
            return;
        session_wrote(connection->session, connection->worker->now_ms);
    }
}

/* One large frame must not cost the worker its size for ever. */
static void give_back(struct buffer *scratch) {
    if (scratch->capacity > SCRATCH_KEPT)
        buffer_free(scratch);
}

void connection_make_room(struct session *session) {
    struct connection *connection = session->transport;
    if (connection->phase != CONNECTION_CLOSED)
        write_out(connection);
}

/* The session has ended: its last frames are written, then the transport closes, within CONNECTION_LINGER_MS. */
static void begin_closing(struct connection *connection) {
    connection->phase = CONNECTION_CLOSING;
    connection->linger_ms = connection->worker->now_ms + CONNECTION_LINGER_MS;
    buffer_free(&connection->stash);
    connection_pause(connection, false);
    connection_arm_timer(connection);
}

static int close_code(const struct connection *connection) {
    switch (connection->session->end) {
    case FAULT_NONE:
        return LWS_CLOSE_STATUS_NORMAL;
    case FAULT_PROTOCOL:
        return LWS_CLOSE_STATUS_PROTOCOL_ERR;
    case FAULT_ENCODING:
        return LWS_CLOSE_STATUS_INVALID_PAYLOAD;
    case FAULT_POLICY:
    case FAULT_LOGIN:
    case FAULT_SLOW:
    case FAULT_SILENT:
    case FAULT_LATE:
    case FAULT_PAUSED:
        return LWS_CLOSE_STATUS_POLICY_VIOLATION;
    case FAULT_SIZE:
        return LWS_CLOSE_STATUS_MESSAGE_TOO_LARGE;
    case FAULT_RESTART:
        return 1012; /* "Service Restart", which libwebsockets does not name */
    case FAULT_SHUTDOWN:
        return LWS_CLOSE_STATUS_GOINGAWAY;
    case FAULT_GONE:
    case FAULT_INTERNAL:
        break;
    }
    return LWS_CLOSE_STATUS_UNEXPECTED_CONDITION;
}

/*
 * Our close frame, written like any other: where libwebsockets runs on libuv, Debian's build closes the socket without
 * the frame that lws_close_reason() has prepared.
 */
static void write_close_frame(struct connection *connection, int code) {
    char frame[WSFRAME_HEAD_MAX + 2];
    char *end = wsframe_head_write(frame, WSFRAME_CLOSE, 2);
    *end++ = (char)(code >> 8);
    *end++ = (char)code;
    write_raw(connection, frame, (size_t)(end - frame));
}

/*
 * TCP: our end is shut, and what still comes in is dropped until the client's end is, so that no reset overtakes the
 * last frame.
 */
static void shut_our_end(struct connection *connection) {
    SSL *tls = connection->listener->tls_certificate ? lws_get_ssl(connection->wsi) : NULL;
    if (tls)
        SSL_shutdown(tls);
    shutdown(lws_get_socket_fd(connection->wsi), SHUT_WR);
}

/*
 * All that the session left is written: say so to the client, who closes then (or is cut when CONNECTION_LINGER_MS are
 * over).
 */
static void say_goodbye(struct connection *connection) {
    connection->phase = CONNECTION_CLOSED;
    if (connection_is_websocket(connection))
        write_close_frame(connection, close_code(connection));
    else
        shut_our_end(connection);
}

static bool is_written(struct connection *connection) {
    return !outbox_front(&connection->session->outbox) && !is_choked(connection);
}

/* Writes what fits, and once the session has ended and all is written, says so. */
static void write_or_close(struct connection *connection) {
    write_out(connection);
    give_back(&connection->worker->scratch);
    give_back(&connection->worker->plain);
    give_back(&connection->worker->packed);
    if (connection->phase != CONNECTION_CLOSING)
        return;
    if (is_written(connection))
        say_goodbye(connection);
    else
        lws_callback_on_writable(connection->wsi);
}

void connection_flush(struct connection *connection) {
    if (!connection->session || connection->phase == CONNECTION_CLOSED)
        return;
    session_settle(connection->session);
    if (connection->phase == CONNECTION_OPEN && connection->session->state == SESSION_ENDING)
        begin_closing(connection);
    write_or_close(connection);
}

void connection_writable(struct connection *connection) {
    if (connection->session && connection->phase != CONNECTION_CLOSED && !is_choked(connection))
        write_or_close(connection);
}

void connection_peer_closed(struct connection *connection, const char *code) {
    if (connection->phase != CONNECTION_CLOSED && connection->session && !is_choked(connection))
        write_close_frame(connection,
                          code ? (unsigned char)code[0] << 8 | (unsigned char)code[1] : LWS_CLOSE_STATUS_NORMAL);
    connection->phase = CONNECTION_CLOSED;
}
