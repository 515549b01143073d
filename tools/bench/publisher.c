/* One who sends: its ready-made frame and its window. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/fail.h"
#include "bench/traffic.h"

#define RECEIPT_DIGITS 10
#define TARGET_DIGITS  8
#define UNSENT_MAX     (256u << 20)

/* ---- the frame */

static void append(struct buffer *buffer, struct bytes bytes) {
    if (!buffer_append(buffer, bytes.data, bytes.len))
        need(NULL);
}

static void append_text(struct buffer *buffer, const char *text) {
    append(buffer, bytes_of(text));
}

/* As STOMP 1.2 escapes it. */
static void append_header(struct buffer *buffer, const char *header) {
    const char *value = strchr(header, ':') + 1;
    append(buffer, (struct bytes){header, (size_t)(value - header)});
    for (; *value; value++)
        append(buffer, *value == ':' ? BYTES("\\c") : *value == '\\' ? BYTES("\\\\") : (struct bytes){value, 1});
    append_text(buffer, "\n");
}

static void append_head(struct publisher *publisher, const struct traffic *traffic, struct buffer *frame) {
    const struct options *options = traffic->options;
    char destination[640];
    char length[64];
    traffic->kind->destination(traffic, publisher->client.index, destination, sizeof destination);
    append_text(frame, "SEND\ndestination:");
    if (traffic->kind->target)
        publisher->digits_at = frame->len + (size_t)(strstr(destination, "00000000") - destination);
    append_text(frame, destination);
    snprintf(length, sizeof length, "\ncontent-length:%lu\n", (unsigned long)options->size);
    append_text(frame, length);
    for (unsigned n = 0; n < options->header_count; n++)
        append_header(frame, options->headers[n]);
    if (traffic->kind->has_receipts) {
        append_text(frame, "receipt:");
        publisher->receipt_at = frame->len;
        append_text(frame, "0000000000\n");
    }
    append_text(frame, "\n");
}

void publisher_init(struct publisher *publisher, const struct traffic *traffic) {
    static const char no_stamp[STAMP_SIZE];
    struct buffer frame = {0};
    append_head(publisher, traffic, &frame);
    publisher->stamp_at = frame.len;
    append(&frame, (struct bytes){no_stamp, STAMP_SIZE});
    append(&frame, (struct bytes){traffic->filler, traffic->options->size - STAMP_SIZE});
    append(&frame, (struct bytes){"", 1});
    publisher->frame = frame.data;
    publisher->frame_size = frame.len;
    publisher->slots = need_zeroed(traffic->options->window, sizeof *publisher->slots);
}

void publisher_free(struct publisher *publisher) {
    free(publisher->frame);
    free(publisher->slots);
}

/* ---- sending */

static void write_frame(struct publisher *publisher, const struct traffic *traffic, uint64_t number, uint64_t time_ns) {
    unsigned index = publisher->client.index;
    struct stamp stamp = {traffic->run, index, number, time_ns};
    stamp_write(publisher->frame + publisher->stamp_at, &stamp);
    if (publisher->digits_at)
        hex_write(publisher->frame + publisher->digits_at, TARGET_DIGITS,
                  traffic->kind->target(traffic, index, number));
    if (publisher->receipt_at)
        hex_write(publisher->frame + publisher->receipt_at, RECEIPT_DIGITS, number);
}

void publisher_send(struct publisher *publisher, struct traffic *traffic, uint64_t time_ns) {
    uint64_t number = publisher->next++;
    write_frame(publisher, traffic, number, time_ns);
    traffic->sent++;
    traffic->measured_sent += time_ns >= traffic->measure_ns;
    if (traffic->rate == 0) {
        unsigned left = traffic->deliveries_each + traffic->kind->has_receipts;
        publisher->slots[number % traffic->options->window] = (struct slot){time_ns, left};
    }
    client_send(&publisher->client, (struct bytes){publisher->frame, publisher->frame_size},
                traffic->options->content != CONTENT_BINARY);
    if (publisher->client.out.len > UNSENT_MAX)
        client_fail(&publisher->client, "it takes less than is to be sent: 256 MiB wait");
}

void publisher_fill(struct publisher *publisher, struct traffic *traffic) {
    while (!traffic->is_stopped && publisher->next - publisher->oldest < traffic->options->window)
        publisher_send(publisher, traffic, traffic->loop->now_ns);
}

static bool is_complete(const struct publisher *publisher, const struct traffic *traffic, uint64_t number) {
    return publisher->slots[number % traffic->options->window].left == 0;
}

/* Moves the window to the oldest message that is not complete. */
static void advance(struct publisher *publisher, struct traffic *traffic) {
    while (publisher->oldest < publisher->next && is_complete(publisher, traffic, publisher->oldest))
        publisher->oldest++;
    publisher_fill(publisher, traffic);
}

void publisher_credit(struct publisher *publisher, struct traffic *traffic, uint64_t number) {
    if (traffic->rate > 0 || number < publisher->oldest || number >= publisher->next)
        return;
    struct slot *slot = &publisher->slots[number % traffic->options->window];
    if (slot->left > 0 && --slot->left == 0 && number == publisher->oldest)
        advance(publisher, traffic);
}

void publisher_give_up(struct publisher *publisher, struct traffic *traffic) {
    const struct slot *slot = &publisher->slots[publisher->oldest % traffic->options->window];
    bool is_late =
        publisher->oldest < publisher->next && slot->sent_ns + traffic->options->timeout_ns < traffic->loop->now_ns;
    if (!is_late)
        return;
    publisher->oldest++;
    advance(publisher, traffic);
}
