/* Reads a secret from its file. No copy of it is left behind in memory that was given back: no stdio buffer, no growing. */
#include "secret_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ONE_LINE "one line of at most 1024 bytes in that file"

/* Up to `size` bytes. Less than 0: it can't be read. */
static ssize_t read_all(int fd, char *to, size_t size) {
    size_t len = 0;
    while (len < size) {
        ssize_t n = read(fd, to + len, size - len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        if (n == 0)
            break;
        len += (size_t)n;
    }
    return (ssize_t)len;
}

/* Cuts the newline off. False: what is left is no secret. */
static bool trim(char *text, size_t len) {
    if (len > 0 && text[len - 1] == '\n')
        len--;
    if (len > 0 && text[len - 1] == '\r')
        len--;
    text[len] = '\0';
    return len >= 1 && len <= SECRET_FILE_MAX && strlen(text) == len && !strpbrk(text, "\r\n");
}

char *secret_file_read(const char *path, const char **why) {
    size_t size = SECRET_FILE_MAX + sizeof "\r\n"; /* one byte more than fits, so that a longer file shows */
    char *text = calloc(1, size + 1);
    *why = "enough memory to hold that file";
    if (!text)
        return NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t len = fd >= 0 ? read_all(fd, text, size) : -1;
    if (fd >= 0)
        close(fd);
    if (len >= 0 && trim(text, (size_t)len))
        return text;
    *why = len < 0 ? "a file that can be read" : ONE_LINE;
    explicit_bzero(text, size);
    free(text);
    return NULL;
}

void secret_free(char *secret) {
    if (secret)
        explicit_bzero(secret, strlen(secret));
    free(secret);
}
