/* Bindings in Redis: their keys, what becomes of them when those are lost, and what others do to them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../src/store/redis_bindings.h"
#include "redis_queue_bench.h"
#include "stompd/base/log.h"

static struct bench bench;
static struct queue_contract contract;
static struct queue_peer a;
static struct queue_peer b;

#define say(...) redis_process_say(&bench.process, __VA_ARGS__, NULL)

static int set_up(void **state) {
    (void)state;
    contract.empty(contract.arg);
    bench_keep_log(&bench);
    queue_peer_open(&a, &contract, "a", "a:1");
    return 0;
}

static int set_up_two(void **state) {
    set_up(state);
    queue_peer_open(&b, &contract, "b", "b:1");
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    queue_peer_close(&a);
    queue_peer_close(&b);
    bench_release_log(&bench);
    say("CONFIG", "SET", "maxmemory", "0");
    return 0;
}

/* ---- calls ---- */

/* `text`: what was told, in no order: "+" if that is all, then "queue=topic " each. */
struct told {
    bool done;
    enum queue_result result;
    uint64_t life;
    uint64_t version;
    uint64_t everywhere;
    char text[512];
};

static void on_told(void *arg, struct queue_answer *answer) {
    struct told *told = arg;
    *told = (struct told){true, answer->result, answer->life, answer->version, answer->everywhere, ""};
    char *at = told->text;
    if (answer->complete)
        *at++ = '+';
    for (size_t n = 0; n < answer->binding_count; n++)
        at += sprintf(at, "%.*s=%.*s ", BYTES_ARG(answer->bindings[n].queue), BYTES_ARG(answer->bindings[n].topic));
}

static bool is_done(void *arg) {
    return ((const struct told *)arg)->done;
}

static struct told await(struct told *told) {
    assert_true(contract.pump_until(contract.arg, is_done, told));
    return *told;
}

static struct told bind_queue(struct queue_peer *peer, const char *queue, const char *topic) {
    struct told told = {0};
    peer->store->ops->bind(peer->store, bytes_of(queue), bytes_of(topic), (struct queue_call){on_told, &told});
    return await(&told);
}

static struct told unbind_queue(struct queue_peer *peer, const char *queue) {
    struct told told = {0};
    peer->store->ops->unbind(peer->store, bytes_of(queue), (struct queue_call){on_told, &told});
    return await(&told);
}

static struct told look(struct queue_peer *peer, uint64_t version) {
    struct told told = {0};
    peer->store->ops->bindings(peer->store, version, (struct queue_call){on_told, &told});
    return await(&told);
}

/* ---- keys ---- */

static void test_keys_are_as_documented(void **state) {
    char number[32];
    (void)state;
    struct told told = bind_queue(&a, "d:ann/1", "/topic/a");
    assert_int_equal(told.result, QUEUE_OK);
    (void)look(&a, told.version);
    assert_string_equal(say("HGETALL", "stompd:durables"), "d:ann/1 /topic/a");
    snprintf(number, sizeof number, "%llu", (unsigned long long)told.version);
    assert_string_equal(say("HGET", "stompd:durables:state", "version"), number);
    assert_string_equal(say("HGET", "stompd:durables:seen", "a:1"), number);
    assert_string_equal(say("LRANGE", "stompd:durables:changed", "0", "-1"), "d:ann/1");
    snprintf(number, sizeof number, "%llu", (unsigned long long)told.life);
    assert_string_equal(say("HGET", "stompd:durables:state", "life"), number);
}

static void test_an_end_leaves_no_keys_of_the_queue(void **state) {
    (void)state;
    (void)bind_queue(&a, "d:ann/1", "/topic/a");
    assert_int_equal(queue_peer_put(&a, "d:ann/1", "1"), CHANGE_DONE);
    assert_string_equal(queue_peer_take(&a, "d:ann/1", 2), "1");
    assert_string_equal(say("EXISTS", "stompd:d:ann/1", "stompd:i:d:ann/1", "stompd:w:d:ann/1"), "3");
    (void)unbind_queue(&a, "d:ann/1");
    assert_string_equal(say("EXISTS", "stompd:d:ann/1", "stompd:i:d:ann/1", "stompd:w:d:ann/1"), "0");
    assert_int_equal(queue_peer_settle(&a, "d:ann/1", "1"), CHANGE_DONE);
    assert_int_equal(queue_peer_put(&a, "d:ann/1", "2"), CHANGE_DONE);
    assert_string_equal(say("KEYS", "stompd:*d:ann/1"), "");
}

static void test_who_knows_nearly_all_is_told_the_rest(void **state) {
    (void)state;
    uint64_t first = bind_queue(&a, "d:ann/1", "/topic/a").version;
    (void)bind_queue(&a, "d:ann/2", "/topic/b");
    (void)bind_queue(&a, "d:ann/3", "/topic/c");
    (void)unbind_queue(&a, "d:ann/2");
    assert_string_equal(look(&a, first).text, "d:ann/2= d:ann/3=/topic/c ");
    assert_string_equal(look(&a, first + 3).text, "");
    say("DEL", "stompd:durables:changed");
    assert_int_equal(look(&a, first).text[0], '+');
}

static void test_no_more_changes_are_kept_than_are_worth_it(void **state) {
    static struct told told[100];
    char queue[32];
    (void)state;
    for (unsigned round = 0; round < 11; round++) {
        memset(told, 0, sizeof told);
        for (unsigned n = 0; n < 100; n++) {
            snprintf(queue, sizeof queue, "d:ann/%u", 100 * round + n);
            a.store->ops->bind(a.store, bytes_of(queue), BYTES("/topic/a"), (struct queue_call){on_told, &told[n]});
        }
        (void)await(&told[99]);
    }
    assert_string_equal(say("LLEN", "stompd:durables:changed"), "1000");
    assert_string_equal(say("LINDEX", "stompd:durables:changed", "0"), "d:ann/1099");
}

/* Which somebody is about to bury: it does nothing any more, and is not waited for. */
static void test_a_fenced_boot_is_none_of_the_nodes(void **state) {
    (void)state;
    uint64_t version = bind_queue(&a, "d:ann/1", "/topic/a").version;
    assert_int_equal(look(&a, version).everywhere, 0);
    say("HSET", "stompd:nodes", "b", "b:1 dead");
    assert_int_equal(look(&a, version).everywhere, version);
    assert_int_equal(bind_queue(&b, "d:bob/1", "/topic/a").result, QUEUE_GONE);
    assert_int_equal(look(&b, version).result, QUEUE_GONE);
    say("HSET", "stompd:nodes", "b", "b:2 1");
    assert_int_equal(look(&a, version).everywhere, 0);
    assert_int_equal(bind_queue(&b, "d:bob/1", "/topic/a").result, QUEUE_GONE);
}

static void test_who_leaves_is_forgotten(void **state) {
    (void)state;
    uint64_t version = bind_queue(&a, "d:ann/1", "/topic/a").version;
    (void)look(&a, version);
    (void)look(&b, version);
    queue_peer_close(&b);
    contract.bury(contract.arg, "b", "b:1");
    assert_string_equal(say("HKEYS", "stompd:durables:seen"), "a:1");
}

/* ---- lives ---- */

/* By their numbers alone nobody could tell what is new and what was lost. */
static void test_what_is_emptied_begins_another_life(void **state) {
    (void)state;
    struct told first = bind_queue(&a, "d:ann/1", "/topic/a");
    (void)look(&a, first.version);
    say("FLUSHALL");
    assert_int_equal(bind_queue(&a, "d:ann/1", "/topic/a").result, QUEUE_GONE);
    queue_bench_renew(a.store);
    struct told empty = look(&a, first.version);
    assert_string_equal(empty.text, "+");
    assert_int_equal(empty.life + empty.version + empty.everywhere, 0);
    struct told second = bind_queue(&a, "d:ann/1", "/topic/a");
    assert_true(second.life != first.life);
    assert_true(second.version > first.version);
    assert_int_equal(second.everywhere, 0);
    assert_string_equal(look(&a, first.version).text, "+d:ann/1=/topic/a ");
    assert_int_equal(look(&a, first.version).everywhere, 0);
    assert_int_equal(look(&a, second.version).everywhere, second.version);
}

/* Where keys are evicted, say. */
static void test_a_state_that_is_lost_begins_another_life_of_the_same_bindings(void **state) {
    (void)state;
    struct told first = bind_queue(&a, "d:ann/1", "/topic/a");
    (void)look(&a, first.version);
    say("DEL", "stompd:durables:state");
    struct told again = bind_queue(&a, "d:ann/1", "/topic/a");
    assert_true(again.version > first.version && again.life != first.life);
    assert_int_equal(again.everywhere, 0);
    assert_string_equal(look(&a, first.version).text, "+d:ann/1=/topic/a ");
    assert_int_equal(bind_queue(&a, "d:ann/1", "/topic/a").version, again.version);
}

static void test_what_a_boot_acted_by_in_another_life_counts_as_nothing(void **state) {
    (void)state;
    uint64_t version = bind_queue(&a, "d:ann/1", "/topic/a").version;
    say("HSET", "stompd:durables:seen", "a:1", "9007199254740991");
    assert_int_equal(look(&a, 0).everywhere, 0);
    say("HSET", "stompd:durables:seen", "a:1", "nonsense");
    assert_int_equal(bind_queue(&a, "d:ann/1", "/topic/a").everywhere, 0);
    assert_int_equal(look(&a, version).everywhere, version);
    assert_int_equal(look(&a, version + 7).everywhere, 0);
}

/* ---- others ---- */

static void test_a_server_without_memory_binds_nothing_but_unbinds_and_tells(void **state) {
    (void)state;
    uint64_t version = bind_queue(&a, "d:ann/1", "/topic/a").version;
    say("CONFIG", "SET", "maxmemory", "1");
    assert_int_equal(bind_queue(&a, "d:ann/2", "/topic/a").result, QUEUE_FAILED);
    assert_int_equal(bench_logged(&bench, "the server's memory is full"), 1);
    assert_int_equal(bind_queue(&a, "d:ann/1", "/topic/a").version, version);
    assert_string_equal(look(&a, version).text, "");
    assert_int_equal(look(&a, version).everywhere, version);
    struct told told = unbind_queue(&a, "d:ann/1");
    assert_int_equal(told.result, QUEUE_OK);
    assert_string_equal(look(&a, version).text, "d:ann/1= ");
    assert_string_equal(say("EXISTS", "stompd:durables"), "0");
    assert_int_equal(look(&a, told.version).everywhere, version + 1);
}

static void test_what_is_no_binding_is_passed_over(void **state) {
    (void)state;
    say("HSET", "stompd:durables", "q:x", "/topic/x", "nonsense", "", "d:", "/topic/y", "d:ann/2", "/topic/b");
    (void)bind_queue(&a, "d:ann/1", "/topic/a");
    const char *text = look(&a, 0).text;
    assert_true(strcmp(text, "+d:ann/1=/topic/a d:ann/2=/topic/b ") == 0 ||
                strcmp(text, "+d:ann/2=/topic/b d:ann/1=/topic/a ") == 0);
}

static void test_keys_that_are_something_else_fail_the_call(void **state) {
    static const char *const keys[] = {"stompd:durables", "stompd:durables:state", "stompd:durables:changed",
                                       "stompd:durables:seen"};
    (void)state;
    for (size_t n = 0; n < 4; n++) {
        say("DEL", "stompd:durables", "stompd:durables:state", "stompd:durables:changed", "stompd:durables:seen");
        (void)bind_queue(&a, "d:ann/0", "/topic/a");
        say("DEL", keys[n]);
        say("SET", keys[n], "text");
        assert_int_equal(bind_queue(&a, "d:ann/1", "/topic/a").result, QUEUE_FAILED);
    }
    say("SET", "stompd:durables", "text");
    assert_int_equal(queue_peer_put(&a, "q:x", "1"), CHANGE_DONE);
    assert_int_equal(queue_peer_put(&a, "d:ann/1", "2"), CHANGE_DONE);
    assert_string_equal(queue_peer_take(&a, "d:ann/1", 1), "2");
}

/* What it is told of is of no use to it, but it must not keep the dead from being cleaned up after. */
static void test_a_burial_passes_over_a_key_that_is_something_else(void **state) {
    (void)state;
    say("SET", "stompd:durables:seen", "text");
    queue_peer_close(&b);
    contract.bury(contract.arg, "b", "b:1");
    assert_string_equal(say("HKEYS", "stompd:nodes"), "a");
}

static void test_a_store_may_be_freed_with_calls_under_way(void **state) {
    struct told told = {0};
    (void)state;
    a.store->ops->bind(a.store, BYTES("d:ann/1"), BYTES("/topic/a"), (struct queue_call){on_told, &told});
    a.store->ops->bindings(a.store, 0, (struct queue_call){on_told, &told});
    queue_peer_close(&a);
    assert_false(told.done);
}

/* ---- replies ---- */

static bool read_reply(const char *text, struct redis_queue_answer *answer, redisReply **reply) {
    redisReader *reader = redisReaderCreate();
    void *parsed = NULL;
    assert_int_equal(redisReaderFeed(reader, text, strlen(text)), REDIS_OK);
    assert_int_equal(redisReaderGetReply(reader, &parsed), REDIS_OK);
    assert_non_null(parsed);
    redisReaderFree(reader);
    *reply = parsed;
    return redis_bindings_answer(parsed, answer);
}

static void test_a_reply_is_read(void **state) {
    struct redis_queue_answer answer;
    redisReply *reply;
    (void)state;
    assert_true(read_reply("*6\r\n:0\r\n:1\r\n:2\r\n:3\r\n:1\r\n*4\r\n$7\r\nd:ann/1\r\n$8\r\n/topic/a\r\n"
                           "$7\r\nd:ann/2\r\n$0\r\n\r\n",
                           &answer, &reply));
    assert_int_equal(answer.answer.result, QUEUE_OK);
    assert_int_equal(answer.answer.life, 1);
    assert_int_equal(answer.answer.version, 2);
    assert_int_equal(answer.answer.everywhere, 3);
    assert_true(answer.answer.complete);
    assert_int_equal(answer.answer.binding_count, 2);
    assert_true(bytes_equal(answer.answer.bindings[0].topic, BYTES("/topic/a")));
    assert_true(bytes_equal(answer.answer.bindings[1].queue, BYTES("d:ann/2")));
    assert_int_equal(answer.answer.bindings[1].topic.len, 0);
    redis_queue_answer_free(&answer);
    freeReplyObject(reply);
}

static void test_replies_of_another_form_are_refused(void **state) {
    static const char *const wrong[] = {
        ":0\r\n",
        "$-1\r\n",
        "*0\r\n",
        "*1\r\n:0\r\n",
        "*1\r\n:5\r\n",
        "*1\r\n$1\r\n1\r\n",
        "*5\r\n:0\r\n:1\r\n:2\r\n:3\r\n:1\r\n",
        "*7\r\n:0\r\n:1\r\n:2\r\n:3\r\n:1\r\n*0\r\n:0\r\n",
        "*6\r\n:0\r\n:-1\r\n:2\r\n:3\r\n:1\r\n*0\r\n",
        "*6\r\n:0\r\n:1\r\n$1\r\n2\r\n:3\r\n:1\r\n*0\r\n",
        "*6\r\n:0\r\n:1\r\n:2\r\n$-1\r\n:1\r\n*0\r\n",
        "*6\r\n:0\r\n:1\r\n:2\r\n:3\r\n*0\r\n*0\r\n",
        "*6\r\n:0\r\n:1\r\n:2\r\n:3\r\n:1\r\n$0\r\n\r\n",
        "*6\r\n:0\r\n:1\r\n:2\r\n:3\r\n:1\r\n*1\r\n$7\r\nd:ann/1\r\n",
    };
    (void)state;
    for (size_t n = 0; n < sizeof wrong / sizeof wrong[0]; n++) {
        struct redis_queue_answer answer;
        redisReply *reply;
        if (read_reply(wrong[n], &answer, &reply))
            fail_msg("taken: %s", wrong[n]);
        freeReplyObject(reply);
    }
}

#define ONE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
#define TWO(test) cmocka_unit_test_setup_teardown(test, set_up_two, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        ONE(test_keys_are_as_documented),
        ONE(test_an_end_leaves_no_keys_of_the_queue),
        ONE(test_who_knows_nearly_all_is_told_the_rest),
        ONE(test_no_more_changes_are_kept_than_are_worth_it),
        TWO(test_a_fenced_boot_is_none_of_the_nodes),
        TWO(test_who_leaves_is_forgotten),
        ONE(test_what_is_emptied_begins_another_life),
        ONE(test_a_state_that_is_lost_begins_another_life_of_the_same_bindings),
        ONE(test_what_a_boot_acted_by_in_another_life_counts_as_nothing),
        ONE(test_a_server_without_memory_binds_nothing_but_unbinds_and_tells),
        ONE(test_what_is_no_binding_is_passed_over),
        ONE(test_keys_that_are_something_else_fail_the_call),
        TWO(test_a_burial_passes_over_a_key_that_is_something_else),
        ONE(test_a_store_may_be_freed_with_calls_under_way),
        cmocka_unit_test(test_a_reply_is_read),
        cmocka_unit_test(test_replies_of_another_form_are_refused),
    };
    log_set_level(LOG_LEVEL_WARNING);
    bench_init(&bench);
    queue_bench_init(&contract, &bench);
    redis_process_start(&bench.process, NULL);
    int failed = cmocka_run_group_tests_name("bindings in Redis", tests, NULL, NULL);
    bench_free(&bench);
    return failed;
}
