/*
 * Lag: how late a loop's regular tick comes, which is how long anything else on that loop may have had to wait. Written
 * by the loop's thread, read by any.
 */
#ifndef STOMPD_BASE_LAG_H
#define STOMPD_BASE_LAG_H

#include "stompd/base/counter.h"

/* The worst is that of the present window and of the one before. */
#define LAG_WINDOW_MS UINT64_C(60000)

struct lag {
    struct counter last_ms;  /* of the latest tick */
    struct counter worst_ms; /* within the last one or two windows */
    uint64_t interval_ms;    /* between ticks */
    uint64_t due_ms;         /* of the next tick; 0: no tick has come */
    uint64_t window_end_ms;
    uint64_t worst_now_ms;    /* of this window */
    uint64_t worst_before_ms; /* of the one before */
};

/* For a tick every interval_ms. */
void lag_init(struct lag *lag, uint64_t interval_ms);

/* The tick has come. The first one only begins. */
void lag_tick(struct lag *lag, uint64_t now_ms);

#endif
