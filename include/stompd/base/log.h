/*
 * The daemon's log: one line an event on standard error, with the journal's priority (`<6>`) in front when systemd's
 * journal reads it, else with time and level. Control characters in a line are written as \xNN, so that clients cannot
 * forge lines. Thread-safe: a line is one write(2).
 */
#ifndef STOMPD_BASE_LOG_H
#define STOMPD_BASE_LOG_H

#include <stdatomic.h>
#include <stdint.h>

#include "stompd/base/compiler.h"

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_NOTICE, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* From now on lines less important than `least` are dropped. Default: LOG_LEVEL_INFO. Any thread. */
void log_set_level(enum log_level least);

/* Writes one line; printf-like, without a line end. */
void log_line(enum log_level level, const char *format, ...) PRINTF_LIKE(2, 3);

#define log_error(...)   log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_notice(...)  log_line(LOG_LEVEL_NOTICE, __VA_ARGS__)
#define log_info(...)    log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)   log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)

/*
 * For events that clients can cause at will: at most LOG_LIMIT_LINES lines in LOG_LIMIT_MS for one `limit`; the first
 * line of the next window says how many were left out. A zeroed static log_limit is ready for use from any thread.
 */
#define LOG_LIMIT_LINES 10
#define LOG_LIMIT_MS    10000

struct log_limit {
    _Atomic uint64_t window_start_ms;
    _Atomic unsigned lines;
};

void log_limited(struct log_limit *limit, enum log_level level, const char *format, ...) PRINTF_LIKE(3, 4);

#endif
