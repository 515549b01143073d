/* The recording host: session_ops that remember, and clients that feed and read. */
#include "host.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "stompd/stomp/writer.h"

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
        session_pop(session);
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
    snprintf(host->rest, sizeof host->rest, "%.*s", BYTES_ARG(destination->rest));
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

static struct host *host_of_env(struct session_env *env) {
    return CONTAINER_OF(env, struct host, env);
}

static bool on_publish(struct session_env *env, struct message *message) {
    struct host *host = host_of_env(env);
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

static bool on_consume(struct session_env *env, const struct consumer *consumer, struct bytes topic) {
    struct host *host = host_of_env(env);
    if (host->out_of_memory)
        return false;
    snprintf(host->consumed, sizeof host->consumed, "%.*s %u", BYTES_ARG(consumer_queue(consumer)), consumer->prefetch);
    snprintf(host->bound, sizeof host->bound, "%.*s", BYTES_ARG(topic));
    host->consumer = consumer->id;
    host->consumers++;
    if (host->consuming_at_once)
        session_consuming(env, consumer->id, CONSUMING);
    return true;
}

static bool on_forget(struct session_env *env, struct bytes queue, struct pending *pending) {
    struct host *host = host_of_env(env);
    snprintf(host->forgotten, sizeof host->forgotten, "%.*s", BYTES_ARG(queue));
    host->forgetting = pending;
    return !host->out_of_memory;
}

static void on_unconsume(struct session_env *env, uint64_t consumer) {
    (void)consumer;
    host_of_env(env)->consumers--;
}

static void on_written(struct session_env *env, uint64_t consumer, uint64_t bytes) {
    (void)consumer;
    host_of_env(env)->written++;
    host_of_env(env)->written_bytes += bytes;
}

static bool on_submit(struct session_env *env, struct change *change) {
    struct host *host = host_of_env(env);
    if (host->out_of_memory)
        return false;
    assert_true(host->change_count < HOST_CHANGES_MAX);
    host->changes[host->change_count++] = change;
    for (uint32_t n = 0; n < change->count; n++)
        host->given_back += change->operations[n].kind != OPERATION_PUT;
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
                                             .publish = on_publish,
                                             .consume = on_consume,
                                             .forget = on_forget,
                                             .unconsume = on_unconsume,
                                             .written = on_written,
                                             .submit = on_submit};

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
                                               .prefetch = 1000,
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
    host->consuming_at_once = true;
    host->env = (struct session_env){.ops = &recording,
                                     .limits = &host->limits,
                                     .anonymous = true,
                                     .policies = &host->policies,
                                     .node = "node-a",
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

/* Of deliveries and consumers, those with which something is wrong. */
static int count_unsettled(const struct host *host) {
    if (host->out_of_memory)
        return 0;
    return (int)host->consumers + (host->deliveries != host->given_back) + (host->deliveries != host->written) +
           (host->delivered_bytes != host->written_bytes);
}

int host_teardown(void **state) {
    struct host *host = *state;
    for (size_t n = 0; n < host->client_count; n++)
        free_client(host->clients[n]);
    int left = (int)host->subscription_count + !list_is_empty(&host->env.waiting) + (int)host->env.consumers.count;
    left += count_unsettled(host);
    for (size_t n = 0; n < host->change_count; n++)
        change_free(host->changes[n]);
    for (size_t n = 0; n < host->published_count; n++) {
        left += atomic_load(&host->published[n]->refs) != 1 || host->published[n]->local[host->env.owner] != 0;
        message_unref(host->published[n]);
    }
    left += atomic_load(&host->env.beat->refs) != 1;
    session_env_free(&host->env);
    policies_free(&host->policies);
    free(host);
    return left ? -1 : 0;
}

void host_expect_published(const struct host *host, size_t n, const char *key, const char *body) {
    assert_true(n < host->published_count);
    struct bytes whole = message_body(host->published[n]);
    assert_true(bytes_equal(message_key(host->published[n]), bytes_of(key)));
    assert_string_equal(whole.data, body);
}

/* ---- queues ---- */

static size_t describe(char *to, size_t size, const struct operation *operation) {
    unsigned long long ms = operation->entry.ms;
    unsigned long long number = operation->entry.n;
    switch (operation->kind) {
    case OPERATION_PUT:
        return (size_t)snprintf(to, size, "put %.*s %llu %s\n", BYTES_ARG(message_key(operation->message)),
                                (unsigned long long)operation->lifetime_ms, message_body(operation->message).data);
    case OPERATION_SETTLE:
        return (size_t)snprintf(to, size, "settle %llu-%llu\n", ms, number);
    case OPERATION_RETURN:
        return (size_t)snprintf(to, size, "return %llu-%llu%s\n", ms, number, operation->counted ? " counted" : "");
    case OPERATION_REJECT:
        return (size_t)snprintf(to, size, "reject %llu-%llu\n", ms, number);
    }
    return 0;
}

const char *host_take_change(struct host *host) {
    static char text[4096];
    if (host->changes_taken == host->change_count)
        fail_msg("no change was submitted");
    const struct change *change = host->changes[host->changes_taken++];
    size_t len = 0;
    text[0] = '\0';
    if (change->together)
        len += (size_t)snprintf(text, sizeof text, "together\n");
    for (uint32_t n = 0; n < change->count && len < sizeof text; n++)
        len += describe(text + len, sizeof text - len, &change->operations[n]);
    return text;
}

void host_expect_no_change(const struct host *host) {
    assert_int_equal(host->changes_taken, host->change_count);
}

void host_answer(struct host *host, enum change_result result) {
    assert_true(host->change_count > 0);
    struct change *change = host->changes[0];
    host->change_count--;
    host->changes_taken -= host->changes_taken > 0;
    memmove(&host->changes[0], &host->changes[1], host->change_count * sizeof(struct change *));
    if (change->pending)
        session_changed(&host->env, change->pending, result);
    change_free(change);
}

void host_answer_all(struct host *host) {
    while (host->change_count > 0)
        host_answer(host, CHANGE_DONE);
}

struct message *host_message(const struct host *host, const char *queue, const char *body) {
    static unsigned number;
    char id[32];
    snprintf(id, sizeof id, "m-%u", ++number);
    struct stomp_publication publication = {.destination = BYTES("/queue/x"),
                                            .message_id = bytes_of(id),
                                            .body = bytes_of(body),
                                            .route = ROUTE_QUEUE,
                                            .key = bytes_of(queue)};
    struct message *message = stomp_write_message(host->env.owners, &publication);
    assert_non_null(message);
    return message;
}

void host_deliver_message(struct host *host, uint64_t consumer, unsigned n, uint32_t deliveries,
                          struct message *message) {
    host->deliveries++;
    host->delivered_bytes += message_size(message);
    session_deliver_entry(&host->env, consumer, &(struct entry){.ms = 7, .n = n, .size = 10}, deliveries, message);
}

void host_deliver(struct host *host, uint64_t consumer, unsigned n, uint32_t deliveries, const char *body) {
    struct message *message = host_message(host, "q:x", body);
    host_deliver_message(host, consumer, n, deliveries, message);
    message_unref(message);
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

struct client *client_log_in(struct host *host, const char *user) {
    char frame[128];
    struct client *client = client_open(host);
    host->login = LOGIN_ACCEPT;
    snprintf(frame, sizeof frame, "CONNECT\naccept-version:1.2\nhost:h\nlogin:%s\n\n", user);
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
    session_pop(client->session);
    session_wrote(client->session, client->host->now);
    session_flushed(client->session);
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
