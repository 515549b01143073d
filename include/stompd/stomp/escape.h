/*
 * Header escaping (1.2, "Value Encoding"). 1.0 knows none, so what it cannot carry (a line feed or carriage return
 * anywhere, a colon in a name) has no encoding there: such headers are left out of 1.0 frames rather than let a value
 * forge headers.
 */
#ifndef STOMPD_STOMP_ESCAPE_H
#define STOMPD_STOMP_ESCAPE_H

#include "stompd/base/compiler.h"
#include "stompd/stomp/frame.h"
#include "stompd/stomp/version.h"

/* Unescapes in place and shortens the value. False on a sequence that is none of \n \c \\ \r. */
MUST_CHECK bool stomp_unescape(char *data, size_t *len);

/*
 * True when the header certainly is the same in every version, having nothing that any of them escapes. (A false alarm
 * is raised by control characters that none does.)
 */
bool stomp_is_plain(const struct stomp_header *header);

/* Bytes that the text takes when escaped for that version. 1.0: its own length. */
size_t stomp_escaped_len(struct bytes text, enum stomp_version version);

/* Writes the escaped text and returns the end. The room must be stomp_escaped_len(). */
char *stomp_escape(char *to, struct bytes text, enum stomp_version version);

/* False when the version has no way to write this header (see above); always true from 1.1 on. */
bool stomp_can_carry(const struct stomp_header *header, enum stomp_version version);

#endif
