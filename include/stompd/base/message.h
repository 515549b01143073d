/*
 * A message: one block of memory, immutable once built, shared by all threads that deliver it. It holds what every
 * receiver gets (headers and body, encoded once); what differs per subscription is laid in front when it is written
 * (session/outbox.h).
 *
 * Header text depends on the STOMP version only where something has to be escaped, so the three heads are usually one.
 *
 * Counting: `refs` is atomic and counts owners (a worker, a mail in flight). Each worker counts its own outbox entries
 * in a slot of its own (`local`), and holds one atomic reference while that is above zero: a fan-out to thousands costs
 * one atomic operation.
 */
#ifndef STOMPD_BASE_MESSAGE_H
#define STOMPD_BASE_MESSAGE_H

#include <stdatomic.h>
#include <stdint.h>

#include "stompd/base/bytes.h"
#include "stompd/base/compiler.h"

#define MESSAGE_HEADS 3 /* one a STOMP version: 1.0, 1.1, 1.2 */

struct message {
    _Atomic uint32_t refs;
    uint16_t owners;     /* slots in local */
    bool text;           /* all of it is valid UTF-8 */
    uint8_t route;       /* how the key is to be understood: the publisher's and router's own enumeration */
    uint32_t key_offset; /* where it goes: the routing key */
    uint32_t key_len;
    uint32_t only_offset; /* the id of the one session it is for; length 0: any */
    uint32_t only_len;
    uint32_t head_offset[MESSAGE_HEADS]; /* from the start of the block */
    uint32_t head_len[MESSAGE_HEADS];
    uint32_t body_offset;
    uint32_t body_len; /* with the NUL that ends the frame */
    uint32_t local[];  /* [owners], then the bytes */
};

/*
 * A message with `owners` local slots and room for `size` bytes behind them, one reference, held by the caller. The
 * builder fills in the offsets and the bytes before anyone else sees it. NULL when out of memory or when the size does
 * not fit 32 bits.
 */
MUST_CHECK struct message *message_new(unsigned owners, size_t size);

/* Where the bytes begin (offset of the first byte: message_data() minus the block). */
static inline char *message_data(struct message *message) {
    return (char *)message + sizeof *message + message->owners * sizeof message->local[0];
}

static inline struct bytes message_head(const struct message *message, unsigned version) {
    return (struct bytes){(const char *)message + message->head_offset[version], message->head_len[version]};
}

/* The routing key: what the message is matched by. */
static inline struct bytes message_key(const struct message *message) {
    return (struct bytes){(const char *)message + message->key_offset, message->key_len};
}

/* The id of the only session that may get it; empty: every one that matches. */
static inline struct bytes message_only(const struct message *message) {
    return (struct bytes){(const char *)message + message->only_offset, message->only_len};
}

/* The body and the NUL that ends the frame. */
static inline struct bytes message_body(const struct message *message) {
    return (struct bytes){(const char *)message + message->body_offset, message->body_len};
}

/* What the message holds, for bounds on memory: its longest head and its body. */
static inline size_t message_size(const struct message *message) {
    return (size_t)message->head_len[MESSAGE_HEADS - 1] + message->body_len;
}

/* An atomic reference, for another thread or for mail. */
struct message *message_ref(struct message *message);
void message_unref(struct message *message);

/* A reference within the owner's thread; owner < owners. */
static inline void message_ref_local(struct message *message, unsigned owner) {
    if (message->local[owner]++ == 0)
        message_ref(message);
}

static inline void message_unref_local(struct message *message, unsigned owner) {
    if (--message->local[owner] == 0)
        message_unref(message);
}

#endif
