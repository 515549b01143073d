/* How values of the conf file are read, and the words that say what they should look like. */
#include "conf_types.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "address.h"
#include "conf_sections.h"
#include "conf_values.h"
#include "stompd/base/network.h"
#include "stompd/route/destination.h"
#include "stompd/route/queue_name.h"
#include "stompd/store/redis_address.h"

#define DIGITS       "0123456789"
#define NAME_CHARS   DIGITS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ._-"
#define NAME_MAX_LEN 64
#define PREFIX_MAX   64
#define BLANKS       "\t\v\f\r "

/* Units run from the largest to the smallest and end with a NULL name. */
struct conf_unit {
    const char *name;
    uint64_t factor;
};

static const struct conf_unit plain_units[] = {{"", 1}, {NULL, 0}};
static const struct conf_unit size_units[] = {{"g", 1 << 30}, {"m", 1 << 20}, {"k", 1 << 10}, {"", 1}, {NULL, 0}};
static const struct conf_unit time_units[] = {{"h", 3600000}, {"m", 60000}, {"s", 1000},
                                              {"", 1000},     {"ms", 1},    {NULL, 0}};

static void *member_of(const struct conf_key *key, void *target) {
    return (char *)target + key->offset;
}

static size_t *count_of(const struct conf_key *key, void *target) {
    return (size_t *)(void *)((char *)target + key->count_offset);
}

/* Numbers */

static void store_number(const struct conf_key *key, void *target, uint64_t number) {
    void *member = member_of(key, target);
    if (key->width == sizeof(uint64_t))
        *(uint64_t *)member = number;
    else
        *(uint32_t *)member = (uint32_t)number;
}

/* Digits and a unit, nothing around them. Too many digits give the largest number there is, which no key takes. */
static bool parse_quantity(const char *value, const struct conf_unit *unit, uint64_t *quantity) {
    size_t digits = strspn(value, DIGITS);
    if (digits == 0)
        return false;
    while (unit->name && strcmp(unit->name, value + digits) != 0)
        unit++;
    return unit->name && !__builtin_mul_overflow(strtoull(value, NULL, 10), unit->factor, quantity);
}

static enum conf_set set_quantity(const struct conf_key *key, const char *value, void *target) {
    uint64_t quantity;
    if (!parse_quantity(value, key->type->units, &quantity) || quantity < key->least || quantity > key->most)
        return CONF_UNFIT;
    store_number(key, target, quantity);
    return CONF_SET;
}

/* The cores that this process may run on, which in a container may be fewer than the machine has. */
static enum conf_set set_workers(const struct conf_key *key, const char *value, void *target) {
    if (strcmp(value, "auto") != 0)
        return set_quantity(key, value, target);
    cpu_set_t cores;
    uint64_t count = sched_getaffinity(0, sizeof cores, &cores) == 0 ? (uint64_t)CPU_COUNT(&cores) : key->least;
    store_number(key, target, count < key->most ? count : key->most);
    return CONF_SET;
}

static enum conf_set set_choice(const struct conf_key *key, const char *value, void *target) {
    for (size_t i = 0; key->words[i]; i++) {
        if (strcmp(key->words[i], value) == 0) {
            store_number(key, target, i);
            return CONF_SET;
        }
    }
    return CONF_UNFIT;
}

static enum conf_set set_flag(const struct conf_key *key, const char *value, void *target) {
    bool yes = strcmp(value, "yes") == 0;
    if (!yes && strcmp(value, "no") != 0)
        return CONF_UNFIT;
    *(bool *)member_of(key, target) = yes;
    return CONF_SET;
}

/* Texts */

static enum conf_set set_text(const struct conf_key *key, const char *value, void *target) {
    char **member = member_of(key, target);
    char *copy = strdup(value);
    if (!copy)
        return CONF_NO_MEMORY;
    free(*member);
    *member = copy;
    return CONF_SET;
}

bool conf_is_name(const char *text) {
    size_t len = strspn(text, NAME_CHARS);
    return len >= 1 && len <= NAME_MAX_LEN && text[len] == '\0';
}

static enum conf_set set_name(const struct conf_key *key, const char *value, void *target) {
    return conf_is_name(value) ? set_text(key, value, target) : CONF_UNFIT;
}

static enum conf_set set_address(const struct conf_key *key, const char *value, void *target) {
    struct sockaddr_storage address;
    socklen_t len;
    return address_parse(value, &address, &len) ? set_text(key, value, target) : CONF_UNFIT;
}

static enum conf_set set_folder(const struct conf_key *key, const char *value, void *target) {
    struct stat status;
    bool fits = stat(value, &status) == 0 && S_ISDIR(status.st_mode) && access(value, R_OK | X_OK) == 0;
    return fits ? set_text(key, value, target) : CONF_UNFIT;
}

static enum conf_set set_file(const struct conf_key *key, const char *value, void *target) {
    struct stat status;
    bool fits = stat(value, &status) == 0 && S_ISREG(status.st_mode) && access(value, R_OK) == 0;
    return fits ? set_text(key, value, target) : CONF_UNFIT;
}

static enum conf_set set_prefix(const struct conf_key *key, const char *value, void *target) {
    size_t len = 0;
    while (value[len] > ' ' && value[len] < 0x7f)
        len++;
    return len <= PREFIX_MAX && value[len] == '\0' ? set_text(key, value, target) : CONF_UNFIT;
}

static enum conf_set set_redis(const struct conf_key *key, const char *value, void *target) {
    struct redis_address **member = member_of(key, target);
    struct redis_address *address = malloc(sizeof *address);
    if (!address)
        return CONF_NO_MEMORY;
    if (!redis_address_parse(value, address)) {
        free(address);
        return CONF_UNFIT;
    }
    if (*member)
        redis_address_free(*member);
    free(*member);
    *member = address;
    return CONF_SET;
}

/* The name, and a NUL behind it. */
static bool build_queue_name(struct bytes destination, struct buffer *name) {
    return queue_name_of_destination(name, destination) && buffer_append(name, "", 1);
}

static enum conf_set set_queue(const struct conf_key *key, const char *value, void *target) {
    struct destination destination;
    struct fault fault = {.kind = FAULT_NONE};
    struct buffer name = {0};
    if (!destination_of_send(bytes_of(value), &destination, &fault) || destination.kind != DESTINATION_QUEUE)
        return CONF_UNFIT;
    bool built = build_queue_name(destination.whole, &name);
    enum conf_set result = built ? set_text(key, name.data, target) : CONF_NO_MEMORY;
    buffer_free(&name);
    return result;
}

/* Lists */

void conf_list_free(char **list, size_t count) {
    for (size_t i = 0; i < count; i++)
        free(list[i]);
    free(list);
}

static enum conf_set collect_words(char *text, bool (*fits)(const char *word), char **list, size_t *count) {
    char *rest;
    for (char *word = strtok_r(text, BLANKS, &rest); word; word = strtok_r(NULL, BLANKS, &rest)) {
        if (!fits(word))
            return CONF_UNFIT;
        list[*count] = strdup(word);
        if (!list[*count])
            return CONF_NO_MEMORY;
        ++*count;
    }
    return CONF_SET;
}

static enum conf_set set_list(const struct conf_key *key, const char *value, void *target,
                              bool (*fits)(const char *word)) {
    char ***member = member_of(key, target);
    size_t *member_count = count_of(key, target);
    size_t count = 0;
    char *text = strdup(value);
    char **list = calloc(strlen(value) / 2 + 1, sizeof *list); /* a word takes a letter and a blank at least */
    enum conf_set result = text && list ? collect_words(text, fits, list, &count) : CONF_NO_MEMORY;
    free(text);
    if (result != CONF_SET) {
        conf_list_free(list, count);
        return result;
    }
    conf_list_free(*member, *member_count);
    *member = list;
    *member_count = count;
    return CONF_SET;
}

static bool is_path(const char *word) {
    return word[0] == '/';
}

static enum conf_set set_paths(const struct conf_key *key, const char *value, void *target) {
    return set_list(key, value, target, is_path);
}

/* As browsers send it: no slash at the end, and null from pages without an address. */
static bool is_origin(const char *word) {
    const char *host = strstr(word, "://");
    if (!host)
        return strcmp(word, "*") == 0 || strcmp(word, "null") == 0;
    host += strlen("://");
    return word[0] != ':' && host[0] != '\0' && !strpbrk(host, "/?#");
}

static enum conf_set set_origins(const struct conf_key *key, const char *value, void *target) {
    return set_list(key, value, target, is_origin);
}

static enum conf_set set_users(const struct conf_key *key, const char *value, void *target) {
    return set_list(key, value, target, user_name_fits);
}

static bool is_network(const char *word) {
    struct network network;
    return network_parse(word, &network);
}

static enum conf_set set_networks(const struct conf_key *key, const char *value, void *target) {
    return set_list(key, value, target, is_network);
}

/* The kinds */

const struct conf_type conf_flag = {.set = set_flag, .value = &conf_value_flag, .form = "yes or no"};
const struct conf_type conf_choice = {.set = set_choice, .value = &conf_value_choice};
const struct conf_type conf_number = {
    .set = set_quantity, .value = &conf_value_quantity, .form = "a number", .units = plain_units};
const struct conf_type conf_size = {
    .set = set_quantity, .value = &conf_value_quantity, .form = "a size", .units = size_units};
const struct conf_type conf_time = {
    .set = set_quantity, .value = &conf_value_quantity, .form = "a time", .units = time_units};
const struct conf_type conf_workers = {
    .set = set_workers, .value = &conf_value_quantity, .form = "auto or a number", .units = plain_units};
const struct conf_type conf_name = {.set = set_name, .value = &conf_value_text, .form = CONF_NAME_FORM};
const struct conf_type conf_address = {.set = set_address, .value = &conf_value_text, .form = ADDRESS_FORM};
const struct conf_type conf_folder = {
    .set = set_folder, .value = &conf_value_text, .form = "a folder that exists and can be read"};
const struct conf_type conf_file = {
    .set = set_file, .value = &conf_value_text, .form = "a file that exists and can be read"};
const struct conf_type conf_password = {.set = set_text,
                                        .value = &conf_value_text,
                                        .form = "plain: and a password, or a crypt(3) hash that begins with $",
                                        .secret = true};
const struct conf_type conf_paths = {
    .set = set_paths, .value = &conf_value_list, .form = "paths that begin with /, separated by spaces"};
const struct conf_type conf_redis = {
    .set = set_redis, .value = &conf_value_redis, .form = REDIS_ADDRESS_FORM, .secret = true};
const struct conf_type conf_prefix = {
    .set = set_prefix, .value = &conf_value_text, .form = "1 to 64 printable ASCII characters without blanks"};
const struct conf_type conf_queue = {
    .set = set_queue, .value = &conf_value_queue, .form = "a destination under /queue/"};
const struct conf_type conf_users = {
    .set = set_users, .value = &conf_value_list, .form = "users' names, separated by spaces"};
const struct conf_type conf_origins = {.set = set_origins,
                                       .value = &conf_value_list,
                                       .form = "* or scheme://host[:port] without a path, separated by spaces"};
const struct conf_type conf_networks = {
    .set = set_networks, .value = &conf_value_list, .form = NETWORK_FORM ", separated by spaces"};

enum conf_set conf_key_set(const struct conf_key *key, const char *value, void *target) {
    return key->type->set(key, value, target);
}

/* In the largest unit that leaves a whole number. */
static void write_quantity(uint64_t quantity, const struct conf_unit *unit, char *to, size_t size) {
    while (unit[1].name && (quantity < unit->factor || quantity % unit->factor != 0))
        unit++;
    snprintf(to, size, "%llu%s", (unsigned long long)(quantity / unit->factor), quantity == 0 ? "" : unit->name);
}

void conf_quantity_write(const struct conf_key *key, uint64_t quantity, char *to, size_t size) {
    write_quantity(quantity, key->type->units, to, size);
}

static void describe_words(const char *const *words, char *to, size_t size) {
    size_t len = 0;
    for (size_t i = 0; words[i] && len < size; i++) {
        const char *between = words[i + 1] ? ", " : " or ";
        len += (size_t)snprintf(to + len, size - len, "%s%s", i == 0 ? "" : between, words[i]);
    }
}

void conf_key_describe(const struct conf_key *key, char *to, size_t size) {
    const struct conf_type *type = key->type;
    if (type->units) {
        char least[32];
        char most[32];
        write_quantity(key->least, type->units, least, sizeof least);
        write_quantity(key->most, type->units, most, sizeof most);
        snprintf(to, size, "%s from %s to %s", type->form, least, most);
    } else if (type->form)
        snprintf(to, size, "%s", type->form);
    else
        describe_words(key->words, to, size);
}
