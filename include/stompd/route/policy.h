/*
 * Policies: what the conf file's [destination PATTERN] sections say about destinations. Sections are matched first to
 * last, and the first whose pattern matches holds, whole; where none does, defaults hold. Immutable; part of the conf
 * that hub and workers share.
 *
 * Patterns are those of SUBSCRIBE (destination.h), for all kinds: `*` one segment, `**` any number, `/` and `.` the same
 * boundary. One without wildcards is a destination, compared byte by byte. The kind, such as /queue/, is written out in
 * each, so that a section never holds for two kinds. The dead-letter queue /queue/NAME.dead is a queue like any other:
 * patterns that match it hold for it.
 */
#ifndef STOMPD_ROUTE_POLICY_H
#define STOMPD_ROUTE_POLICY_H

#include <stdint.h>

#include "stompd/base/bytes.h"
#include "stompd/base/compiler.h"

/* What becomes of a SEND to a queue that is full. */
enum when_full {
    WHEN_FULL_REFUSE,     /* it is refused with an ERROR */
    WHEN_FULL_DROP,       /* the oldest that no consumer has makes room */
    WHEN_FULL_DEAD_LETTER /* the same, and goes to the dead-letter queue */
};

/* How a queue behaves: the part of a policy that stores act by. */
struct queue_policy {
    uint64_t max_messages; /* stored at a time; delivered ones too where a SEND is refused; 0: no limit */
    uint64_t max_bytes;    /* the same, bytes as queue_store.h counts them; 0: no limit */
    uint64_t max_age_ms;   /* after which a message expires, whatever its headers say; 0: never */
    enum when_full when_full;
    uint32_t max_deliveries; /* after so many a message goes to the dead-letter queue, if there is one; 0: never */
    uint64_t idle_expiry_ms; /* an empty queue without consumers goes after this long */
    /*
     * The queue that dead messages go to, by its name (queue_name.h); NULL: the queue's own dead-letter queue, where it
     * has one. In the very queue that is named they have nowhere to go.
     */
    const char *dead_letter;
};

struct policy {
    char *pattern;
    struct queue_policy queue; /* of /queue/…, of the one queue of an /app/ section, of durable topic subscriptions */
    char **app_consumers;      /* users that may subscribe to an /app/ section's pattern */
    size_t app_consumer_count;
    unsigned line; /* of the section in the conf file; 0: a default */
};

/* Zero-initialised: there are no sections, and the defaults hold for everything. */
struct policies {
    struct policy *list; /* the sections of the conf file, in its order */
    size_t count;
};

/* What a section's pattern must be like, for people. */
#define POLICY_PATTERN_FORM                                                                                            \
    "a pattern such as /queue/orders.**, its kind written out, with 4 segments ** at most, "                           \
    "in up to 1024 bytes of UTF-8 without control characters"
bool policy_pattern_fits(const char *pattern);

/* Whether it is a pattern, or a destination, of the application's own: under /app/. */
bool policy_is_of_app(struct bytes pattern);

/*
 * One section more, behind the others, which may move. The policy has the defaults of what its pattern, which is copied,
 * stands for. NULL: out of memory, and nothing changed.
 */
MUST_CHECK struct policy *policies_add(struct policies *policies, const char *pattern);

/* Frees all that the policies hold: texts and lists are theirs. */
void policies_free(struct policies *policies);

/*
 * The policy of a destination: the first section that matches; else the default of /app/, whose pattern is "/app/" and
 * two stars, or that of all others. Never NULL.
 */
const struct policy *policies_find(const struct policies *policies, struct bytes destination);

/*
 * The policy of a queue by its name (queue_name.h): of q:NAME that of /queue/NAME, of a:PATTERN the very section, or the
 * default of /app/ where there is none any more; of d:USER/ID the default of all others, since the name does not say
 * which topic it is. Never NULL.
 */
const struct policy *policies_of_queue(const struct policies *policies, struct bytes name);

/* Whether that user (NULL: anonymous, never) is one of the policy's app-consumers. */
bool policy_admits_consumer(const struct policy *policy, const char *user);

#endif
