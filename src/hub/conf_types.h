/* Private to hub/: the kinds of values that keys of the conf file take. */
#ifndef STOMPD_HUB_CONF_TYPES_H
#define STOMPD_HUB_CONF_TYPES_H

#include "conf_table.h"
#include "stompd/base/compiler.h"

enum conf_set { CONF_SET, CONF_UNFIT, CONF_NO_MEMORY };

struct conf_unit;
struct conf_value;

struct conf_type {
    /* Puts the value into the key's member of `target`, in place of what it held. Unless CONF_SET, nothing changed. */
    enum conf_set (*set)(const struct conf_key *key, const char *value, void *target);
    const struct conf_value *value; /* how it lies in memory */
    const char *form;               /* what is expected; NULL: one of the key's words */
    const struct conf_unit *units;  /* of a number between the key's bounds, else NULL */
    bool secret;                    /* a fault does not repeat the value */
};

/* The member that each fills, and the values it takes. */
extern const struct conf_type conf_flag;     /* bool: yes or no */
extern const struct conf_type conf_choice;   /* an enum: one of the key's words */
extern const struct conf_type conf_number;   /* an unsigned integer of 32 or 64 bits, as are the next three */
extern const struct conf_type conf_size;     /* bytes */
extern const struct conf_type conf_time;     /* milliseconds */
extern const struct conf_type conf_workers;  /* a number, or auto */
extern const struct conf_type conf_name;     /* char *, as are the next four: what conf_is_name() takes */
extern const struct conf_type conf_address;  /* what address_parse() reads */
extern const struct conf_type conf_folder;   /* exists */
extern const struct conf_type conf_file;     /* exists, can be read */
extern const struct conf_type conf_password; /* any text: users_add() knows what fits */
extern const struct conf_type conf_paths;    /* char ** and a count: words that begin with / */
extern const struct conf_type conf_redis;    /* struct redis_address *: what redis_address_parse() reads */
extern const struct conf_type conf_prefix;   /* char *: printable, without blanks */
extern const struct conf_type conf_queue;    /* const char *: the name (route/queue_name.h) of a /queue/ destination */
extern const struct conf_type conf_users;    /* char ** and a count: names of users */
extern const struct conf_type conf_origins;  /* char ** and a count: scheme://host[:port], null, or * */
extern const struct conf_type conf_networks; /* char ** and a count: what network_parse() reads */

MUST_CHECK enum conf_set conf_key_set(const struct conf_key *key, const char *value, void *target);

/* Writes what the key takes, such as "a size from 1k to 1g". */
void conf_key_describe(const struct conf_key *key, char *to, size_t size);

/* The number as one would write it, in the units of the key. */
void conf_quantity_write(const struct conf_key *key, uint64_t quantity, char *to, size_t size);

/* The names of nodes and listeners. */
#define CONF_NAME_FORM "1 to 64 letters, digits, '.', '_' or '-'"
bool conf_is_name(const char *text);

/* Frees a list and its words. */
void conf_list_free(char **list, size_t count);

#endif
