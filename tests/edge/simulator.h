/*
 * Several workers in one thread, without sockets: each has its router, its session_env, its mailbox and its sessions,
 * wired as src/edge/connection.c and worker.c do it. Tests feed clients' frames, move mail one by one, in an order that
 * they choose or that is drawn from a seed, and read what sessions write. Mail from one worker to another keeps its
 * order, as in a real mailbox. For a node of a cluster the test plays the hub (tests/hub/cluster_simulator.h).
 */
#ifndef TESTS_EDGE_SIMULATOR_H
#define TESTS_EDGE_SIMULATOR_H

#include "stompd/edge/router.h"

#define SIM_WORKERS_MAX 4
#define SIM_CLIENTS_MAX 32

struct simulator;

struct sim_worker {
    struct simulator *simulator;
    struct session_env env;
    struct router router;
    struct mailbox mailbox;
    struct mail_batch arrived[SIM_WORKERS_MAX + 1]; /* by sender; `oldest` is taken first, next leads to the newer */
    struct mailbox hub;                             /* the hub's, one a worker */
    struct mail_batch for_hub;                      /* sessions that have come or gone, to be posted */
    struct mail_batch at_hub;                       /* as arrived[] */
    unsigned handled[MAIL_SESSION + 1];             /* mail handled so far, by type */
    struct list_node resuming;                      /* clients whose sessions take input again */
};

/* A session and what its client does; session->transport points here. */
struct sim_client {
    struct sim_worker *worker;
    struct session *session;
    struct list_node resuming;
    bool entered;        /* the hub was told of its session */
    struct buffer stash; /* input that the session has not taken yet */
    struct buffer frame; /* the last one read */
};

struct simulator {
    struct session_limits limits; /* generous; a test lowers what it is about */
    struct policies policies;     /* none: the defaults hold */
    uint64_t random;              /* the order in which mail is handled */
    unsigned worker_count;
    unsigned hub; /* 1: there is one, the test; it sends mail as number `worker_count` */
    bool cluster; /* it stands for other nodes */
    struct sim_worker workers[SIM_WORKERS_MAX];
    struct sim_client *clients[SIM_CLIENTS_MAX];
    size_t client_count;
};

struct simulator *simulator_new(unsigned worker_count, uint64_t seed);

/* The same with a hub that stands for no other nodes. */
struct simulator *simulator_new_with_lone_hub(unsigned worker_count, uint64_t seed);

/* The same with the hub of a node of a cluster, for a boot ("<node>:<boot id>"); both strings are borrowed. */
struct simulator *simulator_new_with_hub(unsigned worker_count, uint64_t seed, const char *boot, const char *boot_id);

/* For the hub: the oldest mail that the worker has sent it, the caller's to free. NULL: nothing is under way. */
struct mail *sim_take_for_hub(struct simulator *simulator, unsigned worker);

/* Frees clients, the mail in flight and the workers, in any state. */
void simulator_free(struct simulator *simulator);

/* An OPEN session on that worker, STOMP 1.2, its CONNECTED read. `login` NULL: anonymous; any passcode is right. */
struct sim_client *sim_connect(struct simulator *simulator, unsigned worker, const char *login);

/* The same with another version, such as "1.1". */
struct sim_client *sim_connect_as(struct simulator *simulator, unsigned worker, const char *login, const char *version);

/* The socket is gone. */
void sim_close(struct sim_client *client);

/* Publishers of the worker need not wait any more. */
void sim_uncongest(struct sim_worker *worker);

/* Bytes from the client; what the session does not take is kept until it resumes. */
void sim_feed(struct sim_client *client, const char *bytes, size_t len);

/* One frame, its NUL added. */
void sim_send(struct sim_client *client, const char *format, ...) PRINTF_LIKE(2, 3);

/* The next frame that the session writes, as text up to the NUL that ends it, or NULL. Valid until the next is read. */
const char *sim_read(struct sim_client *client);

/* The header's value in a frame; .data is NULL when it has none of that name. */
struct bytes sim_header(const char *frame, const char *name);

const char *sim_body(const char *frame);

/* The next frame must be that one; returns it. */
const char *sim_expect_receipt(struct sim_client *client, const char *id);
const char *sim_expect_message(struct sim_client *client, const char *subscription, const char *body);
void sim_expect_nothing(struct sim_client *client);

/*
 * Worker `from` posts what it has collected; worker `to` handles the oldest mail that it has from there, which must be
 * of that type, then feeds sessions whose input may go on. `from` may be the hub, which has posted already.
 */
void sim_step(struct simulator *simulator, unsigned from, unsigned to, enum mail_type type);

/* Worker `to` handles all that is under way from `from`. */
void sim_step_all(struct simulator *simulator, unsigned from, unsigned to);

/* A random worker handles one piece of mail. False: nothing is under way. */
bool sim_step_random(struct simulator *simulator);

/* Moves mail in random order until nothing is under way and no session has anything left to do. */
void sim_settle(struct simulator *simulator);

#endif
