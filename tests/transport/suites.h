/*
 * The parts of the conformance suite; each runs its tests and returns the number that failed.
 */
#ifndef TESTS_TRANSPORT_SUITES_H
#define TESTS_TRANSPORT_SUITES_H

#include "tests/transport/carrier.h"

int run_stream_tests(struct setup *setup);   /* any pair: bytes there and back */
int run_pressure_tests(struct setup *setup); /* any pair: pauses, pools, fairness */
int run_end_tests(struct setup *setup);      /* any pair: how connections end */
int run_listener_tests(struct setup *setup); /* carriers that listen */
int run_unix_tests(struct setup *setup);     /* the files of unix sockets */
int run_attach_tests(struct setup *setup);   /* files, terminals, borrowed descriptors */
int run_poll_tests(struct setup *setup);     /* deadlines, signals */
int run_watch_tests(struct setup *setup);    /* descriptors that the user reads */

#define RUN_TESTS(tests, setup) \
    _cmocka_run_group_tests(#tests, tests, sizeof tests / sizeof *tests, NULL, NULL)
#define TEST(function, setup) \
    { #function, function, NULL, NULL, setup }

#endif
