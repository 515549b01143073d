/* What the sessions of one worker have done, for operators. The worker's thread counts, any may read. */
#ifndef STOMPD_SESSION_COUNTERS_H
#define STOMPD_SESSION_COUNTERS_H

#include "stompd/base/counter.h"
#include "stompd/stomp/fault.h"
#include "stompd/stomp/frame.h"

struct session_counters {
    struct counter open;                   /* sessions that are logged in, now */
    struct counter opened;                 /* all that ever were */
    struct counter ended[FAULT_KINDS];     /* sessions by why, those that never were logged in too */
    struct counter frames[STOMP_COMMANDS]; /* from clients, by command */
    struct counter subscriptions;          /* now */
    struct counter published;              /* messages of SEND and COMMIT */
    struct counter delivered;              /* MESSAGEs put into outboxes, one a subscription */
    struct counter congestions;            /* how often publishers had to wait for another worker or the hub */
};

#endif
