/* The filter that decides which frames lwIP gets. */
#include "transport/dpdk/filter.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const uint8_t own_mac[] = {2, 0, 0, 0, 0, 1}, peer_mac[] = {2, 0, 0, 0, 0, 2};
static const uint8_t own4[] = {10, 9, 0, 1}, peer4[] = {10, 9, 0, 2};
static const uint8_t own6[16] = {0xfd, 9, [15] = 1}, peer6[16] = {0xfd, 9, [15] = 2};

struct frame {
    uint8_t data[256];
    size_t len;
};

static struct filter make_filter(void) {
    struct dpdk_spec spec;
    struct filter filter;
    char why[200];
    assert_true(dpdk_spec_parse("net_x,ip=10.9.0.1/24,ip=fd09::1/64", &spec, why, sizeof why));
    dpdk_filter_init(&filter, &spec, own_mac);
    return filter;
}

/* Writes bytes at an offset of a frame, which is zero elsewhere. */
static void put(struct frame *frame, size_t at, const void *bytes, size_t len) {
    memcpy(frame->data + at, bytes, len);
}

static void put8(struct frame *frame, size_t at, unsigned value) {
    frame->data[at] = (uint8_t)value;
}

static void put16(struct frame *frame, size_t at, unsigned value) {
    put8(frame, at, value >> 8);
    put8(frame, at + 1, value & 0xff);
}

static struct frame ethernet(unsigned type, size_t len) {
    struct frame frame = {.len = 14 + len};
    put(&frame, 0, own_mac, 6);
    put(&frame, 6, peer_mac, 6);
    put16(&frame, 12, type);
    return frame;
}

static struct frame ipv4(unsigned protocol, size_t len) {
    struct frame frame = ethernet(0x0800, 20 + len);
    put8(&frame, 14, 0x45);
    put16(&frame, 16, (unsigned)(20 + len));
    put8(&frame, 22, 64);
    put8(&frame, 23, protocol);
    put(&frame, 26, peer4, 4);
    put(&frame, 30, own4, 4);
    return frame;
}

static struct frame ipv6(unsigned protocol, size_t len) {
    struct frame frame = ethernet(0x86dd, 40 + len);
    put8(&frame, 14, 0x60);
    put16(&frame, 18, (unsigned)len);
    put8(&frame, 20, protocol);
    put8(&frame, 21, 255);
    put(&frame, 22, peer6, 16);
    put(&frame, 38, own6, 16);
    return frame;
}

#define TCP4 34
#define TCP6 54
#define FIN 0x01
#define SYN 0x02
#define RST 0x04
#define ACK 0x10

static struct frame tcp(struct frame frame, size_t at, unsigned flags, size_t option_bytes) {
    put16(&frame, at, 40000);
    put16(&frame, at + 2, 7533);
    put8(&frame, at + 12, (unsigned)((20 + option_bytes) / 4) << 4);
    put8(&frame, at + 13, flags);
    return frame;
}

static struct frame tcp4(unsigned flags, size_t option_bytes, size_t len) {
    return tcp(ipv4(6, 20 + option_bytes + len), TCP4, flags, option_bytes);
}

static struct frame arp(unsigned operation) {
    static const uint8_t start[] = {0, 1, 8, 0, 6, 4};
    struct frame frame = ethernet(0x0806, 28);
    put(&frame, 14, start, sizeof start);
    put16(&frame, 20, operation);
    put(&frame, 22, peer_mac, 6);
    put(&frame, 28, peer4, 4);
    put(&frame, 38, own4, 4);
    return frame;
}

static struct frame solicitation(void) {
    static const uint8_t group[16] = {0xff, 2, [11] = 1, 0xff, 0, 0, 1};
    struct frame frame = ipv6(58, 32);
    put(&frame, 38, group, 16);
    put8(&frame, 54, 135);
    put(&frame, 62, own6, 16);
    put8(&frame, 78, 1);
    put8(&frame, 79, 1);
    return frame;
}

/* From memory of exactly its length, so that AddressSanitizer finds a read past its end. */
static enum filter_kind filtered(const struct frame *frame, struct filter_tcp *seen) {
    struct filter filter = make_filter();
    uint8_t *copy = malloc(frame->len + 1);
    assert_non_null(copy);
    memcpy(copy, frame->data, frame->len);
    enum filter_kind kind = dpdk_filter_frame(&filter, copy, frame->len, seen);
    free(copy);
    return kind;
}

static void expect(struct frame frame, enum filter_kind kind) {
    struct filter_tcp seen;
    assert_int_equal(filtered(&frame, &seen), kind);
}

static struct frame with8(struct frame frame, size_t at, unsigned value) {
    put8(&frame, at, value);
    return frame;
}

static struct frame with16(struct frame frame, size_t at, unsigned value) {
    put16(&frame, at, value);
    return frame;
}

static struct frame with(struct frame frame, size_t at, const void *bytes, size_t len) {
    put(&frame, at, bytes, len);
    return frame;
}

static void frames_for_us_pass(void **state) {
    (void)state;
    struct filter_tcp seen;
    expect(tcp4(SYN, 0, 0), FILTER_TCP);
    expect(tcp4(ACK, 0, 100), FILTER_TCP);
    expect(tcp4(FIN | ACK, 12, 1), FILTER_TCP); /* options of zeros: end of options */
    expect(tcp(ipv6(6, 20), TCP6, SYN, 0), FILTER_TCP);
    expect(with8(ipv4(1, 8), 34, 8), FILTER_OTHER);
    expect(with8(ipv6(58, 8), 54, 128), FILTER_OTHER);
    expect(arp(1), FILTER_OTHER);
    expect(arp(2), FILTER_OTHER);
    expect(with(arp(1), 28, "\0\0\0\0", 4), FILTER_OTHER); /* a probe */
    expect(with(arp(1), 38, peer4, 4), FILTER_OTHER);      /* an announcement */
    expect(solicitation(), FILTER_OTHER);
    struct frame frame = tcp4(FIN | ACK, 4, 100);
    put16(&frame, TCP4 + 6, 0x1234);
    assert_int_equal(filtered(&frame, &seen), FILTER_TCP);
    assert_int_equal(seen.source_port, 40000);
    assert_int_equal(seen.destination_port, 7533);
    assert_int_equal(seen.sequence, 0x1234);
    assert_int_equal(seen.len, 100);
    assert_true(seen.fin && seen.ack && !seen.syn);
}

static void frames_for_other_stations_do_not(void **state) {
    (void)state;
    expect(with(tcp4(ACK, 0, 1), 0, peer_mac, 6), FILTER_DROPPED);
    expect(with(tcp4(ACK, 0, 1), 0, "\xff\xff\xff\xff\xff\xff", 6), FILTER_DROPPED);
    expect(with(tcp4(ACK, 0, 1), 30, peer4, 4), FILTER_DROPPED);
    expect(with(tcp(ipv6(6, 20), TCP6, SYN, 0), 0, peer_mac, 6), FILTER_DROPPED);
    expect(with(tcp(ipv6(6, 20), TCP6, SYN, 0), 38, peer6, 16), FILTER_DROPPED);
    expect(with(arp(1), 38, "\x0a\x09\x00\x07", 4), FILTER_DROPPED);
    expect(with8(solicitation(), 53, 7), FILTER_DROPPED); /* the group of another address */
}

static void impossible_sources_do_not(void **state) {
    static const uint8_t bad4[][4] = {
        {10, 9, 0, 1}, {127, 0, 0, 1}, {0, 1, 2, 3}, {224, 0, 0, 1}, {255, 255, 255, 255}};
    static const uint8_t bad6[][16] = {{0xfd, 9, [15] = 1},
                                       {[15] = 1},
                                       {0},
                                       {0xff, 2, [15] = 1},
                                       {[10] = 0xff, 0xff, 10, 9, 0, 1}};
    (void)state;
    for (size_t i = 0; i < sizeof bad4 / sizeof *bad4; i++)
        expect(with(tcp4(ACK, 0, 1), 26, bad4[i], 4), FILTER_DROPPED);
    for (size_t i = 0; i < sizeof bad6 / sizeof *bad6; i++)
        expect(with(tcp(ipv6(6, 20), TCP6, SYN, 0), 22, bad6[i], 16), FILTER_DROPPED);
    expect(with(tcp4(ACK, 0, 1), 6, own_mac, 6), FILTER_DROPPED);
    expect(with8(tcp4(ACK, 0, 1), 6, 3), FILTER_DROPPED); /* a group is no source */
    expect(with(arp(1), 28, own4, 4), FILTER_DROPPED);
}

static void malformed_frames_do_not(void **state) {
    (void)state;
    expect(with8(tcp4(ACK, 0, 1), 14, 0x46), FILTER_DROPPED);    /* IP options */
    expect(with16(tcp4(ACK, 0, 1), 20, 0x2000), FILTER_DROPPED); /* fragments */
    expect(with16(tcp4(ACK, 0, 1), 20, 0x0001), FILTER_DROPPED);
    expect(with16(tcp4(ACK, 0, 1), 16, 42), FILTER_DROPPED); /* longer than the frame */
    expect(with16(tcp4(ACK, 0, 1), 16, 39), FILTER_DROPPED); /* no room for TCP */
    expect(with16(tcp4(ACK, 0, 1), 16, 10), FILTER_DROPPED);
    expect(with8(tcp4(ACK, 0, 1), TCP4 + 12, 0x40), FILTER_DROPPED); /* shorter than a TCP header */
    expect(with8(tcp4(ACK, 0, 1), TCP4 + 12, 0xf0), FILTER_DROPPED);
    expect(with16(tcp4(ACK, 0, 1), TCP4, 0), FILTER_DROPPED); /* port 0 */
    expect(ipv4(17, 20), FILTER_DROPPED);
    expect(with8(ipv4(1, 8), 34, 0), FILTER_DROPPED);      /* an echo reply, unasked */
    expect(ipv6(44, 40), FILTER_DROPPED);                  /* a fragment */
    expect(ipv6(0, 40), FILTER_DROPPED);                   /* extension headers before TCP */
    expect(with8(solicitation(), 21, 64), FILTER_DROPPED); /* from beyond a router */
    expect(with8(solicitation(), 79, 0), FILTER_DROPPED);  /* an option of length 0 */
    expect(with8(solicitation(), 79, 2), FILTER_DROPPED);
    expect(with8(ipv6(58, 24), 54, 137), FILTER_DROPPED); /* redirect */
    expect(with16(arp(1), 20, 3), FILTER_DROPPED);
    expect(with8(arp(1), 18, 8), FILTER_DROPPED);
    expect(ethernet(0x8100, 50), FILTER_DROPPED);
}

static void only_valid_options_pass(void **state) {
    (void)state;
    expect(with(tcp4(SYN, 4, 0), TCP4 + 20, "\2\4\5\xb4", 4), FILTER_TCP);
    expect(with(tcp4(SYN, 4, 0), TCP4 + 20, "\1\3\3\7", 4), FILTER_TCP);
    expect(with(tcp4(ACK, 12, 0), TCP4 + 20, "\1\1\x8\xa\0\0\0\0\0\0\0\0", 12), FILTER_TCP);
    expect(with(tcp4(SYN, 4, 0), TCP4 + 20, "\2\4\0\x2f", 4), FILTER_DROPPED); /* MSS of 47 */
    expect(with(tcp4(ACK, 4, 0), TCP4 + 20, "\2\4\5\xb4", 4), FILTER_DROPPED);
    expect(with(tcp4(ACK, 4, 0), TCP4 + 20, "\1\3\3\7", 4), FILTER_DROPPED);
    expect(with(tcp4(SYN, 4, 0), TCP4 + 20, "\2\3\5\xb4", 4), FILTER_DROPPED);
    expect(with(tcp4(SYN, 4, 0), TCP4 + 20, "\1\1\1\2", 4), FILTER_DROPPED);
    expect(with(tcp4(SYN, 4, 0), TCP4 + 20, "\x8\0\1\1", 4), FILTER_DROPPED);
    expect(with(tcp4(SYN, 4, 0), TCP4 + 20, "\x8\5\1\1", 4), FILTER_DROPPED);
    expect(tcp4(SYN | FIN, 0, 0), FILTER_DROPPED);
    expect(tcp4(SYN | RST, 0, 0), FILTER_DROPPED);
    expect(tcp4(SYN, 0, 1), FILTER_DROPPED);
}

/* Good frames, cut anywhere and with changed bytes: the filter reports only parts of the frame. */
static void damaged_frames_do_no_harm(void **state) {
    (void)state;
    srand(1);
    for (unsigned round = 0; round < 200000; round++) {
        const struct frame good[] = {
            tcp4(SYN, 8, 0), tcp4(ACK, 4, 50), tcp(ipv6(6, 60), TCP6, ACK, 4),
            arp(1),          solicitation(),   with8(ipv4(1, 30), 34, 8)};
        struct frame frame = good[(size_t)rand() % (sizeof good / sizeof *good)];
        struct filter_tcp seen = {0};
        if (rand() % 2)
            frame.len = (size_t)rand() % (frame.len + 1);
        for (int changes = rand() % 6; changes > 0 && frame.len > 0; changes--)
            frame.data[(size_t)rand() % frame.len] =
                (uint8_t)(rand() % 2 ? rand() : 1 << rand() % 8);
        if (filtered(&frame, &seen) == FILTER_TCP)
            assert_true(seen.len + 54u <= frame.len && seen.source_port && seen.destination_port);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_for_us_pass),
        cmocka_unit_test(frames_for_other_stations_do_not),
        cmocka_unit_test(impossible_sources_do_not),
        cmocka_unit_test(malformed_frames_do_not),
        cmocka_unit_test(only_valid_options_pass),
        cmocka_unit_test(damaged_frames_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
