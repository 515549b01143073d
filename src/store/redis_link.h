/*
 * Private to store/: the link, two connections to one server. One speaks: it publishes and calls scripts. The other
 * hears: it is subscribed. When either breaks, both are closed, and made anew after a while:
 *
 *     RESTING --time is over--> RESOLVING --> SPEAKER (connects, greets) --> HEARER (the same) --> UP
 *        ^                          |                    |                         |                |
 *        +--------------------------+--------------------+-------------------------+----------------+
 *
 * It breaks in a turn of its own, never within a call or an answer. What is wrong is logged once, until it is something
 * else or a link has lasted.
 */
#ifndef STORE_REDIS_LINK_H
#define STORE_REDIS_LINK_H

#include "redis_greeting.h"
#include "redis_lookup.h"

/* A link that was up this long has lasted. */
#define REDIS_LINK_LASTS_MS 10000

struct redis_link_events {
    void (*up)(void *arg, struct bytes run_id);
    /* The answer to redis_link_speak(); NULL: there was none when the link broke. */
    void (*answered)(void *arg, void *what, const redisReply *reply);
    /* The answer to redis_link_listen(); none when the link breaks. */
    void (*heard)(void *arg, void *what, const redisReply *reply);
    void (*published)(void *arg, const redisReply *reply);
    /* It was up and is not any more; all is answered. */
    void (*down)(void *arg);
};

enum redis_link_state { LINK_RESTING, LINK_RESOLVING, LINK_SPEAKER, LINK_HEARER, LINK_UP };

struct redis_link {
    const struct redis_conf *conf;
    const struct redis_link_events *events;
    void *arg;
    struct event_base *base;
    struct redis_times times;
    enum redis_link_state state;
    struct redis_connection speaker;
    struct redis_connection hearer;
    struct redis_server server; /* as it tells the speaker */
    struct redis_server heard;  /* as it tells the hearer */
    struct redis_command scratch;
    struct redis_lookup *lookup;
    char hosts[REDIS_LOOKUP_MAX][REDIS_LOOKUP_HOST]; /* numbers */
    size_t host_count;                               /* 0: a unix socket */
    size_t first_host;                               /* of this attempt; another each time */
    size_t hosts_tried;
    bool try_next;       /* in place of breaking */
    struct event *timer; /* the end of resting, of an attempt, or of a link's youth */
    struct event *end;   /* the turn in which it breaks */
    bool ending;         /* nothing more is sent or heard */
    bool passing;        /* links break soon and of one cause: no more words about it */
    unsigned attempts;   /* in a row that came to nothing */
    uint64_t up_ms;
    uint64_t ups;
    uint64_t failures;
    char where[160];   /* for the log */
    char trouble[256]; /* why it is not up; empty when it is */
    char told[256];    /* the last that was logged */
};

/* Begins to connect. Borrows all. False: out of memory; nothing is to be freed. */
MUST_CHECK bool redis_link_init(struct redis_link *link, struct event_base *base, const struct redis_conf *conf,
                                const struct redis_link_events *events, void *arg);
/* Tells nothing. Not from within an event. */
void redis_link_free(struct redis_link *link);

static inline bool redis_link_is_up(const struct redis_link *link) {
    return link->state == LINK_UP && !link->ending;
}

/*
 * Commands of the two connections, each in the order they come. True: an answer follows. False: the link is not up, or
 * breaks now.
 */
bool redis_link_speak(struct redis_link *link, const struct redis_command *command, void *what);
bool redis_link_listen(struct redis_link *link, const struct redis_command *command, void *what);

/* It is of no use. */
void redis_link_break(struct redis_link *link, const char *why);

#endif
