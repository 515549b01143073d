/*
 * SipHash-1-3 with a key drawn at start-up, so that clients who choose names cannot choose collisions.
 */
#ifndef STOMPD_BASE_HASH_H
#define STOMPD_BASE_HASH_H

#include <stdint.h>

#include "stompd/base/bytes.h"

/* Draws the process's key (zero until then) from the kernel. Call once, before the first map and before any thread. */
void hash_seed(void);

/* The keyed hash of the bytes. Stable for the life of the process only. */
uint64_t hash_bytes(struct bytes bytes);

#endif
