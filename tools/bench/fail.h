/* How the tool ends when it can't go on: one clear sentence on standard error, and an exit status that says whose fault. */
#ifndef BENCH_FAIL_H
#define BENCH_FAIL_H

#include <stddef.h>

#include "stompd/base/compiler.h"

/* The exit statuses; 0 is for a run in which everything arrived. */
enum fault {
    FAULT_LOSS = 1,   /* the run is through, but something was lost */
    FAULT_USAGE = 2,  /* the command line */
    FAULT_SERVER = 3, /* the server can't be reached, refuses, or ends a connection */
    FAULT_SELF = 4,   /* this machine: memory, open files, ports, a file that can't be written */
};

_Noreturn void fail(enum fault fault, const char *text, ...) PRINTF_LIKE(2, 3);

/* Zeroed memory for so many; fails when there is none. */
void *need_zeroed(size_t count, size_t size);

/* What an allocation gave, or fails when it is NULL. */
void *need(void *memory);

#endif
