/*
 * Private to edge/: the receive buffers of WebSockets. libwebsockets reads no more at a time than such a buffer holds, so
 * a busy publisher needs a large one; yet it reads into a buffer of the worker's and hands payload over from there. In
 * the socket's own it keeps only the payload of control frames. So these buffers are pages of their own, of one mapping
 * for the process: as long as nothing is written to a page, it costs no memory.
 */
#ifndef STOMPD_EDGE_RECEIVE_BUFFERS_H
#define STOMPD_EDGE_RECEIVE_BUFFERS_H

#include <stddef.h>

/*
 * What a protocol asks for. With TLS it must be as large as pt_serv_buf_size, or libwebsockets 4.1 loops for ever on a
 * paused socket with decrypted data pending.
 */
#define RECEIVE_BUFFER_SIZE 16384

/*
 * Reserves addresses for so many buffers; once for the process, later calls change nothing. Where that fails, and
 * beyond so many, buffers come from the heap, and cost more.
 */
void receive_buffers_open(size_t most);

/* For lws_set_allocator(): like realloc(), and free() for a size of 0. Any thread. */
void *receive_buffers_allocate(void *block, size_t size, const char *reason);

/* Gives back what was written to the buffer that holds this address; from now on it reads as zeros. */
void receive_buffer_clear(void *within);

#endif
