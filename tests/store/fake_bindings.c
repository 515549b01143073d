/* Bindings of queues to topics, as bindings.lua has them. One that has ended stays, so that its end can be told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "fake_command.h"

/* Versions of one life are its beginning and more, so that those of another are others. */
#define LIFE UINT64_C(1000000)

static struct fake_binding *find(struct fake_server *server, struct bytes queue) {
    LIST_FOR_EACH (at, &server->bindings) {
        struct fake_binding *binding = CONTAINER_OF(at, struct fake_binding, in_server);
        if (fake_is(&binding->queue, queue))
            return binding;
    }
    return NULL;
}

bool fake_bindings_have(struct fake_server *server, struct bytes queue) {
    const struct fake_binding *binding = find(server, queue);
    return binding && binding->topic.len > 0;
}

static struct fake_binding *need(struct fake_server *server, struct bytes queue) {
    struct fake_binding *binding = find(server, queue);
    if (binding)
        return binding;
    binding = calloc(1, sizeof *binding);
    assert_non_null(binding);
    binding->queue = fake_copy(queue);
    binding->topic = fake_copy(BYTES(""));
    list_init(&binding->in_server);
    list_append(&server->bindings, &binding->in_server);
    return binding;
}

static void set_topic(struct fake_server *server, struct fake_binding *binding, struct bytes topic) {
    buffer_free(&binding->topic);
    binding->topic = fake_copy(topic);
    if (server->bindings_life == 0)
        server->bindings_version = server->bindings_life = ++server->lives * LIFE;
    binding->version = ++server->bindings_version;
}

/* ---- what a boot acts by ---- */

static uint64_t acting_of(struct fake_server *server, struct bytes boot) {
    const struct fake_calls *calls = fake_queues_find_calls(server, boot);
    bool is_of_this_life = calls && calls->acting >= server->bindings_life && calls->acting <= server->bindings_version;
    return is_of_this_life ? calls->acting : 0;
}

static uint64_t everywhere(struct fake_server *server) {
    uint64_t lowest = server->bindings_version;
    LIST_FOR_EACH (at, &server->nodes) {
        const struct fake_node *node = CONTAINER_OF(at, struct fake_node, in_server);
        uint64_t acting = acting_of(server, buffer_bytes(&node->boot));
        if (!node->fenced && acting < lowest)
            lowest = acting;
    }
    return lowest;
}

/* ---- calls ---- */

static void bind_queue(struct fake_queue_call *call, struct fake_server *server) {
    struct fake_binding *binding = need(server, buffer_bytes(&call->binding.queue));
    struct bytes topic = buffer_bytes(&call->binding.topic);
    if (binding->topic.len == 0)
        set_topic(server, binding, topic);
    else if (!fake_is(&binding->topic, topic))
        call->answer.result = QUEUE_TAKEN;
}

static void unbind_queue(const struct fake_queue_call *call, struct fake_server *server) {
    struct bytes name = buffer_bytes(&call->binding.queue);
    struct fake_queue *queue = fake_queues_find(server, name);
    if (fake_bindings_have(server, name))
        set_topic(server, find(server, name), BYTES(""));
    if (queue)
        fake_queues_remove(queue);
}

static void tell(struct fake_answer *answer, const struct fake_binding *binding) {
    struct fake_bound *bound = realloc(answer->bound, (answer->bound_count + 1) * sizeof *bound);
    assert_non_null(bound);
    answer->bound = bound;
    bound[answer->bound_count++] =
        (struct fake_bound){fake_copy(buffer_bytes(&binding->queue)), fake_copy(buffer_bytes(&binding->topic))};
}

static void look(struct fake_queue_call *call, struct fake_server *server, struct bytes boot) {
    fake_queues_need_calls(server, boot)->acting = call->acting;
    uint64_t acting = acting_of(server, boot);
    call->answer.complete = acting == 0;
    LIST_FOR_EACH (at, &server->bindings) {
        const struct fake_binding *binding = CONTAINER_OF(at, struct fake_binding, in_server);
        if (acting == 0 ? binding->topic.len > 0 : binding->version > acting)
            tell(&call->answer, binding);
    }
}

void fake_bindings_execute(struct fake_queue_call *call, struct fake_server *server, struct bytes boot) {
    if (call->kind == FAKE_BIND)
        bind_queue(call, server);
    else if (call->kind == FAKE_UNBIND)
        unbind_queue(call, server);
    else
        look(call, server, boot);
    call->answer.life = server->bindings_life;
    call->answer.version = server->bindings_version;
    call->answer.everywhere = everywhere(server);
}

void fake_bindings_empty(struct fake_server *server) {
    LIST_FOR_EACH (at, &server->bindings) {
        struct fake_binding *binding = CONTAINER_OF(at, struct fake_binding, in_server);
        list_remove(&binding->in_server);
        buffer_free(&binding->queue);
        buffer_free(&binding->topic);
        free(binding);
    }
    server->bindings_life = server->bindings_version = 0;
}
