/* Escapes and unescapes header text. The parser decodes with it, the writer encodes. */
#include "stompd/stomp/escape.h"

#include <limits.h>

/* What stands behind the backslash for each octet that must be escaped; 0 for those that stay as they are. */
static const char letters[][UCHAR_MAX + 1] = {
    [STOMP_1_0] = {0},
    [STOMP_1_1] = {['\\'] = '\\', ['\n'] = 'n', [':'] = 'c'},
    [STOMP_1_2] = {['\\'] = '\\', ['\n'] = 'n', [':'] = 'c', ['\r'] = 'r'},
};

static bool unescape_letter(char letter, char *c) {
    switch (letter) {
    case '\\':
        *c = '\\';
        return true;
    case 'n':
        *c = '\n';
        return true;
    case 'c':
        *c = ':';
        return true;
    case 'r':
        *c = '\r';
        return true;
    default:
        return false;
    }
}

bool stomp_unescape(char *data, size_t *len) {
    const char *end = data + *len;
    char *to = *len > 0 ? memchr(data, '\\', *len) : NULL;
    if (!to)
        return true;
    for (const char *from = to; from < end; from++) {
        if (*from != '\\') {
            *to++ = *from;
        } else if (++from == end || !unescape_letter(*from, to++)) {
            return false;
        }
    }
    *len = (size_t)(to - data);
    return true;
}

size_t stomp_escaped_len(struct bytes text, enum stomp_version version) {
    size_t len = text.len;
    for (size_t i = 0; i < text.len; i++)
        len += letters[version][(unsigned char)text.data[i]] != 0;
    return len;
}

char *stomp_escape(char *to, struct bytes text, enum stomp_version version) {
    for (size_t i = 0; i < text.len; i++) {
        char letter = letters[version][(unsigned char)text.data[i]];
        if (letter) {
            *to++ = '\\';
            *to++ = letter;
        } else {
            *to++ = text.data[i];
        }
    }
    return to;
}

static bool has(struct bytes text, char c) {
    return text.len > 0 && memchr(text.data, c, text.len) != NULL;
}

static bool has_line_end(struct bytes text) {
    return has(text, '\n') || has(text, '\r');
}

bool stomp_can_carry(struct stomp_header header, enum stomp_version version) {
    return version != STOMP_1_0 || !(has(header.name, ':') || has_line_end(header.name) || has_line_end(header.value));
}
