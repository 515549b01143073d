/* What can be asked of a decoded client frame, and the names of the client commands. */
#include "stompd/stomp/frame.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static const char *const command_names[] = {
    [STOMP_UNKNOWN] = "?",   [STOMP_CONNECT] = "CONNECT",     [STOMP_STOMP] = "STOMP",
    [STOMP_SEND] = "SEND",   [STOMP_SUBSCRIBE] = "SUBSCRIBE", [STOMP_UNSUBSCRIBE] = "UNSUBSCRIBE",
    [STOMP_BEGIN] = "BEGIN", [STOMP_COMMIT] = "COMMIT",       [STOMP_ABORT] = "ABORT",
    [STOMP_ACK] = "ACK",     [STOMP_NACK] = "NACK",           [STOMP_DISCONNECT] = "DISCONNECT",
};

const char *stomp_command_name(enum stomp_command command) {
    return command_names[command];
}

enum stomp_command stomp_command_find(struct bytes name) {
    if (bytes_equal(name, BYTES("SEND"))) /* nearly every frame */
        return STOMP_SEND;
    for (size_t i = STOMP_UNKNOWN + 1; i < COUNT(command_names); i++) {
        if (bytes_equal(name, bytes_of(command_names[i])))
            return (enum stomp_command)i;
    }
    return STOMP_UNKNOWN;
}

const struct bytes *stomp_frame_find(const struct stomp_frame *frame, struct bytes name) {
    for (size_t i = 0; i < frame->header_count; i++) {
        if (bytes_equal(frame->headers[i].name, name))
            return &frame->headers[i].value;
    }
    return NULL;
}

void stomp_frame_trim(struct stomp_frame *frame) {
    for (size_t i = 0; i < frame->header_count; i++) {
        struct stomp_header *header = &frame->headers[i];
        header->name = stomp_trim(header->name);
        header->value = stomp_trim(header->value);
    }
}
