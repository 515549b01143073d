/* What leaves this node for the others and what comes in from them; see fanout.h for the rules. */
#include "fanout.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "stompd/base/log.h"
#include "stompd/store/channel.h"

struct outgoing {
    struct list_node in_list;
    struct message *message; /* one reference; NULL: a word, which is not sent again */
    uint64_t sequence;
    uint64_t cost;
    unsigned worker;
    bool credited; /* the worker need not be told any more */
    bool sent;     /* at least once */
};

/* Another boot that publishes. */
struct origin {
    uint64_t sequence; /* the newest seen */
    uint64_t heard_ms;
    size_t boot_len;
    char boot[];
};

static struct bytes origin_key(const void *entry) {
    const struct origin *origin = entry;
    return (struct bytes){origin->boot, origin->boot_len};
}

void fanout_init(struct fanout *fanout, struct store *store, struct bytes boot, uint64_t buffer,
                 void (*credit)(void *arg, unsigned worker, uint64_t bytes), void *arg) {
    *fanout = (struct fanout){.store = store, .boot = boot, .buffer = buffer, .credit = credit, .arg = arg};
    list_init(&fanout->waiting);
    list_init(&fanout->under_way);
    map_init(&fanout->origins, origin_key);
}

static struct outgoing *first_of(struct list_node *list) {
    return list_is_empty(list) ? NULL : CONTAINER_OF(list->next, struct outgoing, in_list);
}

static void outgoing_free(struct outgoing *outgoing) {
    list_remove(&outgoing->in_list);
    if (outgoing->message)
        message_unref(outgoing->message);
    free(outgoing);
}

static void free_all(struct list_node *list) {
    LIST_FOR_EACH (node, list)
        outgoing_free(CONTAINER_OF(node, struct outgoing, in_list));
}

void fanout_free(struct fanout *fanout) {
    struct origin *origin;
    size_t cursor = 0;
    free_all(&fanout->under_way);
    free_all(&fanout->waiting);
    while ((origin = map_next(&fanout->origins, &cursor)) != NULL)
        free(origin);
    map_free(&fanout->origins);
    buffer_free(&fanout->name);
    buffer_free(&fanout->payload);
}

/* ---- out ---- */

static void give_credit(struct fanout *fanout, struct outgoing *outgoing) {
    if (!outgoing->credited)
        fanout->credit(fanout->arg, outgoing->worker, outgoing->cost);
    outgoing->credited = true;
}

/* It is over with a publication: it has been answered, or is given up. */
static void settle(struct fanout *fanout, struct outgoing *outgoing) {
    fanout->queued_bytes -= outgoing->cost;
    give_credit(fanout, outgoing);
    outgoing_free(outgoing);
}

/* False: it is not sent. A session whose id names no node is none that could be reached, so nothing is lost then. */
static bool send_message(struct fanout *fanout, const struct outgoing *outgoing) {
    struct payload_origin origin = {PAYLOAD_PUBLICATION, fanout->boot, outgoing->sequence};
    const struct message *message = outgoing->message;
    if (!channel_of_message(&fanout->name, (enum route)message->route, message_key(message)))
        return false;
    if (!payload_write_message(&fanout->payload, &origin, message)) {
        fanout->counters.dropped++;
        return false;
    }
    fanout->store->ops->publish(fanout->store, buffer_bytes(&fanout->name), buffer_bytes(&fanout->payload));
    return true;
}

static void send_waiting(struct fanout *fanout) {
    struct outgoing *outgoing;
    while (fanout->open && fanout->window_bytes < FANOUT_WINDOW && (outgoing = first_of(&fanout->waiting))) {
        if (!send_message(fanout, outgoing)) {
            settle(fanout, outgoing);
            continue;
        }
        fanout->counters.resent += outgoing->sent;
        outgoing->sent = true;
        list_remove(&outgoing->in_list);
        list_append(&fanout->under_way, &outgoing->in_list);
        fanout->window_bytes += outgoing->cost;
    }
}

static void drop(struct fanout *fanout, struct message *message, unsigned worker, uint64_t cost) {
    fanout->counters.dropped++;
    if (!fanout->dropping)
        log_warning("publications for other nodes are dropped: %" PRIu64 " bytes wait already, the limit is %" PRIu64
                    " (cluster buffer)",
                    fanout->queued_bytes, fanout->buffer);
    fanout->dropping = true;
    fanout->credit(fanout->arg, worker, cost);
    message_unref(message);
}

void fanout_publish(struct fanout *fanout, struct message *message, unsigned worker, uint64_t cost) {
    bool fits = fanout->open || fanout->queued_bytes + cost <= fanout->buffer;
    struct outgoing *outgoing = fits ? malloc(sizeof *outgoing) : NULL;
    if (!outgoing) {
        drop(fanout, message, worker, cost);
        return;
    }
    *outgoing = (struct outgoing){.message = message, .sequence = ++fanout->sequence, .cost = cost, .worker = worker};
    list_init(&outgoing->in_list);
    list_append(&fanout->waiting, &outgoing->in_list);
    fanout->queued_bytes += cost;
    if (!fanout->open)
        give_credit(fanout, outgoing);
    send_waiting(fanout);
}

void fanout_tell(struct fanout *fanout, enum payload_type word, struct bytes node) {
    struct payload_origin origin = {word, fanout->boot, 0};
    struct outgoing *outgoing = calloc(1, sizeof *outgoing);
    if (!outgoing || !channel_of_node(&fanout->name, node) || !payload_write_word(&fanout->payload, &origin)) {
        free(outgoing);
        return; /* words are said again, or not missed */
    }
    list_init(&outgoing->in_list);
    list_append(&fanout->under_way, &outgoing->in_list);
    fanout->store->ops->publish(fanout->store, buffer_bytes(&fanout->name), buffer_bytes(&fanout->payload));
}

void fanout_open(struct fanout *fanout) {
    fanout->open = true;
    fanout->dropping = false;
    send_waiting(fanout);
}

/* What was under way goes back to the front of what waits, in its order. */
void fanout_close(struct fanout *fanout) {
    struct list_node waiting;
    list_init(&waiting);
    struct list_node *lists[] = {&fanout->under_way, &fanout->waiting};
    fanout->open = false;
    fanout->window_bytes = 0;
    for (size_t n = 0; n < sizeof lists / sizeof lists[0]; n++) {
        LIST_FOR_EACH (node, lists[n]) {
            struct outgoing *outgoing = CONTAINER_OF(node, struct outgoing, in_list);
            if (!outgoing->message) {
                outgoing_free(outgoing);
                continue;
            }
            give_credit(fanout, outgoing);
            list_remove(&outgoing->in_list);
            list_append(&waiting, &outgoing->in_list);
        }
    }
    list_append(&waiting, &fanout->waiting);
    list_remove(&waiting);
}

void fanout_published(struct fanout *fanout, bool taken) {
    static struct log_limit limit;
    struct outgoing *outgoing = first_of(&fanout->under_way);
    if (!outgoing)
        return;
    if (!outgoing->message) {
        outgoing_free(outgoing);
        return;
    }
    fanout->counters.sent += taken;
    fanout->counters.dropped += !taken;
    if (!taken)
        log_limited(&limit, LOG_LEVEL_WARNING, "a publication for other nodes was refused by the store and is lost");
    fanout->window_bytes -= outgoing->cost;
    settle(fanout, outgoing);
    send_waiting(fanout);
}

bool fanout_is_empty(const struct fanout *fanout) {
    return list_is_empty(&fanout->waiting) && list_is_empty(&fanout->under_way);
}

/* ---- in ---- */

static void forget(struct fanout *fanout, struct origin *origin) {
    map_remove(&fanout->origins, origin_key(origin));
    free(origin);
}

static struct origin *longest_silent(struct fanout *fanout) {
    struct origin *found = NULL;
    struct origin *origin;
    size_t cursor = 0;
    while ((origin = map_next(&fanout->origins, &cursor)) != NULL)
        if (!found || origin->heard_ms < found->heard_ms)
            found = origin;
    return found;
}

static struct origin *origin_new(struct fanout *fanout, struct bytes boot) {
    if (fanout->origins.count >= FANOUT_ORIGINS_MAX)
        forget(fanout, longest_silent(fanout));
    struct origin *origin = calloc(1, sizeof *origin + boot.len);
    if (!origin)
        return NULL;
    origin->boot_len = boot.len;
    memcpy(origin->boot, boot.data, boot.len);
    if (map_insert(&fanout->origins, origin))
        return origin;
    free(origin);
    return NULL;
}

bool fanout_is_new(struct fanout *fanout, const struct payload_origin *from) {
    const struct origin *origin = map_find(&fanout->origins, from->boot);
    bool is_new = !bytes_equal(from->boot, fanout->boot) && (!origin || from->sequence > origin->sequence);
    fanout->counters.repeated += !is_new;
    return is_new;
}

void fanout_note(struct fanout *fanout, const struct payload_origin *from, uint64_t now_ms) {
    struct origin *origin = map_find(&fanout->origins, from->boot);
    fanout->counters.received++;
    if (!origin && !(origin = origin_new(fanout, from->boot))) {
        log_error("out of memory: a publication of another node may arrive twice");
        return;
    }
    origin->sequence = from->sequence;
    origin->heard_ms = now_ms;
}
