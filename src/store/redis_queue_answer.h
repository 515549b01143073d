/*
 * Private to store/: the replies of the scripts of queues as answers of the queue store. What comes out of a stream may
 * have been written by others, so each message is checked; what is none is set apart.
 */
#ifndef STORE_REDIS_QUEUE_ANSWER_H
#define STORE_REDIS_QUEUE_ANSWER_H

#include <hiredis/hiredis.h>

#include "stompd/store/queue_store.h"

/* Bytes that a message counts beside its payload, as in lua/queue.lua. */
#define REDIS_QUEUE_OVERHEAD 64

/* What is to be done about an entry that can't be delivered. */
enum redis_stray_end {
    STRAY_GOES,    /* it is not ours */
    STRAY_RETURNS, /* there was no memory for it */
    STRAY_WAITS    /* it has a version that other nodes may know: returned, counted, and not taken again at once */
};

struct redis_stray {
    size_t want;
    struct entry entry;
    enum redis_stray_end end;
};

/* Borrows from the reply. */
struct redis_queue_answer {
    struct queue_answer answer;
    const char *failure;        /* an error that the script has met; empty: none */
    struct queue_counts counts; /* what the call adds */
    const redisReply *ready;    /* names of queues that are ready for this node; NULL: none */
    struct redis_stray *strays;
    size_t stray_count;
    void *block; /* what `answer` points at */
};

/*
 * The reply to change(), with the results of so many changes, and to take() from so many queues. False: it has another
 * form, or memory is out; nothing is to be freed.
 */
MUST_CHECK bool redis_queue_answer_changes(const redisReply *reply, size_t changes, struct redis_queue_answer *answer);
MUST_CHECK bool redis_queue_answer_entries(const redisReply *reply, const struct bytes *queues, size_t count,
                                           unsigned owners, struct redis_queue_answer *answer);
/* The same of the reply to recover(). */
MUST_CHECK bool redis_queue_answer_recovery(const redisReply *reply, struct redis_queue_answer *answer);

/* Drops the messages that nobody has taken over. */
void redis_queue_answer_free(struct redis_queue_answer *answer);

#endif
