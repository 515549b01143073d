/* Who gets a message: single rules, then a random life of the trie against a plain list and pattern_matches(). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "repeat.h"
#include "stompd/base/hash.h"
#include "stompd/route/destination.h"
#include "stompd/route/trie.h"

static int set_up(void **state) {
    *state = trie_new();
    return *state ? 0 : -1;
}

static int tear_down(void **state) {
    trie_free(*state);
    return 0;
}

static struct match match_of(struct trie *trie, const char *destination) {
    struct match match;
    assert_true(trie_match(trie, bytes_of(destination), &match));
    return match;
}

static void assert_reached(struct trie *trie, const char *destination, size_t exact, size_t patterns) {
    struct match match = match_of(trie, destination);
    assert_int_equal(match.exact_count, exact);
    assert_int_equal(match.pattern_count, patterns);
}

static void add_exact(struct trie *trie, const char *destination, struct subscriber *subscriber) {
    assert_true(trie_add_exact(trie, bytes_of(destination), subscriber));
}

static void add_pattern(struct trie *trie, const char *pattern, struct subscriber *subscriber) {
    assert_true(trie_add_pattern(trie, bytes_of(pattern), subscriber));
}

/* ---- exact destinations ---- */

static void test_exact_destinations_are_compared_byte_by_byte(void **state) {
    struct subscriber slash = {0}, dot = {0};
    add_exact(*state, "/topic/a/b", &slash);
    add_exact(*state, "/topic/a.b", &dot);
    assert_reached(*state, "/topic/a/b", 1, 0);
    assert_ptr_equal(match_of(*state, "/topic/a.b").exact[0], &dot);
    assert_reached(*state, "/topic/a", 0, 0);
    assert_reached(*state, "/topic/a/b/", 0, 0);
    trie_remove(*state, &slash);
    assert_reached(*state, "/topic/a/b", 0, 0);
    assert_reached(*state, "/topic/a.b", 1, 0);
    trie_remove(*state, &dot);
}

static void test_an_exact_subscription_to_wildcards_is_no_pattern(void **state) {
    struct subscriber subscriber = {0};
    add_exact(*state, "/topic/**", &subscriber);
    assert_reached(*state, "/topic/a", 0, 0);
    assert_reached(*state, "/topic/**", 1, 0);
    trie_remove(*state, &subscriber);
}

static void test_subscribers_leave_in_any_order(void **state) {
    struct subscriber all[40] = {{0}};
    for (size_t n = 0; n < 40; n++)
        add_exact(*state, "/topic/a", &all[n]);
    for (size_t n = 0; n < 40; n++) {
        trie_remove(*state, &all[n * 17 % 40]);
        assert_null(all[n * 17 % 40].place);
        struct match match = match_of(*state, "/topic/a");
        assert_int_equal(match.exact_count, 39 - n);
        for (size_t m = 0; m < match.exact_count; m++)
            assert_int_equal(match.exact[m]->index, m);
    }
}

static void test_removing_one_who_is_nowhere_does_nothing(void **state) {
    struct subscriber subscriber = {.kind = 7}, other = {0};
    add_exact(*state, "/topic/a", &other);
    trie_remove(*state, &subscriber);
    assert_reached(*state, "/topic/a", 1, 0);
    assert_int_equal(subscriber.kind, 7);
    trie_remove(*state, &other);
    trie_remove(*state, &other);
}

/* ---- user keys ---- */

static void add_user(struct trie *trie, bool anonymous, const char *who, struct subscriber *subscriber) {
    char key[64];
    size_t len = destination_user_key(key, anonymous, bytes_of(who), BYTES("/queue/x"));
    assert_true(trie_add_exact(trie, (struct bytes){key, len}, subscriber));
}

/* A SEND to that destination reaches exactly the one subscriber. */
static void assert_send_reaches(struct trie *trie, const char *destination, const struct subscriber *subscriber) {
    struct destination read;
    struct fault fault;
    struct match match;
    char key[64];
    assert_true(destination_of_send(bytes_of(destination), &read, &fault));
    size_t len = destination_user_key(key, false, destination_user(&read), read.rest);
    assert_true(trie_match(trie, (struct bytes){key, len}, &match));
    assert_int_equal(match.exact_count, 1);
    assert_ptr_equal(match.exact[0], subscriber);
}

static void test_users_names_neither_collide_nor_widen(void **state) {
    const char *names[] = {"john.doe", "john/doe", "john", "a/b", "*", "**", "%2F", "/", "%", "", "#"};
    const char *sends[] = {"john.doe", "john%2Fdoe", "john", "a%2fb", "*", "**", "%252F", "%2F", "%25", "", "#"};
    struct subscriber named[11] = {{0}}, anonymous[11] = {{0}};
    for (size_t n = 0; n < 11; n++) {
        add_user(*state, false, names[n], &named[n]);
        add_user(*state, true, names[n], &anonymous[n]);
    }
    for (size_t n = 0; n < 11; n++) {
        char destination[64];
        snprintf(destination, sizeof destination, "/user/%s/queue/x", sends[n]);
        assert_send_reaches(*state, destination, &named[n]);
    }
    for (size_t n = 0; n < 11; n++) {
        trie_remove(*state, &named[n]);
        trie_remove(*state, &anonymous[n]);
    }
}

/* ---- patterns ---- */

static void test_each_subscription_is_named_once_however_many_ways_lead_to_it(void **state) {
    const char *patterns[] = {"/topic/**", "/topic/**.**", "/topic/**.a.**", "/topic/*.**", "/topic/**.a", "/topic/#"};
    struct subscriber subscribers[6] = {{0}}, exact[2] = {{0}};
    for (size_t n = 0; n < 6; n++)
        add_pattern(*state, patterns[n], &subscribers[n]);
    add_exact(*state, "/topic/a.a.a", &exact[0]);
    add_exact(*state, "/topic/a.a.a", &exact[1]);
    struct match match = match_of(*state, "/topic/a.a.a");
    assert_int_equal(match.exact_count, 2);
    assert_int_equal(match.pattern_count, 6);
    for (size_t n = 0; n < 6; n++) {
        size_t named = 0;
        for (size_t m = 0; m < match.pattern_count; m++)
            named += match.patterns[m] == &subscribers[n];
        assert_int_equal(named, 1);
    }
    for (size_t n = 0; n < 6; n++)
        trie_remove(*state, &subscribers[n]);
    trie_remove(*state, &exact[0]);
    trie_remove(*state, &exact[1]);
}

static void test_a_later_pattern_reaches_destinations_already_known(void **state) {
    struct subscriber exact = {0}, first = {0}, second = {0};
    add_exact(*state, "/topic/a.b", &exact);
    add_pattern(*state, "/topic/x", &first);
    assert_reached(*state, "/topic/a.b", 1, 0);
    assert_reached(*state, "/topic/a.c", 0, 0);
    add_pattern(*state, "/topic/a.*", &second);
    assert_reached(*state, "/topic/a.b", 1, 1);
    assert_reached(*state, "/topic/a.c", 0, 1);
    trie_remove(*state, &second);
    assert_reached(*state, "/topic/a.b", 1, 0);
    assert_reached(*state, "/topic/a.c", 0, 0);
    trie_remove(*state, &first);
    trie_remove(*state, &exact);
}

static void test_known_destinations_see_who_joins_and_leaves_a_known_pattern(void **state) {
    struct subscriber subscribers[3] = {{0}};
    add_pattern(*state, "/topic/a.*", &subscribers[0]);
    assert_reached(*state, "/topic/a.b", 0, 1);
    add_pattern(*state, "/topic/a.*", &subscribers[1]);
    add_pattern(*state, "/topic/a/*", &subscribers[2]);
    assert_reached(*state, "/topic/a.b", 0, 3);
    trie_remove(*state, &subscribers[0]);
    assert_reached(*state, "/topic/a.b", 0, 2);
    trie_remove(*state, &subscribers[2]);
    assert_ptr_equal(match_of(*state, "/topic/a.b").patterns[0], &subscribers[1]);
    trie_remove(*state, &subscribers[1]);
    assert_reached(*state, "/topic/a.b", 0, 0);
}

static void test_more_patterns_than_are_remembered_all_match(void **state) {
    struct subscriber *subscribers = calloc(600, sizeof *subscribers);
    char pattern[64];
    assert_non_null(subscribers);
    for (int n = 0; n < 600; n++) {
        /* All different, all reach a destination of ten times "a": each bit picks one spelling of a segment. */
        size_t len = (size_t)snprintf(pattern, sizeof pattern, "/topic/**");
        for (int bit = 0; bit < 10; bit++)
            len += (size_t)snprintf(pattern + len, sizeof pattern - len, n >> bit & 1 ? ".*" : ".a");
        add_pattern(*state, pattern, &subscribers[n]);
    }
    assert_reached(*state, "/topic/a.a.a.a.a.a.a.a.a.a", 0, 600);
    assert_reached(*state, "/topic/a.a.a.a.a.a.a.a.a.a", 0, 600);
    for (int n = 0; n < 600; n++)
        trie_remove(*state, &subscribers[n]);
    free(subscribers);
}

static void test_a_pattern_full_of_wildcards_is_walked_within_its_bound(void **state) {
    struct subscriber subscriber = {0};
    struct match match;
    char pattern[2000], destination[2000];
    assert_true(trie_add_pattern(*state, repeat(pattern, sizeof pattern, "/topic/", 200, "**.*.a.", "b"), &subscriber));
    assert_true(trie_match(*state, repeat(destination, sizeof destination, "/topic/", 400, "a.", "b"), &match));
    assert_int_equal(match.pattern_count, 1);
    assert_true(trie_match(*state, repeat(destination, sizeof destination, "/topic/", 400, "a.", "c"), &match));
    assert_int_equal(match.pattern_count, 0);
    trie_remove(*state, &subscriber);
}

/* ---- the cache ---- */

static void test_without_patterns_nothing_is_cached(void **state) {
    struct subscriber subscriber = {0};
    add_exact(*state, "/topic/a", &subscriber);
    assert_reached(*state, "/topic/b", 0, 0);
    assert_int_equal(trie_cached(*state), 0);
    trie_remove(*state, &subscriber);
}

static void test_the_cache_is_emptied_with_the_last_pattern(void **state) {
    struct subscriber subscriber = {0};
    add_pattern(*state, "/topic/*", &subscriber);
    assert_reached(*state, "/topic/b", 0, 1);
    assert_reached(*state, "/topic/b", 0, 1);
    assert_int_equal(trie_cached(*state), 1);
    trie_remove(*state, &subscriber);
    assert_int_equal(trie_cached(*state), 0);
}

static void test_a_cached_destination_that_gets_a_subscriber_counts_no_longer(void **state) {
    struct subscriber pattern = {0}, exact = {0};
    add_pattern(*state, "/topic/*", &pattern);
    assert_reached(*state, "/topic/b", 0, 1);
    add_exact(*state, "/topic/b", &exact);
    assert_int_equal(trie_cached(*state), 0);
    assert_reached(*state, "/topic/b", 1, 1);
    trie_remove(*state, &exact);
    assert_reached(*state, "/topic/b", 0, 1);
    trie_remove(*state, &pattern);
}

static void test_above_the_bound_the_oldest_are_forgotten(void **state) {
    struct subscriber pattern = {0}, exact = {0};
    char destination[32];
    add_pattern(*state, "/topic/*", &pattern);
    add_exact(*state, "/topic/0", &exact);
    for (int n = 0; n < TRIE_CACHE_MAX + 100; n++) {
        snprintf(destination, sizeof destination, "/topic/%d", n);
        assert_reached(*state, destination, n == 0, 1);
    }
    assert_int_equal(trie_cached(*state), TRIE_CACHE_MAX);
    assert_reached(*state, "/topic/0", 1, 1);
    assert_reached(*state, "/topic/1", 0, 1);
    assert_int_equal(trie_cached(*state), TRIE_CACHE_MAX);
    trie_remove(*state, &exact);
    trie_remove(*state, &pattern);
}

static void test_long_destinations_are_matched_but_not_cached(void **state) {
    struct subscriber subscriber = {0};
    struct match match;
    char text[5000];
    add_pattern(*state, "/topic/*", &subscriber);
    assert_true(trie_match(*state, repeat(text, sizeof text, "/topic/", 4000, "x", ""), &match));
    assert_int_equal(match.pattern_count, 1);
    assert_int_equal(trie_cached(*state), 0);
    trie_remove(*state, &subscriber);
}

/* ---- a random life against a plain list ---- */

#define POPULATION 120
#define TEXT_MAX   64

struct member {
    struct subscriber subscriber;
    char text[TEXT_MAX];
    bool pattern;
    unsigned named;
};

struct model {
    struct trie *trie;
    struct member members[POPULATION];
    uint32_t seed;
    uint32_t random;
};

static uint32_t draw(struct model *model, uint32_t below) {
    model->random ^= model->random << 13;
    model->random ^= model->random >> 17;
    model->random ^= model->random << 5;
    return model->random % below;
}

/* Few segments of few kinds, so that the patterns and destinations meet often. */
static void draw_text(struct model *model, char *text) {
    static const char *const heads[] = {"/topic/", "/topic/", "/topic/", "/topic/", "/topic.", "/queue/", ""};
    static const char *const segments[] = {"a", "a", "b", "c", "", "*", "*", "**", "#", ">"};
    size_t len = (size_t)snprintf(text, TEXT_MAX, "%s", heads[draw(model, 7)]);
    uint32_t count = 1 + draw(model, 6);
    for (uint32_t n = 0; n < count; n++)
        len += (size_t)snprintf(text + len, TEXT_MAX - len, "%s%s",
                                n == 0           ? ""
                                : draw(model, 2) ? "."
                                                 : "/",
                                segments[draw(model, 10)]);
}

static void join(struct model *model, struct member *member) {
    draw_text(model, member->text);
    member->pattern = draw(model, 2) == 0;
    if (member->pattern)
        add_pattern(model->trie, member->text, &member->subscriber);
    else
        add_exact(model->trie, member->text, &member->subscriber);
}

static void count_named(struct subscriber *const *subscribers, size_t count, bool patterns) {
    for (size_t n = 0; n < count; n++) {
        struct member *member = CONTAINER_OF(subscribers[n], struct member, subscriber);
        assert_int_equal(member->pattern, patterns);
        member->named++;
    }
}

static bool should_be_named(const struct member *member, struct bytes destination) {
    if (!member->subscriber.place)
        return false;
    struct bytes text = bytes_of(member->text);
    return member->pattern ? pattern_matches(text, destination) : bytes_equal(text, destination);
}

static void compare(struct model *model) {
    char destination[TEXT_MAX];
    draw_text(model, destination);
    for (size_t n = 0; n < POPULATION; n++)
        model->members[n].named = 0;
    struct match match = match_of(model->trie, destination);
    count_named(match.exact, match.exact_count, false);
    count_named(match.patterns, match.pattern_count, true);
    for (size_t n = 0; n < POPULATION; n++) {
        const struct member *member = &model->members[n];
        if (member->named != should_be_named(member, bytes_of(destination)))
            fail_msg("seed %u: %s is named %u times for %s", model->seed, member->text, member->named, destination);
    }
}

/* `crowd` of POPULATION is about how many are in the trie at a time: from hardly anybody to all. */
static void live(struct model *model, uint32_t crowd, int turns) {
    for (int turn = 0; turn < turns; turn++) {
        struct member *member = &model->members[draw(model, POPULATION)];
        bool present = draw(model, POPULATION) < crowd;
        if (present && !member->subscriber.place)
            join(model, member);
        else if (!present)
            trie_remove(model->trie, &member->subscriber);
        compare(model);
    }
}

static void test_a_random_life_agrees_with_a_plain_list(void **state) {
    for (uint32_t seed = 1; seed <= 20; seed++) {
        struct model *model = calloc(1, sizeof *model);
        assert_non_null(model);
        model->trie = *state;
        model->seed = seed;
        model->random = seed * 2654435761u;
        live(model, 4, 300);
        live(model, POPULATION / 2, 500);
        live(model, POPULATION - 10, 500);
        for (size_t n = 0; n < POPULATION; n++)
            trie_remove(*state, &model->members[n].subscriber);
        assert_int_equal(trie_cached(*state), 0);
        free(model);
    }
}

#define RULE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        RULE(test_exact_destinations_are_compared_byte_by_byte),
        RULE(test_an_exact_subscription_to_wildcards_is_no_pattern),
        RULE(test_subscribers_leave_in_any_order),
        RULE(test_removing_one_who_is_nowhere_does_nothing),
        RULE(test_users_names_neither_collide_nor_widen),
        RULE(test_each_subscription_is_named_once_however_many_ways_lead_to_it),
        RULE(test_a_later_pattern_reaches_destinations_already_known),
        RULE(test_known_destinations_see_who_joins_and_leaves_a_known_pattern),
        RULE(test_more_patterns_than_are_remembered_all_match),
        RULE(test_a_pattern_full_of_wildcards_is_walked_within_its_bound),
        RULE(test_without_patterns_nothing_is_cached),
        RULE(test_the_cache_is_emptied_with_the_last_pattern),
        RULE(test_a_cached_destination_that_gets_a_subscriber_counts_no_longer),
        RULE(test_above_the_bound_the_oldest_are_forgotten),
        RULE(test_long_destinations_are_matched_but_not_cached),
        RULE(test_a_random_life_agrees_with_a_plain_list),
    };
    hash_seed();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
