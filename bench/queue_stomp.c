/* STOMP 1.2 over WebSocket, as a browser's library speaks it: a frame is a message. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "queue_run.h"

#define FRAME_MAX 4096

enum opcode { OPCODE_TEXT = 1, OPCODE_BINARY = 2, OPCODE_CLOSE = 8, OPCODE_PING = 9, OPCODE_PONG = 10 };

#define FINAL  0x80
#define MASKED 0x80

/* How far a client is, kept in client->protocol while it opens. */
struct opening {
    bool is_upgraded;
    unsigned answers; /* CONNECTED and RECEIPTs */
};

static const char upgrade[] = "GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                              "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
                              "Sec-WebSocket-Protocol: v12.stomp\r\n\r\n";
static const char hello[] = "CONNECT\naccept-version:1.2\nhost:/\nlogin:guest\npasscode:guest\nheart-beat:0,0\n\n";
static const char unsubscribe[] = "UNSUBSCRIBE\nid:0\nreceipt:unsubscribed\n\n";

/* ---- WebSocket */

static uint32_t next_mask(void) {
    static uint32_t mask = 2463534242;
    mask ^= mask << 13;
    mask ^= mask >> 17;
    mask ^= mask << 5;
    return mask;
}

static void say(struct client *client, enum opcode opcode, const char *payload, size_t length) {
    unsigned char *out = (unsigned char *)client_room(client, length + 8);
    uint32_t mask = next_mask();
    unsigned char key[4];
    size_t at = 0;
    memcpy(key, &mask, sizeof key);
    out[at++] = (unsigned char)(FINAL | opcode);
    if (length < 126)
        out[at++] = (unsigned char)(MASKED | length);
    else {
        out[at++] = MASKED | 126;
        out[at++] = (unsigned char)(length >> 8);
        out[at++] = (unsigned char)length;
    }
    memcpy(out + at, key, sizeof key);
    at += sizeof key;
    for (size_t n = 0; n < length; n++)
        out[at + n] = (unsigned char)payload[n] ^ key[n % sizeof key];
    client_said(client, at + length);
}

/* ---- what comes */

/* The value of a header, up to its line's end, in a frame that ends with NUL. */
static const char *find_header(const char *frame, const char *name, size_t *length) {
    const char *value = strstr(frame, name);
    if (!value)
        die(name, frame);
    value += strlen(name);
    *length = strcspn(value, "\n");
    return value;
}

static void acknowledge(struct client *client, const char *id, size_t length) {
    char frame[FRAME_MAX];
    int size = snprintf(frame, sizeof frame, "ACK\nid:%.*s\n\n", (int)length, id);
    if (size < 0 || (size_t)size >= sizeof frame)
        die("a message's ack", "too long");
    say(client, OPCODE_TEXT, frame, (size_t)size + 1);
}

static void take_message(struct client *client, const char *frame) {
    size_t length;
    const char *id = find_header(frame, "\nack:", &length);
    const char *body = strstr(frame, "\n\n") + 2;
    if (strlen(body) != BODY_SIZE)
        die("a message's body", body);
    run_delivered(client, body);
    acknowledge(client, id, length);
}

static void take_receipt(struct client *client, const char *frame) {
    size_t length;
    const char *id = find_header(frame, "\nreceipt-id:", &length);
    struct opening *opening = client->protocol;
    if (client->leaving && strncmp(id, "unsubscribed", length) == 0)
        client->gone = true;
    else if (opening)
        opening->answers++;
    else
        run_receipted(client, read_number(id, length));
}

static void take_frame(struct client *client, const char *frame) {
    struct opening *opening = client->protocol;
    if (strncmp(frame, "MESSAGE\n", 8) == 0)
        take_message(client, frame);
    else if (strncmp(frame, "RECEIPT\n", 8) == 0)
        take_receipt(client, frame);
    else if (strncmp(frame, "CONNECTED\n", 10) == 0 && opening)
        opening->answers++;
    else
        die("the server says", frame);
}

/* One message of WebSocket: frames that end with NUL, and heart-beats. */
static void take_frames(struct client *client, const char *bytes, size_t length) {
    for (const char *end = bytes + length; bytes < end;) {
        if (*bytes == '\n') {
            bytes++;
            continue;
        }
        const char *nul = memchr(bytes, '\0', (size_t)(end - bytes));
        if (!nul)
            die("a frame", "in pieces");
        take_frame(client, bytes);
        bytes = nul + 1;
    }
}

static void take_payload(struct client *client, unsigned char first, const char *payload, size_t length) {
    enum opcode opcode = first & 0x0f;
    if (first == (FINAL | OPCODE_TEXT) || first == (FINAL | OPCODE_BINARY))
        take_frames(client, payload, length);
    else if (opcode == OPCODE_PING)
        say(client, OPCODE_PONG, payload, length);
    else if (opcode != OPCODE_CLOSE || !client->gone)
        die("a connection", opcode == OPCODE_CLOSE ? "closed by the server" : "a message in pieces");
}

static size_t take_upgrade(struct opening *opening, const char *bytes, size_t length) {
    const char *end = memmem(bytes, length, "\r\n\r\n", 4);
    if (!end)
        return 0;
    if (length < 12 || memcmp(bytes, "HTTP/1.1 101", 12) != 0)
        die("the server opens no WebSocket", NULL);
    opening->is_upgraded = true;
    return (size_t)(end + 4 - bytes);
}

static size_t take(struct client *client, const char *bytes, size_t length) {
    struct opening *opening = client->protocol;
    size_t taken = 0;
    if (opening && !opening->is_upgraded)
        return take_upgrade(opening, bytes, length);
    while (length - taken >= 4) {
        const unsigned char *head = (const unsigned char *)bytes + taken;
        size_t head_size = head[1] < 126 ? 2 : 4;
        size_t size = head[1] < 126 ? head[1] : (size_t)head[2] << 8 | head[3];
        if (head[1] > 126)
            die("a frame", "too long, or masked");
        if (length - taken < head_size + size)
            break;
        take_payload(client, head[0], bytes + taken + head_size, size);
        taken += head_size + size;
    }
    return taken;
}

/* ---- what a client does */

static void await_answers(struct client *client, const struct opening *opening, unsigned answers) {
    while (opening->answers < answers)
        client_exchange(client);
}

static void subscribe(struct client *client, unsigned prefetch) {
    char frame[FRAME_MAX];
    int size = snprintf(frame, sizeof frame,
                        "SUBSCRIBE\nid:0\ndestination:/queue/" QUEUE_NAME "\nack:client-individual\n"
                        "prefetch-count:%u\nreceipt:subscribed\n\n",
                        prefetch);
    say(client, OPCODE_TEXT, frame, (size_t)size + 1);
}

static void open_client(struct client *client, const struct work *work) {
    struct opening opening = {0};
    client->protocol = &opening;
    client_connect(client, work->target);
    client_say(client, upgrade, sizeof upgrade - 1);
    while (!opening.is_upgraded)
        client_exchange(client);
    say(client, OPCODE_TEXT, hello, sizeof hello);
    await_answers(client, &opening, 1);
    if (!client->produces) {
        subscribe(client, work->prefetch);
        await_answers(client, &opening, 2);
    }
    client->protocol = NULL;
}

static void send_message(struct client *client, uint64_t number) {
    static char frame[FRAME_MAX];
    static size_t length;
    static char *receipt;
    if (length == 0) {
        int head = snprintf(frame, sizeof frame,
                            "SEND\ndestination:/queue/" QUEUE_NAME "\npersistent:true\ncontent-length:%d\n"
                            "receipt:%0*d\n\n",
                            BODY_SIZE, NUMBER_SIZE, 0);
        receipt = frame + head - 2 - NUMBER_SIZE;
        memset(frame + head, 'x', BODY_SIZE);
        length = (size_t)head + BODY_SIZE + 1;
    }
    write_number(receipt, number);
    write_number(frame + length - 1 - BODY_SIZE, number);
    say(client, OPCODE_TEXT, frame, length);
}

/* Its RECEIPT says that the ACKs before it were acted on. (RabbitMQ gives none to a DISCONNECT over WebSocket.) */
static void leave(struct client *client) {
    if (client->produces)
        client->gone = true;
    else
        say(client, OPCODE_TEXT, unsubscribe, sizeof unsubscribe);
}

const struct protocol stomp_protocol = {open_client, send_message, take, leave};
