/*
 * CRC-32 as zlib computes it (ISO-HDLC: polynomial 0x04C11DB7 reflected), and its algebra.
 *
 * With A|B for "A followed by B" and x^8n the residue of that power of x in the CRC's field:
 *     crc(A|B) = crc(A) * x^8|B|  ^  crc(B)
 * so a changed head or tail gives the new CRC without a look at the bytes between.
 * Multiplication is by PCLMULQDQ where the CPU has it, else portable.
 */
#ifndef MUX_CRC_H
#define MUX_CRC_H

#include "mux/buffer.h"

/*
 * The CRC of everything so far (`crc`, 0 at the start) followed by `bytes`. By ISA-L, or by a table
 * for short spans.
 */
uint32_t mux_crc(uint32_t crc, struct mux_span bytes);

/* x^(8n) for n bytes, n <= 4194303 */
uint32_t mux_crc_power(uint32_t bytes);

/* x^(-8n) for n bytes, n <= 4194303 */
uint32_t mux_crc_power_inverse(uint32_t bytes);

/* a * b in the CRC's field */
uint32_t mux_crc_multiply(uint32_t a, uint32_t b);

/*
 * a * x^(8 * a_bytes) ^ b * x^(8 * b_bytes): combines what is known of two parts of a packet, each
 * moved to its place. Both byte counts may be negative and are within +-4194303.
 */
uint32_t mux_crc_place(uint32_t a, int32_t a_bytes, uint32_t b, int32_t b_bytes);

/* crc(A|B) from crc(A), crc(B) and |B| */
uint32_t mux_crc_concat(uint32_t crc_a, uint32_t crc_b, uint32_t b_bytes);

/*
 * Chooses the multiplication; for tests. False forces the portable one. Returns whether PCLMULQDQ
 * is in use now.
 */
bool mux_crc_use_pclmul(bool wanted);

#endif
