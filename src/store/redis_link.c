/* The link: attempts, time-outs, and what is said about them. */
#include "redis_link.h"

#include <arpa/inet.h>
#include <event2/event.h>
#include <event2/util.h>
#include <stdio.h>

#include "stompd/base/clock.h"
#include "stompd/base/log.h"

#define TOO_MUCH_TO_HEAR                                                                                               \
    " (if it still runs, more was published than this node has read: its client-output-buffer-limit pubsub may be "    \
    "too "                                                                                                             \
    "small)"

static void set_timer(struct redis_link *link, uint32_t ms) {
    struct timeval wait = {ms / 1000, (suseconds_t)(ms % 1000) * 1000};
    event_add(link->timer, &wait);
}

/* ---- breaking ---- */

void redis_link_break(struct redis_link *link, const char *why) {
    if (link->ending || link->state == LINK_RESTING)
        return;
    link->ending = true;
    snprintf(link->trouble, sizeof link->trouble, "%s", why);
    redis_connection_stop(&link->speaker);
    redis_connection_stop(&link->hearer);
    event_active(link->end, 0, 0);
}

/* A server that is stopped hangs up too, which can't be told apart. */
static bool may_be_cut_off(const struct redis_connection *connection) {
    const struct redis_link *link = connection->arg;
    return link->state == LINK_UP && connection->subscriber && connection->context->err == REDIS_ERR_EOF;
}

static void on_failed(struct redis_connection *connection, const char *why) {
    struct redis_link *link = connection->arg;
    char text[sizeof link->trouble];
    link->try_next = link->state == LINK_SPEAKER && !connection->connected && link->hosts_tried < link->host_count;
    snprintf(text, sizeof text, "%s: %s%s", connection->connected ? "connection lost" : "cannot connect", why,
             may_be_cut_off(connection) ? TOO_MUCH_TO_HEAR : "");
    redis_link_break(link, text);
}

static void log_trouble(struct redis_link *link) {
    if (strcmp(link->trouble, link->told) == 0)
        return;
    log_error("Redis at %s: %s", link->where, link->trouble);
    memcpy(link->told, link->trouble, sizeof link->told);
}

/* Doubled each time, with up to half of it taken off at random, so that nodes that lost one server don't come at once. */
static void rest(struct redis_link *link) {
    uint64_t most_ms = link->times.retry_min_ms;
    uint32_t random;
    for (unsigned n = 0; n < link->attempts && most_ms < link->times.retry_max_ms; n++)
        most_ms *= 2;
    if (most_ms > link->times.retry_max_ms)
        most_ms = link->times.retry_max_ms;
    evutil_secure_rng_get_bytes(&random, sizeof random);
    link->attempts++;
    set_timer(link, (uint32_t)(most_ms - random % (most_ms / 2 + 1)));
}

/* All that waits is told first, then that the link is down. */
static void tell_down(struct redis_link *link) {
    void *what;
    while (redis_connection_take(&link->speaker, &what))
        link->events->answered(link->arg, what, NULL);
    link->events->down(link->arg);
}

static void close_all(struct redis_link *link) {
    if (link->lookup)
        redis_lookup_cancel(link->lookup);
    link->lookup = NULL;
    redis_connection_close(&link->speaker);
    redis_connection_close(&link->hearer);
}

static void end(struct redis_link *link) {
    bool was_up = link->state == LINK_UP;
    if (was_up)
        link->passing = clock_ms() < link->up_ms + REDIS_LINK_LASTS_MS && strcmp(link->trouble, link->told) == 0;
    link->state = LINK_RESTING;
    link->failures++;
    log_trouble(link);
    rest(link);
    if (was_up)
        tell_down(link);
    redis_connection_free(&link->speaker);
    redis_connection_free(&link->hearer);
}

/* ---- connecting ---- */

static void open_connection(struct redis_link *link, struct redis_connection *connection) {
    const char *host = NULL;
    if (link->host_count > 0)
        host = link->hosts[(link->first_host + link->hosts_tried - 1) % link->host_count];
    redis_connection_open(connection, link->base, host, link->conf->address->port, link->conf->address->path);
}

static void open_speaker(struct redis_link *link) {
    link->state = LINK_SPEAKER;
    link->hosts_tried++;
    open_connection(link, &link->speaker);
}

static void on_end(evutil_socket_t fd, short events, void *arg) {
    struct redis_link *link = arg;
    (void)fd;
    (void)events;
    close_all(link);
    link->ending = false;
    if (link->try_next) {
        link->try_next = false;
        redis_connection_free(&link->speaker);
        open_speaker(link);
    } else {
        end(link);
    }
}

static void on_looked_up(void *arg, const char *const *hosts, size_t count, const char *why) {
    struct redis_link *link = arg;
    char text[sizeof link->trouble];
    link->lookup = NULL;
    for (size_t n = 0; n < count; n++)
        snprintf(link->hosts[n], sizeof link->hosts[n], "%s", hosts[n]);
    link->host_count = count;
    snprintf(text, sizeof text, "cannot look up the name: %s", why);
    if (count > 0)
        open_speaker(link);
    else
        redis_link_break(link, text);
}

static bool is_number(const char *host) {
    struct in_addr ipv4;
    return strchr(host, ':') || inet_pton(AF_INET, host, &ipv4) == 1;
}

static void look_up(struct redis_link *link) {
    link->state = LINK_RESOLVING;
    link->lookup = redis_lookup_new(link->base, link->conf->address->host, on_looked_up, link);
    if (!link->lookup)
        redis_link_break(link, "out of memory");
}

static void attempt(struct redis_link *link) {
    const char *host = link->conf->address->host;
    link->server = link->heard = (struct redis_server){0};
    link->host_count = link->hosts_tried = 0;
    link->first_host = link->attempts;
    set_timer(link, link->times.connect_ms);
    if (host && !is_number(host)) {
        look_up(link);
    } else {
        link->host_count = host ? 1 : 0;
        snprintf(link->hosts[0], sizeof link->hosts[0], "%s", host ? host : "");
        open_speaker(link);
    }
}

static void on_connected(struct redis_connection *connection) {
    struct redis_link *link = connection->arg;
    redis_greeting_send(connection, &link->scratch, link->conf);
}

static void warn_of_eviction(const struct redis_link *link) {
    if (link->server.eviction[0] != '\0')
        log_warning("Redis at %s: with maxmemory-policy %s it may throw the registry of users away when its memory is "
                    "full: set noeviction or volatile-lru",
                    link->where, link->server.eviction);
}

static void be_up(struct redis_link *link) {
    link->state = LINK_UP;
    link->ups++;
    link->up_ms = clock_ms();
    link->trouble[0] = '\0';
    if (!link->passing) {
        log_notice("Redis at %s: connected (%s)", link->where, link->server.version);
        warn_of_eviction(link);
        link->attempts = 0;
    }
    set_timer(link, REDIS_LINK_LASTS_MS);
    link->events->up(link->arg, bytes_of(link->server.run_id));
}

static void on_greeted(struct redis_link *link) {
    if (link->state == LINK_SPEAKER) {
        link->state = LINK_HEARER;
        open_connection(link, &link->hearer);
    } else if (strcmp(link->server.run_id, link->heard.run_id) != 0) {
        redis_link_break(link,
                         "two connections came to two servers: name one server, not a balancer in front of several");
    } else {
        be_up(link);
    }
}

/* ---- what comes in ---- */

static void on_answered(struct redis_connection *connection, void *what, const redisReply *reply) {
    struct redis_link *link = connection->arg;
    char why[sizeof link->trouble];
    if (link->state == LINK_UP && connection->subscriber)
        link->events->heard(link->arg, what, reply);
    else if (link->state == LINK_UP)
        link->events->answered(link->arg, what, reply);
    else if (!redis_greeting_take(what, reply, connection->subscriber ? &link->heard : &link->server, why, sizeof why))
        redis_link_break(link, why);
    else if (connection->count == 0)
        on_greeted(link);
}

static void on_published(struct redis_connection *connection, const redisReply *reply) {
    struct redis_link *link = connection->arg;
    if (link->state == LINK_UP)
        link->events->published(link->arg, reply);
}

static const struct redis_connection_events connection_events = {on_connected, on_answered, on_published, on_failed};

bool redis_link_speak(struct redis_link *link, const struct redis_command *command, void *what) {
    return redis_link_is_up(link) && redis_connection_send(&link->speaker, command, what);
}

bool redis_link_listen(struct redis_link *link, const struct redis_command *command, void *what) {
    return redis_link_is_up(link) && redis_connection_send(&link->hearer, command, what);
}

/* ---- time ---- */

static void on_too_slow(struct redis_link *link) {
    const struct redis_connection *connection = link->state == LINK_HEARER ? &link->hearer : &link->speaker;
    char why[sizeof link->trouble];
    const char *what = connection->connected ? "it takes connections, but does not answer" : "no answer to connecting";
    if (link->state == LINK_RESOLVING)
        what = "no answer from the name server";
    snprintf(why, sizeof why, "%s within %u ms", what, link->times.connect_ms);
    link->try_next = false;
    redis_link_break(link, why);
}

static void on_lasted(struct redis_link *link) {
    if (link->passing)
        log_notice("Redis at %s: connected (%s)", link->where, link->server.version);
    link->passing = false;
    link->attempts = 0;
    link->told[0] = '\0';
}

static void on_timer(evutil_socket_t fd, short events, void *arg) {
    struct redis_link *link = arg;
    (void)fd;
    (void)events;
    if (link->state == LINK_RESTING)
        attempt(link);
    else if (link->state == LINK_UP)
        on_lasted(link);
    else
        on_too_slow(link);
}

/* ---- life ---- */

bool redis_link_init(struct redis_link *link, struct event_base *base, const struct redis_conf *conf,
                     const struct redis_link_events *events, void *arg) {
    static const struct redis_times usual = {REDIS_REPLY_MS, REDIS_CONNECT_MS, REDIS_RETRY_MIN_MS, REDIS_RETRY_MAX_MS};
    *link = (struct redis_link){
        .conf = conf, .events = events, .arg = arg, .base = base, .times = conf->times ? *conf->times : usual};
    redis_address_write(conf->address, link->where, sizeof link->where);
    redis_connection_init(&link->speaker, &connection_events, link, false, link->times.reply_ms);
    redis_connection_init(&link->hearer, &connection_events, link, true, link->times.reply_ms);
    link->timer = evtimer_new(base, on_timer, link);
    link->end = event_new(base, -1, 0, on_end, link);
    if (!link->timer || !link->end) {
        redis_link_free(link);
        return false;
    }
    attempt(link);
    return true;
}

void redis_link_free(struct redis_link *link) {
    close_all(link);
    redis_connection_free(&link->speaker);
    redis_connection_free(&link->hearer);
    redis_command_free(&link->scratch);
    if (link->timer)
        event_free(link->timer);
    if (link->end)
        event_free(link->end);
}
