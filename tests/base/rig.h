/* A loop over an engine, and pipes for its tests: the kernel's or the simulator's. */
#ifndef TESTS_BASE_RIG_H
#define TESTS_BASE_RIG_H

#include "tests/unit/check.h"

#include "tools/base/loop.h"
#include "transport/sim/sim.h"

struct rig {
    struct loop loop;
    struct sim *sim; /* NULL: an engine of the kernel's */
    uint8_t *memory;
};

/* "uring", "epoll", "mixed" (epoll alone in it) or "sim". */
void rig_open(struct rig *rig, const char *name);
void rig_close(struct rig *rig);

/* A pipe that can be watched and attached to. */
void rig_pipe(struct rig *rig, int fds[2]);
void rig_write(struct rig *rig, int fd, const char *text);
size_t rig_read(struct rig *rig, int fd, char *bytes, size_t most); /* 0: nothing there */
void rig_close_fd(struct rig *rig, int fd);

/* An address to listen on. */
struct transport_address rig_loopback(void);

/* Steps the loop until `condition`. */
#define STEP_UNTIL(rig, condition) \
    while (!(condition))           \
    loop_step(&(rig)->loop)

#endif
