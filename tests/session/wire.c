/* The strict reader: copies the frame, cuts it into lines in place, then checks what each command must have. */
#include "wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

const char *wire_header(const struct wire_frame *frame, const char *name) {
    for (size_t n = 0; n < frame->header_count; n++)
        if (strcmp(frame->headers[n].name, name) == 0)
            return frame->headers[n].value;
    return NULL;
}

static bool is(const struct wire_frame *frame, const char *command) {
    return strcmp(frame->command, command) == 0;
}

/* Decodes in place; octets that the version must escape may not stand raw. */
static void unescape(char *text, enum stomp_version version) {
    static const char codes[] = "nc\\r";
    static const char octets[] = "\n:\\\r";
    char *to = text;
    for (const char *from = text; *from; from++) {
        if (*from == ':' || (version == STOMP_1_2 && *from == '\r'))
            fail_msg("an octet is not escaped: %s", from);
        if (*from != '\\') {
            *to++ = *from;
            continue;
        }
        const char *code = from[1] ? strchr(codes, *++from) : NULL;
        if (!code || (*code == 'r' && version < STOMP_1_2))
            fail_msg("undefined escape sequence before: %s", from);
        else
            *to++ = octets[code - codes];
    }
    *to = '\0';
}

static void read_header(struct wire_frame *frame, char *line, enum stomp_version version) {
    char *colon = strchr(line, ':');
    assert_non_null(colon);
    assert_ptr_not_equal(colon, line);
    assert_true(frame->header_count < WIRE_HEADERS_MAX);
    *colon = '\0';
    if (version > STOMP_1_0 && !is(frame, "CONNECTED")) {
        unescape(line, version);
        unescape(colon + 1, version);
    }
    frame->headers[frame->header_count++] = (struct wire_header){line, colon + 1};
}

/* Ends the line at its LF and returns the start of the next. */
static char *end_line(char *line, const char *end) {
    char *eol = memchr(line, '\n', (size_t)(end - line));
    assert_non_null(eol);
    assert_null(memchr(line, '\0', (size_t)(eol - line)));
    *eol = '\0';
    return eol + 1;
}

static void read_body(struct wire_frame *frame, const char *start, const char *end) {
    const char *length = wire_header(frame, "content-length");
    const char *nul = length ? start + strtoul(length, NULL, 10) : memchr(start, '\0', (size_t)(end - start));
    assert_non_null(nul);
    assert_ptr_equal(nul + 1, end);
    assert_int_equal(*nul, '\0');
    frame->body = (struct bytes){start, (size_t)(nul - start)};
}

static void need(const struct wire_frame *frame, const char *name) {
    if (!wire_header(frame, name))
        fail_msg("%s without %s", frame->command, name);
}

static void check_command(const struct wire_frame *frame, enum stomp_version version) {
    if (is(frame, "MESSAGE")) {
        need(frame, "destination");
        need(frame, "message-id");
        if (version > STOMP_1_0)
            need(frame, "subscription");
        return;
    }
    for (size_t n = 0; n < frame->header_count; n++)
        assert_ptr_equal(wire_header(frame, frame->headers[n].name), frame->headers[n].value); /* none twice */
    if (is(frame, "ERROR")) {
        need(frame, "message");
        return;
    }
    assert_int_equal(frame->body.len, 0);
    if (is(frame, "RECEIPT"))
        need(frame, "receipt-id");
    else
        assert_string_equal(frame->command, "CONNECTED");
}

void wire_read(struct wire_frame *frame, struct bytes bytes, enum stomp_version version) {
    assert_in_range(bytes.len, 1, sizeof frame->text);
    memcpy(frame->text, bytes.data, bytes.len);
    char *line = frame->text;
    const char *end = line + bytes.len;
    char *next = end_line(line, end);
    frame->command = line;
    frame->header_count = 0;
    frame->body = (struct bytes){NULL, 0};
    if (bytes.len == 1)
        return;
    while (line = next, next = end_line(line, end), *line)
        read_header(frame, line, version);
    read_body(frame, next, end);
    check_command(frame, version);
}
