/*
 * A session: one STOMP connection as a state machine. Bytes go in; out come frames in its outbox and effects, the calls
 * of session_ops. It knows no sockets, and time is an argument. One worker owns it.
 *
 *     CONNECTING --CONNECT--> LOGGING_IN --session_logged_in()--> OPEN --DISCONNECT, fault, session_end()--> ENDING
 *
 * ENDING: no input is taken and nothing is delivered any more; the transport writes what is in the outbox and closes.
 *
 * Waiting: a SEND, COMMIT or DISCONNECT waits while an earlier SUBSCRIBE is not live yet, so that
 * subscribe-then-request never loses the answer; while other nodes can't be reached, a SUBSCRIBE that is known on this
 * one does not hold them back. A SEND with a new reply address waits for that in the same way. While the worker is
 * congested, SEND, COMMIT, SUBSCRIBE and UNSUBSCRIBE wait. While much of what the session wants in queues has not come
 * back from the store, SEND, COMMIT, ACK and NACK wait; while anything has not, DISCONNECT does. session_input() then
 * takes no more bytes until the session's resume effect.
 *
 * Queues: what a SEND, ACK, NACK or COMMIT wants there goes out as a change (change.h), and its receipt once the store
 * has agreed. A store that refuses it, or is silent for pause-time, ends the session with an ERROR.
 */
#ifndef STOMPD_SESSION_SESSION_H
#define STOMPD_SESSION_SESSION_H

#include "stompd/route/destination.h"
#include "stompd/route/policy.h"
#include "stompd/session/consumer.h"
#include "stompd/session/counters.h"
#include "stompd/session/limits.h"
#include "stompd/session/outbox.h"
#include "stompd/session/transaction.h"
#include "stompd/stomp/parser.h"

/*
 * What a session may have under way in queues at a time, in changes and in bytes, and all sessions of a worker together:
 * above it a session that has anything under way waits.
 */
#define SESSION_PENDING_MAX   256
#define SESSION_PENDING_BYTES (256u << 10)
#define WORKER_PENDING_BYTES  (16u << 20)

/* What a subscription to a queue gets without a prefetch-count, if limits->prefetch is not below it. */
#define PREFETCH_DEFAULT 100

/* How a message's key is to be matched (message->route). */
enum route {
    ROUTE_TOPIC,
    ROUTE_USER,
    ROUTE_QUEUE /* stored: the key is the queue's name (route/queue_name.h) */
};

/* A subscription's subscriber.kind; other kinds are the worker's own. */
#define SUBSCRIBER_SESSION 0

enum session_state { SESSION_CONNECTING, SESSION_LOGGING_IN, SESSION_OPEN, SESSION_ENDING };

struct session;
struct session_env;

/* What a session makes happen. Called from within session functions; none may free the session. */
struct session_ops {
    /*
     * There is something to write, to close, or an overflow to act on: call session_settle() and flush soon. At most
     * once until session_settle().
     */
    void (*wake)(struct session *session);
    /* The outbox is full: write what the socket takes, now. May be called during a trie_match() walk. */
    void (*make_room)(struct session *session);
    /* It is OPEN now, and session->user says whose it is. False: out of memory; the session ends. */
    bool (*opened)(struct session *session);
    /*
     * The session has become ENDING for the reason in session->end, or is being freed; `why` is the sentence of its
     * ERROR, empty after DISCONNECT and when it is freed.
     */
    void (*ended)(struct session *session, const char *why);
    /* Input may go on: feed what was kept back. */
    void (*resume)(struct session *session);
    /* Check credentials; the answer comes by session_logged_in(), at once or later. login is never empty. */
    void (*log_in)(struct session *session, struct bytes login, struct bytes passcode);
    /*
     * Make the subscription receive. Sets subscription->known and ->live when it is so already, else
     * session_subscription_known() and session_subscription_live() follow. False: out of memory.
     */
    bool (*subscribe)(struct session *session, struct subscription *subscription,
                      const struct destination *destination);
    /* Undo it, live or not. */
    void (*unsubscribe)(struct session *session, struct subscription *subscription);
    /* Deliver to all that match now. Borrows the message. False: out of memory, and not all have it. */
    bool (*publish)(struct session_env *env, struct message *message);
    /*
     * Give the consumer what is in its queue, as its prefetch allows. With a topic (or pattern): its queue gets what is sent
     * there from now on, also while it has no consumer. session_consuming() follows. False: out of memory.
     */
    bool (*consume)(struct session_env *env, const struct consumer *consumer, struct bytes topic);
    /*
     * A queue that is bound to a topic is bound no more, and goes with what it holds. session_changed() follows. False:
     * out of memory.
     */
    bool (*forget)(struct session_env *env, struct bytes queue, struct pending *pending);
    /* No more of it. What it had and did not settle was submitted as RETURN before. */
    void (*unconsume)(struct session_env *env, uint64_t consumer);
    /* So many bytes of what was delivered to the consumer have left for the socket. */
    void (*written)(struct session_env *env, uint64_t consumer, uint64_t bytes);
    /*
     * Carry the change out; session_changed() follows if it has a pending. Takes it over on success. False: out of
     * memory.
     */
    bool (*submit)(struct session_env *env, struct change *change);
};

/* What all sessions of one worker share. The worker owns it; sessions borrow it. */
struct session_env {
    const struct session_ops *ops;
    const struct session_limits *limits;
    bool anonymous; /* a CONNECT without credentials is let in */
    const struct policies *policies;
    const char *node;
    const char *boot; /* "<node>:<boot id>" */
    const char *boot_id;
    unsigned owner; /* this worker's slot in messages, also its number in ids */
    unsigned owners;
    struct stomp_header *headers; /* the frame being handled */
    size_t header_capacity;       /* limits->frames.headers, or more */
    struct fault fault;           /* of the frame being handled */
    struct message *beat;         /* a server heart-beat: one EOL */
    struct buffer key;            /* scratch: the routing key of the SEND being handled */
    struct buffer shown;          /* scratch: the destination that its receivers see */
    struct buffer reply;          /* scratch: a reply address */
    uint64_t sessions;            /* counters that make ids */
    uint64_t messages;
    uint64_t last_consumer;
    uint64_t wall_ms;         /* since 1970, kept by the owner: for times that clients give */
    struct map consumers;     /* of all sessions, by id */
    uint64_t pending_bytes;   /* of changes under way */
    struct list_node orphans; /* what waits for results of such changes, of sessions that have ended */
    bool congested;           /* publishers and subscribers wait; see sessions_go_on() */
    bool away;                /* other nodes can't be reached: nobody waits for them */
    struct list_node waiting; /* sessions whose input waits, and perhaps others */
    struct session_counters counters;
};

struct session {
    struct session_env *env;
    void *transport; /* whoever carries it, for its own use */
    uint64_t number; /* unique in the worker */
    enum session_state state;
    bool woken;
    bool input_waits;   /* took not all input, wants resume */
    bool overflowed;    /* the outbox limit was hit; session_settle() acts */
    bool names_version; /* the client sent accept-version, so CONNECTED names the version */
    struct stomp_parser parser;
    enum stomp_version version;
    enum fault_kind end;        /* why it is ENDING; FAULT_NONE: DISCONNECT; FAULT_GONE: it is being freed */
    struct heartbeat heartbeat; /* negotiated */
    struct outbox outbox;
    struct list_node waiting; /* env->waiting */
    struct list_node subscriptions;
    struct map by_id; /* subscriptions that have an id */
    uint32_t subscription_count;
    uint32_t asking;   /* subscriptions that are not live yet */
    uint32_t unknown;  /* of these, those that not even all workers of this node know of */
    uint32_t shadowed; /* deliveries that ACK and NACK may name once others are settled */
    struct transactions transactions;
    uint64_t acks;             /* the last `ack` id given out */
    struct map unsettled;      /* deliveries that ACK and NACK may name now */
    struct list_node laid;     /* deliveries that are being written */
    struct list_node pendings; /* changes under way, oldest first */
    uint64_t pending_bytes;    /* what they hold */
    uint32_t pending_count;
    uint32_t committing; /* of these, COMMITs that will publish to topics */
    uint64_t opened_ms;
    uint64_t heard_ms;       /* last sign of life */
    uint64_t wrote_ms;       /* last bytes handed to the socket */
    uint64_t frame_began_ms; /* 0: not within a frame */
    uint64_t waits_since_ms; /* 0: input does not wait */
    char *user;              /* NULL: anonymous or not logged in */
    char id[];               /* "<node>:<boot id>:<worker>-<n>" */
};

/* Prepares an env whose public settings are filled in (ops to owners). False when out of memory. */
MUST_CHECK bool session_env_init(struct session_env *env);
/* No session of it may be left. */
void session_env_free(struct session_env *env);

/*
 * Before the values of env->limits change, which they may between two calls: makes room for frames of that many
 * headers. False when out of memory, and nothing has changed.
 */
MUST_CHECK bool session_env_fit(struct session_env *env, size_t headers);

/* NULL when out of memory. */
MUST_CHECK struct session *session_new(struct session_env *env, uint64_t now_ms);

/* Removes its subscriptions, aborts its transactions, drops its outbox. Not from within one of its effects. */
void session_free(struct session *session);

/*
 * Bytes from the client; they must be writable. Returns how many were taken; fewer than len: the session waits (or is
 * logging in), and the rest must be fed again, with len 0 allowed, when the resume effect says so. In ENDING all is
 * taken and ignored.
 */
size_t session_input(struct session *session, char *bytes, size_t len, uint64_t now_ms);

/*
 * The transport has handed frames of this session to the socket. What STOMP clients never see, such as pings, does not
 * count.
 */
void session_wrote(struct session *session, uint64_t now_ms);

/* All that the transport was handed has left for the socket; until then the transport may hold some of it. */
void session_flushed(struct session *session);

/*
 * `now_ms` has left out that many milliseconds in which the session was not served. For the client they have passed: it
 * is owed its heart-beat that much earlier.
 */
void session_stood_still(struct session *session, uint64_t ms);

/* The client gave a sign of life outside STOMP (a WebSocket pong). */
void session_heard(struct session *session, uint64_t now_ms);

/* The answer to log_in: `user` is who it is, NULL refuses. */
void session_logged_in(struct session *session, const char *user, uint64_t now_ms);

/* Every worker of this node knows of the subscription now. */
void session_subscription_known(struct subscription *subscription);

/* And so do the other nodes: its receipt goes out, and input may go on. */
void session_subscription_live(struct subscription *subscription);

/*
 * A message for one of its subscriptions: into the outbox, or the outbox limit is noted. Safe during a trie_match()
 * walk.
 */
void session_deliver(struct subscription *subscription, struct message *message);

/*
 * A message of a queue for one of the env's consumers. What can't be delivered, such as when the consumer has gone, is
 * given back.
 */
void session_deliver_entry(struct session_env *env, uint64_t consumer, const struct entry *entry, uint32_t deliveries,
                           struct message *message);

/* The consumer's queue is attached, and its subscription live; or not, and the session ends. */
void session_consuming(struct session_env *env, uint64_t consumer, enum consuming consuming);

/* What has come of a change. */
void session_changed(struct session_env *env, struct pending *pending, enum change_result result);

/* Drops the outbox's oldest entry, which is being written: session_wrote() follows if that succeeds. */
static inline void session_pop(struct session *session) {
    struct delivery *delivery = outbox_front(&session->outbox)->delivery;
    if (delivery)
        list_append(&session->laid, &delivery->laid);
    outbox_pop(&session->outbox);
}

/*
 * Acts on what a delivery could only note, and clears `woken`. Before each flush. An overflow ends the session with an
 * ERROR.
 */
void session_settle(struct session *session);

/* Ends the session; with_error: an ERROR frame says why. Does nothing in ENDING. */
void session_end(struct session *session, enum fault_kind kind, const char *why, bool with_error);

/* When session_tick() must be called next, at the latest; UINT64_MAX: never. */
uint64_t session_due(const struct session *session);

/* Heart-beats and time-outs. */
void session_tick(struct session *session, uint64_t now_ms);

/* env->congested or env->away has changed: all sessions of the worker that wait try again. */
void sessions_go_on(struct session_env *env);

#endif
