/* Certificates: read from files that the tests make, and installed in the place of others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "stompd/edge/certificate.h"

/* In a folder of its own, the working directory: a.pem and a.key, and so on for b (EC) and r (RSA). */
struct fixture {
    char folder[40];
};

static X509 *self_signed(EVP_PKEY *key) {
    X509 *x509 = X509_new();
    assert_non_null(x509);
    X509_set_version(x509, X509_VERSION_3);
    X509_gmtime_adj(X509_getm_notBefore(x509), 0);
    X509_gmtime_adj(X509_getm_notAfter(x509), 3600);
    assert_int_equal(X509_set_pubkey(x509, key), 1);
    assert_true(X509_sign(x509, key, EVP_sha256()) > 0);
    return x509;
}

static void write_files(const char *name, EVP_PKEY *key) {
    char file[16];
    assert_non_null(key);
    X509 *x509 = self_signed(key);
    snprintf(file, sizeof file, "%s.pem", name);
    FILE *out = fopen(file, "w");
    assert_true(out && PEM_write_X509(out, x509) == 1 && PEM_write_X509(out, x509) == 1); /* the second: its chain */
    fclose(out);
    snprintf(file, sizeof file, "%s.key", name);
    out = fopen(file, "w");
    assert_true(out && PEM_write_PrivateKey(out, key, NULL, NULL, 0, NULL, NULL) == 1);
    fclose(out);
    snprintf(file, sizeof file, "%s.locked", name);
    out = fopen(file, "w");
    assert_true(out && PEM_write_PrivateKey(out, key, EVP_aes_128_cbc(), (const unsigned char *)"pw", 2, NULL, NULL));
    fclose(out);
    X509_free(x509);
    EVP_PKEY_free(key);
}

static int set_up(void **state) {
    static struct fixture fixture = {.folder = "/tmp/stompd-certificate-XXXXXX"};
    assert_non_null(mkdtemp(fixture.folder));
    assert_int_equal(chdir(fixture.folder), 0);
    write_files("a", EVP_EC_gen("P-256"));
    write_files("b", EVP_EC_gen("P-256"));
    write_files("r", EVP_RSA_gen(2048));
    *state = &fixture;
    return 0;
}

static int tear_down(void **state) {
    static const char *const files[] = {"a.pem", "a.key",    "a.locked", "b.pem",   "b.key",
                                        "r.pem", "b.locked", "r.key",    "r.locked"};
    const struct fixture *fixture = *state;
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
        unlink(files[i]);
    return chdir("/") + rmdir(fixture->folder);
}

static struct certificate *load(const char *chain_file, const char *key_file) {
    const char *why;
    struct certificate *certificate = certificate_load(chain_file, key_file, &why);
    assert_non_null(certificate);
    return certificate;
}

static void assert_unusable(const char *chain_file, const char *key_file, const char *expected) {
    const char *why;
    assert_null(certificate_load(chain_file, key_file, &why));
    assert_non_null(strstr(why, expected));
}

static void test_files_that_do_not_fit_are_refused(void **state) {
    (void)state;
    assert_unusable("missing", "a.key", "tls-certificate");
    assert_unusable("a.key", "a.key", "tls-certificate");
    assert_unusable("a.pem", "missing", "tls-key");
    assert_unusable("a.pem", "a.pem", "tls-key");
    assert_unusable("a.pem", "b.key", "tls-key");
    assert_unusable("a.pem", "r.key", "tls-key");
}

static void test_a_key_with_a_password_is_refused_without_asking(void **state) {
    (void)state;
    assert_unusable("a.pem", "a.locked", "without a password");
}

/* Whether the context shows what is in the file, with a chain of one. */
static bool shows(SSL_CTX *context, const char *file) {
    STACK_OF(X509) *chain = NULL;
    FILE *in = fopen(file, "r");
    X509 *x509 = in ? PEM_read_X509(in, NULL, NULL, NULL) : NULL;
    assert_non_null(x509);
    fclose(in);
    SSL_CTX_get0_chain_certs(context, &chain);
    bool same = X509_cmp(SSL_CTX_get0_certificate(context), x509) == 0 && sk_X509_num(chain) == 1;
    X509_free(x509);
    return same && SSL_CTX_check_private_key(context) == 1;
}

static void test_one_is_installed_after_the_other(void **state) {
    (void)state;
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    struct certificate *a = load("a.pem", "a.key");
    struct certificate *b = load("b.pem", "b.key");
    assert_true(certificate_install(a, context));
    assert_true(shows(context, "a.pem"));
    assert_true(certificate_install(b, context));
    assert_true(shows(context, "b.pem"));
    SSL *connection = SSL_new(context);
    assert_true(certificate_install(a, context));
    certificate_free(a);
    certificate_free(b);
    assert_true(shows(context, "a.pem"));
    assert_int_not_equal(X509_cmp(SSL_get_certificate(connection), SSL_CTX_get0_certificate(context)), 0);
    SSL_free(connection);
    SSL_CTX_free(context);
}

static void test_a_copy_outlives_its_original(void **state) {
    (void)state;
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    struct certificate *a = load("a.pem", "a.key");
    struct certificate *copy = certificate_copy(a);
    certificate_free(a);
    assert_true(copy && certificate_install(copy, context));
    assert_true(shows(context, "a.pem"));
    certificate_free(copy);
    SSL_CTX_free(context);
}

static void test_only_one_of_the_same_kind_replaces_another(void **state) {
    (void)state;
    struct certificate *certificates[] = {load("a.pem", "a.key"), load("b.pem", "b.key"), load("r.pem", "r.key")};
    assert_true(certificate_replaces(certificates[0], certificates[1]));
    assert_false(certificate_replaces(certificates[0], certificates[2]));
    assert_false(certificate_replaces(certificates[2], certificates[1]));
    for (size_t i = 0; i < 3; i++)
        certificate_free(certificates[i]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_files_that_do_not_fit_are_refused),
        cmocka_unit_test(test_a_key_with_a_password_is_refused_without_asking),
        cmocka_unit_test(test_one_is_installed_after_the_other),
        cmocka_unit_test(test_a_copy_outlives_its_original),
        cmocka_unit_test(test_only_one_of_the_same_kind_replaces_another),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
