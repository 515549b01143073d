/* stomp-bench: measures a STOMP server, over WebSocket or TCP, with many thousand connections from one process. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/commands.h"
#include "bench/fail.h"
#include "bench/plot.h"
#include "bench/report.h"

static void (*const commands[COMMANDS])(struct loop *, struct results *) = {
    [COMMAND_FAN_OUT] = command_fan_out, [COMMAND_PAIRS] = command_pairs, [COMMAND_IDLE] = command_idle,
    [COMMAND_CHURN] = command_churn,     [COMMAND_MATCH] = command_match, [COMMAND_QUEUE] = command_queue,
};

static uint64_t connections_of(const struct options *options) {
    switch (options->command) {
    case COMMAND_PAIRS:
        return 2 * options->pairs;
    case COMMAND_IDLE:
        return options->connections + 1;
    case COMMAND_CHURN:
        return options->at_a_time;
    case COMMAND_FAN_OUT:
    case COMMAND_MATCH:
    case COMMAND_QUEUE:
        break;
    }
    return options->publishers + options->subscribers;
}

/* A file that can't be written should not be found out after an hour. */
static void check_file(const char *option, const char *path) {
    FILE *file = path && strcmp(path, "-") != 0 ? fopen(path, "a") : NULL;
    if (file)
        fclose(file);
    else if (path && strcmp(path, "-") != 0)
        fail(FAULT_USAGE, "--%s %s: it can't be written", option, path);
}

static void report(const struct options *options, const struct results *results) {
    if (!options->json || strcmp(options->json, "-") != 0)
        report_table(options, results);
    if (options->json)
        report_json(options, results);
    if (options->plot)
        plot_write(options, results);
}

static bool has_loss(const struct results *results) {
    for (unsigned n = 0; n < results->count; n++)
        if (result_has_loss(&results->items[n]))
            return true;
    return false;
}

static int run(const struct options *options) {
    struct results results = {0};
    struct loop loop;
    check_file("json", options->json);
    check_file("plot", options->plot);
    loop_init(&loop, options, connections_of(options));
    commands[options->command](&loop, &results);
    loop_free(&loop);
    report(options, &results);
    int status = has_loss(&results) && !options->allow_loss ? FAULT_LOSS : 0;
    free(results.items);
    return status;
}

int main(int argc, char **argv) {
    static struct options options;
    options_read(argc, argv, &options);
    if (options.help)
        options_show_help(argc, argv);
    else if (options.version)
        puts("stomp-bench " STOMPD_VERSION);
    else
        return run(&options);
    return 0;
}
