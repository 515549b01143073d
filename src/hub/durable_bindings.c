/* Keeps bindings in a map and a trie, and workers informed; see durable_bindings.h. */
#include "durable_bindings.h"

#include <stdlib.h>

#include "stompd/base/log.h"
#include "stompd/route/destination.h"

static struct bytes binding_key(const void *entry) {
    return durable_binding_queue(entry);
}

bool durable_bindings_init(struct durable_bindings *bindings, unsigned workers, bool tells,
                           struct mail_batch *outgoing) {
    *bindings =
        (struct durable_bindings){.topics = trie_new(), .tells = tells, .workers = workers, .outgoing = outgoing};
    map_init(&bindings->by_queue, binding_key);
    list_init(&bindings->all);
    interests_init(&bindings->interests, workers, false);
    return bindings->topics != NULL;
}

void durable_bindings_free(struct durable_bindings *bindings) {
    LIST_FOR_EACH (node, &bindings->all) {
        struct durable_binding *binding = CONTAINER_OF(node, struct durable_binding, in_all);
        trie_remove(bindings->topics, &binding->subscriber);
        free(binding);
    }
    map_free(&bindings->by_queue);
    interests_free(&bindings->interests);
    if (bindings->topics)
        trie_free(bindings->topics);
}

/* ---- what the workers are told ---- */

static void tell_workers(struct durable_bindings *bindings, enum mail_type type, const struct interest *interest) {
    struct bytes key = interest_key(interest);
    for (unsigned n = 0; n < bindings->workers; n++) {
        struct mail_interest *mail = malloc(sizeof *mail + key.len);
        if (!mail) {
            log_error("out of memory: worker %u is not told of a durable subscription", n);
            continue; /* it never confirms, so nobody is promised anything */
        }
        *mail = (struct mail_interest){.mail.type = type,
                                       .from = bindings->workers,
                                       .kind = interest->kind,
                                       .id = interest->id,
                                       .key_len = key.len};
        memcpy(mail->key, key.data, key.len);
        mail_batch_add(&bindings->outgoing[n], &mail->mail);
    }
}

/* False when out of memory. */
static bool want(struct durable_bindings *bindings, struct durable_binding *binding, bool pattern) {
    bool first;
    if (!bindings->tells)
        return true;
    binding->interest = interests_acquire(&bindings->interests, pattern ? INTEREST_PATTERN : INTEREST_EXACT,
                                          durable_binding_topic(binding), &first);
    if (!binding->interest)
        return false;
    if (first) {
        bindings->unknown++;
        tell_workers(bindings, MAIL_ANNOUNCE, binding->interest);
    }
    return true;
}

static void want_no_more(struct durable_bindings *bindings, struct durable_binding *binding) {
    struct interest *interest = binding->interest;
    if (!interest)
        return;
    if (interest->holders == 1) {
        bindings->unknown -= !interest_is_known(interest);
        tell_workers(bindings, MAIL_WITHDRAW, interest);
    }
    interests_release(&bindings->interests, interest);
}

void durable_bindings_confirm(struct durable_bindings *bindings, const struct mail_interest *mail) {
    if (interests_confirm(&bindings->interests, mail->kind, (struct bytes){mail->key, mail->key_len}, mail->id, false))
        bindings->unknown--;
}

/* ---- bindings ---- */

static struct durable_binding *binding_new(const struct queue_binding *from) {
    struct durable_binding *binding = calloc(1, sizeof *binding + from->queue.len + from->topic.len);
    if (!binding)
        return NULL;
    list_init(&binding->in_all);
    binding->queue_len = from->queue.len;
    binding->topic_len = from->topic.len;
    memcpy(binding->text, from->queue.data, from->queue.len);
    memcpy(binding->text + from->queue.len, from->topic.data, from->topic.len);
    return binding;
}

static bool add_to_trie(struct durable_bindings *bindings, struct durable_binding *binding, bool pattern) {
    struct bytes topic = durable_binding_topic(binding);
    return pattern ? trie_add_pattern(bindings->topics, topic, &binding->subscriber)
                   : trie_add_exact(bindings->topics, topic, &binding->subscriber);
}

static bool is_topic(const struct queue_binding *from, bool *pattern) {
    struct destination destination;
    struct fault fault;
    bool right = destination_of_subscribe(from->topic, &destination, &fault) && destination.kind == DESTINATION_TOPIC;
    *pattern = right && destination.pattern;
    return right;
}

static void take_out(struct durable_bindings *bindings, struct durable_binding *binding) {
    map_remove(&bindings->by_queue, durable_binding_queue(binding));
    list_remove(&binding->in_all);
    trie_remove(bindings->topics, &binding->subscriber);
    want_no_more(bindings, binding);
    free(binding);
}

/* False when out of memory. */
static bool add(struct durable_bindings *bindings, const struct queue_binding *from) {
    static struct log_limit limit;
    bool pattern;
    if (!is_topic(from, &pattern)) {
        log_limited(&limit, LOG_LEVEL_WARNING, "the durable subscription %.*s does nothing: %.*s is no topic",
                    BYTES_ARG(from->queue), BYTES_ARG(from->topic));
        return true;
    }
    struct durable_binding *binding = binding_new(from);
    if (!binding)
        return false;
    if (!map_insert(&bindings->by_queue, binding)) {
        free(binding);
        return false;
    }
    list_append(&bindings->all, &binding->in_all);
    binding->round = bindings->round;
    if (add_to_trie(bindings, binding, pattern) && want(bindings, binding, pattern))
        return true;
    take_out(bindings, binding);
    return false;
}

/* False when out of memory. */
static bool take(struct durable_bindings *bindings, const struct queue_binding *from) {
    struct durable_binding *binding = map_find(&bindings->by_queue, from->queue);
    if (binding && bytes_equal(durable_binding_topic(binding), from->topic)) {
        binding->round = bindings->round;
        return true;
    }
    if (binding)
        take_out(bindings, binding);
    return from->topic.len == 0 || add(bindings, from);
}

static void drop_unlisted(struct durable_bindings *bindings) {
    LIST_FOR_EACH (node, &bindings->all) {
        struct durable_binding *binding = CONTAINER_OF(node, struct durable_binding, in_all);
        if (binding->round != bindings->round)
            take_out(bindings, binding);
    }
}

bool durable_bindings_take(struct durable_bindings *bindings, const struct queue_answer *answer) {
    bool all = true;
    bindings->round++;
    for (size_t n = 0; n < answer->binding_count; n++)
        all = take(bindings, &answer->bindings[n]) && all;
    if (answer->complete)
        drop_unlisted(bindings);
    return all;
}

/* ---- look-up ---- */

struct durable_binding *durable_bindings_find(const struct durable_bindings *bindings, struct bytes queue) {
    return map_find(&bindings->by_queue, queue);
}

/* "d:USER/": what the names of all of the user's begin with. */
static struct bytes user_part(struct bytes queue) {
    const char *slash = memchr(queue.data, '/', queue.len);
    return (struct bytes){queue.data, slash ? (size_t)(slash - queue.data) + 1 : queue.len};
}

bool durable_bindings_share_user(struct bytes queue, struct bytes other) {
    return bytes_start_with(other, user_part(queue));
}

size_t durable_bindings_of_user(const struct durable_bindings *bindings, struct bytes queue) {
    size_t count = 0;
    LIST_FOR_EACH (node, &bindings->all) {
        const struct durable_binding *binding = CONTAINER_OF(node, struct durable_binding, in_all);
        count += durable_bindings_share_user(queue, durable_binding_queue(binding));
    }
    return count;
}

bool durable_bindings_match(struct durable_bindings *bindings, struct bytes topic, struct match *match) {
    *match = (struct match){0};
    return bindings->by_queue.count == 0 || trie_match(bindings->topics, topic, match);
}
