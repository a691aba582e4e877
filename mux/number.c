#include "mux/packet.h"

unsigned mux_number_read(struct mux_span bytes, uint32_t *value) {
    if (bytes.len == 0)
        return 0;
    unsigned width = (bytes.data[0] >> 6) + 1u;
    if (bytes.len < width)
        return 0;
    uint32_t number = bytes.data[0] & 0x3Fu;
    for (unsigned i = 1; i < width; i++)
        number = number << 8 | bytes.data[i];
    *value = number;
    return width;
}

unsigned mux_number_write(uint8_t *out, uint32_t value) {
    assert(value <= MUX_NUMBER_MAX);
    if (value < 1u << 6) {
        out[0] = (uint8_t)value;
        return 1;
    }
    if (value < 1u << 14) {
        out[0] = (uint8_t)(0x40 | value >> 8);
        out[1] = (uint8_t)value;
        return 2;
    }
    if (value < 1u << 22) {
        out[0] = (uint8_t)(0x80 | value >> 16);
        out[1] = (uint8_t)(value >> 8);
        out[2] = (uint8_t)value;
        return 3;
    }
    out[0] = (uint8_t)(0xC0 | value >> 24);
    out[1] = (uint8_t)(value >> 16);
    out[2] = (uint8_t)(value >> 8);
    out[3] = (uint8_t)value;
    return 4;
}
