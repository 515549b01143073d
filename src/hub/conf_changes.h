/*
 * Private to hub/: a conf that was read while another is in force. What may not change while the node runs is kept of
 * that one, and every difference is told.
 */
#ifndef STOMPD_HUB_CONF_CHANGES_H
#define STOMPD_HUB_CONF_CHANGES_H

#include <stdio.h>

#include "stompd/hub/conf.h"

/*
 * Makes of `next`, which is as it was read, the conf that follows on `in_force`: its listeners become those in force, in
 * the same order. `told` gets a line for each difference. False: out of memory; `next` is good for conf_free() only.
 */
MUST_CHECK bool conf_changes_apply(struct conf *next, const struct conf *in_force, FILE *told);

#endif
