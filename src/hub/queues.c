/* The hub's part in queues: mail, events and time on their way to changes.c and consumers.c. */
#include "queues.h"

#include <stdlib.h>

#include "changes.h"
#include "consumers.h"

struct queues {
    struct queue_store *store;
    struct mailbox *const *mailboxes;
    unsigned workers;
    struct mail_batch *outgoing; /* [workers]: posted at the end of the turn */
    struct queues_counters counters;
    struct queues_calls calls;
    struct queues_table table;
    struct changes changes;
    struct consumers consumers;
};

static void on_ready(void *arg, struct bytes queue) {
    queues_ready(arg, queue);
}

static const struct queue_events events = {.ready = on_ready};

struct queues *queues_new(const struct queues_conf *conf, uint64_t now_ms) {
    struct queues *queues = calloc(1, sizeof *queues);
    struct mail_batch *outgoing = calloc(conf->workers, sizeof *outgoing);
    if (!queues || !outgoing) {
        free(outgoing);
        free(queues);
        return NULL;
    }
    *queues = (struct queues){
        .store = conf->store, .mailboxes = conf->mailboxes, .workers = conf->workers, .outgoing = outgoing};
    queues_calls_init(&queues->calls, conf->store, conf->up);
    queues_table_init(&queues->table, conf->policies);
    changes_init(&queues->changes, conf->store, &queues->calls, &queues->table, outgoing, &queues->counters);
    queues->consumers = (struct consumers){.store = conf->store,
                                           .calls = &queues->calls,
                                           .table = &queues->table,
                                           .changes = &queues->changes,
                                           .outgoing = outgoing,
                                           .from = conf->workers,
                                           .counters = &queues->counters};
    consumers_init(&queues->consumers, now_ms);
    conf->store->events = &events;
    conf->store->arg = queues;
    return queues;
}

void queues_free(struct queues *queues) {
    if (!queues)
        return;
    queues_calls_free(&queues->calls);
    changes_free(&queues->changes);
    consumers_free(&queues->consumers);
    queues_table_free(&queues->table);
    for (unsigned n = 0; n < queues->workers; n++)
        mail_discard_all(queues->outgoing[n].newest);
    free(queues->outgoing);
    free(queues);
}

void queues_up(struct queues *queues, bool other) {
    queues_calls_up(&queues->calls, other);
    consumers_up(&queues->consumers);
}

void queues_down(struct queues *queues) {
    queues_calls_down(&queues->calls);
}

void queues_set_policies(struct queues *queues, const struct policies *policies) {
    queues_table_set_policies(&queues->table, policies);
}

void queues_set_topics(struct queues *queues, struct bytes (*topic_of)(const void *arg, struct bytes queue),
                       const void *arg) {
    queues->table.topic_of = topic_of;
    queues->table.topics = arg;
}

/* ---- mail ---- */

/* Every delivery is counted as given back, though some may be of no consumer. */
static bool find_queues(struct queues *queues, struct errand *errand) {
    bool found = true;
    for (uint32_t n = 0; n < errand->change->count; n++) {
        const struct operation *operation = &errand->change->operations[n];
        if (operation->kind == OPERATION_PUT)
            continue;
        errand->queues[n] = consumers_settle(&queues->consumers, errand->worker, operation->consumer);
        found = found && errand->queues[n];
    }
    return found;
}

static void take_change(struct queues *queues, const struct mail_change *mail) {
    struct errand *errand = changes_errand(&queues->changes, mail->change, mail->from);
    if (!errand)
        return;
    if (find_queues(queues, errand))
        changes_add(&queues->changes, errand);
    else
        changes_refuse(&queues->changes, errand);
}

bool queues_take_mail(struct queues *queues, const struct mail *mail, uint64_t now_ms) {
    queues->consumers.now_ms = now_ms;
    switch ((enum mail_type)mail->type) {
    case MAIL_CHANGE:
        take_change(queues, (const struct mail_change *)mail);
        return true;
    case MAIL_CONSUME:
        consumers_open(&queues->consumers, (const struct mail_consume *)mail);
        return true;
    case MAIL_UNCONSUME:
        consumers_close(&queues->consumers, (const struct mail_consumer *)mail);
        return true;
    case MAIL_WRITTEN:
        consumers_written(&queues->consumers, (const struct mail_consumer *)mail);
        return true;
    default:
        return false;
    }
}

/* ---- turns ---- */

void queues_ready(struct queues *queues, struct bytes queue) {
    consumers_ready(&queues->consumers, queue);
}

/* What waits for longest goes first; puts before takes, which may find them then. */
static bool make_calls(struct queues *queues) {
    bool again = queues_calls_make_again(&queues->calls);
    bool changes = changes_flush(&queues->changes);
    bool takes = consumers_flush(&queues->consumers);
    return again || changes || takes;
}

/* A store that answers at once makes way for further calls. */
void queues_flush(struct queues *queues, uint64_t now_ms) {
    bool made;
    bool more;
    queues->consumers.now_ms = now_ms;
    do {
        made = make_calls(queues);
        more = queues->store->ops->turn(queues->store);
    } while (made || more);
    for (unsigned n = 0; n < queues->workers; n++)
        mailbox_post_batch(queues->mailboxes[n], &queues->outgoing[n]);
}

void queues_tick(struct queues *queues, uint64_t now_ms) {
    queues->consumers.now_ms = now_ms;
    queues_calls_tick(&queues->calls, now_ms);
    changes_tick(&queues->changes, now_ms);
    consumers_tick(&queues->consumers, now_ms);
}

bool queues_is_settled(const struct queues *queues) {
    return queues->changes.count == 0 && queues->consumers.under_way == 0 && queues->consumers.unsettled == 0;
}

bool queues_put(struct queues *queues, struct message *message, uint64_t lifetime_ms) {
    return changes_put(&queues->changes, message, lifetime_ms);
}

bool queues_have_room(const struct queues *queues, size_t size) {
    return changes_have_room(&queues->changes, size);
}

void queues_count(const struct queues *queues, struct queues_counters *counters) {
    *counters = queues->counters;
    counters->waiting = queues->changes.count;
    queues->store->ops->count(queues->store, &counters->store);
}
