/* Mail about queues, written and read by the worker. */
#include "stompd/edge/queue_mail.h"

#include <stdlib.h>

#include "stompd/base/log.h"

static struct mail_consume *mail_of_queue(enum mail_type type, unsigned from, struct bytes queue, struct bytes topic) {
    struct mail_consume *mail = malloc(sizeof *mail + queue.len + topic.len);
    if (!mail)
        return NULL;
    *mail = (struct mail_consume){.mail.type = type, .from = from, .queue_len = queue.len, .topic_len = topic.len};
    memcpy(mail->text, queue.data, queue.len);
    if (topic.len > 0)
        memcpy(mail->text + queue.len, topic.data, topic.len);
    return mail;
}

bool queue_mail_consume(struct mail_batch *to_hub, unsigned from, const struct consumer *consumer, struct bytes topic) {
    struct mail_consume *mail = mail_of_queue(MAIL_CONSUME, from, consumer_queue(consumer), topic);
    if (!mail)
        return false;
    mail->session = consumer->subscription->session->number;
    mail->consumer = consumer->id;
    mail->prefetch = consumer->prefetch;
    mail_batch_add(to_hub, &mail->mail);
    return true;
}

bool queue_mail_forget(struct mail_batch *to_hub, unsigned from, struct bytes queue, struct pending *pending) {
    struct mail_consume *mail = mail_of_queue(MAIL_FORGET, from, queue, BYTES(""));
    if (!mail)
        return false;
    mail->pending = pending;
    mail_batch_add(to_hub, &mail->mail);
    return true;
}

static void tell(struct mail_batch *to_hub, enum mail_type type, unsigned from, uint64_t consumer, uint64_t bytes) {
    static struct log_limit limit;
    struct mail_consumer *mail = malloc(sizeof *mail);
    if (!mail) {
        log_limited(&limit, LOG_LEVEL_ERROR, "out of memory: the hub goes on delivering to a consumer, or no more");
        return;
    }
    *mail = (struct mail_consumer){.mail.type = type, .from = from, .consumer = consumer, .bytes = bytes};
    mail_batch_add(to_hub, &mail->mail);
}

void queue_mail_unconsume(struct mail_batch *to_hub, unsigned from, uint64_t consumer) {
    tell(to_hub, MAIL_UNCONSUME, from, consumer, 0);
}

/* Several in a row are one mail. */
void queue_mail_written(struct mail_batch *to_hub, unsigned from, uint64_t consumer, uint64_t bytes) {
    struct mail_consumer *last = (struct mail_consumer *)to_hub->newest;
    if (last && last->mail.type == MAIL_WRITTEN && last->consumer == consumer)
        last->bytes += bytes;
    else
        tell(to_hub, MAIL_WRITTEN, from, consumer, bytes);
}

bool queue_mail_submit(struct mail_batch *to_hub, unsigned from, struct change *change) {
    struct mail_change *mail = malloc(sizeof *mail);
    if (!mail)
        return false;
    *mail = (struct mail_change){.mail.type = MAIL_CHANGE, .from = from, .change = change};
    mail_batch_add(to_hub, &mail->mail);
    return true;
}

static void take_delivery(struct session_env *env, const struct mail_delivery *mail) {
    session_deliver_entry(env, mail->consumer, &mail->entry, mail->deliveries, mail->message);
    message_unref(mail->message);
}

bool queue_mail_take(struct session_env *env, const struct mail *mail) {
    switch ((enum mail_type)mail->type) {
    case MAIL_CHANGED: {
        const struct mail_changed *changed = (const struct mail_changed *)mail;
        session_changed(env, changed->pending, changed->result);
        return true;
    }
    case MAIL_CONSUMING: {
        const struct mail_consumer *consuming = (const struct mail_consumer *)mail;
        session_consuming(env, consuming->consumer, consuming->consuming);
        return true;
    }
    case MAIL_DELIVERY:
        take_delivery(env, (const struct mail_delivery *)mail);
        return true;
    default:
        return false;
    }
}
