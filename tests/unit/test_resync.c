/* Resynchronisation inside an unfinished packet: compared with a direct transcription of rule 8. */
#include <time.h>

#include "mux/packet/resync.h"
#include "tests/unit/check.h"
#include "tests/unit/random.h"
#include "tests/unit/wire.h"

#define FOO             \
    "\xb3)\x01\x0c\x03" \
    "foo\x08U_\x1b"
#define FOO_BYTES (sizeof FOO - 1)

/* The beginning of a 4 MB packet with a file, whose content may be any bytes. */
#define BEGUN                      \
    "\xb3\x20\x40\xbf\xff\xff\x01" \
    "f\xbf\xff\xf0"
#define BEGUN_BYTES (sizeof BEGUN - 1)

static void add_some(struct wire *wire, struct random *random) {
    /* two literals: the f must not be read as a hexadecimal digit */
    static const char bad_crc[] = "\xb3)\x01\x0c\x03"
                                  "foo\x08U_?";
    static const char *const things[] = {"\xb3", "\xb3)", "text", bad_crc};
    for (uint64_t i = random_below(random, 5); i > 0; i--) {
        const char *thing = things[random_below(random, COUNT(things))];
        wire_bytes(wire, thing, strlen(thing));
    }
}

/* From `at` to the end there are whole packets with good CRCs; the last may be cut. */
static bool stands(struct mux_span bytes, size_t at) {
    unsigned whole = 0;
    while (at < bytes.len) {
        uint32_t length, header_bytes;
        struct mux_span rest = mux_span(bytes.data + at, bytes.len - at);
        enum mux_error error = mux_header_parse(rest, &length, &header_bytes);
        if (error == MUX_ERROR_SHORT_HEADER)
            break;
        if (error || !mux_packet_fits(rest, length, header_bytes))
            return false;
        if (length > rest.len)
            break;
        if (!mux_packet_verify(mux_span(rest.data, length)))
            return false;
        whole++;
        at += length;
    }
    return whole > 0;
}

static size_t by_the_rule(struct mux_span bytes) {
    for (size_t at = 1; at < bytes.len; at++)
        if (stands(bytes, at))
            return at;
    return 0;
}

static void random_streams(void **state) {
    (void)state;
    struct random random = {7};
    unsigned found = 0, nowhere = 0;
    for (unsigned round = 0; round < 20000; round++) {
        struct wire wire = {0};
        wire_bytes(&wire, BEGUN, BEGUN_BYTES);
        for (uint64_t part = random_below(&random, 4); part > 0; part--) {
            add_some(&wire, &random);
            for (uint64_t i = random_below(&random, 6); i > 0; i--)
                wire_bytes(&wire, FOO, FOO_BYTES);
        }
        wire_bytes(&wire, FOO, random_below(&random, FOO_BYTES));
        size_t at = mux_resync_find(wire_span(&wire));
        assert_int_equal(at, by_the_rule(wire_span(&wire)));
        found += at > 0;
        nowhere += at == 0;
        wire_free(&wire);
    }
    assert_true(found > 2000 && nowhere > 2000);
}

static double seconds_for(const char *unit, size_t unit_bytes, size_t len) {
    struct wire wire = {0};
    wire_bytes(&wire, BEGUN, BEGUN_BYTES);
    while (wire.len < len)
        wire_bytes(&wire, unit, unit_bytes);
    wire_bytes(&wire, "x", 1);
    struct timespec before, after;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
    assert_int_equal(mux_resync_find(wire_span(&wire)), 0);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
    wire_free(&wire);
    return (double)(after.tv_sec - before.tv_sec) + (double)(after.tv_nsec - before.tv_nsec) * 1e-9;
}

/* Eight times the bytes must not take 64 times the time, whatever they are. */
static void linear_time(void **state) {
    (void)state;
    /* packets; signatures; packets of 100 kB that begin every 11 bytes and are whole, CRC bad */
    static const struct {
        const char *unit;
        size_t bytes;
    } hostile[] = {{FOO, FOO_BYTES},
                   {"\xb3", 1},
                   {"\xb3\x20\x40\x81\x86\xa0\x01"
                    "f\x81\x86\x90",
                    11}};
    for (size_t i = 0; i < COUNT(hostile); i++) {
        double small = seconds_for(hostile[i].unit, hostile[i].bytes, 500000);
        double large = seconds_for(hostile[i].unit, hostile[i].bytes, 4000000);
        assert_true(large < 0.02 + 24 * small);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(random_streams),
                                       cmocka_unit_test(linear_time)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
