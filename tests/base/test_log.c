/*
 * The log, read back from a socket in the place of standard error: it keeps each write(2) apart. The clock that the
 * limit asks is replaced at link time, since a definition here is taken before the library's.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <wchar.h>

#include "stompd/base/clock.h"
#include "stompd/base/log.h"

static uint64_t fake_now_ms = 1;

uint64_t clock_ms(void) {
    return fake_now_ms;
}

struct capture {
    int stderr_before;
    int reader;
    char line[8192]; /* the last one read */
};

static void capture_begin(struct capture *capture) {
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
    capture->reader = ends[0];
    capture->stderr_before = dup(STDERR_FILENO);
    dup2(ends[1], STDERR_FILENO);
    close(ends[1]);
}

/* After this, each read_line() gives what one write left, and then nothing. */
static void capture_end(struct capture *capture) {
    dup2(capture->stderr_before, STDERR_FILENO);
    close(capture->stderr_before);
}

/* The next line without its end, or NULL. */
static const char *read_line(struct capture *capture) {
    ssize_t len = read(capture->reader, capture->line, sizeof capture->line - 1);
    if (len <= 0) {
        close(capture->reader);
        return NULL;
    }
    capture->line[len] = '\0';
    assert_ptr_equal(strchr(capture->line, '\n'), capture->line + len - 1);
    capture->line[len - 1] = '\0';
    return capture->line;
}

/* Names the captured standard error as the journal's, as systemd does. */
static void name_journal(uintmax_t inode_offset) {
    char name[64];
    struct stat status;
    fstat(STDERR_FILENO, &status);
    snprintf(name, sizeof name, "%ju:%ju", (uintmax_t)status.st_dev, (uintmax_t)status.st_ino + inode_offset);
    setenv("JOURNAL_STREAM", name, 1);
}

static int reset(void **state) {
    (void)state;
    log_set_level(LOG_LEVEL_INFO);
    fake_now_ms = 1;
    return unsetenv("JOURNAL_STREAM");
}

/* What one call of log_info("%s", text) writes, without the prefix. Valid until the next call. */
static const char *logged(const char *text) {
    static struct capture capture;
    capture_begin(&capture);
    name_journal(0);
    log_info("%s", text);
    capture_end(&capture);
    const char *line = read_line(&capture);
    assert_non_null(line);
    assert_int_equal(strncmp(line, "<6>", 3), 0);
    close(capture.reader);
    return line + 3;
}

static void assert_matches(const char *line, const char *pattern) {
    regex_t regex;
    assert_int_equal(regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB), 0);
    int result = regexec(&regex, line, 0, NULL, 0);
    regfree(&regex);
    if (result != 0)
        fail_msg("\"%s\" does not match \"%s\"", line, pattern);
}

#define TIME "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}Z"

static void line_has_time_and_level_in_front(void **state) {
    (void)state;
    struct capture capture;
    log_set_level(LOG_LEVEL_DEBUG);
    capture_begin(&capture);
    log_error("port %d is in use", 8080);
    log_warning("w");
    log_notice("n");
    log_info("i");
    log_debug("d");
    capture_end(&capture);
    assert_matches(read_line(&capture), "^" TIME " error: port 8080 is in use$");
    assert_matches(read_line(&capture), "^" TIME " warning: w$");
    assert_matches(read_line(&capture), "^" TIME " notice: n$");
    assert_matches(read_line(&capture), "^" TIME " info: i$");
    assert_matches(read_line(&capture), "^" TIME " debug: d$");
    assert_null(read_line(&capture));
}

static void journal_gets_its_priority_in_front(void **state) {
    (void)state;
    struct capture capture;
    log_set_level(LOG_LEVEL_DEBUG);
    capture_begin(&capture);
    name_journal(0);
    log_error("e");
    log_warning("w");
    log_notice("n");
    log_info("i");
    log_debug("d");
    capture_end(&capture);
    assert_string_equal(read_line(&capture), "<3>e");
    assert_string_equal(read_line(&capture), "<4>w");
    assert_string_equal(read_line(&capture), "<5>n");
    assert_string_equal(read_line(&capture), "<6>i");
    assert_string_equal(read_line(&capture), "<7>d");
    assert_null(read_line(&capture));
}

static void journal_stream_of_something_else_is_ignored(void **state) {
    (void)state;
    struct capture capture;
    capture_begin(&capture);
    name_journal(1);
    log_info("inherited");
    setenv("JOURNAL_STREAM", "nonsense", 1);
    log_info("nonsense");
    capture_end(&capture);
    assert_matches(read_line(&capture), "^" TIME " info: inherited$");
    assert_matches(read_line(&capture), "^" TIME " info: nonsense$");
    assert_null(read_line(&capture));
}

static void less_important_lines_are_dropped(void **state) {
    (void)state;
    struct capture capture;
    capture_begin(&capture);
    log_debug("dropped by default");
    log_set_level(LOG_LEVEL_WARNING);
    log_notice("dropped");
    log_warning("written");
    capture_end(&capture);
    assert_matches(read_line(&capture), "written$");
    assert_null(read_line(&capture));
}

static void control_characters_are_written_as_hex(void **state) {
    (void)state;
    assert_string_equal(logged("a\n<3>forged\r\tb"), "a\\x0a<3>forged\\x0d\\x09b");
    assert_string_equal(logged("\x1b[31m \x01 \x7f"), "\\x1b[31m \\x01 \\x7f");
}

static void text_in_utf8_is_kept_and_other_bytes_are_written_as_hex(void **state) {
    (void)state;
    assert_string_equal(logged("Jos\xc3\xa9 \xe2\x82\xac \xc2\xa0"), "Jos\xc3\xa9 \xe2\x82\xac \xc2\xa0");
    assert_string_equal(logged("Jos\xe9"), "Jos\\xe9");
    assert_string_equal(logged("csi \xc2\x9b m"), "csi \\xc2\\x9b m");
}

static void long_text_is_cut_between_characters_and_marked(void **state) {
    (void)state;
    char text[4001];
    for (size_t shift = 0; shift < 3; shift++) {
        memset(text, 'a', shift);
        for (size_t at = shift; at + 3 < sizeof text; at += 3)
            memcpy(text + at, "\xe2\x82\xac", 4);
        const char *line = logged(text);
        size_t len = strlen(line);
        assert_in_range(len, 900, 1000);
        assert_string_equal(line + len - 3, "...");
        assert_int_equal((len - 3 - shift) % 3, 0);
        assert_memory_equal(line, text, len - 3);
    }
}

/* Longer than any prefix and text together may be, since each byte is written as four. */
static void longest_line_is_still_one_write(void **state) {
    (void)state;
    char text[4001];
    memset(text, '\n', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    const char *line = logged(text);
    assert_int_equal(strspn(line, "\\x0a") + 3, strlen(line));
    assert_in_range(strlen(line), 3600, 4092);
}

/* A wide character that the C locale does not have makes printf fail. */
static void text_that_cannot_be_formatted_leaves_an_empty_line(void **state) {
    (void)state;
    struct capture capture;
    capture_begin(&capture);
    name_journal(0);
    log_info("lost %lc", (wint_t)0x20ac);
    capture_end(&capture);
    assert_string_equal(read_line(&capture), "<6>");
    assert_null(read_line(&capture));
}

static void errno_is_left_as_it_was(void **state) {
    (void)state;
    int stderr_before = dup(STDERR_FILENO);
    close(STDERR_FILENO);
    errno = ENOENT;
    log_info("to nobody");
    int after = errno;
    dup2(stderr_before, STDERR_FILENO);
    close(stderr_before);
    assert_int_equal(after, ENOENT);
}

/* ---- the limit ---- */

static void limit_holds_lines_back_and_then_says_how_many(void **state) {
    (void)state;
    static struct log_limit limit;
    struct capture capture;
    fake_now_ms = 50000;
    capture_begin(&capture);
    name_journal(0);
    for (int n = 0; n < LOG_LIMIT_LINES + 7; n++)
        log_limited(&limit, LOG_LEVEL_WARNING, "line %d", n);
    fake_now_ms += LOG_LIMIT_MS - 1;
    log_limited(&limit, LOG_LEVEL_WARNING, "still the same window");
    fake_now_ms += 1;
    log_limited(&limit, LOG_LEVEL_WARNING, "the next one");
    log_limited(&limit, LOG_LEVEL_WARNING, "and one more");
    capture_end(&capture);
    for (int n = 0; n < LOG_LIMIT_LINES; n++) {
        char expected[32];
        snprintf(expected, sizeof expected, "<4>line %d", n);
        assert_string_equal(read_line(&capture), expected);
    }
    assert_string_equal(read_line(&capture), "<4>(8 such lines left out) the next one");
    assert_string_equal(read_line(&capture), "<4>and one more");
    assert_null(read_line(&capture));
}

static void limit_has_nothing_to_say_when_nothing_was_left_out(void **state) {
    (void)state;
    static struct log_limit limit;
    struct capture capture;
    capture_begin(&capture);
    name_journal(0);
    for (int n = 0; n < LOG_LIMIT_LINES; n++)
        log_limited(&limit, LOG_LEVEL_INFO, "x");
    fake_now_ms += LOG_LIMIT_MS;
    log_limited(&limit, LOG_LEVEL_INFO, "y");
    capture_end(&capture);
    for (int n = 0; n < LOG_LIMIT_LINES; n++)
        assert_string_equal(read_line(&capture), "<6>x");
    assert_string_equal(read_line(&capture), "<6>y");
    assert_null(read_line(&capture));
}

static void limits_are_counted_apart_and_dropped_levels_not_at_all(void **state) {
    (void)state;
    static struct log_limit first;
    static struct log_limit second;
    struct capture capture;
    capture_begin(&capture);
    name_journal(0);
    for (int n = 0; n < 2 * LOG_LIMIT_LINES; n++) {
        log_limited(&first, LOG_LEVEL_INFO, "first");
        log_limited(&second, LOG_LEVEL_DEBUG, "dropped");
    }
    log_limited(&second, LOG_LEVEL_INFO, "second");
    capture_end(&capture);
    for (int n = 0; n < LOG_LIMIT_LINES; n++)
        assert_string_equal(read_line(&capture), "<6>first");
    assert_string_equal(read_line(&capture), "<6>second");
    assert_null(read_line(&capture));
}

#define THREADS 4
#define EACH    1000

static void *log_much(void *arg) {
    for (int n = 0; n < EACH; n++)
        log_limited(arg, LOG_LEVEL_INFO, "busy");
    return NULL;
}

static void limit_holds_for_several_threads_together(void **state) {
    (void)state;
    static struct log_limit limit;
    struct capture capture;
    pthread_t threads[THREADS];
    capture_begin(&capture);
    name_journal(0);
    for (int n = 0; n < THREADS; n++)
        pthread_create(&threads[n], NULL, log_much, &limit);
    for (int n = 0; n < THREADS; n++)
        pthread_join(threads[n], NULL);
    fake_now_ms += LOG_LIMIT_MS;
    log_limited(&limit, LOG_LEVEL_INFO, "later");
    capture_end(&capture);
    for (int n = 0; n < LOG_LIMIT_LINES; n++)
        assert_string_equal(read_line(&capture), "<6>busy");
    char expected[64];
    snprintf(expected, sizeof expected, "<6>(%d such lines left out) later", THREADS * EACH - LOG_LIMIT_LINES);
    assert_string_equal(read_line(&capture), expected);
    assert_null(read_line(&capture));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(line_has_time_and_level_in_front, reset),
        cmocka_unit_test_setup(journal_gets_its_priority_in_front, reset),
        cmocka_unit_test_setup(journal_stream_of_something_else_is_ignored, reset),
        cmocka_unit_test_setup(less_important_lines_are_dropped, reset),
        cmocka_unit_test_setup(control_characters_are_written_as_hex, reset),
        cmocka_unit_test_setup(text_in_utf8_is_kept_and_other_bytes_are_written_as_hex, reset),
        cmocka_unit_test_setup(long_text_is_cut_between_characters_and_marked, reset),
        cmocka_unit_test_setup(longest_line_is_still_one_write, reset),
        cmocka_unit_test_setup(text_that_cannot_be_formatted_leaves_an_empty_line, reset),
        cmocka_unit_test_setup(errno_is_left_as_it_was, reset),
        cmocka_unit_test_setup(limit_holds_lines_back_and_then_says_how_many, reset),
        cmocka_unit_test_setup(limit_has_nothing_to_say_when_nothing_was_left_out, reset),
        cmocka_unit_test_setup(limits_are_counted_apart_and_dropped_levels_not_at_all, reset),
        cmocka_unit_test_setup(limit_holds_for_several_threads_together, reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
