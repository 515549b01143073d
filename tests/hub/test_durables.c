/* Durable subscriptions: binding, what all nodes know, publications, ends, links that break; on a scripted store. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../src/hub/durables.h"
#include "scripted_queues.h"
#include "stompd/edge/router.h"
#include "stompd/session/session.h"
#include "stompd/stomp/writer.h"

#define WORKERS  2
#define START    UINT64_C(100000) /* ms */
#define PER_USER 3
#define LIFE     1000 /* versions of the store's first life begin here */

struct bench {
    struct scripted_queues store;
    struct mailbox boxes[WORKERS];
    struct mailbox *mailboxes[WORKERS];
    struct policies policies;
    struct queues *queues;
    struct durables *durables;
    bool cluster;
    uint64_t now_ms;
    uint64_t credit[WORKERS]; /* that the workers got so far */
    struct buffer text;
};

/* ---- life ---- */

static void on_wake(void *arg) {
    (void)arg;
}

static int set_up(void **state, bool cluster) {
    struct bench *bench = calloc(1, sizeof *bench);
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

static int set_up_alone(void **state) {
    return set_up(state, false);
}

static int set_up_cluster(void **state) {
    return set_up(state, true);
}

static const char *mail_of(struct bench *bench, unsigned worker);

static int tear_down(void **state) {
    struct bench *bench = *state;
    queues_free(bench->queues);
    durables_free(bench->durables);
    scripted_queues_free(&bench->store);
    for (unsigned n = 0; n < WORKERS; n++)
        mail_of(bench, n);
    policies_free(&bench->policies);
    buffer_free(&bench->text);
    free(bench);
    return 0;
}

/* ---- from a worker, as the hub passes it on ---- */

static bool take(struct bench *bench, const struct mail *mail) {
    return durables_take_mail(bench->durables, mail, bench->now_ms) ||
           queues_take_mail(bench->queues, mail, bench->now_ms);
}

static void say(struct bench *bench, enum mail_type type, unsigned worker, uint64_t consumer, const char *queue,
                const char *topic) {
    size_t queue_len = strlen(queue), topic_len = strlen(topic);
    struct mail_consume *mail = malloc(sizeof *mail + queue_len + topic_len);
    assert_non_null(mail);
    *mail = (struct mail_consume){.mail.type = type,
                                  .from = worker,
                                  .consumer = consumer,
                                  .prefetch = 10,
                                  .queue_len = queue_len,
                                  .topic_len = topic_len};
    memcpy(mail->text, queue, queue_len);
    memcpy(mail->text + queue_len, topic, topic_len);
    assert_true(take(bench, &mail->mail));
    free(mail);
}

static void subscribe(struct bench *bench, uint64_t consumer, const char *queue, const char *topic) {
    say(bench, MAIL_CONSUME, 0, consumer, queue, topic);
}

static void end(struct bench *bench, const char *queue) {
    say(bench, MAIL_FORGET, 0, 0, queue, "");
}

/* Whether it was durables' alone. */
static bool unsubscribe(struct bench *bench, uint64_t consumer) {
    struct mail_consumer mail = {.mail.type = MAIL_UNCONSUME, .from = 0, .consumer = consumer};
    bool durables_only = durables_take_mail(bench->durables, &mail.mail, bench->now_ms);
    assert_true(durables_only || queues_take_mail(bench->queues, &mail.mail, bench->now_ms));
    return durables_only;
}

static struct message *message_to(const char *destination, const char *text, size_t len) {
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
static void publish_message(struct bench *bench, unsigned worker, struct message *message) {
    struct mail_publish mail = {.mail.type = MAIL_PUBLISH, .from = worker, .message = message};
    bool taken = durables_take_mail(bench->durables, &mail.mail, bench->now_ms);
    assert_int_equal(taken, !bench->cluster);
    if (!taken)
        message_unref(message);
}

static void publish(struct bench *bench, const char *destination, const char *text) {
    publish_message(bench, 0, message_to(destination, text, strlen(text)));
}

static void publish_large(struct bench *bench, const char *destination, size_t len) {
    char *body = calloc(1, len);
    assert_non_null(body);
    publish_message(bench, 0, message_to(destination, body, len));
    free(body);
}

/* ---- turns ---- */

/* One of the hub's, as hub.c has it. */
static void flush(struct bench *bench) {
    bool called;
    do {
        called = durables_flush(bench->durables, bench->now_ms);
        queues_flush(bench->queues, bench->now_ms);
    } while (called);
}

static void pass(struct bench *bench, uint64_t ms) {
    bench->now_ms += ms;
    queues_tick(bench->queues, bench->now_ms);
    flush(bench);
}

static void come_up(struct bench *bench) {
    queues_up(bench->queues);
    durables_up(bench->durables, bench->now_ms);
    flush(bench);
}

/* As the store does it: first all calls are answered. */
static void go_down(struct bench *bench) {
    scripted_queues_fail_all(&bench->store, QUEUE_AWAY);
    queues_down(bench->queues);
    durables_down(bench->durables);
    flush(bench);
}

/* ---- to a worker ---- */

static void PRINTF_LIKE(2, 3) add(struct bench *bench, const char *format, ...) {
    char text[128];
    va_list values;
    va_start(values, format);
    int len = vsnprintf(text, sizeof text, format, values);
    va_end(values);
    assert_true(bench->text.len == 0 || buffer_append(&bench->text, "; ", 2));
    assert_true(buffer_append(&bench->text, text, (size_t)len));
}

static void add_interest(struct bench *bench, const char *what, const struct mail_interest *mail) {
    assert_int_equal(mail->from, WORKERS);
    add(bench, "%s %.*s%s", what, (int)mail->key_len, mail->key, mail->kind == INTEREST_PATTERN ? " (pattern)" : "");
}

static void add_mail(struct bench *bench, unsigned worker, const struct mail *mail) {
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
    case MAIL_CREDIT:
        bench->credit[worker] += ((const struct mail_credit *)mail)->bytes;
        break;
    default:
        fail_msg("mail of type %u", mail->type);
    }
}

/* What the worker got since the last look, in order, but for credit. */
static const char *mail_of(struct bench *bench, unsigned worker) {
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

static void expect_mail(struct bench *bench, unsigned worker, const char *text) {
    assert_string_equal(mail_of(bench, worker), text);
}

/* The worker confirms the announcement that it got last: number `id` of that topic. */
static void confirm(struct bench *bench, unsigned worker, uint64_t id, const char *topic, enum interest_kind kind) {
    size_t len = strlen(topic);
    struct mail_interest *mail = malloc(sizeof *mail + len);
    assert_non_null(mail);
    *mail = (struct mail_interest){.mail.type = MAIL_CONFIRM, .from = worker, .kind = kind, .id = id, .key_len = len};
    memcpy(mail->key, topic, len);
    assert_true(take(bench, &mail->mail));
    free(mail);
}

/* ---- the store ---- */

/* The oldest call without an answer is this one; NULL: there is none. */
static void expect_call(struct bench *bench, const char *text) {
    if (text)
        assert_string_equal(scripted_queues_first(&bench->store)->text.data, text);
    else
        assert_int_equal(bench->store.waiting, 0);
}

/* The oldest call is this one, and is answered so; a turn ends. */
static void answer(struct bench *bench, const char *call, struct queue_answer *with) {
    expect_call(bench, call);
    scripted_queues_answer(&bench->store, with);
    flush(bench);
}

static void answer_version(struct bench *bench, const char *call, uint64_t version, uint64_t everywhere) {
    answer(bench, call, &(struct queue_answer){.life = LIFE, .version = version, .everywhere = everywhere});
}

static void answer_result(struct bench *bench, const char *call, enum queue_result result) {
    answer(bench, call, &(struct queue_answer){.result = result});
}

/* A look's answer: pairs of queue and topic, in an array that NULL ends. */
static void answer_list(struct bench *bench, const char *call, uint64_t version, uint64_t everywhere, bool complete,
                        const char *const *pairs) {
    struct queue_binding bindings[8];
    size_t count = 0;
    for (; pairs[2 * count]; count++)
        bindings[count] = (struct queue_binding){bytes_of(pairs[2 * count]), bytes_of(pairs[2 * count + 1])};
    answer(bench, call,
           &(struct queue_answer){.life = LIFE,
                                  .version = version,
                                  .everywhere = everywhere,
                                  .bindings = bindings,
                                  .binding_count = count,
                                  .complete = complete});
}

#define LIST(...) ((const char *const[]){__VA_ARGS__, NULL})
#define NO_LIST   ((const char *const[]){NULL})

/* The link is new, and this node knows nothing yet: it learns version `version` and acts by it, as all do. */
static void learn(struct bench *bench, uint64_t version, const char *const *pairs) {
    char look[32];
    come_up(bench);
    answer_list(bench, "look 0", version, 0, true, pairs);
    snprintf(look, sizeof look, "look %" PRIu64, version);
    answer_list(bench, look, version, version, false, NO_LIST);
    expect_call(bench, NULL);
}

/* The same, and consumer 1 consumes from d:ann/1. */
static void learn_and_serve(struct bench *bench) {
    learn(bench, LIFE + 1, LIST("d:ann/1", "/topic/a"));
    subscribe(bench, 1, "d:ann/1", "/topic/a");
    flush(bench);
    answer_version(bench, "bind d:ann/1 /topic/a", LIFE + 1, LIFE + 1);
    expect_mail(bench, 0, "consuming 1");
    answer_result(bench, "take d:ann/1 10", QUEUE_OK);
}

static size_t subscriptions(const struct bench *bench) {
    struct durables_counters counters;
    durables_count(bench->durables, &counters);
    return counters.subscriptions;
}

static size_t dropped(const struct bench *bench) {
    struct durables_counters counters;
    durables_count(bench->durables, &counters);
    return counters.dropped;
}

/* ---- in a cluster: subscribing ---- */

static void a_subscription_is_bound_and_waits_until_all_nodes_act_by_it(void **state) {
    struct bench *bench = *state;
    learn(bench, LIFE + 1, LIST("d:bob/1", "/topic/b"));
    subscribe(bench, 1, "d:ann/1", "/topic/a.**");
    flush(bench);
    answer_version(bench, "bind d:ann/1 /topic/a.**", LIFE + 2, LIFE + 1);
    answer_list(bench, "look 1001", LIFE + 2, LIFE + 1, false, LIST("d:ann/1", "/topic/a.**"));
    answer_list(bench, "look 1002", LIFE + 2, LIFE + 1, false, NO_LIST);
    expect_call(bench, NULL);
    expect_mail(bench, 0, "");
    pass(bench, DURABLES_WAIT_MS);
    answer_list(bench, "look 1002", LIFE + 2, LIFE + 2, false, NO_LIST);
    expect_mail(bench, 0, "consuming 1");
    expect_call(bench, "take d:ann/1 10");
}

static void who_comes_back_to_what_all_know_is_served_at_once(void **state) {
    learn_and_serve(*state);
}

/* All act by more than it needs. */
static void later_changes_do_not_hold_a_subscription_up(void **state) {
    struct bench *bench = *state;
    learn(bench, LIFE + 5, LIST("d:ann/1", "/topic/a"));
    subscribe(bench, 1, "d:ann/1", "/topic/a");
    subscribe(bench, 2, "d:ann/2", "/topic/a");
    flush(bench);
    answer_version(bench, "bind d:ann/1 /topic/a", LIFE + 5, LIFE + 5);
    expect_mail(bench, 0, "consuming 1");
    answer_version(bench, "bind d:ann/2 /topic/a", LIFE + 6, LIFE + 5);
    expect_mail(bench, 0, "");
}

static void bindings_are_looked_at_from_time_to_time(void **state) {
    struct bench *bench = *state;
    learn(bench, LIFE + 1, LIST("d:bob/1", "/topic/b"));
    pass(bench, DURABLES_LOOK_MS - 1);
    expect_call(bench, NULL);
    pass(bench, 1);
    expect_call(bench, "look 1001");
    pass(bench, 10 * DURABLES_LOOK_MS); /* one at a time */
    assert_int_equal(bench->store.waiting, 1);
    answer_list(bench, "look 1001", LIFE + 3, LIFE + 1, false, LIST("d:bob/1", "", "d:bob/2", "/topic/c"));
    expect_call(bench, "look 1003");
    assert_int_equal(subscriptions(bench), 1);
    assert_true(bytes_equal(durables_topic(bench->durables, BYTES("d:bob/2")), BYTES("/topic/c")));
    assert_int_equal(durables_topic(bench->durables, BYTES("d:bob/1")).len, 0);
}

static void a_complete_list_takes_the_place_of_what_was_known(void **state) {
    struct bench *bench = *state;
    learn(bench, LIFE + 4, LIST("d:bob/1", "/topic/a", "d:bob/2", "/topic/a", "d:bob/3", "/topic/a"));
    pass(bench, DURABLES_LOOK_MS);
    answer_list(bench, "look 1004", LIFE + 9, LIFE + 4, true, LIST("d:bob/2", "/topic/a", "d:bob/3", "/topic/b"));
    assert_int_equal(subscriptions(bench), 2);
    publish(bench, "/topic/a", "1");
    publish(bench, "/topic/b", "2");
    flush(bench);
    expect_call(bench, "look 1009");
    scripted_queues_done(&bench->store);
    expect_call(bench, "put d:bob/2 | put d:bob/3");
}

/* Somebody else has written it. */
static void what_is_bound_to_no_topic_does_nothing(void **state) {
    struct bench *bench = *state;
    learn(bench, LIFE + 1,
          LIST("d:ann/1", "/queue/a", "d:ann/2", "nonsense", "d:ann/3", "/topic/", "d:ann/4", "/topic/a"));
    assert_int_equal(subscriptions(bench), 1);
}

static void a_subscription_of_another_topic_is_refused(void **state) {
    struct bench *bench = *state;
    learn(bench, LIFE + 1, LIST("d:ann/1", "/topic/a"));
    subscribe(bench, 7, "d:ann/1", "/topic/b");
    flush(bench);
    answer_result(bench, "bind d:ann/1 /topic/b", QUEUE_TAKEN);
    expect_mail(bench, 0, "taken 7");
    pass(bench, DURABLES_RETRY_MS);
    expect_call(bench, "look 1001");
    assert_int_equal(bench->store.waiting, 1);
}

static void a_user_has_so_many(void **state) {
    struct bench *bench = *state;
    learn(bench, LIFE + 3, LIST("d:ann/1", "/topic/a", "d:ann/2", "/topic/a", "d:anna/1", "/topic/a"));
    subscribe(bench, 1, "d:ann/3", "/topic/a");
    subscribe(bench, 2, "d:ann/4", "/topic/a");
    subscribe(bench, 3, "d:ann/2", "/topic/a"); /* is no new one */
    subscribe(bench, 4, "d:anna/2", "/topic/a");
    flush(bench);
    expect_mail(bench, 0, "too many 2");
    expect_call(bench, "bind d:ann/3 /topic/a");
    assert_int_equal(bench->store.waiting, 3);
}

static void those_that_are_not_known_yet_count(void **state) {
    struct bench *bench = *state;
    learn(bench, LIFE + 2, LIST("d:ann/1", "/topic/a", "d:ann/2", "/topic/a"));
    subscribe(bench, 1, "d:ann/3", "/topic/a");
    flush(bench);
    subscribe(bench, 2, "d:ann/4", "/topic/a");
    flush(bench);
    expect_mail(bench, 0, "too many 2");
    answer_version(bench, "bind d:ann/3 /topic/a", LIFE + 3, LIFE + 2);
    subscribe(bench, 3, "d:ann/5", "/topic/a");
    subscribe(bench, 4, "d:ann/3", "/topic/a");
    flush(bench);
    expect_mail(bench, 0, "too many 3; too many 4");
}

static void a_limit_may_change(void **state) {
    struct bench *bench = *state;
    learn(bench, LIFE + 2, LIST("d:ann/1", "/topic/a", "d:ann/2", "/topic/a"));
    durables_set_per_user(bench->durables, 2);
    subscribe(bench, 1, "d:ann/3", "/topic/a");
    flush(bench);
    expect_mail(bench, 0, "too many 1");
    durables_set_per_user(bench->durables, 3);
    subscribe(bench, 2, "d:ann/3", "/topic/a");
    flush(bench);
    expect_call(bench, "bind d:ann/3 /topic/a");
}

/* Nobody knows yet how many there are. */
static void nothing_is_bound_before_the_bindings_are_known(void **state) {
    struct bench *bench = *state;
    subscribe(bench, 1, "d:ann/1", "/topic/a");
    flush(bench);
    expect_call(bench, NULL);
    come_up(bench);
    answer_list(bench, "look 0", LIFE, 0, true, NO_LIST);
    expect_call(bench, "bind d:ann/1 /topic/a");
}

static void so_many_are_bound_at_a_time(void **state) {
    struct bench *bench = *state;
    char queue[32];
    learn(bench, LIFE + 1, LIST("d:bob/1", "/topic/b"));
    for (unsigned n = 0; n < DURABLES_BINDS_MAX + 1; n++) {
        snprintf(queue, sizeof queue, "d:user-%u/1", n);
        subscribe(bench, n + 1, queue, "/topic/a");
    }
    flush(bench);
    assert_int_equal(bench->store.waiting, DURABLES_BINDS_MAX);
    answer_result(bench, "bind d:user-0/1 /topic/a", QUEUE_TAKEN);
    assert_int_equal(bench->store.waiting, DURABLES_BINDS_MAX);
    while (bench->store.waiting > 1)
        scripted_queues_fail(&bench->store, QUEUE_TAKEN);
    expect_call(bench, "bind d:user-256/1 /topic/a");
}

static void what_the_store_would_not_do_is_tried_again_after_a_while(void **state) {
    static const enum queue_result results[] = {QUEUE_GONE, QUEUE_FAILED, QUEUE_AWAY};
    struct bench *bench = *state;
    learn(bench, LIFE + 1, LIST("d:ann/1", "/topic/a"));
    subscribe(bench, 1, "d:ann/2", "/topic/a");
    end(bench, "d:ann/1");
    flush(bench);
    for (size_t n = 0; n < 3; n++) {
        answer_result(bench, "unbind d:ann/1", results[n]);
        answer_result(bench, "bind d:ann/2 /topic/a", results[n]);
        if (bench->now_ms >= START + DURABLES_LOOK_MS)
            answer_result(bench, "look 1001", results[n]);
        expect_call(bench, NULL);
        pass(bench, DURABLES_RETRY_MS - 1);
        expect_call(bench, NULL);
        pass(bench, 1);
    }
    expect_call(bench, "unbind d:ann/1");
    expect_mail(bench, 0, "");
}

/* ---- unsubscribing ---- */

static void who_goes_before_it_is_bound_is_forgotten(void **state) {
    struct bench *bench = *state;
    learn(bench, LIFE + 1, LIST("d:ann/1", "/topic/a"));
    subscribe(bench, 1, "d:ann/1", "/topic/a");
    assert_true(unsubscribe(bench, 1));
    flush(bench);
    expect_call(bench, NULL);
    subscribe(bench, 2, "d:ann/1", "/topic/a");
    subscribe(bench, 3, "d:ann/9", "/topic/a");
    flush(bench);
    assert_true(unsubscribe(bench, 2));
    answer_version(bench, "bind d:ann/1 /topic/a", LIFE + 1, LIFE + 1);
    answer_version(bench, "bind d:ann/9 /topic/a", LIFE + 2, LIFE + 1);
    assert_true(unsubscribe(bench, 3));
    answer_list(bench, "look 1001", LIFE + 2, LIFE + 2, false, LIST("d:ann/9", "/topic/a"));
    expect_mail(bench, 0, "");
}

static void who_is_served_is_taken_from_the_queue_when_it_goes(void **state) {
    struct bench *bench = *state;
    learn_and_serve(bench);
    assert_false(unsubscribe(bench, 1));
    subscribe(bench, 2, "d:ann/1", "/topic/a");
    flush(bench);
    answer_version(bench, "bind d:ann/1 /topic/a", LIFE + 1, LIFE + 1);
    expect_mail(bench, 0, "consuming 2");
}

static void a_subscription_that_ends_is_unbound(void **state) {
    struct bench *bench = *state;
    learn(bench, LIFE + 1, LIST("d:ann/1", "/topic/a"));
    end(bench, "d:ann/1");
    assert_false(durables_are_settled(bench->durables));
    flush(bench);
    assert_false(durables_are_settled(bench->durables));
    answer_version(bench, "unbind d:ann/1", LIFE + 2, LIFE + 1);
    assert_true(durables_are_settled(bench->durables));
    answer_list(bench, "look 1001", LIFE + 2, LIFE + 1, false, LIST("d:ann/1", ""));
    assert_int_equal(subscriptions(bench), 0);
}

static void a_subscription_may_end_and_begin_anew_in_one_turn(void **state) {
    struct bench *bench = *state;
    learn_and_serve(bench);
    assert_false(unsubscribe(bench, 1));
    end(bench, "d:ann/1");
    subscribe(bench, 2, "d:ann/1", "/topic/b");
    flush(bench);
    answer_version(bench, "unbind d:ann/1", LIFE + 2, LIFE + 1);
    answer_version(bench, "bind d:ann/1 /topic/b", LIFE + 3, LIFE + 1);
    answer_list(bench, "look 1001", LIFE + 3, LIFE + 1, false, LIST("d:ann/1", "/topic/b"));
    answer_list(bench, "look 1003", LIFE + 3, LIFE + 3, false, NO_LIST);
    expect_mail(bench, 0, "consuming 2");
}

/* Though somebody has it open: that one gets nothing more. */
static void who_is_served_is_not_bound_again_when_another_ends_it(void **state) {
    struct bench *bench = *state;
    learn_and_serve(bench);
    pass(bench, DURABLES_LOOK_MS);
    answer_list(bench, "look 1001", LIFE + 2, LIFE + 1, false, LIST("d:ann/1", ""));
    answer_list(bench, "look 1002", LIFE + 2, LIFE + 2, false, NO_LIST);
    expect_call(bench, NULL);
}

/* ---- publications ---- */

static void publications_go_into_all_queues_that_they_reach(void **state) {
    struct bench *bench = *state;
    learn(bench, LIFE + 4,
          LIST("d:ann/1", "/topic/a.b", "d:ann/2", "/topic/a.*", "d:bob/1", "/topic/**", "d:bob/2", "/topic/c"));
    publish(bench, "/topic/a.b", "hi");
    publish(bench, "/topic/d", "ho");
    flush(bench);
    expect_call(bench, "put d:ann/1 | put d:ann/2 | put d:bob/1 | put d:bob/1");
    assert_int_equal(dropped(bench), 0);
}

static void what_is_no_publication_to_a_topic_is_let_pass(void **state) {
    struct bench *bench = *state;
    learn(bench, LIFE + 1, LIST("d:bob/1", "/topic/**"));
    struct message *message = message_to("/topic/a", "hi", 2);
    struct message *private = stomp_readdress(message, ROUTE_USER, BYTES("/topic/a"));
    assert_non_null(private);
    message_unref(message);
    publish_message(bench, 0, private);
    flush(bench);
    expect_call(bench, NULL);
}

/* Others may have been bound meanwhile. */
static void publications_wait_until_the_bindings_are_known(void **state) {
    struct bench *bench = *state;
    publish(bench, "/topic/a", "1");
    assert_false(durables_are_behind(bench->durables)); /* publishers go on */
    assert_false(durables_are_settled(bench->durables));
    come_up(bench);
    publish(bench, "/topic/b", "2");
    publish(bench, "/topic/a", "3");
    answer_list(bench, "look 0", LIFE + 1, 0, true, LIST("d:ann/1", "/topic/a"));
    expect_call(bench, "look 1001");
    scripted_queues_done(&bench->store);
    expect_call(bench, "put d:ann/1 | put d:ann/1");
    assert_true(durables_are_settled(bench->durables));
}

static void while_the_store_is_away_publications_wait_for_what_is_bound_meanwhile(void **state) {
    struct bench *bench = *state;
    learn(bench, LIFE + 1, LIST("d:ann/1", "/topic/a"));
    go_down(bench);
    publish(bench, "/topic/a", "1");
    come_up(bench);
    answer_list(bench, "look 0", LIFE + 2, 0, true, LIST("d:ann/1", "/topic/a", "d:bob/1", "/topic/*"));
    expect_call(bench, "look 1002");
    scripted_queues_done(&bench->store);
    expect_call(bench, "put d:ann/1 | put d:bob/1");
}

/* The node was none among the nodes meanwhile, and nobody waited for it. */
static void a_look_from_before_is_not_trusted(void **state) {
    struct bench *bench = *state;
    learn(bench, LIFE + 1, LIST("d:ann/1", "/topic/a"));
    pass(bench, DURABLES_LOOK_MS);
    expect_call(bench, "look 1001");
    durables_down(bench->durables);
    durables_up(bench->durables, bench->now_ms);
    publish(bench, "/topic/a", "1");
    answer_list(bench, "look 1001", LIFE + 1, 0, false, NO_LIST);
    answer_list(bench, "look 0", LIFE + 2, 0, true, LIST("d:ann/1", "/topic/a", "d:bob/1", "/topic/a"));
    expect_call(bench, "look 1002");
    scripted_queues_done(&bench->store);
    expect_call(bench, "put d:ann/1 | put d:bob/1");
}

/* Beyond the limit the oldest go where it is known that they belong, and then, beyond that of the queues, nowhere. */
static void so_much_waits_while_the_store_is_away(void **state) {
    struct bench *bench = *state;
    const size_t size = QUEUES_PUT_MAX / 4 - 4096;
    learn(bench, LIFE + 1, LIST("d:ann/1", "/topic/a", "d:bob/1", "/topic/b"));
    go_down(bench);
    for (int n = 0; n < 8; n++)
        publish_large(bench, "/topic/a", size);
    assert_int_equal(dropped(bench), 0);
    publish_large(bench, "/topic/a", size);
    publish_large(bench, "/topic/c", size);
    assert_int_equal(dropped(bench), 2);
    come_up(bench);
    answer_list(bench, "look 0", LIFE + 1, 0, true, LIST("d:ann/1", "/topic/a"));
    assert_int_equal(dropped(bench), 2);
}

static void publishers_pause_while_the_queues_have_no_room(void **state) {
    struct bench *bench = *state;
    const size_t size = QUEUES_PUT_MAX / 4 - 4096;
    learn(bench, LIFE + 2, LIST("d:ann/1", "/topic/a", "d:ann/2", "/topic/*"));
    publish_large(bench, "/topic/a", size);
    assert_false(durables_are_behind(bench->durables));
    publish_large(bench, "/topic/b", size);
    publish_large(bench, "/topic/a", size); /* half of it */
    assert_true(durables_are_behind(bench->durables));
    publish(bench, "/topic/a", "last");
    for (int n = 0; n < 5; n++)
        publish_large(bench, "/topic/c", size);
    flush(bench);
    unsigned puts = 0;
    for (; bench->store.waiting > 0; flush(bench)) {
        puts += (unsigned)scripted_queues_first(&bench->store)->count;
        scripted_queues_done(&bench->store);
    }
    assert_int_equal(puts, 12); /* each once */
    assert_false(durables_are_behind(bench->durables));
    assert_int_equal(dropped(bench), 0);
}

/* ---- policies ---- */

static void a_queue_has_the_policy_of_its_topic(void **state) {
    struct bench *bench = *state;
    struct policy *policy = policies_add(&bench->policies, "/topic/a.**");
    assert_non_null(policy);
    policy->queue.max_messages = 7;
    learn(bench, LIFE + 2, LIST("d:ann/1", "/topic/a.*", "d:ann/2", "/topic/b"));
    publish(bench, "/topic/a.b", "hi");
    flush(bench);
    assert_int_equal(scripted_queues_first(&bench->store)->policy->max_messages, 7);
    scripted_queues_done(&bench->store);
    publish(bench, "/topic/b", "hi");
    flush(bench);
    assert_int_equal(scripted_queues_first(&bench->store)->policy->max_messages, 100000);
    scripted_queues_done(&bench->store);
    subscribe(bench, 1, "d:ann/1", "/topic/a.*");
    flush(bench);
    answer_version(bench, "bind d:ann/1 /topic/a.*", LIFE + 2, LIFE + 2);
    expect_call(bench, "take d:ann/1 10");
    assert_int_equal(scripted_queues_first(&bench->store)->policy->max_messages, 7);
}

/* ---- links that break, and what the store has lost ---- */

static void what_was_under_way_is_made_again_when_the_link_is_back(void **state) {
    struct bench *bench = *state;
    learn(bench, LIFE + 2, LIST("d:ann/1", "/topic/a", "d:ann/2", "/topic/a"));
    subscribe(bench, 1, "d:ann/2", "/topic/a");
    subscribe(bench, 2, "d:ann/3", "/topic/a");
    flush(bench);
    answer_version(bench, "bind d:ann/2 /topic/a", LIFE + 2, LIFE + 1); /* somebody lags behind */
    expect_mail(bench, 0, "");
    end(bench, "d:ann/1");
    flush(bench);
    go_down(bench);
    pass(bench, 10000);
    expect_call(bench, NULL);
    come_up(bench);
    expect_call(bench, "unbind d:ann/1");
    scripted_queues_done(&bench->store);
    answer_list(bench, "look 0", LIFE + 2, 0, true, LIST("d:ann/2", "/topic/a"));
    expect_call(bench, "bind d:ann/3 /topic/a");
    assert_int_equal(bench->store.waiting, 3);
    scripted_queues_fail(&bench->store, QUEUE_TAKEN);
    expect_call(bench, "bind d:ann/2 /topic/a");
}

static void answer_life(struct bench *bench, const char *call, uint64_t life, uint64_t version) {
    answer(bench, call, &(struct queue_answer){.life = life, .version = version, .complete = true});
}

static void in_another_life_who_is_here_is_bound_again(void **state) {
    struct bench *bench = *state;
    learn_and_serve(bench);
    durables_set_per_user(bench->durables, 0);
    pass(bench, DURABLES_LOOK_MS);
    answer_life(bench, "look 1001", 0, 0);
    expect_call(bench, "bind d:ann/1 /topic/a");
    answer(bench, "bind d:ann/1 /topic/a", &(struct queue_answer){.life = 5000, .version = 5001});
    struct queue_binding binding = {BYTES("d:ann/1"), BYTES("/topic/a")};
    answer(bench, "look 0",
           &(struct queue_answer){
               .life = 5000, .version = 5001, .bindings = &binding, .binding_count = 1, .complete = true});
    answer(bench, "look 5001", &(struct queue_answer){.life = 5000, .version = 5001, .everywhere = 5001});
    expect_mail(bench, 0, ""); /* it was told already */
    expect_call(bench, NULL);
    assert_int_equal(subscriptions(bench), 1);
    assert_false(unsubscribe(bench, 1));
}

static void in_another_life_who_waits_is_bound_again(void **state) {
    struct bench *bench = *state;
    learn(bench, LIFE + 1, LIST("d:ann/1", "/topic/a"));
    subscribe(bench, 1, "d:ann/1", "/topic/a");
    flush(bench);
    answer_version(bench, "bind d:ann/1 /topic/a", LIFE + 1, LIFE); /* somebody lags behind */
    pass(bench, DURABLES_LOOK_MS);
    answer_life(bench, "look 1001", 0, 0);
    expect_call(bench, "bind d:ann/1 /topic/a");
    expect_mail(bench, 0, "");
}

/* Whatever numbers the one and the other have. */
static void what_is_bound_in_another_life_waits_for_that(void **state) {
    struct bench *bench = *state;
    learn(bench, LIFE + 7, LIST("d:bob/1", "/topic/b"));
    subscribe(bench, 1, "d:ann/1", "/topic/a");
    flush(bench);
    answer(bench, "bind d:ann/1 /topic/a", &(struct queue_answer){.life = 1, .version = 2, .everywhere = 2});
    expect_mail(bench, 0, "");
    expect_call(bench, "look 1007");
}

/* Such as a Redis that comes back without its last second: who was bound in it must not get nothing for ever. */
static void what_a_store_that_was_away_has_lost_is_bound_again(void **state) {
    struct bench *bench = *state;
    learn_and_serve(bench);
    go_down(bench);
    come_up(bench);
    answer_list(bench, "look 0", LIFE + 1, 0, true, LIST("d:bob/1", "/topic/b"));
    answer_result(bench, "take d:ann/1 10", QUEUE_OK);
    answer_version(bench, "bind d:ann/1 /topic/a", LIFE + 2, LIFE + 1);
    expect_mail(bench, 0, "");
    expect_call(bench, "look 1001");
}

/* ---- a node on its own ---- */

static void workers_are_told_what_to_publish(void **state) {
    struct bench *bench = *state;
    flush(bench);
    answer_list(bench, "look 0", 0, 0, false, NO_LIST);
    subscribe(bench, 1, "d:ann/1", "/topic/a");
    subscribe(bench, 2, "d:ann/2", "/topic/*.b");
    subscribe(bench, 3, "d:bob/1", "/topic/a");
    flush(bench);
    answer_version(bench, "bind d:ann/1 /topic/a", LIFE + 1, 0);
    answer_version(bench, "bind d:ann/2 /topic/*.b", LIFE + 2, 0);
    answer_version(bench, "bind d:bob/1 /topic/a", LIFE + 3, 0);
    answer_list(bench, "look 0", LIFE + 3, 0, true,
                LIST("d:ann/1", "/topic/a", "d:ann/2", "/topic/*.b", "d:bob/1", "/topic/a"));
    for (unsigned n = 0; n < WORKERS; n++)
        expect_mail(bench, n, "announce /topic/a; announce /topic/*.b (pattern)");
    confirm(bench, 0, 1, "/topic/a", INTEREST_EXACT);
    confirm(bench, 1, 1, "/topic/a", INTEREST_EXACT);
    confirm(bench, 0, 2, "/topic/*.b", INTEREST_PATTERN);
    flush(bench);
    expect_call(bench, NULL);
    expect_mail(bench, 0, "");
    confirm(bench, 1, 2, "/topic/*.b", INTEREST_PATTERN);
    flush(bench);
    answer_list(bench, "look 1003", LIFE + 3, LIFE + 3, false, NO_LIST);
    expect_mail(bench, 0, "consuming 1; consuming 2; consuming 3");
    expect_mail(bench, 1, "");
}

/* Consumer 1 consumes from d:ann/1, of /topic/a. */
static void serve_alone(struct bench *bench) {
    flush(bench);
    answer_list(bench, "look 0", 0, 0, false, NO_LIST);
    subscribe(bench, 1, "d:ann/1", "/topic/a");
    flush(bench);
    answer_version(bench, "bind d:ann/1 /topic/a", LIFE + 1, 0);
    answer_list(bench, "look 0", LIFE + 1, 0, true, LIST("d:ann/1", "/topic/a"));
    for (unsigned n = 0; n < WORKERS; n++)
        confirm(bench, n, 1, "/topic/a", INTEREST_EXACT);
    flush(bench);
    answer_list(bench, "look 1001", LIFE + 1, LIFE + 1, false, NO_LIST);
    answer_result(bench, "take d:ann/1 10", QUEUE_OK);
    expect_mail(bench, 0, "announce /topic/a; consuming 1");
    expect_mail(bench, 1, "announce /topic/a");
}

static void workers_are_told_when_the_last_of_a_topic_ends(void **state) {
    struct bench *bench = *state;
    serve_alone(bench);
    subscribe(bench, 2, "d:bob/1", "/topic/a");
    flush(bench);
    answer_version(bench, "bind d:bob/1 /topic/a", LIFE + 2, LIFE + 1);
    answer_list(bench, "look 1001", LIFE + 2, LIFE + 1, true, LIST("d:ann/1", "/topic/a", "d:bob/1", "/topic/a"));
    answer_list(bench, "look 1002", LIFE + 2, LIFE + 2, false, NO_LIST);
    answer_result(bench, "take d:bob/1 10", QUEUE_OK);
    expect_mail(bench, 0, "consuming 2");
    end(bench, "d:ann/1");
    flush(bench);
    answer_version(bench, "unbind d:ann/1", LIFE + 3, LIFE + 2);
    answer_list(bench, "look 1002", LIFE + 3, LIFE + 2, true, LIST("d:bob/1", "/topic/a"));
    expect_mail(bench, 0, "");
    answer_list(bench, "look 1003", LIFE + 3, LIFE + 3, false, NO_LIST);
    end(bench, "d:bob/1");
    flush(bench);
    answer_version(bench, "unbind d:bob/1", LIFE + 4, LIFE + 3);
    answer_list(bench, "look 1003", LIFE + 4, LIFE + 3, true, NO_LIST);
    for (unsigned n = 0; n < WORKERS; n++)
        expect_mail(bench, n, "withdraw /topic/a");
}

static void an_end_before_the_workers_know_leaves_nobody_waiting(void **state) {
    struct bench *bench = *state;
    flush(bench);
    answer_list(bench, "look 0", 0, 0, false, NO_LIST);
    subscribe(bench, 1, "d:ann/1", "/topic/a");
    flush(bench);
    answer_version(bench, "bind d:ann/1 /topic/a", LIFE + 1, 0);
    answer_list(bench, "look 0", LIFE + 1, 0, true, LIST("d:ann/1", "/topic/a"));
    end(bench, "d:ann/1");
    flush(bench);
    answer_version(bench, "unbind d:ann/1", LIFE + 2, 0);
    answer_list(bench, "look 0", LIFE + 2, 0, true, NO_LIST);
    expect_mail(bench, 0, "announce /topic/a; withdraw /topic/a");
    answer_list(bench, "look 1002", LIFE + 2, LIFE + 2, false, NO_LIST);
    confirm(bench, 0, 1, "/topic/a", INTEREST_EXACT); /* late */
    flush(bench);
    expect_call(bench, "take d:ann/1 10"); /* who has it open still is served, with nothing */
}

static void publishers_get_credit_for_what_was_put(void **state) {
    struct bench *bench = *state;
    serve_alone(bench);
    struct message *message = message_to("/topic/a", "hi", 2);
    uint64_t cost = router_cost(message);
    publish_message(bench, 1, message);
    flush(bench);
    mail_of(bench, 1);
    assert_int_equal(bench->credit[1], cost);
    assert_int_equal(bench->credit[0], 0);
    expect_call(bench, "put d:ann/1");
}

static void publishers_get_no_credit_for_what_waits(void **state) {
    struct bench *bench = *state;
    serve_alone(bench);
    for (int n = 0; n < 3; n++)
        publish_large(bench, "/topic/a", QUEUES_PUT_MAX / 2 - 4096);
    flush(bench);
    mail_of(bench, 0);
    assert_true(durables_are_behind(bench->durables));
    assert_in_range(bench->credit[0], QUEUES_PUT_MAX - 10000, QUEUES_PUT_MAX);
    scripted_queues_done(&bench->store);
    flush(bench);
    mail_of(bench, 0);
    assert_in_range(bench->credit[0], 3 * (QUEUES_PUT_MAX / 2) - 15000, 3 * (QUEUES_PUT_MAX / 2));
    assert_false(durables_are_behind(bench->durables));
}

/* What workers give for announcements is of no interest. */
static void credit_of_workers_is_swallowed(void **state) {
    struct bench *bench = *state;
    struct mail_credit mail = {.mail.type = MAIL_CREDIT, .from = 0, .bytes = 100};
    assert_int_equal(durables_take_mail(bench->durables, &mail.mail, START), !bench->cluster);
}

static void queues_keep_their_own_mail(void **state) {
    struct bench *bench = *state;
    say(bench, MAIL_CONSUME, 0, 5, "q:a", "");
    expect_call(bench, NULL);
    queues_flush(bench->queues, bench->now_ms);
    expect_mail(bench, 0, "consuming 5");
    assert_false(unsubscribe(bench, 5));
}

#define ALONE(test)   cmocka_unit_test_setup_teardown(test, set_up_alone, tear_down)
#define CLUSTER(test) cmocka_unit_test_setup_teardown(test, set_up_cluster, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        CLUSTER(a_subscription_is_bound_and_waits_until_all_nodes_act_by_it),
        CLUSTER(who_comes_back_to_what_all_know_is_served_at_once),
        CLUSTER(later_changes_do_not_hold_a_subscription_up),
        CLUSTER(bindings_are_looked_at_from_time_to_time),
        CLUSTER(a_complete_list_takes_the_place_of_what_was_known),
        CLUSTER(what_is_bound_to_no_topic_does_nothing),
        CLUSTER(a_subscription_of_another_topic_is_refused),
        CLUSTER(a_user_has_so_many),
        CLUSTER(those_that_are_not_known_yet_count),
        CLUSTER(a_limit_may_change),
        CLUSTER(nothing_is_bound_before_the_bindings_are_known),
        CLUSTER(so_many_are_bound_at_a_time),
        CLUSTER(what_the_store_would_not_do_is_tried_again_after_a_while),
        CLUSTER(who_goes_before_it_is_bound_is_forgotten),
        CLUSTER(who_is_served_is_taken_from_the_queue_when_it_goes),
        CLUSTER(a_subscription_that_ends_is_unbound),
        CLUSTER(a_subscription_may_end_and_begin_anew_in_one_turn),
        CLUSTER(who_is_served_is_not_bound_again_when_another_ends_it),
        CLUSTER(publications_go_into_all_queues_that_they_reach),
        CLUSTER(what_is_no_publication_to_a_topic_is_let_pass),
        CLUSTER(publications_wait_until_the_bindings_are_known),
        CLUSTER(while_the_store_is_away_publications_wait_for_what_is_bound_meanwhile),
        CLUSTER(a_look_from_before_is_not_trusted),
        CLUSTER(so_much_waits_while_the_store_is_away),
        CLUSTER(publishers_pause_while_the_queues_have_no_room),
        CLUSTER(a_queue_has_the_policy_of_its_topic),
        CLUSTER(what_was_under_way_is_made_again_when_the_link_is_back),
        CLUSTER(in_another_life_who_is_here_is_bound_again),
        CLUSTER(in_another_life_who_waits_is_bound_again),
        CLUSTER(what_is_bound_in_another_life_waits_for_that),
        CLUSTER(what_a_store_that_was_away_has_lost_is_bound_again),
        ALONE(workers_are_told_what_to_publish),
        ALONE(workers_are_told_when_the_last_of_a_topic_ends),
        ALONE(an_end_before_the_workers_know_leaves_nobody_waiting),
        ALONE(publishers_get_credit_for_what_was_put),
        ALONE(publishers_get_no_credit_for_what_waits),
        ALONE(credit_of_workers_is_swallowed),
        CLUSTER(credit_of_workers_is_swallowed),
        ALONE(queues_keep_their_own_mail),
    };
    return cmocka_run_group_tests_name("durable subscriptions", tests, NULL, NULL);
}
