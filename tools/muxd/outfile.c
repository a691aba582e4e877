#include "tools/muxd/outfile.h"

#include "tools/results/tail.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void say_not_open(const char *path, int error, char *why, size_t why_bytes) {
    struct stat status = {0};
    if (error == ENXIO && stat(path, &status) < 0)
        status.st_mode = 0;
    if (S_ISFIFO(status.st_mode))
        snprintf(why, why_bytes,
                 "no process reads this FIFO: packets wait, and it is tried again until one does");
    else if (S_ISSOCK(status.st_mode))
        snprintf(why, why_bytes, "it is a socket: did you mean unix:PATH?");
    else if (error == ENOENT)
        snprintf(why, why_bytes,
                 "open: %s: packets wait, and it is tried again until its folder is there",
                 strerror(error));
    else
        snprintf(why, why_bytes, "open: %s", strerror(error));
}

int outfile_open(const char *path, char *why, size_t why_bytes) {
    /* O_NONBLOCK only here: a FIFO without a reader must not hold the start up */
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0666);
    if (fd < 0) {
        int error = errno;
        say_not_open(path, error, why, why_bytes);
        errno = error;
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

bool outfile_check(const char *path, char *why, size_t why_bytes) {
    struct tail tail;
    struct stat status;
    if (stat(path, &status) < 0) {
        int error = errno;
        say_not_open(path, error, why, why_bytes);
        return error == ENOENT;
    }
    if (S_ISSOCK(status.st_mode)) {
        say_not_open(path, ENXIO, why, why_bytes);
        return false;
    }
    if (!S_ISREG(status.st_mode))
        return true;
    int fd = outfile_open(path, why, why_bytes);
    if (fd < 0)
        return false;
    bool may_append = tail_look(fd, &tail);
    tail_text(&tail, why, why_bytes);
    close(fd);
    return may_append;
}

bool outfile_is_removed(int fd) {
    struct stat status;
    return fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_nlink == 0;
}
