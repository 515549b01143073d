/* Calls on their way, and their answers. */
#include "redis_calls.h"

#include <event2/event.h>
#include <stdlib.h>

#include "redis_answer.h"
#include "redis_error.h"
#include "stompd/base/clock.h"
#include "stompd/base/log.h"

struct redis_call {
    struct list_node in_list; /* `again` or `away` */
    enum redis_call_kind kind;
    struct store_call told;
    struct redis_reply_call raw; /* in place of `told` where its function is set */
    size_t len;
    char command[];
};

/* How an answer is read: a script's number, what comes with it, or the reply of a plain command. */
static const struct call_form {
    const char *name; /* for the log */
    bool is_script;
    bool has_result; /* a number, or an array that begins with one and has the rest in its second place */
    bool (*read)(const redisReply *reply, struct store_answer *answer, void **block);
} forms[] = {
    [CALL_RENEW] = {"renew", true, true, redis_answer_nodes},
    [CALL_BURY] = {"bury", true, true, NULL},
    [CALL_LEAVE] = {"leave", true, true, NULL},
    [CALL_ADD_SESSIONS] = {"add_sessions", true, true, NULL},
    [CALL_REMOVE_SESSIONS] = {"remove_sessions", true, true, NULL},
    [CALL_SESSION_PAGE] = {"HSCAN", false, false, redis_answer_session_page},
    [CALL_USER_SESSIONS] = {"SMEMBERS", false, false, redis_answer_user_sessions},
    [CALL_USERS] = {"users", true, false, redis_answer_users},
    [CALL_CHANGE] = {"change", true, false, NULL},
    [CALL_TAKE] = {"take", true, false, NULL},
    [CALL_RECOVER] = {"recover", true, false, NULL},
    [CALL_BINDINGS] = {"bindings", true, false, NULL},
};

/* What the loading of scripts is sent with. */
static char loading;

static struct redis_call *call_new(enum redis_call_kind kind, const struct redis_command *command) {
    size_t len = command->bytes.len;
    struct redis_call *call = command->failed ? NULL : malloc(sizeof *call + len);
    if (!call)
        return NULL;
    *call = (struct redis_call){.kind = kind, .len = len};
    list_init(&call->in_list);
    memcpy(call->command, command->bytes.data, len);
    return call;
}

static void tell(struct redis_call *call, const struct store_answer *answer) {
    struct store_call told = call->told;
    free(call);
    told.done(told.arg, answer);
}

static void tell_raw(struct redis_call *call, const redisReply *reply) {
    struct redis_reply_call raw = call->raw;
    free(call);
    raw.done(raw.arg, reply);
}

/* ---- away ---- */

/* While the link breaks, those that are under way come first, and `down` follows soon. */
static void put_away(struct redis_calls *calls, struct redis_call *call) {
    list_append(&calls->away, &call->in_list);
    if (calls->link->state != LINK_UP)
        event_active(calls->away_turn, 0, 0);
}

static void tell_away(struct redis_call *call) {
    static const struct store_answer away = {.result = STORE_AWAY};
    if (call->raw.done)
        tell_raw(call, NULL);
    else
        tell(call, &away);
}

/* Only those that are there now: whoever is told may call again. */
static void tell_all_away(struct list_node *list) {
    struct list_node now;
    struct list_node *node;
    list_init(&now);
    while ((node = list_take_first(list)) != NULL)
        list_append(&now, node);
    while ((node = list_take_first(&now)) != NULL)
        tell_away(CONTAINER_OF(node, struct redis_call, in_list));
}

static void on_away_turn(evutil_socket_t fd, short events, void *arg) {
    struct redis_calls *calls = arg;
    (void)fd;
    (void)events;
    tell_all_away(&calls->away);
}

void redis_calls_down(struct redis_calls *calls) {
    tell_all_away(&calls->again);
    tell_all_away(&calls->away);
}

/* ---- out ---- */

static void send_call(struct redis_calls *calls, struct redis_call *call) {
    struct redis_command command = {.bytes = {call->command, call->len, call->len}};
    if (redis_link_speak(calls->link, &command, call))
        calls->under_way++;
    else
        put_away(calls, call);
}

/* NULL: out of memory, and the link breaks. */
static struct redis_call *prepare(struct redis_calls *calls, enum redis_call_kind kind,
                                  const struct redis_command *command) {
    struct redis_call *call = call_new(kind, command);
    if (!call) {
        log_error("out of memory: a call to Redis is not made");
        redis_link_break(calls->link, "out of memory");
    }
    return call;
}

static void make(struct redis_calls *calls, struct redis_call *call) {
    if (list_is_empty(&calls->again))
        send_call(calls, call);
    else
        list_append(&calls->again, &call->in_list);
}

void redis_calls_make(struct redis_calls *calls, enum redis_call_kind kind, const struct redis_command *command,
                      struct store_call told) {
    struct redis_call *call = prepare(calls, kind, command);
    if (!call)
        return;
    call->told = told;
    make(calls, call);
}

bool redis_calls_make_raw(struct redis_calls *calls, enum redis_call_kind kind, const struct redis_command *command,
                          struct redis_reply_call told) {
    struct redis_call *call = prepare(calls, kind, command);
    if (!call)
        return false;
    call->raw = told;
    make(calls, call);
    return true;
}

static void send_again(struct redis_calls *calls) {
    struct list_node *node;
    log_notice("Redis at %s has forgotten the scripts (SCRIPT FLUSH?): they are loaded again", calls->link->where);
    redis_greeting_load_scripts(&calls->link->speaker, &calls->link->scratch, &loading);
    while ((node = list_take_first(&calls->again)) != NULL)
        send_call(calls, CONTAINER_OF(node, struct redis_call, in_list));
}

/* ---- refusals ---- */

/* True: it was told of a short while ago. */
static bool is_known(struct redis_calls *calls, const struct redis_error *error, const char *command) {
    uint64_t now_ms = clock_ms();
    size_t oldest = 0;
    for (size_t n = 0; n < REDIS_CALLS_REFUSALS; n++) {
        bool same = calls->refusals[n].error == error &&
                    (error->reach == ERROR_OF_SERVER || calls->refusals[n].command == command);
        if (same && now_ms < calls->refusals[n].told_ms + REDIS_CALLS_REPEAT_MS)
            return true;
        if (calls->refusals[n].told_ms < calls->refusals[oldest].told_ms)
            oldest = n;
    }
    calls->refusals[oldest].error = error;
    calls->refusals[oldest].command = command;
    calls->refusals[oldest].told_ms = now_ms;
    return false;
}

void redis_calls_refused(struct redis_calls *calls, const char *command, const redisReply *reply) {
    redis_calls_complain(calls, command, reply->type == REDIS_REPLY_ERROR ? reply->str : "an answer of another form");
}

void redis_calls_complain(struct redis_calls *calls, const char *command, const char *said) {
    char text[sizeof calls->link->trouble];
    const struct redis_error *error = redis_error_find(said);
    calls->refused++;
    redis_error_explain(text, sizeof text, command, said);
    if (error->reach == ERROR_OF_LINK)
        redis_link_break(calls->link, text);
    else if (!is_known(calls, error, command))
        log_error("Redis at %s: %s", calls->link->where, text);
}

/* ---- in ---- */

static bool read_result(const redisReply **reply, enum redis_call_kind kind, struct store_answer *answer) {
    static const enum store_result results[] = {[REDIS_SCRIPT_OK] = STORE_OK,
                                                [REDIS_SCRIPT_GONE] = STORE_GONE,
                                                [REDIS_SCRIPT_TAKEN] = STORE_TAKEN,
                                                [REDIS_SCRIPT_MORE] = STORE_MORE,
                                                [REDIS_SCRIPT_ALIVE] = STORE_ALIVE};
    const redisReply *number = *reply;
    if (number->type == REDIS_REPLY_ARRAY && number->elements == 2) {
        number = (*reply)->element[0];
        *reply = (*reply)->element[1];
    }
    if (number->type != REDIS_REPLY_INTEGER || (unsigned long long)number->integer > REDIS_SCRIPT_ALIVE)
        return false;
    answer->result = results[number->integer];
    /* What is not this boot's any more has nothing left to leave. */
    if (kind == CALL_LEAVE && answer->result == STORE_ALIVE)
        answer->result = STORE_OK;
    return true;
}

static void tell_answer(struct redis_calls *calls, struct redis_call *call, const redisReply *reply) {
    const struct call_form *form = &forms[call->kind];
    struct store_answer answer = {.result = STORE_OK};
    const redisReply *rest = reply;
    void *block = NULL;
    bool right = reply->type != REDIS_REPLY_ERROR;
    right = right && (!form->has_result || read_result(&rest, call->kind, &answer));
    right = right && (!form->read || form->read(rest, &answer, &block));
    if (!right) {
        redis_calls_refused(calls, form->name, reply);
        answer = (struct store_answer){.result = STORE_FAILED};
    }
    tell(call, &answer);
    free(block);
}

static bool is_noscript(const redisReply *reply) {
    return reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, "NOSCRIPT", 8) == 0;
}

static void on_call(struct redis_calls *calls, struct redis_call *call, const redisReply *reply) {
    calls->under_way--;
    if (!reply) {
        tell_away(call);
    } else if (is_noscript(reply) || !list_is_empty(&calls->again)) {
        list_append(&calls->again, &call->in_list);
        if (!is_noscript(reply) && forms[call->kind].is_script)
            redis_link_break(calls->link, "its scripts were flushed and loaded again amid calls");
        else if (calls->under_way == 0)
            send_again(calls);
    } else if (call->raw.done) {
        tell_raw(call, reply);
    } else {
        tell_answer(calls, call, reply);
    }
}

void redis_calls_answered(struct redis_calls *calls, void *what, const redisReply *reply) {
    if (what != &loading)
        on_call(calls, what, reply);
    else if (reply && reply->type == REDIS_REPLY_ERROR)
        redis_link_break(calls->link, reply->str);
}

size_t redis_calls_waiting(const struct redis_calls *calls) {
    size_t waiting = 0;
    LIST_FOR_EACH (node, &calls->again)
        waiting++;
    return waiting;
}

void redis_calls_drop(void *what) {
    if (what != &loading)
        free(what);
}

/* ---- life ---- */

bool redis_calls_init(struct redis_calls *calls, struct redis_link *link) {
    *calls = (struct redis_calls){.link = link};
    list_init(&calls->again);
    list_init(&calls->away);
    calls->away_turn = event_new(link->base, -1, 0, on_away_turn, calls);
    return calls->away_turn != NULL;
}

static void free_list(struct list_node *list) {
    LIST_FOR_EACH (node, list)
        free(CONTAINER_OF(node, struct redis_call, in_list));
}

void redis_calls_free(struct redis_calls *calls) {
    if (!calls->away_turn)
        return;
    free_list(&calls->again);
    free_list(&calls->away);
    event_free(calls->away_turn);
}
