/* Base64 (RFC 4648, section 4), with padding. */
#ifndef TOOLS_RESULTS_BASE64_H
#define TOOLS_RESULTS_BASE64_H

#include "mux/buffer.h"

static inline size_t base64_encoded_bytes(size_t len) {
    return (len + 2) / 3 * 4;
}

/* Writes base64_encoded_bytes() characters, without NUL. */
void base64_encode(struct mux_span bytes, char *out);

/*
 * Writes at most three bytes for four characters; *out_len is how many. False: it is not base64 in
 * every character.
 */
bool base64_decode(struct mux_span text, uint8_t *out, size_t *out_len);

#endif
