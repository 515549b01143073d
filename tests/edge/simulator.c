/* The simulator: the worker's and the connection's part, played without sockets. */
#include "simulator.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/random.h"
#include "stompd/edge/queue_mail.h"

#define NOW_MS 1000

/* ---- effects, as in src/edge/connection.c ---- */

static struct sim_client *client_of(struct session *session) {
    return session->transport;
}

static struct router *router_of(struct session *session) {
    return &client_of(session)->worker->router;
}

static void on_wake(struct session *session) {
    (void)session; /* what there is to write is looked for by sim_read() */
}

static void on_make_room(struct session *session) {
    (void)session; /* a socket that takes nothing until the client reads */
}

static void tell_hub(struct session *session, bool open) {
    struct sim_worker *worker = client_of(session)->worker;
    struct bytes id = bytes_of(session->id);
    struct bytes user = bytes_of(session->user);
    struct mail_session *mail = malloc(sizeof *mail + id.len + user.len);
    assert_non_null(mail);
    *mail = (struct mail_session){.mail.type = MAIL_SESSION, .open = open, .id_len = id.len, .user_len = user.len};
    memcpy(mail->text, id.data, id.len);
    memcpy(mail->text + id.len, user.data, user.len);
    mail_batch_add(&worker->for_hub, &mail->mail);
}

static bool on_opened(struct session *session) {
    struct sim_client *client = client_of(session);
    assert_int_equal(session->state, SESSION_OPEN);
    client->entered = client->worker->simulator->hub && session->user;
    if (client->entered)
        tell_hub(session, true);
    return true;
}

static void on_ended(struct session *session, const char *why) {
    (void)why;
    assert_int_equal(session->state, SESSION_ENDING);
    if (client_of(session)->entered)
        tell_hub(session, false);
}

static void on_resume(struct session *session) {
    struct sim_client *client = client_of(session);
    if (!list_is_linked(&client->resuming))
        list_append(&client->worker->resuming, &client->resuming);
}

static void on_log_in(struct session *session, struct bytes login, struct bytes passcode) {
    char user[128];
    (void)passcode;
    snprintf(user, sizeof user, "%.*s", BYTES_ARG(login));
    session_logged_in(session, user, NOW_MS);
}

static bool on_subscribe(struct session *session, struct subscription *subscription,
                         const struct destination *destination) {
    return router_subscribe(router_of(session), subscription, destination);
}

static void on_unsubscribe(struct session *session, struct subscription *subscription) {
    router_unsubscribe(router_of(session), subscription);
}

static struct sim_worker *worker_of(struct session_env *env) {
    return CONTAINER_OF(env, struct sim_worker, env);
}

static bool on_publish(struct session_env *env, struct message *message) {
    return router_publish(&worker_of(env)->router, message);
}

static bool on_consume(struct session_env *env, const struct consumer *consumer, struct bytes topic) {
    return queue_mail_consume(&worker_of(env)->for_hub, env->owner, consumer, topic);
}

static bool on_forget(struct session_env *env, struct bytes queue, struct pending *pending) {
    return queue_mail_forget(&worker_of(env)->for_hub, env->owner, queue, pending);
}

static void on_unconsume(struct session_env *env, uint64_t consumer) {
    queue_mail_unconsume(&worker_of(env)->for_hub, env->owner, consumer);
}

static void on_written(struct session_env *env, uint64_t consumer, uint64_t bytes) {
    queue_mail_written(&worker_of(env)->for_hub, env->owner, consumer, bytes);
}

static bool on_submit(struct session_env *env, struct change *change) {
    return queue_mail_submit(&worker_of(env)->for_hub, env->owner, change);
}

static const struct session_ops routed = {.wake = on_wake,
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

/* ---- workers ---- */

static const struct session_limits generous = {.before_login = {.frame_size = 2048,
                                                                .body_size = 2048,
                                                                .headers = 16,
                                                                .header_size = 1024,
                                                                .frame_size_key = "frame-size-before-login"},
                                               .frames = {.frame_size = 2u << 20,
                                                          .body_size = 1u << 20,
                                                          .headers = 16,
                                                          .header_size = 1024,
                                                          .frame_size_key = "frame-size"},
                                               .subscriptions = 64,
                                               .prefetch = 1000,
                                               .transactions = 8,
                                               .transaction_frames = 64,
                                               .transaction_size = 1u << 20,
                                               .outbox_size = 64u << 20,
                                               .connect_time_ms = 10000,
                                               .frame_time_ms = 30000,
                                               .pause_time_ms = 60000};

static void wake_nobody(void *arg) {
    (void)arg;
}

static void init_worker(struct simulator *simulator, unsigned index, struct mailbox *const *mailboxes, const char *boot,
                        const char *boot_id) {
    struct sim_worker *worker = &simulator->workers[index];
    worker->simulator = simulator;
    worker->env = (struct session_env){.ops = &routed,
                                       .limits = &simulator->limits,
                                       .anonymous = true,
                                       .policies = &simulator->policies,
                                       .node = "sim",
                                       .boot = boot,
                                       .boot_id = boot_id,
                                       .owner = index,
                                       .owners = simulator->worker_count};
    list_init(&worker->resuming);
    assert_true(session_env_init(&worker->env));
    mailbox_init(&worker->hub, wake_nobody, NULL);
    assert_true(router_init(&worker->router, &worker->env, index, simulator->worker_count, mailboxes,
                            simulator->hub ? &worker->hub : NULL, simulator->cluster));
}

static struct simulator *create(unsigned worker_count, unsigned hub, bool cluster, uint64_t seed, const char *boot,
                                const char *boot_id) {
    struct mailbox *mailboxes[SIM_WORKERS_MAX];
    struct simulator *simulator = calloc(1, sizeof *simulator);
    assert_non_null(simulator);
    assert_in_range(worker_count, 1, SIM_WORKERS_MAX);
    simulator->limits = generous;
    simulator->random = seed;
    simulator->worker_count = worker_count;
    simulator->hub = hub;
    simulator->cluster = cluster;
    for (unsigned n = 0; n < worker_count; n++) {
        mailboxes[n] = &simulator->workers[n].mailbox;
        mailbox_init(mailboxes[n], wake_nobody, NULL);
    }
    for (unsigned n = 0; n < worker_count; n++)
        init_worker(simulator, n, mailboxes, boot, boot_id);
    return simulator;
}

struct simulator *simulator_new(unsigned worker_count, uint64_t seed) {
    return create(worker_count, 0, false, seed, "node-a:b00t", "b00t");
}

struct simulator *simulator_new_with_lone_hub(unsigned worker_count, uint64_t seed) {
    return create(worker_count, 1, false, seed, "node-a:b00t", "b00t");
}

struct simulator *simulator_new_with_hub(unsigned worker_count, uint64_t seed, const char *boot, const char *boot_id) {
    return create(worker_count, 1, true, seed, boot, boot_id);
}

static void free_worker(struct sim_worker *worker) {
    for (unsigned from = 0; from <= SIM_WORKERS_MAX; from++)
        mail_discard_all(worker->arrived[from].oldest);
    mail_discard_all(mailbox_take(&worker->mailbox));
    mail_discard_all(worker->for_hub.newest);
    mail_discard_all(worker->at_hub.oldest);
    mail_discard_all(mailbox_take(&worker->hub));
    router_free(&worker->router);
    session_env_free(&worker->env);
}

static void free_client(struct sim_client *client) {
    session_free(client->session);
    list_remove(&client->resuming);
    buffer_free(&client->stash);
    buffer_free(&client->frame);
    free(client);
}

void simulator_free(struct simulator *simulator) {
    for (size_t n = 0; n < simulator->client_count; n++)
        free_client(simulator->clients[n]);
    for (unsigned n = 0; n < simulator->worker_count; n++)
        free_worker(&simulator->workers[n]);
    free(simulator);
}

/* ---- mail ---- */

static unsigned sender_of(const struct sim_worker *worker, const struct mail *mail) {
    switch ((enum mail_type)mail->type) {
    case MAIL_PUBLISH:
        return ((const struct mail_publish *)mail)->from;
    case MAIL_ANNOUNCE:
    case MAIL_CONFIRM:
    case MAIL_WITHDRAW:
        return ((const struct mail_interest *)mail)->from;
    case MAIL_CREDIT:
        return ((const struct mail_credit *)mail)->from;
    case MAIL_CLUSTER:
    case MAIL_CHANGED:
    case MAIL_CONSUMING:
    case MAIL_DELIVERY:
        return worker->simulator->worker_count;
    default:
        fail_msg("no peer sends mail of type %u", mail->type);
    }
    return 0;
}

static void queue_mail(struct mail_batch *queue, struct mail *mail) {
    mail->next = NULL;
    if (queue->newest)
        queue->newest->next = mail;
    else
        queue->oldest = mail;
    queue->newest = mail;
}

static void sort_arrived(struct sim_worker *worker) {
    struct mail *mail = mailbox_take(&worker->mailbox);
    while (mail) {
        struct mail *next = mail->next;
        queue_mail(&worker->arrived[sender_of(worker, mail)], mail);
        mail = next;
    }
}

static struct mail *take_oldest(struct mail_batch *queue) {
    struct mail *mail = queue->oldest;
    if (!mail)
        return NULL;
    queue->oldest = mail->next;
    if (!queue->oldest)
        queue->newest = NULL;
    return mail;
}

static void handle(struct sim_worker *worker, struct mail *mail) {
    worker->handled[mail->type]++;
    assert_true(router_take_mail(&worker->router, mail) || queue_mail_take(&worker->env, mail));
    free(mail);
}

static void feed(struct sim_client *client, const char *bytes, size_t len);

static void resume_all(struct sim_worker *worker) {
    struct list_node *node;
    while ((node = list_take_first(&worker->resuming)) != NULL) {
        struct sim_client *client = CONTAINER_OF(node, struct sim_client, resuming);
        struct buffer waiting = client->stash;
        client->stash = (struct buffer){0};
        feed(client, waiting.data, waiting.len);
        buffer_free(&waiting);
    }
}

static void post_all(struct sim_worker *worker) {
    router_post(&worker->router);
    mailbox_post_batch(&worker->hub, &worker->for_hub);
}

struct mail *sim_take_for_hub(struct simulator *simulator, unsigned worker) {
    struct sim_worker *from = &simulator->workers[worker];
    post_all(from);
    struct mail *mail = mailbox_take(&from->hub);
    while (mail) {
        struct mail *next = mail->next;
        queue_mail(&from->at_hub, mail);
        mail = next;
    }
    return take_oldest(&from->at_hub);
}

/* Takes what `from` has sent to `to`, oldest first; NULL when nothing is under way. */
static struct mail *take_mail(struct simulator *simulator, unsigned from, unsigned to) {
    if (from < simulator->worker_count)
        post_all(&simulator->workers[from]);
    sort_arrived(&simulator->workers[to]);
    return take_oldest(&simulator->workers[to].arrived[from]);
}

void sim_step(struct simulator *simulator, unsigned from, unsigned to, enum mail_type type) {
    struct mail *mail = take_mail(simulator, from, to);
    assert_non_null(mail);
    assert_int_equal(mail->type, type);
    handle(&simulator->workers[to], mail);
    resume_all(&simulator->workers[to]);
}

void sim_step_all(struct simulator *simulator, unsigned from, unsigned to) {
    struct mail *mail;
    while ((mail = take_mail(simulator, from, to)) != NULL) {
        handle(&simulator->workers[to], mail);
        resume_all(&simulator->workers[to]);
    }
}

bool sim_step_random(struct simulator *simulator) {
    unsigned count = simulator->worker_count;
    unsigned pairs = (count + simulator->hub) * count;
    if (pairs == 0)
        return false;
    unsigned first = (unsigned)random_below(&simulator->random, pairs);
    for (unsigned n = 0; n < pairs; n++) {
        unsigned pair = (first + n) % pairs;
        struct mail *mail = take_mail(simulator, pair / count, pair % count);
        if (!mail)
            continue;
        handle(&simulator->workers[pair % count], mail);
        resume_all(&simulator->workers[pair % count]);
        return true;
    }
    return false;
}

void sim_settle(struct simulator *simulator) {
    do {
        for (unsigned n = 0; n < simulator->worker_count; n++)
            resume_all(&simulator->workers[n]);
    } while (sim_step_random(simulator));
}

/* ---- clients ---- */

struct sim_client *sim_connect(struct simulator *simulator, unsigned worker, const char *login) {
    return sim_connect_as(simulator, worker, login, "1.2");
}

struct sim_client *sim_connect_as(struct simulator *simulator, unsigned worker, const char *login,
                                  const char *version) {
    struct sim_client *client = calloc(1, sizeof *client);
    assert_non_null(client);
    assert_true(simulator->client_count < SIM_CLIENTS_MAX);
    simulator->clients[simulator->client_count++] = client;
    client->worker = &simulator->workers[worker];
    list_init(&client->resuming);
    client->session = session_new(&client->worker->env, NOW_MS);
    assert_non_null(client->session);
    client->session->transport = client;
    if (login)
        sim_send(client, "CONNECT\naccept-version:%s\nhost:h\nlogin:%s\npasscode:secret\n\n", version, login);
    else
        sim_send(client, "CONNECT\naccept-version:%s\nhost:h\n\n", version);
    const char *frame = sim_read(client);
    assert_non_null(frame);
    assert_int_equal(strncmp(frame, "CONNECTED\n", 10), 0);
    return client;
}

void sim_uncongest(struct sim_worker *worker) {
    worker->env.congested = false;
    sessions_go_on(&worker->env);
}

void sim_close(struct sim_client *client) {
    struct simulator *simulator = client->worker->simulator;
    size_t n = 0;
    while (simulator->clients[n] != client)
        n++;
    simulator->clients[n] = simulator->clients[--simulator->client_count];
    free_client(client);
}

/* The session gets a copy of exactly that length, so that a sanitizer sees it reach beyond or keep it. */
static void feed(struct sim_client *client, const char *bytes, size_t len) {
    char *copy = malloc(len > 0 ? len : 1);
    assert_non_null(copy);
    if (len > 0)
        memcpy(copy, bytes, len);
    size_t used = session_input(client->session, copy, len, NOW_MS);
    free(copy);
    assert_true(used == len || client->session->input_waits);
    if (used < len)
        assert_true(buffer_append(&client->stash, bytes + used, len - used));
}

void sim_feed(struct sim_client *client, const char *bytes, size_t len) {
    if (client->session->input_waits)
        assert_true(buffer_append(&client->stash, bytes, len));
    else
        feed(client, bytes, len);
}

void sim_send(struct sim_client *client, const char *format, ...) {
    char frame[1024];
    va_list values;
    va_start(values, format);
    int len = vsnprintf(frame, sizeof frame, format, values);
    va_end(values);
    assert_in_range(len, 1, sizeof frame - 1);
    sim_feed(client, frame, (size_t)len + 1);
}

const char *sim_read(struct sim_client *client) {
    struct outbox *outbox = &client->session->outbox;
    session_settle(client->session);
    const struct outbox_entry *entry = outbox_front(outbox);
    if (!entry)
        return NULL;
    size_t size = outbox_entry_size(outbox, entry);
    client->frame.len = 0;
    assert_true(buffer_reserve(&client->frame, size));
    assert_ptr_equal(outbox_entry_write(outbox, entry, client->frame.data), client->frame.data + size);
    assert_int_equal(client->frame.data[size - 1], '\0');
    session_pop(client->session);
    session_wrote(client->session, NOW_MS);
    session_flushed(client->session);
    return client->frame.data;
}

struct bytes sim_header(const char *frame, const char *name) {
    size_t name_len = strlen(name);
    for (const char *line = strchr(frame, '\n') + 1; *line != '\n'; line = strchr(line, '\n') + 1)
        if (strncmp(line, name, name_len) == 0 && line[name_len] == ':')
            return (struct bytes){line + name_len + 1, strcspn(line + name_len + 1, "\n")};
    return (struct bytes){NULL, 0};
}

const char *sim_body(const char *frame) {
    return strstr(frame, "\n\n") + 2;
}

/* The next frame, which must have that command and that header. */
static const char *expect(struct sim_client *client, const char *command, const char *name, const char *value) {
    const char *frame = sim_read(client);
    if (!frame) {
        fail_msg("nothing instead of %s %s:%s", command, name, value);
        return NULL; /* for the analyzer, which does not know that it fails the test */
    }
    if (strncmp(frame, command, strlen(command)) != 0 || !bytes_equal(sim_header(frame, name), bytes_of(value)))
        fail_msg("instead of %s %s:%s:\n%s", command, name, value, frame);
    return frame;
}

const char *sim_expect_receipt(struct sim_client *client, const char *id) {
    return expect(client, "RECEIPT\n", "receipt-id", id);
}

const char *sim_expect_message(struct sim_client *client, const char *subscription, const char *body) {
    const char *frame = expect(client, "MESSAGE\n", "subscription", subscription);
    assert_string_equal(sim_body(frame), body);
    return frame;
}

void sim_expect_nothing(struct sim_client *client) {
    const char *frame = sim_read(client);
    if (frame)
        fail_msg("instead of nothing:\n%s", frame);
}
