/* Reads the heart-beat header and agrees on the two intervals. The session keeps the timers. */
#include "stompd/stomp/heartbeat.h"

/* Takes the digits that `rest` begins with; false when there are none. */
static bool take_number(struct bytes *rest, uint32_t *number) {
    uint64_t value = 0;
    size_t digits = 0;
    while (digits < rest->len && rest->data[digits] >= '0' && rest->data[digits] <= '9') {
        value = value * 10 + (uint64_t)(rest->data[digits++] - '0');
        if (value > UINT32_MAX)
            value = UINT32_MAX;
    }
    if (digits == 0)
        return false;
    *rest = bytes_skip(*rest, digits);
    *number = (uint32_t)value;
    return true;
}

bool heartbeat_parse(struct bytes value, struct heartbeat *client) {
    struct heartbeat read;
    if (!take_number(&value, &read.send_ms) || value.len == 0 || value.data[0] != ',')
        return false;
    value = bytes_skip(value, 1);
    if (!take_number(&value, &read.receive_ms) || value.len > 0)
        return false;
    *client = read;
    return true;
}

static uint32_t agree(uint32_t sends, uint32_t wants) {
    if (sends == 0 || wants == 0)
        return 0;
    return sends > wants ? sends : wants;
}

struct heartbeat heartbeat_negotiate(struct heartbeat server, struct heartbeat client) {
    return (struct heartbeat){
        .send_ms = agree(server.send_ms, client.receive_ms),
        .receive_ms = agree(client.send_ms, server.receive_ms),
    };
}
