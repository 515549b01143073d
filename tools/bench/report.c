/* The table and the JSON, both from the table of figures. */
#include "bench/report.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench/fail.h"

#define TITLE_WIDTH  30
#define COLUMN_WIDTH 14

/* ---- the table */

/* With a comma between thousands. */
static void write_grouped(char *to, size_t size, double value) {
    char digits[64];
    int length = snprintf(digits, sizeof digits, "%.0f", value);
    size_t at = 0;
    for (int n = 0; n < length && at + 2 < size; n++) {
        if (n > 0 && (length - n) % 3 == 0 && digits[n - 1] != '-')
            to[at++] = ',';
        to[at++] = digits[n];
    }
    to[at] = '\0';
}

static void write_bytes(char *to, size_t size, double bytes) {
    if (fabs(bytes) < 1 << 20)
        snprintf(to, size, "%.2f KiB", bytes / 1024);
    else
        snprintf(to, size, "%.1f MiB", bytes / (1 << 20));
}

static void write_value(char *to, size_t size, enum unit unit, double value) {
    switch (unit) {
    case UNIT_COUNT:
        write_grouped(to, size, value);
        break;
    case UNIT_SECONDS:
        snprintf(to, size, "%.2f s", value);
        break;
    case UNIT_MS:
        snprintf(to, size, value < 1 ? "%.3f ms" : value < 100 ? "%.2f ms" : "%.0f ms", value);
        break;
    case UNIT_US:
        snprintf(to, size, "%.2f µs", value);
        break;
    case UNIT_BYTES:
        write_bytes(to, size, value);
        break;
    case UNIT_CORES:
        snprintf(to, size, "%.2f", value);
        break;
    }
}

/* Columns of a terminal that UTF-8 takes. */
static int width_of(const char *text) {
    int width = 0;
    for (; *text; text++)
        width += (*text & 0xc0) != 0x80;
    return width;
}

static void show_figure(const struct figure *figure, const struct results *results) {
    printf("%-*s", TITLE_WIDTH, figure->title);
    for (unsigned n = 0; n < results->count; n++) {
        char value[64] = "-";
        double number = result_figure(&results->items[n], figure);
        if (!isnan(number))
            write_value(value, sizeof value, figure->unit, number);
        printf("%*s%s", COLUMN_WIDTH - width_of(value), "", value);
    }
    putchar('\n');
}

static bool is_known(const struct figure *figure, const struct results *results) {
    for (unsigned n = 0; n < results->count; n++)
        if (!isnan(result_figure(&results->items[n], figure)))
            return true;
    return false;
}

static void show_work(const struct options *options) {
    printf("%s: ", command_rows[options->command].name);
    if (options->command == COMMAND_FAN_OUT)
        printf("%lu to %lu, %lu bytes", (unsigned long)options->publishers, (unsigned long)options->subscribers,
               (unsigned long)options->size);
    else if (options->command == COMMAND_PAIRS)
        printf("%lu pairs, %lu bytes", (unsigned long)options->pairs, (unsigned long)options->size);
    else if (options->command == COMMAND_MATCH)
        printf("%lu to %lu connections, %lu %% patterns, %lu bytes", (unsigned long)options->publishers,
               (unsigned long)options->subscribers, (unsigned long)options->patterns, (unsigned long)options->size);
    else if (options->command == COMMAND_QUEUE)
        printf("%lu producers, %lu consumers, prefetch %lu, %lu bytes", (unsigned long)options->publishers,
               (unsigned long)options->subscribers, (unsigned long)options->prefetch, (unsigned long)options->size);
    else if (options->command == COMMAND_CHURN)
        printf("%lu at a time", (unsigned long)options->at_a_time);
    else
        printf("%lu connections", (unsigned long)options->connections);
    printf(", %g s\n", (double)options->duration_ns / 1e9);
    for (unsigned n = 0; n < options->target_count; n++)
        printf("%s%s", n > 0 ? " " : "", options->targets[n].url);
    for (unsigned n = 0; n < options->publish_target_count; n++)
        printf("%s%s", n > 0 ? " " : ", published at ", options->publish_targets[n].url);
    printf("\n\n");
}

static void warn_of_own_limit(const struct results *results) {
    for (unsigned n = 0; n < results->count; n++)
        if (results->items[n].tool_cores > 0.95) {
            printf("\nThis tool has used all of a core: it may be what is measured.\n");
            return;
        }
}

void report_table(const struct options *options, const struct results *results) {
    show_work(options);
    for (size_t n = 0; n < figure_count; n++) {
        const struct figure *figure = &figures[n];
        if (figure->title && (figure->commands & FOR(options->command)) && is_known(figure, results))
            show_figure(figure, results);
    }
    warn_of_own_limit(results);
}

/* ---- JSON */

static json_t *targets_of(const struct target *targets, unsigned count) {
    json_t *list = json_array();
    for (unsigned n = 0; n < count; n++)
        json_array_append_new(list, json_string(targets[n].url));
    return list;
}

static json_t *number(double value) {
    if (isnan(value))
        return json_null();
    return value == floor(value) && fabs(value) < 1e15 ? json_integer((json_int_t)value) : json_real(value);
}

static json_t *figures_of(const struct options *options, const struct result *result) {
    json_t *object = json_object();
    for (size_t n = 0; n < figure_count; n++)
        if (figures[n].commands & FOR(options->command))
            json_object_set_new(object, figures[n].name, number(result_figure(result, &figures[n])));
    return object;
}

/* What was asked for: the counts and times among the options that the command knows. */
static void add_options(json_t *object, const struct options *options) {
    for (size_t n = 0; n < option_row_count; n++) {
        const struct option_row *row = &option_rows[n];
        const uint64_t *value = (const uint64_t *)(const void *)((const char *)options + row->offset);
        if (!(row->commands & FOR(options->command)))
            continue;
        if (row->kind == OPTION_COUNT)
            json_object_set_new(object, row->name, json_integer((json_int_t)*value));
        if (row->kind == OPTION_TIME)
            json_object_set_new(object, row->name, number((double)*value / 1e9));
    }
}

void report_json(const struct options *options, const struct results *results) {
    json_t *asked = json_object();
    json_t *list = json_array();
    add_options(asked, options);
    for (unsigned n = 0; n < results->count; n++)
        json_array_append_new(list, figures_of(options, &results->items[n]));
    json_t *all = json_pack(
        "{s:s, s:s, s:o, s:o, s:o, s:o}", "version", STOMPD_VERSION, "command", command_rows[options->command].name,
        "targets", targets_of(options->targets, options->target_count), "publish_targets",
        targets_of(options->publish_targets, options->publish_target_count), "options", asked, "results", list);
    int flags = JSON_INDENT(2) | JSON_REAL_PRECISION(10);
    bool is_standard = strcmp(options->json, "-") == 0;
    if (!all || (is_standard ? json_dumpf(all, stdout, flags) : json_dump_file(all, options->json, flags)) != 0)
        fail(FAULT_SELF, "--json %s: it can't be written: %s", options->json, strerror(errno));
    if (is_standard)
        putchar('\n');
    json_decref(all);
}
