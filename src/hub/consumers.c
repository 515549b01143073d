/* Credit, takes and whose turn it is; see consumers.h. */
#include "consumers.h"

#include <inttypes.h>
#include <stdlib.h>

#include "stompd/base/log.h"
#include "stompd/route/queue_name.h"
#include "stompd/stomp/writer.h"

/* A session, as the hub knows it: all of its consumers. */
struct party {
    uint64_t id[2];          /* the worker, and its number there */
    size_t refs;             /* of takers, and of takes on its account */
    struct list_node takers; /* struct taker */
    uint64_t unwritten;      /* bytes that all of them have */
    uint64_t asked;          /* takes */
};

/* A session's consumer, as the hub knows it. */
struct taker {
    struct party *party; /* a reference */
    struct list_node in_party;
    struct list_node in_queue; /* a list of the queue */
    struct list_node *list;    /* that list */
    struct queue *queue;       /* a reference */
    uint64_t id[2];            /* the worker, and its number there */
    uint32_t prefetch;
    uint32_t unsettled; /* deliveries it has */
    uint32_t credit;    /* its part in queue->credit */
    bool closed;
    uint64_t unwritten; /* bytes */
};

/* One call of take(). */
struct take_call {
    struct queues_call call; /* first: the row knows only this */
    struct consumers *consumers;
    size_t count;
    struct {
        struct queue *queue; /* a reference */
        struct party *party; /* on whose account; a reference */
        uint32_t messages;
    } wants[QUEUE_WANTS_MAX];
};

static struct bytes id_bytes(const uint64_t id[2]) {
    return (struct bytes){(const char *)id, 2 * sizeof id[0]};
}

static struct bytes taker_key(const void *entry) {
    return id_bytes(((const struct taker *)entry)->id);
}

static struct bytes party_key(const void *entry) {
    return id_bytes(((const struct party *)entry)->id);
}

static struct taker *find(const struct consumers *consumers, unsigned worker, uint64_t id) {
    const uint64_t key[2] = {worker, id};
    return map_find(&consumers->by_id, id_bytes(key));
}

void consumers_init(struct consumers *consumers, uint64_t now_ms) {
    consumers->ticked_ms = consumers->now_ms = now_ms;
    map_init(&consumers->by_id, taker_key);
    map_init(&consumers->parties, party_key);
    list_init(&consumers->to_take);
    list_init(&consumers->waiting);
}

void consumers_free(struct consumers *consumers) {
    size_t cursor = 0;
    struct taker *taker;
    struct party *party;
    while ((taker = map_next(&consumers->by_id, &cursor)) != NULL)
        free(taker);
    map_free(&consumers->by_id);
    cursor = 0;
    while ((party = map_next(&consumers->parties, &cursor)) != NULL)
        free(party);
    map_free(&consumers->parties);
    buffer_free(&consumers->shown);
}

/* ---- credit ---- */

static bool has_room(const struct taker *taker) {
    return !taker->closed && taker->unsettled < taker->prefetch;
}

static bool is_full(const struct party *party) {
    return party->unwritten >= QUEUES_SESSION_UNWRITTEN_MAX;
}

static struct list_node *list_for(const struct taker *taker) {
    if (!has_room(taker))
        return &taker->queue->sated;
    return taker->unwritten < QUEUES_UNWRITTEN_MAX && !is_full(taker->party) ? &taker->queue->hungry
                                                                             : &taker->queue->choked;
}

/* Puts the queue where it belongs by its credit. While it is taken from, the end of that decides. */
static void place_queue(struct consumers *consumers, struct queue *queue) {
    bool listed = list_is_linked(&queue->in_list);
    if (queue->taking || listed == (queue->credit > 0))
        return;
    if (queue->credit == 0) {
        list_remove(&queue->in_list);
        queue->empty = false; /* should it be wanted again, word may have been lost meanwhile */
    } else if (queue->empty) {
        queue->due_ms = consumers->now_ms + QUEUES_SWEEP_MS;
        list_append(&consumers->waiting, &queue->in_list);
    } else {
        list_append(&consumers->to_take, &queue->in_list);
    }
}

/* Puts the consumer into the list that it belongs to, at the end if that is another, and its queue too. */
static void place(struct consumers *consumers, struct taker *taker) {
    struct queue *queue = taker->queue;
    struct list_node *list = list_for(taker);
    uint32_t credit = list == &queue->hungry ? taker->prefetch - taker->unsettled : 0;
    queue->credit += credit;
    queue->credit -= taker->credit;
    taker->credit = credit;
    if (list != taker->list) {
        list_remove(&taker->in_queue);
        list_append(list, &taker->in_queue);
        taker->list = list;
    }
    place_queue(consumers, queue);
}

/* Something has been added to what it has unwritten, or taken away. */
static void set_unwritten(struct consumers *consumers, struct taker *taker, uint64_t unwritten) {
    struct party *party = taker->party;
    bool was_full = is_full(party);
    party->unwritten += unwritten;
    party->unwritten -= taker->unwritten;
    taker->unwritten = unwritten;
    if (is_full(party) == was_full) {
        place(consumers, taker);
        return;
    }
    LIST_FOR_EACH (node, &party->takers)
        place(consumers, CONTAINER_OF(node, struct taker, in_party));
}

/* ---- coming and going ---- */

/* A reference. NULL when out of memory. */
static struct party *party_get(struct consumers *consumers, uint64_t worker, uint64_t session) {
    const uint64_t id[2] = {worker, session};
    struct party *party = map_find(&consumers->parties, id_bytes(id));
    if (!party) {
        party = calloc(1, sizeof *party);
        if (!party)
            return NULL;
        *party = (struct party){.id = {worker, session}};
        list_init(&party->takers);
        if (!map_insert(&consumers->parties, party)) {
            free(party);
            return NULL;
        }
    }
    party->refs++;
    return party;
}

static void party_unref(struct consumers *consumers, struct party *party) {
    if (--party->refs > 0)
        return;
    map_remove(&consumers->parties, party_key(party));
    free(party);
}

static void taker_free(struct consumers *consumers, struct taker *taker) {
    list_remove(&taker->in_party);
    if (taker->party)
        party_unref(consumers, taker->party);
    if (taker->queue)
        queue_unref(taker->queue);
    free(taker);
}

static struct taker *taker_new(struct consumers *consumers, const struct mail_consume *mail) {
    struct taker *taker = calloc(1, sizeof *taker);
    if (!taker)
        return NULL;
    *taker = (struct taker){.id = {mail->from, mail->consumer}, .prefetch = mail->prefetch};
    list_init(&taker->in_queue);
    list_init(&taker->in_party);
    taker->queue = queues_table_get(consumers->table, mail_queue(mail));
    taker->party = party_get(consumers, mail->from, mail->session);
    if (taker->queue && taker->party && map_insert(&consumers->by_id, taker)) {
        list_append(&taker->party->takers, &taker->in_party);
        return taker;
    }
    taker_free(consumers, taker);
    return NULL;
}

static void confirm(struct consumers *consumers, const struct mail_consume *request) {
    struct mail_consumer *mail = malloc(sizeof *mail);
    if (!mail) {
        log_error("out of memory: a subscription of a queue stays incomplete");
        return;
    }
    *mail = (struct mail_consumer){.mail.type = MAIL_CONSUMING, .from = consumers->from, .consumer = request->consumer};
    mail_batch_add(&consumers->outgoing[request->from], &mail->mail);
}

void consumers_open(struct consumers *consumers, const struct mail_consume *mail) {
    struct taker *taker = taker_new(consumers, mail);
    confirm(consumers, mail);
    if (!taker) {
        log_error("out of memory: a subscription of a queue gets nothing");
        return;
    }
    consumers->counters->consumers++;
    place(consumers, taker);
}

static void free_if_done(struct consumers *consumers, struct taker *taker) {
    if (!taker->closed || taker->unsettled > 0)
        return;
    set_unwritten(consumers, taker, 0);
    map_remove(&consumers->by_id, taker_key(taker));
    list_remove(&taker->in_queue);
    taker_free(consumers, taker);
}

void consumers_close(struct consumers *consumers, const struct mail_consumer *mail) {
    struct taker *taker = find(consumers, mail->from, mail->consumer);
    if (!taker || taker->closed)
        return; /* there was no memory for it */
    consumers->counters->consumers--;
    taker->closed = true;
    place(consumers, taker);
    free_if_done(consumers, taker);
}

void consumers_written(struct consumers *consumers, const struct mail_consumer *mail) {
    struct taker *taker = find(consumers, mail->from, mail->consumer);
    if (!taker)
        return; /* gone, and nobody asks any more */
    set_unwritten(consumers, taker, mail->bytes < taker->unwritten ? taker->unwritten - mail->bytes : 0);
}

struct queue *consumers_settle(struct consumers *consumers, unsigned worker, uint64_t id) {
    static struct log_limit limit;
    struct taker *taker = find(consumers, worker, id);
    if (!taker || taker->unsettled == 0) {
        log_limited(&limit, LOG_LEVEL_ERROR, "consumer %" PRIu64 " of worker %u settles what it has not got", id,
                    worker);
        return NULL;
    }
    struct queue *queue = queue_ref(taker->queue);
    taker->unsettled--;
    consumers->unsettled--;
    place(consumers, taker);
    free_if_done(consumers, taker);
    return queue;
}

/* ---- handing out ---- */

/* Whose turn it is, with what was taken on that account; NULL: nobody has room. */
static struct taker *next_taker(const struct queue *queue, const struct party *account) {
    if (!list_is_empty(&queue->hungry))
        return CONTAINER_OF(queue->hungry.next, struct taker, in_queue);
    LIST_FOR_EACH (node, &queue->choked) {
        struct taker *taker = CONTAINER_OF(node, struct taker, in_queue);
        if (taker->party == account || !is_full(taker->party))
            return taker;
    }
    return NULL;
}

static struct bytes reason_name(enum dead_reason reason) {
    switch (reason) {
    case DEAD_REJECTED:
        return BYTES("rejected");
    case DEAD_MAX_DELIVERIES:
        return BYTES("max-deliveries");
    case DEAD_FULL:
        return BYTES("full");
    case DEAD_NOT:
        break;
    }
    return BYTES("");
}

/* What consumers get of it, one reference; NULL when out of memory. */
static struct message *message_of(struct consumers *consumers, struct queue_entry *entry) {
    if (entry->dead == DEAD_NOT) {
        struct message *message = entry->message;
        entry->message = NULL;
        return message;
    }
    if (!queue_name_show(&consumers->shown, entry->dead_from))
        return NULL;
    struct stomp_header headers[] = {{BYTES("dead-letter-from"), buffer_bytes(&consumers->shown)},
                                     {BYTES("dead-letter-reason"), reason_name(entry->dead)}};
    return stomp_add_headers(entry->message, headers, sizeof headers / sizeof headers[0]);
}

/* NULL when out of memory. */
static struct mail_delivery *delivery_new(struct consumers *consumers, struct taker *taker, struct queue_entry *entry) {
    struct mail_delivery *mail = malloc(sizeof *mail);
    struct message *message = mail ? message_of(consumers, entry) : NULL;
    if (!message) {
        free(mail);
        return NULL;
    }
    *mail = (struct mail_delivery){.mail.type = MAIL_DELIVERY,
                                   .consumer = taker->id[1],
                                   .entry = entry->entry,
                                   .deliveries = entry->deliveries,
                                   .message = message};
    return mail;
}

static void note_delivery(struct consumers *consumers, struct taker *taker, const struct mail_delivery *mail) {
    consumers->counters->delivered++;
    consumers->counters->redelivered += mail->deliveries > 1;
    consumers->unsettled++;
    taker->unsettled++;
    taker->list = NULL; /* so that others come first */
    set_unwritten(consumers, taker, taker->unwritten + message_size(mail->message));
}

static void hand_out(struct consumers *consumers, struct queue *queue, const struct party *account,
                     struct queue_entry *entry) {
    struct taker *taker = next_taker(queue, account);
    struct mail_delivery *mail = taker ? delivery_new(consumers, taker, entry) : NULL;
    if (!mail) {
        changes_return(consumers->changes, queue, &entry->entry);
        return;
    }
    note_delivery(consumers, taker, mail);
    mail_batch_add(&consumers->outgoing[taker->id[0]], &mail->mail);
}

/* ---- takes ---- */

static void end_take(struct take_call *call, size_t n, bool empty) {
    struct consumers *consumers = call->consumers;
    struct queue *queue = call->wants[n].queue;
    call->wants[n].party->asked--;
    party_unref(consumers, call->wants[n].party);
    queue->taking = false;
    queue->readied = false;
    queue->empty = empty && queue->credit > 0;
    place_queue(consumers, queue);
    queue_unref(queue);
}

/* Hands out the entries of want n from entry `at` on; returns where those of the next want begin. */
static size_t end_want(struct take_call *call, size_t n, struct queue_answer *answer, size_t at) {
    struct queue *queue = call->wants[n].queue;
    uint64_t bytes = 0;
    size_t start = at;
    for (; at < answer->entry_count && answer->entries[at].want == n; at++) {
        bytes += answer->entries[at].entry.size;
        hand_out(call->consumers, queue, call->wants[n].party, &answer->entries[at]);
    }
    queue->alone = false;
    bool cut = at - start >= call->wants[n].messages || bytes >= QUEUE_TAKE_BYTES;
    end_take(call, n, !cut && !queue->readied);
    return at;
}

/* The next sweep tries again, each queue for itself: one of them may be to blame. */
static void end_refused(struct take_call *call) {
    for (size_t n = 0; n < call->count; n++) {
        call->wants[n].queue->alone = true;
        end_take(call, n, true);
    }
}

static void on_taken(struct queues_call *base, struct queue_answer *answer) {
    struct take_call *call = (struct take_call *)base;
    size_t at = 0;
    call->consumers->under_way--;
    if (answer->result != QUEUE_OK)
        end_refused(call);
    for (size_t n = 0; answer->result == QUEUE_OK && n < call->count; n++)
        at = end_want(call, n, answer, at);
    free(call);
}

static void make(struct queues_call *base, uint64_t answered) {
    struct take_call *call = (struct take_call *)base;
    struct queue_store *store = call->consumers->store;
    struct queue_want wants[QUEUE_WANTS_MAX];
    for (size_t n = 0; n < call->count; n++) {
        struct queue *queue = call->wants[n].queue;
        wants[n] = (struct queue_want){queue_name(queue), queue->policy, call->wants[n].messages};
    }
    store->ops->take(store, wants, call->count, base->number, answered, queues_call_answer(base));
}

static void free_call(struct queues_call *base) {
    free(base);
}

/* On whose account the queue may be taken from; NULL: on nobody's before another take has ended. */
static struct party *account_for(const struct queue *queue) {
    LIST_FOR_EACH (node, &queue->hungry) {
        struct party *party = CONTAINER_OF(node, struct taker, in_queue)->party;
        if (party->unwritten + party->asked * QUEUE_TAKE_BYTES < QUEUES_SESSION_UNWRITTEN_MAX)
            return party;
    }
    return NULL;
}

static void add_want(struct take_call *call, struct queue *queue, struct party *account) {
    uint64_t wanted = queue->credit < CONSUMERS_WANTED_MAX ? queue->credit : CONSUMERS_WANTED_MAX;
    list_remove(&queue->in_list);
    queue->taking = true;
    account->asked++;
    account->refs++;
    call->wants[call->count].party = account;
    call->wants[call->count].queue = queue_ref(queue);
    call->wants[call->count++].messages = (uint32_t)wanted;
}

static void collect(struct take_call *call) {
    LIST_FOR_EACH (node, &call->consumers->to_take) {
        struct queue *queue = CONTAINER_OF(node, struct queue, in_list);
        struct party *account = account_for(queue);
        if (call->count == QUEUE_WANTS_MAX || (queue->alone && call->count > 0))
            break;
        if (!account)
            continue;
        add_want(call, queue, account);
        if (queue->alone)
            break;
    }
}

/* False: out of memory, or for nobody's account, so the queues go on waiting. */
static bool make_call(struct consumers *consumers) {
    struct take_call *call = calloc(1, sizeof *call);
    if (!call)
        return false;
    call->call = (struct queues_call){.make = make, .over = on_taken, .free = free_call};
    call->consumers = consumers;
    collect(call);
    if (call->count == 0) {
        free(call);
        return false;
    }
    consumers->under_way++;
    queues_calls_make(consumers->calls, &call->call);
    return true;
}

bool consumers_flush(struct consumers *consumers) {
    bool made = false;
    while (!list_is_empty(&consumers->to_take) && consumers->under_way < CONSUMERS_CALLS_MAX &&
           queues_calls_are_open(consumers->calls) && make_call(consumers))
        made = true;
    return made;
}

/* ---- waiting ---- */

static void ask_again(struct consumers *consumers, struct queue *queue) {
    list_remove(&queue->in_list);
    queue->empty = false;
    place_queue(consumers, queue);
}

void consumers_ready(struct consumers *consumers, struct bytes name) {
    struct queue *queue = queues_table_find(consumers->table, name);
    if (queue && queue->taking)
        queue->readied = true;
    else if (queue && queue->empty)
        ask_again(consumers, queue);
}

void consumers_up(struct consumers *consumers) {
    LIST_FOR_EACH (node, &consumers->waiting)
        ask_again(consumers, CONTAINER_OF(node, struct queue, in_list));
}

void consumers_tick(struct consumers *consumers, uint64_t now_ms) {
    consumers->sweep_left += now_ms - consumers->ticked_ms;
    if (consumers->sweep_left > CONSUMERS_SWEEP_MAX)
        consumers->sweep_left = CONSUMERS_SWEEP_MAX;
    consumers->ticked_ms = now_ms;
    LIST_FOR_EACH (node, &consumers->waiting) {
        struct queue *queue = CONTAINER_OF(node, struct queue, in_list);
        if (queue->due_ms > now_ms || consumers->sweep_left == 0)
            break;
        consumers->sweep_left--;
        ask_again(consumers, queue);
    }
}
