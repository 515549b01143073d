/* Private to hub/: the reading of one conf file, from its first line to its last. */
#ifndef STOMPD_HUB_CONF_READER_H
#define STOMPD_HUB_CONF_READER_H

#include <stdio.h>

#include "conf_sections.h"
#include "conf_table.h"
#include "stompd/base/map.h"
#include "stompd/hub/conf.h"

#define CONF_LINE_MAX 4096 /* bytes of a line */

struct conf_reader {
    struct conf *conf; /* what is filled */
    const char *file;  /* its name, for faults */
    FILE *faults;
    bool faulty;
    unsigned line;     /* that is being read; after the end: the last */
    struct map titles; /* of the sections so far */
    /* The section that is being read. */
    const char *title;                  /* such as "listen web"; "": a faulty one; NULL: none has begun */
    unsigned title_line;                /* where it begins */
    const struct conf_section *section; /* NULL: none has begun, or a faulty one, whose keys are passed over */
    void *target;                       /* the struct that its keys fill */
    unsigned key_lines[CONF_KEYS_MAX];  /* where each key was given; 0: not yet */
    struct user_section user;           /* the target of [user NAME] */
    unsigned admin_bind_line;           /* where [admin] has its bind; 0: nowhere */
};

/* Sets everything to its default. `conf` must be zeroed. */
void conf_reader_init(struct conf_reader *reader, struct conf *conf, const char *file, FILE *faults);

/* Reads all lines. False: the file can't be read to its end; the fault is told, as all others are. */
MUST_CHECK bool conf_reader_read(struct conf_reader *reader, FILE *file);

/* Frees what belongs to the reading; the conf stays. */
void conf_reader_free(struct conf_reader *reader);

/* Writes "file:line: " and the text, which says what is wrong and what was expected. */
void conf_fault(struct conf_reader *reader, unsigned line, const char *format, ...) PRINTF_LIKE(3, 4);
void conf_fault_memory(struct conf_reader *reader);

/* The line in which the section that is being read has the key, or 0. */
unsigned conf_key_line(const struct conf_reader *reader, const char *name);

#endif
