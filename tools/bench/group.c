/* Opening and leaving. */
#include "bench/group.h"

#include <stdio.h>

#include "bench/fail.h"

#define LOOK_NS  UINT64_C(50000000)
#define LEAVE_NS UINT64_C(3000000000)

struct client *group_client(const struct group *group, unsigned n) {
    return (struct client *)((char *)group->first + group->stride * n);
}

void group_init(const struct group *group, struct loop *loop, const struct client_handler *handler, const char *role,
                void *owner) {
    const struct options *options = loop->options;
    bool publishes = options->publish_target_count > 0 && role[0] == 'p';
    const struct target *targets = publishes ? options->publish_targets : options->targets;
    unsigned target_count = publishes ? options->publish_target_count : options->target_count;
    for (unsigned n = 0; n < group->count; n++)
        *group_client(group, n) = (struct client){.loop = loop,
                                                  .handler = handler,
                                                  .owner = owner,
                                                  .role = role,
                                                  .index = n,
                                                  .target = &targets[n % target_count],
                                                  .fd = -1};
}

static void check_time(const struct client *client) {
    char why[128];
    const struct loop *loop = client->loop;
    if (loop_is_interrupted())
        fail(FAULT_USAGE, "interrupted before anything was measured");
    if (loop->now_ns < client->began_ns + loop->options->timeout_ns)
        return;
    snprintf(why, sizeof why, "no answer %s within %.3g s", client_doing(client),
             (double)loop->options->timeout_ns / 1e9);
    client_fail(client, why);
}

/* Waits until fewer than `most` of those from *low on, up to `begun`, are not ready; moves *low to the first of them. */
static void wait_until(const struct group *group, unsigned *low, unsigned begun, unsigned most) {
    for (;;) {
        unsigned waiting = 0;
        while (*low < begun && group_client(group, *low)->is_ready)
            (*low)++;
        for (unsigned n = *low; n < begun; n++)
            waiting += !group_client(group, n)->is_ready;
        if (waiting < most || *low == begun)
            return;
        struct loop *loop = group_client(group, *low)->loop;
        loop_turn(loop, loop->now_ns + LOOK_NS);
        if (!group_client(group, *low)->is_ready)
            check_time(group_client(group, *low));
    }
}

void group_open(const struct group *group) {
    unsigned low = 0;
    for (unsigned n = 0; n < group->count; n++) {
        struct client *client = group_client(group, n);
        client_open(client);
        wait_until(group, &low, n + 1, (unsigned)client->loop->options->at_a_time);
    }
    group_wait(group);
}

void group_wait(const struct group *group) {
    unsigned low = 0;
    wait_until(group, &low, group->count, 1);
}

static unsigned count_open(const struct group *group) {
    unsigned open = 0;
    for (unsigned n = 0; n < group->count; n++)
        open += group_client(group, n)->state != CLIENT_CLOSED;
    return open;
}

void group_leave(const struct group *group) {
    if (group->count == 0)
        return;
    struct loop *loop = group_client(group, 0)->loop;
    uint64_t end_ns = loop_clock(loop) + LEAVE_NS;
    for (unsigned n = 0; n < group->count; n++)
        if (group_client(group, n)->state == CLIENT_OPEN)
            client_leave(group_client(group, n));
    while (count_open(group) > 0 && loop->now_ns < end_ns)
        loop_turn(loop, loop->now_ns + LOOK_NS);
    for (unsigned n = 0; n < group->count; n++)
        client_drop(group_client(group, n));
}
