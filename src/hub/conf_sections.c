/*
 * [listen NAME] sections become elements of the conf's listeners, [user NAME] sections its users, [destination PATTERN]
 * sections its policies; [cluster] and [admin] say by being there that the node has such a thing.
 */
#include "conf_sections.h"

#include <stdlib.h>
#include <string.h>

#include "address.h"
#include "conf_reader.h"
#include "conf_types.h"
#include "secret_file.h"
#include "stompd/base/utf8.h"

#define USER_NAME_MAX 255

static void listener_free(struct listener_conf *listener) {
    free(listener->name);
    free(listener->bind);
    conf_list_free(listener->paths, listener->path_count);
    conf_list_free(listener->origins, listener->origin_count);
    conf_list_free(listener->trusted_proxies, listener->trusted_proxy_count);
    free(listener->files);
    free(listener->tls_certificate);
    free(listener->tls_key);
}

void listeners_free(struct listener_conf *listeners, size_t count) {
    for (size_t i = 0; i < count; i++)
        listener_free(&listeners[i]);
    free(listeners);
}

void *listen_begin(struct conf_reader *reader, const char *name) {
    struct conf *conf = reader->conf;
    struct listener_conf *listeners = realloc(conf->listeners, (conf->listener_count + 1) * sizeof *listeners);
    if (!listeners)
        return NULL;
    conf->listeners = listeners;
    char *own_name = strdup(name);
    if (!own_name)
        return NULL;
    struct listener_conf *listener = &listeners[conf->listener_count++];
    *listener = (struct listener_conf){.name = own_name, .line = reader->line};
    return listener;
}

static void check_protocol(struct conf_reader *reader, const struct listener_conf *listener) {
    static const char *const for_ws[] = {"path", "origins", "trusted-proxies", "files", "deflate"};
    if (listener->protocol == LISTENER_WS)
        return;
    for (size_t i = 0; i < sizeof for_ws / sizeof for_ws[0]; i++) {
        unsigned line = conf_key_line(reader, for_ws[i]);
        if (line > 0)
            conf_fault(reader, line, "%s on a listener for plain STOMP, expected it with protocol = ws only",
                       for_ws[i]);
    }
}

static void check_tls(struct conf_reader *reader) {
    unsigned certificate_line = conf_key_line(reader, "tls-certificate");
    unsigned key_line = conf_key_line(reader, "tls-key");
    if (certificate_line > 0 && key_line == 0)
        conf_fault(reader, certificate_line, "tls-certificate without tls-key, expected both or none");
    if (key_line > 0 && certificate_line == 0)
        conf_fault(reader, key_line, "tls-key without tls-certificate, expected both or none");
}

static bool same_address(const char *a, const char *b) {
    struct sockaddr_storage addresses[2];
    socklen_t lens[2];
    return address_parse(a, &addresses[0], &lens[0]) && address_parse(b, &addresses[1], &lens[1]) &&
           memcmp(&addresses[0], &addresses[1], sizeof addresses[0]) == 0;
}

static void check_bind(struct conf_reader *reader, const struct listener_conf *listener) {
    for (const struct listener_conf *other = reader->conf->listeners; listener->bind && other != listener; other++) {
        if (other->bind && same_address(other->bind, listener->bind)) {
            conf_fault(reader, conf_key_line(reader, "bind"),
                       "bind = %s as in [listen %s] of line %u, expected an address for each listener", listener->bind,
                       other->name, other->line);
            return;
        }
    }
}

void listen_end(struct conf_reader *reader, void *target) {
    check_protocol(reader, target);
    check_tls(reader);
    check_bind(reader, target);
}

bool user_name_fits(const char *name) {
    struct bytes bytes = bytes_of(name);
    for (size_t i = 0; i < bytes.len; i++) {
        unsigned char c = (unsigned char)name[i];
        if (c < ' ' || c == 0x7f)
            return false;
    }
    return bytes.len >= 1 && bytes.len <= USER_NAME_MAX && utf8_is_valid(bytes);
}

void *user_begin(struct conf_reader *reader, const char *name) {
    reader->user = (struct user_section){.name = name};
    return &reader->user;
}

void user_end(struct conf_reader *reader, void *target) {
    struct user_section *user = target;
    struct users *users = &reader->conf->users;
    const char *why;
    /* A name that exists was told where the section begins. */
    bool is_new = !users_find(users, bytes_of(user->name));
    if (user->password && is_new && !users_add(users, bytes_of(user->name), bytes_of(user->password), &why))
        conf_fault(reader, conf_key_line(reader, "password"), "password can't be used, expected %s", why);
    free(user->password);
}

void *destination_begin(struct conf_reader *reader, const char *name) {
    struct policy *policy = policies_add(&reader->conf->policies, name);
    if (!policy)
        return NULL;
    policy->line = reader->line;
    return policy;
}

/* The table has one default for a key: under /app/ some are others. */
static void set_defaults_of_app(struct conf_reader *reader, struct policy *policy) {
    static const struct policies none;
    if (conf_key_line(reader, "max-age") == 0)
        policy->queue.max_age_ms = policies_find(&none, bytes_of(policy->pattern))->queue.max_age_ms;
}

void destination_end(struct conf_reader *reader, void *target) {
    struct policy *policy = target;
    unsigned line = conf_key_line(reader, "app-consumers");
    if (policy_is_of_app(bytes_of(policy->pattern)))
        set_defaults_of_app(reader, policy);
    else if (line > 0)
        conf_fault(reader, line, "app-consumers with a pattern that is not under /app/, expected it there only");
}

void *cluster_begin(struct conf_reader *reader, const char *name) {
    (void)name;
    return &reader->conf->cluster;
}

void cluster_end(struct conf_reader *reader, void *target) {
    const struct cluster_settings *cluster = target;
    unsigned line = conf_key_line(reader, "password-file");
    const char *why;
    if (!cluster->redis || !cluster->password_file)
        return;
    if (cluster->redis->password)
        conf_fault(reader, line, "password-file beside a password in redis (line %u), expected one of them",
                   conf_key_line(reader, "redis"));
    else if (!(cluster->redis->password = secret_file_read(cluster->password_file, &why)))
        conf_fault(reader, line, "password-file = %s, expected %s", cluster->password_file, why);
}

void *admin_begin(struct conf_reader *reader, const char *name) {
    (void)name;
    return &reader->conf->admin;
}

static void check_token(struct conf_reader *reader, const struct admin_settings *admin) {
    struct sockaddr_storage address;
    socklen_t len;
    const char *why;
    if (admin->token_file) {
        char *token = secret_file_read(admin->token_file, &why);
        if (!token)
            conf_fault(reader, conf_key_line(reader, "token-file"), "token-file = %s, expected %s", admin->token_file,
                       why);
        secret_free(token);
    } else if (admin->bind && address_parse(admin->bind, &address, &len) && !address_is_loopback(&address))
        conf_fault(reader, conf_key_line(reader, "bind"),
                   "bind = %s without token-file, expected a loopback address or a token-file", admin->bind);
}

void admin_end(struct conf_reader *reader, void *target) {
    reader->admin_bind_line = conf_key_line(reader, "bind");
    check_token(reader, target);
}

void admin_check_bind(struct conf_reader *reader) {
    const struct conf *conf = reader->conf;
    for (size_t i = 0; conf->admin.bind && i < conf->listener_count; i++) {
        const struct listener_conf *listener = &conf->listeners[i];
        if (listener->bind && same_address(conf->admin.bind, listener->bind))
            conf_fault(reader, reader->admin_bind_line,
                       "bind = %s as in [listen %s] of line %u, expected an address of its own", conf->admin.bind,
                       listener->name, listener->line);
    }
}
