/*
 * The table of errors. A script's error has the code in front since Redis 7, and within the text before. The order
 * matters: what is more precise comes first.
 */
#include "redis_error.h"

#include <stdio.h>
#include <string.h>

#define SAID_MAX 120

#define PERMISSIONS                                                                                                    \
    "give the ACL user the keys ~PREFIX* (and those of registry-prefix), the channels &*, and +@all -@dangerous +info"
#define CLUSTER "a Redis Cluster is not supported: name a server of its own"

static const struct redis_error errors[] = {
    {"WRONGPASS", "check user and password in [cluster] redis and password-file", ERROR_OF_LINK},
    {"NOAUTH", "the server wants a password: give it in [cluster] redis or password-file", ERROR_OF_LINK},
    {"without any password configured", "the server has no password: leave it out of [cluster] redis and password-file",
     ERROR_OF_LINK},
    {"NOPERM", PERMISSIONS, ERROR_OF_COMMAND},
    {"no permissions", PERMISSIONS, ERROR_OF_COMMAND},
    {"The user executing the script", PERMISSIONS, ERROR_OF_COMMAND},
    {"DENIED", "the server is in protected mode: set a password, or protected-mode no", ERROR_OF_LINK},
    {"max number of clients", "the server has no connection left: raise its maxclients", ERROR_OF_LINK},
    {"LOADING", "the server is still loading its data", ERROR_OF_LINK},
    {"READONLY", "this is a replica: name its master in [cluster] redis", ERROR_OF_LINK},
    {"MASTERDOWN", "this is a replica: name its master in [cluster] redis", ERROR_OF_LINK},
    {"OOM", "the server's memory is full: raise its maxmemory, or make room", ERROR_OF_SERVER},
    {"MISCONF", "the server can't save its data: see its log, its disk, and stop-writes-on-bgsave-error",
     ERROR_OF_SERVER},
    {"NOREPLICAS", "the server has too few replicas: see its min-replicas-to-write", ERROR_OF_SERVER},
    {"WRONGTYPE", "a key holds something else: does another application use this prefix?", ERROR_OF_COMMAND},
    {"exhausted the last possible ID", "somebody has written into a queue: the key of that name has to be deleted",
     ERROR_OF_COMMAND},
    {"CROSSSLOT", CLUSTER, ERROR_OF_LINK},
    {"MOVED", CLUSTER, ERROR_OF_LINK},
    {"CLUSTERDOWN", CLUSTER, ERROR_OF_LINK},
    {"BUSY", "a script of another application keeps the server busy", ERROR_OF_LINK},
    {"unknown command", "is it Redis 6.2 or later, with no command renamed?", ERROR_OF_COMMAND},
};

static const struct redis_error other = {"", "see the server's log", ERROR_OF_COMMAND};

const struct redis_error *redis_error_find(const char *text) {
    for (size_t n = 0; n < sizeof errors / sizeof *errors; n++) {
        if (strstr(text, errors[n].code))
            return &errors[n];
    }
    return &other;
}

void redis_error_explain(char *to, size_t size, const char *command, const char *text) {
    const char *place = strstr(text, " script: "); /* in which line of which script: of no use to a reader */
    size_t len = place ? (size_t)(place - text) : strlen(text);
    snprintf(to, size, "%s: %.*s (%s)", command, (int)(len < SAID_MAX ? len : SAID_MAX), text,
             redis_error_find(text)->advice);
}
