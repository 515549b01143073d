/*
 * Outbox: the frames that wait for one session's socket, in order, as references. A MESSAGE is laid out only when it is
 * written: the subscription's ready-made first lines, the ack id where there is one, then the message's shared head and
 * body; a message of a queue that was delivered before says so in between. A drained outbox keeps at most a few
 * entries' room, so idle sessions cost next to nothing.
 */
#ifndef STOMPD_SESSION_OUTBOX_H
#define STOMPD_SESSION_OUTBOX_H

#include "stompd/session/consumer.h"

struct outbox_entry {
    struct message *message;           /* one local reference */
    struct subscription *subscription; /* NULL: a control frame, whole in the message */
    uint64_t ack;                      /* the `ack` header; 0: none */
    struct delivery *delivery;         /* of a queue's message; NULL: any other frame */
    size_t size;                       /* of the frame, once the entry is in an outbox */
};

struct outbox {
    struct outbox_entry *entries; /* a ring */
    uint32_t capacity;            /* 0 or a power of two */
    uint32_t first;
    uint32_t count;
    uint16_t owner; /* the worker's slot in every message */
    uint8_t version;
    uint64_t bytes; /* as they will be on the wire, without transport framing; without queues' messages, which the
                       consumers' credit bounds */
};

/* An empty outbox, which costs no heap; `owner` is the worker's slot in messages. */
void outbox_init(struct outbox *outbox, unsigned owner);

/* Drops all that waits and gives the memory back. */
void outbox_free(struct outbox *outbox);

/* Bytes of the frame on the wire, of an entry that is to be pushed too. */
size_t outbox_entry_size(const struct outbox *outbox, const struct outbox_entry *entry);

/* Appends; takes a local reference on the message. False when out of memory. */
MUST_CHECK bool outbox_push(struct outbox *outbox, const struct outbox_entry *entry);

/* The oldest entry, or NULL. Valid until the next push or pop. */
static inline const struct outbox_entry *outbox_front(const struct outbox *outbox) {
    return outbox->count > 0 ? &outbox->entries[outbox->first] : NULL;
}

/* Lays the frame of an entry of the outbox out at `to`, which has room for its size; returns the end. */
char *outbox_entry_write(const struct outbox *outbox, const struct outbox_entry *entry, char *to);

/* Drops the oldest entry and its reference. */
void outbox_pop(struct outbox *outbox);

/* Drops what waits for one subscription, so that nothing of it follows an UNSUBSCRIBE's receipt. */
void outbox_drop_subscription(struct outbox *outbox, const struct subscription *subscription);

/* Drops what waits of all queues. */
void outbox_drop_deliveries(struct outbox *outbox);

#endif
