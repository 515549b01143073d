/*
 * What crosses between hub and workers, and between workers: one struct a kind, each with base/mailbox.h's mail at the
 * front.
 */
#ifndef STOMPD_EDGE_MAIL_H
#define STOMPD_EDGE_MAIL_H

#include <stdint.h>

#include "stompd/auth/authenticator.h"
#include "stompd/base/mailbox.h"
#include "stompd/base/message.h"
#include "stompd/edge/settings.h"
#include "stompd/route/interest.h"
#include "stompd/session/consumer.h"
#include "stompd/stomp/fault.h"

enum mail_type {
    /* to a worker */
    MAIL_ADOPT,    /* from the hub: a socket to serve */
    MAIL_DRAIN,    /* from the hub: what to tell balancers and clients */
    MAIL_SETTINGS, /* from the hub: what holds from now on */
    MAIL_CLUSTER,  /* from the hub: whether other nodes can be reached */
    MAIL_STOP,     /* from the hub: end at once; stays the hub's, nobody frees it */
    MAIL_LOGIN,    /* from a helper: credentials are checked */
    /* between workers; in a cluster the hub stands for all other nodes and is one more peer */
    MAIL_PUBLISH,  /* a message that the other has interest in */
    MAIL_ANNOUNCE, /* interest in a key; answered by MAIL_CONFIRM */
    MAIL_CONFIRM,
    MAIL_WITHDRAW, /* no more */
    MAIL_CREDIT,   /* published bytes that have been worked off */
    /* queues: from a worker to the hub */
    MAIL_CHANGE,    /* what a frame wants done in queues; answered by MAIL_CHANGED if anyone waits for it */
    MAIL_CONSUME,   /* a subscription wants a queue's messages; answered by MAIL_CONSUMING */
    MAIL_UNCONSUME, /* it is gone; what it had was given back before */
    MAIL_FORGET,    /* a durable subscription of a topic is wanted no more; answered by MAIL_CHANGED */
    MAIL_WRITTEN,   /* so much of what was delivered to it has left for its socket */
    /* and from the hub to a worker */
    MAIL_CHANGED,
    MAIL_CONSUMING,
    MAIL_DELIVERY, /* a message of a queue for one subscription */
    /* to the hub */
    MAIL_RELEASED, /* from a worker: sockets that it closed */
    MAIL_SESSION   /* from a worker: a user's session has come or gone */
};

#define PEER_ADDRESS_MAX 56 /* "[IPv6]:port" and its NUL */

struct mail_adopt {
    struct mail mail;
    int fd;          /* owned */
    size_t listener; /* its number in the conf file */
    char peer[PEER_ADDRESS_MAX];
};

struct mail_drain {
    struct mail mail;
    bool closing;           /* false: notice only, /healthz says 503; true: close the sessions */
    enum fault_kind kind;   /* FAULT_RESTART or FAULT_SHUTDOWN */
    uint32_t drain_time_ms; /* spread over this time */
};

struct mail_settings {
    struct mail mail;
    struct settings *settings; /* one reference */
};

struct mail_cluster {
    struct mail mail;
    bool away; /* Redis is: publishers do not wait for it */
};

struct mail_login {
    struct mail mail;
    struct job job;
    struct settings *settings; /* one reference: those that the login is judged by */
    struct mailbox *reply;
    struct connection *connection; /* NULL once it is gone; the worker's alone */
    _Atomic bool abandoned;        /* it is gone: spare the helper the work */
    struct credentials credentials;
    bool accepted;
};

struct mail_publish {
    struct mail mail;
    unsigned from;
    struct message *message; /* one reference */
};

/* MAIL_ANNOUNCE, MAIL_CONFIRM and MAIL_WITHDRAW */
struct mail_interest {
    struct mail mail;
    unsigned from;
    enum interest_kind kind;
    uint64_t id;
    size_t key_len;
    char key[];
};

struct mail_credit {
    struct mail mail;
    unsigned from;
    uint64_t bytes;
};

struct mail_change {
    struct mail mail;
    unsigned from;
    struct change *change; /* owned */
};

struct mail_changed {
    struct mail mail;
    struct pending *pending; /* the worker's alone */
    enum change_result result;
};

/* MAIL_CONSUME, MAIL_FORGET */
struct mail_consume {
    struct mail mail;
    unsigned from;
    struct pending *pending; /* FORGET: answered by MAIL_CHANGED; the worker's alone */
    uint64_t session;        /* unique in the worker */
    uint64_t consumer;       /* unique in the worker */
    uint32_t prefetch;
    size_t queue_len;
    size_t topic_len;
    char text[]; /* the queue's name, then the topic or pattern that a durable subscription binds it to */
};

static inline struct bytes mail_queue(const struct mail_consume *mail) {
    return (struct bytes){mail->text, mail->queue_len};
}

static inline struct bytes mail_topic(const struct mail_consume *mail) {
    return (struct bytes){mail->text + mail->queue_len, mail->topic_len};
}

/* MAIL_CONSUMING, MAIL_UNCONSUME, MAIL_WRITTEN */
struct mail_consumer {
    struct mail mail;
    unsigned from; /* to the hub: the worker */
    uint64_t consumer;
    enum consuming consuming; /* CONSUMING: what has come of it */
    uint64_t bytes;           /* WRITTEN: message_size() of what was written */
};

struct mail_delivery {
    struct mail mail;
    uint64_t consumer;
    struct entry entry;
    uint32_t deliveries;
    struct message *message; /* one reference */
};

struct mail_session {
    struct mail mail;
    bool open; /* false: it is gone */
    size_t id_len;
    size_t user_len;
    char text[]; /* the session's id, then the user's name */
};

struct mail_released {
    struct mail mail;
    unsigned from;
    unsigned count;
};

/* Gives back unread mail and what it owns: descriptors, messages, passwords. */
void mail_discard_all(struct mail *mail);

#endif
