/* Names of the STOMP versions and the choice among what a client's CONNECT accepts. */
#include "stompd/stomp/version.h"

#include "stompd/stomp/frame.h"

static const char *const names[] = {[STOMP_1_0] = "1.0", [STOMP_1_1] = "1.1", [STOMP_1_2] = "1.2"};

const char *stomp_version_name(enum stomp_version version) {
    return names[version];
}

static bool lists(struct bytes list, struct bytes name) {
    while (list.len > 0) {
        const char *comma = memchr(list.data, ',', list.len);
        size_t item_len = comma ? (size_t)(comma - list.data) : list.len;
        if (bytes_equal(stomp_trim((struct bytes){list.data, item_len}), name))
            return true;
        list = bytes_skip(list, comma ? item_len + 1 : item_len);
    }
    return false;
}

bool stomp_negotiate(struct bytes accept_version, enum stomp_version *version) {
    for (int candidate = STOMP_1_2; candidate >= STOMP_1_0; candidate--) {
        if (lists(accept_version, bytes_of(names[candidate]))) {
            *version = (enum stomp_version)candidate;
            return true;
        }
    }
    return false;
}
