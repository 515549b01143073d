/*
 * The mailbox: a stack that producers push onto and the consumer takes as a whole, then turns round. Since nobody ever
 * pops a single mail, an address that comes back (ABA) does no harm.
 */
#include "stompd/base/mailbox.h"

void mailbox_init(struct mailbox *mailbox, void (*wake)(void *arg), void *arg) {
    atomic_init(&mailbox->newest, NULL);
    mailbox->wake = wake;
    mailbox->arg = arg;
}

/* Pushes a chain of mail that is linked from newest to oldest. */
static void push(struct mailbox *mailbox, struct mail *newest, struct mail *oldest) {
    struct mail *before = atomic_load_explicit(&mailbox->newest, memory_order_relaxed);
    do {
        oldest->next = before;
    } while (!atomic_compare_exchange_weak_explicit(&mailbox->newest, &before, newest, memory_order_release,
                                                    memory_order_relaxed));
    if (!before)
        mailbox->wake(mailbox->arg);
}

void mailbox_post(struct mailbox *mailbox, struct mail *mail) {
    push(mailbox, mail, mail);
}

void mail_batch_add(struct mail_batch *batch, struct mail *mail) {
    mail->next = batch->newest;
    batch->newest = mail;
    if (!batch->oldest)
        batch->oldest = mail;
}

void mailbox_post_batch(struct mailbox *mailbox, struct mail_batch *batch) {
    if (!batch->newest)
        return;
    struct mail_batch full = *batch;
    *batch = (struct mail_batch){0};
    push(mailbox, full.newest, full.oldest);
}

struct mail *mailbox_take(struct mailbox *mailbox) {
    struct mail *mail = atomic_exchange_explicit(&mailbox->newest, NULL, memory_order_acquire);
    struct mail *oldest = NULL;
    while (mail) {
        struct mail *older = mail->next;
        mail->next = oldest;
        oldest = mail;
        mail = older;
    }
    return oldest;
}
