/* Builds the sentence of a fault. Used by every layer that judges a client's input. */
#include "stompd/stomp/fault.h"

#include <stdarg.h>
#include <stdio.h>

/* Colons and backslashes go too: they would be escaped, and some clients do not undo that. */
static void keep_printable(char *text) {
    for (; *text; text++) {
        if (*text < ' ' || *text > '~' || *text == '\\' || *text == ':')
            *text = '?';
    }
}

bool fault_set(struct fault *fault, enum fault_kind kind, const char *format, ...) {
    va_list values;
    va_start(values, format);
    vsnprintf(fault->message, sizeof fault->message, format, values);
    va_end(values);
    keep_printable(fault->message);
    fault->kind = kind;
    return false;
}
