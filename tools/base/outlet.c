#include "tools/base/outlet.h"

#include "tools/base/output.h"
#include "tools/base/wall.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* The end: a reader that is alive takes something within the pause, most take all in the wait. */
#define LAST_PAUSE_MS 200
#define LAST_WAIT_NS 2000000000

/*
 * A pipe that polls writable has room for PIPE_BUF. A terminal has room for a byte: a
 * pseudo-terminal that nobody reads was seen to block in a write of 16.
 */
#define ASKED_PIPE_BYTES PIPE_BUF
#define ASKED_TERMINAL_BYTES 1

/* A descriptor that was closed, or is open for reading only (standard.h), fails; it is not
 * reopened. */
static bool is_writable(int fd) {
    int flags = fcntl(fd, F_GETFL);
    return flags >= 0 && (flags & O_ACCMODE) != O_RDONLY;
}

/* All but the bytes: pages that nothing is written to cost a command's start more than the rest. */
static void clear(struct outlet *outlet, int fd) {
    memset(outlet, 0, offsetof(struct outlet, bytes));
    outlet->fd = fd;
}

/*
 * A terminal or a pipe opened a second time has its own flags. A regular file never blocks, and a
 * socket, which cannot be opened, is written to with MSG_DONTWAIT.
 */
void outlet_open(struct outlet *outlet, int fd) {
    struct stat status;
    clear(outlet, fd);
    if (!is_writable(fd) || fstat(fd, &status) < 0 || S_ISREG(status.st_mode) ||
        S_ISSOCK(status.st_mode))
        return;
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int anew = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    outlet->is_anew = anew >= 0;
    if (anew >= 0)
        outlet->fd = anew;
    else
        outlet->asked_bytes = S_ISFIFO(status.st_mode) ? ASKED_PIPE_BYTES : ASKED_TERMINAL_BYTES;
}

static bool wait_for_room(const struct outlet *outlet, int timeout_ms) {
    struct pollfd poll_fd = {.fd = outlet->fd, .events = POLLOUT};
    return poll(&poll_fd, 1, timeout_ms) == 1;
}

static ssize_t write_some(const struct outlet *outlet) {
    const char *bytes = outlet->bytes + outlet->start;
    size_t len = outlet->end - outlet->start;
    ssize_t written = send(outlet->fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (written >= 0 || errno != ENOTSOCK)
        return written;
    if (!outlet->asked_bytes)
        return write(outlet->fd, bytes, len);
    errno = EAGAIN;
    if (!wait_for_room(outlet, 0))
        return -1;
    return write(outlet->fd, bytes, len < outlet->asked_bytes ? len : outlet->asked_bytes);
}

static void fail(struct outlet *outlet, int error) {
    outlet->failed = true;
    outlet->error = error;
}

bool outlet_flush(struct outlet *outlet) {
    while (outlet->start < outlet->end) {
        ssize_t written = write_some(outlet);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0 && errno == EAGAIN)
            return false;
        if (written < 0) {
            fail(outlet, errno);
            break;
        }
        outlet->start += (size_t)written;
    }
    outlet->start = outlet->end = 0;
    return true;
}

static bool fits(const struct outlet *outlet, size_t len) {
    return len <= OUTLET_BYTES - (outlet->end - outlet->start);
}

static bool write_patiently(struct outlet *outlet, const char *text, size_t len) {
    if (!outlet->failed && !output_write(outlet->fd, text, len))
        fail(outlet, errno);
    return !outlet->failed;
}

bool outlet_write(struct outlet *outlet, const char *text, size_t len) {
    if (outlet->patient)
        return write_patiently(outlet, text, len);
    if (outlet->failed || !fits(outlet, len))
        return false;
    if (outlet->end + len > OUTLET_BYTES) {
        memmove(outlet->bytes, outlet->bytes + outlet->start, outlet->end - outlet->start);
        outlet->end -= outlet->start;
        outlet->start = 0;
    }
    memcpy(outlet->bytes + outlet->end, text, len);
    outlet->end += len;
    outlet_flush(outlet);
    return true;
}

/* False: the reader has had its time. */
static bool wait_for_reader(const struct outlet *outlet, int64_t end_ns) {
    return (int64_t)wall_loop_ns() < end_ns && wait_for_room(outlet, LAST_PAUSE_MS);
}

bool outlet_drain(struct outlet *outlet) {
    int64_t end_ns = (int64_t)wall_loop_ns() + LAST_WAIT_NS;
    bool empty;
    while (!(empty = outlet_flush(outlet)) && wait_for_reader(outlet, end_ns))
        ;
    return empty;
}

bool outlet_close(struct outlet *outlet) {
    bool empty = outlet_drain(outlet);
    int error = outlet->failed ? outlet->error : EAGAIN;
    if (outlet->is_anew)
        close(outlet->fd);
    outlet->is_anew = false;
    errno = error;
    return empty && !outlet->failed;
}
