/* Calling a queue store, and writing down what it answers. */
#include "queue_peer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stompd/session/session.h"
#include "stompd/stomp/writer.h"

static const struct queue_policy no_limits = {.idle_expiry_ms = 300000};

static void write_down(char *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* `text` has room for QUEUE_PEER_TEXT. */
static void write_down(char *text, const char *format, ...) {
    size_t len = strlen(text);
    va_list values;
    va_start(values, format);
    vsnprintf(text + len, QUEUE_PEER_TEXT - len, format, values);
    va_end(values);
}

/* ---- life ---- */

static unsigned order; /* of what was told so far */

static void on_ready(void *arg, struct bytes queue) {
    struct queue_peer *peer = arg;
    peer->ready_order = ++order;
    write_down(peer->ready, "%.*s\n", BYTES_ARG(queue));
}

static const struct queue_events events = {on_ready};

void queue_peer_open(struct queue_peer *peer, const struct queue_contract *contract, const char *node,
                     const char *boot) {
    memset(peer, 0, sizeof *peer);
    peer->contract = contract;
    peer->node = node;
    peer->boot = boot;
    peer->policy = &no_limits;
    peer->answered = 1;
    peer->store = contract->attach(contract->arg, node, boot, &events, peer);
    assert_non_null(peer->store);
}

void queue_peer_close(struct queue_peer *peer) {
    if (peer->store)
        peer->contract->detach(peer->contract->arg, peer->store);
    peer->store = NULL;
}

/* ---- messages ---- */

struct message *queue_message(const char *queue, const char *name, size_t size) {
    struct stomp_header header = {BYTES("price"), BYTES("1 EUR")};
    size_t len = strlen(name) > size ? strlen(name) : size;
    char *body = malloc(len + 1);
    assert_non_null(body);
    snprintf(body, len + 1, "%-*s", (int)len, name);
    struct stomp_publication publication = {.destination = BYTES("/queue/x"),
                                            .message_id = BYTES("1"),
                                            .headers = &header,
                                            .header_count = 1,
                                            .body = {body, len},
                                            .route = ROUTE_QUEUE,
                                            .key = bytes_of(queue)};
    struct message *message = stomp_write_message(1, &publication);
    assert_non_null(message);
    free(body);
    return message;
}

static void name_of(const struct message *message, char *name) {
    struct bytes body = message_body(message);
    size_t len = 0;
    while (len < body.len && body.data[len] != ' ' && body.data[len] != '\0')
        len++;
    snprintf(name, QUEUE_PEER_NAME, "%.*s", (int)len, body.data);
}

struct entry queue_peer_entry(struct queue_peer *peer, const char *name) {
    for (size_t n = peer->taken_count; n-- > 0;)
        if (strcmp(peer->taken[n].name, name) == 0)
            return peer->taken[n].entry;
    fail_msg("%s was not taken", name);
    return (struct entry){0};
}

/* ---- drafts ---- */

void draft_begin(struct draft *draft, struct queue_peer *peer, bool together) {
    draft->peer = peer;
    draft->change = change_new();
    assert_non_null(draft->change);
    draft->change->together = together;
}

static void add(struct draft *draft, const char *queue, const struct operation *operation) {
    uint32_t n = draft->change->count;
    assert_true(n < DRAFT_MAX);
    draft->queues[n] = bytes_of(queue);
    draft->policies[n] = draft->peer->policy;
    assert_true(change_add(draft->change, operation));
}

void draft_put_message(struct draft *draft, const char *queue, struct message *message, uint64_t lifetime_ms) {
    add(draft, queue, &(struct operation){.kind = OPERATION_PUT, .message = message, .lifetime_ms = lifetime_ms});
}

void draft_put(struct draft *draft, const char *queue, const char *name) {
    draft_put_message(draft, queue, queue_message(queue, name, 0), 0);
}

static void add_finish(struct draft *draft, enum operation_kind kind, const char *queue, const char *name,
                       bool counted) {
    struct entry entry = queue_peer_entry(draft->peer, name);
    add(draft, queue, &(struct operation){.kind = kind, .counted = counted, .consumer = 1, .entry = entry});
}

void draft_settle(struct draft *draft, const char *queue, const char *name) {
    add_finish(draft, OPERATION_SETTLE, queue, name, false);
}

void draft_return(struct draft *draft, const char *queue, const char *name, bool counted) {
    add_finish(draft, OPERATION_RETURN, queue, name, counted);
}

void draft_reject(struct draft *draft, const char *queue, const char *name) {
    add_finish(draft, OPERATION_REJECT, queue, name, false);
}

void draft_end(struct draft *draft) {
    change_free(draft->change);
    draft->change = NULL;
}

enum change_result draft_make(struct draft *draft) {
    static struct reply reply;
    queue_peer_call_change(draft->peer, draft, 1, &reply);
    queue_peer_await_reply(&reply);
    draft_end(draft);
    assert_int_equal(reply.result, QUEUE_OK);
    assert_int_equal(reply.change_count, 1);
    return reply.changes[0];
}

/* ---- changes of one operation ---- */

static struct draft single;

static enum change_result put_message(struct queue_peer *peer, const char *queue, struct message *message,
                                      uint64_t lifetime_ms) {
    draft_begin(&single, peer, false);
    draft_put_message(&single, queue, message, lifetime_ms);
    return draft_make(&single);
}

enum change_result queue_peer_put(struct queue_peer *peer, const char *queue, const char *name) {
    return put_message(peer, queue, queue_message(queue, name, 0), 0);
}

enum change_result queue_peer_put_sized(struct queue_peer *peer, const char *queue, const char *name, size_t size) {
    return put_message(peer, queue, queue_message(queue, name, size), 0);
}

enum change_result queue_peer_put_for(struct queue_peer *peer, const char *queue, const char *name,
                                      uint64_t lifetime_ms) {
    return put_message(peer, queue, queue_message(queue, name, 0), lifetime_ms);
}

enum change_result queue_peer_settle(struct queue_peer *peer, const char *queue, const char *name) {
    draft_begin(&single, peer, false);
    draft_settle(&single, queue, name);
    return draft_make(&single);
}

enum change_result queue_peer_return(struct queue_peer *peer, const char *queue, const char *name, bool counted) {
    draft_begin(&single, peer, false);
    draft_return(&single, queue, name, counted);
    return draft_make(&single);
}

enum change_result queue_peer_reject(struct queue_peer *peer, const char *queue, const char *name) {
    draft_begin(&single, peer, false);
    draft_reject(&single, queue, name);
    return draft_make(&single);
}

static void put_piece(struct queue_peer *peer, const char *queue, unsigned first, unsigned count) {
    static struct draft drafts[QUEUE_CHANGES_MAX];
    static struct reply reply;
    for (unsigned n = 0; n < count; n++) {
        char name[QUEUE_PEER_NAME];
        snprintf(name, sizeof name, "%u", first + n);
        draft_begin(&drafts[n], peer, false);
        draft_put(&drafts[n], queue, name);
    }
    queue_peer_call_change(peer, drafts, count, &reply);
    queue_peer_await_reply(&reply);
    assert_int_equal(reply.result, QUEUE_OK);
    assert_int_equal(reply.change_count, count);
    for (unsigned n = 0; n < count; n++) {
        assert_int_equal(reply.changes[n], CHANGE_DONE);
        draft_end(&drafts[n]);
    }
}

void queue_peer_put_many(struct queue_peer *peer, const char *queue, unsigned count) {
    for (unsigned done = 0; done < count; done += QUEUE_CHANGES_MAX)
        put_piece(peer, queue, done + 1, count - done < QUEUE_CHANGES_MAX ? count - done : QUEUE_CHANGES_MAX);
}

/* ---- answers ---- */

static void write_entry(struct reply *reply, const struct queue_entry *entry) {
    static const char *const reasons[] = {"", "rejected", "max-deliveries", "full"};
    struct queue_peer *peer = reply->peer;
    struct taken *taken = &peer->taken[peer->taken_count];
    assert_true(peer->taken_count < QUEUE_PEER_ENTRIES);
    peer->taken_count++;
    name_of(entry->message, taken->name);
    taken->entry = entry->entry;
    write_down(reply->text, "%s", taken->name);
    if (entry->deliveries != 1)
        write_down(reply->text, "*%u", entry->deliveries);
    if (entry->dead != DEAD_NOT || entry->dead_from.len > 0)
        write_down(reply->text, "<%.*s %s", BYTES_ARG(entry->dead_from), reasons[entry->dead]);
}

static void write_entries(struct reply *reply, const struct queue_answer *from) {
    size_t want = 0;
    for (size_t n = 0; n < from->entry_count; n++) {
        const struct queue_entry *entry = &from->entries[n];
        const char *between = n > 0 && want == entry->want ? " " : "";
        assert_true(entry->want >= want);
        for (; want < entry->want; want++)
            write_down(reply->text, ",");
        write_down(reply->text, "%s", between);
        write_entry(reply, entry);
        reply->bytes += entry->entry.size;
    }
}

static void on_done(void *arg, struct queue_answer *from) {
    struct reply *reply = arg;
    assert_false(reply->done);
    reply->done = true;
    reply->order = ++order;
    reply->result = from->result;
    reply->change_count = from->change_count;
    reply->entry_count = from->entry_count;
    assert_true(from->change_count <= QUEUE_CHANGES_MAX);
    if (from->change_count > 0)
        memcpy(reply->changes, from->changes, from->change_count * sizeof *from->changes);
    write_entries(reply, from);
}

static bool is_done(void *arg) {
    return ((const struct reply *)arg)->done;
}

void queue_peer_await_reply(struct reply *reply) {
    struct queue_peer *peer = reply->peer;
    assert_true(peer->contract->pump_until(peer->contract->arg, is_done, reply));
    if (reply->result != QUEUE_AWAY && reply->result != QUEUE_GONE && reply->number == peer->answered)
        peer->answered++;
}

/* ---- calls ---- */

static struct queue_call expect(struct queue_peer *peer, struct reply *reply, uint64_t number) {
    reply->peer = peer;
    reply->number = number;
    reply->done = false;
    reply->bytes = 0;
    reply->text[0] = '\0';
    return (struct queue_call){on_done, reply};
}

/* Nothing is answered from within the call. */
static void call_change(struct queue_peer *peer, const struct draft *drafts, size_t count, struct reply *reply,
                        uint64_t number) {
    struct queue_change changes[QUEUE_CHANGES_MAX];
    for (size_t n = 0; n < count; n++)
        changes[n] = (struct queue_change){drafts[n].change, drafts[n].queues, drafts[n].policies};
    peer->store->ops->change(peer->store, changes, count, number, peer->answered, expect(peer, reply, number));
    assert_false(reply->done);
}

static void call_take(struct queue_peer *peer, struct queue_want *wants, size_t count, struct reply *reply,
                      uint64_t number) {
    for (size_t n = 0; n < count; n++)
        wants[n].policy = peer->policy;
    peer->store->ops->take(peer->store, wants, count, number, peer->answered, expect(peer, reply, number));
    assert_false(reply->done);
}

void queue_peer_call_change(struct queue_peer *peer, const struct draft *drafts, size_t count, struct reply *reply) {
    call_change(peer, drafts, count, reply, ++peer->number);
}

void queue_peer_call_take(struct queue_peer *peer, struct queue_want *wants, size_t count, struct reply *reply) {
    call_take(peer, wants, count, reply, ++peer->number);
}

void queue_peer_change_again(struct queue_peer *peer, const struct draft *drafts, size_t count, struct reply *reply) {
    call_change(peer, drafts, count, reply, reply->number);
}

void queue_peer_take_again(struct queue_peer *peer, struct queue_want *wants, size_t count, struct reply *reply) {
    call_take(peer, wants, count, reply, reply->number);
}

const char *queue_peer_take(struct queue_peer *peer, const char *queue, uint32_t messages) {
    static struct reply reply;
    struct queue_want want = {.queue = bytes_of(queue), .messages = messages};
    queue_peer_call_take(peer, &want, 1, &reply);
    queue_peer_await_reply(&reply);
    assert_int_equal(reply.result, QUEUE_OK);
    return reply.text;
}

/* ---- events ---- */

struct look {
    const struct queue_peer *peer;
    size_t len;
};

static bool has_told(void *arg) {
    const struct look *look = arg;
    return strlen(look->peer->ready) >= look->len;
}

void queue_peer_expect_ready(struct queue_peer *peer, const char *queues) {
    struct look look = {peer, strlen(queues)};
    if (!peer->contract->pump_until(peer->contract->arg, has_told, &look))
        assert_string_equal(peer->ready, queues);
    assert_string_equal(peer->ready, queues);
    peer->ready[0] = '\0';
}
