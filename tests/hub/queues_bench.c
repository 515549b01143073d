/* Mail in and out in words; see queues_bench.h. */
#include "queues_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "stompd/session/session.h"
#include "stompd/stomp/writer.h"

static void on_wake(void *arg) {
    ++*(unsigned *)arg;
}

static int set_up(void **state, bool up) {
    struct queues_bench *bench = calloc(1, sizeof *bench);
    assert_non_null(bench);
    scripted_queues_init(&bench->store);
    for (unsigned n = 0; n < BENCH_WORKERS; n++) {
        mailbox_init(&bench->boxes[n], on_wake, &bench->wakes[n]);
        bench->mailboxes[n] = &bench->boxes[n];
    }
    bench->now_ms = BENCH_START;
    bench->queues = queues_new(&(struct queues_conf){.workers = BENCH_WORKERS,
                                                     .mailboxes = bench->mailboxes,
                                                     .store = &bench->store.store,
                                                     .policies = &bench->policies,
                                                     .up = up},
                               bench->now_ms);
    assert_non_null(bench->queues);
    *state = bench;
    return 0;
}

int queues_bench_setup(void **state) {
    return set_up(state, true);
}

int queues_bench_setup_down(void **state) {
    return set_up(state, false);
}

int queues_bench_teardown(void **state) {
    struct queues_bench *bench = *state;
    queues_free(bench->queues);
    scripted_queues_free(&bench->store);
    for (unsigned n = 0; n < BENCH_WORKERS; n++)
        bench_mail(bench, n);
    if (bench->last)
        message_unref(bench->last);
    buffer_free(&bench->text);
    free(bench);
    return 0;
}

/* ---- from a worker ---- */

static void post(struct queues_bench *bench, const struct mail *mail) {
    assert_true(queues_take_mail(bench->queues, mail, bench->now_ms));
}

void bench_consume(struct queues_bench *bench, unsigned worker, uint64_t consumer, const char *queue,
                   uint32_t prefetch) {
    bench_consume_in(bench, consumer, worker, consumer, queue, prefetch);
}

void bench_consume_in(struct queues_bench *bench, uint64_t session, unsigned worker, uint64_t consumer,
                      const char *queue, uint32_t prefetch) {
    struct bytes name = bytes_of(queue);
    struct mail_consume *mail = malloc(sizeof *mail + name.len);
    assert_non_null(mail);
    *mail = (struct mail_consume){.mail.type = MAIL_CONSUME,
                                  .from = worker,
                                  .session = session,
                                  .consumer = consumer,
                                  .prefetch = prefetch,
                                  .queue_len = name.len};
    memcpy(mail->text, name.data, name.len);
    post(bench, &mail->mail);
    free(mail);
}

static void post_consumer(struct queues_bench *bench, enum mail_type type, unsigned worker, uint64_t consumer,
                          uint64_t bytes) {
    struct mail_consumer mail = {.mail.type = type, .from = worker, .consumer = consumer, .bytes = bytes};
    post(bench, &mail.mail);
}

void bench_unconsume(struct queues_bench *bench, unsigned worker, uint64_t consumer) {
    post_consumer(bench, MAIL_UNCONSUME, worker, consumer, 0);
}

void bench_written(struct queues_bench *bench, unsigned worker, uint64_t consumer, uint64_t bytes) {
    post_consumer(bench, MAIL_WRITTEN, worker, consumer, bytes);
}

void bench_change(struct queues_bench *bench, unsigned worker, struct change *change) {
    struct mail_change mail = {.mail.type = MAIL_CHANGE, .from = worker, .change = change};
    post(bench, &mail.mail);
}

struct change *bench_change_new(uintptr_t pending) {
    struct change *change = change_new();
    assert_non_null(change);
    change->pending = (struct pending *)pending; /* NOLINT(performance-no-int-to-ptr): nobody follows it */
    return change;
}

struct message *bench_message(const char *queue, size_t body_len) {
    char *body = calloc(1, body_len + 1);
    assert_non_null(body);
    struct stomp_publication publication = {.destination = BYTES("/queue/sent"),
                                            .message_id = BYTES("1"),
                                            .body = {body, body_len},
                                            .route = ROUTE_QUEUE,
                                            .key = bytes_of(queue)};
    struct message *message = stomp_write_message(BENCH_WORKERS, &publication);
    assert_non_null(message);
    free(body);
    return message;
}

void bench_add_put(struct change *change, const char *queue, size_t body_len) {
    struct operation put = {.kind = OPERATION_PUT, .message = bench_message(queue, body_len)};
    assert_true(change_add(change, &put));
}

void bench_add(struct change *change, enum operation_kind kind, uint64_t consumer, uint64_t n) {
    struct operation operation = {.kind = kind, .consumer = consumer, .entry = {.ms = 1, .n = n}};
    assert_true(change_add(change, &operation));
}

void bench_put(struct queues_bench *bench, const char *queue) {
    struct change *change = bench_change_new(0);
    bench_add_put(change, queue, 0);
    bench_change(bench, 0, change);
}

void bench_settle(struct queues_bench *bench, unsigned worker, uint64_t consumer, uint64_t n) {
    struct change *change = bench_change_new(0);
    bench_add(change, OPERATION_SETTLE, consumer, n);
    bench_change(bench, worker, change);
}

/* ---- time ---- */

void bench_flush(struct queues_bench *bench) {
    queues_flush(bench->queues, bench->now_ms);
}

void bench_tick(struct queues_bench *bench, uint64_t ms) {
    bench->now_ms += ms;
    queues_tick(bench->queues, bench->now_ms);
    bench_flush(bench);
}

/* ---- to the worker ---- */

static void PRINTF_LIKE(2, 3) add(struct queues_bench *bench, const char *format, ...) {
    char text[128];
    va_list values;
    va_start(values, format);
    int len = vsnprintf(text, sizeof text, format, values);
    va_end(values);
    assert_true(bench->text.len == 0 || buffer_append(&bench->text, "; ", 2));
    assert_true(buffer_append(&bench->text, text, (size_t)len));
}

static void add_delivery(struct queues_bench *bench, const struct mail_delivery *mail) {
    add(bench, "%" PRIu64 " gets %" PRIu64 "%s", mail->consumer, mail->entry.n, mail->deliveries > 1 ? " again" : "");
    if (bench->last)
        message_unref(bench->last);
    bench->last = mail->message;
}

static void add_mail(struct queues_bench *bench, const struct mail *mail) {
    static const char *const results[] = {
        [CHANGE_DONE] = "done", [CHANGE_FULL] = "full", [CHANGE_LOST] = "lost", [CHANGE_FAILED] = "failed"};
    if (mail->type == MAIL_CHANGED) {
        const struct mail_changed *changed = (const struct mail_changed *)mail;
        add(bench, "changed %" PRIuPTR " %s", (uintptr_t)changed->pending, results[changed->result]);
    } else if (mail->type == MAIL_CONSUMING) {
        add(bench, "consuming %" PRIu64, ((const struct mail_consumer *)mail)->consumer);
    } else {
        assert_int_equal(mail->type, MAIL_DELIVERY);
        add_delivery(bench, (const struct mail_delivery *)mail);
    }
}

const char *bench_mail(struct queues_bench *bench, unsigned worker) {
    struct mail *mail = mailbox_take(&bench->boxes[worker]);
    bench->text.len = 0;
    while (mail) {
        struct mail *next = mail->next;
        add_mail(bench, mail);
        free(mail);
        mail = next;
    }
    assert_true(buffer_append(&bench->text, "", 1));
    return bench->text.data;
}

void expect_mail(struct queues_bench *bench, unsigned worker, const char *text) {
    assert_string_equal(bench_mail(bench, worker), text);
}

/* ---- the store ---- */

void expect_call(struct queues_bench *bench, const char *text) {
    if (text)
        assert_string_equal(scripted_queues_first(&bench->store)->text.data, text);
    else
        assert_int_equal(bench->store.waiting, 0);
}

static struct queue_entry entry_of(const struct given *given) {
    return (struct queue_entry){
        .want = given->want,
        .entry = {.ms = 1, .n = given->n, .size = given->size > 0 ? given->size : 100},
        .deliveries = given->deliveries > 0 ? given->deliveries : 1,
        .message = bench_message("q:stored", given->body_len),
        .dead_from = given->dead_from ? bytes_of(given->dead_from) : (struct bytes){0},
        .dead = given->dead,
    };
}

void bench_give(struct queues_bench *bench, const struct given *given, size_t count) {
    struct queue_entry *entries = calloc(count + 1, sizeof *entries);
    assert_non_null(entries);
    for (size_t n = 0; n < count; n++)
        entries[n] = entry_of(&given[n]);
    scripted_queues_answer(&bench->store, &(struct queue_answer){.entries = entries, .entry_count = count});
    free(entries);
    bench_flush(bench);
}

void bench_give_range(struct queues_bench *bench, uint64_t first, uint64_t last) {
    size_t count = last < first ? 0 : (size_t)(last - first + 1);
    struct given *given = calloc(count + 1, sizeof *given);
    assert_non_null(given);
    for (size_t n = 0; n < count; n++)
        given[n].n = first + n;
    bench_give(bench, given, count);
    free(given);
}

void bench_done(struct queues_bench *bench) {
    scripted_queues_done(&bench->store);
    bench_flush(bench);
}

void bench_result(struct queues_bench *bench, enum change_result result) {
    scripted_queues_result(&bench->store, result);
    bench_flush(bench);
}

struct queues_counters bench_count(const struct queues_bench *bench) {
    struct queues_counters counters;
    queues_count(bench->queues, &counters);
    return counters;
}
