/* The store in Redis while a real server is killed, frozen, emptied, full, or says no. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <hiredis/hiredis.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../src/store/redis_scripts.h"
#include "redis_bench.h"

static struct bench bench;
static struct peer peer;

static int set_up(void **state) {
    (void)state;
    bench_init(&bench);
    bench_keep_log(&bench);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    peer_close(&peer);
    bench_release_log(&bench);
    bench_free(&bench);
    return 0;
}

static void start(const char *const *options) {
    redis_process_start(&bench.process, options);
}

static void open_peer(void) {
    peer_open(&peer, &bench.contract, "a", "a:1");
}

static void attach_peer(void) {
    peer_attach(&peer, &bench.contract, "a", "a:1");
}

/* A store that can't come up says so once, however often it tries. */
static void expect_one_complaint(const char *complaint) {
    struct redis_status status;
    attach_peer();
    bench_await_failures(&bench, &peer, 4);
    redis_store_status(peer.store, &status);
    assert_false(status.up);
    assert_non_null(strstr(status.trouble, complaint));
    assert_int_equal(bench_logged(&bench, complaint), 1);
    assert_int_equal(bench_logged(&bench, "error:"), 1);
    assert_int_equal(peer.ups, 0);
    assert_int_equal(peer_renew(&peer)->result, STORE_AWAY);
}

/* ---- killed ---- */

static void test_a_server_that_is_killed_and_started_again(void **state) {
    char server[sizeof peer.server];
    (void)state;
    start(NULL);
    open_peer();
    memcpy(server, peer.server, sizeof server);
    assert_int_equal(peer_renew(&peer)->result, STORE_GONE);
    redis_process_kill(&bench.process);
    peer_await_down(&peer, 0);
    assert_int_equal(peer_renew(&peer)->result, STORE_AWAY);
    bench_await_failures(&bench, &peer, 4);
    assert_int_equal(peer_user_sessions(&peer, "ann")->result, STORE_AWAY);
    start(NULL);
    peer_await_up(&peer, 1);
    assert_string_not_equal(peer.server, server);
    assert_int_equal(peer_renew(&peer)->result, STORE_GONE);
    assert_int_equal(peer.downs, 1);
    assert_int_equal(bench_logged(&bench, "connection lost"), 1);
    assert_int_equal(bench_logged(&bench, "cannot connect"), 1);
    assert_int_equal(bench_logged(&bench, "connected (Redis "), 2);
}

static void test_all_that_a_killed_server_had_not_answered_is_away_before_down(void **state) {
    static struct answer answers[100];
    (void)state;
    start(NULL);
    open_peer();
    kill(bench.process.pid, SIGSTOP);
    for (size_t n = 0; n < 100; n++) {
        peer_publish(&peer, "t:/x", "lost");
        peer.store->ops->renew(peer.store, peer_call(&peer, &answers[n]));
    }
    turn(bench.base, 3);
    redis_process_kill(&bench.process);
    peer_await_down(&peer, 0);
    for (size_t n = 0; n < 100; n++) {
        assert_true(answers[n].done);
        assert_int_equal(answers[n].downs, 0);
        assert_int_equal(answers[n].result, STORE_AWAY);
    }
    assert_int_equal(peer.published, 0);
}

static void test_a_server_that_starts_late(void **state) {
    (void)state;
    attach_peer();
    bench_await_failures(&bench, &peer, 2);
    start(NULL);
    peer_await_up(&peer, 0);
    assert_int_equal(bench_logged(&bench, "No such file"), 1);
}

static void test_a_port_that_nobody_listens_on(void **state) {
    (void)state;
    bench_set_address(&bench, "redis://user:hush@127.0.0.1:%u/1", free_port());
    expect_one_complaint("cannot connect: Connection refused");
    assert_int_equal(bench_logged(&bench, "hush"), 0);
}

/* ---- frozen ---- */

static void test_a_server_that_does_not_answer_breaks_the_link(void **state) {
    char server[sizeof peer.server];
    static struct answer answer;
    (void)state;
    bench.times.reply_ms = bench.times.connect_ms = 200;
    start(NULL);
    open_peer();
    memcpy(server, peer.server, sizeof server);
    kill(bench.process.pid, SIGSTOP);
    peer.store->ops->renew(peer.store, peer_call(&peer, &answer));
    peer_await_answer(&peer, &answer);
    assert_int_equal(answer.result, STORE_AWAY);
    peer_await_down(&peer, 0);
    bench_await_failures(&bench, &peer, 3);
    assert_int_equal(bench_logged(&bench, "no answer within 200 ms"), 1);
    assert_int_equal(bench_logged(&bench, "it takes connections, but does not answer within 200 ms"), 1);
    kill(bench.process.pid, SIGCONT);
    peer_await_up(&peer, 1);
    assert_string_equal(peer.server, server);
}

static void test_a_publication_or_subscription_that_is_not_answered_breaks_the_link(void **state) {
    (void)state;
    bench.times.reply_ms = 200;
    start(NULL);
    open_peer();
    kill(bench.process.pid, SIGSTOP);
    peer_subscribe(&peer, STORE_CHANNEL, "t:/x");
    peer_await_down(&peer, 0);
    kill(bench.process.pid, SIGCONT);
    peer_await_up(&peer, 1);
    kill(bench.process.pid, SIGSTOP);
    peer_publish(&peer, "t:/x", "");
    peer_await_down(&peer, 1);
    kill(bench.process.pid, SIGCONT);
    peer_await_up(&peer, 2);
}

static void test_much_is_held_for_a_server_that_stands_still_for_a_while(void **state) {
    static char payload[10000];
    (void)state;
    memset(payload, 'x', sizeof payload - 1);
    start(NULL);
    open_peer();
    peer_subscribe(&peer, STORE_CHANNEL, "t:/end");
    peer_expect(&peer, "subscribed t:/end\n");
    kill(bench.process.pid, SIGSTOP);
    for (int n = 0; n < 800; n++) {
        peer_publish(&peer, "t:/x", payload);
        if (n % 100 == 0)
            turn(bench.base, 1);
    }
    peer_publish(&peer, "t:/end", "end");
    kill(bench.process.pid, SIGCONT);
    peer_await_published(&peer, 801);
    peer_expect(&peer, "message t:/end: end\n");
    assert_int_equal(peer.refused, 0);
}

/* As the server may do after it stood still: the old link's commands were in its socket. */
static void test_what_an_old_link_left_behind_undoes_nothing(void **state) {
    const char *keys[] = {"stompd:nodes", "stompd:boot:a:1:sessions", "stompd:users"};
    const char *add = redis_scripts[REDIS_SCRIPT_ADD_SESSIONS].sha1;
    const char *renew = redis_scripts[REDIS_SCRIPT_RENEW].sha1;
    (void)state;
    start(NULL);
    open_peer();
    assert_int_equal(peer_renew(&peer)->result, STORE_GONE);
    assert_int_equal(peer_add(&peer, "a:1-1", "ann"), STORE_OK);
    peer.store->ops->break_link(peer.store, "the test wants it");
    peer_await_up(&peer, 1);
    assert_int_equal(peer_remove(&peer, "a:1-1", "ann"), STORE_OK);
    assert_string_equal(redis_process_say(&bench.process, "EVALSHA", add, "3", keys[0], keys[1], keys[2], "a", "a:1",
                                          "1", "0", "stompd:user:", "a:1-1", "ann", NULL),
                        "1");
    assert_string_equal(peer_users(&peer, "", 10)->text, "");
    assert_string_equal(redis_process_say(&bench.process, "EVALSHA", renew, "1", keys[0], "a", "a:1", "1", "0", NULL),
                        "0 a a:1 2");
    assert_string_equal(peer_renew(&peer)->text, "a a:1 3");
}

/* The boot was buried while it had a link; then comes what the link before had left in the server's socket. */
static void test_an_entry_that_an_old_link_left_behind_is_none(void **state) {
    const char *renew = redis_scripts[REDIS_SCRIPT_RENEW].sha1;
    (void)state;
    start(NULL);
    open_peer();
    assert_int_equal(peer_renew(&peer)->result, STORE_GONE);
    peer.store->ops->break_link(peer.store, "the test wants it");
    peer_await_up(&peer, 1);
    assert_int_equal(peer_renew(&peer)->result, STORE_OK);
    assert_int_equal(peer_add(&peer, "a:1-1", "ann"), STORE_OK);
    for (int n = 0; n < 2; n++) {
        assert_int_equal(peer_bury(&peer, "a", "a:1", 3 + (uint64_t)n, false), STORE_OK);
        assert_string_equal(
            redis_process_say(&bench.process, "EVALSHA", renew, "1", "stompd:nodes", "a", "a:1", "2", "1", NULL),
            "1 a a:1 2");
        if (n == 0)
            assert_int_equal(peer_add(&peer, "a:1-2", "ann"), STORE_GONE);
        assert_int_equal(peer_renew(&peer)->result, STORE_GONE);
    }
    assert_int_equal(peer_renew(&peer)->result, STORE_OK);
    assert_int_equal(peer_add(&peer, "a:1-1", "ann"), STORE_OK);
}

/* ---- emptied ---- */

static void test_flushed_scripts_are_loaded_again_and_calls_keep_their_order(void **state) {
    static struct answer answers[4];
    struct store_session session = {BYTES("a:1-1"), BYTES("ann")};
    const struct store_ops *ops;
    (void)state;
    start(NULL);
    open_peer();
    ops = peer.store->ops;
    assert_int_equal(peer_renew(&peer)->result, STORE_GONE);
    redis_process_say(&bench.process, "SCRIPT", "FLUSH", NULL);
    ops->add_sessions(peer.store, &session, 1, peer_call(&peer, &answers[0]));
    ops->user_sessions(peer.store, BYTES("ann"), peer_call(&peer, &answers[1]));
    ops->remove_sessions(peer.store, &session, 1, peer_call(&peer, &answers[2]));
    ops->user_sessions(peer.store, BYTES("ann"), peer_call(&peer, &answers[3]));
    for (int n = 0; n < 4; n++) {
        if (!answers[n].done)
            peer_await_answer(&peer, &answers[n]);
        assert_int_equal(answers[n].result, STORE_OK);
    }
    assert_string_equal(answers[1].text, "a:1-1");
    assert_string_equal(answers[3].text, "");
    assert_int_equal(peer_renew(&peer)->result, STORE_OK);
    assert_int_equal(peer.downs, 0);
    assert_int_equal(bench_logged(&bench, "forgotten the scripts"), 1);
}

static void test_calls_that_are_made_while_scripts_are_missing_wait(void **state) {
    static struct answer answers[2];
    (void)state;
    start(NULL);
    open_peer();
    redis_process_say(&bench.process, "SCRIPT", "FLUSH", NULL);
    kill(bench.process.pid, SIGSTOP);
    peer.store->ops->renew(peer.store, peer_call(&peer, &answers[0]));
    turn(bench.base, 2);
    peer.store->ops->renew(peer.store, peer_call(&peer, &answers[1]));
    kill(bench.process.pid, SIGCONT);
    peer_await_answer(&peer, &answers[0]);
    assert_int_equal(answers[0].result, STORE_GONE);
    if (!answers[1].done)
        peer_await_answer(&peer, &answers[1]);
    assert_int_equal(answers[1].result, STORE_OK);
}

/* One of the calls has found its script, which another node had loaded, and overtaken the one before. */
static void test_calls_whose_order_is_lost_break_the_link(void **state) {
    static struct answer answers[2];
    struct store_session session = {BYTES("a:1-1"), BYTES("ann")};
    (void)state;
    start(NULL);
    open_peer();
    assert_int_equal(peer_renew(&peer)->result, STORE_GONE);
    redis_process_say(&bench.process, "SCRIPT", "FLUSH", NULL);
    redis_process_say(&bench.process, "SCRIPT", "LOAD", redis_scripts[REDIS_SCRIPT_ADD_SESSIONS].text, NULL);
    peer.store->ops->remove_sessions(peer.store, &session, 1, peer_call(&peer, &answers[0]));
    peer.store->ops->add_sessions(peer.store, &session, 1, peer_call(&peer, &answers[1]));
    peer_await_down(&peer, 0);
    assert_int_equal(answers[0].result, STORE_AWAY);
    assert_int_equal(answers[1].result, STORE_AWAY);
    peer_await_up(&peer, 1);
    assert_int_equal(peer_renew(&peer)->result, STORE_OK);
}

static void test_a_server_that_is_emptied_has_no_entry_any_more(void **state) {
    (void)state;
    start(NULL);
    open_peer();
    assert_int_equal(peer_renew(&peer)->result, STORE_GONE);
    assert_int_equal(peer_add(&peer, "a:1-1", "ann"), STORE_OK);
    redis_process_say(&bench.process, "FLUSHALL", NULL);
    assert_int_equal(peer_add(&peer, "a:1-2", "ann"), STORE_GONE);
    const struct answer *answer = peer_renew(&peer);
    assert_int_equal(answer->result, STORE_GONE);
    assert_string_equal(answer->text, "a a:1 2");
    assert_int_equal(peer_add(&peer, "a:1-1", "ann"), STORE_OK);
    assert_int_equal(peer.downs, 0);
}

/* ---- who may what ---- */

static void test_a_password_that_is_missing(void **state) {
    static const char *const options[] = {"--requirepass", "right", NULL};
    (void)state;
    start(options);
    expect_one_complaint("NOAUTH");
}

static void test_a_password_that_is_wrong(void **state) {
    static const char *const options[] = {"--requirepass", "right", NULL};
    (void)state;
    start(options);
    bench.address.password = strdup("wr0ng");
    expect_one_complaint("WRONGPASS");
    assert_int_equal(bench_logged(&bench, "password-file"), 1);
    assert_int_equal(bench_logged(&bench, "wr0ng"), 0);
}

static void test_a_password_that_is_not_needed(void **state) {
    (void)state;
    start(NULL);
    bench.address.password = strdup("needless");
    expect_one_complaint("the server has no password");
}

static void test_a_password_that_is_right(void **state) {
    static const char *const options[] = {"--requirepass", "right", NULL};
    (void)state;
    start(options);
    bench.address.password = strdup("right");
    open_peer();
    assert_int_equal(peer_renew(&peer)->result, STORE_GONE);
}

static void be_user(const char *rules, ...) {
    const char *arguments[8];
    size_t count = 0;
    va_list values;
    va_start(values, rules);
    for (; rules && count < 8; rules = va_arg(values, const char *))
        arguments[count++] = rules;
    va_end(values);
    while (count < 8)
        arguments[count++] = "on";
    redis_process_say(&bench.process, "ACL", "SETUSER", "ann", "on", ">hush", arguments[0], arguments[1], arguments[2],
                      arguments[3], arguments[4], arguments[5], arguments[6], arguments[7], NULL);
    bench.address.user = strdup("ann");
    bench.address.password = strdup("hush");
}

static void test_a_user_with_the_rights_that_the_log_advises(void **state) {
    (void)state;
    start(NULL);
    be_user("~stompd:*", "&*", "+@all", "-@dangerous", "+info", NULL);
    open_peer();
    assert_int_equal(peer_renew(&peer)->result, STORE_GONE);
    assert_int_equal(peer_add(&peer, "a:1-1", "ann"), STORE_OK);
    assert_string_equal(peer_session_page(&peer, 0)->text, "a:1-1 ann");
    assert_string_equal(peer_users(&peer, "", 10)->text, "ann 1");
    assert_string_equal(peer_user_sessions(&peer, "ann")->text, "a:1-1");
    assert_int_equal(peer_bury(&peer, "b", "b:1", 1, false), STORE_OK);
    peer_subscribe(&peer, STORE_CHANNEL, "t:/x");
    peer_subscribe(&peer, STORE_GLOB, "t:/y*");
    peer_expect(&peer, "subscribed t:/x\nsubscribed glob t:/y*\n");
    peer_publish(&peer, "t:/x", "yes");
    peer_expect(&peer, "message t:/x: yes\n");
    assert_int_equal(peer_remove(&peer, "a:1-1", "ann"), STORE_OK);
    assert_int_equal(peer_leave(&peer), STORE_OK);
}

static void test_a_user_who_may_not_subscribe(void **state) {
    (void)state;
    start(NULL);
    be_user("~*", "+@all", "resetchannels", NULL);
    expect_one_complaint("SUBSCRIBE: NOPERM");
}

static void test_a_user_who_may_not_subscribe_to_globs(void **state) {
    (void)state;
    start(NULL);
    be_user("~*", "+@all", "resetchannels", "&stompd:*", NULL);
    expect_one_complaint("PSUBSCRIBE: NOPERM");
}

static void test_a_user_who_may_not_ask_for_the_server(void **state) {
    (void)state;
    start(NULL);
    be_user("~*", "&*", "+@all", "-info", NULL);
    expect_one_complaint("INFO server: NOPERM");
}

static void test_a_user_who_may_not_load_scripts(void **state) {
    (void)state;
    start(NULL);
    be_user("~*", "&*", "+@all", "-script", NULL);
    expect_one_complaint("SCRIPT LOAD: NOPERM");
}

static void test_a_user_who_may_not_set_a_name_goes_without(void **state) {
    (void)state;
    start(NULL);
    be_user("~*", "&*", "+@all", "-client", NULL);
    open_peer();
    assert_int_equal(peer_renew(&peer)->result, STORE_GONE);
}

static void test_a_user_who_may_not_call_scripts_or_publish(void **state) {
    struct redis_status status;
    (void)state;
    start(NULL);
    be_user("~*", "&*", "+@all", "-evalsha", "-publish", NULL);
    open_peer();
    for (unsigned n = 0; n < 3; n++) {
        assert_int_equal(peer_renew(&peer)->result, STORE_FAILED);
        peer_publish(&peer, "t:/x", "");
        peer_await_published(&peer, n + 1);
    }
    assert_int_equal(peer.refused, 3);
    assert_int_equal(peer.downs, 0);
    assert_int_equal(bench_logged(&bench, "renew: NOPERM"), 1);
    assert_int_equal(bench_logged(&bench, "PUBLISH: NOPERM"), 1);
    redis_store_status(peer.store, &status);
    assert_int_equal(status.refused, 6);
}

static void test_a_user_who_may_not_touch_the_keys(void **state) {
    (void)state;
    start(NULL);
    be_user("~others:*", "&*", "+@all", NULL);
    open_peer();
    assert_int_equal(peer_renew(&peer)->result, STORE_FAILED);
    assert_int_equal(peer_user_sessions(&peer, "ann")->result, STORE_FAILED);
    assert_int_equal(bench_logged(&bench, "renew: NOPERM"), 1);
}

/* Only found out when it is subscribed to: the link breaks each time, and it is told once. */
static void test_a_channel_that_may_not_be_subscribed_to(void **state) {
    (void)state;
    start(NULL);
    be_user("~*", "+@all", "resetchannels", "&stompd:n:a", NULL);
    attach_peer();
    for (unsigned n = 0; n < 5; n++) {
        peer_await_up(&peer, n);
        peer_subscribe(&peer, STORE_CHANNEL, "t:/x");
        peer_await_down(&peer, n);
    }
    assert_int_equal(bench_logged(&bench, "SUBSCRIBE: NOPERM"), 1);
    assert_in_range(bench_logged(&bench, "connected (Redis "), 1, 2);
}

/* ---- of the wrong kind, or not able ---- */

static void test_a_replica_is_refused(void **state) {
    static const char *const options[] = {"--replicaof", "127.0.0.1 1", NULL};
    (void)state;
    start(options);
    expect_one_complaint("read-only replica: name its master in [cluster] redis (it says 127.0.0.1:1)");
}

static void test_a_master_that_becomes_a_replica_breaks_the_link(void **state) {
    (void)state;
    start(NULL);
    open_peer();
    assert_int_equal(peer_renew(&peer)->result, STORE_GONE);
    redis_process_say(&bench.process, "REPLICAOF", "127.0.0.1", "1", NULL);
    assert_int_not_equal(peer_renew(&peer)->result, STORE_OK);
    peer_await_down(&peer, 0);
    bench_await_failures(&bench, &peer, 3);
    assert_int_equal(bench_logged(&bench, "read-only replica"), 1);
    redis_process_say(&bench.process, "REPLICAOF", "NO", "ONE", NULL);
    peer_await_up(&peer, 1);
    assert_int_equal(peer_renew(&peer)->result, STORE_OK);
}

static void test_a_cluster_is_refused(void **state) {
    static const char *const options[] = {"--cluster-enabled", "yes", NULL};
    (void)state;
    start(options);
    expect_one_complaint("the server is in cluster mode");
}

static void test_a_server_without_memory(void **state) {
    (void)state;
    start(NULL);
    open_peer();
    assert_int_equal(peer_renew(&peer)->result, STORE_GONE);
    assert_int_equal(peer_add(&peer, "a:1-1", "ann"), STORE_OK);
    redis_process_say(&bench.process, "CONFIG", "SET", "maxmemory", "1", NULL);
    assert_int_equal(peer_add(&peer, "a:1-2", "ann"), STORE_FAILED);
    assert_int_equal(peer_renew(&peer)->result, STORE_FAILED);
    assert_int_equal(bench_logged(&bench, "raise its maxmemory"), 1);
    /* What needs no memory goes on. */
    assert_string_equal(peer_users(&peer, "", 10)->text, "ann 1");
    assert_int_equal(peer_remove(&peer, "a:1-1", "ann"), STORE_OK);
    peer_publish(&peer, "t:/x", "");
    peer_await_published(&peer, 1);
    assert_int_equal(peer.refused, 0);
    redis_process_say(&bench.process, "CONFIG", "SET", "maxmemory", "0", NULL);
    assert_int_equal(peer_renew(&peer)->result, STORE_OK);
    assert_int_equal(peer.downs, 0);
}

static void test_a_server_that_may_throw_the_registry_away(void **state) {
    static const struct {
        const char *policy;
        const char *most;
        unsigned warned;
    } cases[] = {
        {"allkeys-lru", "0", 0}, {"volatile-lru", "100mb", 0}, {"noeviction", "100mb", 0}, {"allkeys-lfu", "100mb", 1}};
    (void)state;
    start(NULL);
    for (size_t n = 0; n < sizeof cases / sizeof *cases; n++) {
        redis_process_say(&bench.process, "CONFIG", "SET", "maxmemory-policy", cases[n].policy, NULL);
        redis_process_say(&bench.process, "CONFIG", "SET", "maxmemory", cases[n].most, NULL);
        open_peer();
        peer_close(&peer);
        assert_int_equal(bench_logged(&bench, "with maxmemory-policy "), cases[n].warned);
    }
    assert_int_equal(bench_logged(&bench, "with maxmemory-policy allkeys-lfu"), 1);
}

/* A script of somebody else that does not end: what it keeps from being published is not told as refused. */
static void test_a_server_that_is_kept_busy_breaks_the_link(void **state) {
    static const char *const options[] = {"--lua-time-limit", "50", NULL};
    int sent = 0;
    (void)state;
    start(options);
    open_peer();
    redisContext *other = redisConnectUnix(bench.process.socket);
    assert_non_null(other);
    assert_int_equal(redisAppendCommand(other, "EVAL %s 0", "while true do end"), REDIS_OK);
    while (!sent)
        assert_int_equal(redisBufferWrite(other, &sent), REDIS_OK);
    while (strncmp(redis_process_say(&bench.process, "PING", NULL), "BUSY", 4) != 0)
        assert_int_equal(other->err, 0);
    peer_publish(&peer, "t:/x", "kept");
    peer_await_down(&peer, 0);
    assert_int_equal(peer.published, 0);
    assert_int_equal(bench_logged(&bench, "PUBLISH: BUSY"), 1);
    assert_string_equal(redis_process_say(&bench.process, "SCRIPT", "KILL", NULL), "OK");
    peer_await_up(&peer, 1);
    peer_publish(&peer, "t:/x", "kept");
    peer_await_published(&peer, 1);
    assert_int_equal(peer.refused, 0);
    redisFree(other);
}

/* This node does not read while others publish. */
static void test_a_hearer_that_the_server_cuts_off(void **state) {
    static const char *const options[] = {"--client-output-buffer-limit", "pubsub 1mb 0 0", NULL};
    static char payload[100000];
    (void)state;
    memset(payload, 'x', sizeof payload - 1);
    start(options);
    open_peer();
    peer_subscribe(&peer, STORE_CHANNEL, "t:/x");
    peer_expect(&peer, "subscribed t:/x\n");
    while (strcmp(redis_process_say(&bench.process, "PUBLISH", "stompd:t:/x", payload, NULL), "1") == 0)
        assert_int_equal(peer.downs, 0);
    peer_await_down(&peer, 0);
    assert_int_equal(bench_logged(&bench, "client-output-buffer-limit pubsub may be too small"), 1);
    peer_await_up(&peer, 1);
}

/* The folder for its data is gone. The server finds out some time after it was told to save. */
static void test_a_server_that_cannot_save(void **state) {
    char folder[sizeof bench.process.folder + 8];
    const char *const options[] = {"--dir", folder, "--save", "3600 1", NULL};
    (void)state;
    snprintf(folder, sizeof folder, "%s/data", bench.process.folder);
    assert_int_equal(mkdir(folder, 0700), 0);
    start(options);
    open_peer();
    assert_int_equal(rmdir(folder), 0);
    redis_process_say(&bench.process, "BGSAVE", NULL);
    while (peer_renew(&peer)->result != STORE_FAILED)
        assert_int_equal(peer.downs, 0);
    assert_int_equal(bench_logged(&bench, "MISCONF"), 1);
    assert_int_equal(bench_logged(&bench, "stop-writes-on-bgsave-error"), 1);
}

static void test_a_server_with_too_few_connections(void **state) {
    static const char *const options[] = {"--maxclients", "1", NULL};
    (void)state;
    start(options);
    expect_one_complaint("raise its maxclients");
}

/* ---- names and numbers ---- */

static void start_on_port(uint16_t port) {
    char number[8];
    const char *const options[] = {"--port", number, "--bind", "127.0.0.1", NULL};
    snprintf(number, sizeof number, "%u", port);
    start(options);
}

static void test_a_name_is_looked_up(void **state) {
    uint16_t port = free_port();
    (void)state;
    start_on_port(port);
    bench_set_address(&bench, "localhost:%u", port);
    open_peer();
    assert_int_equal(peer_renew(&peer)->result, STORE_GONE);
    peer.store->ops->break_link(peer.store, "the test wants it");
    peer_await_up(&peer, 1);
}

static void test_a_number_and_a_database(void **state) {
    uint16_t port = free_port();
    (void)state;
    start_on_port(port);
    bench_set_address(&bench, "redis://127.0.0.1:%u/3", port);
    open_peer();
    assert_int_equal(peer_renew(&peer)->result, STORE_GONE);
    assert_string_equal(redis_process_say(&bench.process, "EXISTS", "stompd:nodes", NULL), "0");
    assert_non_null(strstr(redis_process_say(&bench.process, "INFO", "keyspace", NULL), "db3:keys=1"));
}

static void test_a_database_that_is_not_there(void **state) {
    (void)state;
    start(NULL);
    bench.address.db = 99;
    expect_one_complaint("SELECT: ERR DB index is out of range");
}

/* ---- the end ---- */

static void test_a_store_may_go_at_any_time(void **state) {
    static struct answer answer;
    (void)state;
    start(NULL);
    for (unsigned turns = 0; turns < 12; turns++) {
        attach_peer();
        turn(bench.base, turns);
        peer_publish(&peer, "t:/x", "lost");
        peer_subscribe(&peer, STORE_CHANNEL, "t:/x");
        peer.store->ops->renew(peer.store, peer_call(&peer, &answer));
        if (turns % 2)
            peer.store->ops->break_link(peer.store, "the test wants it");
        peer_close(&peer);
        turn(bench.base, 2);
        assert_false(answer.done);
    }
    bench_set_address(&bench, "localhost:%u", free_port());
    for (unsigned turns = 0; turns < 5; turns++) {
        attach_peer();
        turn(bench.base, turns);
        peer_close(&peer);
        assert_int_equal(event_base_get_num_events(bench.base, EVENT_BASE_COUNT_ADDED | EVENT_BASE_COUNT_ACTIVE), 0);
    }
}

/* As at the end of the process, where the loop is turned no more. The name server has not answered, or can't be reached. */
static void test_a_store_may_go_while_a_name_is_looked_up(void **state) {
    (void)state;
    bench_set_address(&bench, "redis.invalid:6379");
    for (unsigned turns = 0; turns < 3; turns++) {
        attach_peer();
        turn(bench.base, turns);
        peer_close(&peer);
        assert_int_equal(event_base_get_num_events(bench.base, EVENT_BASE_COUNT_ADDED | EVENT_BASE_COUNT_ACTIVE), 0);
    }
}

#define FAULT_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        FAULT_TEST(test_a_server_that_is_killed_and_started_again),
        FAULT_TEST(test_all_that_a_killed_server_had_not_answered_is_away_before_down),
        FAULT_TEST(test_a_server_that_starts_late),
        FAULT_TEST(test_a_port_that_nobody_listens_on),
        FAULT_TEST(test_a_server_that_does_not_answer_breaks_the_link),
        FAULT_TEST(test_a_publication_or_subscription_that_is_not_answered_breaks_the_link),
        FAULT_TEST(test_much_is_held_for_a_server_that_stands_still_for_a_while),
        FAULT_TEST(test_what_an_old_link_left_behind_undoes_nothing),
        FAULT_TEST(test_an_entry_that_an_old_link_left_behind_is_none),
        FAULT_TEST(test_flushed_scripts_are_loaded_again_and_calls_keep_their_order),
        FAULT_TEST(test_calls_that_are_made_while_scripts_are_missing_wait),
        FAULT_TEST(test_calls_whose_order_is_lost_break_the_link),
        FAULT_TEST(test_a_server_that_is_emptied_has_no_entry_any_more),
        FAULT_TEST(test_a_password_that_is_missing),
        FAULT_TEST(test_a_password_that_is_wrong),
        FAULT_TEST(test_a_password_that_is_not_needed),
        FAULT_TEST(test_a_password_that_is_right),
        FAULT_TEST(test_a_user_with_the_rights_that_the_log_advises),
        FAULT_TEST(test_a_user_who_may_not_subscribe),
        FAULT_TEST(test_a_user_who_may_not_subscribe_to_globs),
        FAULT_TEST(test_a_user_who_may_not_ask_for_the_server),
        FAULT_TEST(test_a_user_who_may_not_load_scripts),
        FAULT_TEST(test_a_user_who_may_not_set_a_name_goes_without),
        FAULT_TEST(test_a_user_who_may_not_call_scripts_or_publish),
        FAULT_TEST(test_a_user_who_may_not_touch_the_keys),
        FAULT_TEST(test_a_channel_that_may_not_be_subscribed_to),
        FAULT_TEST(test_a_replica_is_refused),
        FAULT_TEST(test_a_master_that_becomes_a_replica_breaks_the_link),
        FAULT_TEST(test_a_cluster_is_refused),
        FAULT_TEST(test_a_server_without_memory),
        FAULT_TEST(test_a_server_that_may_throw_the_registry_away),
        FAULT_TEST(test_a_server_that_is_kept_busy_breaks_the_link),
        FAULT_TEST(test_a_hearer_that_the_server_cuts_off),
        FAULT_TEST(test_a_server_that_cannot_save),
        FAULT_TEST(test_a_server_with_too_few_connections),
        FAULT_TEST(test_a_name_is_looked_up),
        FAULT_TEST(test_a_number_and_a_database),
        FAULT_TEST(test_a_database_that_is_not_there),
        FAULT_TEST(test_a_store_may_go_at_any_time),
        FAULT_TEST(test_a_store_may_go_while_a_name_is_looked_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
