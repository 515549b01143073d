/* Hands out slots of one mapping; see receive_buffers.h. libwebsockets has one allocator for all its contexts. */
#include "receive_buffers.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "stompd/base/log.h"

/* A buffer with what libwebsockets adds before and behind it, in whole pages. */
#define SLOT_SIZE ((size_t)20 << 10)

/* 20 GiB of addresses. */
#define SLOTS_MAX ((size_t)1 << 20)

static struct {
    pthread_mutex_t mutex; /* of what follows but `start` and `count`, which stay */
    char *start;           /* NULL: not open */
    size_t count;
    size_t used;        /* slots that were ever handed out: the first ones */
    uint32_t *returned; /* of these the free ones; [count] */
    size_t returned_count;
} slots = {.mutex = PTHREAD_MUTEX_INITIALIZER};

void receive_buffers_open(size_t most) {
    size_t count = most < SLOTS_MAX ? most : SLOTS_MAX;
    if (slots.start)
        return;
    char *start =
        mmap(NULL, count * SLOT_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    uint32_t *returned = start != MAP_FAILED ? malloc(count * sizeof *returned) : NULL;
    if (!returned) {
        log_warning("no addresses for %zu receive buffers: each WebSocket takes some kilobytes more", count);
        if (start != MAP_FAILED)
            munmap(start, count * SLOT_SIZE);
        return;
    }
    madvise(start, count * SLOT_SIZE, MADV_NOHUGEPAGE); /* one written page must not bring 2 MiB with it */
    slots.start = start;
    slots.count = count;
    slots.returned = returned;
}

static bool is_slot(const void *block) {
    uintptr_t address = (uintptr_t)block;
    uintptr_t start = (uintptr_t)slots.start;
    return slots.start && address >= start && address < start + slots.count * SLOT_SIZE;
}

static char *slot_of(const void *within) {
    size_t offset = (size_t)((const char *)within - slots.start);
    return slots.start + offset / SLOT_SIZE * SLOT_SIZE;
}

/* NULL: there are no more. */
static void *take_slot(void) {
    char *slot = NULL;
    pthread_mutex_lock(&slots.mutex);
    if (slots.returned_count > 0)
        slot = slots.start + slots.returned[--slots.returned_count] * SLOT_SIZE;
    else if (slots.used < slots.count)
        slot = slots.start + slots.used++ * SLOT_SIZE;
    pthread_mutex_unlock(&slots.mutex);
    return slot;
}

static void return_slot(char *slot) {
    receive_buffer_clear(slot);
    pthread_mutex_lock(&slots.mutex);
    slots.returned[slots.returned_count++] = (uint32_t)((size_t)(slot - slots.start) / SLOT_SIZE);
    pthread_mutex_unlock(&slots.mutex);
}

/* It does not fit any more. */
static void *move_to_heap(char *slot, size_t size) {
    void *block = malloc(size);
    if (!block)
        return NULL;
    memcpy(block, slot, SLOT_SIZE);
    return_slot(slot);
    return block;
}

static void *allocate_new(size_t size) {
    void *slot = size > RECEIVE_BUFFER_SIZE && size <= SLOT_SIZE ? take_slot() : NULL;
    return slot ? slot : malloc(size);
}

void *receive_buffers_allocate(void *block, size_t size, const char *reason) {
    (void)reason;
    if (!block)
        return size > 0 ? allocate_new(size) : NULL;
    if (!is_slot(block)) {
        if (size > 0)
            return realloc(block, size);
        free(block);
        return NULL;
    }
    if (size == 0)
        return_slot(block);
    else
        return size <= SLOT_SIZE ? block : move_to_heap(block, size);
    return NULL;
}

void receive_buffer_clear(void *within) {
    if (is_slot(within))
        madvise(slot_of(within), SLOT_SIZE, MADV_DONTNEED);
}
