/*
 * Reading the replies of lua/change.lua, lua/take.lua and lua/recover.lua: an array of a number, where something was done
 * the results or entries, and the tail: an error, three counts, queues that are ready.
 */
#include "redis_queue_answer.h"

#include <stdlib.h>

#include "redis_scripts.h"
#include "stompd/base/decimal.h"
#include "stompd/base/log.h"
#include "stompd/route/queue_name.h"
#include "stompd/session/session.h"
#include "stompd/store/payload.h"

/* Where things are in the reply. */
enum { AT_RESULT, AT_ITEMS, AT_FAILURE, AT_EXPIRED, AT_DROPPED, AT_DEAD, AT_READY, REPLY_SIZE };

/* And of each entry. */
enum { ENTRY_LABEL, ENTRY_PAYLOAD, ENTRY_SIZE };

static struct bytes string_of(const redisReply *reply) {
    return (struct bytes){reply->str, reply->len};
}

static bool is_number(const redisReply *reply) {
    return reply->type == REDIS_REPLY_INTEGER && reply->integer >= 0;
}

/* ---- the frame of a reply ---- */

static bool read_result(const redisReply *reply, struct queue_answer *answer) {
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements == 0 || !is_number(reply->element[AT_RESULT]))
        return false;
    switch (reply->element[AT_RESULT]->integer) {
    case REDIS_SCRIPT_OK:
        answer->result = QUEUE_OK;
        return reply->elements == REPLY_SIZE;
    case REDIS_SCRIPT_MORE:
        answer->result = QUEUE_MORE;
        return reply->elements == REPLY_SIZE;
    case REDIS_SCRIPT_GONE:
        answer->result = QUEUE_GONE;
        return true;
    default:
        return false;
    }
}

static bool read_tail(const redisReply *reply, struct redis_queue_answer *answer) {
    redisReply *const *elements = reply->element;
    for (size_t n = AT_EXPIRED; n <= AT_DEAD; n++)
        if (!is_number(elements[n]))
            return false;
    if (elements[AT_FAILURE]->type != REDIS_REPLY_STRING || elements[AT_READY]->type != REDIS_REPLY_ARRAY)
        return false;
    answer->failure = elements[AT_FAILURE]->str;
    answer->counts = (struct queue_counts){.expired = (uint64_t)elements[AT_EXPIRED]->integer,
                                           .dropped = (uint64_t)elements[AT_DROPPED]->integer,
                                           .dead = (uint64_t)elements[AT_DEAD]->integer};
    answer->ready = elements[AT_READY];
    return true;
}

/* False: it is wrong. Else `answer` may be complete already. */
static bool read_frame(const redisReply *reply, struct redis_queue_answer *answer) {
    *answer = (struct redis_queue_answer){.failure = ""};
    return read_result(reply, &answer->answer) && (answer->answer.result == QUEUE_GONE || read_tail(reply, answer));
}

bool redis_queue_answer_recovery(const redisReply *reply, struct redis_queue_answer *answer) {
    return read_frame(reply, answer);
}

/* ---- changes ---- */

static bool read_results(struct bytes digits, enum change_result *results) {
    for (size_t n = 0; n < digits.len; n++) {
        unsigned digit = (unsigned char)digits.data[n] - (unsigned)'0';
        if (digit > CHANGE_FAILED)
            return false;
        results[n] = (enum change_result)digit;
    }
    return true;
}

bool redis_queue_answer_changes(const redisReply *reply, size_t changes, struct redis_queue_answer *answer) {
    if (!read_frame(reply, answer))
        return false;
    if (answer->answer.result == QUEUE_MORE)
        return false;
    if (answer->answer.result != QUEUE_OK || changes == 0)
        return true;
    const redisReply *digits = reply->element[AT_ITEMS];
    enum change_result *results = malloc(changes * sizeof *results);
    answer->block = results;
    if (!results || digits->type != REDIS_REPLY_STRING || digits->len != changes ||
        !read_results(string_of(digits), results)) {
        redis_queue_answer_free(answer);
        return false;
    }
    answer->answer.changes = results;
    answer->answer.change_count = changes;
    return true;
}

/* ---- entries ---- */

/* "<ms>-<n>" */
static bool read_id(struct bytes text, struct entry *entry) {
    const char *dash = text.len > 0 ? memchr(text.data, '-', text.len) : NULL;
    if (!dash)
        return false;
    size_t front = (size_t)(dash - text.data);
    return decimal_read((struct bytes){text.data, front}, &entry->ms) &&
           decimal_read(bytes_skip(text, front + 1), &entry->n);
}

/* "<reason> <queue>". What is no such thing is left out. */
static void read_dead(struct bytes text, struct queue_entry *entry) {
    static const struct {
        struct bytes text;
        enum dead_reason reason;
    } reasons[] = {
        {{"rejected ", 9}, DEAD_REJECTED}, {{"max-deliveries ", 15}, DEAD_MAX_DELIVERIES}, {{"full ", 5}, DEAD_FULL}};
    for (size_t n = 0; n < sizeof reasons / sizeof reasons[0]; n++) {
        if (!bytes_start_with(text, reasons[n].text))
            continue;
        struct bytes from = bytes_skip(text, reasons[n].text.len);
        if (queue_name_is_valid(from)) {
            entry->dead = reasons[n].reason;
            entry->dead_from = from;
        }
    }
}

/* What is in front of the next space, which it takes off too. */
static struct bytes take_word(struct bytes *text) {
    const char *space = text->len > 0 ? memchr(text->data, ' ', text->len) : NULL;
    size_t len = space ? (size_t)(space - text->data) : text->len;
    struct bytes word = {text->data, len};
    *text = bytes_skip(*text, space ? len + 1 : len);
    return word;
}

/* "<id>", of a first delivery; else "<id> <deliveries>", of a dead letter with "<reason> <queue>" behind it. */
static bool read_label(struct bytes label, struct queue_entry *entry) {
    uint64_t deliveries = 1;
    if (!read_id(take_word(&label), &entry->entry))
        return false;
    struct bytes digits = take_word(&label);
    if (digits.len > 0 && (!decimal_read(digits, &deliveries) || deliveries > UINT32_MAX))
        return false;
    entry->deliveries = (uint32_t)deliveries;
    read_dead(label, entry);
    return true;
}

/* False: it is no entry at all. */
static bool read_entry(redisReply *const *elements, struct queue_entry *entry) {
    if (elements[ENTRY_LABEL]->type != REDIS_REPLY_STRING || elements[ENTRY_PAYLOAD]->type != REDIS_REPLY_STRING)
        return false;
    entry->entry.size = (uint32_t)elements[ENTRY_PAYLOAD]->len + REDIS_QUEUE_OVERHEAD;
    return read_label(string_of(elements[ENTRY_LABEL]), entry);
}

static void set_apart(struct redis_queue_answer *answer, const struct queue_entry *entry, struct bytes queue,
                      const char *why) {
    static struct log_limit limit;
    enum redis_stray_end end = why == payload_out_of_memory        ? STRAY_RETURNS
                               : why == payload_of_another_version ? STRAY_WAITS
                                                                   : STRAY_GOES;
    log_limited(&limit, LOG_LEVEL_WARNING, "queue %.*s: an entry of its stream is %s: %s", BYTES_ARG(queue),
                end == STRAY_GOES ? "not ours and removed" : "given back", why);
    answer->counts.unreadable += end == STRAY_GOES;
    answer->strays[answer->stray_count++] = (struct redis_stray){entry->want, entry->entry, end};
}

/* NULL: it is none that a queue keeps. */
static struct message *read_message(struct bytes payload, unsigned owners, const char **why) {
    struct message *message = payload_read_message(payload, owners, why);
    if (!message || message->route == ROUTE_QUEUE)
        return message;
    message_unref(message);
    *why = "it belongs on a channel";
    return NULL;
}

/* The entries of one want. */
static bool read_want(const redisReply *list, size_t want, struct bytes queue, unsigned owners,
                      struct redis_queue_answer *answer) {
    for (size_t n = 0; n < list->elements; n += ENTRY_SIZE) {
        struct queue_entry entry = {.want = want};
        const char *why = "";
        if (!read_entry(&list->element[n], &entry))
            return false;
        entry.message = read_message(string_of(list->element[n + ENTRY_PAYLOAD]), owners, &why);
        if (!entry.message)
            set_apart(answer, &entry, queue, why);
        else
            answer->answer.entries[answer->answer.entry_count++] = entry;
    }
    return true;
}

/* Whether there is a list for each want. How many entries they have, in *entries. */
static bool count_entries(const redisReply *lists, size_t count, size_t *entries) {
    *entries = 0;
    if (lists->type != REDIS_REPLY_ARRAY || lists->elements != count)
        return false;
    for (size_t n = 0; n < count; n++) {
        const redisReply *list = lists->element[n];
        if (list->type != REDIS_REPLY_ARRAY || list->elements % ENTRY_SIZE != 0)
            return false;
        *entries += list->elements / ENTRY_SIZE;
    }
    return true;
}

static bool make_room(struct redis_queue_answer *answer, size_t entries) {
    answer->answer.entries = calloc(entries, sizeof *answer->answer.entries);
    answer->block = answer->answer.entries;
    answer->strays = calloc(entries, sizeof *answer->strays);
    return answer->block && answer->strays;
}

static bool read_all(const redisReply *lists, const struct bytes *queues, size_t count, unsigned owners,
                     struct redis_queue_answer *answer) {
    for (size_t n = 0; n < count; n++)
        if (!read_want(lists->element[n], n, queues[n], owners, answer))
            return false;
    return true;
}

bool redis_queue_answer_entries(const redisReply *reply, const struct bytes *queues, size_t count, unsigned owners,
                                struct redis_queue_answer *answer) {
    size_t entries;
    if (!read_frame(reply, answer) || answer->answer.result == QUEUE_MORE)
        return false;
    if (answer->answer.result != QUEUE_OK)
        return true;
    const redisReply *lists = reply->element[AT_ITEMS];
    if (!count_entries(lists, count, &entries))
        return false;
    if (entries == 0 || (make_room(answer, entries) && read_all(lists, queues, count, owners, answer)))
        return true;
    redis_queue_answer_free(answer);
    return false;
}

void redis_queue_answer_free(struct redis_queue_answer *answer) {
    for (size_t n = 0; n < answer->answer.entry_count; n++)
        if (answer->answer.entries[n].message)
            message_unref(answer->answer.entries[n].message);
    free(answer->block);
    free(answer->strays);
}
