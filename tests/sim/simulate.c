/*
 * usage: simulate [-v] [-m | -b | -t] [FIRST [COUNT]]
 *
 * Runs a farm (farm.h) with each of COUNT seeds from FIRST on; with SIM_SEED in the environment,
 * with that seed alone. Ends at the first that fails, and says how to run it again.
 *   -v  the nodes' log
 *   -b  only farms whose nodes take bundles
 *   -t  only trees whose end writes a file, and in which all nodes die
 *   -m  only farms in which nodes are killed, ended, stopped and started again
 */
#include "tests/sim/farm.h"
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* One of this many seeds is run twice. */
#define TWICE_OF 50

static char again[512];

/* An assertion, a farm_fail(), or a sanitizer: see below. */
static void on_abort(int number) {
    (void)number;
    ssize_t written = write(STDERR_FILENO, again, strlen(again));
    (void)written;
}

/* Sanitizers end the process by abort(), so that on_abort() prints the seed. */
const char *__asan_default_options(void);
const char *__asan_default_options(void) {
    return "abort_on_error=1";
}

const char *__ubsan_default_options(void);
const char *__ubsan_default_options(void) {
    return "halt_on_error=1:abort_on_error=1:print_stacktrace=1";
}

int main(int argc, char **argv) {
    (void)argc;
    const char *alone = getenv("SIM_SEED");
    struct farm_options options = {0};
    char **arguments = argv + 1;
    for (; *arguments && **arguments == '-'; arguments++) {
        options.verbose = options.verbose || strcmp(*arguments, "-v") == 0;
        options.mortal = options.mortal || strcmp(*arguments, "-m") == 0;
        options.bundles = options.bundles || strcmp(*arguments, "-b") == 0;
        options.trees = options.trees || strcmp(*arguments, "-t") == 0;
    }
    uint64_t first = *arguments ? strtoull(*arguments++, NULL, 10) : 1;
    uint64_t count = *arguments ? strtoull(*arguments, NULL, 10) : 1;
    if (alone) {
        first = strtoull(alone, NULL, 10);
        count = 1;
    }
    struct mux_counters totals = {0};
    signal(SIGABRT, on_abort);
    for (uint64_t seed = first; seed < first + count; seed++) {
        snprintf(again, sizeof again, "failed; again: SIM_SEED=%" PRIu64 " %s -v%s\n", seed,
                 argv[0],
                 options.trees     ? " -t"
                 : options.bundles ? " -b"
                 : options.mortal  ? " -m"
                                   : "");
        uint64_t digest = farm_run(seed, &options, &totals);
        if (seed % TWICE_OF == 0 && farm_run(seed, &options, &(struct mux_counters){0}) != digest) {
            fprintf(stderr, "seed %" PRIu64 " gave different results in two runs\n", seed);
            abort();
        }
    }
    printf("%" PRIu64 " seeds from %" PRIu64 " on; all nodes together:\n", count, first);
    for (unsigned i = 0; i < MUX_COUNTER_COUNT; i++)
        printf("%12" PRIu64 " %s\n", totals.value[i], mux_counter_infos[i].name);
    return 0;
}
