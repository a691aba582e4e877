/*
 * Linked into the conformance suite with --wrap: the kernel answers as Linux 6.1 does when the
 * io_uring engine asks for what is newer.
 */
#include "transport/uring/compat.h"

#include <assert.h>
#include <stdbool.h>

static bool asked;

int __real_io_uring_register_probe(struct io_uring *ring, struct io_uring_probe *probe,
                                   unsigned ops);
int __wrap_io_uring_register_probe(struct io_uring *ring, struct io_uring_probe *probe,
                                   unsigned ops);

int __wrap_io_uring_register_probe(struct io_uring *ring, struct io_uring_probe *probe,
                                   unsigned ops) {
    int result = __real_io_uring_register_probe(ring, probe, ops);
    ring->features &= ~URING_FEATURE_MIN_TIMEOUT;
    for (unsigned i = URING_OP_READ_MULTISHOT; i < ops; i++)
        probe->ops[i].flags = 0;
    asked = true;
    return result;
}

/* An engine that no longer asks in this way has not been tested. */
__attribute__((destructor)) static void was_asked(void) {
    assert(asked);
}
