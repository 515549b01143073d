/* Private to hub/: where the keys of named sections go, and how they must fit each other. The hooks of conf_table.c. */
#ifndef STOMPD_HUB_CONF_SECTIONS_H
#define STOMPD_HUB_CONF_SECTIONS_H

#include <stdbool.h>
#include <stddef.h>

struct conf;
struct conf_reader;
struct listener_conf;

/* What a [user NAME] section fills while it is read. */
struct user_section {
    const char *name; /* borrowed from the section's title */
    char *password;
};

/* Listeners of a conf, and the array. */
void listeners_free(struct listener_conf *listeners, size_t count);

void *listen_begin(struct conf_reader *reader, const char *name);
void listen_end(struct conf_reader *reader, void *target);

#define USER_NAME_FORM "1 to 255 bytes of UTF-8 without control characters"
bool user_name_fits(const char *name);
void *user_begin(struct conf_reader *reader, const char *name);
void user_end(struct conf_reader *reader, void *target);

void *destination_begin(struct conf_reader *reader, const char *name);
void destination_end(struct conf_reader *reader, void *target);

void *cluster_begin(struct conf_reader *reader, const char *name);
void cluster_end(struct conf_reader *reader, void *target);

void *admin_begin(struct conf_reader *reader, const char *name);
void admin_end(struct conf_reader *reader, void *target);
/* Once all sections are read: the admin port needs an address of its own. */
void admin_check_bind(struct conf_reader *reader);

#endif
