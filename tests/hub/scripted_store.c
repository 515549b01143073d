/* Records calls; see scripted_store.h. */
#include "scripted_store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static struct scripted_call *record(struct store *store, enum scripted_kind kind, size_t count,
                                    struct store_call told) {
    struct scripted_store *scripted = (struct scripted_store *)store;
    struct scripted_call *call = calloc(1, sizeof *call + count * sizeof call->sessions[0]);
    assert_non_null(call);
    list_init(&call->in_list);
    call->kind = kind;
    call->told = told;
    call->count = count;
    list_append(&scripted->calls, &call->in_list);
    scripted->waiting++;
    scripted->made++;
    return call;
}

static void name_it(struct scripted_call *call, const char *text) {
    snprintf(call->text, sizeof call->text, "%s", text);
}

static void copy_name(char to[SCRIPTED_NAME_SIZE], struct bytes name) {
    assert_true(name.len < SCRIPTED_NAME_SIZE);
    snprintf(to, SCRIPTED_NAME_SIZE, "%.*s", BYTES_ARG(name));
}

static void renew(struct store *store, struct store_call told) {
    name_it(record(store, SCRIPTED_RENEW, 0, told), "renew");
}

static void bury(struct store *store, const struct store_node *dead, struct store_call told) {
    struct scripted_call *call = record(store, SCRIPTED_BURY, 0, told);
    if (dead->fenced)
        snprintf(call->text, sizeof call->text, "bury %.*s %.*s dead", BYTES_ARG(dead->node), BYTES_ARG(dead->boot));
    else
        snprintf(call->text, sizeof call->text, "bury %.*s %.*s %" PRIu64, BYTES_ARG(dead->node), BYTES_ARG(dead->boot),
                 dead->renewals);
}

static void leave(struct store *store, struct store_call told) {
    name_it(record(store, SCRIPTED_LEAVE, 0, told), "leave");
}

static void record_sessions(struct store *store, enum scripted_kind kind, const struct store_session *sessions,
                            size_t count, struct store_call told) {
    struct scripted_call *call = record(store, kind, count, told);
    assert_in_range(count, 1, STORE_SESSIONS_MAX);
    name_it(call, kind == SCRIPTED_ADD ? "add" : "remove");
    for (size_t n = 0; n < count; n++) {
        size_t len = strlen(call->text);
        copy_name(call->sessions[n].id, sessions[n].id);
        copy_name(call->sessions[n].user, sessions[n].user);
        snprintf(call->text + len, sizeof call->text - len, " %s=%s", call->sessions[n].id, call->sessions[n].user);
    }
}

static void add_sessions(struct store *store, const struct store_session *sessions, size_t count,
                         struct store_call told) {
    record_sessions(store, SCRIPTED_ADD, sessions, count, told);
}

static void remove_sessions(struct store *store, const struct store_session *sessions, size_t count,
                            struct store_call told) {
    record_sessions(store, SCRIPTED_REMOVE, sessions, count, told);
}

static void session_page(struct store *store, uint64_t cursor, struct store_call told) {
    struct scripted_call *call = record(store, SCRIPTED_PAGE, 0, told);
    call->cursor = cursor;
    snprintf(call->text, sizeof call->text, "page %" PRIu64, cursor);
}

static const struct store_ops ops = {.renew = renew,
                                     .bury = bury,
                                     .leave = leave,
                                     .add_sessions = add_sessions,
                                     .remove_sessions = remove_sessions,
                                     .session_page = session_page};

void scripted_init(struct scripted_store *scripted) {
    *scripted = (struct scripted_store){.store.ops = &ops};
    list_init(&scripted->calls);
}

void scripted_free(struct scripted_store *scripted) {
    LIST_FOR_EACH (node, &scripted->calls)
        free(CONTAINER_OF(node, struct scripted_call, in_list));
    list_init(&scripted->calls);
}

const struct scripted_call *scripted_first(const struct scripted_store *scripted) {
    if (list_is_empty(&scripted->calls))
        return NULL;
    return CONTAINER_OF(scripted->calls.next, struct scripted_call, in_list);
}

const char *scripted_asked(const struct scripted_store *scripted) {
    const struct scripted_call *call = scripted_first(scripted);
    return call ? call->text : "";
}

static void tell(struct scripted_store *scripted, struct list_node *node, const struct store_answer *answer) {
    struct scripted_call *call = CONTAINER_OF(node, struct scripted_call, in_list);
    struct store_call told = call->told;
    list_remove(node);
    free(call);
    scripted->waiting--;
    told.done(told.arg, answer);
}

void scripted_answer(struct scripted_store *scripted, const struct store_answer *answer) {
    assert_false(list_is_empty(&scripted->calls));
    tell(scripted, scripted->calls.next, answer);
}

void scripted_result(struct scripted_store *scripted, enum store_result result) {
    scripted_answer(scripted, &(struct store_answer){.result = result});
}

void scripted_break(struct scripted_store *scripted) {
    LIST_FOR_EACH (node, &scripted->calls)
        tell(scripted, node, &(struct store_answer){.result = STORE_AWAY});
}
