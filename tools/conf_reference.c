/* Prints the reference conf file: `conf-reference > conf/stompd.conf` after a change to the table. */
#include "stompd/hub/conf.h"

int main(void) {
    conf_write_reference(stdout);
    return 0;
}
