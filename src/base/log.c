/*
 * The log. A line is put together on the stack and leaves in one write(2), so threads need no lock; the least level is
 * all that they share.
 */
#include "stompd/base/log.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "stompd/base/bytes.h"
#include "stompd/base/clock.h"
#include "stompd/base/utf8.h"

#define TEXT_SIZE   1000 /* a longer text is cut */
#define PREFIX_SIZE 64
#define CUT_MARK    "..."
#define ESCAPE_LEN  (sizeof "\\xNN" - 1)
#define LINE_SIZE   (PREFIX_SIZE + TEXT_SIZE * ESCAPE_LEN)

_Static_assert(LINE_SIZE <= PIPE_BUF, "lines of several threads must not mix when standard error is a pipe");

static const struct {
    const char *name;
    int priority; /* syslog's, which journald reads */
} levels[] = {
    [LOG_LEVEL_ERROR] = {"error", 3}, [LOG_LEVEL_WARNING] = {"warning", 4}, [LOG_LEVEL_NOTICE] = {"notice", 5},
    [LOG_LEVEL_INFO] = {"info", 6},   [LOG_LEVEL_DEBUG] = {"debug", 7},
};

static _Atomic enum log_level least_level = LOG_LEVEL_INFO;

void log_set_level(enum log_level least) {
    atomic_store_explicit(&least_level, least, memory_order_relaxed);
}

static bool is_dropped(enum log_level level) {
    return level > atomic_load_explicit(&least_level, memory_order_relaxed);
}

/* The stream's device and inode are compared because a child may inherit the variable with another standard error. */
static bool journal_reads_stderr(void) {
    const char *journal = getenv("JOURNAL_STREAM");
    struct stat status;
    if (!journal || fstat(STDERR_FILENO, &status) != 0)
        return false;
    char own[PREFIX_SIZE];
    snprintf(own, sizeof own, "%ju:%ju", (uintmax_t)status.st_dev, (uintmax_t)status.st_ino);
    return strcmp(journal, own) == 0;
}

static size_t put_prefix(char to[PREFIX_SIZE], enum log_level level) {
    if (journal_reads_stderr())
        return (size_t)snprintf(to, PREFIX_SIZE, "<%d>", levels[level].priority);
    struct timespec now;
    struct tm utc;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    size_t len = strftime(to, PREFIX_SIZE, "%Y-%m-%dT%H:%M:%S", &utc);
    return len +
           (size_t)snprintf(to + len, PREFIX_SIZE - len, ".%03ldZ %s: ", now.tv_nsec / 1000000, levels[level].name);
}

/*
 * Whether what lies beyond ASCII may be written as it is. Bytes that are not UTF-8 make journald hide the line, and
 * U+0080 to U+009F are control characters that some terminals obey.
 */
static bool is_clean_utf8(const char *text, size_t len) {
    for (size_t n = 0; n + 1 < len; n++) {
        if ((unsigned char)text[n] == 0xc2 && (unsigned char)text[n + 1] < 0xa0)
            return false;
    }
    return utf8_is_valid((struct bytes){text, len});
}

static size_t put_text(char *to, const char *text, size_t len) {
    static const char digits[] = "0123456789abcdef";
    bool clean_utf8 = is_clean_utf8(text, len);
    char *at = to;
    for (size_t n = 0; n < len; n++) {
        unsigned char byte = (unsigned char)text[n];
        if (byte < 0x80 ? byte >= ' ' && byte != 0x7f : clean_utf8) {
            *at++ = (char)byte;
        } else {
            *at++ = '\\';
            *at++ = 'x';
            *at++ = digits[byte >> 4];
            *at++ = digits[byte & 0xf];
        }
    }
    return (size_t)(at - to);
}

/* Shortens a text that fills its buffer, between characters, to make room for the mark. */
static size_t cut(char text[TEXT_SIZE]) {
    size_t len = TEXT_SIZE - sizeof CUT_MARK;
    while (len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80)
        len--;
    memcpy(text + len, CUT_MARK, sizeof CUT_MARK);
    return len + sizeof CUT_MARK - 1;
}

PRINTF_LIKE(3, 0)
static size_t put_format(char text[TEXT_SIZE], unsigned left_out, const char *format, va_list values) {
    int before = left_out > 0 ? snprintf(text, TEXT_SIZE, "(%u such lines left out) ", left_out) : 0;
    int len = vsnprintf(text + before, TEXT_SIZE - (size_t)before, format, values);
    if (len < 0)
        len = 0;
    size_t whole = (size_t)before + (size_t)len;
    return whole < TEXT_SIZE ? whole : cut(text);
}

PRINTF_LIKE(3, 0) static void write_line(enum log_level level, unsigned left_out, const char *format, va_list values) {
    int saved_errno = errno;
    char text[TEXT_SIZE];
    char line[LINE_SIZE];
    size_t text_len = put_format(text, left_out, format, values);
    size_t len = put_prefix(line, level);
    len += put_text(line + len, text, text_len);
    line[len++] = '\n';
    while (write(STDERR_FILENO, line, len) < 0 && errno == EINTR) {
    }
    errno = saved_errno;
}

void log_line(enum log_level level, const char *format, ...) {
    if (is_dropped(level))
        return;
    va_list values;
    va_start(values, format);
    write_line(level, 0, format, values);
    va_end(values);
}

/*
 * Counts a line and says whether it may be written. What another thread counts while this one opens the next window
 * belongs to the old one: it may be left out, but is then told of.
 */
static bool limit_admits(struct log_limit *limit, uint64_t now_ms, unsigned *left_out) {
    *left_out = 0;
    uint64_t start_ms = atomic_load(&limit->window_start_ms);
    if (now_ms < start_ms + LOG_LIMIT_MS || !atomic_compare_exchange_strong(&limit->window_start_ms, &start_ms, now_ms))
        return atomic_fetch_add(&limit->lines, 1) < LOG_LIMIT_LINES;
    unsigned lines = atomic_exchange(&limit->lines, 1);
    if (lines > LOG_LIMIT_LINES)
        *left_out = lines - LOG_LIMIT_LINES;
    return true;
}

void log_limited(struct log_limit *limit, enum log_level level, const char *format, ...) {
    unsigned left_out;
    if (is_dropped(level) || !limit_admits(limit, clock_ms(), &left_out))
        return;
    va_list values;
    va_start(values, format);
    write_line(level, left_out, format, values);
    va_end(values);
}
