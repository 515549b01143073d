/* From replies to answers. */
#include "redis_answer.h"

#include <stdlib.h>

#define RENEWALS_END (UINT64_C(1) << 53)

static bool is_string(const redisReply *reply) {
    return reply->type == REDIS_REPLY_STRING;
}

static struct bytes string_of(const redisReply *reply) {
    return (struct bytes){reply->str, reply->len};
}

/* Room for one item for each `step` elements of an array. False: it is none, or memory is out. */
static bool make_room(const redisReply *reply, size_t step, size_t item_size, void **block) {
    *block = NULL;
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements % step != 0)
        return false;
    if (reply->elements > 0)
        *block = calloc(reply->elements / step, item_size);
    return reply->elements == 0 || *block;
}

static bool read_number(struct bytes text, uint64_t *number) {
    *number = 0;
    for (size_t n = 0; n < text.len; n++) {
        unsigned digit = (unsigned char)text.data[n] - (unsigned)'0';
        if (digit > 9 || *number > (UINT64_MAX - digit) / 10)
            return false;
        *number = *number * 10 + digit;
    }
    return text.len > 0;
}

/* A count is below 2^53: the scripts' numbers are exact up to there (lua/registry.lua). */
static bool read_entry(struct bytes text, struct store_node *node) {
    const char *space = text.len > 0 ? memchr(text.data, ' ', text.len) : NULL;
    if (!space || space == text.data)
        return false;
    node->boot = (struct bytes){text.data, (size_t)(space - text.data)};
    struct bytes state = bytes_skip(text, node->boot.len + 1);
    node->fenced = bytes_equal(state, BYTES("dead"));
    return node->fenced || (read_number(state, &node->renewals) && node->renewals < RENEWALS_END);
}

bool redis_answer_nodes(const redisReply *reply, struct store_answer *answer, void **block) {
    if (!make_room(reply, 2, sizeof(struct store_node), block))
        return false;
    struct store_node *nodes = *block;
    answer->nodes = nodes;
    for (size_t n = 0; n < reply->elements; n += 2) {
        struct store_node node = {0};
        if (!is_string(reply->element[n]) || !is_string(reply->element[n + 1]))
            return false;
        node.node = string_of(reply->element[n]);
        if (read_entry(string_of(reply->element[n + 1]), &node))
            nodes[answer->node_count++] = node;
    }
    return true;
}

bool redis_answer_session_page(const redisReply *reply, struct store_answer *answer, void **block) {
    *block = NULL;
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 || !is_string(reply->element[0]) ||
        !read_number(string_of(reply->element[0]), &answer->cursor))
        return false;
    const redisReply *pairs = reply->element[1];
    if (!make_room(pairs, 2, sizeof(struct store_session), block))
        return false;
    struct store_session *sessions = *block;
    answer->sessions = sessions;
    for (size_t n = 0; n < pairs->elements; n += 2) {
        if (!is_string(pairs->element[n]) || !is_string(pairs->element[n + 1]))
            return false;
        sessions[answer->session_count++] =
            (struct store_session){string_of(pairs->element[n]), string_of(pairs->element[n + 1])};
    }
    return true;
}

bool redis_answer_user_sessions(const redisReply *reply, struct store_answer *answer, void **block) {
    if (!make_room(reply, 1, sizeof(struct store_session), block))
        return false;
    struct store_session *sessions = *block;
    answer->sessions = sessions;
    for (size_t n = 0; n < reply->elements; n++) {
        if (!is_string(reply->element[n]))
            return false;
        sessions[answer->session_count++] = (struct store_session){.id = string_of(reply->element[n])};
    }
    return true;
}

bool redis_answer_users(const redisReply *reply, struct store_answer *answer, void **block) {
    if (!make_room(reply, 2, sizeof(struct store_user), block))
        return false;
    struct store_user *users = *block;
    answer->users = users;
    for (size_t n = 0; n < reply->elements; n += 2) {
        if (!is_string(reply->element[n]) || reply->element[n + 1]->type != REDIS_REPLY_INTEGER)
            return false;
        users[answer->user_count++] =
            (struct store_user){string_of(reply->element[n]), (uint64_t)reply->element[n + 1]->integer};
    }
    return true;
}
