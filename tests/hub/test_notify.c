/* What systemd is told, over a notification socket that the test listens at. Built without libsystemd: nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../src/hub/notify.h"

#ifdef STOMPD_SYSTEMD
#define HEARD true
#else
#define HEARD false
#endif

struct systemd {
    char folder[32];
    struct sockaddr_un address;
    int fd;
    char message[512];
};

static int setup(void **state) {
    struct systemd *systemd = calloc(1, sizeof *systemd);
    if (!systemd)
        return -1;
    strcpy(systemd->folder, "/tmp/stompd-notify-XXXXXX");
    if (!mkdtemp(systemd->folder))
        return -1;
    systemd->address.sun_family = AF_UNIX;
    snprintf(systemd->address.sun_path, sizeof systemd->address.sun_path, "%s/socket", systemd->folder);
    systemd->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    *state = systemd;
    setenv("NOTIFY_SOCKET", systemd->address.sun_path, 1);
    return bind(systemd->fd, (struct sockaddr *)&systemd->address, sizeof systemd->address);
}

static int teardown(void **state) {
    struct systemd *systemd = *state;
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
    close(systemd->fd);
    unlink(systemd->address.sun_path);
    rmdir(systemd->folder);
    free(systemd);
    return 0;
}

/* The next message, or "" when there is none. */
static const char *hear(struct systemd *systemd) {
    ssize_t len = recv(systemd->fd, systemd->message, sizeof systemd->message - 1, MSG_DONTWAIT);
    systemd->message[len > 0 ? len : 0] = '\0';
    return systemd->message;
}

static void expect(struct systemd *systemd, const char *message) {
    assert_string_equal(hear(systemd), HEARD ? message : "");
}

static void ready_and_stopping_come_with_a_status(void **state) {
    struct systemd *systemd = *state;
    notify_ready("node %s serves", "a");
    expect(systemd, "READY=1\nSTATUS=node a serves");
    notify_stopping("draining for %d s", 3);
    expect(systemd, "STOPPING=1\nSTATUS=draining for 3 s");
    assert_string_equal(hear(systemd), "");
}

static void a_start_that_takes_long_asks_for_more_time_every_ten_seconds(void **state) {
    struct systemd *systemd = *state;
    struct starting starting = {0};
    for (uint64_t now = 5000; now < 35000; now += 100)
        notify_starting(&starting, now, "waiting for %s", "a place");
    for (unsigned times = 0; times < 3; times++)
        expect(systemd, "EXTEND_TIMEOUT_USEC=30000000\nSTATUS=waiting for a place");
    assert_string_equal(hear(systemd), "");
}

static void a_status_that_is_too_long_is_cut(void **state) {
    struct systemd *systemd = *state;
    char status[1000];
    memset(status, 'x', sizeof status - 1);
    status[sizeof status - 1] = '\0';
    notify_ready("%s", status);
    size_t len = strlen(hear(systemd));
    assert_int_equal(strspn(systemd->message, "READY=1\nSTATUS=x"), len);
    assert_int_equal(len > 100, HEARD);
    assert_true(len < 300);
}

static unsigned long long monotonic_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (unsigned long long)now.tv_sec * 1000000 + (unsigned long long)now.tv_nsec / 1000;
}

static void reloading_says_when_it_began(void **state) {
    struct systemd *systemd = *state;
    unsigned long long us = 0;
    unsigned long long before_us = monotonic_us();
    notify_reloading();
    int read = sscanf(hear(systemd), "RELOADING=1\nMONOTONIC_USEC=%llu\n", &us);
    assert_int_equal(read == 1, HEARD);
    if (HEARD) {
        assert_true(us >= before_us);
        assert_true(us <= monotonic_us());
    }
}

static void without_systemd_nothing_is_sent_and_nothing_fails(void **state) {
    struct systemd *systemd = *state;
    struct watchdog watchdog;
    struct starting starting = {0};
    unsetenv("NOTIFY_SOCKET");
    notify_starting(&starting, 1000, "waiting");
    notify_ready("ready");
    notify_reloading();
    notify_stopping("stopping");
    watchdog_init(&watchdog);
    watchdog_tick(&watchdog, 1000, 1000);
    assert_string_equal(hear(systemd), "");
}

/* systemd asks for a sign of life every three seconds. */
static void ask_for_signs_of_life(struct watchdog *watchdog) {
    char pid[32];
    snprintf(pid, sizeof pid, "%d", getpid());
    setenv("WATCHDOG_USEC", "3000000", 1);
    setenv("WATCHDOG_PID", pid, 1);
    watchdog_init(watchdog);
    assert_int_equal(watchdog->interval_ms, HEARD ? 3000 : 0);
}

static void the_watchdog_is_fed_three_times_an_interval(void **state) {
    struct systemd *systemd = *state;
    struct watchdog watchdog;
    unsigned feedings = 0;
    ask_for_signs_of_life(&watchdog);
    for (uint64_t now = 10000; now < 13000; now += 100) {
        watchdog_tick(&watchdog, now, now - 100);
        feedings += strcmp(hear(systemd), "WATCHDOG=1") == 0;
    }
    assert_int_equal(feedings, HEARD ? 3 : 0);
}

static void a_worker_that_stands_still_is_not_hidden(void **state) {
    struct systemd *systemd = *state;
    struct watchdog watchdog;
    ask_for_signs_of_life(&watchdog);
    watchdog_tick(&watchdog, 10000, 10000);
    expect(systemd, "WATCHDOG=1");
    for (uint64_t now = 10100; now < 13000; now += 100)
        watchdog_tick(&watchdog, now, 10000);
    expect(systemd, "WATCHDOG=1"); /* for two thirds of its interval a worker may be busy */
    expect(systemd, "WATCHDOG=1");
    assert_string_equal(hear(systemd), "");
    for (uint64_t now = 13000; now < 20000; now += 100)
        watchdog_tick(&watchdog, now, 10000);
    assert_string_equal(hear(systemd), "");
}

static void a_worker_that_goes_on_in_time_is_forgiven(void **state) {
    struct systemd *systemd = *state;
    struct watchdog watchdog;
    ask_for_signs_of_life(&watchdog);
    watchdog_tick(&watchdog, 15000, 10000);
    assert_string_equal(hear(systemd), "");
    watchdog_tick(&watchdog, 15100, 15000);
    expect(systemd, "WATCHDOG=1");
}

/* The variables of a parent that has a watchdog must not make its child feed it. */
static void the_watchdog_of_another_process_is_left_alone(void **state) {
    (void)state;
    struct watchdog watchdog;
    setenv("WATCHDOG_USEC", "3000000", 1);
    setenv("WATCHDOG_PID", "1", 1);
    watchdog_init(&watchdog);
    assert_int_equal(watchdog.interval_ms, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(ready_and_stopping_come_with_a_status, setup, teardown),
        cmocka_unit_test_setup_teardown(a_start_that_takes_long_asks_for_more_time_every_ten_seconds, setup, teardown),
        cmocka_unit_test_setup_teardown(a_status_that_is_too_long_is_cut, setup, teardown),
        cmocka_unit_test_setup_teardown(reloading_says_when_it_began, setup, teardown),
        cmocka_unit_test_setup_teardown(without_systemd_nothing_is_sent_and_nothing_fails, setup, teardown),
        cmocka_unit_test_setup_teardown(the_watchdog_is_fed_three_times_an_interval, setup, teardown),
        cmocka_unit_test_setup_teardown(a_worker_that_stands_still_is_not_hidden, setup, teardown),
        cmocka_unit_test_setup_teardown(a_worker_that_goes_on_in_time_is_forgiven, setup, teardown),
        cmocka_unit_test_setup_teardown(the_watchdog_of_another_process_is_left_alone, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
