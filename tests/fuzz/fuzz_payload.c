/*
 * Fuzzes what comes in on channels and out of streams. Whatever is there is refused with a reason, or it is well-formed:
 * written again it is the same bytes, its message has a channel or a queue, and for every version its head and body are one frame, no more
 * and no less, with the body where it should be. Anything else aborts.
 */
#include <stdint.h>
#include <stdlib.h>

#include "stompd/route/queue_name.h"
#include "stompd/stomp/parser.h"
#include "stompd/store/channel.h"
#include "stompd/store/payload.h"

#define OWNERS  3
#define HEADERS 4096

static const struct stomp_parser_limits roomy = {.frame_size = 1 << 20,
                                                 .body_size = 1 << 20,
                                                 .headers = HEADERS,
                                                 .header_size = 1 << 20,
                                                 .frame_size_key = "frame-size"};

static void require(bool condition) {
    if (!condition)
        abort();
}

static void append(struct buffer *buffer, struct bytes bytes) {
    require(buffer_append(buffer, bytes.data, bytes.len));
}

/* Our own parser stands for all clients; a SEND may have a body, as a MESSAGE has. */
static void require_one_frame(const struct message *message, enum stomp_version version) {
    static struct stomp_header headers[HEADERS];
    struct stomp_frame frame = {.headers = headers, .header_capacity = HEADERS};
    struct bytes body = message_body(message);
    struct stomp_parser parser;
    struct fault fault;
    struct buffer text = {0};
    size_t used = 0;
    append(&text, BYTES("SEND\nsubscription:0\n"));
    append(&text, message_head(message, version));
    append(&text, body);
    stomp_parser_init(&parser, &roomy, &fault);
    stomp_parser_login(&parser, version, &roomy);
    require(stomp_parser_feed(&parser, text.data, text.len, &used) == STOMP_PARSE_FRAME && used == text.len);
    require(stomp_parser_take(&parser, &frame));
    require(bytes_equal(frame.body, (struct bytes){body.data, body.len - 1}));
    stomp_parser_free(&parser);
    buffer_free(&text);
}

static void require_well_formed(const struct message *message, enum payload_type type) {
    struct buffer name = {0};
    require(message->owners == OWNERS);
    if (type == PAYLOAD_STORED)
        require(message->route == ROUTE_QUEUE && queue_name_is_valid(message_key(message)));
    else
        require(channel_of_message(&name, (enum route)message->route, message_key(message)));
    for (int version = STOMP_1_0; version <= STOMP_1_2; version++)
        require_one_frame(message, (enum stomp_version)version);
    buffer_free(&name);
}

/* As scripts make it. */
static bool read_and_write_ready(struct bytes payload, const struct payload_origin *origin, struct buffer *again) {
    const char *why = NULL;
    struct bytes queue;
    require(payload_read_ready(payload, &queue, &why) && queue_name_is_valid(queue));
    return payload_write_word(again, origin) && buffer_append(again, queue.data, queue.len);
}

static bool read_and_write(struct bytes payload, const struct payload_origin *origin, struct buffer *again) {
    const char *why = NULL;
    if (origin->type == PAYLOAD_READY)
        return read_and_write_ready(payload, origin, again);
    if (origin->type != PAYLOAD_PUBLICATION && origin->type != PAYLOAD_STORED)
        return payload_write_word(again, origin);
    struct message *message = payload_read_message(payload, OWNERS, &why);
    require(message || why);
    if (!message)
        return false;
    require_well_formed(message, origin->type);
    require(payload_write_message(again, origin, message));
    message_unref(message);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct bytes payload = {(const char *)data, size};
    struct payload_origin origin;
    struct buffer again = {0};
    const char *why = NULL;
    if (payload_read_origin(payload, &origin, &why)) {
        if (read_and_write(payload, &origin, &again))
            require(bytes_equal(buffer_bytes(&again), payload));
    } else {
        require(why != NULL);
    }
    buffer_free(&again);
    return 0;
}
