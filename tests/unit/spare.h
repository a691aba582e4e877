/*
 * Memory of buffers that grow, kept for the next ones: fresh memory costs page faults, which took
 * most of the time of the tests that include this. Each of them has a heap of its own here.
 */
#ifndef TESTS_UNIT_SPARE_H
#define TESTS_UNIT_SPARE_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#define SPARES 96

static struct spare {
    uint8_t *data;
    size_t capacity;
} spares[SPARES];
static unsigned spare_count;

/* Takes the memory of a buffer that is no longer used. */
static void spare_give(uint8_t *data, size_t capacity) {
    if (data && spare_count < SPARES)
        spares[spare_count++] = (struct spare){data, capacity};
    else
        free(data);
}

/* For a buffer without memory. {NULL, 0}: there is none. */
static struct spare spare_take(void) {
    return spare_count ? spares[--spare_count] : (struct spare){NULL, 0};
}

#endif
