#include "transport/descriptor.h"
#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

bool descriptor_kind(int fd, enum descriptor_kind *kind, struct transport_failure *failure) {
    struct stat st;
    if (fstat(fd, &st) != 0) {
        transport_failed(failure, "fstat");
        return false;
    }
    if (S_ISSOCK(st.st_mode))
        *kind = DESCRIPTOR_SOCKET;
    else if (S_ISREG(st.st_mode))
        *kind = DESCRIPTOR_FILE;
    else
        *kind = DESCRIPTOR_STREAM;
    return true;
}

bool descriptor_is_terminal_master(int fd) {
    int number;
    return ioctl(fd, TIOCGPTN, &number) == 0;
}

void transport_failed(struct transport_failure *failure, const char *operation) {
    *failure = (struct transport_failure){.error = errno, .operation = operation};
}

void descriptor_ignore_signals(void) {
    const struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigaction(SIGPIPE, &ignore, NULL);
    sigaction(SIGXFSZ, &ignore, NULL);
}

bool file_mark(int fd, struct file_mark *mark) {
    struct stat st;
    if (fstat(fd, &st) != 0)
        return false;
    int flags = fcntl(fd, F_GETFL);
    off_t offset = lseek(fd, 0, SEEK_CUR);
    if (flags < 0 || offset < 0)
        return false;
    *mark = (struct file_mark){.size_bytes = st.st_size,
                               .offset_bytes = flags & O_APPEND ? st.st_size : offset};
    return true;
}

bool file_take_back(int fd, const struct file_mark *mark, uint64_t written_bytes) {
    struct stat st;
    if (fstat(fd, &st) != 0)
        return false;
    int64_t end = mark->offset_bytes + (int64_t)written_bytes;
    int64_t expected = end > mark->size_bytes ? end : mark->size_bytes;
    if (st.st_size != expected) {
        errno = EBUSY;
        return false;
    }
    if (st.st_size > mark->size_bytes && ftruncate(fd, mark->size_bytes) != 0)
        return false;
    return lseek(fd, mark->offset_bytes, SEEK_SET) >= 0;
}
