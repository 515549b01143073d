/*
 * The work of bench/queue.mjs, whatever broker does it: producers send numbered messages, each with at most `window` of
 * them without a receipt; consumers are given them, at most `prefetch` at a time, and acknowledge each. After so many
 * seconds nothing more is sent, and the clock stops when every message was receipted, delivered and acknowledged. Then
 * one more consumer comes, and must get nothing: what was not settled would come again.
 *
 * One thread and one epoll for all clients: what a turn makes a client say leaves in one write. Protocols are
 * queue_stomp.c and queue_redis.c. A message that is lost, or anything unexpected, ends the program with status 1.
 */
#ifndef BENCH_QUEUE_RUN_H
#define BENCH_QUEUE_RUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BODY_SIZE   128 /* bytes; its number in decimal, then filled up */
#define NUMBER_SIZE 10  /* digits */
#define QUEUE_NAME  "bench"
#define PATIENCE_MS 20000
#define WINDOW_MAX  1024

struct work {
    const char *target; /* of all clients: a port on 127.0.0.1, or a path */
    unsigned producers;
    unsigned consumers;
    unsigned window;
    unsigned prefetch;
    double seconds; /* of sending */
    char **servers; /* whose CPU is counted: process ids, up to a NULL */
};

struct tally {
    uint64_t sent;
    uint64_t receipted;
    uint64_t delivered;  /* each once */
    uint64_t duplicates; /* deliveries beyond the first one */
    double seconds;      /* from the first SEND to the last thing done */
    double server_cpu;   /* seconds, user and system, in that time */
    double client_cpu;   /* this program's own */
};

struct run;

struct client {
    struct run *run;
    int fd;
    bool produces;
    bool leaving;         /* it has been told to: nothing follows but the last answers */
    bool gone;            /* all was answered */
    bool is_dirty;        /* something is to be written */
    bool is_blocked;      /* the socket takes no more for now */
    unsigned outstanding; /* messages without receipt, or commands without an answer */
    uint64_t oldest;      /* for protocols whose receipts have no number: where in `numbers` the next one's is */
    uint64_t numbers[WINDOW_MAX];
    char *in;
    size_t in_length;
    size_t in_capacity;
    char *out;
    size_t out_length;
    size_t out_capacity;
    void *protocol; /* the protocol's own, freed at the end; NULL is allowed */
};

struct protocol {
    /* Connects and says all that comes before the work. May wait. */
    void (*open)(struct client *client, const struct work *work);
    /* Appends message `number` to what the client says. */
    void (*send)(struct client *client, uint64_t number);
    /* Acts on what has come, and returns how much of it: the rest comes again with what follows it. */
    size_t (*take)(struct client *client, const char *bytes, size_t length);
    /* Appends what ends the client's work; `gone` is set then, or by take() when that was answered. */
    void (*leave)(struct client *client);
};

extern const struct protocol stomp_protocol;
extern const struct protocol redis_protocol;

/* Does it all. */
void run_work(const struct protocol *protocol, const struct work *work, struct tally *tally);

/* What a protocol calls. */

_Noreturn void die(const char *what, const char *why);
/* Waits for the connection. */
void client_connect(struct client *client, const char *target);
/* Room for as many bytes behind what the client says; client_said() counts them. */
char *client_room(struct client *client, size_t length);
void client_said(struct client *client, size_t length);
void client_say(struct client *client, const char *bytes, size_t length);
/* Writes all of it, and waits for the first bytes that come and gives them to take(). For open(). */
void client_exchange(struct client *client);

void run_receipted(struct client *client, uint64_t number);
/* `body` has BODY_SIZE bytes. */
void run_delivered(struct client *client, const char *body);

void write_number(char *digits, uint64_t number);
/* Digits only, or it dies. */
uint64_t read_number(const char *digits, size_t length);

#endif
