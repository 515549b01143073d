/* When a node is ready for clients, and which reasons it gives when it is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <event2/buffer.h>

#include "../../src/hub/node_state.h"

/* A member of a cluster that lacks nothing. */
static struct node_state healthy(void) {
    return (struct node_state){
        .serving = true, .clustered = true, .joined = true, .cluster = CLUSTER_UP, .redis.up = true};
}

static void assert_reasons(const struct node_state *state, const char *expected) {
    struct evbuffer *reasons = evbuffer_new();
    assert_non_null(reasons);
    bool ready = node_state_is_ready(state, reasons);
    assert_int_equal(evbuffer_add(reasons, "", 1), 0);
    assert_string_equal((const char *)evbuffer_pullup(reasons, -1), expected);
    evbuffer_free(reasons);
    assert_int_equal(ready, expected[0] == '\0');
    assert_int_equal(node_state_is_ready(state, NULL), ready);
}

static void a_node_on_its_own_is_ready_when_it_serves(void **state) {
    (void)state;
    struct node_state alone = {.serving = true};
    assert_reasons(&alone, "");
    alone.serving = false;
    assert_reasons(&alone, "clients are not served yet\n");
}

static void a_node_that_drains_is_not_ready(void **state) {
    (void)state;
    struct node_state alone = {.serving = true, .draining = true};
    assert_reasons(&alone, "draining\n");
}

static void a_member_of_a_cluster_is_ready_when_it_lacks_nothing(void **state) {
    (void)state;
    struct node_state member = healthy();
    assert_reasons(&member, "");
}

static void without_redis_it_says_what_the_trouble_is(void **state) {
    (void)state;
    struct node_state member = healthy();
    member.redis.up = false;
    member.joined = false;
    member.cluster = CLUSTER_AWAY;
    assert_reasons(&member, "Redis can't be reached\n");
    strcpy(member.redis.trouble, "connection refused");
    assert_reasons(&member, "Redis can't be reached: connection refused\n");
}

static void without_its_place_among_the_nodes_it_is_not_ready(void **state) {
    (void)state;
    struct node_state member = healthy();
    member.joined = false;
    assert_reasons(&member, "this node has no place among the nodes yet\n");
}

static void until_others_are_heard_and_hear_it_it_is_not_ready(void **state) {
    (void)state;
    struct node_state member = healthy();
    member.cluster = CLUSTER_RESTORING;
    assert_reasons(&member, "what this node wants to hear from the others is not in place yet\n");
    member.cluster = CLUSTER_AWAY; /* the link is there, the cluster is about to hear of it */
    assert_reasons(&member, "what this node wants to hear from the others is not in place yet\n");
    member.cluster = CLUSTER_GATHERING;
    assert_reasons(&member, "the other nodes have not said yet that they hear this one\n");
}

static void it_gives_every_reason_there_is(void **state) {
    (void)state;
    struct node_state member = {.draining = true, .clustered = true, .redis.up = true, .cluster = CLUSTER_RESTORING};
    assert_reasons(&member, "draining\n"
                            "clients are not served yet\n"
                            "this node has no place among the nodes yet\n"
                            "what this node wants to hear from the others is not in place yet\n");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_node_on_its_own_is_ready_when_it_serves),
        cmocka_unit_test(a_node_that_drains_is_not_ready),
        cmocka_unit_test(a_member_of_a_cluster_is_ready_when_it_lacks_nothing),
        cmocka_unit_test(without_redis_it_says_what_the_trouble_is),
        cmocka_unit_test(without_its_place_among_the_nodes_it_is_not_ready),
        cmocka_unit_test(until_others_are_heard_and_hear_it_it_is_not_ready),
        cmocka_unit_test(it_gives_every_reason_there_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
