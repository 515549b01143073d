/*
 * Private to hub/: how sockets come in. Listens at every [listen] section, hands each socket to the worker with the
 * fewest (where a PROXY header must come first, once it has come), and counts what is open; above the limit on
 * connections sockets are refused.
 */
#ifndef STOMPD_HUB_ACCEPTANCE_H
#define STOMPD_HUB_ACCEPTANCE_H

#include <event2/event.h>

#include "stompd/edge/mail.h"
#include "stompd/hub/conf.h"

struct acceptance;

/*
 * Makes room for as many descriptors as the limit on connections needs, so before there are workers, and binds all
 * listeners. Borrows all; the mailboxes may come to be until acceptance_start(). NULL: the log says why.
 */
MUST_CHECK struct acceptance *acceptance_new(struct event_base *base, const struct conf *conf,
                                             struct mailbox *const *mailboxes);
/* NULL is allowed. */
void acceptance_free(struct acceptance *acceptance);

/*
 * From now on this conf holds, borrowed in place of the one before. Its listeners are those of the start, in the same
 * order; the limit on connections can't go above what there are descriptors for.
 */
void acceptance_change(struct acceptance *acceptance, const struct conf *conf);

/* Accepts from now on. */
void acceptance_start(struct acceptance *acceptance);
/* Closes the listening sockets: new clients are refused by the kernel; and those whose PROXY header has yet to come. */
void acceptance_stop(struct acceptance *acceptance);

/* A worker has closed sockets. */
void acceptance_released(struct acceptance *acceptance, const struct mail_released *mail);

/* Sockets that workers have. */
unsigned acceptance_open(const struct acceptance *acceptance);

/* Sockets that were refused because of the limit. */
uint64_t acceptance_refused(const struct acceptance *acceptance);

#endif
