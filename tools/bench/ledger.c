/* Streams and sets. */
#include "bench/ledger.h"

#include <stdlib.h>
#include <string.h>

#include "bench/fail.h"

void ledger_init_all(struct ledger *ledger, unsigned publishers, unsigned receivers) {
    *ledger = (struct ledger){.publishers = publishers, .receivers = receivers};
    ledger->streams = need_zeroed((size_t)publishers * receivers, sizeof *ledger->streams);
}

void ledger_init_one(struct ledger *ledger, unsigned publishers, unsigned receivers) {
    *ledger = (struct ledger){.publishers = publishers, .receivers = receivers};
    ledger->sets = need_zeroed(publishers, sizeof *ledger->sets);
    ledger->next = need_zeroed((size_t)publishers * receivers, sizeof *ledger->next);
}

void ledger_free(struct ledger *ledger) {
    for (unsigned n = 0; ledger->sets && n < ledger->publishers; n++)
        free(ledger->sets[n].bits);
    free(ledger->streams);
    free(ledger->sets);
    free(ledger->next);
    *ledger = (struct ledger){0};
}

static bool test_and_set(uint64_t *bits, uint64_t bit) {
    uint64_t mask = UINT64_C(1) << (bit % 64);
    bool was = bits[bit / 64] & mask;
    bits[bit / 64] |= mask;
    return was;
}

static void clear(uint64_t *bits, uint64_t bit) {
    bits[bit / 64] &= ~(UINT64_C(1) << (bit % 64));
}

/* The bits of the numbers that it skips stand for older ones, so they are cleared. */
static void stream_advance(struct ledger_stream *stream, uint64_t number) {
    uint64_t skipped = number - stream->next;
    if (skipped >= LEDGER_SEEN)
        memset(stream->seen, 0, sizeof stream->seen);
    else
        for (uint64_t n = stream->next; n < number; n++)
            clear(stream->seen, n % LEDGER_SEEN);
    stream->missing += skipped;
    stream->next = number + 1;
    clear(stream->seen, number % LEDGER_SEEN);
    (void)test_and_set(stream->seen, number % LEDGER_SEEN);
}

static bool stream_was_seen(struct ledger_stream *stream, uint64_t number) {
    bool is_remembered = number + LEDGER_SEEN >= stream->next;
    return stream->missing == 0 || !is_remembered || test_and_set(stream->seen, number % LEDGER_SEEN);
}

static bool take_from_stream(struct ledger *ledger, struct ledger_stream *stream, uint64_t number) {
    if (number >= stream->next) {
        stream_advance(stream, number);
        return true;
    }
    if (stream_was_seen(stream, number))
        return false;
    stream->missing--;
    ledger->reordered++;
    return true;
}

static void set_reserve(struct ledger_set *set, uint64_t number) {
    uint64_t capacity = set->capacity ? set->capacity : 4096;
    while (capacity <= number)
        capacity *= 2;
    if (capacity == set->capacity)
        return;
    set->bits = need(realloc(set->bits, capacity / 8));
    memset(set->bits + set->capacity / 64, 0, (capacity - set->capacity) / 8);
    set->capacity = capacity;
}

static bool take_from_set(struct ledger *ledger, unsigned publisher, unsigned receiver, uint64_t number) {
    struct ledger_set *set = &ledger->sets[publisher];
    uint64_t *next = &ledger->next[(size_t)publisher * ledger->receivers + receiver];
    set_reserve(set, number);
    if (test_and_set(set->bits, number))
        return false;
    if (number < *next)
        ledger->reordered++;
    else
        *next = number + 1;
    return true;
}

bool ledger_take(struct ledger *ledger, unsigned publisher, unsigned receiver, uint64_t number) {
    size_t stream = (size_t)publisher * ledger->receivers + receiver;
    bool is_new = ledger->streams ? take_from_stream(ledger, &ledger->streams[stream], number)
                                  : take_from_set(ledger, publisher, receiver, number);
    if (is_new)
        ledger->received++;
    else
        ledger->duplicates++;
    return is_new;
}
