/* The loop and the counting. */
#include "queue_run.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define READ_SIZE  (64u << 10)
#define EVENTS_MAX 64
#define QUIET_MS   300

/* What is known of a message. */
#define RECEIPTED 1
#define DELIVERED 2

struct run {
    const struct protocol *protocol;
    const struct work *work;
    struct tally *tally;
    struct client *clients; /* the producers first */
    unsigned client_count;
    int epoll;
    bool is_over; /* nothing more is sent */
    unsigned char *states;
    uint64_t states_capacity;
};

void die(const char *what, const char *why) {
    fprintf(stderr, "queue: %s: %s\n", what, why ? why : errno ? strerror(errno) : "unexpected");
    exit(1);
}

static double now_s(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void *grown(void *memory, size_t size) {
    void *larger = realloc(memory, size);
    if (!larger)
        die("memory", NULL);
    return larger;
}

/* ---- CPU */

static double ticks_of(const char *process) {
    char path[64];
    char stat[1024];
    unsigned long ticks[4]; /* user and system, its own and those of children that have ended */
    snprintf(path, sizeof path, "/proc/%s/stat", process);
    FILE *file = fopen(path, "r");
    size_t length = file ? fread(stat, 1, sizeof stat - 1, file) : 0;
    if (file)
        fclose(file);
    stat[length] = '\0';
    const char *rest = strrchr(stat, ')'); /* a name may hold anything */
    if (!rest || sscanf(rest, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %lu %lu", &ticks[0], &ticks[1],
                        &ticks[2], &ticks[3]) != 4)
        die("a server has ended", process);
    return (double)(ticks[0] + ticks[1] + ticks[2] + ticks[3]);
}

static double server_cpu(const struct work *work) {
    double ticks = 0;
    for (char **process = work->servers; *process; process++)
        ticks += ticks_of(*process);
    return ticks / (double)sysconf(_SC_CLK_TCK);
}

static double client_cpu(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

/* ---- what a client says and hears */

static int connect_path(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0)
        die(path, NULL);
    return fd;
}

static int connect_port(const char *port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)strtoul(port, NULL, 10))};
    int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0)
        die(port, NULL);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

void client_connect(struct client *client, const char *target) {
    struct timeval patience = {PATIENCE_MS / 1000, 0};
    client->fd = strchr(target, '/') ? connect_path(target) : connect_port(target);
    setsockopt(client->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
}

char *client_room(struct client *client, size_t length) {
    if (client->out_capacity - client->out_length < length) {
        client->out_capacity = 2 * (client->out_capacity + length);
        client->out = grown(client->out, client->out_capacity);
    }
    return client->out + client->out_length;
}

void client_said(struct client *client, size_t length) {
    client->out_length += length;
    client->is_dirty = true;
}

void client_say(struct client *client, const char *bytes, size_t length) {
    memcpy(client_room(client, length), bytes, length);
    client_said(client, length);
}

static void watch(struct client *client, int operation, uint32_t events) {
    struct epoll_event event = {.events = events, .data.ptr = client};
    if (epoll_ctl(client->run->epoll, operation, client->fd, &event) != 0)
        die("epoll", NULL);
}

/* Writes what fits. What is left goes when the socket is writable again. */
static void flush(struct client *client) {
    ssize_t sent = send(client->fd, client->out, client->out_length, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno != EAGAIN)
        die("send", NULL);
    size_t left = client->out_length - (size_t)(sent < 0 ? 0 : sent);
    if (left > 0)
        memmove(client->out, client->out + client->out_length - left, left);
    client->out_length = left;
    client->is_dirty = false;
    if (client->is_blocked != (left > 0)) {
        client->is_blocked = left > 0;
        watch(client, EPOLL_CTL_MOD, left > 0 ? EPOLLIN | EPOLLOUT : EPOLLIN);
    }
}

static void hear(struct client *client, int flags) {
    if (client->in_capacity - client->in_length < READ_SIZE) {
        client->in_capacity = 2 * (client->in_capacity + READ_SIZE);
        client->in = grown(client->in, client->in_capacity);
    }
    ssize_t got = recv(client->fd, client->in + client->in_length, client->in_capacity - client->in_length, flags);
    if (got < 0 && errno == EAGAIN && flags != 0)
        return;
    if (got == 0 && client->gone) {
        watch(client, EPOLL_CTL_DEL, 0);
        return;
    }
    if (got <= 0)
        die("a connection", got == 0 ? "closed by the server" : NULL);
    client->in_length += (size_t)got;
    size_t taken = client->run->protocol->take(client, client->in, client->in_length);
    memmove(client->in, client->in + taken, client->in_length - taken);
    client->in_length -= taken;
}

void client_exchange(struct client *client) {
    for (size_t sent = 0; sent < client->out_length;) {
        ssize_t more = send(client->fd, client->out + sent, client->out_length - sent, MSG_NOSIGNAL);
        if (more <= 0)
            die("send", NULL);
        sent += (size_t)more;
    }
    client->out_length = 0;
    client->is_dirty = false;
    hear(client, 0);
}

/* ---- messages */

void write_number(char *digits, uint64_t number) {
    for (size_t n = NUMBER_SIZE; n-- > 0; number /= 10)
        digits[n] = (char)('0' + number % 10);
}

uint64_t read_number(const char *digits, size_t length) {
    uint64_t number = 0;
    if (length != NUMBER_SIZE)
        die("a number", "not of the length that was sent");
    for (size_t n = 0; n < length; n++) {
        if (digits[n] < '0' || digits[n] > '9')
            die("a number", "holds more than digits");
        number = number * 10 + (uint64_t)(digits[n] - '0');
    }
    return number;
}

static void send_next(struct client *client) {
    struct run *run = client->run;
    uint64_t number = run->tally->sent++;
    if (number == run->states_capacity) {
        run->states_capacity = number ? number * 2 : 1 << 16;
        run->states = grown(run->states, run->states_capacity);
    }
    run->states[number] = 0;
    client->numbers[(client->oldest + client->outstanding++) % WINDOW_MAX] = number;
    run->protocol->send(client, number);
}

void run_receipted(struct client *client, uint64_t number) {
    struct run *run = client->run;
    if (number >= run->tally->sent || run->states[number] & RECEIPTED || client->outstanding == 0)
        die("a receipt", "for nothing that waits for one");
    run->states[number] |= RECEIPTED;
    run->tally->receipted++;
    client->outstanding--;
    client->oldest++;
    if (!run->is_over)
        send_next(client);
}

void run_delivered(struct client *client, const char *body) {
    struct run *run = client->run;
    uint64_t number = read_number(body, NUMBER_SIZE);
    if (number >= run->tally->sent)
        die("a message", "that was not sent in this round");
    if (run->states[number] & DELIVERED) {
        run->tally->duplicates++;
        return;
    }
    run->states[number] |= DELIVERED;
    run->tally->delivered++;
}

/* ---- the work */

static bool is_all_through(const struct tally *tally) {
    return tally->receipted == tally->sent && tally->delivered == tally->sent;
}

static bool have_all_left(const struct run *run) {
    for (unsigned n = 0; n < run->client_count; n++)
        if (!run->clients[n].gone)
            return false;
    return true;
}

_Noreturn static void die_of_silence(const struct tally *tally) {
    char what[160];
    snprintf(what, sizeof what, "%lu sent, %lu without receipt, %lu not delivered, %lu delivered again",
             (unsigned long)tally->sent, (unsigned long)(tally->sent - tally->receipted),
             (unsigned long)(tally->sent - tally->delivered), (unsigned long)tally->duplicates);
    die(what, "nothing comes any more");
}

/* What has come is acted on, then what that made the clients say leaves. False: nothing has come in that time. */
static bool try_turn(struct run *run, int wait_ms) {
    struct epoll_event events[EVENTS_MAX];
    int ready = epoll_wait(run->epoll, events, EVENTS_MAX, wait_ms);
    for (int n = 0; n < ready; n++) {
        struct client *client = events[n].data.ptr;
        if (events[n].events & EPOLLOUT)
            client->is_dirty = true;
        if (events[n].events & ~(uint32_t)EPOLLOUT)
            hear(client, MSG_DONTWAIT);
    }
    for (unsigned n = 0; n < run->client_count; n++)
        if (run->clients[n].is_dirty)
            flush(&run->clients[n]);
    return ready > 0;
}

static void turn(struct run *run) {
    if (!try_turn(run, PATIENCE_MS))
        die_of_silence(run->tally);
}

static void send_until(struct run *run, double end) {
    for (unsigned n = 0; n < run->work->producers; n++)
        for (unsigned sent = 0; sent < run->work->window; sent++)
            send_next(&run->clients[n]);
    for (unsigned n = 0; n < run->work->producers; n++)
        flush(&run->clients[n]);
    while (now_s() < end)
        turn(run);
    run->is_over = true;
    while (!is_all_through(run->tally))
        turn(run);
}

static void leave(struct run *run) {
    for (unsigned n = 0; n < run->client_count; n++) {
        struct client *client = &run->clients[n];
        client->leaving = true;
        run->protocol->leave(client);
        if (client->is_dirty)
            flush(client);
    }
    while (!have_all_left(run))
        turn(run);
}

static void open_all(struct run *run) {
    const struct work *work = run->work;
    run->client_count = work->producers + work->consumers;
    run->clients = grown(NULL, run->client_count * sizeof *run->clients);
    run->epoll = epoll_create1(0);
    for (unsigned n = 0; n < run->client_count; n++) {
        struct client *client = &run->clients[n];
        *client = (struct client){.run = run, .produces = n < work->producers};
        run->protocol->open(client, work);
        watch(client, EPOLL_CTL_ADD, EPOLLIN);
        flush(client);
    }
}

static void close_all(struct run *run) {
    for (unsigned n = 0; n < run->client_count; n++) {
        close(run->clients[n].fd);
        free(run->clients[n].in);
        free(run->clients[n].out);
        free(run->clients[n].protocol);
    }
    close(run->epoll);
    free(run->clients);
    free(run->states);
}

/* A message that comes dies in run_delivered(), since this run has sent none. */
static void check_empty(const struct protocol *protocol, const struct work *work) {
    struct work after = *work;
    struct tally tally = {0};
    struct run run = {.protocol = protocol, .work = &after, .tally = &tally};
    after.producers = 0;
    after.consumers = 1;
    open_all(&run);
    double end = now_s() + QUIET_MS / 1e3;
    while (now_s() < end)
        (void)try_turn(&run, QUIET_MS);
    close_all(&run);
}

void run_work(const struct protocol *protocol, const struct work *work, struct tally *tally) {
    struct run run = {.protocol = protocol, .work = work, .tally = tally};
    *tally = (struct tally){0};
    open_all(&run);
    double began = now_s();
    tally->server_cpu -= server_cpu(work);
    tally->client_cpu -= client_cpu();
    send_until(&run, began + work->seconds);
    leave(&run);
    tally->client_cpu += client_cpu();
    tally->server_cpu += server_cpu(work);
    tally->seconds = now_s() - began;
    close_all(&run);
    check_empty(protocol, work);
}
