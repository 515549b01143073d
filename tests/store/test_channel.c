/* The names of channels, and that a pattern's glob covers all that the pattern matches. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "base/random.h"
#include "route/repeat.h"
#include "stompd/route/destination.h"
#include "stompd/route/trie.h"
#include "stompd/store/channel.h"

#define LITERAL(text)                                                                                                  \
    { (text), sizeof(text) - 1 }

static int set_up(void **state) {
    static struct buffer name;
    *state = &name;
    return 0;
}

static int tear_down(void **state) {
    buffer_free(*state);
    return 0;
}

/* What the buffer holds, as a string. */
static const char *text_of(struct buffer *name) {
    assert_true(buffer_reserve(name, 1));
    name->data[name->len] = '\0';
    return name->data;
}

static const char *of_message(struct buffer *name, enum route route, struct bytes key) {
    return channel_of_message(name, route, key) ? text_of(name) : "none";
}

static const char *of_interest(struct buffer *name, enum interest_kind kind, struct bytes key,
                               enum store_channel expected) {
    enum store_channel channel;
    if (!channel_of_interest(name, &channel, kind, key))
        return "none";
    assert_int_equal(channel, expected);
    return text_of(name);
}

static const char *glob_of(struct buffer *name, const char *pattern) {
    return of_interest(name, INTEREST_PATTERN, bytes_of(pattern), STORE_GLOB);
}

/* ---- names ---- */

static void test_a_topic_has_a_channel_of_its_name(void **state) {
    assert_string_equal(of_message(*state, ROUTE_TOPIC, BYTES("/topic/a*b")), "t:/topic/a*b");
    assert_string_equal(of_interest(*state, INTEREST_EXACT, BYTES("/topic/a*b"), STORE_CHANNEL), "t:/topic/a*b");
    assert_string_equal(of_message(*state, ROUTE_TOPIC, BYTES("")), "none");
}

static void test_a_user_has_one_channel_whatever_the_rest(void **state) {
    assert_string_equal(of_message(*state, ROUTE_USER, BYTES("ujohn/doe\0/queue/a")), "u:john/doe");
    assert_string_equal(of_interest(*state, INTEREST_USER, BYTES("ujohn/doe\0/queue/b"), STORE_CHANNEL), "u:john/doe");
}

static void test_an_anonymous_session_is_reached_by_its_node(void **state) {
    assert_string_equal(of_message(*state, ROUTE_USER, BYTES("snode-a:b00t:0-1\0/queue/a")), "n:node-a");
    assert_string_equal(of_interest(*state, INTEREST_USER, BYTES("snode-a:b00t:0-1\0/queue/a"), STORE_CHANNEL),
                        "n:node-a");
    assert_true(channel_of_node(*state, BYTES("node-a")));
    assert_string_equal(text_of(*state), "n:node-a");
}

static void test_keys_that_nobody_can_be_subscribed_by_have_no_channel(void **state) {
    static const struct bytes keys[] = {
        LITERAL(""),
        LITERAL("u"),
        LITERAL("ujohn"),
        LITERAL("ujohn\0"),
        LITERAL("ujohn\0/"),
        LITERAL("ujohn\0queue/a"),
        LITERAL("ujohn\0/queue\0a"),
        LITERAL("ujohn\0/queue\x7f"),
        LITERAL("uj\nohn\0/queue/a"),
        LITERAL("u\0/queue/a"),
        LITERAL("xjohn\0/queue/a"),
        LITERAL("snode-a\0/queue/a"),
        LITERAL("s:b00t:0-1\0/queue/a"),
        LITERAL("s\0/queue/a"),
    };
    for (size_t n = 0; n < sizeof keys / sizeof keys[0]; n++) {
        assert_string_equal(of_message(*state, ROUTE_USER, keys[n]), "none");
        assert_string_equal(of_interest(*state, INTEREST_USER, keys[n], STORE_CHANNEL), "none");
    }
}

static void test_a_users_name_is_as_long_as_it_can_be_in_a_destination(void **state) {
    char room[DESTINATION_USER_MAX + 2];
    struct buffer key = {0};
    struct bytes name = repeat(room, sizeof room, "", DESTINATION_USER_MAX, "u", "");
    assert_true(destination_user_key_build(&key, false, name, BYTES("/queue/a")));
    assert_true(channel_of_message(*state, ROUTE_USER, buffer_bytes(&key)));
    name = repeat(room, sizeof room, "", DESTINATION_USER_MAX + 1, "u", "");
    assert_true(destination_user_key_build(&key, false, name, BYTES("/queue/a")));
    assert_false(channel_of_message(*state, ROUTE_USER, buffer_bytes(&key)));
    buffer_free(&key);
}

/* ---- globs ---- */

static void test_a_pattern_is_a_glob_in_which_both_separators_are_one(void **state) {
    assert_string_equal(glob_of(*state, "/topic/price.*"), "t:/topic/price[/.]*");
    assert_string_equal(glob_of(*state, "/topic/*/eur"), "t:/topic/*[/.]eur");
    assert_string_equal(glob_of(*state, "/topic/*.*.c"), "t:/topic/*[/.]*[/.]c");
}

static void test_any_number_of_segments_may_be_none(void **state) {
    assert_string_equal(glob_of(*state, "/topic/**"), "t:/topic/*");
    assert_string_equal(glob_of(*state, "/topic/a/**"), "t:/topic/a*");
    assert_string_equal(glob_of(*state, "/topic/a.#"), "t:/topic/a*");
    assert_string_equal(glob_of(*state, "/topic/a.>"), "t:/topic/a*");
    assert_string_equal(glob_of(*state, "/topic/**.b"), "t:/topic/*b");
    assert_string_equal(glob_of(*state, "/topic/a.**.b"), "t:/topic/a[/.]*b");
    assert_string_equal(glob_of(*state, "/topic/a.**.**.b"), "t:/topic/a[/.]*b");
    assert_string_equal(glob_of(*state, "/topic/a.**.*"), "t:/topic/a[/.]*");
    assert_string_equal(glob_of(*state, "/topic/*.**.b"), "t:/topic/*[/.]*b");
}

static void test_what_globs_know_is_taken_literally(void **state) {
    assert_string_equal(glob_of(*state, "/topic/a?[b-c]^\\.*"), "t:/topic/a\\?\\[b\\-c\\]\\^\\\\[/.]*");
    assert_string_equal(glob_of(*state, "/topic/***.*"), "t:/topic/\\*\\*\\*[/.]*");
    assert_string_equal(glob_of(*state, "/topic/#.*"), "t:/topic/#[/.]*");
}

static void test_a_glob_has_four_stars_at_most(void **state) {
    assert_string_equal(glob_of(*state, "/topic/*.*.*.a"), "t:/topic/*[/.]*[/.]*[/.]a");
    assert_string_equal(glob_of(*state, "/topic/*.*.*.*"), "t:/topic/*[/.]*[/.]*[/.]*");
    assert_string_equal(glob_of(*state, "/topic/*.*.*.*.a.*.b"), "t:/topic/*[/.]*[/.]*[/.]*");
    assert_string_equal(glob_of(*state, "/topic/**.a.**.b.**.c.**.d"), "t:/topic/*a[/.]*b[/.]*c[/.]*");
}

/* ---- what a glob covers, by Redis' rules (stringmatchlen() in its util.c) ---- */

/* At `*`: all ways to go on; `stuck` as in Redis: none led to the end, so that no longer one before it can. */
static bool glob_matches(struct bytes glob, struct bytes text, bool *stuck);

static bool star_matches(struct bytes glob, struct bytes text, bool *stuck) {
    while (glob.len > 0 && glob.data[0] == '*')
        glob = bytes_skip(glob, 1);
    if (glob.len == 0)
        return true;
    for (; text.len > 0 && !*stuck; text = bytes_skip(text, 1))
        if (glob_matches(glob, text, stuck))
            return true;
    *stuck = true;
    return false;
}

/* The only class that is made. */
static bool class_matches(struct bytes glob, char c) {
    assert_true(bytes_start_with(glob, BYTES("[/.]")));
    return c == '/' || c == '.';
}

static bool glob_matches(struct bytes glob, struct bytes text, bool *stuck) {
    while (glob.len > 0 && text.len > 0) {
        size_t used = 1;
        if (glob.data[0] == '*')
            return star_matches(glob, text, stuck);
        assert_int_not_equal(glob.data[0], '?');
        if (glob.data[0] == '[') {
            if (!class_matches(glob, text.data[0]))
                return false;
            used = 4;
        } else {
            if (glob.data[0] == '\\' && glob.len >= 2)
                glob = bytes_skip(glob, 1);
            if (glob.data[0] != text.data[0])
                return false;
        }
        glob = bytes_skip(glob, used);
        text = bytes_skip(text, 1);
        while (text.len == 0 && glob.len > 0 && glob.data[0] == '*')
            glob = bytes_skip(glob, 1);
    }
    return glob.len == 0 && text.len == 0;
}

static bool is_covered(struct buffer *name, struct bytes pattern, struct bytes destination) {
    char channel[512];
    bool stuck = false;
    enum store_channel kind;
    assert_true(channel_of_interest(name, &kind, INTEREST_PATTERN, pattern));
    int len = snprintf(channel, sizeof channel, "t:%.*s", BYTES_ARG(destination));
    return glob_matches(buffer_bytes(name), (struct bytes){channel, (size_t)len}, &stuck);
}

static void test_globs_leave_out_what_has_other_segments(void **state) {
    assert_true(is_covered(*state, BYTES("/topic/a.*"), BYTES("/topic/a/b")));
    assert_false(is_covered(*state, BYTES("/topic/a.*"), BYTES("/topic/ab")));
    assert_false(is_covered(*state, BYTES("/topic/a.*.c"), BYTES("/topic/a.b.d")));
    assert_false(is_covered(*state, BYTES("/topic/**.c"), BYTES("/topic/a.b")));
    assert_false(is_covered(*state, BYTES("/topic/**"), BYTES("/topics/a")));
    assert_false(is_covered(*state, BYTES("/topic/a?.*"), BYTES("/topic/ab.c")));
}

/* "/topic/" and some segments; wildcards among them where `words` has some. */
static struct bytes random_text(uint64_t *seed, char *room, size_t size, const char *const *words, size_t count) {
    size_t len = (size_t)snprintf(room, size, "/topic/");
    uint64_t segments = 1 + random_below(seed, 6);
    for (uint64_t n = 0; n < segments; n++)
        len += (size_t)snprintf(room + len, size - len, "%s%s",
                                n == 0 ? "" : (const char *[]){"/", "."}[random_below(seed, 2)],
                                words[random_below(seed, count)]);
    return (struct bytes){room, len};
}

static void test_a_glob_covers_all_that_its_pattern_matches(void **state) {
    static const char *const words[] = {"*", "**", "#", ">",  "",     "a",  "b",   "ab", "a*",
                                        "?", "[a", "]", "\\", "[^a]", "-a", "***", "^",  "*?"};
    const size_t plain = 4; /* from there on the words are also those of destinations */
    const size_t count = sizeof words / sizeof words[0];
    char pattern_room[256], destination_room[256];
    uint64_t seed = 1;
    unsigned matched = 0;
    for (int n = 0; n < 300000; n++) {
        struct bytes pattern = random_text(&seed, pattern_room, sizeof pattern_room, words, 8);
        struct bytes destination = random_text(&seed, destination_room, sizeof destination_room, words + plain, 4);
        if (n % 2 == 0) {
            pattern = random_text(&seed, pattern_room, sizeof pattern_room, words, count);
            destination = random_text(&seed, destination_room, sizeof destination_room, words + plain, count - plain);
        }
        if (!pattern_matches(pattern, destination))
            continue;
        matched++;
        if (!is_covered(*state, pattern, destination))
            fail_msg("%.*s matches %.*s, but its glob %s does not", BYTES_ARG(pattern), BYTES_ARG(destination),
                     text_of(*state));
    }
    assert_true(matched > 10000);
}

static void test_the_longest_patterns_fit(void **state) {
    static const char *const pieces[] = {".", "*", "*.", "**.", "\\", "a"};
    char room[DESTINATION_LEN_MAX + 1];
    (void)state;
    for (size_t n = 0; n < sizeof pieces / sizeof pieces[0]; n++) {
        int times = (int)((DESTINATION_LEN_MAX - strlen("/topic/")) / strlen(pieces[n]));
        struct buffer alone = {0}; /* with no room from earlier */
        enum store_channel kind;
        assert_true(channel_of_interest(&alone, &kind, INTEREST_PATTERN,
                                        repeat(room, sizeof room, "/topic/", times, pieces[n], "")));
        buffer_free(&alone);
    }
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_a_topic_has_a_channel_of_its_name),
        TEST(test_a_user_has_one_channel_whatever_the_rest),
        TEST(test_an_anonymous_session_is_reached_by_its_node),
        TEST(test_keys_that_nobody_can_be_subscribed_by_have_no_channel),
        TEST(test_a_users_name_is_as_long_as_it_can_be_in_a_destination),
        TEST(test_a_pattern_is_a_glob_in_which_both_separators_are_one),
        TEST(test_any_number_of_segments_may_be_none),
        TEST(test_what_globs_know_is_taken_literally),
        TEST(test_a_glob_has_four_stars_at_most),
        TEST(test_globs_leave_out_what_has_other_segments),
        TEST(test_a_glob_covers_all_that_its_pattern_matches),
        TEST(test_the_longest_patterns_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
