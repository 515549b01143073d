/*
 * Private to hub/: which of the store's channels this node is subscribed to, because workers have announced interest.
 *
 *     (absent) --first interest--> ASKING --subscribed--> LIVE --last interest gone--> RELEASING (a second)
 *        ^                           ^                      ^                              |
 *        |                           |                      +----- new interest -----------+
 *        |                           |                                                     v second over
 *        +--- unsubscribed ----------+---- unsubscribed, new interest meanwhile ------- LEAVING
 *
 * Announcements are confirmed to their workers when their channel is live. While the link is down every channel is
 * ASKING; when it is back all are asked for again, and this node's own channel last, so that its acknowledgement says
 * that all interest is in place.
 *
 * It also answers which workers want a message. One owner, the cluster; time is an argument.
 */
#ifndef STOMPD_HUB_CHANNELS_H
#define STOMPD_HUB_CHANNELS_H

#include "stompd/base/list.h"
#include "stompd/base/map.h"
#include "stompd/edge/mail.h"
#include "stompd/route/trie.h"
#include "stompd/store/channel.h"

/* How long a channel that nobody wants any more stays subscribed. */
#define CHANNELS_RELEASE_MS 1000

struct channels {
    struct store *store;
    struct mail_batch *outgoing; /* [workers]: confirmations go here */
    void (*credit)(void *arg, unsigned worker, uint64_t bytes);
    void *arg;
    unsigned workers;
    unsigned from; /* what the hub calls itself in mail */
    struct trie *topics;
    struct trie *users;
    struct map *announced;   /* [workers * 3]: struct announcement by worker and kind */
    struct map by_name[2];   /* struct channel, by enum store_channel */
    struct channel *own;     /* `n:<node>` */
    struct list_node asking; /* channels that wait for `subscribed`, in the order they were asked for */
    struct list_node releasing;
    struct buffer name; /* scratch */
    bool up;
};

/*
 * `credit`: something of a worker's is worked off: an announcement when its channel is live, the withdrawal of the last
 * one when its channel is left; so that whoever subscribes and unsubscribes without end has to wait for the store.
 * False when out of memory.
 */
MUST_CHECK bool channels_init(struct channels *channels, struct store *store, struct bytes node, unsigned workers,
                              struct mail_batch *outgoing, void (*credit)(void *arg, unsigned worker, uint64_t bytes),
                              void *arg);
void channels_free(struct channels *channels);

/* MAIL_ANNOUNCE and MAIL_WITHDRAW of a worker. */
void channels_announce(struct channels *channels, const struct mail_interest *mail, uint64_t now_ms);
void channels_withdraw(struct channels *channels, const struct mail_interest *mail, uint64_t now_ms);

/* The link came: asks for everything. The link went. */
void channels_up(struct channels *channels);
void channels_down(struct channels *channels);

/* The store's events. The first returns true when it was the last of those that channels_up() asked for. */
bool channels_subscribed(struct channels *channels, enum store_channel kind, struct bytes name);
void channels_unsubscribed(struct channels *channels, enum store_channel kind, struct bytes name);

/* All interest of this node is in place. */
bool channels_are_live(const struct channels *channels);

/* Every 100 ms or so: lets go of what was released a second ago. */
void channels_tick(struct channels *channels, uint64_t now_ms);

/* How many are subscribed to or about to be. */
size_t channels_count(const struct channels *channels);

/* A bit for each worker that wants the message. False when out of memory. */
MUST_CHECK bool channels_match(struct channels *channels, const struct message *message, uint64_t *workers);

#endif
