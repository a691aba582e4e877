#include "tools/muxd/journal_follow.h"

#include "mux/node/journal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* A file's bytes, until unmap(). False: errno says why. */
static bool map(int fd, size_t len, struct mux_span *bytes) {
    *bytes = mux_span("", 0);
    if (len == 0)
        return true;
    void *at = mmap(NULL, len, PROT_READ, MAP_PRIVATE, fd, 0);
    if (at == MAP_FAILED)
        return false;
    *bytes = mux_span(at, len);
    return true;
}

static void unmap(struct mux_span bytes) {
    if (bytes.len > 0)
        munmap((void *)(uintptr_t)bytes.data, bytes.len);
}

/*
 * ---- the output that it names ----
 */

static bool is_it(const struct stat *status, const struct mux_journal_head *head) {
    return status->st_dev == head->device && status->st_ino == head->inode &&
           S_ISREG(status->st_mode);
}

/* Beside the output's name, as logrotate leaves it. */
static bool find_beside(const char *output_path, const struct mux_journal_head *head,
                        char found[PATH_MAX]) {
    const char *slash = strrchr(output_path, '/');
    int folder_len = slash ? (int)(slash - output_path) + 1 : 2;
    char folder[PATH_MAX];
    snprintf(folder, sizeof folder, "%.*s", folder_len, slash ? output_path : "./");
    DIR *files = opendir(folder);
    bool is_found = false;
    struct dirent *entry;
    while (files && !is_found && (entry = readdir(files))) {
        struct stat status;
        int len = snprintf(found, PATH_MAX, "%s%s", folder, entry->d_name);
        is_found = len < PATH_MAX && stat(found, &status) == 0 && is_it(&status, head);
    }
    if (files)
        closedir(files);
    return is_found;
}

int journal_open_named(const char *output_path, const struct mux_journal_head *head) {
    char found[PATH_MAX];
    struct stat status;
    if (stat(output_path, &status) == 0 && is_it(&status, head))
        return open(output_path, O_RDWR | O_APPEND | O_CLOEXEC);
    return find_beside(output_path, head, found) ? open(found, O_RDWR | O_APPEND | O_CLOEXEC) : -1;
}

/*
 * ---- streams ----
 */

struct stream {
    struct mux_span id, pin;
    uint64_t at;
    uint32_t crc;
};

struct streams {
    struct stream *all;
    size_t count, room;
};

static bool note(struct streams *streams, const struct mux_journal_item *item) {
    if (item->stream == 0)
        return true;
    if (item->id.data && streams->count == streams->room) {
        size_t room = 2 * streams->room + 64;
        struct stream *all = realloc(streams->all, room * sizeof *all);
        if (!all)
            return false;
        streams->all = all;
        streams->room = room;
    }
    if (item->id.data)
        streams->all[streams->count++] = (struct stream){.id = item->id, .pin = item->pin};
    struct stream *stream = &streams->all[item->stream - 1];
    stream->at = item->at;
    stream->crc = item->crc;
    return true;
}

static bool restore_streams(struct mux *mux, const struct streams *streams) {
    for (size_t i = 0; i < streams->count; i++) {
        const struct stream *stream = &streams->all[i];
        if (!mux_restore_stream(mux, stream->id.data, stream->pin, stream->at, stream->crc))
            return false;
    }
    return true;
}

/*
 * ---- tests in progress ----
 */

static void restore_first_tests(struct mux *mux, struct mux_span file, uint64_t *output_bytes) {
    struct mux_journal_reader reader;
    struct mux_journal_record record;
    struct mux_journal_test test;
    mux_journal_reader_init(&reader, file);
    *output_bytes = 0;
    if (mux_journal_next(&reader, &record) != MUX_JOURNAL_RECORD)
        return;
    *output_bytes = record.output_bytes;
    while (mux_journal_test_next(&record, &test)) {
        const struct mux_packet packet = {
            .status = MUX_STATUS_INPROGRESS, .test_id = test.test_id, .route = test.route};
        mux_restore_packet(mux, &packet);
    }
}

/* The packet at the front; length 0: there is none, or only half of one. */
static struct mux_span packet_at(struct mux_span left, struct mux_packet *packet) {
    uint32_t length, header_bytes;
    if (mux_header_parse(left, &length, &header_bytes) || length > left.len)
        return mux_span(left.data, 0);
    left.len = length;
    bool is_one = mux_packet_verify(left) && !mux_packet_parse(left, packet, NULL);
    return mux_span(left.data, is_one ? length : 0);
}

/* Returns where the last whole packet ends. Bytes that are no packet are passed over. */
static size_t read_packets(struct mux *mux, struct mux_span bytes, size_t from) {
    struct mux_packet packet;
    size_t at = from, whole = from;
    while (at < bytes.len) {
        size_t len = packet_at(mux_span(bytes.data + at, bytes.len - at), &packet).len;
        if (len > 0 && mux && packet.test_id.data && packet.status != MUX_STATUS_NONE)
            mux_restore_packet(mux, &packet);
        at += len > 0 ? len : 1;
        whole = len > 0 ? at : whole;
    }
    return whole;
}

/*
 * ---- all of it ----
 */

/* What stays of the output. */
static uint64_t length_to_keep(const struct mux_journal_follower *follower,
                               struct mux_span output) {
    if (follower->fate == MUX_JOURNAL_CUT)
        return follower->keep_bytes;
    if (follower->fate == MUX_JOURNAL_PLAIN)
        return read_packets(NULL, output, (size_t)follower->keep_bytes);
    return output.len;
}

static void say_fate(enum mux_journal_fate fate, const char *path, char *why, size_t why_bytes) {
    const char *what = fate == MUX_JOURNAL_LONGER    ? "has more than the journal knows of: kept"
                       : fate == MUX_JOURNAL_SHORTER ? "is shorter than the journal says"
                       : fate == MUX_JOURNAL_GONE
                           ? "is not to be found: what was written last may come again"
                           : NULL;
    if (what)
        snprintf(why, why_bytes, "%s: the file that it belongs to %s", path, what);
}

/* With all that is known: the output is cut, and gives the tests that are in progress. */
static bool restore(struct mux *mux, struct mux_span file, const struct mux_journal_head *head,
                    const struct mux_journal_follower *follower, const struct streams *streams,
                    int output, struct mux_span bytes, struct journal_followed *followed) {
    uint64_t begun_bytes;
    followed->output_bytes = length_to_keep(follower, bytes);
    if (followed->output_bytes < bytes.len && ftruncate(output, (off_t)followed->output_bytes) != 0)
        return false;
    mux_restore_identity(mux, head->end);
    if (!restore_streams(mux, streams))
        return false;
    restore_first_tests(mux, file, &begun_bytes);
    if (begun_bytes < followed->output_bytes)
        read_packets(mux, mux_span(bytes.data, (size_t)followed->output_bytes),
                     (size_t)begun_bytes);
    mux_restored(mux, follower->next_segment);
    return true;
}

/* Where the records end: what follows was torn. */
static uint64_t records_end(struct mux_span file) {
    struct mux_journal_reader reader;
    struct mux_journal_record record;
    mux_journal_reader_init(&reader, file);
    while (mux_journal_next(&reader, &record) == MUX_JOURNAL_RECORD)
        ;
    return (uint64_t)(reader.rest.data - file.data);
}

static bool follow(struct mux *mux, const char *output_path, const char *path, struct mux_span file,
                   const struct mux_journal_head *head, struct journal_followed *followed,
                   char *why, size_t why_bytes) {
    struct mux_journal_follower follower;
    struct mux_journal_item item;
    struct streams streams = {0};
    struct mux_span bytes;
    struct stat status = {0};
    int output = journal_open_named(output_path, head);
    bool is_there = output >= 0 && fstat(output, &status) == 0;
    bool fine = map(output, is_there ? (size_t)status.st_size : 0, &bytes);
    mux_journal_follow(&follower, file, is_there, (uint64_t)status.st_size);
    while (fine && mux_journal_follow_next(&follower, &item))
        fine = note(&streams, &item);
    fine = fine && restore(mux, file, head, &follower, &streams, output, bytes, followed);
    if (!fine)
        snprintf(why, why_bytes, "%s: it cannot be followed: %s", path, strerror(errno));
    else
        say_fate(follower.fate, path, why, why_bytes);
    followed->device = head->device;
    followed->inode = head->inode;
    followed->bytes = records_end(file);
    followed->is_usable = fine;
    unmap(bytes);
    if (output >= 0)
        close(output);
    free(streams.all);
    return fine;
}

/* Kept for people. */
static bool put_aside(const char *path, const char *what, char *why, size_t why_bytes) {
    char aside[PATH_MAX + 8];
    snprintf(aside, sizeof aside, "%s.bad", path);
    bool is_aside = rename(path, aside) == 0;
    snprintf(why, why_bytes, "%s: %s: %s", path, what,
             is_aside ? "it is kept as .bad, and streams begin where their nodes have them"
                      : strerror(errno));
    return is_aside;
}

bool journal_follow_file(struct mux *mux, const char *output_path, const char *path,
                         struct journal_followed *followed, char *why, size_t why_bytes) {
    struct mux_journal_head head;
    struct mux_span file;
    struct stat status;
    if (fstat(followed->fd, &status) != 0 || !map(followed->fd, (size_t)status.st_size, &file)) {
        snprintf(why, why_bytes, "%s: read: %s", path, strerror(errno));
        return false;
    }
    const char *what = mux_journal_head_read(file, &head);
    bool fine = what ? put_aside(path, what, why, why_bytes)
                     : follow(mux, output_path, path, file, &head, followed, why, why_bytes);
    unmap(file);
    return fine;
}
