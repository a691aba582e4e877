#include "tests/fuzz/fuzz.h"

#include "mux/packet/crc.h"

#include <stdlib.h>

uint8_t script_byte(struct script *script) {
    struct mux_span byte = script_take(script, 1);
    return byte.len ? *byte.data : 0;
}

size_t script_number(struct script *script, size_t most) {
    size_t high = script_byte(script);
    return (high << 8 | script_byte(script)) % (most + 1);
}

struct mux_span script_take(struct script *script, size_t most) {
    struct mux_span rest = script->rest;
    size_t len = most < rest.len ? most : rest.len;
    if (len)
        script->rest = mux_span(rest.data + len, rest.len - len);
    return mux_span(len ? rest.data : (const uint8_t *)"", len);
}

struct mux_span script_field(struct script *script) {
    uint8_t len = script_byte(script);
    return len == 255 ? mux_span(NULL, 0) : script_take(script, len);
}

uint8_t *copy_of(struct mux_span bytes) {
    uint8_t *copy = malloc(bytes.len ? bytes.len : 1);
    assert(copy);
    if (bytes.len)
        memcpy(copy, bytes.data, bytes.len);
    return copy;
}

/* The length of an apparent whole packet at the beginning of `bytes`; 0: there is none. */
static uint32_t length_at(struct mux_span bytes) {
    uint32_t length, header_bytes;
    if (mux_header_parse(bytes, &length, &header_bytes) || length > bytes.len ||
        !mux_packet_fits(bytes, length, header_bytes))
        return 0;
    return length;
}

void repair_packets(uint8_t *bytes, size_t len) {
    size_t at = 0;
    while (at < len) {
        uint32_t length = length_at(mux_span(bytes + at, len - at));
        if (length == 0) {
            at++;
            continue;
        }
        at += length;
        uint8_t *crc_at = bytes + at - MUX_CRC_BYTES;
        if (mux_packet_crc(mux_span(crc_at + MUX_CRC_BYTES - length, length)) == 0)
            continue;
        uint32_t crc = mux_crc(0, mux_span(bytes + at - length, length - MUX_CRC_BYTES));
        for (unsigned i = 0; i < MUX_CRC_BYTES; i++)
            crc_at[i] = (uint8_t)(crc >> (24 - 8 * i));
    }
}

bool same_span(struct mux_span a, struct mux_span b) {
    return !a.data == !b.data && mux_span_equal(a, b);
}

/* Compares tags one by one: a length may be written in more bytes than it needs. */
static bool same_tags(const struct mux_packet *a, const struct mux_packet *b) {
    struct mux_span a_rest = a->tags, b_rest = b->tags, a_tag, b_tag;
    bool more;
    do {
        more = mux_tag_next(&a_rest, &a_tag);
        if (more != mux_tag_next(&b_rest, &b_tag) || (more && !mux_span_equal(a_tag, b_tag)))
            return false;
    } while (more);
    return a->has_tags == b->has_tags && (!a->has_tags || a->tag_count == b->tag_count);
}

bool same_fields(const struct mux_packet *a, const struct mux_packet *b) {
    return a->status == b->status && a->runnable == b->runnable && a->eof == b->eof &&
           a->has_timestamp == b->has_timestamp && same_tags(a, b) &&
           (!a->has_timestamp || (a->seconds == b->seconds && a->nanoseconds == b->nanoseconds)) &&
           same_span(a->test_id, b->test_id) && same_span(a->mime, b->mime) &&
           same_span(a->file_name, b->file_name) && same_span(a->file_content, b->file_content) &&
           same_span(a->route, b->route);
}

void bytes_append(struct bytes *bytes, struct mux_span more) {
    if (bytes->len + more.len > bytes->capacity) {
        bytes->capacity = 2 * (bytes->len + more.len);
        bytes->data = realloc(bytes->data, bytes->capacity);
        assert(bytes->data);
    }
    if (more.len)
        memcpy(bytes->data + bytes->len, more.data, more.len);
    bytes->len += more.len;
}
