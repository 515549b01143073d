/* Reads X-Forwarded-For from its end. */
#include "forwarded.h"

#include "stompd/stomp/frame.h"

bool forwarded_is_trusted(const struct listener_conf *listener, const struct ip_address *address) {
    struct network network;
    for (size_t n = 0; n < listener->trusted_proxy_count; n++)
        if (network_parse(listener->trusted_proxies[n], &network) && network_contains(&network, address))
            return true;
    return false;
}

/* The last of the values between commas; the others are left. */
static struct bytes take_last(struct bytes *values, bool *is_first) {
    const char *comma = values->len > 0 ? memrchr(values->data, ',', values->len) : NULL;
    size_t before = comma ? (size_t)(comma - values->data) : 0;
    struct bytes last = comma ? bytes_skip(*values, before + 1) : *values;
    *is_first = !comma;
    values->len = before;
    return stomp_trim(last);
}

bool forwarded_client(const struct listener_conf *listener, struct bytes value, struct ip_address *client) {
    struct ip_address address;
    bool is_first;
    do {
        if (!ip_address_parse(take_last(&value, &is_first), &address))
            return false;
    } while (!is_first && forwarded_is_trusted(listener, &address));
    *client = address;
    return true;
}
