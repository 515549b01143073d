/*
 * Mailbox: the only way between threads. Many producers, one consumer, unbounded (posting never blocks and never fails:
 * the mail itself is the link), in order per producer, and one wake-up per batch: only the post that finds the box
 * empty wakes.
 */
#ifndef STOMPD_BASE_MAILBOX_H
#define STOMPD_BASE_MAILBOX_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

/* Embedded at the front of every kind of mail. */
struct mail {
    struct mail *next;
    unsigned type; /* the consumer's own enumeration */
};

struct mailbox {
    _Atomic(struct mail *) newest;
    void (*wake)(void *arg); /* called on the posting thread; must be thread-safe */
    void *arg;
};

/* Mail collected by one thread to be posted at once, in the order it was added. Zero-initialised is empty. */
struct mail_batch {
    struct mail *newest;
    struct mail *oldest;
};

/* An empty box; `wake` is called with `arg`. */
void mailbox_init(struct mailbox *mailbox, void (*wake)(void *arg), void *arg);

/* Hands the mail over to the consumer. */
void mailbox_post(struct mailbox *mailbox, struct mail *mail);

/* Adds at the end. */
void mail_batch_add(struct mail_batch *batch, struct mail *mail);

/* Hands over all of the batch and empties it; does nothing when it is empty. */
void mailbox_post_batch(struct mailbox *mailbox, struct mail_batch *batch);

/* All that was posted, oldest first, linked by next; NULL when there is nothing. Consumer only. */
struct mail *mailbox_take(struct mailbox *mailbox);

#endif
