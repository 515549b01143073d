/* The worker's loop on libuv: one wake-up handle, one repeating timer, and libwebsockets as a guest. */
#include "stompd/edge/loop.h"

#include <libwebsockets.h>
#include <stdlib.h>
#include <uv.h>

#include "stompd/base/timer.h"

struct loop {
    uv_loop_t uv;
    uv_async_t wake;
    uv_timer_t timer;
    void (*tick)(void *arg);
    void *arg;
};

static void on_wake(uv_async_t *async) {
    (void)async; /* the turn ends, and its owner looks into the mailbox */
}

static void on_timer(uv_timer_t *timer) {
    struct loop *loop = timer->data;
    loop->tick(loop->arg);
}

struct loop *loop_new(void (*tick)(void *arg), void *arg) {
    struct loop *loop = calloc(1, sizeof *loop);
    if (!loop)
        return NULL;
    loop->tick = tick;
    loop->arg = arg;
    if (uv_loop_init(&loop->uv) != 0) {
        free(loop);
        return NULL;
    }
    if (uv_async_init(&loop->uv, &loop->wake, on_wake) != 0) {
        uv_loop_close(&loop->uv);
        free(loop);
        return NULL;
    }
    uv_timer_init(&loop->uv, &loop->timer);
    loop->timer.data = loop;
    uv_timer_start(&loop->timer, on_timer, TIMER_TICK_MS, TIMER_TICK_MS);
    return loop;
}

void *loop_native(struct loop *loop) {
    return &loop->uv;
}

unsigned long long loop_lws_option(void) {
    return LWS_SERVER_OPTION_LIBUV;
}

void loop_turn(struct loop *loop) {
    uv_run(&loop->uv, UV_RUN_ONCE);
}

uint64_t loop_time_ms(const struct loop *loop) {
    return uv_now(&loop->uv) + 1; /* as clock_ms() counts */
}

void loop_wake(void *loop) {
    uv_async_send(&((struct loop *)loop)->wake);
}

/* A foreign loop's context is destroyed in two calls; its handles close in the turns between them. */
static void destroy_context(struct loop *loop, struct lws_context *context) {
    lws_context_destroy(context);
    uv_run(&loop->uv, UV_RUN_NOWAIT);
    uv_run(&loop->uv, UV_RUN_NOWAIT);
    lws_context_destroy(context);
}

void loop_free(struct loop *loop, struct lws_context *context) {
    if (!loop)
        return;
    uv_timer_stop(&loop->timer);
    if (context)
        destroy_context(loop, context);
    uv_close((uv_handle_t *)&loop->wake, NULL);
    uv_close((uv_handle_t *)&loop->timer, NULL);
    uv_run(&loop->uv, UV_RUN_DEFAULT);
    uv_loop_close(&loop->uv);
    free(loop);
}
