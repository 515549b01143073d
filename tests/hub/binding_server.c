/* What src/store/lua/bindings.lua does, once more; see binding_server.h. */
#include "binding_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

enum kind { CALL_PUTS, CALL_TAKES, CALL_BIND, CALL_UNBIND, CALL_LOOK };

struct put {
    unsigned queue;
    unsigned message;
};

struct call {
    struct list_node in_list;
    enum kind kind;
    struct queue_call told;
    uint64_t number;  /* of puts and takes */
    uint64_t version; /* looks */
    unsigned queue;
    const char *topic;
    size_t count;
    struct put puts[QUEUE_CHANGES_MAX];
    bool carried_out; /* and this has come of it: */
    struct queue_answer answer;
    struct queue_binding bindings[SERVER_QUEUES];
};

static struct server_link *link_of(struct queue_store *store) {
    return (struct server_link *)store;
}

static struct call *call_new(struct queue_store *store, enum kind kind, struct queue_call told) {
    struct call *call = calloc(1, sizeof *call);
    assert_non_null(call);
    call->kind = kind;
    call->told = told;
    list_init(&call->in_list);
    list_append(&link_of(store)->calls, &call->in_list);
    return call;
}

/* ---- calls ---- */

static unsigned queue_of(const struct binding_server *server, struct bytes name) {
    for (unsigned n = 0; n < SERVER_QUEUES; n++)
        if (bytes_equal(name, bytes_of(server->queues[n])))
            return n;
    fail_msg("no such queue: %.*s", BYTES_ARG(name));
    return 0;
}

static void change(struct queue_store *store, const struct queue_change *changes, size_t count, uint64_t number,
                   uint64_t answered, struct queue_call told) {
    struct call *call = call_new(store, CALL_PUTS, told);
    (void)answered;
    assert_true(number < SERVER_NUMBERS && count <= QUEUE_CHANGES_MAX);
    call->number = number;
    call->count = count;
    for (size_t n = 0; n < count; n++) {
        assert_int_equal(changes[n].change->count, 1);
        const struct operation *put = &changes[n].change->operations[0];
        assert_int_equal(put->kind, OPERATION_PUT);
        call->puts[n].queue = queue_of(link_of(store)->server, changes[n].queues[0]);
        call->puts[n].message = (unsigned)strtoul(message_body(put->message).data, NULL, 10);
        assert_true(call->puts[n].message < SERVER_MESSAGES);
    }
}

static void take(struct queue_store *store, const struct queue_want *wants, size_t count, uint64_t number,
                 uint64_t answered, struct queue_call told) {
    (void)wants;
    (void)count;
    (void)answered;
    assert_true(number < SERVER_NUMBERS);
    call_new(store, CALL_TAKES, told)->number = number;
}

/* Topics come from the test, and stay. */
static void bind_queue(struct queue_store *store, struct bytes queue, struct bytes topic, struct queue_call told) {
    static const char *const topics[] = {"/topic/a", "/topic/b", "/topic/*", "/topic/**", "/topic/a.x"};
    struct call *call = call_new(store, CALL_BIND, told);
    call->queue = queue_of(link_of(store)->server, queue);
    for (size_t n = 0; n < sizeof topics / sizeof topics[0]; n++)
        if (bytes_equal(topic, bytes_of(topics[n])))
            call->topic = topics[n];
    assert_non_null(call->topic);
}

static void unbind_queue(struct queue_store *store, struct bytes queue, struct queue_call told) {
    struct call *call = call_new(store, CALL_UNBIND, told);
    call->queue = queue_of(link_of(store)->server, queue);
}

static void look(struct queue_store *store, uint64_t version, struct queue_call told) {
    call_new(store, CALL_LOOK, told)->version = version;
}

static bool turn(struct queue_store *store) {
    (void)store;
    return false;
}

static void count_all(const struct queue_store *store, struct queue_counts *counts) {
    (void)store;
    *counts = (struct queue_counts){0};
}

static const struct queue_store_ops ops = {.change = change,
                                           .take = take,
                                           .bind = bind_queue,
                                           .unbind = unbind_queue,
                                           .bindings = look,
                                           .turn = turn,
                                           .count = count_all};

/* ---- carrying out ---- */

static bool is_of_this_life(const struct binding_server *server, uint64_t version) {
    return version >= server->now.life && version <= server->now.version;
}

static void note_change(struct binding_server *server, unsigned queue) {
    if (server->now.life == 0)
        server->now.life = server->now.version = ++server->lives * 1000000;
    assert_true(server->now.version - server->now.life < SERVER_CHANGES);
    server->now.changed[server->now.version - server->now.life] = queue;
    server->now.version++;
}

static uint64_t everywhere(const struct binding_server *server) {
    uint64_t lowest = server->now.version;
    for (unsigned n = 0; n < SERVER_NODES; n++) {
        uint64_t seen = is_of_this_life(server, server->now.seen[n]) ? server->now.seen[n] : 0;
        if (server->links[n].among_nodes && seen < lowest)
            lowest = seen;
    }
    return lowest;
}

static void put_all(struct binding_server *server, struct server_link *link, const struct call *call) {
    for (size_t n = 0; n < call->count && !link->carried_out[call->number]; n++)
        if (server->now.topics[call->puts[n].queue])
            server->puts[call->puts[n].queue][call->puts[n].message]++;
    link->carried_out[call->number] = true;
}

static enum queue_result bind_one(struct binding_server *server, const struct call *call) {
    const char *bound = server->now.topics[call->queue];
    if (bound)
        return strcmp(bound, call->topic) == 0 ? QUEUE_OK : QUEUE_TAKEN;
    server->now.topics[call->queue] = call->topic;
    note_change(server, call->queue);
    return QUEUE_OK;
}

static void unbind_one(struct binding_server *server, unsigned queue) {
    if (server->now.topics[queue])
        note_change(server, queue);
    server->now.topics[queue] = NULL;
}

static void list(const struct binding_server *server, struct call *call, unsigned queue) {
    const char *topic = server->now.topics[queue];
    if (topic || !call->answer.complete)
        call->bindings[call->answer.binding_count++] =
            (struct queue_binding){bytes_of(server->queues[queue]), bytes_of(topic ? topic : "")};
}

static bool has_changed(const struct binding_server *server, unsigned queue, uint64_t since) {
    for (uint64_t version = since; version < server->now.version; version++)
        if (server->now.changed[version - server->now.life] == queue)
            return true;
    return false;
}

static void tell_changes(struct binding_server *server, const struct server_link *link, struct call *call) {
    bool known = is_of_this_life(server, call->version);
    server->now.seen[link - server->links] = known ? call->version : 0;
    if (call->version == server->now.version)
        return;
    call->answer.complete = !known || server->now.version - call->version > SERVER_LIST;
    for (unsigned n = 0; n < SERVER_QUEUES; n++)
        if (call->answer.complete || has_changed(server, n, call->version))
            list(server, call, n);
}

static void carry_out(struct binding_server *server, struct server_link *link, struct call *call) {
    call->carried_out = true;
    if (!link->among_nodes) {
        call->answer.result = QUEUE_GONE;
        return;
    }
    if (call->kind == CALL_PUTS)
        put_all(server, link, call);
    else if (call->kind == CALL_BIND)
        call->answer.result = bind_one(server, call);
    else if (call->kind == CALL_UNBIND)
        unbind_one(server, call->queue);
    else if (call->kind == CALL_LOOK)
        tell_changes(server, link, call);
    call->answer.life = server->now.life;
    call->answer.version = server->now.version;
    call->answer.everywhere = everywhere(server);
}

bool binding_server_carry_out(struct binding_server *server, unsigned node) {
    struct server_link *link = &server->links[node];
    LIST_FOR_EACH (item, &link->calls) {
        struct call *call = CONTAINER_OF(item, struct call, in_list);
        if (call->carried_out)
            continue;
        carry_out(server, link, call);
        return true;
    }
    return false;
}

/* ---- answering ---- */

static void end(struct call *call) {
    static const enum change_result done[QUEUE_CHANGES_MAX] = {CHANGE_DONE};
    struct queue_call told = call->told;
    list_remove(&call->in_list);
    if (call->answer.result == QUEUE_OK && call->kind == CALL_PUTS) {
        call->answer.changes = done;
        call->answer.change_count = call->count;
    }
    call->answer.bindings = call->bindings;
    told.done(told.arg, &call->answer);
    free(call);
}

bool binding_server_answer(struct binding_server *server, unsigned node) {
    struct server_link *link = &server->links[node];
    struct call *call = CONTAINER_OF(link->calls.next, struct call, in_list);
    if (list_is_empty(&link->calls) || !call->carried_out)
        return false;
    end(call);
    return true;
}

void binding_server_break(struct binding_server *server, unsigned node, unsigned done) {
    struct server_link *link = &server->links[node];
    while (done-- > 0 && binding_server_carry_out(server, node))
        continue;
    /* Who is told may call again: that is never carried out. */
    struct list_node old, *item;
    list_init(&old);
    while ((item = list_take_first(&link->calls)) != NULL)
        list_append(&old, item);
    while ((item = list_take_first(&old)) != NULL) {
        struct call *call = CONTAINER_OF(item, struct call, in_list);
        call->answer = (struct queue_answer){.result = QUEUE_AWAY};
        end(call);
    }
    assert_true(list_is_empty(&link->calls));
}

/* ---- nodes ---- */

void binding_server_bury(struct binding_server *server, unsigned node) {
    server->links[node].among_nodes = false;
    server->now.seen[node] = 0;
}

void binding_server_renew(struct binding_server *server, unsigned node) {
    server->links[node].among_nodes = true;
}

void binding_server_empty(struct binding_server *server) {
    server->now.life = server->now.version = 0;
    for (unsigned n = 0; n < SERVER_QUEUES; n++)
        server->now.topics[n] = NULL;
    for (unsigned n = 0; n < SERVER_NODES; n++)
        binding_server_bury(server, n);
}

void binding_server_save(struct binding_server *server) {
    server->on_disk = server->now;
}

void binding_server_restore(struct binding_server *server) {
    server->now = server->on_disk;
}

void binding_server_init(struct binding_server *server, const char *const *queues) {
    *server = (struct binding_server){.queues = queues};
    for (unsigned n = 0; n < SERVER_NODES; n++) {
        server->links[n].store.ops = &ops;
        server->links[n].server = server;
        server->links[n].among_nodes = true;
        list_init(&server->links[n].calls);
    }
}

void binding_server_free(struct binding_server *server) {
    for (unsigned n = 0; n < SERVER_NODES; n++)
        LIST_FOR_EACH (item, &server->links[n].calls)
            free(CONTAINER_OF(item, struct call, in_list));
}
