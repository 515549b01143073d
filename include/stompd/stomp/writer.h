/*
 * Encodes server frames into messages (base/message.h). Control frames (CONNECTED, RECEIPT, ERROR) are whole and for
 * one version; a MESSAGE is encoded for all three at once and lacks its first two lines, which each subscription has
 * ready-made.
 */
#ifndef STOMPD_STOMP_WRITER_H
#define STOMPD_STOMP_WRITER_H

#include "stompd/base/message.h"
#include "stompd/stomp/frame.h"
#include "stompd/stomp/version.h"

/*
 * A whole control frame with one reference. Names and values are escaped for the version, but in CONNECTED (1.2,
 * "Value Encoding"). With a body, content-length is added. All three heads are the same. NULL when out of memory.
 */
MUST_CHECK struct message *stomp_write_control(unsigned owners, const char *command, const struct stomp_header *headers,
                                               size_t header_count, struct bytes body, enum stomp_version version);

struct stomp_publication {
    struct bytes destination; /* what the MESSAGE shows */
    struct bytes message_id;
    const struct stomp_header *headers; /* the SEND's; which of them are passed on is stomp_passes_on()'s word */
    size_t header_count;
    struct bytes body;
    const struct stomp_header *added; /* by the server: passed on whatever they are called */
    size_t added_count;
    uint8_t route;     /* kept with the message for routing: message.h */
    struct bytes key;  /* what it is matched by */
    struct bytes only; /* the id of the one session that may get it; empty: any */
};

/*
 * The shared part of a MESSAGE: destination, message-id, the SEND's other headers in their order (repeated ones too),
 * content-length, the empty line, body and NUL. `text` says whether the body is valid UTF-8. One reference. NULL when
 * out of memory.
 */
MUST_CHECK struct message *stomp_write_message(unsigned owners, const struct stomp_publication *publication);

/*
 * The same MESSAGE with these headers in front of its shared ones, escaped for each version; what a version has no way
 * to write its head goes without. Local slots and routing are those of `message`, which stays as it is. One reference.
 * NULL when out of memory.
 */
MUST_CHECK struct message *stomp_add_headers(const struct message *message, const struct stomp_header *headers,
                                             size_t header_count);

/* The same MESSAGE with another routing. One reference. NULL when out of memory. */
MUST_CHECK struct message *stomp_readdress(const struct message *message, uint8_t route, struct bytes key);

/*
 * False for headers that the server sets itself or that are for the server only, and so never reach a MESSAGE:
 * destination, receipt, transaction, content-length, and user, session, node, subscription, message-id, redelivered,
 * delivery-count, dead-letter-from, dead-letter-reason, ack; also with blanks around them, which 1.0 takes off. And for those whose name is nothing but blanks.
 */
bool stomp_passes_on(struct bytes header_name);

/*
 * The first lines of a MESSAGE for one subscription, "MESSAGE\nsubscription:ID\n" with the id escaped, or "MESSAGE\n"
 * alone when id is NULL (1.0 without an id). Returns the length; writes nothing when `to` is NULL.
 */
size_t stomp_write_message_start(char *to, const struct bytes *subscription_id, enum stomp_version version);

/* The shape of a MIME type (1.2, "Header content-type"): token "/" token, then any parameters behind ";". */
bool stomp_is_mime_type(struct bytes value);

#endif
