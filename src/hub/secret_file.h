/* Private to hub/: a file that holds one secret, such as Redis' password or the admin port's token. */
#ifndef STOMPD_HUB_SECRET_FILE_H
#define STOMPD_HUB_SECRET_FILE_H

#include "stompd/base/compiler.h"

#define SECRET_FILE_MAX 1024 /* bytes of the secret */

/*
 * The file's content without the newline at its end, or NULL: then *why says what was expected (static text). Empty
 * content, more than one line, a NUL byte and more than SECRET_FILE_MAX bytes are refused. Free with secret_free().
 */
MUST_CHECK char *secret_file_read(const char *path, const char **why);

/* Erases the secret, then frees it. NULL is allowed. */
void secret_free(char *secret);

#endif
