#include "tests/sim/disk.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct descriptor {
    struct disk_file *file; /* NULL: not open, or a folder */
    bool is_open;
    size_t at;
    bool appends;
};

static struct disk {
    struct disk_file files[DISK_FILES]; /* inode: the place, and 1 */
    unsigned count;
    struct descriptor descriptors[DISK_DESCRIPTORS];
    uint64_t changes;
    bool is_frozen[DISK_FOLDERS];
    size_t dies_after[DISK_FOLDERS];
} disk;

void disk_format(void) {
    for (unsigned i = 0; i < disk.count; i++)
        free(disk.files[i].bytes);
    memset(&disk, 0, sizeof disk);
}

/*
 * ---- files ----
 */

static unsigned folder_of(const char *path) {
    unsigned long folder = strtoul(path, NULL, 10);
    assert(folder < DISK_FOLDERS);
    return (unsigned)folder;
}

static void name(struct disk_file *file, const char *path) {
    int len = snprintf(file->path, sizeof file->path, "%s", path);
    assert(len > 0 && len < DISK_PATH_BYTES);
}

struct disk_file *disk_find(const char *path) {
    for (unsigned i = 0; i < disk.count; i++)
        if (strcmp(disk.files[i].path, path) == 0)
            return &disk.files[i];
    return NULL;
}

struct disk_file *disk_make(const char *path) {
    struct disk_file *file = disk_find(path);
    if (!file) {
        assert(disk.count < DISK_FILES);
        file = &disk.files[disk.count++];
        name(file, path);
    }
    file->len = 0;
    file->changed = ++disk.changes;
    return file;
}

void disk_append(struct disk_file *file, const uint8_t *bytes, size_t len) {
    if (file->len + len > file->room) {
        file->room = 2 * (file->len + len);
        file->bytes = realloc(file->bytes, file->room);
        assert(file->bytes);
    }
    if (len > 0)
        memcpy(file->bytes + file->len, bytes, len);
    file->len += len;
    file->changed = ++disk.changes;
}

void disk_remove(struct disk_file *file) {
    *file->path = '\0';
}

void disk_move(struct disk_file *file, const char *path) {
    struct disk_file *other = disk_find(path);
    if (other)
        disk_remove(other);
    name(file, path);
}

static int compare_changed(const void *a, const void *b) {
    uint64_t x = (*(struct disk_file *const *)a)->changed;
    uint64_t y = (*(struct disk_file *const *)b)->changed;
    return (x > y) - (x < y);
}

unsigned disk_list(unsigned folder, struct disk_file *files[DISK_FILES]) {
    unsigned count = 0;
    for (unsigned i = 0; i < disk.count; i++)
        if (*disk.files[i].path && folder_of(disk.files[i].path) == folder)
            files[count++] = &disk.files[i];
    qsort(files, count, sizeof files[0], compare_changed);
    return count;
}

/*
 * ---- a process's death ----
 */

void disk_freeze(unsigned folder, bool is_frozen) {
    disk.is_frozen[folder] = is_frozen;
    disk.dies_after[folder] = 0;
}

bool disk_is_frozen(unsigned folder) {
    return disk.is_frozen[folder];
}

void disk_die_after(unsigned folder, size_t bytes) {
    disk.dies_after[folder] = bytes;
}

/* How many of the bytes are written before the writer dies. */
static size_t written_before_death(unsigned folder, size_t len) {
    size_t *left = &disk.dies_after[folder];
    if (disk.is_frozen[folder])
        return 0;
    if (*left == 0 || *left > len) {
        *left -= *left ? len : 0;
        return len;
    }
    len = *left;
    disk_freeze(folder, true);
    return len;
}

/*
 * ---- calls ----
 */

static int fail(int error) {
    errno = error;
    return -1;
}

static struct descriptor *descriptor_of(int fd) {
    assert(fd > 0 && fd < DISK_DESCRIPTORS && disk.descriptors[fd].is_open);
    return &disk.descriptors[fd];
}

static bool is_frozen_of(const struct disk_file *file) {
    return *file->path && disk.is_frozen[folder_of(file->path)];
}

static int new_descriptor(struct disk_file *file, bool appends) {
    for (int fd = 1; fd < DISK_DESCRIPTORS; fd++)
        if (!disk.descriptors[fd].is_open) {
            disk.descriptors[fd] = (struct descriptor){file, true, 0, appends};
            return fd;
        }
    return fail(EMFILE);
}

int disk_open(const char *path, int flags, ...) {
    if (flags & O_DIRECTORY)
        return new_descriptor(NULL, false);
    struct disk_file *file = disk_find(path);
    bool changes = flags & O_CREAT && (!file || flags & O_TRUNC);
    if (changes && disk.is_frozen[folder_of(path)])
        return fail(EIO);
    if (changes)
        file = disk_make(path);
    return file ? new_descriptor(file, flags & O_APPEND) : fail(ENOENT);
}

struct disk_file *disk_file_of(int fd) {
    return descriptor_of(fd)->file;
}

int disk_close(int fd) {
    *descriptor_of(fd) = (struct descriptor){0};
    return 0;
}

ssize_t disk_write(int fd, const void *bytes, size_t len) {
    struct descriptor *descriptor = descriptor_of(fd);
    struct disk_file *file = descriptor->file;
    size_t most = *file->path ? written_before_death(folder_of(file->path), len) : len;
    if (descriptor->appends)
        descriptor->at = file->len;
    assert(descriptor->at == file->len);
    disk_append(file, bytes, most);
    descriptor->at += most;
    return most == len ? (ssize_t)len : fail(EIO);
}

int disk_ftruncate(int fd, off_t len) {
    struct disk_file *file = descriptor_of(fd)->file;
    if (is_frozen_of(file))
        return fail(EIO);
    assert((size_t)len <= file->len);
    file->len = (size_t)len;
    return 0;
}

off_t disk_lseek(int fd, off_t at, int whence) {
    struct descriptor *descriptor = descriptor_of(fd);
    descriptor->at = (whence == SEEK_END ? descriptor->file->len : 0) + (size_t)at;
    return (off_t)descriptor->at;
}

static int status_of(const struct disk_file *file, struct stat *status) {
    *status = (struct stat){.st_dev = 1,
                            .st_ino = (ino_t)(file - disk.files) + 1,
                            .st_mode = S_IFREG,
                            .st_size = (off_t)file->len};
    return 0;
}

int disk_fstat(int fd, struct stat *status) {
    return status_of(descriptor_of(fd)->file, status);
}

int disk_stat(const char *path, struct stat *status) {
    const struct disk_file *file = disk_find(path);
    return file ? status_of(file, status) : fail(ENOENT);
}

int disk_rename(const char *from, const char *to) {
    struct disk_file *file = disk_find(from);
    if (!file)
        return fail(ENOENT);
    if (is_frozen_of(file))
        return fail(EIO);
    disk_move(file, to);
    return 0;
}

int disk_sync(int fd) {
    const struct disk_file *file = descriptor_of(fd)->file;
    return file && is_frozen_of(file) ? fail(EIO) : 0;
}

/* A farm's nodes have folders of their own. */
int disk_flock(int fd, int how) {
    (void)fd, (void)how;
    return 0;
}

/* A private copy. */
void *disk_mmap(void *at, size_t len, int protection, int flags, int fd, off_t from) {
    const struct disk_file *file = descriptor_of(fd)->file;
    (void)at, (void)protection, (void)flags;
    assert(from == 0 && len <= file->len);
    void *copy = malloc(len);
    assert(copy);
    return memcpy(copy, file->bytes, len);
}

int disk_munmap(void *at, size_t len) {
    (void)len;
    free(at);
    return 0;
}

/*
 * ---- folders ----
 */

struct disk_folder {
    struct disk_file *files[DISK_FILES];
    unsigned count, next;
    struct dirent entry;
};

struct disk_folder *disk_opendir(const char *path) {
    struct disk_folder *folder = calloc(1, sizeof *folder);
    assert(folder);
    folder->count = disk_list(folder_of(path), folder->files);
    return folder;
}

struct dirent *disk_readdir(struct disk_folder *folder) {
    if (folder->next == folder->count)
        return NULL;
    const char *path = folder->files[folder->next++]->path;
    snprintf(folder->entry.d_name, sizeof folder->entry.d_name, "%s", strchr(path, '/') + 1);
    return &folder->entry;
}

int disk_closedir(struct disk_folder *folder) {
    free(folder);
    return 0;
}
