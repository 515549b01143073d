/*
 * A server that several nodes' queue stores share, made of bindings and of what is put into their queues. Nothing is kept
 * of the messages but how often each came. Calls are carried out, and answered, one by one when the test says; links
 * break, boots are buried, and all may be lost.
 */
#ifndef TESTS_HUB_BINDING_SERVER_H
#define TESTS_HUB_BINDING_SERVER_H

#include "stompd/base/list.h"
#include "stompd/store/queue_store.h"

#define SERVER_NODES    3
#define SERVER_QUEUES   6
#define SERVER_MESSAGES 512
#define SERVER_NUMBERS  4096 /* of calls of one boot */
#define SERVER_CHANGES  4096 /* of bindings */
#define SERVER_LIST     8    /* changes that a look tells one by one */

struct binding_server;

/* What it keeps on its disk. */
struct server_state {
    const char *topics[SERVER_QUEUES]; /* NULL: not bound */
    uint64_t life;
    uint64_t version;
    unsigned changed[SERVER_CHANGES]; /* queues, by version, counted from the life's first */
    uint64_t seen[SERVER_NODES];      /* what boots act by, as they have told */
};

/* One node's. */
struct server_link {
    struct queue_store store; /* first: the ops get it */
    struct binding_server *server;
    struct list_node calls; /* without an answer, oldest first */
    bool among_nodes;
    bool carried_out[SERVER_NUMBERS];
};

struct binding_server {
    const char *const *queues; /* [SERVER_QUEUES] */
    struct server_state now;
    struct server_state on_disk;
    uint64_t lives;
    unsigned puts[SERVER_QUEUES][SERVER_MESSAGES]; /* how often the message came; its body is its number */
    struct server_link links[SERVER_NODES];
};

/* The names are borrowed. All nodes are there. */
void binding_server_init(struct binding_server *server, const char *const *queues);
void binding_server_free(struct binding_server *server);

/* Carries out the node's oldest call that is not yet; answers the oldest, if it is. False: there is none. */
bool binding_server_carry_out(struct binding_server *server, unsigned node);
bool binding_server_answer(struct binding_server *server, unsigned node);

/* The link breaks: the oldest `done` calls are carried out, the others never; all are answered QUEUE_AWAY. */
void binding_server_break(struct binding_server *server, unsigned node, unsigned done);

/* The boot is none of the nodes any more; or is one again. */
void binding_server_bury(struct binding_server *server, unsigned node);
void binding_server_renew(struct binding_server *server, unsigned node);

/* All bindings are lost, and all nodes. */
void binding_server_empty(struct binding_server *server);

/* It writes to its disk; and is as it was then. All links must break. */
void binding_server_save(struct binding_server *server);
void binding_server_restore(struct binding_server *server);

#endif
