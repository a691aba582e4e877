#include "transport/rdma/wire.h"
#include <endian.h>
#include <string.h>

static const uint8_t magic[8] = "muxdRDMA";

static void put16(uint8_t *out, uint16_t value) {
    value = htole16(value);
    memcpy(out, &value, sizeof value);
}

static void put32(uint8_t *out, uint32_t value) {
    value = htole32(value);
    memcpy(out, &value, sizeof value);
}

static void put64(uint8_t *out, uint64_t value) {
    value = htole64(value);
    memcpy(out, &value, sizeof value);
}

static uint16_t get16(const uint8_t *bytes) {
    uint16_t value;
    memcpy(&value, bytes, sizeof value);
    return le16toh(value);
}

static uint32_t get32(const uint8_t *bytes) {
    uint32_t value;
    memcpy(&value, bytes, sizeof value);
    return le32toh(value);
}

static uint64_t get64(const uint8_t *bytes) {
    uint64_t value;
    memcpy(&value, bytes, sizeof value);
    return le64toh(value);
}

static void put_greeting(uint8_t *out, uint16_t third, uint16_t fourth) {
    memcpy(out, magic, sizeof magic);
    put16(out + 8, WIRE_VERSION);
    put16(out + 10, WIRE_HELLO_BYTES);
    put16(out + 12, third);
    put16(out + 14, fourth);
}

static enum wire_kind greeting_kind(const uint8_t *bytes, size_t len) {
    if (len < WIRE_HELLO_BYTES || memcmp(bytes, magic, sizeof magic) != 0)
        return WIRE_HELLO_FOREIGN;
    return get16(bytes + 8) == WIRE_VERSION ? WIRE_HELLO_GOOD : WIRE_HELLO_OTHER;
}

void rdma_wire_put_hello(uint8_t *out, const struct wire_hello *hello) {
    put_greeting(out, hello->message_bytes, hello->credits);
}

enum wire_kind rdma_wire_get_hello(const uint8_t *bytes, size_t len, struct wire_hello *hello) {
    enum wire_kind kind = greeting_kind(bytes, len);
    if (kind != WIRE_HELLO_GOOD)
        return kind;
    hello->message_bytes = get16(bytes + 12);
    hello->credits = get16(bytes + 14);
    bool sound = get16(bytes + 10) == WIRE_HELLO_BYTES &&
                 hello->message_bytes >= WIRE_MESSAGE_LEAST_BYTES && hello->credits > 0;
    return sound ? WIRE_HELLO_GOOD : WIRE_HELLO_FOREIGN;
}

void rdma_wire_put_rejection(uint8_t *out, enum wire_reason reason) {
    put_greeting(out, 0, (uint16_t)reason);
}

unsigned rdma_wire_get_rejection(const uint8_t *bytes, size_t len) {
    return greeting_kind(bytes, len) == WIRE_HELLO_FOREIGN ? 0 : get16(bytes + 14);
}

struct wire_span rdma_wire_span_at(const struct wire_message *message, unsigned index) {
    const uint8_t *entry = message->table + (size_t)index * WIRE_SPAN_BYTES;
    return (struct wire_span){.address = get64(entry),
                              .key = get32(entry + 8),
                              .length = get32(entry + 12),
                              .before = get16(entry + 16),
                              .lead = get16(entry + 18)};
}

/* Announcements are in the stream's order, each at a position inside the literal bytes. */
static bool is_table_sound(const struct wire_message *message) {
    unsigned at = 0;
    for (unsigned i = 0; i < message->spans; i++) {
        struct wire_span span = rdma_wire_span_at(message, i);
        if (span.length == 0 || span.before < at || span.before > message->literal_bytes ||
            span.lead > span.before - at || span.address + span.length < span.address)
            return false;
        at = span.before;
    }
    return true;
}

static bool parse_stream(const uint8_t *bytes, size_t len, struct wire_message *message) {
    size_t prefix = rdma_wire_prefix_bytes(message->spans);
    if (message->head.flags != WIRE_STREAM || message->spans > WIRE_SPANS_MAX || len < prefix)
        return false;
    message->table = bytes + WIRE_HEAD_BYTES;
    message->literals = bytes + prefix;
    message->literal_bytes = len - prefix;
    return message->spans + message->literal_bytes > 0 && is_table_sound(message);
}

/* The known controls; each may be empty except for its head. */
static bool is_control_known(uint8_t flags) {
    return flags == 0 || flags == WIRE_END || flags == WIRE_ANSWER || flags == WIRE_CLOSE ||
           flags == (WIRE_CLOSE | WIRE_ASK);
}

static bool parse_control(const uint8_t *bytes, size_t len, struct wire_message *message) {
    bool has_taken = message->head.flags & (WIRE_CLOSE | WIRE_ANSWER);
    if (!is_control_known(message->head.flags) || message->spans > 0 ||
        len != (has_taken ? WIRE_CONTROL_MOST_BYTES : WIRE_HEAD_BYTES))
        return false;
    if (has_taken)
        message->taken = get64(bytes + WIRE_HEAD_BYTES);
    return true;
}

bool rdma_wire_parse(const uint8_t *bytes, size_t len, struct wire_message *message) {
    *message = (struct wire_message){0};
    if (len < WIRE_HEAD_BYTES)
        return false;
    message->head = (struct wire_head){.flags = bytes[0],
                                       .controls = bytes[1],
                                       .credits = get16(bytes + 2),
                                       .done = get16(bytes + 4)};
    message->spans = get16(bytes + 6);
    return message->head.flags & WIRE_STREAM ? parse_stream(bytes, len, message)
                                             : parse_control(bytes, len, message);
}

void rdma_wire_put_head(uint8_t *out, const struct wire_head *head, unsigned spans) {
    out[0] = head->flags;
    out[1] = head->controls;
    put16(out + 2, head->credits);
    put16(out + 4, head->done);
    put16(out + 6, (uint16_t)spans);
}

void rdma_wire_put_span(uint8_t *out, unsigned index, const struct wire_span *span) {
    uint8_t *entry = out + rdma_wire_prefix_bytes(index);
    put64(entry, span->address);
    put32(entry + 8, span->key);
    put32(entry + 12, span->length);
    put16(entry + 16, span->before);
    put16(entry + 18, span->lead);
    put32(entry + 20, 0);
}

void rdma_wire_put_taken(uint8_t *out, uint64_t taken) {
    put64(out + WIRE_HEAD_BYTES, taken);
}
