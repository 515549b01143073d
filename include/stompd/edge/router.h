/*
 * A worker's routing: who of its own sessions and which other workers get a message. It holds the topics and the user
 * destinations of its sessions, its interest as announced to the other workers, and theirs as announced to it; and it
 * keeps count of what was published to each, so that publishers pause when a worker falls behind. The hub is one more
 * peer, which announces interest like a worker; in a cluster it stands for all other nodes too, gets whatever is published
 * here, and hears of all interest. One owner; talks to its peers by mail only.
 *
 *     SUBSCRIBE: first holder of a key -> MAIL_ANNOUNCE to every peer -> MAIL_CONFIRM from each -> live
 *     SEND:      one look-up gives own subscriptions, for session_deliver(), and interested peers, for a MAIL_PUBLISH each
 */
#ifndef STOMPD_EDGE_ROUTER_H
#define STOMPD_EDGE_ROUTER_H

#include "stompd/edge/mail.h"
#include "stompd/session/session.h"

/*
 * Publishers and subscribers wait while a peer has more than the high-water mark of what we sent before it, until all
 * are below the low one.
 */
#define ROUTER_HIGH_WATER (8u << 20)
#define ROUTER_LOW_WATER  (4u << 20)

/* Another worker or the hub, as this one sees it. */
struct peer {
    struct mailbox *mailbox;    /* NULL for the worker itself */
    struct mail_batch outgoing; /* posted at the end of the turn */
    struct map interests[3];    /* what it has announced: struct peer_interest, by kind */
    uint64_t unsettled;         /* what it was sent and has not worked off, in bytes of router_cost() */
    uint64_t owed;              /* of what it sent, what we have worked off and have not told */
};

struct router {
    struct session_env *env;
    unsigned index;     /* this worker */
    unsigned count;     /* workers; in mail also the hub's number */
    unsigned hub;       /* 1: there is a peer `count`; else 0 */
    bool cluster;       /* it stands for other nodes */
    struct peer *peers; /* [count + hub] */
    struct trie *topics;
    struct trie *users;
    struct interests interests;
};

/*
 * `mailboxes` has `count` entries, that of this worker included; `hub` may be NULL where there is no cluster. In one, the
 * other nodes are away until the hub says otherwise. False when out of memory.
 */
MUST_CHECK bool router_init(struct router *router, struct session_env *env, unsigned index, unsigned count,
                            struct mailbox *const *mailboxes, struct mailbox *hub, bool cluster);

/* All sessions must be gone. */
void router_free(struct router *router);

/* See session_ops: subscribe, unsubscribe, publish. */
MUST_CHECK bool router_subscribe(struct router *router, struct subscription *subscription,
                                 const struct destination *destination);
void router_unsubscribe(struct router *router, struct subscription *subscription);
MUST_CHECK bool router_publish(struct router *router, struct message *message);

/* Acts on mail from a peer, which stays the caller's to free. False: it is none of the router's. */
MUST_CHECK bool router_take_mail(struct router *router, const struct mail *mail);

/* What a published message, and an announcement or withdrawal, count for until their credit comes, in bytes. */
uint64_t router_cost(const struct message *message);
uint64_t router_interest_cost(size_t key_len);

/* Posts what the turn has collected for the peers. */
void router_post(struct router *router);

#endif
