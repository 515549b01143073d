/* Private to store/: what Redis' errors mean for whoever runs the daemon. */
#ifndef STORE_REDIS_ERROR_H
#define STORE_REDIS_ERROR_H

#include <stddef.h>

enum redis_error_reach {
    ERROR_OF_COMMAND, /* others may go well, or meet the same */
    ERROR_OF_SERVER,  /* all commands of its kind meet it, until somebody mends the server */
    ERROR_OF_LINK     /* nothing more is to be expected of this connection */
};

struct redis_error {
    const char *code;   /* as it begins the error, or stands within it when a script met it */
    const char *advice; /* what to do */
    enum redis_error_reach reach;
};

/* Never NULL: an error that is not known has an advice too. */
const struct redis_error *redis_error_find(const char *text);

/* For the log: what was answered to which command, cut when it is long, and what to do. */
void redis_error_explain(char *to, size_t size, const char *command, const char *text);

#endif
