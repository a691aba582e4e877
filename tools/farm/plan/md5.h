/* MD5 (RFC 1321), for partitions that must agree with those of other programs. It protects nothing.
 */
#ifndef TOOLS_FARM_PLAN_MD5_H
#define TOOLS_FARM_PLAN_MD5_H

#include <stddef.h>
#include <stdint.h>

enum { MD5_WORDS = 4 };

/* The digest of text[0..len), as the four little-endian words in which its bytes are written. */
void md5_digest(const void *text, size_t len, uint32_t words[MD5_WORDS]);

#endif
