/*
 * System calls that tests make themselves: the kernel's, or the simulator's.
 */
#ifndef TESTS_TRANSPORT_HOST_H
#define TESTS_TRANSPORT_HOST_H

#include "tests/transport/world.h"
#include "transport/sim/sim.h"

struct host {
    bool is_kernel; /* it has files, socket options and signals */
    void (*make_pipe)(struct world *world, int fds[2]);
    void (*make_socketpair)(struct world *world, int fds[2]);
    void (*write)(struct world *world, int fd, const char *text); /* there is room for it */
    /* Like read(2) of a non-blocking descriptor: bytes, 0 at the end, -EAGAIN. */
    ssize_t (*read)(struct world *world, int fd, uint8_t *data, size_t len);
    void (*close)(struct world *world, int fd);

    /* At most `more` descriptors can be opened until unlimit(). */
    void (*limit_descriptors)(struct world *world, unsigned more);
    void (*unlimit_descriptors)(struct world *world);
};

/* The highest descriptor of this process. */
int highest_descriptor(void);

extern const struct host host_kernel;
extern const struct host host_sim;

#endif
