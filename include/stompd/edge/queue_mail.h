/*
 * What a worker and the hub say to each other about queues, from the worker's side: what its sessions want becomes mail
 * for the hub, and the hub's mail goes to the sessions. Mail is added to a batch that the worker posts with its turn.
 */
#ifndef STOMPD_EDGE_QUEUE_MAIL_H
#define STOMPD_EDGE_QUEUE_MAIL_H

#include "stompd/edge/mail.h"
#include "stompd/session/session.h"

/* See session_ops: consume, forget, unconsume, written, submit. `from` is the worker. */
MUST_CHECK bool queue_mail_consume(struct mail_batch *to_hub, unsigned from, const struct consumer *consumer,
                                   struct bytes topic);
MUST_CHECK bool queue_mail_forget(struct mail_batch *to_hub, unsigned from, struct bytes queue,
                                  struct pending *pending);
void queue_mail_unconsume(struct mail_batch *to_hub, unsigned from, uint64_t consumer);
void queue_mail_written(struct mail_batch *to_hub, unsigned from, uint64_t consumer, uint64_t bytes);
MUST_CHECK bool queue_mail_submit(struct mail_batch *to_hub, unsigned from, struct change *change);

/* Acts on the hub's mail, which stays the caller's to free. False: it is not about queues. */
MUST_CHECK bool queue_mail_take(struct session_env *env, const struct mail *mail);

#endif
