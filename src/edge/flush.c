/*
 * The output of a connection: frames are laid out from the session's outbox and written, once a turn; and how a
 * connection is closed when its session has ended.
 */
#include <libwebsockets.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <string.h>
#include <sys/ioctl.h>
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

/* Bytes of the entry's frame at most, with a WebSocket head. */
static size_t framed_max(const struct outbox_entry *entry) {
    return WSFRAME_HEAD_MAX + entry->size;
}

/* Compressed where that makes it smaller. NULL: as it is. */
SELDOM static char *lay_out_packed(const struct connection *connection, const struct outbox_entry *entry,
                                   enum wsframe_opcode opcode, char *to) {
    struct worker *worker = connection->worker;
    const struct outbox *outbox = &connection->session->outbox;
    worker->plain.len = 0;
    if (!buffer_reserve(&worker->plain, entry->size))
        return NULL;
    worker->plain.len = (size_t)(outbox_entry_write(outbox, entry, worker->plain.data) - worker->plain.data);
    if (!compressor_pack(worker->compressor, buffer_bytes(&worker->plain), &worker->packed))
        return NULL;
    to = wsframe_head_write(to, opcode | WSFRAME_COMPRESSED, worker->packed.len);
    memcpy(to, worker->packed.data, worker->packed.len);
    return to + worker->packed.len;
}

/* At most framed_max() bytes; returns their end. */
static char *lay_out(const struct connection *connection, const struct outbox_entry *entry, char *to) {
    const struct outbox *outbox = &connection->session->outbox;
    if (connection_is_websocket(connection)) {
        enum wsframe_opcode opcode = entry->message->text ? WSFRAME_TEXT : WSFRAME_BINARY;
        char *end = connection->compressed ? lay_out_packed(connection, entry, opcode, to) : NULL;
        if (end)
            return end;
        to = wsframe_head_write(to, opcode, entry->size);
    }
    return outbox_entry_write(outbox, entry, to);
}

/* Lays as many frames as fit into the scratch, at least one: the outbox has some. False: out of memory for a large one. */
static bool fill_scratch(struct connection *connection) {
    struct session *session = connection->session;
    struct buffer *scratch = &connection->worker->scratch;
    const struct outbox_entry *entry = outbox_front(&session->outbox);
    size_t room = framed_max(entry) > SCRATCH_SIZE ? framed_max(entry) : SCRATCH_SIZE;
    uint64_t messages = 0;
    scratch->len = 0;
    if (!buffer_reserve(scratch, room))
        return false;
    char *end = scratch->data;
    do {
        end = lay_out(connection, entry, end);
        messages += entry->subscription != NULL;
        session_pop(session);
        entry = outbox_front(&session->outbox);
    } while (entry && framed_max(entry) <= room - (size_t)(end - scratch->data));
    scratch->len = (size_t)(end - scratch->data);
    counter_add(&connection->worker->counters.written, messages);
    return true;
}

static bool write_raw(struct connection *connection, char *bytes, size_t len) {
    counter_add(&connection->worker->counters.writes, 1);
    counter_add(&connection->worker->counters.sent_bytes, len);
    /* not how much of it: behind other output libwebsockets keeps all of it and tells what it has written of that */
    if (lws_write(connection->wsi, (unsigned char *)bytes, len, LWS_WRITE_RAW) >= 0)
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

/* False: the connection is killed. */
static bool write_some(struct connection *connection) {
    struct buffer *scratch = &connection->worker->scratch;
    if (!fill_scratch(connection)) {
        connection_kill(connection);
        return false;
    }
    if (!write_raw(connection, scratch->data, scratch->len))
        return false;
    session_wrote(connection->session, connection->worker->now_ms);
    if (!is_choked(connection))
        session_flushed(connection->session);
    return true;
}

/*
 * The rest is written when the socket has become writable. Over TCP nothing is read before that: libwebsockets would
 * not either, but spin on what has come in; and where the client has shut its end, it would learn this between two
 * writes, and drop the connection with all that is still to be written.
 */
static void wait_for_socket(struct connection *connection) {
    lws_callback_on_writable(connection->wsi);
    if (!connection_is_websocket(connection))
        connection_hold(connection, true);
}

/* Writes until the outbox is empty or the socket takes no more. */
static void write_out(struct connection *connection) {
    while (outbox_front(&connection->session->outbox) && !is_choked(connection))
        if (!write_some(connection))
            return;
}

/*
 * A client that is slow in reading may still send, such as heart-beats. Not so one that has shut its end; over TLS this
 * looks like more input.
 */
static bool has_input(const struct connection *connection) {
    struct tcp_info info;
    socklen_t len = sizeof info;
    int fd = lws_get_socket_fd(connection->wsi);
    int unread = 0;
    return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 && info.tcpi_state != TCP_CLOSE_WAIT &&
           ioctl(fd, FIONREAD, &unread) == 0 && unread > 0;
}

static void give_back_large(struct buffer *buffer) {
    if (buffer->capacity > SCRATCH_KEPT)
        buffer_free(buffer);
}

/* One large frame must not cost the worker its size for ever. */
static void give_back_scratch(struct worker *worker) {
    give_back_large(&worker->scratch);
    give_back_large(&worker->plain);
    give_back_large(&worker->packed);
}

void connection_make_room(struct session *session) {
    struct connection *connection = session->transport;
    if (connection->phase != CONNECTION_CLOSED)
        write_out(connection);
}

/* The session has ended: its last frames are written, then the transport closes, within CONNECTION_LINGER_MS. */
SELDOM static void begin_closing(struct connection *connection) {
    bool shutdown = connection->session->end == FAULT_SHUTDOWN;
    connection->phase = CONNECTION_CLOSING;
    connection->linger_ms =
        connection->worker->now_ms + (shutdown ? CONNECTION_LINGER_SHUTDOWN_MS : CONNECTION_LINGER_MS);
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
SELDOM static void say_goodbye(struct connection *connection) {
    connection->phase = CONNECTION_CLOSED;
    connection_hold(connection, false);
    if (connection_is_websocket(connection))
        write_close_frame(connection, close_code(connection));
    else
        shut_our_end(connection);
}

/* Writes what fits, and once the session has ended and all is written, says so. */
static void write_or_close(struct connection *connection) {
    write_out(connection);
    give_back_scratch(connection->worker);
    if (connection->phase == CONNECTION_CLOSED)
        return;
    if (is_choked(connection))
        wait_for_socket(connection);
    else if (connection->phase == CONNECTION_CLOSING)
        say_goodbye(connection);
    else
        connection_hold(connection, false);
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
    if (!connection->session || connection->phase == CONNECTION_CLOSED || is_choked(connection))
        return;
    session_flushed(connection->session);
    if (connection->phase == CONNECTION_OPEN && connection->held && has_input(connection)) {
        connection_hold(connection, false); /* until this is called again, after one read */
        lws_callback_on_writable(connection->wsi);
    } else {
        write_or_close(connection);
    }
}

/* RFC 6455, sections 5.5.1 and 7.4; of the codes, libwebsockets has replaced most that may not be sent. */
static int answer_code(struct bytes payload) {
    struct utf8_stream reason = {0};
    if (payload.len == 0)
        return LWS_CLOSE_STATUS_NORMAL;
    if (payload.len == 1)
        return LWS_CLOSE_STATUS_PROTOCOL_ERR;
    if (!utf8_stream_feed(&reason, bytes_skip(payload, 2)) || !utf8_stream_is_complete(&reason))
        return LWS_CLOSE_STATUS_INVALID_PAYLOAD;
    int code = (unsigned char)payload.data[0] << 8 | (unsigned char)payload.data[1];
    return code < 5000 ? code : LWS_CLOSE_STATUS_PROTOCOL_ERR;
}

void connection_peer_closed(struct connection *connection, struct bytes payload) {
    if (connection->session && connection->phase != CONNECTION_CLOSED) {
        session_settle(connection->session);
        while (outbox_front(&connection->session->outbox) && write_some(connection))
            continue;
        give_back_scratch(connection->worker);
        if (connection->phase != CONNECTION_CLOSED)
            write_close_frame(connection, answer_code(payload));
        connection_pause(connection, is_choked(connection)); /* libwebsockets would spin on what else comes in */
    }
    connection->phase = CONNECTION_CLOSED;
}
