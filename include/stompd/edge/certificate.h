/*
 * A TLS certificate with its chain and private key, read from PEM files: what a listener shows to its clients. Immutable;
 * any thread may install it.
 */
#ifndef STOMPD_EDGE_CERTIFICATE_H
#define STOMPD_EDGE_CERTIFICATE_H

#include <stdbool.h>

#include "stompd/base/compiler.h"

struct certificate;
struct ssl_ctx_st;

/* NULL: *why says what was expected of the files (static text). */
MUST_CHECK struct certificate *certificate_load(const char *chain_file, const char *key_file, const char **why);
/* NULL is allowed. */
void certificate_free(struct certificate *certificate);

/* Another one with the same content, or NULL when out of memory. */
MUST_CHECK struct certificate *certificate_copy(const struct certificate *certificate);

/* Whether a context that has one of them can take the other instead: their keys are of one kind, such as RSA. */
bool certificate_replaces(const struct certificate *certificate, const struct certificate *other);

/* New connections of the context show it; those that exist go on with what they have. False when out of memory. */
MUST_CHECK bool certificate_install(const struct certificate *certificate, struct ssl_ctx_st *context);

#endif
