/*
 * The contract of store.h in Redis' commands. Names get the prefix here, and lose it again on their way in. A
 * publication is laid into one buffer and leaves with the turn; nothing is allocated for it but hiredis' own buffer.
 */
#include "stompd/store/redis_store.h"

#include <assert.h>
#include <stdlib.h>

#include "redis_calls.h"
#include "redis_error.h"
#include "redis_queues.h"
#include "stompd/store/payload.h"

struct redis_store {
    struct store store;
    struct redis_conf conf;
    struct redis_link link;
    struct redis_calls calls;
    struct redis_queues *queues;  /* NULL: nobody wants any */
    struct redis_command command; /* scratch */
    struct bytes prefix;
    struct buffer glob_prefix; /* the same, as globs have it */
    struct buffer user_front;  /* of the key of a user's sessions */
    struct buffer ready_word;  /* to which scripts add a queue's name */
    struct buffer key;         /* scratch */
    uint64_t renewals;         /* the count of this boot; goes up with each link too */
    uint64_t least;            /* that of this link's first renewal; 0: there was none yet */
};

/* What SUBSCRIBE and the like are sent with. */
struct subscription {
    const char *command;
    const char *answer;
    enum store_channel kind;
    bool on;
};

static const struct subscription subscriptions[2][2] = {
    [STORE_CHANNEL] = {{"UNSUBSCRIBE", "unsubscribe", STORE_CHANNEL, false},
                       {"SUBSCRIBE", "subscribe", STORE_CHANNEL, true}},
    [STORE_GLOB] = {{"PUNSUBSCRIBE", "punsubscribe", STORE_GLOB, false},
                    {"PSUBSCRIBE", "psubscribe", STORE_GLOB, true}},
};

/* What PUBLISH is sent with. */
static char publication;

static struct redis_store *of(struct store *store) {
    return CONTAINER_OF(store, struct redis_store, store);
}

/* ---- channels ---- */

static void publish(struct store *store, struct bytes channel, struct bytes payload) {
    struct redis_store *redis = of(store);
    struct redis_command *command = &redis->command;
    if (!redis_link_is_up(&redis->link))
        return;
    redis_command_begin(command, 3);
    redis_command_add(command, BYTES("PUBLISH"));
    redis_command_add_joined(command, redis->prefix, channel);
    redis_command_add(command, payload);
    (void)redis_link_speak(&redis->link, command, &publication);
}

/* One that broke the link counts as not answered: whoever made it still has it, for the next link. */
static void on_publication_answered(struct redis_store *redis, const redisReply *reply) {
    bool taken = reply && reply->type == REDIS_REPLY_INTEGER;
    if (!reply)
        return;
    if (!taken)
        redis_calls_refused(&redis->calls, "PUBLISH", reply);
    if (redis_link_is_up(&redis->link))
        redis->store.events->published(redis->store.arg, taken);
}

static struct bytes front_of(const struct redis_store *redis, enum store_channel kind) {
    return kind == STORE_GLOB ? buffer_bytes(&redis->glob_prefix) : redis->prefix;
}

static void change_subscription(struct redis_store *redis, const struct subscription *subscription, struct bytes name) {
    struct redis_command *command = &redis->command;
    redis_command_begin(command, 2);
    redis_command_add(command, bytes_of(subscription->command));
    redis_command_add_joined(command, front_of(redis, subscription->kind), name);
    (void)redis_link_listen(&redis->link, command, (void *)subscription);
}

static void subscribe(struct store *store, enum store_channel kind, struct bytes name) {
    change_subscription(of(store), &subscriptions[kind][true], name);
}

static void unsubscribe(struct store *store, enum store_channel kind, struct bytes name) {
    change_subscription(of(store), &subscriptions[kind][false], name);
}

/* The string at that place of an array, without `front`. False: there is none, or it has another front. */
static bool name_in(const redisReply *reply, size_t at, struct bytes front, struct bytes *name) {
    if (reply->type != REDIS_REPLY_ARRAY || at >= reply->elements || reply->element[at]->type != REDIS_REPLY_STRING)
        return false;
    *name = (struct bytes){reply->element[at]->str, reply->element[at]->len};
    if (!bytes_start_with(*name, front))
        return false;
    *name = bytes_skip(*name, front.len);
    return true;
}

static void on_heard(void *arg, void *what, const redisReply *reply) {
    struct redis_store *redis = arg;
    const struct store_events *events = redis->store.events;
    const struct subscription *subscription = what;
    char why[256];
    struct bytes kind;
    struct bytes name;
    if (reply->type == REDIS_REPLY_ERROR) {
        redis_error_explain(why, sizeof why, subscription->command, reply->str);
        redis_link_break(&redis->link, why);
    } else if (!name_in(reply, 0, BYTES(""), &kind) || !bytes_equal(kind, bytes_of(subscription->answer)) ||
               !name_in(reply, 1, front_of(redis, subscription->kind), &name)) {
        redis_link_break(&redis->link, "an answer belongs to no subscription");
    } else if (subscription->on) {
        events->subscribed(redis->store.arg, subscription->kind, name);
    } else {
        events->unsubscribed(redis->store.arg, subscription->kind, name);
    }
}

/* Of "message", channel, payload and "pmessage", glob, channel, payload, the last two count. */
static void on_published(void *arg, const redisReply *reply) {
    struct redis_store *redis = arg;
    const redisReply *payload = reply->element[reply->elements - 1];
    struct bytes channel;
    if (name_in(reply, reply->elements - 2, redis->prefix, &channel))
        redis->store.events->message(redis->store.arg, channel, (struct bytes){payload->str, payload->len});
}

/* ---- the link ---- */

/* What the last link may have left behind has a lower count than all that this one brings. */
static void on_up(void *arg, struct bytes run_id) {
    struct redis_store *redis = arg;
    if (redis->link.ups > 1)
        redis->renewals++;
    redis->least = 0;
    redis->store.events->up(redis->store.arg, run_id);
}

static void on_answered(void *arg, void *what, const redisReply *reply) {
    struct redis_store *redis = arg;
    if (what == &publication)
        on_publication_answered(redis, reply);
    else
        redis_calls_answered(&redis->calls, what, reply);
}

static void on_down(void *arg) {
    struct redis_store *redis = arg;
    redis_calls_down(&redis->calls);
    if (redis->queues)
        redis_queues_down(redis->queues);
    redis->store.events->down(redis->store.arg);
}

static const struct redis_link_events link_events = {on_up, on_answered, on_heard, on_published, on_down};

static void break_link(struct store *store, const char *why) {
    redis_link_break(&of(store)->link, why);
}

/* ---- scripts ---- */

/* A key made of the prefix and up to three parts. */
static void add_key(struct redis_store *redis, const char *front, struct bytes middle, const char *back) {
    struct buffer *key = &redis->key;
    key->len = 0;
    if (!buffer_append(key, front, strlen(front)) || !buffer_append(key, middle.data, middle.len) ||
        !buffer_append(key, back, strlen(back)))
        redis->command.failed = true;
    redis_command_add_joined(&redis->command, redis->prefix, buffer_bytes(key));
}

static void add_sessions_key(struct redis_store *redis, struct bytes boot) {
    add_key(redis, "boot:", boot, ":sessions");
}

static void begin_script(struct redis_store *redis, enum redis_script script, size_t keys, size_t arguments) {
    redis_command_begin(&redis->command, 3 + keys + arguments);
    redis_command_add(&redis->command, BYTES("EVALSHA"));
    redis_command_add(&redis->command, bytes_of(redis_scripts[script].sha1));
    redis_command_add_number(&redis->command, keys);
}

/* For the scripts that clean up or write: which keys the registry has, of that boot. */
static void add_registry_keys(struct redis_store *redis, struct bytes boot) {
    add_key(redis, "nodes", BYTES(""), "");
    add_sessions_key(redis, boot);
    add_key(redis, "users", BYTES(""), "");
}

static void make_call(struct redis_store *redis, enum redis_call_kind kind, struct store_call call) {
    redis_calls_make(&redis->calls, kind, &redis->command, call);
}

/* The count goes on when the entry is lost, so that no count of a boot comes twice. */
static void renew(struct store *store, struct store_call call) {
    struct redis_store *redis = of(store);
    begin_script(redis, REDIS_SCRIPT_RENEW, 1, 4);
    add_key(redis, "nodes", BYTES(""), "");
    redis_command_add(&redis->command, bytes_of(redis->conf.node));
    redis_command_add(&redis->command, bytes_of(redis->conf.boot));
    redis_command_add_number(&redis->command, ++redis->renewals);
    redis_command_add_number(&redis->command, redis->least);
    if (redis->least == 0)
        redis->least = redis->renewals;
    make_call(redis, CALL_RENEW, call);
}

static void begin_burial(struct redis_store *redis, struct bytes node, struct bytes boot) {
    begin_script(redis, REDIS_SCRIPT_BURY, 6, 7);
    add_registry_keys(redis, boot);
    add_key(redis, "boot:", boot, ":calls");
    add_key(redis, "boot:", boot, ":queues");
    add_key(redis, "durables", BYTES(""), ":seen");
    redis_command_add(&redis->command, node);
    redis_command_add(&redis->command, boot);
}

static void end_burial(struct redis_store *redis, enum redis_call_kind kind, struct store_call call) {
    redis_command_add_number(&redis->command, STORE_SESSIONS_MAX);
    redis_command_add(&redis->command, buffer_bytes(&redis->user_front));
    redis_command_add(&redis->command, redis->prefix);
    redis_command_add(&redis->command, buffer_bytes(&redis->ready_word));
    make_call(redis, kind, call);
}

static void bury(struct store *store, const struct store_node *dead, struct store_call call) {
    struct redis_store *redis = of(store);
    begin_burial(redis, dead->node, dead->boot);
    if (dead->fenced)
        redis_command_add(&redis->command, BYTES("dead"));
    else
        redis_command_add_number(&redis->command, dead->renewals);
    end_burial(redis, CALL_BURY, call);
}

static void leave(struct store *store, struct store_call call) {
    struct redis_store *redis = of(store);
    begin_burial(redis, bytes_of(redis->conf.node), bytes_of(redis->conf.boot));
    redis_command_add(&redis->command, BYTES(""));
    end_burial(redis, CALL_LEAVE, call);
}

static void write_sessions(struct redis_store *redis, enum redis_script script, const struct store_session *sessions,
                           size_t count) {
    begin_script(redis, script, 3, 5 + 2 * count);
    add_registry_keys(redis, bytes_of(redis->conf.boot));
    redis_command_add(&redis->command, bytes_of(redis->conf.node));
    redis_command_add(&redis->command, bytes_of(redis->conf.boot));
    redis_command_add_number(&redis->command, redis->renewals);
    redis_command_add_number(&redis->command, redis->least);
    redis_command_add(&redis->command, buffer_bytes(&redis->user_front));
    for (size_t n = 0; n < count; n++) {
        redis_command_add(&redis->command, sessions[n].id);
        redis_command_add(&redis->command, sessions[n].user);
    }
}

static void add_sessions(struct store *store, const struct store_session *sessions, size_t count,
                         struct store_call call) {
    write_sessions(of(store), REDIS_SCRIPT_ADD_SESSIONS, sessions, count);
    make_call(of(store), CALL_ADD_SESSIONS, call);
}

static void remove_sessions(struct store *store, const struct store_session *sessions, size_t count,
                            struct store_call call) {
    write_sessions(of(store), REDIS_SCRIPT_REMOVE_SESSIONS, sessions, count);
    make_call(of(store), CALL_REMOVE_SESSIONS, call);
}

static void users(struct store *store, struct bytes after, unsigned limit, struct store_call call) {
    struct redis_store *redis = of(store);
    begin_script(redis, REDIS_SCRIPT_USERS, 1, 3);
    add_key(redis, "users", BYTES(""), "");
    redis_command_add(&redis->command, after);
    redis_command_add_number(&redis->command, limit < STORE_USERS_MAX ? limit : STORE_USERS_MAX);
    redis_command_add(&redis->command, buffer_bytes(&redis->user_front));
    make_call(redis, CALL_USERS, call);
}

/* ---- plain reading ---- */

static void session_page(struct store *store, uint64_t cursor, struct store_call call) {
    struct redis_store *redis = of(store);
    redis_command_begin(&redis->command, 5);
    redis_command_add(&redis->command, BYTES("HSCAN"));
    add_sessions_key(redis, bytes_of(redis->conf.boot));
    redis_command_add_number(&redis->command, cursor);
    redis_command_add(&redis->command, BYTES("COUNT"));
    redis_command_add_number(&redis->command, STORE_SESSIONS_MAX);
    make_call(redis, CALL_SESSION_PAGE, call);
}

static void user_sessions(struct store *store, struct bytes user, struct store_call call) {
    struct redis_store *redis = of(store);
    redis_command_begin(&redis->command, 2);
    redis_command_add(&redis->command, BYTES("SMEMBERS"));
    redis_command_add_joined(&redis->command, buffer_bytes(&redis->user_front), user);
    make_call(redis, CALL_USER_SESSIONS, call);
}

/* ---- life ---- */

static void free_all(struct redis_store *redis) {
    redis_calls_free(&redis->calls);
    redis_queues_free(redis->queues);
    redis_command_free(&redis->command);
    buffer_free(&redis->glob_prefix);
    buffer_free(&redis->user_front);
    buffer_free(&redis->ready_word);
    buffer_free(&redis->key);
    free(redis);
}

static void redis_store_free(struct store *store) {
    struct redis_store *redis = of(store);
    void *what;
    while (redis->link.state == LINK_UP && redis_connection_take(&redis->link.speaker, &what)) {
        if (what != &publication)
            redis_calls_drop(what);
    }
    redis_link_free(&redis->link);
    free_all(redis);
}

static const struct store_ops store_ops = {.publish = publish,
                                           .subscribe = subscribe,
                                           .unsubscribe = unsubscribe,
                                           .renew = renew,
                                           .bury = bury,
                                           .leave = leave,
                                           .add_sessions = add_sessions,
                                           .remove_sessions = remove_sessions,
                                           .session_page = session_page,
                                           .user_sessions = user_sessions,
                                           .users = users,
                                           .break_link = break_link,
                                           .free = redis_store_free};

static bool make_fronts(struct redis_store *redis) {
    const struct redis_conf *conf = &redis->conf;
    struct bytes front = bytes_of(conf->registry_prefix ? conf->registry_prefix : conf->prefix);
    struct bytes rest = conf->registry_prefix ? BYTES("") : BYTES("user:");
    struct payload_origin origin = {.type = PAYLOAD_READY, .boot = bytes_of(conf->boot)};
    redis->prefix = bytes_of(conf->prefix);
    return redis_glob_of_prefix(&redis->glob_prefix, conf->prefix) &&
           buffer_append(&redis->user_front, front.data, front.len) &&
           buffer_append(&redis->user_front, rest.data, rest.len) && payload_write_word(&redis->ready_word, &origin);
}

struct store *redis_store_new(struct event_base *base, const struct redis_conf *conf, const struct store_events *events,
                              void *arg) {
    struct redis_store *redis = calloc(1, sizeof *redis);
    if (!redis)
        return NULL;
    redis->store = (struct store){&store_ops, events, arg};
    redis->conf = *conf;
    redis->link.base = base;
    if (!make_fronts(redis) || !redis_calls_init(&redis->calls, &redis->link) ||
        !redis_link_init(&redis->link, base, &redis->conf, &link_events, redis)) {
        free_all(redis);
        return NULL;
    }
    return &redis->store;
}

struct queue_store *redis_store_queues(struct store *store, unsigned owners, const struct queue_events *events,
                                       void *arg) {
    struct redis_store *redis = of(store);
    struct redis_queues_conf conf = {
        .redis = &redis->conf, .ready_word = buffer_bytes(&redis->ready_word), .owners = owners};
    assert(!redis->queues);
    redis->queues = redis_queues_new(&redis->calls, &conf, events, arg);
    return redis->queues ? redis_queues_store(redis->queues) : NULL;
}

void redis_store_status(const struct store *store, struct redis_status *status) {
    const struct redis_store *redis = CONTAINER_OF(store, struct redis_store, store);
    const struct redis_link *link = &redis->link;
    *status = (struct redis_status){.up = redis_link_is_up(link),
                                    .ups = link->ups,
                                    .failures = link->failures,
                                    .waiting = link->speaker.count + redis_calls_waiting(&redis->calls),
                                    .refused = redis->calls.refused};
    memcpy(status->version, link->server.version, sizeof status->version);
    memcpy(status->trouble, link->trouble, sizeof status->trouble);
}
