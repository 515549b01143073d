/* What a pattern reaches: the rule itself, without a trie. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "repeat.h"
#include "stompd/route/trie.h"

static void assert_reaches(const char *pattern, const char *destination) {
    if (!pattern_matches(bytes_of(pattern), bytes_of(destination)))
        fail_msg("%s does not reach %s", pattern, destination);
}

static void assert_misses(const char *pattern, const char *destination) {
    if (pattern_matches(bytes_of(pattern), bytes_of(destination)))
        fail_msg("%s reaches %s", pattern, destination);
}

static void test_a_star_takes_exactly_one_segment(void **state) {
    (void)state;
    assert_reaches("/topic/price.*", "/topic/price.eur");
    assert_reaches("/topic/*/eur", "/topic/price/eur");
    assert_reaches("/topic/*", "/topic/price");
    assert_misses("/topic/price.*", "/topic/price");
    assert_misses("/topic/price.*", "/topic/price.eur.usd");
    assert_misses("/topic/*.*", "/topic/price");
}

static void test_both_separators_are_the_same_boundary(void **state) {
    (void)state;
    assert_reaches("/topic/price.*", "/topic/price/eur");
    assert_reaches("/topic/price/*", "/topic/price.eur");
    assert_reaches("/topic/**", "/topic/a.b/c");
    assert_reaches("/topic/a/b.*", "/topic/a.b/c");
}

static void test_two_stars_take_any_number_of_segments(void **state) {
    (void)state;
    assert_reaches("/topic/a.**", "/topic/a");
    assert_reaches("/topic/a.**", "/topic/a.b");
    assert_reaches("/topic/a.**", "/topic/a.b.c.d");
    assert_reaches("/topic/**.d", "/topic/d");
    assert_reaches("/topic/**.d", "/topic/a.b.d");
    assert_reaches("/topic/a.**.d", "/topic/a.d");
    assert_reaches("/topic/a.**.d", "/topic/a.d.b.d");
    assert_misses("/topic/a.**.d", "/topic/a.d.b");
    assert_misses("/topic/a.**", "/topic/b.a");
    assert_misses("/topic/a.**", "/topic/ab");
}

static void test_a_later_wildcard_gives_an_earlier_one_its_due(void **state) {
    (void)state;
    assert_reaches("/topic/**.a.**.b", "/topic/a.x.b.a.y.b");
    assert_reaches("/topic/**.a.*.b", "/topic/a.a.x.b");
    assert_reaches("/topic/**.*.a", "/topic/a.a");
    assert_misses("/topic/**.*.a", "/topic/a");
    assert_misses("/topic/**.a.**.b", "/topic/b.x.a");
}

static void test_hash_and_greater_are_two_stars_at_the_end_only(void **state) {
    (void)state;
    assert_reaches("/topic/a.#", "/topic/a.b.c");
    assert_reaches("/topic/a.>", "/topic/a.b.c");
    assert_reaches("/topic/a.#", "/topic/a");
    assert_misses("/topic/#.c", "/topic/a.c");
    assert_misses("/topic/>.c", "/topic/a.c");
    assert_reaches("/topic/#.*", "/topic/#.c");
}

static void test_wildcards_within_a_segment_stand_for_themselves(void **state) {
    (void)state;
    assert_reaches("/topic/a*.*", "/topic/a*.b");
    assert_misses("/topic/a*.*", "/topic/ab.b");
    assert_misses("/topic/***", "/topic/a");
    assert_misses("/topic/a#", "/topic/a.b");
    assert_misses("/topic/##", "/topic/a");
    assert_misses("/topic/*#", "/topic/a");
}

static void test_a_destinations_wildcards_are_plain_text(void **state) {
    (void)state;
    assert_misses("/topic/a", "/topic/*");
    assert_misses("/topic/a.b", "/topic/**");
    assert_misses("/topic/a.b", "/topic/a.#");
    assert_reaches("/topic/*", "/topic/**");
}

static void test_an_empty_segment_is_a_segment(void **state) {
    (void)state;
    assert_reaches("/topic/a.*", "/topic/a.");
    assert_reaches("/topic/*.b", "/topic//b");
    assert_misses("/topic/a", "/topic/a.");
    assert_misses("/topic/a.b", "/topic/a..b");
}

static void test_a_pattern_never_leaves_its_kind(void **state) {
    (void)state;
    assert_misses("/topic/**", "/queue/a");
    assert_misses("/topic/**", "/user/bob/a");
    assert_misses("/topic/**", "/app/topic/a");
    assert_misses("/topic/**", "/topic");
    assert_misses("/topic/**", "/topic.a");
    assert_misses("/topic/**", "/topic.a/b");
    assert_misses("/topic/**", ".topic/a");
    assert_misses("/topic/**", "topic/a");
    assert_misses("/topic/**", "");
}

static void test_many_wildcards_cost_no_more_than_pattern_times_destination(void **state) {
    (void)state;
    char pattern[3000], destination[2100];
    struct bytes greedy = repeat(pattern, sizeof pattern, "/topic/", 500, "**.a.", "b");
    /* A search that tries every split would not end before the universe does. */
    assert_true(pattern_matches(greedy, repeat(destination, sizeof destination, "/topic/", 1000, "a.", "b")));
    assert_false(pattern_matches(greedy, repeat(destination, sizeof destination, "/topic/", 1000, "a.", "c")));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_star_takes_exactly_one_segment),
        cmocka_unit_test(test_both_separators_are_the_same_boundary),
        cmocka_unit_test(test_two_stars_take_any_number_of_segments),
        cmocka_unit_test(test_a_later_wildcard_gives_an_earlier_one_its_due),
        cmocka_unit_test(test_hash_and_greater_are_two_stars_at_the_end_only),
        cmocka_unit_test(test_wildcards_within_a_segment_stand_for_themselves),
        cmocka_unit_test(test_a_destinations_wildcards_are_plain_text),
        cmocka_unit_test(test_an_empty_segment_is_a_segment),
        cmocka_unit_test(test_a_pattern_never_leaves_its_kind),
        cmocka_unit_test(test_many_wildcards_cost_no_more_than_pattern_times_destination),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
