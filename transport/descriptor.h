/*
 * What engines need to know about open descriptors that attach() was given: their kind, how a
 * failed write to a file is taken back, and the signals that a write must not raise.
 */
#ifndef TRANSPORT_DESCRIPTOR_H
#define TRANSPORT_DESCRIPTOR_H

#include "transport/transport.h"
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>

enum descriptor_kind {
    DESCRIPTOR_SOCKET, /* MSG_DONTWAIT works */
    DESCRIPTOR_STREAM, /* pipe, terminal, other device: may block, O_NONBLOCK must not be set */
    DESCRIPTOR_FILE,   /* regular file: always ready, cannot be polled */
};

/* Decided once, at attach(). False: EBADF and the like in *failure. */
bool descriptor_kind(int fd, enum descriptor_kind *kind, struct transport_failure *failure);

/*
 * The controlling side of a terminal. It must not be opened a second time, which would make another
 * terminal; and reading from it fails with EIO when no process has the other side open any more.
 */
bool descriptor_is_terminal_master(int fd);

/* Notes errno and the operation that set it. */
void transport_failed(struct transport_failure *failure, const char *operation);

/*
 * SIGPIPE and SIGXFSZ are ignored from here on: the write fails with EPIPE or EFBIG instead. Pipes
 * and files have no MSG_NOSIGNAL. Engines call it in init().
 */
void descriptor_ignore_signals(void);

/* Where a regular file stood before a send. */
struct file_mark {
    int64_t size_bytes;
    int64_t offset_bytes;
};

/* Before the first byte of a send. False: errno says why. */
bool file_mark(int fd, struct file_mark *mark);

/*
 * Takes the first written_bytes of a send back out of the file: the file is cut to its earlier
 * size, its offset restored. Only if no other process has appended meanwhile: its bytes are never
 * cut away. False when that was not possible (errno; EBUSY: another process wrote).
 */
bool file_take_back(int fd, const struct file_mark *mark, uint64_t written_bytes);

#endif
