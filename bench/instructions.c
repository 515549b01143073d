/*
 * Work for valgrind's callgrind to count instructions of (bench/instructions.mjs): always the same frames in the same
 * order, without sockets, clocks or random numbers, so that two runs of the same program count the same.
 *
 *     instructions NAME         carries a scenario out and prints its unit, and how many of them there were
 *     instructions --list       their names
 *     instructions --compiler   what compiled all this, and for which processor
 *
 * Callgrind collects within measured() only. All is done twice before, so that neither the first use of memory nor the
 * binding of symbols counts.
 */
#include "instructions.h"

#include <string.h>

#define WARM_UPS 2

#ifdef __clang__
#define COMPILER "clang " __clang_version__
#else
#define COMPILER "gcc " __VERSION__
#endif

#if defined __x86_64__
#define PROCESSOR "x86_64"
#elif defined __aarch64__
#define PROCESSOR "aarch64"
#else
#define PROCESSOR "another processor"
#endif

static const struct scenario *const scenarios[] = {&parse_whole, &parse_pieces, &write_plain,    &write_escaped,
                                                   &match_exact, &match_cached, &match_uncached, &lay_out,
                                                   &send_one,    &fan_out,      &burst,          &settle};

#define SCENARIOS (sizeof scenarios / sizeof scenarios[0])

const char typical_send[] =
    "SEND\n"
    "destination:/topic/prices.eur-usd\n"
    "content-type:application/json\n"
    "content-length:128\n"
    "correlation-id:9f1c2d34-77\n"
    "\n"
    "{\"pair\":\"EUR/USD\",\"bid\":1.08421,\"ask\":1.08423,\"time\":\"2024-05-17T09:41:07.123Z\","
    "\"source\":\"desk-4\",\"sequence\":12345678,\"ok\":true}";
const size_t typical_send_len = sizeof typical_send;

/* Callgrind knows it by its name. */
__attribute__((noinline, used)) static size_t measured(const struct scenario *scenario, void *state) {
    size_t units = scenario->work(state);
    __asm__ volatile("" ::: "memory"); /* no jump into the work, which collecting would end with */
    return units;
}

static void run(const struct scenario *scenario) {
    void *state = scenario->set_up();
    for (unsigned n = 0; n < WARM_UPS + scenario->repeats; n++) {
        if (scenario->prepare)
            scenario->prepare(state);
        size_t units = n < WARM_UPS ? scenario->work(state) : measured(scenario, state);
        must(units == scenario->units, "something else has come out than should");
    }
    scenario->tear_down(state);
    printf("%zu %s\n", scenario->units * scenario->repeats, scenario->unit);
}

int main(int argc, char **argv) {
    const char *wanted = argc == 2 ? argv[1] : "";
    if (strcmp(wanted, "--compiler") == 0) {
        puts(COMPILER " " PROCESSOR);
        return 0;
    }
    for (size_t n = 0; n < SCENARIOS; n++) {
        if (strcmp(wanted, "--list") == 0) {
            puts(scenarios[n]->name);
        } else if (strcmp(wanted, scenarios[n]->name) == 0) {
            run(scenarios[n]);
            return 0;
        }
    }
    must(strcmp(wanted, "--list") == 0, "usage: instructions NAME | --list | --compiler");
    return 0;
}
