/* Private to hub/: a start of a node is named "<node>:<boot id>", and its sessions' ids begin with that. */
#ifndef STOMPD_HUB_BOOT_H
#define STOMPD_HUB_BOOT_H

#include <string.h>

#include "stompd/base/bytes.h"

/* The name of the node, borrowed from the boot or session id; empty when there is none in it. */
static inline struct bytes boot_node(struct bytes boot) {
    const char *colon = boot.len > 0 ? memchr(boot.data, ':', boot.len) : NULL;
    return (struct bytes){boot.data, colon ? (size_t)(colon - boot.data) : 0};
}

#endif
