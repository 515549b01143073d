/* Writing calls about bindings, and reading their replies. */
#include "redis_bindings.h"

#include <stdlib.h>

#include "redis_scripts.h"
#include "stompd/route/queue_name.h"

/* Keys behind `nodes`. */
static const char *const keys[] = {"durables", "durables:state", "durables:changed", "durables:seen"};

#define KEYS      (1 + sizeof keys / sizeof keys[0])
#define ARGUMENTS 6

/* Where things are in the reply. */
enum { AT_RESULT, AT_LIFE, AT_VERSION, AT_EVERYWHERE, AT_COMPLETE, AT_BINDINGS, REPLY_SIZE };

/* ---- calls ---- */

/* The last argument but one is the caller's to add. */
static void begin(struct redis_queue_writer *writer, struct bytes what) {
    struct redis_command *command = &writer->command;
    struct bytes prefix = bytes_of(writer->conf->prefix);
    redis_command_begin(command, 3 + KEYS + ARGUMENTS);
    redis_command_add(command, BYTES("EVALSHA"));
    redis_command_add(command, bytes_of(redis_scripts[REDIS_SCRIPT_BINDINGS].sha1));
    redis_command_add_number(command, KEYS);
    redis_command_add_joined(command, prefix, BYTES("nodes"));
    for (size_t n = 0; n < KEYS - 1; n++)
        redis_command_add_joined(command, prefix, bytes_of(keys[n]));
    redis_command_add(command, bytes_of(writer->conf->node));
    redis_command_add(command, bytes_of(writer->conf->boot));
    redis_command_add(command, prefix);
    redis_command_add(command, what);
}

void redis_bindings_write_bind(struct redis_queue_writer *writer, struct bytes queue, struct bytes topic) {
    begin(writer, BYTES("bind"));
    redis_command_add(&writer->command, queue);
    redis_command_add(&writer->command, topic);
}

void redis_bindings_write_unbind(struct redis_queue_writer *writer, struct bytes queue) {
    begin(writer, BYTES("unbind"));
    redis_command_add(&writer->command, queue);
    redis_command_add(&writer->command, BYTES(""));
}

void redis_bindings_write_look(struct redis_queue_writer *writer, uint64_t version) {
    begin(writer, BYTES("look"));
    redis_command_add_number(&writer->command, version);
    redis_command_add(&writer->command, BYTES(""));
}

/* ---- replies ---- */

static bool read_result(const redisReply *reply, struct queue_answer *answer) {
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements == 0 ||
        reply->element[AT_RESULT]->type != REDIS_REPLY_INTEGER)
        return false;
    switch (reply->element[AT_RESULT]->integer) {
    case REDIS_SCRIPT_OK:
        answer->result = QUEUE_OK;
        return reply->elements == REPLY_SIZE;
    case REDIS_SCRIPT_GONE:
        answer->result = QUEUE_GONE;
        return true;
    case REDIS_SCRIPT_TAKEN:
        answer->result = QUEUE_TAKEN;
        return true;
    default:
        return false;
    }
}

static bool read_numbers(redisReply *const *elements, struct queue_answer *answer) {
    for (size_t n = AT_LIFE; n <= AT_COMPLETE; n++)
        if (elements[n]->type != REDIS_REPLY_INTEGER || elements[n]->integer < 0)
            return false;
    answer->life = (uint64_t)elements[AT_LIFE]->integer;
    answer->version = (uint64_t)elements[AT_VERSION]->integer;
    answer->everywhere = (uint64_t)elements[AT_EVERYWHERE]->integer;
    answer->complete = elements[AT_COMPLETE]->integer != 0;
    return true;
}

static bool read_binding(redisReply *const *elements, struct queue_binding *binding) {
    if (elements[0]->type != REDIS_REPLY_STRING || elements[1]->type != REDIS_REPLY_STRING)
        return false;
    *binding = (struct queue_binding){{elements[0]->str, elements[0]->len}, {elements[1]->str, elements[1]->len}};
    return queue_name_is_durable(binding->queue) && queue_name_is_valid(binding->queue);
}

static bool read_list(const redisReply *list, struct redis_queue_answer *answer) {
    if (list->type != REDIS_REPLY_ARRAY || list->elements % 2 != 0)
        return false;
    struct queue_binding *bindings = calloc(list->elements / 2 + 1, sizeof *bindings);
    if (!bindings)
        return false;
    for (size_t n = 0; n < list->elements; n += 2)
        answer->answer.binding_count += read_binding(&list->element[n], &bindings[answer->answer.binding_count]);
    answer->answer.bindings = bindings;
    answer->block = bindings;
    return true;
}

bool redis_bindings_answer(const redisReply *reply, struct redis_queue_answer *answer) {
    *answer = (struct redis_queue_answer){.failure = ""};
    return read_result(reply, &answer->answer) &&
           (answer->answer.result != QUEUE_OK ||
            (read_numbers(reply->element, &answer->answer) && read_list(reply->element[AT_BINDINGS], answer)));
}
