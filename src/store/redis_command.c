/* Writing commands. */
#include "redis_command.h"

#define DIGITS_MAX 20                /* of 64 bits */
#define KEPT_MAX   ((size_t)1 << 20) /* a buffer that one large command has made larger is given back */

static void append(struct redis_command *command, struct bytes bytes) {
    if (!command->failed)
        command->failed = !buffer_append(&command->bytes, bytes.data, bytes.len);
}

/* `$` or `*`, a number, a line end. */
static void append_count(struct redis_command *command, char kind, uint64_t count) {
    char line[1 + DIGITS_MAX + 2];
    char *at = line + sizeof line;
    *--at = '\n';
    *--at = '\r';
    do
        *--at = (char)('0' + count % 10);
    while ((count /= 10) > 0);
    *--at = kind;
    append(command, (struct bytes){at, (size_t)(line + sizeof line - at)});
}

void redis_command_begin(struct redis_command *command, size_t arguments) {
    if (command->bytes.capacity > KEPT_MAX)
        buffer_free(&command->bytes);
    command->bytes.len = 0;
    command->failed = false;
    append_count(command, '*', arguments);
}

void redis_command_add(struct redis_command *command, struct bytes argument) {
    redis_command_add_joined(command, argument, (struct bytes){0});
}

void redis_command_add_joined(struct redis_command *command, struct bytes front, struct bytes back) {
    append_count(command, '$', front.len + back.len);
    append(command, front);
    append(command, back);
    append(command, BYTES("\r\n"));
}

void redis_command_add_number(struct redis_command *command, uint64_t number) {
    char digits[DIGITS_MAX];
    char *at = digits + sizeof digits;
    do
        *--at = (char)('0' + number % 10);
    while ((number /= 10) > 0);
    redis_command_add(command, (struct bytes){at, (size_t)(digits + sizeof digits - at)});
}

void redis_command_free(struct redis_command *command) {
    buffer_free(&command->bytes);
}
