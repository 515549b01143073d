/*
 * The timer wheel: a list of timers per tick, modulo one turn. A slot also holds timers of later turns, so each visit
 * looks at the due time itself. An advance begins with the tick at which the last one ended: that is where overdue
 * timers are put.
 */
#include "stompd/base/timer.h"

void timer_wheel_init(struct timer_wheel *wheel, uint64_t now_ms) {
    for (size_t n = 0; n < TIMER_SLOTS; n++)
        list_init(&wheel->slots[n]);
    wheel->tick = now_ms / TIMER_TICK_MS;
    wheel->pending = 0;
}

void timer_init(struct timer *timer, void (*fire)(struct timer *timer, uint64_t now_ms)) {
    list_init(&timer->node);
    timer->due_ms = 0;
    timer->fire = fire;
}

void timer_set(struct timer_wheel *wheel, struct timer *timer, uint64_t due_ms) {
    timer_cancel(wheel, timer);
    uint64_t tick = due_ms / TIMER_TICK_MS;
    if (tick < wheel->tick)
        tick = wheel->tick;
    timer->due_ms = due_ms;
    list_append(&wheel->slots[tick % TIMER_SLOTS], &timer->node);
    wheel->pending++;
}

void timer_cancel(struct timer_wheel *wheel, struct timer *timer) {
    if (!list_is_linked(&timer->node))
        return;
    list_remove(&timer->node);
    wheel->pending--;
}

static void collect_due(struct list_node *slot, struct list_node *due, uint64_t now_ms) {
    LIST_FOR_EACH (node, slot) {
        if (CONTAINER_OF(node, struct timer, node)->due_ms <= now_ms) {
            list_remove(node);
            list_append(due, node);
        }
    }
}

void timer_wheel_advance(struct timer_wheel *wheel, uint64_t now_ms) {
    uint64_t last = now_ms / TIMER_TICK_MS;
    uint64_t ticks = last - wheel->tick + 1;
    if (ticks > TIMER_SLOTS)
        ticks = TIMER_SLOTS; /* one whole turn meets every timer */
    /*
     * Collected before any fires: no callback meets a slot that is being walked, and what it sets waits for the next
     * advance.
     */
    struct list_node due;
    list_init(&due);
    for (uint64_t n = 0; n < ticks; n++)
        collect_due(&wheel->slots[(wheel->tick + n) % TIMER_SLOTS], &due, now_ms);
    wheel->tick = last;
    for (struct list_node *node; (node = list_take_first(&due));) {
        struct timer *timer = CONTAINER_OF(node, struct timer, node);
        wheel->pending--;
        timer->fire(timer, now_ms);
    }
}
