/* Links, and what moves on them; what the commands do is in fake_command.c. */
#include "fake_store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/random.h"
#include "fake_command.h"

#define REPLY_MS 5000

/* One in so many things that an orphan could still bring is the end of it. */
#define ORPHAN_ENDS 8

/* Orphans come late: they are looked at in one of so many steps, or when nothing else can move. */
#define ORPHAN_LATE 8

/* Commands in their order, and what comes back in its. */
struct connection {
    struct list_node commands;
    struct list_node answers;
    bool stalled;
};

/* A connection that only the server still has. */
struct orphan {
    struct list_node in_server;
    struct list_node commands;
    char *node;
    char *boot;
};

/* What the server has subscribed a link to. */
struct heard {
    struct list_node in_store;
    enum store_channel kind;
    struct buffer name;
};

enum state { DOWN, UP, BREAKING };

struct fake_store {
    struct store store;
    struct list_node in_server;
    struct fake_server *server;
    char *node;
    char *boot;
    uint64_t renewals; /* the boot's count, one more with each link too */
    uint64_t least;    /* that of this link's first renewal; 0: there was none yet */
    enum state state;
    bool was_up;
    bool cut;
    bool paused;
    struct connection speaker;
    struct connection hearer;
    struct list_node heard;
    struct list_node away;           /* calls that were made while there was no link */
    struct fake_queue_store *queues; /* NULL: none */
};

static struct fake_store *of(struct store *store) {
    return CONTAINER_OF(store, struct fake_store, store);
}

static struct fake_store *store_at(struct list_node *node) {
    return CONTAINER_OF(node, struct fake_store, in_server);
}

static struct fake_command *first_of(struct list_node *pipe) {
    return CONTAINER_OF(pipe->next, struct fake_command, in_pipe);
}

static void put(struct list_node *pipe, struct fake_command *command) {
    list_remove(&command->in_pipe);
    list_append(pipe, &command->in_pipe);
}

static void drop_all(struct list_node *pipe) {
    while (!list_is_empty(pipe))
        fake_command_free(first_of(pipe));
}

/* ---- globs ---- */

/* From behind a `[` on: whether the octet is one of the class; *end is behind its `]`. */
static bool class_has(struct bytes glob, size_t at, unsigned char octet, size_t *end) {
    bool negated = at < glob.len && glob.data[at] == '^';
    bool found = false;
    at += negated;
    while (at < glob.len && glob.data[at] != ']') {
        unsigned char low = (unsigned char)glob.data[at];
        unsigned char high = low;
        if (low == '\\' && at + 1 < glob.len) {
            low = high = (unsigned char)glob.data[++at];
        } else if (at + 2 < glob.len && glob.data[at + 1] == '-') {
            high = (unsigned char)glob.data[at + 2];
            at += 2;
        }
        found = found || (low <= high ? octet >= low && octet <= high : octet >= high && octet <= low);
        at++;
    }
    *end = at < glob.len ? at + 1 : at;
    return found != negated;
}

/* Whether one octet of the text is matched by what the glob begins with, a star excepted; *end is behind that. */
static bool one_matches(struct bytes glob, unsigned char octet, size_t *end) {
    size_t at = 0;
    *end = 1;
    if (glob.data[0] == '?')
        return true;
    if (glob.data[0] == '[')
        return class_has(glob, 1, octet, end);
    if (glob.data[0] == '\\' && glob.len > 1)
        *end = (at = 1) + 1;
    return (unsigned char)glob.data[at] == octet;
}

bool fake_glob_matches(struct bytes glob, struct bytes text) {
    size_t end;
    if (glob.len == 0)
        return text.len == 0;
    if (glob.data[0] == '*') {
        for (size_t n = 0; n <= text.len; n++)
            if (fake_glob_matches(bytes_skip(glob, 1), bytes_skip(text, n)))
                return true;
        return false;
    }
    return text.len > 0 && one_matches(glob, (unsigned char)text.data[0], &end) &&
           fake_glob_matches(bytes_skip(glob, end), bytes_skip(text, 1));
}

/* ---- the server executes ---- */

static struct heard *find_heard(struct fake_store *store, enum store_channel kind, struct bytes name) {
    LIST_FOR_EACH (at, &store->heard) {
        struct heard *heard = CONTAINER_OF(at, struct heard, in_store);
        if (heard->kind == kind && bytes_equal(buffer_bytes(&heard->name), name))
            return heard;
    }
    return NULL;
}

static void forget(struct heard *heard) {
    list_remove(&heard->in_store);
    buffer_free(&heard->name);
    free(heard);
}

static void change_subscription(struct fake_store *store, const struct fake_command *command) {
    struct bytes name = buffer_bytes(&command->rows[0].first);
    struct heard *heard = find_heard(store, command->channel, name);
    if (command->kind == FAKE_UNSUBSCRIBE) {
        assert_non_null(heard); /* the contract: only what is subscribed is unsubscribed, and never twice */
        forget(heard);
        return;
    }
    assert_null(heard);
    heard = calloc(1, sizeof *heard);
    assert_non_null(heard);
    heard->kind = command->channel;
    assert_true(buffer_append(&heard->name, name.data, name.len));
    list_init(&heard->in_store);
    list_append(&store->heard, &heard->in_store);
}

static bool hears(const struct heard *heard, struct bytes channel) {
    struct bytes name = buffer_bytes(&heard->name);
    return heard->kind == STORE_GLOB ? fake_glob_matches(name, channel) : bytes_equal(name, channel);
}

static size_t publish_to(struct fake_store *store, struct bytes channel, struct bytes payload) {
    size_t count = 0;
    LIST_FOR_EACH (at, &store->heard) {
        if (!hears(CONTAINER_OF(at, struct heard, in_store), channel))
            continue;
        struct fake_command *message = fake_command_new(FAKE_MESSAGE);
        fake_command_add(message, channel, payload);
        put(&store->hearer.answers, message);
        count++;
    }
    return count;
}

size_t fake_server_publish(struct fake_server *server, struct bytes channel, struct bytes payload) {
    size_t count = 0;
    LIST_FOR_EACH (at, &server->stores)
        count += publish_to(store_at(at), channel, payload);
    return count;
}

bool fake_server_has_boot(const struct fake_server *server, struct bytes boot) {
    LIST_FOR_EACH (at, &server->stores)
        if (bytes_equal(bytes_of(store_at(at)->boot), boot))
            return true;
    return false;
}

uint64_t fake_server_carried_out(const struct fake_server *server, struct bytes boot) {
    LIST_FOR_EACH (at, &server->stores)
        if (bytes_equal(bytes_of(store_at(at)->boot), boot) && store_at(at)->queues)
            return *fake_queue_store_carried_out(store_at(at)->queues);
    return 0;
}

static void execute(struct fake_server *server, struct fake_command *command, const char *node, const char *boot) {
    if (command->kind == FAKE_PUBLISH)
        fake_server_publish(server, buffer_bytes(&command->rows[0].first), buffer_bytes(&command->rows[0].second));
    else
        fake_command_execute(command, server, bytes_of(node), bytes_of(boot));
}

static void execute_next(struct fake_store *store, struct connection *connection) {
    struct fake_command *command = first_of(&connection->commands);
    if (connection == &store->hearer)
        change_subscription(store, command);
    else
        execute(store->server, command, store->node, store->boot);
    put(&connection->answers, command);
}

static void free_orphan(struct orphan *orphan) {
    drop_all(&orphan->commands);
    list_remove(&orphan->in_server);
    free(orphan->node);
    free(orphan->boot);
    free(orphan);
}

static bool is_sign_of_life(enum fake_kind kind) {
    return kind == FAKE_RENEW || kind == FAKE_ADD_SESSIONS || kind == FAKE_REMOVE_SESSIONS;
}

/* Nobody waits for the answer, and the next may never come. */
static void execute_orphan(struct fake_server *server, struct orphan *orphan, uint64_t *random) {
    struct fake_command *command = first_of(&orphan->commands);
    bool ends = random_below(random, ORPHAN_ENDS) == 0;
    if (!ends) {
        execute(server, command, orphan->node, orphan->boot);
        server->late_signs += is_sign_of_life(command->kind);
        fake_command_free(command);
    }
    if (ends || list_is_empty(&orphan->commands))
        free_orphan(orphan);
}

/* ---- the store hears ---- */

static void tell(struct fake_store *store, const struct fake_command *command) {
    const struct store_events *events = store->store.events;
    void *arg = store->store.arg;
    struct bytes name = command->count > 0 ? buffer_bytes(&command->rows[0].first) : BYTES("");
    switch (command->kind) {
    case FAKE_PUBLISH:
        events->published(arg, true);
        break;
    case FAKE_MESSAGE:
        events->message(arg, name, buffer_bytes(&command->rows[0].second));
        break;
    case FAKE_SUBSCRIBE:
        events->subscribed(arg, command->channel, name);
        break;
    case FAKE_UNSUBSCRIBE:
        events->unsubscribed(arg, command->channel, name);
        break;
    default:
        fake_command_answer(command, command->result);
    }
}

static void deliver_next(struct fake_store *store, struct connection *connection) {
    struct fake_command *command = first_of(&connection->answers);
    list_remove(&command->in_pipe);
    tell(store, command);
    fake_command_free(command);
}

static void answer_away(struct list_node *pipe) {
    struct fake_command *command = first_of(pipe);
    list_remove(&command->in_pipe);
    fake_command_answer(command, STORE_AWAY);
    fake_command_free(command);
}

/* ---- links come and go ---- */

static void come_up(struct fake_store *store) {
    char run_id[32];
    store->state = UP;
    store->renewals += store->was_up;
    store->was_up = true;
    store->least = 0;
    snprintf(run_id, sizeof run_id, "run-%llu", (unsigned long long)store->server->runs);
    store->store.events->up(store->store.arg, bytes_of(run_id));
}

static void begin_to_break(struct fake_store *store) {
    if (store->state != UP)
        return;
    store->state = BREAKING;
    store->server->breaks++;
}

/* What the server has not read stays with it, without anyone who waits. Calls go to `calls`. */
static void orphan_commands(struct fake_store *store, struct list_node *calls) {
    struct orphan *orphan = calloc(1, sizeof *orphan);
    assert_non_null(orphan);
    list_init(&orphan->commands);
    list_init(&orphan->in_server);
    orphan->node = strdup(store->node);
    orphan->boot = strdup(store->boot);
    list_append(&store->server->orphans, &orphan->in_server);
    while (!list_is_empty(&store->speaker.commands)) {
        struct fake_command *command = first_of(&store->speaker.commands);
        put(calls, fake_command_move_waiter(command));
        put(&orphan->commands, command);
    }
    if (!store->server->running || list_is_empty(&orphan->commands))
        free_orphan(orphan);
}

/* Leaves nothing of the link; calls that were not answered go to `calls`, in their order. */
static void close_link(struct fake_store *store, struct list_node *calls) {
    while (!list_is_empty(&store->speaker.answers))
        put(calls, first_of(&store->speaker.answers));
    orphan_commands(store, calls);
    while (!list_is_empty(&store->away))
        put(calls, first_of(&store->away));
    drop_all(&store->hearer.commands);
    drop_all(&store->hearer.answers);
    LIST_FOR_EACH (at, &store->heard)
        forget(CONTAINER_OF(at, struct heard, in_store));
    store->speaker.stalled = store->hearer.stalled = false;
    store->state = DOWN;
}

static void go_down(struct fake_store *store) {
    struct list_node calls;
    list_init(&calls);
    close_link(store, &calls);
    while (!list_is_empty(&calls))
        answer_away(&calls);
    store->store.events->down(store->store.arg);
}

/* ---- one thing moves ---- */

enum move { NONE, EXECUTE, DELIVER, ANSWER_AWAY, GO_DOWN, COME_UP, EXECUTE_ORPHAN };

/* One of all that can move, each as likely as the others. */
struct choice {
    uint64_t *random;
    unsigned candidates;
    enum move move;
    struct fake_store *store;
    struct connection *connection;
    struct orphan *orphan;
};

static bool draws(struct choice *choice, enum move move) {
    if (random_below(choice->random, ++choice->candidates) > 0)
        return false;
    choice->move = move;
    return true;
}

static void consider(struct choice *choice, enum move move, struct fake_store *store, struct connection *connection) {
    if (!draws(choice, move))
        return;
    choice->store = store;
    choice->connection = connection;
}

static void consider_connection(struct choice *choice, struct fake_store *store, struct connection *connection) {
    if (connection->stalled)
        return;
    if (!store->server->frozen && !list_is_empty(&connection->commands))
        consider(choice, EXECUTE, store, connection);
    if (!store->paused && !list_is_empty(&connection->answers))
        consider(choice, DELIVER, store, connection);
}

static void consider_store(struct choice *choice, struct fake_store *store) {
    const struct fake_server *server = store->server;
    if (store->state == UP) {
        consider_connection(choice, store, &store->speaker);
        consider_connection(choice, store, &store->hearer);
    } else if (store->paused) {
        return;
    } else if (store->state == BREAKING) {
        consider(choice, GO_DOWN, store, NULL);
    } else if (!list_is_empty(&store->away)) {
        consider(choice, ANSWER_AWAY, store, NULL);
    } else if (!store->cut && server->running && !server->frozen) {
        consider(choice, COME_UP, store, NULL);
    }
}

static void move(struct fake_server *server, const struct choice *choice) {
    switch (choice->move) {
    case EXECUTE:
        execute_next(choice->store, choice->connection);
        break;
    case DELIVER:
        deliver_next(choice->store, choice->connection);
        break;
    case ANSWER_AWAY:
        answer_away(&choice->store->away);
        break;
    case GO_DOWN:
        go_down(choice->store);
        break;
    case COME_UP:
        come_up(choice->store);
        break;
    case EXECUTE_ORPHAN:
        execute_orphan(server, choice->orphan, choice->random);
        break;
    case NONE:
        break;
    }
}

bool fake_server_step(struct fake_server *server, uint64_t *random) {
    struct choice choice = {0};
    choice.random = random;
    LIST_FOR_EACH (at, &server->stores)
        consider_store(&choice, store_at(at));
    bool looks = random_below(random, ORPHAN_LATE) == 0 || choice.candidates == 0;
    if (!server->frozen && looks)
        LIST_FOR_EACH (at, &server->orphans)
            if (draws(&choice, EXECUTE_ORPHAN))
                choice.orphan = CONTAINER_OF(at, struct orphan, in_server);
    move(server, &choice);
    return choice.move != NONE;
}

/* ---- the contract ---- */

static void give(struct fake_store *store, struct connection *connection, struct fake_command *command) {
    command->since_ms = store->server->now_ms;
    if (store->state == UP)
        put(&connection->commands, command);
    else if (fake_command_has_waiter(command))
        put(&store->away, command);
    else
        fake_command_free(command);
}

void fake_store_say(struct store *store, struct fake_command *command) {
    give(of(store), &of(store)->speaker, command);
}

static void call(struct store *store, struct fake_command *command, struct store_call told) {
    command->call = told;
    give(of(store), &of(store)->speaker, command);
}

static void publish(struct store *store, struct bytes channel, struct bytes payload) {
    struct fake_command *command = fake_command_new(FAKE_PUBLISH);
    fake_command_add(command, channel, payload);
    give(of(store), &of(store)->speaker, command);
}

static void subscribe(struct store *store, enum store_channel kind, struct bytes name) {
    struct fake_command *command = fake_command_new(FAKE_SUBSCRIBE);
    command->channel = kind;
    fake_command_add(command, name, BYTES(""));
    give(of(store), &of(store)->hearer, command);
}

static void unsubscribe(struct store *store, enum store_channel kind, struct bytes name) {
    struct fake_command *command = fake_command_new(FAKE_UNSUBSCRIBE);
    command->channel = kind;
    fake_command_add(command, name, BYTES(""));
    give(of(store), &of(store)->hearer, command);
}

static void renew(struct store *store, struct store_call told) {
    struct fake_command *command = fake_command_new(FAKE_RENEW);
    command->number = ++of(store)->renewals;
    command->least = of(store)->least;
    if (of(store)->least == 0)
        of(store)->least = command->number;
    call(store, command, told);
}

static void bury(struct store *store, const struct store_node *dead, struct store_call told) {
    struct fake_command *command = fake_command_new(FAKE_BURY);
    struct fake_row *row = fake_command_add(command, dead->node, dead->boot);
    row->number = dead->renewals;
    row->fenced = dead->fenced;
    call(store, command, told);
}

static void leave(struct store *store, struct store_call told) {
    call(store, fake_command_new(FAKE_LEAVE), told);
}

static void write_sessions(struct store *store, enum fake_kind kind, const struct store_session *sessions, size_t count,
                           struct store_call told) {
    struct fake_command *command = fake_command_new(kind);
    assert_in_range(count, 1, STORE_SESSIONS_MAX);
    command->number = of(store)->renewals;
    command->least = of(store)->least;
    for (size_t n = 0; n < count; n++)
        fake_command_add(command, sessions[n].id, sessions[n].user);
    call(store, command, told);
}

static void add_sessions(struct store *store, const struct store_session *sessions, size_t count,
                         struct store_call told) {
    write_sessions(store, FAKE_ADD_SESSIONS, sessions, count, told);
}

static void remove_sessions(struct store *store, const struct store_session *sessions, size_t count,
                            struct store_call told) {
    write_sessions(store, FAKE_REMOVE_SESSIONS, sessions, count, told);
}

static void session_page(struct store *store, uint64_t cursor, struct store_call told) {
    struct fake_command *command = fake_command_new(FAKE_SESSION_PAGE);
    command->number = cursor;
    call(store, command, told);
}

static void user_sessions(struct store *store, struct bytes user, struct store_call told) {
    struct fake_command *command = fake_command_new(FAKE_USER_SESSIONS);
    fake_command_add(command, user, BYTES(""));
    call(store, command, told);
}

static void users(struct store *store, struct bytes after, unsigned limit, struct store_call told) {
    struct fake_command *command = fake_command_new(FAKE_USERS);
    command->number = limit < STORE_USERS_MAX ? limit : STORE_USERS_MAX;
    fake_command_add(command, after, BYTES(""));
    call(store, command, told);
}

static void break_link(struct store *store, const char *why) {
    (void)why;
    begin_to_break(of(store));
}

/* Nobody is told; what was said may still be executed. */
static void free_store(struct store *front) {
    struct fake_store *store = of(front);
    struct list_node calls;
    list_init(&calls);
    close_link(store, &calls);
    drop_all(&calls);
    fake_queue_store_free(store->queues);
    list_remove(&store->in_server);
    free(store->node);
    free(store->boot);
    free(store);
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
                                           .free = free_store};

static void init_connection(struct connection *connection) {
    list_init(&connection->commands);
    list_init(&connection->answers);
}

struct store *fake_store_new(struct fake_server *server, const char *node, const char *boot,
                             const struct store_events *events, void *arg) {
    struct fake_store *store = calloc(1, sizeof *store);
    assert_non_null(store);
    store->store = (struct store){&store_ops, events, arg};
    store->server = server;
    store->node = strdup(node);
    store->boot = strdup(boot);
    init_connection(&store->speaker);
    init_connection(&store->hearer);
    list_init(&store->heard);
    list_init(&store->away);
    list_init(&store->in_server);
    list_append(&server->stores, &store->in_server);
    return &store->store;
}

struct queue_store *fake_store_queues(struct store *store, unsigned owners, const struct queue_events *events,
                                      void *arg) {
    assert_null(of(store)->queues);
    of(store)->queues = fake_queue_store_new(store, of(store)->boot, owners, events, arg);
    return fake_queue_store_front(of(store)->queues);
}

/* ---- faults ---- */

void fake_store_break(struct store *store, bool done) {
    struct connection *speaker = &of(store)->speaker;
    while (!list_is_empty(&speaker->commands)) {
        if (done)
            execute_next(of(store), speaker);
        else
            put(&speaker->answers, first_of(&speaker->commands));
    }
    begin_to_break(of(store));
}

void fake_store_cut(struct store *store, bool cut) {
    of(store)->cut = cut;
    if (cut)
        begin_to_break(of(store));
}

void fake_store_deafen(struct store *store) {
    of(store)->hearer.stalled = of(store)->state == UP;
}

void fake_store_stall(struct store *store) {
    of(store)->speaker.stalled = of(store)->hearer.stalled = of(store)->state == UP;
}

void fake_store_pause(struct store *store, bool paused) {
    of(store)->paused = paused;
}

bool fake_store_is_sound(const struct store *front) {
    const struct fake_store *store = CONTAINER_OF(front, struct fake_store, store);
    return store->state == UP && !store->speaker.stalled && !store->hearer.stalled;
}

bool fake_store_is_busy(const struct store *front) {
    const struct fake_store *store = CONTAINER_OF(front, struct fake_store, store);
    return store->state == BREAKING || !list_is_empty(&store->speaker.commands) ||
           !list_is_empty(&store->speaker.answers) || !list_is_empty(&store->hearer.commands) ||
           !list_is_empty(&store->hearer.answers) || !list_is_empty(&store->away);
}

void fake_server_freeze(struct fake_server *server, bool frozen) {
    server->frozen = frozen;
}

static void drop_orphans(struct fake_server *server) {
    LIST_FOR_EACH (at, &server->orphans)
        free_orphan(CONTAINER_OF(at, struct orphan, in_server));
}

void fake_server_stop(struct fake_server *server) {
    server->running = false;
    drop_orphans(server);
    LIST_FOR_EACH (at, &server->stores)
        begin_to_break(store_at(at));
}

void fake_server_start(struct fake_server *server, bool empty) {
    server->running = true;
    server->frozen = false;
    server->runs++;
    if (empty)
        fake_server_empty(server);
}

/* ---- time ---- */

static bool is_late(const struct fake_server *server, struct list_node *pipe) {
    const struct fake_command *command = first_of(pipe);
    return !list_is_empty(pipe) && command->kind != FAKE_MESSAGE &&
           command->since_ms + server->reply_ms <= server->now_ms;
}

static bool is_late_on(const struct fake_server *server, struct connection *connection) {
    return is_late(server, &connection->answers) || is_late(server, &connection->commands);
}

void fake_server_advance(struct fake_server *server, uint64_t now_ms) {
    server->now_ms = now_ms;
    fake_queues_advance(server);
    LIST_FOR_EACH (at, &server->stores) {
        struct fake_store *store = store_at(at);
        if (!store->paused && (is_late_on(server, &store->speaker) || is_late_on(server, &store->hearer)))
            begin_to_break(store);
    }
}

/* ---- life ---- */

void fake_server_init(struct fake_server *server) {
    *server = (struct fake_server){.reply_ms = REPLY_MS, .piece = STORE_SESSIONS_MAX};
    list_init(&server->nodes);
    list_init(&server->sessions);
    list_init(&server->queues);
    list_init(&server->calls);
    list_init(&server->bindings);
    list_init(&server->stores);
    list_init(&server->orphans);
    fake_server_start(server, true);
}

void fake_server_free(struct fake_server *server) {
    assert_true(list_is_empty(&server->stores));
    drop_orphans(server);
    fake_server_empty(server);
}
