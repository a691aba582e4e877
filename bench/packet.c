#include "bench/packet.h"

#include <assert.h>
#include <isa-l/crc.h>
#include <stdio.h>
#include <string.h>

#define SIGNATURE 0xB3
#define VERSION_2 0x2000
#define HAS_TEST_ID 0x0800
#define HAS_TIMESTAMP 0x0200
#define RUNNABLE 0x0100
#define HAS_TAGS 0x0080
#define HAS_FILE 0x0040
#define HAS_MIME 0x0020
#define END_OF_FILE 0x0010
#define IN_PROGRESS 2
#define SUCCESS 3
#define FAIL 6

#define CRC_BYTES 4
#define ID_MOST_BYTES 120
#define WRAPPING_MOST_BYTES 64
#define TRACEBACK_BYTES 900
#define OUTPUT_BYTES 60
#define MIX_ID_BYTES 80
#define MIX_MEAN_BYTES 150
#define BULK_SECONDS 1700000000u /* any time; latency is not measured with it */

int framing_parse(const char *name) {
    static const char *const names[] = {"subunit", "stream", "bytes", "nats", "syslog"};
    for (int i = 0; i < (int)(sizeof names / sizeof *names); i++)
        if (strcmp(name, names[i]) == 0)
            return i;
    return -1;
}

uint32_t cycle_packets(uint32_t packet_bytes, uint32_t workers) {
    uint32_t bytes = packet_bytes == PACKET_MIX ? MIX_MEAN_BYTES : packet_bytes;
    uint32_t fill = (CYCLE_LEAST_BYTES / bytes + 2) & ~1u;
    return fill > 2 * workers ? fill : 2 * workers;
}

size_t packet_room(uint32_t packet_bytes) {
    return (packet_bytes > 2048 ? packet_bytes : 2048) + WRAPPING_MOST_BYTES;
}

static uint8_t *put_varint(uint8_t *out, uint32_t value) {
    if (value < 1u << 6) {
        *out++ = (uint8_t)value;
    } else if (value < 1u << 14) {
        *out++ = (uint8_t)(0x40 | value >> 8);
        *out++ = (uint8_t)value;
    } else {
        *out++ = (uint8_t)(0x80 | value >> 16);
        *out++ = (uint8_t)(value >> 8);
        *out++ = (uint8_t)value;
    }
    return out;
}

static uint8_t *put_u32(uint8_t *out, uint32_t value) {
    for (int shift = 24; shift >= 0; shift -= 8)
        *out++ = (uint8_t)(value >> shift);
    return out;
}

static uint8_t *put_string(uint8_t *out, const char *text) {
    size_t len = strlen(text);
    out = put_varint(out, (uint32_t)len);
    memcpy(out, text, len);
    return out + len;
}

/* Seconds, and nanoseconds in four bytes, so that their place is the same in every packet. */
static uint8_t *put_time(uint8_t *out, uint64_t ns) {
    out = put_u32(out, (uint32_t)(ns / 1000000000u));
    return put_u32(out, 0xC0000000u | (uint32_t)(ns % 1000000000u));
}

static void seal(uint8_t *packet, size_t len) {
    put_u32(packet + len - CRC_BYTES, crc32_gzip_refl(0, packet, len - CRC_BYTES));
}

struct shape {
    uint32_t id_bytes;
    uint32_t file_bytes; /* 0: no file */
    unsigned status;
};

static size_t file_field_bytes(uint32_t bytes) {
    return bytes ? 24 + 10 + (bytes < 64 ? 1 : bytes < 16384 ? 2 : 3) + bytes : 0;
}

/* The bytes without the length field: flags, time, id, tag, file, CRC. */
static uint32_t shape_bytes(struct shape shape) {
    uint32_t bytes = (uint32_t)(3 + 8 + 2 + shape.id_bytes + 11 +
                                file_field_bytes(shape.file_bytes) + CRC_BYTES);
    return bytes + (bytes < 16382 ? 2 : 3);
}

/* A packet of exactly `bytes` bytes: the test id fills what the other fields leave. */
static struct shape shape_of_size(uint32_t bytes, unsigned status) {
    struct shape shape = {0, bytes >= 256 ? bytes - 150 : 0, status};
    shape.id_bytes = bytes - shape_bytes(shape);
    assert(shape.id_bytes >= 64 && shape.id_bytes < ID_MOST_BYTES); /* its length needs two bytes */
    return shape;
}

static struct shape shape_of(uint32_t packet_bytes, uint32_t number) {
    uint32_t test = number / 2;
    unsigned status = number % 2 ? SUCCESS : IN_PROGRESS;
    if (packet_bytes != PACKET_MIX)
        return shape_of_size(packet_bytes, status);
    if (status == IN_PROGRESS)
        return (struct shape){MIX_ID_BYTES, 0, status};
    if (test % 25 == 3)
        return (struct shape){MIX_ID_BYTES, TRACEBACK_BYTES, FAIL};
    return (struct shape){MIX_ID_BYTES, test % 5 == 1 ? OUTPUT_BYTES : 0, status};
}

static uint8_t *put_file(uint8_t *out, uint32_t bytes) {
    out = put_string(out, "text/plain;charset=utf8");
    out = put_string(out, "traceback");
    out = put_varint(out, bytes);
    for (uint32_t i = 0; i < bytes; i++)
        *out++ = (uint8_t)(i % 61 == 60 ? '\n' : ' ' + i * 7 % 90);
    return out;
}

/* "package.module.Class.test_..." of `len` bytes that ends in the test's number. */
static uint8_t *put_test_id(uint8_t *out, size_t len, uint32_t test) {
    static const char name[ID_MOST_BYTES + 1] =
        "package.tests.test_module.TestClass.test_that_something_works_as_described_in_the_manual_"
        "and_that_errors_are_reported_";
    char number[9];
    snprintf(number, sizeof number, "%08x", test);
    out = put_varint(out, (uint32_t)len);
    memcpy(out, name, len - 8);
    memcpy(out + len - 8, number, 8);
    return out + len;
}

static size_t build_subunit(uint8_t *out, struct shape shape, uint32_t number, int last) {
    unsigned flags = VERSION_2 | HAS_TEST_ID | HAS_TIMESTAMP | RUNNABLE | HAS_TAGS | shape.status;
    if (shape.file_bytes)
        flags |= HAS_FILE | HAS_MIME | END_OF_FILE;
    size_t length_bytes = shape_bytes(shape) < 16384 ? 2 : 3;
    uint8_t *at = out;
    *at++ = SIGNATURE;
    *at++ = (uint8_t)(flags >> 8);
    *at++ = (uint8_t)flags;
    uint8_t *length = at;
    at = put_time(at + length_bytes, BULK_SECONDS * UINT64_C(1000000000));
    at = put_test_id(at, shape.id_bytes, number / 2);
    char tag[10];
    snprintf(tag, sizeof tag, "%c%08x", last ? 'e' : 's', number);
    at = put_string(put_varint(at, 1), tag);
    if (shape.file_bytes)
        at = put_file(at, shape.file_bytes);
    size_t len = (size_t)(at - out) + CRC_BYTES;
    put_varint(length, (uint32_t)len);
    seal(out, len);
    return len;
}

static size_t build_syslog(uint8_t *out, uint32_t bytes, uint32_t worker, uint32_t number,
                           int last) {
    char record[4096];
    int len = snprintf(record, sizeof record, "<14>1 - w%05u bench - - - %c%08x ", worker,
                       last ? 'e' : 's', number);
    while (len < (int)bytes - 4 && len < (int)sizeof record)
        record[len++] = 'x';
    return (size_t)sprintf((char *)out, "%d %.*s", len, len, record);
}

size_t packet_build(uint8_t *out, enum framing framing, uint32_t packet_bytes, uint32_t worker,
                    uint32_t number, int last) {
    if (framing == FRAMING_SYSLOG)
        return build_syslog(out, last ? PACKET_LEAST_BYTES : packet_bytes, worker, number, last);
    /* the last packet belongs to no test: it is an outcome by itself */
    struct shape shape =
        last ? shape_of_size(PACKET_LEAST_BYTES, SUCCESS) : shape_of(packet_bytes, number);
    if (framing != FRAMING_NATS)
        return build_subunit(out, shape, number, last);
    uint8_t *body = out + sprintf((char *)out, "PUB w.%05u %u\r\n", worker, shape_bytes(shape));
    uint8_t *end = body + build_subunit(body, shape, number, last);
    memcpy(end, "\r\n", 2);
    return (size_t)(end - out) + 2;
}

void packet_stamp(uint8_t *packet, size_t len, uint64_t realtime_ns) {
    put_time(packet + (len < 16384 ? 5 : 6), realtime_ns);
    seal(packet, len);
}
