/*
 * The parser. Most tests are recorded inputs with the transcript that must come of them; check() feeds each one whole,
 * byte by byte and at seeded random cuts, with and without holding the frames, and wants the same transcript every
 * time.
 *
 * A transcript shows frames as COMMAND{name=value,name=value}body, separated by blanks, octets that are not printable
 * as <hex>; then "..." if a frame has begun and is not complete, or "!KIND: message" for a fault.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "stompd/stomp/parser.h"

#define HEADERS 8

enum mode { BEFORE_LOGIN, V10, V11, V12 };

static const struct stomp_parser_limits roomy = {.frame_size = 2 << 20,
                                                 .body_size = 1 << 20,
                                                 .headers = HEADERS,
                                                 .header_size = 256,
                                                 .frame_size_key = "frame-size"};

struct player {
    struct stomp_parser parser;
    struct fault fault;
    struct stomp_header headers[HEADERS];
    struct stomp_frame frame;
    char transcript[4096];
    size_t len;
};

static void player_start(struct player *player, enum mode mode, const struct stomp_parser_limits *limits) {
    memset(player, 0, sizeof *player);
    stomp_parser_init(&player->parser, limits, &player->fault);
    if (mode != BEFORE_LOGIN)
        stomp_parser_login(&player->parser, (enum stomp_version)(mode - V10), limits);
    player->frame.headers = player->headers;
    player->frame.header_capacity = HEADERS;
}

static void note(struct player *player, const char *text) {
    size_t len = strlen(text);
    assert_true(player->len + len < sizeof player->transcript);
    memcpy(player->transcript + player->len, text, len);
    player->len += len;
}

static void note_bytes(struct player *player, struct bytes bytes) {
    for (size_t i = 0; i < bytes.len; i++) {
        unsigned char c = (unsigned char)bytes.data[i];
        char text[8];
        snprintf(text, sizeof text, c >= ' ' && c <= '~' ? "%c" : "<%02x>", c);
        note(player, text);
    }
}

static void note_frame(struct player *player) {
    const struct stomp_frame *frame = &player->frame;
    note(player, player->len > 0 ? " " : "");
    note(player, stomp_command_name(frame->command));
    note(player, "{");
    for (size_t i = 0; i < frame->header_count; i++) {
        note(player, i > 0 ? "," : "");
        note_bytes(player, frame->headers[i].name);
        note(player, "=");
        note_bytes(player, frame->headers[i].value);
    }
    note(player, "}");
    note_bytes(player, frame->body);
}

static void note_end(struct player *player, bool faulty) {
    static const char *const kinds[FAULT_KINDS] = {[FAULT_PROTOCOL] = "protocol",
                                                   [FAULT_ENCODING] = "encoding",
                                                   [FAULT_SIZE] = "size",
                                                   [FAULT_INTERNAL] = "internal"};
    if (faulty) {
        note(player, player->len > 0 ? " !" : "!");
        note(player, kinds[player->fault.kind]);
        note(player, ": ");
        note(player, player->fault.message);
    } else if (stomp_parser_is_mid_frame(&player->parser)) {
        note(player, player->len > 0 ? " ..." : "...");
    }
}

/* Feeds one piece and takes its frames. With `hold`, a frame must outlive the bytes it came in. False on a fault. */
static bool feed_piece(struct player *player, char *bytes, size_t len, bool hold) {
    struct stomp_parser *parser = &player->parser;
    size_t used;
    enum stomp_parse found;
    while ((found = stomp_parser_feed(parser, bytes, len, &used)) == STOMP_PARSE_FRAME) {
        if (hold) {
            assert_true(stomp_parser_hold(parser));
            memset(bytes, '#', used);
        }
        if (!stomp_parser_take(parser, &player->frame))
            return false;
        note_frame(player);
        bytes += used;
        len -= used;
    }
    if (found == STOMP_PARSE_FAULT)
        return false;
    assert_int_equal(used, len);
    return true;
}

/* Pieces of `size` bytes, or of random size when that is 0. */
struct cuts {
    size_t size;
    uint32_t seed;
    bool hold;
};

static uint32_t next_random(uint32_t *seed) {
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 16;
}

/*
 * Each piece is a block of its own, freed once it is fed, so that a sanitizer sees any byte used too late or too far.
 */
static void play(struct player *player, const char *input, size_t len, struct cuts cuts) {
    bool alive = true;
    for (size_t at = 0, size; at < len && alive; at += size) {
        size = cuts.size ? cuts.size : 1 + next_random(&cuts.seed) % 24;
        size = size < len - at ? size : len - at;
        char *piece = malloc(size);
        assert_non_null(piece);
        memcpy(piece, input + at, size);
        alive = feed_piece(player, piece, size, cuts.hold);
        assert_true(player->parser.buffer.len <= player->parser.limits->frame_size);
        free(piece);
    }
    note_end(player, !alive);
    player->transcript[player->len] = '\0';
    stomp_parser_free(&player->parser);
}

static void check_at(int line, enum mode mode, const struct stomp_parser_limits *limits, const char *input, size_t len,
                     const char *expected) {
    for (uint32_t i = 0; i < 24; i++) {
        struct cuts cuts = {.size = i < 2 ? len : i < 4 ? 1 : 0, .seed = i, .hold = i % 2 == 1};
        struct player player;
        player_start(&player, mode, limits);
        play(&player, input, len, cuts);
        if (strcmp(player.transcript, expected) != 0)
            fail_msg("line %d, cuts %u\n  is:        %s\n  should be: %s", line, i, player.transcript, expected);
    }
}

/* `input` is a string literal; its own closing NUL is not fed. */
#define check(mode, input, expected) check_at(__LINE__, mode, &roomy, input, sizeof(input) - 1, expected)
#define check_limits(mode, limits, input, expected)                                                                    \
    check_at(__LINE__, mode, &(limits), input, sizeof(input) - 1, expected)

static void test_row_stomp_frames_every_command_of_a_client(void **state) {
    (void)state;
    check(BEFORE_LOGIN, "CONNECT\naccept-version:1.2\nhost:a\n\n\0", "CONNECT{accept-version=1.2,host=a}");
    check(V12, "SEND\ndestination:/queue/a\n\nhello\0", "SEND{destination=/queue/a}hello");
    check(V12, "SUBSCRIBE\nid:0\ndestination:/queue/a\nack:client\n\n\0",
          "SUBSCRIBE{id=0,destination=/queue/a,ack=client}");
    check(V12, "UNSUBSCRIBE\nid:0\n\n\0", "UNSUBSCRIBE{id=0}");
    check(V12, "BEGIN\ntransaction:t\n\n\0COMMIT\ntransaction:t\n\n\0ABORT\ntransaction:t\n\n\0",
          "BEGIN{transaction=t} COMMIT{transaction=t} ABORT{transaction=t}");
    check(V12, "ACK\nid:1\n\n\0NACK\nid:2\n\n\0", "ACK{id=1} NACK{id=2}");
    check(V12, "DISCONNECT\nreceipt:77\n\n\0", "DISCONNECT{receipt=77}");
}

static void test_row_stomp_frames_a_frame_may_have_no_headers(void **state) {
    (void)state;
    check(V12, "DISCONNECT\n\n\0", "DISCONNECT{}");
    check(V12, "SEND\n\nbody\0", "SEND{}body");
}

static void test_row_stomp_frames_values_may_be_empty(void **state) {
    (void)state;
    check(V12, "SEND\nempty:\ndestination:a\n\n\0", "SEND{empty=,destination=a}");
    check(V10, "SEND\nempty:\n\n\0", "SEND{empty=}");
}

static void test_row_stomp_frames_a_header_needs_a_name(void **state) {
    (void)state;
    check(V12, "SEND\n:value\n\n\0", "!protocol: a header has no name");
    check(V11, "SEND\na:b\n:\n\n\0", "!protocol: a header has no name");
}

static void test_row_stomp_frames_a_header_needs_a_colon(void **state) {
    (void)state;
    check(V12, "SEND\ndestination\n\n\0", "!protocol: a header line has no colon");
    check(V12, "SEND\na\\cb\n\n\0", "!protocol: a header line has no colon");
    check(BEFORE_LOGIN, "CONNECT\n \n\n\0", "!protocol: a header line has no colon");
}

static void test_row_stomp_frames_eol_may_be_cr_lf_on_1_2_and_before_login(void **state) {
    (void)state;
    check(V12, "SEND\r\ndestination:a\r\nx:1\n\r\nbody\r\n\0", "SEND{destination=a,x=1}body<0d><0a>");
    check(BEFORE_LOGIN, "CONNECT\r\nlogin:a\r\n\r\n\0", "CONNECT{login=a}");
    check(V12, "SEND\r\nx:a\r\r\n\r\n\0", "SEND{x=a<0d>}");
}

static void test_row_stomp_frames_eol_is_lf_alone_on_1_0_and_1_1(void **state) {
    (void)state;
    check(V11, "SEND\r\ndestination:a\r\n\r\n\0", "!protocol: unknown command SEND?");
    check(V10, "SEND\r\n", "!protocol: unknown command SEND?");
    check(V11, "SEND\nx:1\r\n\n\0", "SEND{x=1<0d>}");
    check(V11, "SEND\nx:1\n\r\n\0", "!protocol: a header line has no colon");
}

static void test_row_stomp_frames_a_cr_that_ends_no_line_is_text(void **state) {
    (void)state;
    check(V12, "SEND\na\rb:c\rd\n\n\0", "SEND{a<0d>b=c<0d>d}");
    check(V12, "SE\rND\n\n\0", "!protocol: unknown command SE?ND");
}

static void test_row_stomp_frames_any_number_of_eols_between_frames(void **state) {
    (void)state;
    check(V12, "\n\n\r\nACK\nid:1\n\n\0\n\r\n\r\n\nACK\nid:2\n\n\0\n", "ACK{id=1} ACK{id=2}");
    check(V11, "ACK\nid:1\n\n\0\r\n\nACK\nid:2\n\n\0\r\n", "ACK{id=1} ACK{id=2}");
    check(V10, "\r\n\n", "");
}

static void test_row_stomp_frames_a_lone_cr_between_frames_is_no_eol(void **state) {
    (void)state;
    check(V12, "\r\r\nACK\nid:1\n\n\0", "!protocol: unknown command ?");
    check(V12, "\n\rACK\nid:1\n\n\0", "!protocol: unknown command ?ACK");
    check(V11, "\r", "...");
}

static void test_row_heart_beating_eols_between_frames_are_no_frames(void **state) {
    (void)state;
    check(V12, "\n", "");
    check(V12, "\n\n\n\n", "");
    check(V12, "SEND\n\na\0\nSEND\n\nb\0\n", "SEND{}a SEND{}b");
}

static void test_row_stomp_frames_a_header_is_split_at_its_first_colon(void **state) {
    (void)state;
    check(V12, "SEND\na:b:c::\n\n\0", "SEND{a=b:c::}");
}

static void test_real_clients_bare_colons_on_1_1(void **state) {
    (void)state;
    check(V11, "SEND\ndestination:/topic/a:b\nurl:http://x:80/\n\n\0", "SEND{destination=/topic/a:b,url=http://x:80/}");
}

static void test_row_value_encoding_names_and_values_are_unescaped(void **state) {
    (void)state;
    check(V12, "SEND\na\\cb:\\n\\r\\\\\\c\n\n\0", "SEND{a:b=<0a><0d>\\:}");
    check(V11, "SEND\n\\\\:x\\ny\n\n\0", "SEND{\\=x<0a>y}");
    check(V12, "SEND\nfirst:\\\\n\nlast:z\n\nraw\\n\0", "SEND{first=\\n,last=z}raw\\n");
}

static void test_row_value_encoding_undefined_escapes_are_faults(void **state) {
    (void)state;
    check(V12, "SEND\na:\\t\n\n\0", "!protocol: a header has an undefined escape sequence");
    check(V11, "SEND\na:C\\x\n\n\0", "!protocol: a header has an undefined escape sequence");
    check(V12, "SEND\n\\a:b\n\n\0", "!protocol: a header has an undefined escape sequence");
    check(V12, "SEND\nok:1\na:b\\\n\n\0", "!protocol: a header has an undefined escape sequence");
    /* The name's last octet cannot escape the colon. */
    check(V12, "SEND\na\\:cb\n\n\0", "!protocol: a header has an undefined escape sequence");
}

static void test_real_clients_cr_escape_is_accepted_on_1_1(void **state) {
    (void)state;
    check(V11, "SEND\na:x\\ry\n\n\0", "SEND{a=x<0d>y}");
}

static void test_row_value_encoding_connect_and_stomp_are_not_unescaped(void **state) {
    (void)state;
    check(BEFORE_LOGIN, "CONNECT\npasscode:a\\tb\\\\:c\n\n\0", "CONNECT{passcode=a\\tb\\\\:c}");
    check(V12, "CONNECT\npasscode:\\n\n\n\0STOMP\npasscode:\\x\n\n\0", "CONNECT{passcode=\\n} STOMP{passcode=\\x}");
}

static void test_row_connect_or_stomp_is_accepted(void **state) {
    (void)state;
    check(BEFORE_LOGIN, "STOMP\naccept-version:1.1,1.2\n\n\0", "STOMP{accept-version=1.1,1.2}");
}

static void test_row_value_encoding_1_0_is_not_unescaped(void **state) {
    (void)state;
    check(V10, "SEND\na:\\n\\x\\\n\n\0", "SEND{a=\\n\\x\\}");
}

static void test_row_value_encoding_1_0_is_trimmed(void **state) {
    (void)state;
    check(V10, "SEND\ndestination: /queue/a \n\tx : y\tz\n\n body \0", "SEND{destination=/queue/a,x=y<09>z} body ");
}

static void test_row_value_encoding_1_1_and_later_are_not_trimmed(void **state) {
    (void)state;
    check(V11, "SEND\n a : b \n\n\0", "SEND{ a = b }");
    check(V12, "SEND\n a : b \n\n\0", "SEND{ a = b }");
    check(BEFORE_LOGIN, "CONNECT\nlogin: x\naccept-version:1.2\n\n\0", "CONNECT{login= x,accept-version=1.2}");
}

static void test_row_value_encoding_headers_must_be_utf_8(void **state) {
    (void)state;
    check(V12, "SEND\n\xc3\xa4:\xe2\x82\xac\xf0\x9f\x98\x80\n\n\0", "SEND{<c3><a4>=<e2><82><ac><f0><9f><98><80>}");
    check(V12, "SEND\na:\xff\n\n\0", "!encoding: the headers are not valid UTF-8");
    check(V12, "SEND\na\xc3:\xa4\n\n\0", "!encoding: the headers are not valid UTF-8");
    check(V10, "SEND\na:\xed\xa0\x80\n\n\0", "!encoding: the headers are not valid UTF-8");
    check(BEFORE_LOGIN, "CONNECT\nlogin:\xc0\x80\n\n\0", "!encoding: the headers are not valid UTF-8");
}

static void test_row_value_encoding_bodies_may_be_any_octets(void **state) {
    (void)state;
    check(V12, "SEND\n\n\xff\xfe\x01\0", "SEND{}<ff><fe><01>");
}

static void test_row_value_encoding_nul_in_command_or_headers_is_a_fault(void **state) {
    (void)state;
    check(V12, "\0", "!protocol: NUL within the command or headers");
    check(V12, "SE\0ND\n\n\0", "!protocol: NUL within the command or headers");
    check(V12, "SEND\0", "!protocol: NUL within the command or headers");
    check(V12, "SEND\na:\0b\n\n\0", "!protocol: NUL within the command or headers");
    check(V12, "SEND\na:b\n\0", "!protocol: NUL within the command or headers");
    check(V12, "SEND\n\na\0\0", "SEND{}a !protocol: NUL within the command or headers");
}

static void test_row_body_send_may_carry_one(void **state) {
    (void)state;
    check(V12, "SEND\ncontent-length:2\n\nab\0SEND\n\nab\n\0", "SEND{content-length=2}ab SEND{}ab<0a>");
}

static void test_row_body_no_other_frame_may_carry_one(void **state) {
    (void)state;
    check(BEFORE_LOGIN, "CONNECT\nlogin:a\n\nbody\0", "!protocol: CONNECT must not have a body");
    check(V12, "SUBSCRIBE\nid:1\n\n\n\0", "!protocol: SUBSCRIBE must not have a body");
    check(V12, "ACK\nid:1\ncontent-length:1\n\n", "!protocol: ACK must not have a body");
    check(V12, "DISCONNECT\ncontent-length:99999999999999999999\n\n", "!protocol: DISCONNECT must not have a body");
}

static void test_row_header_content_length_is_allowed_on_every_frame(void **state) {
    (void)state;
    check(BEFORE_LOGIN, "CONNECT\ncontent-length:0\n\n\0", "CONNECT{content-length=0}");
    check(V12, "ACK\nid:1\ncontent-length:000\n\n\0", "ACK{id=1,content-length=000}");
}

static void test_row_header_content_length_counts_octets_with_nuls(void **state) {
    (void)state;
    check(V12, "SEND\ncontent-length:5\n\na\0b\n\0\0", "SEND{content-length=5}a<00>b<0a><00>");
    check(V12, "SEND\ncontent-length:1\n\n\0\0SEND\n\nnext\0", "SEND{content-length=1}<00> SEND{}next");
    check(V12, "SEND\ncontent-length:0\n\n\0", "SEND{content-length=0}");
    check(V12, "SEND\ncontent-length:007\n\n\xe2\x82\xac\xe2\x82\xac!\0",
          "SEND{content-length=007}<e2><82><ac><e2><82><ac>!");
}

static void test_row_header_content_length_without_it_the_first_nul_ends_the_body(void **state) {
    (void)state;
    check(V12, "SEND\n\none\0SEND\n\ntwo\0", "SEND{}one SEND{}two");
    check(V12, "SEND\nContent-Length:9\n\nab\0", "SEND{Content-Length=9}ab");
}

static void test_row_header_content_length_nul_must_follow_the_body(void **state) {
    (void)state;
    check(V12, "SEND\ncontent-length:2\n\nabc\0", "!protocol: no NUL after the body of content-length 2 bytes");
    check(V12, "SEND\ncontent-length:0\n\nSEND\n\n\0", "!protocol: no NUL after the body of content-length 0 bytes");
    check(V12, "ACK\ncontent-length:0\n\n\n\0", "!protocol: no NUL after the body of content-length 0 bytes");
}

static void test_row_header_content_length_is_decimal_digits_only(void **state) {
    (void)state;
    check(V12, "SEND\ncontent-length:-1\n", "!protocol: content-length is not a decimal number");
    check(V12, "SEND\ncontent-length:+1\n", "!protocol: content-length is not a decimal number");
    check(V12, "SEND\ncontent-length:1a\n", "!protocol: content-length is not a decimal number");
    check(V12, "SEND\ncontent-length:0x1\n", "!protocol: content-length is not a decimal number");
    check(V12, "SEND\ncontent-length: 1\n", "!protocol: content-length is not a decimal number");
    check(V11, "SEND\ncontent-length:1 \n", "!protocol: content-length is not a decimal number");
    check(V11, "SEND\ncontent-length:1\r\n", "!protocol: content-length is not a decimal number");
    check(V12, "SEND\ncontent-length:\xd9\xa1\n", "!protocol: content-length is not a decimal number");
}

static void test_row_header_content_length_must_not_be_empty(void **state) {
    (void)state;
    check(V12, "SEND\ncontent-length:\n", "!protocol: content-length is empty");
    check(V12, "SEND\ncontent-length:\r\n", "!protocol: content-length is empty");
    check(V10, "SEND\ncontent-length: \n", "!protocol: content-length is empty");
}

static void test_row_header_content_length_may_be_padded_on_1_0_and_before_login(void **state) {
    (void)state;
    check(V10, "SEND\ncontent-length : 1\t\n\n\0\0", "SEND{content-length=1}<00>");
    check(BEFORE_LOGIN, "CONNECT\ncontent-length: 0\n\n\0", "CONNECT{content-length= 0}");
}

static void test_row_header_content_length_huge_or_overflowing_is_above_the_limit(void **state) {
    (void)state;
    static const char expected[] = "!size: the body is above the limit body-size (1048576 bytes)";
    check(V12, "SEND\ncontent-length:1048577\n\n", expected);
    check(V12, "SEND\ncontent-length:18446744073709551615\n\n", expected);
    check(V12, "SEND\ncontent-length:18446744073709551616\n\n", expected);
    check(V12, "SEND\ncontent-length:18446744073709551617\n\n", expected);
    check(V12, "SEND\ncontent-length:99999999999999999999999999999999999999999999999999\n\n", expected);
}

static void test_row_repeated_header_entries_first_content_length_counts(void **state) {
    (void)state;
    check(V12, "SEND\ncontent-length:1\ncontent-length:5\n\na\0", "SEND{content-length=1,content-length=5}a");
    check(V12, "SEND\ncontent-length:0\ncontent-length:x\n\n\0", "SEND{content-length=0,content-length=x}");
}

static void test_row_repeated_header_entries_are_all_kept_in_order(void **state) {
    (void)state;
    check(V12, "SEND\nfoo:1\nbar:x\nfoo:2\n\n\0", "SEND{foo=1,bar=x,foo=2}");
}

static void test_row_client_frames_unknown_command_is_a_fault_once_its_line_ends(void **state) {
    (void)state;
    check(BEFORE_LOGIN, "GET / HTTP/1.1\r\n", "!protocol: unknown command GET / HTTP/1.1");
    check(V12, "send\n", "!protocol: unknown command send");
    check(V12, "MESSAGE\n", "!protocol: unknown command MESSAGE");
    check(V12, " SEND\n", "!protocol: unknown command  SEND");
    check(V12, "\xff\\\x7f\n", "!protocol: unknown command ???");
    check(V12, "ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFGHIJKLMNOPQRSTUVWXYZ\n",
          "!protocol: unknown command ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEF");
    check(V12, "SENDX", "...");
}

static void test_truncated_frames_wait(void **state) {
    (void)state;
    check(V12, "S", "...");
    check(V12, "SEND\n", "...");
    check(V12, "SEND\na:b\n\n", "...");
    check(V12, "SEND\na:b\n\nbody", "...");
    check(V12, "SEND\ncontent-length:3\n\nabc", "...");
    check(V12, "ACK\nid:1\n\n\0SEND", "ACK{id=1} ...");
}

static void test_frames_before_a_fault_still_come_out(void **state) {
    (void)state;
    check(V12, "ACK\nid:1\n\n\0ACK\nid:2\n\n\0BAD\n", "ACK{id=1} ACK{id=2} !protocol: unknown command BAD");
}

static void test_row_size_limits_header_size(void **state) {
    (void)state;
    static const struct stomp_parser_limits limits = {
        .frame_size = 1000, .body_size = 1000, .headers = HEADERS, .header_size = 10, .frame_size_key = "frame-size"};
    static const char expected[] = "!size: a header line is above the limit header-size (10 bytes)";
    check_limits(V12, limits, "SEND\nabcd:56789\n\n\0", "SEND{abcd=56789}");
    check_limits(V12, limits, "SEND\r\nabcd:56789\r\n\r\n\0", "SEND{abcd=56789}");
    check_limits(V12, limits, "SEND\nabcd:567890\n", expected);
    check_limits(V12, limits, "SEND\nabcd:567890", expected);
    check_limits(V12, limits, "SEND\nabcd:56789\rx", expected);
    check_limits(V11, limits, "SEND\nabcd:56789\r", expected);
    check_limits(V12, limits, "SEND\nabcd:567890\0", expected);
    check_limits(V12, limits, "UNSUBSCRIBE\n", expected);
    check_limits(V12, limits, "garbage garbage", expected);
    check_limits(V12, limits, "SEND\nabcd:56789\0", "!protocol: NUL within the command or headers");
}

static void test_row_size_limits_number_of_headers(void **state) {
    (void)state;
    check(V12, "SEND\na:1\nb:2\nc:3\nd:4\ne:5\nf:6\ng:7\nh:8\n\n\0", "SEND{a=1,b=2,c=3,d=4,e=5,f=6,g=7,h=8}");
    check(V12, "SEND\na:1\nb:2\nc:3\nd:4\ne:5\nf:6\ng:7\nh:8\ni:9\n",
          "!size: the frame is above the limit headers (8)");
}

static void test_row_size_limits_body_size(void **state) {
    (void)state;
    static const struct stomp_parser_limits limits = {
        .frame_size = 1000, .body_size = 4, .headers = HEADERS, .header_size = 100, .frame_size_key = "frame-size"};
    static const char expected[] = "!size: the body is above the limit body-size (4 bytes)";
    check_limits(V12, limits, "SEND\n\nabcd\0", "SEND{}abcd");
    check_limits(V12, limits, "SEND\n\nabcde", expected);
    check_limits(V12, limits, "SEND\ncontent-length:4\n\nabcd\0", "SEND{content-length=4}abcd");
    check_limits(V12, limits, "SEND\ncontent-length:5\n\n", expected);
}

static void test_row_size_limits_frame_size_and_its_key(void **state) {
    (void)state;
    static const struct stomp_parser_limits limits = {.frame_size = 30,
                                                      .body_size = 1000,
                                                      .headers = HEADERS,
                                                      .header_size = 100,
                                                      .frame_size_key = "frame-size-before-login"};
    static const char expected[] = "!size: the frame is above the limit frame-size-before-login (30 bytes)";
    /* The digits are the frame's 7th octet to its 29th. */
    check_limits(V12, limits, "SEND\n\n78901234567890123456789\0", "SEND{}78901234567890123456789");
    check_limits(V12, limits, "SEND\n\n789012345678901234567890\0", expected);
    check_limits(V12, limits, "SEND\n\n789012345678901234567890", "...");
    check_limits(V12, limits, "SEND\ncontent-length:6\n\n456789\0", "SEND{content-length=6}456789");
    check_limits(V12, limits, "SEND\ncontent-length:7\n\n", expected);
    check_limits(V12, limits, "SEND\na:8901234567890123456789012\n", expected);
    check_limits(V12, limits, "SEND\na:890123456789012345678\n\n\0", expected);
    check_limits(V12, limits, "SEND\na:b\n\nc\0SEND\na:b\n\nd\0SEND\na:b\n\ne\0", "SEND{a=b}c SEND{a=b}d SEND{a=b}e");
}

static void test_row_size_limits_a_length_that_could_wrap_is_above_the_limits(void **state) {
    (void)state;
    static const struct stomp_parser_limits limits = {.frame_size = 1000,
                                                      .body_size = SIZE_MAX,
                                                      .headers = HEADERS,
                                                      .header_size = 100,
                                                      .frame_size_key = "frame-size"};
    check_limits(V12, limits, "SEND\ncontent-length:18446744073709551615\n\n",
                 "!size: the frame is above the limit frame-size (1000 bytes)");
    check_limits(V12, limits, "SEND\ncontent-length:18446744073709551580\n\n",
                 "!size: the frame is above the limit frame-size (1000 bytes)");
}

/* From here on: what the transcripts cannot show. */

static enum stomp_parse feed(struct player *player, char *bytes, size_t len) {
    size_t used;
    return stomp_parser_feed(&player->parser, bytes, len, &used);
}

static bool lies_within(struct bytes part, const char *whole, size_t len) {
    return part.data >= whole && part.data + part.len <= whole + len;
}

static void test_a_whole_frame_is_decoded_within_the_input_without_heap(void **state) {
    (void)state;
    struct player player;
    player_start(&player, V12, &roomy);
    char input[] = "SEND\na:\\c\\c\n\nbody";
    assert_int_equal(feed(&player, input, sizeof input), STOMP_PARSE_FRAME);
    assert_true(stomp_parser_take(&player.parser, &player.frame));
    assert_null(player.parser.buffer.data);
    assert_true(lies_within(player.headers[0].name, input, sizeof input));
    assert_true(lies_within(player.headers[0].value, input, sizeof input));
    assert_true(lies_within(player.frame.body, input, sizeof input));
}

static void test_input_behind_a_frame_is_not_used(void **state) {
    (void)state;
    struct player player;
    player_start(&player, V12, &roomy);
    char input[] = "\nACK\nid:1\n\n\0\nACK\nid:2\n\n";
    size_t used;
    assert_int_equal(stomp_parser_feed(&player.parser, input, sizeof input, &used), STOMP_PARSE_FRAME);
    assert_int_equal(used, sizeof "\nACK\nid:1\n\n");
    assert_int_equal(player.parser.command, STOMP_ACK);
}

static void test_a_complete_frame_waits_until_it_is_taken(void **state) {
    (void)state;
    struct player player;
    player_start(&player, V12, &roomy);
    char input[] = "SEND\n\none";
    char next[] = "SEND\n\ntwo";
    size_t used = 99;
    assert_int_equal(feed(&player, input, sizeof input), STOMP_PARSE_FRAME);
    assert_int_equal(stomp_parser_feed(&player.parser, next, sizeof next, &used), STOMP_PARSE_FRAME);
    assert_int_equal(used, 0);
    assert_true(stomp_parser_has_frame(&player.parser));
    assert_true(stomp_parser_take(&player.parser, &player.frame));
    assert_memory_equal(player.frame.body.data, "one", 3);
    assert_false(stomp_parser_has_frame(&player.parser));
    assert_int_equal(feed(&player, next, sizeof next), STOMP_PARSE_FRAME);
}

static void test_the_buffer_of_a_split_frame_is_given_back_by_the_next_feed(void **state) {
    (void)state;
    struct player player;
    player_start(&player, V12, &roomy);
    char input[] = "SEND\n\nsplit";
    assert_int_equal(feed(&player, input, 4), STOMP_PARSE_MORE);
    assert_non_null(player.parser.buffer.data);
    assert_int_equal(feed(&player, input + 4, sizeof input - 4), STOMP_PARSE_FRAME);
    assert_true(stomp_parser_take(&player.parser, &player.frame));
    assert_memory_equal(player.frame.body.data, "split", 5);
    assert_int_equal(feed(&player, NULL, 0), STOMP_PARSE_MORE);
    assert_null(player.parser.buffer.data);
}

static void test_a_split_cr_lf_between_frames_leaves_no_buffer(void **state) {
    (void)state;
    struct player player;
    player_start(&player, V12, &roomy);
    char input[] = "\r\n";
    assert_int_equal(feed(&player, input, 1), STOMP_PARSE_MORE);
    assert_int_equal(feed(&player, input + 1, 1), STOMP_PARSE_MORE);
    assert_null(player.parser.buffer.data);
    assert_false(stomp_parser_is_mid_frame(&player.parser));
}

static void test_a_fault_is_for_ever_and_leaves_no_buffer(void **state) {
    (void)state;
    struct player player;
    player_start(&player, V12, &roomy);
    char bad[] = "SEND\nbad\n";
    char good[] = "SEND\n\n";
    assert_int_equal(feed(&player, bad, 7), STOMP_PARSE_MORE);
    assert_int_equal(feed(&player, bad + 7, 2), STOMP_PARSE_FAULT);
    assert_null(player.parser.buffer.data);
    assert_int_equal(feed(&player, good, sizeof good), STOMP_PARSE_FAULT);
    assert_int_equal(feed(&player, NULL, 0), STOMP_PARSE_FAULT);
    assert_false(stomp_parser_is_mid_frame(&player.parser));
    assert_false(stomp_parser_has_frame(&player.parser));
}

static void test_a_fault_while_taking_is_for_ever_and_leaves_no_buffer(void **state) {
    (void)state;
    struct player player;
    player_start(&player, V12, &roomy);
    char bad[] = "SEND\na:\\q\n\n";
    char good[] = "SEND\n\n";
    assert_int_equal(feed(&player, bad, 5), STOMP_PARSE_MORE);
    assert_int_equal(feed(&player, bad + 5, sizeof bad - 5), STOMP_PARSE_FRAME);
    assert_false(stomp_parser_take(&player.parser, &player.frame));
    assert_null(player.parser.buffer.data);
    assert_int_equal(feed(&player, good, sizeof good), STOMP_PARSE_FAULT);
}

static void test_a_header_array_too_small_is_a_fault_not_an_overrun(void **state) {
    (void)state;
    struct player player;
    player_start(&player, V12, &roomy);
    player.frame.header_capacity = 1;
    char input[] = "SEND\na:1\nb:2\n\n";
    assert_int_equal(feed(&player, input, sizeof input), STOMP_PARSE_FRAME);
    assert_false(stomp_parser_take(&player.parser, &player.frame));
    assert_int_equal(player.fault.kind, FAULT_SIZE);
}

static void test_mid_frame_is_between_its_first_byte_and_its_nul(void **state) {
    (void)state;
    struct player player;
    player_start(&player, V12, &roomy);
    char input[] = "\nSEND\ncontent-length:1\n\nx";
    for (size_t i = 0; i < sizeof input; i++) {
        feed(&player, input + i, 1);
        assert_int_equal(stomp_parser_is_mid_frame(&player.parser), i > 0 && i < sizeof input - 1);
    }
    stomp_parser_free(&player.parser);
}

static void test_login_brings_the_rules_of_the_version_and_its_limits(void **state) {
    (void)state;
    static const struct stomp_parser_limits before = {.frame_size = 40,
                                                      .body_size = 1000,
                                                      .headers = HEADERS,
                                                      .header_size = 100,
                                                      .frame_size_key = "frame-size-before-login"};
    struct player player;
    player_start(&player, BEFORE_LOGIN, &before);
    char connect[] = "CONNECT\r\naccept-version:1.1\r\n\r\n";
    assert_true(feed_piece(&player, connect, sizeof connect, false));
    stomp_parser_login(&player.parser, STOMP_1_1, &roomy);
    char send[] = "SEND\na: \\c\n\n0123456789012345678901234567890123456789";
    assert_true(feed_piece(&player, send, sizeof send, false));
    char crlf[] = "SEND\r\n";
    assert_false(feed_piece(&player, crlf, sizeof crlf - 1, false));
    player.transcript[player.len] = '\0';
    assert_string_equal(player.transcript, "CONNECT{accept-version=1.1} "
                                           "SEND{a= :}0123456789012345678901234567890123456789");
}

/* What a frame has when its limits are lowered below that, and what then ends it. */
static void test_limits_lowered_within_a_frame_hold_for_its_rest(void **state) {
    (void)state;
    static const struct {
        const char *before;
        const char *next;
        const char *limit;
    } rows[] = {{"SEND\na:b\na:b\na:b\n", "a:b\n", "headers"},
                {"SEND\na:012345678901234567890123456789012345678901234567", "\n", "header-size"},
                {"SEND\na:b\na:b\na:b\na:b\na:b\na:b\na:b\na:b\n", "a", "frame-size"},
                {"SEND\n\n0123456789012345678901234567890123456789", "0", "frame-size"},
                {"SEND\ncontent-length:50\n\n012345678901234567890123456789", "0", "frame-size"},
                {"SEND\n\n01234567890123456789", "0", "body-size"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct stomp_parser_limits limits = roomy;
        struct player player;
        player_start(&player, V12, &limits);
        for (const char *at = rows[i].before; *at; at++)
            assert_int_equal(feed(&player, &(char){*at}, 1), STOMP_PARSE_MORE);
        limits.headers = 2;
        limits.header_size = 40;
        limits.frame_size = 30;
        limits.body_size = 10;
        if (strcmp(rows[i].limit, "frame-size") != 0)
            limits.frame_size = roomy.frame_size;
        for (const char *at = rows[i].next; *at && player.fault.kind == FAULT_NONE; at++)
            feed(&player, &(char){*at}, 1);
        assert_int_equal(player.fault.kind, FAULT_SIZE);
        assert_non_null(strstr(player.fault.message, rows[i].limit));
    }
}

/* A parser that looked at a frame again and again would take minutes over this. */
static void test_a_long_body_byte_by_byte(void **state) {
    (void)state;
    static const char *const heads[] = {"SEND\n\n", "SEND\ncontent-length:1048576\n\n"};
    for (size_t i = 0; i < 2; i++) {
        struct player player;
        player_start(&player, V12, &roomy);
        for (const char *at = heads[i]; *at; at++)
            assert_int_equal(feed(&player, &(char){*at}, 1), STOMP_PARSE_MORE);
        for (size_t n = 0; n < roomy.body_size; n++)
            assert_int_equal(feed(&player, &(char){'x'}, 1), STOMP_PARSE_MORE);
        assert_int_equal(feed(&player, &(char){'\0'}, 1), STOMP_PARSE_FRAME);
        assert_true(stomp_parser_take(&player.parser, &player.frame));
        assert_int_equal(player.frame.body.len, roomy.body_size);
        stomp_parser_free(&player.parser);
    }
}

static void test_a_known_length_is_reserved_once(void **state) {
    (void)state;
    struct player player;
    player_start(&player, V12, &roomy);
    char head[] = "SEND\ncontent-length:100000\n\nx";
    assert_int_equal(feed(&player, head, sizeof head - 1), STOMP_PARSE_MORE);
    const char *data = player.parser.buffer.data;
    char body[1000] = {0};
    for (size_t i = 0; i < 99; i++)
        assert_int_equal(feed(&player, body, sizeof body), STOMP_PARSE_MORE);
    assert_int_equal(feed(&player, body, 999), STOMP_PARSE_MORE);
    assert_int_equal(feed(&player, body, 1), STOMP_PARSE_FRAME);
    assert_ptr_equal(player.parser.buffer.data, data);
    stomp_parser_free(&player.parser);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_row_stomp_frames_every_command_of_a_client),
        cmocka_unit_test(test_row_stomp_frames_a_frame_may_have_no_headers),
        cmocka_unit_test(test_row_stomp_frames_values_may_be_empty),
        cmocka_unit_test(test_row_stomp_frames_a_header_needs_a_name),
        cmocka_unit_test(test_row_stomp_frames_a_header_needs_a_colon),
        cmocka_unit_test(test_row_stomp_frames_eol_may_be_cr_lf_on_1_2_and_before_login),
        cmocka_unit_test(test_row_stomp_frames_eol_is_lf_alone_on_1_0_and_1_1),
        cmocka_unit_test(test_row_stomp_frames_a_cr_that_ends_no_line_is_text),
        cmocka_unit_test(test_row_stomp_frames_any_number_of_eols_between_frames),
        cmocka_unit_test(test_row_stomp_frames_a_lone_cr_between_frames_is_no_eol),
        cmocka_unit_test(test_row_heart_beating_eols_between_frames_are_no_frames),
        cmocka_unit_test(test_row_stomp_frames_a_header_is_split_at_its_first_colon),
        cmocka_unit_test(test_real_clients_bare_colons_on_1_1),
        cmocka_unit_test(test_row_value_encoding_names_and_values_are_unescaped),
        cmocka_unit_test(test_row_value_encoding_undefined_escapes_are_faults),
        cmocka_unit_test(test_real_clients_cr_escape_is_accepted_on_1_1),
        cmocka_unit_test(test_row_value_encoding_connect_and_stomp_are_not_unescaped),
        cmocka_unit_test(test_row_connect_or_stomp_is_accepted),
        cmocka_unit_test(test_row_value_encoding_1_0_is_not_unescaped),
        cmocka_unit_test(test_row_value_encoding_1_0_is_trimmed),
        cmocka_unit_test(test_row_value_encoding_1_1_and_later_are_not_trimmed),
        cmocka_unit_test(test_row_value_encoding_headers_must_be_utf_8),
        cmocka_unit_test(test_row_value_encoding_bodies_may_be_any_octets),
        cmocka_unit_test(test_row_value_encoding_nul_in_command_or_headers_is_a_fault),
        cmocka_unit_test(test_row_body_send_may_carry_one),
        cmocka_unit_test(test_row_body_no_other_frame_may_carry_one),
        cmocka_unit_test(test_row_header_content_length_is_allowed_on_every_frame),
        cmocka_unit_test(test_row_header_content_length_counts_octets_with_nuls),
        cmocka_unit_test(test_row_header_content_length_without_it_the_first_nul_ends_the_body),
        cmocka_unit_test(test_row_header_content_length_nul_must_follow_the_body),
        cmocka_unit_test(test_row_header_content_length_is_decimal_digits_only),
        cmocka_unit_test(test_row_header_content_length_must_not_be_empty),
        cmocka_unit_test(test_row_header_content_length_may_be_padded_on_1_0_and_before_login),
        cmocka_unit_test(test_row_header_content_length_huge_or_overflowing_is_above_the_limit),
        cmocka_unit_test(test_row_repeated_header_entries_first_content_length_counts),
        cmocka_unit_test(test_row_repeated_header_entries_are_all_kept_in_order),
        cmocka_unit_test(test_row_client_frames_unknown_command_is_a_fault_once_its_line_ends),
        cmocka_unit_test(test_truncated_frames_wait),
        cmocka_unit_test(test_frames_before_a_fault_still_come_out),
        cmocka_unit_test(test_row_size_limits_header_size),
        cmocka_unit_test(test_row_size_limits_number_of_headers),
        cmocka_unit_test(test_row_size_limits_body_size),
        cmocka_unit_test(test_row_size_limits_frame_size_and_its_key),
        cmocka_unit_test(test_row_size_limits_a_length_that_could_wrap_is_above_the_limits),
        cmocka_unit_test(test_a_whole_frame_is_decoded_within_the_input_without_heap),
        cmocka_unit_test(test_input_behind_a_frame_is_not_used),
        cmocka_unit_test(test_a_complete_frame_waits_until_it_is_taken),
        cmocka_unit_test(test_the_buffer_of_a_split_frame_is_given_back_by_the_next_feed),
        cmocka_unit_test(test_a_split_cr_lf_between_frames_leaves_no_buffer),
        cmocka_unit_test(test_a_fault_is_for_ever_and_leaves_no_buffer),
        cmocka_unit_test(test_a_fault_while_taking_is_for_ever_and_leaves_no_buffer),
        cmocka_unit_test(test_a_header_array_too_small_is_a_fault_not_an_overrun),
        cmocka_unit_test(test_mid_frame_is_between_its_first_byte_and_its_nul),
        cmocka_unit_test(test_login_brings_the_rules_of_the_version_and_its_limits),
        cmocka_unit_test(test_limits_lowered_within_a_frame_hold_for_its_rest),
        cmocka_unit_test(test_a_long_body_byte_by_byte),
        cmocka_unit_test(test_a_known_length_is_reserved_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
