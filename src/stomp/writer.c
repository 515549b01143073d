/*
 * Builds server frames. A head is measured and written by the same code: `struct head` measures while it has nowhere to
 * write to. Called by the session for control frames and by whoever publishes for messages.
 */
#include "stompd/stomp/writer.h"

#include "stompd/base/decimal.h"
#include "stompd/base/utf8.h"
#include "stompd/stomp/escape.h"

/*
 * A head is measured for all versions at once, and then written for one at a time. Measuring notes which headers need
 * care, for most are the same in all versions.
 */
struct head {
    char *to;                          /* where the next text goes; NULL: measure */
    enum stomp_version version;        /* that is written */
    size_t len;                        /* measured, without what follows */
    size_t special_len[MESSAGE_HEADS]; /* and of headers that are not the same in all versions */
    unsigned headers;                  /* put so far */
    uint64_t special;                  /* bit n: the n-th header is such a one; the last bit: one from there on is */
};

static size_t len_for(const struct head *head, unsigned version) {
    return head->len + head->special_len[version];
}

static char *append(char *to, struct bytes text) {
    if (text.len > 0)
        memcpy(to, text.data, text.len);
    return to + text.len;
}

static void put(struct head *head, struct bytes text) {
    if (head->to)
        head->to = append(head->to, text);
    else
        head->len += text.len;
}

static void measure_special(struct head *head, const struct stomp_header *header) {
    for (unsigned i = 0; i < MESSAGE_HEADS; i++) {
        enum stomp_version version = (enum stomp_version)i;
        if (stomp_can_carry(header, version))
            head->special_len[i] +=
                stomp_escaped_len(header->name, version) + 1 + stomp_escaped_len(header->value, version) + 1;
    }
}

static void write_special(struct head *head, const struct stomp_header *header) {
    if (!stomp_can_carry(header, head->version))
        return;
    head->to = stomp_escape(head->to, header->name, head->version);
    *head->to++ = ':';
    head->to = stomp_escape(head->to, header->value, head->version);
    *head->to++ = '\n';
}

static void write_plain(struct head *head, const struct stomp_header *header) {
    char *to = append(head->to, header->name);
    *to++ = ':';
    to = append(to, header->value);
    *to++ = '\n';
    head->to = to;
}

static void put_header(struct head *head, const struct stomp_header *header) {
    uint64_t bit = UINT64_C(1) << (head->headers < 63 ? head->headers : 63);
    head->headers++;
    if (head->to && (head->special & bit)) {
        write_special(head, header);
    } else if (head->to) {
        write_plain(head, header);
    } else if (stomp_is_plain(header)) {
        head->len += header->name.len + 1 + header->value.len + 1;
    } else {
        head->special |= bit;
        measure_special(head, header);
    }
}

static void put_headers(struct head *head, const struct stomp_header *headers, size_t header_count) {
    for (size_t i = 0; i < header_count; i++)
        put_header(head, &headers[i]);
}

/* It is measured; what is put next is written, for that version. */
static void start_writing(struct head *head, enum stomp_version version, char *to) {
    head->version = version;
    head->to = to;
    head->headers = 0;
}

/* The text lies in `room`. */
static struct bytes decimal_of(char room[DECIMAL_DIGITS], size_t number) {
    return (struct bytes){room, (size_t)(decimal_write(room, number) - room)};
}

static void put_content_length(struct head *head, struct bytes decimal) {
    put(head, BYTES("content-length:"));
    put(head, decimal);
    put(head, BYTES("\n"));
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

/* Without a body there is no content-length. */
static void put_control(struct head *head, const char *command, const struct stomp_header *headers, size_t header_count,
                        struct bytes body_len) {
    put(head, bytes_of(command));
    put(head, BYTES("\n"));
    put_headers(head, headers, header_count);
    if (body_len.len > 0)
        put_content_length(head, body_len);
    put(head, BYTES("\n"));
}

struct message *stomp_write_control(unsigned owners, const char *command, const struct stomp_header *headers,
                                    size_t header_count, struct bytes body, enum stomp_version version) {
    /* CONNECTED is never escaped, which is what 1.0 does with all frames. */
    if (strcmp(command, "CONNECTED") == 0)
        version = STOMP_1_0;
    char room[DECIMAL_DIGITS];
    struct bytes body_len = body.len > 0 ? decimal_of(room, body.len) : BYTES("");
    struct head head = {.to = NULL};
    put_control(&head, command, headers, header_count, body_len);
    size_t len = len_for(&head, version);
    struct message *message = message_new(owners, len + body.len + 1);
    if (!message)
        return NULL;
    size_t end = data_offset(message);
    start_writing(&head, version, message_data(message));
    put_control(&head, command, headers, header_count, body_len);
    for (unsigned i = 0; i < MESSAGE_HEADS; i++)
        set_head(message, i, end, len);
    end += len;
    lay_body(message, &end, body);
    lay_routing(message, &end, 0, BYTES(""), BYTES(""));
    return message;
}

static void put_message(struct head *head, const struct stomp_publication *publication, struct bytes body_len) {
    put_header(head, &(struct stomp_header){BYTES("destination"), publication->destination});
    put_header(head, &(struct stomp_header){BYTES("message-id"), publication->message_id});
    put_headers(head, publication->added, publication->added_count);
    for (size_t i = 0; i < publication->header_count; i++) {
        if (stomp_passes_on(publication->headers[i].name))
            put_header(head, &publication->headers[i]);
    }
    put_content_length(head, body_len);
    put(head, BYTES("\n"));
}

/*
 * A later version escapes all that an earlier one does, and 1.0 leaves headers out where others escape, so heads of the
 * same length are the same head.
 */
static bool is_same_head(const struct head *head, unsigned version) {
    return version > 0 && head->special_len[version] == head->special_len[version - 1];
}

/* Returns where they end. */
static size_t write_heads(struct message *message, const struct stomp_publication *publication, struct bytes body_len,
                          struct head *head) {
    size_t end = data_offset(message);
    for (unsigned i = 0; i < MESSAGE_HEADS; i++) {
        size_t len = len_for(head, i);
        if (!is_same_head(head, i)) {
            start_writing(head, (enum stomp_version)i, (char *)message + end);
            put_message(head, publication, body_len);
            end += len;
        }
        set_head(message, i, end - len, len);
    }
    return end;
}

struct message *stomp_write_message(unsigned owners, const struct stomp_publication *publication) {
    char room[DECIMAL_DIGITS];
    struct bytes body_len = decimal_of(room, publication->body.len);
    struct head head = {.to = NULL};
    size_t size = publication->body.len + 1 + publication->key.len + publication->only.len;
    put_message(&head, publication, body_len);
    for (unsigned i = 0; i < MESSAGE_HEADS; i++)
        size += is_same_head(&head, i) ? 0 : len_for(&head, i);
    struct message *message = message_new(owners, size);
    if (!message)
        return NULL;
    size_t end = write_heads(message, publication, body_len, &head);
    lay_body(message, &end, publication->body);
    lay_routing(message, &end, publication->route, publication->key, publication->only);
    return message;
}

/* What is laid in front of a message's heads, and which of the new heads are those of the version before. */
struct addition {
    const struct stomp_header *headers;
    size_t header_count;
    struct head head;
    bool shared[MESSAGE_HEADS];
};

/* Returns what the new heads take together. */
static size_t measure_addition(struct addition *addition, const struct message *message) {
    size_t size = 0;
    put_headers(&addition->head, addition->headers, addition->header_count);
    for (unsigned i = 0; i < MESSAGE_HEADS; i++) {
        addition->shared[i] = is_same_head(&addition->head, i) &&
                              message->head_offset[i] == message->head_offset[i - 1] &&
                              message->head_len[i] == message->head_len[i - 1];
        size += addition->shared[i] ? 0 : len_for(&addition->head, i) + message->head_len[i];
    }
    return size;
}

/* Returns where they end. */
static size_t add_to_heads(struct message *added, const struct message *message, struct addition *addition) {
    size_t end = data_offset(added);
    for (unsigned i = 0; i < MESSAGE_HEADS; i++) {
        size_t len = len_for(&addition->head, i);
        if (!addition->shared[i]) {
            start_writing(&addition->head, (enum stomp_version)i, (char *)added + end);
            put_headers(&addition->head, addition->headers, addition->header_count);
            end += len;
            lay(added, &end, message_head(message, i));
        }
        len += message->head_len[i];
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

bool stomp_passes_on(struct bytes header_name) {
    /* As receivers of 1.0 do: "content-length " is content-length to them. */
    struct bytes name = stomp_trim(header_name);
    switch (name.len) {
    case 0:
        return false;
    case 3:
        return !bytes_equal(name, BYTES("ack"));
    case 4:
        return !bytes_equal(name, BYTES("user")) && !bytes_equal(name, BYTES("node"));
    case 7:
        return !bytes_equal(name, BYTES("receipt")) && !bytes_equal(name, BYTES("session"));
    case 10:
        return !bytes_equal(name, BYTES("message-id"));
    case 11:
        return !bytes_equal(name, BYTES("destination")) && !bytes_equal(name, BYTES("transaction")) &&
               !bytes_equal(name, BYTES("redelivered"));
    case 12:
        return !bytes_equal(name, BYTES("subscription"));
    case 14:
        return !bytes_equal(name, BYTES("content-length")) && !bytes_equal(name, BYTES("delivery-count"));
    case 16:
        return !bytes_equal(name, BYTES("dead-letter-from"));
    case 18:
        return !bytes_equal(name, BYTES("dead-letter-reason"));
    default:
        return true;
    }
}

static void put_message_start(struct head *head, const struct bytes *subscription_id) {
    put(head, BYTES("MESSAGE\n"));
    if (subscription_id)
        put_header(head, &(struct stomp_header){BYTES("subscription"), *subscription_id});
}

size_t stomp_write_message_start(char *to, const struct bytes *subscription_id, enum stomp_version version) {
    struct head head = {.to = NULL};
    put_message_start(&head, subscription_id);
    if (to) {
        start_writing(&head, version, to);
        put_message_start(&head, subscription_id);
    }
    return len_for(&head, version);
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
