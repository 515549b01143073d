/* Mail that nobody will read any more: what it owns is given back. */
#include "stompd/edge/mail.h"

#include <stdlib.h>
#include <unistd.h>

void mail_discard_all(struct mail *mail) {
    while (mail) {
        struct mail *next = mail->next;
        switch ((enum mail_type)mail->type) {
        case MAIL_ADOPT:
            close(((struct mail_adopt *)mail)->fd);
            break;
        case MAIL_PUBLISH:
            message_unref(((struct mail_publish *)mail)->message);
            break;
        case MAIL_CHANGE:
            change_free(((struct mail_change *)mail)->change);
            break;
        case MAIL_DELIVERY:
            message_unref(((struct mail_delivery *)mail)->message);
            break;
        case MAIL_SETTINGS:
            settings_unref(((struct mail_settings *)mail)->settings);
            break;
        case MAIL_LOGIN:
            credentials_free(&((struct mail_login *)mail)->credentials);
            settings_unref(((struct mail_login *)mail)->settings);
            break;
        default:
            break;
        }
        if (mail->type != MAIL_STOP)
            free(mail);
        mail = next;
    }
}
