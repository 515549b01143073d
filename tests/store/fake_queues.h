/*
 * The queues of a fake_server, which all its stores share. What the scripts of queues in Redis do (src/store/lua/) is
 * written in fake_queues.c once more, in C: who has what, how often it was delivered, answers that are kept by number,
 * and words to the nodes that wait. Calls are commands of their store's link (fake_command.h), so they come in order
 * with all others; they may be carried out after the link broke, and their answers may be lost.
 */
#ifndef STORE_FAKE_QUEUES_H
#define STORE_FAKE_QUEUES_H

#include "fake_store.h"
#include "stompd/store/queue_store.h"

/* The owner of what was returned. */
#define FAKE_FREE "free"

struct fake_entry {
    struct list_node in_queue;
    struct entry entry;
    struct buffer owner; /* a boot, or FAKE_FREE; empty: it was never delivered */
    uint32_t deliveries;
    uint64_t expires_ms; /* 0: never */
    struct buffer payload;
    struct buffer dead_from;
    enum dead_reason dead;
};

struct fake_queue {
    struct list_node in_server;
    struct buffer name;
    struct list_node entries; /* in the order of their ids */
    uint64_t count;
    uint64_t bytes;
    struct list_node waiting; /* struct fake_waiting: nodes that got less than they wanted */
    uint64_t idle_ms;
    uint64_t goes_ms; /* it is empty, and goes then; 0: it is not */

    /* While a call is carried out: */
    bool used;
    bool looked; /* for what has expired */
    size_t ready;
};

struct fake_waiting {
    struct list_node in_queue;
    struct buffer node;
};

/* What a boot's calls have left. */
struct fake_calls {
    struct list_node in_server;
    struct buffer boot;
    uint64_t floor; /* below it calls are void */
    struct list_node kept;
    size_t count;
    uint64_t acting; /* the version of the bindings by which the boot acts */
};

struct fake_binding {
    struct list_node in_server;
    struct buffer queue;
    struct buffer topic; /* empty: it is bound no more */
    uint64_t version;    /* of its last change */
};

/* ---- calls on their way ---- */

/* A queue, with what holds for it. */
struct fake_target {
    struct buffer queue;
    struct buffer dead; /* its dead-letter queue; empty: it has none */
    struct queue_policy policy;
};

struct fake_operation {
    struct fake_target target;
    enum operation_kind kind;
    bool counted;
    uint64_t lifetime_ms;
    struct buffer payload;
    struct entry entry;
};

struct fake_change {
    bool together;
    size_t count;
    struct fake_operation *operations;
};

struct fake_want {
    struct fake_target target;
    uint32_t messages;
};

/* A binding, on its way. */
struct fake_bound {
    struct buffer queue;
    struct buffer topic;
};

struct fake_taken {
    size_t want;
    struct entry entry;
    uint32_t deliveries;
    struct buffer payload;
    struct buffer dead_from;
    enum dead_reason dead;
};

struct fake_answer {
    enum queue_result result;
    bool late; /* nothing was done: a broken link has left the call behind, and its answer was known */
    size_t result_count;
    enum change_result *results;
    size_t taken_count;
    struct fake_taken *taken;
    struct buffer ready; /* queues for which this node itself had waited, each with a NUL behind it */
    struct queue_counts counts;
    uint64_t life;
    uint64_t version;
    uint64_t everywhere;
    size_t bound_count;
    struct fake_bound *bound;
    bool complete;
};

enum fake_queue_kind { FAKE_CHANGE, FAKE_TAKE, FAKE_RECOVER, FAKE_BIND, FAKE_UNBIND, FAKE_LOOK };

struct fake_queue_store;

/* Arguments, copied, and the answer. */
struct fake_queue_call {
    enum fake_queue_kind kind;
    struct fake_queue_store *store; /* who is told */
    struct queue_call told;         /* done is NULL: nobody waits */
    uint64_t number;
    uint64_t answered;
    size_t change_count;
    struct fake_change *changes;
    size_t want_count;
    struct fake_want *wants;
    struct fake_bound binding; /* FAKE_BIND, FAKE_UNBIND */
    uint64_t acting;           /* FAKE_LOOK */
    struct fake_answer answer;
};

/* No arguments, no answer. */
struct fake_queue_call *fake_queue_call_new(struct fake_queue_store *store, enum fake_queue_kind kind,
                                            struct queue_call told);
void fake_queue_call_free(struct fake_queue_call *call);

/* ---- the server's part ---- */

struct fake_queue *fake_queues_find(struct fake_server *server, struct bytes name);
struct fake_calls *fake_queues_find_calls(struct fake_server *server, struct bytes boot);
/* The same; there is one then. */
struct fake_calls *fake_queues_need_calls(struct fake_server *server, struct bytes boot);
/* With what it holds. */
void fake_queues_remove(struct fake_queue *queue);

void fake_queues_execute(struct fake_queue_call *call, struct fake_server *server, struct bytes node,
                         struct bytes boot);

/*
 * Gives up to `most` of what a dead boot has back to their queues, for the boot `by`. False: more is left. With the last
 * its kept answers go.
 */
bool fake_queues_bury(struct fake_server *server, const struct fake_node *dead, size_t most, struct bytes by);

/* Calls about bindings (fake_bindings.c). */
void fake_bindings_execute(struct fake_queue_call *call, struct fake_server *server, struct bytes boot);
bool fake_bindings_have(struct fake_server *server, struct bytes queue);
void fake_bindings_empty(struct fake_server *server);

/* Empty queues go in time. */
void fake_queues_advance(struct fake_server *server);
void fake_queues_empty(struct fake_server *server);

/* ---- the store's part ---- */

struct fake_queue_store *fake_queue_store_new(struct store *store, const char *boot, unsigned owners,
                                              const struct queue_events *events, void *arg);
/* NULL is allowed. */
void fake_queue_store_free(struct fake_queue_store *queues);
struct queue_store *fake_queue_store_front(struct fake_queue_store *queues);
/* The highest number that was carried out for somebody who waited; the server's to keep. */
uint64_t *fake_queue_store_carried_out(struct fake_queue_store *queues);

/* Tells whoever waits; `away`: that the link broke. */
void fake_queue_store_tell(struct fake_queue_call *call, bool away);

#endif
