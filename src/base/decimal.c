/* Reads and writes decimal numbers. */
#include "stompd/base/decimal.h"

static uint64_t append_digit(uint64_t number, char digit) {
    uint64_t value = (uint64_t)(digit - '0');
    return number > (UINT64_MAX - value) / 10 ? UINT64_MAX : number * 10 + value;
}

bool decimal_read(struct bytes text, uint64_t *number) {
    uint64_t value = 0;
    for (size_t n = 0; n < text.len; n++) {
        if (text.data[n] < '0' || text.data[n] > '9')
            return false;
        value = append_digit(value, text.data[n]);
    }
    *number = value;
    return text.len > 0;
}

char *decimal_write(char *to, uint64_t number) {
    char digits[DECIMAL_DIGITS];
    char *end = digits + sizeof digits;
    char *first = end;
    do {
        *--first = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    memcpy(to, first, (size_t)(end - first));
    return to + (end - first);
}
