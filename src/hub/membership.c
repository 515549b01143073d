/* Renewing, watching, burying; see membership.h. */
#include "membership.h"

#include <stdio.h>
#include <stdlib.h>

#include "stompd/base/list.h"
#include "stompd/base/log.h"

/* The book may hold what others have written into it. */
#define MEMBERS_MAX 4096

/* Between renewals: a fifth of node-timeout, within these bounds. Others may have a shorter node-timeout than ours. */
#define RENEW_MIN_MS 100
#define RENEW_MAX_MS 1000

/* Renewals of another boot under our own name that prove it alive: its last may have been under way when it died. */
#define SIGNS_OF_LIFE 2

enum membership_state { MEMBERSHIP_OUT, MEMBERSHIP_WAITING, MEMBERSHIP_IN, MEMBERSHIP_LEAVING };

/* An entry of the book, another node's or, while it is another boot's, under our own name. */
struct watched {
    uint64_t renewals;
    uint64_t since_ms; /* when this count was first seen */
    uint64_t again_ms; /* a burial failed: not to be tried again before */
    uint64_t listing;  /* the last that it was in */
    unsigned moves;    /* listings that had a new count */
    bool fenced;
    bool missing; /* the book was emptied, and this boot has not renewed since: it has node-timeout for that */
    bool gone;    /* from by_node; its burial has yet to end */
    size_t node_len;
    size_t boot_len;
    char text[]; /* node, boot */
};

struct membership {
    struct membership_conf conf;
    enum membership_state state;
    bool up;
    bool listed;
    bool renewing;
    bool failing;           /* the last answer on this link was STORE_FAILED */
    bool name_is_stuck;     /* so was that to the burial of the boot that holds our name */
    bool was_in;            /* on any link: this boot may have an entry and sessions */
    bool ended;             /* refused, or told to leave: nothing is renewed any more */
    struct watched *target; /* that is being buried */
    uint64_t now_ms;
    uint64_t renew_ms;    /* when to renew next */
    uint64_t answered_ms; /* the last answer to a renewal; 0: none on this link */
    uint64_t listings;
    struct map by_node;
};

static struct bytes watched_node(const struct watched *watched) {
    return (struct bytes){watched->text, watched->node_len};
}

static struct bytes watched_boot(const struct watched *watched) {
    return (struct bytes){watched->text + watched->node_len, watched->boot_len};
}

static struct bytes node_key(const void *entry) {
    return watched_node(entry);
}

static bool is_own_name(const struct membership *membership, struct bytes node) {
    return bytes_equal(node, bytes_of(membership->conf.node));
}

static uint32_t renew_interval(const struct membership *membership) {
    uint32_t interval = membership->conf.node_timeout_ms / 5;
    return interval < RENEW_MIN_MS ? RENEW_MIN_MS : interval > RENEW_MAX_MS ? RENEW_MAX_MS : interval;
}

/* Too long since our own last answer: nothing can be said of others' silence meanwhile. */
static bool is_interrupted(const struct membership *membership) {
    return membership->answered_ms == 0 ||
           membership->now_ms - membership->answered_ms > membership->conf.node_timeout_ms / 2;
}

/* ---- the book, as it was told last ---- */

static void tell_died(struct membership *membership, const struct watched *watched) {
    membership->conf.events->died(membership->conf.arg, watched_node(watched), watched_boot(watched));
}

static void watched_free(struct membership *membership, struct watched *watched) {
    map_remove(&membership->by_node, watched_node(watched));
    if (watched == membership->target)
        watched->gone = true; /* its burial goes on, and frees it */
    else
        free(watched);
}

static struct watched *watched_new(struct membership *membership, const struct store_node *entry) {
    size_t size = entry->node.len + entry->boot.len;
    /* Whoever holds our own name is watched in any case: nothing else would ever end it. */
    bool fits = membership->by_node.count < MEMBERS_MAX || is_own_name(membership, entry->node);
    struct watched *watched = fits ? calloc(1, sizeof *watched + size) : NULL;
    if (!watched)
        return NULL;
    watched->node_len = entry->node.len;
    watched->boot_len = entry->boot.len;
    watched->renewals = entry->renewals;
    watched->fenced = entry->fenced;
    watched->since_ms = membership->now_ms;
    memcpy(watched->text, entry->node.data, entry->node.len);
    memcpy(watched->text + entry->node.len, entry->boot.data, entry->boot.len);
    if (map_insert(&membership->by_node, watched))
        return watched;
    free(watched);
    return NULL;
}

/* Others may write into the book; what they write under our own name stands in our way, whatever it is. */
static bool is_entry(const struct membership *membership, const struct store_node *entry) {
    bool has_form = entry->node.len > 0 && entry->boot.len > entry->node.len + 1 &&
                    bytes_start_with(entry->boot, entry->node) && entry->boot.data[entry->node.len] == ':';
    return has_form || is_own_name(membership, entry->node);
}

static void refuse(struct membership *membership, const struct watched *holder) {
    char why[512];
    snprintf(why, sizeof why,
             "the name %s is in use by the boot %.*s, which is alive; give each node a name of its own ([server] node)",
             membership->conf.node, BYTES_ARG(watched_boot(holder)));
    membership->ended = true;
    membership->conf.events->refused(membership->conf.arg, why);
}

/* The same boot as before: has it moved? */
static void watch(struct membership *membership, struct watched *watched, const struct store_node *entry) {
    bool moved = watched->missing || watched->renewals != entry->renewals || watched->fenced != entry->fenced;
    bool renewed = moved && !entry->fenced;
    watched->renewals = entry->renewals;
    watched->fenced = entry->fenced;
    watched->missing = false;
    if (moved)
        watched->since_ms = membership->now_ms;
    watched->moves += renewed;
    if (renewed && watched->moves >= SIGNS_OF_LIFE && is_own_name(membership, watched_node(watched)))
        refuse(membership, watched);
}

static void note_entry(struct membership *membership, const struct store_node *entry) {
    if (!is_entry(membership, entry) || bytes_equal(entry->boot, bytes_of(membership->conf.boot)))
        return;
    struct watched *watched = map_find(&membership->by_node, entry->node);
    if (watched && !bytes_equal(watched_boot(watched), entry->boot)) {
        tell_died(membership, watched);
        watched_free(membership, watched);
        watched = NULL;
    }
    if (watched)
        watch(membership, watched, entry);
    else
        watched = watched_new(membership, entry);
    if (watched)
        watched->listing = membership->listings;
}

/* Those that are not in the book any more; one at a time, since a map must not change while it is walked. */
static struct watched *find_vanished(struct membership *membership) {
    size_t cursor = 0;
    struct watched *watched;
    while ((watched = map_next(&membership->by_node, &cursor)) != NULL)
        if (watched->listing != membership->listings && !watched->missing)
            return watched;
    return NULL;
}

/* But not who had our own name: it is ours now. */
static void miss_unlisted(struct membership *membership) {
    size_t cursor = 0;
    struct watched *watched;
    while ((watched = map_next(&membership->by_node, &cursor)) != NULL)
        if (watched->listing != membership->listings && !is_own_name(membership, watched_node(watched)))
            watched->missing = true;
}

static void watch_all_anew(struct membership *membership) {
    size_t cursor = 0;
    struct watched *watched;
    while ((watched = map_next(&membership->by_node, &cursor)) != NULL)
        watched->since_ms = membership->now_ms;
}

static void note_all(struct membership *membership, const struct store_answer *answer) {
    struct watched *vanished;
    if (is_interrupted(membership))
        watch_all_anew(membership);
    membership->answered_ms = membership->now_ms;
    membership->listed = true;
    membership->listings++;
    for (size_t n = 0; n < answer->node_count; n++)
        note_entry(membership, &answer->nodes[n]);
    if (answer->result == STORE_GONE)
        miss_unlisted(membership);
    while ((vanished = find_vanished(membership)) != NULL) {
        tell_died(membership, vanished);
        watched_free(membership, vanished);
    }
}

/* ---- renewing ---- */

static void wait_for_name(struct membership *membership) {
    if (membership->state != MEMBERSHIP_WAITING)
        log_notice(
            "cluster: another boot has the name %s; this one takes it when that has been silent for node-timeout",
            membership->conf.node);
    membership->state = MEMBERSHIP_WAITING;
}

static void enter(struct membership *membership) {
    membership->state = MEMBERSHIP_IN;
    membership->was_in = true;
}

static void on_renewed(void *arg, const struct store_answer *answer) {
    struct membership *membership = arg;
    membership->renewing = false;
    membership->failing = answer->result == STORE_FAILED;
    if (membership->ended || answer->result == STORE_AWAY || answer->result == STORE_FAILED)
        return;
    if (answer->result == STORE_TAKEN)
        wait_for_name(membership);
    else
        enter(membership);
    note_all(membership, answer);
    if (answer->result == STORE_GONE)
        membership->conf.events->joined(membership->conf.arg);
}

static void renew(struct membership *membership) {
    if (membership->renewing || !membership->up || membership->ended)
        return;
    membership->renewing = true;
    membership->renew_ms = membership->now_ms + renew_interval(membership);
    membership->conf.store->ops->renew(membership->conf.store, (struct store_call){on_renewed, membership});
}

void membership_renew(struct membership *membership, uint64_t now_ms) {
    membership->now_ms = now_ms;
    renew(membership);
}

/* ---- burying ---- */

static void bury(struct membership *membership);

/* The entry is gone: the next listing would say so too, but the name may be waited for. */
static void end_burial(struct membership *membership, struct watched *dead) {
    bool own_name = is_own_name(membership, watched_node(dead));
    tell_died(membership, dead);
    watched_free(membership, dead);
    if (own_name)
        renew(membership);
}

/* The suspicion is forgotten: it is watched anew. */
static void acquit(struct membership *membership, struct watched *watched) {
    watched->since_ms = membership->now_ms;
    watched->fenced = false;
}

static void bury_later(struct membership *membership, struct watched *watched) {
    watched->again_ms = membership->now_ms + renew_interval(membership);
}

static void on_buried(void *arg, const struct store_answer *answer) {
    struct membership *membership = arg;
    struct watched *target = membership->target;
    if (answer->result == STORE_MORE) {
        bury(membership);
        return;
    }
    membership->target = NULL;
    if (is_own_name(membership, watched_node(target)))
        membership->name_is_stuck = answer->result == STORE_FAILED;
    if (target->gone)
        free(target);
    else if (answer->result == STORE_OK)
        end_burial(membership, target);
    else if (answer->result == STORE_ALIVE)
        acquit(membership, target);
    else if (answer->result == STORE_FAILED)
        bury_later(membership, target);
}

static void bury(struct membership *membership) {
    const struct watched *target = membership->target;
    struct store_node dead = {.node = watched_node(target),
                              .boot = watched_boot(target),
                              .renewals = target->renewals,
                              .fenced = target->fenced};
    membership->conf.store->ops->bury(membership->conf.store, &dead, (struct store_call){on_buried, membership});
}

static bool is_due(const struct membership *membership, const struct watched *watched) {
    bool dead = watched->fenced || membership->now_ms - watched->since_ms >= membership->conf.node_timeout_ms;
    return dead && membership->now_ms >= watched->again_ms;
}

static void begin_burial(struct membership *membership, struct watched *dead) {
    static struct log_limit limit;
    log_limited(&limit, LOG_LEVEL_NOTICE, "cluster: node %.*s %s, cleaning up after its boot %.*s",
                BYTES_ARG(watched_node(dead)),
                dead->fenced ? "was declared dead by another" : "has been silent for node-timeout",
                BYTES_ARG(watched_boot(dead)));
    membership->target = dead;
    bury(membership);
}

/* One burial at a time. */
static void judge(struct membership *membership) {
    size_t cursor = 0;
    struct watched *watched;
    if (membership->target || !membership->listed || is_interrupted(membership))
        return;
    while ((watched = map_next(&membership->by_node, &cursor)) != NULL)
        if (is_due(membership, watched)) {
            begin_burial(membership, watched);
            return;
        }
}

/* ---- leaving ---- */

static void end_leaving(struct membership *membership) {
    membership->state = MEMBERSHIP_OUT;
    membership->conf.events->left(membership->conf.arg);
}

static void on_left(void *arg, const struct store_answer *answer) {
    struct membership *membership = arg;
    if (answer->result == STORE_MORE)
        membership->conf.store->ops->leave(membership->conf.store, (struct store_call){on_left, membership});
    else
        end_leaving(membership);
}

/* A renewal that is under way is carried out before the leaving. */
void membership_leave(struct membership *membership) {
    if (membership->state == MEMBERSHIP_LEAVING)
        return;
    membership->ended = true;
    if (membership->up && (membership->was_in || membership->renewing)) {
        membership->state = MEMBERSHIP_LEAVING;
        membership->conf.store->ops->leave(membership->conf.store, (struct store_call){on_left, membership});
    } else {
        end_leaving(membership);
    }
}

/* ---- the link, time, life ---- */

void membership_up(struct membership *membership, uint64_t now_ms) {
    membership->now_ms = now_ms;
    membership->up = true;
    membership->failing = membership->name_is_stuck = false;
    membership->answered_ms = 0;
    renew(membership);
}

void membership_down(struct membership *membership) {
    membership->up = false;
    membership->listed = false;
    membership->renewing = false; /* also when the call was not made for want of memory */
    membership->failing = membership->name_is_stuck = false;
    membership->state = MEMBERSHIP_OUT;
}

void membership_tick(struct membership *membership, uint64_t now_ms) {
    membership->now_ms = now_ms;
    if (!membership->up || membership->ended)
        return;
    judge(membership);
    if (now_ms >= membership->renew_ms)
        renew(membership);
}

bool membership_is_in(const struct membership *membership) {
    return membership->state == MEMBERSHIP_IN;
}

bool membership_is_failing(const struct membership *membership) {
    return membership->failing || membership->name_is_stuck;
}

bool membership_is_listed(const struct membership *membership) {
    return membership->listed;
}

void membership_each(const struct membership *membership, uint64_t now_ms,
                     void (*visit)(void *arg, const struct member *member), void *arg) {
    size_t cursor = 0;
    const struct watched *watched;
    struct member self = {.node = bytes_of(membership->conf.node),
                          .boot = bytes_of(membership->conf.boot),
                          .alive = true,
                          .self = true,
                          .silent_ms = membership->answered_ms > 0 ? now_ms - membership->answered_ms : 0};
    visit(arg, &self);
    while ((watched = map_next(&membership->by_node, &cursor)) != NULL) {
        struct member member = {.node = watched_node(watched),
                                .boot = watched_boot(watched),
                                .alive = !watched->fenced && watched != membership->target,
                                .silent_ms = now_ms - watched->since_ms};
        visit(arg, &member);
    }
}

struct membership *membership_new(const struct membership_conf *conf) {
    struct membership *membership = calloc(1, sizeof *membership);
    if (!membership)
        return NULL;
    membership->conf = *conf;
    map_init(&membership->by_node, node_key);
    return membership;
}

void membership_free(struct membership *membership) {
    size_t cursor = 0;
    struct watched *watched;
    if (!membership)
        return;
    while ((watched = map_next(&membership->by_node, &cursor)) != NULL)
        if (watched != membership->target)
            free(watched);
    free(membership->target);
    map_free(&membership->by_node);
    free(membership);
}
