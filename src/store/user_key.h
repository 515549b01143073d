/*
 * Private to store/: the routing keys of user destinations (destination.h, destination_user_key()) taken apart again,
 * strictly, since they also come in from outside.
 */
#ifndef STOMPD_STORE_USER_KEY_H
#define STOMPD_STORE_USER_KEY_H

#include "stompd/base/bytes.h"
#include "stompd/base/compiler.h"

struct user_key {
    bool anonymous;
    struct bytes user; /* of a named user; else empty */
    struct bytes node; /* of an anonymous session: the node that its id begins with; else empty */
    struct bytes rest; /* begins with "/" */
};

/* Borrows from the key. False: it has another form, so nobody can be subscribed by it. */
MUST_CHECK bool user_key_split(struct bytes key, struct user_key *split);

#endif
