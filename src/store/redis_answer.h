/*
 * Private to store/: Redis' replies as answers of the store. What others have written there is met with caution: what
 * is not well-formed is left out.
 */
#ifndef STORE_REDIS_ANSWER_H
#define STORE_REDIS_ANSWER_H

#include <hiredis/hiredis.h>

#include "stompd/store/store.h"

/*
 * Each fills `answer` with runs that borrow from the reply, in a block that the caller frees (*block; NULL: none).
 * False: the reply has another form, or memory is out.
 */

/* Node and entry by turns, as HGETALL tells `nodes`. Entries are "<boot> <renewals>" or "<boot> dead". */
MUST_CHECK bool redis_answer_nodes(const redisReply *reply, struct store_answer *answer, void **block);

/* A page of HSCAN: the next cursor, then session and user by turns. */
MUST_CHECK bool redis_answer_session_page(const redisReply *reply, struct store_answer *answer, void **block);

/* Session ids. */
MUST_CHECK bool redis_answer_user_sessions(const redisReply *reply, struct store_answer *answer, void **block);

/* Name and number of sessions by turns. */
MUST_CHECK bool redis_answer_users(const redisReply *reply, struct store_answer *answer, void **block);

#endif
