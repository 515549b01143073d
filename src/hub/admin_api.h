/*
 * Private to hub/: the answers of /api/v1, as JSON: which nodes there are, who is online and where. In a cluster the
 * store is asked, so answers come later; while it is away, they come from what this node knows, with "stale": true.
 * docs/operations.md shows each answer.
 */
#ifndef STOMPD_HUB_ADMIN_API_H
#define STOMPD_HUB_ADMIN_API_H

#include <jansson.h>

#include "cluster.h"
#include "registry.h"

/* Users in one page, when the request does not say. */
#define API_USERS_DEFAULT 100

/* Of a user with more, these are listed; all are counted. */
#define API_SESSIONS_MAX 1000

/* Requests that wait for the store at a time; further ones are answered 503. */
#define API_CALLS_MAX 64

struct admin_api;
struct api_call;

/* All borrowed. */
struct admin_api_conf {
    const char *node;
    const char *boot;              /* "<node>:<boot id>" */
    const struct cluster *cluster; /* NULL: a node on its own */
    const struct registry *registry;
    struct store *store; /* NULL: the same */
    uint64_t (*now_ms)(void);
};

/* The answer's HTTP status and its body, which is taken over; NULL when out of memory. */
struct api_reply {
    void (*done)(void *arg, int status, json_t *body);
    void *arg;
};

/* NULL when out of memory. */
MUST_CHECK struct admin_api *admin_api_new(const struct admin_api_conf *conf);
/* Calls that wait are not answered any more; the store must answer no more either. NULL is allowed. */
void admin_api_free(struct admin_api *api);

/*
 * Answers the request for `path`, which is what follows on "/api/v1/", still percent-encoded; `query` is NULL or what
 * follows on "?". NULL: the reply has been given. Else it follows, unless the call is dropped.
 */
struct api_call *admin_api_request(struct admin_api *api, const char *path, const char *query, struct api_reply reply);

/* Nobody waits for the answer any more. */
void api_call_drop(struct api_call *call);

/* {"error": text}, for answers that go wrong elsewhere. NULL when out of memory. */
json_t *api_error(const char *text);

#endif
