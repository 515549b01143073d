/* Private to hub/: what the process uses up of the machine. */
#ifndef STOMPD_HUB_PROCESS_H
#define STOMPD_HUB_PROCESS_H

#include <stdint.h>

/* What can't be found out is 0. */
struct process_figures {
    double cpu_s; /* of all threads, in user and kernel mode */
    uint64_t resident_bytes;
    uint64_t open_fds;
    uint64_t max_fds; /* the soft limit; 0: none */
};

void process_look(struct process_figures *figures);

#endif
