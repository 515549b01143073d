/* The operators' HTTP server: connections and their bounds, who may ask, and what is answered where. */
#include "admin.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/http.h>
#include <event2/listener.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "address.h"
#include "admin_api.h"
#include "secret_file.h"
#include "stompd/base/clock.h"
#include "stompd/base/list.h"
#include "stompd/base/log.h"

#define BACKLOG 64

/* How often connections are looked at whose time may be over; also the wait after descriptors ran out. */
#define SWEEP_S 1

/* A client that sends or takes nothing for so long is given up. */
#define SILENCE_S 10

#define TEXT "text/plain; charset=utf-8"
#define JSON "application/json"

struct admin {
    struct admin_conf conf;
    char *token; /* NULL: nobody needs one */
    struct evhttp *http;
    struct evconnlistener *listener; /* http's; NULL: not yet, or not any more */
    struct event *accepted;          /* made active when there are new connections */
    struct event *sweep;
    struct admin_api *api;
    struct list_node connections; /* oldest first */
    unsigned connection_count;
    double started_s;
};

struct admin_connection {
    struct list_node node;
    struct admin *admin;
    struct bufferevent *fresh; /* one reference, until evhttp's own connection is known */
    struct evhttp_connection *http;
    uint64_t until_ms;
    bool asked;                     /* it has sent a request */
    struct evhttp_request *request; /* that waits for the store */
    struct api_call *call;
};

/* ---- connections ---- */

static void accept_more(struct admin *admin, bool more) {
    if (!admin->listener)
        return;
    if (more)
        evconnlistener_enable(admin->listener);
    else
        evconnlistener_disable(admin->listener);
}

static struct admin_connection *connection_new(struct admin *admin) {
    struct admin_connection *connection = calloc(1, sizeof *connection);
    if (!connection)
        return NULL;
    connection->admin = admin;
    connection->until_ms = clock_ms() + admin->conf.connection_ms;
    list_append(&admin->connections, &connection->node);
    if (++admin->connection_count >= ADMIN_CONNECTIONS_MAX)
        accept_more(admin, false);
    return connection;
}

static void connection_free(struct admin_connection *connection) {
    struct admin *admin = connection->admin;
    if (connection->call)
        api_call_drop(connection->call);
    if (connection->fresh)
        bufferevent_decref(connection->fresh);
    list_remove(&connection->node);
    free(connection);
    if (admin->connection_count-- == ADMIN_CONNECTIONS_MAX)
        accept_more(admin, true);
}

/*
 * evhttp 2.1 bounds neither the number of its connections nor their age, and tells of a new one only by asking for its
 * bufferevent. So that is noted, and once evhttp has set the connection up, it is found as the argument of the
 * bufferevent's callbacks.
 */
static struct bufferevent *on_accept(struct event_base *base, void *arg) {
    struct admin *admin = arg;
    struct bufferevent *events = bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);
    struct admin_connection *connection = events ? connection_new(admin) : NULL;
    if (!connection)
        return events; /* noted with its first request, at the latest */
    bufferevent_incref(events);
    connection->fresh = events;
    event_active(admin->accepted, EV_TIMEOUT, 0);
    return events;
}

/* A request that evhttp has let go of, since its client went, is ours to free; else it goes with the connection. */
static void on_close(struct evhttp_connection *http, void *arg) {
    struct admin_connection *connection = arg;
    (void)http;
    if (connection->request && !evhttp_request_get_connection(connection->request))
        evhttp_request_free(connection->request);
    connection_free(connection);
}

static void watch(struct admin_connection *connection, struct evhttp_connection *http) {
    connection->http = http;
    evhttp_connection_set_closecb(http, on_close, connection);
}

/* Clients that connect and say nothing must not keep others out. The newest one has its chance to speak. */
static void make_room(struct admin *admin) {
    LIST_FOR_EACH (node, &admin->connections) {
        struct admin_connection *connection = CONTAINER_OF(node, struct admin_connection, node);
        bool newest = node->next == &admin->connections;
        if (admin->connection_count < ADMIN_CONNECTIONS_MAX)
            return;
        if (connection->http && !connection->asked && !newest)
            evhttp_connection_free(connection->http);
    }
}

/* Still within the turn of the loop that accepted them. One that evhttp has failed to set up goes with the sweep. */
static void on_accepted(evutil_socket_t fd, short what, void *arg) {
    struct admin *admin = arg;
    (void)fd;
    (void)what;
    LIST_FOR_EACH (node, &admin->connections) {
        struct admin_connection *connection = CONTAINER_OF(node, struct admin_connection, node);
        void *http = NULL;
        if (!connection->fresh)
            continue;
        bufferevent_getcb(connection->fresh, NULL, NULL, NULL, &http);
        if (http)
            watch(connection, http);
        bufferevent_decref(connection->fresh);
        connection->fresh = NULL;
    }
    make_room(admin);
}

/* NULL when out of memory. */
static struct admin_connection *connection_of(struct admin *admin, struct evhttp_connection *http) {
    LIST_FOR_EACH (node, &admin->connections) {
        struct admin_connection *connection = CONTAINER_OF(node, struct admin_connection, node);
        if (connection->http == http)
            return connection;
    }
    struct admin_connection *connection = connection_new(admin);
    if (connection)
        watch(connection, http);
    return connection;
}

static void on_sweep(evutil_socket_t fd, short what, void *arg) {
    struct admin *admin = arg;
    uint64_t now_ms = clock_ms();
    (void)fd;
    (void)what;
    LIST_FOR_EACH (node, &admin->connections) {
        struct admin_connection *connection = CONTAINER_OF(node, struct admin_connection, node);
        if (!connection->http && !connection->fresh)
            connection_free(connection);
        else if (connection->http && connection->until_ms <= now_ms)
            evhttp_connection_free(connection->http);
    }
    if (admin->connection_count < ADMIN_CONNECTIONS_MAX)
        accept_more(admin, true);
}

/* Descriptors have run out: the sweep tries again. */
static void on_accept_error(struct evconnlistener *listener, void *arg) {
    static struct log_limit limit;
    (void)arg;
    log_limited(&limit, LOG_LEVEL_WARNING, "admin: accept: %s", strerror(errno));
    evconnlistener_disable(listener);
}

/* ---- answers ---- */

static void add_header(struct evhttp_request *request, const char *name, const char *value) {
    evhttp_add_header(evhttp_request_get_output_headers(request), name, value);
}

/* With what is in the request's output buffer as body. Ends the connection. */
static void send_reply(struct evhttp_request *request, int status, const char *content_type) {
    struct evbuffer *body = evhttp_request_get_output_buffer(request);
    char len[32];
    snprintf(len, sizeof len, "%zu", evbuffer_get_length(body));
    add_header(request, "Content-Type", content_type);
    add_header(request, "Content-Length", len);
    add_header(request, "Cache-Control", "no-store");
    add_header(request, "X-Content-Type-Options", "nosniff");
    add_header(request, "Connection", "close");
    if (evhttp_request_get_command(request) == EVHTTP_REQ_HEAD)
        evbuffer_drain(body, evbuffer_get_length(body));
    evhttp_send_reply(request, status, NULL, NULL);
}

static void reply_text(struct evhttp_request *request, int status, const char *text) {
    evbuffer_add_printf(evhttp_request_get_output_buffer(request), "%s\n", text);
    send_reply(request, status, TEXT);
}

static void reply_no_memory(struct evhttp_request *request) {
    struct evbuffer *body = evhttp_request_get_output_buffer(request);
    evbuffer_drain(body, evbuffer_get_length(body));
    reply_text(request, HTTP_SERVUNAVAIL, "out of memory");
}

static struct node_state look(const struct admin *admin) {
    struct node_state state = {0};
    admin->conf.look(admin->conf.arg, &state);
    return state;
}

static void answer_healthz(struct admin *admin, struct evhttp_request *request) {
    struct node_state state = look(admin);
    reply_text(request, state.draining ? HTTP_SERVUNAVAIL : HTTP_OK, state.draining ? "draining" : "ok");
}

static void answer_metrics(struct admin *admin, struct evhttp_request *request) {
    struct node_state state = look(admin);
    struct metrics metrics = {.node = admin->conf.node,
                              .boot = admin->conf.boot,
                              .started_s = admin->started_s,
                              .workers = admin->conf.workers,
                              .worker_count = admin->conf.worker_count,
                              .hub_lag = admin->conf.lag,
                              .state = &state,
                              .now_ms = clock_ms()};
    if (metrics_write(evhttp_request_get_output_buffer(request), &metrics))
        send_reply(request, HTTP_OK, METRICS_CONTENT_TYPE);
    else
        reply_no_memory(request);
}

static void answer_index(struct admin *admin, struct evhttp_request *request) {
    (void)admin;
    reply_text(request, HTTP_OK, "/healthz\n/readyz\n/metrics\n/api/v1/nodes\n/api/v1/users\n/api/v1/users/NAME");
}

/* ---- /api/v1 ---- */

static int append_json(const char *text, size_t len, void *body) {
    return evbuffer_add(body, text, len);
}

static void on_api_reply(void *arg, int status, json_t *json) {
    struct admin_connection *connection = arg;
    struct evhttp_request *request = connection->request;
    struct evbuffer *body = evhttp_request_get_output_buffer(request);
    connection->request = NULL;
    connection->call = NULL;
    bool written =
        json && json_dump_callback(json, append_json, body, JSON_INDENT(2)) == 0 && evbuffer_add(body, "\n", 1) == 0;
    json_decref(json);
    if (written)
        send_reply(request, status, JSON);
    else
        reply_no_memory(request);
}

static void answer_api(struct admin_connection *connection, struct evhttp_request *request, const char *path,
                       const char *query) {
    struct api_reply reply = {.done = on_api_reply, .arg = connection};
    connection->request = request;
    struct api_call *call = admin_api_request(connection->admin->api, path, query, reply);
    if (call) /* else the connection may be gone */
        connection->call = call;
}

/* ---- requests ---- */

/* Takes equally long wherever the two differ. */
static bool is_token(const char *token, const char *presented) {
    size_t token_len = strlen(token);
    size_t len = strlen(presented);
    unsigned difference = token_len != len;
    for (size_t n = 0; n < len; n++)
        difference |= (unsigned char)presented[n] ^ (unsigned char)token[n % token_len];
    return difference == 0;
}

static bool may_ask(const struct admin *admin, struct evhttp_request *request) {
    static const char scheme[] = "Bearer ";
    const char *presented = evhttp_find_header(evhttp_request_get_input_headers(request), "Authorization");
    if (!admin->token)
        return true;
    return presented && strncasecmp(presented, scheme, strlen(scheme)) == 0 &&
           is_token(admin->token, presented + strlen(scheme));
}

/* The reasons name Redis and what it says: they are for those who have the token. */
static void answer_readyz(struct admin *admin, struct evhttp_request *request) {
    struct node_state state = look(admin);
    bool told = may_ask(admin, request);
    if (node_state_is_ready(&state, told ? evhttp_request_get_output_buffer(request) : NULL))
        reply_text(request, HTTP_OK, "ready");
    else if (told)
        send_reply(request, HTTP_SERVUNAVAIL, TEXT);
    else
        reply_text(request, HTTP_SERVUNAVAIL, "not ready");
}

/*
 * Where no token is asked for, a page in a browser on this machine must not get in by a name of its own that leads to a
 * loopback address (DNS rebinding). The browser says the name in Host.
 */
static bool is_for_us(const struct admin *admin, struct evhttp_request *request) {
    const char *host = evhttp_find_header(evhttp_request_get_input_headers(request), "Host");
    return admin->token || !host || address_is_without_lookup(host);
}

static bool is_allowed(struct evhttp_request *request) {
    enum evhttp_cmd_type method = evhttp_request_get_command(request);
    return method == EVHTTP_REQ_GET || method == EVHTTP_REQ_HEAD;
}

struct place {
    const char *path;
    bool open; /* needs no token */
    void (*answer)(struct admin *admin, struct evhttp_request *request);
};

static const struct place *find_place(const char *path) {
    static const struct place places[] = {{"/healthz", true, answer_healthz},
                                          {"/readyz", true, answer_readyz},
                                          {"/metrics", false, answer_metrics},
                                          {"/", false, answer_index}};
    for (size_t n = 0; n < sizeof places / sizeof places[0]; n++)
        if (strcmp(places[n].path, path) == 0)
            return &places[n];
    return NULL;
}

static void answer(struct admin_connection *connection, struct evhttp_request *request, const char *path,
                   const char *query) {
    static const char api[] = "/api/v1/";
    struct admin *admin = connection->admin;
    const struct place *place = find_place(path);
    if ((!place || !place->open) && !may_ask(admin, request)) {
        add_header(request, "WWW-Authenticate", "Bearer realm=\"stompd\"");
        reply_text(request, 401, "this needs the header Authorization: Bearer TOKEN, with the token of token-file");
    } else if (place) {
        place->answer(admin, request);
    } else if (strncmp(path, api, strlen(api)) == 0) {
        answer_api(connection, request, path + strlen(api), query);
    } else {
        reply_text(request, HTTP_NOTFOUND, "not found; / lists what there is");
    }
}

static void on_request(struct evhttp_request *request, void *arg) {
    const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(request);
    const char *path = uri ? evhttp_uri_get_path(uri) : NULL;
    struct admin_connection *connection = connection_of(arg, evhttp_request_get_connection(request));
    if (!connection) {
        reply_no_memory(request);
        return;
    }
    connection->asked = true;
    if (!is_for_us(connection->admin, request)) {
        reply_text(request, 403, "without a token-file this answers only at localhost or a numeric address: see Host");
    } else if (!is_allowed(request)) {
        add_header(request, "Allow", "GET, HEAD");
        reply_text(request, HTTP_BADMETHOD, "only GET and HEAD are possible here");
    } else if (!path) {
        reply_text(request, HTTP_BADREQUEST, "there is no path in the request");
    } else {
        answer(connection, request, path, evhttp_uri_get_query(uri));
    }
}

/* ---- life ---- */

/* What clients can make libevent say goes where all else goes, and is limited. */
static void on_libevent_log(int severity, const char *text) {
    static struct log_limit limit;
    log_limited(&limit, severity >= EVENT_LOG_WARN ? LOG_LEVEL_WARNING : LOG_LEVEL_DEBUG, "libevent: %s", text);
}

static bool is_loopback(const char *bind) {
    struct sockaddr_storage address;
    socklen_t len;
    return address_parse(bind, &address, &len) && address_is_loopback(&address);
}

bool admin_reload(struct admin *admin, const char *token_file) {
    const char *why;
    char *token = NULL;
    if (!token_file && !is_loopback(admin->conf.bind)) {
        log_error("admin: %s is no loopback address and needs a token-file", admin->conf.bind);
        return false;
    }
    if (token_file && !(token = secret_file_read(token_file, &why))) {
        log_error("admin: token-file = %s, expected %s", token_file, why);
        return false;
    }
    secret_free(admin->token);
    admin->token = token;
    return true;
}

static struct evconnlistener *bind_and_listen(const struct admin_conf *conf) {
    const unsigned flags = LEV_OPT_REUSEABLE | LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC;
    struct sockaddr_storage address;
    socklen_t len;
    if (!address_parse(conf->bind, &address, &len)) {
        errno = EINVAL;
        return NULL;
    }
    struct evconnlistener *listener =
        evconnlistener_new_bind(conf->base, NULL, NULL, flags, BACKLOG, (struct sockaddr *)&address, (int)len);
    /* A machine without IPv6 has only the other half of `*`. */
    if (listener || strncmp(conf->bind, "*:", 2) != 0 || errno != EAFNOSUPPORT)
        return listener;
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = ((struct sockaddr_in6 *)&address)->sin6_port};
    return evconnlistener_new_bind(conf->base, NULL, NULL, flags, BACKLOG, (struct sockaddr *)&any, sizeof any);
}

static bool create_server(struct admin *admin) {
    const unsigned all_methods = UINT16_MAX; /* on_request() refuses better than evhttp */
    admin->http = evhttp_new(admin->conf.base);
    if (!admin->http)
        return false;
    evhttp_set_allowed_methods(admin->http, (ev_uint16_t)all_methods);
    evhttp_set_max_headers_size(admin->http, ADMIN_REQUEST_MAX);
    evhttp_set_max_body_size(admin->http, 0);
    evhttp_set_timeout(admin->http, SILENCE_S);
    evhttp_set_bevcb(admin->http, on_accept, admin);
    evhttp_set_gencb(admin->http, on_request, admin);
    struct evconnlistener *listener = bind_and_listen(&admin->conf);
    if (!listener || !evhttp_bind_listener(admin->http, listener)) {
        log_error("admin: %s: %s", admin->conf.bind, strerror(errno));
        if (listener)
            evconnlistener_free(listener);
        return false;
    }
    admin->listener = listener;
    evconnlistener_set_error_cb(listener, on_accept_error);
    return true;
}

static bool create_parts(struct admin *admin) {
    struct timeval second = {SWEEP_S, 0};
    struct admin_api_conf api = {.node = admin->conf.node,
                                 .boot = admin->conf.boot,
                                 .cluster = admin->conf.cluster,
                                 .registry = admin->conf.registry,
                                 .store = admin->conf.store,
                                 .now_ms = clock_ms};
    admin->api = admin_api_new(&api);
    admin->accepted = event_new(admin->conf.base, -1, 0, on_accepted, admin);
    admin->sweep = event_new(admin->conf.base, -1, EV_PERSIST, on_sweep, admin);
    return admin->api && admin->accepted && admin->sweep && event_add(admin->sweep, &second) == 0 &&
           admin_reload(admin, admin->conf.token_file) && create_server(admin);
}

struct admin *admin_new(const struct admin_conf *conf) {
    struct admin *admin = calloc(1, sizeof *admin);
    if (!admin)
        return NULL;
    event_set_log_callback(on_libevent_log);
    admin->conf = *conf;
    admin->started_s = (double)time(NULL);
    list_init(&admin->connections);
    if (create_parts(admin)) {
        log_notice("admin: at %s%s", conf->bind, admin->token ? ", with a token" : "");
        return admin;
    }
    admin_free(admin);
    return NULL;
}

void admin_free(struct admin *admin) {
    if (!admin)
        return;
    admin->listener = NULL; /* the first to go */
    if (admin->http)
        evhttp_free(admin->http);
    admin_api_free(admin->api);
    if (admin->accepted)
        event_free(admin->accepted);
    if (admin->sweep)
        event_free(admin->sweep);
    secret_free(admin->token);
    free(admin);
}
