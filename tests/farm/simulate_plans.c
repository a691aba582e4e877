/*
 * usage: simulate_plans [-v] [FIRST [COUNT]]
 *        simulate_plans -t
 *
 * Runs a farm (plans.h) with each of COUNT seeds from FIRST on, each twice; ends at the first that
 * fails, and says how to run it again. -v: with its jobs. -t: a table of times over the ideal; ends
 * where one is over its bound.
 */
#include "tests/farm/plans.h"

#include <assert.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char again[256];

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

static void add(struct plan_totals *sum, const struct plan_totals *totals) {
    for (unsigned i = 0; i < PLAN_OUTCOMES; i++)
        sum->outcomes[i] += totals->outcomes[i];
    sum->jobs += totals->jobs;
    sum->retries += totals->retries;
    sum->deaths += totals->deaths;
    sum->losses += totals->losses;
    sum->strays += totals->strays;
    sum->strangers += totals->strangers;
}

static void run_seeds(uint64_t first, uint64_t count, bool verbose, const char *program) {
    struct plan_totals sum = {0}, totals;
    for (uint64_t seed = first; seed < first + count; seed++) {
        snprintf(again, sizeof again, "failed; again: %s -v %" PRIu64 "\n", program, seed);
        uint64_t digest = plans_run(seed, verbose ? stdout : NULL, &totals);
        add(&sum, &totals);
        if (plans_run(seed, NULL, &totals) != digest) {
            fprintf(stderr, "two runs with one seed gave different jobs\n");
            abort();
        }
    }
    printf("%" PRIu64 " farms: %u passed, %u failed, %u skipped, %u flaky, %u killers, %u never\n",
           count, sum.outcomes[PLAN_PASSED], sum.outcomes[PLAN_FAILED], sum.outcomes[PLAN_SKIPPED],
           sum.outcomes[PLAN_FLAKY], sum.outcomes[PLAN_KILLER], sum.outcomes[PLAN_NEVER]);
    printf("%" PRIu64 " jobs, %" PRIu64 " retries, %" PRIu64 " deaths, %" PRIu64
           " slots lost, %" PRIu64 " strays, %" PRIu64 " strangers\n",
           sum.jobs, sum.retries, sum.deaths, sum.losses, sum.strays, sum.strangers);
}

static void print_row(const struct plans_ideal *ideal, double most) {
    printf("%6u tests, %4u slots, %-7s %3u ms a job", ideal->tests, ideal->slots,
           ideal->is_known ? "known," : "new,", (unsigned)(ideal->start_ns / NS_PER_MS));
    if (ideal->tokens + ideal->exclusive > 0)
        printf(", %u tokens, %u alone", ideal->tokens, ideal->exclusive);
    printf(":");
    for (uint64_t seed = 1; seed <= 5; seed++) {
        double over = plans_over_ideal(seed, ideal);
        printf(" %.3f", over);
        assert(over <= most);
    }
    printf("\n");
}

static void print_plain_row(uint32_t tests, unsigned slots, bool is_known, uint64_t start_ns) {
    struct plans_ideal ideal = {.tests = tests,
                                .slots = slots,
                                .is_known = is_known,
                                .start_ns = start_ns,
                                .dist = PLAN_LOAD,
                                .takes_ns = plans_skewed_ns};
    print_row(&ideal, is_known && start_ns == 0 ? 1.05 : 100);
}

/* Tokens that hold the others up, and such that do not; and tests that run alone. */
static void print_rows_of_needs(void) {
    static const uint32_t tokens[] = {1, 2, 8}, alone[] = {0, 20};
    for (unsigned known = 0; known < 2; known++)
        for (unsigned t = 0; t < 3; t++)
            for (unsigned a = 0; a < 2; a++) {
                struct plans_ideal ideal = {.tests = 2000,
                                            .slots = 16,
                                            .is_known = known,
                                            .dist = PLAN_LOAD,
                                            .takes_ns = plans_skewed_ns,
                                            .tokens = tokens[t],
                                            .exclusive = alone[a]};
                print_row(&ideal, known ? 1.05 : 2);
            }
}

static void print_table(void) {
    static const unsigned slots[] = {4, 16};
    static const uint64_t starts[] = {0, NS_PER_MS, 185 * NS_PER_MS};
    for (uint32_t tests = 2000; tests <= 20000; tests *= 10)
        for (unsigned s = 0; s < 2; s++)
            for (unsigned known = 0; known < 2; known++)
                for (unsigned start = 0; start < 3; start++)
                    print_plain_row(tests, slots[s], known, starts[start]);
    print_plain_row(50000, 1000, true, 0);
    print_plain_row(50000, 1000, false, 0);
    print_rows_of_needs();
}

int main(int argc, char **argv) {
    bool verbose = argc > 1 && strcmp(argv[1], "-v") == 0;
    char **arguments = argv + 1 + verbose;
    signal(SIGABRT, on_abort);
    if (*arguments != NULL && strcmp(*arguments, "-t") == 0) {
        print_table();
        return 0;
    }
    uint64_t first = *arguments != NULL ? strtoull(*arguments++, NULL, 10) : 1;
    uint64_t count = *arguments != NULL ? strtoull(*arguments, NULL, 10) : 1;
    run_seeds(first, count, verbose, argv[0]);
    return 0;
}
