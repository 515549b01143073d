/*
 * The clients of bench/queue.mjs: one round of the work of queue_run.h. It prints what it has counted, a line of JSON.
 *
 *     queue stomp PORT SECONDS PRODUCERS CONSUMERS WINDOW PREFETCH PID…   a broker on 127.0.0.1, over WebSocket
 *     queue redis SOCKET SECONDS PRODUCERS CONSUMERS WINDOW PREFETCH PID…   bare Redis
 *
 * The PIDs are the server's processes.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "queue_run.h"

#define ARGUMENTS 8 /* ahead of the first PID */

static unsigned read_count(const char *text, unsigned most) {
    char *end;
    unsigned long count = strtoul(text, &end, 10);
    if (*end || count == 0 || count > most)
        die(text, "not a number, or too large");
    return (unsigned)count;
}

int main(int argc, char **argv) {
    struct tally tally;
    bool is_stomp = argc > 1 && strcmp(argv[1], "stomp") == 0;
    if (argc <= ARGUMENTS || (!is_stomp && strcmp(argv[1], "redis") != 0)) {
        fprintf(stderr, "queue is run by bench/queue.mjs\n");
        return 2;
    }
    struct work work = {.target = argv[2],
                        .seconds = strtod(argv[3], NULL),
                        .producers = read_count(argv[4], 1000),
                        .consumers = read_count(argv[5], 1000),
                        .window = read_count(argv[6], WINDOW_MAX),
                        .prefetch = read_count(argv[7], 65535),
                        .servers = argv + ARGUMENTS};
    run_work(is_stomp ? &stomp_protocol : &redis_protocol, &work, &tally);
    printf("{\"messages\":%lu,\"duplicates\":%lu,\"seconds\":%.6f,\"serverCpu\":%.3f,\"clientCpu\":%.3f}\n",
           (unsigned long)tally.delivered, (unsigned long)tally.duplicates, tally.seconds, tally.server_cpu,
           tally.client_cpu);
    return 0;
}
