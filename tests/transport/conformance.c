/*
 * The conformance suite: conformance ENGINE CARRIER. What every transport must do, by transport_ops
 * alone. CARRIER "descriptors" runs what concerns attach() and poll(). Exit code 77: skipped, with
 * the reason.
 */
#include "tests/transport/suites.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXIT_SKIPPED 77

static const struct transport_ops *const engines[] = {
    &transport_epoll,
    &transport_uring,
};

static const struct transport_ops *find_engine(const char *name) {
    for (size_t i = 0; i < sizeof engines / sizeof *engines; i++)
        if (strcmp(engines[i]->name, name) == 0)
            return engines[i];
    return NULL;
}

static const struct carrier *find_carrier(const char *name) {
    for (unsigned i = 0; i < carriers_count; i++)
        if (strcmp(carriers[i].name, name) == 0)
            return &carriers[i];
    return NULL;
}

/* Is the engine forbidden here? Then there is nothing to test; every other failure is one. */
static bool is_forbidden(const struct transport_ops *ops) {
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
        return run_attach_tests(setup) + run_poll_tests(setup);
    int failed = run_stream_tests(setup) + run_pressure_tests(setup) + run_end_tests(setup);
    if (setup->carrier->listens)
        failed += run_listener_tests(setup);
    if (strcmp(carrier, "unix") == 0)
        failed += run_unix_tests(setup);
    return failed;
}

int main(int argc, char **argv) {
    struct setup setup = {0};
    if (argc == 3) {
        setup.ops = find_engine(argv[1]);
        setup.carrier = find_carrier(argv[2]);
    }
    if (!setup.ops || (!setup.carrier && strcmp(argv[2], "descriptors") != 0)) {
        fprintf(stderr, "usage: conformance ENGINE CARRIER\n");
        return 2;
    }
    const char *missing = setup.carrier && setup.carrier->missing ? setup.carrier->missing() : NULL;
    if (missing) {
        fprintf(stderr, "skipped: %s\n", missing);
        return EXIT_SKIPPED;
    }
    if (is_forbidden(setup.ops)) {
        fprintf(stderr, "skipped: this engine is forbidden here\n");
        return EXIT_SKIPPED;
    }
    return run(&setup, argv[2]) ? 1 : 0;
}
