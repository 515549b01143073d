/* Reading /proc/PID/stat. */
#include "bench/process.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "bench/fail.h"

struct process {
    pid_t pid;
    pid_t parent;
    struct usage own;
    struct usage ended; /* children that are no more */
};

static bool read_process(pid_t pid, struct process *process) {
    char path[64];
    char stat[1024];
    unsigned long ticks[4];
    long pages;
    int parent;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "r");
    size_t length = file ? fread(stat, 1, sizeof stat - 1, file) : 0;
    if (file)
        fclose(file);
    stat[length] = '\0';
    const char *rest = strrchr(stat, ')'); /* a name may hold anything */
    if (!rest ||
        sscanf(rest, ") %*c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %lu %lu %*d %*d %*d %*d %*u %*u %ld",
               &parent, &ticks[0], &ticks[1], &ticks[2], &ticks[3], &pages) != 6)
        return false;
    double tick = 1 / (double)sysconf(_SC_CLK_TCK);
    *process = (struct process){.pid = pid, .parent = parent};
    process->own =
        (struct usage){(double)ticks[0] * tick, (double)ticks[1] * tick, (double)pages * (double)sysconf(_SC_PAGESIZE)};
    process->ended = (struct usage){(double)ticks[2] * tick, (double)ticks[3] * tick, 0};
    return true;
}

static void add(struct usage *sum, struct usage more) {
    sum->user_s += more.user_s;
    sum->system_s += more.system_s;
    sum->resident_bytes += more.resident_bytes;
}

struct table {
    struct process *processes;
    size_t count;
};

static struct table read_all(void) {
    struct table table = {0};
    size_t capacity = 0;
    DIR *folder = opendir("/proc");
    struct dirent *entry;
    while (folder && (entry = readdir(folder)) != NULL) {
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
        if (table.count == capacity) {
            capacity = capacity ? 2 * capacity : 256;
            table.processes = need(realloc(table.processes, capacity * sizeof *table.processes));
        }
        if (pid > 0 && read_process(pid, &table.processes[table.count]))
            table.count++;
    }
    if (folder)
        closedir(folder);
    return table;
}

static void add_descendants(const struct table *table, pid_t parent, struct usage *sum) {
    for (size_t n = 0; n < table->count; n++) {
        const struct process *process = &table->processes[n];
        if (process->parent == parent) {
            add(sum, process->own);
            add(sum, process->ended);
            add_descendants(table, process->pid, sum);
        }
    }
}

struct usage process_usage(const pid_t *pids, size_t count, bool children) {
    struct usage sum = {0};
    struct table table = {0};
    if (children)
        table = read_all();
    for (size_t n = 0; n < count; n++) {
        struct process process;
        if (!read_process(pids[n], &process))
            fail(FAULT_SERVER, "there is no process %d (--pid)", (int)pids[n]);
        add(&sum, process.own);
        if (children) {
            add(&sum, process.ended);
            add_descendants(&table, pids[n], &sum);
        }
    }
    free(table.processes);
    return sum;
}

static double seconds(struct timeval time) {
    return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

struct usage process_own_usage(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (struct usage){seconds(usage.ru_utime), seconds(usage.ru_stime), 0};
}

struct usage usage_since(struct usage later, struct usage earlier) {
    return (struct usage){later.user_s - earlier.user_s, later.system_s - earlier.system_s, later.resident_bytes};
}

double usage_cpu(struct usage usage) {
    return usage.user_s + usage.system_s;
}
