/* Certificates on OpenSSL: a context of its own, which serves no connection, holds what was in the files. */
#include "stompd/edge/certificate.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>

struct certificate {
    SSL_CTX *context;
};

/* OpenSSL would ask on the terminal. */
static int no_password(char *to, int size, int for_writing, void *arg) {
    (void)size, (void)for_writing, (void)arg;
    to[0] = '\0';
    return 0;
}

static bool load(SSL_CTX *context, const char *chain_file, const char *key_file, const char **why) {
    SSL_CTX_set_default_passwd_cb(context, no_password);
    *why = "a PEM file with a certificate in tls-certificate";
    if (SSL_CTX_use_certificate_chain_file(context, chain_file) != 1)
        return false;
    *why = "a PEM file with that certificate's private key, without a password, in tls-key";
    return SSL_CTX_use_PrivateKey_file(context, key_file, SSL_FILETYPE_PEM) == 1 &&
           SSL_CTX_check_private_key(context) == 1;
}

/* Takes the context. */
static struct certificate *hold(SSL_CTX *context) {
    struct certificate *certificate = malloc(sizeof *certificate);
    if (certificate)
        certificate->context = context;
    else
        SSL_CTX_free(context);
    return certificate;
}

struct certificate *certificate_load(const char *chain_file, const char *key_file, const char **why) {
    *why = "enough memory to hold it";
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    bool loaded = context && load(context, chain_file, key_file, why);
    ERR_clear_error();
    if (loaded)
        return hold(context);
    SSL_CTX_free(context);
    return NULL;
}

void certificate_free(struct certificate *certificate) {
    if (certificate)
        SSL_CTX_free(certificate->context);
    free(certificate);
}

struct certificate *certificate_copy(const struct certificate *certificate) {
    SSL_CTX_up_ref(certificate->context);
    return hold(certificate->context);
}

static int kind_of_key(const struct certificate *certificate) {
    return EVP_PKEY_base_id(SSL_CTX_get0_privatekey(certificate->context));
}

/* A context has room for one certificate of each kind, and would go on showing one of another kind. */
bool certificate_replaces(const struct certificate *certificate, const struct certificate *other) {
    return kind_of_key(certificate) == kind_of_key(other);
}

bool certificate_install(const struct certificate *certificate, SSL_CTX *context) {
    SSL_CTX *from = certificate->context;
    STACK_OF(X509) *chain = NULL;
    SSL_CTX_get0_chain_certs(from, &chain);
    bool installed =
        SSL_CTX_use_cert_and_key(context, SSL_CTX_get0_certificate(from), SSL_CTX_get0_privatekey(from), chain, 1) == 1;
    ERR_clear_error();
    return installed;
}
