/*
 * What is known of letters (messages of queues) that random clients send, get and settle, and of what was promised about
 * each; it fails the test when a client gets what it should not. Letters are told apart by their numbers. Queues are
 * known by their places: first the queues themselves, then the dead-letter queue of each.
 *
 * Three kinds of promises, by what has happened so far:
 *
 *     always    nothing comes that was not sent, or was taken back; a COMMIT does all or nothing; what was accepted is
 *               settled in the end by somebody who had it, or was rejected out of a dead-letter queue
 *     sound     no boot that lives was declared dead, and the server was not started anew (it may have lost what was done
 *               last, so boots give back what they own) nor lost data: nothing is there twice
 *     exact     nor was anything given back for a dead boot: deliveries are counted as clients have seen them, and who
 *               only takes, and settles, gets the letters of each sender in their order
 */
#ifndef TESTS_HUB_QUEUE_LEDGER_H
#define TESTS_HUB_QUEUE_LEDGER_H

#include <stdbool.h>
#include <stdint.h>

#include "stompd/base/bytes.h"

#define LEDGER_QUEUES        3
#define LEDGER_PLACES        (2 * LEDGER_QUEUES)
#define LEDGER_TOPIC         LEDGER_PLACES /* the place of what COMMIT publishes beside */
#define LEDGER_LETTERS       640
#define LEDGER_DEALS         96
#define LEDGER_CLAIMS        32
#define LEDGER_CONNECTIONS   96
#define LEDGER_SUBSCRIPTIONS 160

/* This queue is full with so many, and its dead-letter queue loses its oldest then. */
#define LEDGER_LIMITED 1
#define LEDGER_LIMIT   8

/* And in this one letters die after so many deliveries. */
#define LEDGER_WEARING    2
#define LEDGER_DELIVERIES 2

enum letter_state {
    LETTER_OPEN,  /* in a transaction that is open */
    LETTER_NEVER, /* that was given up */
    LETTER_SENT,  /* whether it is stored, nobody knows */
    LETTER_TAKEN, /* its RECEIPT has come */
    LETTER_REFUSED
};

/* PERHAPS: an ACK is on its way, or the frame was read by a client that need not send one. */
enum settled { SETTLED_NOT, SETTLED_PERHAPS, SETTLED_SURELY };

struct letter {
    enum letter_state state;
    unsigned sender; /* connection */
    unsigned place;  /* that it was sent to */
    unsigned deal;   /* its transaction, plus one; 0: none */
    unsigned order;  /* of all that was sent */
    bool excused;    /* it may be lost */
    bool seen;
    unsigned seen_at;    /* the place */
    unsigned deliveries; /* there */
    unsigned holder;     /* the subscription that has it, plus one; 0: none */
    bool rejected;       /* perhaps */
    bool lost;           /* who has it has nothing: the data is lost */
    enum settled settled;
    bool doubtful;    /* what was to settle it may have been lost */
    unsigned settler; /* connection */
    unsigned ticket;  /* of the frame that was to settle it */
};

/* What an ACK or NACK in a transaction wants. */
struct claim {
    unsigned letter;
    unsigned place; /* of the queue that it came from */
    bool settles;   /* else it goes back, or is rejected */
    bool rejects;
};

/* A transaction. */
struct deal {
    unsigned connection;
    unsigned ticket; /* its COMMIT; 0: it was not sent */
    bool is_done;
    bool is_void; /* it can't be done: what it settles was lost before */
    unsigned claim_count;
    struct claim claims[LEDGER_CLAIMS];
};

enum ledger_ack { LEDGER_AUTO, LEDGER_CLIENT, LEDGER_INDIVIDUAL };

struct ledger_subscription {
    unsigned connection;
    unsigned place;
    enum ledger_ack ack;
    unsigned prefetch;
    unsigned live; /* the order of what is sent next, when its receipt was read; 0: it was not */
    bool holds;    /* not unsubscribed, by a client that is still there */
    bool gone;     /* UNSUBSCRIBE's receipt was read: nothing may follow */
    unsigned newest_of[LEDGER_CONNECTIONS]; /* order of the newest letter of each sender */
    bool has[LEDGER_LETTERS];               /* of the topic */
};

struct ledger {
    bool sound;
    bool exact;
    bool orderly; /* who takes only takes, and settles */
    bool filled;  /* the server had no memory at some time */
    unsigned orders;
    unsigned tickets;
    unsigned letter_count;
    unsigned deal_count;
    unsigned subscription_count;
    struct letter letters[LEDGER_LETTERS];
    struct deal deals[LEDGER_DEALS];
    struct ledger_subscription subscriptions[LEDGER_SUBSCRIPTIONS];
};

const char *ledger_destination(unsigned place);

/* ---- sending ---- */

/* A letter more; with a deal (plus one) it is open until that is committed. */
unsigned ledger_send(struct ledger *ledger, unsigned sender, unsigned place, unsigned deal);
unsigned ledger_begin(struct ledger *ledger, unsigned connection);
void ledger_claim(struct ledger *ledger, unsigned number, const struct claim *claim);
void ledger_commit(struct ledger *ledger, unsigned number);
void ledger_abort(struct ledger *ledger, unsigned deal);

/* The RECEIPT of a SEND, of a COMMIT, or of a frame with that ticket. */
void ledger_taken(struct ledger *ledger, unsigned letter);
void ledger_committed(struct ledger *ledger, unsigned deal);
void ledger_carried_out(struct ledger *ledger, unsigned ticket);

/* An ERROR, for what its receipt-id names: `deal`: a COMMIT, else a SEND. */
void ledger_refused(struct ledger *ledger, bool deal, unsigned number, const char *why);

/* ---- getting ---- */

/* What a MESSAGE shows. */
struct sighting {
    unsigned letter;
    unsigned subscription;
    bool redelivered;
    unsigned deliveries; /* 1: it does not say */
    struct bytes dead_from;
    struct bytes dead_reason;
};

void ledger_saw(struct ledger *ledger, unsigned connection, const struct sighting *sighting);

/* A letter that a subscription has, of that place: the frame with that ticket settles it, rejects it, or gives it back. */
void ledger_settle(struct ledger *ledger, unsigned number, unsigned connection, unsigned ticket);
void ledger_reject(struct ledger *ledger, unsigned number, unsigned place, unsigned connection, unsigned ticket);
void ledger_give_back(struct ledger *ledger, unsigned letter);

/* The subscription has nothing any more, but for what a transaction has. */
void ledger_unsubscribe(struct ledger *ledger, unsigned number);

/* ---- what happens to all ---- */

/* The connection is gone, and does not hear what came of its COMMITs; `loses`: and perhaps some of what it had said. */
void ledger_disconnect(struct ledger *ledger, unsigned connection, bool loses);
/* Nor was what it had settled carried out, perhaps. */
void ledger_doubt(struct ledger *ledger, unsigned connection);
/* All that was stored so far may be lost. */
void ledger_lose_all(struct ledger *ledger);
/* Nothing is under way any more. */
void ledger_rest(struct ledger *ledger);

/* All has been consumed: what was accepted was settled, and COMMITs were done whole or not at all. */
void ledger_check_all(const struct ledger *ledger);
/* What COMMITs have published has come to all who had subscribed before. */
void ledger_check_topic(const struct ledger *ledger);

#endif
