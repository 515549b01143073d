/* Names of queues: how each kind is made, shown, and where its dead letters go. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "stompd/route/queue_name.h"

static struct buffer buffer;

static int free_buffer(void **state) {
    (void)state;
    buffer_free(&buffer);
    return 0;
}

/* The buffer holds that text and nothing else. */
static void assert_holds(bool made, const char *expected) {
    assert_true(made);
    if (!bytes_equal(buffer_bytes(&buffer), bytes_of(expected)))
        fail_msg("it is \"%.*s\", expected \"%s\"", BYTES_ARG(buffer_bytes(&buffer)), expected);
}

static void assert_dead(const char *name, const char *expected) {
    assert_holds(queue_name_of_dead_letters(&buffer, bytes_of(name)), expected);
}

static void assert_shown(const char *name, const char *expected) {
    assert_holds(queue_name_show(&buffer, bytes_of(name)), expected);
}

static void test_each_kind_has_its_letter(void **state) {
    (void)state;
    assert_holds(queue_name_of_destination(&buffer, BYTES("/queue/orders")), "q:orders");
    assert_holds(queue_name_of_destination(&buffer, BYTES("/queue//queue/a:b %2F")), "q:/queue/a:b %2F");
    assert_holds(queue_name_of_app(&buffer, BYTES("/app/**")), "a:/app/**");
    assert_holds(queue_name_of_durable(&buffer, BYTES("ann"), BYTES("sub-1")), "d:ann/sub-1");
}

static void test_a_user_and_an_id_can_not_be_taken_for_others(void **state) {
    (void)state;
    assert_holds(queue_name_of_durable(&buffer, BYTES("a"), BYTES("b/c")), "d:a/b/c");
    assert_holds(queue_name_of_durable(&buffer, BYTES("a/b"), BYTES("c")), "d:a%2Fb/c");
    assert_holds(queue_name_of_durable(&buffer, BYTES("a%2Fb"), BYTES("%/")), "d:a%252Fb/%/");
}

static void test_dead_letters(void **state) {
    (void)state;
    assert_dead("q:orders", "q:orders.dead");
    assert_dead("a:/app/**", "q:app.dead");
    assert_dead("d:ann/1", "q:durable.dead");
    assert_dead("q:dead", "q:dead.dead");
    assert_dead("q:.dead.x", "q:.dead.x.dead");
}

static void test_dead_letters_have_no_dead_letters(void **state) {
    (void)state;
    assert_dead("q:orders", "q:orders.dead");
    assert_dead("q:orders.dead", "");
    assert_dead("q:app.dead", "");
    assert_dead("q:durable.dead", "");
    assert_dead("q:.dead", "");
}

static void test_people_see_destinations(void **state) {
    (void)state;
    assert_shown("q:orders.new", "/queue/orders.new");
    assert_shown("a:/app/shop.*", "/app/shop.*");
    assert_shown("d:a%2Fb/1", "a%2Fb/1");
}

static void test_what_is_a_name(void **state) {
    (void)state;
    static const char *const names[] = {"q:x", "q:/", "q: ", "a:/app/x", "d:u/i", "d:u/i/j"};
    static const char *const others[] = {"",     "q",    "q:",  "a:",  "d:",  "d:u",
                                         "d:/i", "d:u/", "d:/", "x:y", "Q:x", "queue"};
    for (size_t n = 0; n < sizeof names / sizeof names[0]; n++)
        assert_true(queue_name_is_valid(bytes_of(names[n])));
    for (size_t n = 0; n < sizeof others / sizeof others[0]; n++)
        if (queue_name_is_valid(bytes_of(others[n])))
            fail_msg("%s is no name", others[n]);
    assert_false(queue_name_is_valid((struct bytes){NULL, 0}));
}

static void test_which_are_durable_subscriptions(void **state) {
    (void)state;
    assert_true(queue_name_is_durable(BYTES("d:ann/1")));
    assert_false(queue_name_is_durable(BYTES("q:d:ann/1")));
    assert_false(queue_name_is_durable(BYTES("a:/app/**")));
    assert_false(queue_name_is_durable(BYTES("d")));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_kind_has_its_letter),
        cmocka_unit_test(test_a_user_and_an_id_can_not_be_taken_for_others),
        cmocka_unit_test(test_dead_letters),
        cmocka_unit_test(test_dead_letters_have_no_dead_letters),
        cmocka_unit_test(test_people_see_destinations),
        cmocka_unit_test(test_what_is_a_name),
        cmocka_unit_test(test_which_are_durable_subscriptions),
    };
    return cmocka_run_group_tests(tests, NULL, free_buffer);
}
