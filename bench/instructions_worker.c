/*
 * Scenarios of bench/instructions.c with sessions: a worker with the daemon's own connections, router and flush, from the
 * payload of a WebSocket message to the one write of a turn. The worker's thread and libwebsockets are not there: turns
 * are called, and the few functions of libwebsockets that connections call are those below.
 */
#include <libwebsockets.h>
#include <string.h>

#include "connection.h"
#include "instructions.h"
#include "stompd/stomp/writer.h"

#define NOW_MS   1000
#define MESSAGES 100 /* of a round: deliveries of one SEND, frames of one outbox, messages of a queue */

/* ---- libwebsockets: a socket that takes all */

/* NOLINTNEXTLINE(readability-non-const-parameter): as libwebsockets declares it */
int lws_write(struct lws *wsi, unsigned char *buf, size_t len, enum lws_write_protocol protocol) {
    (void)wsi, (void)buf, (void)protocol;
    return (int)len;
}

int lws_partial_buffered(struct lws *wsi) {
    (void)wsi;
    return 0;
}

int lws_rx_flow_control(struct lws *wsi, int enable) {
    (void)wsi, (void)enable;
    return 0;
}

int lws_callback_on_writable(struct lws *wsi) {
    (void)wsi;
    return 0;
}

void lws_set_timeout(struct lws *wsi, enum pending_timeout reason, int secs) {
    (void)wsi, (void)reason, (void)secs;
    must(false, "a connection was killed");
}

/* ---- the worker */

struct bench {
    struct worker worker;
    struct settings settings;
    struct policies policies; /* none: the defaults hold */
    struct listener listener;
    struct mailbox hub;
    struct connection *client; /* who publishes or, of a queue, acknowledges */
    char *input;               /* what it sends in a round */
    size_t input_len;
    struct message *messages[MESSAGES]; /* of a queue, to be delivered */
    uint64_t written;                   /* MESSAGEs before the round */
};

static const struct session_limits limits = {.before_login = {.frame_size = 2048,
                                                              .body_size = 2048,
                                                              .headers = 16,
                                                              .header_size = 1024,
                                                              .frame_size_key = "frame-size-before-login"},
                                             .frames = {.frame_size = 65536,
                                                        .body_size = 65536,
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
                                             .pause_time_ms = 60000,
                                             .heartbeat = {10000, 10000}};

static void wake_nobody(void *arg) {
    (void)arg;
}

static void init_worker(struct bench *bench) {
    struct worker *worker = &bench->worker;
    struct mailbox *mailboxes[] = {&worker->mailbox};
    worker->conf = (struct worker_conf){.count = 1, .node = "node-a", .boot = "node-a:b00t", .boot_id = "b00t"};
    worker->settings = &bench->settings;
    worker->limits = limits;
    worker->listeners = &bench->listener;
    worker->now_ms = NOW_MS;
    worker->env = (struct session_env){.ops = &connection_ops,
                                       .limits = &worker->limits,
                                       .anonymous = true,
                                       .policies = &bench->policies,
                                       .node = worker->conf.node,
                                       .boot = worker->conf.boot,
                                       .boot_id = worker->conf.boot_id,
                                       .owners = 1};
    list_init(&worker->connections);
    list_init(&worker->dirty);
    list_init(&worker->resuming);
    timer_wheel_init(&worker->timers, NOW_MS);
    mailbox_init(&worker->mailbox, wake_nobody, NULL);
    must(session_env_init(&worker->env), "out of memory");
    must(router_init(&worker->router, &worker->env, 0, 1, mailboxes, NULL, false), "out of memory");
}

/* As the worker does it. */
static void turn(struct bench *bench) {
    struct list_node *node;
    router_post(&bench->worker.router);
    while ((node = list_take_first(&bench->worker.dirty)) != NULL)
        connection_flush(CONTAINER_OF(node, struct connection, dirty));
}

/* The hub agrees to all. */
static void answer_all(struct bench *bench) {
    mailbox_post_batch(&bench->hub, &bench->worker.to_hub);
    struct mail *all = mailbox_take(&bench->hub);
    for (struct mail *mail = all; mail; mail = mail->next) {
        const struct mail_change *change = (struct mail_change *)mail;
        if (mail->type == MAIL_CHANGE && change->change->pending)
            session_changed(&bench->worker.env, change->change->pending, CHANGE_DONE);
    }
    mail_discard_all(all);
}

/* A WebSocket message, as websocket.c hands it over. */
static void receive(struct connection *connection, const char *bytes, size_t len) {
    struct inbound_piece piece = {
        .payload = {bytes, len}, .first = true, .last = true, .ends_frame = true, .text = true};
    inbound_take(connection, &piece);
}

static void receive_text(struct bench *bench, struct connection *connection, const char *text) {
    char frame[256];
    size_t size = strlen(text) + 1;
    must(size <= sizeof frame, "a frame is too long");
    memcpy(frame, text, size);
    receive(connection, frame, size);
    turn(bench);
}

/* Logged in, with a subscription if `subscribe` is a frame. */
static struct connection *connect_client(struct bench *bench, const char *subscribe) {
    struct connection *connection = connection_new(&bench->worker, &(struct mail_adopt){.peer = "127.0.0.1:1"});
    must(connection && connection_open(connection), "out of memory");
    receive_text(bench, connection, "CONNECT\naccept-version:1.2\nhost:h\nheart-beat:10000,10000\n\n");
    if (subscribe)
        receive_text(bench, connection, subscribe);
    must(connection->session->state == SESSION_OPEN, "a session is not open");
    return connection;
}

static struct bench *new_bench(size_t input_size) {
    static char name[] = "web";
    struct bench *bench = calloc(1, sizeof *bench);
    must(bench != NULL, "out of memory");
    bench->listener.conf = (struct listener_conf){.name = name, .protocol = LISTENER_WS};
    bench->settings.ping_time_ms = 30000;
    bench->input = malloc(input_size);
    must(bench->input != NULL, "out of memory");
    mailbox_init(&bench->hub, wake_nobody, NULL);
    init_worker(bench);
    return bench;
}

static size_t written_since(const struct bench *bench) {
    return counter_read(&bench->worker.counters.written) - bench->written;
}

static void tear_down(void *state) {
    struct bench *bench = state;
    LIST_FOR_EACH (node, &bench->worker.connections)
        connection_free(CONTAINER_OF(node, struct connection, in_worker));
    answer_all(bench);
    router_free(&bench->worker.router);
    session_env_free(&bench->worker.env);
    buffer_free(&bench->worker.scratch);
    free(bench->input);
    free(bench);
}

/* ---- lay-out: a full outbox becomes one write */

#define SUBSCRIBE_PRICES "SUBSCRIBE\nid:prices-0\ndestination:/topic/prices.eur-usd\n\n"

static void *set_up_lay_out(void) {
    struct bench *bench = new_bench(typical_send_len);
    connect_client(bench, SUBSCRIBE_PRICES);
    bench->client = connect_client(bench, NULL);
    return bench;
}

static void fill_outbox(void *state) {
    struct bench *bench = state;
    for (unsigned n = 0; n < MESSAGES; n++) {
        memcpy(bench->input, typical_send, typical_send_len);
        receive(bench->client, bench->input, typical_send_len);
    }
    bench->written = counter_read(&bench->worker.counters.written);
}

static size_t flush_outbox(void *state) {
    struct bench *bench = state;
    turn(bench);
    return written_since(bench);
}

const struct scenario lay_out = {.name = "lay-out",
                                 .unit = "MESSAGE",
                                 .units = MESSAGES,
                                 .repeats = 100,
                                 .set_up = set_up_lay_out,
                                 .prepare = fill_outbox,
                                 .work = flush_outbox,
                                 .tear_down = tear_down};

/* ---- send and fan-out: a SEND and all that follows from it, to one subscriber and to many */

static struct bench *with_subscribers(unsigned count) {
    struct bench *bench = new_bench(typical_send_len);
    for (unsigned n = 0; n < count; n++)
        connect_client(bench, SUBSCRIBE_PRICES);
    bench->client = connect_client(bench, NULL);
    return bench;
}

static void *set_up_send(void) {
    return with_subscribers(1);
}

static void *set_up_fan_out(void) {
    return with_subscribers(MESSAGES);
}

static void prepare_send(void *state) {
    struct bench *bench = state;
    memcpy(bench->input, typical_send, typical_send_len);
    bench->written = counter_read(&bench->worker.counters.written);
}

static size_t send_to_one(void *state) {
    struct bench *bench = state;
    receive(bench->client, bench->input, typical_send_len);
    turn(bench);
    return written_since(bench);
}

static size_t send_to_all(void *state) {
    return send_to_one(state) / MESSAGES;
}

#define SENDING(scenario_name, unit_name, set_up_it, work_it)                                                          \
    {                                                                                                                  \
        .name = (scenario_name), .unit = (unit_name), .units = 1, .repeats = 200, .set_up = (set_up_it),               \
        .prepare = prepare_send, .work = (work_it), .tear_down = tear_down                                             \
    }

const struct scenario send_one = SENDING("send", "SEND to 1", set_up_send, send_to_one);
const struct scenario fan_out = SENDING("fan-out", "SEND to 100", set_up_fan_out, send_to_all);

/* ---- burst: many SENDs in one turn, so that each subscriber's MESSAGEs leave in one write */

#define BURST 32

static void *set_up_burst(void) {
    struct bench *bench = new_bench(BURST * typical_send_len);
    for (unsigned n = 0; n < MESSAGES; n++)
        connect_client(bench, SUBSCRIBE_PRICES);
    bench->client = connect_client(bench, NULL);
    return bench;
}

static void prepare_burst(void *state) {
    struct bench *bench = state;
    for (unsigned n = 0; n < BURST; n++)
        memcpy(bench->input + n * typical_send_len, typical_send, typical_send_len);
    bench->written = counter_read(&bench->worker.counters.written);
}

static size_t send_burst(void *state) {
    struct bench *bench = state;
    for (unsigned n = 0; n < BURST; n++)
        receive(bench->client, bench->input + n * typical_send_len, typical_send_len);
    turn(bench);
    return written_since(bench) / MESSAGES;
}

const struct scenario burst = {.name = "burst",
                               .unit = "SEND to 100, of 32 in a turn",
                               .units = BURST,
                               .repeats = 20,
                               .set_up = set_up_burst,
                               .prepare = prepare_burst,
                               .work = send_burst,
                               .tear_down = tear_down};

/* ---- ack: messages of a queue are delivered, written and acknowledged */

#define ACK_SIZE 32

static void *set_up_queue(void) {
    struct bench *bench = new_bench((size_t)MESSAGES * ACK_SIZE);
    bench->client = connect_client(bench, "SUBSCRIBE\nid:orders-0\ndestination:/queue/orders\n"
                                          "ack:client-individual\nprefetch-count:100\n\n");
    session_consuming(&bench->worker.env, bench->worker.env.last_consumer, CONSUMING);
    answer_all(bench);
    turn(bench);
    return bench;
}

static struct message *queue_message(void) {
    static const struct stomp_header headers[] = {{BYTES("content-type"), BYTES("application/json")}};
    struct stomp_publication publication = {.destination = BYTES("/queue/orders"),
                                            .message_id = BYTES("b00t-0-1234567"),
                                            .headers = headers,
                                            .header_count = 1,
                                            .body = {typical_send + typical_send_len - 129, 128},
                                            .route = ROUTE_QUEUE,
                                            .key = BYTES("q:orders")};
    struct message *message = stomp_write_message(1, &publication);
    must(message != NULL, "out of memory");
    return message;
}

static void prepare_queue(void *state) {
    struct bench *bench = state;
    uint64_t last = bench->client->session->acks;
    bench->input_len = 0;
    for (unsigned n = 0; n < MESSAGES; n++) {
        bench->messages[n] = queue_message();
        bench->input_len += 1 + (size_t)snprintf(bench->input + bench->input_len, ACK_SIZE, "ACK\nid:%llu\n\n",
                                                 (unsigned long long)last + n + 1);
    }
}

static size_t deliver_and_settle(void *state) {
    struct bench *bench = state;
    struct session_env *env = &bench->worker.env;
    for (unsigned n = 0; n < MESSAGES; n++) {
        session_deliver_entry(env, env->last_consumer, &(struct entry){.ms = NOW_MS, .n = n, .size = 200}, 1,
                              bench->messages[n]);
        message_unref(bench->messages[n]);
    }
    turn(bench);
    size_t unsettled = bench->client->session->unsettled.count;
    receive(bench->client, bench->input, bench->input_len);
    turn(bench);
    answer_all(bench);
    return unsettled - bench->client->session->unsettled.count;
}

const struct scenario settle = {.name = "ack",
                                .unit = "message",
                                .units = MESSAGES,
                                .repeats = 50,
                                .set_up = set_up_queue,
                                .prepare = prepare_queue,
                                .work = deliver_and_settle,
                                .tear_down = tear_down};
