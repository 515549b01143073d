/* The truth of this node's users and how it is written to the store, call by call. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../src/hub/registry.h"
#include "scripted_store.h"

struct bench {
    struct scripted_store scripted;
    struct registry *registry;
    uint64_t now;
    unsigned gone;
    char seen[512]; /* what was visited: "s1 s2", "ann=2 bob=1" */
};

static void on_gone(void *arg) {
    ((struct bench *)arg)->gone++;
}

static int setup(void **state) {
    static struct bench bench;
    bench = (struct bench){.now = 1000000};
    scripted_init(&bench.scripted);
    bench.registry = registry_new(&bench.scripted.store, on_gone, &bench);
    assert_non_null(bench.registry);
    *state = &bench;
    return 0;
}

static int setup_alone(void **state) {
    static struct bench bench;
    bench = (struct bench){.now = 1000000};
    scripted_init(&bench.scripted);
    bench.registry = registry_new(NULL, on_gone, &bench);
    assert_non_null(bench.registry);
    *state = &bench;
    return 0;
}

static int teardown(void **state) {
    struct bench *bench = *state;
    scripted_free(&bench->scripted);
    registry_free(bench->registry);
    return 0;
}

static void open_session(struct bench *bench, const char *session, const char *user) {
    registry_open(bench->registry, bytes_of(session), bytes_of(user));
}

static void close_session(struct bench *bench, const char *session) {
    registry_close(bench->registry, bytes_of(session));
}

static void open_many(struct bench *bench, unsigned count) {
    char session[16];
    for (unsigned n = 0; n < count; n++) {
        snprintf(session, sizeof session, "m%u", n);
        open_session(bench, session, "many");
    }
}

static void flush(struct bench *bench) {
    registry_flush(bench->registry, bench->now);
}

/* The oldest call is that, and gets this answer. */
static void answer(struct bench *bench, const char *asked, enum store_result result) {
    assert_string_equal(scripted_asked(&bench->scripted), asked);
    scripted_result(&bench->scripted, result);
}

static void expect_nothing_asked(struct bench *bench) {
    flush(bench);
    assert_string_equal(scripted_asked(&bench->scripted), "");
}

/* A page with up to two sessions. */
static void answer_page(struct bench *bench, const char *asked, uint64_t next, const char *first, const char *second) {
    struct store_session sessions[2] = {{BYTES(""), BYTES("ann")}, {BYTES(""), BYTES("bob")}};
    struct store_answer page = {.result = STORE_OK, .cursor = next, .sessions = sessions};
    if (first)
        sessions[page.session_count++].id = bytes_of(first);
    if (second)
        sessions[page.session_count++].id = bytes_of(second);
    assert_string_equal(scripted_asked(&bench->scripted), asked);
    scripted_answer(&bench->scripted, &page);
}

/* The link is there, the store empty, and the registry in step with it. */
static void restore(struct bench *bench) {
    registry_restore(bench->registry);
    answer_page(bench, "page 0", 0, NULL, NULL);
    flush(bench);
    while (scripted_first(&bench->scripted)) {
        scripted_result(&bench->scripted, STORE_OK);
        flush(bench);
    }
    assert_true(registry_is_settled(bench->registry));
}

static void see(struct bench *bench, const char *what) {
    size_t len = strlen(bench->seen);
    snprintf(bench->seen + len, sizeof bench->seen - len, "%s%s", len > 0 ? " " : "", what);
}

static void on_session(void *arg, struct bytes session) {
    char text[64];
    snprintf(text, sizeof text, "%.*s", BYTES_ARG(session));
    see(arg, text);
}

static void on_user(void *arg, const struct store_user *user) {
    char text[64];
    snprintf(text, sizeof text, "%.*s=%u", BYTES_ARG(user->name), (unsigned)user->sessions);
    see(arg, text);
}

static void expect_sessions(struct bench *bench, const char *user, const char *sessions) {
    bench->seen[0] = '\0';
    registry_user_sessions(bench->registry, bytes_of(user), on_session, bench);
    assert_string_equal(bench->seen, sessions);
}

static void expect_page(struct bench *bench, const char *after, unsigned limit, const char *users) {
    bench->seen[0] = '\0';
    assert_true(registry_users_page(bench->registry, bytes_of(after), limit, on_user, bench));
    assert_string_equal(bench->seen, users);
}

/* ---- the truth ---- */

static void test_the_sessions_of_a_user_are_told_in_the_order_they_came(void **state) {
    struct bench *bench = *state;
    open_session(bench, "s2", "ann");
    open_session(bench, "s1", "ann");
    open_session(bench, "s3", "bob");
    expect_sessions(bench, "ann", "s2 s1");
    expect_sessions(bench, "bob", "s3");
    expect_sessions(bench, "eve", "");
    assert_int_equal(registry_sessions(bench->registry), 3);
    assert_int_equal(registry_users(bench->registry), 2);
}

static void test_a_user_is_there_as_long_as_his_last_session(void **state) {
    struct bench *bench = *state;
    open_session(bench, "s1", "ann");
    open_session(bench, "s2", "ann");
    close_session(bench, "s1");
    expect_sessions(bench, "ann", "s2");
    close_session(bench, "s2");
    expect_sessions(bench, "ann", "");
    assert_int_equal(registry_sessions(bench->registry), 0);
    assert_int_equal(registry_users(bench->registry), 0);
}

static void test_a_session_that_is_there_or_not_there_already_changes_nothing(void **state) {
    struct bench *bench = *state;
    open_session(bench, "s1", "ann");
    open_session(bench, "s1", "bob");
    close_session(bench, "s9");
    expect_page(bench, "", 10, "ann=1");
    assert_int_equal(registry_sessions(bench->registry), 1);
}

static void test_users_are_told_in_pages_in_the_order_of_their_bytes(void **state) {
    struct bench *bench = *state;
    const char *users[] = {"bob", "Bob", "ann", "an", "\xc3\xa9va", "bob"};
    for (size_t n = 0; n < sizeof users / sizeof users[0]; n++)
        open_session(bench, (const char *[]){"s1", "s2", "s3", "s4", "s5", "s6"}[n], users[n]);
    expect_page(bench, "", 10, "Bob=1 an=1 ann=1 bob=2 \xc3\xa9va=1");
    expect_page(bench, "", 2, "Bob=1 an=1");
    expect_page(bench, "an", 2, "ann=1 bob=2");
    expect_page(bench, "b", 10, "bob=2 \xc3\xa9va=1");
    expect_page(bench, "\xc3\xa9va", 10, "");
    expect_page(bench, "", 0, "");
}

static void test_without_a_store_the_truth_is_always_settled(void **state) {
    struct bench *bench = *state;
    open_session(bench, "s1", "ann");
    open_session(bench, "s2", "ann");
    close_session(bench, "s1");
    registry_restore(bench->registry);
    flush(bench);
    registry_down(bench->registry);
    expect_sessions(bench, "ann", "s2");
    assert_true(registry_is_settled(bench->registry));
    assert_int_equal(bench->scripted.made, 0);
}

static void take_mail(struct bench *bench, bool open, const char *session, const char *user) {
    size_t size = strlen(session) + strlen(user) + 1;
    struct mail_session *mail = calloc(1, sizeof *mail + size);
    assert_non_null(mail);
    mail->open = open;
    mail->id_len = strlen(session);
    mail->user_len = strlen(user);
    snprintf(mail->text, size, "%s%s", session, user);
    registry_take_mail(bench->registry, mail);
    free(mail);
}

static void test_sessions_come_and_go_by_mail(void **state) {
    struct bench *bench = *state;
    take_mail(bench, true, "s1", "ann");
    take_mail(bench, true, "s2", "ann");
    take_mail(bench, false, "s1", "");
    expect_sessions(bench, "ann", "s2");
}

/* ---- writing ---- */

static void test_nothing_is_written_before_the_first_restore(void **state) {
    struct bench *bench = *state;
    open_session(bench, "s1", "ann");
    open_session(bench, "s2", "bob");
    close_session(bench, "s2");
    expect_nothing_asked(bench);
    assert_false(registry_is_settled(bench->registry));
}

static void test_what_changes_is_written_at_the_end_of_the_turn(void **state) {
    struct bench *bench = *state;
    restore(bench);
    open_session(bench, "s1", "ann");
    open_session(bench, "s2", "bob");
    assert_string_equal(scripted_asked(&bench->scripted), "");
    assert_false(registry_is_settled(bench->registry));
    flush(bench);
    answer(bench, "add s1=ann s2=bob", STORE_OK);
    assert_true(registry_is_settled(bench->registry));
    close_session(bench, "s1");
    assert_false(registry_is_settled(bench->registry));
    flush(bench);
    assert_false(registry_is_settled(bench->registry));
    answer(bench, "remove s1=ann", STORE_OK);
    assert_true(registry_is_settled(bench->registry));
    expect_nothing_asked(bench);
}

static void test_a_session_that_came_and_went_within_a_turn_costs_no_call(void **state) {
    struct bench *bench = *state;
    restore(bench);
    open_session(bench, "s1", "ann");
    close_session(bench, "s1");
    expect_nothing_asked(bench);
    assert_true(registry_is_settled(bench->registry));
}

static void test_a_session_is_removed_after_it_was_added(void **state) {
    struct bench *bench = *state;
    restore(bench);
    open_session(bench, "s1", "ann");
    flush(bench);
    close_session(bench, "s1");
    flush(bench);
    answer(bench, "add s1=ann", STORE_OK);
    answer(bench, "remove s1=ann", STORE_OK);
    expect_nothing_asked(bench);
}

static void test_a_session_that_comes_again_is_added_last(void **state) {
    struct bench *bench = *state;
    restore(bench);
    open_session(bench, "s1", "ann");
    flush(bench);
    close_session(bench, "s1");
    open_session(bench, "s1", "ann");
    flush(bench);
    answer(bench, "add s1=ann", STORE_OK);
    answer(bench, "remove s1=ann", STORE_OK);
    answer(bench, "add s1=ann", STORE_OK);
}

static void test_a_call_has_no_more_sessions_than_the_store_takes(void **state) {
    struct bench *bench = *state;
    restore(bench);
    open_many(bench, STORE_SESSIONS_MAX + 1);
    flush(bench);
    assert_int_equal(bench->scripted.waiting, 2);
    assert_int_equal(scripted_first(&bench->scripted)->count, STORE_SESSIONS_MAX);
    scripted_result(&bench->scripted, STORE_OK);
    assert_int_equal(scripted_first(&bench->scripted)->count, 1);
}

static void test_the_calls_under_way_are_bounded(void **state) {
    struct bench *bench = *state;
    size_t sessions = 0;
    restore(bench);
    open_many(bench, 20 * STORE_SESSIONS_MAX);
    flush(bench);
    flush(bench);
    assert_int_equal(bench->scripted.waiting, 16);
    while (scripted_first(&bench->scripted)) {
        assert_in_range(bench->scripted.waiting, 1, 16);
        assert_false(registry_is_settled(bench->registry));
        sessions += scripted_first(&bench->scripted)->count;
        scripted_result(&bench->scripted, STORE_OK);
        flush(bench);
    }
    assert_int_equal(sessions, 20 * STORE_SESSIONS_MAX);
    assert_true(registry_is_settled(bench->registry));
}

/* ---- restoring ---- */

static void test_a_restore_removes_what_is_too_much_and_adds_all(void **state) {
    struct bench *bench = *state;
    open_session(bench, "s1", "ann");
    open_session(bench, "s2", "bob");
    registry_restore(bench->registry);
    answer_page(bench, "page 0", 7, "s1", "x1");
    answer_page(bench, "page 7", 0, "x2", "s2");
    assert_false(registry_is_settled(bench->registry));
    flush(bench);
    answer(bench, "remove x1=bob x2=ann", STORE_OK);
    assert_string_equal(scripted_first(&bench->scripted)->text + strlen("add "),
                        scripted_first(&bench->scripted)->sessions[0].id[1] == '1' ? "s1=ann s2=bob" : "s2=bob s1=ann");
    scripted_result(&bench->scripted, STORE_OK);
    assert_true(registry_is_settled(bench->registry));
}

static void test_a_page_is_waited_for_before_it_is_settled(void **state) {
    struct bench *bench = *state;
    open_session(bench, "s1", "ann");
    registry_restore(bench->registry);
    flush(bench);
    answer_page(bench, "page 0", 3, NULL, NULL);
    answer(bench, "add s1=ann", STORE_OK);
    assert_false(registry_is_settled(bench->registry));
    answer_page(bench, "page 3", 0, "s1", NULL);
    assert_true(registry_is_settled(bench->registry));
    expect_nothing_asked(bench);
}

static void test_sessions_come_and_go_during_a_restore(void **state) {
    struct bench *bench = *state;
    open_session(bench, "s1", "ann");
    registry_restore(bench->registry);
    flush(bench);
    close_session(bench, "s1");
    open_session(bench, "s2", "bob");
    flush(bench);
    answer_page(bench, "page 0", 0, "x1", "s1"); /* s1 as it was before our calls: of an earlier restore */
    answer(bench, "add s1=ann", STORE_OK);
    answer(bench, "remove s1=ann", STORE_OK);
    answer(bench, "add s2=bob", STORE_OK);
    flush(bench);
    answer(bench, "remove x1=ann s1=bob", STORE_OK);
    assert_true(registry_is_settled(bench->registry));
}

static void test_a_restore_amid_another_begins_anew(void **state) {
    struct bench *bench = *state;
    open_session(bench, "s1", "ann");
    registry_restore(bench->registry);
    flush(bench);
    registry_restore(bench->registry);
    answer_page(bench, "page 0", 5, "x1", NULL); /* of the first: the next one tells again */
    answer(bench, "add s1=ann", STORE_OK);
    flush(bench);
    answer_page(bench, "page 0", 0, "s1", "x2");
    answer(bench, "add s1=ann", STORE_OK);
    flush(bench);
    answer(bench, "remove x2=bob", STORE_OK);
    assert_true(registry_is_settled(bench->registry));
}

/* ---- what the store says ---- */

static void test_that_the_entry_is_gone_is_told_once(void **state) {
    struct bench *bench = *state;
    restore(bench);
    open_session(bench, "s1", "ann");
    flush(bench);
    open_session(bench, "s2", "bob");
    flush(bench);
    answer(bench, "add s1=ann", STORE_GONE);
    assert_int_equal(bench->gone, 1);
    answer(bench, "add s2=bob", STORE_GONE);
    assert_int_equal(bench->gone, 1);
    close_session(bench, "s2");
    expect_nothing_asked(bench);
    assert_false(registry_is_settled(bench->registry));
    registry_restore(bench->registry);
    flush(bench);
    answer_page(bench, "page 0", 0, NULL, NULL);
    answer(bench, "add s1=ann", STORE_GONE);
    assert_int_equal(bench->gone, 2);
}

static void test_nothing_is_written_while_the_store_is_away(void **state) {
    struct bench *bench = *state;
    restore(bench);
    open_session(bench, "s1", "ann");
    flush(bench);
    open_session(bench, "s2", "bob");
    scripted_break(&bench->scripted);
    registry_down(bench->registry);
    close_session(bench, "s1");
    bench->now += 3600000;
    expect_nothing_asked(bench);
    assert_int_equal(bench->gone, 0);
    assert_false(registry_is_settled(bench->registry));
    registry_restore(bench->registry);
    answer_page(bench, "page 0", 0, "s1", NULL);
    flush(bench);
    answer(bench, "remove s1=ann", STORE_OK);
    answer(bench, "add s2=bob", STORE_OK);
    assert_true(registry_is_settled(bench->registry));
}

static void test_what_was_refused_is_made_good_by_a_restore(void **state) {
    struct bench *bench = *state;
    restore(bench);
    open_session(bench, "s1", "ann");
    flush(bench);
    answer(bench, "add s1=ann", STORE_FAILED);
    assert_false(registry_is_settled(bench->registry));
    bench->now += 4999;
    expect_nothing_asked(bench);
    bench->now += 1;
    flush(bench);
    answer_page(bench, "page 0", 0, NULL, NULL);
    answer(bench, "add s1=ann", STORE_OK);
    assert_true(registry_is_settled(bench->registry));
}

static void test_one_refusal_does_not_keep_others_waiting(void **state) {
    struct bench *bench = *state;
    restore(bench);
    open_session(bench, "s1", "ann");
    flush(bench);
    answer(bench, "add s1=ann", STORE_FAILED);
    open_session(bench, "s2", "bob");
    close_session(bench, "s1");
    flush(bench);
    answer(bench, "remove s1=ann", STORE_OK);
    answer(bench, "add s2=bob", STORE_OK);
    assert_false(registry_is_settled(bench->registry));
}

/* How long after a refusal it is tried again; that is refused too. */
static uint64_t time_to_retry(struct bench *bench) {
    uint64_t start = bench->now;
    while (!scripted_first(&bench->scripted)) {
        bench->now += 1000;
        assert_true(bench->now < start + 3600000);
        flush(bench);
    }
    answer_page(bench, "page 0", 0, NULL, NULL);
    answer(bench, "add s1=ann", STORE_FAILED);
    return bench->now - start;
}

static void test_what_is_refused_again_and_again_is_tried_less_often(void **state) {
    struct bench *bench = *state;
    restore(bench);
    open_session(bench, "s1", "ann");
    flush(bench);
    answer(bench, "add s1=ann", STORE_FAILED);
    assert_int_equal(time_to_retry(bench), 5000);
    assert_int_equal(time_to_retry(bench), 10000);
    assert_int_equal(time_to_retry(bench), 20000);
    assert_int_equal(time_to_retry(bench), 40000);
    assert_int_equal(time_to_retry(bench), 60000);
    assert_int_equal(time_to_retry(bench), 60000);
    bench->now += 60000;
    flush(bench);
    answer_page(bench, "page 0", 0, NULL, NULL);
    answer(bench, "add s1=ann", STORE_OK);
    assert_true(registry_is_settled(bench->registry));
    open_session(bench, "s2", "ann");
    close_session(bench, "s1");
    flush(bench);
    answer(bench, "remove s1=ann", STORE_OK);
    answer(bench, "add s2=ann", STORE_FAILED);
    close_session(bench, "s2");
    open_session(bench, "s1", "ann");
    flush(bench);
    answer(bench, "remove s2=ann", STORE_OK);
    answer(bench, "add s1=ann", STORE_OK);
    assert_int_equal(time_to_retry(bench), 5000);
}

static void test_a_page_that_was_refused_is_asked_for_again(void **state) {
    struct bench *bench = *state;
    flush(bench);
    registry_restore(bench->registry);
    answer(bench, "page 0", STORE_FAILED);
    expect_nothing_asked(bench);
    assert_false(registry_is_settled(bench->registry));
    bench->now += 5000;
    flush(bench);
    answer_page(bench, "page 0", 0, NULL, NULL);
    assert_true(registry_is_settled(bench->registry));
}

static void test_the_store_may_go_first(void **state) {
    struct bench *bench = *state;
    restore(bench);
    open_session(bench, "s1", "ann");
    registry_restore(bench->registry);
    flush(bench);
    close_session(bench, "s1");
    flush(bench);
    assert_int_equal(bench->scripted.waiting, 3);
    scripted_break(&bench->scripted); /* teardown frees the registry, without another word */
    expect_nothing_asked(bench);
    assert_int_equal(bench->gone, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(the_sessions_of_a_user_are_told_in_the_order_they_came),
        TEST(a_user_is_there_as_long_as_his_last_session),
        TEST(a_session_that_is_there_or_not_there_already_changes_nothing),
        TEST(sessions_come_and_go_by_mail),
        TEST(users_are_told_in_pages_in_the_order_of_their_bytes),
        cmocka_unit_test_setup_teardown(test_without_a_store_the_truth_is_always_settled, setup_alone, teardown),
        TEST(nothing_is_written_before_the_first_restore),
        TEST(what_changes_is_written_at_the_end_of_the_turn),
        TEST(a_session_that_came_and_went_within_a_turn_costs_no_call),
        TEST(a_session_is_removed_after_it_was_added),
        TEST(a_session_that_comes_again_is_added_last),
        TEST(a_call_has_no_more_sessions_than_the_store_takes),
        TEST(the_calls_under_way_are_bounded),
        TEST(a_restore_removes_what_is_too_much_and_adds_all),
        TEST(a_page_is_waited_for_before_it_is_settled),
        TEST(sessions_come_and_go_during_a_restore),
        TEST(a_restore_amid_another_begins_anew),
        TEST(that_the_entry_is_gone_is_told_once),
        TEST(nothing_is_written_while_the_store_is_away),
        TEST(what_was_refused_is_made_good_by_a_restore),
        TEST(one_refusal_does_not_keep_others_waiting),
        TEST(what_is_refused_again_and_again_is_tried_less_often),
        TEST(a_page_that_was_refused_is_asked_for_again),
        TEST(the_store_may_go_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
