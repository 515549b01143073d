/*
 * What was wrong with a client's input: a sentence for the ERROR frame's `message` header and a kind from which the
 * transport derives its close code, and by which the ends of sessions are counted. Sentences are ASCII without colons, backslashes or control characters (stompjs
 * decodes escapes wrongly).
 */
#ifndef STOMPD_STOMP_FAULT_H
#define STOMPD_STOMP_FAULT_H

#include <stdbool.h>

#include "stompd/base/compiler.h"

enum fault_kind {
    FAULT_NONE,
    FAULT_PROTOCOL, /* breaks STOMP's rules: WebSocket close 1002 */
    FAULT_ENCODING, /* not UTF-8: 1007 */
    FAULT_POLICY, /* refused, such as by a limit of the session in number: 1008, as are the next ones up to FAULT_SIZE */
    FAULT_LOGIN,  /* without credentials, or with wrong ones */
    FAULT_SLOW,   /* the client reads slower than others send to it */
    FAULT_SILENT,   /* no sign of life from the client */
    FAULT_LATE,     /* the client took too long over a login, a frame or a message */
    FAULT_PAUSED,   /* what the client publishes could not be taken for too long */
    FAULT_SIZE,     /* a frame, body or header above its limit: 1009 */
    FAULT_INTERNAL, /* the server's own trouble, such as memory: 1011 */
    FAULT_RESTART,  /* the node drains and will be back: 1012 */
    FAULT_SHUTDOWN, /* the node is stopped: 1001 */
    FAULT_GONE      /* none: the client has gone, without a DISCONNECT */
};

#define FAULT_KINDS (FAULT_GONE + 1)

struct fault {
    enum fault_kind kind;
    char message[200];
};

/*
 * Fills the fault (what must not be in a sentence is replaced by '?') and returns false,
 * for `return fault_set(…)`.
 */
bool fault_set(struct fault *fault, enum fault_kind kind, const char *format, ...) PRINTF_LIKE(3, 4);

#endif
