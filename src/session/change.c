/* Changes: a list of operations that grows. */
#include "stompd/session/change.h"

#include <stdlib.h>

#define FIRST_CAPACITY 1 /* most frames are one operation */

struct change *change_new(void) {
    return calloc(1, sizeof(struct change));
}

void change_free(struct change *change) {
    if (!change)
        return;
    for (uint32_t n = 0; n < change->count; n++) {
        if (change->operations[n].message)
            message_unref(change->operations[n].message);
    }
    free(change->operations);
    free(change);
}

static bool make_room(struct change *change) {
    if (change->count < change->capacity)
        return true;
    uint32_t capacity = change->capacity ? change->capacity * 2 : FIRST_CAPACITY;
    struct operation *operations = realloc(change->operations, capacity * sizeof *operations);
    if (!operations)
        return false;
    change->operations = operations;
    change->capacity = capacity;
    return true;
}

bool change_add(struct change *change, const struct operation *operation) {
    if (!make_room(change))
        return false;
    change->operations[change->count++] = *operation;
    change->cost += sizeof *operation;
    if (operation->message)
        change->cost += message_size(operation->message);
    return true;
}
