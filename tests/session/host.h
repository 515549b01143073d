/*
 * A host of sessions for the tests: the worker's place is taken by records. It remembers every effect, delivers
 * publications to the subscriptions of that very destination, and reads what sessions write with the strict reader.
 * Time is host->now.
 */
#ifndef TESTS_SESSION_HOST_H
#define TESTS_SESSION_HOST_H

#include "stompd/session/session.h"
#include "wire.h"

#define HOST_CLIENTS_MAX       32
#define HOST_SUBSCRIPTIONS_MAX 64
#define HOST_PUBLISHED_MAX     256
#define HOST_CHANGES_MAX       300

enum host_login { LOGIN_LATER, LOGIN_ACCEPT, LOGIN_REFUSE };

/* One session and what its client sees. session->transport points here. */
struct client {
    struct host *host;
    struct session *session;
    struct buffer stash; /* input that the session has not taken */
    struct buffer seen;  /* all bytes read so far */
    unsigned wakes;
    unsigned resumes;
    unsigned ends;
    bool socket_takes_all; /* make_room empties the outbox, and `taken` counts the frames */
    unsigned taken;
    char end_reason[256];    /* as the ended effect told it */
    struct wire_frame frame; /* the last one read */
};

struct host {
    struct session_limits limits; /* generous; a test lowers what it is about */
    struct policies policies;     /* none: the defaults hold */
    struct session_env env;
    uint64_t now;
    enum host_login login;  /* what log_in answers at once */
    bool live_at_once;      /* subscriptions are */
    bool known_at_once;     /* they are known on this node, if not live */
    bool out_of_memory;     /* subscribe and publish fail */
    unsigned congest_after; /* that many publications make it congested; 0: none does */
    char logged_in[256];    /* the last log_in: "login/passcode" */
    unsigned logins;
    struct subscription *subscriptions[HOST_SUBSCRIPTIONS_MAX];
    size_t subscription_count;
    struct message *published[HOST_PUBLISHED_MAX]; /* one reference each */
    size_t published_count;
    struct change *changes[HOST_CHANGES_MAX]; /* submitted, not yet answered */
    size_t change_count;
    size_t changes_taken; /* read by host_take_change() */
    bool consuming_at_once;
    char consumed[256];         /* the last consume: "queue prefetch" */
    char bound[256];            /* and the topic that its queue is bound to */
    char forgotten[256];        /* the last forget: the queue */
    struct pending *forgetting; /* and who waits for its end */
    uint64_t consumer;          /* its id */
    unsigned consumers;         /* now */
    char rest[256];             /* of the last subscribe's destination */
    unsigned deliveries;        /* of host_deliver_message() */
    uint64_t delivered_bytes;   /* the same */
    unsigned given_back;        /* settled, returned or rejected */
    unsigned written;           /* calls of the written effect */
    uint64_t written_bytes;     /* told by it */
    struct client *clients[HOST_CLIENTS_MAX];
    size_t client_count;
};

/*
 * cmocka's setup and teardown; *state is the host. Teardown frees all and fails when a message is still held. Where
 * memory was never out it fails, too, unless every delivery was told as written once and given back once.
 */
int host_setup(void **state);
int host_teardown(void **state);

/* A new session that has not sent anything. */
struct client *client_open(struct host *host);

/* A session that is OPEN, anonymously, its CONNECTED read. Heart-beats as the client asks, such as "0,0". */
struct client *client_connect(struct host *host, enum stomp_version version, const char *heartbeat);

/* The same in 1.2 under that user's name. */
struct client *client_log_in(struct host *host, const char *user);

/* Frees the client and its session before the host does. */
void client_close(struct client *client);

/* Bytes from the client; what the session does not take is kept. */
void client_feed(struct client *client, const char *bytes, size_t len);

/* One frame: the text and its NUL. */
void client_send(struct client *client, const char *frame);

/* Does what a transport does upon resume: feeds what was kept, or nothing. */
void client_go_on(struct client *client);

/* The next frame that the session writes; fails when there is none. Valid until the next is read. */
const struct wire_frame *client_read(struct client *client);

/* The next frame, which must have that command ("" for a heart-beat). */
const struct wire_frame *client_expect(struct client *client, const char *command);

/* The next frame must be the RECEIPT of that id. */
void client_expect_receipt(struct client *client, const char *id);

/* The next frame must be a MESSAGE with that body. */
const struct wire_frame *client_expect_message(struct client *client, const char *body);

/* The session must have ended for that kind of fault; its last frame, an ERROR that contains `why`, is read. */
const struct wire_frame *client_expect_error(struct client *client, enum fault_kind kind, const char *why);

/* Nothing waits for the client. */
void client_expect_nothing(struct client *client);

/* The value of a header of the last frame read, or NULL. */
const char *client_header(const struct client *client, const char *name);

/* The body of what was published as number n, and its routing key. */
void host_expect_published(const struct host *host, size_t n, const char *key, const char *body);

/*
 * The next change that was submitted and not yet read here, as text, an operation a line: "put QUEUE LIFETIME BODY",
 * "settle MS-N", "return MS-N counted", "return MS-N", "reject MS-N"; before them "together" where it is so. Fails when
 * there is none. Valid until the next is read.
 */
const char *host_take_change(struct host *host);

/* No change was submitted that was not read. */
void host_expect_no_change(const struct host *host);

/* Answers the oldest change that has no answer yet. */
void host_answer(struct host *host, enum change_result result);

/* Agrees to all that have no answer yet. */
void host_answer_all(struct host *host);

/* A message as a session makes it, of the queue that is called so; one reference, the caller's. */
struct message *host_message(const struct host *host, const char *queue, const char *body);

/* Delivers to the consumer, as number `n` of its queue. Borrows the message. */
void host_deliver_message(struct host *host, uint64_t consumer, unsigned n, uint32_t deliveries,
                          struct message *message);

/* The same with one of host_message(). */
void host_deliver(struct host *host, uint64_t consumer, unsigned n, uint32_t deliveries, const char *body);

/* Tells the sessions of all subscriptions that are not live that they are. */
void host_make_live(struct host *host);

/* The worker's congestion is over. */
void host_uncongest(struct host *host);

/* Other nodes can't be reached, or can again. */
void host_set_away(struct host *host, bool away);

#endif
