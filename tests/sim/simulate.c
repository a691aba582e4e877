/*
 * usage: simulate [-s] [-v] [-m | -b | -t | -d] [--faults LIST] [FIRST [COUNT]]
 *
 * Runs a farm (farm.h) with each of COUNT seeds from FIRST on; with SIM_SEED in the environment,
 * with that seed alone. Ends at the first that fails, and says how to run it again.
 *   -v  the nodes' log, and the faults by number
 *   -s  of a seed that fails, the fewest of its faults with which it does (faults.h)
 *   --faults LIST  only these faults happen: numbers and ranges, as 3,17,40-42
 *   -b  only farms whose nodes take bundles
 *   -t  only trees whose end writes a file, and in which all nodes die
 *   -d  only scenes: such trees, each with a fault that is rare otherwise (scenes.c)
 *   -m  only farms in which nodes are killed, ended, stopped and started again
 */
#include "tests/sim/faults.h"
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* One of this many seeds is run twice. */
#define TWICE_OF 50

static char again[512], seed_text[32];
static const char *program;
static struct farm_options options;

/* The options of a farm's kind. */
static const char *kind(void) {
    return options.scenes    ? "-d"
           : options.trees   ? "-t"
           : options.bundles ? "-b"
           : options.mortal  ? "-m"
                             : "-v";
}

/* An assertion, a farm_fail(), or a sanitizer: see below. Another process looks for fewer faults.
 */
static void on_abort(int number) {
    ssize_t written = write(STDERR_FILENO, again, strlen(again));
    sigset_t none;
    (void)number, (void)written;
    sigemptyset(&none);
    if (!options.shrinks)
        return;
    sigprocmask(SIG_SETMASK, &none, NULL);
    execl(program, program, kind(), "--shrink", seed_text, (char *)NULL);
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

/* Ends the process. */
static void shrink(uint64_t seed) {
    char command[256];
    snprintf(command, sizeof command, "%s -v %s", program, kind());
    faults_shrink(seed, &options, command);
    exit(1);
}

static bool read_list(const char *list) {
    if (list && faults_only(list))
        return true;
    fprintf(stderr, "simulate: --faults: a list of numbers and ranges, as 3,17,40-42\n");
    return false;
}

int main(int argc, char **argv) {
    (void)argc;
    const char *alone = getenv("SIM_SEED");
    char **arguments = argv + 1;
    bool must_shrink = false;
    program = argv[0];
    for (; *arguments && **arguments == '-'; arguments++) {
        if (strcmp(*arguments, "--faults") == 0 && !read_list(*++arguments))
            return 2;
        must_shrink = must_shrink || strcmp(*arguments, "--shrink") == 0;
        options.shrinks = options.shrinks || strcmp(*arguments, "-s") == 0;
        options.verbose = options.verbose || strcmp(*arguments, "-v") == 0;
        options.mortal = options.mortal || strcmp(*arguments, "-m") == 0;
        options.bundles = options.bundles || strcmp(*arguments, "-b") == 0;
        options.scenes = options.scenes || strcmp(*arguments, "-d") == 0;
        options.trees = options.trees || options.scenes || strcmp(*arguments, "-t") == 0;
    }
    uint64_t first = *arguments ? strtoull(*arguments++, NULL, 10) : 1;
    uint64_t count = *arguments ? strtoull(*arguments, NULL, 10) : 1;
    if (alone) {
        first = strtoull(alone, NULL, 10);
        count = 1;
    }
    if (must_shrink)
        shrink(first);
    struct mux_counters totals = {0};
    signal(SIGABRT, on_abort);
    for (uint64_t seed = first; seed < first + count; seed++) {
        snprintf(seed_text, sizeof seed_text, "%" PRIu64, seed);
        snprintf(again, sizeof again, "failed; again: SIM_SEED=%s %s -v %s\n", seed_text, program,
                 kind());
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
