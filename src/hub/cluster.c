/* The order in which a node comes back to the others, and what passes between workers and store; see cluster.h. */
#include "cluster.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "boot.h"
#include "stompd/base/log.h"
#include "stompd/edge/router.h"

/* When nothing came in for that long, the link is probed; a probe must come back within the second time. */
#define PROBE_IDLE_MS   2000
#define PROBE_ANSWER_MS 5000

/* What waits for other nodes when this one goes is given up after this time. */
#define LEAVE_MS 2000

/* Of a run id what counts; Redis' have 40 characters. */
#define RUN_ID_MAX 64

/* A boot that has said, since our link came back, that its interest is in place. */
struct answer {
    size_t boot_len;
    char boot[];
};

struct cluster {
    struct cluster_conf conf;
    struct membership *membership;
    struct channels channels;
    struct fanout fanout;
    struct mail_batch *outgoing; /* [workers]: posted by cluster_flush() */
    uint64_t *owed;              /* [workers]: what we have worked off of its mail and have not told */
    uint64_t *unsettled;         /* [workers]: bytes posted to it that it has not worked off */
    enum cluster_state state;
    struct map answers;
    uint64_t now_ms;
    uint64_t gather_until_ms;
    uint64_t ask_ms;         /* when to ask next */
    uint64_t heard_ms;       /* something came in */
    uint64_t probed_ms;      /* a probe is under way since; 0: none is */
    uint64_t leave_until_ms; /* when what waits is given up; 0: the node stays */
    bool leaving;            /* membership is */
    bool left;
    bool linked;             /* as it was told last */
    bool other;              /* to be told with it */
    char run_id[RUN_ID_MAX]; /* of the last link's server; empty: there was none */
    bool holds_credit;
    uint64_t inbound_dropped;
};

static struct bytes answer_key(const void *entry) {
    const struct answer *answer = entry;
    return (struct bytes){answer->boot, answer->boot_len};
}

/* ---- workers ---- */

static void tell_workers(struct cluster *cluster, bool away) {
    for (unsigned n = 0; n < cluster->conf.workers; n++) {
        struct mail_cluster *mail = malloc(sizeof *mail);
        if (!mail) {
            log_error("out of memory: a worker does not know whether other nodes can be reached");
            continue;
        }
        *mail = (struct mail_cluster){.mail.type = MAIL_CLUSTER, .away = away};
        mail_batch_add(&cluster->outgoing[n], &mail->mail);
    }
}

static void tell_linked(struct cluster *cluster, bool linked) {
    if (cluster->linked == linked)
        return;
    bool other = linked && cluster->other;
    cluster->linked = linked;
    if (linked)
        cluster->other = false;
    if (cluster->conf.linked)
        cluster->conf.linked(cluster->conf.arg, linked, other);
}

static void owe_credit(void *arg, unsigned worker, uint64_t bytes) {
    ((struct cluster *)arg)->owed[worker] += bytes;
}

/* Tried again in the next turn when memory is out. */
static void give_credit(struct cluster *cluster, unsigned worker) {
    bool due = cluster->owed[worker] > 0 && !cluster->holds_credit;
    struct mail_credit *mail = due ? malloc(sizeof *mail) : NULL;
    if (!mail)
        return;
    *mail =
        (struct mail_credit){.mail.type = MAIL_CREDIT, .from = cluster->conf.workers, .bytes = cluster->owed[worker]};
    mail_batch_add(&cluster->outgoing[worker], &mail->mail);
    cluster->owed[worker] = 0;
}

bool cluster_take_mail(struct cluster *cluster, const struct mail *mail, uint64_t now_ms) {
    cluster->now_ms = now_ms;
    switch ((enum mail_type)mail->type) {
    case MAIL_PUBLISH: {
        const struct mail_publish *publish = (const struct mail_publish *)mail;
        fanout_publish(&cluster->fanout, publish->message, publish->from, router_cost(publish->message));
        return true;
    }
    case MAIL_ANNOUNCE:
        channels_announce(&cluster->channels, (const struct mail_interest *)mail, now_ms);
        return true;
    case MAIL_WITHDRAW:
        channels_withdraw(&cluster->channels, (const struct mail_interest *)mail, now_ms);
        return true;
    case MAIL_CREDIT: {
        const struct mail_credit *credit = (const struct mail_credit *)mail;
        cluster->unsettled[credit->from] -= credit->bytes;
        return true;
    }
    case MAIL_SESSION:
        registry_take_mail(cluster->conf.registry, (const struct mail_session *)mail);
        return true;
    default:
        return false;
    }
}

void cluster_hold_credit(struct cluster *cluster, bool hold) {
    cluster->holds_credit = hold;
}

void cluster_flush(struct cluster *cluster) {
    tell_linked(cluster, membership_is_in(cluster->membership));
    registry_flush(cluster->conf.registry, cluster->now_ms);
    for (unsigned n = 0; n < cluster->conf.workers; n++) {
        give_credit(cluster, n);
        mailbox_post_batch(cluster->conf.mailboxes[n], &cluster->outgoing[n]);
    }
}

/* ---- what other nodes publish ---- */

static void give_to_worker(struct cluster *cluster, unsigned worker, struct message *message) {
    static struct log_limit limit;
    uint64_t cost = router_cost(message);
    bool fits = cluster->unsettled[worker] + cost <= CLUSTER_INBOUND_MAX;
    struct mail_publish *mail = fits ? malloc(sizeof *mail) : NULL;
    if (!mail) {
        cluster->inbound_dropped++;
        log_limited(&limit, LOG_LEVEL_WARNING,
                    "worker %u is too far behind: messages of other nodes are lost for its sessions", worker);
        return;
    }
    *mail = (struct mail_publish){
        .mail.type = MAIL_PUBLISH, .from = cluster->conf.workers, .message = message_ref(message)};
    mail_batch_add(&cluster->outgoing[worker], &mail->mail);
    cluster->unsettled[worker] += cost;
}

static void deliver(struct cluster *cluster, struct message *message) {
    uint64_t workers;
    if (!channels_match(&cluster->channels, message, &workers))
        cluster->inbound_dropped++;
    for (unsigned n = 0; workers != 0; n++, workers >>= 1)
        if ((workers & 1) != 0)
            give_to_worker(cluster, n, message);
}

/* A payload is delivered only where it was published to the channel that its message belongs to. */
static bool belongs_to(struct cluster *cluster, const struct message *message, struct bytes channel) {
    struct buffer *name = &cluster->fanout.name;
    return channel_of_message(name, (enum route)message->route, message_key(message)) &&
           bytes_equal(buffer_bytes(name), channel);
}

static const char *take_publication(struct cluster *cluster, const struct payload_origin *origin, struct bytes channel,
                                    struct bytes payload) {
    const char *why;
    if (!fanout_is_new(&cluster->fanout, origin))
        return NULL;
    struct message *message = payload_read_message(payload, cluster->conf.workers, &why);
    if (!message)
        return why;
    bool belongs = belongs_to(cluster, message, channel);
    if (belongs) {
        fanout_note(&cluster->fanout, origin, cluster->now_ms);
        deliver(cluster, message);
    }
    message_unref(message);
    return belongs ? NULL : "its message belongs to another channel";
}

/* ---- word of other nodes ---- */

static void come_up(struct cluster *cluster, bool complete) {
    static struct log_limit limit;
    cluster->state = CLUSTER_UP;
    log_limited(&limit, LOG_LEVEL_NOTICE, "cluster: connected, %s",
                complete ? "the other nodes hear this one"
                         : "though not all other nodes have said that they hear this one");
    fanout_open(&cluster->fanout);
}

struct gathering {
    struct cluster *cluster;
    bool ask;
    bool complete;
};

static void look_at_member(void *arg, const struct member *member) {
    struct gathering *gathering = arg;
    if (member->self || !member->alive || map_find(&gathering->cluster->answers, member->boot))
        return;
    gathering->complete = false;
    if (gathering->ask)
        fanout_tell(&gathering->cluster->fanout, PAYLOAD_ASK, member->node);
}

/* Ends when all live nodes have said that their interest is in place, or when it takes too long. */
static void gather(struct cluster *cluster) {
    struct gathering gathering = {cluster, cluster->now_ms >= cluster->ask_ms,
                                  membership_is_listed(cluster->membership)};
    membership_each(cluster->membership, cluster->now_ms, look_at_member, &gathering);
    if (gathering.ask)
        cluster->ask_ms = cluster->now_ms + CLUSTER_ASK_MS;
    if (gathering.complete || cluster->now_ms >= cluster->gather_until_ms)
        come_up(cluster, gathering.complete);
}

static void forget_answers(struct cluster *cluster) {
    size_t cursor = 0;
    struct answer *answer;
    while ((answer = map_next(&cluster->answers, &cursor)) != NULL)
        free(answer);
    map_free(&cluster->answers);
    map_init(&cluster->answers, answer_key);
}

/* Without memory for it the node is asked again. */
static void take_answer(struct cluster *cluster, struct bytes boot) {
    if (cluster->state != CLUSTER_GATHERING || map_find(&cluster->answers, boot) ||
        cluster->answers.count >= FANOUT_ORIGINS_MAX)
        return;
    struct answer *answer = malloc(sizeof *answer + boot.len);
    if (!answer)
        return;
    answer->boot_len = boot.len;
    memcpy(answer->boot, boot.data, boot.len);
    if (!map_insert(&cluster->answers, answer))
        free(answer);
    gather(cluster);
}

/*
 * Our own is the probe: that it came is all that it has to say. Another node's may be the first of a new one, so the book
 * is listed anew.
 */
static void take_word(struct cluster *cluster, const struct payload_origin *origin) {
    if (bytes_equal(origin->boot, cluster->fanout.boot))
        return;
    membership_renew(cluster->membership, cluster->now_ms);
    if (origin->type == PAYLOAD_BACK)
        take_answer(cluster, origin->boot);
    else if (origin->type == PAYLOAD_ASK && channels_are_live(&cluster->channels))
        fanout_tell(&cluster->fanout, PAYLOAD_BACK, boot_node(origin->boot));
}

static const char *take_ready(struct cluster *cluster, struct bytes payload) {
    struct bytes queue;
    const char *why = NULL;
    if (payload_read_ready(payload, &queue, &why) && cluster->conf.ready)
        cluster->conf.ready(cluster->conf.arg, queue);
    return why;
}

/* Why it is not ours to act on; NULL: it is. */
static const char *take_payload(struct cluster *cluster, struct bytes channel, struct bytes payload) {
    struct payload_origin origin;
    const char *why = NULL;
    if (!payload_read_origin(payload, &origin, &why))
        return why;
    switch (origin.type) {
    case PAYLOAD_PUBLICATION:
        return take_publication(cluster, &origin, channel, payload);
    case PAYLOAD_READY:
        return take_ready(cluster, payload);
    case PAYLOAD_STORED:
        return "its message belongs in a queue";
    default:
        take_word(cluster, &origin);
        return NULL;
    }
}

static void on_message(void *arg, struct bytes channel, struct bytes payload) {
    static struct log_limit limit;
    struct cluster *cluster = arg;
    cluster->heard_ms = cluster->now_ms;
    cluster->probed_ms = 0;
    const char *why = take_payload(cluster, channel, payload);
    if (!why)
        return;
    cluster->fanout.counters.foreign++;
    log_limited(&limit, LOG_LEVEL_WARNING,
                "cluster: what was published to the channel %.*s is not ours to deliver: %s; does anything else use "
                "this prefix in Redis, or a node of another version?",
                BYTES_ARG(channel), why);
}

static void on_published(void *arg, bool taken) {
    fanout_published(&((struct cluster *)arg)->fanout, taken);
}

/* ---- the link ---- */

static void note_server(struct cluster *cluster, struct bytes server) {
    char run_id[RUN_ID_MAX];
    snprintf(run_id, sizeof run_id, "%.*s", BYTES_ARG(server));
    cluster->other = cluster->other || (cluster->run_id[0] != '\0' && strcmp(cluster->run_id, run_id) != 0);
    memcpy(cluster->run_id, run_id, sizeof run_id);
}

static void on_up(void *arg, struct bytes server) {
    struct cluster *cluster = arg;
    note_server(cluster, server);
    cluster->state = CLUSTER_RESTORING;
    cluster->heard_ms = cluster->now_ms;
    cluster->probed_ms = 0;
    membership_up(cluster->membership, cluster->now_ms);
    registry_restore(cluster->conf.registry);
    channels_up(&cluster->channels);
}

static void on_down(void *arg) {
    struct cluster *cluster = arg;
    tell_linked(cluster, false);
    tell_workers(cluster, true);
    cluster->state = CLUSTER_AWAY;
    channels_down(&cluster->channels);
    fanout_close(&cluster->fanout);
    membership_down(cluster->membership);
    registry_down(cluster->conf.registry);
}

static void tell_member(void *arg, const struct member *member) {
    struct cluster *cluster = arg;
    if (!member->self && member->alive)
        fanout_tell(&cluster->fanout, PAYLOAD_BACK, member->node);
}

/* Our interest is in place: others may publish what they have kept for us. */
static void on_subscribed(void *arg, enum store_channel kind, struct bytes name) {
    struct cluster *cluster = arg;
    if (!channels_subscribed(&cluster->channels, kind, name))
        return;
    cluster->state = CLUSTER_GATHERING;
    cluster->gather_until_ms = cluster->now_ms + CLUSTER_GATHER_MS;
    cluster->ask_ms = 0;
    forget_answers(cluster);
    tell_workers(cluster, false);
    membership_each(cluster->membership, cluster->now_ms, tell_member, cluster);
    gather(cluster);
}

static void on_unsubscribed(void *arg, enum store_channel kind, struct bytes name) {
    channels_unsubscribed(&((struct cluster *)arg)->channels, kind, name);
}

const struct store_events cluster_store_events = {
    .up = on_up,
    .down = on_down,
    .subscribed = on_subscribed,
    .unsubscribed = on_unsubscribed,
    .message = on_message,
    .published = on_published,
};

/* ---- membership's events ---- */

static void on_joined(void *arg) {
    registry_restore(((struct cluster *)arg)->conf.registry);
}

void cluster_renew(struct cluster *cluster, uint64_t now_ms) {
    cluster->now_ms = now_ms;
    membership_renew(cluster->membership, now_ms);
}

static void on_refused(void *arg, const char *why) {
    const struct cluster *cluster = arg;
    cluster->conf.refused(cluster->conf.arg, why);
}

static void on_died(void *arg, struct bytes node, struct bytes boot) {
    (void)arg;
    log_notice("cluster: node %.*s is gone, boot %.*s", BYTES_ARG(node), BYTES_ARG(boot));
}

static void on_left(void *arg) {
    struct cluster *cluster = arg;
    if (cluster->left)
        return;
    cluster->left = true;
    if (cluster->fanout.queued_bytes > 0)
        log_warning("cluster: %" PRIu64 " bytes of publications for other nodes are lost, they can't be reached",
                    cluster->fanout.queued_bytes);
    cluster->conf.left(cluster->conf.arg);
}

static const struct membership_events membership_events = {
    .joined = on_joined, .refused = on_refused, .died = on_died, .left = on_left};

/* ---- time ---- */

static void probe(struct cluster *cluster) {
    if (!channels_are_live(&cluster->channels))
        return;
    if (cluster->probed_ms > 0 && cluster->now_ms >= cluster->probed_ms + PROBE_ANSWER_MS) {
        cluster->conf.store->ops->break_link(cluster->conf.store, "the subscribing connection hears nothing");
    } else if (cluster->probed_ms == 0 && cluster->now_ms >= cluster->heard_ms + PROBE_IDLE_MS) {
        cluster->probed_ms = cluster->now_ms;
        fanout_tell(&cluster->fanout, PAYLOAD_PROBE, bytes_of(cluster->conf.node));
    }
}

/* First what waits is sent, then the store is left; each has its time. */
static void leave(struct cluster *cluster) {
    bool sent = fanout_is_empty(&cluster->fanout) && registry_is_settled(cluster->conf.registry);
    if (cluster->state == CLUSTER_GATHERING)
        gather(cluster);
    if (cluster->state == CLUSTER_AWAY || cluster->now_ms >= cluster->leave_until_ms + LEAVE_MS) {
        on_left(cluster);
    } else if (!cluster->leaving && (sent || cluster->now_ms >= cluster->leave_until_ms)) {
        cluster->leaving = true;
        membership_leave(cluster->membership);
    }
}

void cluster_tick(struct cluster *cluster, uint64_t now_ms) {
    cluster->now_ms = now_ms;
    if (cluster->leave_until_ms > 0) {
        leave(cluster);
        return;
    }
    membership_tick(cluster->membership, now_ms);
    channels_tick(&cluster->channels, now_ms);
    probe(cluster);
    if (cluster->state == CLUSTER_GATHERING)
        gather(cluster);
}

void cluster_leave(struct cluster *cluster, uint64_t now_ms) {
    cluster->now_ms = now_ms;
    if (cluster->leave_until_ms == 0)
        cluster->leave_until_ms = now_ms + LEAVE_MS;
    leave(cluster);
}

/* ---- life ---- */

struct cluster *cluster_new(const struct cluster_conf *conf, uint64_t now_ms) {
    struct cluster *cluster = calloc(1, sizeof *cluster);
    if (!cluster)
        return NULL;
    cluster->conf = *conf;
    cluster->now_ms = now_ms;
    conf->store->arg = cluster;
    map_init(&cluster->answers, answer_key);
    fanout_init(&cluster->fanout, conf->store, bytes_of(conf->boot), conf->buffer, owe_credit, cluster);
    cluster->outgoing = calloc(conf->workers, sizeof *cluster->outgoing);
    cluster->owed = calloc(conf->workers, sizeof *cluster->owed);
    cluster->unsettled = calloc(conf->workers, sizeof *cluster->unsettled);
    cluster->membership = membership_new(&(struct membership_conf){.node = conf->node,
                                                                   .boot = conf->boot,
                                                                   .node_timeout_ms = conf->node_timeout_ms,
                                                                   .store = conf->store,
                                                                   .events = &membership_events,
                                                                   .arg = cluster});
    if (cluster->outgoing && cluster->owed && cluster->unsettled && cluster->membership &&
        channels_init(&cluster->channels, conf->store, bytes_of(conf->node), conf->workers, cluster->outgoing,
                      owe_credit, cluster))
        return cluster;
    cluster_free(cluster);
    return NULL;
}

void cluster_free(struct cluster *cluster) {
    if (!cluster)
        return;
    channels_free(&cluster->channels);
    fanout_free(&cluster->fanout);
    membership_free(cluster->membership);
    forget_answers(cluster);
    for (unsigned n = 0; cluster->outgoing && n < cluster->conf.workers; n++)
        mail_discard_all(cluster->outgoing[n].newest);
    free(cluster->outgoing);
    free(cluster->owed);
    free(cluster->unsettled);
    free(cluster);
}

enum cluster_state cluster_state(const struct cluster *cluster) {
    return cluster->state;
}

const struct membership *cluster_membership(const struct cluster *cluster) {
    return cluster->membership;
}

void cluster_count(const struct cluster *cluster, struct cluster_counters *counters) {
    *counters = (struct cluster_counters){.fanout = cluster->fanout.counters,
                                          .inbound_dropped = cluster->inbound_dropped,
                                          .queued_bytes = cluster->fanout.queued_bytes,
                                          .channels = channels_count(&cluster->channels)};
}
