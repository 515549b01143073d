/* /metrics: the format holds for every line, and each number is under its name. */
#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <event2/buffer.h>

#include "../../src/hub/metrics.h"

#define WORKERS  2
#define NOW_MS   100000
#define NAME_MAX 80

struct bench {
    struct session_counters sessions[WORKERS];
    struct worker_counters workers[WORKERS];
    struct worker_gauges gauges[WORKERS];
    struct lag lag;
    struct node_state state;
    struct metrics metrics;
    char *text;
};

static int setup(void **state) {
    struct bench *bench = calloc(1, sizeof *bench);
    if (!bench)
        return -1;
    for (unsigned n = 0; n < WORKERS; n++) {
        bench->gauges[n] = (struct worker_gauges){&bench->sessions[n], &bench->workers[n]};
        counter_set(&bench->workers[n].turned_ms, NOW_MS);
    }
    bench->state.serving = true;
    bench->metrics = (struct metrics){.node = "node-a",
                                      .boot = "node-a:b00t",
                                      .started_s = 1700000000,
                                      .workers = bench->gauges,
                                      .worker_count = WORKERS,
                                      .hub_lag = &bench->lag,
                                      .state = &bench->state,
                                      .now_ms = NOW_MS};
    *state = bench;
    return 0;
}

static int teardown(void **state) {
    struct bench *bench = *state;
    free(bench->text);
    free(bench);
    return 0;
}

static const char *write_all(struct bench *bench) {
    struct evbuffer *to = evbuffer_new();
    assert_non_null(to);
    assert_true(metrics_write(to, &bench->metrics));
    assert_int_equal(evbuffer_add(to, "", 1), 0);
    free(bench->text);
    bench->text = strdup((const char *)evbuffer_pullup(to, -1));
    assert_non_null(bench->text);
    evbuffer_free(to);
    return bench->text;
}

/* The whole line must be there. */
static void assert_line(const char *text, const char *line) {
    size_t len = strlen(line);
    for (const char *found = text; (found = strstr(found, line)) != NULL; found += len)
        if ((found == text || found[-1] == '\n') && found[len] == '\n')
            return;
    fail_msg("there is no line: %s", line);
}

/* ---- the format ---- */

static size_t name_len(const char *line) {
    return strspn(line, "abcdefghijklmnopqrstuvwxyz_");
}

/* `{label="value",…}`; returns its end. */
static const char *skip_labels(const char *at) {
    do {
        at++;
        at += name_len(at);
        assert_memory_equal(at, "=\"", 2);
        at += 2;
        size_t value = strcspn(at, "\"\\\n");
        assert_true(value > 0);
        assert_int_equal(at[value], '"');
        at += value + 1;
    } while (*at == ',');
    assert_int_equal(*at, '}');
    return at + 1;
}

/* A sample of the family that was begun last. */
static void check_sample(const char *line, const char *family) {
    char *end;
    size_t len = name_len(line);
    assert_int_equal(len, strlen(family));
    assert_memory_equal(line, family, len);
    const char *at = line[len] == '{' ? skip_labels(line + len) : line + len;
    assert_int_equal(*at, ' ');
    assert_true(isdigit((unsigned char)at[1]));
    assert_true(strtod(at + 1, &end) >= 0);
    assert_int_equal(*end, '\n');
}

/* Reads "# HELP name text" and the line "# TYPE name type" behind it; returns what follows. */
static const char *read_family(const char *line, char *family) {
    static const char help[] = "# HELP ";
    char type_line[NAME_MAX + 32];
    char type[16];
    assert_memory_equal(line, help, strlen(help));
    line += strlen(help);
    size_t len = name_len(line);
    assert_true(len > 0 && len < NAME_MAX);
    memcpy(family, line, len);
    family[len] = '\0';
    assert_true(line[len] == ' ' && strcspn(line + len + 1, "\n") > 10); /* it says something */
    line = strchr(line, '\n') + 1;
    int type_len = snprintf(type_line, sizeof type_line, "# TYPE %s ", family);
    assert_memory_equal(line, type_line, (size_t)type_len);
    assert_int_equal(sscanf(line + type_len, "%15[a-z]\n", type), 1);
    bool total = len > 6 && strcmp(family + len - 6, "_total") == 0;
    assert_string_equal(type, total ? "counter" : "gauge");
    return strchr(line, '\n') + 1;
}

static bool is_first_of(const char *text, const char *line, const char *what) {
    const char *found = strstr(text, what);
    return found && found >= line && found < strchr(line, '\n');
}

static void check_format(const char *text) {
    char family[NAME_MAX];
    const char *line = text;
    while (*line) {
        char begin[NAME_MAX + 16];
        const char *start = line;
        line = read_family(line, family);
        snprintf(begin, sizeof begin, "# HELP %s ", family);
        assert_true(is_first_of(text, start, begin));
        assert_int_not_equal(*line, '#'); /* no family is empty */
        for (; *line && *line != '#'; line = strchr(line, '\n') + 1) {
            char sample[256];
            check_sample(line, family);
            snprintf(sample, sizeof sample, "\n%.*s ", (int)strcspn(line, " "), line);
            assert_ptr_equal(strstr(text, sample), line - 1); /* none comes twice */
        }
    }
}

static void every_line_follows_the_format(void **state) {
    struct bench *bench = *state;
    check_format(write_all(bench));
    bench->state.clustered = true;
    check_format(write_all(bench));
}

/* ---- the numbers ---- */

static void the_node_says_who_it_is(void **state) {
    struct bench *bench = *state;
    const char *text = write_all(bench);
    assert_line(text, "stompd_build_info{version=\"" STOMPD_VERSION "\",node=\"node-a\",boot=\"node-a:b00t\"} 1");
    assert_line(text, "process_start_time_seconds 1700000000");
}

static void a_node_on_its_own_has_no_metrics_of_a_cluster(void **state) {
    struct bench *bench = *state;
    const char *text = write_all(bench);
    assert_null(strstr(text, "stompd_cluster_"));
    assert_null(strstr(text, "stompd_redis_"));
}

static void each_worker_has_its_own_numbers(void **state) {
    struct bench *bench = *state;
    counter_set(&bench->sessions[0].open, 3);
    counter_set(&bench->sessions[1].open, 4);
    counter_set(&bench->sessions[1].opened, UINT64_C(12345678901234567890));
    counter_set(&bench->sessions[0].subscriptions, 5);
    counter_set(&bench->sessions[0].published, 6);
    counter_set(&bench->sessions[0].delivered, 7);
    counter_set(&bench->sessions[1].congestions, 8);
    counter_set(&bench->workers[0].written, 9);
    counter_set(&bench->workers[0].received_bytes, 10);
    counter_set(&bench->workers[0].sent_bytes, 11);
    counter_set(&bench->workers[0].writes, 12);
    counter_set(&bench->workers[1].congested, 1);
    counter_set(&bench->workers[1].turns, 13);
    const char *text = write_all(bench);
    assert_line(text, "stompd_sessions{worker=\"0\"} 3");
    assert_line(text, "stompd_sessions{worker=\"1\"} 4");
    assert_line(text, "stompd_sessions_opened_total{worker=\"1\"} 12345678901234567890");
    assert_line(text, "stompd_subscriptions{worker=\"0\"} 5");
    assert_line(text, "stompd_publications_total{worker=\"0\"} 6");
    assert_line(text, "stompd_deliveries_total{worker=\"0\"} 7");
    assert_line(text, "stompd_congestions_total{worker=\"1\"} 8");
    assert_line(text, "stompd_deliveries_written_total{worker=\"0\"} 9");
    assert_line(text, "stompd_received_bytes_total{worker=\"0\"} 10");
    assert_line(text, "stompd_sent_bytes_total{worker=\"0\"} 11");
    assert_line(text, "stompd_writes_total{worker=\"0\"} 12");
    assert_line(text, "stompd_congested{worker=\"0\"} 0");
    assert_line(text, "stompd_congested{worker=\"1\"} 1");
    assert_line(text, "stompd_loop_turns_total{worker=\"1\"} 13");
}

static void sockets_are_told_by_protocol(void **state) {
    struct bench *bench = *state;
    counter_set(&bench->workers[0].connections[LISTENER_WS], 20);
    counter_set(&bench->workers[1].connections[LISTENER_STOMP], 21);
    counter_set(&bench->workers[1].adopted[LISTENER_STOMP], 22);
    bench->state.sockets_refused = 23;
    const char *text = write_all(bench);
    assert_line(text, "stompd_connections{worker=\"0\",protocol=\"ws\"} 20");
    assert_line(text, "stompd_connections{worker=\"1\",protocol=\"stomp\"} 21");
    assert_line(text, "stompd_connections_accepted_total{worker=\"1\",protocol=\"stomp\"} 22");
    assert_line(text, "stompd_sockets_refused_total 23");
}

static void frames_are_told_by_command(void **state) {
    struct bench *bench = *state;
    counter_set(&bench->sessions[0].frames[STOMP_SEND], 30);
    counter_set(&bench->sessions[0].frames[STOMP_DISCONNECT], 31);
    const char *text = write_all(bench);
    assert_line(text, "stompd_frames_received_total{worker=\"0\",command=\"SEND\"} 30");
    assert_line(text, "stompd_frames_received_total{worker=\"0\",command=\"DISCONNECT\"} 31");
    assert_line(text, "stompd_frames_received_total{worker=\"1\",command=\"STOMP\"} 0");
}

static void every_cause_by_which_sessions_end_has_a_name_of_its_own(void **state) {
    struct bench *bench = *state;
    static const char *const causes[FAULT_KINDS] = {
        [FAULT_NONE] = "disconnect",    [FAULT_GONE] = "gone",         [FAULT_PROTOCOL] = "protocol",
        [FAULT_ENCODING] = "encoding",  [FAULT_POLICY] = "limit",      [FAULT_LOGIN] = "login",
        [FAULT_SLOW] = "slow-consumer", [FAULT_SILENT] = "heart-beat", [FAULT_LATE] = "timeout",
        [FAULT_PAUSED] = "pause-time",  [FAULT_SIZE] = "size",         [FAULT_INTERNAL] = "internal",
        [FAULT_RESTART] = "drain",      [FAULT_SHUTDOWN] = "shutdown",
    };
    for (size_t kind = 0; kind < FAULT_KINDS; kind++)
        counter_set(&bench->sessions[0].ended[kind], 40 + kind);
    const char *text = write_all(bench);
    for (size_t kind = 0; kind < FAULT_KINDS; kind++) {
        char line[128];
        assert_non_null(causes[kind]);
        snprintf(line, sizeof line, "stompd_sessions_ended_total{worker=\"0\",cause=\"%s\"} %zu", causes[kind],
                 40 + kind);
        assert_line(text, line);
    }
}

static void a_loop_that_is_late_or_stuck_shows(void **state) {
    struct bench *bench = *state;
    counter_set(&bench->workers[0].turned_ms, NOW_MS - 1250);
    counter_set(&bench->workers[1].turned_ms, NOW_MS + 5); /* it turned while we write */
    counter_set(&bench->workers[1].lag.last_ms, 7);
    counter_set(&bench->workers[1].lag.worst_ms, 1234);
    counter_set(&bench->lag.last_ms, 3);
    counter_set(&bench->lag.worst_ms, 250);
    const char *text = write_all(bench);
    assert_line(text, "stompd_loop_age_seconds{worker=\"0\"} 1.250");
    assert_line(text, "stompd_loop_age_seconds{worker=\"1\"} 0.000");
    assert_line(text, "stompd_loop_lag_seconds{worker=\"1\"} 0.007");
    assert_line(text, "stompd_loop_lag_worst_seconds{worker=\"1\"} 1.234");
    assert_line(text, "stompd_hub_loop_lag_seconds 0.003");
    assert_line(text, "stompd_hub_loop_lag_worst_seconds 0.25");
}

static void readiness_and_drain_show(void **state) {
    struct bench *bench = *state;
    bench->state.users = 50;
    bench->state.sessions = 51;
    const char *text = write_all(bench);
    assert_line(text, "stompd_ready 1");
    assert_line(text, "stompd_draining 0");
    assert_line(text, "stompd_registry_users 50");
    assert_line(text, "stompd_registry_sessions 51");
    bench->state.draining = true;
    text = write_all(bench);
    assert_line(text, "stompd_ready 0");
    assert_line(text, "stompd_draining 1");
}

static void what_passes_through_queues_shows(void **state) {
    struct bench *bench = *state;
    bench->state.queues = (struct queues_counters){
        .put = 80,
        .refused = 81,
        .delivered = 82,
        .settled = 83,
        .returned = 84,
        .rejected = 85,
        .redelivered = 86,
        .consumers = 87,
        .waiting = 88,
        .store = {.expired = 89, .dropped = 90, .dead = 91, .unreadable = 92},
    };
    const char *text = write_all(bench);
    assert_line(text, "stompd_queue_puts_total 80");
    assert_line(text, "stompd_queue_puts_refused_total 81");
    assert_line(text, "stompd_queue_deliveries_total 82");
    assert_line(text, "stompd_queue_settled_total 83");
    assert_line(text, "stompd_queue_returned_total 84");
    assert_line(text, "stompd_queue_rejected_total 85");
    assert_line(text, "stompd_queue_redeliveries_total 86");
    assert_line(text, "stompd_queue_consumers 87");
    assert_line(text, "stompd_queue_changes_waiting 88");
    assert_line(text, "stompd_queue_expired_total 89");
    assert_line(text, "stompd_queue_dropped_total 90");
    assert_line(text, "stompd_queue_dead_letters_total 91");
    assert_line(text, "stompd_queue_unreadable_total 92");
}

static void durable_subscriptions_show(void **state) {
    struct bench *bench = *state;
    bench->state.durables = (struct durables_counters){.subscriptions = 70, .dropped = 71};
    const char *text = write_all(bench);
    assert_line(text, "stompd_durable_subscriptions 70");
    assert_line(text, "stompd_durable_dropped_total 71");
}

static void the_process_has_memory_and_descriptors(void **state) {
    struct bench *bench = *state;
    static const char *const names[] = {"process_resident_memory_bytes", "process_open_fds", "process_max_fds"};
    const char *text = write_all(bench);
    for (size_t n = 0; n < sizeof names / sizeof names[0]; n++) {
        char start[64];
        snprintf(start, sizeof start, "\n%s ", names[n]);
        const char *sample = strstr(text, start);
        assert_non_null(sample);
        assert_true(strtod(sample + strlen(start), NULL) >= 3);
    }
}

static void the_cluster_shows_its_state_and_members(void **state) {
    struct bench *bench = *state;
    bench->state.clustered = true;
    bench->state.joined = true;
    bench->state.cluster = CLUSTER_GATHERING;
    bench->state.members_alive = 60;
    bench->state.members_dead = 61;
    bench->state.redis = (struct redis_status){.up = true, .ups = 62, .failures = 63, .waiting = 64, .refused = 65};
    const char *text = write_all(bench);
    assert_line(text, "stompd_cluster_state{state=\"gathering\"} 1");
    assert_line(text, "stompd_cluster_state{state=\"away\"} 0");
    assert_line(text, "stompd_cluster_state{state=\"restoring\"} 0");
    assert_line(text, "stompd_cluster_state{state=\"up\"} 0");
    assert_line(text, "stompd_cluster_joined 1");
    assert_line(text, "stompd_cluster_members{state=\"alive\"} 60");
    assert_line(text, "stompd_cluster_members{state=\"dead\"} 61");
    assert_line(text, "stompd_redis_up 1");
    assert_line(text, "stompd_redis_connects_total 62");
    assert_line(text, "stompd_redis_failures_total 63");
    assert_line(text, "stompd_redis_waiting 64");
    assert_line(text, "stompd_redis_refused_total 65");
}

static void what_passes_between_nodes_shows(void **state) {
    struct bench *bench = *state;
    bench->state.clustered = true;
    bench->state.counters = (struct cluster_counters){
        .fanout = {.sent = 70, .resent = 71, .dropped = 72, .received = 73, .repeated = 74, .foreign = 75},
        .inbound_dropped = 76,
        .queued_bytes = 77,
        .channels = 78};
    const char *text = write_all(bench);
    assert_line(text, "stompd_cluster_publications_sent_total 70");
    assert_line(text, "stompd_cluster_publications_resent_total 71");
    assert_line(text, "stompd_cluster_publications_dropped_total 72");
    assert_line(text, "stompd_cluster_publications_received_total 73");
    assert_line(text, "stompd_cluster_publications_repeated_total 74");
    assert_line(text, "stompd_cluster_foreign_payloads_total 75");
    assert_line(text, "stompd_cluster_inbound_dropped_total 76");
    assert_line(text, "stompd_cluster_buffer_bytes 77");
    assert_line(text, "stompd_cluster_channels 78");
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(every_line_follows_the_format),
        TEST(the_node_says_who_it_is),
        TEST(a_node_on_its_own_has_no_metrics_of_a_cluster),
        TEST(each_worker_has_its_own_numbers),
        TEST(sockets_are_told_by_protocol),
        TEST(frames_are_told_by_command),
        TEST(every_cause_by_which_sessions_end_has_a_name_of_its_own),
        TEST(a_loop_that_is_late_or_stuck_shows),
        TEST(readiness_and_drain_show),
        TEST(what_passes_through_queues_shows),
        TEST(durable_subscriptions_show),
        TEST(the_process_has_memory_and_descriptors),
        TEST(the_cluster_shows_its_state_and_members),
        TEST(what_passes_between_nodes_shows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
