/*
 * Fuzzes PROXY headers. Whatever a connection begins with: whole or byte by byte the same comes of it, a header is no
 * longer than what is there, and it is not complete with fewer bytes than were asked for. Anything else aborts.
 */
#include <stdint.h>
#include <stdlib.h>

#include "../../src/hub/proxy_header.h"

static void require(bool condition) {
    if (!condition)
        abort();
}

/* In a block of its own, so that the sanitizer sees every byte read too far. */
static enum proxy_header_state parse(struct bytes bytes, enum proxy_protocol allowed, struct proxy_header *header) {
    char *alone = malloc(bytes.len + 1);
    require(alone != NULL);
    if (bytes.len > 0)
        memcpy(alone + 1, bytes.data, bytes.len);
    enum proxy_header_state state = proxy_header_parse((struct bytes){alone + 1, bytes.len}, allowed, header);
    free(alone);
    return state;
}

static void require_sane(enum proxy_header_state state, const struct proxy_header *header, struct bytes bytes) {
    int family = header->source.ss_family;
    if (state == PROXY_HEADER_COMPLETE)
        require(header->len > 0 && header->len <= bytes.len && header->len <= PROXY_HEADER_MAX);
    if (state == PROXY_HEADER_INCOMPLETE)
        require(header->len > bytes.len && header->len <= PROXY_HEADER_MAX);
    require((state == PROXY_HEADER_FAULTY) == (header->why != NULL));
    if (state == PROXY_HEADER_COMPLETE && header->has_source)
        require(family == AF_INET || family == AF_INET6);
}

/* With fewer bytes than were asked for it stays incomplete. */
static void check(struct bytes bytes, enum proxy_protocol allowed) {
    struct proxy_header whole, part = {.len = 0};
    enum proxy_header_state state = parse(bytes, allowed, &whole), early = PROXY_HEADER_INCOMPLETE;
    require_sane(state, &whole, bytes);
    for (size_t len = 0; len <= bytes.len && len <= PROXY_HEADER_MAX && early == PROXY_HEADER_INCOMPLETE; len++) {
        size_t wanted = part.len;
        early = parse((struct bytes){bytes.data, len}, allowed, &part);
        require_sane(early, &part, (struct bytes){bytes.data, len});
        require(len >= wanted || early != PROXY_HEADER_COMPLETE);
    }
    require(early == state);
    if (state == PROXY_HEADER_COMPLETE)
        require(part.len == whole.len && part.has_source == whole.has_source &&
                memcmp(&part.source, &whole.source, sizeof part.source) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct bytes bytes = {(const char *)data, size};
    for (int allowed = PROXY_V1; allowed <= PROXY_ANY; allowed++)
        check(bytes, (enum proxy_protocol)allowed);
    return 0;
}
