/* Reading the command line by the table, and writing help from it. */
#include "bench/options.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/fail.h"

#define HELP_COLUMN 28
#define HELP_WIDTH  100

static const char see_help[] = "stomp-bench --help shows how it is used";

/* ---- values */

/* Digits and nothing else, from `least` to `most`. */
static bool read_count(const char *text, uint64_t least, uint64_t most, uint64_t *count) {
    char *end;
    if (*text < '0' || *text > '9')
        return false;
    *count = strtoull(text, &end, 10);
    return *end == '\0' && *count >= least && *count <= most;
}

_Noreturn static void fail_count(const struct option_row *row, const char *text) {
    fail(FAULT_USAGE, "--%s %s: it takes a number from %lu to %lu", row->name, text, (unsigned long)row->least,
         (unsigned long)row->most);
}

static void *list_slot(struct options *options, const struct option_row *row, size_t size) {
    unsigned *count = (unsigned *)((char *)options + row->count);
    if (*count == LIST_MAX)
        fail(FAULT_USAGE, "--%s: %d are the most", row->name, LIST_MAX);
    return (char *)options + row->offset + size * (*count)++;
}

/* Calls take() with each of the values between commas. */
static void each_part(struct options *options, const struct option_row *row, const char *text,
                      void (*take)(struct options *, const struct option_row *, const char *)) {
    char *copy = need(strdup(text));
    char *rest = copy;
    for (char *part; (part = strsep(&rest, ",")) != NULL;)
        take(options, row, part);
    free(copy);
}

static void take_count(struct options *options, const struct option_row *row, const char *text) {
    uint64_t *slot = list_slot(options, row, sizeof *slot);
    if (!read_count(text, row->least, row->most, slot))
        fail_count(row, text);
}

static void take_counts(struct options *options, const struct option_row *row, const char *text) {
    *(unsigned *)((char *)options + row->count) = 0; /* a default, or what the same option said before */
    each_part(options, row, text, take_count);
}

static void take_address(struct options *options, const struct option_row *row, const char *text) {
    struct sockaddr_storage *slot = list_slot(options, row, sizeof *slot);
    struct sockaddr_in *v4 = (struct sockaddr_in *)slot;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)slot;
    if (inet_pton(AF_INET, text, &v4->sin_addr) == 1)
        slot->ss_family = AF_INET;
    else if (inet_pton(AF_INET6, text, &v6->sin6_addr) == 1)
        slot->ss_family = AF_INET6;
    else
        fail(FAULT_USAGE, "--%s %s: it takes IP addresses with commas between them", row->name, text);
}

static void take_time(const struct option_row *row, const char *text, uint64_t *time_ns) {
    static const struct {
        const char *name;
        double ns;
    } units[] = {{"", 1e9}, {"ms", 1e6}, {"s", 1e9}, {"m", 60e9}, {"h", 3600e9}};
    char *end;
    double number = strtod(text, &end);
    for (size_t n = 0; *text >= '0' && *text <= '9' && n < sizeof units / sizeof units[0]; n++)
        if (strcmp(end, units[n].name) == 0 && number * units[n].ns < 48 * 3600e9) {
            *time_ns = (uint64_t)(number * units[n].ns);
            return;
        }
    fail(FAULT_USAGE, "--%s %s: it takes a time below two days, such as 10s, 500ms or 2m", row->name, text);
}

static void take_content(const struct option_row *row, const char *text, uint64_t *content) {
    static const char *const names[] = {
        [CONTENT_TEXT] = "text", [CONTENT_RANDOM] = "random", [CONTENT_BINARY] = "binary"};
    for (*content = 0; *content < sizeof names / sizeof names[0]; (*content)++)
        if (strcmp(text, names[*content]) == 0)
            return;
    fail(FAULT_USAGE, "--%s %s: it takes text, random or binary", row->name, text);
}

static void take_target(struct options *options, const struct option_row *row, const char *text) {
    const char *fault = target_parse(text, list_slot(options, row, sizeof(struct target)));
    if (fault)
        fail(FAULT_USAGE, "--%s %s: %s", row->name, text, fault);
}

static void take_pid(struct options *options, const struct option_row *row, const char *text) {
    uint64_t pid;
    if (!read_count(text, 1, INT32_MAX, &pid))
        fail(FAULT_USAGE, "--%s %s: it takes the number of a process", row->name, text);
    *(pid_t *)list_slot(options, row, sizeof(pid_t)) = (pid_t)pid;
}

static void take_header(struct options *options, const struct option_row *row, const char *text) {
    const char *colon = strchr(text, ':');
    if (!colon || colon == text || strpbrk(text, "\r\n"))
        fail(FAULT_USAGE, "--%s %s: it takes NAME:VALUE, on one line", row->name, text);
    *(const char **)list_slot(options, row, sizeof text) = text;
}

static void take_value(struct options *options, const struct option_row *row, const char *text) {
    void *to = (char *)options + row->offset;
    switch (row->kind) {
    case OPTION_FLAG:
        *(bool *)to = true;
        break;
    case OPTION_TEXT:
        if (strpbrk(text, "\r\n"))
            fail(FAULT_USAGE, "--%s: its value has more than one line", row->name);
        *(const char **)to = text;
        break;
    case OPTION_COUNT:
        if (!read_count(text, row->least, row->most, to))
            fail_count(row, text);
        break;
    case OPTION_COUNTS:
        take_counts(options, row, text);
        break;
    case OPTION_TIME:
        take_time(row, text, to);
        break;
    case OPTION_CONTENT:
        take_content(row, text, to);
        break;
    case OPTION_TARGET:
        take_target(options, row, text);
        break;
    case OPTION_ADDRESSES:
        each_part(options, row, text, take_address);
        break;
    case OPTION_PID:
        take_pid(options, row, text);
        break;
    case OPTION_HEADER:
        take_header(options, row, text);
        break;
    }
}

/* ---- the line */

/* `text` begins behind the dashes and may end with "=VALUE". */
static const struct option_row *find_option(const char *text) {
    size_t length = strcspn(text, "=");
    for (size_t n = 0; n < option_row_count; n++)
        if (strlen(option_rows[n].name) == length && strncmp(option_rows[n].name, text, length) == 0)
            return &option_rows[n];
    return NULL;
}

static bool find_command(const char *text, enum command *command) {
    for (unsigned n = 0; n < COMMANDS; n++)
        if (strcmp(text, command_rows[n].name) == 0) {
            *command = (enum command)n;
            return true;
        }
    return false;
}

/* Reads argv[at] and what belongs to it, and returns where the next one is. */
static int read_option(int argc, char **argv, int at, struct options *options) {
    const char *text = argv[at];
    const struct option_row *row = strncmp(text, "--", 2) == 0 ? find_option(text + 2) : NULL;
    const char *value = strchr(text, '=');
    if (!row)
        fail(FAULT_USAGE, "there is no option %s; %s", text, see_help);
    if (!(row->commands & FOR(options->command)))
        fail(FAULT_USAGE, "%s has no --%s; %s", command_rows[options->command].name, row->name, see_help);
    if (!row->argument && value)
        fail(FAULT_USAGE, "--%s takes no value", row->name);
    if (!row->argument || value) {
        take_value(options, row, value ? value + 1 : "");
        return at + 1;
    }
    if (at + 1 == argc)
        fail(FAULT_USAGE, "--%s needs a value: %s", row->name, row->argument);
    take_value(options, row, argv[at + 1]);
    return at + 2;
}

/* What the options mean together. */
static void check(struct options *options) {
    if (options->target_count == 0)
        fail(FAULT_USAGE, "a server must be named, such as --target ws://127.0.0.1:8080/ws");
    if (options->plot && options->rate_count == 0)
        fail(FAULT_USAGE, "--plot draws latency over rate, so it needs --rates");
    if (options->children && options->pid_count == 0)
        fail(FAULT_USAGE, "--children are those of a --pid");
    if (options->passcode && !options->login)
        fail(FAULT_USAGE, "--passcode goes with a --login");
    if (options->subscription_count == 0)
        options->subscription_count = 3; /* the default ones */
    if (options->at_a_time == 0)
        options->at_a_time = options->rate_count > 0 ? 1000 : 10;
    for (unsigned n = 1; n < options->subscription_count; n++)
        if (options->subscriptions[n] <= options->subscriptions[n - 1])
            fail(FAULT_USAGE, "--subscriptions must grow from one to the next");
    for (unsigned n = 0; n < options->target_count; n++)
        target_resolve(&options->targets[n]);
    for (unsigned n = 0; n < options->publish_target_count; n++)
        target_resolve(&options->publish_targets[n]);
}

static bool asks(int argc, char **argv, const char *option) {
    for (int n = 1; n < argc; n++)
        if (strcmp(argv[n], option) == 0)
            return true;
    return false;
}

void options_read(int argc, char **argv, struct options *options) {
    enum command command;
    if (asks(argc, argv, "--help") || asks(argc, argv, "--version")) {
        *options = (struct options){.help = asks(argc, argv, "--help"), .version = true};
        return;
    }
    if (argc < 2)
        fail(FAULT_USAGE, "a command is needed; %s", see_help);
    if (!find_command(argv[1], &command))
        fail(FAULT_USAGE, "there is no command %s; %s", argv[1], see_help);
    options_set_defaults(options, command);
    for (int at = 2; at < argc;)
        at = read_option(argc, argv, at, options);
    check(options);
}

/* ---- help */

/* Fills lines of HELP_WIDTH behind a column; `at` is where the first one has come to. */
static void show_filled(const char *text, int at) {
    printf("%*s", at < HELP_COLUMN ? HELP_COLUMN - at : 1, "");
    for (int column = HELP_COLUMN; *text;) {
        int length = (int)strcspn(text, " ");
        if (column + 1 + length > HELP_WIDTH) {
            printf("\n%*s", HELP_COLUMN, "");
            column = HELP_COLUMN;
        }
        column += printf("%s%.*s", column > HELP_COLUMN ? " " : "", length, text);
        text += length + (text[length] == ' ');
    }
    putchar('\n');
}

static void show_option(const struct option_row *row) {
    int at = printf("  --%s%s%s", row->name, row->argument ? " " : "", row->argument ? row->argument : "");
    show_filled(row->help, at);
}

static void show_command(const struct command_row *row) {
    show_filled(row->help, printf("  %s", row->name));
}

void options_show_help(int argc, char **argv) {
    enum command command;
    bool is_one = argc > 1 && find_command(argv[1], &command);
    unsigned shown = is_one ? FOR(command) : (1u << COMMANDS) - 1;
    printf("usage: stomp-bench %s --target URL [OPTION…]\n\n", is_one ? command_rows[command].name : "COMMAND");
    for (unsigned n = 0; n < COMMANDS; n++)
        if (shown & FOR(n))
            show_command(&command_rows[n]);
    printf("\nOptions%s:\n", is_one ? "" : " (stomp-bench COMMAND --help: those of a command)");
    for (size_t n = 0; n < option_row_count; n++)
        if (option_rows[n].commands & shown)
            show_option(&option_rows[n]);
    printf("\nExamples:\n");
    for (unsigned n = 0; n < COMMANDS; n++)
        if (shown & FOR(n))
            printf("  %s\n", command_rows[n].example);
    printf("\nExit status: 0 all arrived; 1 something was lost; 2 the command line; 3 the server refuses, ends a\n"
           "connection or can't be reached; 4 this machine lacks memory, files or ports. See stomp-bench(1).\n");
}
