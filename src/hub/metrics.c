/* The metrics: tables of those that are one number a worker or one number a node, and a function for each other one. */
#include "metrics.h"

#include <event2/buffer.h>
#include <inttypes.h>
#include <stdarg.h>

#include "process.h"

#define MS_PER_S 1000.0

/* What is written to, and whether memory has run out. */
struct writer {
    struct evbuffer *to;
    bool failed;
};

static void PRINTF_LIKE(2, 3) write_text(struct writer *writer, const char *format, ...) {
    va_list values;
    va_start(values, format);
    if (evbuffer_add_vprintf(writer->to, format, values) < 0)
        writer->failed = true;
    va_end(values);
}

struct family {
    const char *name;
    const char *type;
    const char *help; /* without backslashes and line ends */
};

static void begin(struct writer *writer, const struct family *family) {
    write_text(writer, "# HELP %s %s\n# TYPE %s %s\n", family->name, family->help, family->name, family->type);
}

static void write_number(struct writer *writer, struct family family, double value) {
    begin(writer, &family);
    write_text(writer, "%s %.16g\n", family.name, value);
}

/* ---- workers ---- */

/* A counter of each worker. */
struct worker_metric {
    struct family family;
    bool of_sessions; /* else the worker's own */
    size_t offset;
};

#define SESSIONS(member) true, offsetof(struct session_counters, member)
#define WORKER(member)   false, offsetof(struct worker_counters, member)

static const struct worker_metric worker_metrics[] = {
    {{"stompd_sessions", "gauge", "STOMP sessions that are logged in."}, SESSIONS(open)},
    {{"stompd_sessions_opened_total", "counter", "STOMP sessions that have been logged in."}, SESSIONS(opened)},
    {{"stompd_subscriptions", "gauge", "Subscriptions of all sessions."}, SESSIONS(subscriptions)},
    {{"stompd_publications_total", "counter", "Messages published by clients: SENDs, and those of COMMITs."},
     SESSIONS(published)},
    {{"stompd_deliveries_total", "counter", "MESSAGE frames put into sessions' outboxes, one a matching subscription."},
     SESSIONS(delivered)},
    {{"stompd_deliveries_written_total", "counter",
      "MESSAGE frames handed to sockets. What was delivered and not written waits, or went with its session."},
     WORKER(written)},
    {{"stompd_received_bytes_total", "counter",
      "Bytes of STOMP from clients, without WebSocket framing, decompressed."},
     WORKER(received_bytes)},
    {{"stompd_sent_bytes_total", "counter",
      "Bytes handed to sockets, with WebSocket framing, compressed where negotiated, before TLS."},
     WORKER(sent_bytes)},
    {{"stompd_writes_total", "counter",
      "Writes to sockets; each carries all that a session has in a turn, up to 64 KiB."},
     WORKER(writes)},
    {{"stompd_congested", "gauge",
      "1: publishers of this worker wait, since another worker or Redis does not keep up with them."},
     WORKER(congested)},
    {{"stompd_congestions_total", "counter", "How often publishers of this worker began to wait."},
     SESSIONS(congestions)},
    {{"stompd_loop_turns_total", "counter", "Turns of the worker's loop; one at least every 100 ms."}, WORKER(turns)},
};

static const void *base_of(const struct worker_gauges *worker, const struct worker_metric *metric) {
    return metric->of_sessions ? (const void *)worker->sessions : (const void *)worker->worker;
}

static void write_worker_metric(struct writer *writer, const struct metrics *metrics,
                                const struct worker_metric *metric) {
    begin(writer, &metric->family);
    for (unsigned n = 0; n < metrics->worker_count; n++) {
        const char *base = base_of(&metrics->workers[n], metric);
        const struct counter *counter = (const struct counter *)(const void *)(base + metric->offset);
        write_text(writer, "%s{worker=\"%u\"} %" PRIu64 "\n", metric->family.name, n, counter_read(counter));
    }
}

/* A counter of each worker for each value of one more label. `names` has NULL for values that can't be. */
static void write_labelled(struct writer *writer, const struct metrics *metrics, const struct worker_metric *metric,
                           const char *label, const char *const *names, size_t count) {
    begin(writer, &metric->family);
    for (unsigned n = 0; n < metrics->worker_count; n++) {
        const char *base = base_of(&metrics->workers[n], metric);
        const struct counter *counters = (const struct counter *)(const void *)(base + metric->offset);
        for (size_t i = 0; i < count; i++)
            if (names[i])
                write_text(writer, "%s{worker=\"%u\",%s=\"%s\"} %" PRIu64 "\n", metric->family.name, n, label, names[i],
                           counter_read(&counters[i]));
    }
}

static void write_connections(struct writer *writer, const struct metrics *metrics) {
    static const char *const protocols[LISTENER_PROTOCOLS] = {[LISTENER_WS] = "ws", [LISTENER_STOMP] = "stomp"};
    static const struct worker_metric open = {
        {"stompd_connections", "gauge",
         "Client sockets, by the protocol of their listener; not all have a session yet."},
        WORKER(connections)};
    static const struct worker_metric adopted = {
        {"stompd_connections_accepted_total", "counter", "Client sockets that were accepted, by protocol."},
        WORKER(adopted)};
    write_labelled(writer, metrics, &open, "protocol", protocols, LISTENER_PROTOCOLS);
    write_labelled(writer, metrics, &adopted, "protocol", protocols, LISTENER_PROTOCOLS);
}

static void write_frames(struct writer *writer, const struct metrics *metrics) {
    static const struct worker_metric metric = {
        {"stompd_frames_received_total", "counter", "Frames from clients, by command; heart-beats are not counted."},
        SESSIONS(frames)};
    const char *names[STOMP_COMMANDS] = {NULL};
    for (int command = STOMP_CONNECT; command < STOMP_COMMANDS; command++)
        names[command] = stomp_command_name((enum stomp_command)command);
    write_labelled(writer, metrics, &metric, "command", names, STOMP_COMMANDS);
}

/* docs/operations.md explains each. */
static const char *const causes[FAULT_KINDS] = {
    [FAULT_NONE] = "disconnect",    [FAULT_GONE] = "gone",         [FAULT_PROTOCOL] = "protocol",
    [FAULT_ENCODING] = "encoding",  [FAULT_POLICY] = "limit",      [FAULT_LOGIN] = "login",
    [FAULT_SLOW] = "slow-consumer", [FAULT_SILENT] = "heart-beat", [FAULT_LATE] = "timeout",
    [FAULT_PAUSED] = "pause-time",  [FAULT_SIZE] = "size",         [FAULT_INTERNAL] = "internal",
    [FAULT_RESTART] = "drain",      [FAULT_SHUTDOWN] = "shutdown",
};

static void write_ends(struct writer *writer, const struct metrics *metrics) {
    static const struct worker_metric metric = {
        {"stompd_sessions_ended_total", "counter",
         "Sessions that ended, by cause; those that were never logged in are counted too."},
        SESSIONS(ended)};
    write_labelled(writer, metrics, &metric, "cause", causes, FAULT_KINDS);
}

/* A number of milliseconds of each worker, as seconds. */
static void write_seconds(struct writer *writer, const struct metrics *metrics, struct family family,
                          uint64_t (*ms_of)(const struct worker_counters *worker, uint64_t now_ms)) {
    begin(writer, &family);
    for (unsigned n = 0; n < metrics->worker_count; n++)
        write_text(writer, "%s{worker=\"%u\"} %.3f\n", family.name, n,
                   (double)ms_of(metrics->workers[n].worker, metrics->now_ms) / MS_PER_S);
}

static uint64_t loop_age(const struct worker_counters *worker, uint64_t now_ms) {
    uint64_t turned_ms = counter_read(&worker->turned_ms);
    return now_ms > turned_ms ? now_ms - turned_ms : 0;
}

static uint64_t last_lag(const struct worker_counters *worker, uint64_t now_ms) {
    (void)now_ms;
    return counter_read(&worker->lag.last_ms);
}

static uint64_t worst_lag(const struct worker_counters *worker, uint64_t now_ms) {
    (void)now_ms;
    return counter_read(&worker->lag.worst_ms);
}

static void write_loops(struct writer *writer, const struct metrics *metrics) {
    write_seconds(writer, metrics,
                  (struct family){"stompd_loop_age_seconds", "gauge",
                                  "Since the worker's loop last turned; above a second or so it is stuck."},
                  loop_age);
    write_seconds(writer, metrics,
                  (struct family){"stompd_loop_lag_seconds", "gauge", "How late the worker's latest 100 ms tick came."},
                  last_lag);
    write_seconds(writer, metrics,
                  (struct family){"stompd_loop_lag_worst_seconds", "gauge",
                                  "The largest lag of the worker's loop within the last one to two minutes."},
                  worst_lag);
}

static void write_workers(struct writer *writer, const struct metrics *metrics) {
    write_connections(writer, metrics);
    for (size_t i = 0; i < sizeof worker_metrics / sizeof worker_metrics[0]; i++)
        write_worker_metric(writer, metrics, &worker_metrics[i]);
    write_ends(writer, metrics);
    write_frames(writer, metrics);
    write_loops(writer, metrics);
}

/* ---- the node ---- */

/* A number of the node. */
struct node_metric {
    struct family family;
    uint64_t value;
};

static void write_node_metrics(struct writer *writer, const struct node_metric *metrics, size_t count) {
    for (size_t n = 0; n < count; n++)
        write_number(writer, metrics[n].family, (double)metrics[n].value);
}

static void write_node(struct writer *writer, const struct metrics *metrics) {
    const struct node_state *state = metrics->state;
    static const struct family build = {"stompd_build_info", "gauge", "Always 1; the labels say who answers."};
    begin(writer, &build);
    write_text(writer, "%s{version=\"%s\",node=\"%s\",boot=\"%s\"} 1\n", build.name, STOMPD_VERSION, metrics->node,
               metrics->boot);
    write_number(writer, (struct family){"stompd_ready", "gauge", "1: /readyz says 200, clients may be sent here."},
                 node_state_is_ready(state, NULL));
    write_number(writer, (struct family){"stompd_draining", "gauge", "1: the node is going down, /healthz says 503."},
                 state->draining);
    write_number(writer,
                 (struct family){"stompd_sockets_refused_total", "counter",
                                 "Client sockets refused because there were as many as `connections` allows."},
                 (double)state->sockets_refused);
    write_number(
        writer,
        (struct family){"stompd_registry_users", "gauge", "Users who have a session on this node; not the nameless."},
        (double)state->users);
    write_number(writer, (struct family){"stompd_registry_sessions", "gauge", "Sessions of these users on this node."},
                 (double)state->sessions);
    write_number(writer,
                 (struct family){"stompd_hub_loop_lag_seconds", "gauge", "How late the hub's latest 100 ms tick came."},
                 (double)counter_read(&metrics->hub_lag->last_ms) / MS_PER_S);
    write_number(writer,
                 (struct family){"stompd_hub_loop_lag_worst_seconds", "gauge",
                                 "The largest lag of the hub's loop within the last one to two minutes."},
                 (double)counter_read(&metrics->hub_lag->worst_ms) / MS_PER_S);
}

/* What this node has seen of queues; others may put into and take out of the same. */
static void write_queues(struct writer *writer, const struct queues_counters *queues) {
    const struct node_metric numbers[] = {
        {{"stompd_queue_puts_total", "counter", "Messages that this node has stored in queues."}, queues->put},
        {{"stompd_queue_puts_refused_total", "counter",
          "Messages that could not be stored: their queue was full, or the store refused them."},
         queues->refused},
        {{"stompd_queue_deliveries_total", "counter", "Messages of queues given to this node's consumers."},
         queues->delivered},
        {{"stompd_queue_redeliveries_total", "counter", "Of these, those that had been delivered before."},
         queues->redelivered},
        {{"stompd_queue_settled_total", "counter", "Deliveries that were acknowledged, and so are gone."},
         queues->settled},
        {{"stompd_queue_returned_total", "counter",
          "Deliveries that went back to their queue: by NACK, or since their consumer has gone."},
         queues->returned},
        {{"stompd_queue_rejected_total", "counter", "Deliveries that consumers have rejected for good."},
         queues->rejected},
        {{"stompd_queue_expired_total", "counter", "Messages dropped by this node since their time was over."},
         queues->store.expired},
        {{"stompd_queue_dropped_total", "counter", "Messages dropped by this node to make room in a full queue."},
         queues->store.dropped},
        {{"stompd_queue_dead_letters_total", "counter", "Messages that this node has moved to dead-letter queues."},
         queues->store.dead},
        {{"stompd_queue_unreadable_total", "counter",
          "Messages in queues that are none of ours: another program has written them, or another version."},
         queues->store.unreadable},
        {{"stompd_queue_consumers", "gauge", "Subscriptions to queues on this node."}, queues->consumers},
        {{"stompd_queue_changes_waiting", "gauge",
          "Frames (or COMMITs) with work for queues that the store has not done yet."},
         queues->waiting},
    };
    write_node_metrics(writer, numbers, sizeof numbers / sizeof numbers[0]);
}

static void write_durables(struct writer *writer, const struct durables_counters *durables) {
    const struct node_metric numbers[] = {
        {{"stompd_durable_subscriptions", "gauge", "Durable subscriptions of topics, those of all nodes."},
         durables->subscriptions},
        {{"stompd_durable_dropped_total", "counter",
          "Messages that durable subscriptions have lost on this node, since too much waited for the store."},
         durables->dropped},
    };
    write_node_metrics(writer, numbers, sizeof numbers / sizeof numbers[0]);
}

/* By the names that Prometheus' own libraries use. */
static void write_process(struct writer *writer, const struct metrics *metrics) {
    struct process_figures figures;
    process_look(&figures);
    write_number(writer,
                 (struct family){"process_start_time_seconds", "gauge", "When the process started, since 1970."},
                 metrics->started_s);
    write_number(writer, (struct family){"process_cpu_seconds_total", "counter", "Time on processors, of all threads."},
                 figures.cpu_s);
    write_number(writer, (struct family){"process_resident_memory_bytes", "gauge", "Memory that is resident."},
                 (double)figures.resident_bytes);
    write_number(writer, (struct family){"process_open_fds", "gauge", "Open file descriptors; each client has one."},
                 (double)figures.open_fds);
    write_number(writer, (struct family){"process_max_fds", "gauge", "The limit on open file descriptors."},
                 (double)figures.max_fds);
}

/* ---- the cluster ---- */

static void write_redis(struct writer *writer, const struct redis_status *redis) {
    write_number(writer, (struct family){"stompd_redis_up", "gauge", "1: both connections to Redis are there."},
                 redis->up);
    write_number(
        writer,
        (struct family){"stompd_redis_connects_total", "counter", "How often both connections to Redis came to be."},
        (double)redis->ups);
    write_number(writer,
                 (struct family){"stompd_redis_failures_total", "counter",
                                 "Attempts to connect to Redis that failed, and connections that broke."},
                 (double)redis->failures);
    write_number(
        writer,
        (struct family){"stompd_redis_waiting", "gauge", "Calls and publications that Redis has not answered yet."},
        (double)redis->waiting);
    write_number(writer,
                 (struct family){"stompd_redis_refused_total", "counter",
                                 "Answers of Redis that were errors; the log names the first of a kind."},
                 (double)redis->refused);
}

static void write_cluster_state(struct writer *writer, const struct node_state *state) {
    static const char *const names[] = {[CLUSTER_AWAY] = "away",
                                        [CLUSTER_RESTORING] = "restoring",
                                        [CLUSTER_GATHERING] = "gathering",
                                        [CLUSTER_UP] = "up"};
    static const struct family family = {
        "stompd_cluster_state", "gauge",
        "1 at what holds. away: no Redis; restoring: asks to hear others; gathering: waits for others; up."};
    static const struct family members = {"stompd_cluster_members", "gauge",
                                          "Nodes that this one knows, itself too; dead: being cleaned up after."};
    begin(writer, &family);
    for (size_t n = 0; n < sizeof names / sizeof names[0]; n++)
        write_text(writer, "%s{state=\"%s\"} %d\n", family.name, names[n], n == (size_t)state->cluster);
    begin(writer, &members);
    write_text(writer, "%s{state=\"alive\"} %u\n", members.name, state->members_alive);
    write_text(writer, "%s{state=\"dead\"} %u\n", members.name, state->members_dead);
    write_number(writer,
                 (struct family){"stompd_cluster_joined", "gauge", "1: this node has its place among the nodes."},
                 state->joined);
}

static void write_fanout(struct writer *writer, const struct cluster_counters *counters) {
    const struct fanout_counters *fanout = &counters->fanout;
    const struct node_metric numbers[] = {
        {{"stompd_cluster_publications_sent_total", "counter", "Publications of this node that Redis has taken."},
         fanout->sent},
        {{"stompd_cluster_publications_resent_total", "counter",
          "Of these, those that were sent again after the connection to Redis broke."},
         fanout->resent},
        {{"stompd_cluster_publications_dropped_total", "counter",
          "Publications that other nodes never got: `buffer` was full, or Redis refused them."},
         fanout->dropped},
        {{"stompd_cluster_publications_received_total", "counter", "Publications of other nodes that were new here."},
         fanout->received},
        {{"stompd_cluster_publications_repeated_total", "counter",
          "What came again and was left out: echoes of this node's own, copies by overlapping patterns, resends."},
         fanout->repeated},
        {{"stompd_cluster_foreign_payloads_total", "counter",
          "What came on this node's channels and is no payload of ours: another program, or another version."},
         fanout->foreign},
        {{"stompd_cluster_inbound_dropped_total", "counter",
          "Publications of other nodes that a worker was too far behind for."},
         counters->inbound_dropped},
        {{"stompd_cluster_buffer_bytes", "gauge",
          "Bytes of publications on their way to Redis; `buffer` is the bound."},
         counters->queued_bytes},
        {{"stompd_cluster_channels", "gauge", "Channels of Redis that this node is subscribed to, or about to be."},
         counters->channels},
    };
    write_node_metrics(writer, numbers, sizeof numbers / sizeof numbers[0]);
}

bool metrics_write(struct evbuffer *to, const struct metrics *metrics) {
    struct writer writer = {.to = to};
    write_node(&writer, metrics);
    write_queues(&writer, &metrics->state->queues);
    write_durables(&writer, &metrics->state->durables);
    write_process(&writer, metrics);
    write_workers(&writer, metrics);
    if (metrics->state->clustered) {
        write_redis(&writer, &metrics->state->redis);
        write_cluster_state(&writer, metrics->state);
        write_fanout(&writer, &metrics->state->counters);
    }
    return !writer.failed;
}
