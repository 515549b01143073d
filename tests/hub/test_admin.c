/*
 * The operators' HTTP server over real sockets: what is answered where, who may ask, and the bounds that hold for
 * clients. Server and clients share one loop.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "../../src/hub/admin.h"
#include "stompd/base/buffer.h"

#define PATIENCE_S 20
#define TOKEN      "s3cret-token"

/* A client and all that the server has said to it. */
struct client {
    int fd;
    struct event *readable;
    struct buffer answer;
    bool closed; /* by the server */
};

/* A store that keeps the one call it gets; the test answers it. */
struct slow_store {
    struct store store; /* first: the ops get it */
    struct store_call call;
    unsigned calls;
    char user[64];
};

struct bench {
    struct event_base *base;
    struct event *patience;
    struct admin *admin;
    struct registry *registry;
    struct slow_store slow;
    struct session_counters sessions;
    struct worker_counters worker;
    struct worker_gauges gauges;
    struct lag lag;
    struct node_state state;
    struct admin_conf conf;
    char bind[32];
    in_port_t port;
    char token_file[32];
};

/* ---- the server ---- */

static void look(void *arg, struct node_state *state) {
    *state = ((struct bench *)arg)->state;
}

static void user_sessions(struct store *store, struct bytes user, struct store_call call) {
    struct slow_store *slow = (struct slow_store *)store;
    slow->calls++;
    slow->call = call;
    snprintf(slow->user, sizeof slow->user, "%.*s", BYTES_ARG(user));
}

static const struct store_ops slow_ops = {.user_sessions = user_sessions};

static void answer_call(struct slow_store *slow) {
    static const struct store_session sessions[] = {{.id = {"node-b:1:0-1", 12}}};
    struct store_call call = slow->call;
    slow->call = (struct store_call){0};
    call.done(call.arg, &(struct store_answer){.result = STORE_OK, .sessions = sessions, .session_count = 1});
}

static void on_impatient(evutil_socket_t fd, short what, void *arg) {
    (void)fd;
    (void)what;
    (void)arg;
    fail_msg("nothing happens");
}

static int setup(void **state) {
    struct timeval patience = {PATIENCE_S, 0};
    struct bench *bench = calloc(1, sizeof *bench);
    if (!bench)
        return -1;
    *state = bench;
    bench->base = event_base_new();
    bench->patience = evtimer_new(bench->base, on_impatient, NULL);
    bench->registry = registry_new(NULL, NULL, NULL);
    bench->slow.store.ops = &slow_ops;
    bench->state.serving = true;
    bench->gauges = (struct worker_gauges){&bench->sessions, &bench->worker};
    bench->conf = (struct admin_conf){.base = bench->base,
                                      .bind = bench->bind,
                                      .node = "node-a",
                                      .boot = "node-a:b00t",
                                      .connection_ms = ADMIN_CONNECTION_MS,
                                      .workers = &bench->gauges,
                                      .worker_count = 1,
                                      .lag = &bench->lag,
                                      .registry = bench->registry,
                                      .look = look,
                                      .arg = bench};
    return bench->registry && event_add(bench->patience, &patience) == 0 ? 0 : -1;
}

static int teardown(void **state) {
    struct bench *bench = *state;
    admin_free(bench->admin);
    registry_free(bench->registry);
    event_free(bench->patience);
    event_base_free(bench->base);
    if (bench->token_file[0])
        unlink(bench->token_file);
    free(bench);
    return 0;
}

/* A port that was free a moment ago. */
static in_port_t choose_port(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    close(fd);
    return address.sin_port;
}

static void start(struct bench *bench) {
    for (unsigned tries = 0; !bench->admin && tries < 10; tries++) {
        bench->port = choose_port();
        snprintf(bench->bind, sizeof bench->bind, "127.0.0.1:%u", ntohs(bench->port));
        bench->admin = admin_new(&bench->conf);
    }
    assert_non_null(bench->admin);
}

static void write_token_file(struct bench *bench, const char *content) {
    if (!bench->token_file[0]) {
        strcpy(bench->token_file, "/tmp/stompd-token-XXXXXX");
        close(mkstemp(bench->token_file));
    }
    FILE *file = fopen(bench->token_file, "we");
    assert_non_null(file);
    fputs(content, file);
    fclose(file);
}

static void start_with_token(struct bench *bench) {
    write_token_file(bench, TOKEN "\n");
    bench->conf.token_file = bench->token_file;
    start(bench);
}

/* ---- clients ---- */

static void on_readable(evutil_socket_t fd, short what, void *arg) {
    struct client *client = arg;
    char bytes[4096];
    ssize_t len = recv(fd, bytes, sizeof bytes, 0);
    (void)what;
    if (len > 0) {
        assert_true(buffer_append(&client->answer, bytes, (size_t)len));
        return;
    }
    client->closed = true;
    event_del(client->readable);
}

static struct client *client_open(struct bench *bench) {
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = bench->port, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct client *client = calloc(1, sizeof *client);
    assert_non_null(client);
    client->fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(client->fd, (struct sockaddr *)&address, sizeof address), 0);
    client->readable = event_new(bench->base, client->fd, EV_READ | EV_PERSIST, on_readable, client);
    assert_int_equal(event_add(client->readable, NULL), 0);
    return client;
}

static void client_send(struct client *client, const char *text) {
    assert_int_equal(send(client->fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static void client_free(struct client *client) {
    event_free(client->readable);
    close(client->fd);
    buffer_free(&client->answer);
    free(client);
}

/* All that is to be done now is done. */
static void run_idle(struct bench *bench) {
    for (unsigned turn = 0; turn < 5; turn++)
        event_base_loop(bench->base, EVLOOP_NONBLOCK);
}

/* Until the server has answered and closed; returns all that it has said. */
static const char *client_answer(struct bench *bench, struct client *client) {
    while (!client->closed)
        event_base_loop(bench->base, EVLOOP_ONCE);
    assert_true(buffer_append(&client->answer, "", 1));
    return client->answer.data;
}

static bool has_line(const char *answer, const char *line) {
    char whole[256];
    snprintf(whole, sizeof whole, "\r\n%s\r\n", line);
    return strstr(answer, whole) != NULL;
}

static void assert_answer(const char *answer, const char *status, const char *body) {
    char first[64];
    int len = snprintf(first, sizeof first, "HTTP/1.1 %s", status);
    const char *found = strstr(answer, "\r\n\r\n");
    if (strncmp(answer, first, (size_t)len) != 0)
        fail_msg("not %s but: %s", status, answer);
    assert_non_null(found);
    assert_string_equal(found + 4, body);
    assert_true(has_line(answer, "Cache-Control: no-store"));
    assert_true(has_line(answer, "X-Content-Type-Options: nosniff"));
    assert_true(has_line(answer, "Connection: close"));
}

/* One request on a connection of its own, checked and forgotten. `headers` end with CR LF each. */
static void expect(struct bench *bench, const char *request_line, const char *headers, const char *status,
                   const char *body) {
    char request[1024];
    struct client *client = client_open(bench);
    snprintf(request, sizeof request, "%s HTTP/1.1\r\nHost: localhost\r\n%s\r\n", request_line, headers);
    client_send(client, request);
    assert_answer(client_answer(bench, client), status, body);
    client_free(client);
}

/* ---- health ---- */

static void healthz_says_ok_until_the_node_drains(void **state) {
    struct bench *bench = *state;
    start(bench);
    expect(bench, "GET /healthz", "", "200", "ok\n");
    bench->state.draining = true;
    expect(bench, "GET /healthz", "", "503", "draining\n");
}

static void readyz_gives_the_reasons_why_not(void **state) {
    struct bench *bench = *state;
    start(bench);
    expect(bench, "GET /readyz", "", "200", "ready\n");
    bench->state.draining = true;
    bench->state.serving = false;
    expect(bench, "GET /readyz", "", "503", "draining\nclients are not served yet\n");
}

static void metrics_have_their_content_type(void **state) {
    struct bench *bench = *state;
    struct client *client;
    start(bench);
    counter_set(&bench->sessions.open, 17);
    client = client_open(bench);
    client_send(client, "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
    const char *answer = client_answer(bench, client);
    assert_memory_equal(answer, "HTTP/1.1 200 ", 13);
    assert_true(has_line(answer, "Content-Type: text/plain; version=0.0.4; charset=utf-8"));
    assert_non_null(strstr(answer, "\nstompd_sessions{worker=\"0\"} 17\n"));
    client_free(client);
}

static void the_front_page_lists_what_there_is(void **state) {
    struct bench *bench = *state;
    start(bench);
    expect(bench, "GET /", "", "200",
           "/healthz\n/readyz\n/metrics\n/api/v1/nodes\n/api/v1/users\n/api/v1/users/NAME\n");
    expect(bench, "GET /nothing", "", "404", "not found; / lists what there is\n");
    expect(bench, "GET /healthz/", "", "404", "not found; / lists what there is\n");
}

/* ---- methods ---- */

static void head_has_the_headers_of_get_and_no_body(void **state) {
    struct bench *bench = *state;
    start(bench);
    struct client *client = client_open(bench);
    client_send(client, "HEAD /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    const char *answer = client_answer(bench, client);
    assert_answer(answer, "200", "");
    assert_true(has_line(answer, "Content-Length: 3"));
    client_free(client);
}

static void other_methods_are_refused_with_those_allowed(void **state) {
    static const char *const methods[] = {"POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH"};
    struct bench *bench = *state;
    start_with_token(bench);
    for (size_t n = 0; n < sizeof methods / sizeof methods[0]; n++) {
        char request[128];
        struct client *client = client_open(bench);
        snprintf(request, sizeof request, "%s /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n",
                 methods[n]);
        client_send(client, request);
        const char *answer = client_answer(bench, client);
        assert_answer(answer, "405", "only GET and HEAD are possible here\n");
        assert_true(has_line(answer, "Allow: GET, HEAD"));
        client_free(client);
    }
}

/* ---- the token ---- */

static void with_a_token_only_health_is_open(void **state) {
    static const char *const closed[] = {"GET /", "GET /metrics", "GET /api/v1/nodes", "GET /nothing", "HEAD /metrics"};
    struct bench *bench = *state;
    start_with_token(bench);
    expect(bench, "GET /healthz", "", "200", "ok\n");
    expect(bench, "GET /readyz", "", "200", "ready\n");
    for (size_t n = 0; n < sizeof closed / sizeof closed[0]; n++) {
        char request[128];
        struct client *client = client_open(bench);
        snprintf(request, sizeof request, "%s HTTP/1.1\r\nHost: localhost\r\n\r\n", closed[n]);
        client_send(client, request);
        const char *answer = client_answer(bench, client);
        assert_memory_equal(answer, "HTTP/1.1 401 ", 13);
        assert_true(has_line(answer, "WWW-Authenticate: Bearer realm=\"stompd\""));
        assert_null(strstr(answer, "stompd_sessions"));
        client_free(client);
    }
}

static void the_reasons_why_not_are_for_those_with_the_token(void **state) {
    static const char reasons[] = "Redis can't be reached: 10.0.0.7 said NOAUTH\n";
    struct bench *bench = *state;
    start_with_token(bench);
    bench->state.clustered = true;
    strcpy(bench->state.redis.trouble, "10.0.0.7 said NOAUTH");
    expect(bench, "GET /readyz", "", "503", "not ready\n");
    expect(bench, "GET /readyz", "Authorization: Bearer guess\r\n", "503", "not ready\n");
    expect(bench, "HEAD /readyz", "", "503", "");
    expect(bench, "GET /readyz", "Authorization: Bearer " TOKEN "\r\n", "503", reasons);
    bench->state.clustered = false;
    expect(bench, "GET /readyz", "Authorization: Bearer guess\r\n", "200", "ready\n");
}

static void expect_unauthorized(struct bench *bench, const char *header) {
    expect(bench, "GET /nothing", header, "401",
           "this needs the header Authorization: Bearer TOKEN, with the token of token-file\n");
}

static void only_the_very_token_opens(void **state) {
    struct bench *bench = *state;
    start_with_token(bench);
    expect(bench, "GET /nothing", "Authorization: Bearer " TOKEN "\r\n", "404", "not found; / lists what there is\n");
    expect(bench, "GET /nothing", "authorization: bearer " TOKEN "\r\n", "404", "not found; / lists what there is\n");
    expect_unauthorized(bench, "Authorization: Bearer " TOKEN "x\r\n");
    expect_unauthorized(bench, "Authorization: Bearer s3cret-toke\r\n");
    expect_unauthorized(bench, "Authorization: Bearer s3cret-tokem\r\n");
    expect_unauthorized(bench, "Authorization: Bearer " TOKEN TOKEN "\r\n");
    expect_unauthorized(bench, "Authorization: Bearer \r\n");
    expect_unauthorized(bench, "Authorization: Bearer\r\n");
    expect_unauthorized(bench, "Authorization: Basic " TOKEN "\r\n");
    expect_unauthorized(bench, "Authorization: " TOKEN "\r\n");
}

static void a_reload_takes_the_new_token(void **state) {
    struct bench *bench = *state;
    start_with_token(bench);
    write_token_file(bench, "another\n");
    expect_unauthorized(bench, "Authorization: Bearer another\r\n");
    assert_true(admin_reload(bench->admin, bench->token_file));
    expect(bench, "GET /nothing", "Authorization: Bearer another\r\n", "404", "not found; / lists what there is\n");
    expect_unauthorized(bench, "Authorization: Bearer " TOKEN "\r\n");
}

static void a_reload_with_a_bad_file_keeps_the_old_token(void **state) {
    struct bench *bench = *state;
    start_with_token(bench);
    write_token_file(bench, "\n");
    assert_false(admin_reload(bench->admin, bench->token_file));
    assert_false(admin_reload(bench->admin, "/nowhere/at/all"));
    expect(bench, "GET /nothing", "Authorization: Bearer " TOKEN "\r\n", "404", "not found; / lists what there is\n");
    expect_unauthorized(bench, "");
    assert_true(admin_reload(bench->admin, NULL)); /* on loopback that is allowed */
    expect(bench, "GET /nothing", "", "404", "not found; / lists what there is\n");
}

static void without_a_usable_token_it_does_not_start(void **state) {
    struct bench *bench = *state;
    strcpy(bench->bind, "0.0.0.0:1");
    assert_null(admin_new(&bench->conf));
    strcpy(bench->bind, "127.0.0.1:1");
    bench->conf.token_file = "/nowhere/at/all";
    assert_null(admin_new(&bench->conf));
    write_token_file(bench, "");
    bench->conf.token_file = bench->token_file;
    assert_null(admin_new(&bench->conf));
}

static void an_address_that_is_taken_is_a_fault(void **state) {
    struct bench *bench = *state;
    start(bench);
    assert_null(admin_new(&bench->conf));
    expect(bench, "GET /healthz", "", "200", "ok\n");
}

/* ---- the host ---- */

static void expect_for_host(struct bench *bench, const char *host_header, const char *status, const char *body) {
    char request[256];
    struct client *client = client_open(bench);
    snprintf(request, sizeof request, "GET /healthz HTTP/1.1\r\n%s\r\n", host_header);
    client_send(client, request);
    assert_answer(client_answer(bench, client), status, body);
    client_free(client);
}

static void without_a_token_names_that_dns_gives_are_refused(void **state) {
    static const char *const ours[] = {"",
                                       "Host: localhost\r\n",
                                       "Host: localhost:9090\r\n",
                                       "Host: 127.0.0.1\r\n",
                                       "host: 127.0.0.1:9090\r\n",
                                       "Host: [::1]\r\n",
                                       "Host: [::1]:9090\r\n"};
    static const char *const others[] = {"Host: rebound.example\r\n", "Host: rebound.example:9090\r\n",
                                         "Host: 127.0.0.1.rebound.example\r\n",
                                         "Host: localhost.rebound.example:80\r\n", "Host: *:9090\r\n"};
    struct bench *bench = *state;
    start(bench);
    for (size_t n = 0; n < sizeof ours / sizeof ours[0]; n++)
        expect_for_host(bench, ours[n], "200", "ok\n");
    for (size_t n = 0; n < sizeof others / sizeof others[0]; n++)
        expect_for_host(bench, others[n], "403",
                        "without a token-file this answers only at localhost or a numeric address: see Host\n");
}

static void with_a_token_any_host_will_do(void **state) {
    struct bench *bench = *state;
    start_with_token(bench);
    expect_for_host(bench, "Host: node-a.example:9090\r\n", "200", "ok\n");
}

/* ---- bounds ---- */

static void a_request_that_is_too_large_is_refused(void **state) {
    struct bench *bench = *state;
    char header[ADMIN_REQUEST_MAX + 1];
    start(bench);
    memset(header, 'x', sizeof header - 1);
    header[sizeof header - 1] = '\0';
    struct client *client = client_open(bench);
    client_send(client, "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: ");
    client_send(client, header);
    client_send(client, "\r\n\r\n");
    const char *answer = client_answer(bench, client);
    assert_true(answer[0] == '\0' || strncmp(answer, "HTTP/1.1 4", 10) == 0);
    client_free(client);
    expect(bench, "GET /healthz", "", "200", "ok\n");
}

static void a_body_is_refused(void **state) {
    struct bench *bench = *state;
    start(bench);
    struct client *client = client_open(bench);
    client_send(client, "POST /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n");
    assert_memory_equal(client_answer(bench, client), "HTTP/1.1 4", 10);
    client_free(client);
}

static void garbage_is_answered_or_cut(void **state) {
    static const char *const requests[] = {
        "\r\n\r\n\r\n",
        "GET\r\n\r\n",
        "GET /healthz HTTP/9.9\r\n\r\n",
        "GET http://[::1 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET * HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET ?x HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "FROB /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "CONNECT example:80 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nno colon here\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    };
    struct bench *bench = *state;
    start(bench);
    for (size_t n = 0; n < sizeof requests / sizeof requests[0]; n++) {
        struct client *client = client_open(bench);
        client_send(client, requests[n]);
        run_idle(bench);
        shutdown(client->fd, SHUT_WR);
        assert_true(strncmp(client_answer(bench, client), "HTTP/1.1 2", 10) != 0);
        client_free(client);
        expect(bench, "GET /healthz", "", "200", "ok\n");
    }
}

static void for_a_new_client_the_oldest_that_says_nothing_goes(void **state) {
    struct bench *bench = *state;
    struct client *silent[2 * ADMIN_CONNECTIONS_MAX];
    size_t count = sizeof silent / sizeof silent[0];
    size_t open = 0;
    start(bench);
    for (size_t n = 0; n < count; n++)
        silent[n] = client_open(bench);
    run_idle(bench);
    expect(bench, "GET /healthz", "", "200", "ok\n");
    for (size_t n = 0; n < count; n++) {
        assert_false(silent[n]->closed && open > 0); /* the youngest are left */
        open += !silent[n]->closed;
    }
    assert_true(open > ADMIN_CONNECTIONS_MAX / 2 && open < ADMIN_CONNECTIONS_MAX);
    client_send(silent[count - 1], "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_answer(client_answer(bench, silent[count - 1]), "200", "ok\n");
    for (size_t n = 0; n < count; n++)
        client_free(silent[n]);
    for (size_t n = 0; n < count; n++) /* their places are free again */
        expect(bench, "GET /healthz", "", "200", "ok\n");
}

static void clients_that_wait_for_an_answer_keep_their_places(void **state) {
    struct bench *bench = *state;
    struct client *waiting[ADMIN_CONNECTIONS_MAX];
    bench->conf.store = &bench->slow.store;
    start(bench);
    for (size_t n = 0; n < ADMIN_CONNECTIONS_MAX; n++) {
        waiting[n] = client_open(bench);
        client_send(waiting[n], "GET /api/v1/users/alice HTTP/1.1\r\nHost: localhost\r\n\r\n");
        run_idle(bench);
    }
    struct client *late = client_open(bench);
    client_send(late, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    run_idle(bench);
    assert_int_equal(bench->slow.calls, ADMIN_CONNECTIONS_MAX);
    assert_int_equal(late->answer.len, 0);
    answer_call(&bench->slow); /* of the last one */
    assert_memory_equal(client_answer(bench, waiting[ADMIN_CONNECTIONS_MAX - 1]), "HTTP/1.1 200 ", 13);
    assert_answer(client_answer(bench, late), "200", "ok\n"); /* a place has become free */
    for (size_t n = 0; n < ADMIN_CONNECTIONS_MAX; n++)
        client_free(waiting[n]);
    client_free(late);
}

static void a_connection_whose_time_is_over_is_closed(void **state) {
    struct bench *bench = *state;
    bench->conf.connection_ms = 1;
    bench->conf.store = &bench->slow.store;
    start(bench);
    struct client *silent = client_open(bench);
    struct client *waiting = client_open(bench);
    client_send(waiting, "GET /api/v1/users/alice HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_string_equal(client_answer(bench, silent), "");
    assert_string_equal(client_answer(bench, waiting), "");
    client_free(silent);
    client_free(waiting);
    answer_call(&bench->slow); /* nobody waits for it */
}

/* ---- answers that come later ---- */

static struct client *ask_slow_store(struct bench *bench) {
    bench->conf.store = &bench->slow.store;
    start(bench);
    struct client *client = client_open(bench);
    client_send(client, "GET /api/v1/users/alice HTTP/1.1\r\nHost: localhost\r\n\r\n");
    run_idle(bench);
    assert_int_equal(bench->slow.calls, 1);
    assert_string_equal(bench->slow.user, "alice");
    assert_int_equal(client->answer.len, 0);
    return client;
}

static void others_are_answered_while_one_waits_for_the_store(void **state) {
    struct bench *bench = *state;
    struct client *client = ask_slow_store(bench);
    expect(bench, "GET /healthz", "", "200", "ok\n");
    answer_call(&bench->slow);
    const char *answer = client_answer(bench, client);
    assert_true(has_line(answer, "Content-Type: application/json"));
    assert_answer(answer, "200",
                  "{\n"
                  "  \"user\": \"alice\",\n"
                  "  \"online\": true,\n"
                  "  \"session_count\": 1,\n"
                  "  \"nodes\": {\n"
                  "    \"node-b\": 1\n"
                  "  },\n"
                  "  \"sessions\": [\n"
                  "    {\n"
                  "      \"id\": \"node-b:1:0-1\",\n"
                  "      \"node\": \"node-b\"\n"
                  "    }\n"
                  "  ],\n"
                  "  \"stale\": false\n"
                  "}\n");
    client_free(client);
}

static void a_client_may_go_before_the_store_answers(void **state) {
    struct bench *bench = *state;
    struct client *client = ask_slow_store(bench);
    client_free(client);
    run_idle(bench);
    answer_call(&bench->slow);
    run_idle(bench);
    expect(bench, "GET /healthz", "", "200", "ok\n");
}

static void the_node_may_end_before_the_store_answers(void **state) {
    struct bench *bench = *state;
    struct client *client = ask_slow_store(bench);
    admin_free(bench->admin);
    bench->admin = NULL;
    assert_string_equal(client_answer(bench, client), "");
    client_free(client);
}

static void the_api_says_in_json_what_is_wrong(void **state) {
    struct bench *bench = *state;
    start(bench);
    expect(bench, "GET /api/v1/nothing", "", "404",
           "{\n  \"error\": \"there are nodes, users and users/NAME (percent-encoded)\"\n}\n");
    expect(bench, "GET /api/v1/users?limit=0", "", "400",
           "{\n  \"error\": \"limit must be a number from 1 to 1000\"\n}\n");
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(healthz_says_ok_until_the_node_drains),
        TEST(readyz_gives_the_reasons_why_not),
        TEST(metrics_have_their_content_type),
        TEST(the_front_page_lists_what_there_is),
        TEST(head_has_the_headers_of_get_and_no_body),
        TEST(other_methods_are_refused_with_those_allowed),
        TEST(with_a_token_only_health_is_open),
        TEST(the_reasons_why_not_are_for_those_with_the_token),
        TEST(only_the_very_token_opens),
        TEST(a_reload_takes_the_new_token),
        TEST(a_reload_with_a_bad_file_keeps_the_old_token),
        TEST(without_a_usable_token_it_does_not_start),
        TEST(an_address_that_is_taken_is_a_fault),
        TEST(without_a_token_names_that_dns_gives_are_refused),
        TEST(with_a_token_any_host_will_do),
        TEST(a_request_that_is_too_large_is_refused),
        TEST(a_body_is_refused),
        TEST(garbage_is_answered_or_cut),
        TEST(for_a_new_client_the_oldest_that_says_nothing_goes),
        TEST(clients_that_wait_for_an_answer_keep_their_places),
        TEST(a_connection_whose_time_is_over_is_closed),
        TEST(others_are_answered_while_one_waits_for_the_store),
        TEST(a_client_may_go_before_the_store_answers),
        TEST(the_node_may_end_before_the_store_answers),
        TEST(the_api_says_in_json_what_is_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
