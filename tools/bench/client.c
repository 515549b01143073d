/* From the socket to a STOMP session, and what is said and heard there. */
#include "bench/client.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/fail.h"
#include "bench/transport.h"
#include "bench/websocket.h"

#define OUT_KEPT (64u << 10) /* what a buffer may keep when it is empty */

/* ---- the end */

static void close_socket(struct client *client) {
    transport_close(client);
    buffer_free(&client->in);
    buffer_free(&client->partial);
    buffer_free(&client->out);
    client->state = CLIENT_CLOSED;
    client->is_blocked = false;
    client->has_parted = false;
}

void client_drop(struct client *client) {
    if (client->state != CLIENT_CLOSED)
        close_socket(client);
}

/* NULL: because it has left. */
static void end(struct client *client, const char *why) {
    close_socket(client);
    client->handler->closed(client, why);
}

static void end_because(struct client *client, const char *text, ...) PRINTF_LIKE(2, 3);
static void end_because(struct client *client, const char *text, ...) {
    va_list values;
    va_start(values, text);
    vsnprintf(client->loop->why, sizeof client->loop->why, text, values);
    va_end(values);
    end(client, client->loop->why);
}

const char *client_doing(const struct client *client) {
    static const char *const names[] = {
        [CLIENT_CLOSED] = "when it was closed",      [CLIENT_CONNECTING] = "while it connected",
        [CLIENT_HANDSHAKE] = "in the TLS handshake", [CLIENT_UPGRADING] = "in the upgrade to WebSocket",
        [CLIENT_LOGGING_IN] = "after CONNECT",       [CLIENT_OPEN] = "in the session",
        [CLIENT_LEAVING] = "after DISCONNECT",
    };
    return names[client->state];
}

void client_fail(const struct client *client, const char *why) {
    fail(FAULT_SERVER, "%s %u at %s: %s", client->role, client->index, client->target->url, why);
}

/* ---- what it says */

static void speak(struct client *client, enum websocket_opcode opcode, struct bytes payload) {
    if (client->target->is_websocket)
        websocket_write(&client->out, opcode, payload, &client->loop->mask);
    else if (!buffer_append(&client->out, payload.data, payload.len))
        need(NULL);
    loop_add_dirty(client->loop, client);
}

void client_send(struct client *client, struct bytes frame, bool is_text) {
    speak(client, is_text ? WEBSOCKET_TEXT : WEBSOCKET_BINARY, frame);
}

void client_say(struct client *client, const char *text, ...) {
    char frame[8192];
    va_list values;
    va_start(values, text);
    int length = vsnprintf(frame, sizeof frame, text, values);
    va_end(values);
    if (length < 0 || (size_t)length >= sizeof frame)
        fail(FAULT_USAGE, "a header is longer than 8 KiB");
    client_send(client, (struct bytes){frame, (size_t)length + 1}, true);
}

static void say_connect(struct client *client) {
    const struct options *options = client->loop->options;
    const char *login = options->login;
    client->state = CLIENT_LOGGING_IN;
    client_say(client, "CONNECT\naccept-version:1.2\nhost:%s\nheart-beat:0,0\n%s%s%s%s%s%s\n",
               options->host ? options->host : client->target->host, login ? "login:" : "", login ? login : "",
               login ? "\n" : "", options->passcode ? "passcode:" : "", options->passcode ? options->passcode : "",
               options->passcode ? "\n" : "");
}

void client_leave(struct client *client) {
    client_say(client, "DISCONNECT\nreceipt:left\n\n");
    client->state = CLIENT_LEAVING;
}

/* ---- what it hears */

/* An ERROR has a message, a body, or both. */
static void hear_error(struct client *client, const struct frame *frame) {
    bool says_more = frame->body.len > 0 && !bytes_equal(frame->body, frame->message);
    struct bytes body = frame->body;
    while (body.len > 0 && strchr("\r\n ", body.data[body.len - 1]))
        body.len--;
    end_because(client, "%s: ERROR: %.*s%s%.*s",
                client->state == CLIENT_LOGGING_IN ? "the login is refused" : "it says", BYTES_ARG(frame->message),
                says_more && frame->message.len > 0 ? ": " : "", says_more ? (int)body.len : 0, body.data);
}

static void hear_connected(struct client *client, const struct frame *frame) {
    if (client->state != CLIENT_LOGGING_IN) {
        end_because(client, "it sends CONNECTED again");
        return;
    }
    if (!bytes_equal(frame->version, BYTES("1.2"))) {
        end_because(client, "it does not speak STOMP 1.2");
        return;
    }
    client->state = CLIENT_OPEN;
    client->handler->opened(client);
}

static void hear_receipt(struct client *client, struct bytes id) {
    if (client->state == CLIENT_LEAVING && bytes_equal(id, BYTES("left")))
        end(client, NULL);
    else
        client->handler->receipt(client, id);
}

static void hear_frame(struct client *client, const struct frame *frame) {
    if (bytes_equal(frame->command, BYTES("MESSAGE")))
        client->handler->message(client, frame);
    else if (bytes_equal(frame->command, BYTES("RECEIPT")))
        hear_receipt(client, frame->receipt_id);
    else if (bytes_equal(frame->command, BYTES("CONNECTED")))
        hear_connected(client, frame);
    else if (bytes_equal(frame->command, BYTES("ERROR")))
        hear_error(client, frame);
    else
        end_because(client, "it sends a frame %.*s, which is no server's",
                    frame->command.len < 20 ? (int)frame->command.len : 20, frame->command.data);
}

/* Returns how much of it was whole frames and line ends; the client may be closed then. */
static size_t hear_stomp(struct client *client, struct bytes bytes) {
    size_t taken = 0;
    while (taken < bytes.len && client->state != CLIENT_CLOSED) {
        struct frame frame;
        if (bytes.data[taken] == '\n' || bytes.data[taken] == '\r') {
            taken++;
            continue;
        }
        enum frame_state state = frame_read(bytes_skip(bytes, taken), &frame);
        if (state == FRAME_PARTIAL)
            break;
        if (state == FRAME_BROKEN) {
            end_because(client, "what it sends is not STOMP");
            break;
        }
        taken += frame.size;
        hear_frame(client, &frame);
    }
    return taken;
}

static void keep(struct buffer *buffer, struct bytes bytes) {
    if (bytes.len > 0 && !buffer_append(buffer, bytes.data, bytes.len))
        need(NULL);
}

/* A STOMP frame may begin in one message and end in another. */
static void hear_payload(struct client *client, struct bytes payload) {
    if (client->partial.len == 0) {
        size_t taken = hear_stomp(client, payload);
        if (client->state != CLIENT_CLOSED)
            keep(&client->partial, bytes_skip(payload, taken));
        return;
    }
    struct buffer whole = client->partial;
    client->partial = (struct buffer){0};
    keep(&whole, payload);
    size_t taken = hear_stomp(client, buffer_bytes(&whole));
    if (client->state != CLIENT_CLOSED)
        keep(&client->partial, bytes_skip(buffer_bytes(&whole), taken));
    buffer_free(&whole);
}

/* Its answer is a close frame too; then the server ends the connection. */
static void hear_close(struct client *client, struct bytes payload) {
    unsigned code = payload.len >= 2 ? (unsigned char)payload.data[0] << 8 | (unsigned char)payload.data[1] : 1005;
    struct bytes reason = bytes_skip(payload, payload.len >= 2 ? 2 : payload.len);
    if (client->state != CLIENT_LEAVING) {
        end_because(client, "it closes the WebSocket with code %u%s%.*s", code, reason.len ? ": " : "",
                    BYTES_ARG(reason));
        return;
    }
    if (!client->has_parted)
        speak(client, WEBSOCKET_CLOSE, payload);
    client->has_parted = true;
}

static size_t hear_websocket(struct client *client, struct bytes bytes) {
    struct websocket_frame frame;
    size_t taken = 0;
    while (client->state != CLIENT_CLOSED && websocket_read(bytes_skip(bytes, taken), &frame)) {
        taken += frame.size;
        if (frame.opcode == WEBSOCKET_PING)
            speak(client, WEBSOCKET_PONG, frame.payload);
        else if (frame.opcode == WEBSOCKET_CLOSE)
            hear_close(client, frame.payload);
        else if (frame.opcode != WEBSOCKET_PONG)
            hear_payload(client, frame.payload);
    }
    return taken;
}

static size_t hear_answer(struct client *client, struct bytes bytes) {
    client->loop->why[0] = '\0';
    size_t taken = websocket_answer(bytes, client->loop->why, sizeof client->loop->why);
    if (client->loop->why[0])
        end(client, client->loop->why);
    else if (taken > 0)
        say_connect(client);
    return taken;
}

static size_t hear_bytes(struct client *client, struct bytes bytes) {
    size_t taken = 0;
    if (client->state == CLIENT_UPGRADING)
        taken = hear_answer(client, bytes);
    if (client->state == CLIENT_CLOSED || client->state == CLIENT_UPGRADING)
        return taken;
    bytes = bytes_skip(bytes, taken);
    return taken + (client->target->is_websocket ? hear_websocket(client, bytes) : hear_stomp(client, bytes));
}

static void hear_end(struct client *client, const char *why) {
    if (client->state == CLIENT_LEAVING)
        end(client, NULL);
    else
        end_because(client, "%s %s", why, client_doing(client));
}

/* What is incomplete waits in `in`; most often nothing is, and idle clients keep no buffer. */
static void hear(struct client *client) {
    struct buffer *scratch = &client->loop->scratch;
    scratch->len = 0;
    keep(scratch, buffer_bytes(&client->in));
    if (!buffer_reserve(scratch, TRANSPORT_READ_SIZE))
        need(NULL);
    const char *why = transport_read(client, scratch);
    loop_clock(client->loop);
    size_t taken = hear_bytes(client, buffer_bytes(scratch));
    if (client->state == CLIENT_CLOSED)
        return;
    struct bytes rest = bytes_skip(buffer_bytes(scratch), taken);
    if (rest.len == 0)
        buffer_free(&client->in);
    client->in.len = 0;
    keep(&client->in, rest);
    if (why)
        hear_end(client, why);
}

/* ---- the socket */

void client_open(struct client *client) {
    client->began_ns = loop_clock(client->loop);
    client->is_ready = false;
    client->state = CLIENT_CONNECTING;
    transport_connect(client);
}

/* Connected, and encrypted where it is to be. */
static void on_connected(struct client *client) {
    transport_watch(client, EPOLLIN);
    if (client->target->is_websocket) {
        client->state = CLIENT_UPGRADING;
        websocket_ask(&client->out, client->target);
        loop_add_dirty(client->loop, client);
    } else {
        say_connect(client);
    }
}

static void go_on_connecting(struct client *client) {
    const char *why = NULL;
    if (client->state == CLIENT_CONNECTING) {
        why = transport_connected(client);
        if (!why && client->target->is_tls)
            client->state = CLIENT_HANDSHAKE;
    }
    bool is_done = !why && !client->target->is_tls;
    if (!why && client->state == CLIENT_HANDSHAKE)
        is_done = transport_handshake(client, &why);
    if (why)
        end(client, why);
    else if (is_done)
        on_connected(client);
}

void client_act(struct client *client, uint32_t events) {
    if (client->state == CLIENT_CLOSED)
        return;
    if (client->state == CLIENT_CONNECTING || client->state == CLIENT_HANDSHAKE) {
        go_on_connecting(client);
        return;
    }
    if (events & EPOLLOUT)
        loop_add_dirty(client->loop, client);
    if (events & ~(uint32_t)EPOLLOUT)
        hear(client);
}

void client_flush(struct client *client) {
    const char *why = NULL;
    if (client->state == CLIENT_CLOSED || client->out.len == 0)
        return;
    size_t written = transport_write(client, &why);
    if (why) {
        client->out.len = 0;
        hear(client); /* what the server said before it went explains more */
        if (client->state != CLIENT_CLOSED)
            hear_end(client, why);
        return;
    }
    buffer_consume(&client->out, written);
    bool is_blocked = client->out.len > 0;
    if (is_blocked != client->is_blocked)
        transport_watch(client, is_blocked ? EPOLLIN | EPOLLOUT : EPOLLIN);
    client->is_blocked = is_blocked;
    if (!is_blocked && (client->out.capacity > OUT_KEPT || client->state != CLIENT_OPEN || client->is_ready == false))
        buffer_free(&client->out);
}
