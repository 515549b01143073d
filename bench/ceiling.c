/*
 * The bare ceiling: what one thread with a raw epoll can do at most when it has to write the bytes that stompd writes.
 * It understands just enough of WebSocket and STOMP 1.2 to be driven by stomp-bench's fan-out, pairs, match of exact
 * destinations, idle and churn, and trusts its clients: nothing is checked, escaped or limited, and a topic is found by
 * the hash of its name. As in stompd a message is laid out once, a subscriber's queue holds references, and at the end
 * of a turn of the loop each connection's frames are laid into one buffer and leave in one send().
 *
 *     ceiling WS_PORT TCP_PORT     on 127.0.0.1; says "ready" when both are open
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "stompd/base/buffer.h"

#define READ_SIZE    (64u << 10)
#define SCRATCH_SIZE (64u << 10) /* of frames for one send() */
#define EVENTS_MAX   256
#define BUCKETS      (1u << 16)
#define HEAD_MAX     10

/* Laid out once. */
struct message {
    unsigned references;
    size_t size;
    char bytes[];
};

struct connection;

struct topic {
    struct topic *next; /* of the same bucket */
    struct subscription *subscriptions;
    size_t length;
    char name[];
};

struct subscription {
    struct subscription *next;        /* of the topic */
    struct subscription *next_of_own; /* of the connection */
    struct subscription **back;       /* where the topic's list has it */
    struct connection *connection;
    size_t start_size;
    char start[]; /* "MESSAGE\nsubscription:…\n" */
};

struct entry {
    struct message *message;
    const struct subscription *subscription; /* NULL: the message is a whole frame */
};

enum state { STATE_UPGRADING, STATE_OPEN, STATE_LEAVING };

struct connection {
    int fd;
    bool is_listener;
    bool is_websocket;
    bool is_dirty;
    bool is_blocked;
    enum state state;
    struct connection *next_dirty;
    struct subscription *subscriptions;
    struct buffer in;   /* not complete yet */
    struct buffer rest; /* laid out, and not taken by the socket */
    struct entry *entries;
    size_t entry_count;
    size_t entry_capacity;
};

static int epoll;
static struct connection *dirty;
static struct topic *topics[BUCKETS];
static char *scratch;
static size_t scratch_capacity;
static struct connection **connections; /* by their descriptors */
static unsigned long messages;

static _Noreturn void die(const char *what) {
    fprintf(stderr, "ceiling: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void *need(void *memory) {
    if (!memory)
        die("memory");
    return memory;
}

/* ---- topics */

static unsigned bucket_of(struct bytes name) {
    uint64_t hash = UINT64_C(14695981039346656037); /* FNV-1a */
    for (size_t n = 0; n < name.len; n++)
        hash = (hash ^ (unsigned char)name.data[n]) * UINT64_C(1099511628211);
    return (unsigned)(hash ^ (hash >> 32)) & (BUCKETS - 1);
}

static struct topic *find_topic(struct bytes name) {
    struct topic *topic = topics[bucket_of(name)];
    while (topic && (topic->length != name.len || memcmp(topic->name, name.data, name.len) != 0))
        topic = topic->next;
    return topic;
}

static struct topic *make_topic(struct bytes name) {
    struct topic *topic = find_topic(name);
    struct topic **bucket = &topics[bucket_of(name)];
    if (topic)
        return topic;
    topic = need(calloc(1, sizeof *topic + name.len));
    topic->length = name.len;
    memcpy(topic->name, name.data, name.len);
    topic->next = *bucket;
    *bucket = topic;
    return topic;
}

static void subscribe(struct connection *connection, struct bytes destination, struct bytes id) {
    struct topic *topic = make_topic(destination);
    struct subscription *subscription = need(calloc(1, sizeof *subscription + id.len + 32));
    subscription->connection = connection;
    subscription->start_size =
        (size_t)snprintf(subscription->start, id.len + 32, "MESSAGE\nsubscription:%.*s\n", BYTES_ARG(id));
    subscription->next = topic->subscriptions;
    subscription->back = &topic->subscriptions;
    if (topic->subscriptions)
        topic->subscriptions->back = &subscription->next;
    topic->subscriptions = subscription;
    subscription->next_of_own = connection->subscriptions;
    connection->subscriptions = subscription;
}

static void unsubscribe_all(struct connection *connection) {
    for (struct subscription *subscription; (subscription = connection->subscriptions) != NULL;) {
        connection->subscriptions = subscription->next_of_own;
        *subscription->back = subscription->next;
        if (subscription->next)
            subscription->next->back = subscription->back;
        free(subscription);
    }
}

/* ---- what is written */

static void add_dirty(struct connection *connection) {
    if (connection->is_dirty)
        return;
    connection->is_dirty = true;
    connection->next_dirty = dirty;
    dirty = connection;
}

static void push(struct connection *connection, struct message *message, const struct subscription *subscription) {
    if (connection->entry_count == connection->entry_capacity) {
        connection->entry_capacity = connection->entry_capacity ? 2 * connection->entry_capacity : 4;
        connection->entries =
            need(realloc(connection->entries, connection->entry_capacity * sizeof *connection->entries));
    }
    message->references++;
    connection->entries[connection->entry_count++] = (struct entry){message, subscription};
    add_dirty(connection);
}

static void release(struct message *message) {
    if (--message->references == 0)
        free(message);
}

/* A frame without a body; the value is that of its last header. */
static void push_control(struct connection *connection, const char *head, struct bytes value) {
    size_t size = strlen(head) + value.len + 3;
    struct message *message = need(malloc(sizeof *message + size));
    message->references = 0;
    message->size = (size_t)snprintf(message->bytes, size, "%s%.*s\n\n", head, BYTES_ARG(value)) + 1;
    push(connection, message, NULL);
}

static char *lay_head(char *to, size_t payload) {
    unsigned extra = payload < 126 ? 0 : payload < 65536 ? 2 : 8;
    *to++ = (char)0x81;
    *to++ = (char)(extra == 0 ? payload : extra == 2 ? 126 : 127);
    for (unsigned n = extra; n > 0; n--)
        *to++ = (char)((uint64_t)payload >> (8 * (n - 1)));
    return to;
}

static size_t start_size_of(const struct entry *entry) {
    return entry->subscription ? entry->subscription->start_size : 0;
}

/* At most HEAD_MAX more than start and message. */
static char *lay(const struct connection *connection, const struct entry *entry, char *to) {
    size_t start_size = start_size_of(entry);
    if (connection->is_websocket)
        to = lay_head(to, start_size + entry->message->size);
    if (start_size > 0)
        memcpy(to, entry->subscription->start, start_size);
    memcpy(to + start_size, entry->message->bytes, entry->message->size);
    return to + start_size + entry->message->size;
}

/* Lays as many of the entries as fit into the scratch, one at least; returns how many, and their size. */
static size_t fill_scratch(const struct connection *connection, size_t from, size_t *size) {
    size_t at = from;
    for (*size = 0; at < connection->entry_count; at++) {
        const struct entry *entry = &connection->entries[at];
        size_t more = HEAD_MAX + start_size_of(entry) + entry->message->size;
        if (*size > 0 && *size + more > SCRATCH_SIZE)
            break;
        if (more > scratch_capacity)
            scratch = need(realloc(scratch, scratch_capacity = more));
        *size = (size_t)(lay(connection, entry, scratch + *size) - scratch);
        release(entry->message);
    }
    return at - from;
}

static void watch(struct connection *connection, int operation, uint32_t events) {
    struct epoll_event event = {.events = events, .data.fd = connection->fd};
    if (epoll_ctl(epoll, operation, connection->fd, &event) != 0)
        die("epoll");
}

/* What the socket does not take waits. */
static void write_bytes(struct connection *connection, const char *bytes, size_t size) {
    ssize_t sent = connection->rest.len > 0 ? 0 : send(connection->fd, bytes, size, MSG_NOSIGNAL | MSG_DONTWAIT);
    size_t taken = sent > 0 ? (size_t)sent : 0;
    if (taken < size && !buffer_append(&connection->rest, bytes + taken, size - taken))
        die("memory");
}

static void write_rest(struct connection *connection) {
    ssize_t sent = send(connection->fd, connection->rest.data, connection->rest.len, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent > 0)
        buffer_consume(&connection->rest, (size_t)sent);
}

static void end(struct connection *connection);

static void flush(struct connection *connection) {
    size_t size;
    size_t at = 0;
    if (connection->rest.len > 0)
        write_rest(connection);
    while (at < connection->entry_count) {
        at += fill_scratch(connection, at, &size);
        write_bytes(connection, scratch, size);
    }
    connection->entry_count = 0;
    bool is_blocked = connection->rest.len > 0;
    if (is_blocked != connection->is_blocked)
        watch(connection, EPOLL_CTL_MOD, is_blocked ? EPOLLIN | EPOLLOUT : EPOLLIN);
    connection->is_blocked = is_blocked;
    if (connection->state == STATE_LEAVING && !is_blocked)
        end(connection);
}

static void flush_dirty(void) {
    while (dirty) {
        struct connection *connection = dirty;
        dirty = connection->next_dirty;
        connection->is_dirty = false;
        flush(connection);
    }
}

static void take_out_of_dirty(const struct connection *connection) {
    struct connection **at = &dirty;
    while (*at && *at != connection)
        at = &(*at)->next_dirty;
    if (*at)
        *at = connection->next_dirty;
}

/* Other entries may still name its subscriptions, but only its own do. */
static void end(struct connection *connection) {
    if (connection->is_dirty)
        take_out_of_dirty(connection);
    for (size_t n = 0; n < connection->entry_count; n++)
        release(connection->entries[n].message);
    unsubscribe_all(connection);
    close(connection->fd);
    buffer_free(&connection->in);
    buffer_free(&connection->rest);
    free(connection->entries);
    free(connection);
}

/* ---- STOMP */

struct frame {
    struct bytes command;
    struct bytes destination;
    struct bytes id;
    struct bytes receipt;
    struct bytes passed[32]; /* other headers, whole lines */
    unsigned passed_count;
    struct bytes body;
};

static void take_header(struct frame *frame, struct bytes line, size_t *length) {
    if (bytes_start_with(line, BYTES("destination:")))
        frame->destination = bytes_skip(line, 12);
    else if (bytes_start_with(line, BYTES("content-length:")))
        *length = strtoul(line.data + 15, NULL, 10);
    else if (bytes_start_with(line, BYTES("receipt:")))
        frame->receipt = bytes_skip(line, 8);
    else if (bytes_start_with(line, BYTES("id:")))
        frame->id = bytes_skip(line, 3);
    else if (frame->passed_count < 32)
        frame->passed[frame->passed_count++] = line;
}

/* Returns its size with the NUL, or 0 while it is not complete. */
static size_t read_frame(struct bytes in, struct frame *frame) {
    const char *end = in.data + in.len;
    const char *line = in.data;
    size_t length = SIZE_MAX;
    frame->destination = frame->id = frame->receipt = frame->command = (struct bytes){0};
    frame->passed_count = 0;
    for (const char *line_end; (line_end = memchr(line, '\n', (size_t)(end - line))) != NULL; line = line_end + 1) {
        struct bytes text = {line, (size_t)(line_end - line)};
        if (!frame->command.data)
            frame->command = text;
        else if (text.len > 0)
            take_header(frame, text, &length);
        else {
            const char *body = line_end + 1;
            const char *nul = length == SIZE_MAX ? memchr(body, '\0', (size_t)(end - body)) : body + length;
            if (!nul || nul >= end)
                return 0;
            frame->body = (struct bytes){body, (size_t)(nul - body)};
            return (size_t)(nul + 1 - in.data);
        }
    }
    return 0;
}

static char *put(char *to, struct bytes bytes) {
    memcpy(to, bytes.data, bytes.len);
    return to + bytes.len;
}

/* The headers are those that stompd writes, in its order. */
static struct message *lay_out(const struct frame *frame) {
    size_t size = frame->destination.len + frame->body.len + 128;
    for (unsigned n = 0; n < frame->passed_count; n++)
        size += frame->passed[n].len + 1;
    struct message *message = need(malloc(sizeof *message + size));
    char *to = message->bytes;
    message->references = 1;
    to = put(put(to, BYTES("destination:")), frame->destination);
    to += sprintf(to, "\nmessage-id:ce111796aced-0-%lu\n", ++messages);
    for (unsigned n = 0; n < frame->passed_count; n++)
        to = put(put(to, frame->passed[n]), BYTES("\n"));
    to += sprintf(to, "content-length:%zu\n\n", frame->body.len);
    to = put(put(to, frame->body), (struct bytes){"", 1});
    message->size = (size_t)(to - message->bytes);
    return message;
}

static void publish(const struct frame *frame) {
    const struct topic *topic = find_topic(frame->destination);
    struct message *message = lay_out(frame);
    for (struct subscription *subscription = topic ? topic->subscriptions : NULL; subscription;
         subscription = subscription->next)
        push(subscription->connection, message, subscription);
    release(message);
}

static void take_frame(struct connection *connection, const struct frame *frame) {
    if (bytes_equal(frame->command, BYTES("SEND")))
        publish(frame);
    else if (bytes_equal(frame->command, BYTES("SUBSCRIBE")))
        subscribe(connection, frame->destination, frame->id);
    else if (bytes_equal(frame->command, BYTES("CONNECT")))
        push_control(connection, "CONNECTED\nserver:ceiling\nversion:1.2\nheart-beat:", BYTES("0,0"));
    if (frame->receipt.len > 0)
        push_control(connection, "RECEIPT\nreceipt-id:", frame->receipt);
    if (bytes_equal(frame->command, BYTES("DISCONNECT"))) {
        connection->state = STATE_LEAVING;
        add_dirty(connection);
    }
}

static size_t take_stomp(struct connection *connection, struct bytes in) {
    static struct frame frame;
    size_t taken = 0;
    while (taken < in.len) {
        size_t size = in.data[taken] == '\n' ? 1 : read_frame(bytes_skip(in, taken), &frame);
        if (size == 0)
            break;
        if (size > 1)
            take_frame(connection, &frame);
        taken += size;
    }
    return taken;
}

/* ---- WebSocket */

static size_t take_upgrade(struct connection *connection, struct bytes in) {
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    const char *end = memmem(in.data, in.len, "\r\n\r\n", 4);
    const char *key = memmem(in.data, in.len, "Sec-WebSocket-Key: ", 19);
    char text[128];
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned char accept[64];
    char answer[256];
    if (!end || !key)
        return 0;
    int length = snprintf(text, sizeof text, "%.24s%s", key + 19, guid);
    if (EVP_Digest(text, (size_t)length, digest, NULL, EVP_sha1(), NULL) != 1)
        die("SHA-1");
    EVP_EncodeBlock(accept, digest, 20);
    length = snprintf(answer, sizeof answer,
                      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\n"
                      "Sec-WebSocket-Accept: %s\r\nSec-WebSocket-Protocol: v12.stomp\r\n\r\n",
                      (const char *)accept);
    write_bytes(connection, answer, (size_t)length);
    connection->state = STATE_OPEN;
    return (size_t)(end + 4 - in.data);
}

static void unmask(char *payload, size_t length, const char *mask) {
    uint32_t narrow;
    size_t n = 0;
    memcpy(&narrow, mask, sizeof narrow);
    uint64_t wide = (uint64_t)narrow << 32 | narrow;
    for (uint64_t word; n + sizeof word <= length; n += sizeof word) {
        memcpy(&word, payload + n, sizeof word);
        word ^= wide;
        memcpy(payload + n, &word, sizeof word);
    }
    for (; n < length; n++)
        payload[n] = (char)(payload[n] ^ ((const char *)&narrow)[n % 4]);
}

/* Each message holds whole STOMP frames. */
static size_t take_websocket(struct connection *connection, char *bytes, size_t size) {
    size_t taken = 0;
    while (size - taken >= 6) {
        const unsigned char *head = (const unsigned char *)bytes + taken;
        unsigned extra = (head[1] & 127) < 126 ? 0 : (head[1] & 127) == 126 ? 2 : 8;
        uint64_t length = extra ? 0 : head[1] & 127u;
        if (size - taken < 6 + extra)
            break;
        for (unsigned n = 0; n < extra; n++)
            length = length << 8 | head[2 + n];
        if (size - taken - 6 - extra < length)
            break;
        char *payload = bytes + taken + 6 + extra;
        unmask(payload, length, payload - 4);
        if ((head[0] & 15) == 8)
            connection->state = STATE_LEAVING;
        else
            take_stomp(connection, (struct bytes){payload, length});
        taken += 6 + extra + length;
    }
    if (connection->state == STATE_LEAVING)
        add_dirty(connection);
    return taken;
}

/* ---- the loop */

static void hear(struct connection *connection) {
    static char *bytes;
    static size_t capacity;
    size_t kept = connection->in.len;
    size_t taken = 0;
    if (!bytes || capacity < kept + READ_SIZE)
        bytes = need(realloc(bytes, capacity = kept + READ_SIZE));
    if (kept > 0)
        memcpy(bytes, connection->in.data, kept);
    ssize_t got = recv(connection->fd, bytes + kept, READ_SIZE, MSG_DONTWAIT);
    if (got <= 0) {
        if (got == 0 || errno != EAGAIN)
            end(connection);
        return;
    }
    size_t size = kept + (size_t)got;
    if (connection->state == STATE_UPGRADING)
        taken = take_upgrade(connection, (struct bytes){bytes, size});
    if (connection->state == STATE_OPEN)
        taken += connection->is_websocket ? take_websocket(connection, bytes + taken, size - taken)
                                          : take_stomp(connection, (struct bytes){bytes + taken, size - taken});
    connection->in.len = 0;
    if (taken < size && !buffer_append(&connection->in, bytes + taken, size - taken))
        die("memory");
    if (taken == size)
        buffer_free(&connection->in);
}

static void accept_some(const struct connection *listener) {
    int on = 1;
    for (int fd; (fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
        struct connection *connection = need(calloc(1, sizeof *connection));
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        connections[fd] = connection;
        connection->fd = fd;
        connection->is_websocket = listener->is_websocket;
        connection->state = listener->is_websocket ? STATE_UPGRADING : STATE_OPEN;
        watch(connection, EPOLL_CTL_ADD, EPOLLIN);
    }
}

static void listen_at(const char *port, bool is_websocket) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)strtoul(port, NULL, 10))};
    struct connection *listener = need(calloc(1, sizeof *listener));
    int on = 1;
    inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
    *listener = (struct connection){.is_listener = true, .is_websocket = is_websocket};
    listener->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(listener->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener->fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(listener->fd, 4096) != 0)
        die(port);
    connections[listener->fd] = listener;
    watch(listener, EPOLL_CTL_ADD, EPOLLIN);
}

static void turn(void) {
    struct epoll_event events[EVENTS_MAX];
    int ready = epoll_wait(epoll, events, EVENTS_MAX, -1);
    for (int n = 0; n < ready; n++) {
        struct connection *connection = connections[events[n].data.fd];
        if (connection->is_listener) {
            accept_some(connection);
            continue;
        }
        if (events[n].events & EPOLLOUT)
            add_dirty(connection);
        if (events[n].events & ~(uint32_t)EPOLLOUT)
            hear(connection);
    }
    flush_dirty();
}

int main(int argc, char **argv) {
    struct rlimit limit;
    if (argc != 3) {
        fprintf(stderr, "usage: ceiling WS_PORT TCP_PORT\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    connections = need(calloc(limit.rlim_max, sizeof(struct connection *)));
    epoll = epoll_create1(EPOLL_CLOEXEC);
    scratch = need(malloc(scratch_capacity = SCRATCH_SIZE + HEAD_MAX));
    listen_at(argv[1], true);
    listen_at(argv[2], false);
    puts("ready");
    fflush(stdout);
    for (;;)
        turn();
}
