#include "tools/muxd/stats.h"

#include "tools/base/outlet.h"
#include "tools/base/output.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* As many as the kernel follows. */
#define LINKS_MAX 40

/* Closes and keeps errno; returns `fine`. */
static bool closed(int fd, bool fine) {
    int error = errno;
    close(fd);
    errno = error;
    return fine;
}

/* What anybody may read under this umask, as a file that is made by its name. */
static mode_t usual_mode(void) {
    mode_t mask = umask(0);
    umask(mask);
    return 0666 & ~mask;
}

/* Removes the file and keeps errno. */
static enum stats_result remove_failed(const char *path) {
    int error = errno;
    unlink(path);
    errno = error;
    return STATS_FAILED;
}

/*
 * Whatever stands in the folder under any name is neither followed nor waited for: the name is new.
 * `text` NULL: only tries whether the file can be made.
 */
static enum stats_result write_file(const char *text, const char *path) {
    char fresh[PATH_MAX];
    if (snprintf(fresh, sizeof fresh, "%s.XXXXXX", path) >= PATH_MAX) {
        errno = ENAMETOOLONG;
        return STATS_FAILED;
    }
    int fd = mkostemp(fresh, O_CLOEXEC);
    if (fd < 0)
        return STATS_FAILED;
    bool fine = !text || (output_write(fd, text, strlen(text)) && fchmod(fd, usual_mode()) == 0);
    fine = closed(fd, fine) && (text ? rename(fresh, path) : unlink(fresh)) == 0;
    return fine ? STATS_WRITTEN : remove_failed(fresh);
}

/* A reader that does not read costs a moment, never more. */
static enum stats_result write_to(const char *text, int fd) {
    static struct outlet outlet;
    outlet_open(&outlet, fd);
    bool fine = outlet_write(&outlet, text, strlen(text));
    return outlet_close(&outlet) && fine ? STATS_WRITTEN : STATS_FAILED;
}

/*
 * A pipe, a terminal, /dev/null: these are written to; only a regular file may be replaced. `text`
 * NULL: only opens it.
 */
static enum stats_result write_special(const char *text, const char *path, bool is_pipe) {
    struct stat status;
    int fd = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return is_pipe && errno == ENXIO ? STATS_UNREAD : STATS_FAILED;
    enum stats_result result = STATS_FAILED;
    if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode))
        errno = EBUSY; /* it was something else just now */
    else
        result = text ? write_to(text, fd) : STATS_WRITTEN;
    closed(fd, true);
    return result;
}

/*
 * One step behind a symbolic link, which stays. Only a link of our own or of root's: anybody may
 * put one into /tmp. Who else's it is replaced. False: *path is no link to follow.
 */
static bool follow_link(char path[PATH_MAX]) {
    char target[PATH_MAX], joined[PATH_MAX];
    struct stat status;
    if (lstat(path, &status) < 0 || !S_ISLNK(status.st_mode) ||
        (status.st_uid != 0 && status.st_uid != geteuid()))
        return false;
    ssize_t len = readlink(path, target, sizeof target - 1);
    if (len <= 0)
        return false;
    target[len] = '\0';
    char *slash = strrchr(path, '/');
    int folder_len = *target == '/' || !slash ? 0 : (int)(slash - path) + 1;
    if (snprintf(joined, sizeof joined, "%.*s%s", folder_len, path, target) >= PATH_MAX)
        return false;
    memcpy(path, joined, sizeof joined);
    return true;
}

static enum stats_result write_path(const char *text, const char *name) {
    char path[PATH_MAX];
    struct stat status;
    errno = *name ? ENAMETOOLONG : ENOENT;
    if (!*name || snprintf(path, sizeof path, "%s", name) >= PATH_MAX)
        return STATS_FAILED;
    unsigned links = 0;
    while (follow_link(path))
        if (++links > LINKS_MAX) {
            errno = ELOOP;
            return STATS_FAILED;
        }
    bool is_special =
        lstat(path, &status) == 0 && !S_ISREG(status.st_mode) && !S_ISLNK(status.st_mode);
    return is_special ? write_special(text, path, S_ISFIFO(status.st_mode))
                      : write_file(text, path);
}

/* All of them, a line of JSON. */
static const char *to_text(const struct metrics *metrics) {
    static char text[(METRICS_MAX + 1) * METRICS_ITEM_BYTES];
    struct json json;
    json_put_start(&json, text, sizeof text - 1);
    json_put_open(&json, '{');
    for (unsigned i = 0; i < metrics->count; i++)
        metrics_put(&json, metrics, i);
    json_put_close(&json, '}');
    json_put_line_end(&json);
    assert(!json.full);
    *json.at = '\0';
    return text;
}

static bool is_stdout(const char *path) {
    return strcmp(path, "-") == 0;
}

enum stats_result stats_try(const char *path) {
    int flags = is_stdout(path) ? fcntl(STDOUT_FILENO, F_GETFL) : O_WRONLY;
    if (flags < 0 || (flags & O_ACCMODE) == O_RDONLY) {
        errno = EBADF; /* closed: see standard.h */
        return STATS_FAILED;
    }
    return is_stdout(path) ? STATS_WRITTEN : write_path(NULL, path);
}

enum stats_result stats_write(const struct metrics *metrics, const char *path) {
    const char *text = to_text(metrics);
    return is_stdout(path) ? write_to(text, STDOUT_FILENO) : write_path(text, path);
}
