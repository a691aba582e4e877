#include "tools/base/random.h"

#include "transport/call.h"

#include <stdint.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_SECOND 1000000000u

/* splitmix64: every bit of the state reaches every bit of the number. */
static uint64_t next(uint64_t *state) {
    uint64_t number = *state += UINT64_C(0x9E3779B97F4A7C15);
    number = (number ^ number >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    number = (number ^ number >> 27) * UINT64_C(0x94D049BB133111EB);
    return number ^ number >> 31;
}

static void fill_from_clock(unsigned char *bytes, size_t len) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t state = (uint64_t)now.tv_sec * NS_PER_SECOND + (uint64_t)now.tv_nsec;
    state ^= (uint64_t)getpid() << 40;
    for (size_t i = 0; i < len; i++)
        bytes[i] = (unsigned char)next(&state);
}

void random_fill(void *bytes, size_t len) {
    if (!call_random(bytes, len))
        fill_from_clock(bytes, len);
}

void random_uuid(char out[RANDOM_UUID_BYTES]) {
    uint8_t bytes[16];
    random_fill(bytes, sizeof bytes);
    bytes[6] = (uint8_t)(0x40 | (bytes[6] & 0x0f));
    bytes[8] = (uint8_t)(0x80 | (bytes[8] & 0x3f));
    for (unsigned i = 0, at = 0; i < sizeof bytes; i++)
        at += (unsigned)sprintf(out + at, "%s%02x",
                                i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", bytes[i]);
}
