/*
 * Private to hub/: word to systemd (Type=notify, WatchdogSec=). Without systemd, or built without libsystemd, all of it
 * does nothing.
 */
#ifndef STOMPD_HUB_NOTIFY_H
#define STOMPD_HUB_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>

#include "stompd/base/compiler.h"

/* Systemd takes a start that is not over within TimeoutStartSec= for failed, unless it hears that it goes on. */
struct starting {
    uint64_t next_ms; /* when systemd is told next; 0 at first */
};

/* Every 100 ms or so until notify_ready(): asks for more time every ten seconds, with what is waited for as status. */
void notify_starting(struct starting *starting, uint64_t now_ms, const char *format, ...) PRINTF_LIKE(3, 4);

/* Each is one message; the text after it is the status that `systemctl status` shows. */
void notify_ready(const char *format, ...) PRINTF_LIKE(1, 2);
/* Followed by notify_ready() when the conf has been reloaded, or was refused. */
void notify_reloading(void);
void notify_stopping(const char *format, ...) PRINTF_LIKE(1, 2);

/* Systemd kills the process unless it is fed. */
struct watchdog {
    uint64_t interval_ms; /* 0: systemd does not ask */
    uint64_t next_ms;     /* when it is to be fed next */
    bool starving;        /* told in the log */
};

/* Asks whether there is one for this process. */
void watchdog_init(struct watchdog *watchdog);

/*
 * Every 100 ms or so. Feeds it when it is time, unless something that must go on has stood still for longer than its
 * interval: `stalest_ms` is when the one that stands still for longest last moved.
 */
void watchdog_tick(struct watchdog *watchdog, uint64_t now_ms, uint64_t stalest_ms);

#endif
