/*
 * A decoded client frame. Its bytes are borrowed from the parser (or from the input it was fed) and are valid until
 * the parser is fed again. The header array belongs to whoever set the frame up, so that one array serves all sessions
 * of a worker.
 */
#ifndef STOMPD_STOMP_FRAME_H
#define STOMPD_STOMP_FRAME_H

#include "stompd/base/bytes.h"

enum stomp_command {
    STOMP_UNKNOWN,
    STOMP_CONNECT,
    STOMP_STOMP,
    STOMP_SEND,
    STOMP_SUBSCRIBE,
    STOMP_UNSUBSCRIBE,
    STOMP_BEGIN,
    STOMP_COMMIT,
    STOMP_ABORT,
    STOMP_ACK,
    STOMP_NACK,
    STOMP_DISCONNECT
};

#define STOMP_COMMANDS (STOMP_DISCONNECT + 1)

struct stomp_header {
    struct bytes name;
    struct bytes value;
};

struct stomp_frame {
    enum stomp_command command;
    size_t header_count;
    size_t header_capacity;
    struct stomp_header *headers;
    struct bytes body; /* without the closing NUL */
};

/* The name as on the wire, such as "SEND"; "?" for STOMP_UNKNOWN. */
const char *stomp_command_name(enum stomp_command command);

/* The command with that exact name (case counts), or STOMP_UNKNOWN. */
enum stomp_command stomp_command_find(struct bytes name);

/* The value of the first header with that name (1.2, "Repeated Header Entries"), or NULL. */
const struct bytes *stomp_frame_find(const struct stomp_frame *frame, struct bytes name);

static inline bool stomp_is_blank(char c) {
    return c == ' ' || c == '\t';
}

/* The text without the blanks (spaces and tabs) around it. */
static inline struct bytes stomp_trim(struct bytes text) {
    while (text.len > 0 && stomp_is_blank(text.data[0]))
        text = bytes_skip(text, 1);
    while (text.len > 0 && stomp_is_blank(text.data[text.len - 1]))
        text.len--;
    return text;
}

/* Removes blanks around all names and values, as 1.0's examples pad them ("login: x"). For 1.0 only. */
void stomp_frame_trim(struct stomp_frame *frame);

#endif
