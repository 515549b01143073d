/* Writing the commands of queues: the arguments that the heads of the scripts describe. */
#include "redis_queue_command.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "redis_scripts.h"
#include "stompd/route/queue_name.h"
#include "stompd/store/payload.h"

/* How many arguments belong to what. */
#define FRONT_KEYS       3
#define FRONT_ARGUMENTS  4
#define ROW_NUMBERS      2
#define QUEUE_ARGUMENTS  7
#define ROW_ARGUMENTS    (QUEUE_ARGUMENTS + 3)
#define PUT_ARGUMENTS    2
#define FINISH_ARGUMENTS 3
#define WANT_ARGUMENTS   (QUEUE_ARGUMENTS + 1)

#define ID_MAX   48
#define HEAD_MAX 48

/* So many messages are given back in one piece. */
#define RECOVERY_PIECE 1000

/* ---- what all begin with ---- */

static void add_key(struct redis_queue_writer *writer, const char *front, const char *middle, const char *back) {
    struct buffer *text = &writer->text;
    text->len = 0;
    if (!buffer_append(text, front, strlen(front)) || !buffer_append(text, middle, strlen(middle)) ||
        !buffer_append(text, back, strlen(back)))
        writer->command.failed = true;
    redis_command_add_joined(&writer->command, bytes_of(writer->conf->prefix), buffer_bytes(text));
}

static void begin(struct redis_queue_writer *writer, enum redis_script script, size_t arguments) {
    struct redis_command *command = &writer->command;
    redis_command_begin(command, 3 + FRONT_KEYS + FRONT_ARGUMENTS + arguments);
    redis_command_add(command, BYTES("EVALSHA"));
    redis_command_add(command, bytes_of(redis_scripts[script].sha1));
    redis_command_add_number(command, FRONT_KEYS);
    add_key(writer, "nodes", "", "");
    add_key(writer, "boot:", writer->conf->boot, ":calls");
    add_key(writer, "boot:", writer->conf->boot, ":queues");
    redis_command_add(command, bytes_of(writer->conf->node));
    redis_command_add(command, bytes_of(writer->conf->boot));
    redis_command_add(command, bytes_of(writer->conf->prefix));
    redis_command_add(command, writer->ready_word);
}

static void begin_in_row(struct redis_queue_writer *writer, enum redis_script script, uint64_t number,
                         uint64_t answered, size_t arguments) {
    begin(writer, script, ROW_NUMBERS + arguments);
    redis_command_add_number(&writer->command, number);
    redis_command_add_number(&writer->command, answered);
}

/* A queue can't be its own. */
static void add_dead_letters(struct redis_queue_writer *writer, struct bytes queue, const struct queue_policy *policy) {
    struct bytes dead = bytes_of(policy->dead_letter ? policy->dead_letter : "");
    if (!policy->dead_letter && queue_name_of_dead_letters(&writer->text, queue))
        dead = buffer_bytes(&writer->text);
    else if (!policy->dead_letter)
        writer->command.failed = true;
    redis_command_add(&writer->command, bytes_equal(dead, queue) ? BYTES("") : dead);
}

static void add_queue(struct redis_queue_writer *writer, struct bytes queue, const struct queue_policy *policy) {
    static const char *const when_full[] = {
        [WHEN_FULL_REFUSE] = "refuse", [WHEN_FULL_DROP] = "drop", [WHEN_FULL_DEAD_LETTER] = "dead"};
    struct redis_command *command = &writer->command;
    redis_command_add(command, queue);
    redis_command_add_number(command, policy->max_messages);
    redis_command_add_number(command, policy->max_bytes);
    redis_command_add(command, bytes_of(when_full[policy->when_full]));
    redis_command_add_number(command, policy->max_deliveries);
    redis_command_add_number(command, policy->idle_expiry_ms);
    add_dead_letters(writer, queue, policy);
}

/* ---- the queues of changes ---- */

static struct redis_queue_row *find_row(const struct redis_queue_writer *writer, struct bytes queue) {
    for (size_t n = writer->row_count; n-- > 0;)
        if (bytes_equal(writer->rows[n].queue, queue))
            return &writer->rows[n];
    return NULL;
}

/* NULL: out of memory. */
static struct redis_queue_row *add_row(struct redis_queue_writer *writer, struct bytes queue,
                                       const struct queue_policy *policy) {
    if (writer->row_count == writer->row_capacity) {
        size_t capacity = writer->row_capacity > 0 ? writer->row_capacity * 2 : 16;
        struct redis_queue_row *rows = realloc(writer->rows, capacity * sizeof *rows);
        if (!rows)
            return NULL;
        writer->rows = rows;
        writer->row_capacity = capacity;
    }
    struct redis_queue_row *row = &writer->rows[writer->row_count++];
    *row = (struct redis_queue_row){.queue = queue, .policy = policy};
    return row;
}

static bool is_before(const struct entry *a, const struct entry *b) {
    return a->ms < b->ms || (a->ms == b->ms && a->n < b->n);
}

static void note_entry(struct redis_queue_row *row, const struct entry *entry) {
    if (row->entries == 0 || is_before(entry, &row->first))
        row->first = *entry;
    if (row->entries == 0 || is_before(&row->last, entry))
        row->last = *entry;
    row->entries++;
}

static bool note_operations(struct redis_queue_writer *writer, const struct queue_change *change) {
    for (size_t n = 0; n < change->change->count; n++) {
        const struct operation *operation = &change->change->operations[n];
        struct redis_queue_row *row = find_row(writer, change->queues[n]);
        if (!row)
            row = add_row(writer, change->queues[n], change->policies[n]);
        if (!row)
            return false;
        if (operation->kind != OPERATION_PUT)
            note_entry(row, &operation->entry);
    }
    return true;
}

static bool list_rows(struct redis_queue_writer *writer, const struct queue_change *changes, size_t count) {
    writer->row_count = 0;
    for (size_t n = 0; n < count; n++)
        if (!note_operations(writer, &changes[n]))
            return false;
    return true;
}

/* ---- changes ---- */

static void add_id(struct redis_command *command, const struct entry *entry) {
    char id[ID_MAX];
    int len = snprintf(id, sizeof id, "%" PRIu64 "-%" PRIu64, entry->ms, entry->n);
    redis_command_add(command, (struct bytes){id, (size_t)len});
}

static void add_rows(struct redis_queue_writer *writer) {
    struct redis_command *command = &writer->command;
    redis_command_add_number(command, writer->row_count);
    for (size_t n = 0; n < writer->row_count; n++) {
        const struct redis_queue_row *row = &writer->rows[n];
        add_queue(writer, row->queue, row->policy);
        add_id(command, &row->first);
        add_id(command, &row->last);
        redis_command_add_number(command, row->entries);
    }
}

/* The shorter of the two; 0: for ever. */
static uint64_t lifetime_of(const struct operation *operation, const struct queue_policy *policy) {
    uint64_t lifetime_ms = operation->lifetime_ms;
    bool is_shorter = lifetime_ms == 0 || policy->max_age_ms < lifetime_ms;
    return policy->max_age_ms > 0 && is_shorter ? policy->max_age_ms : lifetime_ms;
}

static void add_message(struct redis_queue_writer *writer, const struct message *message) {
    struct payload_origin origin = {.type = PAYLOAD_STORED, .boot = bytes_of(writer->conf->boot)};
    if (!payload_write_message(&writer->text, &origin, message))
        writer->command.failed = true;
    redis_command_add(&writer->command, buffer_bytes(&writer->text));
}

static char letter_of(const struct operation *operation) {
    switch (operation->kind) {
    case OPERATION_PUT:
        return 'p';
    case OPERATION_SETTLE:
        return 's';
    case OPERATION_RETURN:
        return operation->counted ? 'r' : 'u';
    case OPERATION_REJECT:
    default:
        return 'j';
    }
}

static char *write_number(char *end, uint64_t number) {
    do
        *--end = (char)('0' + number % 10);
    while ((number /= 10) > 0);
    return end;
}

static void add_head(struct redis_queue_writer *writer, const struct operation *operation, struct bytes queue,
                     const struct queue_policy *policy) {
    char head[HEAD_MAX];
    char *end = head + sizeof head;
    char *at = end;
    if (operation->kind == OPERATION_PUT) {
        at = write_number(at, lifetime_of(operation, policy));
        *--at = ':';
    }
    at = write_number(at, (uint64_t)(find_row(writer, queue) - writer->rows) + 1);
    *--at = letter_of(operation);
    redis_command_add(&writer->command, (struct bytes){at, (size_t)(end - at)});
}

static void add_operation(struct redis_queue_writer *writer, const struct operation *operation, struct bytes queue,
                          const struct queue_policy *policy) {
    struct redis_command *command = &writer->command;
    add_head(writer, operation, queue, policy);
    if (operation->kind == OPERATION_PUT) {
        add_message(writer, operation->message);
    } else {
        add_id(command, &operation->entry);
        redis_command_add_number(command, operation->entry.size);
    }
}

/* A change of one operation is that operation alone, unless it may be lost. */
static bool has_head(const struct queue_change *change) {
    return change->change->together || change->change->count != 1;
}

static void add_change_head(struct redis_queue_writer *writer, const struct queue_change *change) {
    char head[HEAD_MAX];
    char *end = head + sizeof head;
    char *at = write_number(end, change->change->count);
    *--at = change->change->together ? 't' : 'c';
    redis_command_add(&writer->command, (struct bytes){at, (size_t)(end - at)});
}

static size_t count_arguments(const struct queue_change *change) {
    size_t count = has_head(change);
    for (size_t n = 0; n < change->change->count; n++)
        count += change->change->operations[n].kind == OPERATION_PUT ? PUT_ARGUMENTS : FINISH_ARGUMENTS;
    return count;
}

static void add_change(struct redis_queue_writer *writer, const struct queue_change *change) {
    if (has_head(change))
        add_change_head(writer, change);
    for (size_t n = 0; n < change->change->count; n++)
        add_operation(writer, &change->change->operations[n], change->queues[n], change->policies[n]);
}

void redis_queue_write_changes(struct redis_queue_writer *writer, const struct queue_change *changes, size_t count,
                               uint64_t number, uint64_t answered) {
    size_t arguments = 0;
    for (size_t n = 0; n < count; n++)
        arguments += count_arguments(&changes[n]);
    if (!list_rows(writer, changes, count)) {
        writer->command.failed = true;
        return;
    }
    begin_in_row(writer, REDIS_SCRIPT_CHANGE, number, answered, 1 + writer->row_count * ROW_ARGUMENTS + arguments);
    add_rows(writer);
    for (size_t n = 0; n < count; n++)
        add_change(writer, &changes[n]);
}

/* ---- takes, recoveries ---- */

void redis_queue_write_take(struct redis_queue_writer *writer, const struct queue_want *wants, size_t count,
                            uint64_t number, uint64_t answered) {
    begin_in_row(writer, REDIS_SCRIPT_TAKE, number, answered, 1 + count * WANT_ARGUMENTS);
    redis_command_add_number(&writer->command, QUEUE_TAKE_BYTES);
    for (size_t n = 0; n < count; n++) {
        add_queue(writer, wants[n].queue, wants[n].policy);
        redis_command_add_number(&writer->command, wants[n].messages);
    }
}

void redis_queue_write_recovery(struct redis_queue_writer *writer) {
    begin(writer, REDIS_SCRIPT_RECOVER, 1);
    redis_command_add_number(&writer->command, RECOVERY_PIECE);
}

void redis_queue_writer_free(struct redis_queue_writer *writer) {
    redis_command_free(&writer->command);
    buffer_free(&writer->text);
    free(writer->rows);
}
