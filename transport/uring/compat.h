/*
 * What the headers of liburing 2.3 (Debian 12) lack. Whether the kernel has it is probed at run
 * time. Raw numbers under names of our own: the headers have opcodes as enumerators, which the
 * preprocessor cannot see.
 */
#ifndef TRANSPORT_URING_COMPAT_H
#define TRANSPORT_URING_COMPAT_H

#include <liburing.h>

#define URING_OP_READ_MULTISHOT 49 /* Linux 6.7 */

/* Most entries of a provided-buffer ring: the kernel's limit, a buffer's id has 16 bits. */
#define URING_BUF_RING_ENTRIES_MAX 32768

#endif
