/* Routing within and between workers; see router.h for the idea. */
#include "stompd/edge/router.h"

#include <stdlib.h>
#include <string.h>

#include "stompd/base/log.h"

/* A subscriber.kind besides SUBSCRIBER_SESSION: a worker that has announced interest. */
#define SUBSCRIBER_PEER 1

/* A worker tells another what it has worked off in such portions: far below the low-water mark, so a pause ends. */
#define CREDIT_PORTION (1u << 20)

/* What a published message weighs besides its bytes. */
#define PUBLISH_OVERHEAD 64

/* And an announcement or withdrawal besides its key: whoever gets it keeps more of it than the mail. */
#define INTEREST_OVERHEAD 256

struct peer_interest {
    struct subscriber subscriber;
    unsigned peer;
    size_t key_len;
    char key[];
};

static struct bytes peer_interest_key(const void *entry) {
    const struct peer_interest *interest = entry;
    return (struct bytes){interest->key, interest->key_len};
}

uint64_t router_cost(const struct message *message) {
    return message_size(message) + PUBLISH_OVERHEAD;
}

uint64_t router_interest_cost(size_t key_len) {
    return key_len + INTEREST_OVERHEAD;
}

/* It has something more to work off. */
static void charge(struct router *router, struct peer *peer, uint64_t cost) {
    peer->unsettled += cost;
    if (peer->unsettled > ROUTER_HIGH_WATER && !router->env->congested) {
        router->env->congested = true;
        counter_add(&router->env->counters.congestions, 1);
    }
}

static unsigned peer_count(const struct router *router) {
    return router->count + router->hub;
}

bool router_init(struct router *router, struct session_env *env, unsigned index, unsigned count,
                 struct mailbox *const *mailboxes, struct mailbox *hub, bool cluster) {
    *router = (struct router){.env = env, .index = index, .count = count, .hub = hub ? 1 : 0, .cluster = cluster};
    env->away = cluster;
    router->peers = calloc(count + 1, sizeof *router->peers);
    router->topics = trie_new();
    router->users = trie_new();
    if (!router->peers || !router->topics || !router->users)
        return false;
    for (unsigned n = 0; n < peer_count(router); n++) {
        router->peers[n].mailbox = n == count ? hub : n == index ? NULL : mailboxes[n];
        for (int kind = INTEREST_EXACT; kind <= INTEREST_USER; kind++)
            map_init(&router->peers[n].interests[kind], peer_interest_key);
    }
    interests_init(&router->interests, count - 1, cluster);
    return true;
}

static struct trie *trie_of(struct router *router, enum interest_kind kind) {
    return kind == INTEREST_USER ? router->users : router->topics;
}

static void forget_peer(struct router *router, struct peer *peer) {
    for (int kind = INTEREST_EXACT; kind <= INTEREST_USER; kind++) {
        size_t cursor = 0;
        struct peer_interest *interest;
        while ((interest = map_next(&peer->interests[kind], &cursor)) != NULL) {
            trie_remove(trie_of(router, (enum interest_kind)kind), &interest->subscriber);
            free(interest);
        }
        map_free(&peer->interests[kind]);
    }
}

void router_free(struct router *router) {
    for (unsigned n = 0; router->peers && n < peer_count(router); n++) {
        forget_peer(router, &router->peers[n]);
        mail_discard_all(router->peers[n].outgoing.newest);
    }
    interests_free(&router->interests);
    if (router->topics)
        trie_free(router->topics);
    if (router->users)
        trie_free(router->users);
    free(router->peers);
}

/* ---- mail ---- */

static struct mail_interest *interest_mail(struct router *router, enum mail_type type, enum interest_kind kind,
                                           struct bytes key, uint64_t id) {
    struct mail_interest *mail = malloc(sizeof *mail + key.len);
    if (!mail)
        return NULL;
    *mail =
        (struct mail_interest){.mail.type = type, .from = router->index, .kind = kind, .id = id, .key_len = key.len};
    memcpy(mail->key, key.data, key.len);
    return mail;
}

static struct bytes mail_key(const struct mail_interest *mail) {
    return (struct bytes){mail->key, mail->key_len};
}

/* The same mail to all who publish here. False when memory ran out before all had it. */
static bool tell_peers(struct router *router, enum mail_type type, const struct interest *interest) {
    for (unsigned n = 0; n < router->count + router->cluster; n++) {
        if (n == router->index)
            continue;
        struct mail_interest *mail = interest_mail(router, type, interest->kind, interest_key(interest), interest->id);
        if (!mail)
            return false;
        mail_batch_add(&router->peers[n].outgoing, &mail->mail);
        charge(router, &router->peers[n], router_interest_cost(mail->key_len));
    }
    return true;
}

/* Tried again in the next turn when memory is out. */
static void give_credit(struct router *router, struct peer *peer) {
    struct mail_credit *credit = peer->owed >= CREDIT_PORTION ? malloc(sizeof *credit) : NULL;
    if (!credit)
        return;
    *credit = (struct mail_credit){.mail.type = MAIL_CREDIT, .from = router->index, .bytes = peer->owed};
    mail_batch_add(&peer->outgoing, &credit->mail);
    peer->owed = 0;
}

void router_post(struct router *router) {
    for (unsigned n = 0; n < peer_count(router); n++) {
        if (n == router->index)
            continue;
        give_credit(router, &router->peers[n]);
        mailbox_post_batch(router->peers[n].mailbox, &router->peers[n].outgoing);
    }
}

/* ---- subscriptions and interest ---- */

static enum interest_kind interest_kind_of(const struct destination *destination) {
    if (destination->kind == DESTINATION_USER || destination->kind == DESTINATION_TEMP_QUEUE)
        return INTEREST_USER;
    return destination->pattern ? INTEREST_PATTERN : INTEREST_EXACT;
}

static bool add_to_trie(struct router *router, enum interest_kind kind, struct bytes key,
                        struct subscriber *subscriber) {
    if (kind == INTEREST_PATTERN)
        return trie_add_pattern(router->topics, key, subscriber);
    return trie_add_exact(trie_of(router, kind), key, subscriber);
}

/*
 * What the subscription is matched by: its destination; for /user/… the key of its user, for a reply address that of its
 * session. False: out of memory.
 */
static bool routing_key(struct router *router, const struct session *session, const struct destination *destination,
                        struct bytes *key) {
    *key = destination->whole;
    if (interest_kind_of(destination) != INTEREST_USER)
        return true;
    bool anonymous = session->user == NULL || destination->kind == DESTINATION_TEMP_QUEUE;
    struct bytes who = bytes_of(anonymous ? session->id : session->user);
    if (!destination_user_key_build(&router->env->key, anonymous, who, destination->rest))
        return false;
    *key = buffer_bytes(&router->env->key);
    return true;
}

bool router_subscribe(struct router *router, struct subscription *subscription, const struct destination *destination) {
    enum interest_kind kind = interest_kind_of(destination);
    struct bytes key;
    bool first;
    if (!routing_key(router, subscription->session, destination, &key))
        return false;
    subscription->interest = interests_acquire(&router->interests, kind, key, &first);
    if (!subscription->interest || !add_to_trie(router, kind, key, &subscription->subscriber))
        return false;
    if (first && !tell_peers(router, MAIL_ANNOUNCE, subscription->interest))
        return false;
    subscription->known = interest_is_known(subscription->interest);
    subscription->live = interest_is_live(subscription->interest);
    if (!subscription->live)
        list_append(&subscription->interest->waiting, &subscription->waiting);
    return true;
}

void router_unsubscribe(struct router *router, struct subscription *subscription) {
    struct interest *interest = subscription->interest;
    if (!interest)
        return;
    trie_remove(trie_of(router, interest->kind), &subscription->subscriber);
    list_remove(&subscription->waiting);
    subscription->interest = NULL;
    if (interest->holders == 1 && !tell_peers(router, MAIL_WITHDRAW, interest))
        log_warning("out of memory: others go on sending what nobody here wants");
    interests_release(&router->interests, interest);
}

static struct peer_interest *peer_interest_new(const struct mail_interest *mail) {
    struct peer_interest *interest = calloc(1, sizeof *interest + mail->key_len);
    if (!interest)
        return NULL;
    interest->subscriber.kind = SUBSCRIBER_PEER;
    interest->peer = mail->from;
    interest->key_len = mail->key_len;
    memcpy(interest->key, mail->key, mail->key_len);
    return interest;
}

/* From here on what is published here reaches that worker. False: out of memory. */
static bool note_interest(struct router *router, const struct mail_interest *mail) {
    struct map *known = &router->peers[mail->from].interests[mail->kind];
    if (map_find(known, mail_key(mail)))
        return true;
    struct peer_interest *interest = peer_interest_new(mail);
    if (interest && map_insert(known, interest)) {
        if (add_to_trie(router, mail->kind, mail_key(mail), &interest->subscriber))
            return true;
        map_remove(known, mail_key(mail));
    }
    free(interest);
    return false;
}

static void on_announce(struct router *router, const struct mail_interest *mail) {
    router->peers[mail->from].owed += router_interest_cost(mail->key_len);
    struct mail_interest *confirmation = interest_mail(router, MAIL_CONFIRM, mail->kind, mail_key(mail), mail->id);
    if (confirmation && note_interest(router, mail)) {
        mail_batch_add(&router->peers[mail->from].outgoing, &confirmation->mail);
        return;
    }
    /* Not confirming is the honest answer: the subscription over there never claims to be live. */
    log_error("out of memory: a subscription of another worker stays incomplete");
    free(confirmation);
}

static void on_withdraw(struct router *router, const struct mail_interest *mail) {
    router->peers[mail->from].owed += router_interest_cost(mail->key_len);
    struct peer_interest *interest = map_remove(&router->peers[mail->from].interests[mail->kind], mail_key(mail));
    if (!interest)
        return;
    trie_remove(trie_of(router, mail->kind), &interest->subscriber);
    free(interest);
}

static void on_confirm(struct router *router, const struct mail_interest *mail) {
    struct interest *interest =
        interests_confirm(&router->interests, mail->kind, mail_key(mail), mail->id, mail->from == router->count);
    if (!interest)
        return;
    LIST_FOR_EACH (node, &interest->waiting) {
        struct subscription *subscription = CONTAINER_OF(node, struct subscription, waiting);
        if (!subscription->known)
            session_subscription_known(subscription);
    }
    if (!interest_is_live(interest))
        return;
    /* A head of our own: a session that fails here may drop its last subscription, and the interest goes with it. */
    struct list_node waiting;
    list_append(&interest->waiting, &waiting);
    list_remove(&interest->waiting);
    struct list_node *node;
    while ((node = list_take_first(&waiting)) != NULL)
        session_subscription_live(CONTAINER_OF(node, struct subscription, waiting));
}

/* ---- publishing ---- */

/* Who besides this worker's sessions wants a message. */
struct reach {
    uint64_t workers; /* a bit each */
    bool hub;
};

static void deliver(struct router *router, struct subscriber *subscriber, struct message *message,
                    struct reach *reach) {
    if (subscriber->kind == SUBSCRIBER_PEER) {
        unsigned peer = CONTAINER_OF(subscriber, struct peer_interest, subscriber)->peer;
        if (peer == router->count)
            reach->hub = true;
        else
            reach->workers |= UINT64_C(1) << peer;
        return;
    }
    struct subscription *subscription = CONTAINER_OF(subscriber, struct subscription, subscriber);
    struct bytes only = message_only(message);
    if (only.len == 0 || bytes_equal(only, bytes_of(subscription->session->id)))
        session_deliver(subscription, message);
}

static void deliver_all(struct router *router, struct subscriber *const *subscribers, size_t count,
                        struct message *message, struct reach *reach) {
    for (size_t n = 0; n < count; n++)
        deliver(router, subscribers[n], message, reach);
}

/* Delivers to this worker's sessions. In a cluster the hub wants all. False: out of memory. */
static bool deliver_here(struct router *router, struct message *message, struct reach *reach) {
    struct match match;
    *reach = (struct reach){.hub = router->cluster};
    if (!trie_match(message->route == ROUTE_USER ? router->users : router->topics, message_key(message), &match))
        return false;
    deliver_all(router, match.exact, match.exact_count, message, reach);
    deliver_all(router, match.patterns, match.pattern_count, message, reach);
    return true;
}

static bool publish_to_peer(struct router *router, struct peer *peer, struct message *message) {
    struct mail_publish *mail = malloc(sizeof *mail);
    if (!mail)
        return false;
    *mail = (struct mail_publish){.mail.type = MAIL_PUBLISH, .from = router->index, .message = message_ref(message)};
    mail_batch_add(&peer->outgoing, &mail->mail);
    charge(router, peer, router_cost(message));
    return true;
}

bool router_publish(struct router *router, struct message *message) {
    struct reach reach;
    if (!deliver_here(router, message, &reach))
        return false;
    bool all = true;
    for (unsigned n = 0; reach.workers != 0; n++, reach.workers >>= 1)
        if ((reach.workers & 1) != 0 && !publish_to_peer(router, &router->peers[n], message))
            all = false;
    if (reach.hub && !publish_to_peer(router, &router->peers[router->count], message))
        all = false;
    return all;
}

static void on_publish(struct router *router, const struct mail_publish *mail) {
    static struct log_limit limit;
    struct peer *peer = &router->peers[mail->from];
    struct reach reach; /* the publisher has told the others itself */
    if (!deliver_here(router, mail->message, &reach))
        log_limited(&limit, LOG_LEVEL_ERROR,
                    "out of memory: a message that was sent elsewhere is lost for a worker's sessions");
    peer->owed += router_cost(mail->message);
    message_unref(mail->message);
}

static void on_credit(struct router *router, const struct mail_credit *mail) {
    router->peers[mail->from].unsettled -= mail->bytes;
    if (!router->env->congested)
        return;
    for (unsigned n = 0; n < peer_count(router); n++)
        if (router->peers[n].unsettled > ROUTER_LOW_WATER)
            return;
    router->env->congested = false;
    sessions_go_on(router->env);
}

static void on_cluster(struct router *router, const struct mail_cluster *mail) {
    router->env->away = mail->away;
    if (mail->away)
        interests_lose_hub(&router->interests);
    sessions_go_on(router->env);
}

bool router_take_mail(struct router *router, const struct mail *mail) {
    switch ((enum mail_type)mail->type) {
    case MAIL_PUBLISH:
        on_publish(router, (const struct mail_publish *)mail);
        return true;
    case MAIL_ANNOUNCE:
        on_announce(router, (const struct mail_interest *)mail);
        return true;
    case MAIL_CONFIRM:
        on_confirm(router, (const struct mail_interest *)mail);
        return true;
    case MAIL_WITHDRAW:
        on_withdraw(router, (const struct mail_interest *)mail);
        return true;
    case MAIL_CREDIT:
        on_credit(router, (const struct mail_credit *)mail);
        return true;
    case MAIL_CLUSTER:
        on_cluster(router, (const struct mail_cluster *)mail);
        return true;
    default:
        return false;
    }
}
