/*
 * Loaded by LD_PRELOAD: the time of day is SKEW_CLOCK_S seconds ahead, as on a machine whose clock
 * is wrong. All other clocks stay.
 */
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>

int clock_gettime(clockid_t id, struct timespec *time) {
    static int (*real)(clockid_t, struct timespec *);
    static long ahead_s;
    if (!real) {
        const char *ahead = getenv("SKEW_CLOCK_S");
        ahead_s = ahead ? atol(ahead) : 0;
        *(void **)&real = dlsym(RTLD_NEXT, "clock_gettime");
    }
    int result = real(id, time);
    if (id == CLOCK_REALTIME && result == 0)
        time->tv_sec += ahead_s;
    return result;
}
