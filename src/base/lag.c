/* How late ticks come; see lag.h. */
#include "stompd/base/lag.h"

#include <stdbool.h>

void lag_init(struct lag *lag, uint64_t interval_ms) {
    *lag = (struct lag){.interval_ms = interval_ms};
}

static uint64_t larger(uint64_t a, uint64_t b) {
    return a > b ? a : b;
}

/* A window without ticks, of a loop that stood still, is forgotten with the one before. */
static void turn_window(struct lag *lag, uint64_t now_ms) {
    if (now_ms < lag->window_end_ms)
        return;
    bool next = now_ms < lag->window_end_ms + LAG_WINDOW_MS;
    lag->worst_before_ms = next ? lag->worst_now_ms : 0;
    lag->worst_now_ms = 0;
    lag->window_end_ms = now_ms + LAG_WINDOW_MS;
}

/* Late is measured from the tick before: loops set a late timer anew from where it was handled. */
void lag_tick(struct lag *lag, uint64_t now_ms) {
    uint64_t late = lag->due_ms > 0 && now_ms > lag->due_ms ? now_ms - lag->due_ms : 0;
    lag->due_ms = now_ms + lag->interval_ms;
    turn_window(lag, now_ms);
    lag->worst_now_ms = larger(lag->worst_now_ms, late);
    counter_set(&lag->last_ms, late);
    counter_set(&lag->worst_ms, larger(lag->worst_now_ms, lag->worst_before_ms));
}
