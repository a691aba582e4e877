/* Common to the fuzzers: an input read as a script, and CRCs, which no fuzzer could guess. */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include "mux/packet/packet.h"

/* A fuzzer's function, which libFuzzer or replay.c calls. It asserts what must hold. */
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

/* A length in one byte, and that many bytes; NULL when the length is 255. */
struct mux_span script_field(struct script *script);

/*
 * The bytes in memory of exactly their size, so that a read past their end is detected. The caller
 * frees it.
 */
uint8_t *copy_of(struct mux_span bytes);

/*
 * Writes the right CRC into apparent packets, one after the other, unless the present CRC is all
 * zero: that one stays wrong.
 */
void repair_packets(uint8_t *bytes, size_t len);

/* Both have the same fields. */
bool same_fields(const struct mux_packet *a, const struct mux_packet *b);

/* Both are absent, or both are present with the same bytes. */
bool same_span(struct mux_span a, struct mux_span b);

/* Bytes that grow. The owner frees `data`. */
struct bytes {
    uint8_t *data;
    size_t len, capacity;
};

void bytes_append(struct bytes *bytes, struct mux_span more);

#endif
