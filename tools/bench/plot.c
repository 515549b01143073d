/* Axes, lines, and words. */
#include "bench/plot.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/fail.h"

#define WIDTH  760.0
#define HEIGHT 440.0
#define LEFT   80.0
#define RIGHT  90.0
#define TOP    50.0
#define BOTTOM 60.0

/* An axis from a power of ten to another. */
struct axis {
    int low; /* as a power; above `high`: nothing is known yet */
    int high;
};
#define NO_AXIS ((struct axis){INT_MAX, INT_MIN})

static const struct line {
    const char *name;
    const char *kind; /* of its style */
    size_t offset;    /* in struct result */
} lines[] = {
    {"99.9 %", "c", offsetof(struct result, latency_p99_9_ms)},
    {"99 %", "b", offsetof(struct result, latency_p99_ms)},
    {"50 %", "a", offsetof(struct result, latency_p50_ms)},
};
#define LINES (sizeof lines / sizeof lines[0])

static double value_of(const struct result *result, const struct line *line) {
    return *(const double *)((const char *)result + line->offset);
}

/* ---- axes */

static void widen(struct axis *axis, double value) {
    if (!(value > 0))
        return;
    int low = (int)floor(log10(value));
    int high = (int)ceil(log10(value));
    axis->low = low < axis->low ? low : axis->low;
    axis->high = high > axis->high ? high : axis->high;
}

/* One decade at least. */
static struct axis finished(struct axis axis) {
    if (axis.low > axis.high)
        return (struct axis){0, 1};
    if (axis.low == axis.high)
        axis.high = axis.low + 1;
    return axis;
}

static double x_of(const struct axis *axis, double value) {
    return LEFT + (WIDTH - LEFT - RIGHT) * (log10(value) - axis->low) / (axis->high - axis->low);
}

static double y_of(const struct axis *axis, double value) {
    return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (log10(value) - axis->low) / (axis->high - axis->low);
}

/* A rule at each power of ten, with fainter ones between. */
static void draw_rates(FILE *file, const struct axis *axis) {
    for (int power = axis->low; power <= axis->high; power++)
        for (int n = 1; n < (power < axis->high ? 10 : 2); n++) {
            double value = n * pow(10, power);
            double x = x_of(axis, value);
            fprintf(file, "<line class=\"%s\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>\n",
                    n == 1 ? "rule" : "faint", x, TOP, x, HEIGHT - BOTTOM);
            if (n == 1)
                fprintf(file, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%.10g</text>\n", x,
                        HEIGHT - BOTTOM + 18, value);
        }
    fprintf(file, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">asked for, per second</text>\n",
            (LEFT + WIDTH - RIGHT) / 2, HEIGHT - BOTTOM + 42);
}

static void draw_latencies(FILE *file, const struct axis *axis) {
    for (int power = axis->low; power <= axis->high; power++)
        for (int n = 1; n < (power < axis->high ? 10 : 2); n++) {
            double value = n * pow(10, power);
            double y = y_of(axis, value);
            fprintf(file, "<line class=\"%s\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>\n",
                    n == 1 ? "rule" : "faint", LEFT, y, WIDTH - RIGHT, y);
            if (n == 1)
                fprintf(file, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">%.10g ms</text>\n", LEFT - 8, y + 4,
                        value);
        }
}

/* ---- lines */

/* In order of their rates. */
static void sort(const struct result **points, unsigned count) {
    for (unsigned n = 1; n < count; n++)
        for (unsigned m = n; m > 0 && points[m]->rate < points[m - 1]->rate; m--) {
            const struct result *other = points[m];
            points[m] = points[m - 1];
            points[m - 1] = other;
        }
}

/* Of the same subscriptions; results without the figure are left out. */
static unsigned collect(const struct results *results, const struct line *line, double subscriptions,
                        const struct result **points) {
    unsigned count = 0;
    for (unsigned n = 0; n < results->count; n++) {
        const struct result *result = &results->items[n];
        bool is_same = isnan(subscriptions) || result->subscriptions == subscriptions;
        if (is_same && value_of(result, line) > 0 && result->rate > 0)
            points[count++] = result;
    }
    sort(points, count);
    return count;
}

static void draw_line(FILE *file, const struct line *line, const struct result **points, unsigned count,
                      const struct axis *rates, const struct axis *latencies) {
    if (count == 0)
        return;
    fprintf(file, "<polyline class=\"%s\" points=\"", line->kind);
    for (unsigned n = 0; n < count; n++)
        fprintf(file, "%s%.1f,%.1f", n > 0 ? " " : "", x_of(rates, points[n]->rate),
                y_of(latencies, value_of(points[n], line)));
    fprintf(file, "\"/>\n");
    for (unsigned n = 0; n < count; n++)
        fprintf(file, "<circle class=\"%s\" cx=\"%.1f\" cy=\"%.1f\" r=\"3\"><title>%.10g/s: %.3g ms</title></circle>\n",
                line->kind, x_of(rates, points[n]->rate), y_of(latencies, value_of(points[n], line)), points[n]->rate,
                value_of(points[n], line));
}

/* Beside the end of its line; pushed up where two would lie on each other. */
static double draw_name(FILE *file, const struct line *line, double y, double below) {
    y = fmin(y + 4, below - 15);
    fprintf(file, "<text class=\"%s\" x=\"%.1f\" y=\"%.1f\">%s</text>\n", line->kind, WIDTH - RIGHT + 10, y,
            line->name);
    return y;
}

static void draw_lines(FILE *file, const struct results *results, const struct axis *rates,
                       const struct axis *latencies) {
    const struct result **points = need_zeroed(results->count, sizeof(void *));
    double below = HEIGHT;
    for (unsigned item = 0; item < results->count; item++) {
        double subscriptions = results->items[item].subscriptions;
        bool is_first_of_kind =
            item == 0 || (!isnan(subscriptions) && subscriptions != results->items[item - 1].subscriptions);
        for (size_t n = LINES; is_first_of_kind && n-- > 0;) {
            unsigned count = collect(results, &lines[n], subscriptions, points);
            draw_line(file, &lines[n], points, count, rates, latencies);
            if (item == 0 && count > 0)
                below = draw_name(file, &lines[n], y_of(latencies, value_of(points[count - 1], &lines[n])), below);
        }
    }
    free(points);
}

static void draw_head(FILE *file, const struct options *options) {
    fprintf(file,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %.0f %.0f\" width=\"%.0f\" height=\"%.0f\" "
            "role=\"img\">\n<title>Latency over rate</title>\n<style>\n"
            "text { font: 13px sans-serif; fill: #333 }\n.rule { stroke: #888; stroke-width: 0.8 }\n"
            ".faint { stroke: #888; stroke-width: 0.25 }\npolyline { fill: none; stroke-width: 2 }\n"
            "polyline.a { stroke: #0a6ebd }\n.a:not(polyline) { fill: #0a6ebd }\n"
            "polyline.b { stroke: #b35900 }\n.b:not(polyline) { fill: #b35900 }\n"
            "polyline.c { stroke: #a3195b }\n.c:not(polyline) { fill: #a3195b }\n"
            "@media (prefers-color-scheme: dark) {\ntext { fill: #ddd }\n"
            "polyline.a { stroke: #6cb6ff }\n.a:not(polyline) { fill: #6cb6ff }\n"
            "polyline.b { stroke: #f0a04b }\n.b:not(polyline) { fill: #f0a04b }\n"
            "polyline.c { stroke: #f27eb2 }\n.c:not(polyline) { fill: #f27eb2 }\n}\n</style>\n",
            WIDTH, HEIGHT, WIDTH, HEIGHT);
    fprintf(file,
            "<text x=\"%.1f\" y=\"28\">%s: latency that 50, 99 and 99.9 %% are not above; %lu-byte bodies</text>\n",
            LEFT, command_rows[options->command].name, (unsigned long)options->size);
}

void plot_write(const struct options *options, const struct results *results) {
    struct axis rates = NO_AXIS;
    struct axis latencies = NO_AXIS;
    FILE *file = fopen(options->plot, "w");
    if (!file)
        fail(FAULT_SELF, "--plot %s: it can't be written: %s", options->plot, strerror(errno));
    for (unsigned n = 0; n < results->count; n++) {
        widen(&rates, results->items[n].rate);
        for (size_t line = 0; line < LINES; line++)
            widen(&latencies, value_of(&results->items[n], &lines[line]));
    }
    rates = finished(rates);
    latencies = finished(latencies);
    draw_head(file, options);
    draw_rates(file, &rates);
    draw_latencies(file, &latencies);
    draw_lines(file, results, &rates, &latencies);
    fprintf(file, "</svg>\n");
    if (fclose(file) != 0)
        fail(FAULT_SELF, "--plot %s: it can't be written: %s", options->plot, strerror(errno));
}
