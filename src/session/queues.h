/*
 * Private to session/: a session's part in queues. What its frames want there goes out as changes, and what waits for
 * their results is a `pending`; what comes from a queue is a delivery of one of its consumers until it is settled.
 */
#ifndef SESSION_QUEUES_H
#define SESSION_QUEUES_H

#include "stompd/session/session.h"

/* ---- changes ---- */

/*
 * Hands the change out, for the frame whose receipt follows once it is done. A transaction's messages are published then;
 * it must be closed. Takes over both in any case; `transaction` and `receipt` may be NULL. `queue` is what an ERROR calls
 * the queue. False: out of memory, noted as fault.
 */
MUST_CHECK bool queues_submit(struct session *session, struct change *change, struct transaction *transaction,
                              const struct bytes *receipt, struct bytes queue);

/*
 * The queue of a durable subscription goes, for the frame whose receipt (or NULL) follows once it is gone. False: out of
 * memory, noted as fault.
 */
MUST_CHECK bool queues_end_durable(struct session *session, struct bytes queue, const struct bytes *receipt);

/* Whether so much is under way that the session should send no more for now. */
bool queues_are_busy(const struct session *session);

/* When the store has been silent for too long; UINT64_MAX: it has not to answer anything. */
uint64_t queues_due(const struct session *session);

/* ---- deliveries ---- */

/* The subscription's consumer, which begins to receive; with a `topic`, a durable one. False: out of memory, noted as fault. */
MUST_CHECK bool queues_attach(struct session *session, struct subscription *subscription, struct bytes queue,
                              uint32_t prefetch, struct bytes topic);

/*
 * Gives back what the subscription's consumer has, and frees it. Does nothing without one. The outbox must have none of
 * its messages any more.
 */
void queues_detach(struct session *session, struct subscription *subscription);

/*
 * What ACK and NACK find a delivery by before 1.2, in env->key: by its message-id and its subscription's, since a session
 * may get one message by two subscriptions. False: out of memory.
 */
MUST_CHECK bool queues_key(struct session_env *env, struct bytes subscription, struct bytes id, struct bytes *key);

/* The delivery that has such a key, for an ACK or NACK. NULL: none, or none any more. */
struct delivery *queues_find(const struct session *session, struct bytes key);

/* What has been handed to the socket counts as delivered. */
void queues_wrote(struct session *session);

/* And it has left the process: what needs no ACK is settled. */
void queues_flushed(struct session *session);

/*
 * Takes the delivery for an ACK or NACK: into the transaction, or (NULL) into the change, and then it is gone. False: out
 * of memory, or the transaction has too much in it, noted as fault.
 */
MUST_CHECK bool queues_claim(struct session *session, struct delivery *delivery, enum operation_kind kind,
                             struct transaction *transaction, struct change *change);

/* The transaction is going to be committed: it has what it claimed. */
void queues_commit(struct session *session, const struct transaction *transaction);

/* The transaction is given up: what it has claimed can be claimed again, or goes back where its subscription has gone. */
void queues_abort(struct session *session, const struct transaction *transaction);

/* The session ends: nobody waits for the results of its changes. */
void queues_leave(struct session *session);

/* No results will come any more: for the end of the env. */
void queues_forget(struct session_env *env);

#endif
