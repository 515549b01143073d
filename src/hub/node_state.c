/* Whether the node is ready, and why not; see node_state.h. */
#include "node_state.h"

#include <event2/buffer.h>

static void count_member(void *arg, const struct member *member) {
    struct node_state *state = arg;
    if (member->alive)
        state->members_alive++;
    else
        state->members_dead++;
}

void node_state_look_at_cluster(struct node_state *state, const struct cluster *cluster, const struct store *store,
                                uint64_t now_ms) {
    const struct membership *membership = cluster_membership(cluster);
    state->clustered = true;
    state->joined = membership_is_in(membership);
    state->cluster = cluster_state(cluster);
    state->members_alive = state->members_dead = 0;
    membership_each(membership, now_ms, count_member, state);
    cluster_count(cluster, &state->counters);
    redis_store_status(store, &state->redis);
}

static bool refuse(struct evbuffer *reasons, const char *why, const char *detail) {
    if (reasons)
        evbuffer_add_printf(reasons, "%s%s%s\n", why, detail[0] ? ": " : "", detail);
    return false;
}

static bool cluster_is_ready(const struct node_state *state, struct evbuffer *reasons) {
    if (!state->redis.up)
        return refuse(reasons, "Redis can't be reached", state->redis.trouble);
    bool ready = state->joined || refuse(reasons, "this node has no place among the nodes yet", "");
    switch (state->cluster) {
    case CLUSTER_AWAY:
    case CLUSTER_RESTORING:
        return refuse(reasons, "what this node wants to hear from the others is not in place yet", "");
    case CLUSTER_GATHERING:
        return refuse(reasons, "the other nodes have not said yet that they hear this one", "");
    case CLUSTER_UP:
        break;
    }
    return ready;
}

bool node_state_is_ready(const struct node_state *state, struct evbuffer *reasons) {
    bool ready = !state->draining || refuse(reasons, "draining", "");
    if (!state->serving)
        ready = refuse(reasons, "clients are not served yet", "");
    if (state->clustered && !cluster_is_ready(state, reasons))
        ready = false;
    return ready;
}
