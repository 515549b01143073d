/*
 * Counts who wants what and who has confirmed it. Called by a worker's router, which sends and receives the
 * announcements.
 */
#include "stompd/route/interest.h"

#include <stdlib.h>

static struct bytes key_of(const void *entry) {
    return interest_key(entry);
}

void interests_init(struct interests *interests, unsigned workers, bool hub) {
    *interests = (struct interests){.workers = workers, .hub = hub};
    for (int kind = INTEREST_EXACT; kind <= INTEREST_USER; kind++)
        map_init(&interests->by_key[kind], key_of);
}

void interests_free(struct interests *interests) {
    for (int kind = INTEREST_EXACT; kind <= INTEREST_USER; kind++) {
        size_t cursor = 0;
        struct interest *interest;
        while ((interest = map_next(&interests->by_key[kind], &cursor)) != NULL)
            free(interest);
        map_free(&interests->by_key[kind]);
    }
}

static struct interest *interest_new(struct interests *interests, enum interest_kind kind, struct bytes key) {
    struct interest *interest = calloc(1, sizeof *interest + key.len);
    if (!interest)
        return NULL;
    interest->unconfirmed = interests->workers;
    interest->hub_unconfirmed = interests->hub;
    interest->kind = kind;
    list_init(&interest->waiting);
    interest->key_len = (uint32_t)key.len;
    if (key.len > 0)
        memcpy(interest->key, key.data, key.len);
    if (map_insert(&interests->by_key[kind], interest)) {
        interest->id = ++interests->last_id;
        return interest;
    }
    free(interest);
    return NULL;
}

struct interest *interests_acquire(struct interests *interests, enum interest_kind kind, struct bytes key,
                                   bool *first) {
    struct interest *interest = map_find(&interests->by_key[kind], key);
    *first = interest == NULL;
    if (!interest)
        interest = interest_new(interests, kind, key);
    if (interest)
        interest->holders++;
    return interest;
}

bool interests_release(struct interests *interests, struct interest *interest) {
    if (--interest->holders > 0)
        return false;
    map_remove(&interests->by_key[interest->kind], interest_key(interest));
    free(interest);
    return true;
}

struct interest *interests_confirm(struct interests *interests, enum interest_kind kind, struct bytes key, uint64_t id,
                                   bool by_hub) {
    struct interest *interest = map_find(&interests->by_key[kind], key);
    if (!interest || interest->id != id || interest_is_live(interest))
        return NULL;
    if (by_hub)
        interest->hub_unconfirmed = false;
    else if (interest->unconfirmed > 0)
        interest->unconfirmed--;
    return interest_is_known(interest) ? interest : NULL;
}

void interests_lose_hub(struct interests *interests) {
    for (int kind = INTEREST_EXACT; kind <= INTEREST_USER; kind++) {
        size_t cursor = 0;
        struct interest *interest;
        while ((interest = map_next(&interests->by_key[kind], &cursor)) != NULL)
            interest->hub_unconfirmed = true;
    }
}
