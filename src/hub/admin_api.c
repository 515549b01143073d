/* The answers of /api/v1; see admin_api.h. */
#include "admin_api.h"

#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "boot.h"
#include "stompd/base/buffer.h"
#include "stompd/base/list.h"
#include "stompd/base/utf8.h"

struct admin_api {
    struct admin_api_conf conf;
    struct list_node calls;
    unsigned call_count;
};

/* A question to the store. */
struct api_call {
    struct list_node node;
    struct admin_api *api;
    struct api_reply reply; /* done is NULL: nobody waits */
    unsigned limit;         /* of a page of users */
    size_t name_len;
    char name[]; /* the user, or the one after whom the page begins */
};

static struct bytes call_name(const struct api_call *call) {
    return (struct bytes){call->name, call->name_len};
}

/* ---- JSON ---- */

/* Puts a value that is taken over into an object. False when it, or memory, is missing. */
static bool set(json_t *object, const char *key, json_t *value) {
    return json_object_set_new(object, key, value) == 0;
}

static bool escape(struct buffer *to, struct bytes text) {
    for (size_t n = 0; n < text.len; n++) {
        unsigned char c = (unsigned char)text.data[n];
        char escaped[sizeof "\\xFF"];
        int len = c < 0x80 && c != '\\' ? snprintf(escaped, sizeof escaped, "%c", c)
                                        : snprintf(escaped, sizeof escaped, "\\x%02x", c);
        if (!buffer_append(to, escaped, (size_t)len))
            return false;
    }
    return true;
}

/* Names come from Redis too, where anyone may have written them: what is not UTF-8 is shown escaped. */
static json_t *json_text(struct bytes text) {
    struct buffer escaped = {0};
    if (utf8_is_valid(text))
        return json_stringn(text.data ? text.data : "", text.len);
    json_t *json = escape(&escaped, text) ? json_stringn(escaped.data, escaped.len) : NULL;
    buffer_free(&escaped);
    return json;
}

json_t *api_error(const char *text) {
    json_t *body = json_object();
    if (body && set(body, "error", json_string(text)))
        return body;
    json_decref(body);
    return NULL;
}

static void refuse(struct api_reply reply, int status, const char *why) {
    reply.done(reply.arg, status, api_error(why));
}

/* ---- nodes ---- */

struct node_list {
    json_t *array;
    bool stale;
    bool failed;
};

static void add_node(void *arg, const struct member *member) {
    struct node_list *list = arg;
    json_t *node = json_object();
    if (!node || !set(node, "node", json_text(member->node)) || !set(node, "boot", json_text(member->boot)) ||
        !set(node, "state", json_string(member->alive ? "alive" : "dead")) ||
        !set(node, "self", json_boolean(member->self)) ||
        !set(node, "silent_ms", json_integer((json_int_t)member->silent_ms)) ||
        !set(node, "stale", json_boolean(list->stale && !member->self)) || json_array_append(list->array, node) != 0)
        list->failed = true;
    json_decref(node);
}

static void answer_nodes(struct admin_api *api, struct api_reply reply) {
    const struct cluster *cluster = api->conf.cluster;
    struct node_list list = {.array = json_array(), .stale = cluster && cluster_state(cluster) == CLUSTER_AWAY};
    struct member self = {
        .node = bytes_of(api->conf.node), .boot = bytes_of(api->conf.boot), .alive = true, .self = true};
    if (!list.array)
        list.failed = true;
    else if (cluster)
        membership_each(cluster_membership(cluster), api->conf.now_ms(), add_node, &list);
    else
        add_node(&list, &self);
    if (list.failed) {
        json_decref(list.array);
        list.array = NULL;
    }
    reply.done(reply.arg, 200, list.array);
}

/* ---- a page of users ---- */

struct user_page {
    json_t *users;
    unsigned count;
    struct buffer last; /* the name of the last one */
    bool failed;
};

static void add_user(void *arg, const struct store_user *user) {
    struct user_page *page = arg;
    json_t *entry = json_object();
    page->last.len = 0;
    if (!entry || !set(entry, "user", json_text(user->name)) ||
        !set(entry, "sessions", json_integer((json_int_t)user->sessions)) ||
        json_array_append(page->users, entry) != 0 || !buffer_append(&page->last, user->name.data, user->name.len))
        page->failed = true;
    json_decref(entry);
    page->count++;
}

/* Where the next page is; JSON's null when this one was the last. */
static json_t *next_page(const struct user_page *page, unsigned limit) {
    if (page->count < limit)
        return json_null();
    char *after = evhttp_uriencode(page->last.data, (ev_ssize_t)page->last.len, 0);
    json_t *next = after ? json_sprintf("/api/v1/users?after=%s&limit=%u", after, limit) : NULL;
    free(after);
    return next;
}

/* Takes the page over. NULL when out of memory. */
static json_t *page_body(struct user_page *page, unsigned limit, bool stale) {
    json_t *body = page->failed ? NULL : json_object();
    if (body && (!set(body, "users", json_incref(page->users)) || !set(body, "next", next_page(page, limit)) ||
                 !set(body, "stale", json_boolean(stale)))) {
        json_decref(body);
        body = NULL;
    }
    json_decref(page->users);
    buffer_free(&page->last);
    return body;
}

/* From what is known here. */
static json_t *own_users(const struct admin_api *api, struct bytes after, unsigned limit, bool stale) {
    struct user_page page = {.users = json_array()};
    if (!page.users || !registry_users_page(api->conf.registry, after, limit, add_user, &page))
        page.failed = true;
    return page_body(&page, limit, stale);
}

static json_t *stored_users(const struct store_answer *answer, unsigned limit) {
    struct user_page page = {.users = json_array()};
    page.failed = !page.users;
    for (size_t n = 0; n < answer->user_count && !page.failed; n++)
        add_user(&page, &answer->users[n]);
    return page_body(&page, limit, false);
}

/* ---- one user ---- */

struct user_sessions {
    json_t *sessions;
    json_t *nodes; /* sessions by node */
    size_t count;
    bool failed;
};

static bool count_at_node(struct user_sessions *sessions, struct bytes node) {
    json_t *name = json_text(node);
    const char *key = name ? json_string_value(name) : NULL;
    json_int_t before = key ? json_integer_value(json_object_get(sessions->nodes, key)) : 0;
    bool counted = key && set(sessions->nodes, key, json_integer(before + 1));
    json_decref(name);
    return counted;
}

static bool list_session(struct user_sessions *sessions, struct bytes id, struct bytes node) {
    json_t *entry = json_object();
    bool listed = entry && set(entry, "id", json_text(id)) &&
                  set(entry, "node", node.len > 0 ? json_text(node) : json_null()) &&
                  json_array_append(sessions->sessions, entry) == 0;
    json_decref(entry);
    return listed;
}

/* An id that does not begin with a node is none of ours, and is shown without one. */
static void add_session(void *arg, struct bytes id) {
    struct user_sessions *sessions = arg;
    struct bytes node = boot_node(id);
    if (sessions->failed)
        return;
    if ((node.len > 0 && !count_at_node(sessions, node)) ||
        (sessions->count < API_SESSIONS_MAX && !list_session(sessions, id, node)))
        sessions->failed = true;
    sessions->count++;
}

static struct user_sessions no_sessions(void) {
    struct user_sessions sessions = {.sessions = json_array(), .nodes = json_object()};
    sessions.failed = !sessions.sessions || !sessions.nodes;
    return sessions;
}

/* Takes the sessions over. NULL when out of memory. */
static json_t *user_body(struct user_sessions *sessions, struct bytes user, bool stale) {
    json_t *body = sessions->failed ? NULL : json_object();
    if (body && (!set(body, "user", json_text(user)) || !set(body, "online", json_boolean(sessions->count > 0)) ||
                 !set(body, "session_count", json_integer((json_int_t)sessions->count)) ||
                 !set(body, "nodes", json_incref(sessions->nodes)) ||
                 !set(body, "sessions", json_incref(sessions->sessions)) || !set(body, "stale", json_boolean(stale)))) {
        json_decref(body);
        body = NULL;
    }
    json_decref(sessions->sessions);
    json_decref(sessions->nodes);
    return body;
}

/* From what is known here. */
static json_t *own_user(const struct admin_api *api, struct bytes user, bool stale) {
    struct user_sessions sessions = no_sessions();
    registry_user_sessions(api->conf.registry, user, add_session, &sessions);
    return user_body(&sessions, user, stale);
}

static json_t *stored_user(const struct store_answer *answer, struct bytes user) {
    struct user_sessions sessions = no_sessions();
    for (size_t n = 0; n < answer->session_count; n++)
        add_session(&sessions, answer->sessions[n].id);
    return user_body(&sessions, user, false);
}

/* ---- calls ---- */

/* NULL: the reply has been given, since there are too many or memory is out. */
static struct api_call *call_new(struct admin_api *api, struct bytes name, struct api_reply reply) {
    if (api->call_count >= API_CALLS_MAX) {
        refuse(reply, 503, "too many requests wait for Redis");
        return NULL;
    }
    struct api_call *call = calloc(1, sizeof *call + name.len);
    if (!call) {
        reply.done(reply.arg, 200, NULL);
        return NULL;
    }
    call->api = api;
    call->reply = reply;
    call->name_len = name.len;
    if (name.len > 0)
        memcpy(call->name, name.data, name.len);
    list_append(&api->calls, &call->node);
    api->call_count++;
    return call;
}

static void call_free(struct api_call *call) {
    list_remove(&call->node);
    call->api->call_count--;
    free(call);
}

void api_call_drop(struct api_call *call) {
    call->reply.done = NULL;
}

static void on_users(void *arg, const struct store_answer *answer) {
    struct api_call *call = arg;
    struct api_reply reply = call->reply;
    json_t *body = NULL;
    if (reply.done)
        body = answer->result == STORE_OK ? stored_users(answer, call->limit)
                                          : own_users(call->api, call_name(call), call->limit, true);
    call_free(call);
    if (reply.done)
        reply.done(reply.arg, 200, body);
}

static void on_user_sessions(void *arg, const struct store_answer *answer) {
    struct api_call *call = arg;
    struct api_reply reply = call->reply;
    json_t *body = NULL;
    if (reply.done)
        body = answer->result == STORE_OK ? stored_user(answer, call_name(call))
                                          : own_user(call->api, call_name(call), true);
    call_free(call);
    if (reply.done)
        reply.done(reply.arg, 200, body);
}

static struct api_call *ask_users(struct admin_api *api, struct bytes after, unsigned limit, struct api_reply reply) {
    struct store *store = api->conf.store;
    if (!store) {
        reply.done(reply.arg, 200, own_users(api, after, limit, false));
        return NULL;
    }
    struct api_call *call = call_new(api, after, reply);
    if (call) {
        call->limit = limit;
        store->ops->users(store, call_name(call), limit, (struct store_call){on_users, call});
    }
    return call;
}

static struct api_call *ask_user(struct admin_api *api, struct bytes user, struct api_reply reply) {
    struct store *store = api->conf.store;
    if (!store) {
        reply.done(reply.arg, 200, own_user(api, user, false));
        return NULL;
    }
    struct api_call *call = call_new(api, user, reply);
    if (call)
        store->ops->user_sessions(store, call_name(call), (struct store_call){on_user_sessions, call});
    return call;
}

/* ---- requests ---- */

static bool read_limit(const char *text, unsigned *limit) {
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 4 || text[digits] != '\0')
        return false;
    *limit = (unsigned)strtoul(text, NULL, 10);
    return *limit >= 1 && *limit <= STORE_USERS_MAX;
}

_Static_assert(STORE_USERS_MAX == 1000, "the sentence below says so");

/* NULL: they are good. Else what is wrong. `after` borrows from the parameters. */
static const char *read_parameters(const struct evkeyvalq *parameters, const char **after, unsigned *limit) {
    *after = "";
    *limit = API_USERS_DEFAULT;
    const struct evkeyval *parameter;
    TAILQ_FOREACH(parameter, parameters, next) {
        if (strcmp(parameter->key, "after") == 0)
            *after = parameter->value;
        else if (strcmp(parameter->key, "limit") != 0)
            return "only the parameters after and limit are known here";
        else if (!read_limit(parameter->value, limit))
            return "limit must be a number from 1 to 1000";
    }
    return NULL;
}

static struct api_call *request_users(struct admin_api *api, const char *query, struct api_reply reply) {
    struct evkeyvalq parameters;
    const char *after;
    unsigned limit;
    struct api_call *call = NULL;
    TAILQ_INIT(&parameters);
    if (query && query[0] != '\0' && evhttp_parse_query_str(query, &parameters) != 0) {
        refuse(reply, 400, "what follows on ? must be NAME=VALUE&NAME=VALUE");
        return NULL;
    }
    const char *fault = read_parameters(&parameters, &after, &limit);
    if (fault)
        refuse(reply, 400, fault);
    else
        call = ask_users(api, bytes_of(after), limit, reply);
    evhttp_clear_headers(&parameters);
    return call;
}

static struct api_call *request_user(struct admin_api *api, const char *encoded, struct api_reply reply) {
    size_t len;
    char *name = evhttp_uridecode(encoded, 0, &len);
    struct api_call *call = NULL;
    if (name)
        call = ask_user(api, (struct bytes){name, len}, reply);
    else
        reply.done(reply.arg, 200, NULL);
    free(name);
    return call;
}

struct api_call *admin_api_request(struct admin_api *api, const char *path, const char *query, struct api_reply reply) {
    static const char user[] = "users/";
    const char *name = strncmp(path, user, strlen(user)) == 0 ? path + strlen(user) : NULL;
    if (strcmp(path, "users") == 0)
        return request_users(api, query, reply);
    if (name && name[0] != '\0' && !strchr(name, '/'))
        return request_user(api, name, reply);
    if (strcmp(path, "nodes") == 0)
        answer_nodes(api, reply);
    else
        refuse(reply, 404, "there are nodes, users and users/NAME (percent-encoded)");
    return NULL;
}

/* ---- life ---- */

struct admin_api *admin_api_new(const struct admin_api_conf *conf) {
    struct admin_api *api = calloc(1, sizeof *api);
    if (!api)
        return NULL;
    api->conf = *conf;
    list_init(&api->calls);
    return api;
}

void admin_api_free(struct admin_api *api) {
    if (!api)
        return;
    LIST_FOR_EACH (node, &api->calls)
        call_free(CONTAINER_OF(node, struct api_call, node));
    free(api);
}
