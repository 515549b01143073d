/*
 * Calls of the queue store on their way, and their answers. An entry that this boot has taken and that can't be
 * delivered is given up by a call of the store's own.
 */
#include "redis_queues.h"

#include <assert.h>
#include <stdlib.h>

#include "redis_bindings.h"
#include "redis_queue_answer.h"
#include "redis_queue_command.h"
#include "stompd/route/queue_name.h"

/* Calls for which there is no memory, until the link is down. */
#define LOST_MAX 256

struct redis_queues {
    struct queue_store store;
    struct redis_calls *calls;
    struct redis_queue_writer writer;
    unsigned owners;
    bool over;                        /* nothing is told any more */
    struct list_node requests;        /* without an answer */
    struct list_node unmade;          /* those that could not be made: the link breaks */
    struct queue_call lost[LOST_MAX]; /* not even a request could */
    size_t lost_count;
    struct queue_counts counts;
};

/* A call that has no answer yet. */
struct request {
    struct list_node in_list;
    struct redis_queues *queues;
    enum redis_call_kind kind;
    struct queue_call told; /* without a function: nobody waits */
    size_t count;           /* of changes, or of queues that are taken from: */
    struct bytes queues_of[];
};

static struct redis_queues *of(struct queue_store *store) {
    return CONTAINER_OF(store, struct redis_queues, store);
}

/* ---- requests ---- */

/* With room for so many bytes behind it. NULL: out of memory. */
static struct request *request_new(struct redis_queues *queues, enum redis_call_kind kind, size_t count, size_t room,
                                   struct queue_call told) {
    struct request *request = calloc(1, sizeof *request + room);
    if (!request)
        return NULL;
    request->queues = queues;
    request->kind = kind;
    request->told = told;
    request->count = count;
    list_init(&request->in_list);
    list_append(&queues->requests, &request->in_list);
    return request;
}

/* Keeps the queues' names. */
static struct request *request_for_take(struct redis_queues *queues, const struct queue_want *wants, size_t count,
                                        struct queue_call told) {
    size_t room = count * sizeof(struct bytes);
    for (size_t n = 0; n < count; n++)
        room += wants[n].queue.len;
    struct request *request = request_new(queues, CALL_TAKE, count, room, told);
    if (!request)
        return NULL;
    char *at = (char *)(request->queues_of + count);
    for (size_t n = 0; n < count; n++) {
        memcpy(at, wants[n].queue.data, wants[n].queue.len);
        request->queues_of[n] = (struct bytes){at, wants[n].queue.len};
        at += wants[n].queue.len;
    }
    return request;
}

static void request_free(struct request *request) {
    list_remove(&request->in_list);
    free(request);
}

static void tell(const struct request *request, struct queue_answer *answer) {
    if (request->told.done && !request->queues->over)
        request->told.done(request->told.arg, answer);
}

static void tell_result(const struct request *request, enum queue_result result) {
    tell(request, &(struct queue_answer){.result = result});
}

/* ---- answers ---- */

static void on_reply(void *arg, const redisReply *reply);

/* With the command that was written. Without memory for it the link breaks. */
static void make(struct redis_queues *queues, struct request *request, struct queue_call told) {
    struct redis_command *command = &queues->writer.command;
    command->failed = command->failed || !request;
    enum redis_call_kind kind = request ? request->kind : CALL_CHANGE;
    if (redis_calls_make_raw(queues->calls, kind, command, (struct redis_reply_call){on_reply, request}))
        return;
    if (request) {
        list_remove(&request->in_list);
        list_append(&queues->unmade, &request->in_list);
    } else if (told.done && queues->lost_count < LOST_MAX) {
        queues->lost[queues->lost_count++] = told;
    }
}

/*
 * Without a number, since it does no harm twice, and so that nobody is woken for it. What is not given up for want of
 * memory is met again after this boot.
 */
static void give_up(struct redis_queues *queues, const struct redis_stray *stray, struct bytes queue) {
    static const struct queue_policy policy = {.idle_expiry_ms = 300000};
    static const struct queue_policy *const policies[] = {&policy};
    struct operation operation = {.kind = stray->end == STRAY_GOES ? OPERATION_SETTLE : OPERATION_RETURN,
                                  .counted = stray->end == STRAY_WAITS,
                                  .entry = stray->entry};
    struct change change = {.count = 1, .operations = &operation};
    struct queue_change queue_change = {.change = &change, .queues = &queue, .policies = policies};
    redis_queue_write_changes(&queues->writer, &queue_change, 1, 0, 0);
    make(queues, request_new(queues, CALL_CHANGE, 1, 0, (struct queue_call){0}), (struct queue_call){0});
}

static void add_counts(struct queue_counts *counts, const struct queue_counts *more) {
    counts->expired += more->expired;
    counts->dropped += more->dropped;
    counts->dead += more->dead;
    counts->unreadable += more->unreadable;
}

/* What it would find first is what has just been returned. */
static bool should_wait(const struct request *request, const struct redis_queue_answer *answer, struct bytes queue) {
    for (size_t n = 0; n < answer->stray_count; n++)
        if (answer->strays[n].end == STRAY_WAITS && bytes_equal(request->queues_of[answer->strays[n].want], queue))
            return true;
    return false;
}

static void tell_ready(const struct request *request, const struct redis_queue_answer *answer) {
    const struct redis_queues *queues = request->queues;
    const redisReply *ready = answer->ready;
    for (size_t n = 0; ready && n < ready->elements && !queues->over; n++) {
        const redisReply *name = ready->element[n];
        struct bytes queue = {name->str, name->len};
        if (name->type == REDIS_REPLY_STRING && queue_name_is_valid(queue) && !should_wait(request, answer, queue))
            queues->store.events->ready(queues->store.arg, queue);
    }
}

/* They have used up what was wanted: there may be more behind them. Once for each queue. */
static void tell_of_strays(const struct request *request, const struct redis_queue_answer *answer) {
    const struct redis_queues *queues = request->queues;
    for (size_t n = 0; n < answer->stray_count && !queues->over; n++) {
        struct bytes queue = request->queues_of[answer->strays[n].want];
        bool is_told = n > 0 && answer->strays[n].want == answer->strays[n - 1].want;
        if (!is_told && !should_wait(request, answer, queue))
            queues->store.events->ready(queues->store.arg, queue);
    }
}

static const char *name_of(const struct request *request) {
    switch (request->kind) {
    case CALL_TAKE:
        return "take";
    case CALL_RECOVER:
        return "recover";
    case CALL_BINDINGS:
        return "bindings";
    default:
        return "change";
    }
}

static bool read_reply(const struct request *request, const redisReply *reply, struct redis_queue_answer *answer) {
    if (reply->type == REDIS_REPLY_ERROR)
        return false;
    switch (request->kind) {
    case CALL_TAKE:
        return redis_queue_answer_entries(reply, request->queues_of, request->count, request->queues->owners, answer);
    case CALL_RECOVER:
        return redis_queue_answer_recovery(reply, answer);
    case CALL_BINDINGS:
        return redis_bindings_answer(reply, answer);
    default:
        return redis_queue_answer_changes(reply, request->count, answer);
    }
}

static void take_answer(const struct request *request, struct redis_queue_answer *answer) {
    struct redis_queues *queues = request->queues;
    add_counts(&queues->counts, &answer->counts);
    if (answer->failure[0] != '\0')
        redis_calls_complain(queues->calls, name_of(request), answer->failure);
    for (size_t n = 0; n < answer->stray_count; n++)
        give_up(queues, &answer->strays[n], request->queues_of[answer->strays[n].want]);
    tell(request, &answer->answer);
    tell_ready(request, answer);
    tell_of_strays(request, answer);
    redis_queue_answer_free(answer);
}

static void on_reply(void *arg, const redisReply *reply) {
    struct request *request = arg;
    struct redis_queue_answer answer;
    if (!reply) {
        tell_result(request, QUEUE_AWAY);
    } else if (read_reply(request, reply, &answer)) {
        take_answer(request, &answer);
    } else {
        redis_calls_refused(request->queues->calls, name_of(request), reply);
        tell_result(request, QUEUE_FAILED);
    }
    request_free(request);
}

/* ---- calls ---- */

static void change(struct queue_store *store, const struct queue_change *changes, size_t count, uint64_t number,
                   uint64_t answered, struct queue_call call) {
    struct redis_queues *queues = of(store);
    assert(number > 0 && count <= QUEUE_CHANGES_MAX);
    redis_queue_write_changes(&queues->writer, changes, count, number, answered);
    make(queues, request_new(queues, CALL_CHANGE, count, 0, call), call);
}

static void take(struct queue_store *store, const struct queue_want *wants, size_t count, uint64_t number,
                 uint64_t answered, struct queue_call call) {
    struct redis_queues *queues = of(store);
    assert(number > 0 && count <= QUEUE_WANTS_MAX);
    redis_queue_write_take(&queues->writer, wants, count, number, answered);
    make(queues, request_for_take(queues, wants, count, call), call);
}

static void recover(struct queue_store *store, struct queue_call call) {
    struct redis_queues *queues = of(store);
    redis_queue_write_recovery(&queues->writer);
    make(queues, request_new(queues, CALL_RECOVER, 0, 0, call), call);
}

static void bind_queue(struct queue_store *store, struct bytes queue, struct bytes topic, struct queue_call call) {
    struct redis_queues *queues = of(store);
    redis_bindings_write_bind(&queues->writer, queue, topic);
    make(queues, request_new(queues, CALL_BINDINGS, 0, 0, call), call);
}

static void unbind_queue(struct queue_store *store, struct bytes queue, struct queue_call call) {
    struct redis_queues *queues = of(store);
    redis_bindings_write_unbind(&queues->writer, queue);
    make(queues, request_new(queues, CALL_BINDINGS, 0, 0, call), call);
}

static void bindings(struct queue_store *store, uint64_t version, struct queue_call call) {
    struct redis_queues *queues = of(store);
    redis_bindings_write_look(&queues->writer, version);
    make(queues, request_new(queues, CALL_BINDINGS, 0, 0, call), call);
}

/* All is answered by the loop. */
static bool turn(struct queue_store *store) {
    (void)store;
    return false;
}

static void count(const struct queue_store *store, struct queue_counts *counts) {
    *counts = CONTAINER_OF(store, const struct redis_queues, store)->counts;
}

static void end(struct queue_store *store) {
    of(store)->over = true;
}

static const struct queue_store_ops ops = {.change = change,
                                           .take = take,
                                           .recover = recover,
                                           .bind = bind_queue,
                                           .unbind = unbind_queue,
                                           .bindings = bindings,
                                           .turn = turn,
                                           .count = count,
                                           .free = end};

/* ---- life ---- */

struct redis_queues *redis_queues_new(struct redis_calls *calls, const struct redis_queues_conf *conf,
                                      const struct queue_events *events, void *arg) {
    struct redis_queues *queues = calloc(1, sizeof *queues);
    if (!queues)
        return NULL;
    queues->store = (struct queue_store){&ops, events, arg};
    queues->calls = calls;
    queues->writer = (struct redis_queue_writer){.conf = conf->redis, .ready_word = conf->ready_word};
    queues->owners = conf->owners;
    list_init(&queues->requests);
    list_init(&queues->unmade);
    return queues;
}

static void free_list(struct list_node *list) {
    LIST_FOR_EACH (node, list)
        free(CONTAINER_OF(node, struct request, in_list));
}

void redis_queues_free(struct redis_queues *queues) {
    if (!queues)
        return;
    free_list(&queues->requests);
    free_list(&queues->unmade);
    redis_queue_writer_free(&queues->writer);
    free(queues);
}

struct queue_store *redis_queues_store(struct redis_queues *queues) {
    return &queues->store;
}

/* Those that come in the meantime stay for the next time, as there must be one: their link breaks too. */
static void tell_lost(struct redis_queues *queues) {
    struct queue_call lost[LOST_MAX];
    size_t count = queues->lost_count;
    memcpy(lost, queues->lost, count * sizeof *lost);
    queues->lost_count = 0;
    for (size_t n = 0; n < count && !queues->over; n++)
        lost[n].done(lost[n].arg, &(struct queue_answer){.result = QUEUE_AWAY});
}

/* Only those that are there now: whoever is told may call again. */
void redis_queues_down(struct redis_queues *queues) {
    struct list_node now;
    struct list_node *node;
    tell_lost(queues);
    list_init(&now);
    while ((node = list_take_first(&queues->unmade)) != NULL)
        list_append(&now, node);
    while ((node = list_take_first(&now)) != NULL) {
        struct request *request = CONTAINER_OF(node, struct request, in_list);
        tell_result(request, QUEUE_AWAY);
        request_free(request);
    }
}
