/*
 * The registry against a model of the store, in a seeded random order: sessions come and go, calls are carried out and
 * answered late, the link breaks with calls carried out and not answered, the server refuses, is emptied, or another
 * node buries this one. Whenever the registry says that it is settled, and once all is quiet, the store's copy must be
 * the truth.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "../../src/hub/registry.h"
#include "base/random.h"
#include "scripted_store.h"

#define SEEDS        400
#define STEPS        600
#define SESSIONS_MAX STEPS
#define USERS        7
#define PAGE         5

/* Users by session number; 0: it is not there. */
typedef uint8_t copy[SESSIONS_MAX];

struct run {
    struct scripted_store scripted;
    struct registry *registry;
    uint64_t seed;
    uint64_t random;
    uint64_t now;
    copy truth;
    unsigned opened;
    copy stored;
    bool entry; /* this boot has one among the nodes */
    bool up;
    bool renewing;
    bool tampered; /* with the store, and this node has not noticed */
};

static unsigned below(struct run *run, unsigned bound) {
    return (unsigned)random_below(&run->random, bound);
}

/* ---- the server ---- */

static unsigned number_of(const char *id) {
    unsigned number;
    assert_int_equal(sscanf(id, "a:1-%u", &number), 1);
    return number;
}

static uint8_t user_of(const char *name) {
    unsigned number;
    assert_int_equal(sscanf(name, "u%u", &number), 1);
    return (uint8_t)number;
}

/* `part`: only some of it, as when the server refuses amid a script. */
static enum store_result write_sessions(struct run *run, const struct scripted_call *call, bool part) {
    if (!run->entry)
        return STORE_GONE;
    for (size_t n = 0; n < call->count; n++) {
        unsigned session = number_of(call->sessions[n].id);
        uint8_t user = user_of(call->sessions[n].user);
        if (part && below(run, 2) == 0)
            continue;
        if (call->kind == SCRIPTED_REMOVE && run->stored[session] != 0)
            assert_int_equal(run->stored[session], user);
        run->stored[session] = call->kind == SCRIPTED_ADD ? user : 0;
    }
    return STORE_OK;
}

struct page {
    struct store_session sessions[PAGE + 1];
    char names[PAGE + 1][2][24];
};

static void put_into_page(struct run *run, struct page *page, struct store_answer *answer, unsigned session) {
    size_t n = answer->session_count++;
    snprintf(page->names[n][0], sizeof page->names[n][0], "a:1-%u", session);
    snprintf(page->names[n][1], sizeof page->names[n][1], "u%u", run->stored[session]);
    page->sessions[n] = (struct store_session){bytes_of(page->names[n][0]), bytes_of(page->names[n][1])};
}

/* As HSCAN: what is there all the time comes, and some of it twice. */
static void read_page(struct run *run, uint64_t cursor, struct page *page, struct store_answer *answer) {
    unsigned session = (unsigned)cursor;
    answer->sessions = page->sessions;
    while (session < SESSIONS_MAX && answer->session_count < PAGE) {
        if (run->stored[session] != 0) {
            put_into_page(run, page, answer, session);
            if (below(run, 8) == 0)
                put_into_page(run, page, answer, session);
        }
        session++;
    }
    answer->cursor = session < SESSIONS_MAX ? session : 0;
}

/* Carries the call out. */
static void execute(struct run *run, const struct scripted_call *call, struct page *page, struct store_answer *answer,
                    bool refused) {
    switch (call->kind) {
    case SCRIPTED_RENEW:
        answer->result = run->entry ? STORE_OK : STORE_GONE;
        run->entry = true;
        break;
    case SCRIPTED_PAGE:
        read_page(run, call->cursor, page, answer);
        break;
    default:
        answer->result = write_sessions(run, call, refused);
    }
    if (refused && answer->result != STORE_GONE)
        *answer = (struct store_answer){.result = STORE_FAILED};
}

static void execute_and_answer(struct run *run, bool refused) {
    struct page page;
    struct store_answer answer = {.result = STORE_OK};
    const struct scripted_call *call = scripted_first(&run->scripted);
    if (!call)
        return;
    execute(run, call, &page, &answer, refused && call->kind != SCRIPTED_RENEW);
    scripted_answer(&run->scripted, &answer);
}

static void empty_server(struct run *run) {
    memset(run->stored, 0, sizeof run->stored);
    run->entry = false;
    run->tampered = true;
}

/* Somebody takes this node for dead, and has cleaned up some of what it left. */
static void bury_half(struct run *run) {
    for (unsigned n = 0; n < SESSIONS_MAX; n++)
        if (below(run, 2) == 0)
            run->stored[n] = 0;
    run->entry = false;
    run->tampered = true;
}

/* ---- the node ---- */

static void on_renewed(void *arg, const struct store_answer *answer) {
    struct run *run = arg;
    run->renewing = false;
    if (answer->result != STORE_GONE)
        return;
    run->tampered = false;
    registry_restore(run->registry);
}

static void renew(struct run *run) {
    if (!run->up || run->renewing)
        return;
    run->renewing = true;
    run->scripted.store.ops->renew(&run->scripted.store, (struct store_call){on_renewed, run});
}

static void on_gone(void *arg) {
    renew(arg);
}

static void link_up(struct run *run) {
    if (run->up)
        return;
    run->up = true;
    run->tampered = !run->entry; /* what was done before is compared now */
    renew(run);
    registry_restore(run->registry);
}

/* Some of the calls that have no answer were carried out all the same. */
static void link_down(struct run *run) {
    struct page page;
    size_t carried_out = below(run, (unsigned)run->scripted.waiting + 1);
    if (!run->up)
        return;
    LIST_FOR_EACH (node, &run->scripted.calls) {
        struct store_answer unheard = {.result = STORE_OK};
        if (carried_out-- == 0)
            break;
        execute(run, CONTAINER_OF(node, struct scripted_call, in_list), &page, &unheard, false);
    }
    run->up = false;
    scripted_break(&run->scripted);
    registry_down(run->registry);
}

static void open_one(struct run *run) {
    char id[24];
    char user[24];
    uint8_t number = (uint8_t)(1 + below(run, USERS));
    snprintf(id, sizeof id, "a:1-%u", run->opened);
    snprintf(user, sizeof user, "u%u", number);
    run->truth[run->opened++] = number;
    registry_open(run->registry, bytes_of(id), bytes_of(user));
}

static void close_one(struct run *run) {
    char id[24];
    unsigned session = run->opened > 0 ? below(run, run->opened) : 0;
    while (session > 0 && run->truth[session] == 0)
        session--;
    snprintf(id, sizeof id, "a:1-%u", session);
    run->truth[session] = 0;
    registry_close(run->registry, bytes_of(id));
}

static void flush(struct run *run, uint64_t passed_ms) {
    run->now += passed_ms;
    registry_flush(run->registry, run->now);
}

static void expect_equal(struct run *run) {
    for (unsigned n = 0; n < SESSIONS_MAX; n++)
        if (run->stored[n] != run->truth[n])
            fail_msg("seed %u: session %u has user %u in the store, %u in truth", (unsigned)run->seed, n,
                     run->stored[n], run->truth[n]);
}

static void step(struct run *run) {
    unsigned dice = below(run, 1000);
    if (dice < 250)
        open_one(run);
    else if (dice < 470)
        close_one(run);
    else if (dice < 650)
        flush(run, below(run, 1000));
    else if (dice < 920)
        execute_and_answer(run, below(run, 20) == 0);
    else if (dice < 950)
        renew(run);
    else if (dice < 980)
        link_up(run);
    else if (dice < 990)
        link_down(run);
    else if (dice < 995)
        empty_server(run);
    else
        bury_half(run);
    assert_true(run->up || run->scripted.waiting == 0);
    if (registry_is_settled(run->registry) && !run->tampered)
        expect_equal(run);
}

/* Nothing happens any more but what has begun. */
static void come_to_rest(struct run *run) {
    link_up(run);
    for (int n = 0; n < 200 * SESSIONS_MAX; n++) {
        renew(run);
        flush(run, 100);
        execute_and_answer(run, false);
        if (registry_is_settled(run->registry) && !run->tampered && !run->renewing)
            return;
    }
    fail_msg("seed %u: it never comes to rest", (unsigned)run->seed);
}

static void run_seed(uint64_t seed) {
    static struct run run;
    run = (struct run){.seed = seed, .random = seed, .now = 1000000};
    scripted_init(&run.scripted);
    run.registry = registry_new(&run.scripted.store, on_gone, &run);
    assert_non_null(run.registry);
    for (int n = 0; n < STEPS; n++)
        step(&run);
    come_to_rest(&run);
    expect_equal(&run);
    scripted_free(&run.scripted);
    registry_free(run.registry);
}

static void test_the_store_has_the_truth_once_all_is_quiet(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++)
        run_seed(seed);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_the_store_has_the_truth_once_all_is_quiet)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
