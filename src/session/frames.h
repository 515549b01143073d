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

/* Appends an ERROR frame with env->fault's message; receipt may be NULL. When memory is out, none. */
void session_send_error(struct session *session, const struct bytes *receipt);

/* No more input, no more deliveries: ENDING for that reason. */
void session_stop(struct session *session, enum fault_kind end);

#endif
