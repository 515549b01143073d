/* Time as the daemon counts it: milliseconds of the monotonic clock; and as others count it. */
#ifndef STOMPD_BASE_CLOCK_H
#define STOMPD_BASE_CLOCK_H

#include <stdint.h>

/* Milliseconds since an arbitrary start, never going back. Never 0, so that 0 may mean "no time". */
uint64_t clock_ms(void);

/* Milliseconds since the beginning of 1970, for times that come from elsewhere. May jump when the clock is set. */
uint64_t clock_wall_ms(void);

#endif
