/* Starting and ending redis-server, and turning a loop. */
#include "redis_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <dirent.h>
#include <hiredis/hiredis.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define OPTIONS_MAX 32
#define WAIT_S      20

void redis_process_init(struct redis_process *process) {
    *process = (struct redis_process){0};
    strcpy(process->folder, "/tmp/stompd-store-XXXXXX");
    assert_non_null(mkdtemp(process->folder));
    snprintf(process->socket, sizeof process->socket, "%s/socket", process->folder);
}

/* In the child. A server whose test has died would stay for ever. */
static void run(const struct redis_process *process, int log, const char *const *options) {
    const char *arguments[OPTIONS_MAX] = {
        "redis-server", "--unixsocket", process->socket,        "--dir",   process->folder, "--save", "", "--port", "0",
        "--daemonize",  "no",           "--repl-diskless-load", "disabled"};
    size_t count = 13;
    for (; options && *options && count < OPTIONS_MAX - 1; options++)
        arguments[count++] = *options;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    dup2(log, STDOUT_FILENO);
    dup2(log, STDERR_FILENO);
    execvp(arguments[0], (char *const *)arguments);
    _exit(127);
}

/* The server says so in its log once it serves, or at least answers (a server that still loads does not). */
static bool read_until_ready(int log) {
    char text[65536];
    size_t len = 0;
    ssize_t got;
    while (len < sizeof text - 1 && (got = read(log, text + len, sizeof text - 1 - len)) > 0) {
        len += (size_t)got;
        text[len] = '\0';
        if (strstr(text, "eady to accept connections"))
            return true;
    }
    print_error("redis-server did not start: %.*s\n", (int)len, text);
    return false;
}

void redis_process_start(struct redis_process *process, const char *const *options) {
    int log[2];
    assert_int_equal(pipe(log), 0);
    process->pid = fork();
    assert_true(process->pid >= 0);
    if (process->pid == 0)
        run(process, log[1], options);
    close(log[1]);
    bool ready = read_until_ready(log[0]);
    /* What it logs from now on is lost, with EPIPE, which it does not mind. */
    close(log[0]);
    assert_true(ready);
}

void redis_process_kill(struct redis_process *process) {
    if (process->pid <= 0)
        return;
    kill(process->pid, SIGKILL);
    waitpid(process->pid, NULL, 0);
    process->pid = 0;
}

static void remove_folder(const char *folder) {
    char path[512];
    DIR *entries = opendir(folder);
    const struct dirent *entry;
    while (entries && (entry = readdir(entries)) != NULL) {
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        if (entry->d_name[0] != '.')
            unlink(path);
    }
    if (entries)
        closedir(entries);
    rmdir(folder);
}

void redis_process_free(struct redis_process *process) {
    redis_process_kill(process);
    remove_folder(process->folder);
}

static size_t write_reply(char *to, size_t size, const redisReply *reply) {
    size_t len = 0;
    to[0] = '\0';
    if (reply->type == REDIS_REPLY_INTEGER)
        return (size_t)snprintf(to, size, "%lld", reply->integer);
    if (reply->type != REDIS_REPLY_ARRAY)
        return (size_t)snprintf(to, size, "%s", reply->type == REDIS_REPLY_NIL ? "nil" : reply->str);
    for (size_t n = 0; n < reply->elements && len + 2 < size; n++) {
        if (n > 0)
            to[len++] = ' ';
        len += write_reply(to + len, size - len, reply->element[n]);
    }
    return len;
}

const char *redis_process_say(const struct redis_process *process, ...) {
    static char text[8192];
    const char *arguments[OPTIONS_MAX];
    int count = 0;
    va_list values;
    va_start(values, process);
    while (count < OPTIONS_MAX && (arguments[count] = va_arg(values, const char *)) != NULL)
        count++;
    va_end(values);
    redisContext *context = redisConnectUnix(process->socket);
    assert_non_null(context);
    assert_int_equal(context->err, 0);
    redisReply *reply = redisCommandArgv(context, count, arguments, NULL);
    assert_non_null(reply);
    write_reply(text, sizeof text, reply);
    freeReplyObject(reply);
    redisFree(context);
    return text;
}

uint16_t free_port(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, len), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    close(fd);
    return ntohs(address.sin_port);
}

static void on_too_late(evutil_socket_t fd, short events, void *arg) {
    (void)fd;
    (void)events;
    *(bool *)arg = true;
}

bool turn_until(struct event_base *base, bool (*reached)(void *arg), void *arg) {
    bool too_late = false;
    struct timeval wait = {WAIT_S, 0};
    struct event *timer = evtimer_new(base, on_too_late, &too_late);
    assert_non_null(timer);
    event_add(timer, &wait);
    while (!too_late && !reached(arg))
        event_base_loop(base, EVLOOP_ONCE);
    event_free(timer);
    return !too_late;
}

void turn(struct event_base *base, unsigned times) {
    while (times-- > 0)
        event_base_loop(base, EVLOOP_NONBLOCK);
}
