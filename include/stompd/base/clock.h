/* Time as the daemon counts it: milliseconds of the monotonic clock. */
#ifndef STOMPD_BASE_CLOCK_H
#define STOMPD_BASE_CLOCK_H

#include <stdint.h>

/* Milliseconds since an arbitrary start, never going back. Never 0, so that 0 may mean "no time". */
uint64_t clock_ms(void);

#endif
