/* The few compiler attributes that headers use, so that gcc and clang are named in one place. */
#ifndef STOMPD_BASE_COMPILER_H
#define STOMPD_BASE_COMPILER_H

#include <stddef.h>

/* The caller must look at the result. */
#define MUST_CHECK __attribute__((warn_unused_result))

/* Off the usual way, which it must cost nothing, not even saved registers. */
#define SELDOM __attribute__((cold, noinline))

/* printf-like: `text` is the index of the format argument, `first` that of the first value. */
#define PRINTF_LIKE(text, first) __attribute__((format(printf, text, first)))

/* From a pointer to a member to the struct that holds it. */
#define CONTAINER_OF(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))

#endif
