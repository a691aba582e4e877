#include "tools/muxd/journal.h"
#include "tools/muxd/journal_follow.h"

#include "mux/node/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define ROOM_LEAST_BYTES ((size_t)64 << 10)

static bool fails(char *why, size_t why_bytes, const char *path, const char *what) {
    snprintf(why, why_bytes, "%s: %s: %s", path, what, strerror(errno));
    return false;
}

bool journal_is_possible(const char *output_path, char *why, size_t why_bytes) {
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s.journal.try", output_path);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0)
        return fails(why, why_bytes, path, "no journal can be made here");
    close(fd);
    unlink(path);
    return true;
}

bool journal_init(struct journal *journal, struct mux *mux, const char *output_path, bool syncs,
                  char *why, size_t why_bytes) {
    *journal = (struct journal){.mux = mux, .output_path = output_path, .syncs = syncs, .fd = -1};
    int len = snprintf(journal->path, sizeof journal->path, "%s.journal", output_path);
    int new_len =
        snprintf(journal->new_path, sizeof journal->new_path, "%s.journal.new", output_path);
    if (len >= (int)sizeof journal->path || new_len >= (int)sizeof journal->new_path) {
        snprintf(why, why_bytes, "the name of its journal is too long");
        return false;
    }
    journal->room_bytes = ROOM_LEAST_BYTES;
    journal->room = malloc(journal->room_bytes);
    mux_upstream_hold(mux, true);
    if (!journal->room)
        snprintf(why, why_bytes, "there is no memory for its journal");
    return journal->room != NULL;
}

void journal_close(struct journal *journal) {
    if (journal->fd >= 0)
        close(journal->fd);
    journal->fd = -1;
    free(journal->room);
    journal->room = NULL;
}

/*
 * ---- writing ----
 */

static bool write_all(int fd, struct mux_span bytes) {
    while (bytes.len > 0) {
        ssize_t written = write(fd, bytes.data, bytes.len);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return false;
        bytes = mux_span(bytes.data + written, bytes.len - (size_t)written);
    }
    return true;
}

static bool grow(struct journal *journal) {
    uint8_t *room = realloc(journal->room, 2 * journal->room_bytes);
    if (!room)
        return false;
    journal->room = room;
    journal->room_bytes *= 2;
    return true;
}

static struct mux_room room_of(const struct journal *journal) {
    return (struct mux_room){journal->room, journal->room_bytes};
}

/* What was written of a record in part is cut off again. */
static bool append(struct journal *journal, struct mux_span record, char *why, size_t why_bytes) {
    if (write_all(journal->fd, record) && (!journal->syncs || fdatasync(journal->fd) == 0)) {
        journal->bytes += record.len;
        return true;
    }
    fails(why, why_bytes, journal->path, "write");
    if (ftruncate(journal->fd, (off_t)journal->bytes) == 0)
        lseek(journal->fd, (off_t)journal->bytes, SEEK_SET);
    return false;
}

bool journal_record(struct journal *journal, char *why, size_t why_bytes) {
    if (mux_flight_is_recorded(journal->mux))
        return true;
    uint64_t output_bytes = journal->output_bytes;
    struct mux_span record;
    while (!(record = mux_flight_record(journal->mux, room_of(journal), &output_bytes)).data)
        if (!grow(journal))
            return fails(why, why_bytes, journal->path, "record");
    if (!append(journal, record, why, why_bytes)) {
        mux_flight_unrecord(journal->mux);
        return false;
    }
    journal->output_bytes = output_bytes;
    if (mux_journal_is_long(journal->bytes, journal->first_bytes,
                            output_bytes - journal->begun_bytes))
        mux_upstream_hold(journal->mux, true);
    return true;
}

/* The old one says that its output is complete. */
static bool close_old(struct journal *journal, char *why, size_t why_bytes) {
    struct mux_journal_writer writer;
    mux_journal_begin(&writer, room_of(journal), MUX_JOURNAL_CLOSED, journal->output_bytes, 0);
    return append(journal, mux_journal_end(&writer), why, why_bytes);
}

static bool sync_folder(const struct journal *journal) {
    char folder[PATH_MAX];
    snprintf(folder, sizeof folder, "%s", journal->path);
    char *slash = strrchr(folder, '/');
    if (slash)
        slash[slash == folder] = '\0';
    int fd = open(slash ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool is_kept = fd >= 0 && fsync(fd) == 0;
    if (fd >= 0)
        close(fd);
    return is_kept;
}

/* A new file with the state as it is. Returns its descriptor, -1 after an errno. */
static int write_new(struct journal *journal, const struct stat *output, size_t *first_bytes) {
    uint8_t head_bytes[MUX_JOURNAL_HEAD_BYTES];
    struct mux_journal_head head = {.device = output->st_dev, .inode = output->st_ino};
    struct mux_span record;
    memcpy(head.end, mux_end_identity(journal->mux), sizeof head.end);
    mux_journal_head_write(&head, head_bytes);
    while (!(record = mux_state_record(journal->mux, room_of(journal), (uint64_t)output->st_size))
                .data)
        if (!grow(journal))
            return -1;
    int fd = open(journal->new_path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    *first_bytes = record.len;
    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0 &&
        write_all(fd, mux_span(head_bytes, sizeof head_bytes)) && write_all(fd, record) &&
        (!journal->syncs || fdatasync(fd) == 0))
        return fd;
    int error = errno;
    if (fd >= 0)
        close(fd);
    errno = error;
    return -1;
}

static bool begin_anew(struct journal *journal, const struct stat *output, char *why,
                       size_t why_bytes) {
    size_t first_bytes;
    bool is_other = output->st_dev != journal->device || output->st_ino != journal->inode;
    if (journal->fd >= 0 && is_other && !close_old(journal, why, why_bytes))
        return false;
    int fd = write_new(journal, output, &first_bytes);
    if (fd < 0)
        return fails(why, why_bytes, journal->new_path, "write");
    if (rename(journal->new_path, journal->path) != 0 ||
        (journal->syncs && !sync_folder(journal))) {
        fails(why, why_bytes, journal->path, "rename");
        close(fd);
        return false;
    }
    if (journal->fd >= 0)
        close(journal->fd);
    journal->fd = fd;
    journal->first_bytes = first_bytes;
    journal->bytes = MUX_JOURNAL_HEAD_BYTES + first_bytes;
    journal->begun_bytes = journal->output_bytes = (uint64_t)output->st_size;
    journal->device = output->st_dev;
    journal->inode = output->st_ino;
    mux_upstream_hold(journal->mux, false);
    return true;
}

/* By the records, how long it is when all that is not sent yet is not in it. */
static uint64_t expected_bytes(const struct journal *journal) {
    return journal->output_bytes - mux_recorded_unsent_bytes(journal->mux);
}

static bool is_same(const struct journal *journal, const struct stat *output) {
    return journal->fd >= 0 && output->st_dev == journal->device &&
           output->st_ino == journal->inode;
}

int journal_unfinished(struct journal *journal) {
    const struct mux_journal_head head = {.device = journal->device, .inode = journal->inode};
    struct stat status;
    bool has_name = stat(journal->output_path, &status) == 0 && is_same(journal, &status);
    journal->moves = false;
    if (journal->fd < 0 || has_name || mux_recorded_unsent_bytes(journal->mux) == 0)
        return -1;
    int output = journal_open_named(journal->output_path, &head);
    journal->moves = output >= 0;
    return output;
}

bool journal_moves(struct journal *journal) {
    bool moves = journal->moves;
    journal->moves = false;
    return moves;
}

bool journal_trim(struct journal *journal, int output, char *why, size_t why_bytes) {
    struct stat status;
    if (fstat(output, &status) != 0)
        return fails(why, why_bytes, journal->output_path, "stat");
    if (!is_same(journal, &status) || (uint64_t)status.st_size <= expected_bytes(journal))
        return true;
    return ftruncate(output, (off_t)expected_bytes(journal)) == 0 ||
           fails(why, why_bytes, journal->output_path, "truncate");
}

bool journal_begin(struct journal *journal, int output, char *why, size_t why_bytes) {
    struct stat status;
    if (fstat(output, &status) != 0)
        return fails(why, why_bytes, journal->output_path, "stat");
    bool is_followed = journal->first_bytes == 0; /* its numbers of streams are another life's */
    bool goes_on = !is_followed && is_same(journal, &status) &&
                   (uint64_t)status.st_size == expected_bytes(journal);
    if (!goes_on && mux_upstream_pending_bytes(journal->mux) == 0)
        return begin_anew(journal, &status, why, why_bytes);
    mux_upstream_hold(journal->mux, !goes_on || journal->moves); /* till it can begin anew */
    return true;
}

bool journal_rest(struct journal *journal, int output, char *why, size_t why_bytes) {
    struct stat status;
    if (fstat(output, &status) != 0)
        return fails(why, why_bytes, journal->output_path, "stat");
    return begin_anew(journal, &status, why, why_bytes);
}

bool journal_follow(struct journal *journal, char *why, size_t why_bytes) {
    int fd = open(journal->path, O_RDWR | O_CLOEXEC);
    *why = '\0';
    if (fd < 0)
        return errno == ENOENT || fails(why, why_bytes, journal->path, "open");
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        snprintf(why, why_bytes, "%s: another muxd writes it", journal->path);
        close(fd);
        return false;
    }
    struct journal_followed followed = {.fd = fd};
    bool fine = journal_follow_file(journal->mux, journal->output_path, journal->path, &followed,
                                    why, why_bytes);
    if (!fine || !followed.is_usable) {
        close(fd);
        return fine;
    }
    journal->fd = fd;
    journal->bytes = followed.bytes;
    journal->output_bytes = followed.output_bytes;
    journal->device = followed.device;
    journal->inode = followed.inode;
    if (ftruncate(fd, (off_t)followed.bytes) != 0 || lseek(fd, 0, SEEK_END) < 0)
        return fails(why, why_bytes, journal->path, "truncate");
    return true;
}
