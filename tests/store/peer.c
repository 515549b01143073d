/* Writing down what stores tell. */
#include "peer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE 512

/* ---- events ---- */

static void write_down(struct peer *peer, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void write_down(struct peer *peer, const char *format, ...) {
    size_t len = strlen(peer->told);
    va_list values;
    va_start(values, format);
    vsnprintf(peer->told + len, sizeof peer->told - len, format, values);
    va_end(values);
}

static void on_up(void *arg, struct bytes server) {
    struct peer *peer = arg;
    peer->ups++;
    snprintf(peer->server, sizeof peer->server, "%.*s", BYTES_ARG(server));
}

static void on_down(void *arg) {
    ((struct peer *)arg)->downs++;
    write_down(arg, "down\n");
}

static const char *kind_name(enum store_channel kind) {
    return kind == STORE_GLOB ? "glob " : "";
}

static void on_subscribed(void *arg, enum store_channel kind, struct bytes name) {
    write_down(arg, "subscribed %s%.*s\n", kind_name(kind), BYTES_ARG(name));
}

static void on_unsubscribed(void *arg, enum store_channel kind, struct bytes name) {
    write_down(arg, "unsubscribed %s%.*s\n", kind_name(kind), BYTES_ARG(name));
}

static void on_message(void *arg, struct bytes channel, struct bytes payload) {
    write_down(arg, "message %.*s: %.*s\n", BYTES_ARG(channel), BYTES_ARG(payload));
}

static void on_published(void *arg, bool taken) {
    struct peer *peer = arg;
    peer->published++;
    peer->refused += !taken;
}

static const struct store_events events = {on_up, on_down, on_subscribed, on_unsubscribed, on_message, on_published};

/* ---- waiting ---- */

struct count {
    const unsigned *now;
    unsigned before;
};

struct look {
    struct peer *peer;
    size_t len;
};

static bool has_grown(void *arg) {
    const struct count *count = arg;
    return *count->now > count->before;
}

static bool has_told(void *arg) {
    const struct look *look = arg;
    return strlen(look->peer->told) >= look->len;
}

void peer_await(struct peer *peer, bool (*reached)(void *arg), void *arg) {
    assert_true(peer->contract->pump_until(peer->contract->arg, reached, arg));
}

void peer_expect(struct peer *peer, const char *told) {
    struct look look = {peer, strlen(told)};
    if (!peer->contract->pump_until(peer->contract->arg, has_told, &look))
        assert_string_equal(peer->told, told);
    assert_string_equal(peer->told, told);
    peer->told[0] = '\0';
}

void peer_await_up(struct peer *peer, unsigned before) {
    struct count count = {&peer->ups, before};
    peer_await(peer, has_grown, &count);
}

void peer_await_published(struct peer *peer, unsigned published) {
    struct count count = {&peer->published, published - 1};
    peer_await(peer, has_grown, &count);
    assert_int_equal(peer->published, published);
}

void peer_await_down(struct peer *peer, unsigned before) {
    struct count count = {&peer->downs, before};
    peer_await(peer, has_grown, &count);
}

/* ---- channels ---- */

void peer_publish(struct peer *peer, const char *channel, const char *payload) {
    peer->store->ops->publish(peer->store, bytes_of(channel), bytes_of(payload));
}

void peer_subscribe(struct peer *peer, enum store_channel kind, const char *name) {
    peer->store->ops->subscribe(peer->store, kind, bytes_of(name));
}

void peer_unsubscribe(struct peer *peer, enum store_channel kind, const char *name) {
    peer->store->ops->unsubscribe(peer->store, kind, bytes_of(name));
}

/* ---- answers ---- */

static int compare(const void *a, const void *b) {
    return strcmp(a, b);
}

/* Items of LINE bytes each. */
static void put_items(struct answer *answer, char *items, size_t count) {
    size_t len = 0;
    qsort(items, count, LINE, compare);
    for (size_t n = 0; n < count && len < sizeof answer->text; n++)
        len += (size_t)snprintf(answer->text + len, sizeof answer->text - len, "%s%s", n > 0 ? ", " : "",
                                items + n * LINE);
    answer->count = count;
}

static void write_node(char *item, const struct store_node *node) {
    if (node->fenced)
        snprintf(item, LINE, "%.*s %.*s dead", BYTES_ARG(node->node), BYTES_ARG(node->boot));
    else
        snprintf(item, LINE, "%.*s %.*s %llu", BYTES_ARG(node->node), BYTES_ARG(node->boot),
                 (unsigned long long)node->renewals);
}

static void on_done(void *arg, const struct store_answer *from) {
    struct answer *answer = arg;
    size_t count = from->node_count + from->session_count + from->user_count;
    char *items = calloc(count + 1, LINE);
    char *item = items;
    assert_non_null(items);
    assert_false(answer->done);
    for (size_t n = 0; n < from->node_count; n++, item += LINE)
        write_node(item, &from->nodes[n]);
    for (size_t n = 0; n < from->session_count; n++, item += LINE)
        snprintf(item, LINE, "%.*s%s%.*s", BYTES_ARG(from->sessions[n].id), from->sessions[n].user.len > 0 ? " " : "",
                 BYTES_ARG(from->sessions[n].user));
    for (size_t n = 0; n < from->user_count; n++, item += LINE)
        snprintf(item, LINE, "%.*s %llu", BYTES_ARG(from->users[n].name), (unsigned long long)from->users[n].sessions);
    put_items(answer, items, count);
    answer->done = true;
    answer->downs = answer->peer->downs;
    answer->result = from->result;
    answer->cursor = from->cursor;
    free(items);
}

static bool is_done(void *arg) {
    return ((const struct answer *)arg)->done;
}

struct store_call peer_call(struct peer *peer, struct answer *answer) {
    answer->peer = peer;
    answer->done = false;
    answer->text[0] = '\0';
    return (struct store_call){on_done, answer};
}

/* Nothing is answered from within a call. */
void peer_await_answer(struct peer *peer, struct answer *answer) {
    assert_false(answer->done);
    peer_await(peer, is_done, answer);
}

const struct answer *peer_renew(struct peer *peer) {
    static struct answer answer;
    peer->store->ops->renew(peer->store, peer_call(peer, &answer));
    peer_await_answer(peer, &answer);
    return &answer;
}

enum store_result peer_bury(struct peer *peer, const char *node, const char *boot, uint64_t renewals, bool fenced) {
    static struct answer answer;
    struct store_node dead = {bytes_of(node), bytes_of(boot), renewals, fenced};
    peer->store->ops->bury(peer->store, &dead, peer_call(peer, &answer));
    peer_await_answer(peer, &answer);
    return answer.result;
}

enum store_result peer_leave(struct peer *peer) {
    static struct answer answer;
    peer->store->ops->leave(peer->store, peer_call(peer, &answer));
    peer_await_answer(peer, &answer);
    return answer.result;
}

const struct answer *peer_user_sessions(struct peer *peer, const char *user) {
    static struct answer answer;
    peer->store->ops->user_sessions(peer->store, bytes_of(user), peer_call(peer, &answer));
    peer_await_answer(peer, &answer);
    return &answer;
}

const struct answer *peer_users(struct peer *peer, const char *after, unsigned limit) {
    static struct answer answer;
    peer->store->ops->users(peer->store, bytes_of(after), limit, peer_call(peer, &answer));
    peer_await_answer(peer, &answer);
    return &answer;
}

const struct answer *peer_session_page(struct peer *peer, uint64_t cursor) {
    static struct answer answer;
    peer->store->ops->session_page(peer->store, cursor, peer_call(peer, &answer));
    peer_await_answer(peer, &answer);
    return &answer;
}

enum store_result peer_add(struct peer *peer, const char *session, const char *user) {
    static struct answer answer;
    struct store_session sessions = {bytes_of(session), bytes_of(user)};
    peer->store->ops->add_sessions(peer->store, &sessions, 1, peer_call(peer, &answer));
    peer_await_answer(peer, &answer);
    return answer.result;
}

enum store_result peer_remove(struct peer *peer, const char *session, const char *user) {
    static struct answer answer;
    struct store_session sessions = {bytes_of(session), bytes_of(user)};
    peer->store->ops->remove_sessions(peer->store, &sessions, 1, peer_call(peer, &answer));
    peer_await_answer(peer, &answer);
    return answer.result;
}

static void add_piece(struct peer *peer, const char *boot, size_t first, size_t count, const char *const *users,
                      size_t user_count) {
    static struct answer answer;
    static char ids[STORE_SESSIONS_MAX][LINE];
    struct store_session sessions[STORE_SESSIONS_MAX];
    for (size_t n = 0; n < count; n++) {
        snprintf(ids[n], LINE, "%s-%zu", boot, first + n);
        sessions[n] = (struct store_session){bytes_of(ids[n]), bytes_of(users[(first + n) % user_count])};
    }
    peer->store->ops->add_sessions(peer->store, sessions, count, peer_call(peer, &answer));
    peer_await_answer(peer, &answer);
    assert_int_equal(answer.result, STORE_OK);
}

void peer_add_many(struct peer *peer, const char *boot, size_t first, size_t count, const char *const *users,
                   size_t user_count) {
    for (size_t done = 0; done < count; done += STORE_SESSIONS_MAX) {
        size_t piece = count - done < STORE_SESSIONS_MAX ? count - done : STORE_SESSIONS_MAX;
        add_piece(peer, boot, first + done, piece, users, user_count);
    }
}

/* ---- life ---- */

void peer_attach(struct peer *peer, const struct contract *contract, const char *node, const char *boot) {
    memset(peer, 0, sizeof *peer);
    peer->contract = contract;
    peer->store = contract->attach(contract->arg, node, boot, &events, peer);
    assert_non_null(peer->store);
}

void peer_open(struct peer *peer, const struct contract *contract, const char *node, const char *boot) {
    peer_attach(peer, contract, node, boot);
    peer_await_up(peer, 0);
}

void peer_close(struct peer *peer) {
    if (peer->store)
        peer->store->ops->free(peer->store);
    peer->store = NULL;
}
