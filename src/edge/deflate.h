/*
 * Private to edge/: permessage-deflate (RFC 7692) with zlib, without context takeover in either direction, so that
 * connections keep no state between messages: one compressor a worker, and a decompressor only while a message is
 * coming in. libwebsockets' own implementation loses data of messages that compress well, or aborts the process on
 * them.
 */
#ifndef STOMPD_EDGE_DEFLATE_H
#define STOMPD_EDGE_DEFLATE_H

#include "stompd/base/buffer.h"

/* What our side answers to an offer, behind the extension's name. */
#define DEFLATE_PARAMETERS "; server_no_context_takeover; client_no_context_takeover"

struct compressor;
struct inflater;

/* A worker's; NULL when out of memory. */
MUST_CHECK struct compressor *compressor_new(void);
/* NULL is allowed. */
void compressor_free(struct compressor *compressor);

/*
 * Compresses a whole message into `packed`, which is overwritten. False: send it as it is (too small, not smaller, or
 * out of memory).
 */
bool compressor_pack(struct compressor *compressor, struct bytes plain, struct buffer *packed);

/* For one incoming message; NULL when out of memory. */
struct inflater *inflater_begin(struct compressor *compressor);

/* Gives it back when the message is complete or the connection goes. NULL is allowed. */
void inflater_end(struct compressor *compressor, struct inflater *inflater);

/*
 * Decompresses the next bytes of the message. What comes out goes to `take` in pieces, which returns false to have no
 * more. False: the bytes are no deflate stream.
 */
MUST_CHECK bool inflater_feed(struct inflater *inflater, struct bytes packed,
                              bool (*take)(void *arg, char *bytes, size_t len), void *arg);

/* The last bytes are fed: the four that every sender leaves out (section 7.2.2) follow. */
MUST_CHECK bool inflater_finish(struct inflater *inflater, bool (*take)(void *arg, char *bytes, size_t len), void *arg);

#endif
