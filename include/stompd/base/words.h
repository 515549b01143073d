/*
 * Text looked at eight bytes at a time: a word is loaded so that its lowest byte is the first of the text, and a search
 * sets the highest bit of bytes. Of what a search has found only the first is certain, since a hit may make the byte
 * behind it look like one too; so several searches are joined by `|`, and one that has found nothing is 0.
 */
#ifndef STOMPD_BASE_WORDS_H
#define STOMPD_BASE_WORDS_H

#include <endian.h>
#include <stdint.h>

#include "stompd/base/bytes.h"

#define WORD_SIZE sizeof(uint64_t)

/* A word of eight times that byte. */
#define WORD_OF(byte) (UINT64_MAX / UINT8_MAX * (byte))

/* The next eight bytes, wherever they begin. */
static inline uint64_t word_at(const char *text) {
    uint64_t word;
    memcpy(&word, text, sizeof word);
    return le64toh(word);
}

/* Less than eight bytes, and blanks in the place of others. */
static inline uint64_t word_of(const char *text, size_t len) {
    uint64_t word = WORD_OF(' ');
    memcpy(&word, text, len);
    return le64toh(word);
}

/* Bytes above 127; these are all certain. */
static inline uint64_t word_find_high(uint64_t word) {
    return word & WORD_OF(0x80);
}

/* Bytes below the limit, which is 128 at most. */
static inline uint64_t word_find_below(uint64_t word, unsigned char limit) {
    return (word - WORD_OF(limit)) & ~word & WORD_OF(0x80);
}

/* Bytes that are c, which is below 128. */
static inline uint64_t word_find(uint64_t word, unsigned char c) {
    return ((word ^ WORD_OF(c)) - WORD_OF(1)) & ~word & WORD_OF(0x80);
}

/* Where the first of what was found stands; `found` is not 0. */
static inline size_t word_first(uint64_t found) {
    return (size_t)__builtin_ctzll(found) / 8;
}

/* Whether the search finds anything in the text. It must not be for blanks. */
static inline bool words_have(struct bytes text, uint64_t (*search)(uint64_t word)) {
    if (text.len == 0)
        return false;
    if (text.len < WORD_SIZE)
        return search(word_of(text.data, text.len)) != 0;
    size_t last = text.len - WORD_SIZE; /* may begin within the word before */
    uint64_t found = search(word_at(text.data + last));
    for (size_t at = 0; at < last; at += WORD_SIZE)
        found |= search(word_at(text.data + at));
    return found != 0;
}

#endif
