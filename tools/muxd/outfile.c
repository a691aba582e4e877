#include "tools/muxd/outfile.h"

#include "tools/results/tail.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int outfile_open(const char *path, char *why, size_t why_bytes) {
    /* O_NONBLOCK only here: a named pipe without a reader must not hold the start up */
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0666);
    if (fd < 0) {
        snprintf(why, why_bytes, "open: %s", strerror(errno));
        return -1;
    }
    if (!isatty(fd) && fcntl(fd, F_SETFL, O_APPEND) == 0)
        return fd;
    snprintf(why, why_bytes, "it is a terminal, and packets are binary");
    close(fd);
    return -1;
}

bool outfile_mend(int fd, char *said, size_t said_bytes) {
    struct tail tail;
    bool may_append = tail_mend(fd, &tail);
    tail_text(&tail, said, said_bytes);
    return may_append;
}
