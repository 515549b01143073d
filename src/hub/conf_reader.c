/*
 * Reads a conf file line by line. Sections are found here, keys by inih, which gets one line at a time: given the whole
 * file it tells neither the line of a key, nor sections without keys, nor more than the first syntax error, and it cuts
 * section names after 49 bytes.
 */
#include "conf_reader.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <ini.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "conf_types.h"

#define FAULT_MAX    1024
#define ECHO_MAX     80 /* bytes of the file that a fault repeats at most */
#define BLANKS       "\t\v\f\r "
#define INI_LINE_MAX (CONF_LINE_MAX + 3)

static const struct bytes byte_order_mark = {"\xef\xbb\xbf", 3};

struct line {
    char text[CONF_LINE_MAX + 1];
    size_t len;
    bool too_long;
};

struct title {
    unsigned line;
    char text[];
};

static struct bytes title_key(const void *entry) {
    return bytes_of(((const struct title *)entry)->text);
}

/* Faults */

void conf_fault(struct conf_reader *reader, unsigned line, const char *format, ...) {
    char text[FAULT_MAX];
    va_list values;
    va_start(values, format);
    vsnprintf(text, sizeof text, format, values);
    va_end(values);
    for (char *c = text; *c; c++) {
        if (iscntrl((unsigned char)*c))
            *c = '?';
    }
    fprintf(reader->faults, "%s:%u: %s\n", reader->file, line, text);
    reader->faulty = true;
}

void conf_fault_memory(struct conf_reader *reader) {
    conf_fault(reader, reader->line, "out of memory, expected enough to hold the file");
}

/* "a, b or c" */
static void list_names(char *to, size_t size, size_t *len, const char *name, bool is_last) {
    const char *between = is_last ? " or " : ", ";
    if (*len < size)
        *len += (size_t)snprintf(to + *len, size - *len, "%s%s", *len == 0 ? "" : between, name);
}

/* "[server]", "[listen NAME]" */
static void form_of(const struct conf_section *section, char *to, size_t size) {
    const char *word = section->name_word ? section->name_word : "NAME";
    snprintf(to, size, "[%s%s%s]", section->name, section->example ? " " : "", section->example ? word : "");
}

static void fault_unknown_section(struct conf_reader *reader, const char *title) {
    char known[CONF_WORDS_MAX] = "";
    size_t len = 0;
    for (size_t i = 0; i < conf_section_count; i++) {
        char form[64];
        form_of(&conf_sections[i], form, sizeof form);
        list_names(known, sizeof known, &len, form, i + 1 == conf_section_count);
    }
    conf_fault(reader, reader->line, "unknown section [%.*s], expected %s", ECHO_MAX, title, known);
}

static bool has_secret(const struct conf_section *section) {
    for (size_t i = 0; i < section->key_count; i++) {
        if (section->keys[i].type->secret)
            return true;
    }
    return false;
}

/* What stands in a key's place may be a piece of a password, where there should be one. */
static void fault_unknown_key(struct conf_reader *reader, const char *name) {
    const struct conf_section *section = reader->section;
    int echo = has_secret(section) ? 0 : ECHO_MAX;
    char known[CONF_WORDS_MAX] = "";
    size_t len = 0;
    for (size_t i = 0; i < section->key_count; i++)
        list_names(known, sizeof known, &len, section->keys[i].name, i + 1 == section->key_count);
    conf_fault(reader, reader->line, "unknown key%s%.*s in [%s], expected %s", echo > 0 ? " " : "", echo, name,
               section->name, known);
}

static void fault_value(struct conf_reader *reader, const struct conf_key *key, const char *value) {
    char expected[CONF_WORDS_MAX];
    conf_key_describe(key, expected, sizeof expected);
    if (value[0] == '\0')
        conf_fault(reader, reader->line, "%s has no value, expected %s", key->name, expected);
    else if (key->type->secret)
        conf_fault(reader, reader->line, "%s can't be used, expected %s", key->name, expected);
    else
        conf_fault(reader, reader->line, "%s = %.*s, expected %s", key->name, ECHO_MAX, value, expected);
}

static void fault_missing(struct conf_reader *reader, const struct conf_key *key) {
    char expected[CONF_WORDS_MAX];
    conf_key_describe(key, expected, sizeof expected);
    conf_fault(reader, reader->title_line, "[%.*s] has no %s, expected %s", ECHO_MAX, reader->title, key->name,
               expected);
}

/* Keys */

static unsigned *key_line_of(struct conf_reader *reader, const struct conf_key *key) {
    return &reader->key_lines[key - reader->section->keys];
}

unsigned conf_key_line(const struct conf_reader *reader, const char *name) {
    const struct conf_key *key = conf_key_find(reader->section, name);
    assert(key);
    return reader->key_lines[key - reader->section->keys];
}

static void read_value(struct conf_reader *reader, const struct conf_key *key, const char *value) {
    enum conf_set result = value[0] == '\0' ? CONF_UNFIT : conf_key_set(key, value, reader->target);
    if (result == CONF_UNFIT)
        fault_value(reader, key, value);
    else if (result == CONF_NO_MEMORY)
        conf_fault_memory(reader);
}

static void read_key(struct conf_reader *reader, const char *name, const char *value) {
    const struct conf_key *key = conf_key_find(reader->section, name);
    if (!key) {
        fault_unknown_key(reader, name);
        return;
    }
    unsigned *given = key_line_of(reader, key);
    if (*given > 0) {
        conf_fault(reader, reader->line, "%s is given twice, expected it once (first in line %u)", name, *given);
        return;
    }
    *given = reader->line;
    read_value(reader, key, value);
}

/* inih's handler. It never sees a section. False: the line is no key. */
static int on_key(void *arg, const char *section, const char *name, const char *value) {
    struct conf_reader *reader = arg;
    (void)section;
    if (name[0] == '\0')
        return false;
    if (reader->section)
        read_key(reader, name, value);
    else if (!reader->title)
        conf_fault(reader, reader->line, "a key before the first section, expected a section such as [server]");
    return true;
}

static void set_defaults(struct conf_reader *reader, const struct conf_section *section, void *target) {
    for (size_t i = 0; i < section->key_count; i++) {
        const struct conf_key *key = &section->keys[i];
        if (key->standard && conf_key_set(key, key->standard, target) != CONF_SET)
            conf_fault_memory(reader);
    }
}

/* Sections */

/* Remembers that the section was seen. NULL: out of memory. */
static const struct title *add_title(struct conf_reader *reader, const char *text) {
    size_t size = strlen(text) + 1;
    struct title *title = malloc(sizeof *title + size);
    if (!title)
        return NULL;
    title->line = reader->line;
    memcpy(title->text, text, size);
    if (map_insert(&reader->titles, title))
        return title;
    free(title);
    return NULL;
}

static void check_name(struct conf_reader *reader, const struct conf_section *section, const char *name) {
    char form[64];
    form_of(section, form, sizeof form);
    if (section->example && name[0] == '\0')
        conf_fault(reader, reader->line, "[%s] has no name, expected %s", section->name, form);
    else if (!section->example && name[0] != '\0')
        conf_fault(reader, reader->line, "[%s %.*s] has a name, expected %s", section->name, ECHO_MAX, name, form);
    else if (section->example && !section->name_fits(name))
        conf_fault(reader, reader->line, "[%s %.*s], expected %s", section->name, ECHO_MAX, name, section->name_form);
}

static void end_section(struct conf_reader *reader) {
    const struct conf_section *section = reader->section;
    if (!section)
        return;
    for (size_t i = 0; i < section->key_count; i++) {
        const struct conf_key *key = &section->keys[i];
        if (key->required && *key_line_of(reader, key) == 0)
            fault_missing(reader, key);
    }
    if (section->end)
        section->end(reader, reader->target);
    reader->section = NULL;
}

/* Also after a fault in its title, so that its keys are checked. */
static void begin_section(struct conf_reader *reader, const struct conf_section *section, const char *name) {
    assert(section->key_count <= CONF_KEYS_MAX);
    reader->target = section->begin ? section->begin(reader, name) : reader->conf;
    if (!reader->target) {
        conf_fault_memory(reader);
        return;
    }
    reader->section = section;
    memset(reader->key_lines, 0, sizeof reader->key_lines);
    if (section->begin)
        set_defaults(reader, section, reader->target);
}

/* The title: the kind of the section, and its name where there is one. */
static void read_title(struct conf_reader *reader, const char *text, size_t kind_len) {
    const struct conf_section *section = conf_section_find(text, kind_len);
    if (!section) {
        fault_unknown_section(reader, text);
        return;
    }
    const struct title *title = map_find(&reader->titles, bytes_of(text));
    if (title)
        conf_fault(reader, reader->line, "[%.*s] is given twice, expected it once (first in line %u)", ECHO_MAX, text,
                   title->line);
    else
        title = add_title(reader, text);
    if (!title) {
        conf_fault_memory(reader);
        return;
    }
    reader->title = title->text;
    const char *name = title->text + kind_len + (title->text[kind_len] == ' ' ? 1 : 0);
    check_name(reader, section, name);
    begin_section(reader, section, name);
}

/* Lines */

static char *skip_blanks(char *text) {
    return text + strspn(text, BLANKS);
}

static void cut_blanks_behind(char *text) {
    size_t len = strlen(text);
    while (len > 0 && isspace((unsigned char)text[len - 1]))
        len--;
    text[len] = '\0';
}

/* As inih does behind keys. */
static void cut_comment(char *text) {
    for (char *c = text; *c; c++) {
        if (isspace((unsigned char)c[0]) && (c[1] == '#' || c[1] == ';')) {
            *c = '\0';
            return;
        }
    }
}

/* Leaves one space between kind and name, so that equal titles are equal text. Returns the length of the kind. */
static size_t normalize_title(char *title) {
    size_t kind_len = strcspn(title, BLANKS);
    char *name = skip_blanks(title + kind_len);
    if (*name != '\0') {
        title[kind_len] = ' ';
        memmove(title + kind_len + 1, name, strlen(name) + 1);
    }
    return kind_len;
}

/* The title ends with the line's last bracket: user names may have some of their own. */
static void read_section_line(struct conf_reader *reader, char *text) {
    end_section(reader);
    reader->title = "";
    reader->title_line = reader->line;
    cut_comment(text);
    cut_blanks_behind(text);
    size_t len = strlen(text);
    if (text[len - 1] != ']') {
        conf_fault(reader, reader->line, "a section without ] at its end, expected [section]");
        return;
    }
    text[len - 1] = '\0';
    cut_blanks_behind(text);
    text = skip_blanks(text + 1);
    size_t kind_len = normalize_title(text);
    read_title(reader, text, kind_len);
}

static void read_line(struct conf_reader *reader, struct line *line) {
    char *text = line->text;
    if (reader->line == 1 && bytes_start_with((struct bytes){text, line->len}, byte_order_mark))
        text += byte_order_mark.len;
    text = skip_blanks(text);
    if (line->too_long)
        conf_fault(reader, reader->line, "a line of more than %d bytes, expected a shorter one", CONF_LINE_MAX);
    else if (strlen(line->text) != line->len)
        conf_fault(reader, reader->line, "a line with a NUL byte, expected text");
    else if (*text == '[')
        read_section_line(reader, text);
    else if (ini_parse_string(text, on_key, reader) != 0)
        conf_fault(reader, reader->line, "neither a section nor a key, expected [section] or key = value");
}

/* The next line without its end; what is too long is left out. False: there is none. */
static bool next_line(struct line *line, FILE *file) {
    int c;
    line->len = 0;
    line->too_long = false;
    while ((c = getc(file)) != EOF && c != '\n') {
        if (line->len < CONF_LINE_MAX)
            line->text[line->len++] = (char)c;
        else
            line->too_long = true;
    }
    line->text[line->len] = '\0';
    return c != EOF || line->len > 0;
}

void conf_reader_init(struct conf_reader *reader, struct conf *conf, const char *file, FILE *faults) {
    *reader = (struct conf_reader){.conf = conf, .file = file, .faults = faults};
    map_init(&reader->titles, title_key);
    for (size_t i = 0; i < conf_section_count; i++) {
        if (!conf_sections[i].begin)
            set_defaults(reader, &conf_sections[i], conf);
    }
}

bool conf_reader_read(struct conf_reader *reader, FILE *file) {
    static char comment_marks[] = "#;";
    struct line line;
    ini_inline_comment_prefixes = comment_marks;
    ini_max_line = INI_LINE_MAX;
    while (next_line(&line, file)) {
        reader->line++;
        read_line(reader, &line);
    }
    bool complete = !ferror(file);
    if (!complete)
        conf_fault(reader, reader->line, "can't be read (%s), expected a file that can", strerror(errno));
    end_section(reader);
    return complete;
}

void conf_reader_free(struct conf_reader *reader) {
    size_t cursor = 0;
    void *title;
    while ((title = map_next(&reader->titles, &cursor)) != NULL)
        free(title);
    map_free(&reader->titles);
}
