/*
 * The conformance suite: conformance ENGINE CARRIER. The requirements on every transport, tested
 * through transport_ops alone. CARRIER "descriptors" tests attach(), poll() and watch(). Exit code
 * 77: skipped, with the reason.
 *
 * conformance sim CARRIER FIRST COUNT: once with each of COUNT seeds; seed 0 is without faults.
 */
#include "tests/transport/host.h"
#include "tests/transport/suites.h"
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXIT_SKIPPED 77

static const struct carrier *find_carrier(const char *name) {
    for (unsigned i = 0; i < carriers_count; i++)
        if (strcmp(carriers[i].name, name) == 0)
            return &carriers[i];
    return NULL;
}

/* The engine is forbidden on this machine: nothing can be tested. Other failures count. */
static bool is_forbidden(const struct engine_kind *kind) {
    const struct transport_ops *ops = engine_kind_first(kind);
    static _Alignas(4096) uint8_t memory[2 * 4096];
    struct transport_failure failure = {0};
    const struct transport_config config = {
        {memory, sizeof memory}, .buffer_bytes = 4096, .reserve_buffers = 1, .conns_max = 1};
    struct transport *transport = ops->init(&config, &failure);
    if (transport) {
        ops->stop(transport);
        ops->fini(transport);
        return false;
    }
    fprintf(stderr, "%s: %s: %s\n", ops->name, failure.operation, strerror(failure.error));
    return failure.error == EPERM || failure.error == ENOSYS || failure.error == EACCES;
}

static int run(struct setup *setup, const char *carrier) {
    if (strcmp(carrier, "descriptors") == 0)
        return (setup->host->is_kernel ? run_attach_tests(setup) : 0) + run_poll_tests(setup) +
               run_watch_tests(setup);
    int failed = run_stream_tests(setup) + run_pressure_tests(setup) + run_end_tests(setup);
    if (setup->carrier->listens)
        failed += run_listener_tests(setup);
    if (strcmp(carrier, "unix") == 0)
        failed += run_unix_tests(setup);
    return failed;
}

/* Ends with the first seed that fails, and prints how to run it again. */
static int run_simulated(struct setup *setup, char **argv) {
    uint64_t first = strtoull(argv[3], NULL, 10), count = strtoull(argv[4], NULL, 10);
    setup->host = &host_sim;
    for (setup->seed = first; setup->seed < first + count; setup->seed++) {
        if (run(setup, argv[2]) == 0)
            continue;
        fprintf(stderr, "failed; again: %s sim %s %" PRIu64 " 1\n", argv[0], argv[2], setup->seed);
        return 1;
    }
    return 0;
}

int main(int argc, char **argv) {
    struct setup setup = {.host = &host_kernel};
    bool simulated = argc == 5 && strcmp(argv[1], "sim") == 0;
    if (simulated || (argc == 3 && strcmp(argv[1], "sim") != 0)) {
        setup.kind = engine_kind(argv[1]);
        setup.carrier = find_carrier(argv[2]);
    }
    if (!setup.kind || (!setup.carrier && strcmp(argv[2], "descriptors") != 0)) {
        fprintf(stderr, "usage: conformance ENGINE CARRIER, conformance sim CARRIER FIRST COUNT\n");
        return 2;
    }
    if (simulated)
        return run_simulated(&setup, argv);
    const char *missing = setup.carrier && setup.carrier->missing ? setup.carrier->missing() : NULL;
    if (missing) {
        fprintf(stderr, "skipped: %s\n", missing);
        return EXIT_SKIPPED;
    }
    if (!setup.kind->ops || (setup.kind->far && !setup.kind->far->ops)) {
        fprintf(stderr, "skipped: this build is without %s\n", argv[1]);
        return EXIT_SKIPPED;
    }
    if (is_forbidden(setup.kind)) {
        fprintf(stderr, "skipped: this engine is forbidden here\n");
        return EXIT_SKIPPED;
    }
    return run(&setup, argv[2]) ? 1 : 0;
}
