/*
 * Private to session/: reply addresses. A SEND that says `reply-to:/temp-queue/NAME` subscribes its session, once, with the
 * id "/temp-queue/NAME", and its receivers get `reply-to:/temp-queue/SESSION/TOKEN/NAME`: an address that reaches this one
 * session, from any node, as long as it is there. Nothing is stored for it. The token keeps others from guessing it.
 */
#ifndef SESSION_REPLIES_H
#define SESSION_REPLIES_H

#include "stompd/session/session.h"

/*
 * Before the SEND that the parser has found is taken: subscribes the session for its reply-to, if it has one that wants
 * it. Like any SEND after a SUBSCRIBE it then waits until answers reach it. False: the SEND is refused, with a fault.
 */
MUST_CHECK bool replies_prepare(struct session *session);

/*
 * Rewrites the frame's reply-to, if it has one under /temp-queue/; one that is an address already is left as it is, so
 * that it can be passed on. The new value is borrowed from the env.
 */
MUST_CHECK bool replies_rewrite(struct session *session, struct stomp_frame *frame);

/* The routing key of an address under /temp-queue/ that a SEND names. */
MUST_CHECK bool replies_address(struct session *session, const struct destination *destination, struct buffer *key);

#endif
