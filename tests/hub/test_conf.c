/* The conf file: what each key takes, every fault with its line, and the reference file in conf/. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "stompd/base/hash.h"
#include "stompd/hub/conf.h"

#define FILE_NAME   "test.conf"
#define AT          FILE_NAME ":"
#define SECRET_NAME "secret"

/* The one section that a file needs. */
#define LISTEN "[listen web]\nbind = 127.0.0.1:8080\n"

#define BIND_FORM                                                                                                      \
    "address:port with a numeric address (IPv6 in brackets), localhost or * "                                          \
    "and a port from 1 to 65535"
#define PASSWORD_FORM "plain: and a password, or a crypt(3) hash that begins with $"

struct fixture {
    char *reference; /* the text of conf/stompd.conf */
    char folder[32]; /* where the tests write their files, and the working directory */
    char *faults;    /* of the last read */
    struct conf *conf;
};

static char *read_whole(FILE *file) {
    char *text = NULL;
    size_t size = 0;
    assert_non_null(file);
    assert_true(getdelim(&text, &size, '\0', file) > 0);
    fclose(file);
    return text;
}

static int set_up_group(void **state) {
    static struct fixture fixture = {.folder = "/tmp/stompd-conf-XXXXXX"};
    fixture.reference = read_whole(fopen("conf/stompd.conf", "r"));
    assert_non_null(mkdtemp(fixture.folder));
    assert_int_equal(chdir(fixture.folder), 0);
    *state = &fixture;
    return 0;
}

static void forget(struct fixture *fixture) {
    conf_free(fixture->conf);
    free(fixture->faults);
    fixture->conf = NULL;
    fixture->faults = NULL;
}

static int tear_down_group(void **state) {
    struct fixture *fixture = *state;
    forget(fixture);
    free(fixture->reference);
    unlink(FILE_NAME);
    unlink(SECRET_NAME);
    assert_int_equal(chdir("/"), 0);
    return rmdir(fixture->folder);
}

static void read_file(struct fixture *fixture, const char *name) {
    size_t size;
    forget(fixture);
    FILE *faults = open_memstream(&fixture->faults, &size);
    assert_non_null(faults);
    fixture->conf = conf_read(name, faults);
    fclose(faults);
    assert_true((fixture->conf == NULL) == (size > 0));
}

static void write_and_read(struct fixture *fixture, const char *content, size_t len) {
    FILE *file = fopen(FILE_NAME, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(content, 1, len, file), len);
    fclose(file);
    read_file(fixture, FILE_NAME);
}

/* The conf of a right file. */
static const struct conf *conf_of(struct fixture *fixture, const char *content) {
    write_and_read(fixture, content, strlen(content));
    assert_string_equal(fixture->faults, "");
    return fixture->conf;
}

static const char *faults_of(struct fixture *fixture, const char *content) {
    write_and_read(fixture, content, strlen(content));
    return fixture->faults;
}

/* The conf, or its faults, of a file whose first section has one key, in line 2. */
static void read_one(struct fixture *fixture, const char *section, const char *key, const char *value) {
    char content[8192];
    bool listens = strncmp(section, "listen", strlen("listen")) == 0;
    bool binds = strcmp(key, "bind") == 0;
    snprintf(content, sizeof content, "[%s]\n%s = %s\n%s%s", section, key, value,
             listens && !binds ? "bind = [::1]:1\n" : "", listens ? "" : LISTEN);
    write_and_read(fixture, content, strlen(content));
}

static const struct conf *conf_with(struct fixture *fixture, const char *section, const char *key, const char *value) {
    read_one(fixture, section, key, value);
    assert_string_equal(fixture->faults, "");
    return fixture->conf;
}

static void assert_unfit(struct fixture *fixture, const char *section, const char *key, const char *value,
                         const char *expected) {
    char fault[2048];
    snprintf(fault, sizeof fault, AT "2: %s = %s, expected %s\n", key, value, expected);
    read_one(fixture, section, key, value);
    assert_string_equal(fixture->faults, fault);
}

static const struct listener_conf *listener_with(struct fixture *fixture, const char *key, const char *value) {
    return conf_with(fixture, "listen web", key, value)->listeners;
}

/* Values */

static void test_defaults_of_the_server_and_its_limits(void **state) {
    const struct conf *conf = conf_of(*state, LISTEN);
    const struct session_limits *limits = &conf->limits;
    assert_int_equal(conf->log_level, LOG_LEVEL_INFO);
    assert_int_equal(conf->ping_time_ms, 30000);
    assert_int_equal(conf->notice_time_ms, 5000);
    assert_int_equal(conf->drain_time_ms, 10000);
    assert_int_equal(limits->heartbeat.send_ms, 10000);
    assert_int_equal(limits->heartbeat.receive_ms, 10000);
    assert_int_equal(conf->connections, 100000);
    assert_int_equal(limits->frames.frame_size, 2 << 20);
    assert_int_equal(limits->frames.body_size, 1 << 20);
    assert_int_equal(limits->frames.headers, 100);
    assert_int_equal(limits->frames.header_size, 16 << 10);
    assert_int_equal(limits->before_login.frame_size, 64 << 10);
    assert_int_equal(limits->subscriptions, 1000);
    assert_int_equal(limits->transactions, 16);
    assert_int_equal(limits->transaction_frames, 1000);
    assert_int_equal(limits->transaction_size, 4 << 20);
    assert_int_equal(limits->prefetch, 1000);
    assert_int_equal(limits->outbox_size, 1 << 20);
    assert_int_equal(limits->connect_time_ms, 10000);
    assert_int_equal(limits->frame_time_ms, 60000);
    assert_int_equal(limits->pause_time_ms, 30000);
    assert_int_equal(conf->durable_subscriptions, 16);
    assert_int_equal(conf->queue_memory, 256 << 20);
    assert_int_equal(conf->policies.count, 0);
    assert_false(conf->users.anonymous);
    assert_int_equal(conf->users.by_name.count, 0);
}

static void test_defaults_of_a_listener(void **state) {
    const struct conf *conf = conf_of(*state, "\n" LISTEN);
    const struct listener_conf *listener = conf->listeners;
    assert_int_equal(conf->listener_count, 1);
    assert_string_equal(listener->name, "web");
    assert_string_equal(listener->bind, "127.0.0.1:8080");
    assert_int_equal(listener->protocol, LISTENER_WS);
    assert_int_equal(listener->path_count, 1);
    assert_string_equal(listener->paths[0], "/ws");
    assert_int_equal(listener->origin_count, 0);
    assert_int_equal(listener->proxy_protocol, PROXY_NONE);
    assert_int_equal(listener->trusted_proxy_count, 0);
    assert_null(listener->files);
    assert_false(listener->deflate);
    assert_null(listener->tls_certificate);
    assert_null(listener->tls_key);
    assert_int_equal(listener->line, 2);
}

static void test_every_key_of_the_server_and_its_limits(void **state) {
    const struct conf *conf = conf_of(
        *state,
        "[server]\nnode = n-1\nworkers = 3\nlog-level = debug\nping-time = 1s\nnotice-time = 2s\ndrain-time = 3s\n"
        "heart-beat-send = 4s\nheart-beat-receive = 0\n"
        "[limits]\nconnections = 5\nframe-size = 6k\nbody-size = 7k\nframe-size-before-login = 8k\nheaders = 19\n"
        "header-size = 1000\nsubscriptions = 11\ntransactions = 12\ntransaction-frames = 13\ntransaction-size = 14k\n"
        "outbox-size = 15k\nconnect-time = 16s\nframe-time = 17s\npause-time = 18s\n"
        "prefetch = 19\nqueue-memory = 20m\ndurable-subscriptions = 21\n[auth]\nanonymous = yes\n" LISTEN);
    const struct session_limits *limits = &conf->limits;
    assert_string_equal(conf->node, "n-1");
    assert_int_equal(conf->workers, 3);
    assert_int_equal(conf->log_level, LOG_LEVEL_DEBUG);
    assert_int_equal(conf->ping_time_ms, 1000);
    assert_int_equal(conf->notice_time_ms, 2000);
    assert_int_equal(conf->drain_time_ms, 3000);
    assert_int_equal(limits->heartbeat.send_ms, 4000);
    assert_int_equal(limits->heartbeat.receive_ms, 0);
    assert_int_equal(conf->connections, 5);
    assert_int_equal(limits->frames.frame_size, 6 << 10);
    assert_int_equal(limits->frames.body_size, 7 << 10);
    assert_int_equal(limits->before_login.frame_size, 8 << 10);
    assert_int_equal(limits->frames.headers, 19);
    assert_int_equal(limits->frames.header_size, 1000);
    assert_int_equal(limits->subscriptions, 11);
    assert_int_equal(limits->transactions, 12);
    assert_int_equal(limits->transaction_frames, 13);
    assert_int_equal(limits->transaction_size, 14 << 10);
    assert_int_equal(limits->outbox_size, 15 << 10);
    assert_int_equal(limits->connect_time_ms, 16000);
    assert_int_equal(limits->frame_time_ms, 17000);
    assert_int_equal(limits->pause_time_ms, 18000);
    assert_int_equal(limits->prefetch, 19);
    assert_int_equal(conf->queue_memory, 20 << 20);
    assert_int_equal(conf->durable_subscriptions, 21);
    assert_true(conf->users.anonymous);
}

static void test_limits_before_login_follow_from_the_others(void **state) {
    const struct session_limits *limits =
        &conf_of(*state, "[limits]\nheaders = 20\nheader-size = 2k\nframe-size-before-login = 32k\n" LISTEN)->limits;
    assert_string_equal(limits->frames.frame_size_key, "frame-size");
    assert_string_equal(limits->before_login.frame_size_key, "frame-size-before-login");
    assert_int_equal(limits->before_login.frame_size, 32 << 10);
    assert_int_equal(limits->before_login.body_size, 32 << 10);
    assert_int_equal(limits->before_login.headers, 20);
    assert_int_equal(limits->before_login.header_size, 2 << 10);
    limits = &conf_of(*state, "[limits]\nbody-size = 1k\n" LISTEN)->limits;
    assert_int_equal(limits->before_login.body_size, 1 << 10);
}

static void test_the_node_is_named_after_the_host(void **state) {
    char host[256];
    assert_int_equal(gethostname(host, sizeof host), 0);
    assert_string_equal(conf_of(*state, LISTEN)->node, host);
}

static void test_node_names(void **state) {
    static const char form[] = "1 to 64 letters, digits, '.', '_' or '-'";
    char name[66] = "";
    memset(name, 'n', 64);
    assert_string_equal(conf_with(*state, "server", "node", name)->node, name);
    assert_string_equal(conf_with(*state, "server", "node", "Az_0.9-")->node, "Az_0.9-");
    name[64] = 'n';
    assert_unfit(*state, "server", "node", name, form);
    assert_unfit(*state, "server", "node", "a b", form);
    assert_unfit(*state, "server", "node", "a/b", form);
    assert_unfit(*state, "server", "node", "j\xc3\xb6", form);
}

static void test_workers_are_a_number_or_one_per_usable_core(void **state) {
    static const char form[] = "auto or a number from 1 to 64";
    cpu_set_t before;
    cpu_set_t one;
    assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    unsigned on_one = conf_with(*state, "server", "workers", "auto")->workers;
    assert_int_equal(sched_setaffinity(0, sizeof before, &before), 0);
    assert_int_equal(on_one, 1);
    int cores = CPU_COUNT(&before);
    assert_int_equal(conf_of(*state, LISTEN)->workers, cores < CONF_WORKERS_MAX ? cores : CONF_WORKERS_MAX);
    assert_int_equal(conf_with(*state, "server", "workers", "64")->workers, 64);
    assert_unfit(*state, "server", "workers", "0", form);
    assert_unfit(*state, "server", "workers", "65", form);
    assert_unfit(*state, "server", "workers", "Auto", form);
}

static void test_numbers(void **state) {
    static const char form[] = "a number from 1 to 1000000";
    assert_int_equal(conf_with(*state, "limits", "subscriptions", "1")->limits.subscriptions, 1);
    assert_int_equal(conf_with(*state, "limits", "subscriptions", "0001000000")->limits.subscriptions, 1000000);
    static const char *const unfit[] = {"0",   "1000001", "-1",  "+1",         "1.5",
                                        "0x1", "1k",      "1 0", "4294967297", "18446744073709551617"};
    for (size_t i = 0; i < sizeof unfit / sizeof unfit[0]; i++)
        assert_unfit(*state, "limits", "subscriptions", unfit[i], form);
}

static void test_sizes(void **state) {
    static const char form[] = "a size from 1k to 1g";
    assert_int_equal(conf_with(*state, "limits", "frame-size", "1024")->limits.frames.frame_size, 1 << 10);
    assert_int_equal(conf_with(*state, "limits", "frame-size", "3k")->limits.frames.frame_size, 3 << 10);
    assert_int_equal(conf_with(*state, "limits", "frame-size", "3m")->limits.frames.frame_size, 3 << 20);
    assert_int_equal(conf_with(*state, "limits", "frame-size", "1g")->limits.frames.frame_size, 1 << 30);
    assert_int_equal(conf_with(*state, "limits", "frame-size", "1073741824")->limits.frames.frame_size, 1 << 30);
    static const char *const unfit[] = {"1023", "0k", "1073741825", "2g", "17179869185g", "3x", "3 m", "3M", "3s", "k"};
    for (size_t i = 0; i < sizeof unfit / sizeof unfit[0]; i++)
        assert_unfit(*state, "limits", "frame-size", unfit[i], form);
    assert_unfit(*state, "limits", "header-size", "255", "a size from 256 to 1m");
}

static void test_times(void **state) {
    static const char form[] = "a time from 100ms to 1h";
    assert_int_equal(conf_with(*state, "limits", "frame-time", "100ms")->limits.frame_time_ms, 100);
    assert_int_equal(conf_with(*state, "limits", "frame-time", "2")->limits.frame_time_ms, 2000);
    assert_int_equal(conf_with(*state, "limits", "frame-time", "2s")->limits.frame_time_ms, 2000);
    assert_int_equal(conf_with(*state, "limits", "frame-time", "2m")->limits.frame_time_ms, 120000);
    assert_int_equal(conf_with(*state, "limits", "frame-time", "1h")->limits.frame_time_ms, 3600000);
    static const char *const unfit[] = {"99ms", "0", "3600001ms", "2h", "5124095576031h", "1d", "s"};
    for (size_t i = 0; i < sizeof unfit / sizeof unfit[0]; i++)
        assert_unfit(*state, "limits", "frame-time", unfit[i], form);
    assert_unfit(*state, "server", "ping-time", "2h", "a time from 0 to 1h");
}

static void test_choices(void **state) {
    static const char *const levels[] = {"error", "warning", "notice", "info", "debug"};
    for (size_t i = 0; i < sizeof levels / sizeof levels[0]; i++)
        assert_int_equal(conf_with(*state, "server", "log-level", levels[i])->log_level, i);
    assert_int_equal(listener_with(*state, "protocol", "stomp")->protocol, LISTENER_STOMP);
    assert_int_equal(listener_with(*state, "protocol", "ws")->protocol, LISTENER_WS);
    assert_unfit(*state, "server", "log-level", "Info", "error, warning, notice, info or debug");
    assert_unfit(*state, "listen web", "protocol", "wss", "ws or stomp");
    assert_int_equal(listener_with(*state, "proxy-protocol", "v1")->proxy_protocol, PROXY_V1);
    assert_int_equal(listener_with(*state, "proxy-protocol", "v2")->proxy_protocol, PROXY_V2);
    assert_int_equal(listener_with(*state, "proxy-protocol", "any")->proxy_protocol, PROXY_ANY);
    assert_unfit(*state, "listen web", "proxy-protocol", "yes", "none, v1, v2 or any");
}

static void test_flags(void **state) {
    assert_true(listener_with(*state, "deflate", "yes")->deflate);
    assert_false(listener_with(*state, "deflate", "no")->deflate);
    assert_unfit(*state, "listen web", "deflate", "on", "yes or no");
    assert_unfit(*state, "auth", "anonymous", "1", "yes or no");
}

static void test_binds(void **state) {
    assert_string_equal(listener_with(*state, "bind", "[::1]:8080")->bind, "[::1]:8080");
    assert_string_equal(listener_with(*state, "bind", "*:80")->bind, "*:80");
    assert_unfit(*state, "listen web", "bind", "8080", BIND_FORM);
    assert_unfit(*state, "listen web", "bind", "127.0.0.1:65536", BIND_FORM);
}

static void test_paths(void **state) {
    const struct listener_conf *listener = listener_with(*state, "path", "/a  /b/c\t/d");
    assert_int_equal(listener->path_count, 3);
    assert_string_equal(listener->paths[0], "/a");
    assert_string_equal(listener->paths[1], "/b/c");
    assert_string_equal(listener->paths[2], "/d");
    assert_unfit(*state, "listen web", "path", "/a ws", "paths that begin with /, separated by spaces");
}

static void test_origins(void **state) {
    static const char form[] = "* or scheme://host[:port] without a path, separated by spaces";
    const struct listener_conf *listener = listener_with(*state, "origins", "https://a.example http://b:81 null *");
    assert_int_equal(listener->origin_count, 4);
    assert_string_equal(listener->origins[0], "https://a.example");
    assert_string_equal(listener->origins[1], "http://b:81");
    assert_string_equal(listener->origins[2], "null");
    assert_string_equal(listener->origins[3], "*");
    assert_unfit(*state, "listen web", "origins", "a.example", form);
    assert_unfit(*state, "listen web", "origins", "https://a.example/", form);
    assert_unfit(*state, "listen web", "origins", "https://", form);
    assert_unfit(*state, "listen web", "origins", "://a", form);
    assert_unfit(*state, "listen web", "origins", "* https://a.example/chat", form);
}

static void test_trusted_proxies(void **state) {
    static const char form[] = "addresses or networks such as 10.0.0.0/8 or fd00::/8, separated by spaces";
    const struct listener_conf *listener = listener_with(*state, "trusted-proxies", "127.0.0.1 10.0.0.0/8 fd00::/8");
    assert_int_equal(listener->trusted_proxy_count, 3);
    assert_string_equal(listener->trusted_proxies[1], "10.0.0.0/8");
    assert_unfit(*state, "listen web", "trusted-proxies", "localhost", form);
    assert_unfit(*state, "listen web", "trusted-proxies", "127.0.0.1, 127.0.0.2", form);
    assert_unfit(*state, "listen web", "trusted-proxies", "10.0.0.1/8", form);
}

static void test_files_are_a_folder_that_exists(void **state) {
    static const char form[] = "a folder that exists and can be read";
    assert_string_equal(listener_with(*state, "files", ".")->files, ".");
    assert_unfit(*state, "listen web", "files", "missing", form);
    assert_unfit(*state, "listen web", "files", FILE_NAME, form);
}

static void test_certificate_and_key_are_files_that_exist(void **state) {
    const struct listener_conf *listener =
        conf_of(*state, LISTEN "tls-certificate = " FILE_NAME "\ntls-key = ./" FILE_NAME "\n")->listeners;
    assert_string_equal(listener->tls_certificate, FILE_NAME);
    assert_string_equal(listener->tls_key, "./" FILE_NAME);
    assert_string_equal(faults_of(*state, LISTEN "tls-certificate = missing\ntls-key = .\n"),
                        AT "3: tls-certificate = missing, expected a file that exists and can be read\n" AT
                           "4: tls-key = ., expected a file that exists and can be read\n");
}

static void test_users(void **state) {
    const struct users *users =
        &conf_of(*state, LISTEN "[user guest]\npassword = plain:a#b; c d\n[user j\xc3\xb6 ]hn]\npassword = $5$salt$x\n")
             ->users;
    assert_int_equal(users->by_name.count, 2);
    const struct user *user = users_find(users, BYTES("guest"));
    assert_true(user->plain);
    assert_string_equal(user->secret, "a#b; c d");
    user = users_find(users, BYTES("j\xc3\xb6 ]hn"));
    assert_false(user->plain);
    assert_string_equal(user->secret, "$5$salt$x");
}

static void test_user_names_are_up_to_255_bytes(void **state) {
    static const char form[] = "a name of 1 to 255 bytes of UTF-8 without control characters";
    struct fixture *fixture = *state;
    char section[300] = "user ";
    char fault[512];
    memset(section + 5, 'u', 255);
    const struct conf *conf = conf_with(fixture, section, "password", "plain:x");
    assert_non_null(users_find(&conf->users, bytes_of(section + 5)));
    section[260] = 'u';
    read_one(fixture, section, "password", "plain:x");
    snprintf(fault, sizeof fault, AT "1: [%.85s], expected %s\n", section, form);
    assert_string_equal(fixture->faults, fault);
    snprintf(fault, sizeof fault, AT "1: [user a?b], expected %s\n", form);
    read_one(fixture,
             "user a\x1b"
             "b",
             "password", "plain:x");
    assert_string_equal(fixture->faults, fault);
    snprintf(fault, sizeof fault, AT "1: [user a\xff], expected %s\n", form);
    read_one(fixture, "user a\xff", "password", "plain:x");
    assert_string_equal(fixture->faults, fault);
}

static void test_passwords_are_never_repeated(void **state) {
    static const char *const passwords[] = {"secret",     "plain:", "$9$secret", "=secret", "secret = plain:secret",
                                            "a\x01secret"};
    struct fixture *fixture = *state;
    for (size_t i = 0; i < sizeof passwords / sizeof passwords[0]; i++) {
        read_one(fixture, "user guest", "password", passwords[i]);
        assert_true(strstr(fixture->faults, AT "2: password ") == fixture->faults);
        assert_null(strstr(fixture->faults, "secret"));
    }
    assert_string_equal(faults_of(fixture, LISTEN "[user guest]\npassword = secret\n"),
                        AT "4: password can't be used, expected " PASSWORD_FORM "\n");
    assert_string_equal(faults_of(fixture, LISTEN "[user guest]\npassword secret=\nsecret\npass = secret\n"),
                        AT "4: unknown key in [user], expected password\n" AT
                           "5: neither a section nor a key, expected [section] or key = value\n" AT
                           "6: unknown key in [user], expected password\n" AT
                           "3: [user guest] has no password, expected " PASSWORD_FORM "\n");
    assert_string_equal(faults_of(fixture, LISTEN "[auth]\npassword = plain:secret\n"),
                        AT "4: unknown key password in [auth], expected anonymous\n");
}

/* A file beside the conf file, which the next one replaces. */
static void write_secret(const char *content, size_t len) {
    FILE *file = fopen(SECRET_NAME, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(content, 1, len, file), len);
    fclose(file);
}

static void test_without_cluster_and_admin_the_node_is_on_its_own(void **state) {
    const struct conf *conf = conf_of(*state, LISTEN);
    assert_null(conf->cluster.redis);
    assert_null(conf->admin.bind);
    assert_null(conf->admin.token_file);
}

static void test_defaults_of_a_cluster(void **state) {
    const struct cluster_settings *cluster = &conf_of(*state, LISTEN "[cluster]\nredis = 127.0.0.1:6379\n")->cluster;
    assert_string_equal(cluster->redis->host, "127.0.0.1");
    assert_int_equal(cluster->redis->port, 6379);
    assert_null(cluster->redis->password);
    assert_string_equal(cluster->prefix, "stompd:");
    assert_null(cluster->registry_prefix);
    assert_int_equal(cluster->node_timeout_ms, 15000);
    assert_int_equal(cluster->buffer, 16 << 20);
}

static void test_every_key_of_a_cluster(void **state) {
    write_secret("p w\n", 4);
    const struct cluster_settings *cluster =
        &conf_of(*state, LISTEN "[cluster]\nregistry-prefix = spring:websockets:users:\nprefix = a:b\n"
                                "password-file = " SECRET_NAME "\nredis = localhost:1\nnode-timeout = 1s\n"
                                "buffer = 4g\n")
             ->cluster;
    assert_string_equal(cluster->redis->password, "p w");
    assert_string_equal(cluster->prefix, "a:b");
    assert_string_equal(cluster->registry_prefix, "spring:websockets:users:");
    assert_int_equal(cluster->node_timeout_ms, 1000);
    assert_true(cluster->buffer == (uint64_t)4 << 30);
}

static void test_what_a_cluster_refuses(void **state) {
    static const char prefix_form[] = "1 to 64 printable ASCII characters without blanks";
    assert_string_equal(faults_of(*state, LISTEN "[cluster]\n[server]\n"),
                        AT "3: [cluster] has no redis, expected " REDIS_ADDRESS_FORM "\n");
    assert_string_equal(faults_of(*state, LISTEN "[cluster x]\nredis = localhost:1\nnode-timeout = 999ms\n"
                                                 "buffer = 63k\nprefix = a b\nregistry-prefix = \xc3\xb6\n"),
                        AT "3: [cluster x] has a name, expected [cluster]\n" AT
                           "5: node-timeout = 999ms, expected a time from 1s to 1h\n" AT
                           "6: buffer = 63k, expected a size from 64k to 4g\n" AT
                           "7: prefix = a b, expected 1 to 64 printable ASCII characters without blanks\n" AT
                           "8: registry-prefix = \xc3\xb6, expected 1 to 64 printable ASCII characters without "
                           "blanks\n");
    char prefix[66] = "";
    memset(prefix, 'p', 65);
    char content[256];
    char fault[256];
    snprintf(content, sizeof content, LISTEN "[cluster]\nredis = localhost:1\nprefix = %s\n", prefix);
    snprintf(fault, sizeof fault, AT "5: prefix = %s, expected %s\n", prefix, prefix_form);
    assert_string_equal(faults_of(*state, content), fault);
    assert_string_equal(faults_of(*state, LISTEN "[cluster]\nredis = localhost:1\n[cluster]\nredis = localhost:2\n"),
                        AT "5: [cluster] is given twice, expected it once (first in line 3)\n");
}

static void test_the_address_of_redis_is_never_repeated(void **state) {
    assert_string_equal(faults_of(*state, LISTEN "[cluster]\nredis = me@secret\nsecret = 1\n"),
                        AT "4: redis can't be used, expected " REDIS_ADDRESS_FORM "\n" AT
                           "5: unknown key in [cluster], expected redis, password-file, prefix, registry-prefix, "
                           "node-timeout or buffer\n");
}

static void test_one_password_for_redis(void **state) {
    write_secret("secret\n", 7);
    assert_string_equal(faults_of(*state, LISTEN "[cluster]\nredis = redis://me:secret@localhost:1/0\n"
                                                 "password-file = " SECRET_NAME "\n"),
                        AT "5: password-file beside a password in redis (line 4), expected one of them\n");
}

static void assert_no_password(struct fixture *fixture, const char *content, size_t len) {
    write_secret(content, len);
    assert_string_equal(faults_of(fixture, LISTEN "[cluster]\nredis = localhost:1\npassword-file = " SECRET_NAME "\n"),
                        AT "5: password-file = " SECRET_NAME ", expected one line of at most 1024 bytes in that "
                           "file\n");
}

static void test_a_password_is_one_line(void **state) {
    char longest[1027];
    memset(longest, 'p', sizeof longest);
    assert_no_password(*state, "", 0);
    assert_no_password(*state, "\n", 1);
    assert_no_password(*state, "\r\n", 2);
    assert_no_password(*state, "a\nb\n", 4);
    assert_no_password(*state, "a\0b\n", 4);
    assert_no_password(*state, longest, 1025);
    longest[1025] = '\n';
    assert_no_password(*state, longest, 1026);
    assert_no_password(*state, longest, 1027);
    longest[1024] = '\r';
    write_secret(longest, 1026);
    const struct conf *conf =
        conf_of(*state, LISTEN "[cluster]\nredis = localhost:1\npassword-file = " SECRET_NAME "\n");
    assert_int_equal(strlen(conf->cluster.redis->password), 1024);
    assert_string_equal(faults_of(*state, LISTEN "[cluster]\nredis = localhost:1\npassword-file = missing\n"),
                        AT "5: password-file = missing, expected a file that exists and can be read\n");
}

static void test_an_admin_port_is_on_loopback_or_has_a_token(void **state) {
    static const char *const loopback[] = {"127.0.0.1:1", "127.9.9.9:1", "localhost:1", "[::1]:1",
                                           "[::ffff:127.0.0.1]:1"};
    static const char *const open[] = {"*:1",    "0.0.0.0:1",       "192.0.2.1:1",
                                       "[::]:1", "[2001:db8::1]:1", "[::ffff:192.0.2.1]:1"};
    char fault[256];
    for (size_t i = 0; i < sizeof loopback / sizeof loopback[0]; i++)
        assert_string_equal(conf_with(*state, "admin", "bind", loopback[i])->admin.bind, loopback[i]);
    for (size_t i = 0; i < sizeof open / sizeof open[0]; i++) {
        struct fixture *fixture = *state;
        snprintf(fault, sizeof fault,
                 AT "2: bind = %s without token-file, expected a loopback address or a token-file\n", open[i]);
        read_one(fixture, "admin", "bind", open[i]);
        assert_string_equal(fixture->faults, fault);
    }
}

static void test_the_token_of_an_admin_port(void **state) {
    write_secret("token", 5);
    const struct admin_settings *admin =
        &conf_of(*state, "[admin]\nbind = *:9090\ntoken-file = " SECRET_NAME "\n" LISTEN)->admin;
    assert_string_equal(admin->bind, "*:9090");
    assert_string_equal(admin->token_file, SECRET_NAME);
    write_secret("\n", 1);
    assert_string_equal(faults_of(*state, "[admin]\nbind = *:9090\ntoken-file = " SECRET_NAME "\n" LISTEN),
                        AT "3: token-file = " SECRET_NAME ", expected one line of at most 1024 bytes in that file\n");
    assert_string_equal(faults_of(*state, "[admin]\ntoken-file = missing\n" LISTEN),
                        AT "2: token-file = missing, expected a file that exists and can be read\n" AT
                           "1: [admin] has no bind, expected " BIND_FORM "\n");
}

static void test_an_admin_port_has_an_address_of_its_own(void **state) {
    assert_string_equal(faults_of(*state, LISTEN "[admin]\nbind = localhost:8080\n"),
                        AT "4: bind = localhost:8080 as in [listen web] of line 1, expected an address of its own\n");
    assert_string_equal(faults_of(*state, "[admin]\nbind = localhost:8080\n" LISTEN),
                        AT "2: bind = localhost:8080 as in [listen web] of line 3, expected an address of its own\n");
}

/* Syntax */

static void test_blanks_comments_and_indented_lines(void **state) {
    const struct conf *conf = conf_of(*state, "\xef\xbb\xbf# first\r\n"
                                              "\t; second\r\n"
                                              "\r\n"
                                              "  [ listen \t web ]  # the page\r\n"
                                              "    bind=127.0.0.1:80\t; where\r\n"
                                              "    path = /a#b;c #/d\r\n"
                                              "  [server] ; here\r\n"
                                              "workers : 2\r\n"
                                              "    node = n # 1");
    assert_string_equal(conf->listeners[0].name, "web");
    assert_string_equal(conf->listeners[0].bind, "127.0.0.1:80");
    assert_int_equal(conf->listeners[0].path_count, 1);
    assert_string_equal(conf->listeners[0].paths[0], "/a#b;c");
    assert_int_equal(conf->workers, 2);
    assert_string_equal(conf->node, "n");
}

static void test_lines_of_no_known_form(void **state) {
    assert_string_equal(faults_of(*state, "workers\n= 3\n" LISTEN "path # = 3\n[limits\n[limits # ]\n[limits] x\n"),
                        AT "1: neither a section nor a key, expected [section] or key = value\n" AT
                           "2: neither a section nor a key, expected [section] or key = value\n" AT
                           "5: neither a section nor a key, expected [section] or key = value\n" AT
                           "6: a section without ] at its end, expected [section]\n" AT
                           "7: a section without ] at its end, expected [section]\n" AT
                           "8: a section without ] at its end, expected [section]\n");
}

static void test_keys_of_a_section_that_is_no_section_are_passed_over(void **state) {
    assert_string_equal(faults_of(*state, LISTEN "[sever]\nworkers = 0\n[server\nworkers = 0\n"), AT
                        "3: unknown section [sever], expected [server], [listen NAME], [limits], [auth], [user NAME], "
                        "[destination PATTERN], [cluster] or [admin]\n" AT
                        "5: a section without ] at its end, expected [section]\n");
}

static void test_a_key_before_the_first_section(void **state) {
    assert_string_equal(faults_of(*state, "workers = 1\n" LISTEN),
                        AT "1: a key before the first section, expected a section such as [server]\n");
}

static void test_unknown_keys(void **state) {
    assert_string_equal(faults_of(*state, LISTEN "[server]\nworker = 1\n"),
                        AT "4: unknown key worker in [server], expected node, workers, log-level, ping-time, "
                           "notice-time, drain-time, heart-beat-send or heart-beat-receive\n");
}

static void test_a_key_is_given_once(void **state) {
    assert_string_equal(faults_of(*state, "[server]\nworkers = 1\n\nworkers = 0\n" LISTEN "[listen b]\nbind = *:1\n"),
                        AT "4: workers is given twice, expected it once (first in line 2)\n");
}

static void test_a_key_needs_a_value(void **state) {
    assert_string_equal(faults_of(*state, "[server]\nworkers =\n[listen web]\nbind = # here\n[user a]\npassword =\n"),
                        AT "2: workers has no value, expected auto or a number from 1 to 64\n" AT
                           "4: bind has no value, expected " BIND_FORM "\n" AT
                           "6: password has no value, expected " PASSWORD_FORM "\n");
}

static void test_a_line_holds_4096_bytes(void **state) {
    struct fixture *fixture = *state;
    char line[4097 + 1] = "node = n #";
    char content[sizeof line + 64];
    memset(line + strlen(line), '#', sizeof line - 1 - strlen(line));
    snprintf(content, sizeof content, "[server]\n%.4096s\n" LISTEN, line);
    assert_string_equal(conf_of(fixture, content)->node, "n");
    snprintf(content, sizeof content, "[server]\n%.4097s\n" LISTEN, line);
    assert_string_equal(faults_of(fixture, content), AT "2: a line of more than 4096 bytes, expected a shorter one\n");
}

static void test_a_nul_is_no_text(void **state) {
    static const char content[] = "[server]\nworkers = 1\0x\n" LISTEN;
    struct fixture *fixture = *state;
    write_and_read(fixture, content, sizeof content - 1);
    assert_string_equal(fixture->faults, AT "2: a line with a NUL byte, expected text\n");
}

/* Sections */

static void test_names_of_sections(void **state) {
    assert_string_equal(
        faults_of(*state, "[server x]\nworkers = 0\n[listen]\nbind = *:1\n[listen a/b]\nbind = x\n[]\n"), AT
        "1: [server x] has a name, expected [server]\n" AT "2: workers = 0, expected auto or a number from 1 to 64\n" AT
        "3: [listen] has no name, expected [listen NAME]\n" AT
        "5: [listen a/b], expected a name of 1 to 64 letters, digits, '.', '_' or '-'\n" AT
        "6: bind = x, expected " BIND_FORM "\n" AT "7: unknown section [], expected [server], [listen NAME], [limits], "
        "[auth], [user NAME], [destination PATTERN], [cluster] or [admin]\n");
}

static void test_a_section_is_given_once(void **state) {
    assert_string_equal(faults_of(*state, "[server]\n[listen a]\nbind = *:1\n[user a]\npassword = plain:1\n[server]\n"
                                          "workers = 0\n[listen  a]\nbind = *:2\n[user a]\npassword = plain:2\n"),
                        AT "6: [server] is given twice, expected it once (first in line 1)\n" AT
                           "7: workers = 0, expected auto or a number from 1 to 64\n" AT
                           "8: [listen a] is given twice, expected it once (first in line 2)\n" AT
                           "10: [user a] is given twice, expected it once (first in line 4)\n");
}

static void test_required_keys(void **state) {
    assert_string_equal(faults_of(*state, "[listen web]\n[user guest]\n"),
                        AT "1: [listen web] has no bind, expected " BIND_FORM "\n" AT
                           "2: [user guest] has no password, expected " PASSWORD_FORM "\n");
}

static void test_one_listener_at_least(void **state) {
    assert_string_equal(faults_of(*state, "[server]\nworkers = 1\n"),
                        AT "2: no [listen NAME] section, expected one at least\n");
}

static void test_listeners_keep_their_order_and_have_addresses_of_their_own(void **state) {
    const struct conf *conf =
        conf_of(*state, LISTEN "[listen b]\nbind = 127.0.0.1:81\n[listen a]\nbind = [::1]:8080\nprotocol = stomp\n");
    assert_int_equal(conf->listener_count, 3);
    assert_string_equal(conf->listeners[1].name, "b");
    assert_string_equal(conf->listeners[2].name, "a");
    assert_int_equal(conf->listeners[2].line, 5);
    assert_string_equal(faults_of(*state, LISTEN "[listen b]\nbind = *:1\n[listen c]\nprotocol = stomp\n"
                                                 "bind = localhost:8080\n"),
                        AT "7: bind = localhost:8080 as in [listen web] of line 1, expected an address for each "
                           "listener\n");
}

static void test_keys_for_websocket_do_not_fit_plain_stomp(void **state) {
    assert_string_equal(faults_of(*state, "[listen a]\npath = /x\nbind = *:1\norigins = *\nprotocol = stomp\n"
                                          "files = .\ndeflate = no\ntrusted-proxies = ::1\nproxy-protocol = v1\n"),
                        AT "2: path on a listener for plain STOMP, expected it with protocol = ws only\n" AT
                           "4: origins on a listener for plain STOMP, expected it with protocol = ws only\n" AT
                           "8: trusted-proxies on a listener for plain STOMP, expected it with protocol = ws only\n" AT
                           "6: files on a listener for plain STOMP, expected it with protocol = ws only\n" AT
                           "7: deflate on a listener for plain STOMP, expected it with protocol = ws only\n");
}

static void test_certificate_and_key_go_together(void **state) {
    assert_string_equal(faults_of(*state, "[listen a]\nbind = *:1\ntls-key = " FILE_NAME "\n"
                                          "[listen b]\ntls-certificate = " FILE_NAME "\nbind = *:2\n"),
                        AT "3: tls-key without tls-certificate, expected both or none\n" AT
                           "5: tls-certificate without tls-key, expected both or none\n");
}

/* Files */

static void test_files_that_cannot_be_read(void **state) {
    struct fixture *fixture = *state;
    read_file(fixture, "missing.conf");
    assert_string_equal(fixture->faults, "missing.conf:0: can't be opened (No such file or directory), expected a file "
                                         "that can be read\n");
    read_file(fixture, ".");
    assert_string_equal(fixture->faults, ".:0: can't be read (Is a directory), expected a file that can\n");
}

static void test_what_a_fault_repeats_is_short_and_printable(void **state) {
    struct fixture *fixture = *state;
    char value[4000] = "";
    char fault[256];
    memset(value, 'x', sizeof value - 1);
    value[0] = '\x1b';
    read_one(fixture, "server", "workers", value);
    snprintf(fault, sizeof fault, AT "2: workers = ?%.79s, expected auto or a number from 1 to 64\n", value + 1);
    assert_string_equal(fixture->faults, fault);
}

/* The reference */

static void test_the_reference_file_is_what_the_table_says(void **state) {
    struct fixture *fixture = *state;
    char *text;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    conf_write_reference(out);
    fclose(out);
    assert_string_equal(text, fixture->reference);
    free(text);
}

static void test_the_reference_file_is_right_as_it_is(void **state) {
    struct fixture *fixture = *state;
    const struct conf *conf = conf_of(fixture, fixture->reference);
    assert_int_equal(conf->listener_count, 1);
    assert_int_equal(conf->users.by_name.count, 0);
    assert_int_equal(conf->policies.count, 0);
}

/*
 * Takes away the # in front of keys and sections. Those that name files stay comments, and so does the one that is not
 * for a pattern such as the one shown.
 */
static void uncomment(char *text) {
    for (char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        bool is_prose = line[0] != '#' || strchr(" \n", line[1]);
        bool names_file = strncmp(line, "#files", 6) == 0 || strncmp(line, "#tls-", 5) == 0 ||
                          strncmp(line, "#password-file", 14) == 0 || strncmp(line, "#token-file", 11) == 0;
        bool is_for_app = strncmp(line, "#app-", 5) == 0;
        if (!is_prose && !names_file && !is_for_app)
            line[0] = ' ';
    }
}

static void test_what_the_reference_file_shows_can_be_set(void **state) {
    struct fixture *fixture = *state;
    char *text = strdup(fixture->reference);
    assert_non_null(text);
    uncomment(text);
    const struct conf *conf = conf_of(fixture, text);
    assert_string_equal(conf->node, "node-a");
    assert_string_equal(conf->listeners[0].origins[0], "https://app.example");
    assert_int_equal(conf->limits.pause_time_ms, 30000);
    assert_int_equal(conf->users.by_name.count, 1);
    assert_int_equal(conf->policies.count, 1);
    assert_non_null(conf->cluster.redis);
    assert_string_equal(conf->admin.bind, "127.0.0.1:9090");
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults_of_the_server_and_its_limits),
        cmocka_unit_test(test_defaults_of_a_listener),
        cmocka_unit_test(test_every_key_of_the_server_and_its_limits),
        cmocka_unit_test(test_limits_before_login_follow_from_the_others),
        cmocka_unit_test(test_the_node_is_named_after_the_host),
        cmocka_unit_test(test_node_names),
        cmocka_unit_test(test_workers_are_a_number_or_one_per_usable_core),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_choices),
        cmocka_unit_test(test_flags),
        cmocka_unit_test(test_binds),
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_origins),
        cmocka_unit_test(test_trusted_proxies),
        cmocka_unit_test(test_files_are_a_folder_that_exists),
        cmocka_unit_test(test_certificate_and_key_are_files_that_exist),
        cmocka_unit_test(test_users),
        cmocka_unit_test(test_user_names_are_up_to_255_bytes),
        cmocka_unit_test(test_passwords_are_never_repeated),
        cmocka_unit_test(test_without_cluster_and_admin_the_node_is_on_its_own),
        cmocka_unit_test(test_defaults_of_a_cluster),
        cmocka_unit_test(test_every_key_of_a_cluster),
        cmocka_unit_test(test_what_a_cluster_refuses),
        cmocka_unit_test(test_the_address_of_redis_is_never_repeated),
        cmocka_unit_test(test_one_password_for_redis),
        cmocka_unit_test(test_a_password_is_one_line),
        cmocka_unit_test(test_an_admin_port_is_on_loopback_or_has_a_token),
        cmocka_unit_test(test_the_token_of_an_admin_port),
        cmocka_unit_test(test_an_admin_port_has_an_address_of_its_own),
        cmocka_unit_test(test_blanks_comments_and_indented_lines),
        cmocka_unit_test(test_lines_of_no_known_form),
        cmocka_unit_test(test_keys_of_a_section_that_is_no_section_are_passed_over),
        cmocka_unit_test(test_a_key_before_the_first_section),
        cmocka_unit_test(test_unknown_keys),
        cmocka_unit_test(test_a_key_is_given_once),
        cmocka_unit_test(test_a_key_needs_a_value),
        cmocka_unit_test(test_a_line_holds_4096_bytes),
        cmocka_unit_test(test_a_nul_is_no_text),
        cmocka_unit_test(test_names_of_sections),
        cmocka_unit_test(test_a_section_is_given_once),
        cmocka_unit_test(test_required_keys),
        cmocka_unit_test(test_one_listener_at_least),
        cmocka_unit_test(test_listeners_keep_their_order_and_have_addresses_of_their_own),
        cmocka_unit_test(test_keys_for_websocket_do_not_fit_plain_stomp),
        cmocka_unit_test(test_certificate_and_key_go_together),
        cmocka_unit_test(test_files_that_cannot_be_read),
        cmocka_unit_test(test_what_a_fault_repeats_is_short_and_printable),
        cmocka_unit_test(test_the_reference_file_is_what_the_table_says),
        cmocka_unit_test(test_the_reference_file_is_right_as_it_is),
        cmocka_unit_test(test_what_the_reference_file_shows_can_be_set),
    };
    hash_seed();
    return cmocka_run_group_tests(tests, set_up_group, tear_down_group);
}
