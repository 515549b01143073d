/* Reply addresses; see replies.h. They are routed as what an anonymous session gets for itself. */
#include "replies.h"

#include <inttypes.h>
#include <stdio.h>

#include "frames.h"
#include "stompd/base/hash.h"

#define KIND   "/temp-queue"
#define PREFIX KIND "/"

/* 64 bits in hexadecimal, and a NUL. */
#define TOKEN_SIZE 17

static void make_token(const struct session *session, char token[TOKEN_SIZE]) {
    snprintf(token, TOKEN_SIZE, "%016" PRIx64, hash_bytes(bytes_of(session->id)));
}

/* Makes "/temp-queue/TOKEN/NAME" in the env's buffer, or "/temp-queue/SESSION/TOKEN/NAME". */
static bool build(struct session *session, bool with_session, struct bytes name) {
    struct buffer *reply = &session->env->reply;
    char token[TOKEN_SIZE];
    make_token(session, token);
    reply->len = 0;
    return (buffer_append(reply, PREFIX, strlen(PREFIX)) &&
            (!with_session ||
             (buffer_append(reply, session->id, strlen(session->id)) && buffer_append(reply, "/", 1))) &&
            buffer_append(reply, token, strlen(token)) && buffer_append(reply, "/", 1) &&
            buffer_append(reply, name.data, name.len)) ||
           frame_out_of_memory(session);
}

/* It is routed by "/temp-queue/TOKEN/NAME" of this session. */
static bool subscribe(struct session *session, struct bytes address, struct bytes name) {
    struct destination destination = {.kind = DESTINATION_TEMP_QUEUE, .whole = address};
    if (map_find(&session->by_id, address))
        return true;
    if (session->subscription_count >= session->env->limits->subscriptions)
        return fault_set(&session->env->fault, FAULT_POLICY, "too many subscriptions in this session (subscriptions)");
    if (!build(session, false, name))
        return false;
    destination.rest = buffer_bytes(&session->env->reply);
    struct subscription *subscription = subscription_new(session, &address, address, ACK_AUTO, session->version);
    return subscription ? frame_add_subscription(session, subscription, &destination) : frame_out_of_memory(session);
}

static struct stomp_header *find_reply_to(struct stomp_frame *frame) {
    for (size_t n = 0; n < frame->header_count; n++)
        if (bytes_equal(frame->headers[n].name, BYTES("reply-to")))
            return &frame->headers[n];
    return NULL;
}

/* Whether it is under /temp-queue/ and no address yet; *name is then what the client calls it. */
static bool read_name(struct bytes reply_to, struct bytes *name) {
    if (!bytes_start_with(reply_to, BYTES(PREFIX)))
        return false;
    *name = bytes_skip(reply_to, strlen(PREFIX));
    return !memchr(name->data, '/', name->len);
}

/* The headers of the frame that the parser has found, which it keeps: read from a copy, since they are decoded in place. */
static bool peek(struct session *session, struct stomp_frame *frame) {
    struct buffer *copy = &session->env->shown;
    struct stomp_parser parser = session->parser;
    copy->len = 0;
    if (!buffer_append(copy, parser.frame, parser.head_len))
        return frame_out_of_memory(session);
    parser.frame = copy->data;
    parser.buffer = (struct buffer){0}; /* it stays that parser's */
    return stomp_parser_take(&parser, frame);
}

bool replies_prepare(struct session *session) {
    struct session_env *env = session->env;
    struct stomp_frame frame = {.headers = env->headers, .header_capacity = env->header_capacity};
    struct destination destination;
    struct bytes name;
    if (session->state != SESSION_OPEN || !session->parser.has_reply_to)
        return true;
    if (!peek(session, &frame))
        return false;
    const struct stomp_header *header = find_reply_to(&frame);
    if (!header || !read_name(header->value, &name))
        return true;
    return destination_of_send(header->value, &destination, &env->fault) && subscribe(session, header->value, name);
}

bool replies_rewrite(struct session *session, struct stomp_frame *frame) {
    struct stomp_header *header = find_reply_to(frame);
    struct bytes name;
    if (!header || !read_name(header->value, &name))
        return true;
    if (!build(session, true, name))
        return false;
    header->value = buffer_bytes(&session->env->reply);
    return true;
}

bool replies_address(struct session *session, const struct destination *destination, struct buffer *key) {
    struct buffer *rest = &session->env->reply;
    struct bytes address = bytes_skip(destination->rest, 1);
    const char *slash = memchr(address.data, '/', address.len);
    struct bytes id = {address.data, slash ? (size_t)(slash - address.data) : 0};
    if (id.len == 0)
        return fault_set(&session->env->fault, FAULT_PROTOCOL,
                         "this is no reply address, they are made for the reply-to of a SEND (%.*s)",
                         BYTES_ARG(destination->whole));
    rest->len = 0;
    return (buffer_append(rest, KIND, strlen(KIND)) && buffer_append(rest, slash, address.len - id.len) &&
            destination_user_key_build(key, true, id, buffer_bytes(rest))) ||
           frame_out_of_memory(session);
}
