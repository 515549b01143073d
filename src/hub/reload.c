/* The conf in force as counted settings; see reload.h. */
#include "reload.h"

#include <stdlib.h>
#include <string.h>

#include "conf_changes.h"
#include "stompd/base/log.h"
#include "stompd/edge/mail.h"

/* Settings with the conf that they are the workers' view of. */
struct conf_settings {
    struct settings settings;
    const struct conf *conf;
    struct conf *owned; /* the same; NULL for that of the start */
    struct certificate *certificates[];
};

struct reload {
    const char *file;
    struct conf_settings *in_force;
};

static void conf_settings_free(struct settings *settings) {
    struct conf_settings *whole = CONTAINER_OF(settings, struct conf_settings, settings);
    for (size_t n = 0; n < settings->listener_count; n++)
        certificate_free(whole->certificates[n]);
    authenticator_free(settings->authenticator);
    conf_free(whole->owned);
    free(whole);
}

/* `before`: the certificate in force, or NULL. False: the log says why. */
static bool load_certificate(const struct listener_conf *listener, const struct certificate *before,
                             struct certificate **certificate) {
    const char *why;
    *certificate = certificate_load(listener->tls_certificate, listener->tls_key, &why);
    if (!*certificate) {
        log_error("listen %s: %s or %s can't be used, expected %s", listener->name, listener->tls_certificate,
                  listener->tls_key, why);
        return false;
    }
    if (!before || certificate_replaces(*certificate, before))
        return true;
    log_notice("listen %s: the new certificate has another kind of key: a restart is needed for it; the old one stays",
               listener->name);
    certificate_free(*certificate);
    *certificate = certificate_copy(before);
    return *certificate != NULL;
}

static bool load_certificates(struct conf_settings *whole, const struct conf_settings *before) {
    for (size_t n = 0; n < whole->settings.listener_count; n++) {
        const struct listener_conf *listener = &whole->settings.listeners[n];
        if (listener->tls_certificate &&
            !load_certificate(listener, before ? before->certificates[n] : NULL, &whole->certificates[n]))
            return false;
    }
    return true;
}

/* Takes `owned`. NULL: the log says why. */
static struct conf_settings *conf_settings_new(const struct conf *conf, struct conf *owned,
                                               const struct conf_settings *before) {
    size_t certificates_size = conf->listener_count * sizeof(struct certificate *);
    struct conf_settings *whole = calloc(1, sizeof *whole + certificates_size);
    if (!whole) {
        log_error("out of memory");
        conf_free(owned);
        return NULL;
    }
    whole->conf = conf;
    whole->owned = owned;
    whole->settings = (struct settings){.refs = 1,
                                        .free = conf_settings_free,
                                        .limits = &conf->limits,
                                        .policies = &conf->policies,
                                        .users = &conf->users,
                                        .authenticator = authenticator_new(&conf->users),
                                        .listeners = conf->listeners,
                                        .listener_count = conf->listener_count,
                                        .certificates = whole->certificates,
                                        .ping_time_ms = conf->ping_time_ms};
    if (!whole->settings.authenticator)
        log_error("out of memory");
    else if (load_certificates(whole, before))
        return whole;
    settings_unref(&whole->settings);
    return NULL;
}

struct reload *reload_new(const char *file, const struct conf *start) {
    struct reload *reload = calloc(1, sizeof *reload);
    if (!reload) {
        log_error("out of memory");
        return NULL;
    }
    reload->file = file;
    reload->in_force = conf_settings_new(start, NULL, NULL);
    if (reload->in_force)
        return reload;
    free(reload);
    return NULL;
}

void reload_free(struct reload *reload) {
    if (!reload)
        return;
    settings_unref(&reload->in_force->settings);
    free(reload);
}

struct settings *reload_settings(const struct reload *reload) {
    return &reload->in_force->settings;
}

const struct conf *reload_conf(const struct reload *reload) {
    return reload->in_force->conf;
}

/* ---- SIGHUP ---- */

/* Lines for the log, written as to a file. */
struct notes {
    FILE *file; /* NULL: out of memory */
    char *text;
    size_t size;
};

static void notes_begin(struct notes *notes) {
    *notes = (struct notes){0};
    notes->file = open_memstream(&notes->text, &notes->size);
    if (!notes->file)
        log_error("out of memory");
}

/* Logs them where `logged`. */
static void notes_end(struct notes *notes, bool logged, enum log_level level) {
    bool complete = notes->file && fclose(notes->file) == 0;
    char *rest = notes->text;
    char *line;
    while (complete && logged && (line = strsep(&rest, "\n")) != NULL)
        if (*line)
            log_line(level, "%s", line);
    free(notes->text);
}

/* NULL: the log says why. */
static struct conf *read_again(const char *file) {
    struct notes faults;
    notes_begin(&faults);
    struct conf *conf = faults.file ? conf_read(file, faults.file) : NULL;
    notes_end(&faults, true, LOG_LEVEL_ERROR);
    return conf;
}

/* Settings of the file as it is now, with what may not change as it was. NULL: the log says why. */
static struct conf_settings *read_settings(const struct reload *reload, FILE *changes) {
    struct conf *conf = read_again(reload->file);
    if (!conf)
        return NULL;
    if (conf_changes_apply(conf, reload->in_force->conf, changes))
        return conf_settings_new(conf, conf, reload->in_force);
    log_error("out of memory");
    conf_free(conf);
    return NULL;
}

/* One for each worker, before any is posted: either all get them or none. */
static bool make_mails(struct settings *settings, struct mail_settings *mails[], unsigned count) {
    for (unsigned n = 0; n < count; n++) {
        mails[n] = malloc(sizeof *mails[n]);
        if (!mails[n]) {
            while (n > 0)
                free(mails[--n]);
            log_error("out of memory");
            return false;
        }
        *mails[n] = (struct mail_settings){.mail.type = MAIL_SETTINGS, .settings = settings};
    }
    return true;
}

static bool post_to_workers(struct settings *settings, struct mailbox *const *mailboxes, unsigned count) {
    struct mail_settings *mails[CONF_WORKERS_MAX];
    if (!make_mails(settings, mails, count))
        return false;
    for (unsigned n = 0; n < count; n++) {
        settings_ref(settings);
        mailbox_post(mailboxes[n], &mails[n]->mail);
    }
    return true;
}

static bool replace(struct reload *reload, struct acceptance *acceptance, struct mailbox *const *mailboxes,
                    FILE *changes) {
    struct conf_settings *next = read_settings(reload, changes);
    if (!next)
        return false;
    if (!post_to_workers(&next->settings, mailboxes, next->conf->workers)) {
        settings_unref(&next->settings);
        return false;
    }
    acceptance_change(acceptance, next->conf);
    settings_unref(&reload->in_force->settings);
    reload->in_force = next;
    return true;
}

bool reload_run(struct reload *reload, struct acceptance *acceptance, struct mailbox *const *mailboxes) {
    struct notes changes;
    notes_begin(&changes);
    bool replaced = changes.file && replace(reload, acceptance, mailboxes, changes.file);
    notes_end(&changes, replaced, LOG_LEVEL_NOTICE);
    if (replaced)
        log_notice("%s is in force as it is now", reload->file);
    else
        log_error("%s can't be used as it is now, so nothing has changed", reload->file);
    log_set_level(reload_conf(reload)->log_level);
    return replaced;
}
