/* A worker with its thread and libwebsockets: sockets that come all at once, and those that it has no time left for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "stompd/edge/settings.h"
#include "stompd/edge/worker.h"

#define SOCKETS     400
#define PATIENCE_MS 20000

/* As many as a turn takes by far at the most. */
#define PORTION_MAX 40

struct place {
    char name[8]; /* of the listener */
    struct session_limits limits;
    struct policies policies;
    struct users users;
    struct listener_conf listener;
    struct settings settings;
    struct mailbox hub;
    struct mail stop; /* stays the poster's */
    struct worker *worker;
    int clients[SOCKETS]; /* the other ends */
};

static void ignore(void *arg) {
    (void)arg;
}

static void keep(struct settings *settings) {
    (void)settings;
}

static int set_up(void **state) {
    static struct certificate *const no_certificate[] = {NULL};
    struct place *place = calloc(1, sizeof *place);
    assert_non_null(place);
    place->limits = (struct session_limits){.frames.headers = 16, .connect_time_ms = PATIENCE_MS};
    strcpy(place->name, "plain");
    place->listener = (struct listener_conf){.name = place->name, .protocol = LISTENER_STOMP};
    users_init(&place->users);
    place->settings = (struct settings){.refs = 1,
                                        .free = keep,
                                        .limits = &place->limits,
                                        .policies = &place->policies,
                                        .users = &place->users,
                                        .listeners = &place->listener,
                                        .listener_count = 1,
                                        .certificates = no_certificate};
    mailbox_init(&place->hub, ignore, NULL);
    place->worker = worker_new(&(struct worker_conf){.count = 1,
                                                     .node = "node",
                                                     .boot = "node:boot",
                                                     .boot_id = "boot",
                                                     .settings = &place->settings,
                                                     .hub = &place->hub});
    assert_non_null(place->worker);
    *state = place;
    return 0;
}

static void post_stop(struct place *place) {
    place->stop.type = MAIL_STOP;
    mailbox_post(worker_mailbox(place->worker), &place->stop);
}

static void post_sockets(struct place *place) {
    for (int n = 0; n < SOCKETS; n++) {
        int ends[2];
        struct mail_adopt *mail = calloc(1, sizeof *mail);
        assert_non_null(mail);
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
        *mail = (struct mail_adopt){.mail.type = MAIL_ADOPT, .fd = ends[0], .peer = "client"};
        place->clients[n] = ends[1];
        mailbox_post(worker_mailbox(place->worker), &mail->mail);
    }
}

static void start(struct place *place) {
    struct mailbox *mailboxes[] = {worker_mailbox(place->worker)};
    assert_true(worker_start(place->worker, mailboxes));
}

static uint64_t adopted(const struct place *place) {
    return counter_read(&worker_counters(place->worker)->adopted[LISTENER_STOMP]);
}

static void end(struct place *place) {
    worker_join(place->worker);
    worker_free(place->worker);
    place->worker = NULL;
}

static void assert_closed(int client) {
    struct pollfd ready = {.fd = client, .events = POLLIN};
    char byte;
    assert_int_equal(poll(&ready, 1, PATIENCE_MS), 1);
    assert_int_equal(read(client, &byte, 1), 0);
}

static void assert_all_closed(const struct place *place) {
    for (int n = 0; n < SOCKETS; n++)
        assert_closed(place->clients[n]);
}

static void test_many_sockets_are_taken_in_portions(void **state) {
    struct place *place = *state;
    post_sockets(place);
    start(place);
    for (int ms = 0; adopted(place) < SOCKETS && ms < PATIENCE_MS; ms++)
        poll(NULL, 0, 1);
    assert_int_equal(adopted(place), SOCKETS);
    assert_true(counter_read(&worker_counters(place->worker)->turns) >= SOCKETS / PORTION_MAX);
    post_stop(place);
    end(place);
    assert_all_closed(place);
}

static void test_sockets_that_wait_are_closed_when_the_worker_stops(void **state) {
    struct place *place = *state;
    post_sockets(place);
    post_stop(place);
    start(place);
    worker_join(place->worker);
    assert_in_range(adopted(place), 0, PORTION_MAX);
    end(place);
    assert_all_closed(place);
}

static uint64_t released(struct place *place) {
    uint64_t count = 0;
    struct mail *all = mailbox_take(&place->hub);
    for (struct mail *mail = all; mail; mail = mail->next)
        if (mail->type == MAIL_RELEASED)
            count += ((struct mail_released *)mail)->count;
    mail_discard_all(all);
    return count;
}

/* The hub learns of every one, or it would count those sockets for ever. */
static void test_sockets_that_wait_when_sessions_are_closed_are_closed_and_released(void **state) {
    struct place *place = *state;
    struct mail_drain *drain = calloc(1, sizeof *drain);
    uint64_t count = 0;
    assert_non_null(drain);
    *drain = (struct mail_drain){.mail.type = MAIL_DRAIN, .closing = true, .kind = FAULT_SHUTDOWN};
    post_sockets(place);
    mailbox_post(worker_mailbox(place->worker), &drain->mail);
    start(place);
    assert_all_closed(place);
    for (int ms = 0; count < SOCKETS && ms < PATIENCE_MS; ms++) {
        count += released(place);
        poll(NULL, 0, 1);
    }
    assert_int_equal(count, SOCKETS);
    post_stop(place);
    end(place);
}

static int tear_down(void **state) {
    struct place *place = *state;
    for (int n = 0; n < SOCKETS; n++)
        if (place->clients[n] > 0)
            close(place->clients[n]);
    worker_free(place->worker);
    mail_discard_all(mailbox_take(&place->hub));
    users_free(&place->users);
    free(place);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_many_sockets_are_taken_in_portions, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_sockets_that_wait_are_closed_when_the_worker_stops, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_sockets_that_wait_when_sessions_are_closed_are_closed_and_released, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
