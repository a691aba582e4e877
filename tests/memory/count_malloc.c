/*
 * Preloaded into muxd: counts its allocations, in a file that the test maps, too
 * (COUNT_MALLOC_FILE, 8 bytes).
 */
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* glibc's own functions, which need no dlsym() before the first call */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *memory, size_t size);

static uint64_t before_start;
static uint64_t *calls = &before_start;

__attribute__((constructor)) static void share(void) {
    const char *path = getenv("COUNT_MALLOC_FILE");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0)
        abort();
    void *shared = mmap(NULL, sizeof *calls, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (shared == MAP_FAILED)
        abort();
    close(fd);
    calls = shared;
}

static void count(void) {
    __atomic_fetch_add(calls, 1, __ATOMIC_RELAXED);
}

__attribute__((visibility("default"))) void *malloc(size_t size) {
    count();
    return __libc_malloc(size);
}

__attribute__((visibility("default"))) void *calloc(size_t number, size_t size) {
    count();
    return __libc_calloc(number, size);
}

__attribute__((visibility("default"))) void *realloc(void *memory, size_t size) {
    count();
    return __libc_realloc(memory, size);
}
