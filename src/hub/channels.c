/*
 * Interest of the workers as subscriptions to the store's channels. Several announcements may need one channel (users
 * with many destinations, patterns with the same glob), and it stays until the last has gone.
 */
#include "channels.h"

#include <stdlib.h>
#include <string.h>

#include "stompd/base/log.h"
#include "stompd/edge/router.h"

enum channel_state { CHANNEL_ASKING, CHANNEL_LIVE, CHANNEL_RELEASING, CHANNEL_LEAVING };

struct channel {
    struct list_node asking;        /* channels->asking, while ASKING */
    struct list_node releasing;     /* channels->releasing, while RELEASING */
    struct list_node announcements; /* that need it */
    size_t holders;                 /* of these, and of the node itself */
    uint64_t released_ms;
    uint64_t withdrawn_cost; /* of the withdrawal that left it without holders; 0: credited */
    unsigned withdrawn_by;
    enum store_channel kind;
    enum channel_state state;
    uint32_t name_len;
    char name[];
};

/* A worker's interest in one key. */
struct announcement {
    struct subscriber subscriber;
    struct list_node in_channel;
    struct channel *channel;
    bool credited;
    unsigned worker;
    enum interest_kind kind;
    uint64_t id;
    uint32_t key_len;
    char key[];
};

static struct bytes channel_name(const struct channel *channel) {
    return (struct bytes){channel->name, channel->name_len};
}

static struct bytes channel_key(const void *entry) {
    return channel_name(entry);
}

static struct bytes announcement_key(const void *entry) {
    const struct announcement *announcement = entry;
    return (struct bytes){announcement->key, announcement->key_len};
}

static struct trie *trie_of(struct channels *channels, enum interest_kind kind) {
    return kind == INTEREST_USER ? channels->users : channels->topics;
}

static struct map *announced_by(struct channels *channels, unsigned worker, enum interest_kind kind) {
    return &channels->announced[(size_t)worker * 3 + kind];
}

/* ---- channels ---- */

static void ask(struct channels *channels, struct channel *channel) {
    channel->state = CHANNEL_ASKING;
    list_append(&channels->asking, &channel->asking);
    if (!channels->up)
        return;
    channels->store->ops->subscribe(channels->store, channel->kind, channel_name(channel));
}

static struct channel *channel_new(struct channels *channels, enum store_channel kind, struct bytes name) {
    struct channel *channel = calloc(1, sizeof *channel + name.len);
    if (!channel)
        return NULL;
    list_init(&channel->asking);
    list_init(&channel->releasing);
    list_init(&channel->announcements);
    channel->kind = kind;
    channel->name_len = (uint32_t)name.len;
    memcpy(channel->name, name.data, name.len);
    if (!map_insert(&channels->by_name[kind], channel)) {
        free(channel);
        return NULL;
    }
    ask(channels, channel);
    return channel;
}

static void credit_withdrawal(struct channels *channels, struct channel *channel) {
    if (channel->withdrawn_cost > 0)
        channels->credit(channels->arg, channel->withdrawn_by, channel->withdrawn_cost);
    channel->withdrawn_cost = 0;
}

static void channel_free(struct channels *channels, struct channel *channel) {
    credit_withdrawal(channels, channel);
    list_remove(&channel->asking);
    list_remove(&channel->releasing);
    map_remove(&channels->by_name[channel->kind], channel_name(channel));
    free(channel);
}

/* One holder more; a channel that was about to be left is kept. */
static struct channel *hold(struct channels *channels, enum store_channel kind, struct bytes name) {
    struct channel *channel = map_find(&channels->by_name[kind], name);
    if (!channel)
        channel = channel_new(channels, kind, name);
    if (!channel)
        return NULL;
    channel->holders++;
    credit_withdrawal(channels, channel);
    if (channel->state == CHANNEL_RELEASING) {
        list_remove(&channel->releasing);
        channel->state = CHANNEL_LIVE;
    }
    return channel;
}

/* Nobody wants it any more. While it is being asked for or left, the store's answer decides. May free it. */
static void release(struct channels *channels, struct channel *channel, uint64_t now_ms) {
    if (channel->state == CHANNEL_LIVE) {
        channel->state = CHANNEL_RELEASING;
        channel->released_ms = now_ms;
        list_append(&channels->releasing, &channel->releasing);
    } else if (channel->state == CHANNEL_ASKING && !channels->up) {
        channel_free(channels, channel);
    }
}

/* ---- announcements ---- */

static void credit_announcement(struct channels *channels, struct announcement *announcement) {
    if (!announcement->credited)
        channels->credit(channels->arg, announcement->worker, router_interest_cost(announcement->key_len));
    announcement->credited = true;
}

static void confirm(struct channels *channels, struct announcement *announcement) {
    credit_announcement(channels, announcement);
    struct mail_interest *mail = malloc(sizeof *mail + announcement->key_len);
    if (!mail) {
        log_error("out of memory: a subscription stays incomplete");
        return;
    }
    *mail = (struct mail_interest){.mail.type = MAIL_CONFIRM,
                                   .from = channels->from,
                                   .kind = announcement->kind,
                                   .id = announcement->id,
                                   .key_len = announcement->key_len};
    memcpy(mail->key, announcement->key, announcement->key_len);
    mail_batch_add(&channels->outgoing[announcement->worker], &mail->mail);
}

/* Anonymous sessions are reached by their node's own channel, which is always held. */
static bool find_channel(struct channels *channels, struct announcement *announcement) {
    enum store_channel kind;
    if (!channel_of_interest(&channels->name, &kind, announcement->kind, announcement_key(announcement)))
        return false;
    announcement->channel = hold(channels, kind, buffer_bytes(&channels->name));
    return announcement->channel != NULL;
}

static bool add_to_trie(struct channels *channels, struct announcement *announcement) {
    struct bytes key = announcement_key(announcement);
    if (announcement->kind == INTEREST_PATTERN)
        return trie_add_pattern(channels->topics, key, &announcement->subscriber);
    return trie_add_exact(trie_of(channels, announcement->kind), key, &announcement->subscriber);
}

static struct announcement *announcement_new(const struct mail_interest *mail) {
    struct announcement *announcement = calloc(1, sizeof *announcement + mail->key_len);
    if (!announcement)
        return NULL;
    list_init(&announcement->in_channel);
    announcement->worker = mail->from;
    announcement->kind = mail->kind;
    announcement->id = mail->id;
    announcement->key_len = (uint32_t)mail->key_len;
    memcpy(announcement->key, mail->key, mail->key_len);
    return announcement;
}

/* The withdrawal is credited at once, or with the end of the channel that it leaves without holders. */
static void let_go(struct channels *channels, struct channel *channel, unsigned worker, uint64_t cost,
                   uint64_t now_ms) {
    if (--channel->holders > 0) {
        channels->credit(channels->arg, worker, cost);
        return;
    }
    channel->withdrawn_by = worker;
    channel->withdrawn_cost = cost;
    release(channels, channel, now_ms);
}

static void announcement_free(struct channels *channels, struct announcement *announcement, uint64_t now_ms) {
    uint64_t cost = router_interest_cost(announcement->key_len);
    trie_remove(trie_of(channels, announcement->kind), &announcement->subscriber);
    list_remove(&announcement->in_channel);
    credit_announcement(channels, announcement);
    if (announcement->channel)
        let_go(channels, announcement->channel, announcement->worker, cost, now_ms);
    else
        channels->credit(channels->arg, announcement->worker, cost);
    free(announcement);
}

/* Not confirming is the honest answer. */
static void log_incomplete(void) {
    log_error("out of memory: a subscription stays incomplete");
}

static void take_up(struct channels *channels, struct announcement *announcement) {
    if (!find_channel(channels, announcement) || !add_to_trie(channels, announcement)) {
        log_incomplete();
        credit_announcement(channels, announcement); /* the withdrawal frees it */
        return;
    }
    list_append(&announcement->channel->announcements, &announcement->in_channel);
    if (announcement->channel->state == CHANNEL_LIVE)
        confirm(channels, announcement);
    else if (!channels->up)
        credit_announcement(channels, announcement);
}

void channels_announce(struct channels *channels, const struct mail_interest *mail, uint64_t now_ms) {
    struct map *announced = announced_by(channels, mail->from, mail->kind);
    struct announcement *earlier = map_remove(announced, (struct bytes){mail->key, mail->key_len});
    if (earlier) /* its withdrawal was lost for want of memory */
        announcement_free(channels, earlier, now_ms);
    struct announcement *announcement = announcement_new(mail);
    if (announcement && map_insert(announced, announcement)) {
        take_up(channels, announcement);
        return;
    }
    log_incomplete();
    channels->credit(channels->arg, mail->from, router_interest_cost(mail->key_len));
    free(announcement);
}

void channels_withdraw(struct channels *channels, const struct mail_interest *mail, uint64_t now_ms) {
    struct bytes key = {mail->key, mail->key_len};
    struct announcement *announcement = map_remove(announced_by(channels, mail->from, mail->kind), key);
    if (announcement)
        announcement_free(channels, announcement, now_ms);
    else
        channels->credit(channels->arg, mail->from, router_interest_cost(mail->key_len));
}

/* ---- the store's events ---- */

bool channels_subscribed(struct channels *channels, enum store_channel kind, struct bytes name) {
    struct channel *channel = map_find(&channels->by_name[kind], name);
    if (!channel || channel->state != CHANNEL_ASKING)
        return false;
    list_remove(&channel->asking);
    channel->state = CHANNEL_LIVE;
    LIST_FOR_EACH (node, &channel->announcements)
        confirm(channels, CONTAINER_OF(node, struct announcement, in_channel));
    if (channel->holders == 0)
        release(channels, channel, 0); /* it may go at once */
    return channel == channels->own;
}

void channels_unsubscribed(struct channels *channels, enum store_channel kind, struct bytes name) {
    struct channel *channel = map_find(&channels->by_name[kind], name);
    if (!channel || channel->state != CHANNEL_LEAVING)
        return;
    if (channel->holders > 0)
        ask(channels, channel);
    else
        channel_free(channels, channel);
}

void channels_tick(struct channels *channels, uint64_t now_ms) {
    LIST_FOR_EACH (node, &channels->releasing) {
        struct channel *channel = CONTAINER_OF(node, struct channel, releasing);
        if (channel->released_ms + CHANNELS_RELEASE_MS > now_ms)
            continue;
        list_remove(&channel->releasing);
        channel->state = CHANNEL_LEAVING;
        channels->store->ops->unsubscribe(channels->store, channel->kind, channel_name(channel));
    }
}

/* ---- the link ---- */

static void ask_for_all(struct channels *channels, enum store_channel kind) {
    size_t cursor = 0;
    struct channel *channel;
    while ((channel = map_next(&channels->by_name[kind], &cursor)) != NULL)
        if (channel != channels->own)
            ask(channels, channel);
}

void channels_up(struct channels *channels) {
    channels->up = true;
    list_init(&channels->asking);
    ask_for_all(channels, STORE_CHANNEL);
    ask_for_all(channels, STORE_GLOB);
    ask(channels, channels->own);
}

/* Nothing is subscribed any more: what nobody wants is forgotten, the rest is to be asked for again. */
static void lose_all(struct channels *channels, enum store_channel kind) {
    size_t cursor = 0;
    struct channel *channel;
    while ((channel = map_next(&channels->by_name[kind], &cursor)) != NULL) {
        list_remove(&channel->asking);
        list_remove(&channel->releasing);
        channel->state = CHANNEL_ASKING;
        list_append(&channels->asking, &channel->asking);
        LIST_FOR_EACH (node, &channel->announcements)
            credit_announcement(channels, CONTAINER_OF(node, struct announcement, in_channel));
    }
}

void channels_down(struct channels *channels) {
    channels->up = false;
    lose_all(channels, STORE_CHANNEL);
    lose_all(channels, STORE_GLOB);
    LIST_FOR_EACH (node, &channels->asking) {
        struct channel *channel = CONTAINER_OF(node, struct channel, asking);
        if (channel->holders == 0)
            channel_free(channels, channel);
    }
}

bool channels_are_live(const struct channels *channels) {
    return channels->up && channels->own->state == CHANNEL_LIVE;
}

size_t channels_count(const struct channels *channels) {
    return channels->by_name[STORE_CHANNEL].count + channels->by_name[STORE_GLOB].count;
}

/* ---- who wants a message ---- */

static void add_workers(uint64_t *workers, struct subscriber *const *subscribers, size_t count) {
    for (size_t n = 0; n < count; n++)
        *workers |= UINT64_C(1) << CONTAINER_OF(subscribers[n], struct announcement, subscriber)->worker;
}

bool channels_match(struct channels *channels, const struct message *message, uint64_t *workers) {
    struct match match;
    *workers = 0;
    if (!trie_match(message->route == ROUTE_USER ? channels->users : channels->topics, message_key(message), &match))
        return false;
    add_workers(workers, match.exact, match.exact_count);
    add_workers(workers, match.patterns, match.pattern_count);
    return true;
}

/* ---- life ---- */

bool channels_init(struct channels *channels, struct store *store, struct bytes node, unsigned workers,
                   struct mail_batch *outgoing, void (*credit)(void *arg, unsigned worker, uint64_t bytes), void *arg) {
    *channels = (struct channels){
        .store = store, .outgoing = outgoing, .credit = credit, .arg = arg, .workers = workers, .from = workers};
    list_init(&channels->asking);
    list_init(&channels->releasing);
    map_init(&channels->by_name[STORE_CHANNEL], channel_key);
    map_init(&channels->by_name[STORE_GLOB], channel_key);
    channels->topics = trie_new();
    channels->users = trie_new();
    channels->announced = calloc((size_t)workers * 3, sizeof *channels->announced);
    for (size_t n = 0; channels->announced && n < (size_t)workers * 3; n++)
        map_init(&channels->announced[n], announcement_key);
    if (!channels->topics || !channels->users || !channels->announced || !channel_of_node(&channels->name, node))
        return false;
    channels->own = hold(channels, STORE_CHANNEL, buffer_bytes(&channels->name));
    return channels->own != NULL;
}

static void free_announced(struct channels *channels, struct map *announced) {
    size_t cursor = 0;
    struct announcement *announcement;
    while ((announcement = map_next(announced, &cursor)) != NULL) {
        trie_remove(trie_of(channels, announcement->kind), &announcement->subscriber);
        free(announcement);
    }
    map_free(announced);
}

static void free_channels(struct map *by_name) {
    size_t cursor = 0;
    struct channel *channel;
    while ((channel = map_next(by_name, &cursor)) != NULL)
        free(channel);
    map_free(by_name);
}

void channels_free(struct channels *channels) {
    for (size_t n = 0; channels->announced && n < (size_t)channels->workers * 3; n++)
        free_announced(channels, &channels->announced[n]);
    free(channels->announced);
    free_channels(&channels->by_name[STORE_CHANNEL]);
    free_channels(&channels->by_name[STORE_GLOB]);
    if (channels->topics)
        trie_free(channels->topics);
    if (channels->users)
        trie_free(channels->users);
    buffer_free(&channels->name);
}
