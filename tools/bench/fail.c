/* Last words. */
#include "bench/fail.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void fail(enum fault fault, const char *text, ...) {
    va_list values;
    va_start(values, text);
    fputs("stomp-bench: ", stderr);
    vfprintf(stderr, text, values);
    fputc('\n', stderr);
    va_end(values);
    exit(fault);
}

void *need(void *memory) {
    if (!memory)
        fail(FAULT_SELF, "there is not enough memory");
    return memory;
}

void *need_zeroed(size_t count, size_t size) {
    return need(calloc(count ? count : 1, size));
}
