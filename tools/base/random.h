/* Numbers for keys, secrets and names. */
#ifndef TOOLS_BASE_RANDOM_H
#define TOOLS_BASE_RANDOM_H

#include <stddef.h>

/*
 * Fills bytes[0..len) from the kernel. Where it has none to give (a sandbox without getrandom() and
 * without /dev/urandom), the time and the process id are what there is: unique, but not secret.
 */
void random_fill(void *bytes, size_t len);

/* A UUID (RFC 9562, version 4) in small letters, with NUL. */
#define RANDOM_UUID_BYTES 37
void random_uuid(char out[RANDOM_UUID_BYTES]);

#endif
