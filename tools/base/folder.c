#include "tools/base/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* Behind "mux-KIND-". */
#define NAME_DRAWN "XXXXXX"

static bool is_prefix(const char *prefix, const char *name) {
    return strncmp(name, prefix, strlen(prefix)) == 0;
}

/*
 * ---- its own ----
 */

static const char *place(void) {
    const char *given = getenv("TMPDIR");
    return given && *given ? given : "/tmp";
}

/* Not the folder itself: whoever listens on a socket in it locks that for a moment. */
#define LOCK_NAME FOLDER_FILE_PREFIX "lock"

static void close_both(struct folder *folder) {
    if (folder->fd >= 0)
        close(folder->fd);
    if (folder->lock >= 0)
        close(folder->lock);
    folder->fd = folder->lock = -1;
}

static void name_prefix(const struct folder *folder, char *prefix, size_t prefix_bytes) {
    snprintf(prefix, prefix_bytes, "mux-%s-", folder->kind);
}

/* Another process may have taken it for a dead one's before it was locked: then it is gone. */
static bool lock(struct folder *folder) {
    struct stat st;
    folder->fd = open(folder->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (folder->fd < 0)
        return false;
    folder->lock = openat(folder->fd, LOCK_NAME, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (folder->lock >= 0 && flock(folder->lock, LOCK_EX) == 0 && fstat(folder->fd, &st) == 0 &&
        st.st_nlink > 0)
        return true;
    close_both(folder);
    return false;
}

bool folder_make(struct folder *folder, const char *kind, char *why) {
    enum { TRIES = 8 };
    char prefix[FOLDER_KIND_BYTES + 8];
    folder->fd = folder->lock = -1;
    snprintf(folder->kind, sizeof folder->kind, "%s", kind);
    name_prefix(folder, prefix, sizeof prefix);
    errno = ENAMETOOLONG;
    for (int i = 0; i < TRIES; i++) {
        int len = snprintf(folder->path, sizeof folder->path, "%s/%s" NAME_DRAWN, place(), prefix);
        if (len >= (int)sizeof folder->path || !mkdtemp(folder->path))
            break;
        if (lock(folder))
            return true;
    }
    snprintf(why, FOLDER_WHY_BYTES, "no folder for files can be made in %.*s: %s",
             FOLDER_PATH_BYTES, place(), strerror(errno));
    return false;
}

/* Not what a name in it leads to, and no folder. */
static void empty(int fd) {
    DIR *entries = fdopendir(openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    struct dirent *entry;
    while (entries && (entry = readdir(entries)))
        if (is_prefix(FOLDER_FILE_PREFIX, entry->d_name))
            unlinkat(fd, entry->d_name, 0);
    if (entries)
        closedir(entries);
}

void folder_remove(struct folder *folder) {
    if (folder->fd < 0)
        return;
    empty(folder->fd);
    rmdir(folder->path);
    close_both(folder);
}

/*
 * ---- those of the dead ----
 */

/* This user's, nobody else's. */
static bool is_ours(int fd) {
    struct stat st;
    return fstat(fd, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == geteuid() &&
           (st.st_mode & 077) == 0;
}

/* Its lock, taken: its process is dead. -1: it lives, or it is not known. */
static int lock_left(int fd) {
    int lock = is_ours(fd) ? openat(fd, LOCK_NAME, O_RDWR | O_NOFOLLOW | O_CLOEXEC) : -1;
    if (lock < 0 || flock(lock, LOCK_EX | LOCK_NB) == 0)
        return lock;
    close(lock);
    return -1;
}

static bool clear(int parent, const char *name) {
    bool is_cleared = false;
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int lock = fd < 0 ? -1 : lock_left(fd);
    if (lock >= 0) {
        empty(fd);
        is_cleared = unlinkat(parent, name, AT_REMOVEDIR) == 0;
        close(lock);
    }
    if (fd >= 0)
        close(fd);
    return is_cleared;
}

unsigned folder_clear_left(const struct folder *folder) {
    const char *own = strrchr(folder->path, '/') + 1;
    char prefix[FOLDER_KIND_BYTES + 8];
    unsigned count = 0;
    name_prefix(folder, prefix, sizeof prefix);
    DIR *entries = opendir(place());
    struct dirent *entry;
    while (entries && (entry = readdir(entries)))
        if (is_prefix(prefix, entry->d_name) && strlen(entry->d_name) == strlen(own) &&
            strcmp(entry->d_name, own) != 0)
            count += clear(dirfd(entries), entry->d_name);
    if (entries)
        closedir(entries);
    return count;
}
