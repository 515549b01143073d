/* Heads and masks. */
#include "bench/websocket.h"

#include <stdio.h>

#include "bench/fail.h"

#define HEAD_MAX 14

/* The nonce of RFC 6455's own example, with what it is answered by. */
#define KEY    "dGhlIHNhbXBsZSBub25jZQ=="
#define ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

void websocket_ask(struct buffer *out, const struct target *target) {
    char request[4096];
    bool is_v6 = strchr(target->host, ':') != NULL;
    int length = snprintf(request, sizeof request,
                          "GET %s HTTP/1.1\r\nHost: %s%s%s:%s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                          "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " KEY "\r\n"
                          "Sec-WebSocket-Protocol: v12.stomp\r\nOrigin: http%s://%s%s%s:%s\r\n\r\n",
                          target->path, is_v6 ? "[" : "", target->host, is_v6 ? "]" : "", target->port,
                          target->is_tls ? "s" : "", is_v6 ? "[" : "", target->host, is_v6 ? "]" : "", target->port);
    if (!buffer_append(out, request, (size_t)length))
        need(NULL);
}

size_t websocket_answer(struct bytes in, char *fault, size_t fault_size) {
    const char *end = memmem(in.data, in.len, "\r\n\r\n", 4);
    const char *line_end = memchr(in.data, '\r', in.len);
    bool is_http = bytes_start_with(in, BYTES("HTTP/")) || in.len < 5;
    if (is_http && !end)
        return 0;
    if (!is_http || in.len < 12 || memcmp(in.data + 8, " 101", 4) != 0) {
        int length = (int)((line_end && line_end - in.data < 200 ? line_end - in.data
                            : in.len < 40                        ? (long)in.len
                                                                 : 40));
        snprintf(fault, fault_size, "no WebSocket is opened there; the answer is \"%.*s\"", length, in.data);
        return 0;
    }
    if (!memmem(in.data, (size_t)(end - in.data), ACCEPT, sizeof ACCEPT - 1)) {
        snprintf(fault, fault_size, "the answer to the upgrade has no right Sec-WebSocket-Accept");
        return 0;
    }
    return (size_t)(end + 4 - in.data);
}

static uint32_t next_mask(uint32_t *mask) {
    *mask ^= *mask << 13;
    *mask ^= *mask >> 17;
    *mask ^= *mask << 5;
    return *mask;
}

static void write_masked(char *to, struct bytes payload, uint32_t mask) {
    uint64_t wide = (uint64_t)mask << 32 | mask;
    size_t n = 0;
    for (uint64_t word; n + sizeof word <= payload.len; n += sizeof word) {
        memcpy(&word, payload.data + n, sizeof word);
        word ^= wide;
        memcpy(to + n, &word, sizeof word);
    }
    for (; n < payload.len; n++)
        to[n] = (char)(payload.data[n] ^ ((const char *)&mask)[n % 4]);
}

void websocket_write(struct buffer *out, enum websocket_opcode opcode, struct bytes payload, uint32_t *mask) {
    if (!buffer_reserve(out, HEAD_MAX + payload.len))
        need(NULL);
    char *to = out->data + out->len;
    unsigned extra = payload.len < 126 ? 0 : payload.len < 65536 ? 2 : 8;
    uint32_t key = next_mask(mask);
    *to++ = (char)(0x80 | opcode);
    *to++ = (char)(0x80 | (extra == 0 ? payload.len : extra == 2 ? 126 : 127));
    for (unsigned n = extra; n > 0; n--)
        *to++ = (char)((uint64_t)payload.len >> (8 * (n - 1)));
    memcpy(to, &key, sizeof key);
    write_masked(to + sizeof key, payload, key);
    out->len = (size_t)(to - out->data) + sizeof key + payload.len;
}

bool websocket_read(struct bytes in, struct websocket_frame *frame) {
    const unsigned char *head = (const unsigned char *)in.data;
    if (in.len < 2)
        return false;
    unsigned extra = (head[1] & 127) < 126 ? 0 : (head[1] & 127) == 126 ? 2 : 8;
    uint64_t length = extra ? 0 : head[1] & 127u;
    if (in.len < 2 + extra)
        return false;
    for (unsigned n = 0; n < extra; n++)
        length = length << 8 | head[2 + n];
    if (length > in.len - 2 - extra)
        return false;
    frame->opcode = (enum websocket_opcode)(head[0] & 15);
    frame->payload = (struct bytes){in.data + 2 + extra, (size_t)length};
    frame->size = 2 + extra + (size_t)length;
    return true;
}
