/* Names of queues are made and taken apart here, and nowhere else. */
#include "stompd/route/queue_name.h"

#include <assert.h>

#define QUEUE_PREFIX BYTES("/queue/")
#define KIND_QUEUE   BYTES("q:")
#define KIND_APP     BYTES("a:")
#define KIND_DURABLE BYTES("d:")
#define DEAD_SUFFIX  BYTES(".dead")

static bool append(struct buffer *name, struct bytes text) {
    return buffer_append(name, text.data, text.len);
}

/* The two, in place of what `name` has. */
static bool set(struct buffer *name, struct bytes first, struct bytes second) {
    name->len = 0;
    return append(name, first) && append(name, second);
}

static bool append_escaped(struct buffer *name, struct bytes user) {
    for (size_t n = 0; n < user.len; n++) {
        struct bytes as_it_is = {user.data + n, 1};
        bool slash = user.data[n] == '/', percent = user.data[n] == '%';
        if (!append(name, slash ? BYTES("%2F") : percent ? BYTES("%25") : as_it_is))
            return false;
    }
    return true;
}

static bool ends_with(struct bytes whole, struct bytes end) {
    return whole.len >= end.len && bytes_equal(bytes_skip(whole, whole.len - end.len), end);
}

bool queue_name_of_destination(struct buffer *name, struct bytes destination) {
    assert(bytes_start_with(destination, QUEUE_PREFIX));
    return set(name, KIND_QUEUE, bytes_skip(destination, QUEUE_PREFIX.len));
}

bool queue_name_of_app(struct buffer *name, struct bytes pattern) {
    return set(name, KIND_APP, pattern);
}

bool queue_name_of_durable(struct buffer *name, struct bytes user, struct bytes id) {
    return set(name, KIND_DURABLE, BYTES("")) && append_escaped(name, user) && append(name, BYTES("/")) &&
           append(name, id);
}

bool queue_name_of_dead_letters(struct buffer *dead, struct bytes name) {
    if (ends_with(name, DEAD_SUFFIX))
        return set(dead, BYTES(""), BYTES(""));
    if (bytes_start_with(name, KIND_APP))
        return set(dead, KIND_QUEUE, BYTES("app.dead"));
    if (bytes_start_with(name, KIND_DURABLE))
        return set(dead, KIND_QUEUE, BYTES("durable.dead"));
    return set(dead, name, DEAD_SUFFIX);
}

bool queue_name_show(struct buffer *shown, struct bytes name) {
    bool is_queue = bytes_start_with(name, KIND_QUEUE);
    return set(shown, is_queue ? QUEUE_PREFIX : BYTES(""), bytes_skip(name, KIND_QUEUE.len));
}

/* USER/ID, neither of them empty. */
static bool is_durable(struct bytes text) {
    const char *slash = memchr(text.data, '/', text.len);
    return slash && slash > text.data && slash + 1 < text.data + text.len;
}

bool queue_name_is_valid(struct bytes name) {
    if (name.len <= KIND_QUEUE.len)
        return false;
    return bytes_start_with(name, KIND_QUEUE) || bytes_start_with(name, KIND_APP) ||
           (bytes_start_with(name, KIND_DURABLE) && is_durable(bytes_skip(name, KIND_DURABLE.len)));
}

bool queue_name_is_durable(struct bytes name) {
    return bytes_start_with(name, KIND_DURABLE);
}
