/*
 * Private to memory_queues.c: one queue and what is stored in it. It knows where each message is and how much there is of
 * all; what is done when, and why, is memory_queues.c's.
 *
 * Messages are ready in the order of their entries. What is taken is always the oldest, so whatever comes back is older
 * than all that was never taken: those two kinds are kept apart, the one as a heap, the other as a list.
 */
#ifndef STORE_MEMORY_QUEUE_H
#define STORE_MEMORY_QUEUE_H

#include "stompd/base/list.h"
#include "stompd/base/map.h"
#include "stompd/base/timer.h"
#include "stompd/store/queue_store.h"

/* A queue's name: the queue has a reference, and each dead letter that comes from there. */
struct memory_queue_name {
    size_t refs;
    size_t len;
    char text[];
};

enum stored_place {
    STORED_NOWHERE,  /* not in its queue yet, or not any more */
    STORED_FRESH,    /* ready, never taken */
    STORED_RETURNED, /* ready again */
    STORED_OWNED     /* taken */
};

/* A place in a pairing heap of returned messages. */
struct stored_heap {
    struct stored *child; /* its first */
    struct stored *next;  /* sibling */
    struct stored *prev;  /* sibling, or of a first child the parent; NULL: the root */
};

/* A message in a queue. Its queue and entry stay the same: a dead letter is another one, for the same message. */
struct stored {
    struct memory_queue *queue;
    struct message *message; /* one reference */
    struct entry entry;
    uint64_t expires_ms;            /* 0: never */
    struct memory_queue_name *from; /* one reference; NULL unless `dead` */
    enum dead_reason dead;
    enum stored_place place;
    uint32_t deliveries; /* those that counted, so far */
    bool staged;         /* the change that is under way has moved it */
    union {
        struct list_node node; /* FRESH; NOWHERE: its holder's */
        struct stored_heap heap;
    } at;
};

/* What is about to be told, in memory_queues.c's order. */
struct memory_note {
    struct list_node node;
    bool is_word; /* a queue's, that something is ready; else an answer */
};

struct memory_queue {
    struct list_node in_store; /* of memory_queues.c, as the three that follow */
    struct memory_note word;
    struct timer idle;
    struct memory_queues *store;
    struct memory_queue_name *name;
    struct list_node fresh;
    struct stored *returned; /* the root; NULL: none */
    struct map owned;        /* struct stored by entry */
    uint64_t count;          /* in all places */
    uint64_t bytes;
    uint64_t owned_count; /* of these, those owned */
    uint64_t owned_bytes;
    uint64_t used_ms; /* the last call that named it */
    uint64_t idle_expiry_ms;
    bool wanted; /* a take got less than it wanted, and nothing was told since */
};

static inline struct bytes memory_queue_name(const struct memory_queue *queue) {
    return (struct bytes){queue->name->text, queue->name->len};
}

/* A copy of the text, one reference. NULL when out of memory. */
MUST_CHECK struct memory_queue_name *memory_queue_name_new(struct bytes text);
struct memory_queue_name *memory_queue_name_ref(struct memory_queue_name *name);
/* NULL is allowed. */
void memory_queue_name_unref(struct memory_queue_name *name);

/* Empty. NULL when out of memory. */
MUST_CHECK struct memory_queue *memory_queue_new(struct bytes name);
/* With all that is stored there. What the store linked must be unlinked. */
void memory_queue_free(struct memory_queue *queue);

/* In no place yet. Takes references of message and `from` (NULL: no dead letter) of its own. NULL when out of memory. */
MUST_CHECK struct stored *stored_new(struct memory_queue *queue, struct message *message, struct entry entry,
                                     struct memory_queue_name *from);
/* It must be nowhere. */
void stored_free(struct stored *stored);

/*
 * Moves it. Never fails, so that each move can be taken back: what was owned keeps its place in the map until
 * stored_disown(), and only what has such a place may become owned again.
 */
void stored_move(struct stored *stored, enum stored_place place);
/* Makes it owned, with a place in the map. False when out of memory; nothing changed then. */
MUST_CHECK bool stored_own(struct stored *stored);
/* What was owned has left for good. */
void stored_disown(struct stored *stored);

/* Whether a consumer may get it. */
bool stored_is_ready(const struct stored *stored);

/* The oldest that is ready, or NULL. */
struct stored *memory_queue_oldest(const struct memory_queue *queue);
/* The owned one with that entry, or NULL. */
struct stored *memory_queue_find_owned(const struct memory_queue *queue, const struct entry *entry);

#endif
