#include "mux/node/offset.h"

#include <assert.h>

#define MILLION 1000000

uint64_t mux_offset_error_ns(const struct mux_offset *offset, uint64_t now_ns) {
    return offset->error_ns + (now_ns - offset->read_ns) / MILLION * MUX_DRIFT_PPM;
}

static uint64_t distance(int64_t a, int64_t b) {
    return a > b ? (uint64_t)a - (uint64_t)b : (uint64_t)b - (uint64_t)a;
}

/* Can both be true? Then their intervals meet. */
static bool agree(const struct mux_offset *a, uint64_t a_error_ns, const struct mux_offset *b) {
    return distance(a->ahead_ns, b->ahead_ns) <= a_error_ns + b->error_ns;
}

enum mux_reading mux_offset_read(struct mux_offset *offset, uint64_t asked_ns, uint64_t answered_ns,
                                 int64_t said_ns, uint64_t said_error_ns) {
    assert(asked_ns <= answered_ns && said_ns >= 0);
    uint64_t half_ns = (answered_ns - asked_ns) / 2;
    const struct mux_offset read = {.is_known = true,
                                    .ahead_ns = said_ns - (int64_t)(asked_ns + half_ns),
                                    .error_ns = answered_ns - asked_ns - half_ns + said_error_ns,
                                    .read_ns = answered_ns};
    uint64_t before_ns = offset->is_known ? mux_offset_error_ns(offset, answered_ns) : UINT64_MAX;
    bool is_step = offset->is_known && !agree(offset, before_ns, &read);
    if (!is_step && read.error_ns > before_ns)
        return MUX_READING_WORSE;
    *offset = read;
    return is_step ? MUX_READING_STEPPED : MUX_READING_TAKEN;
}
