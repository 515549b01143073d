/*
 * Timer wheel: thousands of coarse timers at O(1) each to set and cancel. One owner, no threads, time as an argument. A
 * timer fires at or after its due time, at most one tick (TIMER_TICK_MS) late when the wheel is advanced every tick.
 */
#ifndef STOMPD_BASE_TIMER_H
#define STOMPD_BASE_TIMER_H

#include <stddef.h>
#include <stdint.h>

#include "stompd/base/list.h"

#define TIMER_TICK_MS 100
#define TIMER_SLOTS   512 /* one turn of the wheel: 51.2 s; later timers go round again */

struct timer {
    struct list_node node;
    uint64_t due_ms;
    void (*fire)(struct timer *timer, uint64_t now_ms); /* may set, cancel or free this timer and any other */
};

struct timer_wheel {
    struct list_node slots[TIMER_SLOTS];
    uint64_t tick;  /* the last tick that was run */
    size_t pending; /* timers set */
};

/* An empty wheel that begins at now_ms. */
void timer_wheel_init(struct timer_wheel *wheel, uint64_t now_ms);

/* A timer that is not set. */
void timer_init(struct timer *timer, void (*fire)(struct timer *timer, uint64_t now_ms));

/* Sets or moves the timer. A due time that has passed fires at the next advance. */
void timer_set(struct timer_wheel *wheel, struct timer *timer, uint64_t due_ms);

/* Does nothing when the timer is not set. */
void timer_cancel(struct timer_wheel *wheel, struct timer *timer);

/* Fires all that is due by now_ms; a timer set within a callback for a time already past fires at the next advance. */
void timer_wheel_advance(struct timer_wheel *wheel, uint64_t now_ms);

#endif
