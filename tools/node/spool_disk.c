#include "tools/node/spool_disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define WHY_BYTES 128
#define LINE_BYTES 512
#define ASIDE ".bad"
#define ASIDE_BYTES (MUX_SPOOL_NAME_BYTES + sizeof ASIDE)

enum disk_state {
    DISK_IDLE,
    DISK_ASKED, /* the thread is to do it */
    DISK_DONE,  /* the loop is to take the result */
    DISK_ENDS,  /* the thread is to end */
};

struct spool_disk {
    struct loop_handler base;
    struct spool_disk_config config;
    int folder;
    struct loop *loop; /* NULL: not started */
    struct transport_watch *watch;
    int wake; /* an eventfd: a result is there */
    bool has_thread;
    pthread_t thread;

    pthread_mutex_t lock; /* of all below */
    pthread_cond_t asked;
    enum disk_state state;
    const struct mux_spool_op *op;
    size_t bytes;
    char why[WHY_BYTES]; /* "": nothing went wrong */
};

/*
 * ---- what is done with a file: in the thread ----
 */

static int fail(struct spool_disk *disk, const char *operation) {
    char text[96];
    snprintf(disk->why, sizeof disk->why, "%s: %s", operation,
             strerror_r(errno, text, sizeof text));
    return -1;
}

static int open_file(struct spool_disk *disk, int flags) {
    int fd = openat(disk->folder, disk->op->name, flags | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0600);
    return fd < 0 ? fail(disk, "open") : fd;
}

/* The spans from a byte on, as many as one call takes. */
static int spans_from(const struct mux_gather *bytes, size_t at, struct iovec out[IOV_MAX]) {
    int count = 0;
    for (size_t i = 0; i < bytes->count && count < IOV_MAX; i++) {
        const struct mux_span *span = &bytes->spans[i];
        size_t skipped = at < span->len ? at : span->len;
        at -= skipped;
        if (span->len > skipped)
            out[count++] = (struct iovec){(void *)(span->data + skipped), span->len - skipped};
    }
    return count;
}

static void sync_opened(struct spool_disk *disk, int fd) {
    if (fdatasync(fd) < 0 || (disk->op->is_new && fsync(disk->folder) < 0))
        fail(disk, "sync");
}

static void write_bytes(struct spool_disk *disk) {
    const struct mux_spool_op *op = disk->op;
    struct iovec spans[IOV_MAX];
    int fd = open_file(disk, op->is_new ? O_WRONLY | O_CREAT | O_TRUNC : O_WRONLY);
    while (fd >= 0 && disk->bytes < op->bytes.len_bytes) {
        int count = spans_from(&op->bytes, disk->bytes, spans);
        ssize_t written = pwritev(fd, spans, count, (off_t)(op->at + disk->bytes));
        if (written > 0)
            disk->bytes += (size_t)written;
        else if (written == 0 || errno != EINTR) {
            fail(disk, "write");
            break;
        }
    }
    if (fd >= 0 && op->syncs && !*disk->why)
        sync_opened(disk, fd);
    if (fd >= 0 && close(fd) < 0 && !*disk->why)
        fail(disk, "close");
}

static void read_bytes(struct spool_disk *disk) {
    const struct mux_spool_op *op = disk->op;
    int fd = open_file(disk, O_RDONLY);
    while (fd >= 0 && disk->bytes < op->room.len) {
        ssize_t got = pread(fd, op->room.data + disk->bytes, op->room.len - disk->bytes,
                            (off_t)(op->at + disk->bytes));
        if (got > 0)
            disk->bytes += (size_t)got;
        else if (got == 0)
            break;
        else if (errno != EINTR) {
            fail(disk, "read");
            break;
        }
    }
    if (fd >= 0)
        close(fd);
}

static void sync_file(struct spool_disk *disk) {
    int fd = open_file(disk, O_RDONLY);
    if (fd < 0)
        return;
    sync_opened(disk, fd);
    close(fd);
}

static int set_aside(int folder, const char *name) {
    char aside[ASIDE_BYTES];
    snprintf(aside, sizeof aside, "%s" ASIDE, name);
    return renameat(folder, name, folder, aside);
}

static void rename_file(struct spool_disk *disk) {
    const struct mux_spool_op *op = disk->op;
    int fd = open_file(disk, O_WRONLY);
    if (fd < 0)
        return;
    if (pwrite(fd, op->head, sizeof op->head, 0) != (ssize_t)sizeof op->head)
        fail(disk, "write");
    else if (renameat(disk->folder, op->name, disk->folder, op->new_name) < 0)
        fail(disk, "rename");
    close(fd);
}

static void carry_out(struct spool_disk *disk) {
    disk->bytes = 0;
    *disk->why = '\0';
    switch (disk->op->work) {
    case MUX_SPOOL_WRITE:
        write_bytes(disk);
        break;
    case MUX_SPOOL_SYNC:
        sync_file(disk);
        break;
    case MUX_SPOOL_READ:
        read_bytes(disk);
        break;
    case MUX_SPOOL_REMOVE:
        if (unlinkat(disk->folder, disk->op->name, 0) < 0 && errno != ENOENT)
            fail(disk, "remove");
        break;
    case MUX_SPOOL_ASIDE:
        if (set_aside(disk->folder, disk->op->name) < 0 && errno != ENOENT)
            fail(disk, "rename");
        break;
    case MUX_SPOOL_RENAME:
        rename_file(disk);
        break;
    }
}

/*
 * ---- the thread ----
 */

static void say_done(struct spool_disk *disk) {
    uint64_t one = 1;
    ssize_t written = write(disk->wake, &one, sizeof one);
    assert(written == (ssize_t)sizeof one);
    (void)written;
}

static void *work(void *argument) {
    struct spool_disk *disk = argument;
    pthread_mutex_lock(&disk->lock);
    for (;;) {
        while (disk->state != DISK_ASKED && disk->state != DISK_ENDS)
            pthread_cond_wait(&disk->asked, &disk->lock);
        if (disk->state == DISK_ENDS)
            break;
        pthread_mutex_unlock(&disk->lock);
        carry_out(disk);
        pthread_mutex_lock(&disk->lock);
        if (disk->state == DISK_ENDS)
            break;
        disk->state = DISK_DONE;
        say_done(disk);
    }
    pthread_mutex_unlock(&disk->lock);
    return NULL;
}

/* Signals are for the main thread. */
static bool begin_thread(struct spool_disk *disk) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool begun = pthread_create(&disk->thread, NULL, work, disk) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return begun;
}

static void take_result(struct loop_handler *handler, const struct transport_event *event,
                        uint64_t now_ns) {
    struct spool_disk *disk = LOOP_OWNER(handler, struct spool_disk, base);
    uint64_t count;
    (void)event, (void)now_ns;
    if (read(disk->wake, &count, sizeof count) < 0)
        return;
    pthread_mutex_lock(&disk->lock);
    bool is_done = disk->state == DISK_DONE;
    if (is_done)
        disk->state = DISK_IDLE;
    pthread_mutex_unlock(&disk->lock);
    if (is_done)
        disk->config.done(disk->config.user, disk->bytes, *disk->why ? disk->why : NULL);
}

bool spool_disk_start(struct spool_disk *disk, struct loop *loop,
                      struct transport_failure *failure) {
    disk->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (disk->wake < 0) {
        *failure = (struct transport_failure){.operation = "eventfd", .error = errno};
        return false;
    }
    disk->base.handle = take_result;
    disk->watch = loop_watch(loop, disk->wake, &disk->base, failure);
    if (!disk->watch)
        return false;
    disk->loop = loop;
    disk->has_thread = begin_thread(disk);
    if (!disk->has_thread)
        disk->config.say(disk->config.user,
                         "the spool: no thread can be made (is clone3 forbidden?): while it is "
                         "written or read nothing else is done");
    return true;
}

void spool_disk_do(struct spool_disk *disk, const struct mux_spool_op *op) {
    pthread_mutex_lock(&disk->lock);
    assert(disk->state == DISK_IDLE);
    disk->op = op;
    disk->state = disk->has_thread ? DISK_ASKED : DISK_DONE;
    pthread_mutex_unlock(&disk->lock);
    pthread_cond_signal(&disk->asked);
    if (disk->has_thread)
        return;
    carry_out(disk);
    say_done(disk);
}

/*
 * ---- the folder ----
 */

static bool lock_folder(struct spool_disk *disk, char *why, size_t why_bytes) {
    const char *path = disk->config.path;
    if (mkdir(path, 0700) < 0 && errno != EEXIST) {
        snprintf(why, why_bytes, "mkdir: %s", strerror(errno));
        return false;
    }
    disk->folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (disk->folder < 0 || faccessat(disk->folder, ".", W_OK | X_OK, AT_EACCESS) < 0) {
        snprintf(why, why_bytes, "%s", strerror(errno));
        return false;
    }
    if (flock(disk->folder, LOCK_EX | LOCK_NB) == 0)
        return true;
    if (errno == EWOULDBLOCK)
        snprintf(why, why_bytes, "another muxd has its spool there: give each a folder of its own");
    else
        snprintf(why, why_bytes, "flock: %s", strerror(errno));
    return false;
}

struct spool_disk *spool_disk_open(const struct spool_disk_config *config, char *why,
                                   size_t why_bytes) {
    struct spool_disk *disk = calloc(1, sizeof *disk);
    if (!disk) {
        snprintf(why, why_bytes, "out of memory");
        return NULL;
    }
    disk->config = *config;
    disk->folder = disk->wake = -1;
    pthread_mutex_init(&disk->lock, NULL);
    pthread_cond_init(&disk->asked, NULL);
    if (lock_folder(disk, why, why_bytes))
        return disk;
    spool_disk_close(disk);
    return NULL;
}

void spool_disk_close(struct spool_disk *disk) {
    if (disk->has_thread) {
        pthread_mutex_lock(&disk->lock);
        disk->state = DISK_ENDS;
        pthread_cond_signal(&disk->asked);
        pthread_mutex_unlock(&disk->lock);
        pthread_join(disk->thread, NULL);
    }
    if (disk->loop)
        loop_unwatch(disk->loop, disk->watch);
    if (disk->wake >= 0)
        close(disk->wake);
    if (disk->folder >= 0)
        close(disk->folder);
    pthread_cond_destroy(&disk->asked);
    pthread_mutex_destroy(&disk->lock);
    free(disk);
}

/*
 * ---- what earlier lives have left ----
 */

struct found_file {
    struct mux_spool_head head;
    struct timespec changed;
    uint64_t len_bytes;
};

struct found_files {
    struct found_file *file;
    size_t count, count_max;
};

static bool is_spool_name(const char *name) {
    struct mux_spool_head head;
    return strlen(name) == MUX_SPOOL_NAME_BYTES - 1 && mux_spool_name_read(name, &head);
}

/* NULL, or why nothing of it can be used. */
static const char *read_head(struct spool_disk *disk, const char *name, struct found_file *found) {
    uint8_t bytes[MUX_SPOOL_HEAD_BYTES];
    struct stat status;
    int fd = openat(disk->folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return strerror(errno);
    ssize_t len = pread(fd, bytes, sizeof bytes, 0);
    bool is_file = fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
    close(fd);
    if (len < 0 || !is_file)
        return len < 0 ? strerror(errno) : "it is no regular file";
    found->len_bytes = (uint64_t)status.st_size;
    found->changed = status.st_mtim;
    return mux_spool_head_read(mux_span(bytes, (size_t)len), &found->head);
}

__attribute__((format(printf, 2, 3))) static void say(struct spool_disk *disk, const char *format,
                                                      ...) {
    char line[LINE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    disk->config.say(disk->config.user, line);
}

/* What a fork was killed in the middle of: its name follows its head. */
static bool mend_name(struct spool_disk *disk, const char *name,
                      const struct mux_spool_head *head) {
    char right[MUX_SPOOL_NAME_BYTES];
    mux_spool_name(head, right);
    return strcmp(name, right) == 0 ||
           (faccessat(disk->folder, right, F_OK, AT_SYMLINK_NOFOLLOW) < 0 &&
            renameat(disk->folder, name, disk->folder, right) == 0);
}

/* False: out of memory. */
static bool add_found(struct found_files *files, const struct found_file *found) {
    if (files->count == files->count_max) {
        size_t most = 2 * files->count_max + 16;
        struct found_file *more = realloc(files->file, most * sizeof *more);
        if (!more)
            return false;
        files->file = more;
        files->count_max = most;
    }
    files->file[files->count++] = *found;
    return true;
}

static bool look_at(struct spool_disk *disk, const char *name, struct found_files *files) {
    struct found_file found = {.len_bytes = 0};
    const char *why = read_head(disk, name, &found);
    if (!why && !mend_name(disk, name, &found.head))
        why = "its head has another name";
    if (!why)
        return add_found(files, &found);
    say(disk, "the spool: %s: %s: it is kept aside, as %s" ASIDE, name, why, name);
    set_aside(disk->folder, name);
    return true;
}

static int compare_changed(const void *a, const void *b) {
    const struct timespec *x = &((const struct found_file *)a)->changed;
    const struct timespec *y = &((const struct found_file *)b)->changed;
    if (x->tv_sec != y->tv_sec)
        return x->tv_sec < y->tv_sec ? -1 : 1;
    return (x->tv_nsec > y->tv_nsec) - (x->tv_nsec < y->tv_nsec);
}

static bool list(struct spool_disk *disk, struct found_files *files) {
    int fd = openat(disk->folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = fd < 0 ? NULL : fdopendir(fd);
    bool is_fine = folder != NULL;
    if (!folder && fd >= 0)
        close(fd);
    for (struct dirent *entry; is_fine && (entry = readdir(folder));)
        is_fine = !is_spool_name(entry->d_name) || look_at(disk, entry->d_name, files);
    if (folder)
        closedir(folder);
    return is_fine;
}

bool spool_disk_find(struct spool_disk *disk,
                     bool (*found)(void *user, const struct mux_spool_head *head,
                                   uint64_t len_bytes),
                     char *why, size_t why_bytes) {
    struct found_files files = {.count = 0};
    uint64_t bytes = 0;
    errno = 0;
    bool is_fine = list(disk, &files);
    if (files.count > 0)
        qsort(files.file, files.count, sizeof *files.file, compare_changed);
    for (size_t i = 0; is_fine && i < files.count; i++) {
        bytes += files.file[i].len_bytes;
        is_fine = found(disk->config.user, &files.file[i].head, files.file[i].len_bytes);
    }
    if (!is_fine)
        snprintf(why, why_bytes, "%s", errno ? strerror(errno) : "out of memory");
    else if (files.count > 0)
        say(disk,
            "the spool has %zu files of earlier lives, with %llu bytes: what nobody has "
            "acknowledged of them is sent",
            files.count, (unsigned long long)bytes);
    free(files.file);
    return is_fine;
}
