/* What follows on a conf in force when the file is read again: what changes, what stays, and what is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../src/hub/conf_changes.h"
#include "../../src/hub/conf_table.h"
#include "../../src/hub/conf_types.h"
#include "../../src/hub/conf_values.h"
#include "stompd/base/hash.h"

#define LISTEN  "[listen web]\nbind = 127.0.0.1:8080\n"
#define RESTART "a restart is needed for this change"
#define STAYS   ": " RESTART "; it stays "

struct fixture {
    struct conf *in_force;
    struct conf *next;
    char *told;
};

static struct conf *conf_of(const char *text) {
    char name[64];
    int fd = memfd_create("conf", MFD_CLOEXEC);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    struct conf *conf = conf_read(name, stderr);
    assert_non_null(conf);
    close(fd);
    return conf;
}

static int forget(void **state) {
    struct fixture *fixture = *state;
    conf_free(fixture->in_force);
    conf_free(fixture->next);
    free(fixture->told);
    *fixture = (struct fixture){0};
    return 0;
}

/* What is told when the second file follows on the first; the conf that comes of it is in fixture->next. */
static const char *told_of(void **state, const char *first, const char *second) {
    struct fixture *fixture = *state;
    size_t size;
    forget(state);
    fixture->in_force = conf_of(first);
    fixture->next = conf_of(second);
    FILE *told = open_memstream(&fixture->told, &size);
    assert_non_null(told);
    assert_true(conf_changes_apply(fixture->next, fixture->in_force, told));
    fclose(told);
    return fixture->told;
}

static const struct conf *next_of(void **state) {
    return ((const struct fixture *)*state)->next;
}

static void test_the_same_file_changes_nothing(void **state) {
    static const char all[] = LISTEN "path = /a /b\norigins = *\nfiles = /\ndeflate = yes\n"
                                     "[cluster]\nredis = redis://me:pw@localhost:1/2\nregistry-prefix = x\n"
                                     "[admin]\nbind = 127.0.0.1:1\n[user a]\npassword = plain:a\n"
                                     "[destination /queue/x]\ndead-letter = /queue/y\nmax-age = 1h\n"
                                     "[destination /app/**]\napp-consumers = a b\n";
    assert_string_equal(told_of(state, all, all), "");
    assert_string_equal(next_of(state)->cluster.redis->password, "pw");
    assert_string_equal(next_of(state)->listeners[0].paths[1], "/b");
}

static void test_what_may_change_does(void **state) {
    assert_string_equal(told_of(state, LISTEN "files = /\n",
                                LISTEN "path = /b /c\norigins = *\n[server]\nlog-level = debug\nping-time = 90s\n"
                                       "[limits]\nframe-size = 3m\nsubscriptions = 7\nprefetch = 8\n"
                                       "durable-subscriptions = 9\n[auth]\nanonymous = yes\n"),
                        "[server] log-level is debug now, was info\n"
                        "[server] ping-time is 90s now, was 30s\n"
                        "[limits] frame-size is 3m now, was 2m\n"
                        "[limits] subscriptions is 7 now, was 1000\n"
                        "[limits] prefetch is 8 now, was 1000\n"
                        "[limits] durable-subscriptions is 9 now, was 16\n"
                        "[auth] anonymous is yes now, was no\n"
                        "[listen web] path is /b /c now, was /ws\n"
                        "[listen web] origins is * now, was unset\n"
                        "[listen web] files is unset now, was /\n");
    assert_int_equal(next_of(state)->limits.subscriptions, 7);
    assert_int_equal(next_of(state)->listeners[0].path_count, 2);
    assert_string_equal(next_of(state)->listeners[0].origins[0], "*");
    assert_null(next_of(state)->listeners[0].files);
}

static void test_what_needs_a_restart_stays(void **state) {
    assert_string_equal(
        told_of(
            state, "[server]\nnode = a\nworkers = 4\n" LISTEN "[cluster]\nredis = redis://me:pw@localhost:1/2\n",
            "[server]\nnode = b\nworkers = 5\n[limits]\nqueue-memory = 1m\n[listen web]\nbind = [::1]:1\npath = /b\n"
            "[cluster]\nredis = unix:/x\nprefix = p\nregistry-prefix = r\nnode-timeout = 1m\nbuffer = 1m\n"),
        "[server] node" STAYS "a\n"
        "[server] workers" STAYS "4\n"
        "[limits] queue-memory" STAYS "256m\n"
        "[listen web] bind" STAYS "127.0.0.1:8080\n"
        "[listen web] path is /b now, was /ws\n"
        "[cluster] redis" STAYS "localhost:1/2\n"
        "[cluster] prefix" STAYS "stompd:\n"
        "[cluster] registry-prefix" STAYS "unset\n"
        "[cluster] node-timeout" STAYS "15s\n"
        "[cluster] buffer" STAYS "16m\n");
    assert_string_equal(next_of(state)->node, "a");
    assert_int_equal(next_of(state)->workers, 4);
    assert_int_equal(next_of(state)->queue_memory, 256 << 20);
    assert_string_equal(next_of(state)->listeners[0].bind, "127.0.0.1:8080");
    const struct cluster_settings *cluster = &next_of(state)->cluster;
    assert_string_equal(cluster->redis->password, "pw");
    assert_int_equal(cluster->redis->db, 2);
    assert_null(cluster->redis->path);
    assert_null(cluster->registry_prefix);
    assert_int_equal(cluster->node_timeout_ms, 15000);
}

static void test_sections_of_their_own_come_and_go_by_restart(void **state) {
    static const char with[] = LISTEN "[cluster]\nredis = localhost:1\nprefix = p\n[admin]\nbind = 127.0.0.1:1\n";
    assert_string_equal(told_of(state, LISTEN, with), "[cluster] is new: " RESTART "\n[admin] is new: " RESTART "\n");
    assert_null(next_of(state)->cluster.redis);
    assert_null(next_of(state)->cluster.prefix);
    assert_null(next_of(state)->admin.bind);
    assert_string_equal(told_of(state, with, LISTEN), "[cluster] is gone: " RESTART "\n[admin] is gone: " RESTART "\n");
    assert_int_equal(next_of(state)->cluster.redis->port, 1);
    assert_string_equal(next_of(state)->cluster.prefix, "p");
    assert_string_equal(next_of(state)->admin.bind, "127.0.0.1:1");
}

static void test_listeners_keep_their_places(void **state) {
    assert_string_equal(told_of(state,
                                "[listen a]\nbind = *:1\npath = /a\n[listen b]\nbind = *:2\norigins = null *\n"
                                "[listen c]\nbind = *:3\n",
                                "[listen d]\nbind = *:4\n[listen c]\nbind = *:3\nprotocol = stomp\n"
                                "[listen a]\nbind = *:1\npath = /new\n"),
                        "[listen a] path is /new now, was /a\n"
                        "[listen b] is gone: " RESTART "\n"
                        "[listen c] protocol: " RESTART "; all of the section stays as it was\n"
                        "[listen d] is new: " RESTART "\n");
    const struct conf *next = next_of(state);
    assert_int_equal(next->listener_count, 3);
    assert_string_equal(next->listeners[0].name, "a");
    assert_string_equal(next->listeners[0].paths[0], "/new");
    assert_string_equal(next->listeners[1].name, "b");
    assert_string_equal(next->listeners[1].bind, "*:2");
    assert_int_equal(next->listeners[1].origin_count, 2);
    assert_string_equal(next->listeners[1].origins[1], "*");
    assert_string_equal(next->listeners[2].name, "c");
    assert_int_equal(next->listeners[2].protocol, LISTENER_WS);
}

static void test_files_of_tls_change_but_whether_there_is_tls_does_not(void **state) {
    static const char *const tls[] = {LISTEN "tls-certificate = /proc/self/status\ntls-key = /proc/self/status\n",
                                      LISTEN "tls-certificate = /proc/self/stat\ntls-key = /proc/self/status\n"};
    assert_string_equal(told_of(state, tls[0], tls[1]),
                        "[listen web] tls-certificate is /proc/self/stat now, was /proc/self/status\n");
    assert_string_equal(next_of(state)->listeners[0].tls_certificate, "/proc/self/stat");
    assert_string_equal(told_of(state, tls[0], LISTEN), "[listen web] tls-certificate" STAYS "/proc/self/status\n"
                                                        "[listen web] tls-key" STAYS "/proc/self/status\n");
    assert_string_equal(next_of(state)->listeners[0].tls_certificate, "/proc/self/status");
    assert_string_equal(told_of(state, LISTEN, tls[0]), "[listen web] tls-certificate" STAYS "unset\n"
                                                        "[listen web] tls-key" STAYS "unset\n");
    assert_null(next_of(state)->listeners[0].tls_key);
}

static void test_users_are_counted_and_their_passwords_not_told(void **state) {
    assert_string_equal(told_of(state,
                                LISTEN "[user a]\npassword = plain:1\n[user b]\npassword = plain:2\n"
                                       "[user c]\npassword = plain:$5$s$x\n[user d]\npassword = plain:4\n",
                                LISTEN "[user a]\npassword = plain:1\n[user b]\npassword = plain:9\n"
                                       "[user c]\npassword = $5$s$x\n[user e]\npassword = plain:5\n"
                                       "[user f]\npassword = plain:6\n"),
                        "[user]: 2 added, 1 removed, 2 with another password\n");
    assert_non_null(users_find(&next_of(state)->users, BYTES("e")));
    assert_null(users_find(&next_of(state)->users, BYTES("d")));
}

static void test_passwords_of_redis_are_not_told(void **state) {
    const char *told = told_of(state, LISTEN "[cluster]\nredis = redis://me:secret@localhost:1\n",
                               LISTEN "[cluster]\nredis = redis://me:hidden@localhost:1\n");
    assert_string_equal(told, "[cluster] redis" STAYS "localhost:1\n");
    assert_string_equal(next_of(state)->cluster.redis->password, "secret");
}

static void test_destinations_change(void **state) {
    assert_string_equal(
        told_of(state, LISTEN "[destination /queue/x]\nmax-age = 1h\ndead-letter = /queue/y\n[destination /app/**]\n",
                LISTEN "[destination /queue/x]\nmax-messages = 5\nwhen-full = drop-oldest\nmax-bytes = 1m\n"
                       "max-deliveries = 0\nidle-expiry = 1m\n[destination /app/**]\napp-consumers = a b\n"),
        "[destination /queue/x] max-messages is 5 now, was 100000\n"
        "[destination /queue/x] max-bytes is 1m now, was 64m\n"
        "[destination /queue/x] max-age is 0 now, was 1h\n"
        "[destination /queue/x] when-full is drop-oldest now, was refuse\n"
        "[destination /queue/x] max-deliveries is 0 now, was 10\n"
        "[destination /queue/x] idle-expiry is 1m now, was 5m\n"
        "[destination /queue/x] dead-letter is unset now, was /queue/y\n"
        "[destination /app/**] app-consumers is a b now, was unset\n");
    const struct policy *policy = policies_find(&next_of(state)->policies, BYTES("/queue/x"));
    assert_int_equal(policy->queue.max_messages, 5);
    assert_null(policy->queue.dead_letter);
    assert_true(policy_admits_consumer(policies_find(&next_of(state)->policies, BYTES("/app/z")), "b"));
}

static void test_destinations_come_and_go(void **state) {
    assert_string_equal(told_of(state, LISTEN "[destination /queue/a]\nmax-age = 1h\n[destination /queue/b]\n",
                                LISTEN "[destination /queue/c.**]\n[destination /queue/b]\n"),
                        "[destination /queue/a] is gone\n"
                        "[destination /queue/c.**] is new\n");
    const struct policies *policies = &next_of(state)->policies;
    assert_int_equal(policies->count, 2);
    assert_int_equal(policies_find(policies, BYTES("/queue/a"))->queue.max_age_ms, 0);
    assert_string_equal(policies_find(policies, BYTES("/queue/c"))->pattern, "/queue/c.**");
}

static void test_another_order_of_destinations_is_told(void **state) {
    assert_string_equal(told_of(state,
                                LISTEN "[destination /queue/a]\n[destination /queue/b]\n[destination /queue/x]\n"
                                       "[destination /queue/c]\n",
                                LISTEN "[destination /queue/a]\n[destination /queue/c]\n[destination /queue/y]\n"
                                       "[destination /queue/b]\n"),
                        "[destination /queue/x] is gone\n"
                        "[destination /queue/y] is new\n"
                        "[destination]: the sections are in another order now\n");
}

/* A new kind of value must know how it is compared, copied and shown. */
static void test_every_kind_of_value_can_be_compared_copied_and_shown(void **state) {
    (void)state;
    for (size_t s = 0; s < conf_section_count; s++) {
        for (size_t k = 0; k < conf_sections[s].key_count; k++) {
            const struct conf_value *value = conf_sections[s].keys[k].type->value;
            assert_true(value && value->same && value->copy && value->write);
        }
    }
}

int main(void) {
    static struct fixture fixture;
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_prestate_setup_teardown(name, NULL, forget, &fixture)
        TEST(test_the_same_file_changes_nothing),
        TEST(test_what_may_change_does),
        TEST(test_what_needs_a_restart_stays),
        TEST(test_sections_of_their_own_come_and_go_by_restart),
        TEST(test_listeners_keep_their_places),
        TEST(test_files_of_tls_change_but_whether_there_is_tls_does_not),
        TEST(test_users_are_counted_and_their_passwords_not_told),
        TEST(test_passwords_of_redis_are_not_told),
        TEST(test_destinations_change),
        TEST(test_destinations_come_and_go),
        TEST(test_another_order_of_destinations_is_told),
        TEST(test_every_kind_of_value_can_be_compared_copied_and_shown),
    };
    hash_seed();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
