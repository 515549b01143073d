/* Hands out slots of one mapping; see receive_buffers.h. libwebsockets has one allocator for all its contexts. */
#include "receive_buffers.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "stompd/base/log.h"

/* A buffer with what libwebsockets adds before and behind it; a slot is that in whole pages. */
#define ROOM_NEEDED (RECEIVE_BUFFER_SIZE + 2048)

/* With pages of 4 KiB this is 20 GiB of addresses. */
#define SLOTS_MAX ((size_t)1 << 20)

static struct {
    bool opened;           /* or tried in vain */
    pthread_mutex_t mutex; /* of what follows but `start`, `size` and `count`, which stay */
    char *start;           /* NULL: not open */
    size_t size;           /* of a slot */
    size_t count;
    size_t used;        /* slots that were ever handed out: the first ones */
    uint32_t *returned; /* of these the free ones; [count] */
    size_t returned_count;
} slots = {.mutex = PTHREAD_MUTEX_INITIALIZER};

/* Slots must not share a page, however large those are: what one gives back would be missing in the next. */
static size_t slot_size(void) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    return (ROOM_NEEDED + page - 1) / page * page;
}

/* Leaves most addresses to others where there are few, as on machines of 32 bits. */
static size_t count_of(size_t most, size_t size) {
    size_t bearable = SIZE_MAX / 4 / size;
    size_t count = most < SLOTS_MAX ? most : SLOTS_MAX;
    return count < bearable ? count : bearable;
}

void receive_buffers_open(size_t most) {
    size_t size = slot_size();
    size_t count = count_of(most, size);
    if (slots.opened)
        return;
    slots.opened = true;
    char *start = mmap(NULL, count * size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    uint32_t *returned = start != MAP_FAILED ? malloc(count * sizeof *returned) : NULL;
    if (!returned) {
        log_warning("no addresses for %zu receive buffers: each WebSocket takes some kilobytes more", count);
        if (start != MAP_FAILED)
            munmap(start, count * size);
        return;
    }
    madvise(start, count * size, MADV_NOHUGEPAGE); /* one written page must not bring 2 MiB with it */
    slots.start = start;
    slots.size = size;
    slots.count = count;
    slots.returned = returned;
}

static bool is_slot(const void *block) {
    uintptr_t address = (uintptr_t)block;
    uintptr_t start = (uintptr_t)slots.start;
    return slots.start && address >= start && address < start + slots.count * slots.size;
}

static char *slot_of(const void *within) {
    size_t offset = (size_t)((const char *)within - slots.start);
    return slots.start + offset / slots.size * slots.size;
}

/* NULL: there are no more. */
static void *take_slot(void) {
    char *slot = NULL;
    pthread_mutex_lock(&slots.mutex);
    if (slots.returned_count > 0)
        slot = slots.start + slots.returned[--slots.returned_count] * slots.size;
    else if (slots.used < slots.count)
        slot = slots.start + slots.used++ * slots.size;
    pthread_mutex_unlock(&slots.mutex);
    return slot;
}

static void return_slot(char *slot) {
    receive_buffer_clear(slot);
    pthread_mutex_lock(&slots.mutex);
    slots.returned[slots.returned_count++] = (uint32_t)((size_t)(slot - slots.start) / slots.size);
    pthread_mutex_unlock(&slots.mutex);
}

/* It does not fit any more. */
static void *move_to_heap(char *slot, size_t size) {
    void *block = malloc(size);
    if (!block)
        return NULL;
    memcpy(block, slot, slots.size);
    return_slot(slot);
    return block;
}

static void *allocate_new(size_t size) {
    void *slot = size > RECEIVE_BUFFER_SIZE && size <= slots.size ? take_slot() : NULL;
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
        return size <= slots.size ? block : move_to_heap(block, size);
    return NULL;
}

void receive_buffer_clear(void *within) {
    if (is_slot(within))
        madvise(slot_of(within), slots.size, MADV_DONTNEED);
}
