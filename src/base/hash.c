/*
 * SipHash-1-3 (Aumasson and Bernstein): one round a word, three at the end. The key belongs to the process, because all
 * maps have to agree on it; it is written once, before there are threads.
 */
#include "stompd/base/hash.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

#include "stompd/base/log.h"

static uint64_t key[2];

void hash_seed(void) {
    if (getentropy(key, sizeof key) != 0) {
        log_error("cannot draw a hash key from the kernel: %s", strerror(errno));
        exit(EXIT_FAILURE);
    }
}

static inline uint64_t rotate_left(uint64_t word, unsigned by) {
    return word << by | word >> (64 - by);
}

static inline void mix(uint64_t v[4]) {
    v[0] += v[1];
    v[2] += v[3];
    v[1] = rotate_left(v[1], 13) ^ v[0];
    v[3] = rotate_left(v[3], 16) ^ v[2];
    v[0] = rotate_left(v[0], 32) + v[3];
    v[2] += v[1];
    v[1] = rotate_left(v[1], 17) ^ v[2];
    v[3] = rotate_left(v[3], 21) ^ v[0];
    v[2] = rotate_left(v[2], 32);
}

static inline void take_in(uint64_t v[4], uint64_t word) {
    v[3] ^= word;
    mix(v);
    v[0] ^= word;
}

uint64_t hash_bytes(struct bytes bytes) {
    uint64_t v[4] = {key[0] ^ 0x736f6d6570736575, key[1] ^ 0x646f72616e646f6d, key[0] ^ 0x6c7967656e657261,
                     key[1] ^ 0x7465646279746573};
    uint64_t word = 0;
    size_t whole = bytes.len - bytes.len % sizeof word;
    for (size_t at = 0; at < whole; at += sizeof word) {
        memcpy(&word, bytes.data + at, sizeof word);
        take_in(v, le64toh(word));
    }
    word = 0;
    if (bytes.len > whole)
        memcpy(&word, bytes.data + whole, bytes.len - whole);
    take_in(v, le64toh(word) | (uint64_t)bytes.len << 56);
    v[2] ^= 0xff;
    mix(v);
    mix(v);
    mix(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}
