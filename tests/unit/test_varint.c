/* mux_varint_read() and mux_varint_write(): every width, every edge. */
#include "mux/packet/packet.h"
#include "tests/unit/check.h"

/* Written independently of varint.h: two bits of width, the rest big endian. */
static unsigned write_in_width(uint8_t *out, uint32_t value, unsigned width) {
    uint64_t wire = (uint64_t)value | (uint64_t)(width - 1) << (8 * width - 2);
    for (unsigned i = 0; i < width; i++)
        out[i] = (uint8_t)(wire >> 8 * (width - 1 - i));
    return width;
}

static unsigned least_width(uint32_t value) {
    unsigned width = 1;
    while (width < 4 && value >> (8 * width - 2))
        width++;
    return width;
}

static void check_value(uint32_t value) {
    uint8_t written[4], expected[4];
    unsigned width = least_width(value);
    write_in_width(expected, value, width);
    if (mux_varint_write(written, value) != width || memcmp(written, expected, width) != 0)
        fail_msg("%u is not written in %u bytes as it should be", value, width);
    uint32_t read = 0;
    if (mux_varint_read(mux_span(written, width), &read) != width || read != value)
        fail_msg("%u is read as %u", value, read);
}

/* The table of python-subunit's tests, in bytes. */
static void known_bytes(void **state) {
    (void)state;
    static const struct {
        uint32_t value;
        unsigned width;
        uint8_t wire[4];
    } table[] = {
        {0, 1, {0x00}},
        {63, 1, {0x3F}},
        {64, 2, {0x40, 0x40}},
        {16383, 2, {0x7F, 0xFF}},
        {16384, 3, {0x80, 0x40, 0x00}},
        {4194303, 3, {0xBF, 0xFF, 0xFF}},
        {4194304, 4, {0xC0, 0x40, 0x00, 0x00}},
        {1073741823, 4, {0xFF, 0xFF, 0xFF, 0xFF}},
    };
    for (size_t i = 0; i < COUNT(table); i++) {
        uint8_t out[4];
        assert_int_equal(mux_varint_write(out, table[i].value), table[i].width);
        assert_memory_equal(out, table[i].wire, table[i].width);
    }
}

static void all_values(void **state) {
    (void)state;
    for (uint32_t value = 0; value < (1u << 22) + 70000; value++)
        check_value(value);
    for (uint32_t value = 1u << 22; value < MUX_VARINT_MAX - 9973; value += 9973)
        check_value(value);
    check_value(MUX_VARINT_MAX - 1);
    check_value(MUX_VARINT_MAX);
}

/* Over-long forms are read, and every cut is detected without a read past it. */
static void over_long_and_cut(void **state) {
    (void)state;
    static const uint32_t values[] = {0,     1,     62,      63,      64,      65,        16382,
                                      16383, 16384, 4194302, 4194303, 4194304, 1073741823};
    for (size_t i = 0; i < COUNT(values); i++) {
        for (unsigned width = least_width(values[i]); width <= 4; width++) {
            uint8_t wire[4];
            write_in_width(wire, values[i], width);
            for (unsigned have = 0; have <= width; have++) {
                uint8_t *there = exact_copy(wire, have);
                uint32_t read = 0;
                assert_int_equal(mux_varint_read(mux_span(there, have), &read),
                                 have == width ? width : 0);
                assert_int_equal(read, have == width ? values[i] : 0);
                free(there);
            }
        }
    }
}

/* The bytes after a number are not read. */
static void first_bytes(void **state) {
    (void)state;
    for (unsigned first = 0; first < 256; first++) {
        uint8_t wire[6] = {(uint8_t)first, 0x12, 0x34, 0x56, 0xFF, 0xFF};
        uint32_t low = first & 0x3F, read;
        const uint32_t expected[] = {low, low << 8 | 0x12, low << 16 | 0x1234,
                                     low << 24 | 0x123456};
        unsigned width = mux_varint_read(mux_span(wire, sizeof wire), &read);
        assert_int_equal(width, first / 64 + 1);
        assert_int_equal(read, expected[width - 1]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_bytes),
        cmocka_unit_test(all_values),
        cmocka_unit_test(over_long_and_cut),
        cmocka_unit_test(first_bytes),
    };
    return cmocka_run_group_tests_name("number", tests, NULL, NULL);
}
