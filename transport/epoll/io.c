#include "transport/call.h"
#include "transport/epoll/internal.h"
#include <limits.h>
#include <poll.h>
#include <unistd.h>

static ssize_t socket_read(struct half *half, struct mux_room room) {
    return recv(half->fd, room.data, room.len, MSG_DONTWAIT);
}

static ssize_t socket_write(struct half *half, const struct iovec *pieces, int count) {
    const struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)pieces,
                                   .msg_iovlen = (size_t)count};
    return sendmsg(half->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static ssize_t plain_read(struct half *half, struct mux_room room) {
    return read(half->fd, room.data, room.len);
}

static ssize_t plain_write(struct half *half, const struct iovec *pieces, int count) {
    return writev(half->fd, pieces, count);
}

/* Will one read or write return at once? Otherwise errno is EAGAIN. */
static bool poll_now(int fd, short events) {
    struct pollfd entry = {.fd = fd, .events = events};
    int count = poll(&entry, 1, 0);
    if (count == 0)
        errno = EAGAIN;
    return count > 0;
}

static ssize_t polled_read(struct half *half, struct mux_room room) {
    return poll_now(half->fd, POLLIN) ? plain_read(half, room) : -1;
}

/* A pipe that polls as writable has a page free: PIPE_BUF bytes do not block. */
static ssize_t polled_write(struct half *half, const struct iovec *pieces, int count) {
    (void)count;
    size_t len = pieces->iov_len < PIPE_BUF ? pieces->iov_len : PIPE_BUF;
    return poll_now(half->fd, POLLOUT) ? write(half->fd, pieces->iov_base, len) : -1;
}

/*
 * For descriptors that support neither MSG_DONTWAIT nor RWF_NOWAIT: pipes before Linux 6.4,
 * devices, and all streams where calls with that flag are forbidden.
 */
static const struct half_io polled_io = {.read = polled_read, .write = polled_write};

static bool must_poll(int error) {
    return error == EOPNOTSUPP || call_is_forbidden(error);
}

/* RWF_NOWAIT makes one call non-blocking without changing the flags that other processes share. */
static ssize_t stream_read(struct half *half, struct mux_room room) {
    const struct iovec piece = {.iov_base = room.data, .iov_len = room.len};
    ssize_t len = preadv2(half->fd, &piece, 1, -1, RWF_NOWAIT);
    if (len >= 0 || !must_poll(errno))
        return len;
    half->io = &polled_io;
    return polled_read(half, room);
}

static ssize_t stream_write(struct half *half, const struct iovec *pieces, int count) {
    ssize_t len = pwritev2(half->fd, pieces, count, -1, RWF_NOWAIT);
    if (len >= 0 || !must_poll(errno))
        return len;
    half->io = &polled_io;
    return polled_write(half, pieces, count);
}

/*
 * The controlling side of a terminal polls as writable when one typed byte fits, and blocks when
 * more does not. It carries what a person types: little enough to write byte by byte.
 */
static ssize_t master_write(struct half *half, const struct iovec *pieces, int count) {
    (void)count;
    const uint8_t *bytes = pieces->iov_base;
    size_t len = 0;
    while (len < pieces->iov_len && poll_now(half->fd, POLLOUT)) {
        ssize_t written = write(half->fd, bytes + len, 1);
        if (written < 0 && len == 0)
            return -1;
        if (written < 0)
            break;
        len++;
    }
    return len > 0 ? (ssize_t)len : -1;
}

/* No process has the other side open: the end. */
static ssize_t master_read(struct half *half, struct mux_room room) {
    ssize_t len = polled_read(half, room);
    return len < 0 && errno == EIO ? 0 : len;
}

const struct half_io epoll_master_io = {.read = master_read, .write = master_write};
const struct half_io epoll_socket_io = {
    .read = socket_read, .write = socket_write, .short_is_empty = true};
const struct half_io epoll_stream_io = {.read = stream_read, .write = stream_write};
const struct half_io epoll_plain_io = {.read = plain_read, .write = plain_write};
