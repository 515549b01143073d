/*
 * The keys of the conf file, one entry each: name and help, kind of value, default, whether a reload changes it, and the
 * member that it fills.
 */
#include "conf_table.h"

#include <string.h>

#include "conf_sections.h"
#include "conf_types.h"
#include "stompd/hub/conf.h"

#define KIB    ((uint64_t)1 << 10)
#define MIB    ((uint64_t)1 << 20)
#define GIB    ((uint64_t)1 << 30)
#define TIB    ((uint64_t)1 << 40)
#define SECOND ((uint64_t)1000)
#define HOUR   (3600 * SECOND)
#define YEAR   (8760 * HOUR)

#define CHOICE(list)      .type = &conf_choice, .words = (list)
#define NUMBER(from, to)  .type = &conf_number, .least = (from), .most = (to)
#define SIZE(from, to)    .type = &conf_size, .least = (from), .most = (to)
#define TIME(from, to)    .type = &conf_time, .least = (from), .most = (to)
#define WORKERS(from, to) .type = &conf_workers, .least = (from), .most = (to)

#define DEFAULT(value)  .standard = (value)
#define REQUIRED(value) .required = true, .example = (value)
#define OPTIONAL(value) .example = (value)

#define RELOADED          .change = CONF_AT_RELOAD
#define RELOADED_IF_GIVEN .change = CONF_AT_RELOAD_IF_GIVEN

#define IN(owner, member)       .offset = offsetof(owner, member), .width = sizeof(((owner *)NULL)->member)
#define CONF(member)            IN(struct conf, member)
#define LISTENER(member)        IN(struct listener_conf, member)
#define LISTENER_LIST(list, of) IN(struct listener_conf, list), .count_offset = offsetof(struct listener_conf, of)
#define USER(member)            IN(struct user_section, member)
#define POLICY(member)          IN(struct policy, member)
#define POLICY_LIST(list, of)   IN(struct policy, list), .count_offset = offsetof(struct policy, of)
#define CLUSTER(member)         IN(struct cluster_settings, member)
#define ADMIN(member)           IN(struct admin_settings, member)

#define KEYS(list) .keys = (list), .key_count = sizeof(list) / sizeof(list)[0]

static const char *const log_levels[] = {
    [LOG_LEVEL_ERROR] = "error", [LOG_LEVEL_WARNING] = "warning", [LOG_LEVEL_NOTICE] = "notice",
    [LOG_LEVEL_INFO] = "info",   [LOG_LEVEL_DEBUG] = "debug",     NULL};
static const char *const protocols[] = {[LISTENER_WS] = "ws", [LISTENER_STOMP] = "stomp", NULL};
static const char *const proxy_protocols[] = {
    [PROXY_NONE] = "none", [PROXY_V1] = "v1", [PROXY_V2] = "v2", [PROXY_ANY] = "any", NULL};
static const char *const when_full[] = {
    [WHEN_FULL_REFUSE] = "refuse", [WHEN_FULL_DROP] = "drop-oldest", [WHEN_FULL_DEAD_LETTER] = "dead-letter", NULL};

/* clang-format off */
static const struct conf_key server_keys[] = {
    {"node", "This node's name, unique among nodes; without it: the host name.",
     .type = &conf_name, OPTIONAL("node-a"), CONF(node)},
    {"workers", "I/O threads; auto: one per core that the process may use.",
     WORKERS(1, CONF_WORKERS_MAX), DEFAULT("auto"), CONF(workers)},
    {"log-level", "The least important level that is logged.",
     CHOICE(log_levels), DEFAULT("info"), RELOADED, CONF(log_level)},
    {"ping-time", "WebSocket: a client that has sent nothing for that long is pinged; 0: never.",
     TIME(0, HOUR), DEFAULT("30s"), RELOADED, CONF(ping_time_ms)},
    {"notice-time", "After SIGTERM: how long /healthz says 503 while new clients are still served.",
     TIME(0, HOUR), DEFAULT("5s"), RELOADED, CONF(notice_time_ms)},
    {"drain-time", "After that: the time over which the closing of all sessions is spread.",
     TIME(0, HOUR), DEFAULT("10s"), RELOADED, CONF(drain_time_ms)},
    {"heart-beat-send", "STOMP heart-beats: how often the server can send one; 0: never.",
     TIME(0, HOUR), DEFAULT("10s"), RELOADED, CONF(limits.heartbeat.send_ms)},
    {"heart-beat-receive", "STOMP heart-beats: how often the server wants to receive one; 0: never.",
     TIME(0, HOUR), DEFAULT("10s"), RELOADED, CONF(limits.heartbeat.receive_ms)},
};

static const struct conf_key listen_keys[] = {
    {"bind", "Where to listen; *: at every address, of IPv6 too.",
     .type = &conf_address, REQUIRED("127.0.0.1:8080"), LISTENER(bind)},
    {"protocol", "ws: STOMP over WebSocket, and HTTP for /healthz and files; stomp: STOMP over plain TCP.",
     CHOICE(protocols), DEFAULT("ws"), LISTENER(protocol)},
    {"proxy-protocol", "Version of the PROXY header ahead of a client's bytes. It can name any address: only the proxy must reach the port.",
     CHOICE(proxy_protocols), DEFAULT("none"), RELOADED, LISTENER(proxy_protocol)},
    {"path", "For ws: where WebSockets are opened.",
     .type = &conf_paths, DEFAULT("/ws"), RELOADED, LISTENER_LIST(paths, path_count)},
    {"origins", "For ws: whose pages may connect; *: anyone's; without it: pages of the same host.",
     .type = &conf_origins, OPTIONAL("https://app.example"), RELOADED, LISTENER_LIST(origins, origin_count)},
    {"trusted-proxies", "For ws: proxies whose X-Forwarded-For says who the client is; without it: no one's.",
     .type = &conf_networks, OPTIONAL("10.0.0.0/8"), RELOADED, LISTENER_LIST(trusted_proxies, trusted_proxy_count)},
    {"files", "For ws: a folder that is served over HTTP; without it: none.",
     .type = &conf_folder, OPTIONAL("/srv/www"), RELOADED, LISTENER(files)},
    {"deflate", "For ws: whether permessage-deflate is offered; it saves bytes on the wire and costs memory and time.",
     .type = &conf_flag, DEFAULT("no"), RELOADED, LISTENER(deflate)},
    {"tls-certificate", "PEM file with the certificate and its chain; without it: no TLS.",
     .type = &conf_file, OPTIONAL("/etc/stompd/chain.pem"), RELOADED_IF_GIVEN, LISTENER(tls_certificate)},
    {"tls-key", "PEM file with the certificate's private key.",
     .type = &conf_file, OPTIONAL("/etc/stompd/key.pem"), RELOADED_IF_GIVEN, LISTENER(tls_key)},
};

static const struct conf_key limits_keys[] = {
    {"connections", "Sockets open at a time.",
     NUMBER(1, 10000000), DEFAULT("100000"), RELOADED, CONF(connections)},
    {"frame-size", "Bytes of a frame.",
     SIZE(KIB, GIB), DEFAULT("2m"), RELOADED, CONF(limits.frames.frame_size)},
    {"body-size", "Bytes of a frame's body.",
     SIZE(KIB, GIB), DEFAULT("1m"), RELOADED, CONF(limits.frames.body_size)},
    {"frame-size-before-login", "Bytes of a frame from a client that has not logged in yet.",
     SIZE(KIB, GIB), DEFAULT("64k"), RELOADED, CONF(limits.before_login.frame_size)},
    {"headers", "Headers of a frame.",
     NUMBER(10, 10000), DEFAULT("100"), RELOADED, CONF(limits.frames.headers)},
    {"header-size", "Bytes of a header line.",
     SIZE(256, MIB), DEFAULT("16k"), RELOADED, CONF(limits.frames.header_size)},
    {"subscriptions", "Subscriptions of a session.",
     NUMBER(1, 1000000), DEFAULT("1000"), RELOADED, CONF(limits.subscriptions)},
    {"transactions", "Transactions that a session has open at a time.",
     NUMBER(1, 10000), DEFAULT("16"), RELOADED, CONF(limits.transactions)},
    {"transaction-frames", "Frames of a transaction, and messages that it acknowledges.",
     NUMBER(1, 1000000), DEFAULT("1000"), RELOADED, CONF(limits.transaction_frames)},
    {"transaction-size", "Bytes that all open transactions of a session hold.",
     SIZE(KIB, GIB), DEFAULT("4m"), RELOADED, CONF(limits.transaction_size)},
    {"prefetch", "Messages of a queue that a subscription may have unacknowledged: the most that its prefetch-count can ask for.",
     NUMBER(1, 10000), DEFAULT("1000"), RELOADED, CONF(limits.prefetch)},
    {"outbox-size", "Bytes that may wait for a client; when more would, it is too slow and is cut off.",
     SIZE(KIB, GIB), DEFAULT("1m"), RELOADED, CONF(limits.outbox_size)},
    {"connect-time", "From the accepted socket to CONNECTED.",
     TIME(100, HOUR), DEFAULT("10s"), RELOADED, CONF(limits.connect_time_ms)},
    {"frame-time", "From a frame's first byte to its last.",
     TIME(100, HOUR), DEFAULT("60s"), RELOADED, CONF(limits.frame_time_ms)},
    {"pause-time", "How long a publisher may be held back when it is faster than the server.",
     TIME(100, HOUR), DEFAULT("30s"), RELOADED, CONF(limits.pause_time_ms)},
    {"durable-subscriptions", "Durable subscriptions of topics that one user may have, over all sessions.",
     NUMBER(0, 100000), DEFAULT("16"), RELOADED, CONF(durable_subscriptions)},
    {"queue-memory", "Without [cluster]: bytes of all messages in queues; a SEND that would need more is refused.",
     SIZE(MIB, TIB), DEFAULT("256m"), CONF(queue_memory)},
};

static const struct conf_key auth_keys[] = {
    {"anonymous", "Whether a client without credentials is let in, nameless; one with wrong credentials never is.",
     .type = &conf_flag, DEFAULT("no"), RELOADED, CONF(users.anonymous)},
};

static const struct conf_key user_keys[] = {
    {"password", "What the client must send as its passcode.",
     .type = &conf_password, REQUIRED("plain:guest"), RELOADED, USER(password)},
};

static const struct conf_key destination_keys[] = {
    {"max-messages", "Messages that a queue holds, those that consumers have only where when-full is refuse; 0: any number.",
     NUMBER(0, 1000000000), DEFAULT("100000"), RELOADED, POLICY(queue.max_messages)},
    {"max-bytes", "Bytes of the messages that a queue holds; 0: any number.",
     SIZE(0, TIB), DEFAULT("64m"), RELOADED, POLICY(queue.max_bytes)},
    {"max-age", "A message that has waited for that long is dropped; 0: never; without it under /app/: 1m.",
     TIME(0, YEAR), DEFAULT("0"), RELOADED, POLICY(queue.max_age_ms)},
    {"when-full", "A SEND to a full queue is refused, or the oldest that no consumer has is dropped, or goes to dead-letter.",
     CHOICE(when_full), DEFAULT("refuse"), RELOADED, POLICY(queue.when_full)},
    {"max-deliveries", "A message that was delivered that often, and returned each time, goes to dead-letter, if there is one; 0: never.",
     NUMBER(0, 1000000), DEFAULT("10"), RELOADED, POLICY(queue.max_deliveries)},
    {"idle-expiry", "A queue without messages and consumers goes after that long.",
     TIME(10 * SECOND, YEAR), DEFAULT("5m"), RELOADED, POLICY(queue.idle_expiry_ms)},
    {"dead-letter", "Where dead messages go; without it: /queue/NAME.dead from /queue/NAME, /queue/app.dead from /app/.",
     .type = &conf_queue, OPTIONAL("/queue/dead"), RELOADED, POLICY(queue.dead_letter)},
    {"app-consumers", "Only under /app/: the users who may subscribe to the pattern and so get what is sent there; without it: none.",
     .type = &conf_users, OPTIONAL("orders-app"), RELOADED, POLICY_LIST(app_consumers, app_consumer_count)},
};

static const struct conf_key cluster_keys[] = {
    {"redis", "Where Redis is, and who this node is there; the database parts keys, not channels: see prefix.",
     .type = &conf_redis, REQUIRED("127.0.0.1:6379"), .offset = offsetof(struct cluster_settings, redis)},
    {"password-file", "A file with the password for Redis; without it: the one in redis, or none.",
     .type = &conf_file, OPTIONAL("/etc/stompd/redis-password"), CLUSTER(password_file)},
    {"prefix", "What all keys and channels begin with; one prefix a cluster, also where the database differs.",
     .type = &conf_prefix, DEFAULT("stompd:"), CLUSTER(prefix)},
    {"registry-prefix", "What the keys of the users' sets of sessions begin with; without it: prefix and user:.",
     .type = &conf_prefix, OPTIONAL("spring:websockets:users:"), CLUSTER(registry_prefix)},
    {"node-timeout", "A node that has not been heard of for that long is dead; the same on all nodes.",
     TIME(SECOND, HOUR), DEFAULT("15s"), CLUSTER(node_timeout_ms)},
    {"buffer", "Bytes that are kept for the other nodes while Redis is away; while it is slow, publishers pause.",
     SIZE(64 * KIB, 4 * GIB), DEFAULT("16m"), CLUSTER(buffer)},
};

static const struct conf_key admin_keys[] = {
    {"bind", "Where to listen; any but a loopback address needs a token-file.",
     .type = &conf_address, REQUIRED("127.0.0.1:9090"), ADMIN(bind)},
    {"token-file", "A file with the token that requests must carry; without it: none is asked for.",
     .type = &conf_file, OPTIONAL("/etc/stompd/admin-token"), RELOADED_IF_GIVEN, ADMIN(token_file)},
};

const struct conf_section conf_sections[] = {
    {"server", "The node.", KEYS(server_keys)},
    {"listen", "A place to listen at, under a name for the log. There may be any number of these sections.",
     KEYS(listen_keys), .example = "web", .name_form = "a name of " CONF_NAME_FORM, .name_fits = conf_is_name,
     .begin = listen_begin, .end = listen_end},
    {"limits", "What a client may use up. Over a limit: an ERROR that names it, and the connection is closed.",
     KEYS(limits_keys)},
    {"auth", "Who may log in.", KEYS(auth_keys)},
    {"user", "A user. There may be any number of these sections.",
     KEYS(user_keys), .example = "guest", .shown_off = true, .name_form = "a name of " USER_NAME_FORM,
     .name_fits = user_name_fits, .begin = user_begin, .end = user_end},
    {"destination", "What holds for destinations: of these sections, in their order, the first whose pattern matches; else the defaults.",
     KEYS(destination_keys), .example = "/queue/orders.**", .name_word = "PATTERN", .shown_off = true,
     .name_form = POLICY_PATTERN_FORM, .name_fits = policy_pattern_fits,
     .begin = destination_begin, .end = destination_end},
    {"cluster", "The Redis that this node shares with others; without this section it is on its own.",
     KEYS(cluster_keys), .shown_off = true, .begin = cluster_begin, .end = cluster_end},
    {"admin", "A port for operators, with HTTP: metrics, health and an API; without this section there is none.",
     KEYS(admin_keys), .shown_off = true, .begin = admin_begin, .end = admin_end},
};
/* clang-format on */

const size_t conf_section_count = sizeof conf_sections / sizeof conf_sections[0];

const struct conf_section *conf_section_find(const char *name, size_t name_len) {
    for (size_t i = 0; i < conf_section_count; i++) {
        const char *candidate = conf_sections[i].name;
        if (strlen(candidate) == name_len && memcmp(candidate, name, name_len) == 0)
            return &conf_sections[i];
    }
    return NULL;
}

const struct conf_key *conf_key_find(const struct conf_section *section, const char *name) {
    for (size_t i = 0; i < section->key_count; i++) {
        if (strcmp(section->keys[i].name, name) == 0)
            return &section->keys[i];
    }
    return NULL;
}
