/*
 * The command line: what every option is called, takes, means and belongs to stands in one table (options_table.c),
 * from which --help is written.
 */
#ifndef BENCH_OPTIONS_H
#define BENCH_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "bench/target.h"

enum command {
    COMMAND_FAN_OUT,
    COMMAND_PAIRS,
    COMMAND_IDLE,
    COMMAND_CHURN,
    COMMAND_MATCH,
    COMMAND_QUEUE,
};
#define COMMANDS 6

enum content {
    CONTENT_TEXT,   /* the letter x */
    CONTENT_RANDOM, /* random letters and digits */
    CONTENT_BINARY, /* random bytes, NULs among them */
};

#define LIST_MAX 64 /* values of any option that takes several */

struct options {
    enum command command;
    struct target targets[LIST_MAX]; /* connections are spread over them */
    unsigned target_count;
    struct target publish_targets[LIST_MAX]; /* of publishers; none: those above */
    unsigned publish_target_count;
    struct sockaddr_storage from[LIST_MAX]; /* local addresses, taken in turn */
    unsigned from_count;
    const char *login; /* NULL: none */
    const char *passcode;
    const char *host; /* NULL: the target's */
    const char *ca;   /* NULL: the system's */
    bool insecure;

    uint64_t publishers;
    uint64_t subscribers;
    uint64_t pairs;
    uint64_t connections;
    uint64_t subscriptions[LIST_MAX]; /* of match: one measurement each */
    unsigned subscription_count;
    uint64_t patterns; /* per cent */
    uint64_t prefetch;
    const char *destination; /* NULL: one that no other run has */
    uint64_t at_a_time;

    uint64_t window;
    uint64_t rates[LIST_MAX]; /* of an open loop: one measurement each; none: a closed loop */
    unsigned rate_count;
    uint64_t size;
    uint64_t content; /* enum content */
    const char *headers[LIST_MAX];
    unsigned header_count;

    uint64_t duration_ns;
    uint64_t warm_up_ns;
    uint64_t timeout_ns;
    bool allow_loss;

    pid_t pids[LIST_MAX];
    unsigned pid_count;
    bool children;
    const char *json; /* NULL: none; "-": standard output */
    const char *plot; /* NULL: none */
    bool help;
    bool version;
};

enum option_kind {
    OPTION_FLAG,    /* bool */
    OPTION_TEXT,    /* const char * */
    OPTION_COUNT,   /* uint64_t, from `least` to `most` */
    OPTION_COUNTS,  /* several, with commas */
    OPTION_TIME,    /* nanoseconds: 10, 10s, 500ms or 2m */
    OPTION_CONTENT, /* enum content */
    OPTION_TARGET,
    OPTION_ADDRESSES,
    OPTION_PID,
    OPTION_HEADER,
};

#define FOR(command) (1u << (command))

/* A line a option. */
struct option_row {
    const char *name;     /* without the dashes */
    const char *argument; /* what --help calls it; NULL: it takes none */
    const char *help;
    enum option_kind kind;
    unsigned commands; /* FOR() of those that know it */
    size_t offset;     /* of its value in struct options */
    size_t count;      /* of the number of its values, if it takes several */
    uint64_t least;
    uint64_t most;
};

struct command_row {
    const char *name;
    const char *help;
    const char *example;
};

extern const struct option_row option_rows[];
extern const size_t option_row_count;
extern const struct command_row command_rows[COMMANDS];

/* What holds without an option; some depend on the command. */
void options_set_defaults(struct options *options, enum command command);

/* Fails at the first fault. Targets are resolved unless help or the version is asked for. */
void options_read(int argc, char **argv, struct options *options);

/* Writes --help: of all commands, or of the one that the command line has named. */
void options_show_help(int argc, char **argv);

#endif
