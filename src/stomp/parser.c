/*
 * The incremental parser. Each state takes as much of the input as it can use, looks at those bytes once and counts
 * them as part of the frame; `frame` points to where the frame's bytes are: in the input while it has all of them, in
 * the buffer once it was split. Lines are judged when they end, text is decoded when the frame is taken. The session of
 * a connection feeds it.
 *
 * Limits are told at the very byte that breaks them, so that a fault does not depend on how the input was cut.
 */
#include "stompd/stomp/parser.h"

#include "stompd/base/utf8.h"
#include "stompd/base/words.h"
#include "stompd/stomp/escape.h"

struct input {
    char *data;
    size_t len;
};

static void start_over(struct stomp_parser *parser) {
    parser->state = STOMP_PARSER_BETWEEN;
    parser->command = STOMP_UNKNOWN;
    parser->frame = NULL;
    parser->frame_len = 0;
    parser->line_start = 0;
    parser->head_len = 0;
    parser->header_count = 0;
    parser->body_len = 0;
    parser->has_content_length = false;
    parser->has_reply_to = false;
}

void stomp_parser_init(struct stomp_parser *parser, const struct stomp_parser_limits *limits, struct fault *fault) {
    *parser = (struct stomp_parser){.limits = limits, .version = STOMP_1_0, .fault = fault};
    start_over(parser);
}

void stomp_parser_login(struct stomp_parser *parser, enum stomp_version version,
                        const struct stomp_parser_limits *limits) {
    parser->version = version;
    parser->limits = limits;
    parser->logged_in = true;
}

void stomp_parser_free(struct stomp_parser *parser) {
    buffer_free(&parser->buffer);
    start_over(parser);
}

bool stomp_parser_is_mid_frame(const struct stomp_parser *parser) {
    return parser->state > STOMP_PARSER_BETWEEN && parser->state < STOMP_PARSER_COMPLETE;
}

/* The fault is set; nothing is kept of the frame. */
static bool give_up(struct stomp_parser *parser) {
    stomp_parser_free(parser);
    parser->state = STOMP_PARSER_FAULTY;
    return false;
}

static bool is_buffered(const struct stomp_parser *parser) {
    return parser->buffer.len > 0;
}

/* Appends to the buffer, which holds the frame from then on. */
static bool store(struct stomp_parser *parser, const char *data, size_t len) {
    struct buffer *buffer = &parser->buffer;
    /* A known length costs one allocation; end_head() has checked it against the limits. */
    size_t rest = parser->state == STOMP_PARSER_BODY ? parser->head_len + parser->body_len + 1 - buffer->len : len;
    if ((rest > len && !buffer_reserve(buffer, rest)) || !buffer_append(buffer, data, len))
        return fault_set(parser->fault, FAULT_INTERNAL, "out of memory");
    parser->frame = buffer->data;
    return true;
}

/* The next `len` bytes of the input belong to the frame. */
static bool extend(struct stomp_parser *parser, struct input *input, size_t len) {
    if (is_buffered(parser) && !store(parser, input->data, len))
        return false;
    parser->frame_len += len;
    input->data += len;
    input->len -= len;
    return true;
}

static bool allows_cr(const struct stomp_parser *parser) {
    return !parser->logged_in || parser->version == STOMP_1_2;
}

static struct bytes strip_cr(const struct stomp_parser *parser, struct bytes line) {
    if (allows_cr(parser) && line.len > 0 && line.data[line.len - 1] == '\r')
        line.len--;
    return line;
}

static bool too_large(struct stomp_parser *parser) {
    return fault_set(parser->fault, FAULT_SIZE, "the frame is above the limit %s (%zu bytes)",
                     parser->limits->frame_size_key, parser->limits->frame_size);
}

static bool body_too_large(struct stomp_parser *parser) {
    return fault_set(parser->fault, FAULT_SIZE, "the body is above the limit body-size (%zu bytes)",
                     parser->limits->body_size);
}

static bool too_many_headers(struct stomp_parser *parser) {
    return fault_set(parser->fault, FAULT_SIZE, "the frame is above the limit headers (%zu)", parser->limits->headers);
}

static bool body_not_allowed(struct stomp_parser *parser) {
    return fault_set(parser->fault, FAULT_PROTOCOL, "%s must not have a body", stomp_command_name(parser->command));
}

static bool may_carry_body(const struct stomp_parser *parser) {
    return parser->command == STOMP_SEND;
}

static void start_frame(struct stomp_parser *parser, struct input *input) {
    while (input->len > 0 && *input->data == '\n') {
        input->data++;
        input->len--;
    }
    if (input->len > 0) {
        parser->state = STOMP_PARSER_COMMAND;
        parser->frame = input->data;
    }
}

static bool end_command(struct stomp_parser *parser, struct bytes line) {
    /* CR LF between frames. It got here because the CR may come alone, and only now is known to begin no command. */
    if (parser->frame_len == 2 && parser->frame[0] == '\r') {
        buffer_free(&parser->buffer);
        start_over(parser);
        return true;
    }
    parser->command = stomp_command_find(line);
    parser->state = STOMP_PARSER_HEADERS;
    if (parser->command == STOMP_UNKNOWN) {
        if (line.len > 32)
            line.len = 32;
        return fault_set(parser->fault, FAULT_PROTOCOL, "unknown command %.*s", BYTES_ARG(line));
    }
    return true;
}

static bool read_content_length(struct stomp_parser *parser, struct bytes value) {
    size_t length = 0;
    for (size_t i = 0; i < value.len; i++) {
        unsigned digit = (unsigned)(value.data[i] - '0');
        if (digit > 9)
            return fault_set(parser->fault, FAULT_PROTOCOL, "content-length is not a decimal number");
        if (__builtin_mul_overflow(length, 10, &length) || __builtin_add_overflow(length, digit, &length))
            length = SIZE_MAX;
    }
    if (value.len == 0)
        return fault_set(parser->fault, FAULT_PROTOCOL, "content-length is empty");
    parser->has_content_length = true;
    parser->body_len = length;
    return true;
}

static bool end_header(struct stomp_parser *parser, struct bytes line) {
    const char *colon = memchr(line.data, ':', line.len);
    if (!colon)
        return fault_set(parser->fault, FAULT_PROTOCOL, "a header line has no colon");
    if (colon == line.data)
        return fault_set(parser->fault, FAULT_PROTOCOL, "a header has no name");
    if (parser->header_count >= parser->limits->headers)
        return too_many_headers(parser);
    parser->header_count++;
    struct bytes name = {line.data, (size_t)(colon - line.data)};
    struct bytes value = bytes_skip(line, name.len + 1);
    /* The only version that pads headers; before login it may be the client's. */
    if (parser->version == STOMP_1_0) {
        name = stomp_trim(name);
        value = stomp_trim(value);
    }
    parser->has_reply_to |= bytes_equal(name, BYTES("reply-to"));
    if (parser->has_content_length || !bytes_equal(name, BYTES("content-length")))
        return true;
    return read_content_length(parser, value);
}

static bool end_head(struct stomp_parser *parser) {
    const struct stomp_parser_limits *limits = parser->limits;
    parser->head_len = parser->frame_len;
    parser->state = STOMP_PARSER_BODY_NUL;
    if (!parser->has_content_length)
        return true;
    if (parser->body_len > 0 && !may_carry_body(parser))
        return body_not_allowed(parser);
    if (parser->body_len > limits->body_size)
        return body_too_large(parser);
    if (parser->body_len >= limits->frame_size - parser->head_len) /* no room for the NUL behind it */
        return too_large(parser);
    parser->state = STOMP_PARSER_BODY;
    return true;
}

static bool end_line(struct stomp_parser *parser, struct bytes line) {
    parser->line_start = parser->frame_len;
    if (parser->state == STOMP_PARSER_COMMAND)
        return end_command(parser, line);
    return line.len > 0 ? end_header(parser, line) : end_head(parser);
}

static uint64_t find_end(uint64_t word) {
    return word_find(word, '\n') | word_find(word, '\0');
}

/* Up to the first LF or NUL. */
static size_t line_text_len(const char *data, size_t len) {
    size_t at = 0;
    for (; len - at >= WORD_SIZE; at += WORD_SIZE) {
        uint64_t found = find_end(word_at(data + at));
        if (found)
            return at + word_first(found);
    }
    while (at < len && data[at] != '\n' && data[at] != '\0')
        at++;
    return at;
}

static bool read_line(struct stomp_parser *parser, struct input *input, size_t available) {
    size_t text_len = line_text_len(input->data, available);
    bool ends = text_len < available;
    bool nul = ends && input->data[text_len] == '\0';
    size_t line_len = parser->frame_len + text_len - parser->line_start;
    if (!extend(parser, input, ends && !nul ? text_len + 1 : text_len))
        return false;
    struct bytes line = strip_cr(parser, (struct bytes){parser->frame + parser->line_start, line_len});
    if (line.len > parser->limits->header_size)
        return fault_set(parser->fault, FAULT_SIZE, "a header line is above the limit header-size (%zu bytes)",
                         parser->limits->header_size);
    if (nul)
        return fault_set(parser->fault, FAULT_PROTOCOL, "NUL within the command or headers");
    return !ends || end_line(parser, line);
}

static bool read_head(struct stomp_parser *parser, struct input *input, size_t available) {
    size_t beyond = input->len - available;
    do {
        if (!read_line(parser, input, input->len - beyond))
            return false;
    } while (input->len > beyond && (parser->state == STOMP_PARSER_COMMAND || parser->state == STOMP_PARSER_HEADERS));
    return true;
}

static bool read_body(struct stomp_parser *parser, struct input *input, size_t available) {
    size_t end = parser->head_len + parser->body_len;
    size_t missing = end + 1 - parser->frame_len;
    if (!extend(parser, input, available < missing ? available : missing))
        return false;
    if (parser->frame_len <= end)
        return true;
    if (parser->frame[end] != '\0')
        return fault_set(parser->fault, FAULT_PROTOCOL, "no NUL after the body of content-length %zu bytes",
                         parser->body_len);
    parser->state = STOMP_PARSER_COMPLETE;
    return true;
}

static bool read_body_to_nul(struct stomp_parser *parser, struct input *input, size_t available) {
    const char *nul = memchr(input->data, '\0', available);
    size_t body_part = nul ? (size_t)(nul - input->data) : available;
    parser->body_len += body_part;
    if (parser->body_len > 0 && !may_carry_body(parser))
        return body_not_allowed(parser);
    if (parser->body_len > parser->limits->body_size)
        return body_too_large(parser);
    if (!extend(parser, input, nul ? body_part + 1 : body_part))
        return false;
    if (nul)
        parser->state = STOMP_PARSER_COMPLETE;
    return true;
}

/* Brings the frame on by some of the input, which is not empty. */
static bool step(struct stomp_parser *parser, struct input *input) {
    if (parser->state == STOMP_PARSER_BETWEEN) {
        start_frame(parser, input);
        return true;
    }
    if (parser->frame_len >= parser->limits->frame_size)
        return too_large(parser);
    size_t available = parser->limits->frame_size - parser->frame_len;
    if (available > input->len)
        available = input->len;
    if (parser->state == STOMP_PARSER_BODY)
        return read_body(parser, input, available);
    if (parser->state == STOMP_PARSER_BODY_NUL)
        return read_body_to_nul(parser, input, available);
    return read_head(parser, input, available);
}

static bool advance(struct stomp_parser *parser, struct input *input) {
    while (input->len > 0 && parser->state != STOMP_PARSER_COMPLETE) {
        if (!step(parser, input))
            return false;
    }
    if (stomp_parser_is_mid_frame(parser) && !is_buffered(parser))
        return store(parser, parser->frame, parser->frame_len);
    return true;
}

enum stomp_parse stomp_parser_feed(struct stomp_parser *parser, char *bytes, size_t len, size_t *used) {
    struct input input = {.len = len};
    input.data = bytes;
    *used = 0;
    if (parser->state == STOMP_PARSER_BETWEEN)
        buffer_free(&parser->buffer);
    if (parser->state == STOMP_PARSER_FAULTY || !advance(parser, &input)) {
        give_up(parser);
        return STOMP_PARSE_FAULT;
    }
    *used = len - input.len;
    return stomp_parser_has_frame(parser) ? STOMP_PARSE_FRAME : STOMP_PARSE_MORE;
}

bool stomp_parser_hold(struct stomp_parser *parser) {
    return is_buffered(parser) || store(parser, parser->frame, parser->frame_len) || give_up(parser);
}

static bool is_escaped(const struct stomp_parser *parser) {
    bool exempt = parser->command == STOMP_CONNECT || parser->command == STOMP_STOMP || parser->version == STOMP_1_0;
    return !exempt && memchr(parser->frame, '\\', parser->head_len);
}

/* Splits the line at its colon, which end_header() has seen. */
static bool decode_header(struct stomp_parser *parser, char *line, size_t len, bool escaped,
                          struct stomp_header *header) {
    char *value = (char *)memchr(line, ':', len) + 1;
    size_t name_len = (size_t)(value - line) - 1;
    size_t value_len = len - name_len - 1;
    if (escaped && !(stomp_unescape(line, &name_len) && stomp_unescape(value, &value_len)))
        return fault_set(parser->fault, FAULT_PROTOCOL, "a header has an undefined escape sequence");
    header->name = (struct bytes){line, name_len};
    header->value = (struct bytes){value, value_len};
    return true;
}

static bool decode_headers(struct stomp_parser *parser, struct stomp_frame *frame) {
    bool escaped = is_escaped(parser);
    char *end = parser->frame + parser->head_len;
    char *line = (char *)memchr(parser->frame, '\n', parser->head_len) + 1;
    for (size_t i = 0; i < parser->header_count; i++) {
        char *line_end = memchr(line, '\n', (size_t)(end - line));
        struct bytes text = strip_cr(parser, (struct bytes){line, (size_t)(line_end - line)});
        if (!decode_header(parser, line, text.len, escaped, &frame->headers[i]))
            return false;
        line = line_end + 1;
    }
    frame->header_count = parser->header_count;
    return true;
}

static bool decode(struct stomp_parser *parser, struct stomp_frame *frame) {
    if (parser->header_count > frame->header_capacity)
        return too_many_headers(parser);
    if (!utf8_is_valid((struct bytes){parser->frame, parser->head_len}))
        return fault_set(parser->fault, FAULT_ENCODING, "the headers are not valid UTF-8");
    return decode_headers(parser, frame);
}

bool stomp_parser_take(struct stomp_parser *parser, struct stomp_frame *frame) {
    frame->command = parser->command;
    frame->header_count = 0;
    frame->body = (struct bytes){parser->frame + parser->head_len, parser->body_len};
    if (!decode(parser, frame))
        return give_up(parser);
    if (parser->logged_in && parser->version == STOMP_1_0)
        stomp_frame_trim(frame);
    start_over(parser);
    return true;
}
