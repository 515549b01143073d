/* Numbers as texts have them: decimal digits and nothing else. */
#ifndef STOMPD_BASE_DECIMAL_H
#define STOMPD_BASE_DECIMAL_H

#include <stdint.h>

#include "stompd/base/bytes.h"
#include "stompd/base/compiler.h"

/* One too large counts as the largest. False: it is no such number, or empty. */
MUST_CHECK bool decimal_read(struct bytes text, uint64_t *number);

/* Digits of the largest number. */
#define DECIMAL_DIGITS 20

/* Writes the digits, without a NUL, and returns their end. There must be room for DECIMAL_DIGITS. */
char *decimal_write(char *to, uint64_t number);

#endif
