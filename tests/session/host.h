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
    struct client *clients[HOST_CLIENTS_MAX];
    size_t client_count;
};

/* cmocka's setup and teardown; *state is the host. Teardown frees all and fails when a message is still held. */
int host_setup(void **state);
int host_teardown(void **state);

/* A new session that has not sent anything. */
struct client *client_open(struct host *host);

/* A session that is OPEN, anonymously, its CONNECTED read. Heart-beats as the client asks, such as "0,0". */
struct client *client_connect(struct host *host, enum stomp_version version, const char *heartbeat);

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

/* Tells the sessions of all subscriptions that are not live that they are. */
void host_make_live(struct host *host);

/* The worker's congestion is over. */
void host_uncongest(struct host *host);

/* Other nodes can't be reached, or can again. */
void host_set_away(struct host *host, bool away);

#endif
