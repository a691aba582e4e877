#include "tools/mux/slots.h"

#include "tools/node/read.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(MESSAGE_SLOTS_MAX == 512, "SLOTS_EXPECTED says so");

static unsigned processors(void) {
    cpu_set_t set;
    int count = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    return count < MESSAGE_SLOTS_MAX ? (unsigned)count : MESSAGE_SLOTS_MAX;
}

bool slots_parse(const char *value, unsigned *slots) {
    char *end;
    if (strcmp(value, "auto") == 0) {
        *slots = processors();
        return true;
    }
    unsigned long count = strtoul(value, &end, 10);
    *slots = (unsigned)count;
    return *value >= '0' && *value <= '9' && !*end && count >= 1 && count <= MESSAGE_SLOTS_MAX;
}
