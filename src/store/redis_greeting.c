/* The greeting: a table of steps, each a command and what its answer must be. */
#include "redis_greeting.h"

#include <stdio.h>
#include <stdlib.h>

#include "redis_error.h"
#include "redis_scripts.h"

#define LEAST_MAJOR 6
#define LEAST_MINOR 2

struct step {
    const char *command; /* for the log */
    bool optional;       /* a user who may not do it goes without */
    /* Looks at an answer that is no error. NULL: any will do. */
    bool (*check)(const redisReply *reply, struct redis_server *server, char *why, size_t size);
};

/* ---- what INFO tells ---- */

/* The value in a line `key:value`. False: there is no such line. */
static bool info_value(const redisReply *reply, const char *key, char *value, size_t size) {
    size_t key_len = strlen(key);
    value[0] = '\0';
    if (reply->type != REDIS_REPLY_STRING)
        return false;
    for (const char *line = reply->str; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, key, key_len) == 0 && line[key_len] == ':') {
            const char *from = line + key_len + 1;
            snprintf(value, size, "%.*s", (int)strcspn(from, "\r\n"), from);
            return true;
        }
    }
    return false;
}

static bool is_new_enough(const char *version) {
    char *end;
    unsigned long major = strtoul(version, &end, 10);
    unsigned long minor = *end == '.' ? strtoul(end + 1, NULL, 10) : 0;
    return major > LEAST_MAJOR || (major == LEAST_MAJOR && minor >= LEAST_MINOR);
}

static bool check_server(const redisReply *reply, struct redis_server *server, char *why, size_t size) {
    char version[24];
    char mode[24];
    bool valkey = info_value(reply, "valkey_version", version, sizeof version);
    if (!valkey && !info_value(reply, "redis_version", version, sizeof version)) {
        snprintf(why, size, "what is there does not talk like Redis (it has no version)");
        return false;
    }
    snprintf(server->version, sizeof server->version, "%s %s", valkey ? "Valkey" : "Redis", version);
    if (!valkey && !is_new_enough(version)) {
        snprintf(why, size, "Redis %s is too old: stompd needs Redis %d.%d or later, or Valkey", version, LEAST_MAJOR,
                 LEAST_MINOR);
        return false;
    }
    if (info_value(reply, "redis_mode", mode, sizeof mode) && strcmp(mode, "standalone") != 0) {
        snprintf(why, size, "the server is in %s mode: name one in standalone mode", mode);
        return false;
    }
    return info_value(reply, "run_id", server->run_id, sizeof server->run_id);
}

static bool check_role(const redisReply *reply, struct redis_server *server, char *why, size_t size) {
    char role[16];
    char host[128];
    char port[16];
    (void)server;
    if (!info_value(reply, "role", role, sizeof role) || strcmp(role, "slave") != 0)
        return true;
    (void)info_value(reply, "master_host", host, sizeof host);
    (void)info_value(reply, "master_port", port, sizeof port);
    snprintf(why, size, "this is a read-only replica: name its master in [cluster] redis (it says %s:%s)", host, port);
    return false;
}

/* Our keys have no time to live: only allkeys-lru and the like take them. */
static bool check_memory(const redisReply *reply, struct redis_server *server, char *why, size_t size) {
    char most[24];
    snprintf(why, size, "what is there does not talk like Redis (its answer to INFO memory)");
    if (reply->type != REDIS_REPLY_STRING)
        return false;
    if (!info_value(reply, "maxmemory_policy", server->eviction, sizeof server->eviction) ||
        !info_value(reply, "maxmemory", most, sizeof most) || strcmp(most, "0") == 0 ||
        strncmp(server->eviction, "allkeys-", 8) != 0)
        server->eviction[0] = '\0';
    return true;
}

/* ---- the steps ---- */

static const struct step authenticate = {"AUTH", false, NULL};
static const struct step name = {"CLIENT SETNAME", true, NULL};
static const struct step pick_database = {"SELECT", false, NULL};
static const struct step ask_server = {"INFO server", false, check_server};
static const struct step ask_role = {"INFO replication", false, check_role};
static const struct step ask_memory = {"INFO memory", false, check_memory};
static const struct step load = {"SCRIPT LOAD", false, NULL};
static const struct step try_channel = {"SUBSCRIBE", false, NULL};
static const struct step try_glob = {"PSUBSCRIBE", false, NULL};
static const struct step leave_channel = {"UNSUBSCRIBE", false, NULL};
static const struct step leave_glob = {"PUNSUBSCRIBE", false, NULL};

static void say(struct redis_connection *connection, struct redis_command *command, const struct step *step) {
    redis_connection_send(connection, command, (void *)step);
}

static void say_password(struct redis_connection *connection, struct redis_command *command,
                         const struct redis_address *address) {
    redis_command_begin(command, address->user ? 3 : 2);
    redis_command_add(command, BYTES("AUTH"));
    if (address->user)
        redis_command_add(command, bytes_of(address->user));
    redis_command_add(command, bytes_of(address->password ? address->password : ""));
    say(connection, command, &authenticate);
    if (command->bytes.data)
        explicit_bzero(command->bytes.data, command->bytes.len);
}

static void say_name_and_database(struct redis_connection *connection, struct redis_command *command,
                                  const struct redis_conf *conf) {
    redis_command_begin(command, 3);
    redis_command_add(command, BYTES("CLIENT"));
    redis_command_add(command, BYTES("SETNAME"));
    redis_command_add_joined(command, BYTES("stompd:"), bytes_of(conf->node));
    say(connection, command, &name);
    if (conf->address->db > 0) {
        redis_command_begin(command, 2);
        redis_command_add(command, BYTES("SELECT"));
        redis_command_add_number(command, conf->address->db);
        say(connection, command, &pick_database);
    }
}

static void ask(struct redis_connection *connection, struct redis_command *command, const char *section,
                const struct step *step) {
    redis_command_begin(command, 2);
    redis_command_add(command, BYTES("INFO"));
    redis_command_add(command, bytes_of(section));
    say(connection, command, step);
}

void redis_greeting_load_scripts(struct redis_connection *connection, struct redis_command *scratch, void *what) {
    for (size_t n = 0; n < REDIS_SCRIPTS; n++) {
        redis_command_begin(scratch, 3);
        redis_command_add(scratch, BYTES("SCRIPT"));
        redis_command_add(scratch, BYTES("LOAD"));
        redis_command_add(scratch, bytes_of(redis_scripts[n].text));
        redis_connection_send(connection, scratch, what);
    }
}

/* On the node's own channel: with a user who may not, no later subscription would be answered. */
static void try_out(struct redis_connection *connection, struct redis_command *command, struct bytes prefix,
                    const char *node, const struct step *step) {
    struct buffer channel = {0};
    redis_command_begin(command, 2);
    redis_command_add(command, bytes_of(step->command));
    if (buffer_append(&channel, prefix.data, prefix.len) && buffer_append(&channel, "n:", 2))
        redis_command_add_joined(command, buffer_bytes(&channel), bytes_of(node));
    else
        command->failed = true;
    say(connection, command, step);
    buffer_free(&channel);
}

static void try_out_subscribing(struct redis_connection *connection, struct redis_command *command,
                                const struct redis_conf *conf) {
    struct buffer glob = {0};
    bool right = redis_glob_of_prefix(&glob, conf->prefix);
    try_out(connection, command, bytes_of(conf->prefix), conf->node, &try_channel);
    try_out(connection, command, bytes_of(conf->prefix), conf->node, &leave_channel);
    if (right) {
        try_out(connection, command, buffer_bytes(&glob), conf->node, &try_glob);
        try_out(connection, command, buffer_bytes(&glob), conf->node, &leave_glob);
    }
    buffer_free(&glob);
}

void redis_greeting_send(struct redis_connection *connection, struct redis_command *scratch,
                         const struct redis_conf *conf) {
    if (conf->address->user || conf->address->password)
        say_password(connection, scratch, conf->address);
    say_name_and_database(connection, scratch, conf);
    ask(connection, scratch, "server", &ask_server);
    ask(connection, scratch, "replication", &ask_role);
    if (connection->subscriber) {
        try_out_subscribing(connection, scratch, conf);
    } else {
        ask(connection, scratch, "memory", &ask_memory);
        redis_greeting_load_scripts(connection, scratch, (void *)&load);
    }
}

bool redis_greeting_take(void *what, const redisReply *reply, struct redis_server *server, char *why, size_t size) {
    const struct step *step = what;
    if (reply->type != REDIS_REPLY_ERROR) {
        snprintf(why, size, "what is there does not talk like Redis (its answer to %s)", step->command);
        return !step->check || step->check(reply, server, why, size);
    }
    if (step->optional && strncmp(reply->str, "NOPERM", 6) == 0)
        return true;
    redis_error_explain(why, size, step->command, reply->str);
    return false;
}

bool redis_glob_of_prefix(struct buffer *glob, const char *prefix) {
    bool right = true;
    for (; right && *prefix; prefix++) {
        if (strchr("*?[]^-\\", *prefix))
            right = buffer_append(glob, "\\", 1);
        right = right && buffer_append(glob, prefix, 1);
    }
    return right;
}
