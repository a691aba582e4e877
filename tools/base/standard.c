#include "tools/base/standard.h"

#include <fcntl.h>
#include <unistd.h>

void standard_descriptors_open(void) {
    static const int flags[] = {
        [STDIN_FILENO] = O_WRONLY,  /* reads fail: it is not an empty stream */
        [STDOUT_FILENO] = O_RDONLY, /* writes fail: data must not vanish */
        [STDERR_FILENO] = O_WRONLY,
    };
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", flags[fd]) != fd)
            _exit(1); /* nothing could be said */
}

bool standard_input_is_open(void) {
    int flags = fcntl(STDIN_FILENO, F_GETFL);
    return flags >= 0 && (flags & O_ACCMODE) != O_WRONLY;
}
