/*
 * Private to hub/: how the values of keys lie in memory, so that those of two confs can be compared, and one kept or
 * shown. `of`, `from` and `to` are structs that the key's section fills.
 */
#ifndef STOMPD_HUB_CONF_VALUES_H
#define STOMPD_HUB_CONF_VALUES_H

#include "conf_table.h"
#include "stompd/base/compiler.h"

struct conf_value {
    bool (*same)(const struct conf_key *key, const void *a, const void *b);
    /* In place of what `to` has. False: out of memory, and nothing changed. */
    bool (*copy)(const struct conf_key *key, const void *from, void *to);
    /* As in the conf file, without what is secret; "" for none. Cut when it does not fit. */
    void (*write)(const struct conf_key *key, const void *of, char *to, size_t size);
};

extern const struct conf_value conf_value_flag;     /* bool */
extern const struct conf_value conf_value_choice;   /* an enum, by the key's words */
extern const struct conf_value conf_value_quantity; /* an unsigned integer of 32 or 64 bits, by the type's units */
extern const struct conf_value conf_value_text;     /* char *, NULL for none */
extern const struct conf_value conf_value_list;     /* char ** and a count */
extern const struct conf_value conf_value_queue;    /* const char *, a queue's name, NULL for none */
extern const struct conf_value conf_value_redis;    /* struct redis_address *, NULL for none */

bool conf_key_same(const struct conf_key *key, const void *a, const void *b);
MUST_CHECK bool conf_key_copy(const struct conf_key *key, const void *from, void *to);
void conf_key_write(const struct conf_key *key, const void *of, char *to, size_t size);

#endif
