/*
 * Logins: plain secrets are answered at once; for hashed ones a helper thread is asked, which answers by mail. A
 * connection that goes meanwhile takes its name off the mail.
 */
#include <stdlib.h>

#include "connection.h"
#include "stompd/base/clock.h"

static void check_credentials(struct job *job) {
    struct mail_login *mail = CONTAINER_OF(job, struct mail_login, job);
    if (mail->abandoned)
        credentials_free(&mail->credentials);
    else
        mail->accepted = authenticator_check(mail->settings->authenticator, &mail->credentials, clock_ms());
    mailbox_post(mail->reply, &mail->mail);
}

/* The connection still knows the mail, so it goes the same way. */
static void cancel_login(struct job *job) {
    struct mail_login *mail = CONTAINER_OF(job, struct mail_login, job);
    credentials_free(&mail->credentials);
    mailbox_post(mail->reply, &mail->mail);
}

static void log_in_by_helper(struct connection *connection, const struct credentials *credentials) {
    struct worker *worker = connection->worker;
    struct mail_login *mail = calloc(1, sizeof *mail);
    if (!mail) {
        struct credentials unused = *credentials;
        credentials_free(&unused);
        session_end(connection->session, FAULT_INTERNAL, "out of memory", true);
        return;
    }
    *mail = (struct mail_login){.mail.type = MAIL_LOGIN,
                                .job = {.run = check_credentials, .cancel = cancel_login},
                                .settings = settings_ref(worker->settings),
                                .reply = &worker->mailbox,
                                .connection = connection,
                                .credentials = *credentials};
    connection->login = mail;
    helpers_submit(worker->conf.helpers, &mail->job);
}

void connection_log_in(struct session *session, struct bytes login, struct bytes passcode) {
    struct connection *connection = session->transport;
    struct worker *worker = connection->worker;
    struct credentials credentials;
    switch (authenticator_try(worker->settings->authenticator, login, passcode, &credentials)) {
    case VERDICT_ACCEPTED: {
        const struct user *user = users_find(worker->settings->users, login);
        session_logged_in(session, user->name, worker->now_ms);
        break;
    }
    case VERDICT_REFUSED:
        session_logged_in(session, NULL, worker->now_ms);
        break;
    case VERDICT_SLOW:
        log_in_by_helper(connection, &credentials);
        break;
    }
}

void connection_abandon_login(struct connection *connection) {
    connection->login->connection = NULL;
    connection->login->abandoned = true;
    connection->login = NULL;
}

void connection_logged_in(struct worker *worker, struct mail_login *mail) {
    struct connection *connection = mail->connection;
    if (connection) {
        connection->login = NULL;
        session_logged_in(connection->session, mail->accepted ? mail->credentials.user->name : NULL, worker->now_ms);
        connection_arm_timer(connection);
    }
    settings_unref(mail->settings);
    free(mail);
}
