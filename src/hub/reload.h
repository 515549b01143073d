/*
 * Private to hub/: the conf that is in force, and its replacement on SIGHUP. The whole file is read and checked; a fault
 * anywhere changes nothing. Else what may change while the node runs (conf_table.c says what) is handed to the workers
 * and to whoever asks for reload_conf(); the rest stays as it is, and the log says so. The hub owns it.
 */
#ifndef STOMPD_HUB_RELOAD_H
#define STOMPD_HUB_RELOAD_H

#include "acceptance.h"
#include "stompd/edge/settings.h"
#include "stompd/hub/conf.h"

struct reload;

/* Borrows both: `start` is what `file` held. NULL: the log says why. */
MUST_CHECK struct reload *reload_new(const char *file, const struct conf *start);
/* The workers must be gone, their references too. NULL is allowed. */
void reload_free(struct reload *reload);

/* The settings in force; borrowed until the next reload_run(). */
struct settings *reload_settings(const struct reload *reload);

/* The conf in force; borrowed until the next reload_run(). */
const struct conf *reload_conf(const struct reload *reload);

/*
 * Reads the file again and applies it: to the log, the acceptance, and the workers behind the mailboxes. The log says what
 * has come of it. False: nothing has changed.
 */
MUST_CHECK bool reload_run(struct reload *reload, struct acceptance *acceptance, struct mailbox *const *mailboxes);

#endif
