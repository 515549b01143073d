/*
 * Private to hub/: this node's users and their sessions, the truth of which the store's registry is a copy. What
 * changes is written at the end of the hub's turn, many sessions a call. Nothing is queued while the store is away:
 * when it is back, or was emptied, the copy is made equal to the truth again: what it has too much is removed, page by
 * page, and all that is here is added.
 *
 * Pure book-keeping on top of the store. One owner, the hub. Without a cluster there is no store, and the truth alone
 * answers.
 */
#ifndef STOMPD_HUB_REGISTRY_H
#define STOMPD_HUB_REGISTRY_H

#include "stompd/base/map.h"
#include "stompd/edge/mail.h"
#include "stompd/store/store.h"

struct registry;

/* `store` is NULL on a node on its own. `gone` is called when the store says STORE_GONE. NULL when out of memory. */
MUST_CHECK struct registry *registry_new(struct store *store, void (*gone)(void *arg), void *arg);
/* NULL is allowed. */
void registry_free(struct registry *registry);

/* A session of a user has come or gone. Out of memory is logged: the session is then missing in what is answered. */
void registry_open(struct registry *registry, struct bytes id, struct bytes name);
void registry_close(struct registry *registry, struct bytes id);

/* The same as a worker tells it. */
void registry_take_mail(struct registry *registry, const struct mail_session *mail);

/* Writes to the store what has changed, and tries again what it refused a while ago; at the end of the hub's turn. */
void registry_flush(struct registry *registry, uint64_t now_ms);

/* This boot has a new entry, or the link is new: makes the store's copy equal to the truth. */
void registry_restore(struct registry *registry);
/* The link is gone: what is under way is void. */
void registry_down(struct registry *registry);

/* True when the store has, and has acknowledged, all that is here. */
bool registry_is_settled(const struct registry *registry);

size_t registry_sessions(const struct registry *registry);
size_t registry_users(const struct registry *registry);

/* This node's sessions of a user, in the order they came. */
void registry_user_sessions(const struct registry *registry, struct bytes name,
                            void (*visit)(void *arg, struct bytes session), void *arg);

/*
 * This node's users in the order of their names' bytes, those after `after` (empty: from the first), `limit` at most.
 * False when out of memory. For answers while the store is away, so its cost may be linear.
 */
MUST_CHECK bool registry_users_page(const struct registry *registry, struct bytes after, unsigned limit,
                                    void (*visit)(void *arg, const struct store_user *user), void *arg);

#endif
