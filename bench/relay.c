/*
 * The client of bench/relay.mjs: plain STOMP over TCP, fast enough not to be what is measured. It does one measurement
 * and prints its figure on standard output:
 *
 *     relay fanout FROM TO SUBSCRIBERS MESSAGES WINDOW   messages a second from one publisher on FROM to all subscribers
 *                                                        on TO, with at most WINDOW of them on their way
 *     relay trip FROM TO COUNT                           median microseconds from a SEND on FROM to its MESSAGE on TO,
 *                                                        one at a time
 *     relay redis SOCKET COUNT                           the same from a bare PUBLISH to its arrival at a subscriber
 *
 * FROM and TO are ports on 127.0.0.1. Every message must arrive exactly once at each subscriber, or it fails.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <hiredis/hiredis.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define BODY_SIZE   128
#define PATIENCE_MS 30000

struct subscriber {
    int fd;
    unsigned long received; /* frames: what a body has no NUL of */
};

static void die(const char *what) {
    fprintf(stderr, "relay: %s: %s\n", what, errno ? strerror(errno) : "unexpected");
    exit(1);
}

static double now_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static void send_all(int fd, const char *bytes, size_t len) {
    while (len > 0) {
        ssize_t sent = send(fd, bytes, len, MSG_NOSIGNAL);
        if (sent <= 0)
            die("send");
        bytes += sent;
        len -= (size_t)sent;
    }
}

/* Reads up to the NUL that ends the next frame, byte by byte: only what must not read further uses it. */
static void expect_frame(int fd, const char *command) {
    char frame[4096];
    size_t len = 0;
    while (len < sizeof frame && recv(fd, frame + len, 1, 0) == 1)
        if (frame[len++] == '\0') {
            const char *start = frame + strspn(frame, "\n");
            if (strncmp(start, command, strlen(command)) == 0)
                return;
            fprintf(stderr, "relay: instead of %s: %s\n", command, start);
            exit(1);
        }
    die(command);
}

static int connect_stomp(const char *port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)strtoul(port, NULL, 10))};
    struct timeval patience = {PATIENCE_MS / 1000, 0};
    int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0)
        die(port);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    static const char hello[] = "CONNECT\naccept-version:1.2\nhost:bench\n\n";
    send_all(fd, hello, sizeof hello);
    expect_frame(fd, "CONNECTED");
    return fd;
}

static int subscribe(const char *port) {
    static const char frame[] = "SUBSCRIBE\nid:0\ndestination:/topic/relay\nreceipt:s\n\n";
    int fd = connect_stomp(port);
    send_all(fd, frame, sizeof frame);
    expect_frame(fd, "RECEIPT");
    return fd;
}

static size_t build_send(char *frame, size_t size) {
    size_t len = (size_t)snprintf(frame, size, "SEND\ndestination:/topic/relay\ncontent-length:%d\n\n", BODY_SIZE);
    memset(frame + len, 'x', BODY_SIZE);
    frame[len + BODY_SIZE] = '\0';
    return len + BODY_SIZE + 1;
}

static void take_available(struct subscriber *subscriber) {
    static char bytes[1 << 18];
    ssize_t got = recv(subscriber->fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (got <= 0)
        die("a subscriber's connection");
    for (const char *at = bytes, *end = bytes + got; (at = memchr(at, '\0', (size_t)(end - at))) != NULL; at++)
        subscriber->received++;
}

/* How many messages have reached every subscriber. */
static unsigned long reached_all(const struct subscriber *subscribers, unsigned count) {
    unsigned long least = subscribers[0].received;
    for (unsigned n = 1; n < count; n++)
        if (subscribers[n].received < least)
            least = subscribers[n].received;
    return least;
}

static void run_window(int publisher, int epoll, struct subscriber *subscribers, unsigned count, unsigned long messages,
                       unsigned long window) {
    char frame[512];
    size_t len = build_send(frame, sizeof frame);
    struct epoll_event events[256];
    unsigned long sent = 0;
    unsigned long arrived = 0;
    while (arrived < messages) {
        for (; sent < messages && sent - arrived < window; sent++)
            send_all(publisher, frame, len);
        int ready = epoll_wait(epoll, events, 256, PATIENCE_MS);
        if (ready <= 0)
            die("messages are lost");
        for (int n = 0; n < ready; n++)
            take_available(events[n].data.ptr);
        arrived = reached_all(subscribers, count);
    }
}

static void measure_fanout(char **args) {
    unsigned count = (unsigned)strtoul(args[2], NULL, 10);
    unsigned long messages = strtoul(args[3], NULL, 10);
    struct subscriber *subscribers = calloc(count, sizeof *subscribers);
    int epoll = epoll_create1(0);
    for (unsigned n = 0; n < count; n++) {
        subscribers[n].fd = subscribe(args[1]);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &subscribers[n]};
        epoll_ctl(epoll, EPOLL_CTL_ADD, subscribers[n].fd, &event);
    }
    int publisher = connect_stomp(args[0]);
    double began = now_us();
    run_window(publisher, epoll, subscribers, count, messages, strtoul(args[4], NULL, 10));
    double took = now_us() - began;
    for (unsigned n = 0; n < count; n++)
        if (subscribers[n].received != messages) {
            fprintf(stderr, "relay: a subscriber got %lu of %lu messages\n", subscribers[n].received, messages);
            exit(1);
        }
    printf("%.0f\n", (double)messages * 1e6 / took);
    free(subscribers);
}

static int by_value(const void *a, const void *b) {
    double difference = *(const double *)a - *(const double *)b;
    return (difference > 0) - (difference < 0);
}

static void print_median(double *values, unsigned long count) {
    qsort(values, count, sizeof *values, by_value);
    printf("%.1f\n", values[count / 2]);
    free(values);
}

static void measure_trip(char **args) {
    char frame[512];
    size_t len = build_send(frame, sizeof frame);
    unsigned long count = strtoul(args[2], NULL, 10);
    double *took = calloc(count, sizeof *took);
    struct subscriber subscriber = {.fd = subscribe(args[1])};
    struct pollfd waiting = {.fd = subscriber.fd, .events = POLLIN};
    int publisher = connect_stomp(args[0]);
    for (unsigned long n = 0; n < count; n++) {
        double began = now_us();
        send_all(publisher, frame, len);
        while (subscriber.received <= n) {
            if (poll(&waiting, 1, PATIENCE_MS) != 1)
                die("a message is lost");
            take_available(&subscriber);
        }
        took[n] = now_us() - began;
    }
    print_median(took, count);
}

static redisContext *connect_redis(const char *path) {
    redisContext *redis = redisConnectUnix(path);
    if (!redis || redis->err)
        die(path);
    return redis;
}

static void measure_redis(char **args) {
    char body[BODY_SIZE + 1];
    unsigned long count = strtoul(args[1], NULL, 10);
    double *took = calloc(count, sizeof *took);
    redisContext *publisher = connect_redis(args[0]);
    redisContext *subscriber = connect_redis(args[0]);
    void *reply = NULL;
    memset(body, 'x', BODY_SIZE);
    body[BODY_SIZE] = '\0';
    freeReplyObject(redisCommand(subscriber, "SUBSCRIBE relay"));
    for (unsigned long n = 0; n < count; n++) {
        double began = now_us();
        redisAppendCommand(publisher, "PUBLISH relay %b", body, (size_t)BODY_SIZE);
        for (int done = 0; !done;)
            if (redisBufferWrite(publisher, &done) != REDIS_OK)
                die("PUBLISH");
        if (redisGetReply(subscriber, &reply) != REDIS_OK)
            die("SUBSCRIBE");
        took[n] = now_us() - began;
        freeReplyObject(reply);
        if (redisGetReply(publisher, &reply) != REDIS_OK)
            die("PUBLISH");
        freeReplyObject(reply);
    }
    print_median(took, count);
    redisFree(publisher);
    redisFree(subscriber);
}

int main(int argc, char **argv) {
    if (argc == 7 && strcmp(argv[1], "fanout") == 0)
        measure_fanout(argv + 2);
    else if (argc == 5 && strcmp(argv[1], "trip") == 0)
        measure_trip(argv + 2);
    else if (argc == 4 && strcmp(argv[1], "redis") == 0)
        measure_redis(argv + 2);
    else {
        fprintf(stderr, "relay is run by bench/relay.mjs\n");
        return 2;
    }
    return 0;
}
