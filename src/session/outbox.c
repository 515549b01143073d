/* The outbox: a ring of references, laid out as frames only when they are written. */
#include "stompd/session/outbox.h"

#include <stdlib.h>
#include <string.h>

#include "stompd/base/decimal.h"

#define OUTBOX_FIRST_CAPACITY 2
#define OUTBOX_GROWTH         4 /* times larger: most often a turn brings one message or many */
#define OUTBOX_KEPT_CAPACITY  8 /* a drained ring of at most this many entries is kept for the next message */

/* What a message says that was delivered before, with the number of deliveries in between and a line end behind it. */
#define REDELIVERED "redelivered:true\ndelivery-count:"

void outbox_init(struct outbox *outbox, unsigned owner) {
    *outbox = (struct outbox){.owner = (uint16_t)owner};
}

void outbox_free(struct outbox *outbox) {
    while (outbox->count > 0)
        outbox_pop(outbox);
    free(outbox->entries);
    outbox->entries = NULL;
    outbox->capacity = 0;
}

static struct outbox_entry *entry_at(const struct outbox *outbox, uint32_t n) {
    return &outbox->entries[(outbox->first + n) & (outbox->capacity - 1)];
}

static size_t decimal_len(uint64_t number) {
    size_t len = 1;
    while (number >= 10) {
        number /= 10;
        len++;
    }
    return len;
}

static bool is_redelivered(const struct outbox_entry *entry) {
    return entry->delivery && entry->delivery->deliveries > 1;
}

static char *append(char *to, struct bytes bytes) {
    memcpy(to, bytes.data, bytes.len);
    return to + bytes.len;
}

/* The head and the body: most often one run of bytes. */
static char *append_message(char *to, const struct message *message, unsigned version) {
    struct bytes head = message_head(message, version);
    struct bytes body = message_body(message);
    if (head.data + head.len == body.data)
        return append(to, (struct bytes){head.data, head.len + body.len});
    return append(append(to, head), body);
}

/* What a subscription's messages have of their own in front of what all receivers get. */
SELDOM static size_t own_lines_len(const struct outbox_entry *entry) {
    size_t len = 0;
    if (entry->ack)
        len += sizeof "ack:\n" - 1 + decimal_len(entry->ack);
    if (is_redelivered(entry))
        len += sizeof REDELIVERED "\n" - 1 + decimal_len(entry->delivery->deliveries);
    return len;
}

SELDOM static char *append_own_lines(char *to, const struct outbox_entry *entry) {
    if (entry->ack) {
        to = append(to, BYTES("ack:"));
        to = decimal_write(to, entry->ack);
        *to++ = '\n';
    }
    if (is_redelivered(entry)) {
        to = append(to, BYTES(REDELIVERED));
        to = decimal_write(to, entry->delivery->deliveries);
        *to++ = '\n';
    }
    return to;
}

size_t outbox_entry_size(const struct outbox *outbox, const struct outbox_entry *entry) {
    size_t size = message_head(entry->message, outbox->version).len + entry->message->body_len;
    if (entry->subscription)
        size += entry->subscription->start_len;
    if (entry->ack || entry->delivery)
        size += own_lines_len(entry);
    return size;
}

char *outbox_entry_write(const struct outbox *outbox, const struct outbox_entry *entry, char *to) {
    if (entry->subscription)
        to = append(to, subscription_start(entry->subscription));
    if (entry->ack || entry->delivery)
        to = append_own_lines(to, entry);
    return append_message(to, entry->message, outbox->version);
}

/* What an entry of the outbox counts for. */
static size_t counted_size(const struct outbox_entry *entry) {
    return entry->delivery ? 0 : entry->size;
}

SELDOM static bool outbox_grow(struct outbox *outbox) {
    uint32_t capacity = outbox->capacity ? outbox->capacity * OUTBOX_GROWTH : OUTBOX_FIRST_CAPACITY;
    struct outbox_entry *entries = malloc(capacity * sizeof *entries);
    if (!entries)
        return false;
    for (uint32_t n = 0; n < outbox->count; n++)
        entries[n] = *entry_at(outbox, n);
    free(outbox->entries);
    outbox->entries = entries;
    outbox->capacity = capacity;
    outbox->first = 0;
    return true;
}

bool outbox_push(struct outbox *outbox, const struct outbox_entry *entry) {
    if (outbox->count == outbox->capacity && !outbox_grow(outbox))
        return false;
    message_ref_local(entry->message, outbox->owner);
    struct outbox_entry *pushed = entry_at(outbox, outbox->count);
    *pushed = *entry;
    pushed->size = outbox_entry_size(outbox, entry);
    outbox->count++;
    outbox->bytes += counted_size(pushed);
    return true;
}

SELDOM static void give_back_ring(struct outbox *outbox) {
    free(outbox->entries);
    outbox->entries = NULL;
    outbox->capacity = 0;
    outbox->first = 0;
}

/* An idle session keeps only little room. */
static void give_back_room(struct outbox *outbox) {
    if (outbox->count == 0 && outbox->capacity > OUTBOX_KEPT_CAPACITY)
        give_back_ring(outbox);
}

void outbox_pop(struct outbox *outbox) {
    const struct outbox_entry *entry = entry_at(outbox, 0);
    outbox->bytes -= counted_size(entry);
    message_unref_local(entry->message, outbox->owner);
    outbox->first = (outbox->first + 1) & (outbox->capacity - 1);
    outbox->count--;
    give_back_room(outbox);
}

/* Those of one subscription; NULL: those of all queues. */
static void drop(struct outbox *outbox, const struct subscription *subscription) {
    uint32_t kept = 0;
    uint32_t count = outbox->count;
    for (uint32_t n = 0; n < count; n++) {
        struct outbox_entry entry = *entry_at(outbox, n);
        if (subscription ? entry.subscription == subscription : entry.delivery != NULL) {
            outbox->bytes -= counted_size(&entry);
            message_unref_local(entry.message, outbox->owner);
        } else {
            *entry_at(outbox, kept++) = entry;
        }
    }
    outbox->count = kept;
    give_back_room(outbox);
}

void outbox_drop_subscription(struct outbox *outbox, const struct subscription *subscription) {
    drop(outbox, subscription);
}

void outbox_drop_deliveries(struct outbox *outbox) {
    drop(outbox, NULL);
}
