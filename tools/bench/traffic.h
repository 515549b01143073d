/*
 * Messages from publishers to receivers, measured: warm-up, the measured time, and a wait for what is still on its way.
 * In a closed loop each publisher has at most a window of messages that are not complete; in an open loop messages leave
 * by the clock, and their latency counts from when they were due, so that a server that stalls can't hide it.
 */
#ifndef BENCH_TRAFFIC_H
#define BENCH_TRAFFIC_H

#include "bench/group.h"
#include "bench/histogram.h"
#include "bench/ledger.h"
#include "bench/result.h"
#include "bench/stamp.h"

struct traffic;
struct receiver;

/* What a command decides. */
struct traffic_kind {
    const char *publisher; /* what they are called; begins with a p */
    const char *receiver;
    const char *prefix; /* of a destination: "/topic/" */
    bool is_for_one;    /* a message is for one receiver, not for all of its publisher's */
    bool has_receipts;  /* a message is complete with its deliveries and a RECEIPT */
    bool counts_closed; /* a receiver whose connection ends is counted; otherwise it ends the tool */
    /* Writes where the publisher sends to. What `target` is NULL for stays so for all its messages. */
    void (*destination)(const struct traffic *traffic, unsigned publisher, char *to, size_t size);
    /* Whom message `number` is for, written over the digits 00000000 of the destination. NULL: there are none. */
    uint64_t (*target)(const struct traffic *traffic, unsigned publisher, uint64_t number);
    /* Says the SUBSCRIBEs, the last with "receipt:ready". */
    void (*subscribe)(struct receiver *receiver);
    /* "ready" has come. NULL: that was all. */
    void (*subscribed)(struct receiver *receiver);
    /* As what the ledger knows the receiver of this message; negative: it should not have come there. */
    int64_t (*seat)(const struct traffic *traffic, const struct receiver *receiver, const struct stamp *stamp);
    /* Something else to do with a message. NULL: nothing. */
    void (*took)(struct receiver *receiver, const struct frame *frame);
};

/* A message on its way. */
struct slot {
    uint64_t sent_ns;
    unsigned left; /* deliveries, and a receipt, until it is complete */
};

struct publisher {
    struct client client; /* first */
    char *frame;          /* a SEND, of which only the next are written again */
    size_t frame_size;
    size_t stamp_at;
    size_t digits_at;   /* 0: none */
    size_t receipt_at;  /* 0: none */
    uint64_t next;      /* number of the next message */
    uint64_t oldest;    /* of those that are not complete; closed loop only */
    struct slot *slots; /* by number modulo window */
};

struct receiver {
    struct client client;   /* first */
    uint64_t subscriptions; /* of match: how many it has */
};

struct traffic {
    struct loop *loop;
    const struct options *options;
    const struct traffic_kind *kind;
    char base[512]; /* of destinations */
    struct group publishers;
    struct group receivers;
    unsigned seats; /* how many receivers a publisher has, for the ledger and the window */
    unsigned deliveries_each;
    char *filler;           /* of bodies, behind the stamp */
    uint64_t subscriptions; /* of match: how many there are */
    bool is_open;           /* all clients are ready */
    bool is_over;           /* whoever is closed now may be */

    /* of the present measurement */
    uint32_t run;
    uint64_t rate; /* 0: closed loop */
    uint64_t begin_ns;
    uint64_t measure_ns;
    uint64_t stop_ns;
    bool is_stopped; /* nothing more is sent */
    uint64_t sent;
    uint64_t receipts;
    uint64_t strays;
    uint64_t damaged;
    uint64_t closed; /* receivers, since all were open */
    uint64_t measured_sent;
    uint64_t measured_deliveries;
    uint64_t last_word_ns; /* when anything came */
    struct ledger ledger;
    struct histogram latency;
};

/* Opens all clients. `seats` is as in the struct. `traffic` must be zero; traffic_close() is due. */
void traffic_open(struct traffic *traffic, struct loop *loop, const struct traffic_kind *kind, unsigned publishers,
                  unsigned receivers, unsigned seats);

/* One measurement; several may follow each other. 0: a closed loop. */
void traffic_measure(struct traffic *traffic, uint64_t rate, struct result *result);

/* One message to all, and a wait until it is there: nanoseconds from one to the other. What went wrong is added. */
uint64_t traffic_send_one(struct traffic *traffic, struct result *result);

/* The servers' processes, all zero without --pid. */
struct usage traffic_server_usage(const struct options *options);

/* One for each of --rates, or one in a closed loop. */
void traffic_measure_all(struct traffic *traffic, struct results *results);

void traffic_close(struct traffic *traffic);

/* ---- publisher.c */

/* Makes the frame and the window. */
void publisher_init(struct publisher *publisher, const struct traffic *traffic);
void publisher_free(struct publisher *publisher);

/* Says the next message. */
void publisher_send(struct publisher *publisher, struct traffic *traffic, uint64_t time_ns);

/* In a closed loop: sends as long as the window allows. */
void publisher_fill(struct publisher *publisher, struct traffic *traffic);

/* One of the deliveries that complete the message has come, or its receipt. */
void publisher_credit(struct publisher *publisher, struct traffic *traffic, uint64_t number);

/* In a closed loop: what is older than --timeout waits no longer. */
void publisher_give_up(struct publisher *publisher, struct traffic *traffic);

#endif
