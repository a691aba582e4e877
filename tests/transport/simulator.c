/* The simulator itself: it repeats runs, and its faults have the stated effects. */
#include "transport/sim/sim.h"
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NS_PER_SEC UINT64_C(1000000000)
#define MUCH 300000

static const struct sim_faults rough = {.delay_least_ns = 1000,
                                        .delay_most_ns = 1000000,
                                        .clog = 50000,
                                        .clog_most_ns = 50000000,
                                        .shorten = 300000};

struct pair {
    struct sim *sim;
    struct sim_listener *listener;
    struct sim_end *client, *server; /* NULL: closed */
};

static struct transport_address loopback(void) {
    struct transport_address address = {.len = sizeof address.in4};
    address.in4.sin_family = AF_INET;
    address.in4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

static struct pair open_pair(uint64_t seed, const struct sim_faults *faults) {
    struct transport_address address = loopback(), bound;
    struct pair pair = {.sim = sim_create(seed, faults)};
    pair.listener = sim_listen(pair.sim, &address, &bound);
    pair.client = sim_connect(pair.sim, &bound);
    while (sim_connected(pair.client) == EINPROGRESS)
        assert_true(sim_advance(pair.sim, UINT64_MAX));
    pair.server = sim_accept(pair.listener);
    return pair;
}

static void close_pair(struct pair *pair) {
    if (pair->client)
        sim_close(pair->client);
    if (pair->server)
        sim_close(pair->server);
    sim_unlisten(pair->listener);
    sim_destroy(pair->sim);
}

/* Writes and reads until everything has arrived or an end is broken; in[] gets the bytes read. */
static size_t carry(struct pair *pair, const uint8_t *out, uint8_t *in, size_t len) {
    size_t written = 0, read = 0;
    while (read < len) {
        ssize_t wrote = sim_write(pair->client, out + written, len - written);
        ssize_t got = sim_read(pair->server, in + read, len - read);
        written += wrote > 0 ? (size_t)wrote : 0;
        read += got > 0 ? (size_t)got : 0;
        if (got == 0 || (got < 0 && got != -EAGAIN))
            break;
        if (wrote <= 0 && got <= 0)
            assert_true(sim_advance(pair->sim, UINT64_MAX));
    }
    return read;
}

static void fill(uint8_t *bytes, size_t len) {
    for (size_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)(i * 31 + i / 256);
}

static uint64_t digest_of(uint64_t seed) {
    static uint8_t out[MUCH], in[MUCH];
    struct pair pair = open_pair(seed, &rough);
    fill(out, sizeof out);
    assert_int_equal(carry(&pair, out, in, sizeof out), sizeof out);
    assert_memory_equal(in, out, sizeof out);
    uint64_t digest = sim_digest(pair.sim) + sim_now_ns(pair.sim);
    close_pair(&pair);
    return digest;
}

static void same_seed_same_events(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed < 10; seed++) {
        assert_true(digest_of(seed) == digest_of(seed));
        assert_true(digest_of(seed) != digest_of(seed + 1));
    }
}

static void corruption_is_recorded(void **state) {
    static uint8_t out[MUCH], in[MUCH];
    struct sim_faults faults = rough;
    faults.corrupt = 500000;
    (void)state;
    struct pair pair = open_pair(5, &faults);
    fill(out, sizeof out);
    assert_int_equal(carry(&pair, out, in, sizeof out), sizeof out);
    struct sim_stream stream = sim_stream(pair.sim, sim_end_id(pair.client), true);
    assert_true(stream.corruption_count > 0 && stream.read == sizeof in);
    for (unsigned i = 0; i < stream.corruption_count; i++)
        in[stream.corruptions[i].offset] ^= stream.corruptions[i].mask;
    assert_memory_equal(in, out, sizeof out);
    close_pair(&pair);
}

/* Both ends are told; bytes that had arrived are read first; the others are counted. */
static void cut_loses_bytes_in_flight(void **state) {
    static uint8_t out[MUCH], in[MUCH];
    struct sim_faults faults = rough;
    faults.cut = 100000;
    (void)state;
    fill(out, sizeof out);
    for (uint64_t seed = 1; seed < 30; seed++) {
        struct pair pair = open_pair(seed, &faults);
        size_t read = carry(&pair, out, in, MUCH / 2);
        sim_cut(pair.sim, sim_end_id(pair.client)); /* if it is whole */
        read += carry(&pair, out + read, in + read, MUCH - read);
        assert_true(read < MUCH &&
                    sim_stream(pair.sim, sim_end_id(pair.client), true).fate == SIM_CUT);
        assert_memory_equal(in, out, read);
        while (sim_write(pair.client, out, 1) != -ECONNRESET)
            assert_true(sim_advance(pair.sim, UINT64_MAX));
        struct sim_stream stream = sim_stream(pair.sim, sim_end_id(pair.client), true);
        assert_true(stream.read == read && stream.arrived == read && stream.written > read);
        close_pair(&pair);
    }
}

static void a_vanished_end_is_noticed_late(void **state) {
    uint8_t byte = 1;
    (void)state;
    struct pair pair = open_pair(1, &rough);
    uint64_t started_ns = sim_now_ns(pair.sim);
    sim_vanish(pair.sim, sim_end_id(pair.client));
    while (sim_read(pair.server, &byte, 1) == -EAGAIN)
        assert_true(sim_advance(pair.sim, UINT64_MAX));
    assert_int_equal(sim_read(pair.server, &byte, 1), -ETIMEDOUT);
    assert_true(sim_now_ns(pair.sim) - started_ns >= 30 * NS_PER_SEC);
    assert_int_equal(sim_stream(pair.sim, sim_end_id(pair.server), true).fate, SIM_VANISHED);
    close_pair(&pair);
}

/* Closed with bytes unread: the other end is reset, and bytes from it in flight are lost. */
static void unread_bytes_are_known(void **state) {
    uint8_t out[1000], in[400];
    (void)state;
    fill(out, sizeof out);
    struct pair pair = open_pair(1, &sim_faultless);
    assert_int_equal(sim_write(pair.client, out, sizeof out), sizeof out);
    while (sim_stream(pair.sim, sim_end_id(pair.client), true).arrived < sizeof out)
        assert_true(sim_advance(pair.sim, UINT64_MAX));
    assert_int_equal(sim_read(pair.server, in, sizeof in), sizeof in);
    sim_close(pair.server);
    pair.server = NULL;
    while (sim_read(pair.client, in, 1) == -EAGAIN)
        assert_true(sim_advance(pair.sim, UINT64_MAX));
    assert_int_equal(sim_read(pair.client, in, 1), -ECONNRESET);
    assert_int_equal(sim_stream(pair.sim, sim_end_id(pair.client), true).read, sizeof in);
    close_pair(&pair);
}

static void refused_connects_are_told(void **state) {
    struct transport_address address = loopback(), bound;
    struct sim_faults faults = rough;
    faults.refuse = 1000000;
    (void)state;
    struct sim *sim = sim_create(1, &faults);
    struct sim_listener *listener = sim_listen(sim, &address, &bound);
    struct sim_end *client = sim_connect(sim, &bound);
    assert_null(sim_listen(sim, &bound, &bound));
    while (sim_connected(client) == EINPROGRESS)
        assert_true(sim_advance(sim, UINT64_MAX));
    assert_int_equal(sim_connected(client), ECONNREFUSED);
    assert_null(sim_accept(listener));
    sim_close(client);
    sim_unlisten(listener);
    sim_destroy(sim);
}

/* Without pending events time stands still, or jumps to the given time. */
static void time_passes_only_when_told(void **state) {
    (void)state;
    struct sim *sim = sim_create(1, &sim_faultless);
    uint64_t now_ns = sim_now_ns(sim);
    assert_false(sim_advance(sim, UINT64_MAX));
    assert_true(sim_now_ns(sim) == now_ns);
    assert_true(sim_advance(sim, now_ns + NS_PER_SEC));
    assert_true(sim_now_ns(sim) == now_ns + NS_PER_SEC);
    sim_destroy(sim);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_seed_same_events),
        cmocka_unit_test(corruption_is_recorded),
        cmocka_unit_test(cut_loses_bytes_in_flight),
        cmocka_unit_test(a_vanished_end_is_noticed_late),
        cmocka_unit_test(unread_bytes_are_known),
        cmocka_unit_test(refused_connects_are_told),
        cmocka_unit_test(time_passes_only_when_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
