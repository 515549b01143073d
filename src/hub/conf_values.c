/* Values of the conf file in memory: compared, copied, shown. */
#include "conf_values.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf_types.h"
#include "stompd/route/queue_name.h"
#include "stompd/store/redis_address.h"

static const void *member_of(const struct conf_key *key, const void *of) {
    return (const char *)of + key->offset;
}

/* Those that hold no memory of their own */

static bool same_plain(const struct conf_key *key, const void *a, const void *b) {
    return memcmp(member_of(key, a), member_of(key, b), key->width) == 0;
}

static bool copy_plain(const struct conf_key *key, const void *from, void *to) {
    memcpy((char *)to + key->offset, member_of(key, from), key->width);
    return true;
}

static void write_flag(const struct conf_key *key, const void *of, char *to, size_t size) {
    snprintf(to, size, "%s", *(const bool *)member_of(key, of) ? "yes" : "no");
}

static void write_choice(const struct conf_key *key, const void *of, char *to, size_t size) {
    snprintf(to, size, "%s", key->words[*(const uint32_t *)member_of(key, of)]);
}

static void write_quantity(const struct conf_key *key, const void *of, char *to, size_t size) {
    const void *member = member_of(key, of);
    uint64_t quantity = key->width == sizeof(uint64_t) ? *(const uint64_t *)member : *(const uint32_t *)member;
    conf_quantity_write(key, quantity, to, size);
}

/* Texts */

static const char *text_of(const struct conf_key *key, const void *of) {
    return *(char *const *)member_of(key, of);
}

static bool same_string(const char *a, const char *b) {
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool same_text(const struct conf_key *key, const void *a, const void *b) {
    return same_string(text_of(key, a), text_of(key, b));
}

/* False: out of memory. */
static bool copy_string(const char *from, char **to) {
    *to = from ? strdup(from) : NULL;
    return !from || *to;
}

static bool copy_text(const struct conf_key *key, const void *from, void *to) {
    char **member = (char **)(void *)((char *)to + key->offset);
    char *copy;
    if (!copy_string(text_of(key, from), &copy))
        return false;
    free(*member);
    *member = copy;
    return true;
}

static void write_text(const struct conf_key *key, const void *of, char *to, size_t size) {
    const char *text = text_of(key, of);
    snprintf(to, size, "%s", text ? text : "");
}

/* A queue's name is shown as its destination. */
static void write_queue(const struct conf_key *key, const void *of, char *to, size_t size) {
    const char *name = text_of(key, of);
    struct buffer shown = {0};
    bool complete = name && queue_name_show(&shown, bytes_of(name));
    snprintf(to, size, "%.*s", complete ? (int)shown.len : 0, shown.data ? shown.data : "");
    buffer_free(&shown);
}

/* Lists */

static char *const *list_of(const struct conf_key *key, const void *of) {
    return *(char *const *const *)member_of(key, of);
}

static size_t count_of(const struct conf_key *key, const void *of) {
    return *(const size_t *)(const void *)((const char *)of + key->count_offset);
}

static bool same_list(const struct conf_key *key, const void *a, const void *b) {
    size_t count = count_of(key, a);
    if (count_of(key, b) != count)
        return false;
    for (size_t i = 0; i < count; i++)
        if (strcmp(list_of(key, a)[i], list_of(key, b)[i]) != 0)
            return false;
    return true;
}

static bool copy_list(const struct conf_key *key, const void *from, void *to) {
    char ***member = (char ***)(void *)((char *)to + key->offset);
    size_t *member_count = (size_t *)(void *)((char *)to + key->count_offset);
    size_t count = count_of(key, from);
    char **copy = calloc(count + 1, sizeof *copy);
    bool complete = copy != NULL;
    for (size_t i = 0; complete && i < count; i++)
        complete = copy_string(list_of(key, from)[i], &copy[i]);
    if (!complete) {
        conf_list_free(copy, copy ? count : 0);
        return false;
    }
    conf_list_free(*member, *member_count);
    *member = copy;
    *member_count = count;
    return true;
}

static void write_list(const struct conf_key *key, const void *of, char *to, size_t size) {
    size_t len = 0;
    to[0] = '\0';
    for (size_t i = 0; i < count_of(key, of) && len < size; i++)
        len += (size_t)snprintf(to + len, size - len, "%s%s", i == 0 ? "" : " ", list_of(key, of)[i]);
}

/* Redis' address */

static const struct redis_address *redis_of(const struct conf_key *key, const void *of) {
    return *(struct redis_address *const *)member_of(key, of);
}

static bool same_redis(const struct conf_key *key, const void *of_a, const void *of_b) {
    const struct redis_address *a = redis_of(key, of_a);
    const struct redis_address *b = redis_of(key, of_b);
    if (!a || !b)
        return a == b;
    return same_string(a->host, b->host) && a->port == b->port && same_string(a->path, b->path) &&
           same_string(a->user, b->user) && same_string(a->password, b->password) && a->db == b->db;
}

/* NULL: out of memory. */
static struct redis_address *redis_copy(const struct redis_address *from) {
    struct redis_address *copy = calloc(1, sizeof *copy);
    if (!copy)
        return NULL;
    copy->port = from->port;
    copy->db = from->db;
    if (copy_string(from->host, &copy->host) && copy_string(from->path, &copy->path) &&
        copy_string(from->user, &copy->user) && copy_string(from->password, &copy->password))
        return copy;
    redis_address_free(copy);
    free(copy);
    return NULL;
}

static bool copy_redis(const struct conf_key *key, const void *from, void *to) {
    struct redis_address **member = (struct redis_address **)(void *)((char *)to + key->offset);
    const struct redis_address *address = redis_of(key, from);
    struct redis_address *copy = address ? redis_copy(address) : NULL;
    if (address && !copy)
        return false;
    if (*member)
        redis_address_free(*member);
    free(*member);
    *member = copy;
    return true;
}

static void write_redis(const struct conf_key *key, const void *of, char *to, size_t size) {
    const struct redis_address *address = redis_of(key, of);
    to[0] = '\0';
    if (address)
        redis_address_write(address, to, size);
}

/* The kinds */

const struct conf_value conf_value_flag = {same_plain, copy_plain, write_flag};
const struct conf_value conf_value_choice = {same_plain, copy_plain, write_choice};
const struct conf_value conf_value_quantity = {same_plain, copy_plain, write_quantity};
const struct conf_value conf_value_text = {same_text, copy_text, write_text};
const struct conf_value conf_value_list = {same_list, copy_list, write_list};
const struct conf_value conf_value_queue = {same_text, copy_text, write_queue};
const struct conf_value conf_value_redis = {same_redis, copy_redis, write_redis};

bool conf_key_same(const struct conf_key *key, const void *a, const void *b) {
    return key->type->value->same(key, a, b);
}

bool conf_key_copy(const struct conf_key *key, const void *from, void *to) {
    return key->type->value->copy(key, from, to);
}

void conf_key_write(const struct conf_key *key, const void *of, char *to, size_t size) {
    key->type->value->write(key, of, to, size);
}
