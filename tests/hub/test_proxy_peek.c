/* Sockets that wait for their PROXY header: TCP on loopback, since no other kind sleeps until there is more to see. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include "../../src/hub/proxy_peek.h"
#include "stompd/base/bytes.h"
#include "stompd/base/log.h"

#define V1     "PROXY TCP4 192.0.2.1 192.0.2.2 4711 80\r\n"
#define SOURCE "192.0.2.1:4711"
#define V2     "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0d\xc0\0\x02\x01\xc0\0\x02\x02\x12\x67\0\x50\xff"
#define LOCAL  "\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"

#define MOST    3
#define LONG_MS 60000

struct bench {
    struct event_base *base;
    struct proxy_peeks peeks;
    struct sockaddr_in address; /* of the listening socket */
    int listening;
    int done_fd; /* the socket that was handed over last; -1: none */
    unsigned done_count;
    char peer[64];
};

/* Both ends of a connection. */
struct pair {
    int client;
    int server;
};

static int set_up(void **state) {
    static struct bench bench;
    socklen_t len = sizeof bench.address;
    bench = (struct bench){.base = event_base_new(), .listening = socket(AF_INET, SOCK_STREAM, 0), .done_fd = -1};
    bench.address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    proxy_peeks_init(&bench.peeks, bench.base, MOST, LONG_MS);
    *state = &bench;
    return !bench.base || bind(bench.listening, (struct sockaddr *)&bench.address, len) != 0 ||
           listen(bench.listening, 16) != 0 ||
           getsockname(bench.listening, (struct sockaddr *)&bench.address, &len) != 0;
}

static int tear_down(void **state) {
    struct bench *bench = *state;
    proxy_peeks_free(&bench->peeks);
    event_base_free(bench->base);
    close(bench->listening);
    return 0;
}

static struct pair pair_new(struct bench *bench) {
    struct pair pair = {.client = socket(AF_INET, SOCK_STREAM, 0)};
    int on = 1;
    assert_int_equal(connect(pair.client, (struct sockaddr *)&bench->address, sizeof bench->address), 0);
    assert_int_equal(setsockopt(pair.client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on), 0);
    pair.server = accept4(bench->listening, NULL, NULL, SOCK_NONBLOCK);
    assert_true(pair.server >= 0);
    return pair;
}

static void on_done(void *arg, int fd, const struct sockaddr *peer) {
    struct bench *bench = arg;
    bench->done_fd = fd;
    bench->done_count++;
    peer_address_write(peer, bench->peer, sizeof bench->peer);
}

static void peek(struct bench *bench, struct pair pair) {
    static char name[] = "web";
    static const struct listener_conf conf = {.name = name, .proxy_protocol = PROXY_ANY};
    struct sockaddr_in peer = {.sin_family = AF_INET, .sin_port = htons(7), .sin_addr.s_addr = htonl(0x0a000001)};
    proxy_peek(&bench->peeks, pair.server, (struct sockaddr *)&peer, &conf, on_done, bench);
}

static void send_bytes(struct pair pair, struct bytes bytes) {
    assert_int_equal(send(pair.client, bytes.data, bytes.len, MSG_NOSIGNAL), bytes.len);
}

/* One event. */
static void turn(struct bench *bench) {
    assert_int_equal(event_base_loop(bench->base, EVLOOP_ONCE), 0);
}

static void assert_done(struct bench *bench, struct pair pair, const char *peer) {
    assert_int_equal(bench->done_count, 1);
    assert_int_equal(bench->done_fd, pair.server);
    assert_string_equal(bench->peer, peer);
    assert_int_equal(bench->peeks.count, 0);
    close(pair.client);
    close(pair.server);
}

/* The client's end sees it. */
static void assert_closed(struct pair pair) {
    char nothing;
    struct pollfd state = {.fd = pair.client, .events = POLLIN};
    assert_int_equal(poll(&state, 1, LONG_MS), 1);
    assert_true(recv(pair.client, &nothing, 1, 0) <= 0);
    close(pair.client);
}

static bool is_awake(struct pair pair) {
    struct pollfd state = {.fd = pair.server, .events = POLLIN};
    return poll(&state, 1, 0) != 0;
}

/* ---- a header that comes ---- */

static void test_a_header_that_is_there_is_taken_at_once(void **state) {
    struct bench *bench = *state;
    struct pair pair = pair_new(bench);
    send_bytes(pair, BYTES(V1));
    peek(bench, pair);
    assert_done(bench, pair, SOURCE);
}

static void test_a_header_that_comes_later_is_taken_then(void **state) {
    struct bench *bench = *state;
    struct pair pair = pair_new(bench);
    peek(bench, pair);
    assert_int_equal(bench->peeks.count, 1);
    assert_int_equal(bench->done_count, 0);
    send_bytes(pair, BYTES(V2));
    turn(bench);
    assert_done(bench, pair, SOURCE);
}

static void test_exactly_the_header_is_taken(void **state) {
    struct bench *bench = *state;
    struct pair pair = pair_new(bench);
    char rest[64];
    peek(bench, pair);
    send_bytes(pair, BYTES(V2 "\x16\x03\x01 the client's own"));
    turn(bench);
    assert_int_equal(bench->done_count, 1);
    assert_int_equal(recv(pair.server, rest, sizeof rest, 0), sizeof "\x16\x03\x01 the client's own" - 1);
    assert_memory_equal(rest, "\x16\x03\x01 the client's own", sizeof "\x16\x03\x01 the client's own" - 1);
    assert_done(bench, pair, SOURCE);
}

/* `wakes`: the bytes at which there is something to see; at the others the socket sleeps. */
static void assert_taken_byte_by_byte(struct bench *bench, struct bytes header, const char *wakes) {
    struct pair pair = pair_new(bench);
    int low_water = 0;
    socklen_t len = sizeof low_water;
    bench->done_count = 0;
    peek(bench, pair);
    for (size_t n = 0; n < header.len; n++) {
        assert_int_equal(bench->done_count, 0);
        assert_false(is_awake(pair));
        send_bytes(pair, (struct bytes){header.data + n, 1});
        if (wakes[n] == '!')
            turn(bench);
    }
    assert_int_equal(getsockopt(pair.server, SOL_SOCKET, SO_RCVLOWAT, &low_water, &len), 0);
    assert_int_equal(low_water, 1);
    assert_done(bench, pair, SOURCE);
}

static void test_a_header_may_come_byte_by_byte(void **state) {
    assert_taken_byte_by_byte(*state, BYTES(V1), "!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!");
    assert_taken_byte_by_byte(*state, BYTES(V2), "!..............!............!");
}

static void test_where_the_header_names_nobody_the_peer_stays(void **state) {
    struct bench *bench = *state;
    struct pair pair = pair_new(bench);
    send_bytes(pair, BYTES(LOCAL));
    peek(bench, pair);
    assert_done(bench, pair, "10.0.0.1:7");
}

static void test_a_client_that_sends_all_and_ends_is_handed_over(void **state) {
    struct bench *bench = *state;
    struct pair pair = pair_new(bench);
    peek(bench, pair);
    send_bytes(pair, BYTES(V1 "GET / HTTP/1.0\r\n\r\n"));
    assert_int_equal(shutdown(pair.client, SHUT_WR), 0);
    turn(bench);
    assert_done(bench, pair, SOURCE);
}

/* ---- one that does not ---- */

static void test_what_is_no_header_is_closed(void **state) {
    struct bench *bench = *state;
    struct pair now = pair_new(bench), later = pair_new(bench);
    send_bytes(now, BYTES("GET / HTTP/1.1\r\n\r\n"));
    peek(bench, now);
    assert_closed(now);
    peek(bench, later);
    send_bytes(later, BYTES("PROXY TCP4 here there 1 2\r\n"));
    turn(bench);
    assert_closed(later);
    assert_int_equal(bench->peeks.count, 0);
    assert_int_equal(bench->done_count, 0);
}

static void test_a_connection_that_ends_within_the_header_is_closed(void **state) {
    struct bench *bench = *state;
    struct pair now = pair_new(bench), later = pair_new(bench), silent = pair_new(bench);
    send_bytes(now, BYTES("PROXY TCP4 192"));
    assert_int_equal(shutdown(now.client, SHUT_WR), 0);
    peek(bench, now);
    assert_closed(now);
    send_bytes(later, BYTES("PROXY TCP4 192"));
    peek(bench, later);
    assert_int_equal(shutdown(later.client, SHUT_WR), 0);
    turn(bench);
    assert_closed(later);
    peek(bench, silent);
    assert_int_equal(shutdown(silent.client, SHUT_WR), 0);
    turn(bench);
    assert_closed(silent);
    assert_int_equal(bench->peeks.count, 0);
    assert_int_equal(bench->done_count, 0);
}

static void test_a_header_that_does_not_come_in_time_is_not_waited_for(void **state) {
    struct bench *bench = *state;
    struct pair silent = pair_new(bench), slow = pair_new(bench);
    bench->peeks.time_ms = 0;
    peek(bench, silent);
    send_bytes(slow, BYTES("PROXY "));
    peek(bench, slow);
    send_bytes(slow, BYTES("TCP4 ")); /* which makes it no later */
    while (bench->peeks.count > 0)
        turn(bench);
    assert_closed(silent);
    assert_closed(slow);
    assert_int_equal(bench->done_count, 0);
}

/* ---- many ---- */

static void test_the_one_that_has_waited_longest_makes_room(void **state) {
    struct bench *bench = *state;
    struct pair pairs[MOST + 1];
    for (size_t n = 0; n < MOST + 1; n++) {
        pairs[n] = pair_new(bench);
        peek(bench, pairs[n]);
    }
    assert_int_equal(bench->peeks.count, MOST);
    assert_closed(pairs[0]);
    for (size_t n = 1; n < MOST + 1; n++) {
        send_bytes(pairs[n], BYTES(V1));
        turn(bench);
        assert_int_equal(bench->done_count, n);
        assert_int_equal(bench->done_fd, pairs[n].server);
        close(pairs[n].client);
        close(pairs[n].server);
    }
}

static void test_all_that_wait_are_closed_in_the_end(void **state) {
    struct bench *bench = *state;
    struct pair pairs[] = {pair_new(bench), pair_new(bench)};
    peek(bench, pairs[0]);
    peek(bench, pairs[1]);
    proxy_peeks_free(&bench->peeks);
    assert_int_equal(bench->peeks.count, 0);
    assert_closed(pairs[0]);
    assert_closed(pairs[1]);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_a_header_that_is_there_is_taken_at_once),
        TEST(test_a_header_that_comes_later_is_taken_then),
        TEST(test_exactly_the_header_is_taken),
        TEST(test_a_header_may_come_byte_by_byte),
        TEST(test_where_the_header_names_nobody_the_peer_stays),
        TEST(test_a_client_that_sends_all_and_ends_is_handed_over),
        TEST(test_what_is_no_header_is_closed),
        TEST(test_a_connection_that_ends_within_the_header_is_closed),
        TEST(test_a_header_that_does_not_come_in_time_is_not_waited_for),
        TEST(test_the_one_that_has_waited_longest_makes_room),
        TEST(test_all_that_wait_are_closed_in_the_end),
    };
    log_set_level(LOG_LEVEL_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
