/*
 * The disk of a simulated farm: files in memory, by whole path, with the calls that tools/muxd's
 * journal makes (disk_calls.h gives it these in place of the kernel's). A process that writes can
 * be made to die in the middle of a write; from then on the folder is frozen, as a dead process
 * writes nothing.
 *
 * One disk at a time; running out of memory ends the process.
 */
#ifndef TESTS_SIM_DISK_H
#define TESTS_SIM_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#define DISK_PATH_BYTES 96
#define DISK_FILES 4096
#define DISK_DESCRIPTORS 256
#define DISK_FOLDERS 32

struct disk_file {
    char path[DISK_PATH_BYTES]; /* "": removed */
    uint8_t *bytes;
    size_t len, room;
    uint64_t changed; /* a number that grows with each write to any file */
};

/* Makes it empty. */
void disk_format(void);

/* Folders are "0" to "31", and a path is "FOLDER/NAME". */
struct disk_file *disk_find(const char *path); /* NULL: none */
struct disk_file *disk_make(const char *path); /* emptied, if it is there */
void disk_append(struct disk_file *file, const uint8_t *bytes, size_t len);
void disk_move(struct disk_file *file, const char *path);
void disk_remove(struct disk_file *file);

/* The files of a folder, the one that was changed first in front. Returns how many. */
unsigned disk_list(unsigned folder, struct disk_file *files[DISK_FILES]);

/* Who writes there has died, or was started again. */
void disk_freeze(unsigned folder, bool is_frozen);
bool disk_is_frozen(unsigned folder);

/* After so many more bytes were written there by disk_write(), it is frozen. 0: never. */
void disk_die_after(unsigned folder, size_t bytes);

/* As the system calls, errno included. */
int disk_open(const char *path, int flags, ...);
int disk_close(int fd);
struct disk_file *disk_file_of(int fd);
ssize_t disk_write(int fd, const void *bytes, size_t len);
int disk_ftruncate(int fd, off_t len);
off_t disk_lseek(int fd, off_t at, int whence);
int disk_fstat(int fd, struct stat *status);
int disk_stat(const char *path, struct stat *status);
int disk_rename(const char *from, const char *to);
int disk_sync(int fd);
int disk_flock(int fd, int how);
void *disk_mmap(void *at, size_t len, int protection, int flags, int fd, off_t from);
int disk_munmap(void *at, size_t len);
struct disk_folder;
struct disk_folder *disk_opendir(const char *path);
struct dirent *disk_readdir(struct disk_folder *folder);
int disk_closedir(struct disk_folder *folder);

#endif
