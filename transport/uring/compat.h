/*
 * What the headers of liburing 2.3 (Debian 12) lack. Whether the kernel supports it is probed at
 * run time. Raw numbers under names of our own: the headers have opcodes as enumerators, which the
 * preprocessor cannot see.
 */
#ifndef TRANSPORT_URING_COMPAT_H
#define TRANSPORT_URING_COMPAT_H

#include <liburing.h>

#define URING_OP_READ_MULTISHOT 49 /* Linux 6.7 */

/*
 * Waiting for a minimum time: Linux 6.12. The argument of io_uring_enter() has it where `pad` was.
 */
#define URING_FEATURE_MIN_TIMEOUT (1U << 15)

struct uring_getevents_arg {
    __u64 sigmask;
    __u32 sigmask_sz;
    __u32 min_wait_usec;
    __u64 ts;
};

_Static_assert(sizeof(struct uring_getevents_arg) == sizeof(struct io_uring_getevents_arg),
               "the kernel tells them apart by nothing but a feature bit");

/* Most entries of a provided-buffer ring: the kernel's limit, a buffer's id has 16 bits. */
#define URING_BUF_RING_ENTRIES_MAX 32768

#endif
