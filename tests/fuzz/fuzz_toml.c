/*
 * TOML as far as pyproject.toml needs it: any bytes are refused with a sentence and a line, or each
 * string that is told of is no longer than what stands for it.
 *
 * Input: the file.
 */
#include "tests/fuzz/fuzz.h"

#include "tools/farm/toml.h"

#include <stdlib.h>

struct seen {
    unsigned line;
    size_t count, bytes;
};

static void take(void *user, const struct toml_value *value) {
    struct seen *seen = user;
    assert(value->line >= seen->line);
    seen->line = value->line;
    seen->count++;
    if (value->kind == TOML_STRING)
        seen->bytes += strlen(value->text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct toml_error error = {0};
    struct seen seen = {0};
    uint8_t *copy = copy_of(mux_span(data, size));
    bool is_fine = toml_read(mux_span(copy, size), take, &seen, &error);
    free(copy);
    assert(is_fine || (*error.why && error.line > 0 && error.line >= seen.line));
    /* No string is longer than what stands for it, and each value has a byte at least. */
    assert(seen.bytes <= size && seen.count <= size);
    return 0;
}
