/* The book of nodes and who looks at it; see observer.h. */
#include "observer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <inttypes.h>
#include <stdio.h>

/* ---- the book ---- */

struct entry *book_find(struct book *book, const char *node) {
    for (size_t n = 0; n < book->count; n++)
        if (strcmp(book->entries[n].node, node) == 0)
            return &book->entries[n];
    return NULL;
}

struct entry *book_put(struct book *book, const char *node, const char *boot) {
    struct entry *entry = book_find(book, node);
    if (!entry) {
        assert_true(book->count < BOOK_MAX);
        entry = &book->entries[book->count++];
    }
    *entry = (struct entry){.renewals = 1};
    snprintf(entry->node, sizeof entry->node, "%s", node);
    snprintf(entry->boot, sizeof entry->boot, "%s", boot);
    return entry;
}

struct entry *book_put_living(struct book *book, const char *node, const char *boot) {
    struct entry *entry = book_put(book, node, boot);
    entry->beats = true;
    return entry;
}

void book_erase(struct book *book, const char *node) {
    struct entry *entry = book_find(book, node);
    assert_non_null(entry);
    *entry = book->entries[--book->count];
}

static enum store_result renew_in(struct book *book, const char *node, const char *boot) {
    struct entry *entry = book_find(book, node);
    if (entry && strcmp(entry->boot, boot) != 0)
        return STORE_TAKEN;
    if (entry && !entry->fenced) {
        entry->renewals++;
        return STORE_OK;
    }
    book_put(book, node, boot);
    return STORE_GONE;
}

static enum store_result bury_in(struct book *book, const char *text) {
    char node[32];
    char boot[32];
    char observed[32];
    char renewals[32];
    assert_int_equal(sscanf(text, "bury %31s %31s %31s", node, boot, observed), 3);
    struct entry *entry = book_find(book, node);
    if (!entry)
        return STORE_OK;
    snprintf(renewals, sizeof renewals, "%" PRIu64, entry->renewals);
    if (strcmp(entry->boot, boot) != 0 || (!entry->fenced && strcmp(observed, renewals) != 0))
        return STORE_ALIVE;
    entry->fenced = true;
    entry->beats = false;
    if (entry->left > 0) {
        entry->left--;
        return STORE_MORE;
    }
    book_erase(book, node);
    return STORE_OK;
}

static enum store_result leave_in(struct book *book, const char *node, const char *boot) {
    struct entry *entry = book_find(book, node);
    if (!entry)
        return STORE_OK;
    if (strcmp(entry->boot, boot) != 0)
        return STORE_ALIVE;
    entry->fenced = true;
    if (entry->left > 0) {
        entry->left--;
        return STORE_MORE;
    }
    book_erase(book, node);
    return STORE_OK;
}

/* ---- events ---- */

static void note(struct observer *observer, const char *what) {
    size_t len = strlen(observer->events);
    snprintf(observer->events + len, sizeof observer->events - len, "%s%s", len > 0 ? ", " : "", what);
}

static void on_joined(void *arg) {
    note(arg, "joined");
}

static void on_refused(void *arg, const char *why) {
    note(arg, why);
}

static void on_died(void *arg, struct bytes node, struct bytes boot) {
    char text[80];
    snprintf(text, sizeof text, "died %.*s %.*s", BYTES_ARG(node), BYTES_ARG(boot));
    note(arg, text);
}

static void on_left(void *arg) {
    note(arg, "left");
}

static const struct membership_events events = {on_joined, on_refused, on_died, on_left};

void observer_expect(struct observer *observer, const char *expected) {
    assert_string_equal(observer->events, expected);
    observer->events[0] = '\0';
}

void observer_expect_asked(const struct observer *observer, const char *asked) {
    assert_string_equal(scripted_asked(&observer->scripted), asked);
}

/* ---- answers ---- */

static void answer_renewal(struct observer *observer) {
    static struct store_node nodes[BOOK_MAX];
    struct book *book = observer->book;
    struct store_answer answer = {.nodes = nodes};
    observer_expect_asked(observer, "renew");
    for (size_t n = 0; n < book->count; n++)
        book->entries[n].renewals += book->entries[n].beats;
    answer.result = renew_in(book, observer->node, observer->boot);
    for (size_t n = 0; n < book->count; n++) {
        const struct entry *entry = &book->entries[n];
        nodes[n] = (struct store_node){bytes_of(entry->node), bytes_of(entry->boot), entry->renewals, entry->fenced};
    }
    answer.node_count = book->count;
    scripted_answer(&observer->scripted, &answer);
}

void observer_answer(struct observer *observer) {
    const struct scripted_call *call = scripted_first(&observer->scripted);
    assert_non_null(call);
    if (call->kind == SCRIPTED_RENEW)
        answer_renewal(observer);
    else if (call->kind == SCRIPTED_LEAVE)
        scripted_result(&observer->scripted, leave_in(observer->book, observer->node, observer->boot));
    else
        scripted_result(&observer->scripted, bury_in(observer->book, call->text));
}

void observer_answer_burial(struct observer *observer) {
    const struct scripted_call *call;
    while ((call = scripted_first(&observer->scripted)) != NULL && call->kind == SCRIPTED_RENEW)
        answer_renewal(observer);
    assert_true(call && call->kind == SCRIPTED_BURY);
    observer_answer(observer);
}

/* ---- time and the link ---- */

void observer_tick(struct observer *observer) {
    observer->now += TICK_MS;
    membership_tick(observer->membership, observer->now);
}

void observer_pass(struct observer *observer, uint64_t ms) {
    for (uint64_t end = observer->now + ms; observer->now < end;) {
        observer_tick(observer);
        if (scripted_first(&observer->scripted))
            answer_renewal(observer);
    }
}

uint64_t observer_pass_until(struct observer *observer, const char *asked) {
    uint64_t start = observer->now;
    while (strcmp(scripted_asked(&observer->scripted), asked) != 0) {
        assert_true(observer->now < start + 10 * TIMEOUT_MS);
        if (scripted_first(&observer->scripted))
            answer_renewal(observer);
        else
            observer_tick(observer);
    }
    return observer->now - start;
}

void observer_up(struct observer *observer) {
    membership_up(observer->membership, observer->now);
}

void observer_down(struct observer *observer) {
    scripted_break(&observer->scripted);
    membership_down(observer->membership);
}

void observer_join(struct observer *observer) {
    observer_up(observer);
    observer_answer(observer);
    observer_expect(observer, "joined");
    assert_true(membership_is_in(observer->membership));
}

/* ---- what it sees ---- */

static void look(void *arg, const struct member *member) {
    struct sight *sight = arg;
    sight->count++;
    if (!bytes_equal(member->node, bytes_of(sight->node)) || member->self)
        return;
    sight->member = *member;
    sight->found = true;
}

struct sight observer_see(const struct observer *observer, const char *node) {
    struct sight sight = {.node = node};
    membership_each(observer->membership, observer->now, look, &sight);
    return sight;
}

/* ---- life ---- */

void observer_open(struct observer *observer, struct book *book, const char *node, const char *boot,
                   uint32_t node_timeout_ms) {
    *observer = (struct observer){.book = book, .node = node, .boot = boot, .now = 1000000};
    scripted_init(&observer->scripted);
    observer->membership = membership_new(&(struct membership_conf){.node = node,
                                                                    .boot = boot,
                                                                    .node_timeout_ms = node_timeout_ms,
                                                                    .store = &observer->scripted.store,
                                                                    .events = &events,
                                                                    .arg = observer});
    assert_non_null(observer->membership);
}

void observer_close(struct observer *observer) {
    scripted_free(&observer->scripted);
    membership_free(observer->membership);
}
