/*
 * Queues in the memory of one node; see queue_store.h. They end with the process. A message is kept as it is, by
 * reference, and counts its longest head, its body and its key.
 */
#ifndef STOMPD_STORE_MEMORY_QUEUES_H
#define STOMPD_STORE_MEMORY_QUEUES_H

#include "stompd/store/queue_store.h"

/*
 * `memory`: bytes that all queues hold together at most, with what each message and each queue takes for itself. A
 * message beyond it is refused (CHANGE_FULL), also where its queue would drop others for it. When most of it is in use,
 * queues that are empty go before their idle expiry, and whoever waits for them may not be told.
 *
 * `clock` gives milliseconds that never go back (base/clock.h's in the daemon). NULL when out of memory. Free with its
 * ops.
 */
MUST_CHECK struct queue_store *memory_queues_new(uint64_t memory, uint64_t (*clock)(void),
                                                 const struct queue_events *events, void *arg);

#endif
