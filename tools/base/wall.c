#include "tools/base/wall.h"

#include <time.h>

#define NS_PER_SECOND INT64_C(1000000000)

/* Both clocks are read at once unless the process loses its CPU in between: then again. */
#define READINGS 4
#define AT_ONCE_NS 5000

static int64_t read_ns(clockid_t id) {
    struct timespec now;
    clock_gettime(id, &now);
    return (int64_t)now.tv_sec * NS_PER_SECOND + now.tv_nsec;
}

uint64_t wall_loop_ns(void) {
    return (uint64_t)read_ns(CLOCK_MONOTONIC);
}

int64_t wall_ahead_ns(void *unused) {
    int64_t ahead_ns = 0, quickest_ns = INT64_MAX;
    (void)unused;
    for (unsigned i = 0; i < READINGS && quickest_ns > AT_ONCE_NS; i++) {
        int64_t before_ns = read_ns(CLOCK_MONOTONIC);
        int64_t wall_ns = read_ns(CLOCK_REALTIME);
        int64_t took_ns = read_ns(CLOCK_MONOTONIC) - before_ns;
        if (took_ns >= quickest_ns)
            continue;
        quickest_ns = took_ns;
        ahead_ns = wall_ns - (before_ns + took_ns / 2);
    }
    return ahead_ns;
}
