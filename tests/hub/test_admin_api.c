/* The answers of /api/v1: from what the node knows, from a store that the test plays, and when that store is away. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../src/hub/admin_api.h"

#define QUESTIONS_MAX (API_CALLS_MAX + 1)

/* Keeps what it is asked; the test answers. */
struct asked_store {
    struct store store; /* first: the ops get it */
    struct store_call calls[QUESTIONS_MAX];
    size_t count;
    char text[64]; /* of the last question: the user, or the one before the page */
    unsigned limit;
};

struct bench {
    struct registry *registry;
    struct asked_store asked;
    struct admin_api *api;
    unsigned replies;
    int status;
    json_t *body;
    char *text; /* of the body */
};

/* ---- the store ---- */

static void note(struct store *store, struct bytes text, struct store_call call) {
    struct asked_store *asked = (struct asked_store *)store;
    assert_true(asked->count < QUESTIONS_MAX);
    snprintf(asked->text, sizeof asked->text, "%.*s", BYTES_ARG(text));
    asked->calls[asked->count++] = call;
}

static void users(struct store *store, struct bytes after, unsigned limit, struct store_call call) {
    note(store, after, call);
    ((struct asked_store *)store)->limit = limit;
}

static void user_sessions(struct store *store, struct bytes user, struct store_call call) {
    note(store, user, call);
}

static const struct store_ops asked_ops = {.users = users, .user_sessions = user_sessions};

/* The oldest question gets the answer. */
static void answer(struct bench *bench, const struct store_answer *answer) {
    struct asked_store *asked = &bench->asked;
    assert_true(asked->count > 0);
    struct store_call call = asked->calls[0];
    memmove(asked->calls, asked->calls + 1, --asked->count * sizeof asked->calls[0]);
    call.done(call.arg, answer);
}

static void answer_users(struct bench *bench, const struct store_user *found, size_t count) {
    answer(bench, &(struct store_answer){.result = STORE_OK, .users = found, .user_count = count});
}

static void answer_sessions(struct bench *bench, const struct store_session *found, size_t count) {
    answer(bench, &(struct store_answer){.result = STORE_OK, .sessions = found, .session_count = count});
}

/* ---- the bench ---- */

static uint64_t no_time(void) {
    return 1;
}

static int setup(void **state) {
    struct bench *bench = calloc(1, sizeof *bench);
    if (!bench)
        return -1;
    *state = bench;
    bench->registry = registry_new(NULL, NULL, NULL);
    bench->asked.store.ops = &asked_ops;
    bench->api = admin_api_new(
        &(struct admin_api_conf){.node = "node-a", .boot = "node-a:1", .registry = bench->registry, .now_ms = no_time});
    return bench->registry && bench->api ? 0 : -1;
}

static int setup_in_cluster(void **state) {
    if (setup(state) != 0)
        return -1;
    struct bench *bench = *state;
    admin_api_free(bench->api);
    bench->api = admin_api_new(&(struct admin_api_conf){.node = "node-a",
                                                        .boot = "node-a:1",
                                                        .registry = bench->registry,
                                                        .store = &bench->asked.store,
                                                        .now_ms = no_time});
    return bench->api ? 0 : -1;
}

static int teardown(void **state) {
    struct bench *bench = *state;
    admin_api_free(bench->api);
    registry_free(bench->registry);
    json_decref(bench->body);
    free(bench->text);
    free(bench);
    return 0;
}

static void on_reply(void *arg, int status, json_t *body) {
    struct bench *bench = arg;
    assert_non_null(body);
    bench->replies++;
    bench->status = status;
    json_decref(bench->body);
    bench->body = body;
}

static struct api_call *ask(struct bench *bench, const char *path, const char *query) {
    return admin_api_request(bench->api, path, query, (struct api_reply){on_reply, bench});
}

/* There has been that one reply since the last time, with that body but for white space. */
static void assert_reply(struct bench *bench, int status, const char *body) {
    assert_int_equal(bench->replies, 1);
    assert_int_equal(bench->status, status);
    free(bench->text);
    bench->text = json_dumps(bench->body, JSON_COMPACT | JSON_ENCODE_ANY);
    assert_string_equal(bench->text, body);
    bench->replies = 0;
}

/* Asks what is answered at once. */
static void expect(struct bench *bench, const char *path, const char *query, int status, const char *body) {
    assert_null(ask(bench, path, query));
    assert_reply(bench, status, body);
}

static void open_session(struct bench *bench, const char *id, const char *user) {
    registry_open(bench->registry, bytes_of(id), bytes_of(user));
}

/* ---- a node on its own ---- */

static void a_node_on_its_own_is_the_only_one(void **state) {
    expect(*state, "nodes", NULL, 200,
           "[{\"node\":\"node-a\",\"boot\":\"node-a:1\",\"state\":\"alive\",\"self\":true,\"silent_ms\":0,"
           "\"stale\":false}]");
}

static void users_come_in_pages_that_lead_to_the_next(void **state) {
    struct bench *bench = *state;
    open_session(bench, "node-a:1:0-1", "carol");
    open_session(bench, "node-a:1:0-2", "alice");
    open_session(bench, "node-a:1:0-3", "bob & co+%");
    open_session(bench, "node-a:1:0-4", "alice");
    expect(bench, "users", "limit=2", 200,
           "{\"users\":[{\"user\":\"alice\",\"sessions\":2},{\"user\":\"bob & co+%\",\"sessions\":1}],"
           "\"next\":\"/api/v1/users?after=bob%20%26%20co%2B%25&limit=2\",\"stale\":false}");
    expect(bench, "users", "after=bob%20%26%20co%2B%25&limit=2", 200,
           "{\"users\":[{\"user\":\"carol\",\"sessions\":1}],\"next\":null,\"stale\":false}");
    expect(bench, "users", NULL, 200,
           "{\"users\":[{\"user\":\"alice\",\"sessions\":2},{\"user\":\"bob & co+%\",\"sessions\":1},"
           "{\"user\":\"carol\",\"sessions\":1}],\"next\":null,\"stale\":false}");
}

static void without_users_the_page_is_empty(void **state) {
    expect(*state, "users", "", 200, "{\"users\":[],\"next\":null,\"stale\":false}");
}

static void a_user_has_sessions_or_is_not_online(void **state) {
    struct bench *bench = *state;
    open_session(bench, "node-a:1:0-1", "alice");
    open_session(bench, "node-a:1:1-1", "alice");
    expect(bench, "users/alice", NULL, 200,
           "{\"user\":\"alice\",\"online\":true,\"session_count\":2,\"nodes\":{\"node-a\":2},"
           "\"sessions\":[{\"id\":\"node-a:1:0-1\",\"node\":\"node-a\"},{\"id\":\"node-a:1:1-1\",\"node\":\"node-a\"}],"
           "\"stale\":false}");
    expect(bench, "users/nobody", NULL, 200,
           "{\"user\":\"nobody\",\"online\":false,\"session_count\":0,\"nodes\":{},\"sessions\":[],\"stale\":false}");
}

static void names_in_paths_are_decoded(void **state) {
    struct bench *bench = *state;
    open_session(bench, "node-a:1:0-1", "a/b c%+\xc3\xa4");
    assert_null(ask(bench, "users/a%2Fb%20c%25+%C3%A4", NULL));
    assert_reply(bench, 200,
                 "{\"user\":\"a/b c%+\xc3\xa4\",\"online\":true,\"session_count\":1,\"nodes\":{\"node-a\":1},"
                 "\"sessions\":[{\"id\":\"node-a:1:0-1\",\"node\":\"node-a\"}],\"stale\":false}");
}

static void a_name_that_is_no_text_is_shown_escaped(void **state) {
    expect(*state, "users/%FF%22%5C", NULL, 200,
           "{\"user\":\"\\\\xff\\\"\\\\x5c\",\"online\":false,\"session_count\":0,\"nodes\":{},\"sessions\":[],"
           "\"stale\":false}");
}

/* ---- what is wrong with a request ---- */

static void a_path_that_does_not_exist_is_404(void **state) {
    static const char *const paths[] = {"", "user", "users/", "users/a/b", "nodes/", "Users", "users/a/"};
    for (size_t n = 0; n < sizeof paths / sizeof paths[0]; n++)
        expect(*state, paths[n], NULL, 404, "{\"error\":\"there are nodes, users and users/NAME (percent-encoded)\"}");
}

static void a_limit_is_a_number_within_bounds(void **state) {
    static const char *const bad[] = {"limit=0",        "limit=1001", "limit=-1", "limit=",
                                      "limit=1x",       "limit=0x10", "limit=+1", "limit=99999999999999999999",
                                      "limit=1&limit=0"};
    for (size_t n = 0; n < sizeof bad / sizeof bad[0]; n++)
        expect(*state, "users", bad[n], 400, "{\"error\":\"limit must be a number from 1 to 1000\"}");
    expect(*state, "users", "limit=1000", 200, "{\"users\":[],\"next\":null,\"stale\":false}");
}

static void other_parameters_are_refused(void **state) {
    expect(*state, "users", "before=x", 400, "{\"error\":\"only the parameters after and limit are known here\"}");
    expect(*state, "users", "&&", 400, "{\"error\":\"what follows on ? must be NAME=VALUE&NAME=VALUE\"}");
}

/* ---- in a cluster ---- */

static void in_a_cluster_the_store_is_asked_for_users(void **state) {
    struct bench *bench = *state;
    static const struct store_user found[] = {{{"alice", 5}, 3}, {{"bob", 3}, 1}};
    open_session(bench, "node-a:1:0-1", "only-here"); /* the store's word counts */
    assert_non_null(ask(bench, "users", "after=aaron&limit=2"));
    assert_int_equal(bench->replies, 0);
    assert_string_equal(bench->asked.text, "aaron");
    assert_int_equal(bench->asked.limit, 2);
    answer_users(bench, found, 2);
    assert_reply(bench, 200,
                 "{\"users\":[{\"user\":\"alice\",\"sessions\":3},{\"user\":\"bob\",\"sessions\":1}],"
                 "\"next\":\"/api/v1/users?after=bob&limit=2\",\"stale\":false}");
    assert_non_null(ask(bench, "users", NULL));
    assert_int_equal(bench->asked.limit, API_USERS_DEFAULT);
    answer_users(bench, NULL, 0);
    assert_reply(bench, 200, "{\"users\":[],\"next\":null,\"stale\":false}");
}

static void in_a_cluster_the_store_is_asked_for_a_user(void **state) {
    struct bench *bench = *state;
    static const struct store_session found[] = {
        {.id = {"node-b:7:0-9", 12}}, {.id = {"node-a:1:0-1", 12}}, {.id = {"node-b:7:1-2", 12}}};
    assert_non_null(ask(bench, "users/alice", NULL));
    assert_string_equal(bench->asked.text, "alice");
    answer_sessions(bench, found, 3);
    assert_reply(bench, 200,
                 "{\"user\":\"alice\",\"online\":true,\"session_count\":3,\"nodes\":{\"node-b\":2,\"node-a\":1},"
                 "\"sessions\":[{\"id\":\"node-b:7:0-9\",\"node\":\"node-b\"},{\"id\":\"node-a:1:0-1\",\"node\":"
                 "\"node-a\"},{\"id\":\"node-b:7:1-2\",\"node\":\"node-b\"}],\"stale\":false}");
}

static void while_the_store_is_away_the_node_tells_what_it_knows(void **state) {
    struct bench *bench = *state;
    static const enum store_result troubles[] = {STORE_AWAY, STORE_FAILED};
    open_session(bench, "node-a:1:0-1", "alice");
    open_session(bench, "node-a:1:0-2", "bob");
    for (size_t n = 0; n < 2; n++) {
        assert_non_null(ask(bench, "users", "after=alice"));
        answer(bench, &(struct store_answer){.result = troubles[n]});
        assert_reply(bench, 200, "{\"users\":[{\"user\":\"bob\",\"sessions\":1}],\"next\":null,\"stale\":true}");
        assert_non_null(ask(bench, "users/alice", NULL));
        answer(bench, &(struct store_answer){.result = troubles[n]});
        assert_reply(bench, 200,
                     "{\"user\":\"alice\",\"online\":true,\"session_count\":1,\"nodes\":{\"node-a\":1},"
                     "\"sessions\":[{\"id\":\"node-a:1:0-1\",\"node\":\"node-a\"}],\"stale\":true}");
    }
}

/* Anyone with access to Redis can write into the registry. */
static void foreign_entries_of_the_store_are_shown_not_believed(void **state) {
    struct bench *bench = *state;
    static const struct store_session sessions[] = {{.id = {"no colon", 8}},
                                                    {.id = {":1", 2}},
                                                    {.id = {"", 0}},
                                                    {.id = {"\xff\xfe:\x80", 4}},
                                                    {.id = {"a\0b:1", 5}}};
    static const struct store_user found[] = {{{"\xc3(", 2}, 1}, {{"", 0}, UINT64_C(1) << 40}};
    ask(bench, "users/eve", NULL);
    answer_sessions(bench, sessions, 4);
    assert_reply(bench, 200,
                 "{\"user\":\"eve\",\"online\":true,\"session_count\":4,\"nodes\":{\"\\\\xff\\\\xfe\":1},\"sessions\":["
                 "{\"id\":\"no colon\",\"node\":null},{\"id\":\":1\",\"node\":null},{\"id\":\"\",\"node\":null},"
                 "{\"id\":\"\\\\xff\\\\xfe:\\\\x80\",\"node\":\"\\\\xff\\\\xfe\"}],\"stale\":false}");
    ask(bench, "users/eve", NULL);
    answer_sessions(bench, sessions + 4, 1);
    assert_int_equal(bench->status, 200);
    bench->replies = 0;
    ask(bench, "users", "limit=2");
    answer_users(bench, found, 2);
    assert_reply(bench, 200,
                 "{\"users\":[{\"user\":\"\\\\xc3(\",\"sessions\":1},{\"user\":\"\",\"sessions\":1099511627776}],"
                 "\"next\":\"/api/v1/users?after=&limit=2\",\"stale\":false}");
    ask(bench, "users", "limit=1");
    answer_users(bench, found, 1);
    assert_reply(bench, 200,
                 "{\"users\":[{\"user\":\"\\\\xc3(\",\"sessions\":1}],\"next\":\"/api/v1/users?after=%C3%28&limit=1\","
                 "\"stale\":false}");
}

static void of_a_user_with_very_many_sessions_some_are_listed(void **state) {
    struct bench *bench = *state;
    size_t count = API_SESSIONS_MAX + 5;
    struct store_session *found = calloc(count, sizeof *found);
    assert_non_null(found);
    for (size_t n = 0; n < count; n++)
        found[n].id = BYTES("node-b:7:0-9");
    ask(bench, "users/bot", NULL);
    answer_sessions(bench, found, count);
    free(found);
    assert_int_equal(json_integer_value(json_object_get(bench->body, "session_count")), count);
    assert_int_equal(json_array_size(json_object_get(bench->body, "sessions")), API_SESSIONS_MAX);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(bench->body, "nodes"), "node-b")), count);
}

/* ---- calls ---- */

static void a_call_that_was_dropped_gets_no_reply(void **state) {
    struct bench *bench = *state;
    struct api_call *call = ask(bench, "users/alice", NULL);
    api_call_drop(call);
    answer_sessions(bench, NULL, 0);
    call = ask(bench, "users", NULL);
    api_call_drop(call);
    answer(bench, &(struct store_answer){.result = STORE_AWAY});
    assert_int_equal(bench->replies, 0);
}

static void only_so_many_wait_for_the_store(void **state) {
    struct bench *bench = *state;
    for (size_t n = 0; n < API_CALLS_MAX; n++)
        api_call_drop(ask(bench, "users/alice", NULL)); /* their clients have gone, the store still works on them */
    expect(bench, "users/alice", NULL, 503, "{\"error\":\"too many requests wait for Redis\"}");
    answer_sessions(bench, NULL, 0);
    assert_non_null(ask(bench, "users/alice", NULL));
    assert_int_equal(bench->replies, 0);
}

#define ALONE(function)      cmocka_unit_test_setup_teardown(function, setup, teardown)
#define IN_CLUSTER(function) cmocka_unit_test_setup_teardown(function, setup_in_cluster, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        ALONE(a_node_on_its_own_is_the_only_one),
        ALONE(users_come_in_pages_that_lead_to_the_next),
        ALONE(without_users_the_page_is_empty),
        ALONE(a_user_has_sessions_or_is_not_online),
        ALONE(names_in_paths_are_decoded),
        ALONE(a_name_that_is_no_text_is_shown_escaped),
        ALONE(a_path_that_does_not_exist_is_404),
        ALONE(a_limit_is_a_number_within_bounds),
        ALONE(other_parameters_are_refused),
        IN_CLUSTER(in_a_cluster_the_store_is_asked_for_users),
        IN_CLUSTER(in_a_cluster_the_store_is_asked_for_a_user),
        IN_CLUSTER(while_the_store_is_away_the_node_tells_what_it_knows),
        IN_CLUSTER(foreign_entries_of_the_store_are_shown_not_believed),
        IN_CLUSTER(of_a_user_with_very_many_sessions_some_are_listed),
        IN_CLUSTER(a_call_that_was_dropped_gets_no_reply),
        IN_CLUSTER(only_so_many_wait_for_the_store),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
