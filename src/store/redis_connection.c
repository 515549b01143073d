/*
 * A connection on the loop. Writing waits for the end of the turn, so all commands of a turn leave together; the loop is
 * asked whether the socket takes more only when it did not.
 *
 * The time-out is one timer, set for the oldest command and looked at when it fires. It does not judge when it fires
 * late: then this process stood still, not the server, whose answers may lie in the socket.
 */
#include "redis_connection.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/util.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "stompd/base/clock.h"

#define FIRST_CAPACITY 64
#define LATE_MS        500

/* Bytes that are read in one turn, until others on the loop have theirs. */
#define READ_MAX ((size_t)1024 * 1024)

static void delete_event(struct event *event) {
    if (event)
        event_del(event);
}

void redis_connection_stop(struct redis_connection *connection) {
    connection->failed = true;
    delete_event(connection->readable);
    delete_event(connection->writable);
    delete_event(connection->overdue);
}

static void fail(struct redis_connection *connection, const char *why) {
    if (connection->failed)
        return;
    redis_connection_stop(connection);
    connection->events->failed(connection, why);
}

static void fail_by_context(struct redis_connection *connection) {
    const redisContext *context = connection->context;
    char why[sizeof context->errstr + 64];
    if (context->err == REDIS_ERR_PROTOCOL)
        snprintf(why, sizeof why, "what is there does not talk like Redis (%s)", context->errstr);
    else
        snprintf(why, sizeof why, "%s", context->errstr);
    fail(connection, why);
}

/* ---- what is unanswered ---- */

static bool grow(struct redis_connection *connection) {
    size_t capacity = connection->capacity > 0 ? connection->capacity * 2 : FIRST_CAPACITY;
    struct redis_unanswered *ring = malloc(capacity * sizeof *ring);
    if (!ring)
        return false;
    for (size_t n = 0; n < connection->count; n++)
        ring[n] = connection->unanswered[(connection->oldest + n) & (connection->capacity - 1)];
    free(connection->unanswered);
    connection->unanswered = ring;
    connection->capacity = capacity;
    connection->oldest = 0;
    return true;
}

static void watch(struct redis_connection *connection, uint64_t sent_ms, uint64_t now_ms) {
    connection->overdue_ms = sent_ms + connection->reply_ms;
    uint64_t left_ms = connection->overdue_ms > now_ms ? connection->overdue_ms - now_ms : 0;
    struct timeval wait = {(time_t)(left_ms / 1000), (suseconds_t)(left_ms % 1000 * 1000)};
    event_add(connection->overdue, &wait);
}

static void put(struct redis_connection *connection, void *what, uint64_t now_ms) {
    size_t at = (connection->oldest + connection->count) & (connection->capacity - 1);
    connection->unanswered[at] = (struct redis_unanswered){what, now_ms};
    connection->count++;
}

bool redis_connection_take(struct redis_connection *connection, void **what) {
    if (connection->count == 0)
        return false;
    *what = connection->unanswered[connection->oldest].what;
    connection->oldest = (connection->oldest + 1) & (connection->capacity - 1);
    connection->count--;
    return true;
}

static void on_overdue(evutil_socket_t fd, short events, void *arg) {
    struct redis_connection *connection = arg;
    uint64_t now_ms = clock_ms();
    (void)fd;
    (void)events;
    if (connection->count == 0)
        return;
    uint64_t sent_ms = connection->unanswered[connection->oldest].sent_ms;
    if (now_ms > connection->overdue_ms + LATE_MS) {
        watch(connection, now_ms, now_ms);
    } else if (now_ms < sent_ms + connection->reply_ms) {
        watch(connection, sent_ms, now_ms);
    } else {
        char why[64];
        snprintf(why, sizeof why, "no answer within %u ms", connection->reply_ms);
        fail(connection, why);
    }
}

bool redis_connection_send(struct redis_connection *connection, const struct redis_command *command, void *what) {
    uint64_t now_ms = clock_ms();
    if (!redis_connection_is_open(connection))
        return false;
    if (command->failed || (connection->count == connection->capacity && !grow(connection)) ||
        redisAppendFormattedCommand(connection->context, command->bytes.data, command->bytes.len) != REDIS_OK) {
        fail(connection, "out of memory");
        return false;
    }
    put(connection, what, now_ms);
    if (connection->count == 1 && !event_pending(connection->overdue, EV_TIMEOUT, NULL))
        watch(connection, now_ms, now_ms);
    if (!event_pending(connection->writable, EV_WRITE, NULL))
        event_active(connection->writable, EV_WRITE, 0);
    return true;
}

/* ---- what comes in ---- */

static bool is_publication(const redisReply *reply) {
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements < 3 || reply->elements > 4)
        return false;
    for (size_t n = 0; n < reply->elements; n++) {
        if (reply->element[n]->type != REDIS_REPLY_STRING)
            return false;
    }
    return strcmp(reply->element[0]->str, reply->elements == 3 ? "message" : "pmessage") == 0;
}

static void take_in(struct redis_connection *connection, const redisReply *reply) {
    void *what;
    if (connection->subscriber && is_publication(reply))
        connection->events->published(connection, reply);
    else if (redis_connection_take(connection, &what))
        connection->events->answered(connection, what, reply);
    else if (reply->type == REDIS_REPLY_ERROR)
        fail(connection, reply->str);
    else
        fail(connection, "what is there does not talk like Redis (an answer to nothing)");
}

/* One piece, as large as hiredis takes it. Returns its bytes; 0: no more is there, or it failed. */
static size_t read_piece(struct redis_connection *connection) {
    redisContext *context = connection->context;
    size_t before = context->reader->len;
    if (redisBufferRead(context) == REDIS_OK)
        return context->reader->len - before;
    fail_by_context(connection);
    return 0;
}

static void take_in_all(struct redis_connection *connection) {
    void *reply = NULL;
    bool right = true;
    while (!connection->failed && (right = redisGetReply(connection->context, &reply) == REDIS_OK) && reply) {
        take_in(connection, reply);
        freeReplyObject(reply);
    }
    if (!right)
        fail_by_context(connection);
}

/* A server cuts a subscriber off whose publications pile up, so all that is there is read. */
static void read_all(struct redis_connection *connection) {
    size_t piece;
    for (size_t total = 0; !connection->failed && total < READ_MAX; total += piece) {
        piece = read_piece(connection);
        if (piece == 0)
            break;
        take_in_all(connection);
    }
}

static void on_readable(evutil_socket_t fd, short events, void *arg) {
    struct redis_connection *connection = arg;
    (void)fd;
    (void)events;
    if (connection->connected)
        read_all(connection);
}

/* What the server has said before it hung up tells more than the failure to write. */
static void on_write_error(struct redis_connection *connection) {
    redisContext *context = connection->context;
    char why[sizeof context->errstr];
    memcpy(why, context->errstr, sizeof why);
    context->err = 0;
    read_all(connection);
    fail(connection, why);
}

static bool find_connected(struct redis_connection *connection) {
    int error = 0;
    socklen_t len = sizeof error;
    if (getsockopt(connection->context->fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
        error = errno;
    if (error != 0) {
        fail(connection, strerror(error));
        return false;
    }
    connection->connected = true;
    if (connection->context->connection_type == REDIS_CONN_TCP)
        redisEnableKeepAlive(connection->context);
    connection->events->connected(connection);
    return !connection->failed;
}

static void on_writable(evutil_socket_t fd, short events, void *arg) {
    struct redis_connection *connection = arg;
    int done = 0;
    (void)fd;
    (void)events;
    if (!connection->connected && !find_connected(connection))
        return;
    if (redisBufferWrite(connection->context, &done) != REDIS_OK)
        on_write_error(connection);
    else if (done)
        event_del(connection->writable);
    else
        event_add(connection->writable, NULL);
}

/* ---- life ---- */

void redis_connection_init(struct redis_connection *connection, const struct redis_connection_events *events, void *arg,
                           bool subscriber, uint32_t reply_ms) {
    *connection =
        (struct redis_connection){.events = events, .arg = arg, .subscriber = subscriber, .reply_ms = reply_ms};
}

/* hiredis looks a host up and would wait for the name server, but here it is a number always. */
void redis_connection_open(struct redis_connection *connection, struct event_base *base, const char *host,
                           uint16_t port, const char *path) {
    connection->failed = connection->connected = false;
    connection->context = host ? redisConnectNonBlock(host, port) : redisConnectUnixNonBlock(path);
    if (connection->context && connection->context->err) {
        fail_by_context(connection);
        return;
    }
    if (connection->context) {
        int fd = connection->context->fd;
        evutil_make_socket_closeonexec(fd);
        connection->readable = event_new(base, fd, EV_READ | EV_PERSIST, on_readable, connection);
        connection->writable = event_new(base, fd, EV_WRITE | EV_PERSIST, on_writable, connection);
        connection->overdue = evtimer_new(base, on_overdue, connection);
    }
    if (connection->readable && connection->writable && connection->overdue) {
        event_add(connection->readable, NULL);
        event_add(connection->writable, NULL);
    } else {
        fail(connection, "out of memory");
    }
}

static void free_event(struct event **event) {
    if (*event)
        event_free(*event);
    *event = NULL;
}

void redis_connection_close(struct redis_connection *connection) {
    free_event(&connection->readable);
    free_event(&connection->writable);
    free_event(&connection->overdue);
    if (connection->context)
        redisFree(connection->context);
    connection->context = NULL;
}

void redis_connection_free(struct redis_connection *connection) {
    redis_connection_close(connection);
    free(connection->unanswered);
    redis_connection_init(connection, connection->events, connection->arg, connection->subscriber,
                          connection->reply_ms);
}
