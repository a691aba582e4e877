/* What the fuzzers share: an input read as a script, packets whose CRC no fuzzer could guess. */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include "mux/packet/packet.h"

/* What a fuzzer is: libFuzzer or replay.c calls it. What must hold it asserts. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* An input, read from its front. At its end all numbers are 0 and all spans empty. */
struct script {
    struct mux_span rest;
};

uint8_t script_byte(struct script *script);

/* 0..most, by two bytes */
size_t script_number(struct script *script, size_t most);

/* At most `most` bytes. */
struct mux_span script_take(struct script *script, size_t most);

/* A length by one byte, and so many bytes; NULL instead when the length is 255. */
struct mux_span script_field(struct script *script);

/*
 * The bytes in memory of exactly their size, so that a read past their end shows. To be freed.
 */
uint8_t *copy_of(struct mux_span bytes);

/*
 * Gives what looks like a packet its right CRC, packet behind packet, unless the CRC that is there
 * is all zero: that one stays wrong.
 */
void repair_packets(uint8_t *bytes, size_t len);

/* The same fields? */
bool same_fields(const struct mux_packet *a, const struct mux_packet *b);

/* Both absent, or both there with the same bytes. */
bool same_span(struct mux_span a, struct mux_span b);

/* Bytes that grow. To be freed: `data`. */
struct bytes {
    uint8_t *data;
    size_t len, capacity;
};

void bytes_append(struct bytes *bytes, struct mux_span more);

#endif
