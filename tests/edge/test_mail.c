/* Mail that nobody reads: what it owns is given back. What is only memory is for AddressSanitizer to see. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <unistd.h>

#include "stompd/edge/mail.h"

static void test_a_socket_that_nobody_adopts_is_closed(void **state) {
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    struct mail_adopt *mail = calloc(1, sizeof *mail);
    assert_non_null(mail);
    *mail = (struct mail_adopt){.mail.type = MAIL_ADOPT, .fd = ends[1]};
    mail_discard_all(&mail->mail);
    char byte;
    assert_int_equal(read(ends[0], &byte, 1), 0); /* its other end sees the end */
    close(ends[0]);
}

static void test_an_unread_message_loses_the_references_of_all_its_mail(void **state) {
    (void)state;
    struct message *message = message_new(2, 1);
    struct mail_batch batch = {0};
    assert_non_null(message);
    for (int n = 0; n < 3; n++) {
        struct mail_publish *mail = malloc(sizeof *mail);
        assert_non_null(mail);
        *mail = (struct mail_publish){.mail.type = MAIL_PUBLISH, .message = message_ref(message)};
        mail_batch_add(&batch, &mail->mail);
    }
    mail_discard_all(batch.newest);
    assert_int_equal(atomic_load(&message->refs), 1);
    message_unref(message);
}

static void test_the_password_of_an_unread_login_is_freed(void **state) {
    (void)state;
    struct mail_login *mail = calloc(1, sizeof *mail);
    assert_non_null(mail);
    *mail = (struct mail_login){.mail.type = MAIL_LOGIN, .credentials.password = strdup("secret")};
    mail_discard_all(&mail->mail);
    mail_discard_all(NULL);
}

static unsigned settings_freed;

static void count_freed(struct settings *settings) {
    (void)settings;
    settings_freed++;
}

static void test_unread_settings_and_logins_give_their_references_back(void **state) {
    (void)state;
    struct settings settings = {.refs = 1, .free = count_freed};
    struct mail_login *login = calloc(1, sizeof *login);
    struct mail_settings *mail = calloc(1, sizeof *mail);
    struct mail_batch batch = {0};
    assert_true(login && mail);
    *login = (struct mail_login){.mail.type = MAIL_LOGIN, .settings = settings_ref(&settings)};
    *mail = (struct mail_settings){.mail.type = MAIL_SETTINGS, .settings = settings_ref(&settings)};
    mail_batch_add(&batch, &login->mail);
    mail_batch_add(&batch, &mail->mail);
    mail_discard_all(batch.newest);
    assert_int_equal(settings_freed, 0);
    settings_unref(&settings);
    assert_int_equal(settings_freed, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_socket_that_nobody_adopts_is_closed),
        cmocka_unit_test(test_an_unread_message_loses_the_references_of_all_its_mail),
        cmocka_unit_test(test_the_password_of_an_unread_login_is_freed),
        cmocka_unit_test(test_unread_settings_and_logins_give_their_references_back),
    };
    return cmocka_run_group_tests_name("edge/mail", tests, NULL, NULL);
}
