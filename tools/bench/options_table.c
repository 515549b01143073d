/* The options and commands. docs/stomp-bench.1 has the same names, arguments, texts and examples, and a test compares. */
#include <stddef.h>

#include "bench/options.h"

#define ALL     ((1u << COMMANDS) - 1)
#define TRAFFIC (FOR(COMMAND_FAN_OUT) | FOR(COMMAND_PAIRS) | FOR(COMMAND_MATCH) | FOR(COMMAND_QUEUE))
#define BODIES  (TRAFFIC | FOR(COMMAND_IDLE))

#define CONNECTIONS_MAX 1000000
#define SIZE_MAX_BODY   (64u << 20)

#define IN(member)        .offset = offsetof(struct options, member)
#define LIST(values, sum) IN(values), .count = offsetof(struct options, sum)

const struct option_row option_rows[] = {
    {"target", "URL", "where the server is; repeat it to spread the connections over several nodes", OPTION_TARGET, ALL,
     LIST(targets, target_count)},
    {"publish-target", "URL", "where publishers or producers connect, if not to --target; may be repeated",
     OPTION_TARGET, TRAFFIC, LIST(publish_targets, publish_target_count)},
    {"from", "ADDRESSES",
     "local addresses to connect from, with commas, taken in turn: each has some 28,000 ports a target",
     OPTION_ADDRESSES, ALL, LIST(from, from_count)},
    {"login", "NAME", "the login header of CONNECT", OPTION_TEXT, ALL, IN(login)},
    {"passcode", "WORD", "the passcode header of CONNECT", OPTION_TEXT, ALL, IN(passcode)},
    {"host", "NAME", "the host header of CONNECT, if not the target's host", OPTION_TEXT, ALL, IN(host)},
    {"ca", "FILE", "certificates that TLS trusts, in PEM, if not the system's", OPTION_TEXT, ALL, IN(ca)},
    {"insecure", NULL, "take any certificate", OPTION_FLAG, ALL, IN(insecure)},
    {"at-a-time", "N", "how many connections are being opened at the same time (100; churn: 10, and 1000 with --rate)",
     OPTION_COUNT, ALL, IN(at_a_time), .least = 1, .most = 100000},

    {"publishers", "N", "connections that send (1)", OPTION_COUNT, FOR(COMMAND_FAN_OUT) | FOR(COMMAND_MATCH),
     IN(publishers), .least = 1, .most = CONNECTIONS_MAX},
    {"subscribers", "N", "connections that subscribe (100; match: 1000)", OPTION_COUNT,
     FOR(COMMAND_FAN_OUT) | FOR(COMMAND_MATCH), IN(subscribers), .least = 1, .most = CONNECTIONS_MAX},
    {"pairs", "N", "pairs of a publisher and a subscriber (100)", OPTION_COUNT, FOR(COMMAND_PAIRS), IN(pairs),
     .least = 1, .most = CONNECTIONS_MAX},
    {"connections", "N", "connections that are opened and stay (10000)", OPTION_COUNT, FOR(COMMAND_IDLE),
     IN(connections), .least = 1, .most = CONNECTIONS_MAX},
    {"subscriptions", "LIST", "how many subscriptions there are in all, one measurement each (1000,10000,100000)",
     OPTION_COUNTS, FOR(COMMAND_MATCH), LIST(subscriptions, subscription_count), .least = 1, .most = 100000000},
    {"patterns", "PERCENT", "share of them that are patterns (10)", OPTION_COUNT, FOR(COMMAND_MATCH), IN(patterns),
     .least = 0, .most = 100},
    {"producers", "N", "connections that send, each message with a receipt (10)", OPTION_COUNT, FOR(COMMAND_QUEUE),
     IN(publishers), .least = 1, .most = CONNECTIONS_MAX},
    {"consumers", "N", "connections that consume, and acknowledge each message (10)", OPTION_COUNT, FOR(COMMAND_QUEUE),
     IN(subscribers), .least = 1, .most = CONNECTIONS_MAX},
    {"prefetch", "N", "prefetch-count of a consumer (100)", OPTION_COUNT, FOR(COMMAND_QUEUE), IN(prefetch), .least = 1,
     .most = 65535},
    {"destination", "NAME", "the destination, if not one that no other run has; pairs and match add to it", OPTION_TEXT,
     ALL, IN(destination)},

    {"window", "N", "closed loop: how many messages of a publisher may be on their way (32; pairs and match: 1)",
     OPTION_COUNT, TRAFFIC, IN(window), .least = 1, .most = 1000000},
    {"rate", "R",
     "open loop: messages a second of all publishers together, whatever becomes of them; churn: clients a second",
     OPTION_COUNTS, TRAFFIC | FOR(COMMAND_CHURN), LIST(rates, rate_count), .least = 1, .most = 100000000},
    {"rates", "LIST", "the same at several rates, with commas, one measurement each", OPTION_COUNTS,
     TRAFFIC | FOR(COMMAND_CHURN), LIST(rates, rate_count), .least = 1, .most = 100000000},
    {"size", "BYTES", "size of a body, 36 at least (128)", OPTION_COUNT, BODIES, IN(size), .least = 36,
     .most = SIZE_MAX_BODY},
    {"content", "KIND", "what fills a body: text, random or binary (text)", OPTION_CONTENT, BODIES, IN(content)},
    {"header", "NAME:VALUE", "a further header of each SEND; may be repeated", OPTION_HEADER, BODIES,
     LIST(headers, header_count)},

    {"duration", "TIME", "how long is measured (5s); idle: how long they stay", OPTION_TIME, ALL, IN(duration_ns)},
    {"warm-up", "TIME", "how long the same is done before (1s)", OPTION_TIME, TRAFFIC | FOR(COMMAND_CHURN),
     IN(warm_up_ns)},
    {"timeout", "TIME", "what takes longer is lost, or refused (10s)", OPTION_TIME, ALL, IN(timeout_ns)},
    {"allow-loss", NULL, "losses are shown, but the exit status stays 0", OPTION_FLAG, ALL, IN(allow_loss)},

    {"pid", "PID", "a process of the server, whose CPU and memory are measured; may be repeated", OPTION_PID, ALL,
     LIST(pids, pid_count)},
    {"children", NULL, "count the children of those processes too", OPTION_FLAG, ALL, IN(children)},
    {"json", "FILE", "write the figures there too; -: to standard output, in place of the table", OPTION_TEXT, ALL,
     IN(json)},
    {"plot", "FILE.svg", "draw latency over rate, of several --rates", OPTION_TEXT, TRAFFIC | FOR(COMMAND_CHURN),
     IN(plot)},
    {"help", NULL, "show this, or what a command named before it takes", OPTION_FLAG, ALL, IN(help)},
    {"version", NULL, "show the version", OPTION_FLAG, ALL, IN(version)},
};
const size_t option_row_count = sizeof option_rows / sizeof option_rows[0];

const struct command_row command_rows[COMMANDS] = {
    [COMMAND_FAN_OUT] =
        {"fan-out", "publishers send to one topic, and all subscribers get each message",
         "stomp-bench fan-out --target ws://127.0.0.1:8080/ws --subscribers 1000 --window 8 --pid 4711"},
    [COMMAND_PAIRS] = {"pairs", "pairs of a publisher and a subscriber, each pair with a topic of its own",
                       "stomp-bench pairs --target ws://127.0.0.1:8080/ws --rates 1000,2000,4000 --plot pairs.svg"},
    [COMMAND_IDLE] = {"idle",
                      "connections that subscribe and stay; one message to all when all are there, and one at the end",
                      "stomp-bench idle --target ws://127.0.0.1:8080/ws --connections 50000 --from 127.0.0.2,127.0.0.3 "
                      "--pid 4711"},
    [COMMAND_CHURN] = {"churn", "clients that connect, subscribe and leave",
                       "stomp-bench churn --target wss://127.0.0.1:8443/ws --insecure --rate 500"},
    [COMMAND_MATCH] =
        {"match", "what a message costs when there are more and more subscriptions",
         "stomp-bench match --target stomp://127.0.0.1:61613 --subscriptions 1000,10000,100000 --pid 4711"},
    [COMMAND_QUEUE] =
        {"queue", "producers send to a queue, consumers acknowledge",
         "stomp-bench queue --target stomp://127.0.0.1:61613 --producers 10 --consumers 10 --json queue.json"},
};

#define SECOND UINT64_C(1000000000)

void options_set_defaults(struct options *options, enum command command) {
    bool is_spread = command == COMMAND_MATCH || command == COMMAND_PAIRS;
    *options = (struct options){
        .command = command,
        .publishers = command == COMMAND_QUEUE ? 10 : 1,
        .subscribers = command == COMMAND_MATCH   ? 1000
                       : command == COMMAND_QUEUE ? 10
                                                  : 100,
        .pairs = 100,
        .connections = 10000,
        .subscriptions = {1000, 10000, 100000},
        .patterns = 10,
        .prefetch = 100,
        .at_a_time = command == COMMAND_CHURN ? 0 : 100,
        .window = is_spread ? 1 : 32,
        .size = 128,
        .duration_ns = 5 * SECOND,
        .warm_up_ns = SECOND,
        .timeout_ns = 10 * SECOND,
    };
}
