/* What a destination means, what is refused, and that names can't be mistaken for one another. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "repeat.h"
#include "stompd/route/destination.h"

typedef bool (*reader)(struct bytes text, struct destination *destination, struct fault *fault);

static struct destination read_well(reader read, const char *text) {
    struct destination destination;
    struct fault fault = {.kind = FAULT_NONE};
    if (!read(bytes_of(text), &destination, &fault))
        fail_msg("%s was refused: %s", text, fault.message);
    assert_true(bytes_equal(destination.whole, bytes_of(text)));
    return destination;
}

/* Refused with a sentence that holds both `why` and `quoted`. */
static void assert_refused_bytes(reader read, struct bytes text, const char *why, const char *quoted) {
    struct destination destination;
    struct fault fault = {.kind = FAULT_NONE};
    if (read(text, &destination, &fault))
        fail_msg("was not refused: %.*s", BYTES_ARG(text));
    assert_int_equal(fault.kind, FAULT_PROTOCOL);
    if (!strstr(fault.message, why) || !strstr(fault.message, quoted))
        fail_msg("refused for another reason: %s", fault.message);
}

static void assert_refused(reader read, const char *text, const char *why) {
    assert_refused_bytes(read, bytes_of(text), why, text);
}

static void assert_both_refuse(const char *text, const char *why) {
    assert_refused(destination_of_send, text, why);
    assert_refused(destination_of_subscribe, text, why);
}

static void assert_user(const char *text, const char *name, const char *rest) {
    struct destination destination = read_well(destination_of_send, text);
    assert_int_equal(destination.kind, DESTINATION_USER);
    assert_true(bytes_equal(destination_user(&destination), bytes_of(name)));
    assert_true(bytes_equal(destination.rest, bytes_of(rest)));
}

/* ---- kinds ---- */

static void test_the_prefix_decides_the_kind(void **state) {
    (void)state;
    const struct {
        const char *text;
        enum destination_kind kind;
    } cases[] = {
        {"/topic/a", DESTINATION_TOPIC},
        {"/queue/a", DESTINATION_QUEUE},
        {"/user/a/b", DESTINATION_USER},
        {"/app/a", DESTINATION_APP},
        {"/temp-queue/a", DESTINATION_TEMP_QUEUE},
        {"/topics/a", DESTINATION_OTHER},
        {"/topic.a", DESTINATION_OTHER},
        {"/Topic/a", DESTINATION_OTHER},
        {"topic/a", DESTINATION_OTHER},
        {"/temp-topic/a", DESTINATION_OTHER},
        {"a", DESTINATION_OTHER},
        {"/", DESTINATION_OTHER},
    };
    for (size_t n = 0; n < sizeof cases / sizeof *cases; n++) {
        assert_int_equal(read_well(destination_of_send, cases[n].text).kind, cases[n].kind);
        assert_int_equal(read_well(destination_of_subscribe, cases[n].text).kind, cases[n].kind);
    }
}

static void test_an_empty_destination_is_refused(void **state) {
    (void)state;
    assert_both_refuse("", "empty");
    assert_refused_bytes(destination_of_send, (struct bytes){NULL, 0}, "empty", "");
}

static void test_a_prefix_with_nothing_behind_it_is_refused(void **state) {
    (void)state;
    const char *texts[] = {"/topic/", "/queue/", "/user/", "/app/", "/temp-queue/", "/topic", "/user"};
    for (size_t n = 0; n < sizeof texts / sizeof *texts; n++)
        assert_both_refuse(texts[n], "nothing behind its prefix");
}

static void test_control_characters_are_refused_and_quoted_as_question_marks(void **state) {
    (void)state;
    const char *why = "control character";
    for (int c = 0; c < ' '; c++) {
        char text[] = {'/', 't', 'o', 'p', 'i', 'c', '/', 'a', (char)c};
        assert_refused_bytes(destination_of_send, (struct bytes){text, sizeof text}, why, c ? "/topic/a?" : "/topic/a");
        assert_refused_bytes(destination_of_subscribe, (struct bytes){text, sizeof text}, why, "/topic/a");
    }
    assert_refused_bytes(destination_of_send, BYTES("/queue/\x7f"), why, "/queue/?");
    read_well(destination_of_send, "/queue/a b \xc3\xbc~\\:");
}

static void test_a_long_destination_is_quoted_in_part(void **state) {
    (void)state;
    char text[1000];
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\n';
    assert_refused_bytes(destination_of_send, (struct bytes){text, sizeof text}, "control character", "xxxx...");
}

/* ---- topics and patterns ---- */

static void test_a_whole_wildcard_segment_makes_a_subscription_a_pattern(void **state) {
    (void)state;
    const char *patterns[] = {"/topic/*", "/topic/a.*.b", "/topic/**", "/topic/a/**/b", "/topic/a.#", "/topic/>"};
    for (size_t n = 0; n < sizeof patterns / sizeof *patterns; n++)
        assert_true(read_well(destination_of_subscribe, patterns[n]).pattern);
}

static void test_other_wildcard_characters_stand_for_themselves(void **state) {
    (void)state;
    const char *texts[] = {"/topic/a*", "/topic/***", "/topic/#.a", "/topic/>/a",
                           "/topic/a#", "/topic/*#",  "/topic/##"};
    for (size_t n = 0; n < sizeof texts / sizeof *texts; n++) {
        assert_false(read_well(destination_of_subscribe, texts[n]).pattern);
        assert_false(read_well(destination_of_send, texts[n]).pattern);
    }
}

static void test_nothing_can_be_sent_to_a_pattern(void **state) {
    (void)state;
    assert_refused(destination_of_send, "/topic/*", "to a pattern");
    assert_refused(destination_of_send, "/topic/a.**.b", "to a pattern");
    assert_refused(destination_of_send, "/topic/a/#", "to a pattern");
}

static void test_patterns_outside_of_topics_are_refused(void **state) {
    (void)state;
    const char *texts[] = {"/user/queue/*", "/user/**", "/temp-queue/>", "/*/a", "**", "/other/a.*"};
    for (size_t n = 0; n < sizeof texts / sizeof *texts; n++)
        assert_refused(destination_of_subscribe, texts[n], "only topics");
}

static void test_a_queues_name_may_be_a_wildcard(void **state) {
    (void)state;
    assert_false(read_well(destination_of_subscribe, "/queue/a.*").pattern);
    assert_false(read_well(destination_of_send, "/queue/a.*").pattern);
}

static void test_the_segments_of_a_topic_are_bounded(void **state) {
    (void)state;
    char text[1000];
    repeat(text, sizeof text, "/topic/a", DESTINATION_SEGMENTS_MAX - 1, ".a", "");
    read_well(destination_of_send, text);
    read_well(destination_of_subscribe, text);
    struct bytes longer = repeat(text, sizeof text, "/topic/a", DESTINATION_SEGMENTS_MAX - 1, "/a", ".");
    assert_refused_bytes(destination_of_send, longer, "too many segments", "/topic/a/a");
    assert_refused_bytes(destination_of_subscribe, longer, "too many segments", "/topic/a/a");
    repeat(text, sizeof text, "/topic/", DESTINATION_SEGMENTS_MAX - 1, ".", "");
    read_well(destination_of_send, text);
    longer = repeat(text, sizeof text, "/topic/", DESTINATION_SEGMENTS_MAX, ".", "");
    assert_refused_bytes(destination_of_send, longer, "too many segments", "/topic/...");
    repeat(text, sizeof text, "/queue/a", DESTINATION_SEGMENTS_MAX, ".a", "");
    read_well(destination_of_send, text);
}

static void test_the_length_of_a_destination_is_bounded(void **state) {
    (void)state;
    char text[2000];
    struct bytes longest = repeat(text, sizeof text, "/queue/", DESTINATION_LEN_MAX - 7, "a", "");
    assert_int_equal(longest.len, DESTINATION_LEN_MAX);
    read_well(destination_of_send, text);
    struct bytes longer = repeat(text, sizeof text, "/queue/", DESTINATION_LEN_MAX - 6, "a", "");
    assert_refused_bytes(destination_of_send, longer, "too long", "/queue/aaa");
    assert_refused_bytes(destination_of_subscribe, longer, "too long", "/queue/aaa");
}

/*
 * A walk stays at every `**`, for all patterns of all sessions: what one session may ask for must stay cheap for all.
 */
static void test_the_double_wildcards_of_a_pattern_are_bounded(void **state) {
    (void)state;
    char text[1000];
    repeat(text, sizeof text, "/topic/a", DESTINATION_ANY_MAX, ".**", "");
    read_well(destination_of_subscribe, text);
    repeat(text, sizeof text, "/topic/a", DESTINATION_ANY_MAX - 1, ".**.*", ".#");
    read_well(destination_of_subscribe, text);
    struct bytes more = repeat(text, sizeof text, "/topic/a", DESTINATION_ANY_MAX, ".**.*", ".#");
    assert_refused_bytes(destination_of_subscribe, more, "too many segments **", "/topic/a.**");
}

/* ---- users ---- */

static void test_a_send_names_the_user_and_the_rest(void **state) {
    (void)state;
    assert_user("/user/alice/queue/x", "alice", "/queue/x");
    assert_user("/user/alice/x", "alice", "/x");
    assert_user("/user/john.doe/queue/x", "john.doe", "/queue/x");
    assert_user("/user/a@b.c/queue/x.y", "a@b.c", "/queue/x.y");
    assert_user("/user//queue/x", "", "/queue/x");
}

static void test_escapes_of_slash_and_percent_are_decoded_once(void **state) {
    (void)state;
    assert_user("/user/a%2Fb/queue/x", "a/b", "/queue/x");
    assert_user("/user/a%2fb/queue/x", "a/b", "/queue/x");
    assert_user("/user/%252F/queue/x", "%2F", "/queue/x");
    assert_user("/user/%25252F/queue/x", "%252F", "/queue/x");
    assert_user("/user/%2F%25/queue/x", "/%", "/queue/x");
}

static void test_other_percent_signs_stand_for_themselves(void **state) {
    (void)state;
    assert_user("/user/100%/queue/x", "100%", "/queue/x");
    assert_user("/user/%2/queue/x", "%2", "/queue/x");
    assert_user("/user/%41%2E%00/queue/x", "%41%2E%00", "/queue/x");
    assert_user("/user/a/queue%2Fx", "a", "/queue%2Fx");
}

static void test_a_wildcard_as_a_users_name_is_just_a_name(void **state) {
    (void)state;
    assert_user("/user/*/queue/x", "*", "/queue/x");
    assert_user("/user/**/queue/x", "**", "/queue/x");
    assert_false(read_well(destination_of_send, "/user/*/queue/x").pattern);
}

static void test_a_send_to_a_user_needs_a_rest(void **state) {
    (void)state;
    assert_refused(destination_of_send, "/user/alice", "behind the user's name");
    assert_refused(destination_of_send, "/user/alice/", "behind the user's name");
    assert_refused(destination_of_send, "/user//", "behind the user's name");
}

static void test_a_users_name_is_bounded_as_decoded(void **state) {
    (void)state;
    char text[1000];
    repeat(text, sizeof text, "/user/", DESTINATION_USER_MAX, "%2F", "/x");
    assert_int_equal(read_well(destination_of_send, text).user_len, DESTINATION_USER_MAX);
    struct bytes longer = repeat(text, sizeof text, "/user/", DESTINATION_USER_MAX, "%2F", "a/x");
    assert_refused_bytes(destination_of_send, longer, "name is too long", "/user/%2F");
}

static void test_a_subscription_is_to_ones_own_user_destination(void **state) {
    (void)state;
    struct destination destination = read_well(destination_of_subscribe, "/user/queue/x");
    assert_true(bytes_equal(destination.rest, BYTES("/queue/x")));
    assert_int_equal(destination.user_len, 0);
    destination = read_well(destination_of_subscribe, "/user/alice/queue/x");
    assert_true(bytes_equal(destination.rest, BYTES("/alice/queue/x")));
}

/* ---- keys ---- */

struct key {
    char *data;
    size_t len;
};

static struct key key_of(bool anonymous, struct bytes who, struct bytes rest) {
    struct key key = {.len = destination_user_key(NULL, anonymous, who, rest)};
    key.data = malloc(key.len); /* not a byte more, so that a sanitizer sees one too many */
    assert_non_null(key.data);
    assert_int_equal(destination_user_key(key.data, anonymous, who, rest), key.len);
    return key;
}

static void test_a_key_is_kind_name_nul_and_rest(void **state) {
    (void)state;
    struct key key = key_of(false, BYTES("bob"), BYTES("/queue/x"));
    assert_int_equal(key.len, 13);
    assert_memory_equal(key.data, "ubob\0/queue/x", 13);
    free(key.data);
    key = key_of(true, BYTES("n-1"), BYTES("/q"));
    assert_int_equal(key.len, 7);
    assert_memory_equal(key.data, "sn-1\0/q", 7);
    free(key.data);
}

static void test_keys_of_different_owners_or_rests_never_collide(void **state) {
    (void)state;
    const struct {
        bool anonymous;
        struct bytes who, rest;
    } parts[] = {
        {false, BYTES("a"), BYTES("/b/c")},      {false, BYTES("a/b"), BYTES("/c")},
        {false, BYTES(""), BYTES("/a/b/c")},     {true, BYTES("a"), BYTES("/b/c")},
        {true, BYTES("a/b"), BYTES("/c")},       {false, BYTES("sa"), BYTES("/b/c")},
        {true, BYTES("ua"), BYTES("/b/c")},      {false, BYTES("*"), BYTES("/b/c")},
        {false, BYTES("**"), BYTES("/c")},       {false, BYTES("john.doe"), BYTES("/c")},
        {false, BYTES("john/doe"), BYTES("/c")}, {false, BYTES("john"), BYTES(".doe/c")},
        {false, BYTES("%2F"), BYTES("/c")},      {false, BYTES("/"), BYTES("/c")},
        {false, BYTES("%252F"), BYTES("/c")},
    };
    size_t count = sizeof parts / sizeof *parts;
    struct key keys[sizeof parts / sizeof *parts];
    for (size_t n = 0; n < count; n++)
        keys[n] = key_of(parts[n].anonymous, parts[n].who, parts[n].rest);
    for (size_t n = 0; n < count; n++)
        for (size_t m = 0; m < n; m++)
            assert_false(
                bytes_equal((struct bytes){keys[n].data, keys[n].len}, (struct bytes){keys[m].data, keys[m].len}));
    for (size_t n = 0; n < count; n++)
        free(keys[n].data);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_prefix_decides_the_kind),
        cmocka_unit_test(test_an_empty_destination_is_refused),
        cmocka_unit_test(test_a_prefix_with_nothing_behind_it_is_refused),
        cmocka_unit_test(test_control_characters_are_refused_and_quoted_as_question_marks),
        cmocka_unit_test(test_a_long_destination_is_quoted_in_part),
        cmocka_unit_test(test_a_whole_wildcard_segment_makes_a_subscription_a_pattern),
        cmocka_unit_test(test_other_wildcard_characters_stand_for_themselves),
        cmocka_unit_test(test_nothing_can_be_sent_to_a_pattern),
        cmocka_unit_test(test_patterns_outside_of_topics_are_refused),
        cmocka_unit_test(test_a_queues_name_may_be_a_wildcard),
        cmocka_unit_test(test_the_segments_of_a_topic_are_bounded),
        cmocka_unit_test(test_the_length_of_a_destination_is_bounded),
        cmocka_unit_test(test_the_double_wildcards_of_a_pattern_are_bounded),
        cmocka_unit_test(test_a_send_names_the_user_and_the_rest),
        cmocka_unit_test(test_escapes_of_slash_and_percent_are_decoded_once),
        cmocka_unit_test(test_other_percent_signs_stand_for_themselves),
        cmocka_unit_test(test_a_wildcard_as_a_users_name_is_just_a_name),
        cmocka_unit_test(test_a_send_to_a_user_needs_a_rest),
        cmocka_unit_test(test_a_users_name_is_bounded_as_decoded),
        cmocka_unit_test(test_a_subscription_is_to_ones_own_user_destination),
        cmocka_unit_test(test_a_key_is_kind_name_nul_and_rest),
        cmocka_unit_test(test_keys_of_different_owners_or_rests_never_collide),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
