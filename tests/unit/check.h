/* cmocka, and the headers that must be included before it. */
#ifndef TESTS_UNIT_CHECK_H
#define TESTS_UNIT_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mux/buffer.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* A copy of exactly `len` bytes on the heap: ASan finds a read past its end. The caller frees. */
static inline uint8_t *exact_copy(const void *data, size_t len) {
    uint8_t *copy = malloc(len ? len : 1);
    assert_non_null(copy);
    if (len)
        memcpy(copy, data, len);
    return copy;
}

/* Both fields are absent, or both are present with the same bytes. */
static inline void assert_same_field(struct mux_span a, struct mux_span b) {
    assert_int_equal(a.data != NULL, b.data != NULL);
    assert_int_equal(a.len, b.len);
    if (a.len)
        assert_memory_equal(a.data, b.data, a.len);
}

#endif
