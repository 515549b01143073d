/* The keys of the conf file, one entry each: name and help, kind of value, default, and the member that it fills. */
#include "conf_table.h"

#include <string.h>

#include "conf_sections.h"
#include "conf_types.h"
#include "stompd/hub/conf.h"

#define KIB    ((uint64_t)1 << 10)
#define MIB    ((uint64_t)1 << 20)
#define GIB    ((uint64_t)1 << 30)
#define SECOND ((uint64_t)1000)
#define HOUR   (3600 * SECOND)

#define CHOICE(list)      .type = &conf_choice, .words = (list)
#define NUMBER(from, to)  .type = &conf_number, .least = (from), .most = (to)
#define SIZE(from, to)    .type = &conf_size, .least = (from), .most = (to)
#define TIME(from, to)    .type = &conf_time, .least = (from), .most = (to)
#define WORKERS(from, to) .type = &conf_workers, .least = (from), .most = (to)

#define DEFAULT(value)  .standard = (value)
#define REQUIRED(value) .required = true, .example = (value)
#define OPTIONAL(value) .example = (value)

#define IN(owner, member)       .offset = offsetof(owner, member), .width = sizeof(((owner *)NULL)->member)
#define CONF(member)            IN(struct conf, member)
#define LISTENER(member)        IN(struct listener_conf, member)
#define LISTENER_LIST(list, of) IN(struct listener_conf, list), .count_offset = offsetof(struct listener_conf, of)
#define USER(member)            IN(struct user_section, member)

#define KEYS(list) .keys = (list), .key_count = sizeof(list) / sizeof(list)[0]

static const char *const log_levels[] = {
    [LOG_LEVEL_ERROR] = "error", [LOG_LEVEL_WARNING] = "warning", [LOG_LEVEL_NOTICE] = "notice",
    [LOG_LEVEL_INFO] = "info",   [LOG_LEVEL_DEBUG] = "debug",     NULL};
static const char *const protocols[] = {[LISTENER_WS] = "ws", [LISTENER_STOMP] = "stomp", NULL};

/* clang-format off */
static const struct conf_key server_keys[] = {
    {"node", "This node's name, unique among nodes; without it: the host name.",
     .type = &conf_name, OPTIONAL("node-a"), CONF(node)},
    {"workers", "I/O threads; auto: one per core that the process may use.",
     WORKERS(1, CONF_WORKERS_MAX), DEFAULT("auto"), CONF(workers)},
    {"log-level", "The least important level that is logged.",
     CHOICE(log_levels), DEFAULT("info"), CONF(log_level)},
    {"ping-time", "WebSocket: a client that has sent nothing for that long is pinged; 0: never.",
     TIME(0, HOUR), DEFAULT("30s"), CONF(ping_time_ms)},
    {"notice-time", "After SIGTERM: how long /healthz says 503 while new clients are still served.",
     TIME(0, HOUR), DEFAULT("5s"), CONF(notice_time_ms)},
    {"drain-time", "After that: the time over which the closing of all sessions is spread.",
     TIME(0, HOUR), DEFAULT("10s"), CONF(drain_time_ms)},
    {"heart-beat-send", "STOMP heart-beats: how often the server can send one; 0: never.",
     TIME(0, HOUR), DEFAULT("10s"), CONF(limits.heartbeat.send_ms)},
    {"heart-beat-receive", "STOMP heart-beats: how often the server wants to receive one; 0: never.",
     TIME(0, HOUR), DEFAULT("10s"), CONF(limits.heartbeat.receive_ms)},
};

static const struct conf_key listen_keys[] = {
    {"bind", "Where to listen; *: at every address, of IPv6 too.",
     .type = &conf_address, REQUIRED("127.0.0.1:8080"), LISTENER(bind)},
    {"protocol", "ws: STOMP over WebSocket, and HTTP for /healthz and files; stomp: STOMP over plain TCP.",
     CHOICE(protocols), DEFAULT("ws"), LISTENER(protocol)},
    {"path", "For ws: where WebSockets are opened.",
     .type = &conf_paths, DEFAULT("/ws"), LISTENER_LIST(paths, path_count)},
    {"origins", "For ws: whose pages may connect; *: anyone's; without it: pages of the same host.",
     .type = &conf_origins, OPTIONAL("https://app.example"), LISTENER_LIST(origins, origin_count)},
    {"files", "For ws: a folder that is served over HTTP; without it: none.",
     .type = &conf_folder, OPTIONAL("/srv/www"), LISTENER(files)},
    {"deflate", "For ws: whether permessage-deflate is offered; it saves bytes on the wire and costs memory and time.",
     .type = &conf_flag, DEFAULT("no"), LISTENER(deflate)},
    {"tls-certificate", "PEM file with the certificate and its chain; without it: no TLS.",
     .type = &conf_file, OPTIONAL("/etc/stompd/chain.pem"), LISTENER(tls_certificate)},
    {"tls-key", "PEM file with the certificate's private key.",
     .type = &conf_file, OPTIONAL("/etc/stompd/key.pem"), LISTENER(tls_key)},
};

static const struct conf_key limits_keys[] = {
    {"connections", "Sockets open at a time.",
     NUMBER(1, 10000000), DEFAULT("100000"), CONF(connections)},
    {"frame-size", "Bytes of a frame.",
     SIZE(KIB, GIB), DEFAULT("2m"), CONF(limits.frames.frame_size)},
    {"body-size", "Bytes of a frame's body.",
     SIZE(KIB, GIB), DEFAULT("1m"), CONF(limits.frames.body_size)},
    {"frame-size-before-login", "Bytes of a frame from a client that has not logged in yet.",
     SIZE(KIB, GIB), DEFAULT("64k"), CONF(limits.before_login.frame_size)},
    {"headers", "Headers of a frame.",
     NUMBER(10, 10000), DEFAULT("100"), CONF(limits.frames.headers)},
    {"header-size", "Bytes of a header line.",
     SIZE(256, MIB), DEFAULT("16k"), CONF(limits.frames.header_size)},
    {"subscriptions", "Subscriptions of a session.",
     NUMBER(1, 1000000), DEFAULT("1000"), CONF(limits.subscriptions)},
    {"transactions", "Transactions that a session has open at a time.",
     NUMBER(1, 10000), DEFAULT("16"), CONF(limits.transactions)},
    {"transaction-frames", "Frames of a transaction.",
     NUMBER(1, 1000000), DEFAULT("1000"), CONF(limits.transaction_frames)},
    {"transaction-size", "Bytes that all open transactions of a session hold.",
     SIZE(KIB, GIB), DEFAULT("4m"), CONF(limits.transaction_size)},
    {"outbox-size", "Bytes that may wait for a client; when more would, it is too slow and is cut off.",
     SIZE(KIB, GIB), DEFAULT("1m"), CONF(limits.outbox_size)},
    {"connect-time", "From the accepted socket to CONNECTED.",
     TIME(100, HOUR), DEFAULT("10s"), CONF(limits.connect_time_ms)},
    {"frame-time", "From a frame's first byte to its last.",
     TIME(100, HOUR), DEFAULT("60s"), CONF(limits.frame_time_ms)},
    {"pause-time", "How long a publisher may be held back when it is faster than the server.",
     TIME(100, HOUR), DEFAULT("30s"), CONF(limits.pause_time_ms)},
};

static const struct conf_key auth_keys[] = {
    {"anonymous", "Whether a client without credentials is let in, nameless; one with wrong credentials never is.",
     .type = &conf_flag, DEFAULT("no"), CONF(users.anonymous)},
};

static const struct conf_key user_keys[] = {
    {"password", "What the client must send as its passcode.",
     .type = &conf_password, REQUIRED("plain:guest"), USER(password)},
};

const struct conf_section conf_sections[] = {
    {"server", "The node.", KEYS(server_keys)},
    {"listen", "A place to listen at, under a name for the log. There may be any number of these sections.",
     KEYS(listen_keys), .example = "web", .name_form = CONF_NAME_FORM, .name_fits = conf_is_name,
     .begin = listen_begin, .end = listen_end},
    {"limits", "What a client may use up. Over a limit: an ERROR that names it, and the connection is closed.",
     KEYS(limits_keys)},
    {"auth", "Who may log in.", KEYS(auth_keys)},
    {"user", "A user. There may be any number of these sections.",
     KEYS(user_keys), .example = "guest", .shown_off = true, .name_form = USER_NAME_FORM, .name_fits = user_name_fits,
     .begin = user_begin, .end = user_end},
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
