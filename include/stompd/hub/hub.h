/*
 * The hub: the main thread's loop on libevent. It accepts sockets and hands each to the worker with the fewest, owns
 * the signals, and takes the node down in order:
 *
 *     SIGTERM -> notice: /healthz says 503, sockets are still served
 *             -> after notice-time: listeners close, sessions are closed with 1012, spread over drain-time
 *             -> all gone: workers stop
 *
 * SIGINT leaves both times out and closes with 1001. A second signal ends at once. SIGHUP reads the conf file again
 * (hub/reload.h).
 */
#ifndef STOMPD_HUB_HUB_H
#define STOMPD_HUB_HUB_H

#include "stompd/hub/conf.h"

struct hub;

/*
 * Binds the listeners and sets the workers up. Borrows both: the conf is what `file` held, and what holds until the file
 * is read again. NULL: the log says why.
 */
MUST_CHECK struct hub *hub_new(const struct conf *conf, const char *file);

/* Runs until the node was told to end. False: it could not start; the log says why. */
MUST_CHECK bool hub_run(struct hub *hub);

/* NULL is allowed. */
void hub_free(struct hub *hub);

#endif
