/*
 * A queue store as the tests use it. Messages are known by their names: what stands in their body before the first
 * space. What was taken is kept by name, so that it can be settled, returned or rejected by name.
 */
#ifndef STORE_QUEUE_PEER_H
#define STORE_QUEUE_PEER_H

#include "queue_contract.h"

#define QUEUE_PEER_TEXT    65536
#define QUEUE_PEER_ENTRIES 16384
#define QUEUE_PEER_NAME    32

/* A message that was taken. */
struct taken {
    char name[QUEUE_PEER_NAME];
    struct entry entry;
};

struct queue_peer {
    const struct queue_contract *contract;
    const char *node;
    const char *boot;
    struct queue_store *store;
    const struct queue_policy *policy; /* of all queues in what follows; queue_peer_open() sets one without limits */
    uint64_t number;                   /* of the last call */
    uint64_t answered;                 /* what calls say: queue_peer_await_reply() keeps it */
    char ready[QUEUE_PEER_TEXT];       /* the queues of `ready` since the last look, each with a line end */
    unsigned ready_order;              /* when the last of them came; as reply.order */
    size_t taken_count;
    struct taken taken[QUEUE_PEER_ENTRIES]; /* in the order of the takes */
};

/*
 * An answer, copied. `text`: what was taken, separated by spaces: "name"; "name*2" at its second delivery;
 * "name<q:x rejected" where it is dead, of queue q:x; with a comma between wants.
 */
struct reply {
    struct queue_peer *peer;
    uint64_t number;
    unsigned order; /* among all that was told, answers and events, when it came */
    bool done;
    enum queue_result result;
    size_t change_count;
    enum change_result changes[QUEUE_CHANGES_MAX];
    size_t entry_count;
    size_t bytes; /* entry.size of all */
    char text[QUEUE_PEER_TEXT];
};

/* A change that is being put together. */
#define DRAFT_MAX 1024

struct draft {
    struct queue_peer *peer;
    struct change *change;
    struct bytes queues[DRAFT_MAX];
    const struct queue_policy *policies[DRAFT_MAX];
};

/* Attaches a store. */
void queue_peer_open(struct queue_peer *peer, const struct queue_contract *contract, const char *node,
                     const char *boot);
void queue_peer_close(struct queue_peer *peer);

/* A message of that name in that queue, its body padded with spaces to `size`. */
struct message *queue_message(const char *queue, const char *name, size_t size);

/* The last entry of that name that was taken; fails the test when there is none. */
struct entry queue_peer_entry(struct queue_peer *peer, const char *name);

/* ---- changes ---- */

/* The queues' names are borrowed until the draft is over. */
void draft_begin(struct draft *draft, struct queue_peer *peer, bool together);
void draft_put(struct draft *draft, const char *queue, const char *name);
void draft_put_message(struct draft *draft, const char *queue, struct message *message, uint64_t lifetime_ms);
void draft_settle(struct draft *draft, const char *queue, const char *name);
void draft_return(struct draft *draft, const char *queue, const char *name, bool counted);
void draft_reject(struct draft *draft, const char *queue, const char *name);
/* Makes the change as a call of its own, waits for the answer, which must be QUEUE_OK, and ends the draft. */
enum change_result draft_make(struct draft *draft);
void draft_end(struct draft *draft);

/* One change of one operation, made at once. */
enum change_result queue_peer_put(struct queue_peer *peer, const char *queue, const char *name);
enum change_result queue_peer_put_sized(struct queue_peer *peer, const char *queue, const char *name, size_t size);
enum change_result queue_peer_put_for(struct queue_peer *peer, const char *queue, const char *name,
                                      uint64_t lifetime_ms);
enum change_result queue_peer_settle(struct queue_peer *peer, const char *queue, const char *name);
enum change_result queue_peer_return(struct queue_peer *peer, const char *queue, const char *name, bool counted);
enum change_result queue_peer_reject(struct queue_peer *peer, const char *queue, const char *name);

/* Messages "1" to "<count>", one change each, in as few calls as may be; all must be done. */
void queue_peer_put_many(struct queue_peer *peer, const char *queue, unsigned count);

/* ---- calls ---- */

/* Each under the next number; they do not wait. `wants` get the peer's policy. */
void queue_peer_call_change(struct queue_peer *peer, const struct draft *drafts, size_t count, struct reply *reply);
void queue_peer_call_take(struct queue_peer *peer, struct queue_want *wants, size_t count, struct reply *reply);
/* The same call again, under the number of the reply. */
void queue_peer_change_again(struct queue_peer *peer, const struct draft *drafts, size_t count, struct reply *reply);
void queue_peer_take_again(struct queue_peer *peer, struct queue_want *wants, size_t count, struct reply *reply);

/* Waits for it: QUEUE_OK or whatever it is. From then on calls say that all up to it are answered, but for QUEUE_AWAY
 * and QUEUE_GONE. */
void queue_peer_await_reply(struct reply *reply);

/* Takes from one queue and waits. Returns the text of the reply, which must be QUEUE_OK; borrowed until the next. */
const char *queue_peer_take(struct queue_peer *peer, const char *queue, uint32_t messages);

/* ---- events ---- */

/* Waits until exactly these queues were told to be ready since the last look: each with a line end. */
void queue_peer_expect_ready(struct queue_peer *peer, const char *queues);

#endif
