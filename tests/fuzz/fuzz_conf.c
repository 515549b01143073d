/*
 * Fuzzes the conf file. Whatever it holds, it gives either a conf or faults, every fault is a printable line that names
 * the file and a line of it, a second reading says the same, and no memory is left behind. Anything else aborts.
 */
#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "stompd/hub/conf.h"

static void require(bool condition) {
    if (!condition)
        abort();
}

static void require_sane(const struct conf *conf) {
    require(conf->node && conf->workers >= 1 && conf->workers <= CONF_WORKERS_MAX);
    require(conf->limits.before_login.body_size <= conf->limits.before_login.frame_size);
    require(conf->listener_count > 0);
    for (size_t i = 0; i < conf->listener_count; i++) {
        const struct listener_conf *listener = &conf->listeners[i];
        require(listener->name && listener->bind && listener->path_count > 0);
        require(!listener->tls_certificate == !listener->tls_key);
    }
}

/* Each is "file:line: what, expected what". */
static void require_told(const char *faults, const char *file, unsigned long lines) {
    while (*faults) {
        char *end;
        require(strncmp(faults, file, strlen(file)) == 0 && faults[strlen(file)] == ':');
        require(strtoul(faults + strlen(file) + 1, &end, 10) <= lines && strncmp(end, ": ", 2) == 0);
        const char *newline = strchr(end, '\n');
        const char *expected = strstr(end, ", expected ");
        require(newline && expected && expected < newline);
        for (; end < newline; end++)
            require(!iscntrl((unsigned char)*end));
        faults = newline + 1;
    }
}

/* The faults, to be freed. */
static char *read_conf(const char *file, unsigned long lines) {
    char *text;
    size_t size;
    FILE *faults = open_memstream(&text, &size);
    require(faults != NULL);
    struct conf *conf = conf_read(file, faults);
    fclose(faults);
    require((conf == NULL) == (size > 0));
    if (conf)
        require_sane(conf);
    require_told(text, file, lines);
    conf_free(conf);
    return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char file[64];
    unsigned long lines = 1;
    for (size_t i = 0; i < size; i++)
        lines += data[i] == '\n';
    int fd = memfd_create("conf", MFD_CLOEXEC);
    require(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    snprintf(file, sizeof file, "/proc/self/fd/%d", fd);
    char *first = read_conf(file, lines);
    char *second = read_conf(file, lines);
    require(strcmp(first, second) == 0);
    free(first);
    free(second);
    close(fd);
    return 0;
}
