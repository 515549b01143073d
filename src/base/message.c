/* Messages: their one block, and who still needs it. */
#include "stompd/base/message.h"

#include <stdlib.h>

struct message *message_new(unsigned owners, size_t size) {
    size_t start = sizeof(struct message) + owners * sizeof(uint32_t);
    if (owners > UINT16_MAX || size > UINT32_MAX - start)
        return NULL;
    struct message *message = malloc(start + size);
    if (!message)
        return NULL;
    memset(message, 0, start);
    atomic_init(&message->refs, 1);
    message->owners = (uint16_t)owners;
    return message;
}

struct message *message_ref(struct message *message) {
    atomic_fetch_add_explicit(&message->refs, 1, memory_order_relaxed);
    return message;
}

void message_unref(struct message *message) {
    /* What other owners did with the message has to happen before it is freed. */
    if (atomic_fetch_sub_explicit(&message->refs, 1, memory_order_acq_rel) == 1)
        free(message);
}
