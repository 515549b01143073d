/* The conf file's [destination PATTERN] sections: which patterns and values they take, and what holds by default. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "stompd/base/hash.h"
#include "stompd/hub/conf.h"
#include "stompd/route/destination.h"

#define LISTEN                 "[listen web]\nbind = 127.0.0.1:8080\n" /* two lines */
#define SECTION(pattern, keys) LISTEN "[destination " pattern "]\n" keys
#define QUEUE(keys)            SECTION("/queue/x", keys)

struct fixture {
    struct conf *conf;
    char *faults; /* without the file's name: "line: what, expected what" */
};

static int forget(void **state) {
    struct fixture *fixture = *state;
    conf_free(fixture->conf);
    free(fixture->faults);
    *fixture = (struct fixture){0};
    return 0;
}

/* Takes the name and its colon away from the start of each line. */
static void cut_names(char *faults, const char *name) {
    size_t cut = strlen(name) + 1;
    for (char *line = faults; *line; line = strchr(line, '\n') + 1) {
        assert_memory_equal(line, name, cut - 1);
        memmove(line, line + cut, strlen(line + cut) + 1);
    }
}

static const struct fixture *read_text(void **state, const char *text) {
    struct fixture *fixture = *state;
    char name[64];
    size_t size;
    forget(state);
    int fd = memfd_create("conf", MFD_CLOEXEC);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    FILE *faults = open_memstream(&fixture->faults, &size);
    assert_non_null(faults);
    fixture->conf = conf_read(name, faults);
    fclose(faults);
    close(fd);
    cut_names(fixture->faults, name);
    assert_true((fixture->conf == NULL) == (size > 0));
    return fixture;
}

static const struct policies *policies_of(void **state, const char *text) {
    const struct fixture *fixture = read_text(state, text);
    assert_string_equal(fixture->faults, "");
    return &fixture->conf->policies;
}

static const struct queue_policy *queue_of(void **state, const char *text) {
    const struct policies *policies = policies_of(state, text);
    assert_int_equal(policies->count, 1);
    return &policies->list[0].queue;
}

static const char *faults_of(void **state, const char *text) {
    return read_text(state, text)->faults;
}

static void assert_unfit(void **state, const char *key, const char *value, const char *expected) {
    char text[256];
    char fault[256];
    snprintf(text, sizeof text, QUEUE("%s = %s\n"), key, value);
    snprintf(fault, sizeof fault, "4: %s = %s, expected %s\n", key, value, expected);
    assert_string_equal(faults_of(state, text), fault);
}

/* ---- keys ---- */

static void test_every_key(void **state) {
    const struct queue_policy *queue =
        queue_of(state, QUEUE("max-messages = 1\nmax-bytes = 2k\nmax-age = 3s\nwhen-full = dead-letter\n"
                              "max-deliveries = 4\nidle-expiry = 50s\ndead-letter = /queue/d e/*.x\n"));
    assert_int_equal(queue->max_messages, 1);
    assert_int_equal(queue->max_bytes, 2048);
    assert_int_equal(queue->max_age_ms, 3000);
    assert_int_equal(queue->when_full, WHEN_FULL_DEAD_LETTER);
    assert_int_equal(queue->max_deliveries, 4);
    assert_int_equal(queue->idle_expiry_ms, 50000);
    assert_string_equal(queue->dead_letter, "q:d e/*.x");
}

static void test_when_full(void **state) {
    assert_int_equal(queue_of(state, QUEUE("when-full = refuse\n"))->when_full, WHEN_FULL_REFUSE);
    assert_int_equal(queue_of(state, QUEUE("when-full = drop-oldest\n"))->when_full, WHEN_FULL_DROP);
    assert_unfit(state, "when-full", "drop", "refuse, drop-oldest or dead-letter");
}

static void test_zero_is_no_limit(void **state) {
    const struct queue_policy *queue =
        queue_of(state, QUEUE("max-messages = 0\nmax-bytes = 0\nmax-age = 0\nmax-deliveries = 0\n"));
    assert_int_equal(queue->max_messages, 0);
    assert_int_equal(queue->max_bytes, 0);
    assert_int_equal(queue->max_age_ms, 0);
    assert_int_equal(queue->max_deliveries, 0);
}

static void test_values_that_do_not_fit(void **state) {
    assert_unfit(state, "max-messages", "-1", "a number from 0 to 1000000000");
    assert_unfit(state, "max-bytes", "1025g", "a size from 0 to 1024g");
    assert_unfit(state, "max-age", "8761h", "a time from 0 to 8760h");
    assert_unfit(state, "max-deliveries", "1k", "a number from 0 to 1000000");
    assert_unfit(state, "idle-expiry", "9999ms", "a time from 10s to 8760h");
    assert_unfit(state, "dead-letter", "orders", "a destination under /queue/");
    assert_unfit(state, "dead-letter", "/queue/", "a destination under /queue/");
    assert_unfit(state, "dead-letter", "/topic/x", "a destination under /queue/");
}

static void test_values_above_32_bits(void **state) {
    const struct queue_policy *queue =
        queue_of(state, QUEUE("max-bytes = 1024g\nmax-age = 8760h\nidle-expiry = 2000h\n"));
    assert_true(queue->max_bytes == (uint64_t)1 << 40);
    assert_true(queue->max_age_ms == (uint64_t)8760 * 3600000);
    assert_true(queue->idle_expiry_ms == (uint64_t)2000 * 3600000);
}

/* ---- defaults ---- */

/* The defaults of the table are those that hold without a section. */
static void assert_default(void **state, const char *text, const char *destination) {
    static const struct policies none;
    const struct queue_policy *queue = queue_of(state, text);
    const struct queue_policy *standard = &policies_find(&none, bytes_of(destination))->queue;
    assert_int_equal(queue->max_messages, standard->max_messages);
    assert_int_equal(queue->max_bytes, standard->max_bytes);
    assert_int_equal(queue->max_age_ms, standard->max_age_ms);
    assert_int_equal(queue->when_full, standard->when_full);
    assert_int_equal(queue->max_deliveries, standard->max_deliveries);
    assert_int_equal(queue->idle_expiry_ms, standard->idle_expiry_ms);
    assert_null(queue->dead_letter);
}

static void test_an_empty_section_says_what_holds_without_it(void **state) {
    assert_default(state, QUEUE(""), "/queue/x");
    assert_default(state, SECTION("/topic/x", ""), "/topic/x");
    assert_default(state, SECTION("/app/x", ""), "/app/x");
}

static void test_a_max_age_that_is_given_holds_under_app_too(void **state) {
    assert_int_equal(queue_of(state, SECTION("/app/x", "max-age = 0\n"))->max_age_ms, 0);
    assert_int_equal(queue_of(state, SECTION("/app/x", "max-age = 2m\n"))->max_age_ms, 120000);
}

static void test_a_section_has_nothing_of_the_one_before(void **state) {
    const struct policies *policies =
        policies_of(state, QUEUE("max-age = 1h\ndead-letter = /queue/d\n[destination /app/x]\napp-consumers = ann\n"
                                 "[destination /app/y]\n"));
    assert_int_equal(policies->count, 3);
    assert_int_equal(policies->list[0].queue.max_age_ms, 3600000);
    assert_int_equal(policies->list[1].queue.max_age_ms, 60000);
    assert_null(policies->list[1].queue.dead_letter);
    assert_int_equal(policies->list[2].app_consumer_count, 0);
}

/* ---- consumers of the application ---- */

static void test_app_consumers(void **state) {
    const struct policies *policies =
        policies_of(state, SECTION("/app/**", "app-consumers = shop  j\xc3\xb6@b.c\tspring/1\n"));
    const struct policy *policy = policies_find(policies, BYTES("/app/orders"));
    assert_int_equal(policy->app_consumer_count, 3);
    assert_true(policy_admits_consumer(policy, "shop"));
    assert_true(policy_admits_consumer(policy, "j\xc3\xb6@b.c"));
    assert_true(policy_admits_consumer(policy, "spring/1"));
    assert_false(policy_admits_consumer(policy, "guest"));
    assert_string_equal(faults_of(state, SECTION("/app/**", "app-consumers = a\xff\n")),
                        "4: app-consumers = a\xff, expected users' names, separated by spaces\n");
}

static void test_app_consumers_are_for_app_alone(void **state) {
    static const char fault[] = "5: app-consumers with a pattern that is not under /app/, expected it there only\n";
    assert_string_equal(faults_of(state, QUEUE("max-age = 1h\napp-consumers = ann\n")), fault);
    assert_string_equal(faults_of(state, SECTION("/topic/app/**", "max-age = 1h\napp-consumers = ann\n")), fault);
}

/* ---- patterns ---- */

static void test_sections_keep_their_order_and_lines(void **state) {
    const struct policies *policies =
        policies_of(state, SECTION("/queue/b.**", "max-age = 1h\n") "[destination /queue/a]\n");
    assert_int_equal(policies->count, 2);
    assert_string_equal(policies->list[0].pattern, "/queue/b.**");
    assert_int_equal(policies->list[0].line, 3);
    assert_string_equal(policies->list[1].pattern, "/queue/a");
    assert_int_equal(policies->list[1].line, 5);
}

static void test_patterns_are_taken_as_they_are_written(void **state) {
    const struct policies *policies =
        policies_of(state, LISTEN " [ destination  /queue/a.*/b ] # all of them\n[destination /topic/#]\n"
                                  "[destination /queue/a [b] ]] ; c\n[destination /queue/a=b:c;d]\n");
    static const char *const patterns[] = {"/queue/a.*/b", "/topic/#", "/queue/a [b] ]", "/queue/a=b:c;d"};
    assert_int_equal(policies->count, 4);
    for (size_t n = 0; n < 4; n++)
        assert_string_equal(policies->list[n].pattern, patterns[n]);
}

/* inih alone would cut a section's name after 49 bytes. */
static void test_a_pattern_may_have_1024_bytes(void **state) {
    char text[2048];
    char pattern[DESTINATION_LEN_MAX + 2] = "/queue/";
    memset(pattern + 7, 'x', sizeof pattern - 8);
    pattern[DESTINATION_LEN_MAX + 1] = '\0';
    snprintf(text, sizeof text, LISTEN "[destination %.*s]\nmax-age = 1h\n", DESTINATION_LEN_MAX, pattern);
    assert_int_equal(strlen(policies_of(state, text)->list[0].pattern), DESTINATION_LEN_MAX);
    snprintf(text, sizeof text, LISTEN "[destination %s]\nmax-age = 1h\n", pattern);
    assert_non_null(strstr(faults_of(state, text), "3: [destination /queue/xxx"));
}

static void assert_no_pattern(void **state, const char *pattern) {
    char text[256];
    char fault[512];
    snprintf(text, sizeof text, LISTEN "[destination %s]\nmax-age = x\n", pattern);
    snprintf(fault, sizeof fault,
             "3: [destination %s], expected " POLICY_PATTERN_FORM "\n4: max-age = x, expected a time from 0 to 8760h\n",
             pattern);
    assert_string_equal(faults_of(state, text), fault);
}

static void test_patterns_that_do_not_fit(void **state) {
    assert_no_pattern(state, "orders");
    assert_no_pattern(state, "queue/orders");
    assert_no_pattern(state, "/queue");
    assert_no_pattern(state, "/**");
    assert_no_pattern(state, "/queue/**.**.**.**.**");
    assert_string_equal(faults_of(state, LISTEN "[destination]\nmax-age = 1h\n"),
                        "3: [destination] has no name, expected [destination PATTERN]\n");
}

static void test_a_pattern_is_given_once(void **state) {
    assert_string_equal(faults_of(state, QUEUE("[destination /queue/y]\n[destination \t/queue/x ]\nmax-age = x\n")),
                        "5: [destination /queue/x] is given twice, expected it once (first in line 3)\n"
                        "6: max-age = x, expected a time from 0 to 8760h\n");
}

static void test_unknown_keys(void **state) {
    assert_string_equal(
        faults_of(state, QUEUE("max-age = 1h\nhistory = 10\nmax-age = 2h\n")),
        "5: unknown key history in [destination], expected max-messages, max-bytes, max-age, when-full, "
        "max-deliveries, idle-expiry, dead-letter or app-consumers\n"
        "6: max-age is given twice, expected it once (first in line 4)\n");
}

int main(void) {
    static struct fixture fixture;
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_prestate_setup_teardown(name, NULL, forget, &fixture)
        TEST(test_every_key),
        TEST(test_when_full),
        TEST(test_zero_is_no_limit),
        TEST(test_values_that_do_not_fit),
        TEST(test_values_above_32_bits),
        TEST(test_an_empty_section_says_what_holds_without_it),
        TEST(test_a_max_age_that_is_given_holds_under_app_too),
        TEST(test_a_section_has_nothing_of_the_one_before),
        TEST(test_app_consumers),
        TEST(test_app_consumers_are_for_app_alone),
        TEST(test_sections_keep_their_order_and_lines),
        TEST(test_patterns_are_taken_as_they_are_written),
        TEST(test_a_pattern_may_have_1024_bytes),
        TEST(test_patterns_that_do_not_fit),
        TEST(test_a_pattern_is_given_once),
        TEST(test_unknown_keys),
    };
    hash_seed();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
