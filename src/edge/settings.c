/* Counts who uses the settings. */
#include "stompd/edge/settings.h"

struct settings *settings_ref(struct settings *settings) {
    atomic_fetch_add_explicit(&settings->refs, 1, memory_order_relaxed);
    return settings;
}

void settings_unref(struct settings *settings) {
    /* What other threads did with the settings has to happen before they are freed. */
    if (settings && atomic_fetch_sub_explicit(&settings->refs, 1, memory_order_acq_rel) == 1)
        settings->free(settings);
}
