/* Mail in and out in words, and answers of the store; see durables_bench.h. */
#include "durables_bench.h"

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

/* ---- life ---- */

static void on_wake(void *arg) {
    (void)arg;
}

static int set_up(void **state, bool cluster) {
    struct hub_bench *bench = calloc(1, sizeof *bench);
    assert_non_null(bench);
    scripted_queues_init(&bench->store);
    for (unsigned n = 0; n < WORKERS; n++) {
        mailbox_init(&bench->boxes[n], on_wake, NULL);
        bench->mailboxes[n] = &bench->boxes[n];
    }
    bench->cluster = cluster;
    bench->now_ms = START;
    bench->queues = queues_new(&(struct queues_conf){.workers = WORKERS,
                                                     .mailboxes = bench->mailboxes,
                                                     .store = &bench->store.store,
                                                     .policies = &bench->policies,
                                                     .up = !cluster},
                               START);
    assert_non_null(bench->queues);
    bench->durables = durables_new(&(struct durables_conf){.workers = WORKERS,
                                                           .mailboxes = bench->mailboxes,
                                                           .cluster = cluster,
                                                           .per_user = PER_USER,
                                                           .store = &bench->store.store,
                                                           .queues = bench->queues},
                                   START);
    assert_non_null(bench->durables);
    *state = bench;
    return 0;
}

int hub_set_up_alone(void **state) {
    return set_up(state, false);
}

int hub_set_up_cluster(void **state) {
    return set_up(state, true);
}

int hub_tear_down(void **state) {
    struct hub_bench *bench = *state;
    queues_free(bench->queues);
    durables_free(bench->durables);
    scripted_queues_free(&bench->store);
    for (unsigned n = 0; n < WORKERS; n++)
        hub_mail_of(bench, n);
    policies_free(&bench->policies);
    buffer_free(&bench->text);
    free(bench);
    return 0;
}

/* ---- from a worker, as the hub passes it on ---- */

static bool take(struct hub_bench *bench, const struct mail *mail) {
    return durables_take_mail(bench->durables, mail, bench->now_ms) ||
           queues_take_mail(bench->queues, mail, bench->now_ms);
}

void hub_say(struct hub_bench *bench, enum mail_type type, unsigned worker, uint64_t consumer, const char *queue,
             const char *topic) {
    struct bytes name = bytes_of(queue), destination = bytes_of(topic);
    struct mail_consume *mail = malloc(sizeof *mail + name.len + destination.len);
    assert_non_null(mail);
    *mail = (struct mail_consume){.mail.type = type,
                                  .pending = (struct pending *)(uintptr_t)(type == MAIL_FORGET ? consumer : 0),
                                  .from = worker,
                                  .consumer = consumer,
                                  .prefetch = 10,
                                  .queue_len = name.len,
                                  .topic_len = destination.len};
    memcpy(mail->text, name.data, name.len);
    memcpy(mail->text + name.len, destination.data, destination.len);
    assert_true(take(bench, &mail->mail));
    free(mail);
}

void hub_subscribe(struct hub_bench *bench, uint64_t consumer, const char *queue, const char *topic) {
    hub_say(bench, MAIL_CONSUME, 0, consumer, queue, topic);
}

/* For pending number 77. */
void hub_end(struct hub_bench *bench, const char *queue) {
    hub_say(bench, MAIL_FORGET, 0, 77, queue, "");
}

/* Whether it was durables' alone. */
bool hub_unsubscribe(struct hub_bench *bench, uint64_t consumer) {
    struct mail_consumer mail = {.mail.type = MAIL_UNCONSUME, .from = 0, .consumer = consumer};
    bool durables_only = durables_take_mail(bench->durables, &mail.mail, bench->now_ms);
    assert_true(durables_only || queues_take_mail(bench->queues, &mail.mail, bench->now_ms));
    return durables_only;
}

struct message *hub_message_to(const char *destination, const char *text, size_t len) {
    struct stomp_publication publication = {.destination = bytes_of(destination),
                                            .message_id = BYTES("1"),
                                            .body = {text, len},
                                            .route = ROUTE_TOPIC,
                                            .key = bytes_of(destination)};
    struct message *message = stomp_write_message(WORKERS, &publication);
    assert_non_null(message);
    return message;
}

/* Takes the reference over. */
void hub_publish_message(struct hub_bench *bench, unsigned worker, struct message *message) {
    struct mail_publish mail = {.mail.type = MAIL_PUBLISH, .from = worker, .message = message};
    bool taken = durables_take_mail(bench->durables, &mail.mail, bench->now_ms);
    assert_int_equal(taken, !bench->cluster);
    if (!taken)
        message_unref(message);
}

void hub_publish(struct hub_bench *bench, const char *destination, const char *text) {
    hub_publish_message(bench, 0, hub_message_to(destination, text, strlen(text)));
}

void hub_publish_large(struct hub_bench *bench, const char *destination, size_t len) {
    char *body = calloc(1, len);
    assert_non_null(body);
    hub_publish_message(bench, 0, hub_message_to(destination, body, len));
    free(body);
}

/* ---- turns ---- */

/* One of the hub's, as hub.c has it. */
void hub_flush(struct hub_bench *bench) {
    bool called;
    do {
        called = durables_flush(bench->durables, bench->now_ms);
        queues_flush(bench->queues, bench->now_ms);
    } while (called);
}

void hub_pass(struct hub_bench *bench, uint64_t ms) {
    bench->now_ms += ms;
    queues_tick(bench->queues, bench->now_ms);
    hub_flush(bench);
}

void hub_come_up(struct hub_bench *bench) {
    queues_up(bench->queues, false);
    durables_up(bench->durables, bench->now_ms);
    hub_flush(bench);
}

/* As the store does it: first all calls are answered. */
void hub_go_down(struct hub_bench *bench) {
    scripted_queues_fail_all(&bench->store, QUEUE_AWAY);
    queues_down(bench->queues);
    durables_down(bench->durables);
    hub_flush(bench);
}

/* ---- to a worker ---- */

static void PRINTF_LIKE(2, 3) add(struct hub_bench *bench, const char *format, ...) {
    char text[128];
    va_list values;
    va_start(values, format);
    int len = vsnprintf(text, sizeof text, format, values);
    va_end(values);
    assert_true(bench->text.len == 0 || buffer_append(&bench->text, "; ", 2));
    assert_true(buffer_append(&bench->text, text, (size_t)len));
}

static void add_interest(struct hub_bench *bench, const char *what, const struct mail_interest *mail) {
    assert_int_equal(mail->from, WORKERS);
    add(bench, "%s %.*s%s", what, (int)mail->key_len, mail->key, mail->kind == INTEREST_PATTERN ? " (pattern)" : "");
}

static void add_mail(struct hub_bench *bench, unsigned worker, const struct mail *mail) {
    static const char *const outcomes[] = {
        [CONSUMING] = "consuming", [CONSUMING_TAKEN] = "taken", [CONSUMING_TOO_MANY] = "too many"};
    switch ((enum mail_type)mail->type) {
    case MAIL_ANNOUNCE:
        add_interest(bench, "announce", (const struct mail_interest *)mail);
        break;
    case MAIL_WITHDRAW:
        add_interest(bench, "withdraw", (const struct mail_interest *)mail);
        break;
    case MAIL_CONSUMING: {
        const struct mail_consumer *consumer = (const struct mail_consumer *)mail;
        add(bench, "%s %" PRIu64, outcomes[consumer->consuming], consumer->consumer);
        break;
    }
    case MAIL_CHANGED: {
        const struct mail_changed *changed = (const struct mail_changed *)mail;
        assert_int_equal(changed->result, CHANGE_DONE);
        add(bench, "changed %" PRIuPTR, (uintptr_t)changed->pending);
        break;
    }
    case MAIL_CREDIT:
        bench->credit[worker] += ((const struct mail_credit *)mail)->bytes;
        break;
    default:
        fail_msg("mail of type %u", mail->type);
    }
}

/* What the worker got since the last look, in order, but for credit. */
const char *hub_mail_of(struct hub_bench *bench, unsigned worker) {
    struct mail *mail = mailbox_take(&bench->boxes[worker]);
    bench->text.len = 0;
    while (mail) {
        struct mail *next = mail->next;
        add_mail(bench, worker, mail);
        free(mail);
        mail = next;
    }
    assert_true(buffer_append(&bench->text, "", 1));
    return bench->text.data;
}

void hub_expect_mail(struct hub_bench *bench, unsigned worker, const char *text) {
    assert_string_equal(hub_mail_of(bench, worker), text);
}

/* The worker confirms the announcement that it got last: number `id` of that topic. */
void hub_confirm(struct hub_bench *bench, unsigned worker, uint64_t id, const char *topic, enum interest_kind kind) {
    struct bytes key = bytes_of(topic);
    struct mail_interest *mail = malloc(sizeof *mail + key.len);
    assert_non_null(mail);
    *mail =
        (struct mail_interest){.mail.type = MAIL_CONFIRM, .from = worker, .kind = kind, .id = id, .key_len = key.len};
    memcpy(mail->key, key.data, key.len);
    assert_true(take(bench, &mail->mail));
    free(mail);
}

/* ---- the store ---- */

/* The oldest call without an answer is this one; NULL: there is none. */
void hub_expect_call(struct hub_bench *bench, const char *text) {
    if (text)
        assert_string_equal(scripted_queues_first(&bench->store)->text.data, text);
    else
        assert_int_equal(bench->store.waiting, 0);
}

/* The oldest call is this one, and is answered so; a turn ends. */
void hub_answer(struct hub_bench *bench, const char *call, struct queue_answer *with) {
    hub_expect_call(bench, call);
    scripted_queues_answer(&bench->store, with);
    hub_flush(bench);
}

void hub_answer_version(struct hub_bench *bench, const char *call, uint64_t version, uint64_t everywhere) {
    hub_answer(bench, call, &(struct queue_answer){.life = LIFE, .version = version, .everywhere = everywhere});
}

void hub_answer_life(struct hub_bench *bench, const char *call, uint64_t life, uint64_t version) {
    hub_answer(bench, call, &(struct queue_answer){.life = life, .version = version, .complete = true});
}

void hub_answer_result(struct hub_bench *bench, const char *call, enum queue_result result) {
    hub_answer(bench, call, &(struct queue_answer){.result = result});
}

/* A look's answer: pairs of queue and topic, in an array that NULL ends. */
void hub_answer_list(struct hub_bench *bench, const char *call, uint64_t version, uint64_t everywhere, bool complete,
                     const char *const *pairs) {
    struct queue_binding bindings[8];
    size_t count = 0;
    for (; pairs[2 * count]; count++)
        bindings[count] = (struct queue_binding){bytes_of(pairs[2 * count]), bytes_of(pairs[2 * count + 1])};
    hub_answer(bench, call,
               &(struct queue_answer){.life = LIFE,
                                      .version = version,
                                      .everywhere = everywhere,
                                      .bindings = bindings,
                                      .binding_count = count,
                                      .complete = complete});
}

/* The link is new, and this node knows nothing yet: it learns version `version` and acts by it, as all do. */
void hub_learn(struct hub_bench *bench, uint64_t version, const char *const *pairs) {
    char look[32];
    hub_come_up(bench);
    hub_answer_list(bench, "look 0", version, 0, true, pairs);
    snprintf(look, sizeof look, "look %" PRIu64, version);
    hub_answer_list(bench, look, version, version, false, NO_LIST);
    hub_expect_call(bench, NULL);
}

/* The same, and consumer 1 consumes from d:ann/1. */
void hub_learn_and_serve(struct hub_bench *bench) {
    hub_learn(bench, LIFE + 1, LIST("d:ann/1", "/topic/a"));
    hub_subscribe(bench, 1, "d:ann/1", "/topic/a");
    hub_flush(bench);
    hub_answer_version(bench, "bind d:ann/1 /topic/a", LIFE + 1, LIFE + 1);
    hub_expect_mail(bench, 0, "consuming 1");
    hub_answer_result(bench, "take d:ann/1 10", QUEUE_OK);
}

size_t hub_subscriptions(const struct hub_bench *bench) {
    struct durables_counters counters;
    durables_count(bench->durables, &counters);
    return counters.subscriptions;
}

size_t hub_dropped(const struct hub_bench *bench) {
    struct durables_counters counters;
    durables_count(bench->durables, &counters);
    return counters.dropped;
}
