/* Durable subscriptions: from a subscriber's first mail to the last, and what is known of all; see durables.h. */
#include "durables.h"

#include <stdlib.h>

#include "durable_bindings.h"
#include "durable_puts.h"
#include "stompd/base/log.h"

/*
 *     UNBOUND -> ASKED -> BOUND -> SERVED
 *        ^         |        |        |
 *        +---------+--------+--------+   the store was away, would not, or has lost the bindings
 */
enum reader_state {
    READER_UNBOUND, /* bind() is to be called */
    READER_ASKED,   /* it is under way */
    READER_BOUND,   /* not all nodes act by it yet */
    READER_SERVED,  /* it consumes from the queue */
    READER_STATES
};

/* A subscription that is open. */
struct reader {
    struct list_node in_list; /* durables->readers[state] */
    struct durables *durables;
    uint64_t id[2]; /* the worker, its consumer's number there */
    enum reader_state state;
    bool gone;        /* its subscription is; freed with the answer to bind() */
    bool shares;      /* its queue was known already, or asked for by another */
    bool consumes;    /* it was served, and goes on in any state */
    uint64_t life;    /* since BOUND: of the bindings that it is one of */
    uint64_t version; /* by which all nodes must act */
    struct mail_consume consume;
};

/* A subscription that is to end for good. */
struct ending {
    struct list_node in_list; /* durables->endings, or ->asked_endings while unbind() is under way */
    struct durables *durables;
    struct mail_changed *reply;
    unsigned worker; /* who waits for it */
    size_t queue_len;
    char queue[];
};

struct durables {
    struct durables_conf conf;
    struct mail_batch *outgoing; /* [workers] */
    uint64_t *owed;              /* [workers]: credit */
    struct durable_bindings bindings;
    struct durable_puts puts;
    struct map by_id;                        /* readers, but for those that are gone */
    struct list_node readers[READER_STATES]; /* BOUND: in the order of their versions */
    unsigned binds;                          /* bind() under way */
    struct list_node endings;
    struct list_node asked_endings;

    uint64_t life;       /* of the store's bindings */
    uint64_t version;    /* of those known here */
    uint64_t acting;     /* by which this node acts: the workers know it too */
    uint64_t everywhere; /* and by which all nodes do, this one as they know it */
    bool up;
    bool known;         /* the bindings are, since it is up */
    bool looking;       /* bindings() is under way */
    bool was_down;      /* the next look finds out what the store has lost meanwhile */
    bool called;        /* the store, in this turn */
    uint64_t look_ms;   /* when to look again */
    uint64_t looked_ms; /* when the last look began */
    uint64_t again_ms;  /* when to call again, after the store would not do something */
    uint64_t now_ms;
};

static void look_soon(struct durables *durables) {
    durables->look_ms = durables->now_ms;
}

static void look_later(struct durables *durables) {
    bool waited_for = !list_is_empty(&durables->readers[READER_BOUND]);
    durables->look_ms = durables->now_ms + (waited_for ? DURABLES_WAIT_MS : DURABLES_LOOK_MS);
}

static void try_later(struct durables *durables) {
    durables->again_ms = durables->now_ms + DURABLES_RETRY_MS;
}

/* ---- readers ---- */

static struct bytes id_bytes(const uint64_t id[2]) {
    return (struct bytes){(const char *)id, 2 * sizeof id[0]};
}

static struct bytes reader_key(const void *entry) {
    return id_bytes(((const struct reader *)entry)->id);
}

static struct reader *reader_of(struct list_node *node) {
    return CONTAINER_OF(node, struct reader, in_list);
}

static void set_state(struct reader *reader, enum reader_state state) {
    reader->state = state;
    list_remove(&reader->in_list);
    list_append(&reader->durables->readers[state], &reader->in_list);
}

static void set_all_unbound(struct durables *durables, enum reader_state from) {
    LIST_FOR_EACH (node, &durables->readers[from])
        set_state(reader_of(node), READER_UNBOUND);
}

static void reader_free(struct reader *reader) {
    if (!reader->gone)
        map_remove(&reader->durables->by_id, reader_key(reader));
    list_remove(&reader->in_list);
    free(reader);
}

static void open_reader(struct durables *durables, const struct mail_consume *mail) {
    size_t text_len = mail->queue_len + mail->topic_len;
    struct reader *reader = calloc(1, sizeof *reader + text_len);
    if (!reader) {
        log_error("out of memory: a durable subscription stays incomplete");
        return;
    }
    reader->durables = durables;
    reader->id[0] = mail->from;
    reader->id[1] = mail->consumer;
    memcpy(&reader->consume, mail, sizeof *mail + text_len);
    list_init(&reader->in_list);
    if (!map_insert(&durables->by_id, reader)) {
        log_error("out of memory: a durable subscription stays incomplete");
        free(reader);
        return;
    }
    set_state(reader, READER_UNBOUND);
}

/* False: the queues are to be told. */
static bool close_reader(struct durables *durables, const struct mail_consumer *mail) {
    const uint64_t id[2] = {mail->from, mail->consumer};
    struct reader *reader = map_remove(&durables->by_id, id_bytes(id));
    if (!reader)
        return false;
    bool consumes = reader->consumes;
    reader->gone = true;
    if (reader->state != READER_ASKED)
        reader_free(reader);
    return !consumes;
}

static void refuse(struct reader *reader, enum consuming consuming) {
    struct mail_consumer *mail = malloc(sizeof *mail);
    if (mail) {
        *mail = (struct mail_consumer){
            .mail.type = MAIL_CONSUMING, .consumer = reader->consume.consumer, .consuming = consuming};
        mail_batch_add(&reader->durables->outgoing[reader->consume.from], &mail->mail);
    }
    reader_free(reader);
}

/* All nodes act by it: from here on nothing is missed. */
static void serve(struct reader *reader) {
    struct durables *durables = reader->durables;
    set_state(reader, READER_SERVED);
    if (reader->consumes)
        return;
    reader->consumes = true;
    if (!queues_take_mail(durables->conf.queues, &reader->consume.mail, durables->now_ms))
        log_error("the queues don't know what a durable subscription is");
}

static void serve_all(struct durables *durables) {
    LIST_FOR_EACH (node, &durables->readers[READER_BOUND]) {
        struct reader *reader = reader_of(node);
        if (reader->life != durables->life || reader->version > durables->everywhere)
            return;
        serve(reader);
    }
}

/* ---- binding ---- */

/* What is bound, or about to be, but not known so yet: of the same user, and whether it is the very queue. */
struct coming {
    size_t count;
    bool same;
};

static void add_coming(const struct durables *durables, enum reader_state state, struct bytes queue,
                       struct coming *coming) {
    LIST_FOR_EACH (node, &durables->readers[state]) {
        const struct reader *reader = reader_of(node);
        struct bytes other = mail_queue(&reader->consume);
        coming->same = coming->same || bytes_equal(queue, other);
        coming->count += durable_bindings_share_user(queue, other) && !reader->shares &&
                         !durable_bindings_find(&durables->bindings, other);
    }
}

static bool is_one_too_many(struct reader *reader) {
    const struct durables *durables = reader->durables;
    struct bytes queue = mail_queue(&reader->consume);
    struct coming coming = {0};
    reader->shares = reader->consumes || durable_bindings_find(&durables->bindings, queue);
    if (reader->shares)
        return false;
    add_coming(durables, READER_ASKED, queue, &coming);
    add_coming(durables, READER_BOUND, queue, &coming);
    reader->shares = coming.same;
    return !coming.same &&
           durable_bindings_of_user(&durables->bindings, queue) + coming.count >= durables->conf.per_user;
}

/* In another life there is more to be learnt first. */
static void take_word(struct durables *durables, const struct queue_answer *answer) {
    if (answer->life == durables->life)
        durables->everywhere = answer->everywhere;
    if (answer->life != durables->life || answer->version != durables->version)
        look_soon(durables);
}

static void on_bound(void *arg, struct queue_answer *answer) {
    struct reader *reader = arg;
    struct durables *durables = reader->durables;
    bool done = answer->result == QUEUE_OK;
    durables->binds--;
    if (done)
        take_word(durables, answer);
    else if (answer->result != QUEUE_TAKEN)
        try_later(durables);
    if (reader->gone) {
        reader_free(reader);
    } else if (answer->result == QUEUE_TAKEN) {
        refuse(reader, CONSUMING_TAKEN);
    } else {
        reader->life = answer->life;
        reader->version = answer->version;
        set_state(reader, done ? READER_BOUND : READER_UNBOUND);
    }
    serve_all(durables);
}

static void bind_reader(struct reader *reader) {
    struct durables *durables = reader->durables;
    struct queue_store *store = durables->conf.store;
    if (is_one_too_many(reader)) {
        refuse(reader, CONSUMING_TOO_MANY);
        return;
    }
    set_state(reader, READER_ASKED);
    durables->binds++;
    durables->called = true;
    store->ops->bind(store, mail_queue(&reader->consume), mail_topic(&reader->consume),
                     (struct queue_call){on_bound, reader});
}

/* ---- subscriptions that end ---- */

static void on_unbound(void *arg, struct queue_answer *answer) {
    struct ending *ending = arg;
    struct durables *durables = ending->durables;
    list_remove(&ending->in_list);
    if (answer->result == QUEUE_OK) {
        take_word(durables, answer);
        mail_batch_add(&durables->outgoing[ending->worker], &ending->reply->mail);
        free(ending);
        return;
    }
    try_later(durables);
    list_append(&durables->endings, &ending->in_list);
}

static void unbind(struct ending *ending) {
    struct durables *durables = ending->durables;
    struct queue_store *store = durables->conf.store;
    list_remove(&ending->in_list);
    list_append(&durables->asked_endings, &ending->in_list);
    durables->called = true;
    store->ops->unbind(store, (struct bytes){ending->queue, ending->queue_len},
                       (struct queue_call){on_unbound, ending});
}

static void open_ending(struct durables *durables, const struct mail_consume *mail) {
    struct ending *ending = calloc(1, sizeof *ending + mail->queue_len);
    struct mail_changed *reply = malloc(sizeof *reply);
    if (!ending || !reply) {
        log_error("out of memory: the durable subscription %.*s does not end", BYTES_ARG(mail_queue(mail)));
        free(ending);
        free(reply);
        return;
    }
    *reply = (struct mail_changed){.mail.type = MAIL_CHANGED, .pending = mail->pending, .result = CHANGE_DONE};
    ending->reply = reply;
    ending->worker = mail->from;
    ending->durables = durables;
    ending->queue_len = mail->queue_len;
    memcpy(ending->queue, mail->text, mail->queue_len);
    list_init(&ending->in_list);
    list_append(&durables->endings, &ending->in_list);
}

/* ---- looking ---- */

/* The bindings are of that life. Who is here and was bound in another is bound again; who is away is forgotten. */
static void set_life(struct durables *durables, uint64_t life) {
    LIST_FOR_EACH (node, &durables->readers[READER_BOUND])
        if (reader_of(node)->life != life)
            set_state(reader_of(node), READER_UNBOUND);
    if (durables->life != 0 && durables->life != life) {
        log_warning("the store has lost its durable subscriptions, and what they held: those of who is here are made "
                    "again");
        set_all_unbound(durables, READER_SERVED);
    }
    durables->life = life;
}

/* Where the store has lost its last moments, the link was away. Those that others have ended meanwhile begin anew, too. */
static void find_lost(struct durables *durables) {
    LIST_FOR_EACH (node, &durables->readers[READER_SERVED])
        if (!durable_bindings_find(&durables->bindings, mail_queue(&reader_of(node)->consume)))
            set_state(reader_of(node), READER_UNBOUND);
}

/* From now on this node acts by what is known, and the next look says so. */
static void act(struct durables *durables) {
    if (!durable_bindings_are_known(&durables->bindings))
        return;
    if (durables->acting == durables->version)
        return;
    durables->acting = durables->version;
    look_soon(durables);
}

static void on_looked(void *arg, struct queue_answer *answer) {
    struct durables *durables = arg;
    durables->looking = false;
    look_later(durables);
    if (answer->result != QUEUE_OK) {
        durables->puts.away = durables->puts.away || answer->result == QUEUE_FAILED;
        try_later(durables);
        return;
    }
    set_life(durables, answer->life);
    durables->everywhere = answer->everywhere;
    if (!durable_bindings_take(&durables->bindings, answer)) {
        log_error("out of memory: not all durable subscriptions are known");
        try_later(durables);
        return;
    }
    if (durables->was_down)
        find_lost(durables);
    durables->was_down = false;
    durables->version = answer->version;
    durables->known = true;
    if (durables->conf.cluster)
        durables->puts.sure_ms = durables->looked_ms + DURABLES_SURE_MS;
    durables->puts.away = false;
    act(durables);
    serve_all(durables);
}

static void look(struct durables *durables) {
    struct queue_store *store = durables->conf.store;
    if (durables->looking || durables->now_ms < durables->look_ms)
        return;
    durables->looking = true;
    durables->looked_ms = durables->now_ms;
    durables->called = true;
    store->ops->bindings(store, durables->acting, (struct queue_call){on_looked, durables});
}

/* Ends come first: a subscription may begin anew, with another topic. */
static void call_store(struct durables *durables) {
    if (!durables->up || durables->now_ms < durables->again_ms)
        return;
    LIST_FOR_EACH (node, &durables->endings)
        unbind(CONTAINER_OF(node, struct ending, in_list));
    LIST_FOR_EACH (node, &durables->readers[READER_UNBOUND]) {
        if (!durables->known || durables->binds >= DURABLES_BINDS_MAX)
            break;
        bind_reader(reader_of(node));
    }
    look(durables);
}

/* ---- mail ---- */

static bool take_publication(struct durables *durables, const struct mail_publish *mail) {
    durable_puts_take(&durables->puts, mail->message, mail->from, durables->now_ms);
    if (durables->conf.cluster)
        return false;
    message_unref(mail->message);
    return true;
}

bool durables_take_mail(struct durables *durables, const struct mail *mail, uint64_t now_ms) {
    durables->now_ms = now_ms;
    switch ((enum mail_type)mail->type) {
    case MAIL_PUBLISH:
        return take_publication(durables, (const struct mail_publish *)mail);
    case MAIL_CONSUME:
        if (((const struct mail_consume *)mail)->topic_len == 0)
            return false;
        open_reader(durables, (const struct mail_consume *)mail);
        return true;
    case MAIL_UNCONSUME:
        return close_reader(durables, (const struct mail_consumer *)mail);
    case MAIL_FORGET:
        open_ending(durables, (const struct mail_consume *)mail);
        return true;
    case MAIL_CONFIRM:
        durable_bindings_confirm(&durables->bindings, (const struct mail_interest *)mail);
        act(durables);
        return true;
    case MAIL_CREDIT: /* for what the workers were told, which is not counted */
        return !durables->conf.cluster;
    default:
        return false;
    }
}

/* ---- turns ---- */

static void give_credit(struct durables *durables, unsigned worker) {
    struct mail_credit *credit = durables->owed[worker] > 0 ? malloc(sizeof *credit) : NULL;
    if (!credit)
        return;
    *credit =
        (struct mail_credit){.mail.type = MAIL_CREDIT, .from = durables->conf.workers, .bytes = durables->owed[worker]};
    mail_batch_add(&durables->outgoing[worker], &credit->mail);
    durables->owed[worker] = 0;
}

bool durables_flush(struct durables *durables, uint64_t now_ms) {
    durables->now_ms = now_ms;
    durables->called = false;
    durable_puts_work(&durables->puts);
    call_store(durables);
    for (unsigned n = 0; n < durables->conf.workers; n++) {
        give_credit(durables, n);
        mailbox_post_batch(durables->conf.mailboxes[n], &durables->outgoing[n]);
    }
    return durables->called;
}

void durables_up(struct durables *durables, uint64_t now_ms) {
    durables->up = true;
    durables->now_ms = durables->look_ms = durables->again_ms = now_ms;
}

/* What is told later may be of another store, or of the same after it was emptied. */
void durables_down(struct durables *durables) {
    durables->up = false;
    durables->known = false;
    durables->was_down = true;
    durables->puts.sure_ms = 0;
    durables->puts.away = true;
    durables->acting = 0;
    set_all_unbound(durables, READER_BOUND);
}

void durables_set_per_user(struct durables *durables, uint32_t per_user) {
    durables->conf.per_user = per_user;
}

bool durables_are_behind(const struct durables *durables) {
    return !durables->puts.away && !list_is_empty(&durables->puts.held);
}

bool durables_are_settled(const struct durables *durables) {
    return list_is_empty(&durables->puts.held) && list_is_empty(&durables->endings) &&
           list_is_empty(&durables->asked_endings);
}

/* ---- what is known ---- */

struct bytes durables_topic(const struct durables *durables, struct bytes queue) {
    const struct durable_binding *binding = durable_bindings_find(&durables->bindings, queue);
    return binding ? durable_binding_topic(binding) : BYTES("");
}

static struct bytes topic_of(const void *arg, struct bytes queue) {
    return durables_topic(arg, queue);
}

void durables_count(const struct durables *durables, struct durables_counters *counters) {
    *counters = (struct durables_counters){.subscriptions = durables->bindings.by_queue.count,
                                           .dropped = durables->puts.dropped};
}

/* ---- life ---- */

static void init_lists(struct durables *durables) {
    map_init(&durables->by_id, reader_key);
    for (unsigned state = 0; state < READER_STATES; state++)
        list_init(&durables->readers[state]);
    list_init(&durables->endings);
    list_init(&durables->asked_endings);
}

struct durables *durables_new(const struct durables_conf *conf, uint64_t now_ms) {
    struct durables *durables = calloc(1, sizeof *durables);
    if (!durables)
        return NULL;
    durables->conf = *conf;
    durables->now_ms = durables->look_ms = now_ms;
    durables->up = durables->known = !conf->cluster;
    init_lists(durables);
    durables->outgoing = calloc(conf->workers, sizeof *durables->outgoing);
    durables->owed = calloc(conf->workers, sizeof *durables->owed);
    durable_puts_init(&durables->puts, &durables->bindings, conf->queues, conf->cluster ? NULL : durables->owed);
    if (!durable_bindings_init(&durables->bindings, conf->workers, !conf->cluster, durables->outgoing) ||
        !durables->outgoing || !durables->owed) {
        durables_free(durables);
        return NULL;
    }
    durables->puts.away = conf->cluster;
    durables->puts.sure_ms = conf->cluster ? 0 : UINT64_MAX; /* alone, nobody else binds */
    queues_set_topics(conf->queues, topic_of, durables);
    return durables;
}

static void free_endings(struct list_node *endings) {
    LIST_FOR_EACH (node, endings) {
        struct ending *ending = CONTAINER_OF(node, struct ending, in_list);
        free(ending->reply);
        free(ending);
    }
}

void durables_free(struct durables *durables) {
    if (!durables)
        return;
    for (unsigned state = 0; state < READER_STATES; state++)
        LIST_FOR_EACH (node, &durables->readers[state])
            reader_free(reader_of(node));
    map_free(&durables->by_id);
    free_endings(&durables->endings);
    free_endings(&durables->asked_endings);
    durable_puts_free(&durables->puts);
    durable_bindings_free(&durables->bindings);
    for (unsigned n = 0; durables->outgoing && n < durables->conf.workers; n++)
        mail_discard_all(durables->outgoing[n].newest);
    free(durables->outgoing);
    free(durables->owed);
    free(durables);
}
