/* Messages to systemd's notification socket; see notify.h. */
#include "notify.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include "stompd/base/log.h"

#ifdef STOMPD_SYSTEMD
#include <systemd/sd-daemon.h>
#endif

/* Fed that often within its interval, so that a late tick or two are no reason to be killed. */
#define FEEDINGS 3

/* How long a start may go on from when that is said, and how often it is said. */
#define STARTING_EXTENDS     "EXTEND_TIMEOUT_USEC=30000000"
#define STARTING_INTERVAL_MS 10000

#define STATUS_MAX 200

static void notify(const char *message) {
#ifdef STOMPD_SYSTEMD
    sd_notify(0, message);
#else
    (void)message;
#endif
}

/* The assignment and the status. */
static void PRINTF_LIKE(2, 0) notify_with_status(const char *assignment, const char *format, va_list values) {
    char status[STATUS_MAX];
    char message[STATUS_MAX + 64];
    vsnprintf(status, sizeof status, format, values);
    snprintf(message, sizeof message, "%s\nSTATUS=%s", assignment, status);
    notify(message);
}

void notify_starting(struct starting *starting, uint64_t now_ms, const char *format, ...) {
    va_list values;
    if (now_ms < starting->next_ms)
        return;
    starting->next_ms = now_ms + STARTING_INTERVAL_MS;
    va_start(values, format);
    notify_with_status(STARTING_EXTENDS, format, values);
    va_end(values);
}

void notify_ready(const char *format, ...) {
    va_list values;
    va_start(values, format);
    notify_with_status("READY=1", format, values);
    va_end(values);
}

void notify_stopping(const char *format, ...) {
    va_list values;
    va_start(values, format);
    notify_with_status("STOPPING=1", format, values);
    va_end(values);
}

/* The time tells systemd which reload it is that the following READY=1 ends. */
void notify_reloading(void) {
    struct timespec now;
    char message[100];
    clock_gettime(CLOCK_MONOTONIC, &now);
    uint64_t us = (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
    snprintf(message, sizeof message, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64 "\nSTATUS=reading the conf file again",
             us);
    notify(message);
}

void watchdog_init(struct watchdog *watchdog) {
    *watchdog = (struct watchdog){0};
#ifdef STOMPD_SYSTEMD
    uint64_t us;
    if (sd_watchdog_enabled(0, &us) > 0)
        watchdog->interval_ms = us / 1000;
#endif
}

void watchdog_tick(struct watchdog *watchdog, uint64_t now_ms, uint64_t stalest_ms) {
    if (watchdog->interval_ms == 0 || now_ms < watchdog->next_ms)
        return;
    bool starving = now_ms >= stalest_ms + watchdog->interval_ms;
    if (starving && !watchdog->starving)
        log_error("a worker has stood still for %" PRIu64 " ms: systemd's watchdog is not fed", now_ms - stalest_ms);
    watchdog->starving = starving;
    if (starving)
        return;
    notify("WATCHDOG=1");
    watchdog->next_ms = now_ms + watchdog->interval_ms / FEEDINGS;
}
