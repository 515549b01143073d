/* The recording host: session_ops that remember, and clients that feed and read. */
#include "host.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* ---- effects ---- */

static struct client *client_of(struct session *session) {
    return session->transport;
}

static struct host *host_of(struct session *session) {
    return client_of(session)->host;
}

static void on_wake(struct session *session) {
    client_of(session)->wakes++;
}

static void on_make_room(struct session *session) {
    struct client *client = client_of(session);
    while (client->socket_takes_all && outbox_front(&session->outbox)) {
        outbox_pop(&session->outbox);
        client->taken++;
    }
}

static bool on_opened(struct session *session) {
    assert_int_equal(session->state, SESSION_OPEN);
    return true;
}

static void on_ended(struct session *session, const char *why) {
    struct client *client = client_of(session);
    assert_int_equal(session->state, SESSION_ENDING);
    assert_int_equal(++client->ends, 1);
    snprintf(client->end_reason, sizeof client->end_reason, "%s", why);
}

static void on_resume(struct session *session) {
    client_of(session)->resumes++;
}

static void on_log_in(struct session *session, struct bytes login, struct bytes passcode) {
    struct host *host = host_of(session);
    assert_true(login.len > 0);
    host->logins++;
    snprintf(host->logged_in, sizeof host->logged_in, "%.*s/%.*s", BYTES_ARG(login), BYTES_ARG(passcode));
    char user[128];
    snprintf(user, sizeof user, "%.*s", BYTES_ARG(login));
    if (host->login != LOGIN_LATER)
        session_logged_in(session, host->login == LOGIN_ACCEPT ? user : NULL, host->now);
}

static bool on_subscribe(struct session *session, struct subscription *subscription,
                         const struct destination *destination) {
    struct host *host = host_of(session);
    assert_true(bytes_equal(destination->whole, subscription_destination(subscription)));
    if (host->out_of_memory)
        return false;
    assert_true(host->subscription_count < HOST_SUBSCRIPTIONS_MAX);
    host->subscriptions[host->subscription_count++] = subscription;
    subscription->known = host->live_at_once || host->known_at_once;
    subscription->live = host->live_at_once;
    return true;
}

static void on_unsubscribe(struct session *session, struct subscription *subscription) {
    struct host *host = host_of(session);
    size_t kept = 0;
    for (size_t n = 0; n < host->subscription_count; n++)
        if (host->subscriptions[n] != subscription)
            host->subscriptions[kept++] = host->subscriptions[n];
    host->subscription_count = kept;
}

static bool on_publish(struct session *session, struct message *message) {
    struct host *host = host_of(session);
    if (host->out_of_memory)
        return false;
    assert_true(host->published_count < HOST_PUBLISHED_MAX);
    host->published[host->published_count++] = message_ref(message);
    if (host->published_count == host->congest_after)
        host->env.congested = true;
    for (size_t n = 0; n < host->subscription_count; n++)
        if (bytes_equal(subscription_destination(host->subscriptions[n]), message_key(message)))
            session_deliver(host->subscriptions[n], message);
    return true;
}

static const struct session_ops recording = {.wake = on_wake,
                                             .make_room = on_make_room,
                                             .opened = on_opened,
                                             .ended = on_ended,
                                             .resume = on_resume,
                                             .log_in = on_log_in,
                                             .subscribe = on_subscribe,
                                             .unsubscribe = on_unsubscribe,
                                             .publish = on_publish};

/* ---- the host ---- */

static const struct session_limits generous = {.before_login = {.frame_size = 2048,
                                                                .body_size = 2048,
                                                                .headers = 16,
                                                                .header_size = 1024,
                                                                .frame_size_key = "frame-size-before-login"},
                                               .frames = {.frame_size = 4096,
                                                          .body_size = 2048,
                                                          .headers = 16,
                                                          .header_size = 1024,
                                                          .frame_size_key = "frame-size"},
                                               .subscriptions = 32,
                                               .transactions = 8,
                                               .transaction_frames = 64,
                                               .transaction_size = 65536,
                                               .outbox_size = 65536,
                                               .connect_time_ms = 10000,
                                               .frame_time_ms = 30000,
                                               .pause_time_ms = 60000,
                                               .heartbeat = {10000, 10000}};

int host_setup(void **state) {
    struct host *host = calloc(1, sizeof *host);
    if (!host)
        return -1;
    host->limits = generous;
    host->now = 1000;
    host->live_at_once = true;
    host->env = (struct session_env){.ops = &recording,
                                     .limits = &host->limits,
                                     .anonymous = true,
                                     .boot = "node-a:b00t",
                                     .boot_id = "b00t",
                                     .owner = 1,
                                     .owners = 2};
    *state = host;
    return session_env_init(&host->env) ? 0 : -1;
}

static void free_client(struct client *client) {
    if (client->session)
        session_free(client->session);
    buffer_free(&client->stash);
    buffer_free(&client->seen);
    free(client);
}

int host_teardown(void **state) {
    struct host *host = *state;
    for (size_t n = 0; n < host->client_count; n++)
        free_client(host->clients[n]);
    int left = (int)host->subscription_count + !list_is_empty(&host->env.waiting);
    for (size_t n = 0; n < host->published_count; n++) {
        left += atomic_load(&host->published[n]->refs) != 1 || host->published[n]->local[host->env.owner] != 0;
        message_unref(host->published[n]);
    }
    left += atomic_load(&host->env.beat->refs) != 1;
    session_env_free(&host->env);
    free(host);
    return left ? -1 : 0;
}

void host_expect_published(const struct host *host, size_t n, const char *key, const char *body) {
    assert_true(n < host->published_count);
    struct bytes whole = message_body(host->published[n]);
    assert_true(bytes_equal(message_key(host->published[n]), bytes_of(key)));
    assert_string_equal(whole.data, body);
}

static void make_live(struct subscription *subscription) {
    if (!subscription->known)
        session_subscription_known(subscription);
    session_subscription_live(subscription);
}

void host_uncongest(struct host *host) {
    host->env.congested = false;
    sessions_go_on(&host->env);
}

void host_set_away(struct host *host, bool away) {
    host->env.away = away;
    sessions_go_on(&host->env);
}

void host_make_live(struct host *host) {
    for (size_t n = 0; n < host->subscription_count; n++)
        if (!host->subscriptions[n]->live)
            make_live(host->subscriptions[n]);
}

/* ---- clients ---- */

struct client *client_open(struct host *host) {
    struct client *client = calloc(1, sizeof *client);
    assert_non_null(client);
    assert_true(host->client_count < HOST_CLIENTS_MAX);
    host->clients[host->client_count++] = client;
    client->host = host;
    client->session = session_new(&host->env, host->now);
    assert_non_null(client->session);
    client->session->transport = client;
    return client;
}

struct client *client_connect(struct host *host, enum stomp_version version, const char *heartbeat) {
    char frame[128];
    struct client *client = client_open(host);
    snprintf(frame, sizeof frame, "CONNECT\naccept-version:%s\nhost:h\nheart-beat:%s\n\n", stomp_version_name(version),
             heartbeat);
    client_send(client, frame);
    client_expect(client, "CONNECTED");
    session_settle(client->session);
    client->wakes = 0;
    return client;
}

void client_close(struct client *client) {
    struct host *host = client->host;
    size_t n = 0;
    while (host->clients[n] != client)
        n++;
    host->clients[n] = host->clients[--host->client_count];
    free_client(client);
}

/* The session gets a copy of exactly that length, so that a sanitizer sees it reach beyond or keep it. */
static void give(struct client *client, const char *bytes, size_t len) {
    char *copy = malloc(len);
    assert_true(copy || len == 0);
    if (len > 0)
        memcpy(copy, bytes, len);
    size_t used = session_input(client->session, copy, len, client->host->now);
    free(copy);
    assert_true(used == len || (used < len && client->session->input_waits));
    assert_true(buffer_append(&client->stash, bytes + used, len - used));
}

void client_feed(struct client *client, const char *bytes, size_t len) {
    if (client->session->input_waits)
        assert_true(buffer_append(&client->stash, bytes, len));
    else
        give(client, bytes, len);
}

void client_send(struct client *client, const char *frame) {
    client_feed(client, frame, strlen(frame) + 1);
}

void client_go_on(struct client *client) {
    struct buffer stash = client->stash;
    client->stash = (struct buffer){0};
    give(client, stash.data ? stash.data : "", stash.len);
    buffer_free(&stash);
}

const struct wire_frame *client_read(struct client *client) {
    struct outbox *outbox = &client->session->outbox;
    const struct outbox_entry *entry = outbox_front(outbox);
    assert_non_null(entry);
    size_t size = outbox_entry_size(outbox, entry);
    char *bytes = malloc(size);
    assert_non_null(bytes);
    assert_ptr_equal(outbox_entry_write(outbox, entry, bytes), bytes + size);
    outbox_pop(outbox);
    assert_true(buffer_append(&client->seen, bytes, size));
    wire_read(&client->frame, (struct bytes){bytes, size}, client->session->version);
    free(bytes);
    return &client->frame;
}

const struct wire_frame *client_expect(struct client *client, const char *command) {
    const struct wire_frame *frame = client_read(client);
    if (strcmp(frame->command, command) != 0)
        print_error("%s instead of %s: %.*s\n", frame->command, command, BYTES_ARG(frame->body));
    assert_string_equal(frame->command, command);
    return frame;
}

void client_expect_receipt(struct client *client, const char *id) {
    assert_string_equal(wire_header(client_expect(client, "RECEIPT"), "receipt-id"), id);
}

const struct wire_frame *client_expect_message(struct client *client, const char *body) {
    const struct wire_frame *frame = client_expect(client, "MESSAGE");
    assert_true(bytes_equal(frame->body, bytes_of(body)));
    return frame;
}

const struct wire_frame *client_expect_error(struct client *client, enum fault_kind kind, const char *why) {
    const struct wire_frame *frame = client_expect(client, "ERROR");
    if (!strstr(wire_header(frame, "message"), why))
        fail_msg("ERROR says \"%s\" instead of \"%s\"", wire_header(frame, "message"), why);
    assert_int_equal(client->session->state, SESSION_ENDING);
    assert_int_equal(client->session->end, kind);
    assert_string_equal(client->end_reason, wire_header(frame, "message"));
    client_expect_nothing(client);
    return frame;
}

void client_expect_nothing(struct client *client) {
    if (client->session->outbox.count > 0)
        fail_msg("%s was not expected", client_read(client)->command);
    assert_int_equal(client->session->outbox.bytes, 0);
}

const char *client_header(const struct client *client, const char *name) {
    return wire_header(&client->frame, name);
}
