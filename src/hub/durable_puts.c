/* From publications to puts; see durable_puts.h. */
#include "durable_puts.h"

#include <stdlib.h>

#include "stompd/base/log.h"
#include "stompd/edge/router.h"
#include "stompd/stomp/writer.h"

/* A publication that waits. */
struct publication {
    struct list_node in_list;
    struct message *message; /* one reference */
    unsigned worker;
    uint64_t number;
    uint64_t at_ms;
};

void durable_puts_init(struct durable_puts *puts, struct durable_bindings *bindings, struct queues *queues,
                       uint64_t *owed) {
    *puts = (struct durable_puts){.bindings = bindings, .queues = queues};
    puts->owed = owed;
    list_init(&puts->held);
}

/* ---- into the queues ---- */

static struct durable_binding *binding_of(struct subscriber *subscriber) {
    return CONTAINER_OF(subscriber, struct durable_binding, subscriber);
}

/* False: there is no room, or no memory. */
static bool put(struct durable_puts *puts, const struct durable_binding *binding, const struct message *message) {
    if (!queues_have_room(puts->queues, message_size(message)))
        return false;
    struct message *copy = stomp_readdress(message, ROUTE_QUEUE, durable_binding_queue(binding));
    bool done = copy && queues_put(puts->queues, copy, 0);
    if (copy)
        message_unref(copy);
    return done;
}

/* For those bindings that have not had that number yet. False: it is to go on later. */
static bool put_for(struct durable_puts *puts, struct subscriber *const *subscribers, size_t count,
                    const struct message *message, uint64_t number) {
    for (size_t n = 0; n < count; n++) {
        struct durable_binding *binding = binding_of(subscribers[n]);
        if (binding->number == number)
            continue;
        if (!put(puts, binding, message))
            return false;
        binding->number = number;
    }
    return true;
}

static bool put_all(struct durable_puts *puts, const struct message *message, uint64_t number) {
    struct match match;
    return durable_bindings_match(puts->bindings, message_key(message), &match) &&
           put_for(puts, match.exact, match.exact_count, message, number) &&
           put_for(puts, match.patterns, match.pattern_count, message, number);
}

static size_t count_missing(struct subscriber *const *subscribers, size_t count, uint64_t number) {
    size_t missing = 0;
    for (size_t n = 0; n < count; n++)
        missing += binding_of(subscribers[n])->number != number;
    return missing;
}

/* Those that it did not get to lose it. */
static void give_up(struct durable_puts *puts, const struct message *message, uint64_t number) {
    static struct log_limit limit;
    struct match match;
    size_t lost = 1; /* at least, when memory is out */
    if (durable_bindings_match(puts->bindings, message_key(message), &match))
        lost = count_missing(match.exact, match.exact_count, number) +
               count_missing(match.patterns, match.pattern_count, number);
    puts->dropped += lost;
    if (lost > 0)
        log_limited(&limit, LOG_LEVEL_WARNING,
                    "a message is lost for %zu durable subscriptions: too much waits for the store", lost);
}

/* ---- those that wait ---- */

static void work_off(struct durable_puts *puts, const struct message *message, unsigned worker) {
    if (puts->owed)
        puts->owed[worker] += router_cost(message);
}

static void end_held(struct durable_puts *puts, struct publication *publication) {
    work_off(puts, publication->message, publication->worker);
    puts->held_bytes -= router_cost(publication->message);
    list_remove(&publication->in_list);
    message_unref(publication->message);
    free(publication);
}

void durable_puts_work(struct durable_puts *puts) {
    LIST_FOR_EACH (node, &puts->held) {
        struct publication *publication = CONTAINER_OF(node, struct publication, in_list);
        if (publication->at_ms >= puts->sure_ms || !put_all(puts, publication->message, publication->number))
            return;
        end_held(puts, publication);
    }
}

static void keep_to_limit(struct durable_puts *puts) {
    LIST_FOR_EACH (node, &puts->held) {
        struct publication *publication = CONTAINER_OF(node, struct publication, in_list);
        if (!puts->away || puts->held_bytes <= QUEUES_PUT_MAX)
            return;
        if (!put_all(puts, publication->message, publication->number))
            give_up(puts, publication->message, publication->number);
        end_held(puts, publication);
    }
}

static void hold(struct durable_puts *puts, struct message *message, unsigned worker, uint64_t now_ms) {
    struct publication *publication = malloc(sizeof *publication);
    if (!publication) {
        give_up(puts, message, puts->number);
        work_off(puts, message, worker);
        return;
    }
    *publication = (struct publication){
        .message = message_ref(message), .worker = worker, .number = puts->number, .at_ms = now_ms};
    list_init(&publication->in_list);
    list_append(&puts->held, &publication->in_list);
    puts->held_bytes += router_cost(message);
    keep_to_limit(puts);
}

void durable_puts_take(struct durable_puts *puts, struct message *message, unsigned worker, uint64_t now_ms) {
    bool waits = now_ms >= puts->sure_ms || !list_is_empty(&puts->held);
    puts->number++;
    if (message->route == ROUTE_TOPIC && (waits || !put_all(puts, message, puts->number)))
        hold(puts, message, worker, now_ms);
    else
        work_off(puts, message, worker);
}

void durable_puts_free(struct durable_puts *puts) {
    LIST_FOR_EACH (node, &puts->held)
        end_held(puts, CONTAINER_OF(node, struct publication, in_list));
}
