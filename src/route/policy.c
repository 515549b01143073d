/* Which section of the conf file holds for a destination, and what holds where none does. */
#include "stompd/route/policy.h"

#include <stdlib.h>

#include "pattern.h"
#include "stompd/base/utf8.h"
#include "stompd/route/destination.h"
#include "stompd/route/trie.h"

#define APP_PREFIX   BYTES("/app/")
#define QUEUE_PREFIX BYTES("/queue/")
#define QUEUE_KIND   BYTES("q:")
#define APP_KIND     BYTES("a:")
#define SECOND       ((uint64_t)1000)
#define MINUTE       (60 * SECOND)

/* Of the longest name of a queue: /queue/NAME.dead with the longest /queue/NAME. */
#define QUEUE_DESTINATION_MAX (DESTINATION_LEN_MAX + 5)

static char app_pattern[] = "/app/**";
static char other_pattern[] = "/**";

#define QUEUE_DEFAULTS                                                                                                 \
    .max_messages = 100000, .max_bytes = 64 << 20, .when_full = WHEN_FULL_REFUSE, .max_deliveries = 10,                \
    .idle_expiry_ms = 5 * MINUTE

static const struct policy app_default = {.pattern = app_pattern, .queue = {QUEUE_DEFAULTS, .max_age_ms = MINUTE}};
static const struct policy other_default = {.pattern = other_pattern, .queue = {QUEUE_DEFAULTS}};

bool policy_is_of_app(struct bytes pattern) {
    return bytes_start_with(pattern, APP_PREFIX);
}

static const struct policy *default_of(struct bytes destination) {
    return policy_is_of_app(destination) ? &app_default : &other_default;
}

/* The pattern of a section */

static bool has_control_character(struct bytes text) {
    for (size_t n = 0; n < text.len; n++) {
        unsigned char c = (unsigned char)text.data[n];
        if (c < 0x20 || c == 0x7f)
            return true;
    }
    return false;
}

static bool has_too_many_any(struct segments segments) {
    struct bytes segment;
    size_t count = 0;
    while (segments_next(&segments, &segment))
        count += segment_kind(segment, &segments) == SEGMENT_ANY;
    return count > DESTINATION_ANY_MAX;
}

bool policy_pattern_fits(const char *pattern) {
    struct bytes text = bytes_of(pattern), head;
    if (text.len > DESTINATION_LEN_MAX || has_control_character(text) || !utf8_is_valid(text))
        return false;
    struct segments segments = pattern_split(text, &head);
    bool has_kind = head.len > 2 && !pattern_has_wildcard(head);
    return has_kind && segments.rest.len > 0 && !has_too_many_any(segments);
}

/* The list */

struct policy *policies_add(struct policies *policies, const char *pattern) {
    struct policy *list = realloc(policies->list, (policies->count + 1) * sizeof *list);
    if (!list)
        return NULL;
    policies->list = list;
    char *copy = strdup(pattern);
    if (!copy)
        return NULL;
    struct policy *policy = &list[policies->count++];
    *policy = (struct policy){.pattern = copy, .queue = default_of(bytes_of(pattern))->queue};
    return policy;
}

static void policy_free(struct policy *policy) {
    for (size_t n = 0; n < policy->app_consumer_count; n++)
        free(policy->app_consumers[n]);
    free(policy->app_consumers);
    free((char *)policy->queue.dead_letter);
    free(policy->pattern);
}

void policies_free(struct policies *policies) {
    for (size_t n = 0; n < policies->count; n++)
        policy_free(&policies->list[n]);
    free(policies->list);
    *policies = (struct policies){0};
}

/* What holds */

/* As a subscription to the pattern would get it: without wildcards a dot is no slash. */
static bool reaches(struct bytes pattern, struct bytes destination) {
    return pattern_matches(pattern, destination) &&
           (bytes_equal(pattern, destination) || pattern_has_wildcard(pattern));
}

const struct policy *policies_find(const struct policies *policies, struct bytes destination) {
    for (size_t n = 0; n < policies->count; n++)
        if (reaches(bytes_of(policies->list[n].pattern), destination))
            return &policies->list[n];
    return default_of(destination);
}

static const struct policy *find_queue(const struct policies *policies, struct bytes name) {
    char text[QUEUE_DESTINATION_MAX];
    struct bytes destination = {text, QUEUE_PREFIX.len + name.len};
    if (destination.len > sizeof text)
        return &other_default;
    memcpy(text, QUEUE_PREFIX.data, QUEUE_PREFIX.len);
    memcpy(text + QUEUE_PREFIX.len, name.data, name.len);
    return policies_find(policies, destination);
}

static const struct policy *find_section(const struct policies *policies, struct bytes pattern) {
    for (size_t n = 0; n < policies->count; n++)
        if (bytes_equal(bytes_of(policies->list[n].pattern), pattern))
            return &policies->list[n];
    return &app_default;
}

const struct policy *policies_of_queue(const struct policies *policies, struct bytes name) {
    if (bytes_start_with(name, QUEUE_KIND))
        return find_queue(policies, bytes_skip(name, QUEUE_KIND.len));
    if (bytes_start_with(name, APP_KIND))
        return find_section(policies, bytes_skip(name, APP_KIND.len));
    return &other_default;
}

bool policy_admits_consumer(const struct policy *policy, const char *user) {
    for (size_t n = 0; user && n < policy->app_consumer_count; n++)
        if (strcmp(policy->app_consumers[n], user) == 0)
            return true;
    return false;
}
