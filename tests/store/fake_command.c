/* The book of nodes and the registry, in lists that are searched from the front. */
#include "fake_command.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

/* ---- commands ---- */

struct buffer fake_copy(struct bytes bytes) {
    struct buffer buffer = {0};
    assert_true(buffer_reserve(&buffer, bytes.len + 1)); /* one more, so that nothing is no NULL */
    assert_true(buffer_append(&buffer, bytes.data ? bytes.data : "", bytes.len));
    return buffer;
}

bool fake_is(const struct buffer *buffer, struct bytes bytes) {
    return bytes_equal(buffer_bytes(buffer), bytes);
}

struct fake_command *fake_command_new(enum fake_kind kind) {
    struct fake_command *command = calloc(1, sizeof *command);
    assert_non_null(command);
    command->kind = kind;
    list_init(&command->in_pipe);
    return command;
}

static void drop_rows(struct fake_command *command) {
    for (size_t n = 0; n < command->count; n++) {
        buffer_free(&command->rows[n].first);
        buffer_free(&command->rows[n].second);
    }
    free(command->rows);
    command->rows = NULL;
    command->count = 0;
}

void fake_command_free(struct fake_command *command) {
    list_remove(&command->in_pipe);
    drop_rows(command);
    if (command->queues)
        fake_queue_call_free(command->queues);
    free(command);
}

bool fake_command_has_waiter(const struct fake_command *command) {
    return command->queues ? command->queues->told.done != NULL : command->call.done != NULL;
}

struct fake_command *fake_command_move_waiter(struct fake_command *command) {
    struct fake_command *waiter = fake_command_new(command->kind);
    waiter->call = command->call;
    command->call = (struct store_call){0};
    if (command->queues) {
        waiter->queues = fake_queue_call_new(command->queues->store, command->queues->kind, command->queues->told);
        command->queues->told = (struct queue_call){0};
    }
    return waiter;
}

struct fake_row *fake_command_add(struct fake_command *command, struct bytes first, struct bytes second) {
    struct fake_row *rows = realloc(command->rows, (command->count + 1) * sizeof *rows);
    assert_non_null(rows);
    command->rows = rows;
    struct fake_row *row = &rows[command->count++];
    *row = (struct fake_row){.first = fake_copy(first), .second = fake_copy(second)};
    return row;
}

/* ---- the book of nodes ---- */

struct fake_node *fake_find_node(struct fake_server *server, struct bytes node) {
    LIST_FOR_EACH (at, &server->nodes) {
        struct fake_node *found = CONTAINER_OF(at, struct fake_node, in_server);
        if (fake_is(&found->node, node))
            return found;
    }
    return NULL;
}

static void remove_node(struct fake_node *node) {
    list_remove(&node->in_server);
    buffer_free(&node->node);
    buffer_free(&node->boot);
    free(node);
}

static struct fake_node *add_node(struct fake_server *server, struct bytes node, struct bytes boot) {
    struct fake_node *added = calloc(1, sizeof *added);
    assert_non_null(added);
    added->node = fake_copy(node);
    added->boot = fake_copy(boot);
    list_init(&added->in_server);
    list_append(&server->nodes, &added->in_server);
    return added;
}

static void list_nodes(struct fake_command *command, const struct fake_server *server) {
    drop_rows(command);
    LIST_FOR_EACH (at, &server->nodes) {
        const struct fake_node *node = CONTAINER_OF(at, struct fake_node, in_server);
        struct fake_row *row = fake_command_add(command, buffer_bytes(&node->node), buffer_bytes(&node->boot));
        row->number = node->fenced ? 0 : node->renewals;
        row->fenced = node->fenced;
    }
}

/* The count never goes back, so that what comes late of a broken link is no renewal. */
static enum store_result renew(struct fake_command *command, struct fake_server *server, struct bytes node,
                               struct bytes boot) {
    struct fake_node *entry = fake_find_node(server, node);
    if (entry && !fake_is(&entry->boot, boot)) {
        list_nodes(command, server);
        return STORE_TAKEN;
    }
    bool alive = entry && !entry->fenced;
    if (!entry)
        entry = add_node(server, node, boot);
    bool goes_on = alive && entry->renewals >= command->least;
    if (!alive || entry->renewals < command->number)
        entry->renewals = command->number;
    entry->fenced = false;
    list_nodes(command, server);
    return goes_on ? STORE_OK : STORE_GONE;
}

/* ---- the registry ---- */

static void remove_session(struct fake_session *session) {
    list_remove(&session->in_server);
    buffer_free(&session->boot);
    buffer_free(&session->id);
    buffer_free(&session->user);
    free(session);
}

static struct fake_session *find_session(struct fake_server *server, struct bytes boot, struct bytes id) {
    LIST_FOR_EACH (at, &server->sessions) {
        struct fake_session *session = CONTAINER_OF(at, struct fake_session, in_server);
        if (fake_is(&session->id, id) && fake_is(&session->boot, boot))
            return session;
    }
    return NULL;
}

static void add_session(struct fake_server *server, struct bytes boot, const struct fake_row *row) {
    struct fake_session *session = find_session(server, boot, buffer_bytes(&row->first));
    if (session)
        return;
    session = calloc(1, sizeof *session);
    assert_non_null(session);
    session->number = ++server->last_number;
    session->boot = fake_copy(boot);
    session->id = fake_copy(buffer_bytes(&row->first));
    session->user = fake_copy(buffer_bytes(&row->second));
    list_init(&session->in_server);
    list_append(&server->sessions, &session->in_server);
}

static enum store_result write_sessions(struct fake_command *command, struct fake_server *server, struct bytes node,
                                        struct bytes boot) {
    struct fake_node *entry = fake_find_node(server, node);
    if (!entry || !fake_is(&entry->boot, boot) || entry->fenced || entry->renewals > command->number ||
        entry->renewals < command->least)
        return STORE_GONE;
    if (!server->full)
        entry->renewals = command->number;
    for (size_t n = 0; n < command->count; n++) {
        struct fake_session *session = find_session(server, boot, buffer_bytes(&command->rows[n].first));
        if (command->kind == FAKE_ADD_SESSIONS)
            add_session(server, boot, &command->rows[n]);
        else if (session)
            remove_session(session);
    }
    return STORE_OK;
}

static enum store_result read_page(struct fake_command *command, const struct fake_server *server, struct bytes boot) {
    uint64_t after = command->number;
    command->number = 0;
    LIST_FOR_EACH (at, &server->sessions) {
        const struct fake_session *session = CONTAINER_OF(at, struct fake_session, in_server);
        if (session->number <= after || !fake_is(&session->boot, boot))
            continue;
        fake_command_add(command, buffer_bytes(&session->id), buffer_bytes(&session->user));
        if (command->count < server->piece)
            continue;
        command->number = session->number;
        break;
    }
    return STORE_OK;
}

static enum store_result read_user(struct fake_command *command, const struct fake_server *server) {
    struct buffer user = fake_copy(buffer_bytes(&command->rows[0].first));
    drop_rows(command);
    LIST_FOR_EACH (at, &server->sessions) {
        const struct fake_session *session = CONTAINER_OF(at, struct fake_session, in_server);
        if (fake_is(&session->user, buffer_bytes(&user)))
            fake_command_add(command, buffer_bytes(&session->id), BYTES(""));
    }
    buffer_free(&user);
    return STORE_OK;
}

static int compare_rows(const void *a, const void *b) {
    const struct buffer *first = &((const struct fake_row *)a)->first;
    const struct buffer *second = &((const struct fake_row *)b)->first;
    int order = memcmp(first->data, second->data, first->len < second->len ? first->len : second->len);
    return order != 0 ? order : (first->len > second->len) - (first->len < second->len);
}

static void count_user(struct fake_command *command, const struct buffer *user) {
    for (size_t n = 0; n < command->count; n++)
        if (fake_is(&command->rows[n].first, buffer_bytes(user))) {
            command->rows[n].number++;
            return;
        }
    fake_command_add(command, buffer_bytes(user), BYTES(""))->number = 1;
}

static enum store_result read_users(struct fake_command *command, const struct fake_server *server) {
    struct fake_row after = {.first = fake_copy(buffer_bytes(&command->rows[0].first))};
    drop_rows(command);
    LIST_FOR_EACH (at, &server->sessions) {
        const struct fake_session *session = CONTAINER_OF(at, struct fake_session, in_server);
        struct fake_row row = {.first = session->user};
        if (after.first.len == 0 || compare_rows(&row, &after) > 0)
            count_user(command, &session->user);
    }
    if (command->count > 0)
        qsort(command->rows, command->count, sizeof *command->rows, compare_rows);
    while (command->count > command->number) {
        command->count--;
        buffer_free(&command->rows[command->count].first);
        buffer_free(&command->rows[command->count].second);
    }
    buffer_free(&after.first);
    return STORE_OK;
}

/* ---- burials ---- */

/* Takes some sessions of a boot out, then some of its messages, and with the last its entry. */
static enum store_result clean_piece(struct fake_server *server, struct fake_node *entry, struct bytes by) {
    unsigned removed = 0;
    LIST_FOR_EACH (at, &server->sessions) {
        struct fake_session *session = CONTAINER_OF(at, struct fake_session, in_server);
        if (!fake_is(&session->boot, buffer_bytes(&entry->boot)))
            continue;
        if (removed++ == server->piece)
            return STORE_MORE;
        remove_session(session);
    }
    if (!fake_queues_bury(server, entry, server->piece, by))
        return STORE_MORE;
    remove_node(entry);
    return STORE_OK;
}

static enum store_result bury(struct fake_server *server, const struct fake_row *dead, struct bytes by) {
    struct fake_node *entry = fake_find_node(server, buffer_bytes(&dead->first));
    if (!entry)
        return STORE_OK;
    bool observed = entry->fenced || (!dead->fenced && entry->renewals == dead->number);
    if (!observed || !fake_is(&entry->boot, buffer_bytes(&dead->second)))
        return STORE_ALIVE;
    server->buried_alive += !entry->fenced && fake_server_has_boot(server, buffer_bytes(&entry->boot));
    entry->fenced = true;
    return clean_piece(server, entry, by);
}

static enum store_result leave(struct fake_server *server, struct bytes node, struct bytes boot) {
    struct fake_node *entry = fake_find_node(server, node);
    if (!entry || !fake_is(&entry->boot, boot))
        return STORE_OK;
    entry->fenced = true;
    uint64_t given_back = server->given_back;
    enum store_result result = clean_piece(server, entry, boot);
    server->left_behind += server->given_back - given_back;
    return result;
}

/* ---- all of them ---- */

void fake_server_empty(struct fake_server *server) {
    LIST_FOR_EACH (at, &server->nodes)
        remove_node(CONTAINER_OF(at, struct fake_node, in_server));
    LIST_FOR_EACH (at, &server->sessions)
        remove_session(CONTAINER_OF(at, struct fake_session, in_server));
    fake_queues_empty(server);
}

/* A server without memory refuses what may need some. */
static bool needs_memory(enum fake_kind kind) {
    return kind == FAKE_RENEW || kind == FAKE_BURY || kind == FAKE_LEAVE || kind == FAKE_ADD_SESSIONS;
}

static enum store_result execute(struct fake_command *command, struct fake_server *server, struct bytes node,
                                 struct bytes boot) {
    if (server->full && needs_memory(command->kind))
        return STORE_FAILED;
    switch (command->kind) {
    case FAKE_RENEW:
        return renew(command, server, node, boot);
    case FAKE_BURY:
        return bury(server, &command->rows[0], boot);
    case FAKE_LEAVE:
        return leave(server, node, boot);
    case FAKE_ADD_SESSIONS:
    case FAKE_REMOVE_SESSIONS:
        return write_sessions(command, server, node, boot);
    case FAKE_SESSION_PAGE:
        return read_page(command, server, boot);
    case FAKE_USER_SESSIONS:
        return read_user(command, server);
    case FAKE_USERS:
        return read_users(command, server);
    default:
        fail_msg("a command of kind %d is not one of the registry", command->kind);
    }
    return STORE_FAILED;
}

void fake_command_execute(struct fake_command *command, struct fake_server *server, struct bytes node,
                          struct bytes boot) {
    if (command->queues)
        fake_queues_execute(command->queues, server, node, boot);
    else
        command->result = execute(command, server, node, boot);
}

/* ---- answers ---- */

static void put_row(const struct fake_command *command, const struct fake_row *row, struct store_answer *answer,
                    struct store_node *nodes, struct store_session *sessions, struct store_user *users) {
    struct bytes first = buffer_bytes(&row->first);
    struct bytes second = buffer_bytes(&row->second);
    switch (command->kind) {
    case FAKE_RENEW:
        nodes[answer->node_count++] = (struct store_node){first, second, row->number, row->fenced};
        break;
    case FAKE_SESSION_PAGE:
    case FAKE_USER_SESSIONS:
        sessions[answer->session_count++] = (struct store_session){first, second};
        break;
    case FAKE_USERS:
        users[answer->user_count++] = (struct store_user){first, row->number};
        break;
    default:
        break;
    }
}

static void answer_store(const struct fake_command *command, enum store_result result) {
    struct store_answer answer = {.result = result};
    size_t count = result == STORE_AWAY || result == STORE_FAILED ? 0 : command->count;
    struct store_node *nodes = calloc(count + 1, sizeof *nodes);
    struct store_session *sessions = calloc(count + 1, sizeof *sessions);
    struct store_user *users = calloc(count + 1, sizeof *users);
    assert_true(nodes && sessions && users);
    for (size_t n = 0; n < count; n++)
        put_row(command, &command->rows[n], &answer, nodes, sessions, users);
    answer.nodes = nodes;
    answer.sessions = sessions;
    answer.users = users;
    answer.cursor = command->kind == FAKE_SESSION_PAGE && count > 0 ? command->number : 0;
    if (command->call.done)
        command->call.done(command->call.arg, &answer);
    free(nodes);
    free(sessions);
    free(users);
}

void fake_command_answer(const struct fake_command *command, enum store_result result) {
    if (command->queues)
        fake_queue_store_tell(command->queues, result == STORE_AWAY);
    else
        answer_store(command, result);
}
