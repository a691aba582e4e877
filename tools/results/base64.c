#include "tools/results/base64.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_encode(struct mux_span bytes, char *out) {
    for (size_t i = 0; i < bytes.len; i += 3, out += 4) {
        size_t left = bytes.len - i;
        uint32_t group = (uint32_t)bytes.data[i] << 16;
        group |= left > 1 ? (uint32_t)bytes.data[i + 1] << 8 : 0;
        group |= left > 2 ? bytes.data[i + 2] : 0;
        out[0] = alphabet[group >> 18];
        out[1] = alphabet[group >> 12 & 63];
        out[2] = left > 1 ? alphabet[group >> 6 & 63] : '=';
        out[3] = left > 2 ? alphabet[group & 63] : '=';
    }
}

/* 64 and more: it is no character of base64. */
static uint32_t value_of(uint8_t character) {
    const char *found = character ? strchr(alphabet, character) : NULL;
    return found ? (uint32_t)(found - alphabet) : 64;
}

/* What the last characters have beyond whole bytes may be anything: other encoders do not clear it.
 */
bool base64_decode(struct mux_span text, uint8_t *out, size_t *out_len) {
    size_t len = 0;
    if (text.len % 4 != 0)
        return false;
    for (size_t i = 0; i < text.len; i += 4) {
        const uint8_t *at = text.data + i;
        bool is_last = i + 4 == text.len;
        unsigned padding = is_last && at[3] == '=' ? 1 + (at[2] == '=') : 0;
        uint32_t group = 0;
        for (unsigned j = 0; j < 4; j++) {
            uint32_t value = j < 4 - padding ? value_of(at[j]) : 0;
            if (value > 63)
                return false;
            group = group << 6 | value;
        }
        for (unsigned j = 0; j < 3 - padding; j++)
            out[len++] = (uint8_t)(group >> (16 - 8 * j));
    }
    *out_len = len;
    return true;
}
