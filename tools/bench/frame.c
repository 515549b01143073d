/* Lines up to an empty one, then the body. */
#include "bench/frame.h"

#include "stompd/base/decimal.h"

static struct bytes without_cr(const char *line, const char *end) {
    return (struct bytes){line, (size_t)(end - line) - (end > line && end[-1] == '\r')};
}

static void keep(struct bytes *slot, struct bytes value) {
    if (!slot->data)
        *slot = value;
}

/* The first of its name counts. False: it is no header, or its content-length no number. */
static bool take_header(struct bytes line, struct frame *frame, struct bytes *length) {
    const char *colon = memchr(line.data, ':', line.len);
    if (!colon)
        return false;
    struct bytes name = {line.data, (size_t)(colon - line.data)};
    struct bytes value = bytes_skip(line, name.len + 1);
    if (bytes_equal(name, BYTES("content-length")))
        keep(length, value);
    else if (bytes_equal(name, BYTES("receipt-id")))
        keep(&frame->receipt_id, value);
    else if (bytes_equal(name, BYTES("ack")))
        keep(&frame->ack, value);
    else if (bytes_equal(name, BYTES("message")))
        keep(&frame->message, value);
    else if (bytes_equal(name, BYTES("version")))
        keep(&frame->version, value);
    return true;
}

static enum frame_state take_body(struct bytes in, const char *body, struct bytes length, struct frame *frame) {
    size_t left = in.len - (size_t)(body - in.data);
    uint64_t size;
    if (length.data) {
        if (!decimal_read(length, &size))
            return FRAME_BROKEN;
        if (size >= left)
            return FRAME_PARTIAL;
        if (body[size] != '\0')
            return FRAME_BROKEN;
    } else {
        const char *nul = memchr(body, '\0', left);
        if (!nul)
            return FRAME_PARTIAL;
        size = (uint64_t)(nul - body);
    }
    frame->body = (struct bytes){body, (size_t)size};
    frame->size = (size_t)(body - in.data) + (size_t)size + 1;
    return FRAME_COMPLETE;
}

enum frame_state frame_read(struct bytes in, struct frame *frame) {
    struct bytes length = {0};
    const char *end = in.data + in.len;
    const char *line_end = memchr(in.data, '\n', in.len);
    *frame = (struct frame){0};
    if (!line_end)
        return FRAME_PARTIAL;
    frame->command = without_cr(in.data, line_end);
    for (const char *line = line_end + 1; (line_end = memchr(line, '\n', (size_t)(end - line))) != NULL;
         line = line_end + 1) {
        struct bytes header = without_cr(line, line_end);
        if (header.len == 0)
            return take_body(in, line_end + 1, length, frame);
        if (!take_header(header, frame, &length))
            return FRAME_BROKEN;
    }
    return FRAME_PARTIAL;
}
