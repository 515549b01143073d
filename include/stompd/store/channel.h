/*
 * The names of channels (DESIGN.md, "Redis"), without the conf file's prefix: `t:<destination>` for topics, `u:<user>`
 * for a user's sessions, `n:<node>` for word to one node, and the globs by which patterns are subscribed to.
 */
#ifndef STOMPD_STORE_CHANNEL_H
#define STOMPD_STORE_CHANNEL_H

#include "stompd/base/buffer.h"
#include "stompd/route/interest.h"
#include "stompd/session/session.h"
#include "stompd/store/store.h"

/*
 * Where a message with that route and key (destination.h, destination_user_key()) is published. An anonymous session's
 * goes to its node's channel, which its id begins with. Overwrites `name`. False: out of memory, or a key that nothing
 * can be subscribed by.
 */
MUST_CHECK bool channel_of_message(struct buffer *name, enum route route, struct bytes key);

/*
 * What must be subscribed to so that the interest hears all that matches it, and perhaps more: a pattern's glob
 * covers everything that the pattern matches, its `*`, `?`, `[`, `]`, `^`, `-` and `\` taken literally where the
 * pattern does. Overwrites `name`. False: as above.
 */
MUST_CHECK bool channel_of_interest(struct buffer *name, enum store_channel *channel, enum interest_kind kind,
                                    struct bytes key);

/* `n:<node>`. False: out of memory. */
MUST_CHECK bool channel_of_node(struct buffer *name, struct bytes node);

#endif
