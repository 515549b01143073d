/* Arrays of subscribers. Called by the trie. */
#include "place.h"

#include <stdlib.h>

#define FIRST_CAPACITY 4

/* From the room for one to an array. */
static bool leave_inline(struct trie_place *place) {
    struct subscriber **many = malloc(FIRST_CAPACITY * sizeof(struct subscriber *));
    if (!many)
        return false;
    many[0] = place->held.one;
    place->held.many = many;
    place->capacity = FIRST_CAPACITY;
    return true;
}

static bool resize(struct trie_place *place, uint32_t capacity) {
    struct subscriber **many = realloc(place->held.many, capacity * sizeof(struct subscriber *));
    if (!many)
        return false;
    place->held.many = many;
    place->capacity = capacity;
    return true;
}

static bool make_room(struct trie_place *place) {
    if (place->capacity == 0)
        return place->count == 0 || leave_inline(place);
    return place->count < place->capacity || resize(place, 2 * place->capacity);
}

bool place_add(struct trie_place *place, struct subscriber *subscriber) {
    if (!make_room(place))
        return false;
    subscriber->place = place;
    subscriber->index = place->count++;
    if (place->capacity == 0)
        place->held.one = subscriber;
    else
        place->held.many[subscriber->index] = subscriber;
    return true;
}

static void give_room_back(struct trie_place *place) {
    if (place->count == 1) {
        struct subscriber **many = place->held.many;
        place->held.one = many[0];
        place->capacity = 0;
        free(many);
    } else if (place->count < place->capacity / 4) {
        resize(place, place->capacity / 2); /* where that fails, it stays larger than it need be */
    }
}

void place_remove(struct trie_place *place, struct subscriber *subscriber) {
    place->count--;
    if (place->capacity > 0) {
        struct subscriber *last = place->held.many[place->count];
        place->held.many[subscriber->index] = last;
        last->index = subscriber->index;
        give_room_back(place);
    }
    subscriber->place = NULL;
}
