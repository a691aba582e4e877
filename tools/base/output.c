#include "tools/base/output.h"

#include "tools/base/text.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* As much as a pipe takes. */
#define STREAM_BYTES 65536

/* Why stdout cannot be written to; 0: it can. */
static int stdout_error;

static bool wait_for_room(int fd) {
    struct pollfd poll_fd = {.fd = fd, .events = POLLOUT};
    return poll(&poll_fd, 1, -1) >= 0 || errno == EINTR;
}

/* As write(2), but it is not interrupted and does not return before something is written. */
static ssize_t write_some(int fd, const char *bytes, size_t len) {
    while (true) {
        ssize_t written = write(fd, bytes, len);
        if (written >= 0 || (errno != EINTR && errno != EAGAIN))
            return written;
        if (errno == EAGAIN && !wait_for_room(fd))
            return -1;
    }
}

bool output_write(int fd, const void *bytes, size_t len) {
    for (size_t at = 0; at < len;) {
        ssize_t written = write_some(fd, (const char *)bytes + at, len - at);
        if (written < 0)
            return false;
        at += (size_t)written;
    }
    return true;
}

static ssize_t write_stream(void *cookie, const char *bytes, size_t len) {
    int fd = (int)(intptr_t)cookie;
    if (output_write(fd, bytes, len))
        return (ssize_t)len;
    if (fd == STDOUT_FILENO)
        stdout_error = errno;
    return 0; /* fopencookie(3): an error; never -1 */
}

/* glibc's stdout and stderr are variables. */
static FILE *open_stream(int fd, char buffer[STREAM_BYTES]) {
    const cookie_io_functions_t functions = {.write = write_stream};
    FILE *stream = fopencookie((void *)(intptr_t)fd, "w", functions);
    if (!stream)
        abort(); /* out of memory */
    bool by_lines = fd == STDERR_FILENO || isatty(fd);
    setvbuf(stream, buffer, by_lines ? _IOLBF : _IOFBF, STREAM_BYTES);
    return stream;
}

void output_streams_open(void) {
    static char out[STREAM_BYTES], err[STREAM_BYTES];
    stdout = open_stream(STDOUT_FILENO, out);
    stderr = open_stream(STDERR_FILENO, err);
}

bool output_flush(const char *who) {
    static bool told;
    if (fflush(stdout) == 0 && !ferror(stdout))
        return true;
    if (!told && stdout_error != EPIPE)
        text_complain("%s: stdout: %s", who, strerror(stdout_error));
    told = true;
    return false;
}
