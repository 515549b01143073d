/*
 * The layout of docs/payload.md, written and read. The hub writes one for each publication and reads one for each that
 * comes in, so writing is a few copies into one block, and reading looks at every byte once before it copies.
 *
 *     front:  version, type, length of boot, sequence, boot; in a word of PAYLOAD_READY a queue's name follows
 *     parts:  route, text, lengths of key, only, three heads and body; then heads, body, key, only
 */
#include "stompd/store/payload.h"

#include <assert.h>
#include <stdio.h>

#include "stompd/base/utf8.h"
#include "stompd/route/queue_name.h"
#include "stompd/session/session.h"
#include "user_key.h"

/* A node's name, a colon and a boot id have room enough. */
#define BOOT_MAX 128

#define FRONT_SIZE (1 + 1 + 1 + 8) /* without the boot */
#define PARTS_SIZE (1 + 1 + 4 * (2 + MESSAGE_HEADS + 1))

#define CONTENT_LENGTH "content-length"

const char payload_out_of_memory[] = "this node is out of memory";
const char payload_of_another_version[] = "it has no version that this node knows";

/* What a message holds behind its front, as it lies in the payload. */
struct parts {
    uint8_t route;
    uint8_t text;
    struct bytes heads[MESSAGE_HEADS]; /* empty: the one before it */
    struct bytes body;
    struct bytes key;
    struct bytes only;
    struct bytes all; /* heads, body, key, only */
};

static bool refuse(const char **why, const char *sentence) {
    *why = sentence;
    return false;
}

/* ---- writing ---- */

static char *put(char *to, struct bytes bytes) {
    if (bytes.len > 0)
        memcpy(to, bytes.data, bytes.len);
    return to + bytes.len;
}

/* The highest byte first. */
static char *put_number(char *to, uint64_t number, unsigned size) {
    for (unsigned n = size; n-- > 0; number >>= 8)
        to[n] = (char)(number & 0xff);
    return to + size;
}

static char *put_front(char *to, const struct payload_origin *origin) {
    assert(origin->boot.len <= BOOT_MAX);
    to = put_number(to, PAYLOAD_VERSION, 1);
    to = put_number(to, origin->type, 1);
    to = put_number(to, origin->boot.len, 1);
    to = put_number(to, origin->sequence, 8);
    return put(to, origin->boot);
}

bool payload_write_word(struct buffer *to, const struct payload_origin *origin) {
    to->len = 0;
    if (!buffer_reserve(to, FRONT_SIZE + origin->boot.len))
        return false;
    to->len = (size_t)(put_front(to->data, origin) - to->data);
    return true;
}

/* A head that is the one before it, as the writer shares them, is left out. */
static struct bytes own_head(const struct message *message, unsigned version) {
    if (version > 0 && message->head_offset[version] == message->head_offset[version - 1])
        return (struct bytes){NULL, 0};
    return message_head(message, version);
}

bool payload_write_message(struct buffer *to, const struct payload_origin *origin, const struct message *message) {
    struct bytes parts[MESSAGE_HEADS + 3];
    size_t count = 0, size = FRONT_SIZE + origin->boot.len + PARTS_SIZE;
    for (unsigned version = 0; version < MESSAGE_HEADS; version++)
        parts[count++] = own_head(message, version);
    parts[count++] = message_body(message);
    parts[count++] = message_key(message);
    parts[count++] = message_only(message);
    for (size_t n = 0; n < count; n++)
        size += parts[n].len;
    to->len = 0;
    if (!buffer_reserve(to, size))
        return false;
    char *at = put_front(to->data, origin);
    at = put_number(at, message->route, 1);
    at = put_number(at, message->text, 1);
    for (size_t n = 0; n < count; n++)
        at = put_number(at, parts[n].len, 4);
    for (size_t n = 0; n < count; n++)
        at = put(at, parts[n]);
    to->len = size;
    return true;
}

/* ---- reading the front ---- */

/* `bytes` begins behind it then; it is long enough. */
static uint64_t take_number(struct bytes *bytes, unsigned size) {
    uint64_t number = 0;
    for (unsigned n = 0; n < size; n++)
        number = number << 8 | (unsigned char)bytes->data[n];
    *bytes = bytes_skip(*bytes, size);
    return number;
}

/* "<node>:<boot id>", in printable ASCII. */
static bool is_boot(struct bytes boot) {
    const char *colon = boot.len > 0 ? memchr(boot.data, ':', boot.len) : NULL;
    if (boot.len > BOOT_MAX || !colon || colon == boot.data || colon == boot.data + boot.len - 1)
        return false;
    for (size_t n = 0; n < boot.len; n++)
        if (boot.data[n] <= ' ' || boot.data[n] > '~')
            return false;
    return true;
}

static bool read_front(struct bytes payload, struct payload_origin *origin, struct bytes *rest, const char **why) {
    uint64_t version = payload.len > 0 ? take_number(&payload, 1) : 0;
    if (version > PAYLOAD_VERSION && version <= PAYLOAD_VERSION_MAX)
        return refuse(why, payload_of_another_version);
    if (version != PAYLOAD_VERSION)
        return refuse(why, "it has no version that this node knows");
    if (payload.len < FRONT_SIZE - 1)
        return refuse(why, "it is too short");
    uint64_t type = take_number(&payload, 1);
    size_t boot_len = (size_t)take_number(&payload, 1);
    origin->sequence = take_number(&payload, 8);
    if (type < PAYLOAD_PUBLICATION || type > PAYLOAD_STORED)
        return refuse(why, "it has no type that this node knows");
    origin->type = (enum payload_type)type;
    origin->boot = (struct bytes){payload.data, boot_len};
    if (boot_len > payload.len || !is_boot(origin->boot))
        return refuse(why, "it does not say which boot it is from");
    if ((origin->type == PAYLOAD_PUBLICATION) != (origin->sequence > 0))
        return refuse(why, "it has a wrong sequence number");
    *rest = bytes_skip(payload, boot_len);
    return true;
}

static bool is_message(enum payload_type type) {
    return type == PAYLOAD_PUBLICATION || type == PAYLOAD_STORED;
}

/* What follows the front of a word. */
static bool check_rest(enum payload_type type, struct bytes rest, const char **why) {
    if (type == PAYLOAD_READY)
        return queue_name_is_valid(rest) || refuse(why, "it does not say which queue is ready");
    return is_message(type) || rest.len == 0 || refuse(why, "more follows than there should be");
}

bool payload_read_origin(struct bytes payload, struct payload_origin *origin, const char **why) {
    struct bytes rest;
    return read_front(payload, origin, &rest, why) && check_rest(origin->type, rest, why);
}

bool payload_read_ready(struct bytes payload, struct bytes *queue, const char **why) {
    struct payload_origin origin;
    if (!read_front(payload, &origin, queue, why))
        return false;
    if (origin.type != PAYLOAD_READY)
        return refuse(why, "it does not say which queue is ready");
    return check_rest(origin.type, *queue, why);
}

/* ---- reading a message ---- */

static bool read_parts(struct bytes rest, struct parts *parts, const char **why) {
    struct bytes *pieces[] = {&parts->heads[0], &parts->heads[1], &parts->heads[2],
                              &parts->body,     &parts->key,      &parts->only};
    uint64_t sum = 0;
    if (rest.len < PARTS_SIZE)
        return refuse(why, "it is too short");
    parts->route = (uint8_t)take_number(&rest, 1);
    parts->text = (uint8_t)take_number(&rest, 1);
    for (size_t n = 0; n < sizeof pieces / sizeof pieces[0]; n++) {
        pieces[n]->len = (size_t)take_number(&rest, 4);
        sum += pieces[n]->len;
    }
    if (sum != rest.len)
        return refuse(why, "its parts do not fill it");
    parts->all = rest;
    for (size_t n = 0; n < sizeof pieces / sizeof pieces[0]; n++) {
        pieces[n]->data = rest.data;
        rest = bytes_skip(rest, pieces[n]->len);
    }
    return true;
}

static bool has(struct bytes text, char c) {
    return text.len > 0 && memchr(text.data, c, text.len);
}

/* An escape that clients of one of the versions do not know makes them give up; `\r` came with 1.2. */
static bool has_good_escapes(struct bytes text, enum stomp_version first) {
    const char *letters = first == STOMP_1_2 ? "\\ncr" : "\\nc";
    for (size_t n = 0; n < text.len; n++) {
        if (text.data[n] != '\\')
            continue;
        if (++n == text.len || !strchr(letters, text.data[n]))
            return false;
    }
    return true;
}

/*
 * Of a head for the versions from `first` to `last`: nothing in it that clients of one of them take for something else.
 * CR ends lines for those of 1.2, and may for those of 1.0; for 1.1 it is text.
 */
static bool is_header(struct bytes line, enum stomp_version first, enum stomp_version last) {
    const char *colon = line.len > 0 ? memchr(line.data, ':', line.len) : NULL;
    if (!colon || colon == line.data || has(line, '\0') ||
        (has(line, '\r') && (first != STOMP_1_1 || last != STOMP_1_1)))
        return false;
    struct bytes value = bytes_skip(line, (size_t)(colon - line.data) + 1);
    return last == STOMP_1_0 || (!has(value, ':') && has_good_escapes(line, first));
}

/* Also with blanks around the name, which clients of 1.0 take off. */
static bool is_content_length(struct bytes line) {
    const char *colon = memchr(line.data, ':', line.len);
    return bytes_equal(stomp_trim((struct bytes){line.data, (size_t)(colon - line.data)}), BYTES(CONTENT_LENGTH));
}

/* Header lines, the last of them `content_length` and no other of that name, and an empty line. */
static bool is_head(struct bytes head, enum stomp_version first, enum stomp_version last, struct bytes content_length) {
    bool at_end = false;
    while (head.len > 1) {
        const char *end = memchr(head.data, '\n', head.len);
        struct bytes line = {head.data, end ? (size_t)(end - head.data) : 0};
        if (at_end || !end || !is_header(line, first, last))
            return false;
        at_end = is_content_length(line);
        if (at_end && !bytes_equal(line, content_length))
            return false;
        head = bytes_skip(head, line.len + 1);
    }
    return at_end && head.len == 1 && head.data[0] == '\n';
}

/* The last version that has this head too. */
static unsigned last_version(const struct parts *parts, unsigned first) {
    unsigned last = first;
    while (last + 1 < MESSAGE_HEADS && parts->heads[last + 1].len == 0)
        last++;
    return last;
}

static bool are_heads(const struct parts *parts) {
    char line[sizeof CONTENT_LENGTH ":" + 20];
    int len = snprintf(line, sizeof line, CONTENT_LENGTH ":%zu", parts->body.len - 1);
    struct bytes content_length = {line, (size_t)len};
    unsigned last;
    for (unsigned first = STOMP_1_0; first < MESSAGE_HEADS; first = last + 1) {
        struct bytes head = parts->heads[first];
        last = last_version(parts, first);
        if (!is_head(head, (enum stomp_version)first, (enum stomp_version)last, content_length) || !utf8_is_valid(head))
            return false;
    }
    return true;
}

static bool is_body(struct bytes body) {
    return body.len > 0 && body.data[body.len - 1] == '\0';
}

static bool is_key(uint8_t route, struct bytes key) {
    struct destination destination;
    struct fault fault;
    struct user_key split;
    if (route == ROUTE_USER)
        return user_key_split(key, &split);
    if (route == ROUTE_QUEUE)
        return queue_name_is_valid(key);
    return destination_of_send(key, &destination, &fault) && destination.kind == DESTINATION_TOPIC;
}

static bool is_route_of(enum payload_type type, uint8_t route) {
    return type == PAYLOAD_STORED ? route == ROUTE_QUEUE : route == ROUTE_TOPIC || route == ROUTE_USER;
}

static bool check(const struct parts *parts, enum payload_type type, const char **why) {
    if (!is_route_of(type, parts->route))
        return refuse(why, "its route is none that this node knows");
    if (!is_body(parts->body))
        return refuse(why, "its body does not end with a NUL");
    if (!are_heads(parts))
        return refuse(why, "one of its heads would break the frame");
    if (parts->text > 1 || (parts->text == 1 && !utf8_is_valid(parts->body)))
        return refuse(why, "its text is not valid UTF-8");
    if (!is_key(parts->route, parts->key) || has(parts->only, '\0'))
        return refuse(why, "it does not say where its message goes");
    return true;
}

/* Where a part of the payload has come to lie in the message's block, when `start` is where all of them begin. */
static uint32_t offset_of(const struct parts *parts, struct bytes part, uint32_t start) {
    return start + (uint32_t)(part.data - parts->all.data);
}

static void set_heads(struct message *message, const struct parts *parts, uint32_t start) {
    for (unsigned version = 0; version < MESSAGE_HEADS; version++) {
        unsigned from = version;
        while (from > 0 && parts->heads[from].len == 0)
            from--;
        message->head_offset[version] = offset_of(parts, parts->heads[from], start);
        message->head_len[version] = (uint32_t)parts->heads[from].len;
    }
}

static struct message *build(const struct parts *parts, unsigned owners, const char **why) {
    struct message *message = message_new(owners, parts->all.len);
    if (!message) {
        *why = payload_out_of_memory;
        return NULL;
    }
    uint32_t start = (uint32_t)(message_data(message) - (char *)message);
    memcpy(message_data(message), parts->all.data, parts->all.len);
    set_heads(message, parts, start);
    message->text = parts->text == 1;
    message->route = parts->route;
    message->body_offset = offset_of(parts, parts->body, start);
    message->body_len = (uint32_t)parts->body.len;
    message->key_offset = offset_of(parts, parts->key, start);
    message->key_len = (uint32_t)parts->key.len;
    message->only_offset = offset_of(parts, parts->only, start);
    message->only_len = (uint32_t)parts->only.len;
    return message;
}

struct message *payload_read_message(struct bytes payload, unsigned owners, const char **why) {
    struct payload_origin origin;
    struct parts parts;
    struct bytes rest;
    if (!read_front(payload, &origin, &rest, why))
        return NULL;
    if (!is_message(origin.type)) {
        *why = "it is no message";
        return NULL;
    }
    return read_parts(rest, &parts, why) && check(&parts, origin.type, why) ? build(&parts, owners, why) : NULL;
}
