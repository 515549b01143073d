/*
 * The store in Redis in front of what is no Redis, or not the right one: a listener that says what the test wants, and
 * never minds what it is told.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <event2/listener.h>
#include <event2/util.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../src/store/redis_scripts.h"
#include "redis_bench.h"

#define CONNECTIONS_MAX 64

/* Publications, each about a hundred bytes. */
#define MANY 450

#define OK "+OK\r\n"

/* Answers to asking for the memory and loading the scripts, and to trying out two channels and leaving them. */
#define LOADED          OK OK OK OK OK OK OK OK OK
#define SPEAKER_SCRIPTS "$13\r\nused_memory:1\r\n" LOADED
#define HEARER_TRIES    OK OK OK OK
_Static_assert(sizeof LOADED == REDIS_SCRIPTS * (sizeof OK - 1) + 1, "one answer a script");

struct imposter {
    struct evconnlistener *listener;
    const char *const *says; /* to the first connection, the second, and so on by turns */
    size_t count;
    bool hangs_up;
    int connections[CONNECTIONS_MAX];
    size_t accepted;
};

static struct bench bench;
static struct peer peer;
static struct imposter imposter;

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *from, int len, void *arg) {
    const char *words = imposter.says[imposter.accepted % imposter.count];
    (void)listener;
    (void)from;
    (void)len;
    (void)arg;
    assert_true(imposter.accepted < CONNECTIONS_MAX);
    assert_true(write(fd, words, strlen(words)) == (ssize_t)strlen(words));
    if (imposter.hangs_up)
        shutdown(fd, SHUT_WR);
    imposter.connections[imposter.accepted++] = fd;
}

static int set_up(void **state) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    (void)state;
    memset(&imposter, 0, sizeof imposter);
    bench_init(&bench);
    imposter.listener = evconnlistener_new_bind(bench.base, on_accept, NULL, LEV_OPT_CLOSE_ON_FREE, 16,
                                                (struct sockaddr *)&address, sizeof address);
    assert_non_null(imposter.listener);
    getsockname(evconnlistener_get_fd(imposter.listener), (struct sockaddr *)&address, &len);
    bench_set_address(&bench, "127.0.0.1:%u", ntohs(address.sin_port));
    bench.times.connect_ms = 100;
    bench_keep_log(&bench);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    peer_close(&peer);
    for (size_t n = 0; n < imposter.accepted; n++)
        close(imposter.connections[n]);
    evconnlistener_free(imposter.listener);
    bench_release_log(&bench);
    bench_free(&bench);
    return 0;
}

static void attach(const char *const *says, size_t count) {
    imposter.says = says;
    imposter.count = count;
    peer_attach(&peer, &bench.contract, "a", "a:1");
}

/* The imposter, who says that to each connection, is named so, once, and is never taken for a server. */
static void expect_refusal(const char *says, const char *complaint) {
    attach(&says, 1);
    bench_await_failures(&bench, &peer, 3);
    assert_int_equal(bench_logged(&bench, complaint), 1);
    assert_int_equal(bench_logged(&bench, "error:"), 1);
    assert_int_equal(peer.ups, 0);
}

/* INFO's answer as a counted string. */
static const char *info(const char *text) {
    static char answers[4][512];
    static unsigned next;
    char *answer = answers[next++ % 4];
    snprintf(answer, sizeof answers[0], "$%zu\r\n%s\r\n", strlen(text), text);
    return answer;
}

/* A whole greeting for the speaker (scripts) or the hearer (four channels), then `more`. */
static const char *greeting(const char *server, const char *role, const char *rest, const char *more) {
    static char greetings[4][2048];
    static unsigned next;
    char *greeting = greetings[next++ % 4];
    snprintf(greeting, sizeof greetings[0], OK "%s%s%s%s", info(server), info(role), rest, more);
    return greeting;
}

#define GOOD   "redis_version:7.0.15\r\nredis_mode:standalone\r\nrun_id:abc\r\n"
#define MASTER "# Replication\r\nrole:master\r\n"

static const char *good_speaker(const char *more) {
    return greeting(GOOD, MASTER, SPEAKER_SCRIPTS, more);
}

static const char *good_hearer(const char *more) {
    return greeting(GOOD, MASTER, HEARER_TRIES, more);
}

/* ---- no Redis at all ---- */

static void test_a_web_server(void **state) {
    (void)state;
    expect_refusal("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", "does not talk like Redis");
}

static void test_a_mail_server_whose_words_look_like_answers(void **state) {
    (void)state;
    expect_refusal("+OK POP3 ready\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n", "does not talk like Redis");
}

static void test_random_bytes(void **state) {
    (void)state;
    expect_refusal("\x01\xff\x80\r\n$", "does not talk like Redis");
}

static void test_an_array_too_deep(void **state) {
    (void)state;
    expect_refusal("*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n", "does not talk like Redis");
}

static void test_a_length_below_zero(void **state) {
    (void)state;
    expect_refusal("$-7\r\n", "does not talk like Redis");
}

static void test_numbers_for_answers(void **state) {
    (void)state;
    expect_refusal(":1\r\n:2\r\n:3\r\n:4\r\n:5\r\n:6\r\n:7\r\n:8\r\n:9\r\n:10\r\n", "does not talk like Redis");
}

static void test_nulls_for_answers(void **state) {
    (void)state;
    expect_refusal("$-1\r\n*-1\r\n$-1\r\n*0\r\n*-1\r\n$-1\r\n*-1\r\n$-1\r\n", "does not talk like Redis");
}

static void test_silence(void **state) {
    (void)state;
    expect_refusal("", "it takes connections, but does not answer within 100 ms");
}

static void test_a_string_that_never_ends(void **state) {
    (void)state;
    expect_refusal("$1000000\r\nabc", "it takes connections, but does not answer within 100 ms");
}

static void test_who_hangs_up_at_once(void **state) {
    (void)state;
    imposter.hangs_up = true;
    expect_refusal("", "connection lost: Server closed the connection");
}

/* ---- the wrong Redis ---- */

static void test_a_version_that_is_too_old(void **state) {
    (void)state;
    expect_refusal(greeting("redis_version:6.0.20\r\nrun_id:abc\r\n", MASTER, SPEAKER_SCRIPTS, ""),
                   "Redis 6.0.20 is too old: stompd needs Redis 6.2 or later, or Valkey");
}

static void test_a_server_without_a_version(void **state) {
    (void)state;
    expect_refusal(greeting("run_id:abc\r\n", MASTER, SPEAKER_SCRIPTS, ""), "it has no version");
}

static void test_a_server_without_a_run_id(void **state) {
    (void)state;
    expect_refusal(greeting("redis_version:7.0.0\r\n", MASTER, SPEAKER_SCRIPTS, ""), "does not talk like Redis");
}

static void test_a_sentinel(void **state) {
    (void)state;
    expect_refusal(
        greeting("redis_version:7.0.0\r\nredis_mode:sentinel\r\nrun_id:abc\r\n", MASTER, SPEAKER_SCRIPTS, ""),
        "the server is in sentinel mode");
}

static void test_a_server_that_is_loading(void **state) {
    (void)state;
    expect_refusal(greeting(GOOD, MASTER, "-LOADING Redis is loading the dataset in memory\r\n", ""),
                   "the server is still loading its data");
}

static void test_a_server_in_protected_mode(void **state) {
    (void)state;
    imposter.hangs_up = true;
    expect_refusal("-DENIED Redis is running in protected mode because protected mode is enabled\r\n",
                   "the server is in protected mode");
}

static void test_two_servers_behind_one_address(void **state) {
    const char *says[] = {good_speaker(""),
                          greeting("redis_version:7.0.15\r\nrun_id:xyz\r\n", MASTER, HEARER_TRIES, "")};
    (void)state;
    attach(says, 2);
    bench_await_failures(&bench, &peer, 3);
    assert_int_equal(bench_logged(&bench, "two connections came to two servers"), 1);
    assert_int_equal(peer.ups, 0);
}

static void test_valkey_is_taken(void **state) {
    static const char valkey[] = "redis_version:5.0.0\r\nvalkey_version:8.0.1\r\nrun_id:abc\r\n";
    const char *says[] = {greeting(valkey, MASTER, SPEAKER_SCRIPTS, ""), greeting(valkey, MASTER, HEARER_TRIES, "")};
    struct redis_status status;
    (void)state;
    attach(says, 2);
    peer_await_up(&peer, 0);
    redis_store_status(peer.store, &status);
    assert_string_equal(status.version, "Valkey 8.0.1");
    assert_string_equal(peer.server, "abc");
}

/* ---- a Redis that goes mad once the link is up ---- */

static void expect_break(const char *speaker, const char *hearer, const char *complaint) {
    const char *says[] = {good_speaker(speaker), good_hearer(hearer)};
    attach(says, 2);
    peer_await_up(&peer, 0);
    peer_await_down(&peer, 0);
    assert_int_equal(bench_logged(&bench, complaint), 1);
}

static void test_a_publication_without_a_channel(void **state) {
    (void)state;
    expect_break("", "*3\r\n$7\r\nmessage\r\n$-1\r\n:0\r\n", "an answer to nothing");
}

static void test_a_publication_that_is_too_short(void **state) {
    (void)state;
    expect_break("", "*2\r\n$7\r\nmessage\r\n$1\r\nx\r\n", "an answer to nothing");
}

static void test_an_acknowledgement_that_nobody_waits_for(void **state) {
    (void)state;
    expect_break("", "*3\r\n$9\r\nsubscribe\r\n$10\r\nstompd:t:x\r\n:1\r\n", "an answer to nothing");
}

static void test_an_error_out_of_nowhere(void **state) {
    (void)state;
    expect_break("", "-ERR shutting down\r\n", "shutting down");
}

static void test_bytes_that_are_no_answer(void **state) {
    (void)state;
    expect_break("", "garbage\r\n", "does not talk like Redis");
}

static void test_publications_of_others_are_passed_over(void **state) {
    const char *says[] = {good_speaker(""), good_hearer("*3\r\n$7\r\nmessage\r\n$7\r\nothers:\r\n$2\r\nno\r\n"
                                                        "*4\r\n$8\r\npmessage\r\n$1\r\n*\r\n$5\r\nother\r\n$2\r\nno\r\n"
                                                        "*3\r\n$7\r\nmessage\r\n$10\r\nstompd:t:x\r\n$3\r\nyes\r\n")};
    (void)state;
    attach(says, 2);
    peer_await_up(&peer, 0);
    peer_expect(&peer, "message t:x: yes\n");
}

/* Says more on the connection that is already there. */
static void say_more(size_t connection, const char *words) {
    assert_true(write(imposter.connections[connection], words, strlen(words)) == (ssize_t)strlen(words));
}

static void come_up(void) {
    static const char *says[2];
    says[0] = good_speaker("");
    says[1] = good_hearer("");
    attach(says, 2);
    peer_await_up(&peer, 0);
}

/* More than hiredis reads at once. */
static void test_all_that_is_there_is_heard_in_one_turn(void **state) {
    static char said[MANY * 128];
    static char expected[MANY * 128];
    char payload[65];
    (void)state;
    snprintf(payload, sizeof payload, "%064d", 7);
    for (size_t n = 0; n < MANY; n++) {
        snprintf(said + strlen(said), sizeof said - strlen(said),
                 "*3\r\n$7\r\nmessage\r\n$10\r\nstompd:t:x\r\n$64\r\n%s\r\n", payload);
        snprintf(expected + strlen(expected), sizeof expected - strlen(expected), "message t:x: %s\n", payload);
    }
    come_up();
    say_more(1, said);
    event_base_loop(bench.base, EVLOOP_ONCE);
    assert_string_equal(peer.told, expected);
}

static void test_a_hearer_that_is_hung_up_on_is_told_why_that_may_be(void **state) {
    (void)state;
    come_up();
    shutdown(imposter.connections[1], SHUT_WR);
    peer_await_down(&peer, 0);
    assert_int_equal(bench_logged(&bench, "client-output-buffer-limit pubsub"), 1);
}

static void test_a_speaker_that_is_hung_up_on_says_nothing_of_it(void **state) {
    (void)state;
    come_up();
    shutdown(imposter.connections[0], SHUT_WR);
    peer_await_down(&peer, 0);
    assert_int_equal(bench_logged(&bench, "connection lost: Server closed the connection"), 1);
    assert_int_equal(bench_logged(&bench, "client-output-buffer-limit"), 0);
}

static void test_answers_of_another_form_are_failures(void **state) {
    static struct answer answers[6];
    struct store *store;
    (void)state;
    come_up();
    store = peer.store;
    store->ops->renew(store, peer_call(&peer, &answers[0]));
    store->ops->renew(store, peer_call(&peer, &answers[1]));
    store->ops->leave(store, peer_call(&peer, &answers[2]));
    store->ops->session_page(store, 0, peer_call(&peer, &answers[3]));
    store->ops->user_sessions(store, BYTES("ann"), peer_call(&peer, &answers[4]));
    store->ops->users(store, BYTES(""), 10, peer_call(&peer, &answers[5]));
    say_more(0, "+OK\r\n"
                "*2\r\n:0\r\n*3\r\n$1\r\na\r\n$5\r\na:1 1\r\n$1\r\nb\r\n"
                ":99\r\n"
                "*2\r\n$3\r\n0x1\r\n*0\r\n"
                "*1\r\n:7\r\n"
                "*2\r\n$3\r\nann\r\n$1\r\n1\r\n");
    peer_await_answer(&peer, &answers[5]);
    for (int n = 0; n < 6; n++) {
        assert_true(answers[n].done);
        assert_int_equal(answers[n].result, STORE_FAILED);
    }
}

static void test_an_acknowledgement_of_another_channel_breaks_the_link(void **state) {
    (void)state;
    come_up();
    peer_subscribe(&peer, STORE_CHANNEL, "t:x");
    say_more(1, "*3\r\n$10\r\npsubscribe\r\n$10\r\nstompd:t:x\r\n:1\r\n");
    peer_await_down(&peer, 0);
    assert_int_equal(bench_logged(&bench, "belongs to no subscription"), 1);
}

#define GARBAGE_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        GARBAGE_TEST(test_a_web_server),
        GARBAGE_TEST(test_a_mail_server_whose_words_look_like_answers),
        GARBAGE_TEST(test_random_bytes),
        GARBAGE_TEST(test_an_array_too_deep),
        GARBAGE_TEST(test_a_length_below_zero),
        GARBAGE_TEST(test_numbers_for_answers),
        GARBAGE_TEST(test_nulls_for_answers),
        GARBAGE_TEST(test_silence),
        GARBAGE_TEST(test_a_string_that_never_ends),
        GARBAGE_TEST(test_who_hangs_up_at_once),
        GARBAGE_TEST(test_a_version_that_is_too_old),
        GARBAGE_TEST(test_a_server_without_a_version),
        GARBAGE_TEST(test_a_server_without_a_run_id),
        GARBAGE_TEST(test_a_sentinel),
        GARBAGE_TEST(test_a_server_that_is_loading),
        GARBAGE_TEST(test_a_server_in_protected_mode),
        GARBAGE_TEST(test_two_servers_behind_one_address),
        GARBAGE_TEST(test_valkey_is_taken),
        GARBAGE_TEST(test_a_publication_without_a_channel),
        GARBAGE_TEST(test_a_publication_that_is_too_short),
        GARBAGE_TEST(test_an_acknowledgement_that_nobody_waits_for),
        GARBAGE_TEST(test_an_error_out_of_nowhere),
        GARBAGE_TEST(test_bytes_that_are_no_answer),
        GARBAGE_TEST(test_publications_of_others_are_passed_over),
        GARBAGE_TEST(test_all_that_is_there_is_heard_in_one_turn),
        GARBAGE_TEST(test_a_hearer_that_is_hung_up_on_is_told_why_that_may_be),
        GARBAGE_TEST(test_a_speaker_that_is_hung_up_on_says_nothing_of_it),
        GARBAGE_TEST(test_answers_of_another_form_are_failures),
        GARBAGE_TEST(test_an_acknowledgement_of_another_channel_breaks_the_link),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
