/*
 * Private to store/: the Lua scripts (lua/), which CMake writes into a C file, each behind what they have in common
 * (lua/registry.lua; those of queues, lua/queue.lua too). The server keeps them and is asked for them by SHA-1.
 */
#ifndef STORE_REDIS_SCRIPTS_H
#define STORE_REDIS_SCRIPTS_H

enum redis_script {
    REDIS_SCRIPT_RENEW,
    REDIS_SCRIPT_BURY,
    REDIS_SCRIPT_ADD_SESSIONS,
    REDIS_SCRIPT_REMOVE_SESSIONS,
    REDIS_SCRIPT_USERS,
    REDIS_SCRIPT_CHANGE,
    REDIS_SCRIPT_TAKE,
    REDIS_SCRIPT_RECOVER,
    REDIS_SCRIPT_BINDINGS,
    REDIS_SCRIPTS
};

/* What the scripts of writing answer first. */
#define REDIS_SCRIPT_OK    0
#define REDIS_SCRIPT_GONE  1
#define REDIS_SCRIPT_TAKEN 2
#define REDIS_SCRIPT_MORE  3
#define REDIS_SCRIPT_ALIVE 4
#define REDIS_SCRIPT_VOID  5

struct redis_script_text {
    const char *name;
    const char *sha1; /* of the text, in hexadecimal */
    const char *text;
};

extern const struct redis_script_text redis_scripts[REDIS_SCRIPTS];

#endif
