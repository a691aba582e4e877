/* A rate limit (token bucket) for log lines and answers that a peer can provoke. */
#ifndef MUX_LIMITER_H
#define MUX_LIMITER_H

#include <stdbool.h>
#include <stdint.h>

struct mux_limiter {
    uint64_t per_second;
    uint64_t burst;
    uint64_t tokens;
    uint64_t filled_ns; /* when tokens was last updated */
};

/* At first the whole burst may happen at once. */
static inline struct mux_limiter mux_limiter_init(uint64_t per_second, uint64_t burst) {
    return (struct mux_limiter){.per_second = per_second, .burst = burst, .tokens = burst};
}

/* May one more happen now? */
static inline bool mux_limiter_allow(struct mux_limiter *limiter, uint64_t now_ns) {
    const uint64_t second_ns = 1000000000;
    /* before the divisions below: a flood asks often */
    if (limiter->tokens == 0 && (now_ns - limiter->filled_ns) * limiter->per_second < second_ns)
        return false;
    uint64_t spacing_ns = second_ns / limiter->per_second;
    uint64_t fresh = (now_ns - limiter->filled_ns) / spacing_ns;
    if (fresh >= limiter->burst - limiter->tokens) {
        limiter->tokens = limiter->burst;
        limiter->filled_ns = now_ns;
    } else {
        limiter->tokens += fresh;
        limiter->filled_ns += fresh * spacing_ns;
    }
    if (limiter->tokens == 0)
        return false;
    limiter->tokens--;
    return true;
}

#endif
