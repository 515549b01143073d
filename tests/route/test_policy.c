/* Which section holds for a destination or a queue, what holds without one, and which patterns sections may have. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "repeat.h"
#include "stompd/route/destination.h"
#include "stompd/route/policy.h"

static const struct policies none;

static int tear_down(void **state) {
    struct policies *policies = *state;
    policies_free(policies);
    return 0;
}

static struct policy *add(void **state, const char *pattern) {
    struct policy *policy = policies_add(*state, pattern);
    assert_non_null(policy);
    return policy;
}

static const char *pattern_for(void **state, const char *destination) {
    return policies_find(*state, bytes_of(destination))->pattern;
}

static const char *pattern_of(void **state, const char *queue) {
    return policies_of_queue(*state, bytes_of(queue))->pattern;
}

/* ---- what holds ---- */

static void test_defaults_hold_where_no_section_does(void **state) {
    const struct queue_policy *queue = &policies_find(&none, BYTES("/queue/x"))->queue;
    assert_int_equal(queue->max_messages, 100000);
    assert_int_equal(queue->max_bytes, 64 << 20);
    assert_int_equal(queue->max_age_ms, 0);
    assert_int_equal(queue->when_full, WHEN_FULL_REFUSE);
    assert_int_equal(queue->max_deliveries, 10);
    assert_int_equal(queue->idle_expiry_ms, 300000);
    assert_null(queue->dead_letter);
    add(state, "/queue/x");
    assert_string_equal(pattern_for(state, "/queue/y"), "/**");
    assert_string_equal(pattern_for(state, "/topic/x"), "/**");
    assert_string_equal(pattern_for(state, ""), "/**");
}

static void test_messages_to_the_application_live_a_minute_by_default(void **state) {
    (void)state;
    const struct policy *policy = policies_find(&none, BYTES("/app/orders"));
    assert_string_equal(policy->pattern, "/app/**");
    assert_int_equal(policy->queue.max_age_ms, 60000);
    assert_int_equal(policy->queue.max_messages, 100000);
    assert_int_equal(policy->app_consumer_count, 0);
    assert_string_equal(policies_find(&none, BYTES("/application/x"))->pattern, "/**");
}

static void test_the_first_section_that_matches_holds(void **state) {
    add(state, "/queue/orders.eu");
    add(state, "/queue/orders.*");
    add(state, "/queue/**");
    assert_string_equal(pattern_for(state, "/queue/orders.eu"), "/queue/orders.eu");
    assert_string_equal(pattern_for(state, "/queue/orders.us"), "/queue/orders.*");
    assert_string_equal(pattern_for(state, "/queue/orders.us.ny"), "/queue/**");
    add(state, "/queue/last");
    assert_string_equal(pattern_for(state, "/queue/last"), "/queue/**");
}

static void test_patterns_are_those_of_subscriptions_in_every_kind(void **state) {
    add(state, "/queue/a.*");
    add(state, "/app/b.#");
    add(state, "/user/queue/>");
    add(state, "/weather/**");
    assert_string_equal(pattern_for(state, "/queue/a/x"), "/queue/a.*");
    assert_string_equal(pattern_for(state, "/app/b"), "/app/b.#");
    assert_string_equal(pattern_for(state, "/user/queue/x.y"), "/user/queue/>");
    assert_string_equal(pattern_for(state, "/weather/x"), "/weather/**");
    assert_string_equal(pattern_for(state, "/topic/a.x"), "/**");
}

static void test_without_wildcards_a_dot_is_no_slash(void **state) {
    add(state, "/queue/a.b");
    assert_string_equal(pattern_for(state, "/queue/a.b"), "/queue/a.b");
    assert_string_equal(pattern_for(state, "/queue/a/b"), "/**");
}

static void test_what_is_added_has_the_defaults_of_its_kind(void **state) {
    const char *pattern = "/app/orders";
    assert_int_equal(add(state, pattern)->queue.max_age_ms, 60000);
    assert_int_equal(add(state, "/queue/x")->queue.max_age_ms, 0);
    assert_int_equal(add(state, "/queue/x")->queue.max_deliveries, 10);
    assert_ptr_not_equal(((struct policies *)*state)->list[0].pattern, pattern);
}

/* ---- queues ---- */

static void test_a_queue_has_the_policy_of_its_destination(void **state) {
    add(state, "/queue/orders.*");
    add(state, "/topic/**");
    assert_string_equal(pattern_of(state, "q:orders.eu"), "/queue/orders.*");
    assert_string_equal(pattern_of(state, "q:orders"), "/**");
    assert_string_equal(pattern_of(state, "q:orders.dead"), "/queue/orders.*");
    assert_string_equal(pattern_of(state, "d:ann/orders.eu"), "/**");
}

static void test_an_application_s_queue_has_the_policy_of_its_section(void **state) {
    add(state, "/app/orders.*");
    add(state, "/app/orders.eu");
    assert_string_equal(pattern_of(state, "a:/app/orders.*"), "/app/orders.*");
    assert_string_equal(pattern_of(state, "a:/app/orders.eu"), "/app/orders.eu");
    assert_string_equal(pattern_of(state, "a:/app/orders.us"), "/app/**");
    add(state, "/app/**")->queue.max_deliveries = 7;
    assert_int_equal(policies_of_queue(*state, BYTES("a:/app/**"))->queue.max_deliveries, 7);
}

static void test_the_longest_queue_has_its_policy(void **state) {
    char name[2 * DESTINATION_LEN_MAX];
    add(state, "/queue/**");
    struct bytes longest = repeat(name, sizeof name, "q:", DESTINATION_LEN_MAX - 7, "x", ".dead");
    assert_string_equal(policies_of_queue(*state, longest)->pattern, "/queue/**");
    struct bytes longer = repeat(name, sizeof name, "q:", DESTINATION_LEN_MAX - 6, "x", ".dead");
    assert_string_equal(policies_of_queue(*state, longer)->pattern, "/**");
}

/* ---- consumers of the application ---- */

static void test_only_named_users_consume(void **state) {
    static const char *const names[] = {"ann", "bob"};
    struct policy *policy = add(state, "/app/x");
    assert_false(policy_admits_consumer(policy, "ann"));
    policy->app_consumers = calloc(2, sizeof *policy->app_consumers);
    assert_non_null(policy->app_consumers);
    for (; policy->app_consumer_count < 2; policy->app_consumer_count++)
        policy->app_consumers[policy->app_consumer_count] = strdup(names[policy->app_consumer_count]);
    assert_true(policy_admits_consumer(policy, "ann"));
    assert_true(policy_admits_consumer(policy, "bob"));
    assert_false(policy_admits_consumer(policy, "an"));
    assert_false(policy_admits_consumer(policy, ""));
    assert_false(policy_admits_consumer(policy, NULL));
}

static void test_what_is_of_the_application(void **state) {
    (void)state;
    assert_true(policy_is_of_app(BYTES("/app/x")));
    assert_true(policy_is_of_app(BYTES("/app/**")));
    assert_false(policy_is_of_app(BYTES("/app")));
    assert_false(policy_is_of_app(BYTES("/apps/x")));
    assert_false(policy_is_of_app(BYTES("/queue/app/x")));
}

/* ---- patterns ---- */

static void test_patterns_of_sections(void **state) {
    (void)state;
    static const char *const right[] = {"/queue/x",   "/queue/**", "/app/*.b",     "/topic/**.**.**.**",
                                        "/weather/x", "/queue//x", "/queue/a b ]", "/queue/\xc3\xb6"};
    static const char *const wrong[] = {"", "/", "queue/x", "/queue", "/queue/", "//x", "/**", "/*/x", "/**/**",
                                        "/a.*/x", "/a.**.b/**", "**", "/queue.**",
                                        /* five that stand for any number, no UTF-8, control characters */
                                        "/queue/**.**.**.**.**", "/queue/**.**.**.**.>", "/queue/\xff", "/queue/a\tb",
                                        "/queue/\x7f"};
    for (size_t n = 0; n < sizeof right / sizeof right[0]; n++)
        if (!policy_pattern_fits(right[n]))
            fail_msg("%s is refused", right[n]);
    for (size_t n = 0; n < sizeof wrong / sizeof wrong[0]; n++)
        if (policy_pattern_fits(wrong[n]))
            fail_msg("%s is not refused", wrong[n]);
}

static void test_a_pattern_is_as_long_as_a_destination(void **state) {
    (void)state;
    char pattern[DESTINATION_LEN_MAX + 2];
    repeat(pattern, sizeof pattern, "/queue/", DESTINATION_LEN_MAX - 7, "x", "");
    assert_true(policy_pattern_fits(pattern));
    repeat(pattern, sizeof pattern, "/queue/", DESTINATION_LEN_MAX - 6, "x", "");
    assert_false(policy_pattern_fits(pattern));
}

int main(void) {
    static struct policies policies;
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_prestate_setup_teardown(name, NULL, tear_down, &policies)
        TEST(test_defaults_hold_where_no_section_does),
        TEST(test_messages_to_the_application_live_a_minute_by_default),
        TEST(test_the_first_section_that_matches_holds),
        TEST(test_patterns_are_those_of_subscriptions_in_every_kind),
        TEST(test_without_wildcards_a_dot_is_no_slash),
        TEST(test_what_is_added_has_the_defaults_of_its_kind),
        TEST(test_a_queue_has_the_policy_of_its_destination),
        TEST(test_an_application_s_queue_has_the_policy_of_its_section),
        TEST(test_the_longest_queue_has_its_policy),
        TEST(test_only_named_users_consume),
        TEST(test_what_is_of_the_application),
        TEST(test_patterns_of_sections),
        TEST(test_a_pattern_is_as_long_as_a_destination),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
