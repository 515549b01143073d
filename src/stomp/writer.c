/*
 * Builds server frames. A head is measured and written by the same code: `struct head` only counts while it has nowhere
 * to write to. Called by the session for control frames and by whoever publishes for messages.
 */
#include "stompd/stomp/writer.h"

#include <stdio.h>

#include "stompd/base/utf8.h"
#include "stompd/stomp/escape.h"

struct head {
    char *to; /* NULL: only count */
    size_t len;
    size_t escapes; /* octets that had to be escaped; counted only while measuring */
    enum stomp_version version;
};

static void put(struct head *head, struct bytes text) {
    if (head->to && text.len > 0)
        memcpy(head->to + head->len, text.data, text.len);
    head->len += text.len;
}

static void put_escaped(struct head *head, struct bytes text) {
    if (head->to) {
        head->len = (size_t)(stomp_escape(head->to + head->len, text, head->version) - head->to);
    } else {
        size_t len = stomp_escaped_len(text, head->version);
        head->escapes += len - text.len;
        head->len += len;
    }
}

static void put_header(struct head *head, struct stomp_header header) {
    if (!stomp_can_carry(header, head->version))
        return;
    put_escaped(head, header.name);
    put(head, BYTES(":"));
    put_escaped(head, header.value);
    put(head, BYTES("\n"));
}

static void put_headers(struct head *head, const struct stomp_header *headers, size_t header_count) {
    for (size_t i = 0; i < header_count; i++)
        put_header(head, headers[i]);
}

struct decimal {
    char digits[24];
};

/* The text lives in `decimal`. */
static struct bytes decimal_of(struct decimal *decimal, size_t number) {
    int len = snprintf(decimal->digits, sizeof decimal->digits, "%zu", number);
    return (struct bytes){decimal->digits, (size_t)len};
}

static size_t data_offset(struct message *message) {
    return (size_t)(message_data(message) - (char *)message);
}

static void set_head(struct message *message, unsigned version, size_t offset, size_t len) {
    message->head_offset[version] = (uint32_t)offset;
    message->head_len[version] = (uint32_t)len;
}

/* Copies the text to *end, which moves behind it. Returns where it begins. */
static uint32_t lay(struct message *message, size_t *end, struct bytes text) {
    size_t start = *end;
    if (text.len > 0)
        memcpy((char *)message + start, text.data, text.len);
    *end += text.len;
    return (uint32_t)start;
}

/* The heads end at *end: there the body follows. */
static void lay_body(struct message *message, size_t *end, struct bytes body) {
    message->body_offset = lay(message, end, body);
    lay(message, end, (struct bytes){"", 1});
    message->body_len = (uint32_t)body.len + 1;
    const char *start = message_data(message);
    message->text = utf8_is_valid((struct bytes){start, *end - data_offset(message)});
}

static void lay_routing(struct message *message, size_t *end, uint8_t route, struct bytes key, struct bytes only) {
    message->route = route;
    message->key_offset = lay(message, end, key);
    message->key_len = (uint32_t)key.len;
    message->only_offset = lay(message, end, only);
    message->only_len = (uint32_t)only.len;
}

static void put_control(struct head *head, const char *command, const struct stomp_header *headers, size_t header_count,
                        struct bytes body) {
    put(head, bytes_of(command));
    put(head, BYTES("\n"));
    put_headers(head, headers, header_count);
    if (body.len > 0) {
        struct decimal length;
        put_header(head, (struct stomp_header){BYTES("content-length"), decimal_of(&length, body.len)});
    }
    put(head, BYTES("\n"));
}

struct message *stomp_write_control(unsigned owners, const char *command, const struct stomp_header *headers,
                                    size_t header_count, struct bytes body, enum stomp_version version) {
    /* CONNECTED is never escaped, which is what 1.0 does with all frames. */
    if (strcmp(command, "CONNECTED") == 0)
        version = STOMP_1_0;
    struct head head = {.version = version};
    put_control(&head, command, headers, header_count, body);
    struct message *message = message_new(owners, head.len + body.len + 1);
    if (!message)
        return NULL;
    size_t end = data_offset(message);
    head = (struct head){.to = message_data(message), .version = version};
    put_control(&head, command, headers, header_count, body);
    for (unsigned i = 0; i < MESSAGE_HEADS; i++)
        set_head(message, i, end, head.len);
    end += head.len;
    lay_body(message, &end, body);
    lay_routing(message, &end, 0, BYTES(""), BYTES(""));
    return message;
}

static void put_message(struct head *head, const struct stomp_publication *publication) {
    struct decimal length;
    put_header(head, (struct stomp_header){BYTES("destination"), publication->destination});
    put_header(head, (struct stomp_header){BYTES("message-id"), publication->message_id});
    put_headers(head, publication->added, publication->added_count);
    for (size_t i = 0; i < publication->header_count; i++) {
        if (stomp_passes_on(publication->headers[i].name))
            put_header(head, publication->headers[i]);
    }
    put_header(head, (struct stomp_header){BYTES("content-length"), decimal_of(&length, publication->body.len)});
    put(head, BYTES("\n"));
}

static void measure_heads(size_t len[MESSAGE_HEADS], const struct stomp_publication *publication) {
    struct head newest = {.version = STOMP_1_2};
    put_message(&newest, publication);
    for (unsigned i = 0; i < MESSAGE_HEADS; i++)
        len[i] = newest.len;
    /* With nothing to escape, all versions have the same text. */
    for (unsigned i = STOMP_1_0; i < STOMP_1_2 && newest.escapes > 0; i++) {
        struct head older = {.version = (enum stomp_version)i};
        put_message(&older, publication);
        len[i] = older.len;
    }
}

/*
 * A later version escapes all that an earlier one does, and 1.0 leaves headers out where others escape, so heads of the
 * same length are the same head.
 */
static bool is_same_head(const size_t len[MESSAGE_HEADS], unsigned version) {
    return version > 0 && len[version] == len[version - 1];
}

/* Returns where they end. */
static size_t write_heads(struct message *message, const struct stomp_publication *publication,
                          const size_t len[MESSAGE_HEADS]) {
    size_t end = data_offset(message);
    for (unsigned i = 0; i < MESSAGE_HEADS; i++) {
        if (!is_same_head(len, i)) {
            struct head head = {.to = (char *)message + end, .version = (enum stomp_version)i};
            put_message(&head, publication);
            end += head.len;
        }
        set_head(message, i, end - len[i], len[i]);
    }
    return end;
}

struct message *stomp_write_message(unsigned owners, const struct stomp_publication *publication) {
    size_t len[MESSAGE_HEADS];
    size_t size = publication->body.len + 1 + publication->key.len + publication->only.len;
    measure_heads(len, publication);
    for (unsigned i = 0; i < MESSAGE_HEADS; i++)
        size += is_same_head(len, i) ? 0 : len[i];
    struct message *message = message_new(owners, size);
    if (!message)
        return NULL;
    size_t end = write_heads(message, publication, len);
    lay_body(message, &end, publication->body);
    lay_routing(message, &end, publication->route, publication->key, publication->only);
    return message;
}

/* What is laid in front of a message's heads, and which of the new heads are those of the version before. */
struct addition {
    const struct stomp_header *headers;
    size_t header_count;
    size_t len[MESSAGE_HEADS];
    bool shared[MESSAGE_HEADS];
};

static struct head write_addition(const struct addition *addition, unsigned version, char *to) {
    struct head head = {.version = (enum stomp_version)version};
    head.to = to;
    put_headers(&head, addition->headers, addition->header_count);
    return head;
}

/* Returns what the new heads take together. */
static size_t measure_addition(struct addition *addition, const struct message *message) {
    size_t size = 0;
    for (unsigned i = 0; i < MESSAGE_HEADS; i++) {
        addition->len[i] = write_addition(addition, i, NULL).len;
        addition->shared[i] = is_same_head(addition->len, i) &&
                              message->head_offset[i] == message->head_offset[i - 1] &&
                              message->head_len[i] == message->head_len[i - 1];
        size += addition->shared[i] ? 0 : addition->len[i] + message->head_len[i];
    }
    return size;
}

/* Returns where they end. */
static size_t add_to_heads(struct message *added, const struct message *message, const struct addition *addition) {
    size_t end = data_offset(added);
    for (unsigned i = 0; i < MESSAGE_HEADS; i++) {
        if (!addition->shared[i]) {
            end += write_addition(addition, i, (char *)added + end).len;
            lay(added, &end, message_head(message, i));
        }
        size_t len = addition->len[i] + message->head_len[i];
        set_head(added, i, end - len, len);
    }
    return end;
}

static struct message *write_again(const struct message *message, struct addition *addition, uint8_t route,
                                   struct bytes key) {
    struct bytes body = {message_body(message).data, message->body_len - 1};
    size_t size = measure_addition(addition, message) + message->body_len + key.len + message->only_len;
    struct message *again = message_new(message->owners, size);
    if (!again)
        return NULL;
    size_t end = add_to_heads(again, message, addition);
    lay_body(again, &end, body);
    lay_routing(again, &end, route, key, message_only(message));
    return again;
}

struct message *stomp_add_headers(const struct message *message, const struct stomp_header *headers,
                                  size_t header_count) {
    struct addition addition = {.headers = headers, .header_count = header_count};
    return write_again(message, &addition, message->route, message_key(message));
}

struct message *stomp_readdress(const struct message *message, uint8_t route, struct bytes key) {
    struct addition none = {.header_count = 0};
    return write_again(message, &none, route, key);
}

#define LITERAL(text)                                                                                                  \
    { (text), sizeof(text) - 1 }

bool stomp_passes_on(struct bytes header_name) {
    static const struct bytes kept[] = {
        LITERAL("destination"),
        LITERAL("content-length"),
        LITERAL("receipt"),
        LITERAL("transaction"),
        LITERAL("user"),
        LITERAL("session"),
        LITERAL("node"),
        LITERAL("subscription"),
        LITERAL("message-id"),
        LITERAL("ack"),
        LITERAL("redelivered"),
        LITERAL("delivery-count"),
        LITERAL("dead-letter-from"),
        LITERAL("dead-letter-reason"),
    };
    header_name = stomp_trim(header_name); /* as receivers of 1.0 do: "content-length " is content-length to them */
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++) {
        if (bytes_equal(header_name, kept[i]))
            return false;
    }
    return header_name.len > 0;
}

size_t stomp_write_message_start(char *to, const struct bytes *subscription_id, enum stomp_version version) {
    struct head head = {.version = version};
    head.to = to;
    put(&head, BYTES("MESSAGE\n"));
    if (subscription_id)
        put_header(&head, (struct stomp_header){BYTES("subscription"), *subscription_id});
    return head.len;
}

static bool is_token_char(char c) {
    bool alphanumeric = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    return alphanumeric || (c != '\0' && strchr("!#$%&'*+-.^_`|~", c));
}

/* Takes the token that `rest` begins with; false when there is none. */
static bool take_token(struct bytes *rest) {
    size_t len = 0;
    while (len < rest->len && is_token_char(rest->data[len]))
        len++;
    if (len == 0)
        return false;
    *rest = bytes_skip(*rest, len);
    return true;
}

bool stomp_is_mime_type(struct bytes value) {
    if (!take_token(&value) || !bytes_start_with(value, BYTES("/")))
        return false;
    value = bytes_skip(value, 1);
    if (!take_token(&value))
        return false;
    return value.len == 0 || bytes_start_with(stomp_trim(value), BYTES(";"));
}
