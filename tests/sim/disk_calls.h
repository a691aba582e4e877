/* Included in front of tools/muxd's journal when it is built for the simulator: its files are those
 * of disk.h. */
#ifndef TESTS_SIM_DISK_CALLS_H
#define TESTS_SIM_DISK_CALLS_H

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/sim/disk.h"

#define DIR struct disk_folder
#define open(...) disk_open(__VA_ARGS__)
#define close(fd) disk_close(fd)
#define write(fd, bytes, len) disk_write(fd, bytes, len)
#define ftruncate(fd, len) disk_ftruncate(fd, len)
#define lseek(fd, at, whence) disk_lseek(fd, at, whence)
#define fstat(fd, status) disk_fstat(fd, status)
#define stat(path, status) disk_stat(path, status)
#define rename(from, to) disk_rename(from, to)
#define fdatasync(fd) disk_sync(fd)
#define fsync(fd) disk_sync(fd)
#define flock(fd, how) disk_flock(fd, how)
#define mmap(at, len, protection, flags, fd, from) disk_mmap(at, len, protection, flags, fd, from)
#define munmap(at, len) disk_munmap(at, len)
#define opendir(path) disk_opendir(path)
#define readdir(folder) disk_readdir(folder)
#define closedir(folder) disk_closedir(folder)

#endif
