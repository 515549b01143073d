/*
 * Random clients of queues in a simulated cluster. Each does one thing at a time, which is drawn from the seed: send, get,
 * settle, come or go; what it does and what it gets is noted in the ledger (queue_ledger.h), which fails the test when
 * that is not as promised.
 */
#ifndef TESTS_HUB_QUEUE_CLIENTS_H
#define TESTS_HUB_QUEUE_CLIENTS_H

#include "base/random.h"
#include "cluster_simulator.h"
#include "queue_ledger.h"

#define PLAYERS 8
#define HELD    128

/* A letter that a client has and has not acknowledged, or not yet committed. */
struct held {
    unsigned letter;
    unsigned subscription;
    bool claimed;
    char id[64]; /* what ACK names it by */
};

struct player {
    struct sim_client *client; /* NULL: not connected */
    unsigned connection;
    bool old;      /* it speaks 1.1 */
    bool leaving;  /* DISCONNECT was sent, or its session was ended */
    bool ended;    /* it was, though why may have yet to be read */
    bool slow;     /* its socket takes nothing */
    unsigned deal; /* its open transaction, plus one; 0: none */
    unsigned held_count;
    struct held held[HELD];
};

struct connection_record {
    unsigned node;
    unsigned boot;
};

/* Of all runs. */
struct tally {
    unsigned rests; /* how often nothing moved any more */
    unsigned waits; /* and letters waited, all the same, for somebody who could have them */
};

struct run {
    struct tally *tally;
    uint64_t seed;
    uint64_t random;
    unsigned faults; /* a bit for each kind that may happen */
    bool lost;       /* the server has lost its data */
    bool leaves;     /* clients may go, and give back; else those with even numbers send, and the others take */
    bool heavy;      /* some letters are so large that a take, or a slow client, has enough of a few, */
    unsigned large;  /* so many more */
    struct cluster_simulator *simulator;
    bool cut[SIM_NODES_MAX];
    struct player players[PLAYERS];
    unsigned connection_count;
    struct connection_record connections[LEDGER_CONNECTIONS];
    struct policy policies[2];
    struct ledger ledger;
};

static inline unsigned run_draw(struct run *run, unsigned bound) {
    return (unsigned)random_below(&run->random, bound);
}

static inline struct sim_node *run_draw_node(struct run *run) {
    return &run->simulator->nodes[run_draw(run, run->simulator->node_count)];
}

static inline unsigned run_index_of(const struct run *run, const struct sim_node *node) {
    return (unsigned)(node - run->simulator->nodes);
}

static inline struct ledger_subscription *run_subscription(struct run *run, unsigned number) {
    return &run->ledger.subscriptions[number];
}

/* One thing, whatever it is. */
void client_act(struct run *run, struct player *player);

/* If the node takes clients. */
void client_connect(struct run *run, struct player *player, const struct sim_node *node);

/* The socket goes without a word. */
void client_drop(struct run *run, struct player *player);

/* DISCONNECT, whose receipt is yet to be read. */
void client_disconnect(struct run *run, struct player *player);

/* Its session has not taken all that the client has said, or won't act on it. */
bool client_loses(const struct player *player);

/* Its session is freed by somebody else; `loses`: perhaps with some of what it has said. */
void client_forget(struct run *run, struct player *player, bool loses);

/* Takes note of sessions that were ended: their clients have nothing any more, though they may have yet to read why. */
void clients_notice_ended(struct run *run);

/* Up to `most` frames, unless the client is slow. Returns how many. */
unsigned client_read(struct run *run, struct player *player, unsigned most);

void client_subscribe(struct run *run, struct player *player, unsigned place);
void client_unsubscribe(struct run *run, struct player *player, unsigned number);

/* One of what it has that no transaction has claimed. False: there is none. */
bool client_pick_held(struct run *run, const struct player *player, unsigned *picked);

/* ACK, NACK or a NACK that rejects, in its open transaction or outside of any. */
void client_acknowledge(struct run *run, struct player *player, unsigned n, bool settles, bool rejects, bool in_deal);

/* COMMIT or ABORT of its open transaction. */
void client_end_deal(struct run *run, struct player *player, bool commits);

#endif
