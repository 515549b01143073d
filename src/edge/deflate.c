/* permessage-deflate on zlib; see deflate.h. */
#include "deflate.h"

#include <stdint.h>
#include <stdlib.h>
#include <zlib.h>

/* A raw deflate stream with the largest window. */
#define WINDOW_BITS (-15)

/* Resetting the compressor's tables costs more than it saves on small messages; so their tables are small. */
#define LEVEL        1
#define MEMORY_LEVEL 5

/* Below this many bytes compression rarely gains anything. */
#define WORTHWHILE 128

#define INFLATED_PIECE 16384

/* What Z_SYNC_FLUSH ends with, and what is not sent. */
static const char trailer[] = {0x00, 0x00, (char)0xff, (char)0xff};

struct inflater {
    z_stream stream;
    char out[INFLATED_PIECE];
};

struct compressor {
    z_stream stream;
    struct inflater *spare;
};

struct compressor *compressor_new(void) {
    struct compressor *compressor = calloc(1, sizeof *compressor);
    if (!compressor)
        return NULL;
    if (deflateInit2(&compressor->stream, LEVEL, Z_DEFLATED, WINDOW_BITS, MEMORY_LEVEL, Z_DEFAULT_STRATEGY) != Z_OK) {
        free(compressor);
        return NULL;
    }
    return compressor;
}

static void inflater_free(struct inflater *inflater) {
    if (!inflater)
        return;
    inflateEnd(&inflater->stream);
    free(inflater);
}

void compressor_free(struct compressor *compressor) {
    if (!compressor)
        return;
    deflateEnd(&compressor->stream);
    inflater_free(compressor->spare);
    free(compressor);
}

bool compressor_pack(struct compressor *compressor, struct bytes plain, struct buffer *packed) {
    z_stream *stream = &compressor->stream;
    packed->len = 0;
    if (plain.len < WORTHWHILE || !buffer_reserve(packed, plain.len))
        return false;
    deflateReset(stream);
    stream->next_in = (Bytef *)(uintptr_t)plain.data;
    stream->avail_in = (uInt)plain.len;
    stream->next_out = (Bytef *)packed->data;
    stream->avail_out = (uInt)plain.len;
    /* Room that is used up to the last byte means that it has not become smaller. */
    if (deflate(stream, Z_SYNC_FLUSH) != Z_OK || stream->avail_in > 0 || stream->avail_out == 0)
        return false;
    packed->len = plain.len - stream->avail_out - sizeof trailer;
    return true;
}

struct inflater *inflater_begin(struct compressor *compressor) {
    struct inflater *inflater = compressor->spare;
    compressor->spare = NULL;
    if (inflater) {
        inflateReset(&inflater->stream);
        return inflater;
    }
    inflater = calloc(1, sizeof *inflater);
    if (inflater && inflateInit2(&inflater->stream, WINDOW_BITS) != Z_OK) {
        free(inflater);
        inflater = NULL;
    }
    return inflater;
}

void inflater_end(struct compressor *compressor, struct inflater *inflater) {
    if (!compressor->spare)
        compressor->spare = inflater;
    else
        inflater_free(inflater);
}

bool inflater_feed(struct inflater *inflater, struct bytes packed, bool (*take)(void *arg, char *bytes, size_t len),
                   void *arg) {
    z_stream *stream = &inflater->stream;
    stream->next_in = (Bytef *)(uintptr_t)packed.data;
    stream->avail_in = (uInt)packed.len;
    do {
        stream->next_out = (Bytef *)inflater->out;
        stream->avail_out = INFLATED_PIECE;
        int result = inflate(stream, Z_SYNC_FLUSH);
        if (result == Z_STREAM_END)
            inflateReset(stream); /* a final block within the message: legal, and what follows is a new one */
        else if (result != Z_OK && result != Z_BUF_ERROR)
            return false;
        size_t len = INFLATED_PIECE - stream->avail_out;
        if (len > 0 && !take(arg, inflater->out, len))
            return true;
        if (result == Z_BUF_ERROR && len == 0)
            return true;
    } while (stream->avail_in > 0 || stream->avail_out == 0);
    return true;
}

bool inflater_finish(struct inflater *inflater, bool (*take)(void *arg, char *bytes, size_t len), void *arg) {
    return inflater_feed(inflater, (struct bytes){trailer, sizeof trailer}, take, arg);
}
