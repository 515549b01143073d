/* The truth of this node's users, and its copy in the store; see registry.h. */
#include "registry.h"

#include <stdlib.h>

#include "stompd/base/list.h"
#include "stompd/base/log.h"

/* Calls to the store that may be under way. */
#define CALLS_MAX 16

/* After the store has refused something: each time twice as long as the last. */
#define RETRY_MIN_MS 5000
#define RETRY_MAX_MS 60000

enum copy_state {
    COPY_ABSENT,  /* the store is away, or this boot has no entry there */
    COPY_SCANNED, /* what the store has is being compared */
    COPY_KEPT     /* what changes here is written there */
};

struct online_user {
    struct list_node sessions;
    size_t count;
    size_t name_len;
    char name[];
};

struct online_session {
    struct list_node in_user;
    struct list_node to_add; /* registry->to_add while the store has to be told */
    struct online_user *user;
    bool told; /* the store may have it */
    size_t id_len;
    char id[];
};

/* A session that has to be taken out of the store. */
struct removal {
    struct list_node in_list;
    size_t id_len;
    size_t user_len;
    char text[]; /* id, user */
};

struct registry {
    struct store *store;
    void (*gone)(void *arg);
    void *arg;
    struct map by_id;
    struct map by_name;
    enum copy_state copy;
    struct list_node to_add;
    struct list_node to_remove;
    unsigned calls;    /* under way */
    bool paging;       /* one of them is a page */
    bool rescan;       /* the page under way is of an earlier scan */
    uint64_t retry_ms; /* when to restore again; 0: nothing was refused since the last restore */
    uint64_t retry_in_ms;
    uint64_t now_ms;
};

static struct bytes session_id(const struct online_session *session) {
    return (struct bytes){session->id, session->id_len};
}

static struct bytes session_key(const void *entry) {
    return session_id(entry);
}

static struct bytes user_name(const struct online_user *user) {
    return (struct bytes){user->name, user->name_len};
}

static struct bytes user_key(const void *entry) {
    return user_name(entry);
}

struct registry *registry_new(struct store *store, void (*gone)(void *arg), void *arg) {
    struct registry *registry = calloc(1, sizeof *registry);
    if (!registry)
        return NULL;
    *registry = (struct registry){.store = store, .gone = gone, .arg = arg, .retry_in_ms = RETRY_MIN_MS};
    map_init(&registry->by_id, session_key);
    map_init(&registry->by_name, user_key);
    list_init(&registry->to_add);
    list_init(&registry->to_remove);
    return registry;
}

static void forget_removals(struct registry *registry) {
    LIST_FOR_EACH (node, &registry->to_remove)
        free(CONTAINER_OF(node, struct removal, in_list));
    list_init(&registry->to_remove);
}

void registry_free(struct registry *registry) {
    size_t cursor = 0;
    struct online_session *session;
    struct online_user *user;
    if (!registry)
        return;
    while ((session = map_next(&registry->by_id, &cursor)) != NULL)
        free(session);
    cursor = 0;
    while ((user = map_next(&registry->by_name, &cursor)) != NULL)
        free(user);
    map_free(&registry->by_id);
    map_free(&registry->by_name);
    forget_removals(registry);
    free(registry);
}

/* ---- the truth ---- */

static struct online_user *find_or_add_user(struct registry *registry, struct bytes name) {
    struct online_user *user = map_find(&registry->by_name, name);
    if (user || !(user = calloc(1, sizeof *user + name.len)))
        return user;
    list_init(&user->sessions);
    user->name_len = name.len;
    memcpy(user->name, name.data, name.len);
    if (map_insert(&registry->by_name, user))
        return user;
    free(user);
    return NULL;
}

static void forget_empty_user(struct registry *registry, struct online_user *user) {
    if (user->count > 0)
        return;
    map_remove(&registry->by_name, user_name(user));
    free(user);
}

static struct online_session *session_new(struct bytes id, struct online_user *user) {
    struct online_session *session = calloc(1, sizeof *session + id.len);
    if (!session)
        return NULL;
    list_init(&session->to_add);
    session->user = user;
    session->id_len = id.len;
    memcpy(session->id, id.data, id.len);
    return session;
}

static bool add_session(struct registry *registry, struct bytes id, struct online_user *user) {
    struct online_session *session = session_new(id, user);
    if (!session || !map_insert(&registry->by_id, session)) {
        free(session);
        return false;
    }
    user->count++;
    list_append(&user->sessions, &session->in_user);
    if (registry->store)
        list_append(&registry->to_add, &session->to_add);
    return true;
}

void registry_open(struct registry *registry, struct bytes id, struct bytes name) {
    if (map_find(&registry->by_id, id))
        return;
    struct online_user *user = find_or_add_user(registry, name);
    if (user && add_session(registry, id, user))
        return;
    log_error("out of memory: a session is missing in the registry");
    if (user)
        forget_empty_user(registry, user);
}

/* What was refused, or could not be asked for, is made good by a restore. */
static void restore_later(struct registry *registry) {
    if (registry->retry_ms > 0)
        return;
    registry->retry_ms = registry->now_ms + registry->retry_in_ms;
    registry->retry_in_ms = registry->retry_in_ms * 2 < RETRY_MAX_MS ? registry->retry_in_ms * 2 : RETRY_MAX_MS;
}

static void remove_later(struct registry *registry, struct bytes id, struct bytes user) {
    struct removal *removal = malloc(sizeof *removal + id.len + user.len);
    if (!removal) {
        log_error("out of memory: a session stays in the registry for a while");
        restore_later(registry);
        return;
    }
    removal->id_len = id.len;
    removal->user_len = user.len;
    memcpy(removal->text, id.data, id.len);
    memcpy(removal->text + id.len, user.data, user.len);
    list_init(&removal->in_list);
    list_append(&registry->to_remove, &removal->in_list);
}

void registry_close(struct registry *registry, struct bytes id) {
    struct online_session *session = map_remove(&registry->by_id, id);
    if (!session)
        return;
    struct online_user *user = session->user;
    if (session->told && registry->copy != COPY_ABSENT)
        remove_later(registry, id, user_name(user));
    list_remove(&session->to_add);
    list_remove(&session->in_user);
    free(session);
    user->count--;
    forget_empty_user(registry, user);
}

void registry_take_mail(struct registry *registry, const struct mail_session *mail) {
    struct bytes id = {mail->text, mail->id_len};
    if (mail->open)
        registry_open(registry, id, (struct bytes){mail->text + mail->id_len, mail->user_len});
    else
        registry_close(registry, id);
}

/* ---- the copy ---- */

/* Nothing is written until the next restore, which compares all. */
static void lose_copy(struct registry *registry) {
    registry->copy = COPY_ABSENT;
    registry->retry_ms = 0;
    forget_removals(registry);
}

/* A refusal may concern one user alone (a key that somebody else has written), so the others go on. */
static void on_answer(struct registry *registry, enum store_result result) {
    static struct log_limit limit;
    registry->calls--;
    if (registry->copy == COPY_ABSENT)
        return;
    if (result == STORE_GONE) {
        lose_copy(registry);
        registry->gone(registry->arg);
    } else if (result == STORE_AWAY) {
        lose_copy(registry);
    } else if (result != STORE_OK) {
        restore_later(registry);
        log_limited(&limit, LOG_LEVEL_WARNING, "the registry of users could not be written; it is tried again");
    } else if (registry_is_settled(registry)) {
        registry->retry_in_ms = RETRY_MIN_MS;
    }
}

static void on_written(void *arg, const struct store_answer *answer) {
    on_answer(arg, answer->result);
}

static void send_adds(struct registry *registry) {
    struct store_session sessions[STORE_SESSIONS_MAX];
    size_t count = 0;
    struct list_node *node;
    while (count < STORE_SESSIONS_MAX && (node = list_take_first(&registry->to_add)) != NULL) {
        struct online_session *session = CONTAINER_OF(node, struct online_session, to_add);
        session->told = true;
        sessions[count++] = (struct store_session){session_id(session), user_name(session->user)};
    }
    registry->calls++;
    registry->store->ops->add_sessions(registry->store, sessions, count, (struct store_call){on_written, registry});
}

static void send_removals(struct registry *registry) {
    struct store_session sessions[STORE_SESSIONS_MAX];
    struct list_node sent;
    size_t count = 0;
    struct list_node *node;
    list_init(&sent);
    while (count < STORE_SESSIONS_MAX && (node = list_take_first(&registry->to_remove)) != NULL) {
        struct removal *removal = CONTAINER_OF(node, struct removal, in_list);
        list_append(&sent, node);
        sessions[count++] = (struct store_session){{removal->text, removal->id_len},
                                                   {removal->text + removal->id_len, removal->user_len}};
    }
    registry->calls++;
    registry->store->ops->remove_sessions(registry->store, sessions, count, (struct store_call){on_written, registry});
    LIST_FOR_EACH (removal, &sent)
        free(CONTAINER_OF(removal, struct removal, in_list));
}

void registry_flush(struct registry *registry, uint64_t now_ms) {
    registry->now_ms = now_ms;
    if (registry->retry_ms > 0 && now_ms >= registry->retry_ms)
        registry_restore(registry);
    while (registry->copy != COPY_ABSENT && registry->calls < CALLS_MAX) {
        if (!list_is_empty(&registry->to_remove))
            send_removals(registry);
        else if (!list_is_empty(&registry->to_add))
            send_adds(registry);
        else
            break;
    }
}

/* ---- restoring ---- */

static void ask_for_page(struct registry *registry, uint64_t cursor);

/* A page that was refused counts as the last: another restore will follow. */
static void on_page(void *arg, const struct store_answer *answer) {
    struct registry *registry = arg;
    registry->paging = false;
    on_answer(registry, answer->result);
    if (registry->copy != COPY_SCANNED)
        return;
    if (registry->rescan) {
        ask_for_page(registry, 0);
        return;
    }
    for (size_t n = 0; n < answer->session_count; n++)
        if (!map_find(&registry->by_id, answer->sessions[n].id))
            remove_later(registry, answer->sessions[n].id, answer->sessions[n].user);
    if (answer->cursor != 0)
        ask_for_page(registry, answer->cursor);
    else
        registry->copy = COPY_KEPT;
}

static void ask_for_page(struct registry *registry, uint64_t cursor) {
    registry->paging = true;
    registry->rescan = false;
    registry->calls++;
    registry->store->ops->session_page(registry->store, cursor, (struct store_call){on_page, registry});
}

void registry_restore(struct registry *registry) {
    size_t cursor = 0;
    struct online_session *session;
    if (!registry->store)
        return;
    registry->retry_ms = 0;
    registry->copy = COPY_SCANNED;
    while ((session = map_next(&registry->by_id, &cursor)) != NULL)
        if (!list_is_linked(&session->to_add))
            list_append(&registry->to_add, &session->to_add);
    if (registry->paging)
        registry->rescan = true;
    else
        ask_for_page(registry, 0);
}

void registry_down(struct registry *registry) {
    registry->retry_in_ms = RETRY_MIN_MS;
    registry->calls = 0; /* also one that was not made for want of memory */
    registry->paging = false;
    lose_copy(registry);
}

bool registry_is_settled(const struct registry *registry) {
    return !registry->store || (registry->copy == COPY_KEPT && registry->calls == 0 && registry->retry_ms == 0 &&
                                list_is_empty(&registry->to_add) && list_is_empty(&registry->to_remove));
}

/* ---- answers ---- */

size_t registry_sessions(const struct registry *registry) {
    return registry->by_id.count;
}

size_t registry_users(const struct registry *registry) {
    return registry->by_name.count;
}

void registry_user_sessions(const struct registry *registry, struct bytes name,
                            void (*visit)(void *arg, struct bytes session), void *arg) {
    struct online_user *user = map_find(&registry->by_name, name);
    if (!user)
        return;
    LIST_FOR_EACH (node, &user->sessions)
        visit(arg, session_id(CONTAINER_OF(node, struct online_session, in_user)));
}

static int compare(struct bytes a, struct bytes b) {
    int order = memcmp(a.data, b.data, a.len < b.len ? a.len : b.len);
    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

static int by_name(const void *a, const void *b) {
    return compare(user_name(*(struct online_user *const *)a), user_name(*(struct online_user *const *)b));
}

bool registry_users_page(const struct registry *registry, struct bytes after, unsigned limit,
                         void (*visit)(void *arg, const struct store_user *user), void *arg) {
    size_t count = 0;
    size_t cursor = 0;
    struct online_user *user;
    struct online_user **users = calloc(registry->by_name.count + 1, sizeof(struct online_user *));
    if (!users)
        return false;
    while ((user = map_next(&registry->by_name, &cursor)) != NULL)
        if (after.len == 0 || compare(user_name(user), after) > 0)
            users[count++] = user;
    qsort(users, count, sizeof(struct online_user *), by_name);
    for (size_t n = 0; n < count && n < limit; n++)
        visit(arg, &(struct store_user){user_name(users[n]), users[n]->count});
    free(users);
    return true;
}
