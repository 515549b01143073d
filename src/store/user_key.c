/* The forms 'u' NAME NUL REST and 's' SESSION-ID NUL REST, an id being "<node>:" and more. */
#include "user_key.h"

#include "stompd/route/destination.h"

static bool has_control_character(struct bytes text) {
    for (size_t n = 0; n < text.len; n++) {
        unsigned char c = (unsigned char)text.data[n];
        if (c < 0x20 || c == 0x7f)
            return true;
    }
    return false;
}

/* Up to the first `end`, which is left out; *rest is what follows it. False: there is none. */
static bool take_until(struct bytes text, char end, struct bytes *taken, struct bytes *rest) {
    const char *found = text.len > 0 ? memchr(text.data, end, text.len) : NULL;
    if (!found)
        return false;
    *taken = (struct bytes){text.data, (size_t)(found - text.data)};
    *rest = bytes_skip(text, taken->len + 1);
    return true;
}

static bool rest_fits(struct bytes rest) {
    return rest.len > 1 && rest.len <= DESTINATION_LEN_MAX && rest.data[0] == '/' && !has_control_character(rest);
}

bool user_key_split(struct bytes key, struct user_key *split) {
    struct bytes owner, id_rest;
    *split = (struct user_key){.anonymous = key.len > 0 && key.data[0] == 's'};
    if (key.len == 0 || (key.data[0] != 'u' && !split->anonymous) ||
        !take_until(bytes_skip(key, 1), '\0', &owner, &split->rest) || !rest_fits(split->rest))
        return false;
    if (split->anonymous)
        return take_until(owner, ':', &split->node, &id_rest) && split->node.len > 0;
    split->user = owner;
    return owner.len > 0 && owner.len <= DESTINATION_USER_MAX && !has_control_character(owner);
}
