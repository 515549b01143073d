/* Frames and WebSocket's, at every cut: nothing is read from a part, and the whole is read as it was written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "bench/frame.h"
#include "bench/stamp.h"
#include "bench/websocket.h"

#define ASSERT_BYTES(bytes, text)                                                                                      \
    do {                                                                                                               \
        assert_int_equal((bytes).len, sizeof(text) - 1);                                                               \
        assert_memory_equal((bytes).data, text, sizeof(text) - 1);                                                     \
    } while (0)

/* A copy of its own size, so that valgrind and ASan see who reads beyond. */
static enum frame_state read_part(struct bytes whole, size_t length, struct frame *frame, char **copy) {
    *copy = malloc(length + 1);
    assert_non_null(*copy);
    memcpy(*copy, whole.data, length);
    return frame_read((struct bytes){*copy, length}, frame);
}

static void assert_no_part_is_a_frame(struct bytes whole) {
    struct frame frame;
    char *copy;
    for (size_t length = 0; length < whole.len; length++) {
        assert_int_equal(read_part(whole, length, &frame, &copy), FRAME_PARTIAL);
        free(copy);
    }
}

static void a_message_is_read_up_to_its_length(void **state) {
    struct bytes whole = BYTES("MESSAGE\nack:a\\cb\ncontent-length:5\nack:other\n\nab\0cd\0MESSAGE");
    struct bytes first = {whole.data, whole.len - 7};
    struct frame frame;
    (void)state;
    assert_no_part_is_a_frame(first);
    assert_int_equal(frame_read(whole, &frame), FRAME_COMPLETE);
    assert_int_equal(frame.size, first.len);
    ASSERT_BYTES(frame.command, "MESSAGE");
    ASSERT_BYTES(frame.ack, "a\\cb");
    ASSERT_BYTES(frame.body, "ab\0cd");
}

static void without_a_length_the_nul_ends_it(void **state) {
    struct bytes whole = BYTES("ERROR\r\nmessage:no: not so\r\nreceipt-id:7\r\n\r\nwhy\0");
    struct frame frame;
    (void)state;
    assert_no_part_is_a_frame(whole);
    assert_int_equal(frame_read(whole, &frame), FRAME_COMPLETE);
    assert_int_equal(frame.size, whole.len);
    ASSERT_BYTES(frame.message, "no: not so");
    ASSERT_BYTES(frame.receipt_id, "7");
    ASSERT_BYTES(frame.body, "why");
}

static void what_is_no_stomp_is_broken(void **state) {
    struct frame frame;
    (void)state;
    assert_int_equal(frame_read(BYTES("MESSAGE\nno header\n\n\0"), &frame), FRAME_BROKEN);
    assert_int_equal(frame_read(BYTES("MESSAGE\ncontent-length:x\n\n\0"), &frame), FRAME_BROKEN);
    assert_int_equal(frame_read(BYTES("MESSAGE\ncontent-length:1\n\nab\0"), &frame), FRAME_BROKEN);
}

/* ---- WebSocket */

/* As a server would: the mask is taken off, and the frame goes back without one. */
static void unmask(struct buffer *frame, size_t head_size) {
    char *mask = frame->data + head_size;
    for (size_t n = 0; n < frame->len - head_size - 4; n++)
        mask[4 + n] = (char)(mask[4 + n] ^ mask[n % 4]);
    memmove(mask, mask + 4, frame->len - head_size - 4);
    frame->len -= 4;
    frame->data[1] = (char)(frame->data[1] & 127);
}

static void check_length(size_t length, size_t head_size) {
    struct buffer frame = {0};
    struct websocket_frame read;
    uint32_t mask = 2463534242;
    char *payload = calloc(1, length + 1);
    assert_non_null(payload);
    for (size_t n = 0; n < length; n++)
        payload[n] = (char)(n * 7);
    websocket_write(&frame, WEBSOCKET_BINARY, (struct bytes){payload, length}, &mask);
    assert_int_equal(frame.len, head_size + 4 + length);
    assert_int_equal(frame.data[1] & 128, 128);
    unmask(&frame, head_size);
    for (size_t part = 0; part < frame.len; part += part < 32 ? 1 : 997)
        assert_false(websocket_read((struct bytes){frame.data, part}, &read));
    assert_true(websocket_read(buffer_bytes(&frame), &read));
    assert_int_equal(read.opcode, WEBSOCKET_BINARY);
    assert_int_equal(read.size, frame.len);
    assert_int_equal(read.payload.len, length);
    assert_memory_equal(read.payload.data, payload, length);
    buffer_free(&frame);
    free(payload);
}

static void frames_of_every_length_class_are_as_they_were(void **state) {
    (void)state;
    check_length(0, 2);
    check_length(125, 2);
    check_length(126, 4);
    check_length(65535, 4);
    check_length(65536, 10);
}

static void an_answer_must_agree(void **state) {
    static const char yes[] =
        "HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    char fault[256] = "";
    (void)state;
    for (size_t part = 0; part < sizeof yes - 1; part++)
        assert_int_equal(websocket_answer((struct bytes){yes, part}, fault, sizeof fault), 0);
    assert_string_equal(fault, "");
    assert_int_equal(websocket_answer(BYTES(yes), fault, sizeof fault), sizeof yes - 1);
    assert_string_equal(fault, "");
    assert_int_equal(websocket_answer(BYTES("HTTP/1.1 404 Not Found\r\n\r\n"), fault, sizeof fault), 0);
    assert_string_equal(fault, "no WebSocket is opened there; the answer is \"HTTP/1.1 404 Not Found\"");
    assert_int_equal(websocket_answer(BYTES("HTTP/1.1 101 OK\r\n\r\n"), fault, sizeof fault), 0);
    assert_string_equal(fault, "the answer to the upgrade has no right Sec-WebSocket-Accept");
    assert_int_equal(websocket_answer(BYTES("+OK\n"), fault, sizeof fault), 0);
}

/* ---- the stamp */

static void a_stamp_comes_back(void **state) {
    struct stamp in = {0xfedcba98, 0xabcdef, UINT64_C(0x123456789a), UINT64_C(0xba9876543210)};
    struct stamp out;
    char body[STAMP_SIZE];
    (void)state;
    stamp_write(body, &in);
    assert_true(stamp_read((struct bytes){body, sizeof body}, &out));
    assert_int_equal(out.run, in.run);
    assert_int_equal(out.publisher, in.publisher);
    assert_int_equal(out.number, in.number);
    assert_int_equal(out.time_ns, in.time_ns);
    assert_false(stamp_read((struct bytes){body, sizeof body - 1}, &out));
    body[STAMP_SIZE - 1] = 'g';
    assert_false(stamp_read((struct bytes){body, sizeof body}, &out));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_is_read_up_to_its_length),
        cmocka_unit_test(without_a_length_the_nul_ends_it),
        cmocka_unit_test(what_is_no_stomp_is_broken),
        cmocka_unit_test(frames_of_every_length_class_are_as_they_were),
        cmocka_unit_test(an_answer_must_agree),
        cmocka_unit_test(a_stamp_comes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
