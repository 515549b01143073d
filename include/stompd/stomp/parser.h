/*
 * Incremental parser of client frames. Fed any pieces, from single bytes to many frames at once, it finds the same
 * frames. A frame that lies whole in the input is decoded in place (the input is overwritten by unescaping); only a
 * split one is copied into the parser's own buffer, which is given back once that frame is done, so an idle parser
 * costs no heap.
 *
 *     while ((found = stomp_parser_feed(parser, bytes, len, &used)) == STOMP_PARSE_FRAME) {
 *         parser->command says which; stomp_parser_take(), or stomp_parser_hold() and leave
 *         bytes += used, len -= used;
 *     }
 *     STOMP_PARSE_MORE:  all was used; wait for input
 *     STOMP_PARSE_FAULT: parser->fault says what; the connection is lost
 *
 * Do not stop at len 0: the feed after a taken frame, even of nothing, is what gives that frame's buffer back.
 *
 * Rules (1.2 unless said):
 * - "STOMP Frames" and "Augmented BNF": EOL is [CR] LF in 1.2 and before login, LF alone in 1.0 and 1.1; any number of
 *   EOLs (CR LF too) between frames; a header needs a name and a colon and is split at its first colon. An unknown
 *   command and a malformed header are faults as soon as their line ends, a NUL within command or headers at once.
 * - "Body": only SEND may carry one. "Header content-length": allowed on every frame, decimal digits only, the first
 *   entry counts, a NUL must follow the body.
 * - "Value Encoding": header text must be UTF-8; names and values are unescaped but in CONNECT, STOMP and version 1.0:
 *   \n \c \\ and \r (taken on 1.1 too: Spring sends it); any other escape is a fault.
 * - 1.0: blanks around names and values are dropped (stomp_frame_trim()). A CONNECT is left as it is: only its reader
 *   knows the client's version.
 */
#ifndef STOMPD_STOMP_PARSER_H
#define STOMPD_STOMP_PARSER_H

#include <stdint.h>

#include "stompd/base/buffer.h"
#include "stompd/stomp/fault.h"
#include "stompd/stomp/frame.h"
#include "stompd/stomp/version.h"

/* Over a limit: FAULT_SIZE and a message that names the limit by its conf key, such as "header-size". */
struct stomp_parser_limits {
    size_t frame_size;          /* bytes of a whole frame: conf key frame-size (frame_size_key names another one) */
    size_t body_size;           /* bytes of a body */
    size_t headers;             /* headers of a frame; also what a stomp_frame's array must hold */
    size_t header_size;         /* bytes of one header line or of the command line, without EOL */
    const char *frame_size_key; /* "frame-size" or "frame-size-before-login" */
};

enum stomp_parse { STOMP_PARSE_MORE, STOMP_PARSE_FRAME, STOMP_PARSE_FAULT };

enum stomp_parser_state {
    STOMP_PARSER_BETWEEN, /* EOLs before a frame */
    STOMP_PARSER_COMMAND,
    STOMP_PARSER_HEADERS,
    STOMP_PARSER_BODY,     /* content-length known */
    STOMP_PARSER_BODY_NUL, /* up to the first NUL */
    STOMP_PARSER_COMPLETE, /* found, not taken yet */
    STOMP_PARSER_FAULTY
};

struct stomp_parser {
    const struct stomp_parser_limits *limits; /* borrowed; their values may change between two feeds */
    enum stomp_version version;
    bool logged_in; /* false: EOL may be CR LF, and version is 1.0, the laxest */
    enum stomp_parser_state state;
    enum stomp_command command; /* of the frame that is being read or complete */
    struct buffer buffer;       /* the start of a split frame, or a held one */
    char *frame;                /* where the frame begins: in the input or in the buffer */
    size_t frame_len;           /* bytes of it seen so far */
    size_t line_start;          /* offset of the current line */
    size_t head_len;            /* offset of the body */
    size_t header_count;
    size_t body_len; /* by content-length, else counted */
    bool has_content_length;
    bool has_reply_to;   /* known before the frame is taken, for who has to prepare for the reply */
    struct fault *fault; /* borrowed; filled on STOMP_PARSE_FAULT */
};

/* `fault` is where faults are told, one may serve all parsers of a thread. */
void stomp_parser_init(struct stomp_parser *parser, const struct stomp_parser_limits *limits, struct fault *fault);

/* From now on the session's version and limits hold. Not while a frame is complete or half-read. */
void stomp_parser_login(struct stomp_parser *parser, enum stomp_version version,
                        const struct stomp_parser_limits *limits);

/*
 * Reads on. *used says how many of the `len` bytes were taken: all on MORE, up to the end of the frame on FRAME. While
 * a complete frame waits to be taken it uses nothing and returns FRAME again; after a fault it returns FAULT for ever.
 * The bytes must be writable.
 */
enum stomp_parse stomp_parser_feed(struct stomp_parser *parser, char *bytes, size_t len, size_t *used);

/*
 * Decodes the complete frame into `frame` (whose headers array the caller owns and which must hold limits->headers)
 * and makes the parser ready for the next one. The frame's bytes are valid until the next feed, hold or free. False:
 * parser->fault says why (bad escape, bad UTF-8), and the parser is faulty.
 */
MUST_CHECK bool stomp_parser_take(struct stomp_parser *parser, struct stomp_frame *frame);

/* Keeps the complete frame although the input it lies in goes away. False when out of memory. */
MUST_CHECK bool stomp_parser_hold(struct stomp_parser *parser);

/* True while a frame has begun and is not complete: what a slow sender is timed by. */
bool stomp_parser_is_mid_frame(const struct stomp_parser *parser);

/* True while a complete frame waits to be taken. */
static inline bool stomp_parser_has_frame(const struct stomp_parser *parser) {
    return parser->state == STOMP_PARSER_COMPLETE;
}

/* Gives its memory back; the parser must be initialised again before use. */
void stomp_parser_free(struct stomp_parser *parser);

#endif
