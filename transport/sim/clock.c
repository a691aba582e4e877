/* The world: time, chance, and the digest of what happened. */
#include "transport/sim/internal.h"
#include <stdlib.h>

/* The first port that is assigned; tests name lower ones. */
#define FIRST_PORT 20000

/* Without sim_limit_ends() processes may open any number of ends. */
#define ENDS_UNLIMITED UINT32_MAX

#define MILLION 1000000u

const struct sim_faults sim_faultless = {.delay_least_ns = 10000, .delay_most_ns = 20000};

void *sim_alloc(void *old, size_t bytes) {
    void *memory = realloc(old, bytes);
    assert(memory);
    return memory;
}

static uint64_t splitmix64(uint64_t *state) {
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static uint64_t rotated(uint64_t word, int bits) {
    return word << bits | word >> (64 - bits);
}

/* xoshiro256** */
static uint64_t next_random(struct sim *sim) {
    uint64_t *s = sim->random, result = rotated(s[1] * 5, 7) * 9, shifted = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= shifted;
    s[3] = rotated(s[3], 45);
    return result;
}

uint64_t sim_random(struct sim *sim, uint64_t below) {
    return next_random(sim) % below;
}

bool sim_chance(struct sim *sim, unsigned millionths) {
    return millionths > 0 && sim_random(sim, MILLION) < millionths;
}

void sim_watch_faults(struct sim *sim, sim_fault *happens, void *user) {
    sim->fault_happens = happens;
    sim->fault_user = user;
}

bool sim_fault_happens(struct sim *sim, const char *what, unsigned id) {
    return !sim->fault_happens || sim->fault_happens(sim->fault_user, what, id);
}

struct sim *sim_create(uint64_t seed, const struct sim_faults *faults) {
    struct sim *sim = sim_alloc(NULL, sizeof *sim);
    *sim = (struct sim){.now_ns = 1, /* a deadline of 0 means at once */
                        .faults = *faults,
                        .ends_most = ENDS_UNLIMITED,
                        .next_port = FIRST_PORT};
    for (int i = 0; i < 4; i++)
        sim->random[i] = splitmix64(&seed);
    mux_list_init(&sim->listeners);
    mux_list_init(&sim->transports);
    return sim;
}

void sim_destroy(struct sim *sim) {
    assert(sim->wires_open == 0 && sim->heap_count == 0);
    assert(mux_list_empty(&sim->listeners) && mux_list_empty(&sim->transports));
    for (unsigned i = 0; i < sim->wire_count; i++)
        sim_wire_free(sim->wires[i]);
    free(sim->wires);
    free(sim->descriptors);
    free(sim->heap);
    free(sim);
}

void sim_set_faults(struct sim *sim, const struct sim_faults *faults) {
    sim->faults = *faults;
}

uint64_t sim_now_ns(const struct sim *sim) {
    return sim->now_ns;
}

void sim_poll_waits(struct sim *sim, bool waits) {
    sim->poll_waits = waits;
}

uint64_t sim_digest(const struct sim *sim) {
    return sim->digest;
}

static void mix(struct sim *sim, uint64_t word) {
    sim->digest = rotated((sim->digest ^ word) * 0x9e3779b97f4a7c15u, 31);
}

void sim_note(struct sim *sim, uint64_t what, uint64_t value) {
    mix(sim, sim->now_ns);
    mix(sim, what);
    mix(sim, value);
}

void sim_note_bytes(struct sim *sim, const uint8_t *data, size_t len) {
    uint64_t word;
    for (; len >= sizeof word; data += sizeof word, len -= sizeof word) {
        memcpy(&word, data, sizeof word);
        mix(sim, word);
    }
    for (; len > 0; data++, len--)
        mix(sim, *data);
}

/* A binary heap: the timer at place i comes no later than those at 2i and 2i + 1. */

static bool is_before(const struct sim_timer *a, const struct sim_timer *b) {
    return a->at_ns < b->at_ns || (a->at_ns == b->at_ns && a->tie < b->tie);
}

static void put(struct sim *sim, unsigned place, struct sim_timer *timer) {
    sim->heap[place] = timer;
    timer->place = place;
}

static void rise(struct sim *sim, unsigned place, struct sim_timer *timer) {
    for (; place > 1 && is_before(timer, sim->heap[place / 2]); place /= 2)
        put(sim, place, sim->heap[place / 2]);
    put(sim, place, timer);
}

static void sink(struct sim *sim, unsigned place, struct sim_timer *timer) {
    for (;;) {
        unsigned child = 2 * place;
        if (child < sim->heap_count && is_before(sim->heap[child + 1], sim->heap[child]))
            child++;
        if (child > sim->heap_count || !is_before(sim->heap[child], timer))
            break;
        put(sim, place, sim->heap[child]);
        place = child;
    }
    put(sim, place, timer);
}

void sim_timer_set(struct sim *sim, struct sim_timer *timer, uint64_t at_ns) {
    assert(timer->place == 0 && at_ns > sim->now_ns);
    if (sim->heap_count + 1 >= sim->heap_most) {
        sim->heap_most = 2 * sim->heap_most + 64;
        sim->heap = sim_alloc(sim->heap, sim->heap_most * sizeof(struct sim_timer *));
    }
    timer->at_ns = at_ns;
    timer->tie = next_random(sim);
    rise(sim, ++sim->heap_count, timer);
}

void sim_timer_stop(struct sim *sim, struct sim_timer *timer) {
    unsigned place = timer->place;
    if (place == 0)
        return;
    timer->place = 0;
    struct sim_timer *last = sim->heap[sim->heap_count--];
    if (last == timer)
        return;
    if (place > 1 && is_before(last, sim->heap[place / 2]))
        rise(sim, place, last);
    else
        sink(sim, place, last);
}

bool sim_clock_advance(struct sim *sim, uint64_t until_ns) {
    bool comes = sim->heap_count > 0 && sim->heap[1]->at_ns <= until_ns;
    uint64_t to_ns = comes ? sim->heap[1]->at_ns : until_ns;
    if (to_ns != UINT64_MAX && to_ns > sim->now_ns)
        sim->now_ns = to_ns;
    while (sim->heap_count > 0 && sim->heap[1]->at_ns <= sim->now_ns) {
        struct sim_timer *timer = sim->heap[1];
        sim_timer_stop(sim, timer);
        timer->fire(timer);
    }
    return comes;
}

bool sim_advance(struct sim *sim, uint64_t until_ns) {
    struct mux_list *link = sim->transports.next;
    for (; link != &sim->transports; link = link->next) {
        const struct transport *transport = MUX_LIST_ITEM(link, struct transport, link);
        if (!transport->stopped && transport->wake_ns < until_ns)
            until_ns = transport->wake_ns;
    }
    return until_ns <= sim->now_ns || sim_clock_advance(sim, until_ns) || until_ns != UINT64_MAX;
}
