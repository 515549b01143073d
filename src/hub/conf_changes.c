/*
 * Section by section and key by key through the table of conf_table.c, which says of each key when a change of it takes
 * effect.
 */
#include "conf_changes.h"

#include <stdlib.h>
#include <string.h>

#include "conf_sections.h"
#include "conf_table.h"
#include "conf_values.h"
#include "stompd/route/destination.h"

#define RESTART "a restart is needed for this change"

/* Two structs that a section has filled. */
struct pair {
    const struct conf_section *section;
    const char *name; /* behind the section's, with a blank in front; "": it has none */
    const void *was;
    void *next;
};

static const char *or_unset(const char *value) {
    return value[0] == '\0' ? "unset" : value;
}

/* Whether the value of `was` stays, although `next` has another. */
static bool stays(const struct conf_key *key, const char *was, const char *next) {
    switch (key->change) {
    case CONF_AT_RELOAD:
        return false;
    case CONF_AT_RELOAD_IF_GIVEN:
        return (was[0] == '\0') != (next[0] == '\0');
    case CONF_AT_START:
        break;
    }
    return true;
}

static bool compare_key(const struct pair *pair, const struct conf_key *key, FILE *told) {
    char was[CONF_WORDS_MAX];
    char next[CONF_WORDS_MAX];
    if (conf_key_same(key, pair->was, pair->next))
        return true;
    conf_key_write(key, pair->was, was, sizeof was);
    conf_key_write(key, pair->next, next, sizeof next);
    fprintf(told, "[%s%s] %s", pair->section->name, pair->name, key->name);
    if (!stays(key, was, next)) {
        fprintf(told, " is %s now, was %s\n", or_unset(next), or_unset(was));
        return true;
    }
    fprintf(told, ": " RESTART "; it stays %s\n", or_unset(was));
    return conf_key_copy(key, pair->was, pair->next);
}

static bool compare_keys(const struct pair *pair, FILE *told) {
    for (size_t i = 0; i < pair->section->key_count; i++)
        if (!compare_key(pair, &pair->section->keys[i], told))
            return false;
    return true;
}

static bool keep_keys(const struct pair *pair) {
    for (size_t i = 0; i < pair->section->key_count; i++)
        if (!conf_key_copy(&pair->section->keys[i], pair->was, pair->next))
            return false;
    return true;
}

static const struct conf_section *section_named(const char *name) {
    return conf_section_find(name, strlen(name));
}

/* Sections that are there or not */

static bool compare_optional(const char *section, const void *was, bool was_there, void *next, bool next_there,
                             FILE *told) {
    struct pair pair = {.section = section_named(section), .name = "", .was = was, .next = next};
    if (was_there == next_there)
        return compare_keys(&pair, told);
    fprintf(told, "[%s] is %s: " RESTART "\n", section, next_there ? "new" : "gone");
    return keep_keys(&pair);
}

/* Listeners */

static struct listener_conf *find_listener(const struct conf *conf, const char *name) {
    for (size_t i = 0; i < conf->listener_count; i++)
        if (strcmp(conf->listeners[i].name, name) == 0)
            return &conf->listeners[i];
    return NULL;
}

static void tell_new_listeners(const struct conf *in_force, const struct conf *next, FILE *told) {
    for (size_t i = 0; i < next->listener_count; i++)
        if (!find_listener(in_force, next->listeners[i].name))
            fprintf(told, "[listen %s] is new: " RESTART "\n", next->listeners[i].name);
}

/* `read`: what the file says of it now; NULL: nothing. */
static bool follow_listener(const struct listener_conf *was, const struct listener_conf *read,
                            struct listener_conf *next, FILE *told) {
    char name[CONF_WORDS_MAX];
    const struct listener_conf *source = read && read->protocol == was->protocol ? read : was;
    struct pair pair = {.section = section_named("listen"), .name = name, .was = source, .next = next};
    *next = (struct listener_conf){.name = strdup(was->name), .line = source->line};
    if (!next->name || !keep_keys(&pair))
        return false;
    snprintf(name, sizeof name, " %s", was->name);
    pair.was = was;
    if (source == read)
        return compare_keys(&pair, told);
    if (read)
        fprintf(told, "[listen%s] protocol: " RESTART "; all of the section stays as it was\n", name);
    else
        fprintf(told, "[listen%s] is gone: " RESTART "\n", name);
    return true;
}

static bool follow_listeners(struct conf *next, const struct conf *in_force, FILE *told) {
    struct listener_conf *listeners = calloc(in_force->listener_count, sizeof *listeners);
    size_t count = 0;
    bool complete = listeners != NULL;
    for (; complete && count < in_force->listener_count; count++) {
        const struct listener_conf *was = &in_force->listeners[count];
        complete = follow_listener(was, find_listener(next, was->name), &listeners[count], told);
    }
    tell_new_listeners(in_force, next, told);
    listeners_free(next->listeners, next->listener_count);
    next->listeners = listeners;
    next->listener_count = count;
    return complete;
}

/* Users */

static bool same_password(const struct user *a, const struct user *b) {
    return a->plain == b->plain && strcmp(a->secret, b->secret) == 0;
}

static void tell_users(const struct users *was, const struct users *next, FILE *told) {
    size_t added = 0;
    size_t changed = 0;
    size_t cursor = 0;
    const struct user *user;
    while ((user = map_next(&next->by_name, &cursor)) != NULL) {
        const struct user *before = users_find(was, bytes_of(user->name));
        added += !before;
        changed += before && !same_password(before, user);
    }
    size_t removed = was->by_name.count + added - next->by_name.count;
    if (added + changed + removed > 0)
        fprintf(told, "[user]: %zu added, %zu removed, %zu with another password\n", added, removed, changed);
}

/* Destinations: all of them may change, and so may their order, in which they are matched */

static struct policy *find_policy(const struct policies *policies, const char *pattern) {
    for (size_t i = 0; i < policies->count; i++)
        if (strcmp(policies->list[i].pattern, pattern) == 0)
            return &policies->list[i];
    return NULL;
}

/* The next one whose pattern the other has too; NULL: there is none. */
static const struct policy *next_shared(const struct policies *policies, size_t *cursor, const struct policies *other) {
    while (*cursor < policies->count) {
        const struct policy *policy = &policies->list[(*cursor)++];
        if (find_policy(other, policy->pattern))
            return policy;
    }
    return NULL;
}

static bool same_order(const struct policies *was, const struct policies *next) {
    size_t cursors[2] = {0};
    const struct policy *policy;
    while ((policy = next_shared(was, &cursors[0], next)) != NULL)
        if (strcmp(policy->pattern, next_shared(next, &cursors[1], was)->pattern) != 0)
            return false;
    return true;
}

/* Those of `policies` that `other` does not have. */
static void tell_unshared(const struct policies *policies, const struct policies *other, const char *what, FILE *told) {
    for (size_t i = 0; i < policies->count; i++)
        if (!find_policy(other, policies->list[i].pattern))
            fprintf(told, "[destination %s] is %s\n", policies->list[i].pattern, what);
}

static bool compare_policies(const struct policies *was, const struct policies *next, FILE *told) {
    char name[DESTINATION_LEN_MAX + 2];
    struct pair pair = {.section = section_named("destination"), .name = name};
    for (size_t i = 0; i < was->count; i++) {
        const struct policy *policy = &was->list[i];
        pair.was = policy;
        pair.next = find_policy(next, policy->pattern);
        snprintf(name, sizeof name, " %s", policy->pattern);
        if (pair.next && !compare_keys(&pair, told))
            return false;
    }
    tell_unshared(was, next, "gone", told);
    tell_unshared(next, was, "new", told);
    if (!same_order(was, next))
        fprintf(told, "[destination]: the sections are in another order now\n");
    return true;
}

/* Sections whose keys fill the conf itself. */
static bool compare_plain(struct conf *next, const struct conf *in_force, FILE *told) {
    for (size_t i = 0; i < conf_section_count; i++) {
        struct pair pair = {.section = &conf_sections[i], .name = "", .was = in_force, .next = next};
        if (!conf_sections[i].begin && !compare_keys(&pair, told))
            return false;
    }
    return true;
}

bool conf_changes_apply(struct conf *next, const struct conf *in_force, FILE *told) {
    tell_users(&in_force->users, &next->users, told);
    return compare_plain(next, in_force, told) && follow_listeners(next, in_force, told) &&
           compare_policies(&in_force->policies, &next->policies, told) &&
           compare_optional("cluster", &in_force->cluster, in_force->cluster.redis, &next->cluster, next->cluster.redis,
                            told) &&
           compare_optional("admin", &in_force->admin, in_force->admin.bind, &next->admin, next->admin.bind, told);
}
