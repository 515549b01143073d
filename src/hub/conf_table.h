/*
 * Private to hub/: the table that the conf file is read, checked and documented by. A new key is an entry in
 * conf_table.c and a member of the struct that it fills; a new section is an entry too, with hooks (conf_sections.h)
 * where it has a name or its keys must fit each other; a new kind of value is a conf_type (conf_types.h), and where it
 * lies in memory like no other, a conf_value (conf_values.h).
 */
#ifndef STOMPD_HUB_CONF_TABLE_H
#define STOMPD_HUB_CONF_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONF_KEYS_MAX  32  /* in a section */
#define CONF_WORDS_MAX 512 /* bytes that say what is expected */

struct conf_key;
struct conf_reader;
struct conf_type;

/* When a change of a key takes effect. */
enum conf_change {
    CONF_AT_START,          /* the node has to be restarted for it */
    CONF_AT_RELOAD,         /* on SIGHUP */
    CONF_AT_RELOAD_IF_GIVEN /* on SIGHUP; but it can't be added or taken away without a restart */
};

struct conf_key {
    const char *name;
    const char *help;             /* one line: what it is for, and what holds without it where that is no value */
    const struct conf_type *type; /* what values it takes; its bounds or words follow */
    uint64_t least;
    uint64_t most;
    const char *const *words; /* what may be chosen from, up to NULL; the value is the index */
    const char *standard;     /* the default as one would write it; NULL: it has none */
    const char *example;      /* for the reference file, of a key without default */
    bool required;
    enum conf_change change;
    size_t offset;       /* of the member that it fills, in the struct of its section */
    size_t width;        /* of that member */
    size_t count_offset; /* of the member that counts, for lists */
};

struct conf_section {
    const char *name;
    const char *help;
    const struct conf_key *keys;
    size_t key_count;
    const char *example;                 /* a name for the reference file; NULL: the section has no name of its own */
    bool shown_off;                      /* the reference file shows it commented out */
    const char *name_word;               /* what faults call its name; NULL: NAME */
    const char *name_form;               /* which names it takes */
    bool (*name_fits)(const char *name); /* with name_form */
    /* A section begins. Returns the struct that its keys fill, or NULL when out of memory. No hook: struct conf. */
    void *(*begin)(struct conf_reader *reader, const char *name);
    /* It ends: its keys are checked against each other. */
    void (*end)(struct conf_reader *reader, void *target);
};

/* All sections, in the order of the reference file. */
extern const struct conf_section conf_sections[];
extern const size_t conf_section_count;

/* NULL when there is none of that name. */
const struct conf_section *conf_section_find(const char *name, size_t name_len);
const struct conf_key *conf_key_find(const struct conf_section *section, const char *name);

#endif
