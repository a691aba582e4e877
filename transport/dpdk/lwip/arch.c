/* The system as lwIP wants it. */
#include "lwip/arch.h"
#include "lwip/sys.h"
#include "transport/call.h"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

uint32_t lwip_random(void) {
    uint32_t number;
    if (!call_random(&number, sizeof number))
        abort(); /* so few bytes never fail */
    return number;
}

void lwip_assertion_failed(const char *message, const char *file, int line) {
    fprintf(stderr, "%s:%d: lwIP: %s\n", file, line, message);
    abort();
}

u32_t sys_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (u32_t)((uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000);
}
