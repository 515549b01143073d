/* The timer wheel in fake time: rule by rule, then against a model that looks at every timer. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <setjmp.h>

#include <cmocka.h>

#include "random.h"
#include "stompd/base/timer.h"

#define START_MS 1234567
#define TICK_MS  ((uint64_t)TIMER_TICK_MS)
#define TURN_MS  (TICK_MS * TIMER_SLOTS)

/* A timer that counts, and may act on its wheel when it fires. */
struct probe {
    struct timer timer;
    struct timer_wheel *wheel;
    unsigned fired;
    uint64_t fired_ms;
    void (*act)(struct probe *probe);
    struct probe *other;
};

static void probe_fire(struct timer *timer, uint64_t now_ms) {
    struct probe *probe = CONTAINER_OF(timer, struct probe, timer);
    probe->fired++;
    probe->fired_ms = now_ms;
    if (probe->act)
        probe->act(probe);
}

static struct probe probe_of(struct timer_wheel *wheel) {
    struct probe probe = {.wheel = wheel};
    return probe;
}

static void fires_at_its_due_time_and_only_once(void **state) {
    (void)state;
    struct timer_wheel wheel;
    timer_wheel_init(&wheel, START_MS);
    struct probe probe = probe_of(&wheel);
    timer_init(&probe.timer, probe_fire);
    timer_set(&wheel, &probe.timer, START_MS + 5000);
    assert_int_equal(wheel.pending, 1);
    timer_wheel_advance(&wheel, START_MS + 4999);
    assert_int_equal(probe.fired, 0);
    timer_wheel_advance(&wheel, START_MS + 5000);
    assert_int_equal(probe.fired, 1);
    assert_int_equal(probe.fired_ms, START_MS + 5000);
    assert_int_equal(wheel.pending, 0);
    timer_wheel_advance(&wheel, START_MS + 5000 + 3 * TURN_MS);
    assert_int_equal(probe.fired, 1);
}

static void is_at_most_one_tick_late_for_any_due_time(void **state) {
    (void)state;
    for (uint64_t after = 0; after < 3 * TICK_MS; after++) {
        struct timer_wheel wheel;
        timer_wheel_init(&wheel, START_MS);
        struct probe probe = probe_of(&wheel);
        timer_init(&probe.timer, probe_fire);
        timer_set(&wheel, &probe.timer, START_MS + after);
        for (uint64_t now = START_MS; now <= START_MS + 4 * TICK_MS; now += TICK_MS)
            timer_wheel_advance(&wheel, now);
        assert_int_equal(probe.fired, 1);
        assert_in_range(probe.fired_ms, START_MS + after, START_MS + after + TICK_MS - 1);
    }
}

static void waits_as_many_turns_of_the_wheel_as_it_has_to(void **state) {
    (void)state;
    for (uint64_t turns = 1; turns <= 3; turns++) {
        struct timer_wheel wheel;
        timer_wheel_init(&wheel, START_MS);
        struct probe probe = probe_of(&wheel);
        timer_init(&probe.timer, probe_fire);
        timer_set(&wheel, &probe.timer, START_MS + turns * TURN_MS);
        uint64_t now = START_MS;
        while (probe.fired == 0)
            timer_wheel_advance(&wheel, now += TICK_MS);
        assert_int_equal(probe.fired_ms, START_MS + turns * TURN_MS);
    }
}

static void due_time_in_the_past_fires_at_the_next_advance(void **state) {
    (void)state;
    struct timer_wheel wheel;
    timer_wheel_init(&wheel, START_MS);
    struct probe probe = probe_of(&wheel);
    timer_init(&probe.timer, probe_fire);
    timer_set(&wheel, &probe.timer, 0);
    assert_int_equal(probe.fired, 0);
    timer_wheel_advance(&wheel, START_MS);
    assert_int_equal(probe.fired, 1);
}

static void setting_again_moves_the_timer(void **state) {
    (void)state;
    struct timer_wheel wheel;
    timer_wheel_init(&wheel, START_MS);
    struct probe probe = probe_of(&wheel);
    timer_init(&probe.timer, probe_fire);
    timer_set(&wheel, &probe.timer, START_MS + 1000);
    timer_set(&wheel, &probe.timer, START_MS + 3000);
    assert_int_equal(wheel.pending, 1);
    timer_wheel_advance(&wheel, START_MS + 2999);
    assert_int_equal(probe.fired, 0);
    timer_set(&wheel, &probe.timer, START_MS + 3100);
    timer_wheel_advance(&wheel, START_MS + 3100);
    assert_int_equal(probe.fired, 1);
}

static void cancelled_timer_never_fires(void **state) {
    (void)state;
    struct timer_wheel wheel;
    timer_wheel_init(&wheel, START_MS);
    struct probe probe = probe_of(&wheel);
    timer_init(&probe.timer, probe_fire);
    timer_cancel(&wheel, &probe.timer);
    assert_int_equal(wheel.pending, 0);
    timer_set(&wheel, &probe.timer, START_MS + 1000);
    timer_cancel(&wheel, &probe.timer);
    assert_int_equal(wheel.pending, 0);
    timer_wheel_advance(&wheel, START_MS + TURN_MS);
    assert_int_equal(probe.fired, 0);
}

/* ---- callbacks that change the wheel ---- */

static void set_self_for_the_past(struct probe *probe) {
    timer_set(probe->wheel, &probe->timer, START_MS);
}

static void timer_set_for_the_past_by_a_callback_waits_for_the_next_advance(void **state) {
    (void)state;
    struct timer_wheel wheel;
    timer_wheel_init(&wheel, START_MS);
    struct probe probe = probe_of(&wheel);
    probe.act = set_self_for_the_past;
    timer_init(&probe.timer, probe_fire);
    timer_set(&wheel, &probe.timer, START_MS + 100);
    for (unsigned advance = 1; advance <= 3; advance++) {
        timer_wheel_advance(&wheel, START_MS + 10000);
        assert_int_equal(probe.fired, advance);
    }
    assert_int_equal(wheel.pending, 1);
}

static void cancel_other(struct probe *probe) {
    timer_cancel(probe->wheel, &probe->other->timer);
}

static void callback_may_cancel_a_timer_that_is_due_as_well(void **state) {
    (void)state;
    struct timer_wheel wheel;
    timer_wheel_init(&wheel, START_MS);
    struct probe first = probe_of(&wheel);
    struct probe second = probe_of(&wheel);
    first.act = cancel_other;
    first.other = &second;
    timer_init(&first.timer, probe_fire);
    timer_init(&second.timer, probe_fire);
    timer_set(&wheel, &first.timer, START_MS + 100);
    timer_set(&wheel, &second.timer, START_MS + 200);
    timer_wheel_advance(&wheel, START_MS + 1000);
    assert_int_equal(first.fired, 1);
    assert_int_equal(second.fired, 0);
    assert_int_equal(wheel.pending, 0);
}

static void postpone_other(struct probe *probe) {
    timer_set(probe->wheel, &probe->other->timer, START_MS + 2000);
}

static void callback_may_postpone_a_timer_that_is_due_as_well(void **state) {
    (void)state;
    struct timer_wheel wheel;
    timer_wheel_init(&wheel, START_MS);
    struct probe first = probe_of(&wheel);
    struct probe second = probe_of(&wheel);
    first.act = postpone_other;
    first.other = &second;
    timer_init(&first.timer, probe_fire);
    timer_init(&second.timer, probe_fire);
    timer_set(&wheel, &first.timer, START_MS + 100);
    timer_set(&wheel, &second.timer, START_MS + 100);
    timer_wheel_advance(&wheel, START_MS + 1999);
    assert_int_equal(second.fired, 0);
    timer_wheel_advance(&wheel, START_MS + 2000);
    assert_int_equal(second.fired, 1);
}

static void free_other_and_self(struct probe *probe) {
    timer_cancel(probe->wheel, &probe->other->timer);
    free(probe->other);
    free(probe);
}

static void callback_may_free_its_timer_and_others(void **state) {
    (void)state;
    struct timer_wheel wheel;
    timer_wheel_init(&wheel, START_MS);
    struct probe *first = malloc(sizeof *first);
    struct probe *second = malloc(sizeof *second);
    assert_true(first && second);
    *first = *second = probe_of(&wheel);
    first->act = free_other_and_self;
    first->other = second;
    timer_init(&first->timer, probe_fire);
    timer_init(&second->timer, probe_fire);
    timer_set(&wheel, &first->timer, START_MS + 100);
    timer_set(&wheel, &second->timer, START_MS + 100);
    timer_wheel_advance(&wheel, START_MS + 200);
    assert_int_equal(wheel.pending, 0);
}

/* ---- jumps ---- */

/* A wheel that walked each tick of this jump would not come to an end. */
static void far_jump_fires_all_that_is_due_and_leaves_the_wheel_right(void **state) {
    (void)state;
    const uint64_t far_ms = (uint64_t)1 << 60;
    struct timer_wheel wheel;
    timer_wheel_init(&wheel, START_MS);
    struct probe probes[TIMER_SLOTS];
    for (size_t n = 0; n < TIMER_SLOTS; n++) {
        probes[n] = probe_of(&wheel);
        timer_init(&probes[n].timer, probe_fire);
        timer_set(&wheel, &probes[n].timer, START_MS + n * (TURN_MS + TICK_MS));
    }
    struct probe later = probe_of(&wheel);
    timer_init(&later.timer, probe_fire);
    timer_set(&wheel, &later.timer, far_ms + 250);
    timer_wheel_advance(&wheel, far_ms);
    for (size_t n = 0; n < TIMER_SLOTS; n++)
        assert_int_equal(probes[n].fired, 1);
    assert_int_equal(later.fired, 0);
    assert_int_equal(wheel.tick, far_ms / TICK_MS);
    timer_wheel_advance(&wheel, far_ms + 249);
    assert_int_equal(later.fired, 0);
    timer_wheel_advance(&wheel, far_ms + 250);
    assert_int_equal(later.fired, 1);
}

/* ---- the model ---- */

#define MODEL_TIMERS 200
#define NOT_SET      UINT64_MAX

struct model {
    struct timer_wheel wheel;
    uint64_t seed;
    uint64_t now_ms;
    unsigned advance; /* counts the calls */
    bool advancing;
    struct model_timer *timers[MODEL_TIMERS];
};

/* What the model knows of a timer: when it is due, and during which advance it was set (0: between two). */
struct model_timer {
    struct timer timer;
    struct model *model;
    uint64_t due_ms;
    unsigned set_during;
};

static void act_at_random(struct model *model);

static void model_fire(struct timer *timer, uint64_t now_ms) {
    struct model_timer *fired = CONTAINER_OF(timer, struct model_timer, timer);
    struct model *model = fired->model;
    assert_true(model->advancing);
    assert_int_equal(now_ms, model->now_ms);
    assert_true(fired->due_ms != NOT_SET && fired->due_ms <= now_ms);
    assert_true(fired->set_during != model->advance);
    fired->due_ms = NOT_SET;
    for (uint64_t acts = random_below(&model->seed, 4); acts > 0; acts--)
        act_at_random(model);
}

static struct model_timer *model_timer_new(struct model *model) {
    struct model_timer *timer = malloc(sizeof *timer);
    assert_non_null(timer);
    *timer = (struct model_timer){.model = model, .due_ms = NOT_SET};
    timer_init(&timer->timer, model_fire);
    return timer;
}

static uint64_t random_due(struct model *model) {
    switch (random_below(&model->seed, 4)) {
    case 0:
        return model->now_ms - random_below(&model->seed, 1000);
    case 1:
        return model->now_ms + random_below(&model->seed, 5 * TURN_MS);
    default:
        return model->now_ms + random_below(&model->seed, 3000);
    }
}

static void act_at_random(struct model *model) {
    size_t n = random_below(&model->seed, MODEL_TIMERS);
    struct model_timer *timer = model->timers[n];
    switch (random_below(&model->seed, 8)) {
    case 0:
        timer_cancel(&model->wheel, &timer->timer);
        timer->due_ms = NOT_SET;
        break;
    case 1:
        timer_cancel(&model->wheel, &timer->timer);
        free(timer);
        model->timers[n] = model_timer_new(model);
        break;
    default:
        timer->due_ms = random_due(model);
        timer->set_during = model->advancing ? model->advance : 0;
        timer_set(&model->wheel, &timer->timer, timer->due_ms);
    }
}

static uint64_t random_step(struct model *model) {
    switch (random_below(&model->seed, 16)) {
    case 0:
        return random_below(&model->seed, 3 * TURN_MS);
    case 1:
        return 0;
    default:
        return random_below(&model->seed, 4 * TICK_MS);
    }
}

/* Nothing that was due is left, and the wheel counts what is. Timers set during this advance may be overdue. */
static void check_nothing_was_missed(const struct model *model) {
    size_t pending = 0;
    for (size_t n = 0; n < MODEL_TIMERS; n++) {
        const struct model_timer *timer = model->timers[n];
        pending += timer->due_ms != NOT_SET;
        assert_true(timer->due_ms > model->now_ms || timer->set_during == model->advance);
    }
    assert_int_equal(model->wheel.pending, pending);
}

static void wheel_fires_exactly_what_a_model_says(void **state) {
    (void)state;
    struct model model = {.seed = 42, .now_ms = START_MS};
    timer_wheel_init(&model.wheel, model.now_ms);
    for (size_t n = 0; n < MODEL_TIMERS; n++)
        model.timers[n] = model_timer_new(&model);
    while (model.advance < 20000) {
        for (uint64_t acts = random_below(&model.seed, 6); acts > 0; acts--)
            act_at_random(&model);
        model.now_ms += random_step(&model);
        model.advance++;
        model.advancing = true;
        timer_wheel_advance(&model.wheel, model.now_ms);
        model.advancing = false;
        check_nothing_was_missed(&model);
    }
    for (size_t n = 0; n < MODEL_TIMERS; n++)
        free(model.timers[n]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fires_at_its_due_time_and_only_once),
        cmocka_unit_test(is_at_most_one_tick_late_for_any_due_time),
        cmocka_unit_test(waits_as_many_turns_of_the_wheel_as_it_has_to),
        cmocka_unit_test(due_time_in_the_past_fires_at_the_next_advance),
        cmocka_unit_test(setting_again_moves_the_timer),
        cmocka_unit_test(cancelled_timer_never_fires),
        cmocka_unit_test(timer_set_for_the_past_by_a_callback_waits_for_the_next_advance),
        cmocka_unit_test(callback_may_cancel_a_timer_that_is_due_as_well),
        cmocka_unit_test(callback_may_postpone_a_timer_that_is_due_as_well),
        cmocka_unit_test(callback_may_free_its_timer_and_others),
        cmocka_unit_test(far_jump_fires_all_that_is_due_and_leaves_the_wheel_right),
        cmocka_unit_test(wheel_fires_exactly_what_a_model_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
