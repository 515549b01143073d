/*
 * A lookup on libevent's own resolver, with an evdns_base for each, since its tables are read once. A request that is
 * cancelled is told of in a later turn, and only then freed. So each has a loop of its own, which is looked at now and
 * then and can be turned alone: nothing is left on the owner's loop, where nobody may turn it any more.
 */
#include "redis_lookup.h"

#include <event2/dns.h>
#include <event2/event.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>

/* Between two looks at the loop, in microseconds. */
#define LOOK_US 10000

struct redis_lookup {
    struct event_base *loop;
    struct evdns_base *dns;
    struct evdns_getaddrinfo_request *request; /* NULL once it has a result */
    struct evutil_addrinfo *found;
    int error;
    bool finished;
    struct event *look; /* on the owner's loop */
    redis_lookup_done done;
    void *arg;
};

static void lookup_free(struct redis_lookup *lookup) {
    if (lookup->found)
        evutil_freeaddrinfo(lookup->found);
    if (lookup->dns)
        evdns_base_free(lookup->dns, 0);
    if (lookup->loop)
        event_base_free(lookup->loop);
    if (lookup->look)
        event_free(lookup->look);
    free(lookup);
}

static void tell(struct redis_lookup *lookup) {
    char numbers[REDIS_LOOKUP_MAX][REDIS_LOOKUP_HOST];
    const char *hosts[REDIS_LOOKUP_MAX];
    size_t count = 0;
    for (struct evutil_addrinfo *found = lookup->found; found && count < REDIS_LOOKUP_MAX; found = found->ai_next) {
        if (getnameinfo(found->ai_addr, (socklen_t)found->ai_addrlen, numbers[count], REDIS_LOOKUP_HOST, NULL, 0,
                        NI_NUMERICHOST) == 0) {
            hosts[count] = numbers[count];
            count++;
        }
    }
    lookup->done(lookup->arg, hosts, count, lookup->error ? evutil_gai_strerror(lookup->error) : "it has no address");
}

static void on_look(evutil_socket_t fd, short events, void *arg) {
    struct redis_lookup *lookup = arg;
    (void)fd;
    (void)events;
    event_base_loop(lookup->loop, EVLOOP_NONBLOCK);
    if (!lookup->finished)
        return;
    tell(lookup);
    lookup_free(lookup);
}

static void on_result(int error, struct evutil_addrinfo *found, void *arg) {
    struct redis_lookup *lookup = arg;
    lookup->request = NULL;
    lookup->error = error;
    lookup->found = found;
    lookup->finished = true;
}

static bool make_parts(struct redis_lookup *lookup, struct event_base *base) {
    struct timeval wait = {0, LOOK_US};
    lookup->loop = event_base_new();
    if (lookup->loop)
        lookup->dns = evdns_base_new(lookup->loop, EVDNS_BASE_DISABLE_WHEN_INACTIVE);
    lookup->look = event_new(base, -1, EV_PERSIST, on_look, lookup);
    return lookup->dns && lookup->look && event_add(lookup->look, &wait) == 0;
}

struct redis_lookup *redis_lookup_new(struct event_base *base, const char *name, redis_lookup_done done, void *arg) {
    struct evutil_addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct redis_lookup *lookup = calloc(1, sizeof *lookup);
    if (!lookup)
        return NULL;
    lookup->done = done;
    lookup->arg = arg;
    if (!make_parts(lookup, base)) {
        lookup_free(lookup);
        return NULL;
    }
    /* Without that file there still is /etc/hosts. */
    (void)evdns_base_resolv_conf_parse(lookup->dns, DNS_OPTIONS_ALL, "/etc/resolv.conf");
    struct evdns_getaddrinfo_request *request = evdns_getaddrinfo(lookup->dns, name, NULL, &hints, on_result, lookup);
    if (request) /* NULL: it had the result at hand */
        lookup->request = request;
    return lookup;
}

void redis_lookup_cancel(struct redis_lookup *lookup) {
    if (lookup->request) {
        evdns_getaddrinfo_cancel(lookup->request);
        event_base_loop(lookup->loop, EVLOOP_NONBLOCK);
    }
    lookup_free(lookup);
}
