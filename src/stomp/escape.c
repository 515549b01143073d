/* Escapes and unescapes header text. The parser decodes with it, the writer encodes. */
#include "stompd/stomp/escape.h"

#include <limits.h>

#include "stompd/base/words.h"

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

static uint64_t find_line_end(uint64_t word) {
    return word_find(word, '\n') | word_find(word, '\r');
}

static uint64_t find_line_end_or_colon(uint64_t word) {
    return find_line_end(word) | word_find(word, ':');
}

/* Whatever is escaped by any version, and more. */
static uint64_t find_special(uint64_t word) {
    return word_find_below(word, ' ') | word_find(word, ':') | word_find(word, '\\');
}

bool stomp_is_plain(const struct stomp_header *header) {
    return !words_have(header->name, find_special) && !words_have(header->value, find_special);
}

size_t stomp_escaped_len(struct bytes text, enum stomp_version version) {
    size_t len = text.len;
    for (size_t i = 0; i < text.len && version != STOMP_1_0; i++)
        len += letters[version][(unsigned char)text.data[i]] != 0;
    return len;
}

char *stomp_escape(char *to, struct bytes text, enum stomp_version version) {
    if (version == STOMP_1_0 && text.len > 0)
        return (char *)memcpy(to, text.data, text.len) + text.len;
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

bool stomp_can_carry(const struct stomp_header *header, enum stomp_version version) {
    return version != STOMP_1_0 ||
           !(words_have(header->name, find_line_end_or_colon) || words_have(header->value, find_line_end));
}
