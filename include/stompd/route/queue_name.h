/*
 * Names of queues, as hub and store know them: a letter for the kind, a colon, and what tells queues of the kind apart.
 *
 *     q:NAME        /queue/NAME
 *     a:PATTERN     the queue of the policy section [destination PATTERN] under /app/, the pattern as written there
 *     d:USER/ID     what a durable subscription of a topic keeps: the user's name with its / and % as %2F and %25, then
 *                   the subscription's id
 *
 * The dead-letter queue of q:NAME is q:NAME.dead, of a:PATTERN q:app.dead, of d:USER/ID q:durable.dead; that of a queue
 * whose name ends with ".dead" is none: what is rejected there is gone.
 */
#ifndef STOMPD_ROUTE_QUEUE_NAME_H
#define STOMPD_ROUTE_QUEUE_NAME_H

#include "stompd/base/buffer.h"

/* Each overwrites `name`. False when out of memory. */

/* Of "/queue/NAME". */
MUST_CHECK bool queue_name_of_destination(struct buffer *name, struct bytes destination);
MUST_CHECK bool queue_name_of_app(struct buffer *name, struct bytes pattern);
MUST_CHECK bool queue_name_of_durable(struct buffer *name, struct bytes user, struct bytes id);

/* The name of the dead-letter queue; empty where there is none. */
MUST_CHECK bool queue_name_of_dead_letters(struct buffer *dead, struct bytes name);

/* What people call the queue: "/queue/NAME", the pattern, or "USER/ID" of a durable subscription. */
MUST_CHECK bool queue_name_show(struct buffer *shown, struct bytes name);

/* Whether it is a name of one of these kinds, with something behind the colon. */
bool queue_name_is_valid(struct bytes name);

/* Whether it is that of a durable subscription. */
bool queue_name_is_durable(struct bytes name);

#endif
