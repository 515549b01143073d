/* Private to session/: what session.c and the frame handlers need of each other. */
#ifndef STOMPD_SESSION_FRAMES_H
#define STOMPD_SESSION_FRAMES_H

#include "stompd/session/session.h"

/*
 * Acts on one decoded frame, by the session's state and version. False: session->env->fault says why, and the
 * connection is lost.
 */
MUST_CHECK bool session_handle_frame(struct session *session, struct stomp_frame *frame);

/* CONNECTED goes out and the session is OPEN. `user` NULL: anonymous. */
MUST_CHECK bool session_open(struct session *session, const char *user);

/*
 * Puts a control frame into the outbox; takes over the caller's reference. False (also for a NULL message): out of
 * memory, noted as fault.
 */
MUST_CHECK bool session_send_control(struct session *session, struct message *message);

/* The same for the frame that a session ends with, which goes out whatever outbox-size says. */
MUST_CHECK bool session_send_last(struct session *session, struct message *message);

/* A queue's message, which no limit keeps out: the consumer's credit has bounded it. False: out of memory. */
MUST_CHECK bool session_send_delivery(struct session *session, const struct outbox_entry *entry);

/* The subscription receives no more; what it had of a queue, of which nothing may be in the outbox, goes back. */
void session_unsubscribe(struct session *session, struct subscription *subscription);

/* Appends an ERROR frame with env->fault's message; receipt may be NULL. When memory is out, none. */
void session_send_error(struct session *session, const struct bytes *receipt);

/* ---- what handlers share ---- */

/* Fill the fault and return false. */
bool frame_fault(struct session *session, const char *message);
bool frame_out_of_memory(struct session *session);

/* The header, or NULL with a fault that names it. */
const struct bytes *frame_need_header(struct session *session, const struct stomp_frame *frame, const char *name);

/* Only what is served is accepted: a SEND that went nowhere would be a silent loss. Returns false. */
bool frame_unknown_kind(struct session *session, const struct destination *destination);

/* A RECEIPT, or NULL. */
struct message *frame_receipt(struct session *session, struct bytes receipt);

/* The frame is processed: its receipt, when it asked for one. */
MUST_CHECK bool frame_confirm(struct session *session, const struct stomp_frame *frame);

/* Counts the subscription in and makes it receive; takes it over in any case. */
MUST_CHECK bool frame_add_subscription(struct session *session, struct subscription *subscription,
                                       const struct destination *destination);

/* ---- handlers ---- */

/* send.c */
MUST_CHECK bool on_send(struct session *session, struct stomp_frame *frame);
MUST_CHECK bool on_begin(struct session *session, struct stomp_frame *frame);
MUST_CHECK bool on_commit(struct session *session, struct stomp_frame *frame);
MUST_CHECK bool on_abort(struct session *session, struct stomp_frame *frame);

/* The transaction that a SEND, ACK or NACK joins, counted against its limit; NULL in *transaction when it names none. */
MUST_CHECK bool join_transaction(struct session *session, const struct stomp_frame *frame,
                                 struct transaction **transaction);

/* acks.c: ACK and NACK */
MUST_CHECK bool on_ack(struct session *session, struct stomp_frame *frame);

/* No more input, no more deliveries: ENDING for that reason. */
void session_stop(struct session *session, enum fault_kind end);

#endif
