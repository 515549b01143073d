/* Consumers of queues: credit, takes, whose turn it is, and queues that are known to be empty. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../src/hub/consumers.h"
#include "queues_bench.h"

/* A change by which the worker's consumer gives back one of its deliveries. */
static void give_back(struct queues_bench *bench, unsigned worker, enum operation_kind kind, uint64_t consumer,
                      uint64_t n) {
    struct change *change = bench_change_new(0);
    bench_add(change, kind, consumer, n);
    bench_change(bench, worker, change);
}

/* Consumer n of q:n, which may have one message. */
static void consume_numbered(struct queues_bench *bench, uint64_t n) {
    char name[32];
    snprintf(name, sizeof name, "q:%" PRIu64, n);
    bench_consume(bench, 0, n, name, 1);
}

/* ---- coming ---- */

static void a_consumer_is_confirmed_at_once(void **state) {
    struct queues_bench *bench = *state;
    bench_consume(bench, 1, 7, "q:a", 10);
    bench_flush(bench);
    expect_mail(bench, 1, "consuming 7");
    expect_mail(bench, 0, "");
}

static void also_while_the_store_is_away_but_it_gets_nothing_then(void **state) {
    struct queues_bench *bench = *state;
    a_consumer_is_confirmed_at_once(state);
    expect_call(bench, NULL);
    bench_tick(bench, 5000);
    expect_call(bench, NULL);
    queues_up(bench->queues, false);
    bench_flush(bench);
    expect_call(bench, "take q:a 10");
}

static void a_delivery_has_all_that_the_entry_has(void **state) {
    struct queues_bench *bench = *state;
    bench_consume(bench, 1, 7, "q:a", 10);
    bench_flush(bench);
    struct message *message = bench_message("q:a", 5);
    struct queue_entry entry = {.entry = {3, 4, 5}, .deliveries = 6, .message = message};
    scripted_queues_answer(&bench->store, &(struct queue_answer){.entries = &entry, .entry_count = 1});
    assert_null(entry.message); /* taken over */
    bench_flush(bench);
    struct mail *first = mailbox_take(&bench->boxes[1]);
    assert_int_equal(first->type, MAIL_CONSUMING);
    assert_int_equal(((struct mail_consumer *)first)->consuming, CONSUMING);
    struct mail_delivery *mail = (struct mail_delivery *)first->next;
    assert_null(mail->mail.next);
    assert_int_equal(mail->mail.type, MAIL_DELIVERY);
    assert_int_equal(mail->consumer, 7);
    assert_int_equal(mail->deliveries, 6);
    assert_int_equal(mail->entry.ms, 3);
    assert_int_equal(mail->entry.n, 4);
    assert_int_equal(mail->entry.size, 5);
    assert_ptr_equal(mail->message, message);
    message_unref(message);
    free(mail);
    free(first);
}

/* ---- credit ---- */

static void a_queue_is_asked_for_what_all_its_consumers_may_get(void **state) {
    struct queues_bench *bench = *state;
    bench_consume(bench, 0, 1, "q:a", 10);
    bench_consume(bench, 0, 2, "q:b", 3);
    bench_consume(bench, 1, 1, "q:a", 20);
    bench_flush(bench);
    expect_call(bench, "take q:a 30, q:b 3");
    assert_int_equal(bench->store.made, 1);
}

static void but_not_for_more_than_a_bound(void **state) {
    struct queues_bench *bench = *state;
    bench_consume(bench, 0, 1, "q:a", CONSUMERS_WANTED_MAX);
    bench_consume(bench, 0, 2, "q:a", 1);
    bench_flush(bench);
    expect_call(bench, "take q:a 1000");
    bench_give_range(bench, 1, CONSUMERS_WANTED_MAX);
    expect_call(bench, "take q:a 1");
}

static void more_queues_than_a_call_holds_make_several(void **state) {
    struct queues_bench *bench = *state;
    for (uint64_t n = 0; n < QUEUE_WANTS_MAX + 2; n++)
        consume_numbered(bench, n);
    bench_flush(bench);
    assert_int_equal(bench->store.waiting, 2);
    assert_int_equal(scripted_queues_first(&bench->store)->count, QUEUE_WANTS_MAX);
    bench_done(bench);
    expect_call(bench, "take q:256 1, q:257 1");
}

static void so_many_takes_are_under_way(void **state) {
    struct queues_bench *bench = *state;
    for (uint64_t n = 0; n < CONSUMERS_CALLS_MAX + 2; n++) {
        consume_numbered(bench, n);
        bench_flush(bench);
    }
    assert_int_equal(bench->store.waiting, CONSUMERS_CALLS_MAX);
    bench_done(bench);
    assert_int_equal(bench->store.waiting, CONSUMERS_CALLS_MAX);
    while (bench->store.waiting > 1)
        bench_done(bench);
    expect_call(bench, "take q:4 1, q:5 1");
}

static void one_take_of_a_queue_is_under_way(void **state) {
    struct queues_bench *bench = *state;
    bench_consume(bench, 0, 1, "q:a", 10);
    bench_flush(bench);
    bench_consume(bench, 0, 2, "q:a", 5);
    bench_tick(bench, 5000);
    assert_int_equal(bench->store.waiting, 1);
    bench_give_range(bench, 1, 10);
    expect_call(bench, "take q:a 5");
}

static void a_consumer_has_no_more_than_its_prefetch(void **state) {
    struct queues_bench *bench = *state;
    bench_consume(bench, 0, 7, "q:a", 3);
    bench_flush(bench);
    bench_give_range(bench, 1, 3);
    expect_call(bench, NULL);
    give_back(bench, 0, OPERATION_SETTLE, 7, 1);
    give_back(bench, 0, OPERATION_REJECT, 7, 2);
    bench_flush(bench);
    bench_done(bench); /* the change; but its credit does not wait for that */
    expect_call(bench, "take q:a 2");
    bench_done(bench);
    give_back(bench, 0, OPERATION_RETURN, 7, 3);
    bench_tick(bench, QUEUES_SWEEP_MS);
    bench_done(bench);
    expect_call(bench, "take q:a 3");
}

static void credit_comes_with_the_change_and_not_with_its_result(void **state) {
    struct queues_bench *bench = *state;
    bench_consume(bench, 0, 7, "q:a", 1);
    bench_flush(bench);
    GIVE(bench, {.n = 1});
    give_back(bench, 0, OPERATION_SETTLE, 7, 1);
    bench_flush(bench);
    expect_call(bench, "settle q:a 1");
    assert_int_equal(bench->store.waiting, 2);
    assert_string_equal(CONTAINER_OF(bench->store.calls.prev, struct recorded_call, in_list)->text.data, "take q:a 1");
}

/* ---- what is not written ---- */

static size_t size_of(size_t body_len) {
    struct message *message = bench_message("q:stored", body_len);
    size_t size = message_size(message);
    message_unref(message);
    return size;
}

/* Body of a message that is the half of what a consumer may have unwritten. */
static size_t half(void) {
    return QUEUES_UNWRITTEN_MAX / 2 - size_of(100000) + 100000;
}

static void who_has_too_much_unwritten_has_no_credit(void **state) {
    struct queues_bench *bench = *state;
    bench_consume(bench, 0, 7, "q:a", 10);
    bench_flush(bench);
    GIVE(bench, {.n = 1, .body_len = half()}, {.n = 2, .body_len = half() - 1, .size = QUEUE_TAKE_BYTES});
    expect_call(bench, "take q:a 8");
    GIVE(bench, {.n = 3, .size = QUEUE_TAKE_BYTES});
    expect_call(bench, NULL);
    bench_written(bench, 0, 7, size_of(0) - 1);
    bench_flush(bench);
    expect_call(bench, NULL);
    bench_written(bench, 0, 7, 1);
    bench_flush(bench);
    expect_call(bench, "take q:a 7");
}

static void settling_does_not_count_as_written(void **state) {
    struct queues_bench *bench = *state;
    bench_consume(bench, 0, 7, "q:a", 10);
    bench_flush(bench);
    GIVE(bench, {.n = 1, .body_len = half()}, {.n = 2, .body_len = half(), .size = QUEUE_TAKE_BYTES});
    bench_settle(bench, 0, 7, 1);
    bench_flush(bench);
    bench_done(bench);
    expect_call(bench, NULL);
    bench_written(bench, 0, 7, size_of(half()));
    bench_flush(bench);
    expect_call(bench, "take q:a 9");
}

static void one_message_of_any_size_fits(void **state) {
    struct queues_bench *bench = *state;
    bench_consume(bench, 0, 7, "q:a", 10);
    bench_flush(bench);
    bench_mail(bench, 0);
    GIVE(bench, {.n = 1, .body_len = (size_t)2 * QUEUES_UNWRITTEN_MAX});
    expect_mail(bench, 0, "7 gets 1");
}

static void what_is_left_of_a_take_goes_to_others_before_those_who_have_too_much(void **state) {
    struct queues_bench *bench = *state;
    bench_consume(bench, 0, 7, "q:a", 3);
    bench_consume(bench, 0, 8, "q:a", 3);
    bench_flush(bench);
    bench_mail(bench, 0);
    GIVE(bench, {.n = 1, .body_len = QUEUES_UNWRITTEN_MAX}, {.n = 2}, {.n = 3},
         {.n = 4, .body_len = QUEUES_UNWRITTEN_MAX}, {.n = 5}, {.n = 6});
    expect_mail(bench, 0, "7 gets 1; 8 gets 2; 8 gets 3; 8 gets 4; 7 gets 5; 7 gets 6");
}

/* ---- and of a whole session ---- */

#define LARGE   ((size_t)900 << 10) /* a body; five come to more than a session may have */
#define QUARTER (QUEUE_TAKE_BYTES / 4)

/* Consumer n of q:n, in that session; it may have many. */
static void consume_in(struct queues_bench *bench, uint64_t session, uint64_t n) {
    char name[32];
    snprintf(name, sizeof name, "q:%" PRIu64, n);
    bench_consume_in(bench, session, 0, n, name, 1000);
}

/* Session 1 has so many consumers, with a large message each. */
static void fill_session(struct queues_bench *bench, size_t count) {
    struct given given[QUEUES_SESSION_TAKES];
    for (uint64_t n = 1; n <= count; n++)
        consume_in(bench, 1, n);
    bench_flush(bench);
    for (size_t n = 0; n < count; n++)
        given[n] = (struct given){.want = n, .n = n + 1, .size = QUEUE_TAKE_BYTES, .body_len = LARGE};
    bench_give(bench, given, count);
    bench_mail(bench, 0);
}

static void the_consumers_of_a_session_together_have_a_bound_on_what_is_unwritten(void **state) {
    struct queues_bench *bench = *state;
    fill_session(bench, 5);
    expect_call(bench, NULL);
    consume_in(bench, 1, 6);
    consume_in(bench, 2, 7);
    bench_flush(bench);
    expect_call(bench, "take q:7 1000"); /* another session is none of it */
    bench_done(bench);
    size_t above = 5 * size_of(LARGE) - QUEUES_SESSION_UNWRITTEN_MAX;
    bench_written(bench, 0, 2, above);
    bench_flush(bench);
    expect_call(bench, NULL);
    bench_written(bench, 0, 3, 1);
    bench_flush(bench);
    expect_call(bench, "take q:1 999");
}

/* However large it is: a return would only bring it again. */
static void what_was_taken_for_a_session_it_gets(void **state) {
    struct queues_bench *bench = *state;
    fill_session(bench, QUEUES_SESSION_TAKES);
    assert_int_equal(bench_count(bench).delivered, QUEUES_SESSION_TAKES);
    expect_call(bench, NULL);
}

static void what_consumers_had_that_have_gone_does_not_count(void **state) {
    struct queues_bench *bench = *state;
    fill_session(bench, 5);
    bench_settle(bench, 0, 2, 2);
    bench_unconsume(bench, 0, 2);
    bench_flush(bench);
    bench_done(bench);
    expect_call(bench, "take q:1 999, q:3 999"); /* what a third might bring would be too much */
}

static size_t count_wants(const struct queues_bench *bench) {
    size_t wants = 0;
    LIST_FOR_EACH (node, &bench->store.calls)
        wants += CONTAINER_OF(node, struct recorded_call, in_list)->count;
    return wants;
}

static void for_one_session_so_many_queues_are_taken_from_at_a_time(void **state) {
    struct queues_bench *bench = *state;
    for (uint64_t n = 1; n <= QUEUES_SESSION_TAKES + 2; n++)
        consume_in(bench, 1, n);
    consume_in(bench, 2, 99);
    bench_flush(bench);
    assert_int_equal(count_wants(bench), QUEUES_SESSION_TAKES + 1);
    bench_tick(bench, 100);
    assert_int_equal(count_wants(bench), QUEUES_SESSION_TAKES + 1);
    bench_done(bench);
    expect_call(bench, "take q:17 1000, q:18 1000");
}

/* Another session's account will do as well. */
static void a_queue_that_others_consume_too_does_not_wait_for_that(void **state) {
    struct queues_bench *bench = *state;
    for (uint64_t n = 1; n <= QUEUES_SESSION_TAKES + 1; n++)
        consume_in(bench, 1, n);
    bench_consume_in(bench, 2, 0, 99, "q:17", 1);
    bench_flush(bench);
    assert_int_equal(count_wants(bench), QUEUES_SESSION_TAKES + 1);
}

/* Answers the oldest take: each queue has as much as a take may bring. */
static void give_much(struct queues_bench *bench) {
    static struct given given[(size_t)QUEUE_WANTS_MAX * 4];
    size_t count = scripted_queues_first(&bench->store)->count * 4;
    for (size_t n = 0; n < count; n++)
        given[n] = (struct given){.want = n / 4, .n = n + 1, .size = QUARTER, .body_len = QUARTER - 1000};
    bench_give(bench, given, count);
}

/* Bytes that consumers up to that one have been sent. */
static size_t count_sent(struct queues_bench *bench, uint64_t last) {
    size_t sent = 0;
    struct mail *mail = mailbox_take(&bench->boxes[0]);
    while (mail) {
        struct mail *next = mail->next;
        struct mail_delivery *delivery = (struct mail_delivery *)mail;
        if (mail->type == MAIL_DELIVERY) {
            sent += delivery->consumer <= last ? message_size(delivery->message) : 0;
            message_unref(delivery->message);
        }
        free(mail);
        mail = next;
    }
    return sent;
}

/* Until nothing more is asked for: it reads nothing. */
static size_t flood(struct queues_bench *bench, uint64_t last) {
    size_t sent = 0;
    for (unsigned n = 0; n < 100; n++) {
        bench_tick(bench, QUEUES_SWEEP_MS);
        while (bench->store.waiting > 0) {
            if (scripted_queues_first(&bench->store)->take)
                give_much(bench);
            else
                bench_done(bench);
            sent += count_sent(bench, last);
        }
    }
    return sent;
}

static void a_session_that_reads_nothing_gets_a_bounded_number_of_bytes_however_many_queues_it_consumes(void **state) {
    struct queues_bench *bench = *state;
    for (uint64_t n = 1; n <= 900; n++)
        consume_in(bench, 1, n);
    size_t sent = flood(bench, 900);
    assert_in_range(sent, QUEUES_SESSION_UNWRITTEN_MAX - QUEUE_TAKE_BYTES,
                    QUEUES_SESSION_UNWRITTEN_MAX + QUEUE_TAKE_BYTES);
    assert_int_equal(bench_count(bench).delivered, sent / size_of(QUARTER - 1000));
}

/* Each queue is taken from on the account of another session, which wants little of it. */
static void nor_does_it_get_more_of_what_was_taken_for_others(void **state) {
    struct queues_bench *bench = *state;
    for (uint64_t n = 1; n <= 200; n++) {
        char name[32];
        snprintf(name, sizeof name, "q:%" PRIu64, n);
        bench_consume(bench, 0, 1000 + n, name, 1);
        bench_consume_in(bench, 1, 0, n, name, 1000);
    }
    size_t sent = flood(bench, 200);
    assert_in_range(sent, QUEUES_SESSION_UNWRITTEN_MAX,
                    (size_t)2 * QUEUES_SESSION_UNWRITTEN_MAX + QUEUES_SESSION_TAKES * size_of(QUARTER));
}

/* ---- whose turn it is ---- */

static void entries_go_one_by_one_to_each_in_turn(void **state) {
    struct queues_bench *bench = *state;
    bench_consume(bench, 0, 1, "q:a", 10);
    bench_consume(bench, 1, 1, "q:a", 2);
    bench_consume(bench, 0, 2, "q:a", 10);
    bench_flush(bench);
    bench_give_range(bench, 1, 9);
    expect_mail(bench, 0,
                "consuming 1; consuming 2; 1 gets 1; 2 gets 3; 1 gets 4; 2 gets 6; 1 gets 7; 2 gets 8; 1 gets 9");
    expect_mail(bench, 1, "consuming 1; 1 gets 2; 1 gets 5");
}

static void the_turn_goes_on_with_the_next_take(void **state) {
    struct queues_bench *bench = *state;
    bench_consume(bench, 0, 1, "q:a", 10);
    bench_consume(bench, 0, 2, "q:a", 10);
    bench_consume(bench, 0, 3, "q:a", 10);
    bench_flush(bench);
    bench_mail(bench, 0);
    for (uint64_t n = 1; n <= 4; n++) {
        GIVE(bench, {.n = n, .size = QUEUE_TAKE_BYTES});
    }
    expect_mail(bench, 0, "1 gets 1; 2 gets 2; 3 gets 3; 1 gets 4");
}

static void who_settles_fast_does_not_get_ahead_of_others(void **state) {
    struct queues_bench *bench = *state;
    bench_consume(bench, 0, 1, "q:a", 1);
    bench_consume(bench, 0, 2, "q:a", 1);
    bench_flush(bench);
    bench_mail(bench, 0);
    GIVE(bench, {.n = 1, .size = QUEUE_TAKE_BYTES});
    bench_settle(bench, 0, 1, 1);
    GIVE(bench, {.n = 2, .size = QUEUE_TAKE_BYTES});
    expect_mail(bench, 0, "1 gets 1; 2 gets 2");
}

static void each_queue_has_its_own_consumers(void **state) {
    struct queues_bench *bench = *state;
    bench_consume(bench, 0, 1, "q:a", 2);
    bench_consume(bench, 0, 2, "q:b", 2);
    bench_consume(bench, 0, 3, "q:c", 2);
    bench_flush(bench);
    bench_mail(bench, 0);
    GIVE(bench, {.n = 1}, {.n = 2}, {.want = 2, .n = 1});
    expect_mail(bench, 0, "1 gets 1; 1 gets 2; 3 gets 1");
}

/* ---- going ---- */

static void what_comes_for_a_consumer_that_has_gone_is_returned(void **state) {
    struct queues_bench *bench = *state;
    bench_consume(bench, 0, 7, "q:a", 10);
    bench_flush(bench);
    bench_unconsume(bench, 0, 7);
    bench_flush(bench);
    bench_mail(bench, 0);
    GIVE(bench, {.n = 1}, {.n = 2});
    expect_mail(bench, 0, "");
    expect_call(bench, "uncounted q:a 1 | uncounted q:a 2");
    bench_done(bench);
    bench_tick(bench, 5000);
    expect_call(bench, NULL); /* nobody wants any more */
    assert_true(queues_is_settled(bench->queues));
}

static void or_goes_to_another_who_has_come(void **state) {
    struct queues_bench *bench = *state;
    bench_consume(bench, 0, 7, "q:a", 10);
    bench_flush(bench);
    bench_unconsume(bench, 0, 7);
    bench_consume(bench, 0, 8, "q:a", 1);
    bench_flush(bench);
    bench_mail(bench, 0);
    GIVE(bench, {.n = 1}, {.n = 2});
    expect_mail(bench, 0, "8 gets 1");
    expect_call(bench, "uncounted q:a 2");
}

static void a_consumer_that_has_gone_gets_nothing(void **state) {
    struct queues_bench *bench = *state;
    bench_consume(bench, 0, 7, "q:a", 10);
    bench_unconsume(bench, 0, 7);
    bench_flush(bench);
    expect_call(bench, NULL);
    bench_consume(bench, 0, 7, "q:a", 3);
    bench_consume(bench, 0, 8, "q:a", 2);
    bench_unconsume(bench, 0, 7);
    bench_flush(bench);
    expect_call(bench, "take q:a 2");
}

static void what_was_still_in_the_mail_is_given_back_after_its_end(void **state) {
    struct queues_bench *bench = *state;
    bench_consume(bench, 0, 7, "q:a", 3);
    bench_flush(bench);
    bench_give_range(bench, 1, 3);
    give_back(bench, 0, OPERATION_RETURN, 7, 1);
    bench_unconsume(bench, 0, 7);
    assert_int_equal(bench_count(bench).consumers, 0);
    give_back(bench, 0, OPERATION_RETURN, 7, 2);
    bench_written(bench, 0, 7, 100);
    give_back(bench, 0, OPERATION_RETURN, 7, 3);
    bench_written(bench, 0, 7, 100); /* it is no more */
    bench_flush(bench);
    expect_call(bench, "uncounted q:a 1 | uncounted q:a 2 | uncounted q:a 3");
    bench_done(bench);
    expect_call(bench, NULL);
    assert_true(queues_is_settled(bench->queues));
}

static void then_it_is_known_no_more(void **state) {
    struct queues_bench *bench = *state;
    what_was_still_in_the_mail_is_given_back_after_its_end(state);
    bench_mail(bench, 0);
    struct change *change = bench_change_new(1);
    bench_add(change, OPERATION_RETURN, 7, 3);
    bench_change(bench, 0, change);
    bench_flush(bench);
    expect_mail(bench, 0, "changed 1 failed");
    bench_consume(bench, 0, 7, "q:b", 5);
    bench_flush(bench);
    expect_call(bench, "take q:b 5");
    GIVE(bench, {.n = 9});
    bench_settle(bench, 0, 7, 9); /* the new one, and not the old, is meant */
    bench_flush(bench);
    expect_call(bench, "settle q:b 9");
}

/* ---- queues known to be empty ---- */

/* A consumer of q:a that has got one message where ten were wanted. */
static void come_short(struct queues_bench *bench) {
    bench_consume(bench, 0, 7, "q:a", 10);
    bench_flush(bench);
    GIVE(bench, {.n = 1});
}

static void a_queue_that_gave_less_than_was_wanted_waits_for_word(void **state) {
    struct queues_bench *bench = *state;
    come_short(bench);
    bench_settle(bench, 0, 7, 1);
    bench_flush(bench);
    bench_done(bench);
    expect_call(bench, NULL);
    queues_ready(bench->queues, BYTES("q:b"));
    bench_flush(bench);
    expect_call(bench, NULL);
    queues_ready(bench->queues, BYTES("q:a"));
    bench_flush(bench);
    expect_call(bench, "take q:a 10");
}

static void the_stores_own_word_does_too(void **state) {
    struct queues_bench *bench = *state;
    come_short(bench);
    bench->store.store.events->ready(bench->store.store.arg, BYTES("q:a"));
    bench_flush(bench);
    expect_call(bench, "take q:a 9");
}

static void word_that_comes_while_a_take_is_under_way_is_not_lost(void **state) {
    struct queues_bench *bench = *state;
    bench_consume(bench, 0, 7, "q:a", 10);
    bench_flush(bench);
    queues_ready(bench->queues, BYTES("q:a"));
    bench_flush(bench);
    assert_int_equal(bench->store.waiting, 1);
    bench_done(bench);
    expect_call(bench, "take q:a 10");
    bench_done(bench); /* now it is empty, and that word is used up */
    expect_call(bench, NULL);
}

static void a_queue_that_gave_all_that_was_wanted_is_asked_again_at_once(void **state) {
    struct queues_bench *bench = *state;
    bench_consume(bench, 0, 7, "q:a", 2);
    bench_flush(bench);
    bench_give_range(bench, 1, 2);
    bench_settle(bench, 0, 7, 1);
    bench_flush(bench);
    bench_done(bench);
    expect_call(bench, "take q:a 1");
}

static void a_take_that_was_cut_short_by_its_bytes_does_not_mean_empty(void **state) {
    struct queues_bench *bench = *state;
    bench_consume(bench, 0, 7, "q:a", 10);
    bench_flush(bench);
    GIVE(bench, {.n = 1, .size = QUEUE_TAKE_BYTES - 100}, {.n = 2, .size = 100});
    expect_call(bench, "take q:a 8");
    GIVE(bench, {.n = 3, .size = QUEUE_TAKE_BYTES - 101}, {.n = 4, .size = 100});
    expect_call(bench, NULL);
}

static void an_empty_queue_is_swept_in_its_time(void **state) {
    struct queues_bench *bench = *state;
    come_short(bench);
    bench_tick(bench, QUEUES_SWEEP_MS - 1);
    expect_call(bench, NULL);
    bench_tick(bench, 1);
    expect_call(bench, "take q:a 9");
    bench_done(bench);
    bench_tick(bench, QUEUES_SWEEP_MS - 1);
    expect_call(bench, NULL);
    bench_tick(bench, 1);
    expect_call(bench, "take q:a 9");
}

/* Consumers of so many queues, all of them empty. */
static void wait_for(struct queues_bench *bench, uint64_t queues) {
    for (uint64_t n = 0; n < queues; n++)
        consume_numbered(bench, n);
    bench_flush(bench);
    while (bench->store.waiting > 0)
        bench_done(bench);
}

static void many_are_swept_at_a_bounded_rate(void **state) {
    struct queues_bench *bench = *state;
    wait_for(bench, 400);
    bench_tick(bench, QUEUES_SWEEP_MS); /* late */
    assert_int_equal(count_wants(bench), CONSUMERS_SWEEP_MAX);
    while (bench->store.waiting > 0)
        bench_done(bench);
    bench_tick(bench, 100);
    assert_int_equal(count_wants(bench), 100);
    while (bench->store.waiting > 0)
        bench_done(bench);
    bench_tick(bench, 100);
    assert_int_equal(count_wants(bench), 50);
}

static void when_the_store_is_back_all_are_asked(void **state) {
    struct queues_bench *bench = *state;
    wait_for(bench, 3);
    queues_down(bench->queues);
    queues_up(bench->queues, false);
    bench_flush(bench);
    expect_call(bench, "take q:0 1, q:1 1, q:2 1");
}

static void a_new_consumer_of_an_empty_queue_waits_with_the_others(void **state) {
    struct queues_bench *bench = *state;
    come_short(bench);
    bench_consume(bench, 0, 8, "q:a", 10);
    bench_flush(bench);
    expect_call(bench, NULL);
    queues_ready(bench->queues, BYTES("q:a"));
    bench_flush(bench);
    expect_call(bench, "take q:a 19");
}

static void the_first_consumer_after_a_time_without_asks_anew(void **state) {
    struct queues_bench *bench = *state;
    bench_consume(bench, 0, 7, "q:a", 10);
    bench_flush(bench);
    GIVE(bench, {.n = 1}); /* and so it stays known */
    bench_unconsume(bench, 0, 7);
    bench_tick(bench, 5000);
    expect_call(bench, NULL);
    bench_consume(bench, 0, 8, "q:a", 10);
    bench_flush(bench);
    expect_call(bench, "take q:a 10");
    bench_unconsume(bench, 0, 8); /* before the answer */
    bench_done(bench);
    bench_consume(bench, 0, 9, "q:a", 10);
    bench_flush(bench);
    expect_call(bench, "take q:a 10");
}

/* ---- takes that fail ---- */

static void a_take_that_the_server_refuses_is_tried_again_by_the_sweep(void **state) {
    struct queues_bench *bench = *state;
    bench_consume(bench, 0, 1, "q:a", 1);
    bench_consume(bench, 0, 2, "q:b", 1);
    bench_flush(bench);
    queues_ready(bench->queues, BYTES("q:a")); /* no reason to try at once */
    scripted_queues_fail(&bench->store, QUEUE_FAILED);
    bench_tick(bench, QUEUES_SWEEP_MS - 1);
    expect_call(bench, NULL);
    bench_tick(bench, 1);
    assert_int_equal(count_wants(bench), 2);
}

static void then_each_queue_of_it_for_itself(void **state) {
    struct queues_bench *bench = *state;
    a_take_that_the_server_refuses_is_tried_again_by_the_sweep(state);
    bench_consume(bench, 0, 3, "q:c", 1);
    bench_flush(bench);
    expect_call(bench, "take q:a 1");
    scripted_queues_fail(&bench->store, QUEUE_FAILED);
    expect_call(bench, "take q:b 1");
    bench_done(bench);
    expect_call(bench, "take q:c 1");
    bench_done(bench);
    bench_tick(bench, QUEUES_SWEEP_MS);
    expect_call(bench, "take q:a 1");
    scripted_queues_fail(&bench->store, QUEUE_FAILED);
    expect_call(bench, "take q:b 1, q:c 1"); /* they were not to blame */
    bench_done(bench);
    queues_ready(bench->queues, BYTES("q:c"));
    bench_tick(bench, QUEUES_SWEEP_MS);
    expect_call(bench, "take q:c 1");
    bench_done(bench);
    expect_call(bench, "take q:a 1");
    bench_done(bench);
    expect_call(bench, "take q:b 1");
    bench_done(bench);
    bench_tick(bench, QUEUES_SWEEP_MS);
    expect_call(bench, "take q:c 1, q:a 1, q:b 1");
}

static void a_take_that_is_made_again_asks_for_the_same(void **state) {
    struct queues_bench *bench = *state;
    bench_consume(bench, 0, 1, "q:a", 1);
    bench_consume(bench, 0, 2, "q:b", 1);
    bench_flush(bench);
    scripted_queues_fail_all(&bench->store, QUEUE_AWAY);
    queues_down(bench->queues);
    bench_unconsume(bench, 0, 1);
    bench_consume(bench, 0, 3, "q:b", 10);
    bench_flush(bench);
    bench_mail(bench, 0);
    queues_up(bench->queues, false);
    bench_flush(bench);
    expect_call(bench, "take q:a 1, q:b 1");
    GIVE(bench, {.n = 5}, {.want = 1, .n = 6});
    expect_mail(bench, 0, "2 gets 6");
    expect_call(bench, "uncounted q:a 5");
}

/* ---- dead letters ---- */

static void expect_head(const struct message *message, const char *head) {
    struct bytes found = message_head(message, 2);
    assert_int_equal(found.len, strlen(head));
    assert_memory_equal(found.data, head, found.len);
}

static void dead_letters_say_from_where_and_why(void **state) {
    struct queues_bench *bench = *state;
    static const struct given given[] = {
        {.n = 1, .dead = DEAD_REJECTED, .dead_from = "q:a:b", .size = QUEUE_TAKE_BYTES},
        {.n = 2, .dead = DEAD_MAX_DELIVERIES, .dead_from = "d:ann/1", .size = QUEUE_TAKE_BYTES},
        {.n = 3, .dead = DEAD_FULL, .dead_from = "a:/app/**", .size = QUEUE_TAKE_BYTES},
        {.n = 4},
    };
    static const char *const heads[] = {
        "dead-letter-from:/queue/a\\cb\ndead-letter-reason:rejected\n",
        "dead-letter-from:ann/1\ndead-letter-reason:max-deliveries\n",
        "dead-letter-from:/app/**\ndead-letter-reason:full\n",
        "",
    };
    bench_consume(bench, 0, 7, "q:a.dead", 10);
    bench_flush(bench);
    for (size_t n = 0; n < 4; n++) {
        char head[256];
        bench_give(bench, &given[n], 1);
        bench_mail(bench, 0);
        snprintf(head, sizeof head, "%sdestination:/queue/sent\nmessage-id:1\ncontent-length:0\n\n", heads[n]);
        expect_head(bench->last, head);
        assert_int_equal(bench->last->owners, BENCH_WORKERS);
    }
}

static void a_dead_letter_counts_as_unwritten_with_its_new_headers(void **state) {
    struct queues_bench *bench = *state;
    bench_consume(bench, 0, 7, "q:a.dead", 10);
    bench_flush(bench);
    GIVE(bench, {.n = 1, .dead = DEAD_REJECTED, .dead_from = "q:a", .body_len = QUEUES_UNWRITTEN_MAX});
    bench_mail(bench, 0);
    bench_written(bench, 0, 7, message_size(bench->last) - QUEUES_UNWRITTEN_MAX);
    queues_ready(bench->queues, BYTES("q:a.dead"));
    bench_flush(bench);
    expect_call(bench, NULL);
    bench_written(bench, 0, 7, 1);
    bench_flush(bench);
    expect_call(bench, "take q:a.dead 9");
}

#define TEST(function)      cmocka_unit_test_setup_teardown(function, queues_bench_setup, queues_bench_teardown)
#define TEST_DOWN(function) cmocka_unit_test_setup_teardown(function, queues_bench_setup_down, queues_bench_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_consumer_is_confirmed_at_once),
        TEST_DOWN(also_while_the_store_is_away_but_it_gets_nothing_then),
        TEST(a_delivery_has_all_that_the_entry_has),
        TEST(a_queue_is_asked_for_what_all_its_consumers_may_get),
        TEST(but_not_for_more_than_a_bound),
        TEST(more_queues_than_a_call_holds_make_several),
        TEST(so_many_takes_are_under_way),
        TEST(one_take_of_a_queue_is_under_way),
        TEST(a_consumer_has_no_more_than_its_prefetch),
        TEST(credit_comes_with_the_change_and_not_with_its_result),
        TEST(who_has_too_much_unwritten_has_no_credit),
        TEST(settling_does_not_count_as_written),
        TEST(one_message_of_any_size_fits),
        TEST(what_is_left_of_a_take_goes_to_others_before_those_who_have_too_much),
        TEST(the_consumers_of_a_session_together_have_a_bound_on_what_is_unwritten),
        TEST(what_was_taken_for_a_session_it_gets),
        TEST(what_consumers_had_that_have_gone_does_not_count),
        TEST(for_one_session_so_many_queues_are_taken_from_at_a_time),
        TEST(a_queue_that_others_consume_too_does_not_wait_for_that),
        TEST(a_session_that_reads_nothing_gets_a_bounded_number_of_bytes_however_many_queues_it_consumes),
        TEST(nor_does_it_get_more_of_what_was_taken_for_others),
        TEST(entries_go_one_by_one_to_each_in_turn),
        TEST(the_turn_goes_on_with_the_next_take),
        TEST(who_settles_fast_does_not_get_ahead_of_others),
        TEST(each_queue_has_its_own_consumers),
        TEST(what_comes_for_a_consumer_that_has_gone_is_returned),
        TEST(or_goes_to_another_who_has_come),
        TEST(a_consumer_that_has_gone_gets_nothing),
        TEST(what_was_still_in_the_mail_is_given_back_after_its_end),
        TEST(then_it_is_known_no_more),
        TEST(a_queue_that_gave_less_than_was_wanted_waits_for_word),
        TEST(the_stores_own_word_does_too),
        TEST(word_that_comes_while_a_take_is_under_way_is_not_lost),
        TEST(a_queue_that_gave_all_that_was_wanted_is_asked_again_at_once),
        TEST(a_take_that_was_cut_short_by_its_bytes_does_not_mean_empty),
        TEST(an_empty_queue_is_swept_in_its_time),
        TEST(many_are_swept_at_a_bounded_rate),
        TEST(when_the_store_is_back_all_are_asked),
        TEST(a_new_consumer_of_an_empty_queue_waits_with_the_others),
        TEST(the_first_consumer_after_a_time_without_asks_anew),
        TEST(a_take_that_the_server_refuses_is_tried_again_by_the_sweep),
        TEST(then_each_queue_of_it_for_itself),
        TEST(a_take_that_is_made_again_asks_for_the_same),
        TEST(dead_letters_say_from_where_and_why),
        TEST(a_dead_letter_counts_as_unwritten_with_its_new_headers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
